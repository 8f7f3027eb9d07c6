//! limit_data: exactly so many bytes pass, then the connection is closed.

use super::attr::{Attr, Attrs, BYTES_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::ByteCount;

pub(super) static KIND: Kind = Kind {
    name: "limit_data",
    about: "after exactly so many bytes the connection is closed",
    level: Level::Stream,
    attrs: &[Attr {
        name: "bytes",
        about: "how many pass; 0 = it is closed when the first one comes",
        unit: Unit::Bytes(BYTES_MAX),
        default: Value::Bytes(ByteCount(0)),
    }],
    build: || Box::<LimitData>::default(),
};

#[derive(Default)]
struct LimitData {
    limit: u64,
    passed: u64,
}

impl Fault for LimitData {
    fn retune(&mut self, attrs: &Attrs) {
        self.limit = attrs.bytes("bytes");
    }

    fn apply(&mut self, mut step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        let at = step.at;
        let Action::Send(bytes) = &mut step.action else { return out.push(step) };
        let left = self.limit.saturating_sub(self.passed);
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        self.passed = self.passed.saturating_add(bytes.len() as u64);
        if !bytes.is_empty() {
            out.push(step);
        }
        if self.passed >= self.limit {
            out.push(Step { at, action: Action::Close });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::check;

    #[test]
    fn the_crossing_chunk_is_cut() {
        check("limit_data bytes=5", "0 send abc; 10 send def", "0 send abc; 10 send de; 10 close");
        check("limit_data bytes=3", "0 send abc; 10 send def", "0 send abc; 0 close");
        check("limit_data bytes=3B", "0 send ab; 10 finish", "0 send ab; 10 finish");
    }

    #[test]
    fn zero_closes_at_the_first_byte() {
        check("limit_data bytes=0", "0 open", "");
        check("limit_data bytes=0", "7 send a", "7 close");
    }

    #[test]
    fn a_change_keeps_the_count() {
        let input = "0 send abc; 5 set limit_data bytes=4; 10 send de";
        check("limit_data bytes=100", input, "0 send abc; 10 send d; 10 close");
        let input = "0 send abc; 5 set limit_data bytes=2; 10 send de";
        check("limit_data bytes=100", input, "0 send abc; 10 close");
    }
}
