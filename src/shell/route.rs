//! A route while it runs: what all its threads share.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Receiver;

use crate::config::plan::{self, Protocol};
use crate::control::ledger::Ledger;
use crate::control::{Cut, Live};
use crate::fault::course::Course;
use crate::fault::desk::Desk;
use crate::fault::exchange::Phase;
use crate::fault::lot::Decision;
use crate::fault::passage::Drawn;
use crate::fault::pipeline::{Effect, Owner};
use crate::fault::{Place, Spec};
use crate::journal::{Counters, Event, Injection, Journal, Note, Refusal, count, events};
use crate::shell::clock::Clock;
use crate::shell::doze::Dozing;
use crate::shell::resolve::Resolver;
use crate::shell::spare::Reserve;
use crate::shell::sys;
use crate::shell::threads::Pool;
use crate::units::Span;

/// What the whole process shares.
pub struct Shared {
    /// The seed of every decision.
    pub seed: u64,
    /// Zero of what connections share.
    pub epoch: Clock,
    /// Where notes go.
    pub journal: Arc<Journal>,
    /// Who is in flight.
    pub ledger: Arc<Ledger>,
    /// The copy threads.
    pub pool: Pool,
    /// Name lookups.
    pub resolver: Resolver,
    /// Whether there is a descriptor for another dial.
    pub reserve: Reserve,
}

/// What all threads of one route share.
pub struct Route {
    /// What the whole process shares.
    pub shared: Arc<Shared>,
    /// What was asked for.
    pub plan: plan::Route,
    /// The faults in force.
    pub live: Live,
    /// Its copy threads that are not in a poll.
    pub dozing: Dozing,
    /// What outlives a stop of the route.
    pub tally: Arc<Tally>,
    /// Connections at one time.
    pub active: Arc<AtomicUsize>,
    /// The bound on them.
    pub connections_max: usize,
    told: Mutex<Told>,
}

/// What a route has done so far, however often it was stopped and started.
#[derive(Default)]
pub struct Tally {
    /// What happened.
    pub counters: Counters,
    /// The number of the last connection.
    pub last_number: AtomicU64,
    /// The number of the first generation of faults when it starts again.
    pub next_generation: AtomicU64,
    /// Where its exchanges are decided, and counted.
    desk: Desk,
}

/// When a refusal was last told, and how many came since.
#[derive(Default)]
struct Told {
    last: Option<Clock>,
    since: u64,
}

/// A refusal is told at most this often.
const TELL_EVERY: Span = Span::from_ms(1000);

impl Route {
    /// A route that does not listen yet. Fails when no pipe can be had.
    pub fn new(shared: &Arc<Shared>, plan: plan::Route, tally: &Arc<Tally>) -> io::Result<Route> {
        let first = tally.next_generation.load(Ordering::Relaxed);
        let live = Live::new(first, plan.faults.clone(), sys::pipe)?;
        let each = match plan.protocol {
            Protocol::Tcp => 2,
            Protocol::Http => 3, // the bell between its threads
        };
        let connections_max = match plan.limits.connections {
            Some(max) => max as usize,
            None => default_connections_max(sys::descriptor_limit(), each),
        };
        Ok(Route {
            shared: Arc::clone(shared),
            live,
            dozing: Dozing::default(),
            tally: Arc::clone(tally),
            active: Arc::default(),
            connections_max,
            told: Mutex::default(),
            plan,
        })
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.tally.counters
    }

    /// Where its exchanges are decided.
    pub fn desk(&self) -> &Desk {
        &self.tally.desk
    }

    /// What all faults of a connection know of it.
    pub fn owner(&self, connection: u64, clock: Clock) -> Owner<'_> {
        let began = clock.began(self.shared.epoch);
        Owner { seed: self.shared.seed, route: &self.plan.name, connection, began, request: None }
    }

    /// Tells what happened on a connection.
    pub fn note(&self, connection: u64, event: Event<'_>) {
        self.shared.journal.on_route(&self.plan.name, Some(connection), event);
    }

    /// Puts other faults in force, and tells it first; see `Live::set_faults`.
    pub fn set_faults(&self, faults: Vec<Spec>) -> io::Result<Receiver<()>> {
        let tell = |version, faults: &[Spec]| {
            self.shared.journal.changed(&self.plan.name, version, faults);
        };
        let all_looked = self.live.set_faults(faults, &tell)?;
        self.dozing.rouse_all();
        Ok(all_looked)
    }

    /// Resets its live connections with numbers up to this one; see `Live::cut`.
    pub fn cut(&self, connection: u64) -> io::Result<()> {
        self.live.cut(connection)?;
        self.dozing.rouse_all();
        Ok(())
    }

    /// Ends it: its connections end now.
    pub fn end(&self, cut: Cut) {
        self.live.end(cut);
        self.dozing.rouse_all();
    }

    /// Counts and tells what a fault did for the first time in this direction of a connection.
    /// What it did to the opening is in the log already.
    pub fn acted(
        &self,
        connection: u64,
        direction: &'static str,
        drawn: Option<&Drawn>,
        effect: &Effect,
    ) {
        self.counters().acted(&effect.fault, effect.kind, effect.shadow);
        let is_opening = direction == Place::Connection.as_str();
        let injection = Injection {
            fault: &effect.fault,
            kind: effect.kind,
            direction,
            deed: effect.deed,
            offset: (!is_opening).then_some(effect.offset),
            shadow: effect.shadow,
            drawn,
        };
        let event = Event::Injected(&injection);
        match is_opening {
            false => self.note(connection, event),
            true => {
                let (route, connection) = (Some(&*self.plan.name), Some(connection));
                self.shared.journal.tell_readers(&Note { route, connection, event });
            }
        }
    }

    /// Tells who reads the stream what was decided about the faults of a pipeline.
    pub fn decided<'a>(
        &self,
        connection: u64,
        direction: &'static str,
        generation: u64,
        decisions: impl Iterator<Item = Decision<'a>>,
    ) {
        let place = events::Place { route: &self.plan.name, connection, direction, generation };
        self.shared.journal.decided(&place, decisions);
    }

    /// Tells who reads the stream what came of each fault for a request of a connection; both are
    /// given by their numbers.
    pub fn judged(&self, (connection, request): (u64, u64), generation: u64, course: &Course) {
        let place = events::Asked { route: &self.plan.name, connection, request };
        self.shared.journal.judged(&place, generation, course);
    }

    /// Counts what was decided about a request that is over, and tells who reads the stream. What
    /// acts on bytes does both itself.
    pub fn carried_out(&self, (connection, request): (u64, u64), course: &Course) {
        let place = events::Asked { route: &self.plan.name, connection, request };
        for decided in course.decided.iter().filter(|decided| decided.phase != Phase::Stream) {
            self.counters().acted(&decided.fault, decided.kind.name, decided.shadow);
            self.shared.journal.carried_out(&place, course, decided);
        }
    }

    /// Resets a client that is not served, counts it and tells it.
    pub fn refuse(&self, client: Option<&TcpStream>, refusal: Refusal) {
        client.into_iter().for_each(sys::reset);
        count(&self.counters().refused, 1);
        self.tell_refusal(refusal);
    }

    /// Tells a refusal, at most once a second, with the number of those that came since.
    pub fn tell_refusal(&self, refusal: Refusal) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.since += 1;
        if told.last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            let refused = Event::Refused(refusal, told.since);
            *told = Told { last: Some(Clock::start()), since: 0 };
            drop(told);
            self.shared.journal.on_route(&self.plan.name, None, refused);
        }
    }
}

/// Descriptors kept for what is not a connection.
const DESCRIPTORS_KEPT: u64 = 64;

/// As many as what is left of the descriptors is enough for, when a connection takes `each`; at
/// least 16.
fn default_connections_max(descriptors: u64, each: u64) -> usize {
    let most = descriptors.saturating_sub(DESCRIPTORS_KEPT) / each;
    usize::try_from(most).unwrap_or(usize::MAX).max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_bound_follows_the_descriptors() {
        assert_eq!(default_connections_max(20_000, 2), 9_968);
        assert_eq!(default_connections_max(64, 2), 16);
        assert_eq!(default_connections_max(0, 3), 16);
    }
}
