//! What becomes of one HTTP exchange: decided once, when the head of the request is whole.
//!
//! A course is data. The faults of a route decide on it, the two copy threads of the connection
//! carry it out; nothing else passes between them.

use std::sync::Arc;

use super::exchange::Phase;
use super::message::Message;
use super::{Kind, Place};
use crate::http::Reply;
use crate::units::{Ratio, Span};

/// What the faults decided for one exchange. The default passes it on unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// How much later the request goes on, or is answered in the upstream's place.
    pub delay: Span,
    /// What becomes of the head of the request, in order.
    pub request_edits: Vec<Edit>,
    /// The upstream is not called, and this happens in its place.
    pub abort: Option<Abort>,
    /// How many times more the upstream gets the request; only its first answer is passed on.
    pub duplicates: u32,
    /// What becomes of the answer.
    pub answer: Answer,
    /// What was decided, in order.
    pub decided: Vec<Decided>,
    /// Decisions to send the request again that have not been carried out.
    pub unrepeated: Vec<Decided>,
    /// The exchange as its bytes know it; none when nothing was decided.
    pub message: Option<Arc<Message>>,
    /// What came of each fault, where that is asked for.
    pub judged: Vec<Judged>,
    /// How long its delays have really held it so far.
    pub held: Span,
    /// The answer tells `decided` in `X-Chaos-Faults`.
    pub explain: bool,
}

impl Course {
    /// There was no answer of the upstream's, or none at all: what the faults would have done to
    /// that was not done, nor what they would have done to a request, unless it `was_sent`; but
    /// the answer, of whomever, may have been held.
    pub fn came_to_nothing(&mut self, was_sent: bool, was_held: bool) {
        self.decided.retain(|decided| match decided.phase {
            Phase::Delay | Phase::Stream => true,
            Phase::Request => was_sent,
            Phase::Limit | Phase::Abort => was_held,
            Phase::Answer => was_held && decided.delays(),
            Phase::Replace | Phase::Corrupt | Phase::End => false,
        });
    }

    /// The upstream has answered, with a body or without: what cannot be done to that is not done.
    pub fn meets_answer(&mut self, has_body: bool) {
        let Answer { lose, malformed, .. } = &self.answer;
        let has_head = lose.is_none() && matches!(malformed, None | Some(Malformed::Chunk));
        let has_body = has_body && lose.is_none() && malformed.is_none();
        self.decided.retain(|decided| match decided.phase {
            Phase::Answer => has_head || decided.delays(),
            Phase::Corrupt => has_body,
            Phase::End => has_body || *decided.kind != super::partial_response::KIND,
            _ => true,
        });
    }

    /// The upstream speaks another protocol from here on: there is a head, and no answer proper.
    pub fn meets_tunnel(&mut self) {
        self.decided.retain(|decided| match decided.phase {
            Phase::Answer => !decided.delays(),
            Phase::Replace | Phase::Corrupt | Phase::End => false,
            _ => true,
        });
    }

    /// The name of the fault that lost the answer.
    pub fn lost_by(&self) -> Option<String> {
        let ends = |decided: &&Decided| decided.phase == Phase::End && !decided.shadow;
        self.decided.iter().find(ends).map(|decided| decided.fault.clone())
    }

    /// The upstream got the request again, or has not so far.
    pub fn set_repeated(&mut self, is_repeated: bool) {
        let copies = |decided: &mut Decided| *decided.kind == super::duplicate_request::KIND;
        match is_repeated {
            true => self.decided.append(&mut self.unrepeated),
            false => self.unrepeated.extend(self.decided.extract_if(.., copies)),
        }
    }
}

impl Decided {
    /// It makes the exchange later, and nothing else.
    fn delays(&self) -> bool {
        *self.kind == super::http_delay::KIND
    }
}

/// What happens to an exchange whose upstream is not called. The request is read to its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Abort {
    /// It is answered, so much later.
    Reply(Reply, Span),
    /// The connection is closed in the ordinary way (FIN), without an answer.
    Close,
    /// The connection is reset (RST).
    Reset,
}

/// What becomes of the answer of the upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// How much later its head goes on, and so all that follows.
    pub delay: Span,
    /// It is read to its end, thrown away, and this is answered in its place.
    pub replace: Option<Reply>,
    /// What becomes of its head, in order.
    pub edits: Vec<Edit>,
    /// What becomes of the bytes of its body.
    pub corruption: Option<Corruption>,
    /// It ends too early: so much of its body, and then an abrupt close.
    pub partial: Option<Partial>,
    /// It is broken on purpose.
    pub malformed: Option<Malformed>,
    /// It is read to its end and thrown away, and this happens to the client.
    pub lose: Option<Lose>,
}

/// A change of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The field has this value, once, whether it was there or not.
    Set(String, Vec<u8>),
    /// Every field with this name is taken out.
    Remove(String),
}

/// How much of a body passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Partial {
    /// So many bytes.
    Bytes(u64),
    /// This share of its length; of a body whose length is not known, of what has come at once.
    Fraction(Ratio),
}

/// How an answer is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A good head, and then a chunk that is none.
    Chunk,
    /// Bytes that are no HTTP, then a close.
    Garbage,
    /// A close without a byte.
    Empty,
}

/// What becomes of the bytes of a body; its length stays, unless it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// Which way.
    pub kind: CorruptionKind,
    /// Of the dice that choose the places and values.
    pub seed: u64,
}

/// The ways to damage a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorruptionKind {
    /// Some bytes have another value.
    RandomBytes,
    /// The second half is missing, and the length in the head says so.
    Truncate,
    /// Some bits are the other way round.
    BitFlip,
}

/// What happens to a client whose answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lose {
    /// The connection is reset (RST).
    Reset,
    /// Nothing more comes.
    Hang,
    /// The connection is closed (FIN).
    Close,
}

/// One decision, for `X-Chaos-Faults`, events and counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The fault's name on its route.
    pub fault: String,
    /// Its row.
    pub kind: &'static Kind,
    /// What was drawn, as `status=503` or `ms=512`.
    pub drawn: String,
    /// It only would have acted: its mode is shadow.
    pub shadow: bool,
    /// When on the way of the exchange it acts. In phase Stream it tells itself what it did.
    pub phase: Phase,
}

/// What came of one fault for an exchange, whether it acts or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The fault's name on its route.
    pub fault: String,
    /// Its row.
    pub kind: &'static Kind,
    /// Where it acts.
    pub place: Place,
    /// What was drawn, from 0 to 1: the lot of the fault or of its group.
    pub drawn: f64,
    /// The group, if it is in one.
    pub group: Option<u16>,
    /// What `nth`, `every` and `first` counted.
    pub count: u64,
    /// Its mode is shadow.
    pub shadow: bool,
    /// Why it does not act; none when it does.
    pub reason: Option<&'static str>,
}
