//! What a takeover costs, in instructions: a figure that no neighbour, clock or cache can change. The
//! bounds hold for both profiles; a release build is at about two thirds of them.

use bench::{Part, count_part};
use serial_test::serial;

/// Counting forks, and only the test thread may run then.
fn count(part: Part) -> u64 {
    let counted = count_part(part).expect("the child can be stepped");
    println!("{part:?}: {} instructions", counted.total);
    counted.total
}

#[test]
#[serial]
fn takeover_of_15_jobs_takes_few_instructions() {
    let took = count(Part::Takeover);
    assert!(took < 20_000, "{took} instructions stand between the lease and the first flush");
}

#[test]
#[serial]
fn first_submit_costs_about_what_the_next_one_costs() {
    let (first, next) = (count(Part::FirstSubmit), count(Part::NextSubmit));
    // The lane's round keys are transposed once; nobody looks for other managers.
    assert!(first < next + 400, "the first submit took {first} instructions, the next one {next}");
}
