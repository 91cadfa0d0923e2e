//! Scatter-gather: a message in pieces, listed in the arena. How a list is written, and the check of it,
//! which is made when a job is submitted and each time that the list is read again: it lies in the
//! segment, where others write. Called by `Job::check` and `lanes::single`. The list survives a crash.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use shmem::Offset;

use super::check::overlap;
use super::{Job, MAX_JOB_LEN};
use crate::algorithm::Kind;
use crate::error::{Error, Result};
use crate::region::Region;

/// The most pieces of a message.
pub const MAX_PIECES: u32 = 64;

/// A piece of a message: the `len` bytes at `src`, whose result goes to `dst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where its input lies.
    pub src: Offset,
    /// Where its output goes: the same place, or one apart from all of the job.
    pub dst: Offset,
    /// Its bytes; may be 0.
    pub len: u64,
}

impl Piece {
    /// Bytes of a piece in a list.
    pub const BYTES: u64 = 24;

    /// The piece as a list has it: source, destination, length, each 8 bytes, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let words = [self.src.get(), self.dst.get(), self.len].map(u64::to_le_bytes);
        std::array::from_fn(|i| words[i / 8][i % 8])
    }
}

impl Job {
    /// The message is the `count` pieces listed at `list`, at a multiple of 8, one after the other, `len`
    /// bytes in all. For AEADs. Nothing of the job may be written into the list.
    #[must_use]
    pub fn pieces(mut self, list: Offset, count: u32, len: u64) -> Job {
        (self.src, self.dst, self.len, self.pieces) = (list, list, len, count);
        self
    }

    /// Copies the list out, and refuses what cannot be run and what a crash could corrupt.
    pub(crate) fn load_pieces(&self, region: &Region) -> Result<Vec<Piece>> {
        let refuse = |what: &str| Error::Pieces { what: what.to_owned(), at: self.src };
        if self.algorithm.kind() != Kind::Aead {
            return Err(refuse("are for aeads alone"));
        }
        if self.pieces > MAX_PIECES {
            return Err(refuse("are more than 64"));
        }
        let bytes = Piece::BYTES * u64::from(self.pieces);
        if !self.src.get().is_multiple_of(8) || !region.holds(self.src, bytes) {
            return Err(refuse("are not listed in the arena at a multiple of 8"));
        }
        let word = |i: u64| {
            let at = Offset::new(self.src.get() + 8 * i);
            // Relaxed: whatever stands there is copied out once, and checked then.
            let word = region.segment().shared::<AtomicU64>(at).map_err(Error::from);
            word.map(|word| u64::from_le(word.load(Relaxed)))
        };
        let mut pieces = Vec::with_capacity(self.pieces as usize);
        for i in 0..u64::from(self.pieces) {
            let (src, dst, len) = (word(3 * i)?, word(3 * i + 1)?, word(3 * i + 2)?);
            pieces.push(Piece { src: Offset::new(src), dst: Offset::new(dst), len });
        }
        self.check_pieces(region, &pieces)?;
        Ok(pieces)
    }

    fn check_pieces(&self, region: &Region, pieces: &[Piece]) -> Result<()> {
        let refuse = |what: &str| Error::Pieces { what: what.to_owned(), at: self.src };
        let mut total = 0_u64;
        for piece in pieces {
            if piece.len > MAX_JOB_LEN {
                return Err(refuse("are too long"));
            }
            total += piece.len;
            for (what, at) in [("source", piece.src), ("destination", piece.dst)] {
                if piece.len > 0 && !region.holds(at, piece.len) {
                    return Err(Error::ForeignBuffer { what, at, len: piece.len });
                }
            }
        }
        if total != self.len {
            return Err(refuse("do not add up to the job's length"));
        }
        let list = (self.src, Piece::BYTES * pieces.len() as u64);
        let tag = (self.tag, self.digest_bytes() as u64);
        let aside = [
            list,
            tag,
            (self.aad, u64::from(self.aad_len)),
            (self.iv_at, u64::from(self.iv_at_len)),
        ];
        if overlap(tag, list) {
            return Err(Error::Overlap { what: "tag", at: self.tag, with: "the list of pieces" });
        }
        for (i, one) in pieces.iter().enumerate() {
            let (src, dst) = ((one.src, one.len), (one.dst, one.len));
            if overlap(tag, src) {
                return Err(Error::Overlap { what: "tag", at: self.tag, with: "the source" });
            }
            let in_aside = aside.iter().any(|&other| overlap(dst, other));
            let in_others = pieces.iter().enumerate().any(|(j, other)| {
                let may_share = i == j && one.src == one.dst;
                overlap(dst, (other.src, other.len)) && !may_share
                    || i != j && overlap(dst, (other.dst, other.len))
            });
            if in_aside || in_others {
                return Err(refuse(
                    "have a destination that overlaps what the job reads or writes",
                ));
            }
        }
        Ok(())
    }
}

/// The message of a job that runs: one buffer, or pieces.
pub(crate) enum Text {
    Flat { src: Offset, dst: Offset },
    Pieces(Vec<Piece>),
}

/// One of the two sides of a message.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Source,
    Destination,
}

impl Text {
    /// The message of a job that passed its check.
    ///
    /// # Errors
    /// If its list does not pass any more.
    pub(crate) fn of(job: &Job, region: &Region) -> Result<Text> {
        match job.pieces {
            0 => Ok(Text::Flat { src: job.src, dst: job.dst }),
            _ => job.load_pieces(region).map(Text::Pieces),
        }
    }

    /// Whether a byte of the result takes the place of one of the message.
    pub(crate) fn is_in_place(&self) -> bool {
        match self {
            Text::Flat { src, dst } => src == dst,
            Text::Pieces(pieces) => pieces.iter().any(|piece| piece.src == piece.dst),
        }
    }

    /// Leads to each stretch of the `len` bytes at `at`: its place, and its range in those bytes.
    pub(crate) fn each(
        &self,
        side: Side,
        at: u64,
        len: usize,
        mut visit: impl FnMut(Offset, std::ops::Range<usize>),
    ) {
        let pieces = match self {
            Text::Flat { src, dst } => {
                let start = if matches!(side, Side::Source) { src } else { dst };
                return visit(Offset::new(start.get() + at), 0..len);
            }
            Text::Pieces(pieces) => pieces,
        };
        let (mut begin, mut done) = (0, 0);
        for piece in pieces {
            let end = begin + piece.len;
            let from = at + done as u64;
            if done < len && from < end {
                let skip = from - begin;
                let count = usize::try_from(end - from).unwrap_or(usize::MAX).min(len - done);
                let start = if matches!(side, Side::Source) { piece.src } else { piece.dst };
                visit(Offset::new(start.get() + skip), done..done + count);
                done += count;
            }
            begin = end;
        }
    }
}
