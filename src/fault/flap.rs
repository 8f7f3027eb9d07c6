//! flap: the route serves and refuses in turn, by the clock, beginning with serving.

use super::attr::{Attr, Attrs, SPAN_MAX, Unit, Value};
use super::gate::{Door, Phase};
use super::refuse::RESET_LIVE;
use super::{Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{Span, Time};

/// The shortest time up or down: each turn is a line of the log. The kernel needs 4 us for it.
const SHORTEST: Span = Span::from_ms(10);

pub(super) static KIND: Kind = Kind {
    name: "flap",
    about: "serves and refuses in turn, beginning with serving when it comes into force",
    level: Level::Listener,
    attrs: &[
        Attr {
            name: "up",
            about: "how long it serves",
            unit: Unit::MsFrom(SHORTEST, SPAN_MAX),
            default: Value::Span(Span::from_ms(1_000)),
        },
        Attr {
            name: "down",
            about: "and then how long the listener is closed: a connect is refused",
            unit: Unit::MsFrom(SHORTEST, SPAN_MAX),
            default: Value::Span(Span::from_ms(1_000)),
        },
        Attr { about: "whether live connections are reset each time it goes down", ..RESET_LIVE },
    ],
    build: || Box::<Flap>::default(),
};

#[derive(Default)]
struct Flap {
    up: Span,
    down: Span,
    reset_live: bool,
}

impl Fault for Flap {
    fn retune(&mut self, attrs: &Attrs) {
        self.up = attrs.span("up");
        self.down = attrs.span("down");
        self.reset_live = attrs.choice("reset_live") == "true";
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        out.push(step);
    }

    fn phase(&self, age: Span) -> Phase {
        let period = self.up.0.saturating_add(self.down.0).max(1);
        let begun = Time(age.0 - age.0 % period);
        let down = begun + self.up;
        match Time(age.0) < down {
            true => Phase { ends: down, ..Phase::SERVING },
            false => {
                Phase { door: Door::Refusing, reset_live: self.reset_live, ends: down + self.down }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::gate::transcript::check;

    #[test]
    fn it_begins_with_serving_and_keeps_to_the_clock() {
        let turns = "100 f0 refusing; 150 f0 serving; 250 f0 refusing; 300 f0 serving";
        check("flap up=100 down=50", "300 none", turns);
        check("flap up=20 down=10 reset_live=true", "29 none", "20 f0 refusing, resets");
    }
}
