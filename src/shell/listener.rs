//! One listener and its accept thread. It never dials and never waits for a client.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{
    Receiver, RecvTimeoutError, Sender, TryRecvError, after, bounded, never, select,
};
use socket2::{Domain, SockRef, Socket, Type};

use crate::config::plan::Endpoint;
use crate::control::Generation;
use crate::control::ledger::Seat;
use crate::fault::gate::{Door, Gate};
use crate::journal::{Event, Refusal, count};
use crate::shell::clock::Clock;
use crate::shell::connection::{Accepted, Unserved};
use crate::shell::dial::words;
use crate::shell::door::{BACKLOG, Doorway};
use crate::shell::resolve;
use crate::shell::route::Route;
use crate::shell::spare::Spare;
use crate::shell::sys::{self, Interest, Watch};
use crate::shell::threads::Named;
use crate::units::{Span, Time};

/// Clients accepted in a row before changes are looked at again.
const ACCEPTS_MAX: usize = 64;

/// How often the accept queue is filled anew, where clients take the place in it.
const FILL_TRIES_MAX: usize = 8;

/// How long until the listener is made to do what it did not: doubled from the first of these up
/// to the second one.
const LISTEN_BACK_OFF: [Span; 2] = [Span::from_ms(100), Span::from_ms(5_000)];

/// How long accepting pauses when the system has nothing left: doubled from the first of these up
/// to the second one.
pub(super) const BACK_OFF: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(250)];

/// How long the first client beyond `maxConnections` may wait for a place, and how often one is
/// looked for.
const SEAT_WAIT: Span = Span::from_ms(250);
const SEAT_LOOK: Duration = Duration::from_millis(1);

/// A bound listener that does not accept yet.
pub struct Bound {
    listener: TcpListener,
    /// The address it has, with the port that the system chose.
    pub addr: SocketAddr,
}

impl Bound {
    /// Binds the first address of `endpoint` that can be bound; or the reason and a hint.
    pub fn bind(endpoint: &Endpoint) -> Result<Bound, String> {
        let addrs = resolve::blocking(endpoint)
            .map_err(|error| format!("{}; write an IP address", words(&error)))?;
        Bound::bind_to(&addrs).map_err(|(_, error)| format!("{}; {}", words(&error), hint(&error)))
    }

    /// Binds the first of these addresses that can be bound; or the last one, and why not.
    pub fn bind_to(addrs: &[SocketAddr]) -> Result<Bound, (SocketAddr, io::Error)> {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut last = (nowhere, io::Error::from(io::ErrorKind::AddrNotAvailable));
        for addr in addrs {
            match Bound::bind_one(*addr) {
                Ok(bound) => return Ok(bound),
                Err(error) => last = (*addr, error),
            }
        }
        Err(last)
    }

    fn bind_one(addr: SocketAddr) -> io::Result<Bound> {
        let mut socket = bind_socket(addr)?;
        if addr.port() == 0 {
            // Linux keeps a port through a shutdown of the listening only if it was asked for.
            let chosen = socket.local_addr()?.as_socket().unwrap_or(addr);
            socket = bind_socket(chosen)?;
        }
        socket.set_tcp_nodelay(true)?; // accepted sockets inherit it
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        Ok(Bound { addr: listener.local_addr()?, listener })
    }

    /// The bare listener, for who accepts by itself.
    pub fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// Begins to accept, until what this gives is stopped or dropped.
    pub fn accept(self, route: Arc<Route>) -> io::Result<Accepting> {
        let (listener, addr) = (Arc::new(self.listener), self.addr);
        listener.set_nonblocking(true)?;
        let (stop, stopped) = bounded(0);
        let name = format!("accept {}", route.plan.name).replace('\0', " ");
        let own = Arc::clone(&listener);
        let thread = Named::start(&name, move || {
            Acceptor::new(&route, &own, addr, stopped).run();
        })?;
        Ok(Accepting(Some(Parts { _stop: stop, listener, _thread: thread })))
    }
}

/// A socket of its own with this address, which does not listen yet.
fn bind_socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?; // connections of an earlier run may still linger
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// What the user can do about a failed bind.
pub fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if sys::is_out_of_descriptors(error) => "raise the limit of descriptors (ulimit -n)",
        io::ErrorKind::AddrInUse => "another process listens there",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need rights; choose a higher one",
        _ => "choose another address or port",
    }
}

/// A listener that accepts. Dropping it stops it.
pub struct Accepting(Option<Parts>);

/// Let go of in this order: the signal to stop, the listener, the thread, which is joined.
struct Parts {
    /// Dropping it is the signal; it never carries anything.
    _stop: Sender<()>,
    listener: Arc<TcpListener>,
    _thread: Named,
}

impl Accepting {
    /// Refuses new connections at once, joins the thread and gives the port back.
    pub fn stop(&mut self) {
        let Some(Parts { _stop, listener, _thread }) = self.0.take() else { return };
        drop(_stop);
        // On Linux this wakes whoever waits for a client, and ends the listening as well.
        let _ = SockRef::from(&*listener).shutdown(std::net::Shutdown::Both);
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Acceptor<'a> {
    route: &'a Arc<Route>,
    listener: &'a TcpListener,
    addr: SocketAddr,
    stopped: Receiver<()>,
    /// For the moment when there is no descriptor left.
    spare: Spare<'a>,
    /// Pauses in a row.
    paused: u32,
    /// The last client that came got a place.
    patient: bool,
    /// Zero when the route began to accept.
    clock: Clock,
    /// What the faults in force make of the listener.
    gate: Gate,
    /// Held until what it asks for is done: whoever changed the faults waits for that.
    generation: Arc<Generation>,
    doorway: Doorway<'a>,
    /// Live connections are to be reset, and were not yet.
    owes_cut: bool,
    failing: Option<Failing>,
}

/// The listener could not be made to do something, so often in a row.
#[derive(Clone, Copy)]
struct Failing {
    door: Door,
    times: u32,
    /// When it is tried again.
    again: Time,
}

impl<'a> Acceptor<'a> {
    fn new(
        route: &'a Arc<Route>,
        listener: &'a TcpListener,
        addr: SocketAddr,
        stopped: Receiver<()>,
    ) -> Acceptor<'a> {
        let generation = route.live.generation();
        let (clock, mut gate) = (Clock::start(), Gate::default());
        gate.retune(clock.now(), &generation.faults);
        Acceptor {
            route,
            listener,
            addr,
            stopped,
            spare: Spare::of(listener, &route.shared.reserve),
            paused: 0,
            patient: true,
            clock,
            gate,
            generation,
            doorway: Doorway::new(listener),
            owes_cut: false,
            failing: None,
        }
    }

    fn run(&mut self) {
        loop {
            let next = self.follow();
            if self.is_stopped() {
                return; // looked at after listening began again: a stop ends that after its signal
            }
            if self.wait(next) {
                self.accept_some();
            }
        }
    }

    /// Waits for a client, a change of faults, a stop, or until `next`. True for a client.
    fn wait(&self, next: Time) -> bool {
        let left = (next != Time::NEVER).then(|| next - self.clock.now());
        if self.doorway.door() != Door::Serving {
            let timer = left.map_or_else(never, |left| after(left.to_duration()));
            select! {
                recv(self.stopped) -> _ => {}
                recv(self.generation.over()) -> _ => {}
                recv(timer) -> _ => {}
            }
            return false;
        }
        let listener = Watch::new(self.listener.as_fd(), Interest::Readable);
        let wake = Watch::new(self.generation.wake.as_fd(), Interest::Trouble);
        match sys::poll([listener, wake], left) {
            Ok([listener, _]) => listener.any(),
            Err(_) => true, // accepting tells what is wrong
        }
    }

    /// Does what the faults in force make of the listener by now; when to look again.
    fn follow(&mut self) -> Time {
        let latest = self.route.live.generation();
        let now = self.clock.now();
        if latest.number != self.generation.number {
            self.gate.retune(now, &latest.faults);
        }
        let (turns, door) = (self.gate.turns(now), self.gate.door(now));
        self.owes_cut |= turns.iter().any(|turn| turn.reset_live && !turn.shadow);
        let waits = self.failing.filter(|failing| failing.door == door && now < failing.again);
        if waits.is_none() {
            let done = self.perform(door);
            self.take_note(door, done);
        }
        for turn in &turns {
            self.tell(Event::Turned(turn, self.doorway.door()));
            if turn.door != Door::Serving {
                self.route.counters().acted(&turn.fault, turn.kind, turn.shadow);
            }
        }
        self.generation = latest;
        let again = self.failing.map_or(Time::NEVER, |failing| failing.again);
        self.gate.next(now).min(again)
    }

    /// Makes the listener do this, and resets the live connections where that is owed.
    fn perform(&mut self, door: Door) -> io::Result<()> {
        if door != self.doorway.door() {
            match door {
                Door::Serving => self.doorway.serve()?,
                Door::Refusing => {
                    self.accept_waiting();
                    self.doorway.refuse();
                }
                Door::Hanging => self.hang().inspect_err(|_| {
                    let _ = self.doorway.serve(); // fails where it refuses, which goes on then
                })?,
            }
        }
        if self.owes_cut {
            let last = self.route.tally.last_number.load(Ordering::Relaxed);
            self.route.cut(last).map_err(|error| {
                io::Error::other(format!("live connections are not reset yet: {}", words(&error)))
            })?;
            self.owes_cut = false;
        }
        Ok(())
    }

    /// Who has connected before is served; afterwards no connect is answered.
    fn hang(&mut self) -> io::Result<()> {
        self.doorway.narrow()?;
        for _ in 0..FILL_TRIES_MAX {
            self.accept_waiting();
            let filled = self.doorway.fill(&self.route.shared.reserve)?;
            // No answer, and nobody in the queue: the kernel answers none without our help.
            if filled || !self.is_client_waiting() {
                self.doorway.hang();
                return Ok(());
            }
        }
        Err(io::Error::other("clients came faster than the queue could be filled"))
    }

    /// Remembers and tells whether the listener does what it is to do.
    fn take_note(&mut self, door: Door, done: io::Result<()>) {
        let before = self.failing.filter(|failing| failing.door == door);
        let Err(error) = done else {
            if self.failing.take().is_some() && door == Door::Serving {
                self.tell(Event::Listening(self.addr));
            }
            return;
        };
        let times = before.map_or(0, |failing| failing.times);
        let [first, last] = LISTEN_BACK_OFF;
        let pause = Span(first.0 << times.min(16)).min(last);
        let again = self.clock.now() + pause;
        self.failing = Some(Failing { door, times: times + 1, again });
        self.tell(Event::ListenFailed(door, &words(&error), pause));
        count(&self.route.counters().listen_failures, 1);
    }

    fn tell(&self, event: Event<'_>) {
        self.route.shared.journal.on_route(&self.route.plan.name, None, event);
    }

    fn is_client_waiting(&self) -> bool {
        let listener = Watch::new(self.listener.as_fd(), Interest::Readable);
        sys::poll([listener], Some(Span::ZERO)).is_ok_and(|[listener]| listener.ready)
    }

    /// Accepts all who have connected already.
    fn accept_waiting(&mut self) {
        for _ in 0..BACKLOG as usize / ACCEPTS_MAX {
            if !self.is_client_waiting() || self.is_stopped() {
                return;
            }
            self.accept_some();
        }
    }

    /// Accepts until nobody waits; not for long, for there may be a change to look at.
    fn accept_some(&mut self) {
        for accepted in 0..ACCEPTS_MAX {
            let result = self.listener.accept();
            if self.is_stopped() {
                return;
            }
            match result {
                Ok((_, peer)) if self.doorway.is_filler(peer) => {}
                Ok((client, peer)) => {
                    self.paused = 0;
                    self.spare.restore();
                    let number = self.next_number();
                    self.hand_over(number, client, peer);
                }
                Err(error) if sys::is_wait(&error) => return,
                // accept(2) wants a descriptor before it looks for a client: is there one?
                Err(error) if sys::is_out_of_descriptors(&error) && accepted > 0 => return,
                Err(error) if sys::is_out_of_descriptors(&error) => return self.refuse_one(),
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => {
                    self.route.tell_refusal(why_not(&error));
                    return self.pause();
                }
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Counts a client, and gives it its number on the route.
    fn next_number(&self) -> u64 {
        count(&self.route.counters().accepted, 1);
        self.route.tally.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A place for one more connection. When all are taken, one may be about to be left: a client
    /// that comes back at once is here before the threads of its last connection are done. That is
    /// waited for once; as long as none comes free, those who come next are not kept waiting.
    fn seat(&mut self) -> Option<Seat> {
        let route = self.route;
        let enter = || route.shared.ledger.enter(&route.active, route.connections_max);
        let (mut seat, begun) = (enter(), Clock::start());
        while seat.is_none() && self.patient && begun.elapsed() < SEAT_WAIT {
            if self.stopped.recv_timeout(SEAT_LOOK) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            seat = enter();
        }
        self.patient = seat.is_some();
        seat
    }

    /// Gives the client to a copy thread, or refuses it.
    fn hand_over(&mut self, number: u64, client: TcpStream, peer: SocketAddr) {
        let clock = Clock::start();
        let route = self.route;
        let Some(seat) = self.seat() else {
            return route.refuse(Some(&client), Refusal::MaxConnections);
        };
        let accepted = Accepted { route: Arc::clone(route), number, client, peer, clock, seat };
        let unserved = Unserved::new(accepted); // reset when it is dropped with its job
        if route.shared.pool.run(Box::new(move || unserved.serve())).is_err() {
            route.refuse(None, Refusal::Threads);
        }
    }

    /// Out of descriptors: uses the spare one to accept one client and reset it.
    fn refuse_one(&mut self) {
        let (listener, stopped, doorway) = (self.listener, &self.stopped, &mut self.doorway);
        let (refused, is_kept) = self.spare.lend(|| match listener.accept() {
            Ok((_, peer)) if doorway.is_filler(peer) => None,
            Ok((client, _)) if stopped.try_recv() != Err(TryRecvError::Disconnected) => {
                sys::reset(&client);
                Some(true)
            }
            _ => Some(false),
        });
        match refused {
            Some(true) => {
                self.next_number();
                self.route.refuse(None, Refusal::Descriptors);
            }
            Some(false) => self.route.tell_refusal(Refusal::Descriptors),
            None => return,
        }
        if refused == Some(false) || !is_kept {
            self.pause();
        }
    }

    /// Waits a little, or until the listener is to stop.
    fn pause(&mut self) {
        let pause = BACK_OFF[0].saturating_mul(1 << self.paused.min(8)).min(BACK_OFF[1]);
        self.paused += 1;
        let _ = self.stopped.recv_timeout(pause); // a stop is looked at by whoever accepts
    }
}

/// What is told of an error for which nobody can be accepted for now.
fn why_not(error: &io::Error) -> Refusal {
    match sys::is_out_of_memory(error) {
        true => Refusal::Memory,
        false => Refusal::System,
    }
}

/// Errors that accept passes on from a connection that has died meanwhile (accept(2)).
pub(super) fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::Interrupted | Kind::ConnectionAborted | Kind::ConnectionReset | Kind::WouldBlock
    )
}

/// Tells where a listener is.
pub fn tell(route: &Route, addr: SocketAddr) {
    route.shared.journal.on_route(&route.plan.name, None, Event::Listening(addr));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_accept_are_told_apart() {
        let of = |number: i32| io::Error::from_raw_os_error(number);
        assert!(is_about_one_client(&of(libc::ECONNABORTED)));
        for number in [libc::ENOMEM, libc::ENOBUFS] {
            assert_eq!(why_not(&of(number)), Refusal::Memory);
        }
        assert_eq!(why_not(&of(libc::EPERM)), Refusal::System);
        assert!(!is_about_one_client(&of(libc::ENOMEM)));
    }
}
