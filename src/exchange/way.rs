//! The way of the body of an answer to the client: framed anew, and as damaged or as short as was
//! decided.

use super::Turn;
use super::damage::Damage;
use super::heads::{self, Out};
use crate::fault::course::{Answer, Corruption, CorruptionKind, Lose, Partial};
use crate::http::{BodyReader, Framing, RawFields, Reply, Version};

/// An answer whose body is coming.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) body: BodyReader,
    pub(super) status: u16,
    pub(super) to: To,
    /// The upstream means to take another request.
    pub(super) stays: bool,
}

impl Passing {
    /// The status that the client was given so far.
    pub(super) fn given(&self) -> u16 {
        match self.to {
            To::Client(_) => self.status,
            To::Nowhere(Then::Done(status)) => status,
            To::Nowhere(Then::Reply(_) | Then::Lose(_)) => 0,
        }
    }
}

#[derive(Debug)]
pub(super) enum To {
    Client(Way),
    /// Thrown away; then goes on like this.
    Nowhere(Then),
}

#[derive(Debug)]
pub(super) enum Then {
    /// The exchange is over; its client has this status.
    Done(u16),
    Reply(Reply),
    Lose(Lose),
}

/// How a body goes on to the client.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) framing: Out,
    damage: Option<Damage>,
    /// How much of it may still pass; all when there is none.
    left: Option<Left>,
    /// What is behind that is cut off together with the connection; else the body ends early.
    pub(super) cuts: bool,
}

/// What is left of a body that ends too early.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// So many bytes.
    Bytes(u64),
    /// This share of what comes at once.
    Share(f64),
}

/// What became of a piece of a body.
pub(super) enum Passed {
    /// It went on.
    All,
    /// It was the last that passes; the connection is to be cut.
    Cut,
    /// It was the last that passes; the body is to end.
    Ended,
}

impl Way {
    pub(super) fn new(plan: &Answer, is_bodiless: bool, framing: Framing, version: Version) -> Way {
        let truncates = |corruption: &Corruption| corruption.kind == CorruptionKind::Truncate;
        let truncated = plan.corruption.is_some_and(|corruption| truncates(&corruption));
        let length = match framing {
            Framing::Length(length) if truncated => Some(length / 2),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        };
        let most = |bytes: u64| length.map_or(bytes, |length| bytes.min(length.saturating_sub(1)));
        let cut = plan.partial.filter(|_| length != Some(0)).map(|partial| match partial {
            Partial::Bytes(bytes) => Left::Bytes(most(bytes)),
            Partial::Fraction(share) => match length {
                Some(length) => Left::Bytes(most((length as f64 * share.get()) as u64)),
                None => Left::Share(share.get()),
            },
        });
        let end = truncated.then(|| length.map_or(Left::Share(0.5), Left::Bytes));
        let corruption = plan.corruption.filter(|corruption| !truncates(corruption));
        Way {
            framing: match (is_bodiless, length, framing, version) {
                (true, ..) => Out::Bodiless,
                (false, Some(length), ..) => Out::Length(length),
                (false, None, Framing::Chunked, Version::Http11) => Out::Chunked,
                (false, None, ..) => Out::Raw,
            },
            damage: corruption.map(|corruption| Damage::new(corruption, length)),
            left: cut.or(end),
            cuts: cut.is_some(),
        }
    }

    /// Passes on what may pass of a piece of the body.
    pub(super) fn pass(&mut self, data: &[u8], out: &mut Vec<u8>) -> Passed {
        let length = data.len() as u64;
        let left = match self.left {
            None => length,
            Some(Left::Bytes(left)) => left,
            Some(Left::Share(_)) if data.is_empty() => return Passed::All,
            Some(Left::Share(share)) => (length as f64 * share) as u64,
        };
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        match self.framing {
            Out::Chunked => heads::chunk(&data[..count], out),
            Out::Length(_) | Out::Raw | Out::Bodiless => out.extend_from_slice(&data[..count]),
        }
        if let Some(damage) = self.damage.as_mut().filter(|_| count > 0) {
            let end = if self.framing == Out::Chunked { out.len() - 2 } else { out.len() };
            damage.apply(&mut out[end - count..end]);
        }
        let Some(_) = self.left else { return Passed::All };
        self.left = Some(Left::Bytes(left - count as u64));
        match (left > count as u64, self.cuts) {
            (true, _) => Passed::All,
            (false, true) => Passed::Cut,
            (false, false) => Passed::Ended,
        }
    }

    /// Ends the body as its framing says.
    pub(super) fn finish(&self, trailers: Option<RawFields<'_>>, out: &mut Vec<u8>) {
        if self.framing == Out::Chunked {
            heads::last_chunk(trailers, out);
        }
    }

    /// How the connection ends so that nobody takes the body for whole.
    pub(super) fn cut(&self) -> Turn {
        if self.framing == Out::Raw { Turn::Reset } else { Turn::Finish }
    }
}
