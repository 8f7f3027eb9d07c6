//! One relayed connection: what its two copy threads share.

use std::net::{Shutdown, TcpStream};

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::config::plan::Protocol;
use crate::control::Cut;
use crate::control::ledger::Seat;
use crate::fault::passage::Bearings;
use crate::fault::pipeline::Owner;
use crate::fault::{Direction, Spec};
use crate::journal::{Closing, Event, FaultTotal, Limit, Reason, Refusal, count};
use crate::shell::clock::Clock;
use crate::shell::doze::Doze;
use crate::shell::route::Route;
use crate::shell::sys;
use crate::units::{Span, Time};

/// A connection between a client and its upstream. The last copy thread to let go of it tells
/// `closed`, or counts what else became of it, closes both sockets and gives the seat back, in this
/// order.
pub struct Link {
    route: Arc<Route>,
    /// Its number on the route.
    pub number: u64,
    /// Zero when it was accepted.
    pub clock: Clock,
    client: TcpStream,
    /// On an http route there is none until the first request goes there.
    upstream: OnceLock<TcpStream>,
    /// The upstream is being dialled, which has a limit of its own for being idle.
    dialling: AtomicBool,
    /// When a byte last moved, in ns of `clock`; kept only when the route has an idle limit.
    moved: AtomicU64,
    bytes: [AtomicU64; 2],
    finished: [AtomicBool; 2],
    fate: OnceLock<Reason>,
    unserved: OnceLock<Unserved>,
    blamed: AtomicBool,
    totals: Mutex<Vec<FaultTotal>>,
    _seat: Seat, // last: dropped after the sockets
}

/// What a new link is made of.
pub struct Ends {
    /// Its number on the route.
    pub number: u64,
    /// Zero when it was accepted.
    pub clock: Clock,
    /// The client's socket, not blocking.
    pub client: TcpStream,
    /// The upstream's socket, not blocking, if it was dialled already.
    pub upstream: Option<TcpStream>,
    /// Its place in the ledger.
    pub seat: Seat,
}

/// What became of a connection that does not count as closed.
#[derive(Clone, Copy, Debug)]
enum Unserved {
    /// Its upstream could not be reached.
    UpstreamFailed,
    /// There was no descriptor for its upstream.
    Refused,
}

impl Link {
    /// A link whose idle time begins now.
    pub fn new(route: &Arc<Route>, ends: Ends) -> Arc<Link> {
        Arc::new(Link {
            route: Arc::clone(route),
            number: ends.number,
            moved: AtomicU64::new(ends.clock.now().0),
            clock: ends.clock,
            client: ends.client,
            upstream: ends.upstream.map_or_else(OnceLock::new, OnceLock::from),
            dialling: AtomicBool::new(false),
            bytes: Default::default(),
            finished: Default::default(),
            fate: OnceLock::new(),
            unserved: OnceLock::new(),
            blamed: AtomicBool::new(false),
            totals: Mutex::default(),
            _seat: ends.seat,
        })
    }

    /// The route it is on.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What all its faults know of it.
    pub fn owner(&self) -> Owner<'_> {
        self.route().owner(self.number, self.clock)
    }

    /// What is known of a direction when its faults are put in force.
    pub fn bearings<'a>(
        &self,
        owner: &'a Owner<'a>,
        direction: Direction,
        faults: &'a [Spec],
    ) -> Bearings<'a> {
        let on_http = self.route.plan.protocol == Protocol::Http;
        Bearings { owner, direction, on_http, faults }
    }

    /// Where the bytes of a direction come from, and where they go; none where nobody was dialled.
    pub fn ends(&self, direction: Direction) -> (Option<&TcpStream>, Option<&TcpStream>) {
        match direction {
            Direction::Upstream => (Some(&self.client), self.upstream.get()),
            Direction::Downstream => (self.upstream.get(), Some(&self.client)),
        }
    }

    /// The upstream is being dialled, until `reach`, `fail` or `refuse`.
    pub fn begin_dial(&self) {
        self.dialling.store(true, Ordering::Release);
    }

    /// The upstream was dialled; its idle time begins now. Only one thread dials, and once.
    pub fn reach(&self, upstream: TcpStream) {
        let _ = self.upstream.set(upstream);
        self.end_dial();
    }

    /// The upstream could not be reached: that is what became of the connection. It goes on for as
    /// long as it takes to say so.
    pub fn fail(&self) {
        let _ = self.unserved.set(Unserved::UpstreamFailed); // there is one dial
        self.end_dial();
    }

    /// There is no descriptor for the upstream: the client is reset.
    pub fn refuse(&self) {
        if self.end(Reason::Internal, Cut::Reset) {
            let _ = self.unserved.set(Unserved::Refused); // there is one dial
            self.route.tell_refusal(Refusal::Descriptors);
        }
    }

    fn end_dial(&self) {
        self.moved();
        self.dialling.store(false, Ordering::Release); // after that: see `deadline`
    }

    /// What an error on the source (or the target) of a direction says about the peers.
    pub fn reset_by(&self, direction: Direction, at_source: bool) -> Reason {
        match (direction, at_source) {
            (Direction::Upstream, true) | (Direction::Downstream, false) => Reason::ClientReset,
            (Direction::Upstream, false) | (Direction::Downstream, true) => Reason::UpstreamReset,
        }
    }

    /// Counts bytes of a direction: those that were read since the last call, and those that were
    /// written. Only the thread of the direction calls it.
    pub fn count(&self, direction: Direction, read: usize, written: usize) {
        let (counters, sent) = (self.route.counters(), &self.bytes[direction as usize]);
        sent.store(sent.load(Ordering::Relaxed) + written as u64, Ordering::Relaxed);
        match read == written {
            true => counters.passed(direction, read as u64),
            false => {
                counters.received(direction, read as u64);
                counters.sent(direction, written as u64);
            }
        }
        if written > 0 {
            self.moved();
        }
    }

    /// A byte was read or written: the idle time begins again.
    pub fn moved(&self) {
        if self.route.plan.limits.idle.is_some() {
            self.moved.store(self.clock.now().0, Ordering::Relaxed);
        }
    }

    /// When a limit of the route is met, if no byte moves before.
    pub fn deadline(&self) -> Time {
        let limits = &self.route.plan.limits;
        let idle = limits.idle.filter(|_| !self.dialling.load(Ordering::Acquire));
        let moved = || Time(self.moved.load(Ordering::Relaxed));
        idle.map_or(Time::NEVER, |idle| moved() + idle).min(limits.end_of_life())
    }

    /// True when its route has a limit of time.
    pub fn is_limited(&self) -> bool {
        let limits = &self.route.plan.limits;
        limits.idle.is_some() || limits.lifetime.is_some()
    }

    /// Ends the connection with FIN when a limit is met at `now`; true when it is over.
    pub fn enforce_limits(&self, now: Time) -> bool {
        if now < self.deadline() {
            return self.is_over();
        }
        let limits = &self.route.plan.limits;
        let (limit, span) = match limits.lifetime.filter(|_| now >= limits.end_of_life()) {
            Some(span) => (Limit::Lifetime, span),
            None => (Limit::Idle, limits.idle.unwrap_or(Span::ZERO)),
        };
        if self.end(Reason::TimedOut, Cut::Close) {
            count(&self.route.counters().timed_out, 1);
            self.note(Event::TimedOut(limit, span));
        }
        true
    }

    /// Ends both sockets at once, and wakes whoever waits on them. True for the first to do so.
    pub fn end(&self, reason: Reason, cut: Cut) -> bool {
        let first = self.fate.set(reason).is_ok();
        for stream in [Some(&self.client), self.upstream.get()].into_iter().flatten() {
            match cut {
                Cut::Close if first => drop(stream.shutdown(Shutdown::Both)),
                Cut::Reset if first => sys::reset(stream),
                Cut::Close | Cut::Reset => {}
            }
        }
        if first {
            // Where the kernel refuses to reset a socket that is read (Linux 6.4 to 6.6).
            self.rouse(Direction::Upstream);
            self.rouse(Direction::Downstream);
        }
        first
    }

    /// The thread of a direction looks what there is to do, if it dozes.
    pub fn rouse(&self, direction: Direction) {
        self.route.dozing.rouse(self.number, direction);
    }

    /// The calling thread, that of the direction, dozes on its source from here on.
    pub fn doze<'a>(&'a self, direction: Direction, source: &'a TcpStream) -> Option<Doze<'a>> {
        self.route.dozing.begin((self.number, direction), source).ok()
    }

    /// The FIN that is passed on is the work of a fault.
    pub fn blame(&self) {
        self.blamed.store(true, Ordering::SeqCst);
    }

    /// Why it ended. How the peers take the end that a fault has made is no reason of its own.
    fn reason(&self) -> Reason {
        let reason = self.fate.get().copied().unwrap_or(Reason::Finished);
        let is_answer =
            matches!(reason, Reason::Finished | Reason::ClientReset | Reason::UpstreamReset);
        if is_answer && self.blamed.load(Ordering::SeqCst) { Reason::Fault } else { reason }
    }

    /// True when the connection was ended out of course.
    pub fn is_over(&self) -> bool {
        self.fate.get().is_some()
    }

    /// A direction has passed its FIN on.
    pub fn finish(&self, direction: Direction) {
        self.finished[direction as usize].store(true, Ordering::SeqCst);
        let (_, target) = self.ends(direction);
        let shut = |target: &TcpStream| target.shutdown(Shutdown::Write);
        let _ = target.map(shut); // gone already: the other direction will tell
    }

    /// True when a direction has passed its FIN on.
    pub fn is_finished(&self, direction: Direction) -> bool {
        self.finished[direction as usize].load(Ordering::SeqCst)
    }

    /// Remembers what faults did in sum, for the note at the close.
    pub fn add_totals(&self, totals: impl Iterator<Item = FaultTotal>) {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).extend(totals);
    }

    fn closing(&self) -> Closing {
        let bytes = |direction: Direction| self.bytes[direction as usize].load(Ordering::Relaxed);
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        Closing {
            bytes_up: bytes(Direction::Upstream),
            bytes_down: bytes(Direction::Downstream),
            lived: self.clock.elapsed(),
            reason: self.reason(),
            totals: std::mem::take(&mut totals),
        }
    }

    /// Tells what happened on this connection.
    pub fn note(&self, event: Event<'_>) {
        self.route.note(self.number, event);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Told first: who sees the count finds the note.
        let counters = self.route.counters();
        let outcome = match self.unserved.get() {
            Some(Unserved::UpstreamFailed) => &counters.upstream_failed,
            Some(Unserved::Refused) => &counters.refused,
            None => {
                self.note(Event::Closed(&self.closing()));
                &counters.closed
            }
        };
        count(outcome, 1);
        if self.is_over() {
            [Some(&self.client), self.upstream.get()].into_iter().flatten().for_each(let_go);
        }
    }
}

/// A peer that was writing is told that nobody reads, by RST: the read side is shut, so its window
/// never opens again, and after a FIN alone it would wait for as long as FIN-WAIT-2 lasts.
fn let_go(stream: &TcpStream) {
    if discard_input(stream).bytes > 0 {
        sys::reset(stream);
    }
}

/// Reads to discard at a close: 8 MiB, more than a receive buffer holds.
const DISCARD_READS_MAX: usize = 2048;

/// Throws away what a peer had sent and nobody will read: closing with unread input would send
/// RST behind our FIN, and take away what the peer has not read yet.
pub fn discard_input(stream: &TcpStream) -> Discarded {
    let (mut scrap, mut discarded) = ([0; 4096], Discarded::default());
    for _ in 0..DISCARD_READS_MAX {
        match sys::receive(stream, &mut scrap, false) {
            Ok(count @ 1..) => discarded.bytes += count,
            Err(error) if sys::is_wait(&error) => break,
            Ok(0) | Err(_) => {
                discarded.ended = true;
                break;
            }
        }
    }
    discarded
}

/// What was thrown away of a peer's bytes.
#[derive(Default)]
pub struct Discarded {
    /// How many there were.
    pub bytes: usize,
    /// Nothing more can come.
    pub ended: bool,
}
