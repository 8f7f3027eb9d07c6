//! reset_peer: the first byte, or the end of the bytes, sets off a reset of both peers.

use super::attr::{Attr, Attrs, SPAN_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::Span;

pub(super) static KIND: Kind = Kind {
    name: "reset_peer",
    about: "from the first byte on nothing passes, and both peers are reset",
    level: Level::Stream,
    attrs: &[Attr {
        name: "timeout",
        about: "from the first byte, or the end of the bytes, to the reset",
        unit: Unit::Ms(SPAN_MAX),
        default: Value::Span(Span::ZERO),
    }],
    build: || Box::<ResetPeer>::default(),
};

#[derive(Default)]
struct ResetPeer {
    timeout: Span,
    /// Something came, and the reset is on its way.
    is_set_off: bool,
}

impl Fault for ResetPeer {
    fn retune(&mut self, attrs: &Attrs) {
        self.timeout = attrs.span("timeout");
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        let reset = Step { at: step.at + self.timeout, action: Action::Reset };
        match step.action {
            Action::Send(_) | Action::Finish if self.is_set_off => {}
            Action::Send(_) | Action::Finish => {
                self.is_set_off = true;
                out.push(reset);
            }
            Action::Open => {
                out.push(step);
                out.extend(self.is_set_off.then_some(reset)); // a change forgot the planned one
            }
            Action::Close | Action::Reset => out.push(step),
        }
    }

    /// Bytes are missing from the stream.
    fn removed(&mut self) -> Option<Action> {
        self.is_set_off.then_some(Action::Reset)
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn the_first_byte_or_the_end_sets_it_off() {
        check("reset_peer", "0 open", "");
        check("reset_peer", "5 send a", "5 reset");
        check("reset_peer timeout=100", "5 send a; 60 send b; 70 finish", "105 reset");
        check("reset_peer timeout=100", "5 finish", "105 reset");
    }

    #[test]
    fn a_change_begins_the_wait_anew() {
        let input = "5 send a; 50 set reset_peer timeout=20";
        check("reset_peer timeout=100", input, "70 reset");
        check("reset_peer timeout=100", "5 send a; 50 set ", "50 reset");
        check("reset_peer timeout=100", "50 set ; 60 send a", "60 send a");
    }
}
