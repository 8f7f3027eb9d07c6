//! corrupt: some bytes arrive with another value: a broken middlebox, not a lost packet.
//!
//! Counted from `afterBytes` on, each stretch of 1 MiB / `per_mib` holds exactly one damaged byte,
//! at a place drawn evenly. Places and damage depend on offsets alone, never on chunks.

use super::attr::{Attr, Attrs, BYTES_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::ByteCount;

/// Bytes in which `per_mib` of them are damaged.
const MIB: u64 = 1 << 20;

pub(super) static KIND: Kind = Kind {
    name: "corrupt",
    about: "some bytes arrive with another value",
    level: Level::Stream,
    attrs: &[
        Attr {
            name: "per_mib",
            about: "damaged bytes in each MiB",
            unit: Unit::Count(0, MIB),
            default: Value::Count(1),
        },
        Attr {
            name: "kind",
            about: "one bit is flipped, or the byte is overwritten by any other one",
            unit: Unit::Choice(&["bitflip", "overwrite"]),
            default: Value::Choice("bitflip"),
        },
        Attr {
            name: "afterBytes",
            about: "so many bytes at the beginning stay whole",
            unit: Unit::Bytes(BYTES_MAX),
            default: Value::Bytes(ByteCount(0)),
        },
    ],
    build: || Box::new(Corrupt { kind: "bitflip", ..Corrupt::default() }),
};

#[derive(Default)]
struct Corrupt {
    per_mib: u64,
    kind: &'static str,
    whole: u64,
    /// Bytes that went by.
    offset: u64,
    /// Stretches that were looked at, from `whole` on.
    stretches: u64,
    /// The offset of the next damage, and what the byte is xored with; never 0.
    next: Option<(u64, u8)>,
    changed: u64,
}

impl Corrupt {
    /// Draws the damage of the next stretch.
    fn draw(&mut self, dice: &mut Dice) {
        let start = |stretch: u64| {
            let bytes = u128::from(stretch) * u128::from(MIB) / u128::from(self.per_mib);
            u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(self.whole)
        };
        let (first, end) = (start(self.stretches), start(self.stretches.saturating_add(1)));
        let at = dice.between(first, end.saturating_sub(1));
        let mask = match self.kind {
            "overwrite" => dice.between(1, 255) as u8,
            _ => 1 << dice.between(0, 7),
        };
        self.stretches = self.stretches.saturating_add(1);
        self.next = Some((at, mask));
    }

    fn damage(&mut self, bytes: &mut [u8], dice: &mut Dice) {
        let end = self.offset.saturating_add(bytes.len() as u64);
        while self.per_mib > 0 {
            let Some((at, mask)) = self.next else {
                self.draw(dice);
                continue;
            };
            if end <= at {
                break;
            }
            let index = at.checked_sub(self.offset).and_then(|index| usize::try_from(index).ok());
            if let Some(byte) = index.and_then(|index| bytes.get_mut(index)) {
                *byte ^= mask;
                self.changed = self.changed.saturating_add(1);
            }
            self.next = None;
        }
        self.offset = end;
    }
}

impl Fault for Corrupt {
    fn retune(&mut self, attrs: &Attrs) {
        self.per_mib = attrs.count("per_mib");
        self.kind = attrs.choice("kind");
        // What is new counts from here on: stretches begin after the bytes that went by.
        self.whole = attrs.bytes("afterBytes").max(self.offset);
        (self.stretches, self.next) = (0, None);
    }

    fn apply(&mut self, mut step: Step, dice: &mut Dice, out: &mut Vec<Step>) {
        if let Action::Send(bytes) = &mut step.action {
            self.damage(bytes, dice);
        }
        out.push(step);
    }

    fn changed_bytes(&self) -> u64 {
        self.changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Key;
    use crate::fault::pipeline::transcript::check;

    fn corrupt(per_mib: u64, kind: &'static str, whole: u64) -> Corrupt {
        Corrupt { per_mib, kind, whole, ..Corrupt::default() }
    }

    /// `bytes` zeros through a fault, in chunks of `chunk`.
    fn damaged(mut fault: Corrupt, bytes: usize, chunk: usize) -> Vec<u8> {
        let key = Key { route: "r", connection: 1, direction: "-", fault: "-" };
        let (mut dice, mut all) = (Dice::new(1, &key), vec![0; bytes]);
        all.chunks_mut(chunk).for_each(|chunk| fault.damage(chunk, &mut dice));
        assert_eq!(fault.changed, all.iter().filter(|byte| **byte != 0).count() as u64);
        all
    }

    #[test]
    fn exactly_so_many_in_each_mib_whatever_the_chunks() {
        for per_mib in [1, 3, 1000] {
            let all = damaged(corrupt(per_mib, "bitflip", 0), 3 << 20, 3 << 20);
            for mib in all.chunks(1 << 20) {
                assert_eq!(mib.iter().filter(|byte| **byte != 0).count() as u64, per_mib);
            }
            assert!(all.iter().all(|byte| byte.count_ones() <= 1));
            for chunk in [7, 1448, 65_536] {
                assert!(damaged(corrupt(per_mib, "bitflip", 0), 3 << 20, chunk) == all, "{chunk}");
            }
        }
    }

    #[test]
    fn every_split_of_a_text_gives_the_same() {
        let whole = damaged(corrupt(1 << 18, "overwrite", 3), 64, 64);
        assert!(whole[..3] == [0; 3] && whole[3..].iter().any(|byte| *byte != 0), "{whole:?}");
        for chunk in 1..64 {
            assert_eq!(damaged(corrupt(1 << 18, "overwrite", 3), 64, chunk), whole, "{chunk}");
        }
    }

    #[test]
    fn all_or_none() {
        assert!(damaged(corrupt(MIB, "overwrite", 10), 99, 9)[10..].iter().all(|byte| *byte > 0));
        check("corrupt per_mib=0", "0 send abc; 1 finish", "0 send abc; 1 finish");
        check("corrupt per_mib=1048576 afterBytes=5", "0 send abc", "0 send abc");
    }
}
