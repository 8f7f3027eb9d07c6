//! Live counters: how often things happened, and how long they took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::fault::Direction;
use crate::units::Span;

/// The live counters of a route. They balance: accepted = closed + dropped + refused +
/// upstream_failed + active; and in each direction bytes received = sent + discarded + queued.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that reached the listener.
    pub accepted: AtomicU64,
    /// Ended by a fault before they were dialled.
    pub dropped: AtomicU64,
    /// Not served for want of descriptors, threads or room.
    pub refused: AtomicU64,
    /// Ended because the upstream could not be reached.
    pub upstream_failed: AtomicU64,
    /// Ended after they had been relayed.
    pub closed: AtomicU64,
    /// Ended by timeoutMs or lifetimeMs while relayed; also counted as closed.
    pub timed_out: AtomicU64,
    /// How the last dial went: nothing is known at 0, it failed at 1, it reached the upstream at 2.
    upstream: AtomicU64,
    flows: [Flow; 2],
    faults: Mutex<Vec<ByFault>>,
    /// Requests by status and whether the upstream gave it; made with the first.
    answers: OnceLock<Box<[AtomicU64]>>,
    /// How often the listener could not be made to do what it was to do.
    pub listen_failures: AtomicU64,
}

/// The name of a fault and its type, and what it did.
pub(super) type ByFault = ((String, &'static str), Acted);

/// The bytes of one direction. What is read and written at once is counted once.
#[derive(Debug, Default)]
struct Flow {
    passed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    discarded: AtomicU64,
}

/// How often a fault did something for the first time in a direction of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acted {
    /// It was done.
    pub injected: u64,
    /// It would have been done.
    pub shadow: u64,
}

/// Faults of a route that are counted by their names; those beyond are counted as `OTHER_FAULTS`.
pub const FAULT_SERIES_MAX: usize = 256;

/// Statuses that are counted each by itself; others count as 0, as those who got no answer do.
const STATUSES: usize = 1000;

/// Stands for the faults beyond `FAULT_SERIES_MAX`.
pub const OTHER_FAULTS: &str = "_other";

/// The counters of a route at one moment. Arrays have upstream first, then downstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the counter of its name")]
pub struct Figures {
    pub accepted: u64,
    pub dropped: u64,
    pub refused: u64,
    pub upstream_failed: u64,
    pub closed: u64,
    pub timed_out: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
    pub received: [u64; 2],
    pub discarded: [u64; 2],
    /// Whether the last dial reached the upstream; none before the first.
    pub upstream_up: Option<bool>,
    pub listen_failures: u64,
}

/// Adds to a counter.
pub fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    /// Bytes were read and written at once.
    pub fn passed(&self, direction: Direction, bytes: u64) {
        count(&self.flows[direction as usize].passed, bytes);
    }

    /// Bytes were read.
    pub fn received(&self, direction: Direction, bytes: u64) {
        count(&self.flows[direction as usize].received, bytes);
    }

    /// Bytes that had been counted as received were written.
    pub fn sent(&self, direction: Direction, bytes: u64) {
        count(&self.flows[direction as usize].sent, bytes);
    }

    /// Bytes that had been counted as received will never be written.
    pub fn discarded(&self, direction: Direction, bytes: u64) {
        count(&self.flows[direction as usize].discarded, bytes);
    }

    /// A dial reached the upstream, or did not.
    pub fn dialled(&self, reached: bool) {
        self.upstream.store(1 + u64::from(reached), Ordering::Relaxed);
    }

    /// A fault did something for the first time, or would have.
    pub fn acted(&self, fault: &str, kind: &'static str, shadow: bool) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |faults: &[ByFault], key| {
            faults.binary_search_by(|((name, kind), _)| (&**name, *kind).cmp(&key))
        };
        let mut key = (fault, kind);
        let mut place = find(&faults, key);
        if place.is_err() && faults.len() >= FAULT_SERIES_MAX {
            key = (OTHER_FAULTS, OTHER_FAULTS);
            place = find(&faults, key);
        }
        let index = place.unwrap_or_else(|index| {
            faults.insert(index, ((key.0.to_owned(), key.1), Acted::default()));
            index
        });
        let acted = &mut faults[index].1;
        acted.injected += u64::from(!shadow);
        acted.shadow += u64::from(shadow);
    }

    /// A request was given an answer with this status, or none: 0.
    pub fn answered(&self, status: u16, by_upstream: bool) {
        let answers = self.answers.get_or_init(|| {
            std::iter::repeat_with(AtomicU64::default).take(2 * STATUSES).collect()
        });
        let status = Some(usize::from(status)).filter(|status| *status < STATUSES);
        count(&answers[2 * status.unwrap_or(0) + usize::from(by_upstream)], 1);
    }

    /// Requests so far: status, whether the upstream gave it, how many.
    pub fn answers(&self) -> Vec<(u16, bool, u64)> {
        let all = self.answers.get().into_iter().flatten().map(get).zip(0u16..);
        let some = all.filter(|(times, _)| *times > 0);
        some.map(|(times, index)| (index / 2, index % 2 == 1, times)).collect()
    }

    /// What each fault did so far, by its name and its type.
    pub fn by_fault(&self) -> Vec<ByFault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The counters now. What ends is read before what begins, so that no balance is negative.
    pub fn read(&self) -> Figures {
        let [up, down] = &self.flows;
        let sent = |flow: &Flow| get(&flow.passed) + get(&flow.sent);
        let ended = [&self.dropped, &self.refused, &self.upstream_failed, &self.closed].map(get);
        let [dropped, refused, upstream_failed, closed] = ended;
        let discarded = [get(&up.discarded), get(&down.discarded)];
        Figures {
            dropped,
            refused,
            upstream_failed,
            closed,
            timed_out: get(&self.timed_out),
            bytes_up: sent(up),
            bytes_down: sent(down),
            discarded,
            received: [up, down].map(|flow| get(&flow.received) + get(&flow.passed)),
            accepted: get(&self.accepted),
            upstream_up: get(&self.upstream).checked_sub(1).map(|reached| reached > 0),
            listen_failures: get(&self.listen_failures),
        }
    }
}

impl Figures {
    /// Connections that are neither ended nor refused.
    pub fn active(&self) -> u64 {
        let ended = self.dropped + self.refused + self.upstream_failed + self.closed;
        self.accepted.saturating_sub(ended)
    }

    /// Bytes written in a direction.
    pub fn sent(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Upstream => self.bytes_up,
            Direction::Downstream => self.bytes_down,
        }
    }

    /// Bytes that were read and are neither written nor discarded.
    pub fn queued(&self, direction: Direction) -> u64 {
        let gone = self.sent(direction) + self.discarded[direction as usize];
        self.received[direction as usize].saturating_sub(gone)
    }
}

/// The upper bounds of a histogram's buckets, in µs; the last bucket has none.
pub const BOUNDS_US: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    10_000_000,
];

/// How long something took, each time.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// It took so long once more.
    pub fn observe(&self, took: Span) {
        let bucket = BOUNDS_US.partition_point(|bound| bound * 1_000 < took.0);
        count(&self.buckets[bucket], 1);
        count(&self.sum_ns, took.0);
    }

    /// How often it took up to each bound, or any time; and the sum in ns.
    pub fn read(&self) -> ([u64; BOUNDS_US.len() + 1], u64) {
        let mut so_far = 0;
        let cumulated = self.buckets.each_ref().map(|bucket| {
            so_far += get(bucket);
            so_far
        });
        (cumulated, get(&self.sum_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_balance_whichever_way_they_are_counted() {
        let counters = Counters::default();
        counters.passed(Direction::Upstream, 10);
        counters.received(Direction::Upstream, 7);
        counters.sent(Direction::Upstream, 4);
        counters.discarded(Direction::Upstream, 2);
        let now = counters.read();
        assert_eq!((now.received, now.bytes_up, now.discarded), ([17, 0], 14, [2, 0]));
        assert_eq!([Direction::Upstream, Direction::Downstream].map(|d| now.queued(d)), [1, 0]);
    }

    #[test]
    fn the_last_dial_counts() {
        let counters = Counters::default();
        assert_eq!(counters.read().upstream_up, None);
        counters.dialled(true);
        assert_eq!(counters.read().upstream_up, Some(true));
        counters.dialled(false);
        assert_eq!(counters.read().upstream_up, Some(false));
    }

    #[test]
    fn answers_are_counted_by_status() {
        let counters = Counters::default();
        assert_eq!(counters.answers(), []);
        for status in [0, 503, 503, 999, 1000, u16::MAX] {
            counters.answered(status, false);
        }
        [200, 503].into_iter().for_each(|status| counters.answered(status, true));
        let expected =
            [(0, false, 3), (200, true, 1), (503, false, 2), (503, true, 1), (999, false, 1)];
        assert_eq!(counters.answers(), expected);
    }

    #[test]
    fn faults_are_counted_by_name_up_to_a_bound() {
        let counters = Counters::default();
        for number in 0..FAULT_SERIES_MAX + 2 {
            counters.acted(&format!("f{number}"), "latency", number == 0);
            counters.acted("f0", "latency", false);
        }
        let all = counters.by_fault();
        assert_eq!(all.len(), FAULT_SERIES_MAX + 1);
        let of = |name: &str| all.iter().find(|((own, _), _)| own == name).map(|(_, acted)| *acted);
        let times = FAULT_SERIES_MAX as u64 + 2;
        assert_eq!(of("f0"), Some(Acted { injected: times, shadow: 1 }));
        assert_eq!(of("f1"), Some(Acted { injected: 1, shadow: 0 }));
        assert_eq!(of(OTHER_FAULTS), Some(Acted { injected: 2, shadow: 0 }));
    }

    #[test]
    fn buckets_are_closed_above() {
        let histogram = Histogram::default();
        for us in [0, 50, 51, 10_000_000, 10_000_001] {
            histogram.observe(Span(us * 1_000));
        }
        let (buckets, sum) = histogram.read();
        assert_eq!((buckets[0], buckets[1], buckets[13], buckets[14]), (2, 3, 4, 5));
        assert_eq!(sum, 20_000_102_000);
    }
}
