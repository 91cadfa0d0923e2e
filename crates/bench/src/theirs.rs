//! The reference library as a contender: its loops run on the C side of the binding, over the same
//! buffers as ours. Its manager lies in memory of the process, as most of its users have it.

use anyhow::{Result, bail, ensure};
use mbmgr::{Algorithm, Backend, Direction};
use reference::{Architecture, Batch, ExactAlgorithm, ExactBatch, Manager, Placed, Request};

use crate::ours::{BURST, group};
use crate::rig::{Buffers, Rig};
use crate::row::{Api, Spec};
use crate::sets::is_keyed;

/// The library on one row: the algorithms of its multi-process subject, or any other of its own.
pub(crate) enum Theirs {
    Managed(Managed),
    Exact(ExactBatch),
}

impl Theirs {
    /// `None` where the library lacks the algorithm.
    pub(crate) fn new(rig: &Rig) -> Result<Option<Theirs>> {
        let spec = &rig.spec;
        if spec.hash.is_none() && managed(spec.algorithm).is_ok() {
            return Ok(Some(Theirs::Managed(Managed::new(rig)?)));
        }
        let Some(algorithm) = ExactAlgorithm::named(spec.algorithm.name()) else {
            return Ok(None);
        };
        if spec.api != Api::Job || group(spec) != 0 {
            return Ok(None);
        }
        let hash = match spec.hash.map(|hash| ExactAlgorithm::named(hash.name())) {
            Some(None) => return Ok(None),
            hash => hash.flatten(),
        };
        let place = |(index, buffers): (usize, &Buffers)| Placed {
            algorithm,
            decrypt: spec.direction == Direction::Decrypt,
            key: if is_keyed(spec.algorithm) {
                rig.keys[rig.key_of(index)].clone()
            } else {
                vec![]
            },
            iv: buffers.iv[..spec.iv_len()].to_vec(),
            src: buffers.src,
            dst: buffers.dst,
            len: buffers.len,
            tag: buffers.tag,
            tag_len: spec.tag_len() as u64,
            hash: hash.map(|hash| (hash, rig.hash_keys[rig.key_of(index)].clone())),
        };
        let jobs = rig.jobs.iter().enumerate().map(place).collect();
        let architecture = architecture(spec.backend);
        Ok(Some(Theirs::Exact(ExactBatch::new(&rig.segment, architecture, jobs)?)))
    }

    /// Submits every job `turns` times, with the library's validation of a job or without.
    pub(crate) fn run(&mut self, turns: u64, checked: bool) -> Result<u64> {
        match self {
            Theirs::Managed(managed) => managed.run(turns, checked),
            Theirs::Exact(batch) => Ok((0..turns).map(|_| batch.again(checked)).sum()),
        }
    }

    /// Runs every job once, to the end.
    pub(crate) fn run_once(&mut self, jobs: u64) -> Result<()> {
        let done = match self {
            Theirs::Managed(managed) => return managed.run_once(jobs),
            Theirs::Exact(batch) => batch.again(true) + batch.finish(),
        };
        ensure!(done == jobs, "only {done} of {jobs} jobs came back from the reference");
        Ok(())
    }
}

/// The name of an algorithm for the library's manager.
fn managed(algorithm: Algorithm) -> Result<reference::Algorithm> {
    Ok(match algorithm {
        Algorithm::Aes128Cbc | Algorithm::Aes192Cbc | Algorithm::Aes256Cbc => {
            reference::Algorithm::Cbc
        }
        Algorithm::Aes128Ctr | Algorithm::Aes192Ctr | Algorithm::Aes256Ctr => {
            reference::Algorithm::Ctr
        }
        Algorithm::Sha256 => reference::Algorithm::Sha256,
        Algorithm::Sha512 => reference::Algorithm::Sha512,
        Algorithm::HmacSha256 => reference::Algorithm::HmacSha256,
        Algorithm::HmacSha512 => reference::Algorithm::HmacSha512,
        other => bail!("the binding's manager has no {other}"),
    })
}

/// The library's manager of one row.
pub(crate) struct Managed {
    manager: Manager,
    batches: Vec<Batch>,
    api: Api,
    flush: bool,
}

/// Bytes that keys and IVs take.
pub(crate) fn size(spec: &Spec) -> u64 {
    Manager::size() + 2 * 80 * spec.jobs()
}

/// The code of the library that a backend of ours is compared with.
fn architecture(backend: Option<Backend>) -> Architecture {
    match backend {
        None | Some(Backend::Vaes512) => Architecture::Auto,
        Some(Backend::Vaes256) => Architecture::Avx2,
        Some(Backend::Portable | Backend::AesNi) => Architecture::Sse,
    }
}

impl Managed {
    fn new(rig: &Rig) -> Result<Managed> {
        let spec = &rig.spec;
        let mut manager = Manager::in_process(&rig.segment, architecture(spec.backend))?;
        let algorithm = managed(spec.algorithm)?;
        let mut keys = Vec::new();
        for key in rig.keys.iter().filter(|_| is_keyed(spec.algorithm)) {
            keys.push(manager.add_key(algorithm, key)?);
        }
        let is_cipher = spec.algorithm.digest_len().is_none();
        let direction = match spec.direction {
            Direction::Encrypt => reference::Direction::Encrypt,
            Direction::Decrypt => reference::Direction::Decrypt,
        };
        let requests: Vec<Request> = rig
            .jobs
            .iter()
            .enumerate()
            .zip(0..)
            .map(|((index, buffers), user)| Request {
                algorithm,
                direction,
                key: keys.get(rig.key_of(index)).copied(),
                src: buffers.src,
                dst: buffers.dst,
                len: buffers.len,
                iv: buffers.iv,
                iv_len: if is_cipher { 16 } else { 0 },
                tag_len: 0,
                user,
            })
            .collect();
        let size = match group(spec) {
            0 => requests.len(),
            group => group,
        };
        let batches = requests
            .chunks(size)
            .map(|requests| Batch::new(&manager, requests))
            .collect::<reference::Result<_>>()?;
        Ok(Managed { manager, batches, api: spec.api, flush: group(spec) != 0 })
    }

    /// Submits every job `turns` times, with the library's validation of a job or without.
    fn run(&mut self, turns: u64, checked: bool) -> Result<u64> {
        let mut done = 0;
        for _ in 0..turns {
            for batch in &self.batches {
                done += match self.api {
                    Api::Job => self.manager.submit_all(batch, checked)?,
                    Api::Burst => self.manager.burst_all(batch, u32::try_from(BURST)?, checked)?,
                };
                if self.flush {
                    done += self.manager.flush_all();
                }
            }
        }
        Ok(done)
    }

    /// Finishes what is outstanding.
    fn finish(&mut self) -> u64 {
        self.manager.flush_all()
    }

    /// Runs every job once, to the end.
    fn run_once(&mut self, jobs: u64) -> Result<()> {
        let done = self.run(1, true)? + self.finish();
        Ok(self.manager.expect_all(done, jobs)?)
    }
}

/// What the library chooses on this machine.
pub(crate) fn architecture_in_use() -> Result<&'static str> {
    let options = shmem::SegmentOptions {
        len: shmem::HEADER_LEN + 2 * Manager::size(),
        placement: shmem::Placement::Anywhere,
        layout_hash: reference::LAYOUT_HASH,
        populate: false,
    };
    let segment = shmem::Segment::create_anonymous("takeover-bench-look", &options)?;
    Ok(Manager::in_process(&segment, Architecture::Auto)?.architecture().name())
}
