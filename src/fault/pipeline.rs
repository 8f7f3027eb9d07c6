//! The faults of one direction in a row, and the schedule of what they decided.
//!
//! ```text
//! push(Step) --> stage --> stage --> ... --> schedule --> pop_due(now) --> Step
//!                  |  never earlier than its input;          |  by time, stable;
//!                  |  bytes and half-close keep their order  |  a due end cuts off later bytes
//! ```
//!
//! Rules, each with a test below:
//! - What a stage puts out is never earlier than what it was given, and `Send` and `Finish` never
//!   overtake each other. An end that came in waits for the bytes before it; an end that a stage
//!   decides on by itself is due when the stage says.
//! - A `Close` or `Reset` that is due before pending bytes cuts them off; ties keep arrival order.
//! - Where the target is stalled, a due `Reset`, and a `Close` planned for later than the bytes
//!   before it, are not held up by it; a `Close` due together with bytes waits for them.
//! - A stage has one end planned for later: a newer one replaces it. `Time::NEVER` takes it back.
//! - An end that a stage decides on for the moment of its step is settled: it leaves behind the
//!   bytes before it, and nothing passes behind it, whatever changes.
//! - On a live change, what was already decided on, bytes and settled ends, leaves at once and in
//!   order, ends planned for later are forgotten, `Open` is replayed so that timers restart, and a
//!   fault that keeps its name and its kind keeps its state, its dice and its roll. What a fault
//!   holds for ever, it goes on to hold as long as nothing about it changes. A fault that acted
//!   and acts no more may still settle the end of the connection that it has damaged.
//! - A stage may keep steps and ask to be woken; what it keeps counts as queued.

use std::collections::VecDeque;

use super::lot::Decision;
use super::stage::{Author, Moving, Stage, bytes, is_end};
use super::{Action, Direction, Level, Place, Spec, Step};
use crate::units::Time;

pub use super::deed::{Deed, Effect, Total};
pub use super::lot::Owner;

/// Bytes one direction of one connection may hold; beyond it the shell stops reading. It is what
/// Toxiproxy's latency holds (1024 chunks of 32 KiB), and 100 ms of 320 MB/s.
pub const QUEUE_BYTES_MAX: usize = 32 << 20;

/// Bytes that a direction may hold whatever its faults are: while what was read at once waits for
/// its end, as much again may come.
const ROOM_MIN: usize = 96 << 10;

/// Removed faults whose sums are kept for the close, in one direction of one connection; beyond it
/// the oldest is forgotten. As many as a route may have at a time.
const GONE_TOTALS_MAX: usize = 100;

/// What a queued step costs beside its bytes, so that tiny chunks are bounded too.
pub(super) const STEP_OVERHEAD_BYTES: usize = 64;

/// The faults of one direction (or of the opening of one connection) and their schedule.
pub struct Pipeline {
    place: Place,
    stages: Vec<Stage>,
    /// Bytes and half-closes, in the order of their times.
    queue: VecDeque<Entry>,
    queued_bytes: usize,
    /// One plan of each stage at most; a close and a reset from the peer, and those settled.
    ends: Vec<Entry>,
    /// The end is settled, or came from the peer: what comes behind it is lost.
    is_over: bool,
    next_seq: u64,
    /// When the last bytes or half-close that were scheduled are due.
    last_data_at: Time,
    effects: Vec<Effect>,
    /// Who decided on the end that was popped.
    ended_by: Author,
    /// When the step that is pushed now arrived; zero while a stage is woken.
    arrived: Time,
    /// When the step that was popped last was to be released, if a fault had delayed it.
    asked_for: Option<Time>,
    /// Bytes that faults took out which have gone since.
    gone_swallowed: u64,
    /// What faults did that have gone since, or went on in another mode.
    gone_totals: Vec<(Spec, Total)>,
}

/// A step in the schedule.
struct Entry {
    step: Step,
    author: Author,
    seq: u64,
    /// A close that belongs behind the bytes before it: it waits until they are written.
    waits: bool,
    /// A fault made it later.
    delayed: bool,
}

impl Pipeline {
    /// The faults of level connection, which see the one `Open` before the upstream is dialled.
    pub fn for_connection(owner: &Owner<'_>, specs: &[Spec]) -> Pipeline {
        Pipeline::new(owner, Place::Connection, specs)
    }

    /// The faults that see the bytes of one direction, which begins with `Open` at `now`.
    pub fn for_direction(
        owner: &Owner<'_>,
        direction: Direction,
        specs: &[Spec],
        now: Time,
    ) -> Pipeline {
        let mut pipeline = Pipeline::new(owner, Place::One(direction), specs);
        pipeline.push(Step { at: now, action: Action::Open });
        pipeline
    }

    /// One that has not begun: `Open` is still to be pushed.
    pub(super) fn new(owner: &Owner<'_>, place: Place, specs: &[Spec]) -> Pipeline {
        let mut pipeline = Pipeline {
            place,
            stages: Vec::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            ends: Vec::new(),
            is_over: false,
            next_seq: 0,
            last_data_at: Time::ZERO,
            effects: Vec::new(),
            ended_by: Author::Peer,
            arrived: Time::ZERO,
            asked_for: None,
            gone_swallowed: 0,
            gone_totals: Vec::new(),
        };
        pipeline.stages = pipeline.build(owner, specs);
        pipeline
    }

    /// Gives the next step from the peer to the first fault.
    pub fn push(&mut self, step: Step) {
        self.push_from(step.at, (step, Author::Peer));
    }

    /// The same, for a step that was given to faults before these at an earlier time.
    pub(super) fn push_from(&mut self, arrived: Time, (step, author): Moving) {
        let ends = is_end(&step.action);
        if self.is_over && !ends && step.action != Action::Open {
            self.gone_swallowed += bytes(&step.action) as u64;
            return;
        }
        self.is_over |= ends;
        self.arrived = arrived;
        if self.stages.is_empty() {
            return self.schedule(step, author);
        }
        if step.action != Action::Open {
            self.wake(step.at); // those that have not begun have nothing to wake for
        }
        self.flow(0, vec![(step, author)]);
    }

    /// Leads steps through the stages from `first` on, into the schedule.
    fn flow(&mut self, first: usize, mut flow: Vec<Moving>) {
        for (index, stage) in self.stages.iter_mut().enumerate().skip(first) {
            let mut next = Vec::new();
            for moving in flow {
                stage.pass(index, moving, &mut next, &mut self.effects);
            }
            flow = next;
        }
        for (step, author) in flow {
            self.schedule(step, author);
        }
    }

    /// Wakes the stages that asked for it by `now`, in the order of time.
    fn wake(&mut self, now: Time) {
        let arrived = std::mem::take(&mut self.arrived);
        while let Some((at, index)) = self.first_wake().filter(|(at, _)| *at <= now) {
            let mut next = Vec::new();
            self.stages[index].wake(index, at, &mut next, &mut self.effects);
            self.flow(index + 1, next);
        }
        self.arrived = arrived;
    }

    fn first_wake(&self) -> Option<(Time, usize)> {
        let stages = self.stages.iter().enumerate();
        stages.filter_map(|(index, stage)| Some((stage.wakes_at()?, index))).min()
    }

    /// When to look for the next step that is due; none when nothing is planned.
    pub fn next_due(&self) -> Option<Time> {
        let (end, data) = (self.first_end(), self.queue.front());
        let end = end.map(|index| self.ends[index].step.at);
        let wake = self.first_wake().map(|(at, _)| at);
        let due = end.into_iter().chain(data.map(|entry| entry.step.at)).chain(wake).min();
        due.filter(|at| *at != Time::NEVER)
    }

    /// The first step that is due by `now`. After a `Close` or `Reset` nothing is pending.
    pub fn pop_due(&mut self, now: Time) -> Option<Step> {
        self.wake(now);
        let end = self.first_end();
        let data = self.queue.front().map(Entry::order);
        let end_first = match (end, data) {
            (Some(end), Some(data)) => self.ends[end].order() < data,
            (end, _) => end.is_some(),
        };
        let (due, _) = if end_first { end.map(|end| self.ends[end].order()) } else { data }?;
        if due > now || due == Time::NEVER {
            return None;
        }
        if end_first {
            return end.map(|end| self.take_end(end));
        }
        let entry = self.queue.pop_front()?;
        self.queued_bytes -= weight(&entry.step.action);
        self.asked_for = entry.delayed.then_some(entry.step.at);
        Some(entry.step)
    }

    /// When the step that was popped last was to be released, if a fault had delayed it.
    pub fn asked_for(&self) -> Option<Time> {
        self.asked_for
    }

    /// When the next cut is due: an end that does not wait for the bytes before it.
    pub fn next_cut(&self) -> Option<Time> {
        let cut = self.first_cut().map(|index| self.ends[index].step.at);
        let wake = self.first_wake().map(|(at, _)| at);
        let at = cut.into_iter().chain(wake).min();
        at.filter(|at| *at != Time::NEVER)
    }

    /// The first cut that is due by `now`, past all bytes that a stalled target does not take.
    pub fn pop_due_cut(&mut self, now: Time) -> Option<Step> {
        self.wake(now);
        let index = self.first_cut().filter(|index| self.ends[*index].step.at <= now)?;
        Some(self.take_end(index))
    }

    /// Changes the faults of a living pipeline; see the rules above.
    pub fn retune(&mut self, now: Time, owner: &Owner<'_>, specs: &[Spec]) {
        self.arrived = now;
        for index in 0..self.stages.len() {
            let mut kept = Vec::new();
            self.stages[index].release(now, &mut kept);
            self.flow(index + 1, kept); // past no fault that has not seen it
        }
        let stays_held = self.stages.iter().any(|stage| stage.goes_on_holding(specs));
        let released = |entry: &&mut Entry| !(stays_held && entry.step.at == Time::NEVER);
        for entry in self.queue.iter_mut().filter(released) {
            (entry.step.at, entry.delayed) = (now, false);
        }
        let last = self.queue.back().map_or(now, |entry| entry.step.at);
        self.last_data_at = self.last_data_at.min(last);
        self.ends.retain(|end| !end.is_planned());
        for end in self.ends.iter_mut().filter(released) {
            end.step.at = now;
        }
        self.is_over |= self.stages.iter().any(Stage::is_over);
        let built = self.build(owner, specs);
        let mut old = std::mem::replace(&mut self.stages, built);
        let mut last = Vec::new();
        for stage in &mut self.stages {
            if let Some(index) = old.iter().position(|old| stage.continues(old)) {
                let old = old.swap_remove(index);
                if old.spec.how.mode != stage.spec.how.mode {
                    add_total(&mut self.gone_totals, &old.spec, &old.total);
                    self.gone_swallowed += old.swallowed_bytes();
                }
                last.extend(stage.inherit(now, old));
            }
        }
        self.gone_swallowed += old.iter().map(Stage::swallowed_bytes).sum::<u64>();
        last.extend(old.iter_mut().filter_map(Stage::removed));
        old.iter().for_each(|old| add_total(&mut self.gone_totals, &old.spec, &old.total));
        bound_totals(&mut self.gone_totals);
        self.push(Step { at: now, action: Action::Open });
        for action in last {
            self.is_over |= is_end(&action);
            self.schedule(Step { at: now, action }, Author::Settled);
        }
    }

    /// Bytes waiting for their time.
    pub fn queued_bytes(&self) -> usize {
        let queued: usize = self.queue.iter().map(|entry| bytes(&entry.step.action)).sum();
        queued + self.held_bytes()
    }

    /// Bytes that stages keep for later.
    fn held_bytes(&self) -> usize {
        self.stages.iter().map(Stage::held_bytes).sum()
    }

    /// What counts against `QUEUE_BYTES_MAX`.
    pub(super) fn load(&self) -> usize {
        self.queued_bytes + self.held_bytes()
    }

    /// True when all that was pushed has left, or was taken out, and no end is settled.
    pub(super) fn is_drained(&self) -> bool {
        let ends = self.ends.iter().all(Entry::is_planned);
        let keeps_end = self.stages.iter().any(Stage::keeps_end);
        self.queue.is_empty() && ends && self.held_bytes() == 0 && !keeps_end
    }

    /// True when nothing passes any more behind what was pushed last.
    pub(super) fn is_over(&self) -> bool {
        self.is_over || self.stages.iter().any(Stage::is_over)
    }

    /// What is left to do when its faults act no more: one of them has damaged the stream.
    pub(super) fn removed(&mut self) -> Option<Action> {
        self.stages.iter_mut().filter_map(Stage::removed).last()
    }

    /// Bytes that faults took out so far.
    pub fn swallowed_bytes(&self) -> u64 {
        self.gone_swallowed + self.stages.iter().map(Stage::swallowed_bytes).sum::<u64>()
    }

    /// True when no more should be read for now.
    pub fn is_full(&self) -> bool {
        self.load() >= self.room()
    }

    /// What it may hold: a delay line all that is on its way, a slow line no more than it needs to
    /// be busy, so that a sender feels how slow it is.
    pub(super) fn room(&self) -> usize {
        self.stages.iter().map(Stage::room).fold(ROOM_MIN, usize::max)
    }

    /// True when whatever comes goes on unchanged and at once.
    pub fn is_pass_through(&self) -> bool {
        let is_idle = |stage: &Stage| !stage.is_active() && !stage.is_over();
        self.queue.is_empty() && self.ends.is_empty() && self.stages.iter().all(is_idle)
    }

    /// True when the end that was popped was decided on by a fault, not by the peer.
    pub fn is_ended_by_fault(&self) -> bool {
        self.ended_by != Author::Peer
    }

    /// Who decided on the end that was popped.
    pub(super) fn ended_by(&self) -> Author {
        self.ended_by
    }

    /// What faults did for the first time since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What was decided about each fault before the first step.
    pub fn decisions(&self) -> impl Iterator<Item = Decision<'_>> {
        self.stages.iter().map(Stage::decision)
    }

    /// What each fault did in sum, with its name and kind, for those that did something; those
    /// that were removed come first.
    pub fn totals(&self) -> Vec<(Spec, Total)> {
        let mut totals = self.gone_totals.clone();
        for stage in &self.stages {
            add_total(&mut totals, &stage.spec, &stage.total);
        }
        totals
    }

    fn build(&self, owner: &Owner<'_>, specs: &[Spec]) -> Vec<Stage> {
        let place = self.place;
        let here = specs.iter().filter(|spec| match place {
            Place::One(direction) => spec.place.covers(direction),
            // What limits connections is asked at the desk, which knows the others.
            Place::Connection => spec.place == place && spec.kind.level != Level::Http,
            Place::Listener | Place::Exchange | Place::Both => spec.place == place,
        });
        here.map(|spec| Stage::new(owner, place, spec)).collect()
    }

    fn first_end(&self) -> Option<usize> {
        (0..self.ends.len()).min_by_key(|index| self.ends[*index].order())
    }

    fn first_cut(&self) -> Option<usize> {
        let cuts = (0..self.ends.len()).filter(|index| !self.ends[*index].waits);
        cuts.min_by_key(|index| self.ends[*index].order())
    }

    /// Takes an end out of the schedule; it cuts off all the rest.
    fn take_end(&mut self, index: usize) -> Step {
        let Entry { step, author, seq, waits, .. } = self.ends.swap_remove(index);
        let cuts = self.queue.front().is_some_and(|first| first.seq < seq);
        debug_assert!(!(cuts && waits && author == Author::Settled), "bytes came before it");
        self.ended_by = author;
        self.asked_for = None;
        self.ends.clear();
        self.queue.clear();
        self.queued_bytes = 0;
        step
    }

    /// Replaces the plan of the same stage. What is no plan has the earlier of its times.
    fn schedule_end(&mut self, entry: Entry) {
        let same = |end: &&mut Entry| {
            end.author == entry.author
                && (entry.is_planned() || end.step.action == entry.step.action)
        };
        match self.ends.iter_mut().find(same) {
            Some(plan) if entry.is_planned() => *plan = entry,
            Some(end) => end.step.at = end.step.at.min(entry.step.at),
            None => self.ends.push(entry),
        }
    }

    fn schedule(&mut self, step: Step, author: Author) {
        let seq = self.next_seq;
        self.next_seq += 1;
        let delayed = step.at > self.arrived;
        let mut entry = Entry { step, author, seq, waits: false, delayed };
        match &entry.step.action {
            Action::Close | Action::Reset => {
                if !entry.is_planned() {
                    entry.step.at = entry.step.at.max(self.last_data_at);
                }
                let in_order = author == Author::Settled || entry.step.at <= self.last_data_at;
                entry.waits = entry.step.action == Action::Close && in_order;
                self.schedule_end(entry);
            }
            Action::Open if self.place != Place::Connection => {}
            Action::Send(bytes) if bytes.is_empty() => {}
            Action::Open | Action::Send(_) | Action::Finish => {
                entry.step.at = entry.step.at.max(self.last_data_at);
                self.last_data_at = entry.step.at;
                self.queued_bytes += weight(&entry.step.action);
                self.queue.push_back(entry);
            }
        }
    }
}

impl Entry {
    fn is_planned(&self) -> bool {
        matches!(self.author, Author::Plan(_))
    }

    fn order(&self) -> (Time, u64) {
        (self.step.at, self.seq)
    }
}

/// Adds what a fault did to what it did before under the same name and in the same mode.
pub(super) fn add_total(totals: &mut Vec<(Spec, Total)>, new: &Spec, more: &Total) {
    let same = |spec: &Spec| {
        spec.name == new.name && spec.kind == new.kind && spec.how.mode == new.how.mode
    };
    if *more == Total::default() {
        return;
    }
    match totals.iter_mut().find(|(spec, _)| same(spec)) {
        Some((_, total)) => total.add(more),
        None => totals.push((new.clone(), more.clone())),
    }
}

/// Forgets the oldest sums beyond the bound.
pub(super) fn bound_totals(totals: &mut Vec<(Spec, Total)>) {
    totals.drain(..totals.len().saturating_sub(GONE_TOTALS_MAX));
}

/// What a step counts for against `QUEUE_BYTES_MAX`.
pub(super) fn weight(action: &Action) -> usize {
    bytes(action) + STEP_OVERHEAD_BYTES
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "when_tests.rs"]
mod when_tests;

#[cfg(test)]
#[path = "ends_tests.rs"]
mod ends_tests;

#[cfg(test)]
#[path = "transcript.rs"]
pub(crate) mod transcript;
