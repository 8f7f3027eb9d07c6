//! One fault at work in a pipeline: its dice, its lot, and the account of what it did.

use std::collections::VecDeque;

use super::common::Joined;
use super::deed::{Deed, Effect, Total};
use super::lot::{Decision, Lot, Owner, Verdict};
use super::{Action, Fault, Mode, Place, Spec, Step};
use crate::dice::{Dice, Key};
use crate::units::Time;

/// Copies that a fault in shadow mode may keep; beyond it they are forgotten. Nothing may wait for
/// a shadow, so the bound on what is queued does not hold for it.
const SHADOW_BYTES_MAX: usize = 1 << 20;

/// A step on its way through the stages, and its author.
pub(super) type Moving = (Step, Author);

/// Who decided on a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// The peer: it came like this.
    Peer,
    /// The fault of the stage at this place, on an end for later: a change forgets it.
    Plan(usize),
    /// A fault, on an end that belongs right behind the step it had before it, which may be due
    /// later; or one that acts no more and has damaged the stream. No change takes that back.
    Settled,
}

pub(super) struct Stage {
    pub(super) spec: Spec,
    fault: Box<dyn Fault>,
    dice: Dice,
    /// Its number on the route, from 1.
    connection: u64,
    joined: Joined,
    lot: Lot,
    last_at: Time,
    pub(super) total: Total,
    /// Bytes that its fault changed in another mode.
    changed_before: u64,
    /// It has told that it holds bytes for ever.
    held: bool,
    /// It holds something for ever, be it an end.
    holds: bool,
    ended: bool,
    /// An end that is settled has left it, of its own fault or of one before: what comes behind
    /// that is lost.
    is_over: bool,
    /// Who decided on the ends that came in and have not left, in order.
    kept_ends: VecDeque<Author>,
    made: Vec<Step>,
    /// When the bytes arrived that it keeps, and how many at a time.
    kept: VecDeque<(Time, usize)>,
    stretch: Stretch,
    /// Bytes that came by until it was in force.
    seen: u64,
    turn: Turn,
    /// Bytes that came by, before the step that it looks at.
    offset: u64,
    came: u64,
}

/// Where it stands in the stretch of the connection in which its fault is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    Before,
    Within,
    After,
}

/// One of the `times` that its fault may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It has not acted here yet.
    Open,
    /// It acts here to the end.
    Taken,
    /// When it was to act, none was left.
    Missed,
}

impl Stage {
    pub(super) fn new(owner: &Owner<'_>, place: Place, spec: &Spec) -> Stage {
        let of_message = owner.request.map(|request| format!("{request} {}", place.as_str()));
        let direction = of_message.as_deref().unwrap_or(place.as_str());
        let key =
            Key { route: owner.route, connection: owner.connection, direction, fault: &spec.name };
        let mut dice = Dice::new(owner.seed, &key);
        let lot = Lot::draw(owner.seed, &key, spec.how.sampling, &mut dice);
        let mut fault = (spec.kind.build)();
        fault.retune(&spec.attrs);
        let joined = Joined { common: spec.common.clone(), place, began: owner.began };
        fault.join(&joined);
        Stage {
            spec: spec.clone(),
            fault,
            dice,
            connection: owner.connection,
            joined,
            lot,
            last_at: Time::ZERO,
            total: Total::default(),
            changed_before: 0,
            held: false,
            holds: false,
            ended: false,
            is_over: false,
            kept_ends: VecDeque::new(),
            made: Vec::new(),
            kept: VecDeque::new(),
            stretch: if spec.how.when.is_always() { Stretch::Within } else { Stretch::Before },
            seen: 0,
            offset: 0,
            came: 0,
            turn: match spec.how.when.times {
                None => Turn::Taken,
                times if spec.common.is_spent(times) => Turn::Missed,
                Some(_) => Turn::Open,
            },
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.stretch != Stretch::After
            && self.turn != Turn::Missed
            && self.verdict() == Verdict::Acts
    }

    /// What the dice and the number of the connection say.
    fn verdict(&self) -> Verdict {
        self.lot.verdict(&self.spec.how, self.spec.probability, self.connection)
    }

    /// What was decided about it for this pipeline.
    pub(super) fn decision(&self) -> Decision<'_> {
        Decision { spec: &self.spec, drawn: self.lot.drawn(), verdict: self.verdict() }
    }

    fn is_shadow(&self) -> bool {
        self.spec.how.mode == Mode::Shadow
    }

    /// True when it is this stage's own fault, from before a change, that `other` goes on with.
    pub(super) fn continues(&self, other: &Stage) -> bool {
        self.spec.name == other.spec.name && self.spec.kind == other.spec.kind
    }

    /// Takes over the state of the stage that this one replaces. What is left to do, when that
    /// one acted and this one does not.
    pub(super) fn inherit(&mut self, now: Time, mut old: Stage) -> Option<Action> {
        let last = old.removed();
        self.fault = old.fault;
        if self.spec.attrs != old.spec.attrs {
            self.fault.retune(&self.spec.attrs);
        }
        self.fault.join(&self.joined);
        self.dice = old.dice;
        if self.spec.how.sampling == old.spec.how.sampling {
            self.lot = old.lot;
        }
        if self.spec.how.mode == old.spec.how.mode {
            self.total = old.total; // what a shadow would have done is not what was done
            (self.held, self.holds, self.ended) = (old.held, old.holds, old.ended);
            self.changed_before = old.changed_before;
        } else {
            self.changed_before = self.fault.changed_bytes();
        }
        (self.seen, self.offset, self.came) = (old.seen, old.offset, old.came);
        self.begin_at(now);
        let times = self.spec.how.when.times;
        let counted = old.spec.how.when.times.filter(|_| times.is_some());
        if counted.is_some() && (old.turn == Turn::Taken || counted == times) {
            self.turn = old.turn;
        } else if last.is_some() && self.turn == Turn::Open {
            self.take_turn(); // it has acted already
        }
        // Until it acts again, bytes would pass behind those that are missing; and behind a
        // half-close none come that it could wait for.
        let waits_for_bytes = self.spec.how.when.after_bytes > self.seen;
        let is_late = self.stretch == Stretch::Before
            && last.as_ref().is_some_and(|last| is_end(last) || waits_for_bytes);
        last.filter(|_| is_late || !self.is_active() || self.is_shadow())
    }

    /// Finds its place in its stretch when the direction begins, or a change begins it anew.
    fn begin_at(&mut self, now: Time) {
        let when = &self.spec.how.when;
        if when.ends() <= now {
            self.stretch = Stretch::After;
        } else if when.after_bytes <= self.seen && when.begins() <= now {
            self.stretch = Stretch::Within;
        }
    }

    /// Takes one of the `times` that its fault may act, if there is one left.
    fn take_turn(&mut self) -> bool {
        let has_turn = self.spec.common.take_turn(self.spec.how.when.times);
        self.turn = if has_turn { Turn::Taken } else { Turn::Missed };
        has_turn
    }

    /// What is left to do for a fault that acted and acts no more.
    pub(super) fn removed(&mut self) -> Option<Action> {
        let acts = self.is_active() && !self.is_shadow();
        let has_acted = self.stretch == Stretch::Within && self.turn == Turn::Taken;
        if acts && has_acted { self.fault.removed() } else { None }
    }

    /// True when nothing passes it any more but ends.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// True when it keeps an end that came in.
    pub(super) fn keeps_end(&self) -> bool {
        !self.kept_ends.is_empty() && !self.is_shadow()
    }

    /// True when it holds something for ever, and goes on unchanged among `specs`.
    pub(super) fn goes_on_holding(&self, specs: &[Spec]) -> bool {
        self.holds && self.is_active() && !self.is_shadow() && specs.contains(&self.spec)
    }

    /// Bytes that it keeps for later.
    pub(super) fn held_bytes(&self) -> usize {
        if self.is_shadow() { 0 } else { self.fault.held_bytes() }
    }

    /// Bytes that a direction may hold for its sake.
    pub(super) fn room(&self) -> usize {
        if self.is_active() && !self.is_shadow() { self.fault.room() } else { 0 }
    }

    /// Bytes that it took out.
    pub(super) fn swallowed_bytes(&self) -> u64 {
        if self.is_shadow() { 0 } else { self.total.swallowed_bytes }
    }

    /// Bytes that its fault keeps, copies of a shadow too.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.fault.held_bytes()
    }

    /// When it is to be woken.
    pub(super) fn wakes_at(&self) -> Option<Time> {
        if !self.is_active() {
            return None;
        }
        let when = &self.spec.how.when;
        let of_fault = || self.fault.wakes_at().unwrap_or(Time::NEVER);
        let at = match self.stretch {
            Stretch::Before if when.after_bytes <= self.seen => when.begins(),
            Stretch::Before => when.ends(),
            Stretch::Within => of_fault().min(when.ends()),
            Stretch::After => Time::NEVER,
        };
        Some(at).filter(|at| *at < Time::NEVER)
    }

    /// The time has come that it asked for. What it puts out came in earlier.
    pub(super) fn wake(
        &mut self,
        index: usize,
        now: Time,
        next: &mut Vec<Moving>,
        effects: &mut Vec<Effect>,
    ) {
        self.advance(index, now, next, effects);
        if self.stretch != Stretch::Within || self.fault.wakes_at().is_none_or(|at| now < at) {
            return;
        }
        self.fault.wake(now, &mut self.dice, &mut self.made);
        self.put_out(next, effects);
    }

    /// Passes on what its fault gave back of what it kept.
    fn put_out(&mut self, next: &mut Vec<Moving>, effects: &mut Vec<Effect>) {
        let mut made = std::mem::take(&mut self.made);
        for mut step in made.drain(..) {
            step.at = step.at.min(self.spec.how.when.ends()).max(self.last_at);
            self.last_at = step.at;
            let arrival = self.take_kept(bytes(&step.action)).unwrap_or(step.at);
            self.note(&step, arrival, false, effects);
            if !self.is_shadow() {
                let author = self.author_of(&step);
                next.push((step, author));
            }
        }
        self.made = made;
    }

    /// Lives through the beginning and the end of the stretch in which its fault is in force, as
    /// far as they are due by `at`.
    fn advance(
        &mut self,
        index: usize,
        at: Time,
        next: &mut Vec<Moving>,
        effects: &mut Vec<Effect>,
    ) {
        let when = self.spec.how.when;
        let (begins, ends) = (when.begins(), when.ends());
        if self.stretch == Stretch::Before && when.after_bytes <= self.seen && begins <= at {
            self.begin(index, begins, next, effects);
        }
        if ends <= at && self.stretch == Stretch::Before {
            self.stretch = Stretch::After;
        }
        if ends <= at && self.stretch == Stretch::Within {
            let last = self.removed();
            self.fault.release(ends, &mut self.made);
            self.put_out(next, effects);
            // It may be looked at ahead of time; until then a change forgets what does no harm.
            let (ends_all, has_lost) =
                (last.as_ref().is_some_and(is_end), self.total.swallowed_bytes > 0);
            let author = match (ends_all, has_lost) {
                (true, true) => Author::Settled,
                (true, false) => Author::Plan(index),
                (false, _) => Author::Peer,
            };
            self.is_over |= ends_all && has_lost;
            next.extend(last.map(|action| (Step { at: ends, action }, author)));
            self.stretch = Stretch::After;
            self.kept.clear();
        }
    }

    /// From `at` on its fault is in force: for it the direction begins.
    fn begin(&mut self, index: usize, at: Time, next: &mut Vec<Moving>, effects: &mut Vec<Effect>) {
        self.stretch = Stretch::Within;
        let before = next.len();
        let open = Step { at, action: Action::Open };
        self.act(index, (open, Author::Peer), next, effects);
        let is_open = |moving: &Moving| moving.0.action == Action::Open;
        if let Some(open) = next[before..].iter().position(is_open) {
            next.remove(before + open); // the faults behind it have seen theirs
        }
    }

    /// When the first of the next `count` bytes arrived.
    fn take_kept(&mut self, mut count: usize) -> Option<Time> {
        let first = self.kept.front().map(|(arrival, _)| *arrival);
        while let Some((_, bytes)) = self.kept.front_mut() {
            if count < *bytes {
                *bytes -= count;
                break;
            }
            count -= *bytes;
            self.kept.pop_front();
        }
        first
    }

    /// Gives back what it keeps.
    pub(super) fn release(&mut self, now: Time, out: &mut Vec<Moving>) {
        if !self.is_active() {
            return;
        }
        let mut made = Vec::new();
        self.fault.release(now, &mut made);
        if self.is_shadow() {
            return; // the original went on at once
        }
        for step in made {
            let author = self.author_of(&step);
            out.push((step, author));
        }
    }

    /// Who had decided on a step that came in, now that it leaves.
    fn author_of(&mut self, step: &Step) -> Author {
        let kept = if is_end(&step.action) { self.kept_ends.pop_front() } else { None };
        kept.unwrap_or(Author::Peer)
    }

    /// Leads a step through its fault, or past it.
    pub(super) fn pass(
        &mut self,
        index: usize,
        (mut step, author): Moving,
        next: &mut Vec<Moving>,
        effects: &mut Vec<Effect>,
    ) {
        self.offset = self.came;
        self.came += bytes(&step.action) as u64;
        if self.is_active() && self.stretch == Stretch::Before && step.action == Action::Open {
            self.begin_at(step.at);
        } else if !self.spec.how.when.is_always() && self.is_active() {
            self.advance(index, step.at, next, effects);
        }
        if self.is_over && matches!(step.action, Action::Send(_) | Action::Finish) {
            return self.note_missing(bytes(&step.action), effects);
        }
        if matches!(author, Author::Plan(_)) && self.fault.keeps_steps() {
            if !self.is_shadow() {
                step.at = step.at.max(self.last_at); // it may be replaced or taken back
            }
            return next.push((step, author));
        }
        if !self.is_active() {
            return next.push((step, author));
        }
        if self.stretch == Stretch::Within {
            return self.act(index, (step, author), next, effects);
        }
        let rest = self.count(&mut step);
        let at = step.at;
        next.push((step, author));
        let when = &self.spec.how.when;
        if when.after_bytes <= self.seen && when.begins() <= at {
            self.begin(index, at, next, effects);
            let rest = Step { at, action: Action::Send(rest) };
            if !self.is_active() {
                next.push((rest, author));
            } else if bytes(&rest.action) > 0 {
                self.act(index, (rest, author), next, effects);
            }
        }
    }

    /// Counts the bytes of a step that comes before its fault is in force. Cuts off and gives
    /// those that are past the offset from which on it is, when the time has come for it.
    fn count(&mut self, step: &mut Step) -> Vec<u8> {
        let when = &self.spec.how.when;
        let Action::Send(bytes) = &mut step.action else { return Vec::new() };
        let left = when.after_bytes.saturating_sub(self.seen);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let cut = if when.begins() <= step.at { bytes.len().min(left) } else { bytes.len() };
        self.seen = self.seen.saturating_add(cut as u64);
        bytes.split_off(cut)
    }

    /// True when what the fault made of a step may go on: it is nothing, or it has a turn.
    fn may_act(&mut self, original: &Option<Step>, kept: usize, changed: u64) -> bool {
        let Some(original) = original else { return true };
        let is_same = matches!(&self.made[..], [made] if made == original);
        if is_same && self.fault.held_bytes() == kept && self.fault.changed_bytes() == changed {
            return true;
        }
        let has_turn = self.take_turn();
        if !has_turn {
            self.fault.release(original.at, &mut self.made);
            self.made.clear();
            self.kept.clear();
            self.kept_ends.clear();
        }
        has_turn
    }

    /// Leads a step through its fault.
    fn act(
        &mut self,
        index: usize,
        (step, author): Moving,
        next: &mut Vec<Moving>,
        effects: &mut Vec<Effect>,
    ) {
        let shadow = self.is_shadow();
        let original = (self.turn == Turn::Open).then(|| step.clone());
        if shadow {
            next.push((step.clone(), author));
        }
        let (arrival, came_as_end) = (step.at, is_end(&step.action));
        if came_as_end {
            self.kept_ends.push_back(author);
        }
        let (kept, changed) = (self.fault.held_bytes(), self.fault.changed_bytes());
        let came = bytes(&step.action);
        let opening = step.action == Action::Open && self.spec.place == Place::Connection;
        self.kept.push_back((arrival, came));
        self.fault.apply(step, &mut self.dice, &mut self.made);
        if !self.may_act(&original, kept, changed) {
            next.extend(original.filter(|_| !shadow).map(|step| (step, author)));
            return;
        }
        let mut made = std::mem::take(&mut self.made);
        if opening && made.is_empty() {
            effects.push(self.effect(Deed::Held)); // never dialled, never ended
        }
        let mut left = 0;
        for mut step in made.drain(..) {
            left += bytes(&step.action);
            let came_at = self.take_kept(bytes(&step.action)).unwrap_or(arrival);
            let decided = is_end(&step.action) && !came_as_end;
            self.delay(&mut step, arrival, decided);
            self.note(&step, came_at, decided, effects);
            let author = match decided {
                true if step.at > arrival => Author::Plan(index),
                true => Author::Settled,
                false => self.author_of(&step),
            };
            if !shadow {
                self.is_over |= author == Author::Settled;
                next.push((step, author));
            }
        }
        self.made = made;
        self.note_missing((kept + came).saturating_sub(left + self.fault.held_bytes()), effects);
        if shadow && self.fault.held_bytes() > SHADOW_BYTES_MAX {
            self.fault.release(arrival, &mut self.made);
            self.made.clear();
        }
        if self.fault.held_bytes() == 0 {
            self.kept.clear();
        }
        self.note_changed(effects);
    }

    /// Moves what its fault made of a step to the time at which that may leave.
    fn delay(&mut self, step: &mut Step, arrival: Time, decided: bool) {
        let ends = self.spec.how.when.ends().max(arrival);
        step.at = step.at.max(arrival);
        match decided && ends <= step.at {
            true => step.at = Time::NEVER, // by then it is not in force any more
            false => step.at = step.at.min(ends),
        }
        match step.action {
            Action::Send(_) | Action::Finish => {
                step.at = step.at.max(self.last_at);
                self.last_at = step.at;
            }
            Action::Close | Action::Reset if !decided => step.at = step.at.max(self.last_at),
            Action::Close | Action::Reset | Action::Open => {}
        }
    }

    /// Counts what became of a step, and reports the first deed of its sort.
    fn note(&mut self, step: &Step, arrival: Time, decided: bool, effects: &mut Vec<Effect>) {
        let deed = match step.action {
            Action::Send(_) if step.at == Time::NEVER => {
                self.holds = true;
                (!std::mem::replace(&mut self.held, true)).then_some(Deed::Held)
            }
            Action::Send(_) if step.at > arrival => {
                let first = self.total.delayed_steps == 0;
                self.total.delayed_steps += 1;
                self.total.delayed.0 = self.total.delayed.0.saturating_add((step.at - arrival).0);
                first.then_some(Deed::Delayed(step.at - arrival))
            }
            Action::Open if self.spec.place == Place::Connection && step.at > arrival => {
                Some(Deed::Delayed(step.at - arrival))
            }
            Action::Close | Action::Reset if decided && step.at != Time::NEVER => {
                let first = !self.ended;
                self.ended = true;
                let reset = step.action == Action::Reset;
                first.then_some(if reset { Deed::Reset } else { Deed::Closed })
            }
            _ => {
                self.holds |= !decided && step.at == Time::NEVER;
                None
            }
        };
        effects.extend(deed.map(|deed| self.effect(deed)));
    }

    fn note_missing(&mut self, bytes: usize, effects: &mut Vec<Effect>) {
        if bytes == 0 {
            return;
        }
        if self.total.swallowed_bytes == 0 {
            effects.push(self.effect(Deed::Swallowed(bytes as u64)));
        }
        self.total.swallowed_bytes += bytes as u64;
    }

    fn note_changed(&mut self, effects: &mut Vec<Effect>) {
        let changed = self.fault.changed_bytes().saturating_sub(self.changed_before);
        if self.total.changed_bytes == 0 && changed > 0 {
            effects.push(self.effect(Deed::Changed(changed)));
        }
        self.total.changed_bytes = changed;
    }

    fn effect(&self, deed: Deed) -> Effect {
        let shadow = self.is_shadow();
        let offset = self.offset;
        Effect { fault: self.spec.name.clone(), kind: self.spec.kind.name, deed, offset, shadow }
    }
}

pub(super) fn is_end(action: &Action) -> bool {
    matches!(action, Action::Close | Action::Reset)
}

pub(super) fn bytes(action: &Action) -> usize {
    match action {
        Action::Send(bytes) => bytes.len(),
        Action::Open | Action::Finish | Action::Close | Action::Reset => 0,
    }
}
