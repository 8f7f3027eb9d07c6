//! http_timeout: the request is held, and then answered with 504; the upstream is not called.

use super::attr::{Attr, SPAN_MAX, Unit, Value};
use super::course::Abort;
use super::exchange::{Phase, Stateless, injected, nothing_wrong, with_type};
use super::{Kind, Level};
use crate::units::Span;

pub(super) static KIND: Kind = Kind {
    name: "http_timeout",
    about: "the request is held and then answered with 504, without the upstream",
    level: Level::Http,
    attrs: &[Attr {
        name: "timeout",
        about: "how long it is held",
        unit: Unit::Ms(SPAN_MAX),
        default: Value::Span(Span::from_ms(30_000)),
    }],
    build: || {
        Box::new(Stateless {
            phase: |_| Phase::Abort,
            decide: |ask| {
                let held = ask.attrs.span("timeout");
                let reply = with_type(injected(504, None));
                ask.course.abort = Some(Abort::Reply(reply, held));
                Some(format!("ms={}", held.as_ms_f64()))
            },
            wrong: nothing_wrong,
        })
    },
};
