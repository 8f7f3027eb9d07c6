//! latency: bytes arrive later, in order, at full rate.
//!
//! A delay line: each chunk is due at its own arrival plus the delay, so that delays do not add
//! up chunk by chunk and throughput stays what it was. The half-close only waits for the bytes
//! before it, as Toxiproxy 2.12 does.
//!
//! With m = `latency` and j = `jitter`, the delay of a message is drawn from
//! - `uniform`: m - j .. m + j, even; below zero is zero (Toxiproxy's toxic of this name);
//! - `normal`: mean m, standard deviation j, by Box and Muller (1958); cut at 0 and at 2 m, evenly
//!   on both sides, so that the mean stays m;
//! - `lognormal`: mean m, standard deviation j, so that ln of it has the variance
//!   ln(1 + j^2 / m^2) (Johnson, Kotz, Balakrishnan 1994, chapter 14); cut at 6 sigma;
//! - `pareto`: type I with shape 3, moved and stretched to mean m and standard deviation j
//!   (ibid., chapter 20); j counts up to m * sqrt 3, where the shortest delay is 0; its longest
//!   is m + 114 j, once in a million.
//!
//! All but `uniform` are rounded to the microsecond, so that the last bit of a machine's logarithm
//! does not show.

use super::attr::{Attr, Attrs, SPAN_MAX, Unit, Value};
use super::pipeline::QUEUE_BYTES_MAX;
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{Span, Time};

/// A pause in the arrivals from which on a new message begins, and the jitter is drawn again.
const MESSAGE_GAP: Span = Span::from_ms(1);

pub(super) static KIND: Kind = Kind {
    name: "latency",
    about: "bytes arrive later, in order, without losing throughput",
    level: Level::Stream,
    attrs: &[LATENCY, JITTER, DISTRIBUTION],
    build: || Box::<Latency>::default(),
};

pub(super) const LATENCY: Attr = Attr {
    name: "latency",
    about: "the delay of every byte, counted from its arrival",
    unit: Unit::Ms(SPAN_MAX),
    default: Value::Span(Span::ZERO),
};

pub(super) const JITTER: Attr = Attr {
    name: "jitter",
    about: "up to this much more or less, drawn for each message; or standard deviation",
    unit: Unit::Ms(SPAN_MAX),
    default: Value::Span(Span::ZERO),
};

pub(super) const DISTRIBUTION: Attr = Attr {
    name: "distribution",
    about: "how the delay is drawn; in all but uniform, jitter is its standard deviation",
    unit: Unit::Choice(&["uniform", "normal", "lognormal", "pareto"]),
    default: Value::Choice("uniform"),
};

#[derive(Default)]
struct Latency {
    drawn: Delay,
    /// The delay of the message that is passing.
    delay: Option<Span>,
    last_arrival: Time,
}

/// How delays are drawn.
#[derive(Default)]
pub(super) struct Delay {
    latency: Span,
    jitter: Span,
    distribution: &'static str,
}

impl Delay {
    /// As the three attributes say.
    pub(super) fn new(attrs: &Attrs) -> Delay {
        Delay {
            latency: attrs.span("latency"),
            jitter: attrs.span("jitter"),
            distribution: attrs.choice("distribution"),
        }
    }

    /// The delay of a message, never below zero.
    pub(super) fn draw(&self, dice: &mut Dice) -> Span {
        if self.jitter == Span::ZERO {
            return self.latency;
        }
        let (mean, deviation) = (self.latency.0 as f64, self.jitter.0 as f64);
        match self.distribution {
            "normal" => micros((mean + deviation * normal(dice)).clamp(0.0, 2.0 * mean)),
            "lognormal" if mean > 0.0 => micros(lognormal(mean, deviation, dice)),
            "lognormal" => Span::ZERO,
            "pareto" => micros(pareto(mean, deviation, dice)),
            _ => self.even(dice),
        }
    }

    fn even(&self, dice: &mut Dice) -> Span {
        let offset = dice.between(0, self.jitter.0.saturating_mul(2));
        Span(self.latency.0.saturating_add(offset).saturating_sub(self.jitter.0))
    }
}

/// Nanoseconds as a span of whole microseconds; what is beyond all bounds is the longest one.
fn micros(ns: f64) -> Span {
    Span(((ns / 1000.0).round() as u64).saturating_mul(1000))
}

/// A draw with mean 0 and variance 1 (Box, Muller 1958); two draws of the dice.
fn normal(dice: &mut Dice) -> f64 {
    let (first, second) = (1.0 - dice.share(), dice.share()); // the first is not 0
    (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos()
}

/// Standard deviations above which the long tail is cut.
const TAIL_MAX: f64 = 6.0;

fn lognormal(mean: f64, deviation: f64, dice: &mut Dice) -> f64 {
    let variance = (deviation / mean).powi(2).ln_1p();
    let exponent = variance.sqrt() * normal(dice).min(TAIL_MAX) - variance / 2.0;
    mean * exponent.exp()
}

/// Type I with shape 3 and scale 1 has the mean 3/2 and the variance 3/4; cut at 100.
fn pareto(mean: f64, deviation: f64, dice: &mut Dice) -> f64 {
    let drawn = (1.0 - dice.share()).cbrt().recip().min(100.0);
    let deviation = deviation.min(mean * 3f64.sqrt());
    (mean + deviation * (drawn - 1.5) / 0.75f64.sqrt()).max(0.0)
}

impl Fault for Latency {
    fn room(&self) -> usize {
        QUEUE_BYTES_MAX
    }

    fn retune(&mut self, attrs: &Attrs) {
        self.drawn = Delay::new(attrs);
        self.delay = None;
    }

    fn apply(&mut self, mut step: Step, dice: &mut Dice, out: &mut Vec<Step>) {
        if let Action::Send(_) = step.action {
            let arrival = step.at;
            let same_message = arrival - self.last_arrival < MESSAGE_GAP;
            let delay = match self.delay.filter(|_| same_message) {
                Some(delay) => delay,
                None => self.drawn.draw(dice),
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
    use super::*;
    use crate::dice::Key;
    use crate::fault::pipeline::transcript::{check, run};

    /// Mean and standard deviation in ms, the shortest and the longest of so many delays.
    fn drawn(latency: Span, jitter: Span, distribution: &'static str) -> (f64, f64, Span, Span) {
        let key = Key { route: "r", connection: 1, direction: "-", fault: distribution };
        let mut dice = Dice::new(1, &key);
        let fault = Delay { latency, jitter, distribution };
        let all: Vec<Span> = (0..100_000).map(|_| fault.draw(&mut dice)).collect();
        let ms: Vec<f64> = all.iter().map(|span| span.as_ms_f64()).collect();
        let mean = ms.iter().sum::<f64>() / ms.len() as f64;
        let variance = ms.iter().map(|ms| (ms - mean).powi(2)).sum::<f64>() / ms.len() as f64;
        let (min, max) = (all.iter().min().copied(), all.iter().max().copied());
        (mean, variance.sqrt(), min.unwrap_or_default(), max.unwrap_or_default())
    }

    #[test]
    fn the_configured_mean_is_the_delivered_one() {
        for distribution in ["uniform", "normal", "lognormal", "pareto"] {
            for jitter in [1, 20, 100] {
                let (span, jitter_ms) = (Span::from_ms(jitter), jitter as f64);
                let (mean, deviation, _, _) = drawn(Span::from_ms(100), span, distribution);
                let told = format!("{distribution} {jitter}: mean {mean}, deviation {deviation}");
                assert!((mean - 100.0).abs() < 0.01 * 100.0 + 0.01 * jitter_ms, "{told}");
                let near = (deviation / jitter_ms - 1.0).abs() < 0.15;
                assert!(near || distribution == "uniform" || jitter == 100, "{told}");
            }
        }
    }

    #[test]
    fn extremes_are_no_panic() {
        for distribution in ["uniform", "normal", "lognormal", "pareto"] {
            let (hour, ms) = (SPAN_MAX, Span::from_ms(1));
            for (latency, jitter) in [(hour, hour), (Span::ZERO, hour), (ms, hour), (hour, ms)] {
                let (_, _, min, max) = drawn(latency, jitter, distribution);
                let bound = Span::from_ms(3_600_000 * 120);
                assert!(min <= max && max <= bound, "{distribution} {latency} {jitter}: {max}");
            }
        }
    }

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
