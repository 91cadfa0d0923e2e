//! A short soak through the command: owners die, hang and hand over, and no job is lost.

#[path = "common/answer.rs"]
mod answer;
mod common;

use serial_test::serial;

// Tests that want every core for seconds take turns; between nextest's processes its group does that.
#[test]
#[serial(every_core)]
fn short_soak_loses_nothing() {
    let args = ["soak", "--seconds", "2", "--seed", "7", "--longest-reign", "4000", "--json"];
    let (code, out, said) = common::run(common::program!("takeover"), &args);
    let totals = answer::result_of("soak", &out);
    assert_eq!(code, 0, "{totals:#}\n{said}");
    let count = |name: &str| totals[name].as_u64().unwrap();
    for none in ["lost", "wrong", "duplicated", "errors"] {
        assert_eq!(count(none), 0, "{none}: {totals:#}");
    }
    assert!(count("takeovers") > 20 && count("jobs") > 1000, "{totals:#}");
    let growth = |name: &str| {
        let [begin, end] = [0, 1].map(|i| totals[name][i].as_u64().unwrap());
        end.saturating_sub(begin)
    };
    assert!(growth("anonymous_kib") <= 64 && growth("rss_kib") <= 256, "{totals:#}");
    // Named segments are counted for a soak that has the system to itself: other tests make some.
    assert_eq!(growth("descriptors"), 0, "{totals:#}");
    assert!(count("forced") > 0 && count("handovers") > 0, "{totals:#}");
}

#[test]
fn soak_of_no_time_is_refused() {
    let (code, _, err) = common::run(common::program!("takeover"), &["soak", "--seconds", "0"]);
    assert_eq!(code, 2, "{err}");
}
