//! The admin listener: HTTP on a few connections, each with its thread, all with deadlines.
//!
//! ```text
//! accept --> seat? -- free ----------------------> [read -- whole --> handler --> write] ...
//!              |----- taken, one idles: it goes -->    |  refused, late         |
//!              \----- taken, none idles: 503           \-------> reply, close <-/
//! ```
//!
//! All waiting is one `poll` on the socket and the server's pipe, up to an absolute deadline, so
//! neither a slow client nor a stop waits for another client. Whoever drops the server hangs up
//! the pipe and joins all threads; only a handler that is at work is waited for.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use time::OffsetDateTime;

use crate::admin;
use crate::config::plan::Endpoint;
use crate::http::{self, Event, Manner, Progress, Reject, Reply, Request, RequestReader};
use crate::shell::clock::{self, Clock};
use crate::shell::dial::words;
use crate::shell::event_feed::{BEAT, EventFeed, HEARTBEAT};
use crate::shell::link::discard_input;
use crate::shell::listener::{BACK_OFF, Bound, is_about_one_client};
use crate::shell::sys::{self, Interest, Watch};
use crate::shell::threads::{Named, Pool};
use crate::units::{Span, Time};

/// What answers requests. It is called by many threads at once; a panic in it becomes a 500.
pub type Handler<T = Served> = Arc<dyn Fn(&Request, SocketAddr) -> T + Send + Sync>;

/// What a handler answers.
pub enum Served {
    /// This, and the connection goes on.
    Whole(Reply),
    /// Events until the client goes or the server is dropped.
    Stream(EventFeed),
}

/// Bounds of the server. Each span is absolute: a byte in between does not restart it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What one request may be.
    pub request: http::Limits,
    /// Connections at one time.
    pub connections: usize,
    /// From the first byte of a head to its end; beyond it 408.
    pub head: Span,
    /// From the end of a head to the end of its body; beyond it 408.
    pub body: Span,
    /// For taking a reply; beyond it the connection is closed.
    pub write: Span,
    /// Without a byte of the next request; beyond it the connection is closed.
    pub idle: Span,
    /// For a client to read our last reply and close, while what it sends is thrown away.
    pub linger: Span,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request: http::Limits::default(),
            connections: 128, // a hundred test workers that keep theirs, and some to spare
            head: Span::from_ms(5_000),
            body: Span::from_ms(10_000),
            write: Span::from_ms(10_000),
            idle: Span::from_ms(60_000),
            linger: Span::from_ms(2_000),
        }
    }
}

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// Clients that are told 503 at one time; who comes beyond them is told by one write at most.
const REFUSALS_MAX: usize = 8;

/// A server that answers. Dropping it closes its listener and its connections, and joins all
/// its threads.
pub struct AdminServer {
    /// Where it listens, with the port that the system chose.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    /// Its hang-up wakes all threads.
    wake: Option<OwnedFd>,
    accepting: Option<Named>,
}

impl AdminServer {
    /// Listens on `endpoint` and answers with `handler`; or the reason why not, and the way out.
    pub fn start(
        endpoint: &Endpoint,
        limits: Limits,
        handler: Handler<Reply>,
    ) -> Result<AdminServer, String> {
        AdminServer::serve(Bound::bind(endpoint)?, limits, handler)
    }

    /// The same on a listener that is bound already.
    pub fn serve(
        bound: Bound,
        limits: Limits,
        handler: Handler<Reply>,
    ) -> Result<AdminServer, String> {
        let whole = move |request: &Request, peer| Served::Whole(handler(request, peer));
        AdminServer::serve_streams(bound, limits, Arc::new(whole))
    }

    /// Answers on a listener that is bound already, with a stream where the handler gives one.
    pub fn serve_streams(
        bound: Bound,
        limits: Limits,
        handler: Handler,
    ) -> Result<AdminServer, String> {
        let addr = bound.addr;
        let listener = bound.into_listener();
        let told = |error: std::io::Error| words(&error);
        listener.set_nonblocking(true).map_err(told)?;
        let (stop, wake) = sys::pipe().map_err(told)?;
        let shared = Arc::new(Shared {
            handler,
            limits,
            clock: Clock::start(),
            stop,
            pool: Pool::default(),
            table: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let thread = Named::start("accept admin", move || accept(&own, &listener)).map_err(told)?;
        Ok(AdminServer { addr, shared, wake: Some(wake), accepting: Some(thread) })
    }

    /// Connections that have a seat.
    pub fn connections(&self) -> usize {
        self.shared.table().seats.len()
    }

    /// Those of them that wait for the first byte of a request.
    pub fn idle_connections(&self) -> usize {
        self.shared.table().seats.values().filter(|seat| seat.idle_since.is_some()).count()
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.wake = None;
        self.accepting = None;
        self.shared.pool.close();
    }
}

struct Shared {
    handler: Handler,
    limits: Limits,
    clock: Clock,
    /// Hangs up when the server is dropped.
    stop: OwnedFd,
    pool: Pool,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    seats: BTreeMap<u64, Seat>,
    next_id: u64,
    refusals: usize,
}

struct Seat {
    stream: Arc<TcpStream>,
    /// Since when nothing of a request has come, and none is being answered.
    idle_since: Option<Time>,
}

impl Shared {
    /// Nothing that can panic is done under the lock.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat, if need be that of the connection that has idled longest; or the right to be told
    /// that there is none; or nothing.
    fn admit(self: &Arc<Shared>, stream: &Arc<TcpStream>) -> Option<Pass> {
        let mut table = self.table();
        if table.seats.len() >= self.limits.connections && !table.close_oldest_idle() {
            if table.refusals == REFUSALS_MAX {
                return None;
            }
            table.refusals += 1;
            return Some(Pass { server: Arc::clone(self), seat: None });
        }
        let id = table.next_id;
        table.next_id += 1;
        let seat = Seat { stream: Arc::clone(stream), idle_since: Some(self.clock.now()) };
        table.seats.insert(id, seat);
        Some(Pass { server: Arc::clone(self), seat: Some(id) })
    }
}

impl Table {
    /// Takes the seat of the connection that has idled longest, if one does: one whose request
    /// has come does not, though its thread may not have got to see it yet. The thread of the one
    /// that goes wakes and finds its socket shut.
    fn close_oldest_idle(&mut self) -> bool {
        let quiet = |seat: &Seat| !matches!(seat.stream.peek(&mut [0]), Ok(1..));
        let idle = self.seats.iter().filter(|(_, seat)| quiet(seat));
        let idle = idle.filter_map(|(id, seat)| Some((seat.idle_since?, *id)));
        let Some((_, id)) = idle.min() else { return false };
        if let Some(seat) = self.seats.remove(&id) {
            let _ = seat.stream.shutdown(Shutdown::Both); // gone already: its thread knows
        }
        true
    }
}

/// What a connection gives back at its end, however it ends.
struct Pass {
    server: Arc<Shared>,
    /// None for a client that is only told 503.
    seat: Option<u64>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut table = self.server.table();
        match self.seat {
            Some(id) => drop(table.seats.remove(&id)),
            None => table.refusals -= 1,
        }
    }
}

/// Accepts until the server is dropped. Out of descriptors or threads it pauses and goes on.
fn accept(server: &Arc<Shared>, listener: &TcpListener) {
    let mut paused = 0;
    loop {
        let stop = Watch::new(server.stop.as_fd(), Interest::Trouble);
        let client = Watch::new(listener.as_fd(), Interest::Readable);
        let Ok([stop, _]) = sys::poll([stop, client], None) else { return };
        if stop.any() {
            return;
        }
        match listener.accept() {
            Ok((stream, peer)) => {
                paused = 0;
                hand_over(server, stream, peer);
            }
            Err(error) if is_about_one_client(&error) => {}
            Err(_) => {
                let [first, last] = BACK_OFF;
                let pause = first.saturating_mul(1 << paused.min(8)).min(last);
                paused += 1;
                let stop = Watch::new(server.stop.as_fd(), Interest::Trouble);
                let pause = Span::from_ms(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
                let _ = sys::poll([stop], Some(pause)); // a stop is seen above
            }
        }
    }
}

fn hand_over(server: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    if stream.set_nonblocking(true).is_err() {
        return; // it is dead already
    }
    let stream = Arc::new(stream);
    let Some(pass) = server.admit(&stream) else {
        let _ = (&*stream).write(&no_seat().to_bytes(Manner::CLOSE)); // as much as goes at once
        return;
    };
    let job = Box::new(move || {
        let mut client = Client::new(&pass, &stream, peer);
        let Err(Over) = match pass.seat {
            Some(_) => client.serve(),
            None => client.say_goodbye(&no_seat()),
        };
    });
    let _ = server.pool.run(job); // no thread: the job is dropped, and its client closed
}

fn no_seat() -> Reply {
    Reply::text(503, "too many admin connections; close one or try later").with("Retry-After", "1")
}

/// The connection is done; whoever sees it returns.
struct Over;

/// What is always `Over` at its end.
type Never = std::convert::Infallible;

/// One connection.
struct Client<'a> {
    server: &'a Shared,
    seat: Option<u64>,
    stream: &'a TcpStream,
    peer: SocketAddr,
    reader: RequestReader,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not yet taken.
    unread: std::ops::Range<usize>,
    /// When the last reply was ready: who was answered first has idled longest, whichever thread
    /// gets to wait first.
    answered: Time,
}

impl<'a> Client<'a> {
    fn new(pass: &'a Pass, stream: &'a TcpStream, peer: SocketAddr) -> Client<'a> {
        Client {
            server: &pass.server,
            seat: pass.seat,
            stream,
            peer,
            reader: RequestReader::new(pass.server.limits.request),
            buffer: vec![0; READ_BYTES],
            unread: 0..0,
            answered: pass.server.clock.now(),
        }
    }

    /// Answers one request after the other.
    fn serve(&mut self) -> Result<Never, Over> {
        loop {
            let request = match self.next_request()? {
                Ok(request) => request,
                Err(reject) => {
                    return self.say_goodbye(&admin::refusal(reject, self.reader.known()));
                }
            };
            let (manner, served) = (Manner::of(&request), self.answer(&request));
            drop(request);
            let reply = match served {
                Served::Whole(reply) => with_date(reply),
                Served::Stream(feed) => return self.stream(feed),
            };
            self.answered = self.server.clock.now();
            self.write(&reply.to_bytes(manner))?;
            if !manner.keep_alive {
                return self.close_gently();
            }
        }
    }

    fn answer(&self, request: &Request) -> Served {
        let handler = &self.server.handler;
        // The handler keeps its own invariants, as it must between two threads.
        let served = catch_unwind(AssertUnwindSafe(|| handler(request, self.peer)));
        served.unwrap_or_else(|_| {
            log::error!("the admin handler panicked at {} {}", request.method, request.path);
            Served::Whole(Reply::text(500, "an error in chaos-proxy itself; its log says more"))
        })
    }

    /// Sends events until the client goes, or takes too long for a batch of them.
    fn stream(&self, mut feed: EventFeed) -> Result<Never, Over> {
        let head = Reply::new(200).with("Content-Type", "text/event-stream");
        let head = with_date(head.with("Cache-Control", "no-cache"));
        self.write(&head.to_stream_head())?;
        loop {
            let batch = feed.take().map_err(|_| Over)?;
            if !batch.is_empty() {
                self.write(&batch)?;
                continue;
            }
            let socket = Watch::new(self.stream.as_fd(), Interest::Departure);
            let stop = Watch::new(self.server.stop.as_fd(), Interest::Trouble);
            let wakes = Watch::new(feed.wakes(), Interest::Readable);
            match sys::poll([socket, stop, wakes], Some(HEARTBEAT)) {
                Ok([socket, stop, _]) if socket.any() || stop.any() => return Err(Over),
                Ok([_, _, wakes]) if wakes.ready => {}
                Ok(_) => self.write(BEAT)?,
                Err(_) => return Err(Over),
            }
        }
    }

    /// The next request, or why it is refused.
    fn next_request(&mut self) -> Result<Result<Request, Reject>, Over> {
        let limits = self.server.limits;
        let (mut progress, mut deadline) = (Progress::Idle, self.after(limits.idle));
        loop {
            let taken = match self.reader.take(&self.buffer[self.unread.clone()]) {
                Ok(taken) => taken,
                Err(reject) => return Ok(Err(reject)),
            };
            self.unread.start += taken.bytes;
            match taken.event {
                Event::Whole(request) => return Ok(Ok(request)),
                Event::Continue => {
                    self.write(http::CONTINUE)?;
                }
                Event::NeedMore => {}
            }
            if self.reader.progress() != progress {
                progress = self.reader.progress();
                deadline = match progress {
                    Progress::Idle => deadline,
                    Progress::Head => self.after(limits.head),
                    Progress::Body => self.after(limits.body),
                };
            }
            if self.unread.is_empty() && !self.read(progress, deadline)? {
                let late = |reason| Ok(Err(Reject { status: 408, reason }));
                return match progress {
                    Progress::Idle => Err(Over),
                    Progress::Head => late("the head of the request came too slowly"),
                    Progress::Body => late("the body of the request came too slowly"),
                };
            }
        }
    }

    /// Reads what there is, and waits for it until `deadline`: true when something came.
    fn read(&mut self, progress: Progress, deadline: Time) -> Result<bool, Over> {
        if progress == Progress::Idle {
            self.set_idle(true)?;
        }
        loop {
            match (&*self.stream).read(&mut self.buffer) {
                Ok(0) => return Err(Over),
                Ok(count) => {
                    self.unread = 0..count;
                    break;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if !sys::is_wait(&error) => return Err(Over),
                Err(_) if !self.wait(Interest::Readable, deadline)? => return Ok(false),
                Err(_) => {}
            }
        }
        if progress == Progress::Idle {
            self.set_idle(false)?;
        }
        // A byte now and then does not move the deadline.
        Ok(self.server.clock.now() < deadline)
    }

    /// Tells whether this connection may be closed for another one; `Over` when it has been.
    fn set_idle(&self, idle: bool) -> Result<(), Over> {
        let mut table = self.server.table();
        let seat = self.seat.and_then(|id| table.seats.get_mut(&id)).ok_or(Over)?;
        seat.idle_since = idle.then(|| seat.idle_since.unwrap_or(self.answered));
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Over> {
        let deadline = self.after(self.server.limits.write);
        let mut rest = bytes;
        while !rest.is_empty() {
            match (&*self.stream).write(rest) {
                Ok(0) => return Err(Over),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if !sys::is_wait(&error) => return Err(Over),
                Err(_) if !self.wait(Interest::Writable, deadline)? => return Err(Over),
                Err(_) => {}
            }
            if !rest.is_empty() && self.server.clock.now() >= deadline {
                return Err(Over);
            }
        }
        Ok(())
    }

    /// Sends a last reply and closes.
    fn say_goodbye(&self, reply: &Reply) -> Result<Never, Over> {
        self.write(&with_date(reply.clone()).to_bytes(Manner::CLOSE))?;
        self.close_gently()
    }

    /// FIN, and what the client still sends is thrown away for a while: closing with unread input
    /// would send RST behind the reply, and take it away from a client that is still writing.
    fn close_gently(&self) -> Result<Never, Over> {
        let _ = self.stream.shutdown(Shutdown::Write); // gone already: nothing to be gentle with
        let deadline = self.after(self.server.limits.linger);
        while self.wait(Interest::Readable, deadline)? {
            if discard_input(self.stream).ended {
                break;
            }
        }
        Err(Over)
    }

    /// Waits for the socket until `deadline`; `Over` when the server is dropped.
    fn wait(&self, interest: Interest, deadline: Time) -> Result<bool, Over> {
        loop {
            let left = deadline - self.server.clock.now();
            if left == Span::ZERO {
                return Ok(false);
            }
            let socket = Watch::new(self.stream.as_fd(), interest);
            let stop = Watch::new(self.server.stop.as_fd(), Interest::Trouble);
            match sys::poll([socket, stop], Some(left)) {
                Err(_) => return Err(Over),
                Ok([_, stop]) if stop.any() => return Err(Over),
                Ok([socket, _]) if socket.any() => return Ok(true),
                Ok(_) => {}
            }
        }
    }

    fn after(&self, span: Span) -> Time {
        self.server.clock.now() + span
    }
}

/// With the time of day, as every server with a clock is to tell it (RFC 9110, 6.6.1).
fn with_date(reply: Reply) -> Reply {
    reply.with("Date", &http_date(clock::wall()))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn http_date(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (day, month) = (at.weekday().to_string(), at.month().to_string());
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        &day[..3],
        at.day(),
        &month[..3],
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
