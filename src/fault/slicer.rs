//! slicer: bytes go on in small pieces, with a pause after each.

use super::attr::{Attr, Attrs, BYTES_MAX, PAUSE_MAX, Unit, Value};
use super::pipeline::QUEUE_BYTES_MAX;
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{ByteCount, Span, Time};

pub(super) static KIND: Kind = Kind {
    name: "slicer",
    about: "bytes go on in small pieces, with a pause after each",
    level: Level::Stream,
    attrs: &[
        Attr {
            name: "average_size",
            about: "the mean size of a piece; 0 = as they came",
            unit: Unit::Bytes(BYTES_MAX),
            default: Value::Bytes(ByteCount(0)),
        },
        Attr {
            name: "size_variation",
            about: "how far from the middle a cut may be, drawn evenly",
            unit: Unit::Bytes(BYTES_MAX),
            default: Value::Bytes(ByteCount(0)),
        },
        Attr {
            name: "delay",
            about: "the pause after each piece",
            unit: Unit::Us(PAUSE_MAX),
            default: Value::Span(Span::ZERO),
        },
    ],
    build: || Box::<Slicer>::default(),
};

#[derive(Default)]
struct Slicer {
    average: u64,
    variation: u64,
    delay: Span,
    /// When the pause after the last piece is over.
    free_at: Time,
}

impl Slicer {
    /// Halves `bytes`, and the halves, until each piece is small enough; as Toxiproxy does.
    fn slice(&self, bytes: Vec<u8>, dice: &mut Dice) -> Vec<Vec<u8>> {
        let enough = self.average.saturating_add(self.variation);
        let (mut pieces, mut left) = (Vec::new(), vec![bytes]);
        while let Some(mut piece) = left.pop() {
            let length = piece.len() as u64;
            if self.average == 0 || length <= enough.max(1) {
                pieces.push(piece);
                continue;
            }
            let drawn = dice.between(0, self.variation.saturating_mul(2));
            let cut = (length / 2).saturating_add(drawn).saturating_sub(self.variation);
            let second = piece.split_off(cut.clamp(1, length - 1) as usize);
            left.extend([second, piece]);
        }
        pieces
    }
}

impl Fault for Slicer {
    fn room(&self) -> usize {
        QUEUE_BYTES_MAX
    }

    fn retune(&mut self, attrs: &Attrs) {
        self.average = attrs.bytes("average_size");
        self.variation = attrs.bytes("size_variation");
        self.delay = attrs.span("delay");
    }

    fn apply(&mut self, mut step: Step, dice: &mut Dice, out: &mut Vec<Step>) {
        match step.action {
            Action::Send(bytes) => {
                self.free_at = self.free_at.max(step.at);
                for piece in self.slice(bytes, dice) {
                    out.push(Step { at: self.free_at, action: Action::Send(piece) });
                    self.free_at = self.free_at + self.delay;
                }
            }
            Action::Finish => {
                step.at = step.at.max(self.free_at);
                out.push(step);
            }
            Action::Open => {
                self.free_at = step.at; // a change ends the pause
                out.push(step);
            }
            Action::Close | Action::Reset => out.push(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::{check, run};

    #[test]
    fn pieces_keep_their_order_and_each_is_followed_by_a_pause() {
        let slicer = "slicer average_size=2 delay=10000";
        check(slicer, "0 send abcd; 0 finish", "0 send ab; 10 send cd; 20 finish");
        check(slicer, "0 send abcd; 5 send e", "0 send ab; 10 send cd; 20 send e");
        check("slicer average_size=1", "0 send abc", "0 send a; 0 send b; 0 send c");
        check("slicer", "0 send abc", "0 send abc");
    }

    #[test]
    fn a_change_sends_the_rest_at_once() {
        let input = "0 send abcd; 5 set slicer average_size=2 delay=10000; 6 send e";
        check("slicer average_size=2 delay=10000", input, "0 send ab; 5 send cd; 6 send e");
    }

    fn pieces(faults: &str, text: &str) -> Vec<usize> {
        let output = run(faults, &format!("0 send {text}"));
        let pieces: Vec<&str> =
            output.split("; ").map(|line| line.trim_start_matches("0 send ")).collect();
        assert_eq!(pieces.concat(), text);
        pieces.iter().map(|piece| piece.len()).collect()
    }

    #[test]
    fn sizes_are_about_the_average() {
        let text: String = (0..48_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
        let sizes = pieces("slicer average_size=1024 size_variation=512", &text);
        assert!((24..=72).contains(&sizes.len()), "{sizes:?}");
        assert_eq!(pieces("slicer average_size=1", &text[..24]), [1; 24]);
        // A variation above the average kills Toxiproxy (#541).
        assert!(pieces("slicer average_size=1 size_variation=5000", &text).iter().all(|n| *n > 0));
    }
}
