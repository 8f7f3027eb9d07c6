//! What happened: typed notes and live counters. Nothing decides by reading it.

mod counters;

pub mod metrics;

mod note;

use std::fmt;

pub use counters::{
    Acted, BOUNDS_US, Counters, FAULT_SERIES_MAX, Figures, Histogram, OTHER_FAULTS, count,
};
pub use note::{Answered, Closing, Event, FaultTotal, Injection, Limit, Note, Reason, Refusal};

/// Where notes go. Called from every thread; must not block for long, must not panic.
pub type Sink = Box<dyn Fn(&Note<'_>) + Send + Sync>;

/// The way for notes up from the threads.
pub struct Journal {
    sink: Sink,
    /// Times of all routes.
    pub times: metrics::Times,
}

impl Journal {
    /// A journal that tells everything to `sink`.
    pub fn new(sink: Sink) -> Journal {
        Journal { sink, times: metrics::Times::default() }
    }

    /// Tells what happened to the process.
    pub fn note(&self, event: Event<'_>) {
        (self.sink)(&Note { route: None, connection: None, event });
    }

    /// Tells what happened on a route, or on a connection of it.
    pub fn on_route(&self, route: &str, connection: Option<u64>, event: Event<'_>) {
        (self.sink)(&Note { route: Some(route), connection, event });
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Journal")
    }
}
