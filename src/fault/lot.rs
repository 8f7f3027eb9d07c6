//! Whether a fault acts on a connection: drawn once, from its key alone, so that it can be drawn
//! again from a record.

use super::{How, Sampling, Spec};
use crate::dice::{Dice, Key};
use crate::units::{Ratio, Time};

/// Whose pipeline it is: the part of every dice key that its faults share.
#[derive(Clone, Debug)]
pub struct Owner<'a> {
    /// The seed of the process.
    pub seed: u64,
    /// The route's name.
    pub route: &'a str,
    /// The connection's number on its route, from 1.
    pub connection: u64,
    /// When the connection began, by the clock that all connections of the process share.
    pub began: Time,
    /// Of a message of an HTTP route: `METHOD PATH`, and then `connection` is the how-many-th
    /// exchange of these two it belongs to.
    pub request: Option<&'a str>,
}

/// What decides whether the fault acts in a pipeline; drawn once.
pub(super) enum Lot {
    /// It does when this is below its probability.
    Drawn(f64),
    /// It does when the connection's number, counted in steps of its probability from this phase
    /// on, passes a whole number.
    Spread { phase: f64, connection: u64 },
}

/// What the dice and the number of the connection say. The stretch of the connection in which a
/// fault is in force, and how often it may act, come on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It acts.
    Acts,
    /// It is not enabled.
    Disabled,
    /// `nth`, `every` or `first` leave this connection out.
    LeftOut,
    /// The dice are against it.
    Lost,
}

impl Verdict {
    /// Why it does not act; nothing when it does.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Verdict::Acts => None,
            Verdict::Disabled => Some("disabled"),
            Verdict::LeftOut => Some("number"),
            Verdict::Lost => Some("probability"),
        }
    }
}

/// Whether a fault acts in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision<'a> {
    /// The fault.
    pub spec: &'a Spec,
    /// What was drawn, from 0 to 1: the lot, or with `sampling: exact` the phase.
    pub drawn: f64,
    /// What came of it.
    pub verdict: Verdict,
}

impl Lot {
    /// The lot for a key, whose number counts from 1. `dice` are those of the key, and lose one
    /// draw.
    pub(super) fn draw(seed: u64, key: &Key<'_>, sampling: Sampling, dice: &mut Dice) -> Lot {
        let drawn = dice.share();
        match sampling {
            Sampling::Bernoulli => Lot::Drawn(drawn),
            Sampling::Exact => {
                // The dice of number 0 belong to all of them.
                let phase = Dice::new(seed, &Key { connection: 0, ..*key }).share();
                Lot::Spread { phase, connection: key.connection }
            }
        }
    }

    pub(super) fn wins(&self, share: f64) -> bool {
        match self {
            Lot::Drawn(lot) => *lot < share,
            Lot::Spread { phase, connection } => {
                let passed = |number: u64| (number as f64 * share + phase).floor();
                passed(connection.saturating_sub(1)) < passed(*connection)
            }
        }
    }

    pub(super) fn drawn(&self) -> f64 {
        match self {
            Lot::Drawn(drawn) | Lot::Spread { phase: drawn, .. } => *drawn,
        }
    }

    pub(super) fn verdict(&self, how: &How, probability: Ratio, connection: u64) -> Verdict {
        if !how.enabled {
            Verdict::Disabled
        } else if !how.when.covers(connection) {
            Verdict::LeftOut
        } else if self.wins(probability.get()) {
            Verdict::Acts
        } else {
            Verdict::Lost
        }
    }
}

/// The decision again, from the seed of the process and the key: what is drawn, and what comes of
/// it.
pub fn decide(seed: u64, key: &Key<'_>, how: &How, probability: Ratio) -> (f64, Verdict) {
    let lot = Lot::draw(seed, key, how.sampling, &mut Dice::new(seed, key));
    (lot.drawn(), lot.verdict(how, probability, key.connection))
}

/// The lot again: what is drawn, and whether that is enough.
pub fn draw(seed: u64, key: &Key<'_>, sampling: Sampling, probability: Ratio) -> (f64, bool) {
    let lot = Lot::draw(seed, key, sampling, &mut Dice::new(seed, key));
    (lot.drawn(), lot.wins(probability.get()))
}
