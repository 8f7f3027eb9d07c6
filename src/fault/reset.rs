//! reset: both peers are reset at an exact offset.

use super::attr::{Attr, Attrs, BYTES_MAX, SPAN_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{ByteCount, Span};

pub(super) static KIND: Kind = Kind {
    name: "reset",
    about: "after exactly so many bytes both peers are reset",
    level: Level::Stream,
    attrs: &[
        Attr {
            name: "after_bytes",
            about: "how many pass before; 0 = it is reset from the beginning",
            unit: Unit::Bytes(BYTES_MAX),
            default: Value::Bytes(ByteCount(0)),
        },
        Attr {
            name: "after",
            about: "from the last of them to the reset; nothing passes meanwhile",
            unit: Unit::Ms(SPAN_MAX),
            default: Value::Span(Span::ZERO),
        },
    ],
    build: || Box::<Reset>::default(),
};

#[derive(Default)]
struct Reset {
    after_bytes: u64,
    after: Span,
    passed: u64,
    /// Something came that did not pass: no greater offset makes up for that.
    has_lost: bool,
}

impl Reset {
    fn is_reached(&self) -> bool {
        self.has_lost || self.passed >= self.after_bytes
    }
}

impl Fault for Reset {
    fn retune(&mut self, attrs: &Attrs) {
        self.after_bytes = attrs.bytes("after_bytes");
        self.after = attrs.span("after");
    }

    fn apply(&mut self, mut step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        let reset = Step { at: step.at + self.after, action: Action::Reset };
        let was_reached = self.is_reached();
        match &mut step.action {
            Action::Open => {
                out.push(step);
                out.extend(was_reached.then_some(reset));
            }
            Action::Send(_) | Action::Finish if was_reached => self.has_lost = true,
            Action::Send(bytes) => {
                let left = self.after_bytes.saturating_sub(self.passed);
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                self.has_lost = left < bytes.len();
                bytes.truncate(left);
                self.passed = self.passed.saturating_add(bytes.len() as u64);
                out.push(step);
                out.extend(self.is_reached().then_some(reset));
            }
            Action::Finish | Action::Close | Action::Reset => out.push(step),
        }
    }

    /// Bytes may be missing from the stream.
    fn removed(&mut self) -> Option<Action> {
        self.is_reached().then_some(Action::Reset)
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn at_an_exact_offset() {
        let input = "0 send abc; 5 send def; 9 finish";
        check("reset after_bytes=4", input, "0 send abc; 5 send d; 5 reset");
        check("reset after_bytes=3 after=100", input, "0 send abc; 100 reset");
        check("reset after_bytes=9", input, "0 send abc; 5 send def; 9 finish");
        for split in 1..6 {
            let (first, second) = "abcdef".split_at(split);
            let input = format!("5 send {first}; 5 send {second}");
            let output = crate::fault::pipeline::transcript::run("reset after_bytes=4", &input);
            assert_eq!(output.replace("; ", "").replace("5 send ", ""), "abcd5 reset", "{split}");
        }
    }

    #[test]
    fn without_an_offset_at_the_beginning() {
        check("reset after=50", "0 open; 10 send a", "50 reset");
        check("reset after=50", "10 set reset after=20", "30 reset");
        check("reset after=50", "10 set ", "10 reset");
    }

    #[test]
    fn a_greater_offset_lets_nothing_pass_behind_what_is_missing() {
        for first in ["reset after=50", "reset after_bytes=1 after=50"] {
            let came = if first.contains("bytes") { "0 send a; " } else { "" };
            let input = "0 send ab; 9 set reset after_bytes=9 after=50; 10 send c; 11 finish";
            check(first, input, &format!("{came}59 reset"));
        }
        let input = "0 send a; 9 set reset after_bytes=3 after=50; 10 send bcd";
        check("reset after_bytes=1 after=50", input, "0 send a; 10 send bc; 60 reset");
    }
}
