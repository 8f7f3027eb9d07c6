//! One listener and its accept thread. It never dials and never waits for a client.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use socket2::SockRef;

use crate::config::plan::Endpoint;
use crate::journal::{Event, Refusal, count};
use crate::shell::clock::Clock;
use crate::shell::connection::{Accepted, Unserved};
use crate::shell::dial::words;
use crate::shell::resolve;
use crate::shell::route::Route;
use crate::shell::spare::Spare;
use crate::shell::sys::{self, Interest, Watch};
use crate::shell::threads::Named;

/// Connections the kernel may hold until they are accepted. With the standard library's 128,
/// 2,000 simultaneous connects took up to 2.07 s; with this 0.11 s.
const BACKLOG: i32 = 4096;

/// How long accepting pauses when the system has nothing left: doubled from the first of these up
/// to the second one.
pub(super) const BACK_OFF: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(250)];

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
            let bound = TcpListener::bind(addr).and_then(|listener| {
                let socket = SockRef::from(&listener);
                socket.set_tcp_nodelay(true)?; // accepted sockets inherit it
                socket.listen(BACKLOG)?;
                Ok(Bound { addr: listener.local_addr()?, listener })
            });
            match bound {
                Ok(bound) => return Ok(bound),
                Err(error) => last = (*addr, error),
            }
        }
        Err(last)
    }

    /// The bare listener, for who accepts by itself.
    pub fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// Begins to accept, until what this gives is stopped or dropped.
    pub fn accept(self, route: Arc<Route>) -> io::Result<Accepting> {
        let listener = Arc::new(self.listener);
        let (stop, stopped) = bounded(0);
        let name = format!("accept {}", route.plan.name).replace('\0', " ");
        let own = Arc::clone(&listener);
        let thread = Named::start(&name, move || {
            let spare = Spare::of(&own, &route.shared.reserve);
            Acceptor { route: &route, listener: &own, stopped, spare, paused: 0 }.run();
        })?;
        Ok(Accepting(Some(Parts { _stop: stop, listener, _thread: thread })))
    }
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
        // On Linux this ends the blocked accept with an error, and the listening as well.
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
    stopped: Receiver<()>,
    /// For the moment when there is no descriptor left.
    spare: Spare<'a>,
    /// Pauses in a row.
    paused: u32,
}

impl Acceptor<'_> {
    fn run(&mut self) {
        loop {
            let accepted = match self.listener.accept() {
                Err(error) if sys::is_out_of_descriptors(&error) => self.accept_later(),
                accepted => accepted,
            };
            if self.is_stopped() {
                return;
            }
            match accepted {
                Ok((client, peer)) => {
                    self.paused = 0;
                    self.spare.restore();
                    let number = self.next_number();
                    self.hand_over(number, client, peer);
                }
                Err(error) if sys::is_out_of_descriptors(&error) => self.refuse_one(),
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

    fn is_stopped(&self) -> bool {
        self.stopped.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Counts a client, and gives it its number on the route.
    fn next_number(&self) -> u64 {
        count(&self.route.counters().accepted, 1);
        self.route.tally.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Gives the client to a copy thread, or refuses it.
    fn hand_over(&self, number: u64, client: TcpStream, peer: SocketAddr) {
        let clock = Clock::start();
        let route = self.route;
        let Some(seat) = route.shared.ledger.enter(&route.active, route.connections_max) else {
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
        let stopped = &self.stopped;
        let (refused, is_kept) = self.spare.lend(|| match self.listener.accept() {
            Ok((client, _)) if stopped.try_recv() != Err(TryRecvError::Disconnected) => {
                sys::reset(&client);
                true
            }
            _ => false,
        });
        if refused {
            self.next_number();
            self.route.refuse(None, Refusal::Descriptors);
        } else {
            self.route.tell_refusal(Refusal::Descriptors);
        }
        if !refused || !is_kept {
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
