//! `cargo +nightly fuzz run config fuzz/corpus/config testdata/corpus/config`
#![no_main]
#![allow(unused_imports)] // for the properties

use chaos_proxy::config::read;
use chaos_proxy::http;
use chaos_proxy::units::{ByteCount, Rate, Ratio, Span};

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::config(bytes));
