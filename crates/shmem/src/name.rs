//! Names of segments: all begin with `takeover-`, so that leftovers can be found and swept up.
//! The segment, the command line and the suite's clean-up use them. A name outlives its process
//! until somebody unlinks it.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result, sys};

const PREFIX: &str = "takeover-";
const MAX_LEN: usize = 200;
const MAX_ROLE_LEN: usize = 64;

/// The name of a segment that several processes open, without a leading slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName(String);

impl SegmentName {
    /// `takeover-<role>-<16 hexadecimal digits>`, new each time. What a role may not contain
    /// becomes a hyphen.
    pub fn unique(role: &str) -> SegmentName {
        let role: String = role
            .chars()
            .take(MAX_ROLE_LEN)
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        SegmentName(format!("{PREFIX}{role}-{:016x}", sys::random_u64()))
    }

    /// Takes a name from outside: it must begin with `takeover-`, be of printable ASCII without a
    /// slash, and have at most 200 bytes.
    pub fn parse(name: &str) -> Result<SegmentName> {
        let refuse = |why| Err(Error::BadName { name: name.to_owned(), why });
        match name.strip_prefix(PREFIX) {
            None => return refuse("it must begin with takeover-"),
            Some("") => return refuse("nothing follows takeover-"),
            Some(_) => {}
        }
        if name.len() > MAX_LEN {
            return refuse("it is longer than 200 bytes");
        }
        if !name.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
            return refuse("it must be printable ASCII without a slash");
        }
        Ok(SegmentName(name.to_owned()))
    }

    /// All segments on this system whose names are ours, sorted; also those of other runs.
    pub fn list() -> Result<Vec<SegmentName>> {
        let all = sys::segment_names().map_err(|e| Error::system("listing segments", e))?;
        let mut ours: Vec<_> = all.iter().filter_map(|n| SegmentName::parse(n).ok()).collect();
        ours.sort();
        Ok(ours)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SegmentName {
    type Err = Error;

    fn from_str(name: &str) -> Result<SegmentName> {
        SegmentName::parse(name)
    }
}

#[cfg(test)]
mod tests {
    use super::SegmentName;

    #[test]
    fn unique_names_differ_and_parse() {
        let (a, b) = (SegmentName::unique("info"), SegmentName::unique("info"));
        assert_ne!(a, b);
        assert!(a.as_str().starts_with("takeover-info-"));
        assert_eq!(a.as_str().len(), "takeover-info-".len() + 16);
        assert_eq!(SegmentName::parse(&a.to_string()).unwrap(), a);
        let odd = SegmentName::unique("a/../b c");
        assert_eq!(SegmentName::parse(odd.as_str()).unwrap(), odd);
    }

    #[test]
    fn foreign_names_are_refused() {
        let long = format!("takeover-{}", "x".repeat(200));
        for bad in ["", "takeover-", "other-1", "/takeover-1", "takeover-a/b", "takeover-\0", &long]
        {
            let error = SegmentName::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("segment name"), "{error}");
        }
    }
}
