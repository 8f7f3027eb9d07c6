//! connection_error: the connection of a request fails before the upstream is called.

use super::attr::{Attr, Unit, Value};
use super::course::Abort;
use super::exchange::{Phase, Stateless, injected, with_type};
use super::{Kind, Level};
use crate::units::Span;

pub(super) static KIND: Kind = Kind {
    name: "connection_error",
    about: "the connection of the request fails, without the upstream",
    level: Level::Http,
    attrs: &[Attr {
        name: "kind",
        about: "how: RST, FIN, or the answer of a gateway that finds no upstream",
        unit: Unit::Choice(&["reset", "close", "http503"]),
        default: Value::Choice("reset"),
    }],
    build: || {
        Box::new(Stateless {
            phase: |_| Phase::Abort,
            decide: |ask| {
                let kind = ask.attrs.choice("kind");
                ask.course.abort = Some(match kind {
                    "reset" => Abort::Reset,
                    "close" => Abort::Close,
                    _ => Abort::Reply(with_type(injected(503, None)), Span::ZERO),
                });
                Some(format!("kind={kind}"))
            },
        })
    },
};
