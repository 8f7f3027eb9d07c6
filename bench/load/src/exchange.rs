//! Many connections on one epoll thread, each of which connects, sends one message and waits for its echo.
//!
//!     open --> Connecting --writable--> message sent, Replying --whole echo read--> Echoed
//!                    \________________________\__________error or end___________--> Failed

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::sys::{self, Event, Interest, Poller};

const MESSAGE: &[u8] = b"sixteen bytes...";

enum State {
    Connecting,
    Replying { missing: usize },
}

struct Exchange {
    stream: TcpStream,
    state: State,
}

pub enum End {
    /// The exchange worked; whoever drops the stream closes the connection.
    Echoed(TcpStream),
    Failed,
}

pub struct Exchanges {
    poller: Poller,
    port: u16,
    slots: Vec<Option<Exchange>>,
}

impl Exchanges {
    pub fn new(port: u16, slots: usize) -> io::Result<Exchanges> {
        let slots = std::iter::repeat_with(|| None).take(slots).collect();
        Ok(Exchanges { poller: Poller::new()?, port, slots })
    }

    /// Starts an exchange on a prepared non-blocking socket.
    pub fn open(&mut self, slot: usize, stream: TcpStream) -> io::Result<()> {
        sys::connect(&stream, self.port)?;
        self.poller.add(stream.as_raw_fd(), slot as u64, Interest::ChangesOfBoth)?;
        self.slots[slot] = Some(Exchange { stream, state: State::Connecting });
        Ok(())
    }

    /// Exchanges that still wait for their connect.
    pub fn connecting(&self) -> usize {
        let waits = |slot: &&Option<Exchange>| {
            slot.as_ref().is_some_and(|exchange| matches!(exchange.state, State::Connecting))
        };
        self.slots.iter().filter(waits).count()
    }

    /// The exchanges that ended, with the slots that they leave free.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Vec<(usize, End)>> {
        let mut ended = Vec::new();
        for event in self.poller.wait(Some(timeout))? {
            let slot = event.token as usize;
            let Some(exchange) = self.slots[slot].as_mut() else { continue };
            match exchange.advance(event) {
                Ok(false) => {}
                Ok(true) => ended
                    .extend(self.slots[slot].take().map(|done| (slot, End::Echoed(done.stream)))),
                Err(_) => {
                    self.slots[slot] = None;
                    ended.push((slot, End::Failed));
                }
            }
        }
        Ok(ended)
    }
}

impl Exchange {
    /// True once the whole echo is there.
    fn advance(&mut self, event: Event) -> io::Result<bool> {
        if event.writable && matches!(self.state, State::Connecting) {
            self.stream.write_all(MESSAGE)?;
            self.state = State::Replying { missing: MESSAGE.len() };
        }
        if !event.readable {
            return Ok(false);
        }
        let State::Replying { missing } = &mut self.state else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let mut buffer = [0; MESSAGE.len()];
        match self.stream.read(&mut buffer[..*missing]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                *missing -= count;
                Ok(*missing == 0)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}
