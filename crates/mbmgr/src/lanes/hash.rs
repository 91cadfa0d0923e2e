//! A lane group of a hash and its HMAC: every lane a job, the kernel advances them side by side.
//!
//! A job passes up to three stages: its whole blocks straight from the source, its padded end from a
//! scratch of the lane, and for HMAC the outer block. A short job is copied into the scratch as a whole:
//! a stage less is a call of the kernel less. Nothing is journaled: the source stays as it is,
//! so a job that a crash interrupts starts over.
#![expect(
    unsafe_code,
    reason = "calls the kernels, which take raw pointers, and copies digests out"
)]

use shmem::seeded::{Bug, seeded};
use std::ptr;

use zerocopy::{Immutable, IntoBytes};
use zeroize::{DefaultIsZeroes, Zeroizing};

use crate::algorithm::Algorithm;
use crate::hmac::{SHA1_INIT, SHA224_INIT, SHA256_INIT, SHA384_INIT, SHA512_INIT};
use crate::kernel::{Kernels, MAX_LANES};
use crate::keys::{KeyId, Material};
use crate::region::Region;

use super::{Entry, Hall, States};

/// State words of one lane each, transposed for the kernels.
type Columns<W> = [[W; MAX_LANES]; 8];

/// The states after the inner and the outer pad of an HMAC key.
type Midstates<'a, W> = (&'a [W; 8], &'a [W; 8]);

/// What differs between the hashes.
pub(super) trait Hash {
    type Word: DefaultIsZeroes + IntoBytes + Immutable + 'static;
    /// Bytes of a block.
    const BLOCK: usize;
    /// Bytes of the whole state, as a digest.
    const STATE: usize;
    /// Bytes of the length at the end of the padding (FIPS 180-4, 5.1).
    const LENGTH: usize;

    /// The initial hash value of an algorithm, or of the hash that an HMAC is over.
    fn init(algorithm: Algorithm) -> &'static [Self::Word; 8];
    /// Advances the first `active` lanes by `blocks` blocks each.
    ///
    /// # Safety
    /// `data` leads to that many readable bytes in each of them.
    unsafe fn compress(
        kernels: Kernels,
        state: &mut Columns<Self::Word>,
        data: &[*const u8; MAX_LANES],
        active: usize,
        blocks: usize,
    );
    /// The states after the inner and the outer pad of a key for this hash.
    fn midstates(material: &Material) -> Option<Midstates<'_, Self::Word>>;
    /// A word whose bytes in memory are those of `word` in big-endian order.
    fn to_be(word: Self::Word) -> Self::Word;

    /// The rows of a state that count: SHA-1 has fewer than the columns.
    #[inline(always)]
    fn rows(state: &mut Columns<Self::Word>) -> &mut [[Self::Word; MAX_LANES]] {
        &mut state[..Self::STATE / size_of::<Self::Word>()]
    }
}

/// SHA-1 and its HMAC.
pub(super) struct Sha1;

impl Hash for Sha1 {
    type Word = u32;
    const BLOCK: usize = 64;
    const STATE: usize = 20;
    const LENGTH: usize = 8;

    #[inline]
    fn init(_algorithm: Algorithm) -> &'static [u32; 8] {
        &SHA1_INIT
    }

    #[inline(always)]
    unsafe fn compress(
        kernels: Kernels,
        state: &mut Columns<u32>,
        data: &[*const u8; MAX_LANES],
        active: usize,
        blocks: usize,
    ) {
        // SAFETY: the caller's duty is the same.
        unsafe { kernels.sha1(state, data, active, blocks) }
    }

    fn midstates(material: &Material) -> Option<Midstates<'_, u32>> {
        Sha256::midstates(material)
    }

    #[inline(always)]
    fn to_be(word: u32) -> u32 {
        word.to_be()
    }
}

/// SHA-256, SHA-224 and their HMACs.
pub(super) struct Sha256;

impl Hash for Sha256 {
    type Word = u32;
    const BLOCK: usize = 64;
    const STATE: usize = 32;
    const LENGTH: usize = 8;

    #[inline]
    fn init(algorithm: Algorithm) -> &'static [u32; 8] {
        match algorithm {
            Algorithm::Sha224 | Algorithm::HmacSha224 => &SHA224_INIT,
            _ => &SHA256_INIT,
        }
    }

    #[inline(always)]
    unsafe fn compress(
        kernels: Kernels,
        state: &mut Columns<u32>,
        data: &[*const u8; MAX_LANES],
        active: usize,
        blocks: usize,
    ) {
        // SAFETY: the caller's duty is the same.
        unsafe { kernels.sha256(state, data, active, blocks) }
    }

    fn midstates(material: &Material) -> Option<Midstates<'_, u32>> {
        match material {
            Material::Hmac256 { inner, outer } => Some((inner, outer)),
            _ => None,
        }
    }

    #[inline(always)]
    fn to_be(word: u32) -> u32 {
        word.to_be()
    }
}

/// SHA-512, SHA-384 and their HMACs.
pub(super) struct Sha512;

impl Hash for Sha512 {
    type Word = u64;
    const BLOCK: usize = 128;
    const STATE: usize = 64;
    const LENGTH: usize = 16;

    #[inline]
    fn init(algorithm: Algorithm) -> &'static [u64; 8] {
        match algorithm {
            Algorithm::Sha384 | Algorithm::HmacSha384 => &SHA384_INIT,
            _ => &SHA512_INIT,
        }
    }

    #[inline(always)]
    unsafe fn compress(
        kernels: Kernels,
        state: &mut Columns<u64>,
        data: &[*const u8; MAX_LANES],
        active: usize,
        blocks: usize,
    ) {
        // SAFETY: the caller's duty is the same.
        unsafe { kernels.sha512(state, data, active, blocks) }
    }

    fn midstates(material: &Material) -> Option<Midstates<'_, u64>> {
        match material {
            Material::Hmac512 { inner, outer } => Some((inner, outer)),
            _ => None,
        }
    }

    #[inline(always)]
    fn to_be(word: u64) -> u64 {
        word.to_be()
    }
}

/// Bytes of a lane's scratch: two blocks of the larger hash, the longest padded end.
const SCRATCH: usize = 256;
/// Words: zeroized one store each.
type Scratch = [u64; SCRATCH / 8];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Whole blocks of the source.
    Source,
    /// The padded end, or all of a short message, in the scratch.
    End,
    /// The outer block of HMAC, in the scratch.
    Outer,
}

struct Ticket<W> {
    position: u64,
    key: Option<KeyId>,
    stage: Stage,
    /// Blocks to go in this stage.
    left: usize,
    /// Blocks of the stage [`Stage::End`].
    end: usize,
    /// The state to go on from in the stage [`Stage::Outer`], if there is one.
    outer: Option<[W; 8]>,
    /// Null where the digest goes to `States::put_digest`.
    dst: *mut u8,
    digest: usize,
    /// Bytes of the whole digest: what the outer block of HMAC takes in.
    full: usize,
    /// On the heap, so that the kernels' pointers stay valid when a ticket moves.
    scratch: Box<Zeroizing<Scratch>>,
}

/// Lanes 0..used hold jobs; there are no gaps.
pub(super) struct HashGroup<H: Hash> {
    capacity: usize,
    used: usize,
    state: Columns<H::Word>,
    data: [*const u8; MAX_LANES],
    tickets: [Ticket<H::Word>; MAX_LANES],
}

// SAFETY: the pointers lead into the segment that the manager around this group keeps mapped, or into
// the tickets' own boxes; nothing of them belongs to a thread.
unsafe impl<H: Hash> Send for HashGroup<H> where H::Word: Send {}

impl<H: Hash> HashGroup<H> {
    pub(super) fn new(capacity: usize) -> Self {
        HashGroup {
            capacity,
            used: 0,
            state: [[H::Word::default(); MAX_LANES]; 8],
            data: [ptr::null(); MAX_LANES],
            tickets: std::array::from_fn(|_| Ticket {
                position: 0,
                key: None,
                stage: Stage::Source,
                left: 0,
                end: 0,
                outer: None,
                dst: ptr::null_mut(),
                digest: 0,
                full: 0,
                scratch: Box::new(Zeroizing::new([0; SCRATCH / 8])),
            }),
        }
    }

    /// Puts a job into the next lane; true if that was the last free one.
    pub(super) fn push(&mut self, hall: Hall<'_>, entry: &Entry<'_>) -> bool {
        let (lane, job) = (self.used, entry.job.message());
        let material = job.key.and_then(|_| hall.keys.material(entry.key_index));
        let midstates = material.and_then(H::midstates);
        let (init, outer) = match midstates {
            Some((inner, outer)) => (inner, Some(*outer)),
            None => (H::init(job.algorithm), None),
        };
        for (row, word) in H::rows(&mut self.state).iter_mut().zip(init) {
            row[lane] = *word;
        }

        let src = hall.region.address(job.src).as_ptr().cast_const();
        #[expect(clippy::cast_possible_truncation, reason = "a job is at most MAX_JOB_LEN long")]
        let len = job.len as usize;
        let is_short = len + 1 + H::LENGTH <= SCRATCH;
        let rest = if is_short { len } else { len % H::BLOCK };
        let blocks = (len - rest) / H::BLOCK;
        let prefix = if outer.is_some() { H::BLOCK } else { 0 };
        let ticket = &mut self.tickets[lane];
        // SAFETY: `Job::check` found the job's `len` bytes at `src` in the arena, which the region keeps
        // mapped.
        ticket.end = unsafe {
            pad::<H>(ticket.scratch.as_mut_bytes(), src.add(len - rest), rest, prefix + len)
        };
        ticket.position = entry.position;
        ticket.key = job.key;
        ticket.outer = outer;
        ticket.dst = hall.region.address(job.dst).as_ptr();
        if entry.is_compared() {
            ticket.dst = ptr::null_mut();
        }
        ticket.digest = job.digest;
        ticket.full = job.algorithm.row().tags.max;
        if blocks > 0 {
            (ticket.stage, ticket.left, self.data[lane]) = (Stage::Source, blocks, src);
        } else {
            (ticket.stage, ticket.left) = (Stage::End, ticket.end);
            self.data[lane] = ticket.scratch.as_ptr().cast();
        }
        self.used += 1;
        self.used == self.capacity
    }

    /// Advances all lanes until at least one job ends.
    pub(super) fn run(&mut self, kernels: Kernels, region: &Region, states: &mut States) {
        let before = self.used;
        while self.used > 0 && self.used == before {
            self.advance(kernels);
            // From the last lane down: where all end together, none has to be moved.
            for lane in (0..before).rev() {
                if self.tickets[lane].left == 0 && !self.next_stage(lane) {
                    if seeded(Bug::StatusBeforeTag) {
                        states.done(region, self.tickets[lane].position);
                    }
                    if seeded(Bug::StageBeforeTag) {
                        states.commit_stage(region, self.tickets[lane].position);
                    }
                    self.write_digest(lane, region, states);
                    states.done(region, self.tickets[lane].position);
                    self.remove(lane);
                }
            }
        }
    }

    /// How many lanes' jobs use a key.
    pub(super) fn jobs_with_key(&self, key: KeyId) -> usize {
        self.tickets[..self.used].iter().filter(|ticket| ticket.key == Some(key)).count()
    }

    /// Advances all lanes by the blocks that the nearest to its stage's end has left.
    fn advance(&mut self, kernels: Kernels) {
        let tickets = &mut self.tickets[..self.used];
        let blocks = tickets.iter().map(|ticket| ticket.left).min().unwrap_or(0);
        // SAFETY: each lane's pointer leads to `left` blocks: of the source, which `Job::check` found in
        // the arena, or of the ticket's scratch.
        unsafe { H::compress(kernels, &mut self.state, &self.data, self.used, blocks) };
        for (ticket, data) in tickets.iter_mut().zip(&mut self.data) {
            ticket.left -= blocks;
            *data = data.wrapping_add(blocks * H::BLOCK);
        }
    }

    /// Takes a lane whose stage is over to its next one; false if that was the last.
    #[inline]
    fn next_stage(&mut self, lane: usize) -> bool {
        let ticket = &mut self.tickets[lane];
        match (ticket.stage, &ticket.outer) {
            (Stage::Source, _) => (ticket.stage, ticket.left) = (Stage::End, ticket.end),
            (Stage::End, Some(outer)) => {
                let len = ticket.full;
                let block = &mut ticket.scratch.as_mut_bytes()[..H::BLOCK];
                let words = block.chunks_exact_mut(size_of::<H::Word>());
                for ((row, word), into) in H::rows(&mut self.state).iter_mut().zip(outer).zip(words)
                {
                    into.copy_from_slice(H::to_be(row[lane]).as_bytes());
                    row[lane] = *word;
                }
                block[len..].fill(0);
                block[len] = 0x80;
                put_bits(block, H::BLOCK + len);
                (ticket.stage, ticket.left) = (Stage::Outer, 1);
            }
            (Stage::End, None) | (Stage::Outer, _) => return false,
        }
        self.data[lane] = ticket.scratch.as_ptr().cast();
        true
    }

    #[inline]
    fn write_digest(&mut self, lane: usize, region: &Region, states: &mut States) {
        let ticket = &self.tickets[lane];
        let rows = H::rows(&mut self.state);
        if ticket.digest == H::STATE && !ticket.dst.is_null() {
            // Word by word: what is stored in words and copied in vectors waits for its own stores.
            let mut into = ticket.dst;
            for row in rows {
                // SAFETY: `Job::check` found `STATE` bytes at `dst` in the arena, which the region
                // keeps mapped; the rows have as many.
                unsafe { into.cast::<H::Word>().write_unaligned(H::to_be(row[lane])) };
                into = into.wrapping_add(size_of::<H::Word>());
            }
            return;
        }
        let mut digest = [0; 64];
        for (into, row) in digest.chunks_exact_mut(size_of::<H::Word>()).zip(rows) {
            into.copy_from_slice(H::to_be(row[lane]).as_bytes());
        }
        if ticket.dst.is_null() {
            return states.put_digest(region, ticket.position, &digest);
        }
        // SAFETY: `Job::check` found `digest` bytes at `dst` in the arena, which the region keeps
        // mapped, and no more than the hash has.
        unsafe { ptr::copy_nonoverlapping(digest.as_ptr(), ticket.dst, ticket.digest) };
    }

    /// Moves the last lane into one whose job has ended.
    #[inline]
    fn remove(&mut self, lane: usize) {
        self.used -= 1;
        let last = self.used;
        if lane != last {
            self.tickets.swap(lane, last);
            self.data.swap(lane, last);
            for row in H::rows(&mut self.state) {
                row.swap(lane, last);
            }
        }
    }
}

/// Writes the length of a message of `len` bytes, in bits, at the end of its last block.
#[inline(always)]
fn put_bits(block: &mut [u8], len: usize) {
    let end = block.len();
    block[end - 8..].copy_from_slice(&(len as u64 * 8).to_be_bytes());
}

/// Fills the scratch with the `rest` bytes of a message's end and its padding (FIPS 180-4, 5.1); the
/// message has `len` bytes with what went before. Returns the number of blocks.
///
/// # Safety
/// `from` leads to `rest` readable bytes, and `rest + 1 + H::LENGTH` is at most the scratch's length.
#[inline(always)]
unsafe fn pad<H: Hash>(scratch: &mut [u8], from: *const u8, rest: usize, len: usize) -> usize {
    let blocks = (rest + H::LENGTH) / H::BLOCK + 1;
    // What the message does not cover: from its last block on, as fills of constant length.
    scratch[(blocks - 1) * H::BLOCK..][..H::BLOCK].fill(0);
    if blocks > 1 {
        scratch[(blocks - 2) * H::BLOCK..][..H::BLOCK].fill(0);
    }
    if rest > 0 {
        // SAFETY: the caller's duty; the scratch is memory of ours.
        unsafe { ptr::copy_nonoverlapping(from, scratch.as_mut_ptr(), rest) };
    }
    scratch[rest] = 0x80;
    put_bits(&mut scratch[..blocks * H::BLOCK], len);
    blocks
}
