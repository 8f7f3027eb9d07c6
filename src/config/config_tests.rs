//! Every example of testdata/: the good ones are read, the bad ones say what they are expected to.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::http;
use crate::units::{ByteCount, Rate, Ratio, Span};

/// The files of `testdata/<folder>` whose names end in one of `endings`, in order.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            endings.is_empty() || ending.is_some_and(|ending| endings.contains(&ending))
        })
        .collect();
    assert!(!files.is_empty(), "{folder:?} holds nothing to test");
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap()
}

/// What standard error would hold; nothing for a good one.
fn said(path: &Path) -> String {
    match read(&fs::read(path).unwrap()) {
        Ok(_) => String::new(),
        Err(problems) => {
            problems.lines(name(path)).iter().map(|line| format!("{line}\n")).collect()
        }
    }
}

#[test]
fn good_examples() {
    for path in files("good", &["json", "yaml"]) {
        assert_eq!(said(&path), "", "{path:?}");
    }
}

/// `UPDATE_EXPECT=1` writes what is said now; look at the difference before it is committed.
#[test]
fn bad_examples() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut failures = Vec::new();
    for path in files("bad", &["json", "yaml"]) {
        let expect = path.with_extension("expect");
        let said = said(&path);
        assert!(!said.is_empty(), "{path:?} is not bad");
        if update {
            fs::write(&expect, &said).unwrap();
        }
        let expected = fs::read_to_string(&expect).unwrap_or_else(|e| panic!("{expect:?}: {e}"));
        if said != expected {
            failures.push(format!("{path:?}\nexpected\n{expected}\nsaid\n{said}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_expectation_has_its_example() {
    for path in files("bad", &["expect"]) {
        let example = |ending: &str| path.with_extension(ending).exists();
        assert!(example("json") != example("yaml"), "{path:?}");
    }
}

/// What a plan prints is a configuration for the same plan.
#[test]
fn what_is_printed_is_read_back() {
    for path in files("good", &["json", "yaml"]) {
        let plan = read(&fs::read(&path).unwrap()).unwrap();
        let mut printed = serde_json::to_value(&plan).unwrap();
        let seedless = printed.as_object_mut().unwrap();
        seedless.retain(|key, value| !(key == "seed" && value.is_null()));
        for route in seedless["routes"].as_array_mut().unwrap() {
            route.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        let printed = serde_json::to_vec_pretty(&printed).unwrap();
        let text = String::from_utf8_lossy(&printed);
        let again = read(&printed).unwrap_or_else(|p| panic!("{text}\n{:?}", p.lines("again")));
        assert_eq!(again, plan, "{text}");
    }
}

/// The inputs that fuzzing kept, through the same properties as in `fuzz/`.
#[test]
fn corpus() {
    for path in files("corpus/config", &[]) {
        properties::config(&fs::read(&path).unwrap());
    }
    for path in files("corpus/units", &[]) {
        properties::units(&fs::read(&path).unwrap());
    }
}

#[path = "../../fuzz/properties.rs"]
mod properties;

/// Reads a text made in the test.
fn lines(text: &str) -> Vec<String> {
    match read(text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.lines("c"),
    }
}

fn routes(n: usize) -> String {
    let route = |n: usize| format!("{{\"localPort\":{n},\"upstream\":\"a:1\"}}");
    format!("[{}]", (1..=n).map(route).collect::<Vec<_>>().join(","))
}

#[test]
fn one_route_and_one_fault_too_many() {
    assert_eq!(lines(&routes(ROUTES_MAX)), [""; 0]);
    let expected = "chaos-proxy: c:1:1: routes: a list of 1025 (a list of 1..1024 routes)";
    assert_eq!(lines(&routes(ROUTES_MAX + 1)), [expected]);
    let faults = |n: usize| {
        let fault = |n: usize| format!("{{\"type\":\"latency\",\"name\":\"f{n}\"}}");
        let list = (0..n).map(fault).collect::<Vec<_>>().join(",");
        lines(&format!("[{{\"localPort\":1,\"upstream\":\"a:1\",\"faults\":[{list}]}}]"))
    };
    assert_eq!(faults(FAULTS_MAX), [""; 0]);
    let expected = "chaos-proxy: c:1:43: routes[0].faults: a list of 101 (a list of 0..100 faults)";
    assert_eq!(faults(FAULTS_MAX + 1), [expected]);
}

#[test]
fn the_first_twenty_by_place() {
    let text: String = (1..=30).map(|n| format!("- {{localPort: {n}}}\n")).collect();
    let lines = lines(&text);
    assert_eq!(lines.len(), 21);
    assert!(lines[19].starts_with("chaos-proxy: c:20:3: routes[19].upstream: missing"));
    assert_eq!(lines[20], "chaos-proxy: c: and 10 more problems");
}

#[test]
fn problems_are_bounded_before_they_are_shown() {
    let text: String = (1..=value::FOUND_MAX + 1).map(|n| format!("k{n}: 1\n")).collect();
    assert_eq!(lines(&text)[20], "chaos-proxy: c: and 980 more problems");
}

#[test]
fn one_byte_too_many() {
    let mut text = routes(1).into_bytes();
    text.resize(SIZE_MAX, b' ');
    assert!(read(&text).is_ok());
    text.push(b' ');
    let expected = "chaos-proxy: c: 4194305 bytes (at most 4194304)";
    assert_eq!(read(&text).unwrap_err().lines("c"), [expected]);
}

#[test]
fn shorthands_become_faults_and_limits() {
    let plan = |knobs: &str| {
        let text = format!("[{{\"localPort\":1,\"upstream\":\"a:1\"{knobs}}}]");
        let plan = read(text.as_bytes()).unwrap();
        serde_json::to_string(&plan.routes[0]).unwrap()
    };
    let rest = |faults: &str, limits: &str| {
        format!(
            "{{\"name\":\"port-1\",\"listen\":\"127.0.0.1:1\",\"upstream\":\"a:1\",\
             \"protocol\":\"tcp\",\"faults\":[{faults}],{limits}}}"
        )
    };
    let none = "\"timeoutMs\":0,\"lifetimeMs\":0,\"connectTimeoutMs\":10000";
    assert_eq!(plan(""), rest("", none));
    assert_eq!(plan(",\"latencyMs\":0,\"dropRate\":0,\"dropMode\":\"hang\""), rest("", none));
    let latency = "{\"type\":\"latency\",\"name\":\"latency_downstream\",\
                   \"direction\":\"downstream\",\"probability\":1.0,\
                   \"latency\":\"100ms\",\"jitter\":\"0ms\",\
                   \"distribution\":\"uniform\"}";
    let drop = "{\"type\":\"drop\",\"name\":\"drop\",\"probability\":0.3,\"mode\":\"hang\"}";
    let knobs = ",\"dropRate\":0.3,\"latencyMs\":100,\"dropMode\":\"hang\"";
    assert_eq!(plan(knobs), rest(&format!("{latency},{drop}"), none));
    let limits = "\"timeoutMs\":500,\"lifetimeMs\":0,\"connectTimeoutMs\":500";
    assert_eq!(plan(",\"timeoutMs\":500"), rest("", limits));
    let limits = "\"timeoutMs\":500,\"lifetimeMs\":9,\"connectTimeoutMs\":7";
    assert_eq!(
        plan(",\"timeoutMs\":500,\"lifetimeMs\":9,\"connectTimeoutMs\":7"),
        rest("", limits)
    );
}

#[test]
fn a_head_has_a_deadline_where_there_are_heads() {
    let head = |keys: &str| {
        let text = format!("[{{\"localPort\":1,\"upstream\":\"a:1\"{keys}}}]");
        read(text.as_bytes()).map(|plan| plan.routes[0].as_json()["headTimeoutMs"].as_u64())
    };
    let http = |ms: u64| head(&format!(",\"protocol\":\"http\",\"headTimeoutMs\":{ms}"));
    assert_eq!(head("").unwrap(), None);
    assert_eq!(head(",\"protocol\":\"http\"").unwrap(), Some(10_000));
    assert_eq!(http(1).unwrap(), Some(1));
    assert_eq!(http(3_600_000).unwrap(), Some(3_600_000));
    assert!(http(0).is_err());
    assert!(http(3_600_001).is_err());
    assert!(head(",\"headTimeoutMs\":5").is_err());
}
