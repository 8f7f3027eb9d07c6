//! What the connections of a route share of one fault: how often it has acted, and its lines.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Direction, Place};
use crate::units::{Span, Time};

/// What all connections of a route share of one fault. Clones of it are the same one, so a fault
/// keeps it when it is changed, and a fault that is put in its place has a new one.
#[derive(Clone, Debug, Default)]
pub struct Common(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    acted: AtomicU64,
    /// Of the upstream direction, and of the downstream one.
    lines: [Mutex<Line>; 2],
}

/// It is no part of what is configured.
impl PartialEq for Common {
    fn eq(&self, _: &Common) -> bool {
        true
    }
}

impl Common {
    /// Takes one of the `times` that a fault may act; false when there is none left.
    ///
    /// Exactly so many are ever given, however many threads ask. Where connections act at the
    /// same time, the first to ask gets it: which one that is, no seed decides.
    pub fn take_turn(&self, times: Option<u64>) -> bool {
        let one_more = |acted: u64| times.is_none_or(|times| acted < times).then_some(acted + 1);
        let acted = &self.0.acted;
        times.is_none()
            || acted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// True when none is left.
    pub fn is_spent(&self, times: Option<u64>) -> bool {
        times.is_some_and(|times| times <= self.0.acted.load(Ordering::Relaxed))
    }
}

/// A fault's place among the connections of its route.
#[derive(Clone, Debug)]
pub struct Joined {
    /// What they share.
    pub common: Common,
    /// Its place on its connection.
    pub place: Place,
    /// When its connection began, by the clock that all of them share.
    pub began: Time,
}

impl Joined {
    /// When so many bytes that come at `arrival` have passed on the line that all connections
    /// share in this direction. Held for a few additions only, so no thread waits for another.
    pub fn carry(&self, rate: Rate, arrival: Time, bytes: u64) -> Time {
        let line = match self.place {
            Place::One(Direction::Upstream) => &self.common.0.lines[0],
            Place::One(Direction::Downstream)
            | Place::Both
            | Place::Listener
            | Place::Connection
            | Place::Exchange => &self.common.0.lines[1],
        };
        let since_epoch = arrival + (self.began - Time::ZERO);
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = line.carry(rate, since_epoch, bytes);
        arrival + (passed - since_epoch)
    }
}

/// How fast a line carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Not 0.
    pub bytes_per_s: u64,
    /// So many bytes pass at once after a pause long enough.
    pub burst: u64,
}

/// A line that carries one byte after the other. What it was given is counted from the moment
/// when it became busy, in whole bytes, so that no rounding adds up.
#[derive(Clone, Debug, Default)]
pub struct Line {
    rate: Rate,
    busy_since: Time,
    carried: u128,
}

const NS_PER_S: u128 = 1_000_000_000;

impl Line {
    /// When so many bytes that come at `arrival` have passed. With another rate the line begins
    /// anew: what waited for it has left with the change.
    pub fn carry(&mut self, rate: Rate, arrival: Time, bytes: u64) -> Time {
        if self.rate != rate || self.busy_since + self.duration(self.carried) <= arrival {
            *self = Line { rate, busy_since: arrival, carried: 0 };
        }
        self.carried = self.carried.saturating_add(u128::from(bytes));
        let ahead = self.carried.saturating_sub(u128::from(rate.burst));
        arrival.max(self.busy_since + self.duration(ahead))
    }

    /// How long it takes for so many bytes, rounded up.
    fn duration(&self, bytes: u128) -> Span {
        let rate = u128::from(self.rate.bytes_per_s.max(1));
        let ns = bytes.saturating_mul(NS_PER_S).div_ceil(rate);
        Span(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_turns_and_not_one_more() {
        let common = Common::default();
        let taken: usize = std::thread::scope(|scope| {
            let ask = || (0..100).filter(|_| common.take_turn(Some(150))).count();
            let threads = [(); 4].map(|()| scope.spawn(ask));
            threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
        });
        assert_eq!((taken, common.is_spent(Some(150))), (150, true));
        assert!(common.take_turn(None) && !common.is_spent(Some(151)));
        assert!(common.clone().take_turn(Some(151)) && !common.take_turn(Some(151)));
    }

    #[test]
    fn extremes_are_no_panic() {
        let (slow, fast) = (Rate { bytes_per_s: 1, burst: u64::MAX }, u64::MAX);
        assert_eq!(Line::default().carry(slow, Time::NEVER, u64::MAX), Time::NEVER);
        let fast = Rate { bytes_per_s: fast, burst: 0 };
        assert!(Line::default().carry(fast, Time::ZERO, u64::MAX) > Time::ZERO);
        assert!(Line::default().carry(Rate::default(), Time::ZERO, 1) > Time::ZERO);
    }
}
