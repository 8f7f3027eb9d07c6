//! rate_limit: so many requests a second are let in, and the others are answered with 429.
//!
//! The answer says when to come again: `Retry-After` in whole seconds (RFC 9110, 10.2.3), and
//! RateLimit-Limit, -Remaining and -Reset, the fields of draft-ietf-httpapi-ratelimit-headers-06,
//! which clients in the field read; later drafts fold them into one structured field.
//!
//! On a TCP route it limits connections, and the others are reset.

use super::attr::{Attr, Attrs, Unit, Value};
use super::course::Abort;
use super::exchange::{Ask, Exchange, Facts, Phase, injected, with_type};
use super::{Fault, Kind, Level, Place, Step};
use crate::dice::{Dice, fingerprint};
use crate::limit::bucket::Bucket;
use crate::limit::endpoint::folded;
use crate::limit::table::Table;
use crate::units::{Span, Time};

/// The highest rate: one a microsecond.
const RATE_MAX: u64 = 1_000_000;

pub(super) static KIND: Kind = Kind {
    name: "rate_limit",
    about: "requests beyond a rate are answered with 429; on a tcp route, connections are reset",
    level: Level::Http,
    attrs: &[
        Attr {
            name: "requests_per_second",
            about: "how many are let in, one evenly after the other",
            unit: Unit::Count(1, RATE_MAX),
            default: Value::Count(100),
        },
        Attr {
            name: "burst",
            about: "how many are let in at once; else as many as in a second",
            unit: Unit::Count(1, RATE_MAX),
            default: Value::Unset,
        },
        Attr {
            name: "key",
            about: "what is counted apart: nothing, each client address, or each method and path \
                    with numbers, UUIDs and long hex taken for one",
            unit: Unit::Choice(&["global", "ip", "endpoint"]),
            default: Value::Choice("global"),
        },
    ],
    build: || Box::<RateLimit>::default(),
};

#[derive(Default)]
struct RateLimit {
    /// When the bucket of each key is full again.
    buckets: Table,
}

impl Fault for RateLimit {
    fn retune(&mut self, _: &Attrs) {}

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        out.push(step);
    }

    fn exchange(&mut self) -> Option<&mut dyn Exchange> {
        Some(self)
    }
}

impl Exchange for RateLimit {
    fn phase(&self, _: &Attrs) -> Phase {
        Phase::Limit
    }

    fn wrong(&self, attrs: &Attrs, place: Place) -> Option<&'static str> {
        let wrong = place == Place::Connection && attrs.choice("key") == "endpoint";
        wrong.then_some("a connection has no endpoint (key: global, ip)")
    }

    fn decide(&mut self, ask: &mut Ask<'_>) -> Option<String> {
        let limit = ask.attrs.count("requests_per_second");
        let bucket = Bucket::new(limit, ask.attrs.count_if_set("burst").unwrap_or(limit));
        let full_at = self.buckets.slot(key(ask.attrs.choice("key"), ask.facts));
        let mut time = Time(*full_at);
        let verdict = bucket.ask(&mut time, ask.now);
        *full_at = time.0;
        let wait = verdict.wait?;
        let reply = with_type(injected(429, None))
            .with("Retry-After", &seconds(wait).to_string())
            .with("RateLimit-Limit", &limit.to_string())
            .with("RateLimit-Remaining", &verdict.remaining.to_string())
            .with("RateLimit-Reset", &seconds(verdict.reset).to_string());
        ask.course.abort = Some(Abort::Reply(reply, Span::ZERO));
        Some("status=429".to_owned())
    }
}

/// Which bucket an exchange takes from.
fn key(word: &str, facts: &Facts<'_>) -> u64 {
    match word {
        "ip" => fingerprint([&*facts.peer.to_canonical().to_string()]),
        "endpoint" => fingerprint([facts.method].into_iter().chain(folded(facts.path))),
        _ => 0,
    }
}

/// Whole seconds, rounded up.
fn seconds(span: Span) -> u64 {
    span.0.div_ceil(Span::from_ms(1000).0)
}
