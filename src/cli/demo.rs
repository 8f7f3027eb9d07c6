//! `demo`: four routes to an embedded upstream, and the commands to try them with.

use std::fmt::Write;

use super::Overrides;
use super::serve::{Failure, apply, print, serve};
use super::signals::Signals;
use crate::config;
use crate::shell::demo::Upstream;

/// Each route of the demonstration: name, port, the rest of its configuration, what to expect.
const ROUTES: [(&str, u16, &str, &str); 4] = [
    ("clean", 8081, "", "answers at once"),
    ("slow", 8082, r#", "latencyMs": 200"#, "answers 200 ms later"),
    ("dropping", 8083, r#", "dropRate": 0.3"#, "resets 3 of 10 connections"),
    ("timing-out", 8084, r#", "timeoutMs": 1000"#, "is closed after 1 s of silence"),
];

/// Serves the demonstration until a signal.
pub(super) fn run(overrides: &Overrides) -> Result<(), Failure> {
    let signals = Signals::listen().map_err(|error| Failure::could_not_run(&error))?;
    let upstream = Upstream::that_answers().map_err(|error| Failure::could_not_run(&error))?;
    let silent = Upstream::that_is_silent().map_err(|error| Failure::could_not_run(&error))?;
    let mut routes = Vec::new();
    let mut guide =
        String::from("Four links to one small web server. In another terminal, try:\n\n");
    for (name, port, knobs, expectation) in ROUTES {
        let addr = if name == "timing-out" { silent.addr } else { upstream.addr };
        routes.push(format!(
            r#"{{"name": "{name}", "localPort": {port}, "upstream": "{addr}"{knobs}}}"#
        ));
        let _ = writeln!(
            guide,
            "  curl -sS -w '%{{time_total}} s\\n' http://127.0.0.1:{port}/   # {expectation}"
        );
    }
    guide.push_str("\nCtrl-C stops it. What happens is logged here:\n\n");
    let text = format!("[{}]", routes.join(",\n"));
    let mut plan = match config::read_for(text.as_bytes(), overrides.bind) {
        Ok(plan) => plan,
        Err(problems) => unreachable!("the demonstration is valid: {problems:?}"),
    };
    apply(overrides, &mut plan);
    print(&guide)?;
    serve(plan, overrides, &signals)
}
