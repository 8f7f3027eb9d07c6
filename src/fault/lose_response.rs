//! lose_response: the upstream has got everything and answers; the answer never arrives.
//!
//! For clients that must be able to ask twice. Without a protocol nobody knows where an answer
//! ends, so what follows comes once the answer has ended or paused. On an HTTP
//! route it is decided for each exchange, and an answer ends where it says.

use super::attr::{Attr, Attrs, Unit, Value};
use super::course::Lose;
use super::exchange::{Ask, Exchange, Phase};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::Span;

/// A pause in the answer that is its end. More than a scheduler's hiccup, less than a timeout.
const ANSWER_PAUSE: Span = Span::from_ms(20);

pub(super) static KIND: Kind = Kind {
    name: "lose_response",
    about: "the answer is read and thrown away, and then the connection fails",
    level: Level::Stream,
    attrs: &[Attr {
        name: "then",
        about: "what follows when the answer has ended, or paused for 20 ms: RST, silence, FIN",
        unit: Unit::Choice(&["reset", "hang", "close"]),
        default: Value::Choice("reset"),
    }],
    build: || Box::new(LoseResponse { then: "reset", has_lost: false }),
};

struct LoseResponse {
    then: &'static str,
    has_lost: bool,
}

impl LoseResponse {
    fn end(&self) -> Option<Action> {
        match self.then {
            "hang" => None,
            "close" => Some(Action::Close),
            _ => Some(Action::Reset),
        }
    }
}

impl Fault for LoseResponse {
    fn retune(&mut self, attrs: &Attrs) {
        self.then = attrs.choice("then");
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        let at = step.at;
        match step.action {
            Action::Send(_) => {
                self.has_lost = true;
                out.extend(self.end().map(|action| Step { at: at + ANSWER_PAUSE, action }));
            }
            Action::Finish if self.has_lost => {
                out.extend(self.end().map(|action| Step { at, action }));
            }
            Action::Open => {
                out.push(step);
                let end = self.end().filter(|_| self.has_lost); // a change forgot the planned one
                out.extend(end.map(|action| Step { at: at + ANSWER_PAUSE, action }));
            }
            Action::Finish | Action::Close | Action::Reset => out.push(step),
        }
    }

    fn exchange(&mut self) -> Option<&mut dyn Exchange> {
        Some(self)
    }

    /// Bytes are missing from the stream.
    fn removed(&mut self) -> Option<Action> {
        self.has_lost.then_some(Action::Close)
    }
}

impl Exchange for LoseResponse {
    fn phase(&self, _: &Attrs) -> Phase {
        Phase::End
    }

    fn decide(&mut self, ask: &mut Ask<'_>) -> Option<String> {
        let then = ask.attrs.choice("then");
        ask.course.answer.lose = Some(match then {
            "hang" => Lose::Hang,
            "close" => Lose::Close,
            _ => Lose::Reset,
        });
        Some(format!("then={then}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn the_answer_is_lost_and_what_follows_waits_for_its_end() {
        let answer = "5 send abc; 15 send def";
        check("lose_response", answer, "35 reset");
        check("lose_response then=close", &format!("{answer}; 16 finish"), "16 close");
        check("lose_response then=hang", &format!("{answer}; 16 finish"), "");
        check("lose_response", "9 finish", "9 finish");
        check("lose_response then=hang", &format!("{answer}; 50 set "), "50 close");
    }
}
