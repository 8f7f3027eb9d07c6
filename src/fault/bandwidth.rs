//! bandwidth: a line that carries only so many bytes a second.
//!
//! A slice leaves once the line has carried it: at max(when the one before left, its arrival) +
//! bytes / rate. Counted from the moment when the line became busy, in whole bytes, so that no
//! rounding adds up. Slices are at most 100 ms long, as Toxiproxy's are.

use super::attr::{Attr, Attrs, BYTES_MAX, RATE_MAX, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{ByteCount, Rate, Span, Time};

pub(super) static KIND: Kind = Kind {
    name: "bandwidth",
    about: "the line carries only so many bytes a second",
    level: Level::Stream,
    attrs: &[
        Attr {
            name: "rate",
            about: "bytes a second; 0 = nothing passes, ever",
            unit: Unit::Rate(RATE_MAX),
            default: Value::Rate(Rate(0)),
        },
        Attr {
            name: "burst",
            about: "how many bytes pass at once after a pause long enough",
            unit: Unit::Bytes(BYTES_MAX),
            default: Value::Bytes(ByteCount(0)),
        },
    ],
    build: || Box::<Bandwidth>::default(),
};

#[derive(Default)]
struct Bandwidth {
    rate: u64,
    burst: u64,
    /// When the line became busy, and the bytes it was given since.
    busy_since: Time,
    carried: u128,
}

/// Parts of a second that a slice lasts at most.
const SLICES_PER_S: u64 = 10;

const NS_PER_S: u128 = 1_000_000_000;

impl Bandwidth {
    /// How long the line takes for so many bytes, rounded up; the rate is not 0.
    fn duration(&self, bytes: u128) -> Span {
        let ns = bytes.saturating_mul(NS_PER_S).div_ceil(u128::from(self.rate));
        Span(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// When a slice that arrived at `arrival` has passed.
    fn carry(&mut self, arrival: Time, bytes: usize) -> Time {
        if self.busy_since + self.duration(self.carried) <= arrival {
            (self.busy_since, self.carried) = (arrival, 0);
        }
        self.carried = self.carried.saturating_add(bytes as u128);
        let ahead = self.carried.saturating_sub(u128::from(self.burst));
        arrival.max(self.busy_since + self.duration(ahead))
    }
}

impl Fault for Bandwidth {
    fn retune(&mut self, attrs: &Attrs) {
        self.rate = attrs.rate("rate");
        self.burst = attrs.bytes("burst");
        (self.busy_since, self.carried) = (Time::ZERO, 0);
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        let arrival = step.at;
        match step.action {
            Action::Send(_) if self.rate == 0 => out.push(Step { at: Time::NEVER, ..step }),
            Action::Send(bytes) => {
                let size = usize::try_from(self.rate / SLICES_PER_S).unwrap_or(usize::MAX).max(1);
                for slice in bytes.chunks(size) {
                    let at = self.carry(arrival, slice.len());
                    out.push(Step { at, action: Action::Send(slice.to_vec()) });
                }
            }
            Action::Open => {
                (self.busy_since, self.carried) = (Time::ZERO, 0); // what waited has left
                out.push(step);
            }
            Action::Finish | Action::Close | Action::Reset => out.push(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Key;
    use crate::fault::pipeline::transcript::{check, run};

    #[test]
    fn a_slice_leaves_when_it_was_carried() {
        check("bandwidth rate=1kB/s", "0 send ab; 1 send c", "2 send ab; 3 send c");
        check("bandwidth rate=1kB/s", "0 send ab; 10 send c", "2 send ab; 11 send c");
        check("bandwidth rate=20B/s", "0 send abcd", "100 send ab; 200 send cd");
        check("bandwidth rate=1kB/s", "0 send ab; 1 finish", "2 send ab; 2 finish");
    }

    #[test]
    fn a_burst_passes_at_once() {
        let burst = "bandwidth rate=1kB/s burst=3";
        check(burst, "0 send ab; 0 send cd; 0 send e", "0 send ab; 1 send cd; 2 send e");
        check(burst, "0 send abc; 9 send abc", "0 send abc; 9 send abc");
    }

    #[test]
    fn nothing_passes_at_rate_0_until_it_is_removed() {
        check("bandwidth rate=0", "0 send abc; 5 finish", "");
        check("bandwidth rate=0", "0 send abc; 5 finish; 60 set ", "60 send abc; 60 finish");
        let input = "0 send abc; 60 set bandwidth rate=1; 70 send d";
        check("bandwidth rate=0", input, "60 send abc; 71 send d");
    }

    #[test]
    fn the_last_of_480_kb_at_1000_kb_a_second_is_due_at_480_ms() {
        let chunk = "x".repeat(32_000);
        let input: Vec<String> = (0..15).map(|_| format!("0 send {chunk}")).collect();
        let output = run("bandwidth rate=1000", &input.join("; "));
        let last = output.split("; ").last().expect("steps");
        assert_eq!(last, format!("480 send {chunk}"));
    }

    /// Random messages that keep the line busy, at random rates: the last one leaves when the
    /// line has carried all of them, to the nanosecond.
    #[test]
    fn the_rate_holds_in_the_long_run() {
        let key = Key { route: "r", connection: 1, direction: "-", fault: "-" };
        let mut dice = Dice::new(1, &key);
        for rate in [1_000, 7_777, 56_000, 1_000_000, 12_345_678, 100_000_000] {
            for largest in [1, 100, 65_536] {
                let mut line = Bandwidth { rate, ..Bandwidth::default() };
                let (mut total, mut last) = (0u128, Time::ZERO);
                for _ in 0..2_000 {
                    let size = dice.between(1, largest) as usize;
                    total += size as u128;
                    let arrival = Time(last.0 - dice.between(0, last.0.min(1_000_000)));
                    last = line.carry(arrival, size);
                }
                let exact = total as f64 / rate as f64;
                let error = (last.0 as f64 / 1e9 - exact).abs() / exact;
                assert!(error < 0.01, "{rate} B/s, messages to {largest}: {error}");
            }
        }
    }

    #[test]
    fn extremes_are_no_panic() {
        let mut line = Bandwidth { rate: 1, burst: u64::MAX, ..Bandwidth::default() };
        assert_eq!(line.carry(Time::NEVER, usize::MAX), Time::NEVER);
        let mut line = Bandwidth { rate: u64::MAX, ..Bandwidth::default() };
        assert!(line.carry(Time::ZERO, usize::MAX) > Time::ZERO);
    }
}
