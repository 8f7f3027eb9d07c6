//! The messages of an HTTP route, for the faults of the stream that choose among them.
//!
//! A stream fault that chooses (by `match`, `oneOf`, a probability or a number) is drawn at the
//! desk, once for each exchange, and acts on the bytes of its request or its answer alone, as if
//! they were a connection of their own. One that does not choose acts on the whole connection, as
//! on a TCP route.

use super::{How, Place, Sampling, Spec, When};
use crate::units::Ratio;

/// An exchange that something was decided about, as its request and its answer know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `METHOD PATH`, a part of the key of its dice.
    pub request: String,
    /// The how-many-th exchange of these two it is on the route, from 1; the other part.
    pub occurrence: u64,
    /// The names of the stream faults that were drawn for it.
    pub faults: Vec<String>,
}

impl Spec {
    /// True when it acts on bytes, and on an HTTP route not on those of every exchange.
    pub fn chooses(&self) -> bool {
        let When { times, .. } = self.how.when;
        let among = &self.among;
        matches!(self.place, Place::One(_) | Place::Both)
            && (among.matching.is_some()
                || among.one_of.is_some()
                || self.probability != Ratio::ONE
                || times.is_some()
                || self.how.when.counts())
    }

    /// The fault as it acts on a message that it was drawn for: there is nothing left to choose.
    pub(super) fn drawn(&self) -> Spec {
        let when = When { nth: None, every: None, first: None, times: None, ..self.how.when };
        let how = How { sampling: Sampling::Bernoulli, when, ..self.how };
        Spec { probability: Ratio::ONE, how, ..self.clone() }
    }
}
