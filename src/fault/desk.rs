//! Where the exchanges of an HTTP route are decided: one desk for all connections of the route.
//!
//! ```text
//! facts --> match, triggers --> lot --> phases, in order --> Course
//!                |               |           |
//!             counts     keyed by method,  a fault's own state
//!                        path and n
//! ```
//!
//! The dice are keyed by method, path and the how-many-th exchange of these two it is on the route,
//! so the order in which the threads of connections come to the desk changes nothing but which of
//! two equal requests is the first.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::course::{Answer, Course, Decided};
use super::exchange::{Ask, Facts, Phase};
use super::lot::Lot;
use super::pipeline::Owner;
use super::{Fault, Kind, Level, Mode, Place, Spec};
use crate::dice::{Dice, Key, fingerprint};
use crate::http::Fields;
use crate::limit::table::Table;
use crate::units::Time;

/// What is decided on: whose exchanges, and the faults in force.
#[derive(Clone, Debug)]
pub struct Ground<'a> {
    /// Of the connection that asks; its number counts for connections only.
    pub owner: Owner<'a>,
    /// Of the faults; one more with each change.
    pub generation: u64,
    /// All of the route; those at another place are passed over.
    pub faults: &'a [Spec],
    /// The answer tells what was decided.
    pub explain: bool,
}

/// What all connections of a route share to decide on exchanges, and on their number.
#[derive(Default)]
pub struct Desk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    generation: u64,
    /// Exchanges so far, by method and path.
    seen: Table,
    /// One for each fault that was asked, in no order.
    accounts: Vec<Account>,
}

/// What is kept of one fault from exchange to exchange; it survives changes of the faults as long
/// as its name and kind stay.
struct Account {
    name: String,
    kind: &'static Kind,
    fault: Box<dyn Fault>,
    /// Exchanges that it came into question for, by method and path.
    matched: Table,
    /// Those on which it acted.
    acted: Table,
}

/// A fault that is to act on an exchange.
struct Hit<'a> {
    spec: &'a Spec,
    /// Of its account.
    index: usize,
    phase: Phase,
    dice: Dice,
}

/// The one roll of a group of faults.
struct Roll {
    group: u16,
    drawn: f64,
    /// The shares of its faults so far.
    sum: f64,
}

impl Desk {
    /// What becomes of an exchange.
    pub fn decide(&self, ground: &Ground<'_>, facts: &Facts<'_>) -> Course {
        // No step of a decision can panic and leave a count half-changed.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut course = Course { explain: ground.explain, ..Course::default() };
        if !ground.faults.iter().any(is_of_exchanges) {
            return course;
        }
        state.follow(ground);
        let key = fingerprint([facts.method, facts.path]);
        let number = count(&mut state.seen, key);
        for hit in state.hits(ground, facts, number, is_of_exchanges) {
            if !is_excluded(&course, hit.phase) {
                state.accounts[hit.index].act(hit, ground, facts, &mut course);
            }
        }
        course
    }

    /// What keeps a connection of a TCP route out, if a limit on connections does.
    pub fn refuses(&self, ground: &Ground<'_>, peer: IpAddr, age: Time) -> Option<Decided> {
        if !ground.faults.iter().any(is_limit_of_connections) {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.follow(ground);
        let (number, fields) = (ground.owner.connection, &Fields(Vec::new()));
        let (method, path, query, body_bytes) = ("", "", None, None);
        let facts = Facts { method, path, query, fields, body_bytes, peer, age };
        let mut course = Course::default();
        for hit in state.hits(ground, &facts, number, is_limit_of_connections) {
            if course.abort.is_none() {
                state.accounts[hit.index].act(hit, ground, &facts, &mut course);
            }
        }
        course.decided.pop().filter(|_| course.abort.is_some())
    }

    /// How many methods and paths it remembers.
    pub fn keys(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.len()
    }
}

/// True for what `decide` asks.
fn is_of_exchanges(spec: &Spec) -> bool {
    spec.place == Place::Exchange
}

/// True for what `refuses` asks: a fault that could see exchanges stands before them.
fn is_limit_of_connections(spec: &Spec) -> bool {
    spec.place == Place::Connection && spec.kind.level == Level::Http
}

/// One more for a key; how many it then has.
fn count(table: &mut Table, key: u64) -> u64 {
    let number = table.slot(key);
    *number += 1;
    *number
}

impl State {
    /// Forgets the accounts of faults that a newer generation has no more.
    fn follow(&mut self, ground: &Ground<'_>) {
        if self.generation < ground.generation {
            self.generation = ground.generation;
            self.accounts.retain(|account| ground.faults.iter().any(|spec| account.is_of(spec)));
        }
    }

    /// Where the account of a fault is. A connection that has not seen the newest faults yet may
    /// open one for a fault that is gone; the next change closes it.
    fn account(&mut self, spec: &Spec) -> usize {
        if let Some(index) = self.accounts.iter().position(|account| account.is_of(spec)) {
            return index;
        }
        self.accounts.push(Account {
            name: spec.name.clone(),
            kind: spec.kind,
            fault: (spec.kind.build)(),
            matched: Table::default(),
            acted: Table::default(),
        });
        self.accounts.len() - 1
    }

    /// Those of the faults whose conditions hold and that are drawn, by phase, and in the
    /// order of the list within one.
    /// `number` is that of the exchange among those of its method and path.
    fn hits<'a>(
        &mut self,
        ground: &Ground<'a>,
        facts: &Facts<'_>,
        number: u64,
        which: fn(&Spec) -> bool,
    ) -> Vec<Hit<'a>> {
        let request = format!("{} {}", facts.method, facts.path); // no direction has a space in it
        let (mut hits, mut rolls) = (Vec::new(), Vec::new());
        for spec in ground.faults.iter().filter(|spec| which(spec)) {
            let (route, direction) = (ground.owner.route, &*request);
            let key = Key { route, connection: number, direction, fault: &spec.name };
            let mut dice = Dice::new(ground.owner.seed, &key);
            let lot = Lot::draw(ground.owner.seed, &key, spec.how.sampling, &mut dice);
            let is_drawn = match spec.among.one_of {
                None => lot.wins(spec.probability.get()),
                Some(group) => {
                    let fault = &format!("oneOf {group}");
                    let roll = || Dice::new(ground.owner.seed, &Key { fault, ..key }).share();
                    takes(&mut rolls, group, roll, spec.probability.get())
                }
            };
            if self.is_in_question(spec, facts, number) && is_drawn {
                let index = self.account(spec);
                let exchange = self.accounts[index].fault.exchange();
                let phase = exchange.map(|exchange| exchange.phase(&spec.attrs));
                let Some(phase) = phase else { continue };
                let behind = hits.partition_point(|hit: &Hit<'_>| hit.phase <= phase);
                hits.insert(behind, Hit { spec, index, phase, dice });
            }
        }
        hits
    }

    /// True when all holds that is asked of an exchange before the lot of a fault counts.
    fn is_in_question(&mut self, spec: &Spec, facts: &Facts<'_>, number: u64) -> bool {
        let how = &spec.how;
        let age = facts.age;
        if !how.enabled || age < how.when.begins() || how.when.ends() <= age {
            return false;
        }
        let number = match &spec.among.matching {
            None => number,
            Some(matching) if matching.unmet(facts).is_some() => return false,
            Some(_) if how.when.counts() => {
                let index = self.account(spec);
                let key = fingerprint([facts.method, facts.path]);
                count(&mut self.accounts[index].matched, key)
            }
            Some(_) => number,
        };
        how.when.covers(number)
    }
}

/// True when the one roll of a group falls to the fault of it that comes next.
fn takes(rolls: &mut Vec<Roll>, group: u16, roll: impl Fn() -> f64, share: f64) -> bool {
    let known = rolls.iter().position(|roll| roll.group == group);
    let index = known.unwrap_or_else(|| {
        rolls.push(Roll { group, drawn: roll(), sum: 0.0 });
        rolls.len() - 1
    });
    let roll = &mut rolls[index];
    let from = roll.sum;
    roll.sum += share;
    from <= roll.drawn && roll.drawn < roll.sum
}

/// True when what was decided leaves nothing to do for a fault of this phase.
fn is_excluded(course: &Course, phase: Phase) -> bool {
    let Answer { replace, corruption, partial, malformed, lose, .. } = &course.answer;
    match phase {
        _ if course.abort.is_some() => true,
        Phase::Replace => replace.is_some(),
        Phase::Corrupt => corruption.is_some(),
        Phase::End => partial.is_some() || malformed.is_some() || lose.is_some(),
        Phase::Limit | Phase::Delay | Phase::Abort | Phase::Request | Phase::Answer => false,
    }
}

impl Account {
    fn is_of(&self, spec: &Spec) -> bool {
        self.name == spec.name && self.kind == spec.kind
    }

    /// Lets the fault decide, and writes down what.
    fn act(&mut self, hit: Hit<'_>, ground: &Ground<'_>, facts: &Facts<'_>, course: &mut Course) {
        let Hit { spec, mut dice, .. } = hit;
        let (times, key) = (spec.how.when.times, fingerprint([facts.method, facts.path]));
        let now = ground.owner.began + (facts.age - Time::ZERO);
        if times.is_some_and(|times| times <= *self.acted.slot(key)) {
            return;
        }
        let Some(exchange) = self.fault.exchange() else { return };
        let shadow = spec.how.mode == Mode::Shadow;
        let mut unused = if shadow { Some(course.clone()) } else { None };
        let target = unused.as_mut().unwrap_or(course);
        let mut ask = Ask { attrs: &spec.attrs, facts, now, dice: &mut dice, course: target };
        let Some(drawn) = exchange.decide(&mut ask) else { return };
        if times.is_some() {
            count(&mut self.acted, key);
        }
        let (fault, kind) = (spec.name.clone(), spec.kind.name);
        course.decided.push(Decided { fault, kind, drawn, shadow });
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
