//! `cargo +nightly fuzz run answer fuzz/corpus/answer testdata/http/answers/valid`
#![no_main]
#![allow(unused_imports, dead_code)] // each target uses one property

use chaos_proxy::exchange::{Answers, Broken, Down, Ended, Exchange, LIMITS, PIPELINED_MAX};
use chaos_proxy::exchange::{Questions, Turn, Up, Upstream};
use chaos_proxy::fault::course::{Abort, Answer, Course, Lose, Malformed, Partial};
use chaos_proxy::http::{AnswerReader, BodyReader, Framing, HeadReader, Reply};
use chaos_proxy::units::{Span, Time};

#[path = "../../src/exchange/between.rs"]
mod between;

#[path = "../exchanges.rs"]
mod exchanges;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exchanges::answer(bytes));
