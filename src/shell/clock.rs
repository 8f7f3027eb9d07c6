//! The only place that reads a clock, or asks the system for randomness.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Instant, SystemTime};

use crate::units::{Span, Time};

/// The clock of one connection: zero when it was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins to count now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// The time since the start.
    pub fn now(self) -> Time {
        Time(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// When it started, by a clock that did so before.
    pub fn began(self, epoch: Clock) -> Time {
        let span = self.0.saturating_duration_since(epoch.0);
        Time(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long it has been counting.
    pub fn elapsed(self) -> Span {
        self.now() - Time::ZERO
    }
}

/// A seed for a run that was not given one: the system's randomness, through the standard
/// library's hasher keys.
pub fn chosen_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The time of day, for logs alone.
pub fn wall() -> SystemTime {
    SystemTime::now()
}
