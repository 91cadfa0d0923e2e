//! What can be done to a segment: bits, fields with values that mean something, whole structs.

use mbmgr::Algorithm;

use super::image::{
    ARENA_END, BUFFER_LEN, BUFFERS, FIRST, JOURNAL, KEY_COUNT, KEYS, LEN, MANAGER_LEN, RING,
    SECOND, SLOTS, word,
};
use super::watched::Rng;

/// Where damage goes.
pub(crate) trait Target {
    fn put(&mut self, at: u64, bytes: &[u8]);
    fn get(&self, at: u64, len: usize) -> Vec<u8>;

    fn put64(&mut self, at: u64, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    fn put32(&mut self, at: u64, value: u64) {
        self.put(at, &value.to_le_bytes()[..4]);
    }
}

impl Target for Vec<u8> {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).unwrap();
        self[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn get(&self, at: u64, len: usize) -> Vec<u8> {
        let at = usize::try_from(at).unwrap();
        self[at..at + len].to_vec()
    }
}

/// A number that is likely to be on one side or the other of a check.
pub(crate) fn interesting(rng: &mut Rng) -> u64 {
    let near = |rng: &mut Rng, value: u64| value.wrapping_add(rng.below(5)).wrapping_sub(2);
    match rng.below(12) {
        0 => 0,
        1 => u64::MAX - rng.below(32),
        2 => {
            let bit = 1 << rng.below(64);
            near(rng, bit)
        }
        3 => rng.next(),
        4 => rng.below(64),
        5 => near(rng, LEN),
        6 => near(rng, ARENA_END),
        7 => near(rng, i64::MAX.cast_unsigned()),
        8 => rng.pick(&[FIRST, SECOND, BUFFERS, 64, 1 << 32, u64::from(u32::MAX)]),
        9 => rng.below(LEN),
        10 => rng.below(LEN) & !15,
        _ => BUFFERS + rng.below(12) * BUFFER_LEN,
    }
}

/// One change to the manager at `at`. It leaves the lease alone, and all outside the manager.
pub(crate) fn manager(target: &mut impl Target, rng: &mut Rng, at: u64) {
    let slot = at + SLOTS + rng.below(RING) * 128;
    let key = at + KEYS + rng.below(KEY_COUNT) * 512;
    match rng.below(16) {
        0 => target.put64(at + 64 + 8 * rng.below(8), interesting(rng)),
        1 => target
            .put32(at + 72 + 4 * rng.below(3), rng.pick(&[0, 1, 3, 4, 8, 16, 17, 65536, 1 << 31])),
        2 => target.put64(at + rng.pick(&[128, 136, 192]), interesting(rng)),
        3 => positions(target, rng, at),
        4 | 5 => slot_fields(target, rng, slot),
        6 => target.put64(slot + 8 * rng.below(16), interesting(rng)),
        7 | 8 => journal(target, rng, at),
        9 => target.put64(at + JOURNAL + 8 * rng.below(40), interesting(rng)),
        10 => {
            target.put32(key, rng.below(6));
            target.put32(key + 8, rng.below(8));
        }
        11 => target.put32(key + 4 * rng.below(4), interesting(rng)),
        12 => {
            for _ in 0..=rng.below(16) {
                let place = at + 64 + rng.below(MANAGER_LEN - 64);
                let byte = target.get(place, 1)[0] ^ (1 << rng.below(8));
                target.put(place, &[byte]);
            }
        }
        13 => {
            let other = target.get(at + SLOTS + rng.below(RING) * 128, 128);
            target.put(slot, &other);
        }
        14 => {
            let bytes: Vec<u8> = (0..128).map(|_| rng.next().to_le_bytes()[0]).collect();
            target.put(slot, &bytes);
        }
        _ => {
            let from = rng.pick(&[FIRST, SECOND]) + rng.pick(&[64, JOURNAL, KEYS, SLOTS]);
            let to = at + rng.pick(&[64, JOURNAL, KEYS, SLOTS]);
            let bytes = target.get(from, rng.pick(&[64, 192, 320, 1024]));
            target.put(to, &bytes);
        }
    }
}

/// Positions that stand in some relation to each other.
fn positions(target: &mut impl Target, rng: &mut Rng, at: u64) {
    let acked = if rng.below(3) == 0 { interesting(rng) } else { rng.below(100) };
    let returned = acked.wrapping_add(rng.below(RING + 2));
    target.put64(at + 128, acked);
    target.put64(at + 136, returned);
    target.put64(at + 192, returned.wrapping_add(rng.below(RING + 2)));
}

/// The id of an algorithm, or one next to it that is none.
fn algorithm_id(rng: &mut Rng) -> u64 {
    rng.below(Algorithm::ALL.len() as u64 + 3)
}

/// A job that is nearly right.
fn slot_fields(target: &mut impl Target, rng: &mut Rng, at: u64) {
    let iv = rng.pick(&[0, 12, 16, 16, 17, 255]);
    let tag = rng.pick(&[0, 0, 3, 4, 32, 64, 65, 255]);
    let what = algorithm_id(rng) | rng.below(3) << 16 | iv << 24 | tag << 32;
    target.put32(at, rng.below(4));
    let chained = rng.below(8) == 0;
    let hash = if chained { algorithm_id(rng) << 40 | rng.below(3) << 56 } else { 0 };
    let what = what | hash;
    if chained {
        target.put64(at + 112, rng.below(5) | rng.below(3) << 32);
        target.put32(at + 120, rng.below(4));
    }
    if rng.below(2) == 0 {
        target.put64(at + 8, what);
        target.put64(at + 16, rng.below(5) | rng.below(3) << 32);
    }
    let src =
        rng.pick(&[BUFFERS, BUFFERS + 32, BUFFERS + BUFFER_LEN, FIRST, SECOND, ARENA_END - 64]);
    let src = if rng.below(4) == 0 { interesting(rng) } else { src };
    target.put64(at + 24, src);
    let apart = rng.pick(&[0, 0, 16, 32, 64, 384, BUFFER_LEN]);
    target.put64(at + 32, src.wrapping_add(apart));
    let len = rng.pick(&[0, 1, 16, 32, 64, 256, 384, 1 << 20, 1 << 30, 1 << 62]);
    target.put64(at + 40, if rng.below(4) == 0 { interesting(rng) } else { len });
    target.put64(at + 64, rng.pick(&[0, 16, 32, 15, 256, 384, 1 << 40, u64::MAX]));
    if rng.below(2) == 0 {
        // Associated data, tag and long IV: beside the message, in it, and where nobody may write.
        for place in [80, 88, 96] {
            let near = src.wrapping_add(rng.pick(&[0, 8, 369, 384, BUFFER_LEN - 16, BUFFER_LEN]));
            let far = rng.pick(&[FIRST, SECOND + 64, ARENA_END - 8, ARENA_END]);
            let any = interesting(rng);
            target.put64(at + place, rng.pick(&[near, near, far, any]));
        }
        let aad = rng.pick(&[0, 0, 13, 16, 384, 1 << 20, 0xffff_ffff]);
        let iv_at = rng.pick(&[0, 0, 0, 8, 16, 20, 300, 0xffff_ffff]);
        target.put64(at + 104, aad | iv_at << 32);
    }
}

/// A run that could be in flight, over jobs that are there, or over the same one twice.
fn journal(target: &mut impl Target, rng: &mut Rng, manager: u64) {
    let at = manager + JOURNAL;
    let first = word(&target.get(manager + 136, 8), 0);
    let slot = manager + SLOTS + (first % RING) * 128;
    let what = word(&target.get(slot + 8, 8), 0) & 0xff_ffff;
    let step_bytes = rng.pick(&[16, 16, 64, 128, 512, 1024, 2048, 8, 0, 0xffff]);
    let total = rng.pick(&[16, 32, 48, 256, 384, 15, 0, 1 << 30, u64::from(u32::MAX)]);
    let (lanes, redo) = (rng.pick(&[1, 1, 2, 4, 16, 17, 0]), rng.pick(&[1, 1, 2, 3, 4, 0, 255]));
    target.put64(at, 1 + rng.below(steps(total, step_bytes) + 1));
    target.put64(at + 8, total | step_bytes << 32 | lanes << 48 | redo << 56);
    // Another algorithm, now and then, than the one that the shape fits.
    if rng.below(4) == 0 {
        target.put64(slot + 8, what & !0xffff | algorithm_id(rng) | 16 << 24);
    }
    let same = rng.below(2) == 0;
    for lane in 0..16 {
        let index = first.wrapping_add(if same { 0 } else { lane + rng.below(2) }) % (RING + 1);
        let base = rng.pick(&[0, 0, 16, 32, 256, 15, 0xffff_fff0]);
        target.put64(at + 64 + 8 * lane, index | base << 32);
    }
}

fn steps(total: u64, step: u64) -> u64 {
    total.checked_div(step).unwrap_or(0).min(64)
}

/// One change to the lease of the manager at `at`, in a segment whose owner is dead.
pub(crate) fn lease(target: &mut impl Target, rng: &mut Rng, at: u64) {
    let died = 0x4000_0000;
    let waiters = 0x8000_0000;
    let me = u64::from(std::process::id());
    match rng.below(6) {
        0 => target.put32(at, rng.pick(&[0, died, waiters, died | waiters])),
        1 => target.put32(at, rng.pick(&[me, 0x2fff_ffff, 0x3fff_ffff, u64::from(u32::MAX), 1])),
        2 => target.put32(at + 4, rng.pick(&[0, me, 1, u64::from(u32::MAX)])),
        3 => target.put64(at + 16, rng.pick(&[0, 1, u64::MAX, u64::MAX - 1])),
        _ => target.put64(at + 8 + 8 * rng.below(7), interesting(rng)),
    }
}

/// One change to the segment's header or its directory.
pub(crate) fn header(target: &mut impl Target, rng: &mut Rng) {
    match rng.below(4) {
        0 => target.put64(8 * rng.below(16), interesting(rng)),
        1 => target.put64(72 + 8 * rng.below(4), interesting(rng)),
        2 => {
            let places =
                [FIRST, SECOND, FIRST | 1, SECOND | 1, BUFFERS, ARENA_END - 64, FIRST + 64];
            target.put64(128 + 8 * rng.below(4), rng.pick(&places));
        }
        _ => {
            // Small steps, so that what is wrong is likely to be near what is right.
            let place = rng.below(640);
            let byte = target.get(place, 1)[0] ^ (1 << rng.below(8));
            target.put(place, &[byte]);
        }
    }
}
