//! The life of a connection from accept on: decide, dial, relay both ways.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::config::plan::Protocol;
use crate::control::Cut;
use crate::control::ledger::Seat;
use crate::fault::course::Decided;
use crate::fault::desk::Ground;
use crate::fault::pipeline::{Deed, Effect, Pipeline};
use crate::fault::{Action, Direction, Place, Step};
use crate::journal::{Closing, Event, Limit, Reason, Refusal, count};
use crate::shell::clock::Clock;
use crate::shell::dial::{Budget, Caller, DialError, dial};
use crate::shell::http_half::{self, Half};
use crate::shell::link::{Ends, Link, discard_input};
use crate::shell::relay;
use crate::shell::route::Route;
use crate::shell::sys::{self, Interest, Policy, Watch};
use crate::units::{Span, Time};

/// How long a gentle close waits for the client's own FIN.
const CLOSE_LINGER: Span = Span::from_ms(1000);

/// A client that was accepted and given a seat.
pub struct Accepted {
    /// Its route.
    pub route: Arc<Route>,
    /// Its number on the route, from 1.
    pub number: u64,
    /// Its socket.
    pub client: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Zero when it was accepted.
    pub clock: Clock,
    /// Its place in the ledger.
    pub seat: Seat,
}

/// What the faults of level connection made of the opening.
enum Opening {
    /// It is to be dialled.
    Dial,
    /// It is to end like this, and has been counted as dropped.
    Drop(Mode),
    /// It ended for another reason before that was decided.
    End(Reason),
}

/// How a connection is dropped.
#[derive(Clone, Copy)]
enum Mode {
    Reset,
    Close,
    Hang,
}

/// A client that waits for a thread; when there is none, it is reset.
pub struct Unserved(Option<Accepted>);

impl Unserved {
    /// Holds a client until it is served.
    pub fn new(accepted: Accepted) -> Unserved {
        Unserved(Some(accepted))
    }

    /// Serves it to its end.
    pub fn serve(mut self) {
        self.0.take().into_iter().for_each(serve);
    }
}

impl Drop for Unserved {
    fn drop(&mut self) {
        self.0.iter().for_each(|accepted| sys::reset(&accepted.client));
    }
}

/// Serves one client to its end; runs on a copy thread, which goes on as the one that copies
/// towards the upstream.
fn serve(accepted: Accepted) {
    sys::schedule(Policy::Batch); // whatever this thread did before
    let route = Arc::clone(&accepted.route);
    route.note(accepted.number, Event::Accepted(accepted.peer));
    match accepted.open() {
        Opening::Dial => match route.plan.protocol {
            Protocol::Tcp => accepted.dial(),
            Protocol::Http => accepted.relay(None), // dialled for the first request that goes there
        },
        Opening::Drop(mode) => accepted.drop_client(mode),
        Opening::End(reason) => accepted.close(reason),
    }
}

impl Accepted {
    /// Lets the faults decide about the opening, and waits for what they planned.
    fn open(&self) -> Opening {
        let client = &self.client;
        if client.set_nonblocking(true).is_err() {
            return Opening::End(Reason::ClientReset);
        }
        let generation = self.route.live.generation();
        if !generation.faults.iter().any(|fault| fault.place == Place::Connection) {
            return Opening::Dial;
        }
        let owner = self.route.owner(self.number, self.clock);
        let (number, faults) = (generation.number, &generation.faults);
        let owned = owner.clone();
        let ground =
            Ground { owner: owned, generation: number, faults, explain: false, judges: false };
        let desk = self.route.desk();
        if let Some(refused) = desk.refuses(&ground, self.peer.ip(), self.clock.now()) {
            let Decided { fault, kind, shadow, .. } = refused;
            let kind = kind.name;
            let effect = Effect { fault, kind, deed: Deed::Reset, offset: 0, shadow };
            self.route.acted(self.number, Place::Connection.as_str(), None, &effect);
            return Opening::Drop(Mode::Reset);
        }
        let mut pipeline = Pipeline::for_connection(&owner, &generation.faults);
        pipeline.push(Step { at: self.clock.now(), action: Action::Open });
        let place = Place::Connection.as_str();
        self.route.decided(self.number, place, generation.version, pipeline.decisions());
        for effect in pipeline.take_effects() {
            self.route.acted(self.number, place, None, &effect);
        }
        loop {
            match pipeline.pop_due(self.clock.now()).map(|step| step.action) {
                Some(Action::Open) => return Opening::Dial,
                Some(Action::Close) => return Opening::Drop(Mode::Close),
                Some(Action::Reset) => return Opening::Drop(Mode::Reset),
                Some(Action::Send(_) | Action::Finish) => {} // bytes are no business of openings
                None => match pipeline.next_due() {
                    None => return Opening::Drop(Mode::Hang),
                    Some(due) => {
                        if let Err(reason) = self.wait(Interest::Trouble, due) {
                            return Opening::End(reason);
                        }
                    }
                },
            }
        }
    }

    fn drop_client(self, mode: Mode) {
        let word = match mode {
            Mode::Reset => "reset",
            Mode::Close => "close",
            Mode::Hang => "hang",
        };
        self.route.note(self.number, Event::Dropped(word));
        count(&self.route.counters().dropped, 1);
        match mode {
            Mode::Reset => sys::reset(&self.client),
            Mode::Close => self.close_gently(),
            Mode::Hang => self.hang(),
        }
    }

    /// Silence until the client gives up (its FIN or RST) or a limit of the route is met.
    fn hang(&self) {
        let limits = &self.route.plan.limits;
        let idle = limits.idle.map_or(Time::NEVER, |idle| Time::ZERO + idle);
        let (limit, deadline) = match limits.end_of_life() {
            end if end < idle => (Limit::Lifetime, end),
            _ => (Limit::Idle, idle),
        };
        match self.wait(Interest::Departure, deadline) {
            Err(Reason::Shutdown | Reason::Fault) => sys::reset(&self.client),
            Err(_) | Ok(true) => {}
            Ok(false) => {
                self.route.note(self.number, Event::TimedOut(limit, deadline - Time::ZERO));
                self.close_gently();
            }
        }
    }

    /// FIN, and then what the client still sends is thrown away for a while: closing with unread
    /// input would send RST behind the FIN.
    fn close_gently(&self) {
        let _ = self.client.shutdown(Shutdown::Write); // gone already: nothing to be gentle with
        let deadline = self.clock.now() + CLOSE_LINGER;
        while let Ok(true) = self.wait(Interest::Readable, deadline) {
            if discard_input(&self.client).ended {
                return;
            }
        }
    }

    /// Waits for the client, `deadline` or the end of the route: true when the client did what
    /// was waited for, or the reason why the connection ends.
    fn wait(&self, interest: Interest, deadline: Time) -> Result<bool, Reason> {
        loop {
            let generation = self.route.live.generation();
            if let Some(end) = generation.end_of(self.number) {
                return Err(end.told().0);
            }
            let left = deadline - self.clock.now();
            if left == Span::ZERO {
                return Ok(false);
            }
            let timeout = (deadline != Time::NEVER).then_some(left);
            let client = Watch::new(self.client.as_fd(), interest);
            let wake = Watch::new(generation.wake.as_fd(), Interest::Trouble);
            match sys::poll([client, wake], timeout) {
                Err(_) => return Err(Reason::Internal),
                Ok([client, _]) if client.error || client.hang_up => {
                    return Err(Reason::ClientReset);
                }
                Ok([client, _]) if client.ready => return Ok(true),
                Ok(_) => {}
            }
        }
    }

    fn dial(self) {
        let Accepted { route, clock, number, .. } = &self;
        let budget = Budget::of_connection(&route.plan.limits);
        let caller = Caller { route, number: *number, clock: *clock, budget, begun: clock.now() };
        match dial(caller, &self.client) {
            Ok((upstream, addr)) => {
                caller.tell_reached(&upstream, addr);
                self.relay(Some(upstream));
            }
            Err(DialError::ClientGone) => self.close(Reason::ClientReset),
            Err(DialError::Ended(end)) => self.close(end.told().0),
            Err(DialError::Descriptors) => {
                route.refuse(Some(&self.client), Refusal::Descriptors);
            }
            Err(error @ (DialError::Failed(_) | DialError::TimedOut(_))) => {
                caller.tell_failed(&error);
                count(&route.counters().upstream_failed, 1);
                sys::reset(&self.client);
            }
        }
    }

    /// Copies both ways: this thread towards the upstream, another one towards the client.
    fn relay(self, upstream: Option<TcpStream>) {
        let halves = match self.halves() {
            Ok(halves) => halves,
            Err(_) => return self.route.refuse(Some(&self.client), Refusal::Descriptors),
        };
        let generation = self.route.live.generation();
        if let Some(end) = generation.end_of(self.number) {
            return self.close(end.told().0); // no later generation wakes it to tell
        }
        let Accepted { route, number, client, clock, seat, .. } = self;
        let link = Link::new(&route, Ends { number, clock, client, upstream, seat });
        let (other, snapshot) = (Arc::clone(&link), Arc::clone(&generation));
        let (up, down) = halves;
        let downstream = move || relay::copy(&other, Direction::Downstream, snapshot, down);
        match route.shared.pool.run(Box::new(downstream)) {
            Ok(()) => relay::copy(&link, Direction::Upstream, generation, up),
            Err(_) => {
                route.tell_refusal(Refusal::Threads);
                link.end(Reason::NoThread, Cut::Reset);
            }
        }
    }

    /// What an http route reads messages with. Fails when there is no descriptor left.
    fn halves(&self) -> std::io::Result<(Option<Half>, Option<Half>)> {
        match self.route.plan.protocol {
            Protocol::Tcp => Ok((None, None)),
            Protocol::Http => {
                let head_span = self.route.plan.limits.head_span();
                let pair = || http_half::pair(self.peer.ip(), head_span);
                let (up, down) = self.route.shared.reserve.open(pair)?;
                Ok((Some(up), Some(down)))
            }
        }
    }

    /// The connection ends before it was dialled.
    fn close(&self, reason: Reason) {
        if reason != Reason::ClientReset {
            sys::reset(&self.client);
        }
        let closing = Closing {
            bytes_up: 0,
            bytes_down: 0,
            lived: self.clock.elapsed(),
            reason,
            totals: Vec::new(),
        };
        self.route.note(self.number, Event::Closed(&closing));
        count(&self.route.counters().closed, 1);
    }
}
