//! What holds for every input: called by the fuzz targets, and by a test of `src/config` with the
//! inputs that were kept.
#![allow(dead_code, clippy::unwrap_used)] // each target uses one of them; a panic is a finding

use std::fmt::{Debug, Display};

use super::{ByteCount, Rate, Ratio, Span, read};

/// Any bytes: no panic; a plan prints as JSON; problems are lines without control characters.
pub(crate) fn config(bytes: &[u8]) {
    match read(bytes) {
        Ok(plan) => {
            serde_json::to_string(&plan).unwrap();
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for line in problems.lines("fuzz") {
                assert!(!line.chars().any(char::is_control), "{line:?}");
                assert!(line.len() < 4_000, "{line:?}");
            }
        }
    }
}

/// Any text: no panic; what prints, parses back to the same.
pub(crate) fn units(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    round_trip(text, Span::parse);
    round_trip(text, ByteCount::parse);
    round_trip(text, Rate::parse);
    round_trip(text, Ratio::parse);
}

fn round_trip<T: Copy + Debug + Display + PartialEq, E: Debug + Display + PartialEq>(
    text: &str,
    parse: fn(&str) -> Result<T, E>,
) {
    match parse(text) {
        Ok(value) => assert_eq!(parse(&value.to_string()), Ok(value), "{text:?}"),
        Err(error) => drop(error.to_string()),
    }
}
