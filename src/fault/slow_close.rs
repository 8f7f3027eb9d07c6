//! slow_close: the end of the bytes is told later than it came; the bytes are not.

use super::attr::{Attr, Attrs, SPAN_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::Span;

pub(super) static KIND: Kind = Kind {
    name: "slow_close",
    about: "the end of the bytes (FIN) is passed on later",
    level: Level::Stream,
    attrs: &[Attr {
        name: "delay",
        about: "how much later",
        unit: Unit::Ms(SPAN_MAX),
        default: Value::Span(Span::ZERO),
    }],
    build: || Box::<SlowClose>::default(),
};

#[derive(Default)]
struct SlowClose {
    delay: Span,
}

impl Fault for SlowClose {
    fn retune(&mut self, attrs: &Attrs) {
        self.delay = attrs.span("delay");
    }

    fn apply(&mut self, mut step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        if step.action == Action::Finish {
            step.at = step.at + self.delay;
        }
        out.push(step);
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn only_the_end_is_late() {
        check("slow_close delay=100", "0 send a; 10 finish", "0 send a; 110 finish");
        check("slow_close delay=100", "0 send a; 10 reset", "0 send a; 10 reset");
    }

    #[test]
    fn a_change_ends_the_wait() {
        let input = "0 send a; 10 finish; 30 set ";
        check("slow_close delay=100", input, "0 send a; 30 finish");
    }
}
