//! The plays: what a manager is made to do on a damaged segment, and what must hold afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mbmgr::{Acknowledge, Backend, Completed, Job, Key, KeyId, Manager, Options};
use shmem::{Offset, Segment};

use super::damage::{self, Target};
use super::image::{
    ARENA_END, Allowed, BUFFER_COUNT, BUFFER_LEN, BUFFERS, FIRST, Image, JOB_COUNT, KEY_COUNT, LEN,
    MANAGER_LEN, SECOND, SLOTS, Stage, allow_destinations, buffer, images, job, word,
};
use super::watched::Rng;

/// Changes to a segment under a running manager, in one case.
const ROUNDS: u64 = 64;

fn options(rng: &mut Rng) -> Options {
    let backends = Backend::available();
    Options {
        backend: Some(backends[rng.index(backends.len())]),
        acknowledge: rng.pick(&[Acknowledge::NextCall, Acknowledge::Explicit]),
    }
}

/// Finishes all there is; no more can come back than the ring holds.
fn drain(manager: &mut Manager) -> Vec<Completed> {
    let mut back = Vec::new();
    while let Some(done) = manager.flush().unwrap() {
        back.push(done);
        let ring = manager.config().ring as usize;
        assert!(back.len() <= ring, "more jobs came back than the ring holds");
    }
    back
}

fn damaged(rng: &mut Rng) -> (&'static Image, Vec<u8>) {
    let image = &images()[rng.index(images().len())];
    let mut bytes = image.bytes.clone();
    for _ in 0..=rng.below(6) {
        match rng.below(8) {
            0 => damage::lease(&mut bytes, rng, FIRST),
            1 => damage::manager(&mut bytes, rng, SECOND),
            _ => damage::manager(&mut bytes, rng, FIRST),
        }
    }
    (image, bytes)
}

/// Bytes that the owner of the first manager may write: its own, what its slots name, and `more`; the
/// second manager's never, where it is one.
fn allowed(bytes: &[u8], more: &[Job], second: bool) -> Allowed {
    let mut allowed = Allowed::none();
    allow_destinations(&mut allowed, bytes, FIRST);
    for job in more {
        // A digest is shorter than any buffer's second half.
        allowed.add(job.dst.get(), job.len.max(64));
        allowed.add(job.tag.get(), u64::from(job.tag_len));
    }
    allowed.forbid(0, FIRST);
    // A damaged shape may be larger than the true one, if no other manager is in its way.
    let (ring, keys) =
        (word(bytes, FIRST + 72) & 0xffff_ffff, word(bytes, FIRST + 80) & 0xffff_ffff);
    allowed.add(FIRST, MANAGER_LEN.max(SLOTS - KEY_COUNT * 512 + ring * 128 + keys * 512));
    if second {
        allowed.forbid(SECOND, MANAGER_LEN);
    }
    allowed.forbid(ARENA_END, LEN - ARENA_END);
    allowed
}

fn is_manager(segment: &Arc<Segment>, root: usize) -> bool {
    mbmgr::view::decode(segment, root).is_ok()
}

/// A takeover of a damaged manager, and a little work if it succeeds.
pub(crate) fn attach(rng: &mut Rng) -> u64 {
    let (image, mut before) = damaged(rng);
    let stage = Stage::get();
    stage.put(&mut before);
    let segment = stage.open().unwrap();
    let second = is_manager(&segment, 1);
    let more = [job(rng.below(JOB_COUNT), &image.keys), job(rng.below(JOB_COUNT), &image.keys)];
    let force = rng.below(4) == 0;
    let options = options(rng);
    let outcome = if force {
        Manager::force(&segment, 0, &options)
    } else {
        Manager::attach(&segment, 0, &options)
    };
    if let Ok(mut manager) = outcome {
        drain(&mut manager);
        if let Some(last) = manager.recovered().outstanding.checked_sub(1) {
            let _ = manager.acknowledge(last);
        }
        let _ = manager.add_key(Key::Aes(&[3; 24]));
        for job in &more {
            let _ = manager.submit(job);
        }
        drain(&mut manager);
        let _ = mbmgr::view::decode(&segment, 0);
        match rng.below(3) {
            0 => manager.release().unwrap(),
            1 => drop(manager.remove()),
            _ => drop(manager),
        }
    }
    let mut after = vec![0; before.len()];
    stage.bytes(&mut after);
    let mut allowed = allowed(&before, &more, second);
    // A removal marks the root, and says that it did.
    allowed.add(128, 8);
    allowed.add(96, 8);
    let outside = allowed.violation(&before, &after).map(|i| (i, before[i], after[i]));
    assert_eq!(outside, None, "a byte that was not the manager's: place, before, after");
    1
}

/// A damaged header: refused, or harmless.
pub(crate) fn header(rng: &mut Rng) -> u64 {
    let (_, mut before) = damaged(rng);
    let stage = Stage::get();
    for _ in 0..=rng.below(3) {
        damage::header(&mut before, rng);
    }
    let address = before[32..40].to_vec();
    stage.put(&mut before);
    if rng.below(8) == 0 && address != before[32..40] {
        before[32..40].copy_from_slice(&address);
    }
    if let Ok(segment) = stage.open() {
        let fits = segment.arena().end().get() <= segment.len();
        assert!(fits && segment.len() == LEN, "an arena that is not in the segment");
        for root in 0..4 {
            let _ = mbmgr::view::decode(&segment, root);
            if let Ok(mut manager) = Manager::attach(&segment, root, &options(rng)) {
                drain(&mut manager);
                let _ = manager.remove();
            }
        }
        if let Ok(mut manager) = Manager::create(&segment, &super::image::CONFIG, &options(rng)) {
            let _ = manager.add_key(Key::HmacSha512(&[5; 200]));
        }
        let _ = segment.arena().alloc(rng.below(LEN), 64);
    }
    1
}

/// A live segment as a target of damage.
struct Live<'a>(&'a Segment);

impl Target for Live<'_> {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        self.0.write(Offset::new(at), bytes).unwrap();
    }

    fn get(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read(Offset::new(at), &mut bytes).unwrap();
        bytes
    }
}

/// What an owner does in one round, and what came of it.
fn act(manager: &mut Manager, rng: &mut Rng, keys: &[KeyId]) -> String {
    match rng.below(8) {
        0..=3 => {
            format!(
                "{:?}",
                manager.submit(&job(rng.below(JOB_COUNT), keys)).map_err(|e| e.to_string())
            )
        }
        4 => {
            let jobs: Vec<Job> =
                (0..rng.below(6)).map(|_| job(rng.below(JOB_COUNT), keys)).collect();
            let mut back = Vec::new();
            let accepted = manager.submit_burst(&jobs, &mut back).map_err(|e| e.to_string());
            format!("{accepted:?} {back:?}")
        }
        5 => format!("{:?}", manager.flush().map_err(|e| e.to_string())),
        6 => {
            let sequence = rng.below(200);
            format!("{:?}", manager.acknowledge(sequence).map_err(|e| e.to_string()))
        }
        _ => {
            let added = manager.add_key(Key::Aes(&[4; 16]));
            let removed = added.and_then(|key| manager.remove_key(key));
            format!("{:?}", removed.map_err(|e| e.to_string()))
        }
    }
}

/// A manager under whose hands the segment is damaged, beside a twin whose segment is not: an owner
/// trusts its own copies, so both must say the same and leave the same in the buffers.
pub(crate) fn operate(rng: &mut Rng) -> u64 {
    let image = &images()[rng.index(images().len())];
    let options = options(rng);
    let (mut own, mut twins) = (image.bytes.clone(), image.bytes.clone());
    let stage = Stage::get();
    stage.put(&mut own);
    let segment = stage.open().unwrap();
    let twin_segment = twin(&mut twins);
    let mut manager = Manager::attach(&segment, 0, &options).unwrap();
    let mut twin = Manager::attach(&twin_segment, 0, &options).unwrap();
    for round in 0..ROUNDS {
        for _ in 0..=rng.below(3) {
            damage::manager(&mut Live(&segment), rng, FIRST);
        }
        let seed = rng.next();
        let did = act(&mut manager, &mut Rng::from_seed(seed), &image.keys);
        let should = act(&mut twin, &mut Rng::from_seed(seed), &image.keys);
        assert_eq!(did, should, "round {round}");
    }
    let mut rest = Vec::new();
    for manager in [&mut manager, &mut twin] {
        rest.push(drain(manager));
    }
    assert_eq!(rest[0], rest[1]);
    let all = usize::try_from(LEN).unwrap();
    let (found, expected) = (Live(&segment).get(0, all), Live(&twin_segment).get(0, all));
    let from = usize::try_from(SECOND + 64).unwrap();
    assert!(
        found[from..] == expected[from..],
        "outputs, the other manager, and the end of the arena"
    );
    ROUNDS
}

fn twin(bytes: &mut [u8]) -> Arc<Segment> {
    use std::os::unix::fs::FileExt;
    let file = shmem_file();
    file.write_all_at(bytes, 0).unwrap();
    let fd = std::os::fd::OwnedFd::from(file);
    Segment::open_fd(fd, shmem::Placement::Anywhere, mbmgr::LAYOUT_HASH).unwrap()
}

fn shmem_file() -> std::fs::File {
    static FILE: std::sync::OnceLock<Arc<Segment>> = std::sync::OnceLock::new();
    let segment = FILE.get_or_init(|| {
        let options = shmem::SegmentOptions { len: LEN, ..shmem::SegmentOptions::default() };
        Segment::create_anonymous("hostile twin", &options).unwrap()
    });
    std::fs::File::from(segment.fd().try_clone_to_owned().unwrap())
}

/// A manager that works while another thread writes to its segment without pause. Each write counts as
/// a damaged segment.
pub(crate) fn storm(rng: &mut Rng) -> u64 {
    let image = &images()[rng.index(images().len())];
    let mut bytes = image.bytes.clone();
    let stage = Stage::get();
    stage.put(&mut bytes);
    let segment = stage.open().unwrap();
    let options = options(rng);
    let (stop, writes) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut seed = Rng::from_seed(rng.next());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // At least once, also if the work is over before this begins.
            loop {
                damage::manager(&mut Live(&segment), &mut seed, FIRST);
                writes.fetch_add(1, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..8 {
            // Takeovers too, each of what the storm has left.
            let Ok(mut manager) = Manager::attach(&segment, 0, &options) else { continue };
            for _ in 0..32 {
                act(&mut manager, rng, &image.keys);
            }
            drain(&mut manager);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let mut after = vec![0; bytes.len()];
    stage.bytes(&mut after);
    let mut allowed = Allowed::none();
    allowed.add(FIRST, MANAGER_LEN);
    // Slots come and go, with destinations anywhere in the arena.
    allowed.add(buffer(0).get(), BUFFER_COUNT * BUFFER_LEN);
    allowed.forbid(SECOND, MANAGER_LEN);
    debug_assert_eq!(BUFFERS, SECOND + MANAGER_LEN);
    assert_eq!(
        allowed.violation(&bytes, &after),
        None,
        "a byte outside the manager and the buffers"
    );
    writes.load(Ordering::Relaxed)
}
