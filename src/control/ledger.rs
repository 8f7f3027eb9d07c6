//! Who is in flight: one number for the process, one for each route with its bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender};

/// Counts the connections in flight of the whole process.
#[derive(Debug)]
pub struct Ledger {
    in_flight: AtomicUsize,
    quiet: Sender<()>,
}

impl Ledger {
    /// A ledger, and what receives a message whenever the last connection has left.
    pub fn new() -> (Arc<Ledger>, Receiver<()>) {
        let (quiet, left) = crossbeam_channel::bounded(1);
        (Arc::new(Ledger { in_flight: AtomicUsize::new(0), quiet }), left)
    }

    /// Connections in flight now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// A place among at most `max` on a route; none when all are taken.
    pub fn enter(self: &Arc<Ledger>, route: &Arc<AtomicUsize>, max: usize) -> Option<Seat> {
        let taken = route.fetch_add(1, Ordering::SeqCst);
        if taken >= max {
            route.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        Some(Seat { ledger: Arc::clone(self), route: Arc::clone(route) })
    }
}

/// The place of one connection; given back when it is dropped, on every path.
#[derive(Debug)]
pub struct Seat {
    ledger: Arc<Ledger>,
    route: Arc<AtomicUsize>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.route.fetch_sub(1, Ordering::SeqCst);
        if self.ledger.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = self.ledger.quiet.try_send(()); // full: the message is there already
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_and_come_back() {
        let (ledger, left) = Ledger::new();
        let route = Arc::new(AtomicUsize::new(0));
        let first = ledger.enter(&route, 2);
        let second = ledger.enter(&route, 2);
        assert!(first.is_some() && second.is_some());
        assert!(ledger.enter(&route, 2).is_none(), "one past the bound");
        assert_eq!(ledger.in_flight(), 2);
        drop(first);
        assert!(left.try_recv().is_err(), "one is still in flight");
        assert!(ledger.enter(&route, 2).is_some());
        drop(second);
        assert_eq!((ledger.in_flight(), left.try_recv()), (0, Ok(())));
    }
}
