//! Our manager as a contender: called as an application calls it.

use anyhow::{Result, ensure};
use mbmgr::{Authentication, Completed, Config, Job, Key, Kind, Manager, Options};

use crate::rig::Rig;
use crate::row::{Api, Spec};
use crate::sets::is_keyed;

/// Jobs of one burst.
pub(crate) const BURST: usize = 16;

/// Our managers of one row, and their jobs.
pub(crate) struct Ours {
    managers: Vec<(Manager, Vec<Job>)>,
    next: usize,
    api: Api,
    /// Jobs between two flushes; 0 for a stream that is never flushed.
    group: usize,
    completed: Vec<Completed>,
}

/// Bytes that the managers of a row take.
pub(crate) fn size(spec: &Spec) -> u64 {
    (Manager::size(&config(spec)) + 64) * u64::from(spec.managers)
}

fn config(spec: &Spec) -> Config {
    Config { ring: spec.ring, lanes: spec.lanes, ..Config::default() }
}

/// Jobs between two flushes of a row: both managers get the same.
pub(crate) fn group(spec: &Spec) -> usize {
    if spec.lanes == 16 { 0 } else { spec.lanes as usize }
}

impl Ours {
    pub(crate) fn new(rig: &Rig) -> Result<Ours> {
        let spec = &rig.spec;
        let options = Options { backend: spec.backend, ..Options::default() };
        let mut managers = Vec::new();
        for _ in 0..spec.managers {
            let mut manager = Manager::create(&rig.segment, &config(spec), &options)?;
            let jobs = jobs(rig, &mut manager)?;
            managers.push((manager, jobs));
        }
        let completed = Vec::with_capacity(2 * BURST);
        Ok(Ours { managers, next: 0, api: spec.api, group: group(spec), completed })
    }

    pub(crate) fn backend(&self) -> &'static str {
        self.managers.first().map_or("none", |(manager, _)| manager.backend().name())
    }

    /// Submits every job `turns` times. A stream's last jobs stay outstanding.
    pub(crate) fn run(&mut self, turns: u64) -> Result<u64> {
        let mut done = 0;
        for _ in 0..turns {
            let count = self.managers.len();
            let Some((manager, jobs)) = self.managers.get_mut(self.next) else { break };
            self.next = if self.next + 1 == count { 0 } else { self.next + 1 };
            done += match (self.api, self.group) {
                (Api::Job, 0) => stream(manager, jobs)?,
                (Api::Burst, 0) => bursts(manager, jobs, BURST, &mut self.completed)?,
                (api, group) => {
                    let mut done = 0;
                    for jobs in jobs.chunks(group) {
                        done += match api {
                            Api::Job => stream(manager, jobs)?,
                            Api::Burst => bursts(manager, jobs, group, &mut self.completed)?,
                        };
                        done += drain(manager)?;
                    }
                    done
                }
            };
        }
        Ok(done)
    }

    /// Finishes what is outstanding.
    pub(crate) fn finish(&mut self) -> Result<u64> {
        let mut done = 0;
        for (manager, _) in &mut self.managers {
            done += drain(manager)?;
        }
        Ok(done)
    }

    /// Runs every job once, to the end.
    pub(crate) fn run_once(&mut self) -> Result<()> {
        let jobs = self.managers.first().map_or(0, |(_, jobs)| jobs.len() as u64);
        let done = self.run(1)? + self.finish()?;
        ensure!(done == jobs, "only {done} of {jobs} jobs came back from our manager");
        Ok(())
    }
}

#[inline]
fn stream(manager: &mut Manager, jobs: &[Job]) -> mbmgr::Result<u64> {
    let mut done = 0;
    for job in jobs {
        let mut next = manager.submit(job)?;
        while next.is_some() {
            done += 1;
            next = manager.completed()?;
        }
    }
    Ok(done)
}

#[inline]
fn bursts(
    manager: &mut Manager,
    jobs: &[Job],
    burst: usize,
    completed: &mut Vec<Completed>,
) -> mbmgr::Result<u64> {
    let mut done = 0;
    for jobs in jobs.chunks(burst) {
        manager.submit_burst(jobs, completed)?;
        done += completed.len() as u64;
        completed.clear();
    }
    Ok(done)
}

#[inline]
fn drain(manager: &mut Manager) -> mbmgr::Result<u64> {
    let mut done = 0;
    while manager.flush()?.is_some() {
        done += 1;
    }
    Ok(done)
}

fn jobs(rig: &Rig, manager: &mut Manager) -> Result<Vec<Job>> {
    let Spec { algorithm, direction, .. } = rig.spec;
    let mut add = |algorithm, keys: &[Vec<u8>]| {
        let keys = keys.iter().filter(|_| is_keyed(algorithm));
        keys.map(|key| manager.add_key(Key::For(algorithm, key))).collect::<mbmgr::Result<Vec<_>>>()
    };
    let keys = add(algorithm, &rig.keys)?;
    let hash_keys = add(rig.spec.hash.unwrap_or(algorithm), &rig.hash_keys)?;
    let mut jobs = Vec::new();
    for ((index, buffers), user) in rig.jobs.iter().enumerate().zip(0..) {
        let iv = &buffers.iv[..rig.spec.iv_len()];
        let job = match (algorithm.kind(), keys.get(rig.key_of(index)).copied()) {
            (Kind::Cbc | Kind::Ctr | Kind::Cipher, Some(key)) => {
                Job::cipher(algorithm, direction, key, iv)?
            }
            (Kind::Aead, Some(key)) => {
                let tag_len = algorithm.digest_len().and_then(|len| u8::try_from(len).ok());
                let job = Job::aead(algorithm, direction, key, iv)?;
                job.tag(buffers.tag, tag_len.unwrap_or(0))
            }
            (Kind::Mac, Some(key)) if !iv.is_empty() => Job::cipher(algorithm, direction, key, iv)?,
            (_, Some(key)) => Job::mac(algorithm, key),
            (_, None) => Job::hash(algorithm),
        };
        let job = job.from_to(buffers.src, buffers.dst, buffers.len).user(user);
        jobs.push(match rig.spec.hash {
            None => job,
            Some(hash) => job.then_hash(Authentication {
                algorithm: hash,
                key: hash_keys.get(rig.key_of(index)).copied(),
                src: buffers.dst,
                len: u32::try_from(buffers.len)?,
                tag: buffers.tag,
                tag_len: 0,
            }),
        });
    }
    Ok(jobs)
}
