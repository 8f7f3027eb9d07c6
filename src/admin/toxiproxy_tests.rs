//! Every row of Toxiproxy's API, and what its own api_test.go asserts.

use std::fs;

use super::fake::Fake;
use super::script::{line, play, request};
use super::{AdminOptions, handle};
use crate::config::plan::Protocol;
use crate::control::routes::{RouteView, Routes};
use crate::fault::{Kind, Place, Spec};
use crate::units::Ratio;

/// The scripts in testdata/admin, one file for each part of the API.
#[test]
fn scripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/admin");
    let files = fs::read_dir(folder).expect(folder).map(|file| file.expect(folder).path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let script = fs::read_to_string(&file).expect("a script");
        play(&format!("# {}\n{script}", file.display()));
    }
}

#[test]
fn matched_routes_carry_an_id_of_their_own() {
    let (routes, options) = (Fake::default(), AdminOptions::default());
    let id = |text: &str| {
        let reply = handle(&request(text), &routes, &options);
        let id = reply.fields.into_iter().find(|(name, _)| name == "X-Toxiproxy-Request-Id");
        id.map(|(_, id)| id)
    };
    let first = id("GET /version").expect("an id");
    assert_eq!(first.len(), 20);
    assert!(first.bytes().all(|b| b"0123456789abcdefghijklmnopqrstuv".contains(&b)), "{first}");
    assert_ne!(id("GET /version"), Some(first));
    assert!(id("GET /proxies/none").is_some(), "an error of a matched route has one");
    assert!(id("GET /version | User-Agent: Mozilla/5.0").is_some());
    for text in ["GET /nothing", "PUT /proxies", "GET //proxies", "GET /healthz"] {
        assert_eq!(id(text), None, "{text}");
    }
}

#[test]
fn version() {
    let reply = r#"200 Content-Type: application/json;charset=utf-8 {"version": "2.12.0"}\n"#;
    play(&format!("> GET /version\n< {reply}"));
}

/// A proxy called `p` that listens nowhere.
const P: &str = r#"> POST /proxies {"name":"p","upstream":"u","enabled":false}"#;

#[track_caller]
fn play_on_p(script: &str) {
    play(&format!("{P}\n{script}"));
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    let ms = r#"(0..3600000 ms, or a text such as \"150ms\")"#;
    let refuse = |attributes: &str, expected: &str| {
        play_on_p(&format!(
            "> POST /proxies/p/toxics {{\"type\":\"latency\",\"attributes\":{attributes}}}\n\
             < 400 text {{\"error\":\"bad request body: attributes{expected}\",\"status\":400}}\\n"
        ));
    };
    refuse(r#"{"latency":-1}"#, &format!(".latency: -1 {ms}"));
    refuse(r#"{"latency":1.5}"#, &format!(".latency: 1.5 {ms}"));
    refuse(r#"{"latency":true}"#, &format!(".latency: true {ms}"));
    refuse(r#"{"latency":{}}"#, &format!(".latency: an object {ms}"));
    refuse(r#"{"jitter":5000000000000000000}"#, &format!(".jitter: 5000000000000000000 {ms}"));
    refuse(r#"{"latency":"2h"}"#, &format!(".latency: 2h {ms}"));
    let near =
        r#"unknown attribute (one of latency, jitter, distribution, did you mean \"latency\"?)"#;
    refuse(r#"{"latncy":1}"#, &format!(".latncy: {near}"));
    let far = "unknown attribute (one of latency, jitter, distribution)";
    refuse(r#"{"a b":null}"#, &format!(r#".\"a b\": {far}"#));
    refuse("7", ": 7 (an object)");
}

#[test]
fn toxicity() {
    let check = |given: &str, expected: &str| {
        play_on_p(&format!(
            "> POST /proxies/p/toxics {{\"type\":\"latency\",\"toxicity\":{given}}}\n< {expected}"
        ));
    };
    let good = |given: &str, shown: &str| {
        let attributes = r#"{"attributes":{"latency":0,"jitter":0},"name":"latency_downstream","#;
        let rest = r#""type":"latency","stream":"downstream","toxicity":"#;
        check(given, &format!("200 json {attributes}{rest}{shown}}}"));
    };
    let bad = |given: &str, why: &str| {
        let why = format!("bad request body: toxicity: {why}");
        check(given, &format!("400 text {{\"error\":\"{why}\",\"status\":400}}\\n"));
    };
    for (given, shown) in [("1", "1"), ("1.0", "1"), ("0", "0"), ("-0.0", "0"), ("0.2", "0.2")] {
        good(given, shown);
    }
    for (given, shown) in [("0.3333333333333333", "0.33333334"), ("1e-7", "1e-7")] {
        good(given, shown);
    }
    for (given, shown) in [("0.000001", "0.000001"), ("\"5%\"", "0.05"), ("null", "1")] {
        good(given, shown);
    }
    bad("-1", "-1 is not a share (0..1)");
    bad("7.5", r#"7.5 is not a share (0..1, did you mean 0.075 or \"7.5%\"?)"#);
    bad("[]", "a list is not a share (0..1)");
    bad("\"half\"", r#"\"half\" is not a number with a unit"#);
}

/// Every row of the table can be a toxic, and shows each attribute of its row in order.
#[test]
fn every_fault_is_a_toxic() {
    let (routes, options) = (Fake::default(), AdminOptions::default());
    let ask = |text: &str| line(&handle(&request(text), &routes, &options));
    ask(r#"POST /proxies {"name":"p","upstream":"u","enabled":false}"#);
    for kind in crate::fault::ALL {
        let made = ask(&format!("POST /proxies/p/toxics {{\"type\":\"{}\"}}", kind.name));
        if kind.place(false).is_none() {
            let why = format!("type: {} needs a route that speaks HTTP", kind.name);
            assert!(made.starts_with("400 ") && made.contains(&why), "{made}");
            continue;
        }
        let path = format!("/proxies/p/toxics/{}_downstream", kind.name);
        let json = made.strip_prefix("200 json ").expect(&made);
        assert_eq!(ask(&format!("GET {path}")), made);
        let value: serde_json::Value = serde_json::from_str(json).expect(json);
        let shown = value["attributes"].as_object().expect(json);
        let row = || kind.attrs.iter().map(|attr| attr.name);
        assert!(shown.keys().all(|shown| row().any(|name| name == shown)), "{json}");
        let place = |name: &str| json.find(&format!("\"{name}\":"));
        let places = row().filter(|name| shown.contains_key(*name)).map(place);
        assert!(places.is_sorted(), "{json}");
        // What is told is understood when it comes back.
        assert_eq!(ask(&format!("PATCH {path} {json}")), made);
    }
}

/// A route that speaks HTTP, with two faults of one group.
fn http_route() -> RouteView {
    let kind = Kind::find("http_error").expect("it is in the table");
    let member = |name: &str| {
        let mut spec = Spec::new(name, kind, Place::Exchange);
        spec.probability = Ratio::HALF;
        spec.among.one_of = Some(0);
        spec
    };
    RouteView {
        name: "h".into(),
        listen: String::new(),
        upstream: "u".into(),
        protocol: Protocol::Http,
        enabled: false,
        faults: vec![member("a"), member("b")],
    }
}

#[test]
fn faults_of_requests_are_toxics_of_http_routes() {
    let (routes, options) = (Fake::default(), AdminOptions::default());
    routes.create(http_route()).expect("there is no other");
    let ask = |text: &str| line(&handle(&request(text), &routes, &options));
    let made = ask(r#"POST /proxies/h/toxics {"type":"http_error","name":"e","toxicity":0.5,
        "attributes":{"status":[500,502],"headers":{"X-A":"1"},"phase":"after"},
        "match":{"method":"GET","path":"/a/*","maxBody":"1kB"}}"#);
    let expected = r#"200 json {"attributes":{"status":[500,502],"headers":{"X-A":"1"},"phase":"after"},"name":"e","type":"http_error","stream":"downstream","toxicity":0.5,"direction":"exchange","match":{"method":["GET"],"path":"/a/*","maxBody":1000}}"#;
    assert_eq!(made, expected);
    let json = made.strip_prefix("200 json ").expect(&made);
    assert_eq!(ask(&format!("PATCH /proxies/h/toxics/e {json}")), made, "understood again");
    let plain = ask(r#"PATCH /proxies/h/toxics/e {"match":{}}"#);
    assert!(plain.starts_with("200 ") && !plain.contains("match"), "{plain}");
    let refused = |text: &str, reason: &str| {
        let said = ask(text);
        assert!(said.starts_with("400 ") && said.contains(reason), "{said}");
    };
    let lost = ask(r#"POST /proxies/h/toxics {"type":"lose_response","match":{"method":"PUT"}}"#);
    assert!(lost.contains(r#""direction":"exchange""#), "{lost}");
    refused(r#"PATCH /proxies/h/toxics/e {"match":{"path":"a"}}"#, r#"match: path: \"a\" (write"#);
    refused(r#"PATCH /proxies/h/toxics/e {"match":[]}"#, "match: a list (an object)");
    refused(r#"PATCH /proxies/h/toxics/e {"afterBytes":1}"#, "acts on requests and their answers");
    let late = ask(r#"POST /proxies/h/toxics {"type":"latency","match":{"path":"/"}}"#);
    assert!(late.starts_with("200 ") && late.contains(r#""match":{"path":"/"}"#), "{late}");
    let drop = r#"POST /proxies/h/toxics {"type":"drop","match":{"path":"/"}}"#;
    refused(drop, "match: drop is not decided for each request here");
    // A group keeps its totals.
    let sum = "those of its group would add up to 1.1 (at most 1)";
    refused(r#"PATCH /proxies/h/toxics/b {"toxicity":0.6}"#, sum);
    refused(r#"PATCH /proxies/h/toxics/b {"sampling":"exact"}"#, "needs a lot of its own");
    assert!(ask(r#"PATCH /proxies/h/toxics/a {"toxicity":0.4}"#).starts_with("200 "));
    assert!(ask(r#"PATCH /proxies/h/toxics/b {"toxicity":0.6}"#).starts_with("200 "));
}
