//! The inputs that fuzzing of the faults kept, and random ones, through the same properties as in
//! `fuzz/`.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/faults.rs"]
mod properties;

/// The files of a folder of testdata/corpus, in order.
fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/corpus").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{folder:?} holds only {}", paths.len());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn attributes() {
    corpus("attributes").iter().for_each(|bytes| properties::attributes(bytes));
}

#[test]
fn scripts() {
    corpus("script").iter().for_each(|bytes| properties::script(bytes));
}

/// The same bytes for the same number, of a length that makes a story.
fn random_bytes(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..120 + number % 2).map(|_| next()).collect() // an odd length is a story with messages
}

#[test]
fn random_scripts() {
    let count = if crate::support::slow() { 100_000 } else { 1_000 };
    for number in 0..count {
        let bytes = random_bytes(number);
        let told = std::panic::catch_unwind(|| properties::script(&bytes));
        assert!(told.is_ok(), "script {number}: {bytes:?}");
    }
}
