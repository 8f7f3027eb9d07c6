//! Faults that are decided per exchange: what they may know, when they are asked, what they say.

use std::net::IpAddr;

use super::attr::Attrs;
use super::course::Course;
use super::{Fault, Place, Step};
use crate::dice::Dice;
use crate::http::{Fields, Framing, Head, Reply};
use crate::units::Time;

/// What is known of an exchange when the head of its request is whole.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Upper and lower case differ.
    pub method: &'a str,
    /// As it was written, with its escapes, without the query.
    pub path: &'a str,
    /// What follows the first `?`, as it was written.
    pub query: Option<&'a str>,
    /// The fields of the head.
    pub fields: &'a Fields,
    /// The length of the body; none when it comes in chunks.
    pub body_bytes: Option<u64>,
    /// The address of the socket's peer.
    pub peer: IpAddr,
    /// Since its connection was accepted.
    pub age: Time,
}

impl<'a> Facts<'a> {
    /// Those of a request with this head, from this peer, so long after its connection began.
    pub fn of(head: &'a Head, peer: IpAddr, age: Time) -> Facts<'a> {
        Facts {
            method: &head.method,
            path: &head.target.path,
            query: head.target.query.as_deref(),
            fields: &head.fields,
            body_bytes: match head.framing {
                Framing::Length(bytes) => Some(bytes),
                Framing::Chunked | Framing::Close => None,
            },
            peer,
            age,
        }
    }
}

/// When on the way of an exchange a fault is asked: in this order, and in one of them in the order
/// of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It may keep the request out. No other is then asked.
    Limit,
    /// It makes the exchange later.
    Delay,
    /// It answers in the upstream's place. No later one is then asked.
    Abort,
    /// It changes how the request is passed on.
    Request,
    /// It puts another answer in the place of the upstream's. One may.
    Replace,
    /// It changes the head of the answer, or when it comes.
    Answer,
    /// It changes the bytes of the body. One may.
    Corrupt,
    /// It lets the answer end otherwise than it should. One may.
    End,
    /// It acts on the bytes of the request or of its answer.
    Stream,
}

impl Phase {
    /// True when a fault that has acted in this phase leaves nothing to do for one in `later`.
    pub fn excludes(self, later: Phase) -> bool {
        match self {
            Phase::Limit | Phase::Abort => self <= later && later != Phase::Stream,
            Phase::Replace => matches!(later, Phase::Replace | Phase::Corrupt | Phase::End),
            Phase::Corrupt | Phase::End => self == later,
            Phase::Delay | Phase::Request | Phase::Answer | Phase::Stream => false,
        }
    }

    /// The word for it in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Limit => "limit",
            Phase::Delay => "delay",
            Phase::Abort => "abort",
            Phase::Request => "request",
            Phase::Replace => "replace",
            Phase::Answer => "answer",
            Phase::Corrupt => "corrupt",
            Phase::End => "end",
            Phase::Stream => "stream",
        }
    }
}

/// What a fault is asked about, and where it writes down what it decides.
pub struct Ask<'a> {
    /// Its attributes.
    pub attrs: &'a Attrs,
    /// The exchange.
    pub facts: &'a Facts<'a>,
    /// Since one moment for all connections of the route.
    pub now: Time,
    /// Its own, of this exchange.
    pub dice: &'a mut Dice,
    /// What was decided before.
    pub course: &'a mut Course,
}

/// The side of a fault that is asked once per exchange.
pub trait Exchange: Send {
    /// When it is asked.
    fn phase(&self, attrs: &Attrs) -> Phase;

    /// What is wrong with its attributes at this place, if anything is.
    fn wrong(&self, _attrs: &Attrs, _place: Place) -> Option<&'static str> {
        None
    }

    /// False for one that acts in the upstream's place and lets nothing come to the client, so that
    /// there are no bytes for the faults of the stream.
    fn leaves_bytes(&self, _attrs: &Attrs) -> bool {
        true
    }

    /// Decides, and says what was drawn, as `status=503`; none when it does nothing after all.
    fn decide(&mut self, ask: &mut Ask<'_>) -> Option<String>;
}

/// A fault without a state of its own, that sees exchanges and no bytes.
pub(super) struct Stateless {
    pub(super) phase: fn(&Attrs) -> Phase,
    pub(super) decide: fn(&mut Ask<'_>) -> Option<String>,
    pub(super) wrong: fn(&Attrs) -> Option<&'static str>,
}

/// For those of whose attributes nothing is wrong that is not wrong of one alone.
pub(super) fn nothing_wrong(_: &Attrs) -> Option<&'static str> {
    None
}

impl Fault for Stateless {
    fn retune(&mut self, _: &Attrs) {}

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        out.push(step);
    }

    fn exchange(&mut self) -> Option<&mut dyn Exchange> {
        Some(self)
    }
}

impl Exchange for Stateless {
    fn phase(&self, attrs: &Attrs) -> Phase {
        (self.phase)(attrs)
    }

    fn wrong(&self, attrs: &Attrs, _: Place) -> Option<&'static str> {
        (self.wrong)(attrs)
    }

    fn decide(&mut self, ask: &mut Ask<'_>) -> Option<String> {
        (self.decide)(ask)
    }
}

/// An answer in the upstream's place; without a body it says what it is.
pub(super) fn injected(status: u16, body: Option<&str>) -> Reply {
    let own = || format!("{{\"error\":\"injected\",\"status\":{status}}}");
    Reply::new(status).with_body(body.map_or_else(own, str::to_owned))
}

/// `reply` with its Content-Type: what its body looks like, unless it has one.
pub(super) fn with_type(reply: Reply) -> Reply {
    if reply.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        return reply;
    }
    let is_json = reply.body.starts_with(b"{") || reply.body.starts_with(b"[");
    let own = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
    reply.with("Content-Type", own)
}
