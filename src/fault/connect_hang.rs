//! connect_hang: a connect gets no answer at all, as from a host that is not there.

use super::attr::Attrs;
use super::gate::{Door, Phase};
use super::{Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{Span, Time};

pub(super) static KIND: Kind = Kind {
    name: "connect_hang",
    about: "the listener answers no connect (no SYN-ACK); live connections go on",
    level: Level::Listener,
    attrs: &[],
    build: || Box::new(ConnectHang),
};

struct ConnectHang;

impl Fault for ConnectHang {
    fn retune(&mut self, _: &Attrs) {}

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        out.push(step);
    }

    fn phase(&self, _: Span) -> Phase {
        Phase { door: Door::Hanging, reset_live: false, ends: Time::NEVER }
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::gate::transcript::check;

    #[test]
    fn it_answers_nobody_for_as_long_as_it_is_there() {
        check("connect_hang", "0 none", "0 f0 hanging");
        check("connect_hang", "70 set", "0 f0 hanging; 70 f0 serving");
    }
}
