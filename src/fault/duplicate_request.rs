//! duplicate_request: the upstream gets a request more than once; its first answer is passed on.

use super::attr::{Attr, Unit, Value};
use super::exchange::{Phase, Stateless, nothing_wrong};
use super::{Kind, Level};

/// How many times more an upstream may be asked.
const TIMES_MAX: u64 = 10;

/// Bytes of the body of a request that is sent again.
const BODY_MAX: u64 = 64 << 10;

pub(super) static KIND: Kind = Kind {
    name: "duplicate_request",
    about: "the upstream gets the request again, and its first answer is passed on",
    level: Level::Http,
    attrs: &[Attr {
        name: "times",
        about: "how many times more; a request with a body over 64 KiB is passed on once",
        unit: Unit::Count(1, TIMES_MAX),
        default: Value::Count(1),
    }],
    build: || {
        Box::new(Stateless {
            phase: |_| Phase::Request,
            decide: |ask| {
                if ask.facts.body_bytes.is_some_and(|bytes| bytes > BODY_MAX) {
                    return None; // it is not kept to be sent again
                }
                let times = ask.attrs.count("times");
                let sum = ask.course.duplicates.saturating_add(times as u32);
                ask.course.duplicates = sum.min(TIMES_MAX as u32);
                Some(format!("times={times}"))
            },
            wrong: nothing_wrong,
        })
    },
};
