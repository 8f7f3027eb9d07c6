//! partial_response: less of the body than was promised, and then an abrupt close.

use super::attr::{Attr, BYTES_MAX, Unit, Value};
use super::course::Partial;
use super::exchange::{Ask, Phase, Stateless, nothing_wrong};
use super::{Kind, Level};
use crate::units::Ratio;

pub(super) static KIND: Kind = Kind {
    name: "partial_response",
    about: "the body of the answer is cut short, and the connection ends",
    level: Level::Http,
    attrs: &[
        Attr {
            name: "bytes",
            about: "so much of the body comes; it counts before fraction",
            unit: Unit::Bytes(BYTES_MAX),
            default: Value::Unset,
        },
        Attr {
            name: "fraction",
            about: "the share of the body that comes",
            unit: Unit::Share,
            default: Value::Share(Ratio::HALF),
        },
    ],
    build: || Box::new(Stateless { phase: |_| Phase::End, decide, wrong: nothing_wrong }),
};

fn decide(ask: &mut Ask<'_>) -> Option<String> {
    let (partial, drawn) = match ask.attrs.bytes_if_set("bytes") {
        Some(bytes) => (Partial::Bytes(bytes), format!("bytes={bytes}")),
        None => {
            let fraction = ask.attrs.share("fraction");
            (Partial::Fraction(fraction), format!("fraction={fraction}"))
        }
    };
    ask.course.answer.partial = Some(partial);
    Some(drawn)
}
