//! What a listener does with who connects, done to its socket.
//!
//! A listener that refuses keeps its port: shutdown(2) ends the listening alone, so that nobody
//! else gets the port meanwhile, and listening again takes no descriptor. One that hangs has an
//! accept queue of one place, and a connection of our own sits in it: Linux answers no SYN while
//! the queue is full.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use socket2::{Domain, SockRef, Socket, Type};

use crate::fault::gate::Door;
use crate::shell::spare::Reserve;
use crate::shell::sys::{self, Interest, Watch};
use crate::units::Span;

/// Connections the kernel may hold until they are accepted. With the standard library's 128,
/// 2,000 simultaneous connects took up to 2.07 s; with this 0.11 s.
pub const BACKLOG: i32 = 4096;

/// How long the connection that fills the queue may take; over loopback it is there at once.
const FILL_SPAN: Span = Span::from_ms(100);

/// A listener, and what it does.
pub struct Doorway<'a> {
    listener: &'a TcpListener,
    door: Door,
    /// The connection of our own that fills the accept queue.
    filler: Option<TcpStream>,
    /// Its address, until it has been accepted: it is no client.
    filled_from: Option<SocketAddr>,
}

impl<'a> Doorway<'a> {
    /// A listener that serves.
    pub fn new(listener: &'a TcpListener) -> Doorway<'a> {
        Doorway { listener, door: Door::Serving, filler: None, filled_from: None }
    }

    /// What it does.
    pub fn door(&self) -> Door {
        self.door
    }

    /// Serves. Fails when somebody else listens on the port by now.
    pub fn serve(&mut self) -> io::Result<()> {
        self.filler = None;
        SockRef::from(self.listener).listen(BACKLOG)?;
        self.door = Door::Serving;
        Ok(())
    }

    /// Refuses. Who waits to be accepted is reset.
    pub fn refuse(&mut self) {
        (self.filler, self.filled_from) = (None, None);
        // Refused when it does not listen: then it refuses already.
        let _ = SockRef::from(self.listener).shutdown(Shutdown::Both);
        self.door = Door::Refusing;
    }

    /// Leaves one place in the accept queue, for `fill`.
    pub fn narrow(&mut self) -> io::Result<()> {
        SockRef::from(self.listener).listen(0)
    }

    /// Takes the one place in the queue. False when there was no answer: somebody else has it.
    pub fn fill(&mut self, reserve: &Reserve) -> io::Result<bool> {
        let own = self.listener.local_addr()?;
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = reserve.open(|| Socket::new(Domain::for_address(own), kind, None))?;
        match socket.connect(&reachable(own).into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let [found] = sys::poll([Watch::new(socket.as_fd(), Interest::Writable)], Some(FILL_SPAN))?;
        if !found.ready || found.error || found.hang_up {
            return Ok(false);
        }
        let filler = TcpStream::from(socket);
        self.filled_from = Some(filler.local_addr()?);
        self.filler = Some(filler);
        Ok(true)
    }

    /// The queue is full, so no connect is answered.
    pub fn hang(&mut self) {
        self.door = Door::Hanging;
    }

    /// True for the connection of our own, once.
    pub fn is_filler(&mut self, peer: SocketAddr) -> bool {
        let plain = |addr: SocketAddr| (addr.ip().to_canonical(), addr.port());
        let own = self.filled_from.is_some_and(|from| plain(from) == plain(peer));
        if own {
            self.filled_from = None;
        }
        own
    }
}

/// Where a listener with this address can be reached from here.
fn reachable(own: SocketAddr) -> SocketAddr {
    let ip = match own.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // Of a listener for both families; there may be no ::1 where IPv6 is switched off.
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
        ip => ip,
    };
    let mut addr = own;
    addr.set_ip(ip);
    addr
}
