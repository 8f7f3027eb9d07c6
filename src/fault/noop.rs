//! noop: nothing changes; for comparing with and without a fault in the way.

use super::attr::Attrs;
use super::{Fault, Kind, Level, Step};
use crate::dice::Dice;

pub(super) static KIND: Kind = Kind {
    name: "noop",
    about: "nothing changes",
    level: Level::Stream,
    attrs: &[],
    build: || Box::new(Noop),
};

struct Noop;

impl Fault for Noop {
    fn retune(&mut self, _: &Attrs) {}

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        out.push(step);
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn what_comes_goes_on_as_it_came() {
        let story = "0 send a; 5 send b; 5 finish";
        check("noop", story, story);
        check("noop", "3 reset", "3 reset");
    }
}
