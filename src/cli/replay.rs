//! `replay`: makes the decisions of a recording again, from their keys, and tells which differ.
//!
//! ```text
//! line --> start:    seed, faults of each route       change: faults of one route, by their `gen`
//!      --> decision: drawn again by (seed, route, conn, direction, fault), or for a request by
//!                    (seed, route, method and path, the how-many-th, fault) --> the same?
//!      --> inject, shadow: does any of the faults' lots say that it acts there?
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::serve::{Failure, print};
use crate::dice::Key;
use crate::fault::desk::group_roll;
use crate::fault::lot::{decide, draw};
use crate::fault::{How, Kind, Sampling};
use crate::journal::events::{ACT, FORMAT, PASS};
use crate::shell::dial::words;
use crate::units::Ratio;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayAsked {
    /// The recording.
    pub events: PathBuf,
    /// For programs instead of people.
    pub json: bool,
}

/// Bytes of a line at most: a `start` with all routes and faults that there may be.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Divergences that are told; all are counted.
const DIVERGENCES_MAX: usize = 20;

/// Changes of a route that decisions may still refer to.
const VERSIONS_MAX: usize = 64;

/// Routes that are remembered; the deleted ones among them, too.
const ROUTES_MAX: usize = 16 * crate::config::ROUTES_MAX;

/// How far a number may be from the one that was written: it was text meanwhile.
const EXACT: f64 = 1e-9;

/// Reads the recording and tells what differs.
pub(super) fn run(asked: &ReplayAsked) -> Result<(), Failure> {
    let name = asked.events.display().to_string();
    let failed = |reason: &str| {
        let name = name.escape_debug();
        Failure::usage(&format!("{name}: {reason} (give a file that --event-log wrote)"))
    };
    let file = File::open(&asked.events).map_err(|error| failed(&words(&error)))?;
    let replay = read(BufReader::new(file)).map_err(|reason| failed(&reason))?;
    print(&if asked.json { replay.to_json() } else { replay.to_text() })?;
    if replay.diverged > 0 { Err(Failure::told()) } else { Ok(()) }
}

/// Replays all lines; or why it is no recording.
fn read(mut lines: impl BufRead) -> Result<Replay, String> {
    let mut replay = Replay::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut lines).take(LINE_BYTES_MAX as u64 + 1);
        let count = bounded.read_until(b'\n', &mut line).map_err(|e: io::Error| words(&e))?;
        if count == 0 {
            break;
        }
        if count > LINE_BYTES_MAX {
            return Err(format!("a line of more than {LINE_BYTES_MAX} bytes"));
        }
        replay.line(line.trim_ascii())?;
    }
    match replay.seed {
        Some(_) => Ok(replay),
        None => Err("no recording: it is empty".into()),
    }
}

/// What the recording said so far, and what came of it.
#[derive(Debug, Default)]
struct Replay {
    lines: u64,
    seed: Option<u64>,
    /// The number of the last event.
    last: u64,
    routes: BTreeMap<String, VecDeque<Version>>,
    decisions: u64,
    diverged: u64,
    divergences: Vec<Divergence>,
    missing: u64,
    unreadable: u64,
    unchecked: u64,
}

/// The faults of a route from one change to the next.
#[derive(Debug)]
struct Version {
    generation: u64,
    faults: Vec<Chance>,
}

/// What the lot of a fault depends on.
#[derive(Debug)]
struct Chance {
    name: String,
    kind: &'static Kind,
    /// None before there are bytes.
    direction: Option<String>,
    probability: Ratio,
    how: How,
    /// In a group: the shares of those before it.
    before: Option<f64>,
}

/// A decision that differs.
#[derive(Debug)]
struct Divergence {
    line: u64,
    /// Of which connection and fault.
    who: String,
    /// How.
    what: String,
}

impl Replay {
    /// Takes one line; an error says why this is no recording.
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        self.lines += 1;
        let Some(text) = event_text(line) else { return Ok(()) };
        let event: Option<Value> = serde_json::from_slice(text).ok();
        let event = event.filter(|event| event["event"].is_string() && event["seq"].is_u64());
        let Some(event) = event else {
            self.unreadable += 1;
            return match self.seed {
                None => Err(format!("no recording: line {} is no event", self.lines)),
                Some(_) => Ok(()),
            };
        };
        let name = event["event"].as_str().unwrap_or_default();
        if name == "start" {
            return self.start(&event);
        }
        if self.seed.is_none() {
            return Err("no recording: it does not begin with a start".into());
        }
        self.number(&event, name);
        match name {
            "change" => self.put(&event["route"], &event),
            "decision" => self.decision(&event),
            "inject" | "shadow" => self.deed(&event),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, event: &Value) -> Result<(), String> {
        if event["format"].as_u64() != Some(FORMAT) {
            return Err(format!(
                "a recording of another format ({}, not {FORMAT})",
                event["format"]
            ));
        }
        let seed = event["seed"].as_u64().ok_or("no recording: its start has no seed")?;
        self.seed = Some(seed);
        self.last = event["seq"].as_u64().unwrap_or(0);
        self.routes.clear();
        for route in event["routes"].as_array().into_iter().flatten() {
            self.put(&route["name"], route);
        }
        Ok(())
    }

    /// Looks at the number of an event for what is missing before it.
    fn number(&mut self, event: &Value, name: &str) {
        let seq = event["seq"].as_u64().unwrap_or(0);
        if seq <= self.last {
            let what = format!("event {seq} comes behind event {}", self.last);
            return self.diverge(format!("event={name}"), what);
        }
        self.missing += seq - self.last - u64::from(name != "gap");
        self.last = seq;
    }

    /// Other faults are in force on a route.
    fn put(&mut self, route: &Value, event: &Value) {
        let (Some(route), Some(generation)) = (route.as_str(), event["gen"].as_u64()) else {
            self.unreadable += 1;
            return;
        };
        let faults = event["faults"].as_array().into_iter().flatten();
        let Some(faults) = faults.map(chances).collect::<Option<Vec<_>>>() else {
            self.unreadable += 1;
            return;
        };
        let faults = faults.into_iter().flatten().collect();
        if self.routes.len() >= ROUTES_MAX && !self.routes.contains_key(route) {
            self.routes.pop_first();
        }
        let versions = self.routes.entry(route.to_owned()).or_default();
        versions.retain(|version| version.generation != generation);
        versions.push_back(Version { generation, faults });
        if versions.len() > VERSIONS_MAX {
            versions.pop_front();
        }
    }

    fn decision(&mut self, event: &Value) {
        let Some(place) = Place::of(event) else {
            self.unreadable += 1;
            return;
        };
        self.decisions += 1;
        let versions = self.routes.get(place.key.route).into_iter().flatten();
        let generation = event["gen"].as_u64();
        let Some(version) = versions.into_iter().find(|v| Some(v.generation) == generation) else {
            self.unchecked += 1; // the change is among what is missing
            return;
        };
        let Some(chance) = version.faults.iter().find(|chance| place.is_of(chance)) else {
            return self.diverge(place.to_text(), "the route has no such fault".into());
        };
        let (drawn, again) = place.judge(self.seed, chance, event);
        let was_drawn = event["drawn"].as_f64().unwrap_or(f64::NAN);
        let is_same = (was_drawn - drawn).abs() <= EXACT // false for what is no number
            && event["action"] == if again.is_none() { ACT } else { PASS }
            && event["reason"].as_str() == again;
        if !is_same {
            let recorded = format!("{} drawn={}", event["action"], event["drawn"]);
            let word = if again.is_none() { ACT } else { PASS };
            let what = format!("recorded {recorded}, again {word:?} drawn={drawn}");
            self.diverge(place.to_text(), what);
        }
    }

    /// A fault did something: its lot must say so, under any of the route's faults so far.
    fn deed(&mut self, event: &Value) {
        let Some(place) = Place::of(event) else {
            self.unreadable += 1;
            return;
        };
        let versions = self.routes.get(place.key.route).into_iter().flatten();
        let chances = versions.flat_map(|version| &version.faults);
        let mut of_it = chances.filter(|chance| place.is_of(chance)).peekable();
        if of_it.peek().is_none() {
            self.unchecked += 1;
        } else if !of_it.any(|chance| place.judge(self.seed, chance, event).1.is_none()) {
            self.diverge(place.to_text(), "it acted, and again it does not".into());
        }
    }

    fn diverge(&mut self, who: String, what: String) {
        self.diverged += 1;
        if self.divergences.len() < DIVERGENCES_MAX {
            self.divergences.push(Divergence { line: self.lines, who, what });
        }
    }

    /// What else is to be known: counts by their words.
    fn counts(&self) -> [(&'static str, u64); 3] {
        let (missing, unchecked) = (self.missing, self.unchecked);
        [("missing", missing), ("unchecked", unchecked), ("unreadable", self.unreadable)]
    }

    /// A line for each divergence, and the sums.
    fn to_text(&self) -> String {
        let mut text = String::new();
        for Divergence { line, who, what } in &self.divergences {
            let _ = writeln!(text, "line {line}: {who}: {what}");
        }
        let untold = self.diverged - self.divergences.len() as u64;
        if untold > 0 {
            let _ = writeln!(text, "... and {untold} more");
        }
        let _ = write!(text, "{} decisions, {} differ", self.decisions, self.diverged);
        for (word, count) in self.counts().into_iter().filter(|(_, count)| *count > 0) {
            let _ = write!(text, ", {count} {word}");
        }
        text.push('\n');
        text
    }

    fn to_json(&self) -> String {
        let one = |d: &Divergence| json!({ "line": d.line, "who": d.who, "what": d.what });
        let told: Vec<Value> = self.divergences.iter().map(one).collect();
        let mut report = json!({
            "decisions": self.decisions, "diverged": self.diverged, "divergences": told,
        });
        for (word, count) in self.counts() {
            report[word] = count.into();
        }
        format!("{report}\n")
    }
}

/// Where something was decided, by what, and under which key.
struct Place<'a> {
    key: Key<'a>,
    kind: &'a str,
    /// `exchange`, or a direction of the bytes; set when it was decided for a request.
    of_request: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(event: &'a Value) -> Option<Place<'a>> {
        let text = |field: &str| event[field].as_str();
        let (route, direction, fault) = (text("route")?, text("direction")?, text("fault")?);
        let (connection, direction, of_request) = match event["n"].as_u64() {
            None => (event["conn"].as_u64()?, direction, None),
            Some(n) => (n, text("request")?, Some(direction)),
        };
        let key = Key { route, connection, direction, fault };
        Some(Place { key, kind: text("type")?, of_request })
    }

    fn is_of(&self, chance: &Chance) -> bool {
        let direction = self.of_request.unwrap_or(self.key.direction);
        let nowhere = if self.of_request.is_some() { "exchange" } else { "connection" };
        let is_there = match chance.direction.as_deref() {
            None => direction == nowhere,
            Some(own) => own == "both" || own == direction,
        };
        is_there && chance.name == self.key.fault && chance.kind.name == self.kind
    }

    /// What is drawn, and why the fault does not act; none when it does.
    fn judge(
        &self,
        seed: Option<u64>,
        chance: &Chance,
        event: &'a Value,
    ) -> (f64, Option<&'a str>) {
        let (seed, key) = (seed.unwrap_or(0), &self.key);
        if self.of_request.is_none() {
            let (drawn, verdict) = decide(seed, key, &chance.how, chance.probability);
            return (drawn, verdict.reason());
        }
        let share = chance.probability;
        let (drawn, wins) = match event["group"].as_u64().map(u16::try_from) {
            Some(Ok(group)) => {
                let (roll, before) = (group_roll(seed, key, group), chance.before.unwrap_or(0.0));
                (roll, before <= roll && roll < before + share.get())
            }
            // What is done says nothing of the group; the decision about it is looked at itself.
            None if chance.before.is_some() => (0.0, true),
            _ => draw(seed, key, chance.how.sampling, share),
        };
        let count = event["count"].as_u64().unwrap_or(key.connection);
        // What it depends on beside its key is in no record: there the record is believed.
        let reason = match event["reason"].as_str() {
            _ if !chance.how.enabled => Some("disabled"),
            Some(reason @ ("time" | "match")) => Some(reason),
            // What is done has no count; the decision about it has.
            _ if event["event"] == "decision" && !chance.how.when.covers(count) => Some("number"),
            _ if !wins => Some("probability"),
            Some(reason @ ("times" | "excluded" | "idle")) => Some(reason),
            _ => None,
        };
        (drawn, reason)
    }

    fn to_text(&self) -> String {
        let Key { route, connection, direction, fault } = self.key;
        match self.of_request {
            None => {
                format!("route={route:?} conn={connection} direction={direction} fault={fault:?}")
            }
            Some(_) => {
                format!("route={route:?} request={direction:?} n={connection} fault={fault:?}")
            }
        }
    }
}

/// The JSON on a line: of a file all of it, of captured server-sent events what is data.
fn event_text(line: &[u8]) -> Option<&[u8]> {
    let other: [&[u8]; 3] = [b"id:", b"event:", b":"];
    match line.strip_prefix(b"data: ") {
        Some(data) => Some(data),
        None if line.is_empty() || other.iter().any(|start| line.starts_with(start)) => None,
        None => Some(line),
    }
}

/// What the lots of a fault, or of those of a group, depend on.
fn chances(fault: &Value) -> Option<Vec<Chance>> {
    let Some(group) = fault["oneOf"].as_array() else { return Some(vec![chance(fault)?]) };
    let mut chances: Vec<Chance> = group.iter().map(chance).collect::<Option<_>>()?;
    let mut before = 0.0;
    for chance in &mut chances {
        chance.before = Some(before);
        before += chance.probability.get();
    }
    Some(chances)
}

/// What the lot of a fault as a configuration writes it depends on.
fn chance(fault: &Value) -> Option<Chance> {
    let kind = Kind::find(fault["type"].as_str()?)?;
    let probability = fault["probability"].as_f64().unwrap_or(1.0);
    let mut how = How { enabled: fault["enabled"] != false, ..How::default() };
    if fault["sampling"] == "exact" {
        how.sampling = Sampling::Exact;
    }
    let trigger = |name: &str| {
        let is_its_own = kind.attrs.iter().any(|attr| attr.name == name);
        fault[name].as_u64().filter(|_| !is_its_own)
    };
    how.when.nth = trigger("nth");
    how.when.every = trigger("every");
    how.when.first = trigger("first");
    Some(Chance {
        name: fault["name"].as_str()?.to_owned(),
        kind,
        direction: fault["direction"].as_str().map(str::to_owned),
        probability: Ratio::new(probability).ok()?,
        how,
        before: None,
    })
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
