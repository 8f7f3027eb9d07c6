//! malformed_response: what answers is no HTTP.

use super::attr::{Attr, Unit, Value};
use super::course::Malformed;
use super::exchange::{Phase, Stateless, nothing_wrong};
use super::{Kind, Level};

pub(super) static KIND: Kind = Kind {
    name: "malformed_response",
    about: "the answer breaks the rules of HTTP, and the connection ends",
    level: Level::Http,
    attrs: &[Attr {
        name: "kind",
        about: "a good head and a chunk that is none, bytes that are no HTTP, or not one byte",
        unit: Unit::Choice(&["chunk", "garbage", "empty"]),
        default: Value::Choice("garbage"),
    }],
    build: || {
        Box::new(Stateless {
            phase: |_| Phase::End,
            decide: |ask| {
                let kind = ask.attrs.choice("kind");
                ask.course.answer.malformed = Some(match kind {
                    "chunk" => Malformed::Chunk,
                    "empty" => Malformed::Empty,
                    _ => Malformed::Garbage,
                });
                Some(format!("kind={kind}"))
            },
            wrong: nothing_wrong,
        })
    },
};
