//! Vectors of AES blocks: 1 block in an `__m128i` (AES-NI), 2 in an `__m256i` (VAES and AVX2), 4 in
//! an `__m512i` (VAES and AVX-512). The bodies in `cbc_encrypt`, `cbc_decrypt` and `ctr` are
//! written on this trait. Holds no state.

use core::arch::asm;
use core::arch::x86_64::*;
use core::ptr;

use super::BLOCK;

/// A register of AES blocks.
///
/// Every method is inlined into an entry that enables the instructions of the vector, and must only
/// be called from there; that is the first duty of its safety contract. The second: pointers are
/// readable or writable for what the method says it moves; they need no alignment unless it says
/// so.
pub(super) trait BlockVector: Copy {
    /// Blocks in a register.
    const BLOCKS: usize;
    /// Bytes in a register.
    const BYTES: usize = Self::BLOCKS * BLOCK;
    /// Registers that a body should work on together: enough to hide the latency of an AES
    /// instruction, few enough to leave registers for keys and input.
    const WIDTH: usize = 8;

    /// All zero.
    unsafe fn zero() -> Self;
    /// [`Self::BYTES`] bytes.
    unsafe fn load(from: *const u8) -> Self;
    /// The first `len < BYTES` bytes, and zero after them.
    unsafe fn load_partial(from: *const u8, len: usize) -> Self;
    /// One block, in every position.
    unsafe fn broadcast(from: *const u8) -> Self;
    /// One block each from the first `count <= BLOCKS` pointers, and zero after them.
    unsafe fn gather(from: &[*const u8; 4], count: usize) -> Self;
    /// [`Self::BYTES`] bytes.
    unsafe fn store(self, to: *mut u8);
    /// [`Self::BYTES`] bytes, to an address aligned to as many.
    unsafe fn store_aligned(self, to: *mut u8);
    /// The first `len < BYTES` bytes.
    unsafe fn store_partial(self, to: *mut u8, len: usize);
    /// One block each to the first `count <= BLOCKS` pointers.
    unsafe fn scatter(self, to: &[*mut u8; 4], count: usize);

    /// The last block.
    unsafe fn store_last(self, to: *mut u8);

    unsafe fn xor(self, other: Self) -> Self;
    unsafe fn xor3(self, b: Self, c: Self) -> Self;
    /// A round of the cipher.
    unsafe fn encrypt_round(self, key: Self) -> Self;
    /// The last round of the cipher.
    unsafe fn encrypt_last(self, key: Self) -> Self;
    /// A round of the equivalent inverse cipher.
    unsafe fn decrypt_round(self, key: Self) -> Self;
    /// The last round of the equivalent inverse cipher.
    unsafe fn decrypt_last(self, key: Self) -> Self;
    /// The value itself, made here: the compiler keeps pinned values in the order they are written in,
    /// which keeps neighbouring AES instructions independent of each other. No instruction.
    unsafe fn pin(self) -> Self;
    /// The last block of `before`, then all blocks of `self` but the last.
    unsafe fn shift_in(self, before: Self) -> Self;

    /// The numbers `first`, `first + 1`, … as little-endian blocks; the low half must not wrap.
    unsafe fn count_from(first: u128) -> Self;
    /// Adds `blocks` to each little-endian block; the low half must not wrap.
    unsafe fn advance(self, blocks: u64) -> Self;
    /// The bytes of each block in reverse order.
    unsafe fn reverse_bytes(self) -> Self;
}

/// An intrinsic or a pointer access in a method of a vector.
macro_rules! op {
    ($body:expr) => {
        // SAFETY: the contract of the trait: the caller runs with the vector's instructions
        // enabled, and the pointers are valid for what is moved.
        unsafe { $body }
    };
}
pub(super) use op;

/// Copies `len` bytes, which may end inside a register, to an address aligned to a register that
/// has room for whole registers: the wide modes' way into the journal's log.
///
/// # Safety
/// As the methods of `V`.
#[inline(always)]
pub(super) unsafe fn keep<V: BlockVector>(from: *const u8, to: *mut u8, len: usize) {
    let mut offset = 0;
    while len - offset >= V::BYTES {
        op!(V::load(from.add(offset)).store_aligned(to.add(offset)));
        offset += V::BYTES;
    }
    if offset < len {
        op!(V::load_partial(from.add(offset), len - offset).store_aligned(to.add(offset)));
    }
}

/// The `len` bytes at `from` in `N` registers, zero behind them.
///
/// # Safety
/// As the methods of `V`; `len` is at most `N` registers, and exactly that if `FULL`.
#[inline(always)]
pub(super) unsafe fn load_some<V: BlockVector, const N: usize, const FULL: bool>(
    from: *const u8,
    len: usize,
) -> [V; N] {
    let mut registers = op!([V::zero(); N]);
    for (i, register) in registers.iter_mut().enumerate() {
        let at = i * V::BYTES;
        if FULL || len >= at + V::BYTES {
            *register = op!(V::load(from.add(at)));
        } else if len > at {
            *register = op!(V::load_partial(from.add(at), len - at));
        }
    }
    registers
}

/// The opposite of [`load_some`].
///
/// # Safety
/// As [`load_some`], with `to` for `from`.
#[inline(always)]
pub(super) unsafe fn store_some<V: BlockVector, const N: usize, const FULL: bool>(
    registers: &[V; N],
    to: *mut u8,
    len: usize,
) {
    for (i, register) in registers.iter().enumerate() {
        let at = i * V::BYTES;
        if FULL || len >= at + V::BYTES {
            op!(register.store(to.add(at)));
        } else if len > at {
            op!(register.store_partial(to.add(at), len - at));
        }
    }
}

/// Stores what [`load_some`] gave to an address aligned to a register, in whole registers: as [`keep`].
///
/// # Safety
/// As [`load_some`]; there is room for whole registers.
#[inline(always)]
pub(super) unsafe fn keep_some<V: BlockVector, const N: usize, const FULL: bool>(
    registers: &[V; N],
    to: *mut u8,
    len: usize,
) {
    for (i, register) in registers.iter().enumerate() {
        let at = i * V::BYTES;
        if FULL || len > at {
            op!(register.store_aligned(to.add(at)));
        }
    }
}

/// Registers of the longest step that stays in registers from its input to its output; longer ones are
/// read again from where they are.
pub(super) const FEW: usize = 4;

/// Calls `$step` for a step of `$len` bytes, at most [`FEW`] registers of `$vector`: by how many it fills.
macro_rules! by_registers {
    ($vector:ty, $len:expr, $step:ident::<$v:ty, $rounds:ident> $arguments:tt) => {
        match ($len.div_ceil(<$vector>::BYTES), $len % <$vector>::BYTES) {
            (1, 0) => $step::<$v, $rounds, 1, true> $arguments,
            (1, _) => $step::<$v, $rounds, 1, false> $arguments,
            (2, 0) => $step::<$v, $rounds, 2, true> $arguments,
            (4, 0) => $step::<$v, $rounds, 4, true> $arguments,
            _ => $step::<$v, $rounds, 4, false> $arguments,
        }
    };
}
pub(super) use by_registers;

/// The same address, of which the compiler knows nothing: what is read through it is read here, not
/// kept from before in registers that run out. Who writes through it hands in a `&raw mut`.
#[inline(always)]
pub(super) fn opaque<T>(mut address: *const T) -> *const T {
    op!(asm!("/* {0} */", inout(reg) address, options(readonly, nostack, preserves_flags)));
    address
}

/// [`BlockVector::pin`]; a function of its own because the register class needs the feature.
#[inline]
#[target_feature(enable = "avx2")]
fn pin_ymm(mut value: __m256i) -> __m256i {
    op!(asm!("/* {0} */", inout(ymm_reg) value, options(nomem, nostack, preserves_flags)));
    value
}

/// [`BlockVector::pin`]; a function of its own because the register class needs the feature.
#[inline]
#[target_feature(enable = "avx512f")]
fn pin_zmm(mut value: __m512i) -> __m512i {
    op!(asm!("/* {0} */", inout(zmm_reg) value, options(nomem, nostack, preserves_flags)));
    value
}

/// Byte indices that reverse a block.
#[inline(always)]
fn reversal() -> __m128i {
    op!(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
}

/// `value` as a vector, least significant byte first.
#[inline(always)]
fn wide(value: u128) -> __m128i {
    let [low, high] = halves(value);
    op!(_mm_set_epi64x(high.cast_signed(), low.cast_signed()))
}

/// The low and the high half.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
pub(super) fn halves(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

impl BlockVector for __m128i {
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> Self {
        op!(_mm_setzero_si128())
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        op!(_mm_loadu_si128(from.cast()))
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const u8, len: usize) -> Self {
        let mut bytes = [0_u8; 16];
        op!(ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len));
        op!(Self::load(bytes.as_ptr()))
    }
    #[inline(always)]
    unsafe fn broadcast(from: *const u8) -> Self {
        op!(Self::load(from))
    }
    #[inline(always)]
    unsafe fn gather(from: &[*const u8; 4], _count: usize) -> Self {
        op!(Self::load(from[0]))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        op!(_mm_storeu_si128(to.cast(), self));
    }
    #[inline(always)]
    unsafe fn store_aligned(self, to: *mut u8) {
        op!(_mm_store_si128(to.cast(), self));
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut u8, len: usize) {
        let mut bytes = [0_u8; 16];
        op!(self.store(bytes.as_mut_ptr()));
        op!(ptr::copy_nonoverlapping(bytes.as_ptr(), to, len));
    }
    #[inline(always)]
    unsafe fn scatter(self, to: &[*mut u8; 4], _count: usize) {
        op!(self.store(to[0]));
    }
    #[inline(always)]
    unsafe fn store_last(self, to: *mut u8) {
        op!(_mm_storeu_si128(to.cast(), self));
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        op!(_mm_xor_si128(self, other))
    }
    #[inline(always)]
    unsafe fn xor3(self, b: Self, c: Self) -> Self {
        op!(_mm_xor_si128(_mm_xor_si128(self, b), c))
    }
    #[inline(always)]
    unsafe fn encrypt_round(self, key: Self) -> Self {
        op!(_mm_aesenc_si128(self, key))
    }
    #[inline(always)]
    unsafe fn encrypt_last(self, key: Self) -> Self {
        op!(_mm_aesenclast_si128(self, key))
    }
    #[inline(always)]
    unsafe fn decrypt_round(self, key: Self) -> Self {
        op!(_mm_aesdec_si128(self, key))
    }
    #[inline(always)]
    unsafe fn decrypt_last(self, key: Self) -> Self {
        op!(_mm_aesdeclast_si128(self, key))
    }
    #[inline(always)]
    unsafe fn pin(mut self) -> Self {
        op!(asm!("/* {0} */", inout(xmm_reg) self, options(nomem, nostack, preserves_flags)));
        self
    }
    #[inline(always)]
    unsafe fn shift_in(self, before: Self) -> Self {
        before
    }
    #[inline(always)]
    unsafe fn count_from(first: u128) -> Self {
        wide(first)
    }
    #[inline(always)]
    unsafe fn advance(self, blocks: u64) -> Self {
        op!(_mm_add_epi64(self, wide(u128::from(blocks))))
    }
    #[inline(always)]
    unsafe fn reverse_bytes(self) -> Self {
        op!(_mm_shuffle_epi8(self, reversal()))
    }
}

impl BlockVector for __m256i {
    const BLOCKS: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> Self {
        op!(_mm256_setzero_si256())
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        op!(_mm256_loadu_si256(from.cast()))
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const u8, len: usize) -> Self {
        if len == BLOCK {
            return op!(_mm256_zextsi128_si256(_mm_loadu_si128(from.cast())));
        }
        let mut bytes = [0_u8; 32];
        op!(ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len));
        op!(Self::load(bytes.as_ptr()))
    }
    #[inline(always)]
    unsafe fn broadcast(from: *const u8) -> Self {
        op!(_mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())))
    }
    #[inline(always)]
    unsafe fn gather(from: &[*const u8; 4], count: usize) -> Self {
        let blocks = op!(_mm256_zextsi128_si256(_mm_loadu_si128(from[0].cast())));
        if count < 2 {
            return blocks;
        }
        op!(_mm256_inserti128_si256::<1>(blocks, _mm_loadu_si128(from[1].cast())))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        op!(_mm256_storeu_si256(to.cast(), self));
    }
    #[inline(always)]
    unsafe fn store_aligned(self, to: *mut u8) {
        op!(_mm256_store_si256(to.cast(), self));
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut u8, len: usize) {
        if len == BLOCK {
            return op!(_mm_storeu_si128(to.cast(), _mm256_castsi256_si128(self)));
        }
        let mut bytes = [0_u8; 32];
        op!(self.store(bytes.as_mut_ptr()));
        op!(ptr::copy_nonoverlapping(bytes.as_ptr(), to, len));
    }
    #[inline(always)]
    unsafe fn scatter(self, to: &[*mut u8; 4], count: usize) {
        op!(_mm_storeu_si128(to[0].cast(), _mm256_castsi256_si128(self)));
        if count > 1 {
            op!(_mm_storeu_si128(to[1].cast(), _mm256_extracti128_si256::<1>(self)));
        }
    }
    #[inline(always)]
    unsafe fn store_last(self, to: *mut u8) {
        op!(_mm_storeu_si128(to.cast(), _mm256_extracti128_si256::<1>(self)));
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        op!(_mm256_xor_si256(self, other))
    }
    #[inline(always)]
    unsafe fn xor3(self, b: Self, c: Self) -> Self {
        op!(_mm256_xor_si256(_mm256_xor_si256(self, b), c))
    }
    #[inline(always)]
    unsafe fn encrypt_round(self, key: Self) -> Self {
        op!(_mm256_aesenc_epi128(self, key))
    }
    #[inline(always)]
    unsafe fn encrypt_last(self, key: Self) -> Self {
        op!(_mm256_aesenclast_epi128(self, key))
    }
    #[inline(always)]
    unsafe fn decrypt_round(self, key: Self) -> Self {
        op!(_mm256_aesdec_epi128(self, key))
    }
    #[inline(always)]
    unsafe fn decrypt_last(self, key: Self) -> Self {
        op!(_mm256_aesdeclast_epi128(self, key))
    }
    #[inline(always)]
    unsafe fn pin(self) -> Self {
        op!(pin_ymm(self))
    }
    #[inline(always)]
    unsafe fn shift_in(self, before: Self) -> Self {
        op!(_mm256_permute2x128_si256::<0x21>(before, self))
    }
    #[inline(always)]
    unsafe fn count_from(first: u128) -> Self {
        op!(_mm256_add_epi64(
            _mm256_broadcastsi128_si256(wide(first)),
            _mm256_set_epi64x(0, 1, 0, 0)
        ))
    }
    #[inline(always)]
    unsafe fn advance(self, blocks: u64) -> Self {
        op!(_mm256_add_epi64(self, _mm256_broadcastsi128_si256(wide(u128::from(blocks)))))
    }
    #[inline(always)]
    unsafe fn reverse_bytes(self) -> Self {
        op!(_mm256_shuffle_epi8(self, _mm256_broadcastsi128_si256(reversal())))
    }
}

impl BlockVector for __m512i {
    const BLOCKS: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        op!(_mm512_setzero_si512())
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        op!(_mm512_loadu_si512(from.cast()))
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const u8, len: usize) -> Self {
        op!(_mm512_maskz_loadu_epi8((1 << len) - 1, from.cast()))
    }
    #[inline(always)]
    unsafe fn broadcast(from: *const u8) -> Self {
        op!(_mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())))
    }
    #[inline(always)]
    unsafe fn gather(from: &[*const u8; 4], count: usize) -> Self {
        // In halves: inserting into half a register takes half as long.
        let low = op!(<__m256i as BlockVector>::gather(from, count));
        if count < 3 {
            return op!(_mm512_zextsi256_si512(low));
        }
        let rest = [from[2], from[3], from[2], from[3]];
        let high = op!(<__m256i as BlockVector>::gather(&rest, count - 2));
        op!(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        op!(_mm512_storeu_si512(to.cast(), self));
    }
    #[inline(always)]
    unsafe fn store_aligned(self, to: *mut u8) {
        op!(_mm512_store_si512(to.cast(), self));
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut u8, len: usize) {
        op!(_mm512_mask_storeu_epi8(to.cast(), (1 << len) - 1, self));
    }
    #[inline(always)]
    unsafe fn scatter(self, to: &[*mut u8; 4], count: usize) {
        // In halves, as in `gather`.
        op!(_mm512_castsi512_si256(self).scatter(to, count));
        if count > 2 {
            let high = op!(_mm512_extracti64x4_epi64::<1>(self).pin());
            op!(high.scatter(&[to[2], to[3], to[2], to[3]], count - 2));
        }
    }
    #[inline(always)]
    unsafe fn store_last(self, to: *mut u8) {
        op!(_mm_storeu_si128(to.cast(), _mm512_extracti32x4_epi32::<3>(self)));
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        op!(_mm512_xor_si512(self, other))
    }
    #[inline(always)]
    unsafe fn xor3(self, b: Self, c: Self) -> Self {
        op!(_mm512_ternarylogic_epi64::<0x96>(self, b, c))
    }
    #[inline(always)]
    unsafe fn encrypt_round(self, key: Self) -> Self {
        op!(_mm512_aesenc_epi128(self, key))
    }
    #[inline(always)]
    unsafe fn encrypt_last(self, key: Self) -> Self {
        op!(_mm512_aesenclast_epi128(self, key))
    }
    #[inline(always)]
    unsafe fn decrypt_round(self, key: Self) -> Self {
        op!(_mm512_aesdec_epi128(self, key))
    }
    #[inline(always)]
    unsafe fn decrypt_last(self, key: Self) -> Self {
        op!(_mm512_aesdeclast_epi128(self, key))
    }
    #[inline(always)]
    unsafe fn pin(self) -> Self {
        op!(pin_zmm(self))
    }
    #[inline(always)]
    unsafe fn shift_in(self, before: Self) -> Self {
        op!(_mm512_alignr_epi64::<6>(self, before))
    }
    #[inline(always)]
    unsafe fn count_from(first: u128) -> Self {
        op!(_mm512_add_epi64(
            _mm512_broadcast_i32x4(wide(first)),
            _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0)
        ))
    }
    #[inline(always)]
    unsafe fn advance(self, blocks: u64) -> Self {
        op!(_mm512_add_epi64(self, _mm512_broadcast_i32x4(wide(u128::from(blocks)))))
    }
    #[inline(always)]
    unsafe fn reverse_bytes(self) -> Self {
        op!(_mm512_shuffle_epi8(self, _mm512_broadcast_i32x4(reversal())))
    }
}
