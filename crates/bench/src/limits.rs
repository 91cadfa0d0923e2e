//! What the execution units of this machine can do at best, measured: streams of the instructions
//! that an algorithm cannot do without, none of which waits for another. No code for the algorithm can
//! be faster on this core with these instructions.
#![expect(unsafe_code, reason = "times instructions in assembly")]

use std::arch::asm;

use mbmgr::{Algorithm, Kind};
use serde::Serialize;

use crate::clock::{as_f64, ticks_per_cycle, time};

/// Core cycles that a byte needs at least.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// One AES round of one byte.
    pub aes_round_core_cpb: Option<f64>,
    /// SHA-256 by the SHA unit: its rounds and message schedule.
    pub sha256_unit_core_cpb: Option<f64>,
    /// SHA-256 by the vector units, 16 lanes of AVX-512.
    pub sha256_vector_core_cpb: Option<f64>,
    /// SHA-512 by the vector units, 8 lanes of AVX-512.
    pub sha512_vector_core_cpb: Option<f64>,
}

impl Limits {
    /// Measures them, in some milliseconds.
    #[must_use]
    pub fn measure() -> Limits {
        let has = |name: bool, run: fn() -> f64| name.then(|| typical(run));
        let avx512 = is_x86_feature_detected!("avx512f");
        let narrow = has(is_x86_feature_detected!("aes"), aes_xmm);
        let wide = has(avx512 && is_x86_feature_detected!("vaes"), aes_zmm);
        Limits {
            aes_round_core_cpb: least(narrow, wide),
            sha256_unit_core_cpb: has(is_x86_feature_detected!("sha"), sha256_unit),
            sha256_vector_core_cpb: has(avx512, sha256_vector),
            sha512_vector_core_cpb: has(avx512, sha512_vector),
        }
    }

    /// The limit of a job of `len` bytes, in core cycles for each of them, and what sets it.
    #[must_use]
    pub fn of(&self, algorithm: Algorithm, len: u64) -> Option<(f64, &'static str)> {
        let rounds = match algorithm.key_len() {
            Some(16) => 10.0,
            Some(24) => 12.0,
            _ => 14.0,
        };
        let blocks = |block: u64, length: u64| {
            let outer = u64::from(algorithm.kind() == Kind::Hmac);
            as_f64(((len + 1 + length).div_ceil(block) + outer) * block) / as_f64(len)
        };
        let (limit, unit) = match algorithm {
            Algorithm::Sha256 | Algorithm::HmacSha256 => {
                let (limit, unit) = match (self.sha256_unit_core_cpb, self.sha256_vector_core_cpb) {
                    (Some(unit), Some(vector)) if unit < vector => (unit, SHA_UNIT),
                    (_, Some(vector)) => (vector, VECTOR),
                    (unit, None) => (unit?, SHA_UNIT),
                };
                (limit * blocks(64, 8), unit)
            }
            Algorithm::Sha512 | Algorithm::HmacSha512 => {
                (self.sha512_vector_core_cpb? * blocks(128, 16), VECTOR)
            }
            Algorithm::Sha1 | Algorithm::HmacSha1 => return None,
            _ => (self.aes_round_core_cpb? * rounds, AES_UNIT),
        };
        Some((limit, unit))
    }
}

/// What sets a limit.
const AES_UNIT: &str = "aes unit";
const SHA_UNIT: &str = "sha unit";
const VECTOR: &str = "avx-512";

fn least(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The median of many short tries.
fn typical(run: fn() -> f64) -> f64 {
    let mut tries: Vec<f64> = (0..201).map(|_| run()).collect();
    tries.sort_by(f64::total_cmp);
    tries[tries.len() / 2]
}

/// Turns of a stream in one try. The assembly may, as far as the compiler knows, touch memory: that
/// keeps it between the two readings of the counter.
const TURNS: u64 = 100;

/// Core cycles for each of the `bytes` of one turn of `stream`.
fn per_byte(bytes: u64, stream: impl Fn()) -> f64 {
    let ticks = time(|| {
        for _ in 0..TURNS {
            stream();
        }
    });
    as_f64(ticks) / ticks_per_cycle() / as_f64(TURNS * bytes)
}

/// One AES round in registers of one block.
fn aes_xmm() -> f64 {
    per_byte(16 * 12 * 16, || {
        // SAFETY: works on registers only, all of which it names; AES-NI was detected.
        unsafe {
            asm!(
                ".rept 16",
                ".irp r,0,1,2,3,4,5,6,7,8,9,10,11",
                "aesenc xmm\\r, xmm15",
                ".endr",
                ".endr",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
                out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
                out("xmm10") _, out("xmm11") _, out("xmm15") _,
                options(nostack)
            );
        }
    })
}

/// One AES round in registers of four blocks.
fn aes_zmm() -> f64 {
    per_byte(16 * 12 * 64, || {
        // The clobbered registers include their upper parts, which vzeroupper clears again.
        // SAFETY: as in `aes_xmm`; VAES and AVX-512 were detected.
        unsafe {
            asm!(
                ".rept 16",
                ".irp r,0,1,2,3,4,5,6,7,8,9,10,11",
                "vaesenc zmm\\r, zmm\\r, zmm15",
                ".endr",
                ".endr",
                "vzeroupper",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
                out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
                out("xmm10") _, out("xmm11") _, out("xmm15") _,
                options(nostack)
            );
        }
    })
}

/// All that the SHA unit does for a block: 32 of the rounds, and 12 of each half of the message
/// schedule; eight streams, more than the instructions' latency.
fn sha256_unit() -> f64 {
    per_byte(4 * 64, || {
        // SAFETY: as in `aes_xmm`; SHA-NI was detected.
        unsafe {
            asm!(
                ".rept 4",
                ".rept 4",
                ".irp r,1,2,3,4,5,6,7,8",
                "sha256rnds2 xmm\\r, xmm15, xmm0",
                ".endr",
                ".irp r,9,10,11",
                "sha256msg1 xmm\\r, xmm15",
                ".endr",
                ".irp r,12,13,14",
                "sha256msg2 xmm\\r, xmm15",
                ".endr",
                ".endr",
                ".endr",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
                out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
                out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
                out("xmm15") _,
                options(nostack)
            );
        }
    })
}

/// The vector instructions of four rounds with three quarters of their message schedule: per round
/// six rotations, four three-way functions and seven additions; per schedule word four rotations, two
/// shifts, two functions and three additions. `$w` is the width's letter.
macro_rules! four_rounds {
    ($w:literal) => {
        concat!(
            ".rept 4\n",
            "vpror",
            $w,
            " zmm16, zmm28, 6\n",
            "vpternlog",
            $w,
            " zmm17, zmm28, zmm29, 0x96\n",
            "vpadd",
            $w,
            " zmm18, zmm28, zmm29\n",
            "vpror",
            $w,
            " zmm19, zmm28, 11\n",
            "vpternlog",
            $w,
            " zmm20, zmm28, zmm29, 0xca\n",
            "vpadd",
            $w,
            " zmm21, zmm28, zmm29\n",
            "vpror",
            $w,
            " zmm22, zmm28, 25\n",
            "vpadd",
            $w,
            " zmm23, zmm28, zmm29\n",
            "vpror",
            $w,
            " zmm24, zmm28, 2\n",
            "vpternlog",
            $w,
            " zmm25, zmm28, zmm29, 0x96\n",
            "vpadd",
            $w,
            " zmm26, zmm28, zmm29\n",
            "vpror",
            $w,
            " zmm27, zmm28, 13\n",
            "vpternlog",
            $w,
            " zmm16, zmm28, zmm29, 0xe8\n",
            "vpadd",
            $w,
            " zmm18, zmm28, zmm29\n",
            "vpror",
            $w,
            " zmm19, zmm28, 22\n",
            "vpadd",
            $w,
            " zmm21, zmm28, zmm29\n",
            "vpadd",
            $w,
            " zmm23, zmm28, zmm29\n",
            ".endr\n",
            ".rept 3\n",
            "vpror",
            $w,
            " zmm16, zmm28, 7\n",
            "vpadd",
            $w,
            " zmm18, zmm28, zmm29\n",
            "vpror",
            $w,
            " zmm19, zmm28, 18\n",
            "vpternlog",
            $w,
            " zmm17, zmm28, zmm29, 0x96\n",
            "vpsrl",
            $w,
            " zmm22, zmm28, 3\n",
            "vpadd",
            $w,
            " zmm21, zmm28, zmm29\n",
            "vpror",
            $w,
            " zmm24, zmm28, 17\n",
            "vpternlog",
            $w,
            " zmm20, zmm28, zmm29, 0x96\n",
            "vpror",
            $w,
            " zmm27, zmm28, 19\n",
            "vpadd",
            $w,
            " zmm23, zmm28, zmm29\n",
            "vpsrl",
            $w,
            " zmm26, zmm28, 10\n",
            ".endr\n"
        )
    };
}

/// SHA-256 in 16 lanes: 16 times four rounds take in 16 blocks of 64 bytes.
fn sha256_vector() -> f64 {
    per_byte(64, || {
        // zmm16 and up are no register that code outside `target_feature` functions uses.
        // SAFETY: as in `aes_xmm`; AVX-512 was detected.
        unsafe { asm!(four_rounds!("d"), options(nostack)) }
    })
}

/// SHA-512 in 8 lanes: 20 times four rounds take in 8 blocks of 128 bytes; the schedule has 64 words
/// for 80 rounds, a little more than three quarters.
fn sha512_vector() -> f64 {
    let four = per_byte(1, || {
        // SAFETY: as in `sha256_vector`.
        unsafe { asm!(four_rounds!("q"), options(nostack)) }
    });
    // 80 rounds of 17 and 64 words of 11 instructions, where the stream has 4 and 3.
    four * (80.0 * 17.0 + 64.0 * 11.0) / (4.0 * 17.0 + 3.0 * 11.0) / 1024.0
}
