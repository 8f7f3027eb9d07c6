//! connection_error: the connection of a request fails before the upstream is called.

use super::attr::{Attr, Attrs, Unit, Value};
use super::course::Abort;
use super::exchange::{Ask, Exchange, Phase, injected, with_type};
use super::{Fault, Kind, Level, Step};
use crate::dice::Dice;
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
    build: || Box::new(ConnectionError),
};

struct ConnectionError;

impl Fault for ConnectionError {
    fn retune(&mut self, _: &Attrs) {}

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        out.push(step);
    }

    fn exchange(&mut self) -> Option<&mut dyn Exchange> {
        Some(self)
    }
}

impl Exchange for ConnectionError {
    fn phase(&self, _: &Attrs) -> Phase {
        Phase::Abort
    }

    fn leaves_bytes(&self, attrs: &Attrs) -> bool {
        attrs.choice("kind") == "http503"
    }

    fn decide(&mut self, ask: &mut Ask<'_>) -> Option<String> {
        let kind = ask.attrs.choice("kind");
        ask.course.abort = Some(match kind {
            "reset" => Abort::Reset,
            "close" => Abort::Close,
            _ => Abort::Reply(with_type(injected(503, None)), Span::ZERO),
        });
        Some(format!("kind={kind}"))
    }
}
