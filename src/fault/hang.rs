//! hang: a pulled cable at an exact offset: no bytes, no end, and after a while perhaps something.

use super::attr::{Attr, Attrs, BYTES_MAX, SPAN_MAX, Unit, Value};
use super::pipeline::QUEUE_BYTES_MAX;
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{ByteCount, Span, Time};

pub(super) static KIND: Kind = Kind {
    name: "hang",
    about: "after exactly so many bytes all is silent, without an end",
    level: Level::Stream,
    attrs: &[
        Attr {
            name: "after_bytes",
            about: "how many pass before; 0 = it is silent from the beginning",
            unit: Unit::Bytes(BYTES_MAX),
            default: Value::Bytes(ByteCount(0)),
        },
        Attr {
            name: "for",
            about: "how long; 0 = for ever",
            unit: Unit::Ms(SPAN_MAX),
            default: Value::Span(Span::ZERO),
        },
        Attr {
            name: "then",
            about: "what follows: FIN, RST, or all that was kept back",
            unit: Unit::Choice(&["close", "reset", "resume"]),
            default: Value::Choice("close"),
        },
    ],
    build: || Box::new(Hang { then: "close", ..Hang::default() }),
};

#[derive(Default)]
struct Hang {
    after_bytes: u64,
    length: Span,
    then: &'static str,
    /// Bytes so far; those that it holds leave with a change.
    came: u64,
    /// When what is kept back goes on; none before the silence has begun.
    until: Option<Time>,
}

impl Hang {
    /// The silence begins at `at`, unless it is over; what follows is planned.
    fn begin(&mut self, at: Time, out: &mut Vec<Step>) {
        if self.until.is_some_and(|until| until <= at) {
            return;
        }
        let end = if self.length == Span::ZERO { Time::NEVER } else { at + self.length };
        self.until = Some(if self.then == "resume" { end } else { Time::NEVER });
        match self.then {
            "resume" => {}
            "reset" => out.push(Step { at: end, action: Action::Reset }),
            _ => out.push(Step { at: end, action: Action::Close }),
        }
    }
}

impl Fault for Hang {
    fn room(&self) -> usize {
        QUEUE_BYTES_MAX
    }

    fn retune(&mut self, attrs: &Attrs) {
        self.after_bytes = attrs.bytes("after_bytes");
        self.length = attrs.span("for");
        self.then = attrs.choice("then");
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        let at = step.at;
        match step.action {
            Action::Open => {
                out.push(step);
                match self.came >= self.after_bytes {
                    true => self.begin(at, out),
                    false => self.until = None, // a change has moved the offset
                }
            }
            Action::Send(mut bytes) => {
                let left = self.after_bytes.saturating_sub(self.came);
                let cut = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let kept = bytes.split_off(cut);
                self.came = self.came.saturating_add((cut + kept.len()) as u64);
                out.push(Step { at, action: Action::Send(bytes) });
                if self.came >= self.after_bytes && self.until.is_none() {
                    self.begin(at, out);
                }
                if !kept.is_empty() {
                    let at = at.max(self.until.unwrap_or(at));
                    out.push(Step { at, action: Action::Send(kept) });
                }
            }
            Action::Finish | Action::Close | Action::Reset => {
                let at = at.max(self.until.unwrap_or(at));
                out.push(Step { at, ..step });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn silence_at_an_exact_offset() {
        check("hang after_bytes=4", "0 send abc; 5 send def; 9 finish", "0 send abc; 5 send d");
        check("hang", "0 open; 5 send a; 6 reset", "");
        for split in 1..6 {
            let (first, second) = "abcdef".split_at(split);
            let input = format!("5 send {first}; 5 send {second}; 9 finish");
            let output = crate::fault::pipeline::transcript::run("hang after_bytes=4", &input);
            assert_eq!(output.replace("; ", "").replace("5 send ", ""), "abcd", "{split}");
        }
    }

    #[test]
    fn what_follows() {
        let input = "0 send abc; 5 send def; 9 finish";
        check("hang after_bytes=3 for=100", input, "0 send abc; 100 close");
        check("hang after_bytes=4 for=100 then=reset", input, "0 send abc; 5 send d; 105 reset");
        let resume = "hang after_bytes=4 for=100 then=resume";
        check(resume, input, "0 send abc; 5 send d; 105 send ef; 105 finish");
        check(resume, "0 send abcd; 200 send ef", "0 send abcd; 200 send ef");
    }

    #[test]
    fn removal_gives_what_was_kept_back() {
        let input = "0 send abc; 5 send def; 9 finish; 50 set ";
        check("hang after_bytes=4 for=100", input, "0 send abc; 5 send d; 50 send ef; 50 finish");
    }
}
