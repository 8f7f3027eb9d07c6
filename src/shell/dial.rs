//! Reaching the upstream within a budget that covers looking its name up.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::plan::{self, Host};
use crate::control::End;
use crate::journal::{Event, Limit};
use crate::shell::clock::Clock;
use crate::shell::resolve::{self, Lookup};
use crate::shell::route::Route;
use crate::shell::sys::{self, Found, Interest, Watch};
use crate::units::{Span, Time};

/// Why the upstream was not reached.
#[derive(Debug)]
pub enum DialError {
    /// Every address failed; holds why, of the last one.
    Failed(String),
    /// The budget is over; holds what was being done, and with what.
    TimedOut(String),
    /// The process has no descriptor left.
    Descriptors,
    /// The client reset its connection meanwhile.
    ClientGone,
    /// The route is over, or the connection was cut off.
    Ended(End),
}

impl fmt::Display for DialError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialError::Failed(reason) => out.write_str(reason),
            DialError::TimedOut(doing) => write!(out, "timed out while {doing}"),
            DialError::Descriptors => out.write_str("no descriptor left"),
            DialError::ClientGone => out.write_str("the client left"),
            DialError::Ended(_) => out.write_str("it was ended"),
        }
    }
}

/// How long a dial may take.
#[derive(Clone, Copy)]
pub struct Budget {
    /// Since when it counts.
    since: Time,
    limit: Limit,
    span: Span,
}

impl Budget {
    /// What a connection that was accepted at zero has to reach its upstream: no longer than it
    /// may live or be idle.
    pub fn of_connection(limits: &plan::Limits) -> Budget {
        let lifetime = (limits.lifetime.unwrap_or(FOR_EVER), Limit::Lifetime);
        Budget::shortest([(limits.connect, Limit::Connect), idle(limits), lifetime], Time::ZERO)
    }

    /// What is left to a connection that is in use at `now`; who has it looks after its lifetime.
    pub fn of_request(limits: &plan::Limits, now: Time) -> Budget {
        Budget::shortest([(limits.connect, Limit::Connect), idle(limits)], now)
    }

    fn shortest<const N: usize>(bounds: [(Span, Limit); N], since: Time) -> Budget {
        let first = bounds[0];
        let (span, limit) = bounds.into_iter().min_by_key(|(span, _)| *span).unwrap_or(first);
        Budget { since, limit, span }
    }

    fn deadline(&self) -> Time {
        self.since + self.span
    }
}

const FOR_EVER: Span = Span(u64::MAX);

fn idle(limits: &plan::Limits) -> (Span, Limit) {
    (limits.idle.unwrap_or(FOR_EVER), Limit::Idle)
}

/// Whose upstream is dialled, and for how long.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The route whose upstream it is.
    pub route: &'a Route,
    /// The number of the connection on it.
    pub number: u64,
    /// The connection's clock.
    pub clock: Clock,
    /// What there is of time.
    pub budget: Budget,
    /// When the dial begins.
    pub begun: Time,
}

impl Caller<'_> {
    /// Tells and counts that the upstream was reached, and makes the connection ready.
    pub fn tell_reached(&self, upstream: &TcpStream, addr: SocketAddr) {
        let Caller { route, number, clock, budget, begun } = *self;
        let now = clock.now();
        let _ = upstream.set_nodelay(true); // a dead socket is found by the first read
        route.shared.journal.times.upstream_connect.observe(now - begun);
        route.counters().dialled(true);
        route.note(number, Event::Connected(addr, now - budget.since));
    }

    /// Tells that it was not. Whoever has the connection counts what becomes of it.
    pub fn tell_failed(&self, error: &DialError) {
        let Caller { route, number, budget, .. } = *self;
        if let DialError::TimedOut(_) = error {
            route.note(number, Event::TimedOut(budget.limit, budget.span));
        }
        route.counters().dialled(false);
        route.note(number, Event::UpstreamFailed(&error.to_string()));
    }
}

/// How far a dial came.
pub enum Progress<'a> {
    /// A connection that does not block, and the address that answered.
    Reached(TcpStream, SocketAddr),
    /// There is something to be waited for.
    Waiting(Dial<'a>),
}

/// A dial under way. It waits for nothing itself: whoever has it waits for what `watch` says, at
/// most until `due`, and lets it go on. All addresses are tried, each with its share of what is
/// left of the budget.
pub struct Dial<'a> {
    caller: Caller<'a>,
    doing: Doing<'a>,
}

enum Doing<'a> {
    Resolving(&'a str, Arc<Lookup>),
    Connecting(Attempt),
}

/// One of the addresses is being tried.
struct Attempt {
    addrs: Vec<SocketAddr>,
    index: usize,
    socket: Socket,
    deadline: Time,
}

impl<'a> Dial<'a> {
    /// Begins to dial, and goes as far as it can without waiting.
    pub fn begin(caller: Caller<'a>) -> Result<Progress<'a>, DialError> {
        let upstream = &caller.route.plan.upstream;
        let name = match (resolve::known(upstream), &upstream.host) {
            (Some(addrs), _) => return caller.connect(addrs, 0),
            (None, Host::Name(name)) => name,
            (None, Host::Ip(_)) => unreachable!("an address is known"),
        };
        let lookup = caller.route.shared.resolver.look_up(name);
        let lookup = lookup.map_err(|error| match failed(error) {
            DialError::Failed(why) => {
                DialError::Failed(format!("no thread to resolve {name}: {why}"))
            }
            other => other,
        })?;
        caller.resolve(name, lookup)
    }

    /// Goes on with what was found where `watch` says, as far as it can without waiting.
    pub fn go_on(self, found: Found) -> Result<Progress<'a>, DialError> {
        match self.doing {
            Doing::Resolving(name, lookup) => self.caller.resolve(name, lookup),
            Doing::Connecting(attempt) => self.caller.judge(attempt, found),
        }
    }

    /// Who dials.
    pub fn caller(&self) -> Caller<'a> {
        self.caller
    }

    /// What it waits for.
    pub fn watch(&self) -> Watch<'_> {
        match &self.doing {
            Doing::Resolving(_, lookup) => Watch::new(lookup.done(), Interest::Readable),
            Doing::Connecting(attempt) => Watch::new(attempt.socket.as_fd(), Interest::Writable),
        }
    }

    /// When it is to go on, whatever is found.
    pub fn due(&self) -> Time {
        match &self.doing {
            Doing::Resolving(..) => self.caller.budget.deadline(),
            Doing::Connecting(attempt) => attempt.deadline,
        }
    }
}

impl<'a> Caller<'a> {
    fn waits(self, doing: Doing<'a>) -> Progress<'a> {
        Progress::Waiting(Dial { caller: self, doing })
    }

    fn resolve(self, name: &'a str, lookup: Arc<Lookup>) -> Result<Progress<'a>, DialError> {
        match lookup.answer(self.route.plan.upstream.port) {
            Some(Ok(addrs)) => self.connect(addrs, 0),
            Some(Err(error)) => Err(DialError::Failed(format!("{name} does not resolve: {error}"))),
            None if self.clock.now() >= self.budget.deadline() => {
                Err(DialError::TimedOut(format!("resolving {name}")))
            }
            None => Ok(self.waits(Doing::Resolving(name, lookup))),
        }
    }

    /// Tries the address with this index, and then those behind it, until one has to be waited for.
    fn connect(self, addrs: Vec<SocketAddr>, from: usize) -> Result<Progress<'a>, DialError> {
        for (index, addr) in addrs.iter().copied().enumerate().skip(from) {
            let now = self.clock.now();
            let left = (self.budget.deadline() - now).0;
            let deadline = now + Span(left / (addrs.len() - index) as u64);
            match self.start(addr) {
                Ok((socket, true)) => return Ok(Progress::Reached(socket.into(), addr)),
                Ok((socket, false)) => {
                    let attempt = Attempt { addrs, index, socket, deadline };
                    return Ok(self.waits(Doing::Connecting(attempt)));
                }
                Err(error) => self.tell_next(&addrs, index, error)?,
            }
        }
        Err(DialError::Failed("the name has no address".into()))
    }

    /// A socket, and whether it is connected already.
    fn start(&self, addr: SocketAddr) -> Result<(Socket, bool), DialError> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let reserve = &self.route.shared.reserve;
        let socket = reserve
            .open(|| Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP)))
            .map_err(failed)?;
        match socket.connect(&addr.into()) {
            Ok(()) => Ok((socket, true)),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok((socket, false)),
            Err(error) => Err(failed_at(addr, &error)),
        }
    }

    fn judge(self, attempt: Attempt, found: Found) -> Result<Progress<'a>, DialError> {
        let addr = attempt.addrs[attempt.index];
        let error = match found {
            Found { ready: true, error: false, hang_up: false } => None,
            found if found.any() => match attempt.socket.take_error() {
                Ok(error) => error.map(|error| failed_at(addr, &error)),
                Err(error) => Some(failed_at(addr, &error)),
            },
            _ if self.clock.now() < attempt.deadline => {
                return Ok(self.waits(Doing::Connecting(attempt)));
            }
            _ => Some(DialError::TimedOut(format!("connecting to {addr}"))),
        };
        let Attempt { addrs, index, socket, .. } = attempt;
        let Some(error) = error else { return Ok(Progress::Reached(socket.into(), addr)) };
        drop(socket); // the next address may need its descriptor
        self.tell_next(&addrs, index, error)?;
        self.connect(addrs, index + 1)
    }

    /// Why this address failed, when there is another one to try; else that is the end.
    fn tell_next(
        &self,
        addrs: &[SocketAddr],
        index: usize,
        error: DialError,
    ) -> Result<(), DialError> {
        let is_about_address = matches!(error, DialError::Failed(_) | DialError::TimedOut(_));
        if !is_about_address || index + 1 == addrs.len() {
            return Err(error);
        }
        self.route.note(self.number, Event::DialFailed(&error.to_string()));
        Ok(())
    }
}

/// Dials while nothing but the client is to be looked after; when it goes, so does the dial.
pub fn dial(caller: Caller<'_>, client: &TcpStream) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut progress = Dial::begin(caller)?;
    loop {
        match progress {
            Progress::Reached(stream, addr) => return Ok((stream, addr)),
            Progress::Waiting(dial) => {
                let found = dial.wait(client)?;
                progress = dial.go_on(found)?;
            }
        }
    }
}

impl Dial<'_> {
    /// Waits for its turn, the client's reset or the end of the route.
    fn wait(&self, client: &TcpStream) -> Result<Found, DialError> {
        let Caller { route, number, clock, .. } = self.caller;
        let generation = route.live.generation();
        if let Some(end) = generation.end_of(number) {
            return Err(DialError::Ended(end));
        }
        let watches = [
            self.watch(),
            Watch::new(client.as_fd(), Interest::Trouble),
            Watch::new(generation.wake.as_fd(), Interest::Trouble),
        ];
        let left = self.due() - clock.now();
        let [found, client, _] = sys::poll(watches, Some(left)).map_err(failed)?;
        if client.any() {
            return Err(DialError::ClientGone);
        }
        Ok(found)
    }
}

fn failed(error: io::Error) -> DialError {
    if sys::is_out_of_descriptors(&error) {
        return DialError::Descriptors;
    }
    DialError::Failed(words(&error))
}

fn failed_at(addr: SocketAddr, error: &io::Error) -> DialError {
    DialError::Failed(format!("{addr}: {}", words(error)))
}

/// The system's words for an error, without its number; where C libraries differ, those of Linux's
/// manual, which clients of Toxiproxy compare.
pub fn words(error: &io::Error) -> String {
    let known = match error.raw_os_error() {
        Some(libc::EADDRINUSE) => "address already in use",
        Some(libc::EADDRNOTAVAIL) => "cannot assign requested address",
        Some(libc::EMFILE | libc::ENFILE) => "too many open files",
        Some(libc::EHOSTUNREACH) => "no route to host",
        Some(libc::ENETUNREACH) => "network is unreachable",
        _ => {
            let text = error.to_string();
            let end = text.find(" (os error").unwrap_or(text.len());
            return text[..end].to_lowercase();
        }
    };
    known.to_owned()
}
