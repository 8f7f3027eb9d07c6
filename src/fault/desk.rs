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
use std::sync::{Arc, Mutex, PoisonError};

use super::attr::Value;
use super::course::{Abort, Answer, Course, Decided, Judged};
use super::exchange::{Ask, Facts, Phase};
use super::lot::Lot;
use super::message::Message;
use super::pipeline::Owner;
use super::{Direction, Fault, Kind, Level, Mode, Place, Spec};
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
    /// What came of each fault is asked for, those too that do not act.
    pub judges: bool,
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
    /// Where it stands among all that were judged.
    place: usize,
}

/// An exchange, or a connection, at the desk.
struct Round<'a> {
    ground: &'a Ground<'a>,
    facts: &'a Facts<'a>,
    /// That of the exchange among those of its method and path; of a connection its own.
    number: u64,
    /// `METHOD PATH`.
    request: &'a str,
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
        let request = format!("{} {}", facts.method, facts.path); // no direction has a space in it
        let round = Round { ground, facts, number, request: &request };
        let mut drawn = Vec::new();
        for hit in state.hits(&round, is_of_exchanges, &mut course.judged) {
            let (spec, place) = (hit.spec, hit.place);
            let outcome = match is_excluded(&course, hit.phase, spec.place) {
                true => Err("excluded"),
                false => state.accounts[hit.index].act(hit, &round, &mut course),
            };
            if outcome.is_ok() && spec.chooses() {
                drawn.push(spec.name.clone());
            }
            if let (Some(judged), Err(reason)) = (course.judged.get_mut(place), outcome) {
                judged.reason = Some(reason);
            }
        }
        if !(course.decided.is_empty() && course.judged.is_empty()) {
            course.message = Some(Arc::new(Message { request, occurrence: number, faults: drawn }));
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
        let round = Round { ground, facts: &facts, number, request: " " };
        for hit in state.hits(&round, is_limit_of_connections, &mut Vec::new()) {
            if course.abort.is_none() {
                let _ = state.accounts[hit.index].act(hit, &round, &mut course);
            }
        }
        course.decided.pop().filter(|_| course.abort.is_some())
    }

    /// How many methods and paths it remembers.
    pub fn keys(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.len()
    }
}

/// True for what `decide` asks: what acts on exchanges or, on an HTTP route, on their bytes.
pub fn is_of_exchanges(spec: &Spec) -> bool {
    matches!(spec.place, Place::Exchange | Place::One(_) | Place::Both)
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
    /// order of the list within one. What came of each goes into `judged`, if that is asked for.
    fn hits<'a>(
        &mut self,
        round: &Round<'a>,
        which: fn(&Spec) -> bool,
        judged: &mut Vec<Judged>,
    ) -> Vec<Hit<'a>> {
        let (ground, number) = (round.ground, round.number);
        let (mut hits, mut rolls) = (Vec::new(), Vec::new());
        for spec in ground.faults.iter().filter(|spec| which(spec)) {
            let (route, direction) = (ground.owner.route, round.request);
            let key = Key { route, connection: number, direction, fault: &spec.name };
            let mut dice = Dice::new(ground.owner.seed, &key);
            let lot = Lot::draw(ground.owner.seed, &key, spec.how.sampling, &mut dice);
            let share = spec.probability.get();
            let (is_drawn, drawn) = match spec.among.one_of {
                None => (lot.wins(share), lot.drawn()),
                Some(group) => {
                    takes(&mut rolls, group, || group_roll(ground.owner.seed, &key, group), share)
                }
            };
            let (count, question) = self.question(spec, round);
            let outcome = question.and(if is_drawn { Ok(()) } else { Err("probability") });
            if outcome.is_ok() {
                let index = self.account(spec);
                let phase = self.accounts[index].phase(spec);
                let behind = hits.partition_point(|hit: &Hit<'_>| hit.phase <= phase);
                hits.insert(behind, Hit { spec, index, phase, dice, place: judged.len() });
            }
            if ground.judges {
                let (fault, kind, place) = (spec.name.clone(), spec.kind, spec.place);
                let (group, shadow) = (spec.among.one_of, spec.how.mode == Mode::Shadow);
                let reason = outcome.err();
                judged.push(Judged { fault, kind, place, drawn, group, count, shadow, reason });
            }
        }
        hits
    }

    /// Whether all holds that is asked of an exchange beside the lot of a fault, or else what does
    /// not; and what its triggers counted.
    fn question(&mut self, spec: &Spec, round: &Round<'_>) -> (u64, Result<(), &'static str>) {
        let (how, facts) = (&spec.how, round.facts);
        let age = facts.age;
        if !how.enabled {
            return (round.number, Err("disabled"));
        }
        if age < how.when.begins() || how.when.ends() <= age {
            return (round.number, Err("time"));
        }
        let number = match &spec.among.matching {
            None => round.number,
            Some(matching) if matching.unmet(facts).is_some() => {
                return (round.number, Err("match"));
            }
            Some(_) if how.when.counts() => {
                let index = self.account(spec);
                let key = fingerprint([facts.method, facts.path]);
                count(&mut self.accounts[index].matched, key)
            }
            Some(_) => round.number,
        };
        (number, if how.when.covers(number) { Ok(()) } else { Err("number") })
    }
}

/// The one roll of a group for the exchange with this key, whatever the fault in it.
pub fn group_roll(seed: u64, key: &Key<'_>, group: u16) -> f64 {
    let fault = &format!("oneOf {group}");
    Dice::new(seed, &Key { fault, ..*key }).share()
}

/// Whether the one roll of a group falls to the fault of it that comes next, and the roll.
fn takes(rolls: &mut Vec<Roll>, group: u16, roll: impl Fn() -> f64, share: f64) -> (bool, f64) {
    let known = rolls.iter().position(|roll| roll.group == group);
    let index = known.unwrap_or_else(|| {
        rolls.push(Roll { group, drawn: roll(), sum: 0.0 });
        rolls.len() - 1
    });
    let roll = &mut rolls[index];
    let from = roll.sum;
    roll.sum += share;
    (from <= roll.drawn && roll.drawn < roll.sum, roll.drawn)
}

/// True when what was decided leaves nothing to do for a fault of this phase at this place.
fn is_excluded(course: &Course, phase: Phase, place: Place) -> bool {
    let Answer { replace, corruption, partial, malformed, lose, .. } = &course.answer;
    match phase {
        Phase::Stream => match &course.abort {
            None => false,
            // An answer of our own has bytes, too; the upstream gets none.
            Some(Abort::Reply(..)) => place == Place::One(Direction::Upstream),
            Some(Abort::Close | Abort::Reset) => true,
        },
        _ if course.abort.is_some() => true,
        Phase::Replace | Phase::Corrupt | Phase::End if replace.is_some() => true,
        Phase::Replace => false,
        Phase::Corrupt => corruption.is_some(),
        Phase::End => partial.is_some() || malformed.is_some() || lose.is_some(),
        Phase::Limit | Phase::Delay | Phase::Abort | Phase::Request | Phase::Answer => false,
    }
}

impl Account {
    fn is_of(&self, spec: &Spec) -> bool {
        self.name == spec.name && self.kind == spec.kind
    }

    /// When on the way of an exchange the fault is asked.
    fn phase(&mut self, spec: &Spec) -> Phase {
        match self.fault.exchange().filter(|_| !acts_on_bytes(spec)) {
            Some(exchange) => exchange.phase(&spec.attrs),
            None => Phase::Stream,
        }
    }

    /// Lets the fault decide, and writes down what; or why it does nothing.
    fn act(
        &mut self,
        hit: Hit<'_>,
        round: &Round<'_>,
        course: &mut Course,
    ) -> Result<(), &'static str> {
        let Hit { spec, mut dice, phase, .. } = hit;
        let facts = round.facts;
        let (times, key) = (spec.how.when.times, fingerprint([facts.method, facts.path]));
        let now = round.ground.owner.began + (facts.age - Time::ZERO);
        if times.is_some_and(|times| times <= *self.acted.slot(key)) {
            return Err("times");
        }
        let shadow = spec.how.mode == Mode::Shadow;
        let mut unused = if shadow { Some(course.clone()) } else { None };
        let target = unused.as_mut().unwrap_or(course);
        let mut ask = Ask { attrs: &spec.attrs, facts, now, dice: &mut dice, course: target };
        let on_bytes = acts_on_bytes(spec);
        let drawn = match self.fault.exchange().filter(|_| !on_bytes) {
            Some(exchange) => exchange.decide(&mut ask),
            None => Some(attributes(spec)),
        };
        let drawn = drawn.ok_or("idle")?;
        if times.is_some() {
            count(&mut self.acted, key);
        }
        let (fault, kind) = (spec.name.clone(), spec.kind);
        course.decided.push(Decided { fault, kind, drawn, shadow, phase });
        Ok(())
    }
}

/// True when it is the bytes that tell what the fault does.
fn acts_on_bytes(spec: &Spec) -> bool {
    matches!(spec.place, Place::One(_) | Place::Both)
}

/// What a fault of the stream goes by, where it is not the default: `latency=200ms;jitter=50ms`.
fn attributes(spec: &Spec) -> String {
    let is_given = |name: &str, value: &Value| {
        spec.kind.attrs.iter().any(|attr| attr.name == name && attr.default != *value)
    };
    let given = spec.attrs.iter().filter(|(name, value)| is_given(name, value));
    let mut words: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();
    if spec.place != Place::One(Direction::Downstream) {
        words.push(format!("direction={}", spec.place.as_str()));
    }
    words.join(";")
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
