//! One listener and its accept thread. It never dials and never waits for a client.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use socket2::SockRef;

use crate::config::plan::Endpoint;
use crate::journal::{Event, Refusal, count};
use crate::shell::clock::Clock;
use crate::shell::connection::{Accepted, serve};
use crate::shell::dial::words;
use crate::shell::resolve;
use crate::shell::route::Route;
use crate::shell::sys::{self, Interest, Watch};
use crate::shell::threads::Named;

/// Connections the kernel may hold until they are accepted. With the standard library's 128,
/// 2,000 simultaneous connects took up to 2.07 s; with this 0.11 s.
const BACKLOG: i32 = 4096;

/// How long accepting pauses when the system has nothing left: doubled up to the second.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(250)];

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
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in addrs {
            let bound = TcpListener::bind(addr).and_then(|listener| {
                let socket = SockRef::from(&listener);
                socket.set_tcp_nodelay(true)?; // accepted sockets inherit it
                socket.listen(BACKLOG)?;
                Ok(Bound { addr: listener.local_addr()?, listener })
            });
            match bound {
                Ok(bound) => return Ok(bound),
                Err(error) => last = error,
            }
        }
        Err(format!("{}; {}", words(&last), hint(&last)))
    }

    /// Begins to accept, until `stop` is hung up and `Accepting` dropped.
    pub fn accept(self, route: Arc<Route>, stop: Receiver<()>) -> io::Result<Accepting> {
        let listener = Arc::new(self.listener);
        let stopping = Arc::new(AtomicBool::new(false));
        let name = format!("accept {}", route.plan.name);
        let (own, flag) = (Arc::clone(&listener), Arc::clone(&stopping));
        let thread = Named::start(&name, move || {
            Acceptor { route, listener: &own, stop, stopping: &flag, spare: None, paused: 0 }.run();
        })?;
        Ok(Accepting { listener, stopping, _thread: thread })
    }
}

/// What the user can do about a failed bind.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need rights; choose a higher one",
        _ => "choose another address or port",
    }
}

/// A listener that accepts. Dropping it refuses new connections at once and joins its thread.
pub struct Accepting {
    listener: Arc<TcpListener>,
    stopping: Arc<AtomicBool>,
    _thread: Named,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // On Linux this ends the blocked accept with an error, and the listening as well.
        let _ = SockRef::from(&*self.listener).shutdown(std::net::Shutdown::Both);
    }
}

struct Acceptor<'a> {
    route: Arc<Route>,
    listener: &'a TcpListener,
    stop: Receiver<()>,
    stopping: &'a AtomicBool,
    /// A descriptor kept for the moment when there is none left: it is closed, so that the client
    /// can be accepted and refused.
    spare: Option<TcpListener>,
    /// Pauses in a row.
    paused: u32,
}

impl Acceptor<'_> {
    fn run(&mut self) {
        let mut number = 0;
        self.spare = self.listener.try_clone().ok();
        loop {
            let accepted = match self.listener.accept() {
                Err(error) if sys::is_out_of_descriptors(&error) => self.accept_later(),
                accepted => accepted,
            };
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((client, peer)) => {
                    self.paused = 0;
                    number += 1;
                    count(&self.route.counters.accepted, 1);
                    self.hand_over(number, client, peer);
                }
                Err(error) if sys::is_out_of_descriptors(&error) => number += self.refuse_one(),
                Err(error) if is_about_one_client(&error) => {}
                Err(_) => self.pause(),
            }
        }
    }

    /// accept(2) wants a descriptor before there is a client, so it fails while there is none to
    /// refuse. Waits for a client, and looks again: by then a descriptor may be free.
    fn accept_later(&self) -> io::Result<(TcpStream, SocketAddr)> {
        sys::poll([Watch::new(self.listener.as_fd(), Interest::Readable)], None)?;
        self.listener.accept()
    }

    /// Gives the client to a copy thread, or refuses it.
    fn hand_over(&self, number: u64, client: TcpStream, peer: SocketAddr) {
        let clock = Clock::start();
        let route = &self.route;
        let Some(seat) = route.shared.ledger.enter(&route.active, route.connections_max) else {
            return route.refuse(Some(&client), Refusal::MaxConnections);
        };
        let accepted = Accepted { route: Arc::clone(route), number, client, peer, clock, seat };
        // When there is no thread, the job is dropped and its client closed without a word more.
        if route.shared.pool.run(Box::new(move || serve(accepted))).is_err() {
            route.refuse(None, Refusal::Threads);
        }
    }

    /// Out of descriptors: uses the spare one to accept one client and reset it. How many were.
    fn refuse_one(&mut self) -> u64 {
        self.spare = None;
        let refused = match self.listener.accept() {
            Ok((client, _)) if !self.stopping.load(Ordering::SeqCst) => {
                count(&self.route.counters.accepted, 1);
                self.route.refuse(Some(&client), Refusal::Descriptors);
                1
            }
            Ok(_) => 0,
            Err(_) => {
                self.route.tell_refusal(Refusal::Descriptors);
                0
            }
        };
        self.spare = self.listener.try_clone().ok();
        if refused == 0 || self.spare.is_none() {
            self.pause();
        }
        refused
    }

    /// Waits a little, or until the listener is to stop.
    fn pause(&mut self) {
        let pause = BACK_OFF[0].saturating_mul(1 << self.paused.min(8)).min(BACK_OFF[1]);
        self.paused += 1;
        if self.stop.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            self.stopping.store(true, Ordering::SeqCst);
        }
    }
}

/// Errors that accept passes on from a connection that has died meanwhile (accept(2)).
fn is_about_one_client(error: &io::Error) -> bool {
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
