//! The segment is input: millions of damaged ones, before a takeover and while a manager runs.
//!
//! A case is a number: it chooses a pristine image, damages it, and lets a manager loose on it. What
//! must hold is that nothing panics, hangs or crashes, and that nothing is written but the manager's
//! own bytes and the destinations of its jobs. The segment lies between pages that nobody may touch, and
//! ends in bytes that lie outside its arena. Cases run in child processes, so that a crash or a hang is
//! named: `HOSTILE_CASE=<kind>:<number>` repeats it alone, `HOSTILE_FIRST=<number>` begins there.
//!
//! `HOSTILE_CASES=n` sets how many damaged segments are tried: a quarter of it before a takeover and of
//! damaged headers, all of it under a manager, four times that in a storm. The default takes seconds,
//! the `exhaustive` profile has some 55 million.

#[path = "hostile/damage.rs"]
mod damage;
#[path = "hostile/image.rs"]
mod image;
#[path = "hostile/play.rs"]
mod play;
#[path = "hostile/watched.rs"]
mod watched;

use watched::run;

/// Damaged segments of each kind in the default profile.
const DEFAULT_CASES: u64 = 10_000;
/// And in the exhaustive one.
const EXHAUSTIVE_CASES: u64 = 10_000_000;

fn cases() -> u64 {
    let exhaustive = std::env::var("NEXTEST_PROFILE").is_ok_and(|name| name == "exhaustive");
    let default = if exhaustive { EXHAUSTIVE_CASES } else { DEFAULT_CASES };
    std::env::var("HOSTILE_CASES").map_or(default, |n| n.parse().expect("HOSTILE_CASES: a number"))
}

#[test]
fn takeover_of_a_damaged_segment_harms_nothing() {
    run("attach", cases() / 4, play::attach);
}

#[test]
fn manager_whose_segment_is_damaged_under_it_goes_on_as_if_it_were_not() {
    run("operate", cases(), play::operate);
}

#[test]
fn manager_whose_segment_changes_all_the_time_harms_nothing() {
    run("storm", cases() * 4, play::storm);
}

#[test]
fn header_that_is_damaged_is_refused_or_harmless() {
    run("header", cases() / 4, play::header);
}
