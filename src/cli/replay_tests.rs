//! Recordings as text: what is the same again, and what is not.

use super::*;
use crate::config;
use crate::fault::Spec;
use crate::fault::lot::Owner;
use crate::fault::pipeline::Pipeline;
use crate::journal::Journal;
use crate::journal::events::{Place as At, start};
use crate::journal::hub::{Next, Subscription};
use crate::units::Time;

const FAULTS: &str = r#""dropRate": 0.3, "faults": [
    {"type": "latency", "name": "slow", "direction": "both", "latency": "1ms", "probability": 0.5},
    {"type": "noop", "name": "even", "probability": "25%", "sampling": "exact"},
    {"type": "noop", "name": "few", "first": 2, "every": 2},
    {"type": "noop", "name": "off", "enabled": false}]"#;

fn route(knobs: &str) -> config::plan::Route {
    let text = format!(
        r#"{{"routes": [{{"name": "r", "listen": "127.0.0.1:0", "upstream": "a:1", {knobs}}}]}}"#
    );
    config::read(text.as_bytes()).expect("a plan").routes.remove(0)
}

/// A recording as the program makes it, without a socket.
struct Recording {
    journal: Journal,
    events: Subscription,
}

impl Recording {
    fn new(knobs: &str) -> Recording {
        let journal = Journal::new(Box::new(|_| {}), || "now".into());
        let events = journal.events.subscribe(10_000, false, Box::new(|| {})).expect("room");
        journal.events.tell("start", &start(42, &[(route(knobs), 0)]));
        Recording { journal, events }
    }

    /// All decisions about the connections with these numbers.
    fn connections(&self, numbers: std::ops::Range<u64>, generation: u64, faults: &[Spec]) {
        for connection in numbers {
            let owner =
                Owner { seed: 42, route: "r", connection, began: Time::ZERO, request: None };
            let tell = |direction, pipeline: Pipeline| {
                let place = At { route: "r", connection, direction, generation };
                self.journal.decided(&place, pipeline.decisions());
            };
            tell("connection", Pipeline::for_connection(&owner, faults));
            for direction in
                [crate::fault::Direction::Upstream, crate::fault::Direction::Downstream]
            {
                let of_it = Pipeline::for_direction(&owner, direction, faults, Time::ZERO);
                tell(direction.as_str(), of_it);
            }
        }
    }

    fn text(mut self) -> String {
        let mut text = String::new();
        while let Next::Event(line) = self.events.take() {
            text.push_str(&line.text);
            text.push('\n');
        }
        text
    }
}

fn recorded() -> String {
    let recording = Recording::new(FAULTS);
    recording.connections(1..51, 0, &route(FAULTS).faults);
    recording.text()
}

#[track_caller]
fn check(recording: &str, expected: &str) {
    let said = match read(recording.as_bytes()) {
        Ok(replay) => replay.to_text(),
        Err(error) => format!("{error}\n"),
    };
    assert_eq!(said, expected, "{recording}");
}

#[test]
fn what_was_decided_is_decided_again() {
    // Before the bytes drop; upstream slow; downstream slow, even, few, off.
    check(&recorded(), "300 decisions, 0 differ\n");
    for action in [r#""action":"act""#, r#""reason":"disabled""#, r#""reason":"number""#] {
        assert!(recorded().contains(action), "{action}");
    }
}

#[test]
fn a_change_is_taken_into_account() {
    let changed = r#""dropRate": 0.9"#;
    let make = |tell: bool| {
        let recording = Recording::new(FAULTS);
        recording.connections(1..21, 0, &route(FAULTS).faults);
        if tell {
            recording.journal.changed("r", 1, &route(changed).faults);
        }
        recording.connections(21..31, 1, &route(changed).faults);
        recording.connections(31..32, 0, &route(FAULTS).faults); // a thread that was slow to look
        recording.text()
    };
    check(&make(true), "136 decisions, 0 differ\n");
    check(&make(false), "136 decisions, 0 differ, 10 unchecked\n");
}

#[test]
fn what_was_tampered_with_is_found() {
    let recording = recorded();
    let line = recording.lines().nth(1).expect("the first decision");
    assert!(line.contains(r#""fault":"drop""#) && line.contains(r#""action":"pass""#), "{line}");
    let who = r#"line 2: route="r" conn=1 direction=connection fault="drop": "#;
    let drawn = "0.7234025775009619";
    let with = |from: &str, to: &str| recording.replacen(line, &line.replace(from, to), 1);
    let same = format!(r#"again "pass" drawn={drawn}"#);
    let sums = "300 decisions, 1 differ\n";
    check(
        &with(r#""pass""#, r#""act""#),
        &format!("{who}recorded \"act\" drawn={drawn}, {same}\n{sums}"),
    );
    check(&with(drawn, "0.7"), &format!("{who}recorded \"pass\" drawn=0.7, {same}\n{sums}"));
    let no_fault = "the route has no such fault\n";
    check(
        &with("\"drop\",\"type\"", "\"dorp\",\"type\""),
        &format!("{}{no_fault}{sums}", who.replace("drop", "dorp")),
    );
    let other = recording.replacen("\"seed\":42", "\"seed\":43", 1);
    let said = read(other.as_bytes()).expect("a recording").to_text();
    assert!(said.contains("\n... and ") && !said.contains(" 0 differ"), "{said}");
    assert_eq!(said.lines().count(), DIVERGENCES_MAX + 2, "bounded");
    let twice = recording.replacen(line, &format!("{line}\n{line}"), 1);
    check(
        &twice,
        "line 3: event=decision: event 2 comes behind event 2\n301 decisions, 1 differ\n",
    );
}

#[test]
fn a_deed_without_its_lot_is_found() {
    let recording = recorded();
    let deed = |fault: &str, conn: u64| {
        let seq = recording.lines().count() + 1;
        let rest =
            format!(r#""direction":"connection","fault":"{fault}","type":"drop","action":"reset""#);
        format!(r#"{recording}{{"seq":{seq},"event":"inject","route":"r","conn":{conn},{rest}}}"#)
    };
    let acts = recording.lines().find(|l| l.contains("\"drop\"") && l.contains("\"act\""));
    let acts: Value = serde_json::from_str(acts.expect("some are dropped")).expect("JSON");
    check(&deed("drop", acts["conn"].as_u64().expect("a number")), "300 decisions, 0 differ\n");
    let who = r#"route="r" conn=1 direction=connection fault="drop""#;
    let expected = "it acted, and again it does not\n300 decisions, 1 differ\n";
    check(&deed("drop", 1), &format!("line 302: {who}: {expected}"));
    check(&deed("gone", 1), "300 decisions, 0 differ, 1 unchecked\n");
}

#[test]
fn what_is_missing_is_told() {
    let recording = recorded();
    let lines: Vec<&str> = recording.lines().collect();
    let without = [&lines[..5], &lines[8..]].concat().join("\n");
    check(&without, "297 decisions, 0 differ, 3 missing\n");
    let gap = r#"{"seq":8,"ts":"now","event":"gap","lost":3}"#;
    let told = [&lines[..5], &[gap], &lines[8..]].concat().join("\n");
    check(&told, "297 decisions, 0 differ, 3 missing\n");
    let torn = format!("{recording}{{\"seq\":302,\"ts\n{recording}");
    check(&torn, "600 decisions, 0 differ, 1 unreadable\n");
}

#[test]
fn a_captured_stream_is_a_recording() {
    let mut stream = String::from(": heartbeat\n\n");
    for (number, line) in recorded().lines().enumerate() {
        stream.push_str(&format!("id: {number}\nevent: x\ndata: {line}\n\n"));
    }
    check(&stream, "300 decisions, 0 differ\n");
}

#[test]
fn what_is_no_recording() {
    check("", "no recording: it is empty\n");
    check("{}", "no recording: line 1 is no event\n");
    check("routes:\n", "no recording: line 1 is no event\n");
    let event = r#"{"seq":1,"event":"accept"}"#;
    check(event, "no recording: it does not begin with a start\n");
    let start = r#"{"seq":1,"event":"start","seed":1,"format":2}"#;
    check(start, "a recording of another format (2, not 1)\n");
    let start = r#"{"seq":1,"event":"start","format":1}"#;
    check(start, "no recording: its start has no seed\n");
    let long = vec![b' '; LINE_BYTES_MAX + 1];
    assert!(read(&long[1..]).is_err_and(|error| error.starts_with("no recording")));
    let reason = format!("a line of more than {LINE_BYTES_MAX} bytes");
    assert_eq!(read(&long[..]).map(|_| ()), Err(reason), "one past the bound");
}

#[test]
fn old_changes_are_forgotten() {
    let recording = Recording::new(FAULTS);
    let faults = route(FAULTS).faults;
    for generation in 1..=VERSIONS_MAX as u64 {
        recording.journal.changed("r", generation, &faults);
    }
    recording.connections(1..2, 1, &faults);
    recording.connections(2..3, 0, &faults);
    check(&recording.text(), "12 decisions, 0 differ, 6 unchecked\n");
}

#[test]
fn for_programs() {
    let recording = recorded();
    let line = recording.lines().nth(1).expect("the first decision");
    let tampered = recording.replacen(line, &line.replace("\"pass\"", "\"act\""), 1);
    let report = read(tampered.as_bytes()).expect("a recording").to_json();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((&report["decisions"], &report["diverged"]), (&300.into(), &1.into()));
    assert_eq!((&report["divergences"][0]["line"], &report["missing"]), (&2.into(), &0.into()));
}

/// A group of faults of exchanges takes nothing from the other faults of its route.
#[test]
fn groups_can_be_read() {
    let knobs = r#""protocol": "http", "faults": [
        {"type": "latency", "name": "slow", "latency": "1ms", "probability": 0.5},
        {"oneOf": [
            {"type": "http_error", "probability": 0.5},
            {"type": "http_timeout", "probability": 0.3}]}]"#;
    let recording = Recording::new(knobs);
    recording.connections(1..11, 0, &route(knobs).faults);
    check(&recording.text(), "10 decisions, 0 differ\n");
}
