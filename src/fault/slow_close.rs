//! slow_close: the end of the bytes is told later than it came; the bytes are not. Another delay
//! begins the wait anew, as in Toxiproxy.

use super::attr::{Attr, Attrs, SPAN_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{Span, Time};

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
    /// When the end that it holds is to be passed on.
    due: Option<Time>,
    /// The delay is another since that was worked out.
    begins_anew: bool,
}

impl Fault for SlowClose {
    fn retune(&mut self, attrs: &Attrs) {
        self.delay = attrs.span("delay");
        self.begins_anew = true;
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        match step.action {
            Action::Finish if self.delay > Span::ZERO => self.due = Some(step.at + self.delay),
            Action::Open if std::mem::take(&mut self.begins_anew) => {
                self.due = self.due.map(|_| step.at + self.delay);
                out.push(step);
            }
            Action::Open | Action::Send(_) | Action::Finish | Action::Close | Action::Reset => {
                out.push(step);
            }
        }
    }

    fn wakes_at(&self) -> Option<Time> {
        self.due
    }

    fn wake(&mut self, _: Time, _: &mut Dice, out: &mut Vec<Step>) {
        out.extend(self.due.take().map(|at| Step { at, action: Action::Finish }));
    }

    /// `release` gives nothing back: the end that it holds is no bytes, and is held through a
    /// change. Where that takes the fault away, the end is passed on here. Should the fault come
    /// back while the other direction lives, it tells the same end again, and nothing changes.
    fn removed(&mut self) -> Option<Action> {
        self.due.map(|_| Action::Finish)
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn only_the_end_is_late() {
        check("slow_close delay=100", "0 send a; 10 finish", "0 send a; 110 finish");
        check("slow_close delay=100", "0 send a; 10 reset", "0 send a; 10 reset");
        check("slow_close", "0 send a; 10 finish", "0 send a; 10 finish");
    }

    #[test]
    fn faults_on_both_sides_of_it_keep_the_order() {
        let late = "latency latency=50 | slow_close delay=100 | latency latency=30";
        check(late, "0 send a; 10 finish", "80 send a; 150 finish");
        check("slow_close delay=20 | slow_close delay=30", "10 finish", "60 finish");
    }

    #[test]
    fn another_delay_begins_the_wait_anew() {
        let input = "0 send a; 10 finish; 30 set slow_close delay=";
        for (delay, ends) in [(40, 70), (200, 230), (0, 30)] {
            let expected = format!("0 send a; {ends} finish");
            check("slow_close delay=100", &format!("{input}{delay}"), &expected);
        }
        let twice = format!("{input}40; 60 set slow_close delay=50");
        check("slow_close delay=100", &twice, "0 send a; 110 finish");
        // Bytes that another fault held leave at once, the end does not.
        let late = "latency latency=20 name=l | slow_close delay=100 name=s";
        let changed = late.replace("100", "50");
        check(late, &format!("0 send a; 10 finish; 15 set {changed}"), "15 send a; 65 finish");
    }

    #[test]
    fn what_does_not_concern_it_changes_nothing() {
        let input = "0 send a; 10 finish; 30 set slow_close delay=100 | latency latency=7 name=x";
        check("slow_close delay=100", input, "0 send a; 110 finish");
        let input = "0 send a; 10 finish; 30 set slow_close delay=100 p=99%";
        check("slow_close delay=100", input, "0 send a; 110 finish");
    }

    #[test]
    fn its_end_ends_the_wait() {
        let input = "0 send a; 10 finish; 30 set ";
        for gone in ["", "noop", "slow_close delay=100 enabled=false", "slow_close p=0"] {
            check("slow_close delay=100", &format!("{input}{gone}"), "0 send a; 30 finish");
        }
        check("slow_close delay=100 for=50", "0 send a; 10 finish", "0 send a; 50 finish");
        // It is held up no longer than until it is in force again.
        let input = format!("{input}slow_close delay=5 after=60");
        check("slow_close delay=100", &input, "0 send a; 65 finish");
    }

    #[test]
    fn a_shadow_holds_nothing() {
        check("slow_close delay=100 shadow=true", "10 finish", "10 finish");
    }
}
