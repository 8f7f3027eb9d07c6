//! `cargo +nightly fuzz run script fuzz/corpus/script testdata/corpus/script`
#![no_main]

#[path = "../faults.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::script(bytes));
