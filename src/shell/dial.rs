//! Reaching the upstream within a budget that covers looking its name up.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::plan::Host;
use crate::control::End;
use crate::journal::Event;
use crate::shell::clock::Clock;
use crate::shell::resolve::{self, Answer};
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

/// Who waits for the upstream, and for how long.
pub struct Dialer<'a> {
    /// The route whose upstream it is.
    pub route: &'a Route,
    /// The number of the connection on it.
    pub number: u64,
    /// The client; when it goes, so does the dial.
    pub client: &'a TcpStream,
    /// The connection's clock.
    pub clock: Clock,
    /// When the budget is over.
    pub deadline: Time,
}

impl Dialer<'_> {
    /// A connection to the upstream that does not block, and the address that answered. All
    /// addresses are tried, each with its share of what is left of the budget.
    pub fn dial(&self) -> Result<(TcpStream, SocketAddr), DialError> {
        let addrs = self.resolve()?;
        let mut last = DialError::Failed("the name has no address".into());
        for (index, addr) in addrs.iter().enumerate() {
            let left = (self.deadline - self.clock.now()).0;
            let share = Span(left / (addrs.len() - index) as u64);
            match self.connect(*addr, self.clock.now() + share) {
                Ok(stream) => return Ok((stream, *addr)),
                Err(error @ (DialError::Failed(_) | DialError::TimedOut(_))) => last = error,
                Err(error) => return Err(error),
            }
            if index + 1 < addrs.len() {
                self.route.note(self.number, Event::DialFailed(&last.to_string()));
            }
        }
        Err(last)
    }

    fn resolve(&self) -> Result<Vec<SocketAddr>, DialError> {
        let upstream = &self.route.plan.upstream;
        let name = match (resolve::known(upstream), &upstream.host) {
            (Some(addrs), _) => return Ok(addrs),
            (None, Host::Name(name)) => name,
            (None, Host::Ip(_)) => unreachable!("an address is known"),
        };
        let lookup = self.route.shared.resolver.look_up(name);
        let lookup = lookup.map_err(|error| match failed(error) {
            DialError::Failed(why) => {
                DialError::Failed(format!("no thread to resolve {name}: {why}"))
            }
            other => other,
        })?;
        let answer: Answer = loop {
            if let Some(answer) = lookup.answer(upstream.port) {
                break answer;
            }
            self.wait(lookup.done(), Interest::Readable, self.deadline)
                .map_err(|error| error.doing("resolving", name))?;
        };
        answer.map_err(|error| DialError::Failed(format!("{name} does not resolve: {error}")))
    }

    fn connect(&self, addr: SocketAddr, deadline: Time) -> Result<TcpStream, DialError> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let reserve = &self.route.shared.reserve;
        let socket = reserve
            .open(|| Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP)))
            .map_err(failed)?;
        let named = |error: io::Error| DialError::Failed(format!("{addr}: {}", words(&error)));
        match socket.connect(&addr.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            result => return result.map(|()| socket.into()).map_err(named),
        }
        loop {
            let found = self
                .wait(&socket, Interest::Writable, deadline)
                .map_err(|error| error.doing("connecting to", &addr))?;
            match found {
                Found { ready: true, error: false, hang_up: false } => return Ok(socket.into()),
                found if found.any() => break,
                _ => {}
            }
        }
        match socket.take_error() {
            Ok(None) => Ok(socket.into()),
            Ok(Some(error)) | Err(error) => Err(named(error)),
        }
    }

    /// Waits for `fd`, the client's reset, the end of the route, or `deadline`.
    fn wait(&self, fd: impl AsFd, interest: Interest, deadline: Time) -> Result<Found, DialError> {
        let generation = self.route.live.generation();
        if let Some(end) = generation.end_of(self.number) {
            return Err(DialError::Ended(end));
        }
        let left = deadline - self.clock.now();
        if left == Span::ZERO {
            return Err(DialError::TimedOut(String::new()));
        }
        let watches = [
            Watch::new(fd.as_fd(), interest),
            Watch::new(self.client.as_fd(), Interest::Trouble),
            Watch::new(generation.wake.as_fd(), Interest::Trouble),
        ];
        let [found, client, _] = sys::poll(watches, Some(left)).map_err(failed)?;
        if client.any() {
            return Err(DialError::ClientGone);
        }
        Ok(found)
    }
}

impl DialError {
    fn doing(self, what: &str, with: &dyn fmt::Display) -> DialError {
        match self {
            DialError::TimedOut(_) => DialError::TimedOut(format!("{what} {with}")),
            other => other,
        }
    }
}

fn failed(error: io::Error) -> DialError {
    if sys::is_out_of_descriptors(&error) {
        return DialError::Descriptors;
    }
    DialError::Failed(words(&error))
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
