//! How likely each fault of an HTTP route is to act on a request: worked out, not tried.
//!
//! Lots are independent of each other, and those of a group exclude each other. So a fault acts
//! when its own lot wins and none does of a fault that leaves it nothing to do. Rate limits stand
//! aside: how often they act is up to the clients.

use super::exchange::{Facts, Phase};
use super::{Mode, Place, Spec};

/// How a fault stands to requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Stand {
    /// It acts on so large a share of those it comes into question for.
    Acts(f64),
    /// It keeps out what is beyond its rate.
    Limits,
    /// It comes into question for none, or not for this one; holds why.
    Idle(String),
    /// It is decided for a connection, or for the route.
    Elsewhere,
}

/// How each fault stands to this request, or to any that it is for; and the share of requests on
/// which none acts.
pub fn odds(faults: &[Spec], facts: Option<&Facts<'_>>) -> (Vec<Stand>, f64) {
    let stands: Vec<Stand> = faults.iter().map(|spec| stand(spec, facts)).collect();
    let lots: Vec<Lot> = (faults.iter().zip(&stands))
        .map(|(spec, stand)| Lot {
            group: spec.among.one_of,
            phase: spec.phase(),
            share: match stand {
                Stand::Acts(share) => *share,
                Stand::Limits | Stand::Idle(_) | Stand::Elsewhere => 0.0,
            },
            acts: spec.how.mode == Mode::Act,
        })
        .collect();
    let untouched = none_of(&lots, None, |other, _| other.acts);
    let told = |(index, stand): (usize, Stand)| match stand {
        Stand::Acts(share) => {
            Stand::Acts(share * none_of(&lots, Some(index), Lot::shuts_out(index, &lots[index])))
        }
        other => other,
    };
    (stands.into_iter().enumerate().map(told).collect(), untouched)
}

/// What counts of a fault against the others.
struct Lot {
    group: Option<u16>,
    phase: Option<Phase>,
    share: f64,
    acts: bool,
}

impl Lot {
    /// True for those that leave nothing to do for the fault at this place of the list.
    fn shuts_out(index: usize, own: &Lot) -> impl Fn(&Lot, usize) -> bool {
        let phase = own.phase;
        move |other, place| {
            let (Some(first), Some(later)) = (other.phase, phase) else { return false };
            let is_before = first < later || (first == later && place < index);
            other.acts && is_before && first.excludes(later)
        }
    }
}

/// The chance that none is drawn of those that count, beside the fault at `own` and its group.
fn none_of(lots: &[Lot], own: Option<usize>, counts: impl Fn(&Lot, usize) -> bool) -> f64 {
    let is_own = |index: usize, lot: &Lot| {
        own.is_some_and(|own| own == index || (lot.group.is_some() && lots[own].group == lot.group))
    };
    let mut groups: Vec<(u16, f64)> = Vec::new();
    let mut chance = 1.0;
    for (index, lot) in lots.iter().enumerate() {
        if is_own(index, lot) || !counts(lot, index) {
            continue;
        }
        match lot.group {
            None => chance *= 1.0 - lot.share,
            Some(group) => match groups.iter_mut().find(|(own, _)| *own == group) {
                Some((_, sum)) => *sum += lot.share,
                None => groups.push((group, lot.share)),
            },
        }
    }
    groups.iter().fold(chance, |chance, (_, sum)| chance * (1.0 - sum).max(0.0))
}

fn stand(spec: &Spec, facts: Option<&Facts<'_>>) -> Stand {
    let unmet = |facts| spec.among.matching.as_ref().and_then(|own| own.unmet(facts));
    match (spec.place, spec.phase()) {
        (Place::Exchange, _) if !spec.how.enabled => Stand::Idle("it is not enabled".to_owned()),
        (Place::Exchange, Some(phase)) => match facts.and_then(unmet) {
            Some((key, name)) => {
                let dot = if name.is_empty() { "" } else { "." };
                Stand::Idle(format!("match.{key}{dot}{name} does not hold"))
            }
            None if phase == Phase::Limit => Stand::Limits,
            None => Stand::Acts(spec.probability.get()),
        },
        _ => Stand::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::super::pipeline::transcript::parse;
    use super::*;

    fn shares(faults: &str, groups: &[Option<u16>]) -> String {
        let mut faults = parse(faults);
        for (spec, group) in faults.iter_mut().zip(groups) {
            (spec.place, spec.among.one_of) = (Place::Exchange, *group);
        }
        let (stands, untouched) = odds(&faults, None);
        let share = |share: f64| format!("{:.3}", share * 100.0);
        let told = stands.iter().map(|stand| match stand {
            Stand::Acts(own) => share(*own),
            other => format!("{other:?}"),
        });
        format!("{} / {}", told.collect::<Vec<_>>().join(" "), share(untouched))
    }

    #[test]
    fn independent_faults_multiply() {
        let alone = [None; 9];
        assert_eq!(shares("http_error p=20%", &alone), "20.000 / 80.000");
        let three = "http_error p=20% | http_timeout p=10% | http_delay p=50%";
        assert_eq!(shares(three, &alone), "20.000 8.000 50.000 / 36.000");
        // A later phase is only for what was not aborted, and one end is the end.
        let ends = "lose_response p=50% | partial_response p=50% | http_error p=20%";
        assert_eq!(shares(ends, &alone), "40.000 20.000 20.000 / 20.000");
        let shadow = "http_error p=20% shadow=1 | http_timeout p=10%";
        assert_eq!(shares(shadow, &alone), "20.000 10.000 / 90.000");
        let limited = "rate_limit | http_error p=20% enabled=false";
        assert_eq!(shares(limited, &alone), "Limits Idle(\"it is not enabled\") / 100.000");
    }

    #[test]
    fn those_of_a_group_are_totals() {
        let three = "http_error p=20% | http_timeout p=10% | lose_response p=30%";
        let one = Some(1);
        assert_eq!(shares(three, &[one, one, one]), "20.000 10.000 30.000 / 40.000");
        let two = [one, one, None];
        assert_eq!(shares(three, &two), "20.000 10.000 21.000 / 49.000");
    }
}
