//! How likely each fault of an HTTP route is to act on a request: worked out, not tried.
//!
//! Lots are independent of each other, and those of a group exclude each other. So a fault acts
//! when its own lot wins and none does of a fault that leaves it nothing to do. Rate limits stand
//! aside: how often they act is up to the clients. Triggers do for a fault itself, whose share is
//! that of the requests that they let through; what it leaves to others is a range then. Without a
//! request, which of the others it meets is known as far as their matches tell; where they do not,
//! what comes out is a range, too.

use super::exchange::{Facts, Phase};
use super::matching::Match;
use super::{Mode, Spec};

/// How a fault stands to requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Stand {
    /// It acts on such a share of those that it is for.
    Acts(Share),
    /// It keeps out what is beyond its rate.
    Limits,
    /// It comes into question for none, or not for this one; holds why.
    Idle(String),
    /// It is decided for a connection, or for the route.
    Elsewhere,
}

/// A share of requests. Which of them come, nobody knows: it is between these two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// At least so many.
    pub from: f64,
    /// At most so many.
    pub to: f64,
}

impl Share {
    fn times(self, share: f64) -> Share {
        Share { from: self.from * share, to: self.to * share }
    }
}

/// How each fault stands to this request, or to those that it is for; and the share of this
/// request, or of all requests, on which none acts.
pub fn odds(faults: &[Spec], facts: Option<&Facts<'_>>) -> (Vec<Stand>, Share) {
    let any = Match::default();
    let lot = |spec| {
        let stand = stand(spec, facts);
        // Of one request, it is known whether it matches.
        let matching = spec.among.matching.as_deref().filter(|_| facts.is_none());
        (Lot::new(spec, &stand, matching.unwrap_or(&any)), stand)
    };
    let (lots, mut stands): (Vec<Lot<'_>>, Vec<Stand>) = faults.iter().map(lot).unzip();
    for (index, (own, stand)) in lots.iter().zip(&mut stands).enumerate() {
        if let Stand::Acts(share) = stand {
            *share = none_of(&lots, own.matching, own.shut_out_by(index)).times(own.share);
        }
    }
    (stands, none_of(&lots, &any, |_, other| other.acts))
}

/// What counts of a fault against the others.
struct Lot<'a> {
    spec: &'a Spec,
    group: Option<u16>,
    phase: Option<Phase>,
    share: f64,
    acts: bool,
    /// No trigger keeps it from a request that it is for.
    is_always: bool,
    /// Which it is for, of the requests in question.
    matching: &'a Match,
}

impl<'a> Lot<'a> {
    fn new(spec: &'a Spec, stand: &Stand, matching: &'a Match) -> Lot<'a> {
        let share = match stand {
            Stand::Acts(share) => share.to,
            Stand::Limits | Stand::Idle(_) | Stand::Elsewhere => 0.0,
        };
        let (group, phase, when) = (spec.among.one_of, spec.phase(), &spec.how.when);
        let is_always = when.is_always() && !when.counts() && when.times.is_none();
        let acts = spec.how.mode == Mode::Act;
        Lot { spec, group, phase, share, acts, is_always, matching }
    }

    /// True for those that leave nothing to do for this one, which is at this place of the list.
    /// The others of its group are not drawn where it is.
    fn shut_out_by(&self, index: usize) -> impl Fn(usize, &Lot<'_>) -> bool {
        move |place, other| {
            let (Some(first), Some(later)) = (other.phase, self.phase) else { return false };
            let is_before = first < later || (first == later && place < index);
            let is_of_group = self.group.is_some() && self.group == other.group;
            other.acts && is_before && !is_of_group && other.spec.excludes(self.spec)
        }
    }
}

/// The chance that none is drawn of those that count, on requests for which `matching` holds.
fn none_of(lots: &[Lot<'_>], matching: &Match, counts: impl Fn(usize, &Lot<'_>) -> bool) -> Share {
    let mut rolls: Vec<Roll<'_>> = Vec::new();
    for (index, lot) in lots.iter().enumerate() {
        if !counts(index, lot) || lot.matching.excludes(matching) {
            continue;
        }
        match rolls.iter_mut().find(|roll| lot.group.is_some() && roll[0].group == lot.group) {
            Some(roll) => roll.push(lot),
            None => rolls.push(vec![lot]),
        }
    }
    let lost = |won: f64| 1.0 - won.min(1.0);
    let sure = |roll: &Roll<'_>| {
        let is_sure = |lot: &&&Lot<'_>| lot.is_always && lot.matching.covers(matching);
        roll.iter().filter(is_sure).map(|lot| lot.share).sum()
    };
    let never_met =
        |a: &Roll<'_>, b: &Roll<'_>| a.iter().all(|a| b.iter().all(|b| never_meet(a, b)));
    Share {
        from: one_of_each(&rolls, never_met, most).into_iter().map(lost).product(),
        to: rolls.iter().map(sure).map(lost).product(),
    }
}

/// The lots of a group, or a single one.
type Roll<'a> = Vec<&'a Lot<'a>>;

/// The largest share that wins of this roll on any one request.
fn most(roll: &Roll<'_>) -> f64 {
    one_of_each(roll, |a, b| never_meet(a, b), |lot| lot.share).iter().sum()
}

fn never_meet(a: &Lot<'_>, b: &Lot<'_>) -> bool {
    a.matching.excludes(b.matching)
}

/// Sorts them into sets of which no two are for the same request, so that a request meets at most
/// one of each; the highest share of each set.
fn one_of_each<T>(
    all: &[T],
    never_meet: impl Fn(&T, &T) -> bool,
    share: impl Fn(&T) -> f64,
) -> Vec<f64> {
    let mut sets: Vec<Vec<&T>> = Vec::new();
    for one in all {
        let fits = |set: &&mut Vec<&T>| set.iter().all(|other| never_meet(one, other));
        match sets.iter_mut().find(fits) {
            Some(set) => set.push(one),
            None => sets.push(vec![one]),
        }
    }
    sets.iter().map(|set| set.iter().map(|one| share(one)).fold(0.0, f64::max)).collect()
}

fn stand(spec: &Spec, facts: Option<&Facts<'_>>) -> Stand {
    let unmet = |facts| spec.among.matching.as_ref().and_then(|own| own.unmet(facts));
    match spec.phase() {
        Some(_) if !spec.how.enabled => Stand::Idle("it is not enabled".to_owned()),
        Some(phase) => match facts.and_then(unmet) {
            Some((key, name)) => {
                let dot = if name.is_empty() { "" } else { "." };
                Stand::Idle(format!("match.{key}{dot}{name} does not hold"))
            }
            None if phase == Phase::Limit => Stand::Limits,
            None => {
                let share = spec.probability.get();
                Stand::Acts(Share { from: share, to: share })
            }
        },
        None => Stand::Elsewhere,
    }
}

#[cfg(test)]
#[path = "odds_tests.rs"]
mod tests;
