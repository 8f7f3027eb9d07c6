//! refuse: nobody listens: clients get ECONNREFUSED.

use super::attr::{Attr, Attrs, TRUTH, Unit, Value};
use super::gate::{Door, Phase};
use super::{Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{Span, Time};

pub(super) static KIND: Kind = Kind {
    name: "refuse",
    about: "the listener is closed: a connect is refused; removed, it listens again on its port",
    level: Level::Listener,
    attrs: &[RESET_LIVE],
    build: || Box::<Refuse>::default(),
};

/// What becomes of the connections that are there when a listener is closed.
pub(super) const RESET_LIVE: Attr = Attr {
    name: "reset_live",
    about: "whether live connections are reset when it begins",
    unit: Unit::Choice(TRUTH),
    default: Value::Choice("false"),
};

#[derive(Default)]
struct Refuse {
    reset_live: bool,
}

impl Fault for Refuse {
    fn retune(&mut self, attrs: &Attrs) {
        self.reset_live = attrs.choice("reset_live") == "true";
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        out.push(step);
    }

    fn phase(&self, _: Span) -> Phase {
        Phase { door: Door::Refusing, reset_live: self.reset_live, ends: Time::NEVER }
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::gate::transcript::check;

    #[test]
    fn it_refuses_for_as_long_as_it_is_there() {
        check("refuse", "0 none", "0 f0 refusing");
        check("refuse reset_live=true", "0 none", "0 f0 refusing, resets");
        check("refuse enabled=false", "0 none", "");
        check("refuse", "90 set refuse enabled=false", "0 f0 refusing; 90 f0 serving");
    }
}
