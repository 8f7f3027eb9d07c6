//! One direction of one connection: read, let the faults decide, write what is due.
//!
//! ```text
//! source -- read --> [pipeline] -- due --> write -- blocked? wait for room --> target
//!    |                                                                           |
//!    +---- poll on the source, the blocked target and the generation's pipe -----+
//! ```
//!
//! No write blocks, and all waiting is in `wait`, so a stalled reader never holds up a due end, a
//! live change or a shutdown. A thread that has nothing but its source to wait for may wait in the
//! read itself; whatever else comes up sends it back (`shell::doze`). Without active faults a chunk
//! is one read and one write from one buffer, without a look at the clock. Once the FIN is passed
//! on, the thread keeps watch over its source until the other direction is done, so that a late
//! reset is seen.

mod doze;

mod http;

mod reach;

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::control::{Cut, Generation};
use crate::exchange::Turn;
use crate::fault::passage::Passage;
use crate::fault::pipeline::Total;
use crate::fault::{Action, Direction, Mode, Spec, Step};
use crate::journal::{FaultTotal, Reason};
use crate::shell::dial::Dial;
use crate::shell::doze::Doze;
use crate::shell::http_half::Half;
use crate::shell::link::Link;
use crate::shell::sys::{self, Found, Interest, Policy, Watch};
use crate::units::{Span, Time};

/// Bytes read at once to begin with. A connection that idles keeps at most this much.
const SMALL_BYTES: usize = 4 << 10;

/// Bytes read at once after a read that filled the small buffer. Measured with one stream:
/// 16 KiB 13, 64 KiB 14 to 17, 256 KiB 19 Gbit/s. Touched only as far as bytes come.
const LARGE_BYTES: usize = 256 << 10;

/// Bytes read at once when faults look at them: each chunk is copied to memory of its own.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes read at once on an http route. What the machine puts out is a copy, which with the chunk
/// sizes in it may take twice as much, and all of it stays until a slow reader has taken it.
const EXCHANGE_BYTES: usize = 32 << 10;

/// Reads in a row before limits and changes are looked at again: 4 MiB.
const READS_MAX: usize = 16;

/// A large buffer that was not used for this long is given back.
const BUFFER_IDLE: Span = Span::from_ms(1000);

/// The direction is done; whoever sees it returns.
struct Over;

/// Copies one direction until it is over. Returns when both are, or when it can do no more.
/// On an http route what is read goes through `half` first.
pub fn copy(link: &Link, direction: Direction, generation: Arc<Generation>, half: Option<Half>) {
    let guard = EndOnPanic(link);
    let mut flow = Flow::new(link, direction, generation);
    flow.half = half.map(Box::new);
    let Err(Over) = flow.run();
    flow.half.iter_mut().for_each(|half| half.leave(link));
    flow.tell_done();
    flow.report();
    drop(guard);
}

/// Ends the connection when its copy thread panics, so that its sibling does not wait for ever.
struct EndOnPanic<'a>(&'a Link);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Reason::Internal, Cut::Reset);
        }
    }
}

/// Bytes on their way to the target, which took only some of them.
enum Pending {
    /// Nothing is.
    Nothing,
    /// This part of the buffer.
    Buffer(usize, usize),
    /// This chunk from there on.
    Chunk(Vec<u8>, usize),
}

struct Flow<'a> {
    link: &'a Link,
    direction: Direction,
    /// None until the upstream of an http route is dialled; so with the target.
    source: Option<&'a TcpStream>,
    target: Option<&'a TcpStream>,
    /// The target is being dialled.
    dial: Option<Dial<'a>>,
    generation: Arc<Generation>,
    passage: Passage,
    /// True when nothing but passing bytes on is to be done.
    passes: bool,
    buffer: Option<Box<[u8]>>,
    pending: Pending,
    /// The target took less than was written.
    blocked: bool,
    /// The source has sent its FIN or RST, and it went into the pipeline.
    source_ended: bool,
    /// The source hung up while it was not read: no need to wait for it.
    source_quiet: bool,
    /// The FIN is passed on. What is left is to keep watch until the other direction is done.
    finished: bool,
    /// Bytes that were read and are not counted yet.
    uncounted: usize,
    account: Account,
    /// When the target last had room again: what was due before is late through no fault of ours.
    roomy_since: Time,
    /// Memory for what the half puts out next. Measured with large bodies: 0.9 s of processor time
    /// for a GB, and 1.8 s where it is asked for and given back each time.
    spare: Vec<u8>,
    /// The half has had its turn since anything but bytes has come.
    settled: bool,
    /// On an http route, until it is a tunnel.
    half: Option<Box<Half>>,
    /// What the half has ended with; to be done once all is written.
    half_end: Option<Turn>,
    /// That is in the pipeline.
    half_ended: bool,
    /// The half has more to put out when the target has room.
    stopped: bool,
    /// Since when the half has had no room for a turn.
    full_since: Option<Time>,
    /// A fault ends the connection with the last exchange.
    faulty: bool,
    finished_at: Time,
    /// While the thread waits in its reads.
    doze: Option<Doze<'a>>,
    /// Waits in a row for the source alone.
    lone_waits: u8,
}

/// The bytes of the direction, all that were counted.
#[derive(Default)]
struct Account {
    received: u64,
    sent: u64,
    discarded: u64,
}

impl<'a> Flow<'a> {
    fn new(link: &'a Link, direction: Direction, generation: Arc<Generation>) -> Flow<'a> {
        let (source, target) = link.ends(direction);
        let owner = link.owner();
        let now = if generation.faults.is_empty() { Time::ZERO } else { link.clock.now() };
        let passage = Passage::new(&link.bearings(&owner, direction, &generation.faults), now);
        let (version, word) = (generation.version, direction.as_str());
        link.route().decided(link.number, word, version, passage.decisions());
        Flow {
            link,
            direction,
            source,
            target,
            dial: None,
            generation,
            passes: passage.is_pass_through(),
            passage,
            buffer: None,
            pending: Pending::Nothing,
            blocked: false,
            source_ended: false,
            source_quiet: false,
            finished: false,
            uncounted: 0,
            account: Account::default(),
            roomy_since: Time::ZERO,
            spare: Vec::new(),
            settled: false,
            half: None,
            half_end: None,
            half_ended: false,
            stopped: false,
            full_since: None,
            faulty: false,
            finished_at: Time::ZERO,
            doze: None,
            lone_waits: 0,
        }
    }

    fn run(&mut self) -> Result<std::convert::Infallible, Over> {
        if self.direction == Direction::Upstream {
            self.read(false)?; // by now a client has mostly sent its request: saves a wait
            if matches!(self.pending, Pending::Nothing) {
                self.buffer = None; // it may never say a word
            }
        }
        loop {
            if !std::mem::take(&mut self.settled) {
                self.find_source();
                self.turn_if_room()?;
            }
            self.write_due()?;
            if self.goes_on() {
                continue;
            }
            if self.dozes() {
                self.settled = true; // unless more than bytes come
                self.read(true)?;
            } else if self.wait()?.any() {
                self.read(false)?;
            }
        }
    }

    /// Writes all that is due, until the target takes no more.
    fn write_due(&mut self) -> Result<(), Over> {
        self.write_pending()?;
        if self.passes {
            return Ok(());
        }
        let now = self.link.clock.now();
        if self.blocked {
            return match self.passage.pop_due_cut(now) {
                Some(step) => self.perform(step),
                None => Ok(()),
            };
        }
        while !self.blocked {
            let Some(step) = self.passage.pop_due(now) else { break };
            let asked = self.passage.asked_for().filter(|at| *at > self.roomy_since);
            self.perform(step)?;
            if let Some(at) = asked.filter(|_| !self.blocked) {
                let late = self.link.clock.now() - at;
                self.link.route().shared.journal.times.delay_error.observe(late);
            }
        }
        self.note_effects();
        self.passes = !self.blocked && self.passage.is_pass_through(); // after a change, maybe
        Ok(())
    }

    fn perform(&mut self, step: Step) -> Result<(), Over> {
        match step.action {
            Action::Open => Ok(()),
            Action::Send(bytes) => {
                self.pending = Pending::Chunk(bytes, 0);
                self.write_pending()
            }
            Action::Finish => self.finish(),
            Action::Close => self.end(self.reason_of_end(), Cut::Close),
            Action::Reset => self.end(self.reason_of_end(), Cut::Reset),
        }
    }

    fn write_pending(&mut self) -> Result<(), Over> {
        let Some(target) = self.target else { return self.lack_target() };
        if std::mem::take(&mut self.blocked) && !self.passes {
            self.roomy_since = self.link.clock.now();
        }
        loop {
            let rest = match (&self.pending, &self.buffer) {
                (Pending::Buffer(from, to), Some(buffer)) => &buffer[*from..*to],
                (Pending::Chunk(bytes, from), _) => &bytes[*from..],
                _ => return Ok(()),
            };
            if rest.is_empty() {
                let written = std::mem::replace(&mut self.pending, Pending::Nothing);
                self.keep_room(written);
                return Ok(());
            }
            match sys::send(target, rest) {
                Ok(written) => {
                    self.count(written);
                    if let Pending::Buffer(from, _) | Pending::Chunk(_, from) = &mut self.pending {
                        *from += written;
                    }
                }
                Err(error) if sys::is_wait(&error) => {
                    self.blocked = true;
                    self.count(0);
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return self.lose_target(),
            }
        }
    }

    /// Counts what was read, and `written` bytes with it.
    fn count(&mut self, written: usize) {
        let read = std::mem::take(&mut self.uncounted);
        self.account.received += read as u64;
        self.account.sent += written as u64;
        if read + written > 0 {
            self.link.count(self.direction, read, written);
        }
    }

    /// Counts what will never be written, `so_far` bytes at least.
    fn discard(&mut self, so_far: u64) {
        let Account { received, sent, discarded } = self.account;
        let more = so_far.min(received.saturating_sub(sent)).saturating_sub(discarded);
        if more > 0 {
            self.account.discarded += more;
            self.link.route().counters().discarded(self.direction, more);
        }
    }

    /// Reads what is there, until the source has no more or there is no room for it. With faults
    /// in force only one chunk: something else may be due before the next one. `waits` for the
    /// first bytes, as one that dozes does.
    fn read(&mut self, waits: bool) -> Result<(), Over> {
        for index in 0..if self.passes { READS_MAX } else { 1 } {
            let Some(source) = self.source.filter(|_| self.wants_to_read()) else { break };
            let buffer = self.buffer.get_or_insert_with(|| vec![0; SMALL_BYTES].into_boxed_slice());
            let most = match (&self.half, self.passes) {
                (Some(_), _) => EXCHANGE_BYTES,
                (None, true) => LARGE_BYTES,
                (None, false) => CHUNK_BYTES,
            };
            let size = buffer.len().min(most);
            let read = sys::receive(source, &mut buffer[..size], waits && index == 0);
            if waits {
                self.after_waiting_read()?;
            }
            match read {
                Ok(0) => return self.take_end(Action::Finish),
                Ok(count) => {
                    self.take(count)?;
                    if count < size {
                        break; // what comes next is waited for
                    }
                    self.grow();
                }
                Err(error) if sys::is_wait(&error) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return self.take_end(Action::Reset),
            }
        }
        Ok(())
    }

    /// More is coming than the small buffer holds: takes the large one, once nothing is pending.
    fn grow(&mut self) {
        let is_small = self.buffer.as_ref().is_none_or(|buffer| buffer.len() == SMALL_BYTES);
        if is_small && !matches!(self.pending, Pending::Buffer(..)) {
            self.buffer = Some(vec![0; LARGE_BYTES].into_boxed_slice());
        }
    }

    /// True when the buffer is one to give back after a while without use.
    fn holds_large_buffer(&self) -> bool {
        let is_large = self.buffer.as_ref().is_some_and(|buffer| buffer.len() > SMALL_BYTES);
        is_large && matches!(self.pending, Pending::Nothing)
    }

    /// Passes `count` bytes of the buffer on, or gives them to the faults.
    fn take(&mut self, count: usize) -> Result<(), Over> {
        if self.half.is_some() {
            self.link.moved();
            return self.turn(count);
        }
        self.uncounted = count;
        if self.passes {
            self.pending = Pending::Buffer(0, count);
            return self.write_pending();
        }
        self.count(0);
        self.link.moved();
        let chunk = self.buffer.as_ref().map(|buffer| buffer[..count].to_vec());
        let action = Action::Send(chunk.unwrap_or_default());
        self.passage.push(Step { at: self.link.clock.now(), action });
        Ok(())
    }

    /// The source has ended: its end goes the way of its bytes.
    fn take_end(&mut self, end: Action) -> Result<(), Over> {
        self.source_ended = true;
        let is_reset_by_client = self.direction == Direction::Upstream && end == Action::Reset;
        if self.half.is_some() && !is_reset_by_client {
            self.take_http_end(&end);
            return Ok(());
        }
        match (self.passes, &end) {
            (true, Action::Finish) => self.finish(),
            (true, _) => self.end(self.link.reset_by(self.direction, true), Cut::Reset),
            (false, _) => {
                self.passage.push(Step { at: self.link.clock.now(), action: end });
                Ok(())
            }
        }
    }

    fn wants_to_read(&self) -> bool {
        let room = if self.passes { !self.blocked } else { !self.passage.is_full() };
        let asks = self.half.as_ref().is_none_or(|half| half.wants() && self.half_end.is_none());
        room && asks && !self.source_ended && !self.finished
    }

    /// Waits for the source, the blocked target, a due time, a limit or a change, whichever is
    /// first. Tells what was found on the source.
    fn wait(&mut self) -> Result<Found, Over> {
        let reads = self.wants_to_read();
        let due = if self.blocked { self.passage.next_cut() } else { self.passage.next_due() };
        let deadline = due.unwrap_or(Time::NEVER).min(self.link.deadline());
        let deadline = deadline.min(self.due_of_half()).min(self.due_of_dial());
        let timeout = match deadline {
            Time::NEVER => None,
            deadline => Some(deadline - self.link.clock.now()),
        };
        let gives_back = self.holds_large_buffer() && timeout.is_none_or(|t| t > BUFFER_IDLE);
        let timeout = if gives_back { Some(BUFFER_IDLE) } else { timeout };
        let timeout = if self.begins_to_doze() { Some(Span::ZERO) } else { timeout };
        let is_timed = self.half.as_ref().is_some_and(|half| half.is_delayed());
        sys::schedule(if self.passes && !is_timed { Policy::Batch } else { Policy::Normal });
        let of_source = if reads { Interest::Readable } else { Interest::Trouble };
        let of_target = if self.blocked { Interest::Writable } else { Interest::Trouble };
        let wake = Watch::new(self.generation.wake.as_fd(), Interest::Trouble);
        let source = self.source.map_or(wake, |source| Watch::new(source.as_fd(), of_source));
        let target = self.target.map_or(wake, |target| Watch::new(target.as_fd(), of_target));
        let quiet = self.source_quiet && !reads && !self.finished;
        let found = match (quiet, self.blocked) {
            _ if self.half.is_some() => self.poll_http([wake, source, target], quiet, timeout),
            (false, false) => {
                sys::poll([wake, source], timeout).map(|[w, s]| (w, s, Found::default()))
            }
            (true, _) => sys::poll([wake, target], timeout).map(|[w, t]| (w, Found::default(), t)),
            (false, true) => sys::poll([wake, source, target], timeout).map(|[w, s, t]| (w, s, t)),
        };
        let Ok((wake, source, target)) = found else {
            return self.end(Reason::Internal, Cut::Reset).map(|()| Found::default());
        };
        if gives_back && !(wake.any() || source.any() || target.any()) {
            (self.buffer, self.spare) = (None, Vec::new()); // nothing came for so long
        }
        match self.dial.is_some() {
            false => self.after_wait(wake, source, target)?,
            true => {
                self.after_wait(wake, source, Found::default())?;
                self.go_on_dialling(source, target)?;
            }
        }
        Ok(if reads { source } else { Found::default() })
    }

    fn after_wait(&mut self, wake: Found, source: Found, target: Found) -> Result<(), Over> {
        if self.link.is_limited() && self.link.enforce_limits(self.link.clock.now()) {
            return Err(Over);
        }
        if self.link.is_over() {
            return Err(Over);
        }
        if self.finished {
            self.keep_watch(source.any())?;
            if self.is_lingering() && self.link.clock.now() >= self.linger_end() {
                return self.end(Reason::Finished, Cut::Close);
            }
        }
        // Who has just begun to doze compares by itself: while another process is being started,
        // it has the pipe as well, and the hang-up is late.
        if wake.any() || self.doze.is_some() {
            self.renew()?;
        }
        if source.error && !self.wants_to_read() && !self.source_ended {
            return self.take_end(Action::Reset);
        }
        self.source_quiet |= source.hang_up && !self.wants_to_read();
        if target.error || (target.hang_up && !self.blocked) {
            return self.lose_target();
        }
        Ok(())
    }

    /// Takes the faults now in force, or ends with the route.
    fn renew(&mut self) -> Result<(), Over> {
        let generation = self.link.route().live.generation();
        if generation.number == self.generation.number {
            return Ok(());
        }
        self.generation = generation;
        if let Some(end) = self.generation.end_of(self.link.number) {
            let (reason, cut) = end.told();
            return self.end(reason, cut);
        }
        let owner = self.link.owner();
        let now = self.link.clock.now();
        self.half.iter_mut().for_each(|half| half.release(now));
        let faults = &self.generation.faults;
        self.passage.retune(now, &self.link.bearings(&owner, self.direction, faults));
        let (version, direction) = (self.generation.version, self.direction.as_str());
        let decisions = self.passage.decisions();
        self.link.route().decided(self.link.number, direction, version, decisions);
        self.passes = false; // what the change released leaves first
        self.keep_pending();
        self.write_due()
    }

    /// Moves pending bytes out of the buffer: with faults in force it is read into meanwhile.
    fn keep_pending(&mut self) {
        if let (Pending::Buffer(from, to), Some(buffer)) = (&self.pending, &self.buffer) {
            self.pending = Pending::Chunk(buffer[*from..*to].to_vec(), 0);
        }
    }

    /// Passes the FIN on.
    fn finish(&mut self) -> Result<(), Over> {
        self.link.finish(self.direction);
        if let Some(half) = &self.half {
            half.finish(self.link);
            if self.faulty {
                self.link.blame();
            }
            self.finished_at = self.link.clock.now();
        }
        (self.buffer, self.finished) = (None, true);
        self.keep_watch(false)
    }

    /// After the FIN: over when the other direction is done, too. That makes the source hang up;
    /// if it does so before, it was reset.
    fn keep_watch(&self, hung_up: bool) -> Result<(), Over> {
        let other = match self.direction {
            Direction::Upstream => Direction::Downstream,
            Direction::Downstream => Direction::Upstream,
        };
        match self.link.is_finished(other) {
            true => Err(Over),
            false if hung_up => self.end(self.link.reset_by(self.direction, true), Cut::Reset),
            false => Ok(()),
        }
    }

    fn reason_of_end(&self) -> Reason {
        match self.passage.is_ended_by_fault() {
            true => Reason::Fault,
            false => self.reason_of_half(),
        }
    }

    fn end(&self, reason: Reason, cut: Cut) -> Result<(), Over> {
        self.link.end(reason, cut);
        Err(Over)
    }

    /// Tells what faults did for the first time, and counts what they took out.
    fn note_effects(&mut self) {
        self.discard(self.passage.swallowed_bytes());
        for (drawn, effect) in self.passage.take_effects() {
            let (route, direction) = (self.link.route(), self.direction.as_str());
            route.acted(self.link.number, direction, drawn.as_ref(), &effect);
        }
    }

    /// Leaves the sums for the note at the close. What is left is never written.
    fn report(&mut self) {
        self.count(0);
        self.note_effects();
        self.discard(u64::MAX);
        let direction = self.direction;
        let sums = |(spec, total): (Spec, Total)| FaultTotal {
            fault: spec.name,
            direction,
            total,
            shadow: spec.how.mode == Mode::Shadow,
        };
        self.link.add_totals(self.passage.totals().into_iter().map(sums));
    }
}
