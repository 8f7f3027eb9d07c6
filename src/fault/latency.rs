//! latency: bytes arrive later, in order, at full rate.
//!
//! A delay line: each chunk is due at its own arrival plus the delay, so that delays do not add
//! up chunk by chunk and throughput stays what it was. The half-close only waits for the bytes
//! before it, as Toxiproxy 2.12 does.

use super::attr::{Attr, Attrs, Unit, Value};
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{Span, Time};

/// The longest delay that can be asked for: an hour.
const DELAY_MAX: Span = Span::from_ms(3_600_000);

/// A pause in the arrivals from which on a new message begins, and the jitter is drawn again.
const MESSAGE_GAP: Span = Span::from_ms(1);

pub(super) static KIND: Kind = Kind {
    name: "latency",
    about: "bytes arrive later, in order, without losing throughput",
    level: Level::Stream,
    attrs: &[
        Attr {
            name: "latency",
            about: "the delay of every byte, counted from its arrival",
            unit: Unit::Ms(DELAY_MAX),
            default: Value::Span(Span::ZERO),
        },
        Attr {
            name: "jitter",
            about: "up to this much more or less, drawn evenly for each message",
            unit: Unit::Ms(DELAY_MAX),
            default: Value::Span(Span::ZERO),
        },
    ],
    build: || Box::<Latency>::default(),
};

#[derive(Default)]
struct Latency {
    latency: Span,
    jitter: Span,
    /// The delay of the message that is passing.
    delay: Option<Span>,
    last_arrival: Time,
}

impl Latency {
    /// `latency` plus or minus up to `jitter`, never below zero.
    fn draw(&self, dice: &mut Dice) -> Span {
        if self.jitter == Span::ZERO {
            return self.latency;
        }
        let offset = dice.between(0, self.jitter.0.saturating_mul(2));
        Span(self.latency.0.saturating_add(offset).saturating_sub(self.jitter.0))
    }
}

impl Fault for Latency {
    fn retune(&mut self, attrs: &Attrs) {
        self.latency = attrs.span("latency");
        self.jitter = attrs.span("jitter");
        self.delay = None;
    }

    fn apply(&mut self, mut step: Step, dice: &mut Dice, out: &mut Vec<Step>) {
        if let Action::Send(_) = step.action {
            let arrival = step.at;
            let same_message = arrival - self.last_arrival < MESSAGE_GAP;
            let delay = match self.delay.filter(|_| same_message) {
                Some(delay) => delay,
                None => self.draw(dice),
            };
            self.delay = Some(delay);
            self.last_arrival = arrival;
            step.at = arrival + delay;
        }
        out.push(step);
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::pipeline::transcript::{check, run};

    #[test]
    fn delays_from_arrival() {
        check("latency latency=100", "0 send hello", "100 send hello");
        check("latency latency=100", "0 send a; 30 send b", "100 send a; 130 send b");
        check("latency latency=0", "5 send a", "5 send a");
    }

    #[test]
    fn the_end_waits_for_the_bytes_only() {
        check("latency latency=100", "0 send a; 10 finish", "100 send a; 100 finish");
        check("latency latency=100", "0 send a; 500 finish", "100 send a; 500 finish");
        check("latency latency=100", "0 send a; 10 reset", "100 send a; 100 reset");
    }

    #[test]
    fn two_of_them_add_exactly() {
        let two = "latency latency=300 | latency latency=300";
        check(two, "0 send a; 100 send b", "600 send a; 700 send b");
    }

    #[test]
    fn jitter_stays_in_its_range_and_in_order() {
        let input: Vec<String> = (0..200).map(|n| format!("{} send x", n * 10)).collect();
        let output = run("latency latency=100 jitter=20", &input.join("; "));
        let times: Vec<u64> =
            output.split("; ").map(crate::fault::pipeline::transcript::at_ns).collect();
        assert_eq!(times.len(), 200);
        assert!(times.is_sorted());
        let delays: Vec<u64> =
            times.iter().enumerate().map(|(n, at)| at - n as u64 * 10_000_000).collect();
        assert!(
            delays.iter().all(|delay| (80_000_000..=120_000_000).contains(delay)),
            "{delays:?}"
        );
        let apart = delays.iter().max().expect("some") - delays.iter().min().expect("some");
        assert!(apart > 20_000_000, "drawn anew for each message: {delays:?}");
    }

    #[test]
    fn one_message_has_one_delay() {
        let output = run("latency latency=100 jitter=50", "0 send a; 0.5 send b; 1 send c");
        let times: Vec<u64> =
            output.split("; ").map(crate::fault::pipeline::transcript::at_ns).collect();
        assert_eq!(times[1] - times[0], 500_000);
        assert_eq!(times[2] - times[1], 500_000);
    }
}
