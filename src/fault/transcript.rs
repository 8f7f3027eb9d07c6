//! Pipelines as text in, text out: `check("latency latency=100", "0 send a", "100 send a")`.
//! Times are milliseconds. Besides steps, an input may be `T set FAULTS`: a live change.

use super::*;
use crate::fault::attr::Raw;
use crate::fault::when::TRIGGERS;
use crate::fault::{Kind, Level, Mode, Sampling};
use crate::units::{Ratio, Span};

pub(crate) const OWNER: Owner<'static> =
    Owner { seed: 42, route: "r", connection: 1, began: Time::ZERO, request: None };

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
        if output.iter().any(is_end) {
            break; // the shell looks no further
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
    let place = match kind.level {
        Level::Listener => Place::Listener,
        Level::Connection => Place::Connection,
        Level::Http => Place::Exchange,
        Level::Stream => Place::One(Direction::Downstream),
    };
    let mut spec = Spec::new(format!("f{index}"), kind, place);
    for (key, text) in words.map(|word| word.split_once('=').expect("key=value")) {
        match key {
            "enabled" => spec.how.enabled = text == "true",
            "sampling" => spec.how.sampling = Sampling::Exact,
            "shadow" => spec.how.mode = Mode::Shadow,
            "p" => spec.probability = Ratio::parse(text).expect("a share"),
            "name" => spec.name = text.to_owned(),
            _ => {
                let raw = match (text.parse(), text.parse()) {
                    (Ok(number), _) => Raw::Integer(number),
                    (Err(_), Ok(number)) => Raw::Decimal(number, text.into()),
                    (Err(_), Err(_)) => Raw::Text(text),
                };
                match kind.attrs.iter().find(|attr| attr.name == key) {
                    Some(attr) => spec.attrs.set(key, attr.unit.parse(raw).expect("a value")),
                    None => {
                        let row = TRIGGERS.iter().find(|row| row.name == key).expect("a trigger");
                        spec.how.when.set(key, row.unit.parse(raw).expect("a value"));
                    }
                }
            }
        }
    }
    spec
}

pub(crate) fn is_end(step: &Step) -> bool {
    matches!(step.action, Action::Close | Action::Reset)
}

pub(crate) fn action(verb: &str, rest: &str) -> Action {
    match verb {
        "open" => Action::Open,
        "send" => Action::Send(rest.as_bytes().to_vec()),
        "finish" => Action::Finish,
        "close" => Action::Close,
        "reset" => Action::Reset,
        other => panic!("no such step: {other}"),
    }
}

pub(crate) fn print(step: &Step) -> String {
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
