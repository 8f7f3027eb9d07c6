//! The upstream: an echo server on one epoll thread, cheap enough to leave the processor to the proxy under test.
//! It echoes small messages and holds idle connections; it runs until it is ended from outside.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use crate::Outcome;
use crate::sys::{self, Interest, Poller};

pub fn run(port: u16) -> Outcome<()> {
    let listener = sys::listen(port)?;
    listener.set_nonblocking(true)?;
    let mut poller = Poller::new()?;
    let listener_fd = listener.as_raw_fd();
    poller.add(listener_fd, listener_fd as u64, Interest::Read)?;
    // Indexed by descriptor, so an event finds its connection without a search.
    let mut conns: Vec<Option<TcpStream>> = Vec::new();
    loop {
        for event in poller.wait(None)? {
            if event.token == listener_fd as u64 {
                accept_all(&listener, &poller, &mut conns)?;
            } else if let Some(place) = conns.get_mut(event.token as usize)
                && place.as_mut().is_some_and(|conn| echo(conn).is_err())
            {
                *place = None;
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    poller: &Poller,
    conns: &mut Vec<Option<TcpStream>>,
) -> io::Result<()> {
    loop {
        let conn = match listener.accept() {
            Ok((conn, _)) => conn,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        conn.set_nonblocking(true)?;
        conn.set_nodelay(true)?;
        let fd = conn.as_raw_fd();
        poller.add(fd, fd as u64, Interest::Read)?;
        if conns.len() <= fd as usize {
            conns.resize_with(fd as usize + 1, || None);
        }
        conns[fd as usize] = Some(conn);
    }
}

/// An error means that the connection is over. A message too large for the socket's buffer counts as one.
fn echo(conn: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let count = conn.read(&mut buffer)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    conn.write_all(&buffer[..count])
}
