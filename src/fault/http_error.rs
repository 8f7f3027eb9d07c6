//! http_error: an answer of our own, before the upstream is called or in the place of its answer.

use std::borrow::Cow;

use super::attr::{Attr, Unit, Value};
use super::course::Abort;
use super::exchange::{Ask, Phase, Stateless, injected, nothing_wrong, with_type};
use super::{Kind, Level};
use crate::units::Span;

/// Bytes of a body at most.
const BODY_MAX: usize = 64 << 10;

pub(super) static KIND: Kind = Kind {
    name: "http_error",
    about: "the request is answered with an error",
    level: Level::Http,
    attrs: &[
        Attr {
            name: "status",
            about: "of the answer; out of a list, one is drawn for each request",
            unit: Unit::Statuses,
            default: Value::Statuses(Cow::Borrowed(&[503])),
        },
        Attr {
            name: "body",
            about: "of the answer; else {\"error\":\"injected\",\"status\":503}",
            unit: Unit::Text(BODY_MAX),
            default: Value::Unset,
        },
        Attr {
            name: "headers",
            about: "further fields of the answer",
            unit: Unit::Fields,
            default: Value::Fields(Vec::new()),
        },
        Attr {
            name: "phase",
            about: "before: the upstream is not called; after: it is, and its answer is replaced",
            unit: Unit::Choice(&["before", "after"]),
            default: Value::Choice("before"),
        },
    ],
    build: || {
        Box::new(Stateless {
            phase: |attrs| match attrs.choice("phase") {
                "after" => Phase::Replace,
                _ => Phase::Abort,
            },
            decide,
            wrong: nothing_wrong,
        })
    },
};

fn decide(ask: &mut Ask<'_>) -> Option<String> {
    let all = ask.attrs.statuses("status");
    let drawn = ask.dice.between(0, all.len() as u64 - 1) as usize;
    let mut reply = injected(all[drawn], ask.attrs.text_if_set("body"));
    reply.fields = ask.attrs.fields("headers").to_vec();
    let reply = with_type(reply);
    match ask.attrs.choice("phase") {
        "after" => ask.course.answer.replace = Some(reply),
        _ => ask.course.abort = Some(Abort::Reply(reply, Span::ZERO)),
    }
    Some(format!("status={}", all[drawn]))
}
