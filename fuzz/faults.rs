//! What holds for every fault: called by the fuzz targets, and by a test with the inputs that were
//! kept, and with random ones.
#![allow(dead_code, clippy::unwrap_used)] // each target uses one of them; a panic is a finding

use std::sync::Arc;

use chaos_proxy::config::read;
use chaos_proxy::fault::attr::{Raw, Unit, Value};
use chaos_proxy::fault::message::Message;
use chaos_proxy::fault::passage::{Bearings, Drawn, Passage};
use chaos_proxy::fault::pipeline::Owner;
use chaos_proxy::fault::when::TRIGGERS;
use chaos_proxy::fault::{ALL, Action, Direction, Kind, Level, Mode, Place, Sampling, Spec, Step};
use chaos_proxy::units::{ByteCount, Rate, Ratio, Span, Time};

/// A fault as a configuration writes it, `{ type: latency, .. }`: no panic; a plan that holds it
/// prints what is read back as the same plan. Any value for any attribute: no panic; what it
/// stands for prints as a text that stands for the same.
pub(crate) fn attributes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for protocol in ["tcp", "http"] {
        let address = "localPort: 1, upstream: \"u:1\"";
        let file = format!("[{{{address}, protocol: {protocol}, faults: [{text}\n]}}]");
        let Ok(plan) = read(file.as_bytes()) else { continue };
        let told = serde_json::to_string(&plan).unwrap();
        assert_eq!(read(told.as_bytes()).ok(), Some(plan), "{text}\n{told}");
    }
    for row in ALL.iter().flat_map(|kind| kind.attrs).chain(&TRIGGERS) {
        let whole = text.parse().map(Raw::Integer);
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        let decimal = number.map(|number| Raw::Decimal(number, text.to_owned().into()));
        for raw in whole.into_iter().chain(decimal).chain([Raw::Text(text)]) {
            let Ok(value) = row.unit.parse(raw) else { continue };
            let told = value.to_string();
            let again = match value {
                Value::Count(number) => Raw::Integer(number.into()),
                Value::Span(_) | Value::Bytes(_) | Value::Rate(_) | Value::Choice(_) => {
                    Raw::Text(&told)
                }
                _ => continue, // prints in another form than it is written
            };
            assert_eq!(row.unit.parse(again), Ok(value), "{} {text:?} {told:?}", row.name);
        }
    }
}

/// The bytes of a script, one after the other; then nothing but zeros.
struct Tape<'a>(&'a [u8]);

impl Tape<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of these, by the next byte.
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.next()) % of.len()]
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn value(&mut self, unit: Unit) -> Option<Value> {
        let ms = [0, 1, 5, 50, 3_600_000].map(Span::from_ms);
        Some(match unit {
            Unit::Ms(max) => Value::Span(self.one(&ms).min(max)),
            Unit::Us(max) => Value::Span(self.one(&ms).min(max)),
            Unit::Bytes(max) => {
                Value::Bytes(self.one(&[0, 1, 7, 100, 5000].map(ByteCount)).min(max))
            }
            Unit::Rate(max) => {
                let rates = [0, 20, 1_000, 1_000_000, 1_000_000_000_000].map(Rate);
                Value::Rate(self.one(&rates).min(max))
            }
            Unit::Count(min, max) => {
                Value::Count(self.one(&[0, 1, 3, 700, u64::MAX]).clamp(min, max))
            }
            Unit::Share => Value::Share(self.share()),
            Unit::Choice(words) => Value::Choice(self.one(words)),
            _ => return None,
        })
    }

    fn share(&mut self) -> Ratio {
        Ratio::new(self.one(&[1.0, 0.5, 0.02, 0.0])).unwrap()
    }

    /// Up to three faults of the bytes, each with a name of its own.
    fn faults(&mut self) -> Vec<Spec> {
        let kinds: Vec<&'static Kind> =
            ALL.iter().filter(|kind| kind.level == Level::Stream).copied().collect();
        let names = ["a", "b", "c"];
        let count = usize::from(self.next()) % (names.len() + 1);
        (names[..count].iter()).map(|name| self.fault(name, &kinds)).collect()
    }

    fn fault(&mut self, name: &str, kinds: &[&'static Kind]) -> Spec {
        let kind = self.one(kinds);
        let mut spec = Spec::new(name, kind, Place::One(Direction::Downstream));
        for attr in kind.attrs {
            let is_set = self.next() >= 64;
            if let Some(value) = self.value(attr.unit).filter(|_| is_set) {
                spec.attrs.set(attr.name, value);
            }
        }
        let usual = self.next();
        if usual < 128 {
            if usual < 64 {
                spec.probability = self.share(); // where there are messages, it chooses
            }
            return spec;
        }
        spec.probability = self.share();
        spec.how.mode = self.one(&[Mode::Act, Mode::Shadow]);
        spec.how.sampling = self.one(&[Sampling::Bernoulli, Sampling::Exact]);
        spec.how.enabled = self.next() < 224;
        for row in &TRIGGERS {
            let is_set = self.next() >= 192;
            if let Some(value) = self.value(row.unit).filter(|_| is_set) {
                spec.how.when.set(row.name, value);
            }
        }
        spec
    }
}

/// Steps in a script, and steps that may come out of it: a slice of a byte is one.
const OPS_MAX: usize = 60;
const STEPS_MAX: usize = 500_000;

/// A passage and what is known of it: what came in, and what came out.
struct Story {
    passage: Passage,
    specs: Vec<Spec>,
    on_http: bool,
    now: Time,
    /// The byte that comes next, by its number; what it is and when it came, is its place here.
    came: Vec<Time>,
    left: Vec<(Time, u8)>,
    messages: u64,
    /// The target takes nothing: what came out last may still wait for it.
    stalled: bool,
    /// A close was planned for later, perhaps: it waits for no target.
    may_cut: bool,
    has_changed_bytes: bool,
    finished: bool,
    /// A half-close has come out.
    half_closed: bool,
    ended: bool,
    steps: usize,
}

/// Any script of faults, bytes, messages, stalls, times and changes: no panic; nothing is due
/// early, times never go back, nothing is lost but what a fault says it took out; behind a byte
/// that is lost nothing comes, a close that is due with bytes cuts none of them off, and an end is
/// the last thing.
pub(crate) fn script(bytes: &[u8]) {
    let mut tape = Tape(bytes);
    let specs = tape.faults();
    let on_http = bytes.len() % 2 == 1;
    let mut story = Story {
        passage: Passage::new(&bearings(on_http, &specs), Time::ZERO),
        has_changed_bytes: has_one_of(&specs, &["corrupt"]),
        may_cut: has_one_of(&specs, &CUTTING),
        specs,
        on_http,
        now: Time::ZERO,
        came: Vec::new(),
        left: Vec::new(),
        messages: 0,
        stalled: false,
        finished: false,
        half_closed: false,
        ended: false,
        steps: 0,
    };
    for _ in 0..OPS_MAX {
        if tape.is_over() || story.ended {
            break;
        }
        story.one_step(&mut tape);
    }
    story.stalled = false;
    story.until_nothing_is_planned();
    story.check();
    // What is held for ever leaves when the faults go.
    story.retune(Vec::new());
    story.until_nothing_is_planned();
    story.check();
    let (came, left) = (story.came.len() as u64, story.left.len() as u64);
    let missing = story.passage.swallowed_bytes();
    assert!(story.ended || left + missing == came, "{left} left, {missing} missing of {came}");
}

const OWNER: Owner<'static> =
    Owner { seed: 42, route: "r", connection: 1, began: Time::ZERO, request: None };

/// Faults that may plan a close for later than the bytes before it.
const CUTTING: [&str; 3] = ["hang", "lose_response", "timeout"];

fn has_one_of(specs: &[Spec], names: &[&str]) -> bool {
    specs.iter().any(|spec| names.contains(&spec.kind.name))
}

fn bearings(on_http: bool, faults: &[Spec]) -> Bearings<'_> {
    Bearings { owner: &OWNER, direction: Direction::Downstream, on_http, faults }
}

impl Story {
    fn one_step(&mut self, tape: &mut Tape<'_>) {
        match tape.next() % 8 {
            0..=2 if !self.finished => {
                let count = usize::from(tape.next()) * 8;
                let from = self.came.len();
                self.came.resize(from + count, self.now);
                let bytes = (from..from + count).map(byte).collect();
                self.passage.push(Step { at: self.now, action: Action::Send(bytes) });
            }
            3 if !self.finished => {
                let ends = [Action::Finish, Action::Finish, Action::Reset, Action::Close];
                let action = ends[usize::from(tape.next()) % ends.len()].clone();
                self.passage.push(Step { at: self.now, action });
                (self.finished, self.may_cut) = (true, true);
            }
            4 => self.retune(tape.faults()),
            5 => {
                if let Some(due) = self.next_due() {
                    self.until(due);
                }
            }
            6 if self.on_http && !self.finished => self.message(tape.next()),
            7 if tape.next() < 128 => self.stalled = !self.stalled,
            _ => {
                let spans = [0, 1_000, 300_000, 1_000_000, 7_000_000, 60_000_000, 5_000_000_000];
                self.until(self.now + Span(tape.one(&spans)));
            }
        }
    }

    /// A message begins for which some of the faults were drawn that choose.
    fn message(&mut self, chosen: u8) {
        self.messages += 1;
        let is_chosen = |at: usize| chosen & (1 << at) != 0;
        let all = self.specs.iter().enumerate();
        let faults: Vec<String> = all
            .filter(|(at, spec)| spec.chooses() && is_chosen(*at))
            .map(|(_, spec)| spec.name.clone())
            .collect();
        let number = self.messages;
        let message = Message { request: "GET /".into(), occurrence: number, faults };
        let drawn = Some(Drawn { number, message: Arc::new(message) });
        let drawn = drawn.filter(|drawn| !drawn.message.faults.is_empty());
        let at = bearings(self.on_http, &self.specs);
        self.passage.turn_to(self.now, &at, drawn.as_ref());
    }

    fn next_due(&self) -> Option<Time> {
        if self.stalled { self.passage.next_cut() } else { self.passage.next_due() }
    }

    fn until_nothing_is_planned(&mut self) {
        while let Some(due) = self.next_due().filter(|_| !self.ended) {
            self.until(due);
        }
    }

    /// What comes out by now.
    fn pop(&mut self) -> Option<Step> {
        if !self.stalled {
            return self.passage.pop_due(self.now);
        }
        let cut = self.passage.pop_due_cut(self.now)?;
        assert!(self.may_cut || cut.action == Action::Reset, "cut off: {cut:?}");
        Some(cut)
    }

    /// What is due by `now` comes out.
    fn until(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(step) = self.pop().filter(|_| !self.ended) {
            self.steps += 1;
            assert!(self.steps < STEPS_MAX, "it never ends");
            assert!(step.at <= self.now, "early: {step:?} at {:?}", self.now);
            match step.action {
                Action::Send(bytes) => {
                    assert!(!self.half_closed, "bytes behind a half-close");
                    let last = self.left.last().map_or(Time::ZERO, |(at, _)| *at);
                    assert!(last <= step.at, "back in time: {last:?} {:?}", step.at);
                    self.left.extend(bytes.iter().map(|byte| (step.at, *byte)));
                }
                Action::Close | Action::Reset => self.ended = true,
                Action::Finish => self.half_closed = true,
                Action::Open => {}
            }
        }
    }

    fn retune(&mut self, specs: Vec<Spec>) {
        self.has_changed_bytes |= has_one_of(&specs, &["corrupt"]);
        self.may_cut |= has_one_of(&specs, &CUTTING);
        self.passage.retune(self.now, &bearings(self.on_http, &specs));
        self.specs = specs;
    }

    /// What left is the beginning of what came, and nothing of it left early.
    fn check(&self) {
        assert!(self.left.len() <= self.came.len(), "more than came");
        for (place, (at, value)) in self.left.iter().enumerate() {
            let is_it = self.has_changed_bytes || *value == byte(place);
            assert!(is_it, "byte {place} is {value}: one before it is missing, or comes later");
            assert!(self.came[place] <= *at, "byte {place} left at {at:?}");
        }
    }
}

/// A value that tells bytes near each other apart.
fn byte(place: usize) -> u8 {
    (place % 251) as u8
}
