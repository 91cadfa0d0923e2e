//! Pristine segments to damage, where their parts lie, and which bytes a manager may write.

#![expect(unsafe_code, reason = "maps guard pages")]

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

use mbmgr::{
    Algorithm, Authentication, Config, Direction, Job, Key, KeyId, Kind, LAYOUT_HASH, Manager,
    Options,
};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use shmem::{Offset, Placement, Segment, SegmentOptions};

pub(crate) const CONFIG: Config = Config { ring: 8, lanes: 4, keys: 6 };
pub(crate) const RING: u64 = 8;
pub(crate) const KEY_COUNT: u64 = 6;
/// Two managers, then the buffers, then bytes that the header keeps out of the arena.
pub(crate) const FIRST: u64 = 640;
pub(crate) const MANAGER_LEN: u64 = 256 + 8384 + KEY_COUNT * 512 + RING * 128;
pub(crate) const SECOND: u64 = FIRST + MANAGER_LEN;
pub(crate) const BUFFERS: u64 = SECOND + MANAGER_LEN;
pub(crate) const BUFFER_LEN: u64 = 768;
pub(crate) const BUFFER_COUNT: u64 = 12;
pub(crate) const ARENA_END: u64 = BUFFERS + BUFFER_COUNT * BUFFER_LEN;
pub(crate) const LEN: u64 = (ARENA_END + 512).next_multiple_of(4096);

/// Parts of a manager, from its start.
pub(crate) const JOURNAL: u64 = 256;
pub(crate) const KEYS: u64 = JOURNAL + 8384;
pub(crate) const SLOTS: u64 = KEYS + KEY_COUNT * 512;

pub(crate) fn word(bytes: &[u8], at: u64) -> u64 {
    let at = usize::try_from(at).unwrap();
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// A segment's bytes, and what a manager attached to it would be asked for.
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    pub(crate) keys: Vec<KeyId>,
}

pub(crate) fn buffer(i: u64) -> Offset {
    Offset::new(BUFFERS + i * BUFFER_LEN)
}

/// Kinds of jobs that [`job`] makes, times what else it varies.
pub(crate) const JOB_COUNT: u64 = 92;

/// Jobs of every kind: number `n` uses buffer `n % BUFFER_COUNT`. The associated data and the long IV
/// lie between source and destination, the tag at the buffer's end.
pub(crate) fn job(n: u64, keys: &[KeyId]) -> Job {
    let at = buffer(n % BUFFER_COUNT);
    let out = Offset::new(at.get() + BUFFER_LEN / 2);
    let len = [16, 48, 256, 352, 32, 368][usize::try_from(n % 6).unwrap()];
    let cipher = |algorithm, direction, key: KeyId, iv: &[u8]| {
        let job = Job::cipher(algorithm, direction, key, iv).unwrap();
        if n.is_multiple_of(3) { job.from_to(at, out, len) } else { job.in_place(at, len) }
    };
    let aead = |algorithm, direction, key: KeyId, iv: &[u8]| {
        cipher(algorithm, direction, key, iv)
            .aad(Offset::new(at.get() + 369), 13)
            .tag(Offset::new(at.get() + BUFFER_LEN - 16), 16)
    };
    let rest = |job: Job| Job { len: job.len - 3, ..job };
    let job = match n % 23 {
        0..=3 => cipher(Algorithm::Aes128Cbc, Direction::Encrypt, keys[0], &[7; 16]),
        4 => cipher(Algorithm::Aes128Cbc, Direction::Decrypt, keys[0], &[9; 16]),
        5 => cipher(Algorithm::Aes256Ctr, Direction::Encrypt, keys[1], &[1; 12]),
        8 => aead(Algorithm::Aes128Gcm, Direction::Encrypt, keys[0], &[5; 12]),
        // Of a tag that nobody made: the job fails, and its output stays as it was.
        9 => aead(Algorithm::Aes256Gcm, Direction::Decrypt, keys[1], &[5; 12]),
        10 => Job::mac(Algorithm::Aes128Cmac, keys[0]).from_to(at, out, len).tag_len(8),
        11 => aead(Algorithm::ChaCha20Poly1305, Direction::Encrypt, keys[3], &[6; 12]),
        12 => {
            let iv_at = Offset::new(at.get() + 384 + 368 - 16);
            let job = Job::with_iv_at(Algorithm::Aes128Gcm, Direction::Encrypt, keys[0], iv_at, 16);
            let tag = Offset::new(at.get() + BUFFER_LEN - 16);
            job.aad(Offset::new(at.get() + 369), 13).tag(tag, 16).in_place(at, len)
        }
        13 => cipher(Algorithm::Aes128Cfb, Direction::Decrypt, keys[0], &[4; 16]),
        14 => aead(Algorithm::Aes128Ccm, Direction::Encrypt, keys[0], &[3; 13]),
        15 => Job::hash(Algorithm::Sha3_256).from_to(at, out, len - 1),
        16 => rest(cipher(Algorithm::Aes128Docsis, Direction::Encrypt, keys[0], &[8; 16])),
        17 => rest(cipher(Algorithm::Aes256Cfb, Direction::Encrypt, keys[1], &[2; 16])),
        18 => aead(Algorithm::Aes128Ccm, Direction::Decrypt, keys[0], &[3; 12]),
        19 => Job::cipher(Algorithm::Aes128Gmac, Direction::Encrypt, keys[0], &[5; 12])
            .unwrap()
            .from_to(at, out, len),
        20 => {
            let job = cipher(Algorithm::Aes128Cbc, Direction::Encrypt, keys[0], &[7; 16]);
            job.then_hash(Authentication {
                algorithm: Algorithm::HmacSha256,
                key: Some(keys[2]),
                src: job.dst,
                len: 16,
                tag: Offset::new(at.get() + BUFFER_LEN - 16),
                tag_len: 16,
            })
        }
        21 => rest(cipher(Algorithm::Aes128Docsis, Direction::Decrypt, keys[0], &[8; 16])),
        22 => cipher(Algorithm::Aes256Ecb, Direction::Decrypt, keys[1], &[]),
        6 => Job::hash(Algorithm::Sha512).from_to(at, out, len - 5),
        _ => Job::mac(Algorithm::HmacSha256, keys[2]).from_to(at, out, len - 3).tag_len(12),
    };
    job.user(1000 + n)
}

/// Images of a manager in all the states that calls can leave it in.
pub(crate) fn images() -> &'static [Image] {
    static IMAGES: OnceLock<Vec<Image>> = OnceLock::new();
    IMAGES.get_or_init(|| (0..16).map(make).collect())
}

fn make(variant: u64) -> Image {
    let options =
        SegmentOptions { len: LEN, layout_hash: LAYOUT_HASH, ..SegmentOptions::default() };
    let segment = Segment::create_anonymous("hostile", &options).unwrap();
    let mut manager = Manager::create(&segment, &CONFIG, &Options::default()).unwrap();
    let second = Manager::create(&segment, &CONFIG, &Options::default()).unwrap();
    assert_eq!(
        segment.root(1).unwrap().unwrap().get(),
        SECOND,
        "the constants above are the layout"
    );
    let buffers = segment.arena().alloc(BUFFER_COUNT * BUFFER_LEN, 64).unwrap();
    assert_eq!(buffers.get(), BUFFERS);
    for i in 0..BUFFER_COUNT * BUFFER_LEN / 8 {
        let value = (i + variant).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        segment.write(Offset::new(BUFFERS + 8 * i), &value).unwrap();
    }
    let keys = [
        Key::Aes(&[1; 16]),
        Key::Aes(&[2; 32]),
        Key::HmacSha256(b"hostile"),
        Key::For(Algorithm::ChaCha20Poly1305, &[3; 32]),
    ];
    let keys: Vec<_> = keys.into_iter().map(|key| manager.add_key(key).unwrap()).collect();
    // From none to a ring of outstanding jobs, some returned, the earliest of them acknowledged.
    for n in 0..variant {
        // Jobs that wait in lanes, or some of every kind.
        let kind = if variant.is_multiple_of(2) { n % 8 + variant % 3 } else { n * 5 + variant };
        manager.submit(&job(kind, &keys)).unwrap();
        if n % 5 == 4 {
            manager.flush().unwrap();
        }
    }
    drop((manager, second));
    let mut bytes = vec![0; usize::try_from(LEN).unwrap()];
    segment.read(Offset::NULL, &mut bytes).unwrap();
    // The end of the arena: what lies behind is nobody's.
    bytes[80..88].copy_from_slice(&ARENA_END.to_le_bytes());
    bytes[usize::try_from(ARENA_END).unwrap()..].fill(0xa5);
    Image { bytes, keys }
}

/// A segment file, and a hole between untouchable pages to map it into.
pub(crate) struct Stage {
    file: Arc<Segment>,
    hole: u64,
}

/// Pages on either side of the hole.
const GUARD: usize = 1 << 20;

impl Stage {
    pub(crate) fn get() -> &'static Stage {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(|| {
            let options = SegmentOptions { len: LEN, ..SegmentOptions::default() };
            let file = Segment::create_anonymous("hostile", &options).unwrap();
            let len = usize::try_from(LEN).unwrap();
            let all = NonZeroUsize::new(len + 2 * GUARD).unwrap();
            // SAFETY: fresh pages that nobody can access, and then a hole in the middle of them.
            let hole = unsafe {
                let (none, private) = (ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE);
                let base = mmap_anonymous(None, all, none, private).unwrap();
                let hole = base.add(GUARD);
                munmap(hole, len).unwrap();
                hole.as_ptr().addr() as u64
            };
            Stage { file, hole }
        })
    }

    /// Puts an image on the stage; the address in its header is that of the hole.
    pub(crate) fn put(&self, bytes: &mut [u8]) {
        bytes[32..40].copy_from_slice(&self.hole.to_le_bytes());
        let file = File::from(self.file.fd().try_clone_to_owned().unwrap());
        file.write_all_at(bytes, 0).unwrap();
    }

    pub(crate) fn open(&self) -> shmem::Result<Arc<Segment>> {
        let fd = self.file.fd().try_clone_to_owned().unwrap();
        Segment::open_fd(fd, Placement::Identical, LAYOUT_HASH)
    }

    pub(crate) fn bytes(&self, into: &mut [u8]) {
        let file = File::from(self.file.fd().try_clone_to_owned().unwrap());
        file.read_exact_at(into, 0).unwrap();
    }
}

/// Bytes that may change.
pub(crate) struct Allowed(Vec<bool>);

impl Allowed {
    pub(crate) fn none() -> Allowed {
        Allowed(vec![false; usize::try_from(LEN).unwrap()])
    }

    pub(crate) fn add(&mut self, at: u64, len: u64) {
        self.set(at, len, true);
    }

    pub(crate) fn forbid(&mut self, at: u64, len: u64) {
        self.set(at, len, false);
    }

    fn set(&mut self, at: u64, len: u64, to: bool) {
        let end = at.saturating_add(len).min(LEN);
        for allowed in
            self.0.iter_mut().take(usize::try_from(end).unwrap()).skip(at.min(LEN) as usize)
        {
            *allowed = to;
        }
    }

    /// The first byte that changed and may not.
    pub(crate) fn violation(&self, before: &[u8], after: &[u8]) -> Option<usize> {
        if before == after {
            return None;
        }
        (0..before.len()).find(|&i| before[i] != after[i] && !self.0[i])
    }
}

/// Adds the destinations that the slots of a manager name, whatever they name.
pub(crate) fn allow_destinations(allowed: &mut Allowed, bytes: &[u8], manager: u64) {
    for slot in 0..RING {
        let at = manager + SLOTS + slot * 128;
        if at + 128 > LEN {
            return;
        }
        let what = word(bytes, at + 8).to_le_bytes();
        let id = usize::from(u16::from_le_bytes([what[0], what[1]]));
        let named = |id: usize| id.checked_sub(1).and_then(|row| Algorithm::ALL.get(row));
        let Some(algorithm) = named(id) else { continue };
        let hash = named(usize::from(u16::from_le_bytes([what[5], what[6]])));
        let (dst, len) = (word(bytes, at + 32), word(bytes, at + 40));
        let digest = match what[4] {
            0 => hash.unwrap_or(algorithm).digest_len().unwrap_or(0) as u64,
            len => u64::from(len),
        };
        allowed.add(dst, if algorithm.is_cipher() { len } else { digest });
        if algorithm.kind() == Kind::Aead || hash.is_some() {
            allowed.add(word(bytes, at + 88), digest);
        }
    }
}
