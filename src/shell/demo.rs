//! Two small upstreams for the demonstration: one answers every HTTP request, one never answers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;

use crate::shell::threads::Named;

/// A request head may be this long; what is longer is cut off.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// How long one client may take for its request; the others wait meanwhile.
const CLIENT_SPAN: Duration = Duration::from_millis(200);

/// An upstream on a port that the system chose. Dropping it stops it.
pub struct Upstream {
    /// Where it listens.
    pub addr: SocketAddr,
    listener: Arc<TcpListener>,
    stopping: Arc<AtomicBool>,
    _thread: Named,
}

impl Upstream {
    /// Answers every request with the same few words.
    pub fn that_answers() -> io::Result<Upstream> {
        Upstream::start(|mut client, _| {
            if let Err(error) = answer(&mut client) {
                log::debug!("the demo upstream could not answer: {:?}", error.kind());
            }
        })
    }

    /// Accepts, reads nothing and says nothing.
    pub fn that_is_silent() -> io::Result<Upstream> {
        Upstream::start(|client, held| {
            held.truncate(CLIENTS_HELD_MAX - 1);
            held.insert(0, client);
        })
    }

    fn start(serve: fn(TcpStream, &mut Vec<TcpStream>)) -> io::Result<Upstream> {
        let listener = Arc::new(TcpListener::bind(("127.0.0.1", 0))?);
        let addr = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let (own, flag) = (Arc::clone(&listener), Arc::clone(&stopping));
        let thread = Named::start("demo upstream", move || {
            let mut held = Vec::new();
            while !flag.load(Ordering::SeqCst) {
                match own.accept() {
                    Ok((client, _)) => serve(client, &mut held),
                    Err(_) => std::thread::sleep(ACCEPT_PAUSE), // out of descriptors, for a while
                }
            }
        })?;
        Ok(Upstream { addr, listener, stopping, _thread: thread })
    }
}

/// How long a failed accept pauses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Clients the silent upstream holds; the oldest goes first.
const CLIENTS_HELD_MAX: usize = 64;

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both); // ends the accept
    }
}

fn answer(client: &mut TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(CLIENT_SPAN))?;
    let mut head = vec![0; HEAD_BYTES_MAX];
    let mut length = 0;
    while length < head.len() && !head[..length].windows(4).any(|four| four == b"\r\n\r\n") {
        match client.read(&mut head[length..])? {
            0 => return Ok(()),
            more => length += more,
        }
    }
    let body = "hello from the demo upstream\n";
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
