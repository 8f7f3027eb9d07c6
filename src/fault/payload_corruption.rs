//! payload_corruption: bytes of the body of an answer are damaged.

use super::attr::{Attr, Unit, Value};
use super::course::{Corruption, CorruptionKind};
use super::exchange::{Phase, Stateless, nothing_wrong};
use super::{Kind, Level};

pub(super) static KIND: Kind = Kind {
    name: "payload_corruption",
    about: "the body of the answer is damaged",
    level: Level::Http,
    attrs: &[Attr {
        name: "kind",
        about: "other bytes, the second half missing, or single bits the other way round",
        unit: Unit::Choice(&["random_bytes", "truncate", "bit_flip"]),
        default: Value::Choice("random_bytes"),
    }],
    build: || {
        Box::new(Stateless {
            phase: |_| Phase::Corrupt,
            decide: |ask| {
                let word = ask.attrs.choice("kind");
                let kind = match word {
                    "truncate" => CorruptionKind::Truncate,
                    "bit_flip" => CorruptionKind::BitFlip,
                    _ => CorruptionKind::RandomBytes,
                };
                let seed = ask.dice.between(0, u64::MAX);
                ask.course.answer.corruption = Some(Corruption { kind, seed });
                Some(format!("kind={word}"))
            },
            wrong: nothing_wrong,
        })
    },
};
