//! The bytes of a body, damaged: always the same ones for a seed, however they were cut.

use crate::dice::{Dice, Key};
use crate::fault::course::{Corruption, CorruptionKind};

/// What `Malformed::Garbage` sends in the place of an answer.
pub(super) const GARBAGE: &[u8] = b"\x00\xff\x15\x03 chaos \xfe\x80\r\n\x00\x01\r\n\r\n";

/// What `Malformed::Chunk` sends in the place of the first chunk. It begins with no hexadecimal
/// digit: "chaos" would be twelve bytes to whoever stops at the first letter that is none.
pub(super) const NO_CHUNK: &[u8] = b"no chunk\r\n";

/// One byte in so many has another value; at least one of a body.
const BLOCK_BYTES: u64 = 256;

/// The damage to one body.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    corruption: Corruption,
    /// Bytes of the body, if that is known.
    length: Option<u64>,
    /// Bytes so far.
    offset: u64,
}

impl Damage {
    pub(super) fn new(corruption: Corruption, length: Option<u64>) -> Damage {
        Damage { corruption, length, offset: 0 }
    }

    /// Damages the next bytes of the body.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        let (from, to) = (self.offset, self.offset + data.len() as u64);
        self.offset = to;
        for block in from / BLOCK_BYTES..=to.saturating_sub(1) / BLOCK_BYTES {
            let (place, draw) = self.of_block(block);
            let at = place.checked_sub(from).and_then(|at| usize::try_from(at).ok());
            let Some(byte) = at.and_then(|at| data.get_mut(at)) else { continue };
            *byte ^= match self.corruption.kind {
                CorruptionKind::BitFlip => 1 << (draw % 8),
                CorruptionKind::RandomBytes => 1 + (draw % 255) as u8,
                CorruptionKind::Truncate => 0,
            };
        }
    }

    /// The place that is damaged in a block, and what is drawn for it.
    fn of_block(&self, block: u64) -> (u64, u64) {
        let key = Key { route: "", connection: block, direction: "", fault: "payload" };
        let mut dice = Dice::new(self.corruption.seed, &key);
        let room = match (block, self.length) {
            (0, None) => 1, // the first byte: there may be no other
            (0, Some(length)) => length.clamp(1, BLOCK_BYTES),
            _ => BLOCK_BYTES,
        };
        (block * BLOCK_BYTES + dice.between(0, room - 1), dice.between(0, u64::MAX))
    }
}
