//! timeout: the bytes of a direction are lost, and after a silence the connection is closed.
//!
//! The timer is one of idleness, as Toxiproxy's is: each chunk begins it anew. When the fault is
//! removed, bytes are missing from the stream, so the connection is closed.

use super::attr::{Attr, Attrs, SPAN_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{Span, Time};

pub(super) static KIND: Kind = Kind {
    name: "timeout",
    about: "bytes are lost, and the connection is closed once none has come for a while",
    level: Level::Stream,
    attrs: &[Attr {
        name: "timeout",
        about: "the silence after which it is closed; 0 = never",
        unit: Unit::Ms(SPAN_MAX),
        default: Value::Span(Span::ZERO),
    }],
    build: || Box::<Timeout>::default(),
};

#[derive(Default)]
struct Timeout {
    timeout: Span,
}

impl Timeout {
    /// The close that follows if nothing comes after `at`; it replaces the one planned before.
    fn plan(&self, at: Time) -> Option<Step> {
        let planned = Step { at: at + self.timeout, action: Action::Close };
        (self.timeout > Span::ZERO).then_some(planned)
    }
}

impl Fault for Timeout {
    fn retune(&mut self, attrs: &Attrs) {
        self.timeout = attrs.span("timeout");
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        let at = step.at;
        match step.action {
            Action::Send(_) => out.extend(self.plan(at)),
            Action::Open => {
                out.push(step);
                out.extend(self.plan(at));
            }
            Action::Finish => out.push(Step { at, action: Action::Close }),
            Action::Close | Action::Reset => out.push(step),
        }
    }

    fn removed(&mut self) -> Option<Action> {
        Some(Action::Close)
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn silence_closes_and_bytes_never_pass() {
        check("timeout timeout=100", "0 open", "100 close");
        check("timeout timeout=100", "0 send a; 60 send b; 120 send c", "220 close");
        check("timeout timeout=0", "0 send a; 60 send b", "");
    }

    #[test]
    fn the_end_of_the_bytes_closes_at_once() {
        check("timeout timeout=0", "0 send a; 60 finish", "60 close");
        check("timeout timeout=100", "0 send a; 60 reset", "60 reset");
    }

    #[test]
    fn a_change_begins_the_wait_anew_and_removal_closes() {
        check("timeout timeout=0", "0 send a; 60 set timeout timeout=100", "160 close");
        check("timeout timeout=500", "0 send a; 60 set ", "60 close");
        check("timeout timeout=500 p=0", "0 send a; 60 set ", "0 send a");
        check("timeout", "0 send a; 60 set timeout p=0; 70 send b", "60 close");
        check("latency latency=50 | timeout", "0 send a; 10 set latency latency=50", "10 close");
    }
}
