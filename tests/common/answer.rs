//! What a command answers when it is asked for JSON. docs/json.md has the whole.

/// The result of a command that was asked for JSON, out of what is the same around every result.
pub(crate) fn result_of(command: &str, out: &str) -> serde_json::Value {
    let mut answer: serde_json::Value =
        serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(answer["command"], command, "{answer}");
    assert_eq!(answer["takeover"], env!("CARGO_PKG_VERSION"), "{answer}");
    let outcome = answer["outcome"].as_str().unwrap_or_default();
    assert!(["passed", "failed"].contains(&outcome), "{answer}");
    answer["result"].take()
}
