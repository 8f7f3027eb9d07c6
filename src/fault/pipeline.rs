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
//! - A stage has one planned end: a newer one replaces it. `Time::NEVER` takes it back.
//! - On a live change, bytes already decided on leave at once and in order, planned ends are
//!   forgotten, `Open` is replayed so that timers restart, and a fault that keeps its name and its
//!   kind keeps its state, its dice and its roll.

use std::collections::VecDeque;

use super::{Action, Direction, Fault, Place, Spec, Step};
use crate::dice::{Dice, Key};
use crate::units::{Span, Time};

/// Bytes one direction of one connection may hold; beyond it the shell stops reading. It is what
/// Toxiproxy's latency holds (1024 chunks of 32 KiB), and 100 ms of 320 MB/s.
pub const QUEUE_BYTES_MAX: usize = 32 << 20;

/// What a queued step costs beside its bytes, so that tiny chunks are bounded too.
const STEP_OVERHEAD_BYTES: usize = 64;

/// Whose pipeline it is: the part of every dice key that its faults share.
#[derive(Clone, Debug)]
pub struct Owner<'a> {
    /// The seed of the process.
    pub seed: u64,
    /// The route's name.
    pub route: &'a str,
    /// The connection's number on its route, from 1.
    pub connection: u64,
}

/// Something a fault did for the first time in this pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The fault's name on its route.
    pub fault: String,
    /// Its kind.
    pub kind: &'static str,
    /// What it did.
    pub deed: Deed,
}

/// What a fault did to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It made bytes later, by this much.
    Delayed(Span),
    /// It took this many bytes out.
    Swallowed(u64),
    /// It decided on a close.
    Closed,
    /// It decided on a reset.
    Reset,
}

/// What one fault did in this pipeline, in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Steps with bytes that it made later.
    pub delayed_steps: u64,
    /// The sum of those delays.
    pub delayed: Span,
    /// Bytes that it took out.
    pub swallowed_bytes: u64,
}

/// The faults of one direction (or of the opening of one connection) and their schedule.
pub struct Pipeline {
    place: Place,
    stages: Vec<Stage>,
    /// Bytes and half-closes, in the order of their times.
    queue: VecDeque<Entry>,
    queued_bytes: usize,
    /// Planned ends: at most one from each stage and one from the peer.
    ends: Vec<Entry>,
    next_seq: u64,
    /// When the last bytes or half-close that were scheduled are due.
    last_data_at: Time,
    effects: Vec<Effect>,
}

/// A step on its way through the stages, and its author.
type Moving = (Step, Author);

/// The stage that decided on an end; none for what came from the peer.
type Author = Option<usize>;

/// A step in the schedule.
struct Entry {
    step: Step,
    author: Author,
    seq: u64,
    /// A close that is due with the bytes before it: it waits until they are written.
    waits: bool,
}

struct Stage {
    spec: Spec,
    fault: Box<dyn Fault>,
    dice: Dice,
    /// Drawn once: the fault acts when this is below its probability.
    lot: f64,
    last_at: Time,
    total: Total,
    ended: bool,
    made: Vec<Step>,
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

    fn new(owner: &Owner<'_>, place: Place, specs: &[Spec]) -> Pipeline {
        let mut pipeline = Pipeline {
            place,
            stages: Vec::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            ends: Vec::new(),
            next_seq: 0,
            last_data_at: Time::ZERO,
            effects: Vec::new(),
        };
        pipeline.stages = pipeline.build(owner, specs);
        pipeline
    }

    /// Gives the next step from the peer to the first fault.
    pub fn push(&mut self, step: Step) {
        if self.stages.is_empty() {
            return self.schedule(step, None);
        }
        let mut flow = vec![(step, None)];
        for (index, stage) in self.stages.iter_mut().enumerate() {
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

    /// When the next step is due; none when nothing is planned.
    pub fn next_due(&self) -> Option<Time> {
        let (end, data) = (self.first_end(), self.queue.front());
        let end = end.map(|index| self.ends[index].step.at);
        let due = end.into_iter().chain(data.map(|entry| entry.step.at)).min();
        due.filter(|at| *at != Time::NEVER)
    }

    /// The first step that is due by `now`. After a `Close` or `Reset` nothing is pending.
    pub fn pop_due(&mut self, now: Time) -> Option<Step> {
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
        Some(entry.step)
    }

    /// When the next cut is due: an end that does not wait for the bytes before it.
    pub fn next_cut(&self) -> Option<Time> {
        let at = self.first_cut().map(|index| self.ends[index].step.at);
        at.filter(|at| *at != Time::NEVER)
    }

    /// The first cut that is due by `now`, past all bytes that a stalled target does not take.
    pub fn pop_due_cut(&mut self, now: Time) -> Option<Step> {
        let index = self.first_cut().filter(|index| self.ends[*index].step.at <= now)?;
        Some(self.take_end(index))
    }

    /// Changes the faults of a living pipeline; see the rules above.
    pub fn retune(&mut self, now: Time, owner: &Owner<'_>, specs: &[Spec]) {
        for entry in &mut self.queue {
            entry.step.at = now;
        }
        self.last_data_at = self.last_data_at.min(now);
        self.ends.retain(|end| end.author.is_none());
        for end in &mut self.ends {
            end.step.at = end.step.at.min(now);
        }
        let built = self.build(owner, specs);
        let mut old = std::mem::replace(&mut self.stages, built);
        for stage in &mut self.stages {
            let same =
                |own: &Stage| own.spec.name == stage.spec.name && own.spec.kind == stage.spec.kind;
            if let Some(index) = old.iter().position(same) {
                stage.inherit(old.swap_remove(index));
            }
        }
        self.push(Step { at: now, action: Action::Open });
    }

    /// Bytes waiting for their time.
    pub fn queued_bytes(&self) -> usize {
        self.queue.iter().map(|entry| bytes(&entry.step.action)).sum()
    }

    /// True when no more should be read for now.
    pub fn is_full(&self) -> bool {
        self.queued_bytes >= QUEUE_BYTES_MAX
    }

    /// True when whatever comes goes on unchanged and at once.
    pub fn is_pass_through(&self) -> bool {
        self.queue.is_empty() && self.ends.is_empty() && !self.stages.iter().any(Stage::is_active)
    }

    /// What faults did for the first time since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What each fault did in sum, with its name and kind, for those that did something.
    pub fn totals(&self) -> impl Iterator<Item = (&Spec, &Total)> {
        let acted = self.stages.iter().filter(|stage| stage.total != Total::default());
        acted.map(|stage| (&stage.spec, &stage.total))
    }

    fn build(&self, owner: &Owner<'_>, specs: &[Spec]) -> Vec<Stage> {
        let place = self.place;
        let here = specs.iter().filter(|spec| match place {
            Place::One(direction) => spec.place.covers(direction),
            Place::Connection | Place::Both => spec.place == place,
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
        let step = self.ends.swap_remove(index).step;
        self.ends.clear();
        self.queue.clear();
        self.queued_bytes = 0;
        step
    }

    fn schedule(&mut self, step: Step, author: Author) {
        let seq = self.next_seq;
        self.next_seq += 1;
        let mut entry = Entry { step, author, seq, waits: false };
        match &entry.step.action {
            Action::Close | Action::Reset => {
                let in_order = entry.step.at <= self.last_data_at;
                entry.waits = entry.step.action == Action::Close && in_order;
                self.ends.retain(|end| end.author != author);
                self.ends.push(entry);
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
    fn order(&self) -> (Time, u64) {
        (self.step.at, self.seq)
    }
}

impl Stage {
    fn new(owner: &Owner<'_>, place: Place, spec: &Spec) -> Stage {
        let direction = place.as_str();
        let key =
            Key { route: owner.route, connection: owner.connection, direction, fault: &spec.name };
        let mut dice = Dice::new(owner.seed, &key);
        let lot = dice.share();
        let mut fault = (spec.kind.build)();
        fault.retune(&spec.attrs);
        Stage {
            spec: spec.clone(),
            fault,
            dice,
            lot,
            last_at: Time::ZERO,
            total: Total::default(),
            ended: false,
            made: Vec::new(),
        }
    }

    fn is_active(&self) -> bool {
        self.lot < self.spec.probability.get()
    }

    /// Takes over the state of the stage that this one replaces.
    fn inherit(&mut self, old: Stage) {
        self.fault = old.fault;
        if self.spec.attrs != old.spec.attrs {
            self.fault.retune(&self.spec.attrs);
        }
        self.dice = old.dice;
        self.lot = old.lot;
        self.total = old.total;
        self.ended = old.ended;
    }

    fn pass(
        &mut self,
        index: usize,
        (step, author): Moving,
        next: &mut Vec<Moving>,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_active() {
            next.push((step, author));
            return;
        }
        let (arrival, came_as_end) = (step.at, is_end(&step.action));
        let mut missing = bytes(&step.action);
        self.fault.apply(step, &mut self.dice, &mut self.made);
        let mut made = std::mem::take(&mut self.made);
        for mut step in made.drain(..) {
            missing = missing.saturating_sub(bytes(&step.action));
            step.at = step.at.max(arrival);
            let decided = is_end(&step.action) && !came_as_end;
            match step.action {
                Action::Send(_) | Action::Finish => {
                    step.at = step.at.max(self.last_at);
                    self.last_at = step.at;
                }
                Action::Close | Action::Reset if came_as_end => {
                    step.at = step.at.max(self.last_at);
                }
                Action::Close | Action::Reset | Action::Open => {}
            }
            self.note(&step, arrival, decided, effects);
            next.push((step, if decided { Some(index) } else { author }));
        }
        self.made = made;
        if missing > 0 {
            self.note_swallowed(missing, effects);
        }
    }

    /// Counts what became of a step, and reports the first deed of its sort.
    fn note(&mut self, step: &Step, arrival: Time, decided: bool, effects: &mut Vec<Effect>) {
        let deed = match step.action {
            Action::Send(_) if step.at > arrival => {
                let first = self.total.delayed_steps == 0;
                self.total.delayed_steps += 1;
                self.total.delayed.0 = self.total.delayed.0.saturating_add((step.at - arrival).0);
                first.then_some(Deed::Delayed(step.at - arrival))
            }
            Action::Close | Action::Reset if decided && step.at != Time::NEVER => {
                let first = !self.ended;
                self.ended = true;
                let reset = step.action == Action::Reset;
                first.then_some(if reset { Deed::Reset } else { Deed::Closed })
            }
            _ => None,
        };
        effects.extend(deed.map(|deed| self.effect(deed)));
    }

    fn note_swallowed(&mut self, bytes: usize, effects: &mut Vec<Effect>) {
        if self.total.swallowed_bytes == 0 {
            effects.push(self.effect(Deed::Swallowed(bytes as u64)));
        }
        self.total.swallowed_bytes += bytes as u64;
    }

    fn effect(&self, deed: Deed) -> Effect {
        Effect { fault: self.spec.name.clone(), kind: self.spec.kind.name, deed }
    }
}

fn is_end(action: &Action) -> bool {
    matches!(action, Action::Close | Action::Reset)
}

fn bytes(action: &Action) -> usize {
    match action {
        Action::Send(bytes) => bytes.len(),
        Action::Open | Action::Finish | Action::Close | Action::Reset => 0,
    }
}

fn weight(action: &Action) -> usize {
    bytes(action) + STEP_OVERHEAD_BYTES
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;

#[cfg(test)]
pub(crate) mod transcript {
    //! Pipelines as text in, text out: `check("latency latency=100", "0 send a", "100 send a")`.
    //! Times are milliseconds. Besides steps, an input may be `T set FAULTS`: a live change.

    use super::*;
    use crate::fault::attr::{Attrs, Raw};
    use crate::fault::{Kind, Level};
    use crate::units::Ratio;

    pub(crate) const OWNER: Owner<'static> = Owner { seed: 42, route: "r", connection: 1 };

    /// Runs `input` through `faults` and compares what comes out.
    #[track_caller]
    pub(crate) fn check(faults: &str, input: &str, expected: &str) {
        assert_eq!(run(faults, input), expected, "faults: {faults}\ninput:  {input}");
    }

    /// What comes out, everything popped as soon as it is due.
    pub(crate) fn run(faults: &str, input: &str) -> String {
        let specs = parse(faults);
        let at_connection = specs.iter().any(|spec| spec.kind.level == Level::Connection);
        let mut pipeline = match at_connection {
            true => Pipeline::for_connection(&OWNER, &specs),
            false => Pipeline::for_direction(&OWNER, Direction::Downstream, &specs, Time::ZERO),
        };
        let mut output = Vec::new();
        for line in input.split("; ").filter(|line| !line.is_empty()) {
            let at = Time(at_ns(line));
            let mut words = line.splitn(3, ' ').skip(1);
            let (verb, rest) = (words.next().expect("a verb"), words.next().unwrap_or_default());
            while let Some(due) = pipeline.next_due().filter(|due| *due < at) {
                output.extend(pipeline.pop_due(due));
            }
            match verb {
                "set" => pipeline.retune(at, &OWNER, &parse(rest)),
                verb => pipeline.push(Step { at, action: action(verb, rest) }),
            }
        }
        while let Some(due) = pipeline.next_due() {
            output.extend(pipeline.pop_due(due));
        }
        output.iter().map(print).collect::<Vec<_>>().join("; ")
    }

    /// `latency latency=100 jitter=5 p=0.5 | latency`: faults named f0, f1 or by `name=`.
    pub(crate) fn parse(faults: &str) -> Vec<Spec> {
        let texts = faults.split(" | ").filter(|text| !text.is_empty()).enumerate();
        texts.map(|(index, text)| spec(index, text)).collect()
    }

    fn spec(index: usize, text: &str) -> Spec {
        let mut words = text.split(' ');
        let kind = Kind::find(words.next().expect("a type")).expect("a known type");
        let mut spec = Spec {
            name: format!("f{index}"),
            kind,
            place: match kind.level {
                Level::Connection => Place::Connection,
                Level::Stream => Place::One(Direction::Downstream),
            },
            probability: Ratio::ONE,
            attrs: Attrs::defaults(kind.attrs),
        };
        for (key, text) in words.map(|word| word.split_once('=').expect("key=value")) {
            match key {
                "p" => spec.probability = Ratio::parse(text).expect("a share"),
                "name" => spec.name = text.to_owned(),
                _ => {
                    let attr =
                        kind.attrs.iter().find(|attr| attr.name == key).expect("an attribute");
                    let raw = text.parse().map_or(Raw::Text(text), Raw::Integer);
                    spec.attrs.set(attr.name, attr.unit.parse(raw).expect("a value"));
                }
            }
        }
        spec
    }

    fn action(verb: &str, rest: &str) -> Action {
        match verb {
            "open" => Action::Open,
            "send" => Action::Send(rest.as_bytes().to_vec()),
            "finish" => Action::Finish,
            "close" => Action::Close,
            "reset" => Action::Reset,
            other => panic!("no such step: {other}"),
        }
    }

    fn print(step: &Step) -> String {
        let ms = (step.at - Time::ZERO).as_ms_f64();
        match &step.action {
            Action::Send(bytes) => format!("{ms} send {}", String::from_utf8_lossy(bytes)),
            other => format!("{ms} {}", format!("{other:?}").to_lowercase()),
        }
    }

    /// The time a line begins with, in nanoseconds.
    pub(crate) fn at_ns(line: &str) -> u64 {
        let ms = line.split(' ').next().expect("a time");
        Span::parse(&format!("{ms}ms")).expect("a time in ms").0
    }
}
