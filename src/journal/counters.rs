//! Live counters: how often things happened.

use std::sync::atomic::{AtomicU64, Ordering};

/// The live counters of a route. They balance: accepted = closed + dropped + refused +
/// upstream_failed + active.
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
    /// Bytes written to upstreams.
    pub bytes_up: AtomicU64,
    /// Bytes written to clients.
    pub bytes_down: AtomicU64,
}

/// The counters of a route at one moment.
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
}

/// Adds to a counter.
pub fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Counters {
    /// The counters now.
    pub fn read(&self) -> Figures {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            accepted: get(&self.accepted),
            dropped: get(&self.dropped),
            refused: get(&self.refused),
            upstream_failed: get(&self.upstream_failed),
            closed: get(&self.closed),
            timed_out: get(&self.timed_out),
            bytes_up: get(&self.bytes_up),
            bytes_down: get(&self.bytes_down),
        }
    }
}

impl Figures {
    /// Connections that are neither ended nor refused.
    pub fn active(&self) -> u64 {
        let ended = self.dropped + self.refused + self.upstream_failed + self.closed;
        self.accepted.saturating_sub(ended)
    }
}
