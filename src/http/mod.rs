//! HTTP/1.1 and 1.0 requests as a machine over the caller's bytes: no socket, no clock.
//!
//! ```text
//! bytes --> [line] --> [head] -- framing --> [body] --> [request] --> [reply] --> bytes
//!              |          |                     |           |
//!              +----------+------- Reject ------+-----------+   answered once, then closed
//! ```
//!
//! Each verdict depends on the order of the bytes alone, never on how they were cut into reads.
//! Nothing is repaired: what two readers could read in two ways is refused.

pub mod line;

pub mod raw;

pub mod target;

pub mod head;

pub mod body;

pub mod reply;

pub mod request;

pub mod response;

pub use body::{BodyReader, TOO_LARGE};
pub use head::{Asked, Field, Fields, Framing, Head, HeadReader, Version};
pub use raw::{Known, RawField, RawFields};
pub use reply::{CONTINUE, Manner, Reply};
pub use request::{Event, Progress, Request, RequestReader, Taken};
pub use response::{AnswerReader, Answered};

/// What a request may be at most; one step past it is a `Reject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in the request line, without its end: beyond it 414.
    pub line_bytes: usize,
    /// Bytes in the head, and again in the trailers: beyond it 431.
    pub head_bytes: usize,
    /// Fields in the head, and again in the trailers: beyond it 431.
    pub fields: usize,
    /// Bytes in the body, without its framing: beyond it 413.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { line_bytes: 8 << 10, head_bytes: 32 << 10, fields: 100, body_bytes: 1 << 20 }
    }
}

/// Why a message is refused. Its connection is closed after the answer: where the next message
/// would begin is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// 400, 408, 413, 414, 431, 501 or 505.
    pub status: u16,
    /// What is wrong, in a few words.
    pub reason: &'static str,
}

impl Reject {
    /// A message that breaks the rules.
    pub(crate) const fn bad(reason: &'static str) -> Reject {
        Reject { status: 400, reason }
    }

    /// The answer to it.
    pub fn reply(self) -> Reply {
        Reply::text(self.status, self.reason)
    }
}
