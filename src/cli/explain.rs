//! `explain`: which faults of a configuration a request would meet, how likely, and why not; and
//! the line of `check` with the shares of an HTTP route.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::serve::{Failure, print, read_plan};
use super::{ExplainAsked, RunOptions};
use crate::config::plan::{Plan, Protocol, Route};
use crate::fault::exchange::Facts;
use crate::fault::odds::{Share, Stand, odds};
use crate::fault::{Mode, Spec};
use crate::http::{Head, HeadReader, Limits};
use crate::units::Time;

/// Prints it for each HTTP route of the configuration.
pub(super) fn run(run: &RunOptions, asked: &ExplainAsked) -> Result<(), Failure> {
    let head = head(asked).map_err(|error| Failure::usage(&error))?;
    let plan = read_plan(run)?;
    let text = text(&plan, &head, asked.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    print(&text.map_err(|error| Failure::usage(&error))?)
}

/// The head of the request, read as strictly as on a route.
fn head(asked: &ExplainAsked) -> Result<Head, String> {
    const ALLOWED: &str = "such as 'GET /api/users?page=2', or a path for GET";
    let request = &asked.request;
    let (method, target) = request.split_once(' ').unwrap_or(("GET", request));
    let is_host = |header: &String| header.to_ascii_lowercase().starts_with("host:");
    let host = if asked.headers.iter().any(is_host) { "" } else { "Host: localhost\r\n" };
    let fields: String = asked.headers.iter().map(|header| format!("{header}\r\n")).collect();
    let text = format!("{method} {target} HTTP/1.1\r\n{host}{fields}\r\n");
    let mut reader = HeadReader::new(&Limits { body_bytes: usize::MAX, ..Limits::default() });
    match reader.take(text.as_bytes()).and_then(|(taken, _)| Ok((taken, reader.head()?))) {
        Ok((taken, head)) if taken == text.len() => Ok(head),
        Ok(_) => Err(format!("{request:?}: more than one head ({ALLOWED})")),
        Err(reject) => Err(format!("{request:?}: {} ({ALLOWED})", reject.reason)),
    }
}

fn text(plan: &Plan, head: &Head, from: IpAddr) -> Result<String, String> {
    let routes: Vec<&Route> =
        plan.routes.iter().filter(|route| route.protocol == Protocol::Http).collect();
    if routes.is_empty() {
        let way_out = "give one \"protocol\": \"http\"";
        return Err(format!("no route of this configuration speaks HTTP ({way_out})"));
    }
    let facts = Facts::of(head, from, Time::ZERO);
    Ok(routes.iter().map(|route| of_route(route, &facts)).collect::<Vec<_>>().join("\n"))
}

fn of_route(route: &Route, facts: &Facts<'_>) -> String {
    let (stands, untouched) = odds(&route.faults, Some(facts));
    let mut text = format!("{} {} on {:?}:\n", facts.method, facts.path, route.name);
    let names = route.faults.iter().map(|spec| spec.name.len());
    let width = names.max().unwrap_or(0).max(UNTOUCHED.len());
    for (spec, stand) in route.faults.iter().zip(stands) {
        push(&mut text, &spec.name, width, &told(spec, &stand));
    }
    push(&mut text, UNTOUCHED, width, &percent(untouched));
    text
}

/// What stands for the faults when none of them acts.
const UNTOUCHED: &str = "(none of them)";

fn push(text: &mut String, name: &str, width: usize, told: &str) {
    writeln!(text, "  {name:width$}  {told}").expect("writing to a string does not fail");
}

fn told(spec: &Spec, stand: &Stand) -> String {
    let kind = spec.kind.name;
    let own = if kind == spec.name { String::new() } else { format!(", {kind}") };
    let shadow = if spec.how.mode == Mode::Shadow { ", in shadow mode" } else { "" };
    let when = spec.how.when.given().map(|(row, value)| format!(", {} {value}", row.name));
    let when: String = when.collect();
    match stand {
        Stand::Acts(share) => format!("{}{own}{shadow}{when}", percent(*share)),
        Stand::Limits => format!("what is beyond its rate{own}{shadow}{when}"),
        Stand::Idle(why) => format!("no: {why}{own}"),
        Stand::Elsewhere => format!("not by request: {}{own}", spec.place.as_str()),
    }
}

/// The line of `check`: on what share of the requests that it is for each fault acts, and on what
/// share of all requests none does. None for a route without such faults.
pub(super) fn shares(route: &Route) -> Option<String> {
    let (stands, untouched) = odds(&route.faults, None);
    let share = |(spec, stand): (&Spec, &Stand)| match stand {
        Stand::Acts(share) if spec.how.mode == Mode::Act => {
            Some(format!("{} {}", spec.name, percent(*share)))
        }
        _ => None,
    };
    let shares: Vec<String> = route.faults.iter().zip(&stands).filter_map(share).collect();
    let none = percent(untouched);
    (!shares.is_empty()).then(|| {
        let shares = shares.join(", ");
        format!("of the requests that each is for: {shares}; of all requests, none acts on {none}")
    })
}

/// At most two digits behind the point; two numbers where it depends on the requests.
fn percent(share: Share) -> String {
    let [from, to] = [share.from, share.to].map(|share| {
        let text = format!("{:.2}", share * 100.0);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    });
    if from == to { from } else { format!("{from}..{to}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"routes": [{
        "name": "api", "localPort": 1, "upstream": "a:1", "protocol": "http", "faults": [
            {"type": "rate_limit"},
            {"type": "http_delay", "probability": 0.5, "times": 2},
            {"oneOf": [
                {"type": "http_error", "probability": "20%"},
                {"type": "http_timeout", "probability": "10%"}]},
            {"type": "http_error", "name": "tea", "match": {"path": "/tea/*"}},
            {"type": "http_error", "name": "off", "enabled": false},
            {"type": "http_error", "name": "post", "match": {"method": "POST"}},
            {"type": "http_error", "name": "big", "match": {"minBody": 10}},
            {"type": "http_error", "name": "x", "match": {"header": {"X-A": "1"}}},
            {"type": "lose_response", "mode": "shadow", "probability": 0.125},
            {"type": "latency"},
            {"type": "slicer", "match": {"path": "/tea/*"}, "direction": "upstream"},
            {"type": "loss", "probability": 0.1}]}]}"#;

    fn explained(request: &str, headers: &[&str]) -> String {
        let headers = headers.iter().map(|header| (*header).to_owned()).collect();
        let asked = ExplainAsked { request: request.into(), headers, from: None };
        let plan = crate::config::read(CONFIG.as_bytes()).unwrap();
        head(&asked)
            .and_then(|head| text(&plan, &head, [127, 0, 0, 1].into()))
            .unwrap_or_else(|e| e)
    }

    #[test]
    fn each_fault_says_how_likely_or_why_not() {
        let expected = "\
GET /tea/1 on \"api\":
  rate_limit          what is beyond its rate
  http_delay          50%, times 2
  http_error          20%
  http_timeout        10%
  tea                 70%, http_error
  off                 no: it is not enabled, http_error
  post                no: match.method does not hold, http_error
  big                 no: match.minBody does not hold, http_error
  x                   no: match.header.X-A does not hold, http_error
  lose_response       0%, in shadow mode
  latency_downstream  not by request: downstream, latency
  slicer_upstream     0%, slicer
  loss_downstream     10%, loss
  (none of them)      0%
";
        assert_eq!(explained("/tea/1?q=1", &[]), expected);
    }

    #[test]
    fn the_head_counts() {
        let line = |text: &str, name: &str| {
            let found = text.lines().find(|line| line.split_whitespace().next() == Some(name));
            found.unwrap_or(text).to_owned()
        };
        let told = explained("POST /", &["X-A: 1", "Content-Length: 10"]);
        for (name, share) in [("post", "70%"), ("big", "0%"), ("x", "0%")] {
            assert!(line(&told, name).ends_with(&format!("{share}, http_error")), "{told}");
        }
        assert!(explained("GET /", &["Content-Length: x"]).contains("(such as 'GET /api"));
        assert!(explained("/", &["A: b\r\n\r\nGET / HTTP/1.1"]).contains("more than one head"));
        assert!(explained("a", &[]).contains("neither a path nor a URL"));
    }

    #[test]
    fn check_tells_the_shares() {
        let plan = crate::config::read(CONFIG.as_bytes()).unwrap();
        let expected = "of the requests that each is for: http_delay 50%, http_error 20%, \
                        http_timeout 10%, tea 70%, post 0%..70%, big 0%..70%, x 0%..70%, \
                        slicer_upstream 0%, loss_downstream 10%; \
                        of all requests, none acts on 0%..63%";
        assert_eq!(shares(&plan.routes[0]).as_deref(), Some(expected));
    }
}
