//! connect_delay: the upstream is dialled later.

use super::attr::{Attr, Attrs, SPAN_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::Span;

pub(super) static KIND: Kind = Kind {
    name: "connect_delay",
    about: "the client is accepted, and the upstream is dialled later",
    level: Level::Connection,
    attrs: &[Attr {
        name: "value",
        about: "how much later",
        unit: Unit::Ms(SPAN_MAX),
        default: Value::Span(Span::ZERO),
    }],
    build: || Box::<ConnectDelay>::default(),
};

#[derive(Default)]
struct ConnectDelay {
    value: Span,
}

impl Fault for ConnectDelay {
    fn retune(&mut self, attrs: &Attrs) {
        self.value = attrs.span("value");
    }

    fn apply(&mut self, mut step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        if step.action == Action::Open {
            step.at = step.at + self.value;
        }
        out.push(step);
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn the_opening_is_late() {
        check("connect_delay value=100", "5 open", "105 open");
        check("connect_delay value=100 | connect_delay value=1s", "0 open", "1100 open");
        check("connect_delay value=100 p=0", "0 open", "0 open");
    }
}
