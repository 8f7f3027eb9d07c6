//! drop: the connection ends at accept, before the upstream hears of it.

use super::attr::{Attr, Attrs, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;

pub(super) static KIND: Kind = Kind {
    name: "drop",
    about: "the connection is dropped at accept, before the upstream is dialled",
    level: Level::Connection,
    attrs: &[Attr {
        name: "mode",
        about: "how it ends: RST, FIN, or silence until the client gives up",
        unit: Unit::Choice(&["reset", "close", "hang"]),
        default: Value::Choice("reset"),
    }],
    build: || Box::new(Drop { mode: "reset" }),
};

struct Drop {
    mode: &'static str,
}

impl Fault for Drop {
    fn retune(&mut self, attrs: &Attrs) {
        self.mode = attrs.choice("mode");
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        match (step.action, self.mode) {
            (Action::Open, "close") => out.push(Step { action: Action::Close, ..step }),
            (Action::Open, "hang") => {}
            (Action::Open, _) => out.push(Step { action: Action::Reset, ..step }),
            (action, _) => out.push(Step { action, ..step }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn the_opening_becomes_an_end() {
        check("drop mode=reset", "0 open", "0 reset");
        check("drop mode=close", "0 open", "0 close");
        check("drop mode=hang", "0 open", "");
    }
}
