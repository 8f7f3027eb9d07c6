//! A token bucket as one number: the generic cell rate algorithm (ITU-T I.371, annex A).
//!
//! The state is the time at which the bucket would be full again. Nothing ticks, and a bucket
//! that nobody asks costs nothing.

use crate::units::{Span, Time};

/// The bucket's size and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Until the next token.
    interval: Span,
    /// Tokens in it at most.
    burst: u64,
}

/// What the bucket says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// None: it may pass. Else how long it is until one may.
    pub wait: Option<Span>,
    /// Tokens left.
    pub remaining: u64,
    /// Until it is full again.
    pub reset: Span,
}

const NS_PER_S: u64 = 1_000_000_000;

impl Bucket {
    /// So many a second, each evenly after the other, and so many at once; both at least 1.
    pub fn new(per_second: u64, burst: u64) -> Bucket {
        Bucket { interval: Span(NS_PER_S / per_second.max(1)), burst: burst.max(1) }
    }

    /// Asks for a token. `full_at` is the state of the bucket, `Time::ZERO` when it was never
    /// asked; a refusal leaves it as it is.
    pub fn ask(&self, full_at: &mut Time, now: Time) -> Verdict {
        let size = Span(self.interval.0.saturating_mul(self.burst));
        let after = (*full_at).max(now) + self.interval;
        let missing = after - now;
        if missing > size {
            let (wait, reset) = (Some(Span(missing.0 - size.0)), *full_at - now);
            return Verdict { wait, remaining: 0, reset };
        }
        *full_at = after;
        let remaining = (size.0 - missing.0) / self.interval.0.max(1);
        Verdict { wait: None, remaining, reset: missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(bucket: Bucket, ns: impl Iterator<Item = u64>) -> u64 {
        let mut full_at = Time::ZERO;
        ns.filter(|at| bucket.ask(&mut full_at, Time(*at)).wait.is_none()).count() as u64
    }

    #[test]
    fn so_many_a_second_and_so_many_at_once() {
        let bucket = Bucket::new(100, 10);
        assert_eq!(passed(bucket, std::iter::repeat_n(5, 50)), 10, "at once");
        // Asked every 100 us: over a minute, the burst is spent in the first second.
        let asked = |seconds: u64| (0..seconds * 10_000).map(|n| n * 100_000);
        let minute = passed(bucket, asked(60));
        assert_eq!(minute, 10 + 60 * 100 - 1);
        let later = minute - passed(bucket, asked(1));
        assert!(later.abs_diff(59 * 100) <= 1, "{later} in 59 s");
    }

    #[test]
    fn every_second_admits_its_share() {
        let bucket = Bucket::new(100, 10);
        let mut full_at = Time::ZERO;
        let mut seconds = [0u64; 20];
        for at in (0..20 * 1000).map(|ms| ms * 1_000_000 + 137) {
            if bucket.ask(&mut full_at, Time(at)).wait.is_none() {
                seconds[(at / NS_PER_S) as usize] += 1;
            }
        }
        assert!(seconds[1..].iter().all(|count| count.abs_diff(100) <= 1), "{seconds:?}");
    }

    #[test]
    fn what_is_told() {
        let bucket = Bucket::new(2, 2);
        let mut full_at = Time::ZERO;
        let mut ask = |ms: u64| {
            let verdict = bucket.ask(&mut full_at, Time::ZERO + Span::from_ms(ms));
            let wait = verdict.wait.map(Span::as_ms);
            (wait, verdict.remaining, verdict.reset.as_ms())
        };
        assert_eq!(ask(0), (None, 1, 500));
        assert_eq!(ask(0), (None, 0, 1000));
        assert_eq!(ask(100), (Some(400), 0, 900));
        assert_eq!(ask(499), (Some(1), 0, 501));
        assert_eq!(ask(500), (None, 0, 1000));
        assert_eq!(ask(5000), (None, 1, 500));
    }

    #[test]
    fn extremes_are_no_panic() {
        for bucket in [Bucket::new(0, 0), Bucket::new(u64::MAX, u64::MAX), Bucket::new(1, 1)] {
            let mut full_at = Time::ZERO;
            for now in [Time::ZERO, Time::NEVER, Time(1)] {
                bucket.ask(&mut full_at, now);
            }
        }
        assert_eq!(passed(Bucket::new(1, 1), [0, 1, 999_999_999, 1_000_000_000].into_iter()), 2);
    }
}
