//! The protocol of `lease`, `manager`, `journal` and `recovery` as a model: each store is a step, each
//! process may die between any two, and every order is visited. What the code does at
//! each step is named beside it; change both together.
//!
//! The model also makes mistakes on purpose, one at a time, and each must be found: that shows that the
//! properties have teeth.

use stateright::{Checker, HasDiscoveries, Model, Property};

/// Processes that may come to own the manager.
const PROCESSES: usize = 2;
/// Slots of the ring, and jobs that come: the ring is used more than once.
const RING: usize = 2;
const JOBS: usize = 3;
/// Deaths, and hand-overs without one, in one history.
const DEATHS: u8 = 3;
const RELEASES: u8 = 1;

/// What a buffer holds: it is encrypted in place, by two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bytes {
    Plain,
    Torn,
    Cipher,
    /// Encrypted from something that was not the plaintext.
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Word {
    Free,
    Died,
    Held(usize),
}

/// The segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Memory {
    word: Word,
    epoch: u8,
    acked: usize,
    returned: usize,
    tail: usize,
    /// The job that a slot names, if it was filled, and whether it is done.
    slots: [Option<usize>; RING],
    done: [bool; RING],
    buffers: [Bytes; JOBS],
    /// The run record, the log, and the step that commits them.
    lanes: Vec<usize>,
    log: [Bytes; RING],
    step: bool,
    /// How often the caller was given a job without the mark of a redelivery.
    given: [u8; JOBS],
}

/// Where a process is. A run goes through `Record`, `Log`, `Commit`, `Write`, `Status` and `End`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum At {
    Waiting,
    /// Has taken the word, not raised the epoch.
    Taken,
    /// Reads the journal.
    Recovering,
    Idle,
    /// Has filled the next slot.
    Filled,
    Log(usize),
    Commit,
    /// Writes the first or second half of a lane; the input is what it read.
    Write {
        lane: usize,
        half: bool,
    },
    Status(usize),
    End,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    at: At,
    /// The epoch that it owns.
    epoch: u8,
    /// The next job that it returns.
    cursor: usize,
    /// Jobs before this were returned by an owner before.
    redelivered: usize,
    /// Whether the run is one of recovery: its input is the log.
    redo: bool,
    /// What the kernel has read of each lane.
    input: [Bytes; RING],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    memory: Memory,
    processes: [Process; PROCESSES],
    deaths: u8,
    releases: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The one next store of a process.
    Step(usize),
    Submit(usize),
    Run(usize),
    Return(usize),
    Acknowledge(usize),
    Release(usize),
    /// Killed, at whatever step; the kernel marks the word. A force is this, then a step of another.
    Die(usize),
}

/// One thing done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    TailBeforeSlot,
    StepAfterWrite,
    EndBeforeStatus,
    NoRecovery,
    RedoFromBuffer,
    TakeWithoutDeath,
    AcknowledgeBeforeReturn,
    ReturnWithoutCommit,
}

struct Protocol(Mistake);

impl State {
    fn owner(&self, p: usize) -> bool {
        !matches!(self.processes[p].at, At::Waiting | At::Taken | At::Dead)
    }

    /// Jobs that are accepted and not done.
    fn queued(&self) -> Vec<usize> {
        let memory = &self.memory;
        (memory.returned..memory.tail).filter(|job| !memory.done[job % RING]).collect()
    }
}

impl Protocol {
    fn step(&self, state: &mut State, p: usize) {
        let (memory, process) = (&mut state.memory, &mut state.processes[p]);
        process.at = match process.at.clone() {
            At::Waiting => {
                // `Candidate::attempt`: one compare-exchange.
                memory.word = Word::Held(p);
                At::Taken
            }
            At::Taken => {
                // `LeaseWords::become_owner`: the epoch commits.
                memory.epoch += 1;
                process.epoch = memory.epoch;
                process.cursor = memory.acked;
                process.redelivered = memory.returned;
                At::Recovering
            }
            At::Recovering if memory.step && self.0 != Mistake::NoRecovery => {
                // `recovery::finish_run`.
                process.redo = true;
                for lane in 0..memory.lanes.len() {
                    let from_buffer = self.0 == Mistake::RedoFromBuffer;
                    let buffer = memory.buffers[memory.lanes[lane]];
                    process.input[lane] = if from_buffer { buffer } else { memory.log[lane] };
                }
                At::Write { lane: 0, half: false }
            }
            At::Recovering => At::Idle,
            At::Filled => {
                // `Manager::accept`: the tail commits the slot.
                if self.0 == Mistake::TailBeforeSlot {
                    let job = memory.tail - 1;
                    memory.slots[job % RING] = Some(job);
                } else {
                    memory.tail += 1;
                }
                At::Idle
            }
            At::Log(lane) => {
                // The kernel copies the input of the step to the log.
                memory.log[lane] = memory.buffers[memory.lanes[lane]];
                process.input[lane] = memory.log[lane];
                if lane + 1 < memory.lanes.len() {
                    At::Log(lane + 1)
                } else if self.0 == Mistake::StepAfterWrite {
                    At::Write { lane: 0, half: false }
                } else {
                    At::Commit
                }
            }
            At::Commit => {
                // `Log::commit`.
                memory.step = true;
                let written = self.0 == Mistake::StepAfterWrite;
                if written { At::Status(0) } else { At::Write { lane: 0, half: false } }
            }
            At::Write { lane, half } => {
                let job = memory.lanes[lane];
                let right = process.input[lane] == Bytes::Plain;
                memory.buffers[job] = match (right, half) {
                    (false, _) => Bytes::Bad,
                    (true, false) => Bytes::Torn,
                    (true, true) => Bytes::Cipher,
                };
                match (half, lane + 1 < memory.lanes.len()) {
                    (false, _) => At::Write { lane, half: true },
                    (true, true) => At::Write { lane: lane + 1, half: false },
                    (true, false) if self.0 == Mistake::StepAfterWrite && !process.redo => {
                        At::Commit
                    }
                    (true, false) if self.0 == Mistake::EndBeforeStatus => At::End,
                    (true, false) => At::Status(0),
                }
            }
            At::Status(lane) => {
                // `States::done`, `Flight::redo`: the status commits the result.
                memory.done[memory.lanes[lane] % RING] = true;
                match (lane + 1 < memory.lanes.len(), self.0 == Mistake::EndBeforeStatus) {
                    (true, _) => At::Status(lane + 1),
                    (false, true) => At::Idle,
                    (false, false) => At::End,
                }
            }
            At::End => {
                // `journal::end`.
                memory.step = false;
                process.redo = false;
                if self.0 == Mistake::EndBeforeStatus { At::Status(0) } else { At::Idle }
            }
            at @ (At::Idle | At::Dead) => at,
        };
    }

    fn can_step(&self, state: &State, p: usize) -> bool {
        match (&state.processes[p].at, state.memory.word) {
            (At::Waiting, Word::Held(_)) => self.0 == Mistake::TakeWithoutDeath,
            (At::Idle | At::Dead, _) => false,
            _ => true,
        }
    }

    fn submit(&self, memory: &mut Memory) -> At {
        let job = memory.tail;
        if self.0 == Mistake::TailBeforeSlot {
            memory.slots[job % RING] = None;
            memory.done[job % RING] = false;
            memory.tail += 1;
            return At::Filled;
        }
        memory.slots[job % RING] = Some(job);
        memory.done[job % RING] = false;
        At::Filled
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let memory = Memory {
            word: Word::Free,
            epoch: 0,
            acked: 0,
            returned: 0,
            tail: 0,
            slots: [None; RING],
            done: [false; RING],
            buffers: [Bytes::Plain; JOBS],
            lanes: Vec::new(),
            log: [Bytes::Plain; RING],
            step: false,
            given: [0; JOBS],
        };
        let process = Process {
            at: At::Waiting,
            epoch: 0,
            cursor: 0,
            redelivered: 0,
            redo: false,
            input: [Bytes::Plain; RING],
        };
        let processes = [process.clone(), process];
        vec![State { memory, processes, deaths: 0, releases: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // With two owners, or slots given up too early, all is lost already: what comes after, a run of
        // more lanes than there are slots, means nothing.
        let owners = (0..PROCESSES).filter(|&p| state.owner(p)).count();
        if owners > 1 || state.memory.acked > state.memory.returned {
            return;
        }
        for p in 0..PROCESSES {
            if self.can_step(state, p) {
                actions.push(Action::Step(p));
            }
            let (memory, process) = (&state.memory, &state.processes[p]);
            if process.at == At::Idle && process.epoch == memory.epoch {
                if memory.tail < JOBS && memory.tail - memory.acked < RING {
                    actions.push(Action::Submit(p));
                }
                if !state.queued().is_empty() {
                    actions.push(Action::Run(p));
                }
                let next = process.cursor;
                if next < memory.tail && (next < memory.returned || memory.done[next % RING]) {
                    actions.push(Action::Return(p));
                }
                if memory.acked < process.cursor
                    || self.0 == Mistake::AcknowledgeBeforeReturn && memory.acked < memory.tail
                {
                    actions.push(Action::Acknowledge(p));
                }
                if state.releases < RELEASES {
                    actions.push(Action::Release(p));
                }
            }
            if process.at != At::Dead && process.at != At::Waiting && state.deaths < DEATHS {
                actions.push(Action::Die(p));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Step(p) => self.step(&mut state, p),
            Action::Submit(p) => state.processes[p].at = self.submit(&mut state.memory),
            Action::Run(p) => {
                // `journal::begin`: nobody reads the record while the step is 0.
                state.memory.lanes = state.queued();
                for lane in 0..state.memory.lanes.len() {
                    let job = state.memory.lanes[lane];
                    if state.memory.slots[job % RING] != Some(job) {
                        // The job that the ring promises is not there.
                        state.memory.buffers[job] = Bytes::Bad;
                    }
                }
                state.processes[p].at = At::Log(0);
            }
            Action::Return(p) => {
                let (memory, process) = (&mut state.memory, &mut state.processes[p]);
                let job = process.cursor;
                if job >= process.redelivered {
                    memory.given[job] += 1;
                }
                process.cursor += 1;
                if self.0 != Mistake::ReturnWithoutCommit {
                    memory.returned = memory.returned.max(process.cursor);
                }
            }
            Action::Acknowledge(p) => {
                let ahead = self.0 == Mistake::AcknowledgeBeforeReturn;
                let to = if ahead { state.memory.tail } else { state.processes[p].cursor };
                state.memory.acked = to;
            }
            Action::Release(p) => {
                state.releases += 1;
                state.memory.word = Word::Free;
                state.processes[p].at = At::Waiting;
            }
            Action::Die(p) => {
                state.deaths += 1;
                if state.memory.word == Word::Held(p) {
                    state.memory.word = Word::Died;
                }
                // Another process takes the place of the dead one.
                let fresh = &mut state.processes[p];
                *fresh = Process {
                    at: At::Waiting,
                    epoch: 0,
                    cursor: 0,
                    redelivered: 0,
                    redo: false,
                    input: [Bytes::Plain; RING],
                };
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one owner", |_, state: &State| {
                (0..PROCESSES).filter(|&p| state.owner(p)).count() <= 1
            }),
            Property::always("encrypted once, from the plaintext", |_, state: &State| {
                !state.memory.buffers.contains(&Bytes::Bad)
            }),
            Property::always("done means done", |_, state: &State| {
                let memory = &state.memory;
                let mut done = (memory.acked..memory.tail).filter(|job| memory.done[job % RING]);
                // A redo in flight writes the same bytes again.
                done.all(|job| memory.buffers[job] == Bytes::Cipher || memory.step)
            }),
            Property::always(
                "returned are finished, and given once unmarked",
                |_, state: &State| {
                    let memory = &state.memory;
                    let finished = memory.buffers[..memory.returned].iter();
                    let ordered = memory.acked <= memory.returned && memory.returned <= memory.tail;
                    ordered
                        && memory.given.iter().all(|&given| given <= 1)
                        && finished.copied().all(|bytes| bytes == Bytes::Cipher)
                },
            ),
            Property::always("nobody is stuck", |model: &Protocol, state: &State| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                // At the end all jobs have come back and are acknowledged, or nobody may die any more.
                !actions.is_empty() || state.memory.acked == JOBS
            }),
            Property::sometimes("all jobs come back after the most deaths", |_, state: &State| {
                state.memory.acked == JOBS && state.deaths == DEATHS
            }),
            Property::sometimes("a step is redone", |_, state: &State| {
                state.processes.iter().any(|process| process.redo)
            }),
        ]
    }
}

#[test]
fn protocol_holds_at_every_step_whoever_dies() {
    let checker = Protocol(Mistake::None).checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > 10_000);
    checker.assert_properties();
}

#[test]
fn each_mistake_is_found() {
    let broken_by = [
        (Mistake::TailBeforeSlot, "encrypted once, from the plaintext"),
        (Mistake::StepAfterWrite, "encrypted once, from the plaintext"),
        (Mistake::EndBeforeStatus, "encrypted once, from the plaintext"),
        (Mistake::NoRecovery, "encrypted once, from the plaintext"),
        (Mistake::RedoFromBuffer, "encrypted once, from the plaintext"),
        (Mistake::TakeWithoutDeath, "one owner"),
        (Mistake::AcknowledgeBeforeReturn, "returned are finished, and given once unmarked"),
        (Mistake::ReturnWithoutCommit, "returned are finished, and given once unmarked"),
    ];
    for (mistake, property) in broken_by {
        let found = HasDiscoveries::AnyOf([property].into());
        let checker = Protocol(mistake).checker().threads(2).finish_when(found).spawn_bfs().join();
        assert!(checker.discovery(property).is_some(), "{mistake:?} goes unnoticed");
    }
}
