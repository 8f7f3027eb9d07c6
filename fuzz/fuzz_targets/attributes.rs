//! `cargo +nightly fuzz run attributes fuzz/corpus/attributes testdata/corpus/attributes`
#![no_main]

#[path = "../faults.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::attributes(bytes));
