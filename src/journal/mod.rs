//! What happened: typed notes and live counters. Nothing decides by reading it.

mod counters;

pub mod events;

pub mod hub;

pub mod metrics;

mod note;

use std::fmt;
use std::sync::Arc;

pub use counters::{
    Acted, BOUNDS_US, Counters, FAULT_SERIES_MAX, Figures, Histogram, OTHER_FAULTS, count,
};
pub use note::{Answered, Closing, Event, FaultTotal, Injection, Limit, Note, Reason, Refusal};

use crate::fault::Spec;
use crate::fault::course::{Course, Decided};
use crate::fault::lot::Decision;
use hub::Hub;

/// Where notes go. Called from every thread; must not block for long, must not panic.
pub type Sink = Box<dyn Fn(&Note<'_>) + Send + Sync>;

/// The way for notes up from the threads.
pub struct Journal {
    sink: Sink,
    /// Times of all routes.
    pub times: metrics::Times,
    /// The stream of events.
    pub events: Arc<Hub>,
}

impl Journal {
    /// A journal that tells everything to `sink`; `stamp` tells the time of day for events.
    pub fn new(sink: Sink, stamp: fn() -> String) -> Journal {
        Journal { sink, times: metrics::Times::default(), events: Hub::new(stamp) }
    }

    /// Tells what happened to the process.
    pub fn note(&self, event: Event<'_>) {
        self.tell(&Note { route: None, connection: None, event });
    }

    /// Tells what happened on a route, or on a connection of it.
    pub fn on_route(&self, route: &str, connection: Option<u64>, event: Event<'_>) {
        self.tell(&Note { route: Some(route), connection, event });
    }

    fn tell(&self, note: &Note<'_>) {
        (self.sink)(note);
        self.tell_readers(note);
    }

    /// Tells only who reads the stream of events.
    pub fn tell_readers(&self, note: &Note<'_>) {
        if !self.events.is_read() {
            return;
        }
        if let Some((name, fields)) = events::of(note) {
            self.events.tell(name, &fields);
        }
    }

    /// Tells who reads the stream what was decided about each fault.
    pub fn decided<'a>(
        &self,
        place: &events::Place<'_>,
        decisions: impl Iterator<Item = Decision<'a>>,
    ) {
        if self.events.is_read() {
            for decision in decisions {
                self.events.tell("decision", &events::decided(place, &decision));
            }
        }
    }

    /// Tells who reads the stream what came of each fault for a request.
    pub fn judged(&self, asked: &events::Asked<'_>, generation: u64, course: &Course) {
        let Some(message) = course.message.as_ref().filter(|_| self.events.is_read()) else {
            return;
        };
        for judged in &course.judged {
            let fields = events::judged(asked, generation, message, judged);
            self.events.tell("decision", &fields);
        }
    }

    /// Tells who reads the stream what a fault of requests did.
    pub fn carried_out(&self, asked: &events::Asked<'_>, course: &Course, decided: &Decided) {
        if !self.events.is_read() {
            return;
        }
        if let Some((name, fields)) = events::carried_out(asked, course, decided) {
            self.events.tell(name, &fields);
        }
    }

    /// Tells who reads the stream that other faults are, or are about to be, in force.
    pub fn changed(&self, route: &str, generation: u64, faults: &[Spec]) {
        if self.events.is_read() {
            self.events.tell("change", &events::changed(route, generation, faults));
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Journal")
    }
}
