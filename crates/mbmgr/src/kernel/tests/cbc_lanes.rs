//! Claims on CBC and CFB encrypt: every body that a backend may choose, by the number of its lanes and by how
//! they stand to each other. Nothing here outlives the test.

use super::super::{Kernels, Lane, LaneKeys, MAX_LANES};
use super::{Memory, block, bytes, cbc_encrypted, cfb_encrypted, schedules};
use crate::journal::Log;
use crate::layout::LOG_SLOTS;

/// How the lanes of a batch stand to each other: backends may have a body for each.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// All lanes have the key of the first, and the owner says so.
    one_key: bool,
    /// All buffers begin at the same offset in their pages.
    crowded: bool,
}

impl Standing {
    const ALL: [Standing; 4] = [
        Standing { one_key: false, crowded: false },
        Standing { one_key: false, crowded: true },
        Standing { one_key: true, crowded: false },
        Standing { one_key: true, crowded: true },
    ];

    /// Where lane `lane`'s buffer of `len` bytes begins in one that begins with a page and a line,
    /// and is as large as 16 such lanes need.
    fn place(self, lane: usize, len: usize) -> usize {
        let stride = (len + 128).next_multiple_of(4096);
        64 + lane * stride + if self.crowded { 0 } else { lane * 64 }
    }

    fn room(self, len: usize) -> usize {
        self.place(MAX_LANES, len)
    }
}

/// Memory that begins with a page.
#[derive(Clone)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

fn pages(len: usize, fill: u8) -> Vec<Page> {
    vec![Page([fill; 4096]); len.div_ceil(4096)]
}

fn flat(pages: &mut [Page]) -> &mut [u8] {
    let len = pages.len() * 4096;
    // SAFETY: a page is 4096 bytes without padding.
    unsafe { core::slice::from_raw_parts_mut(pages.as_mut_ptr().cast(), len) }
}

/// The chaining under test.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Cbc,
    Cfb,
}

/// Lanes, each with its own chaining value and data.
struct Batch {
    mode: Mode,
    standing: Standing,
    keys: Vec<Vec<u8>>,
    chains: Vec<[u8; 16]>,
    data: Vec<Vec<u8>>,
    lane_keys: Box<LaneKeys>,
    rounds: u32,
}

impl Batch {
    fn new(mode: Mode, standing: Standing, count: usize, key_len: usize, len: usize) -> Batch {
        let seed = (count * 1000 + key_len) as u64;
        let key = |lane: usize| if standing.one_key { seed } else { seed + lane as u64 };
        let keys: Vec<_> = (0..count).map(|lane| bytes(key_len, key(lane))).collect();
        let mut lane_keys = Box::new(LaneKeys::new());
        lane_keys.set_shared(standing.one_key);
        let mut rounds = 0;
        for (lane, key) in keys.iter().enumerate() {
            let (encrypt, _) = schedules(key);
            lane_keys.set(lane, &encrypt);
            rounds = encrypt.rounds;
        }
        Batch {
            mode,
            standing,
            keys,
            chains: (0..count).map(|l| block(seed + 100 + l as u64)).collect(),
            data: (0..count).map(|l| bytes(len, seed + 200 + l as u64)).collect(),
            lane_keys,
            rounds,
        }
    }

    /// Runs the kernel and checks output and chaining value of every lane.
    fn check(&self, kernels: Kernels, in_place: bool, log: Option<&Log<'_>>) {
        let len = self.data[0].len();
        let place =
            |lane: usize| self.standing.place(lane, len)..self.standing.place(lane, len) + len;
        // Guard bytes around each output: nothing may be written outside.
        let mut output = pages(self.standing.room(len), 0xa5);
        let mut input = pages(self.standing.room(len), 0);
        let (output, input) = (flat(&mut output), flat(&mut input));
        for (lane, data) in self.data.iter().enumerate() {
            let memory = if in_place { &mut *output } else { &mut *input };
            memory[place(lane)].copy_from_slice(data);
        }
        let mut lanes = Vec::new();
        for (lane, chain) in self.chains.iter().enumerate() {
            let dst = output[place(lane)].as_mut_ptr();
            let src = if in_place { dst.cast_const() } else { input[place(lane)].as_ptr() };
            lanes.push(Lane { src, dst, chain: *chain });
        }
        let (keys, rounds) = (&self.lane_keys, self.rounds);
        // SAFETY: buffers of `len` bytes, disjoint from lane to lane; keys of `rounds` rounds.
        unsafe {
            match self.mode {
                Mode::Cbc => kernels.cbc_encrypt(&mut lanes, keys, rounds, len, log),
                Mode::Cfb => kernels.cfb_encrypt(&mut lanes, keys, rounds, len, log),
            }
        }
        let oracle = match self.mode {
            Mode::Cbc => cbc_encrypted,
            Mode::Cfb => cfb_encrypted,
        };
        for (l, lane) in lanes.iter().enumerate() {
            let expected = oracle(&self.keys[l], &self.chains[l], &self.data[l]);
            let (count, mode, standing) = (lanes.len(), self.mode, self.standing);
            assert_eq!(&output[place(l)], expected, "lane {l} of {count}, {mode:?}, {standing:?}");
            assert_eq!(lane.chain, expected[len - 16..], "chaining value of lane {l}");
            output[place(l)].fill(0xa5);
        }
        assert!(output.iter().all(|&byte| byte == 0xa5), "a byte outside the outputs");
    }

    fn lanes(&self, memory: &[u8]) -> Vec<Lane> {
        let len = self.data[0].len();
        let lane = |l: usize| Lane {
            src: memory[self.standing.place(l, len)..].as_ptr(),
            dst: core::ptr::null_mut(),
            chain: [0; 16],
        };
        (0..self.data.len()).map(lane).collect()
    }
}

pub(super) fn cbc_encrypt_matches_oracle(kernels: Kernels) {
    matches_oracle(kernels, Mode::Cbc);
}

pub(super) fn cfb_encrypt_matches_oracle(kernels: Kernels) {
    matches_oracle(kernels, Mode::Cfb);
}

fn matches_oracle(kernels: Kernels, mode: Mode) {
    for count in 1..=MAX_LANES {
        for key_len in [16, 24, 32] {
            for len in [16, 32, 48, 64, 80, 128, 272] {
                // Only full sets have more than one body.
                let standings = if count == MAX_LANES { 4 } else { 1 };
                for standing in &Standing::ALL[..standings] {
                    let batch = Batch::new(mode, *standing, count, key_len, len);
                    for in_place in [false, true] {
                        batch.check(kernels, in_place, None);
                        batch.check(kernels, in_place, Some(&Memory::new().log()));
                    }
                }
            }
        }
    }
}

/// In place, every slot of the log holds exactly the inputs of its step, of every lane.
pub(super) fn log_of_lanes_holds_inputs(kernels: Kernels) {
    for count in 1..=MAX_LANES {
        for steps in [1, 3, LOG_SLOTS, LOG_SLOTS + 3] {
            for standing in Standing::ALL {
                log_holds_inputs(kernels, Mode::Cbc, standing, count, steps);
                log_holds_inputs(kernels, Mode::Cfb, standing, count, steps);
            }
        }
    }
}

fn log_holds_inputs(kernels: Kernels, mode: Mode, standing: Standing, count: usize, steps: usize) {
    let memory = Memory::new();
    let mut room = pages(standing.room(16), 0);
    let lanes = Batch::new(mode, standing, count, 16, 16).lanes(flat(&mut room));
    let step = match mode {
        Mode::Cbc => kernels.cbc_encrypt_step(&lanes),
        Mode::Cfb => kernels.least_step(),
    };
    // The last step may be short, where a step is more than a block.
    for short in (0..step).step_by(16) {
        let len = steps * step - short;
        let batch = Batch::new(mode, standing, count, 16, len);
        batch.check(kernels, true, Some(&memory.log()));
        assert_eq!(memory.steps(), steps);
        for k in steps.saturating_sub(LOG_SLOTS)..steps {
            for (lane, data) in batch.data.iter().enumerate() {
                let input = &data[k * step..len.min((k + 1) * step)];
                let kept = &memory.slot(k)[lane * step..][..input.len()];
                assert_eq!(kept, input, "step {k}, lane {lane} of {count}, {standing:?}");
            }
        }
    }
}

/// Only the chaining values come out, with a key of their own for the lanes and with one for all.
pub(super) fn cbc_mac_matches_oracle(kernels: Kernels) {
    for count in 1..=MAX_LANES {
        for (blocks, key_len, one_key) in [
            (1, 16, true),
            (2, 24, false),
            (3, 32, true),
            (5, 16, false),
            (17, 32, false),
            (8, 24, true),
        ] {
            let seed = (count * 1000 + blocks * 10 + key_len) as u64;
            let key = |lane: usize| bytes(key_len, seed + if one_key { 0 } else { lane as u64 });
            let mut lane_keys = Box::new(LaneKeys::new());
            lane_keys.set_shared(one_key);
            let data: Vec<_> =
                (0..count).map(|lane| bytes(16 * blocks, seed + lane as u64)).collect();
            let mut rounds = 0;
            let mut lanes: Vec<Lane> = (0..count)
                .map(|lane| {
                    let (encrypt, _) = schedules(&key(lane));
                    lane_keys.set(lane, &encrypt);
                    rounds = encrypt.rounds;
                    let (src, dst) = (data[lane].as_ptr(), core::ptr::null_mut());
                    Lane { src, dst, chain: block(seed + lane as u64) }
                })
                .collect();
            // SAFETY: the lanes' data are `blocks` blocks long, and all keys of `rounds` rounds.
            unsafe { kernels.cbc_mac(&mut lanes, &lane_keys, rounds, 16 * blocks) };
            for (lane, found) in lanes.iter().enumerate() {
                let expected = cbc_encrypted(&key(lane), &block(seed + lane as u64), &data[lane]);
                assert_eq!(found.chain, expected[16 * (blocks - 1)..], "lane {lane} of {count}");
            }
        }
    }
}

/// A number of lanes that no kernel is for ends the process: to go on would leave plaintext in buffers
/// that are then reported as done.
pub(super) fn wrong_number_of_lanes_is_refused(kernels: Kernels) {
    let keys = LaneKeys::new();
    let mut data = [0x5a_u8; 64];
    let buffer = data.as_mut_ptr();
    let lane = Lane { src: buffer.cast_const(), dst: buffer, chain: [0; 16] };
    for count in [0, MAX_LANES + 1] {
        for call in [Kernels::cbc_encrypt, Kernels::cfb_encrypt] {
            let refused = std::panic::catch_unwind(|| {
                let mut lanes = vec![lane; count];
                // SAFETY: the contract is broken on purpose; the call must not get as far as a buffer.
                unsafe { call(kernels, &mut lanes, &keys, 10, 64, None) };
            });
            assert_refused(refused, count);
        }
        let refused = std::panic::catch_unwind(|| {
            let mut lanes = vec![lane; count];
            // SAFETY: as above.
            unsafe { kernels.cbc_mac(&mut lanes, &keys, 10, 64) };
        });
        assert_refused(refused, count);
    }
    assert_eq!(data, [0x5a; 64]);
}

fn assert_refused(outcome: std::thread::Result<()>, count: usize) {
    let panic = outcome.expect_err("it does not go on");
    let said = panic.downcast_ref::<String>().expect("a message");
    assert_eq!(said, &format!("a run of {count} lanes: kernels take 1 to {MAX_LANES}"));
}
