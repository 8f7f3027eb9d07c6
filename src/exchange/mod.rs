//! The HTTP exchanges of one connection: what was decided for each of them is carried out on the
//! bytes of its two directions. No socket, no clock, no thread.
//!
//! ```text
//! client --> [Up: head, decide, body] ------------------------> upstream
//!                  |  Exchange, in order, at most PIPELINED_MAX
//!                  v
//! client <-- [Down: own answer, or the upstream's] <----------- upstream
//! ```
//!
//! Each half belongs to one copy thread. A message is read strictly and written anew: framing and
//! the fields that are for one hop are ours, all else is as it was. What comes out does not depend
//! on how the bytes were cut into reads, but for the sizes of chunks.

mod damage;

mod heads;

mod way;

mod up;

mod down;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fault::course::Course;
use crate::fault::message::Message;
use crate::fault::passage::Drawn;
use crate::http::{Limits, Reject, Version};
use crate::units::Time;

pub use down::{Down, Questions};
pub use up::{Answers, Up};

/// Requests of one connection that may wait for their answers; the next one waits unread.
pub const PIPELINED_MAX: usize = 16;

/// Bytes of the body of a request that is sent more than once; one with a longer one is sent once.
pub const COPY_BYTES_MAX: usize = 64 << 10;

/// What a message may be on its way through. Bodies are not kept, so they have no limit but one:
/// a length that does not fit 64 bits.
pub const LIMITS: Limits =
    Limits { line_bytes: 8 << 10, head_bytes: 32 << 10, fields: 100, body_bytes: usize::MAX - 1 };

/// What the half that answers knows of a request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The number of the request on its connection, from 1.
    pub number: u64,
    /// What the client speaks.
    pub version: Version,
    /// The answer has no body, whatever its head says.
    pub head_only: bool,
    /// The client means to send another request.
    pub keep_alive: bool,
    /// The connection ends behind it.
    pub is_last: bool,
    /// The client would speak another protocol from here on.
    pub upgrade: bool,
    /// Who answers.
    pub from: From,
    /// What the faults decided; none when they decided nothing.
    pub course: Option<Box<Course>>,
    /// Set when it is sent again, where it is to be.
    pub is_repeated: Option<Arc<AtomicBool>>,
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The upstream.
    Upstream,
    /// Nobody: the connection ends, for the request before it was the last one.
    Nobody,
    /// The upstream answers once more to a request that was sent more than once: thrown away.
    Again,
    /// The proxy, not before this, as the course's abort says.
    Proxy(Time),
    /// The proxy, for it was no request; the connection ends behind the answer.
    Refused(Reject),
}

/// How it stands with the upstream, which is dialled for the first request that goes there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upstream {
    /// Nobody has answered a dial yet.
    #[default]
    Awaited,
    /// There is a connection.
    Reached,
    /// It cannot be reached.
    Failed,
    /// The client has ended, and no request of it goes there.
    Unneeded,
}

/// What became of the bytes that a half was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All that could be done was done: more bytes, a time or the other half are waited for.
    Wait,
    /// No HTTP from here on: bytes pass as they come.
    Tunnel,
    /// No more bytes will come out: FIN.
    Finish,
    /// The message under way was cut: both sides are closed.
    Close,
    /// Both sides are reset.
    Reset,
}

/// How the source of a half ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// FIN.
    Finished,
    /// RST.
    Reset,
}

/// An exchange that is over, as told to logs and counters.
#[derive(Clone, Debug)]
pub struct Done {
    /// The number of the request on its connection, from 1.
    pub number: u64,
    /// The status that the client was given; 0 for none.
    pub status: u16,
    /// It was an answer of the upstream.
    pub by_upstream: bool,
    /// What the faults decided; none when they decided nothing.
    pub course: Option<Box<Course>>,
    /// Why a message was refused.
    pub refused: Option<&'static str>,
    /// A fault ended the connection with it.
    pub ended_by_fault: bool,
}

impl Exchange {
    /// It is cut after its client was given this status; 0: before, while a fault held the answer
    /// perhaps. None where nobody waits for it.
    pub fn cut(mut self, status: u16, is_held: bool, upstream: Upstream) -> Option<Done> {
        self.look_at_copies();
        let was_sent = self.from == From::Upstream && upstream == Upstream::Reached;
        if let Some(course) = self.course.as_mut().filter(|_| status == 0) {
            course.came_to_nothing(was_sent, is_held);
        }
        let (by_upstream, refused, ended_by_fault) = (status != 0, None, false);
        let Exchange { number, course, from, .. } = self;
        let done = Done { number, status, by_upstream, course, refused, ended_by_fault };
        (!matches!(from, From::Again | From::Nobody)).then_some(done)
    }

    /// Tells its course whether it was sent again so far.
    fn look_at_copies(&mut self) {
        if let (Some(flag), Some(course)) = (&self.is_repeated, &mut self.course) {
            course.set_repeated(flag.load(Ordering::SeqCst));
        }
    }
}

/// A request whose body broke the rules after its head had been passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its number.
    pub number: u64,
    /// What is wrong.
    pub reject: Reject,
}

/// From where on what a half puts out belongs to another message, as far as that matters: a fault
/// of the stream was drawn for it, or for the one before.
#[derive(Clone, Debug)]
pub struct Mark {
    /// An offset in what the turn has put out.
    pub at: usize,
    /// None for messages that no such fault was drawn for.
    pub drawn: Option<Drawn>,
}

/// The marks that a half has made since they were last taken.
#[derive(Debug, Default)]
struct Marks {
    last: Option<Arc<Message>>,
    new: Vec<Mark>,
    /// Of a message that has put nothing out yet: it begins with its first byte.
    next: Option<Mark>,
}

impl Marks {
    /// What is put out from here on belongs to the request with this number, or its answer.
    fn turn_to(&mut self, at: usize, number: u64, course: Option<&Course>) {
        let message = course.and_then(|course| course.message.as_ref());
        let message = message.filter(|message| !message.faults.is_empty());
        if message.is_none() && self.last.is_none() {
            return;
        }
        let drawn = message.map(|message| Drawn { number, message: Arc::clone(message) });
        self.last = message.cloned();
        self.come_to(at);
        self.next = Some(Mark { at, drawn });
    }

    /// So much has been put out since the marks were last taken, before this turn or in it.
    fn come_to(&mut self, length: usize) {
        self.new.extend(self.next.take_if(|next| next.at < length));
    }

    /// Those of messages that have begun.
    fn take(&mut self) -> Vec<Mark> {
        if let Some(next) = &mut self.next {
            next.at = 0; // whatever comes next
        }
        std::mem::take(&mut self.new)
    }
}

/// What is to be done with the bytes of one turn of a half.
struct Work<'a, Other: ?Sized> {
    bytes: &'a [u8],
    taken: usize,
    now: Time,
    other: &'a mut Other,
    out: &'a mut Vec<u8>,
}

impl<'a, Other: ?Sized> Work<'a, Other> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.taken..]
    }
}

/// Bytes that a half was given and did not take yet, because it waits for something else.
#[derive(Debug, Default)]
struct Rest(Vec<u8>);

impl Rest {
    /// What is to be taken: what was left, or else `fresh`. Never both: a half with a rest does
    /// not want more.
    fn with<'a>(&'a self, fresh: &'a [u8]) -> &'a [u8] {
        if self.0.is_empty() { fresh } else { &self.0 }
    }

    /// `count` bytes of that were taken.
    fn keep(mut self, fresh: &[u8], count: usize) -> Rest {
        match self.0.is_empty() {
            true if count == fresh.len() => self,
            true => Rest(fresh[count..].to_vec()),
            false => {
                self.0.drain(..count);
                self
            }
        }
    }
}

#[cfg(test)]
use crate::http::HeadReader;

#[cfg(test)]
mod between;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod course_tests;

#[cfg(test)]
mod told_tests;

#[cfg(test)]
mod corpus_tests;

#[cfg(test)]
mod advisory_tests;
