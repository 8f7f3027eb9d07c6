//! The way of the bytes of one direction: through the faults of the message under way, if any were
//! drawn for it, and then through those of the connection.
//!
//! ```text
//! push(Step), turn_to(message) --> [waiting] --> [pipeline of the message] --> [of the connection]
//!                                     |            a new one for each message
//!                                     |  behind a message that has not left its pipeline
//! ```
//!
//! Rules, each with a test below:
//! - A message that faults were drawn for has a pipeline of its own, with dice of its own: offsets
//!   and budgets count from its first byte, timers from its beginning.
//! - Nothing overtakes: what comes behind a message waits until all of it has left its pipeline.
//! - When the next message begins, what the faults of the last one planned for later is forgotten,
//!   and where they have taken bytes out the connection ends.
//! - An end that comes out of a message ends the connection: no later message is looked at.
//! - On a live change both pipelines are retuned; a fault that was drawn for a message stays drawn,
//!   but for one that is drawn for none any more.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::lot::{Decision, Owner};
use super::message::Message;
use super::pipeline::{Effect, Pipeline, STEP_OVERHEAD_BYTES, Total};
use super::pipeline::{add_total, bound_totals, weight};
use super::stage::{Author, is_end};
use super::{Action, Direction, Place, Spec, Step};
use crate::units::{Ratio, Time};

/// A message under way that faults were drawn for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The number of its request on the connection, from 1.
    pub number: u64,
    /// What was decided.
    pub message: Arc<Message>,
}

/// Whose connection it is, and which way its bytes go.
#[derive(Clone, Copy, Debug)]
pub struct Bearings<'a> {
    /// The connection.
    pub owner: &'a Owner<'a>,
    /// Which of its two directions.
    pub direction: Direction,
    /// Its bytes are messages, among which stream faults may choose.
    pub on_http: bool,
    /// All faults in force on the route.
    pub faults: &'a [Spec],
}

/// The faults of one direction, those of its messages included.
pub struct Passage {
    message: Option<Under>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    connection: Pipeline,
    /// The end that came out was decided on by a fault of a message.
    ended_by_message: bool,
    /// What the faults of earlier messages did.
    effects: Vec<(Option<Drawn>, Effect)>,
    swallowed: u64,
    totals: Vec<(Spec, Total)>,
}

/// A message and its faults.
struct Under {
    drawn: Drawn,
    pipeline: Pipeline,
}

/// What comes behind a message that has not left its pipeline.
enum Waiting {
    Step(Step),
    /// The next message begins.
    Message(Option<Under>),
}

impl Passage {
    /// The faults that see the bytes of one direction, which begins at `now`.
    pub fn new(at: &Bearings<'_>, now: Time) -> Passage {
        Passage {
            message: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            connection: Pipeline::for_direction(at.owner, at.direction, &of_connection(at), now),
            ended_by_message: false,
            effects: Vec::new(),
            swallowed: 0,
            totals: Vec::new(),
        }
    }

    /// Gives the next step from the peer to the first fault.
    pub fn push(&mut self, step: Step) {
        match self.waiting.is_empty() {
            true => self.lead(step),
            false => {
                self.waiting_bytes += weight(&step.action);
                self.waiting.push_back(Waiting::Step(step));
            }
        }
    }

    fn lead(&mut self, step: Step) {
        match &mut self.message {
            Some(under) => under.pipeline.push(step),
            None => self.connection.push(step),
        }
    }

    /// The bytes that follow belong to another message: one that faults were drawn for, or not.
    pub fn turn_to(&mut self, now: Time, at: &Bearings<'_>, drawn: Option<&Drawn>) {
        let next = drawn.map(|drawn| Under::new(at, drawn));
        self.waiting_bytes += STEP_OVERHEAD_BYTES;
        self.waiting.push_back(Waiting::Message(next));
        self.settle(now);
    }

    /// Lets go on what has left the pipeline of its message by `now`, and what waits behind it.
    fn settle(&mut self, now: Time) {
        loop {
            while let Some(step) = self.message.as_mut().and_then(|own| own.pipeline.pop_due(now)) {
                self.pass_on(step);
            }
            match (self.waiting.front(), &self.message) {
                (None, _) => return,
                (Some(Waiting::Message(_)), Some(under)) if !under.pipeline.is_drained() => return,
                _ => self.take_waiting(now),
            }
        }
    }

    /// Passes on what came out of the pipeline of its message; after an end, that is over.
    fn pass_on(&mut self, step: Step) {
        let Some(under) = self.message.take() else { return };
        let arrived = if under.pipeline.asked_for().is_some() { Time::ZERO } else { step.at };
        let ends = is_end(&step.action);
        // One that was planned for later comes as from a peer: it cuts, if it is later than bytes.
        let is_settled = ends && under.pipeline.ended_by() == Author::Settled;
        let author = if is_settled { Author::Settled } else { Author::Peer };
        self.connection.push_from(arrived, (step, author));
        match ends {
            false => self.message = Some(under),
            true => {
                self.ended_by_message |= under.pipeline.is_ended_by_fault();
                self.forget(under);
            }
        }
    }

    fn take_waiting(&mut self, now: Time) {
        match self.waiting.pop_front() {
            Some(Waiting::Step(step)) => {
                self.waiting_bytes -= weight(&step.action);
                self.lead(Step { at: step.at.max(now), ..step });
            }
            Some(Waiting::Message(next)) => {
                self.waiting_bytes -= STEP_OVERHEAD_BYTES;
                self.leave(now);
                self.message = next.filter(|_| !self.connection.is_over());
                if self.message.is_some() {
                    self.lead(Step { at: now, action: Action::Open });
                }
            }
            None => {}
        }
    }

    /// The message under way is over.
    fn leave(&mut self, now: Time) {
        let Some(mut under) = self.message.take() else { return };
        if let Some(action) = under.pipeline.removed() {
            self.connection.push_from(now, (Step { at: now, action }, Author::Settled));
        }
        self.forget(under);
    }

    /// Keeps what its faults did alone.
    fn forget(&mut self, mut under: Under) {
        self.swallowed += under.pipeline.swallowed_bytes();
        self.effects.extend(under.take_effects());
        for (spec, total) in under.pipeline.totals() {
            add_total(&mut self.totals, &spec, &total);
        }
        bound_totals(&mut self.totals);
    }

    /// When to look for the next step that is due; none when nothing is planned.
    pub fn next_due(&self) -> Option<Time> {
        let of_message = self.message.as_ref().and_then(|under| under.pipeline.next_due());
        of_message.into_iter().chain(self.connection.next_due()).min()
    }

    /// The first step that is due by `now`. After a `Close` or `Reset` nothing is pending.
    pub fn pop_due(&mut self, now: Time) -> Option<Step> {
        self.settle(now);
        self.connection.pop_due(now)
    }

    /// When the step that was popped last was to be released, if a fault had delayed it.
    pub fn asked_for(&self) -> Option<Time> {
        self.connection.asked_for()
    }

    /// When the next cut is due: an end that does not wait for the bytes before it.
    pub fn next_cut(&self) -> Option<Time> {
        let of_message = self.message.as_ref().and_then(|under| under.pipeline.next_due());
        of_message.into_iter().chain(self.connection.next_cut()).min()
    }

    /// The first cut that is due by `now`, past all bytes that a stalled target does not take.
    pub fn pop_due_cut(&mut self, now: Time) -> Option<Step> {
        self.settle(now);
        self.connection.pop_due_cut(now)
    }

    /// Changes the faults of a living connection.
    pub fn retune(&mut self, now: Time, at: &Bearings<'_>) {
        for waiting in &mut self.waiting {
            if let Waiting::Message(Some(under)) = waiting {
                *under = Under::new(at, &under.drawn);
            }
        }
        if let Some(under) = &mut self.message {
            let (owner, faults) = under.drawn.ground(at);
            under.pipeline.retune(now, &owner, &faults);
        }
        self.settle(now); // what is released here is released there, too
        self.connection.retune(now, at.owner, &of_connection(at));
    }

    /// True when no more should be read for now.
    pub fn is_full(&self) -> bool {
        let of_message = self.message.as_ref().map(|under| &under.pipeline);
        let room = of_message.map_or(0, Pipeline::room).max(self.connection.room());
        let load = of_message.map_or(0, Pipeline::load) + self.connection.load();
        self.waiting_bytes + load >= room
    }

    /// True when whatever comes goes on unchanged and at once.
    pub fn is_pass_through(&self) -> bool {
        self.message.is_none() && self.waiting.is_empty() && self.connection.is_pass_through()
    }

    /// True when the end that was popped was decided on by a fault, not by the peer.
    pub fn is_ended_by_fault(&self) -> bool {
        self.ended_by_message || self.connection.is_ended_by_fault()
    }

    /// What faults did for the first time since the last call: on a message, or on the connection.
    pub fn take_effects(&mut self) -> Vec<(Option<Drawn>, Effect)> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.extend(self.message.iter_mut().flat_map(Under::take_effects));
        effects.extend(self.connection.take_effects().into_iter().map(|effect| (None, effect)));
        effects
    }

    /// What was decided about each fault of the connection before the first step.
    pub fn decisions(&self) -> impl Iterator<Item = Decision<'_>> {
        self.connection.decisions()
    }

    /// Bytes that faults took out so far.
    pub fn swallowed_bytes(&self) -> u64 {
        let of_message = self.message.as_ref().map_or(0, |under| under.pipeline.swallowed_bytes());
        self.swallowed + of_message + self.connection.swallowed_bytes()
    }

    /// What each fault did in sum, for those that did something.
    pub fn totals(&self) -> Vec<(Spec, Total)> {
        let mut totals = self.totals.clone();
        let of_message = self.message.iter().flat_map(|under| under.pipeline.totals());
        for (spec, total) in of_message.chain(self.connection.totals()) {
            add_total(&mut totals, &spec, &total);
        }
        totals
    }
}

/// The faults of the connection as a whole.
fn of_connection<'a>(at: &Bearings<'a>) -> Cow<'a, [Spec]> {
    match at.on_http && at.faults.iter().any(Spec::chooses) {
        true => at.faults.iter().filter(|spec| !spec.chooses()).cloned().collect(),
        false => Cow::Borrowed(at.faults),
    }
}

impl Drawn {
    /// The key of its dice, and the faults that were drawn for it as far as they are in force.
    fn ground<'a>(&'a self, at: &Bearings<'a>) -> (Owner<'a>, Vec<Spec>) {
        let Message { request, occurrence, faults } = &*self.message;
        let owner = Owner { request: Some(request), connection: *occurrence, ..at.owner.clone() };
        let acts = |spec: &&Spec| spec.chooses() && spec.probability != Ratio::ZERO;
        let is_drawn = |spec: &&Spec| acts(spec) && faults.contains(&spec.name);
        (owner, at.faults.iter().filter(is_drawn).map(Spec::drawn).collect())
    }
}

impl Under {
    fn new(at: &Bearings<'_>, drawn: &Drawn) -> Under {
        let (owner, faults) = drawn.ground(at);
        let pipeline = Pipeline::new(&owner, Place::One(at.direction), &faults);
        Under { drawn: drawn.clone(), pipeline }
    }

    fn take_effects(&mut self) -> impl Iterator<Item = (Option<Drawn>, Effect)> + use<> {
        let drawn = self.drawn.clone();
        let tagged = move |effect| (Some(drawn.clone()), effect);
        self.pipeline.take_effects().into_iter().map(tagged)
    }
}

#[cfg(test)]
#[path = "passage_tests.rs"]
mod tests;
