//! What holds for every input: called by the fuzz targets, and by a test of `src/config` with the
//! inputs that were kept.
#![allow(dead_code, clippy::unwrap_used)] // each target uses one of them; a panic is a finding

use std::fmt::{Debug, Display};

use super::{ByteCount, Rate, Ratio, Span, http, read};

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

/// Any bytes: no panic; the same requests and the same refusal, however they are cut; limits hold.
pub(crate) fn request(bytes: &[u8]) {
    let whole = verdict(bytes, usize::MAX, usize::MAX);
    assert_eq!(verdict(bytes, 1, 1), whole, "byte by byte");
    // Every cut of a short message, about a hundred of a long one.
    for at in (0..bytes.len()).step_by(1 + bytes.len() / 100) {
        assert_eq!(verdict(bytes, at, usize::MAX), whole, "cut at {at}");
    }
}

/// What comes of bytes that are read `first` at once and then `then` at once.
fn verdict(bytes: &[u8], first: usize, then: usize) -> Vec<Result<http::Event, http::Reject>> {
    let limits = http::Limits::default();
    let (mut reader, mut seen) = (http::RequestReader::new(limits), Vec::new());
    let (mut from, mut to) = (0, first.min(bytes.len()));
    loop {
        match reader.take(&bytes[from..to]) {
            Ok(taken) => {
                from += taken.bytes;
                assert!(from <= to);
                match taken.event {
                    http::Event::NeedMore => assert_eq!(from, to, "bytes were left"),
                    event => seen.push(Ok(event)),
                }
            }
            Err(reject) => {
                assert!([400, 413, 414, 431, 501, 505].contains(&reject.status), "{reject:?}");
                reject.reply().to_bytes(http::Manner::CLOSE);
                seen.push(Err(reject));
                return seen;
            }
        }
        if let Some(Ok(http::Event::Whole(request))) = seen.last() {
            assert!(request.body.len() <= limits.body_bytes);
            assert!(!request.path.chars().any(|c| c.is_ascii_control() || c == ' '));
        }
        if from == to {
            if to == bytes.len() {
                return seen;
            }
            to = to.saturating_add(then).min(bytes.len());
        }
    }
}
