//! http_delay: an exchange takes longer, once, whatever its size.

use super::attr::{Attr, Unit, Value};
use super::exchange::{Ask, Phase, Stateless, nothing_wrong};
use super::latency::{DISTRIBUTION, Delay, JITTER, LATENCY};
use super::{Kind, Level};

pub(super) static KIND: Kind = Kind {
    name: "http_delay",
    about: "the request or its answer comes later, once",
    level: Level::Http,
    attrs: &[
        LATENCY,
        JITTER,
        DISTRIBUTION,
        Attr {
            name: "phase",
            about: "what is late: the request on its way to the upstream, or the answer",
            unit: Unit::Choice(&["request", "response"]),
            default: Value::Choice("request"),
        },
    ],
    build: || {
        Box::new(Stateless {
            phase: |attrs| match attrs.choice("phase") {
                "response" => Phase::Answer,
                _ => Phase::Delay,
            },
            decide,
            wrong: nothing_wrong,
        })
    },
};

fn decide(ask: &mut Ask<'_>) -> Option<String> {
    let drawn = Delay::new(ask.attrs).draw(ask.dice);
    let total = match ask.attrs.choice("phase") {
        "response" => &mut ask.course.answer.delay,
        _ => &mut ask.course.delay,
    };
    total.0 = total.0.saturating_add(drawn.0);
    Some(format!("ms={}", drawn.as_ms_f64()))
}
