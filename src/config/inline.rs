//! Routes from the command line: the same keys and the same checks as in a file.

use std::net::IpAddr;
use std::rc::Rc;

use super::node::{Entry, Node, Value, quoted};
use super::plan::{Endpoint, Host, Plan};
use super::value::{At, Found, refuse};
use super::{report, top};
use crate::problem::{Problem, Problems};

/// The flags that make up routes, each value as it was given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline<'a> {
    /// Each `--route`: `LISTEN=UPSTREAM`, where LISTEN is a port or `host:port`.
    pub routes: &'a [&'a str],
    /// `--latency-ms`, for every route.
    pub latency_ms: Option<&'a str>,
    /// `--drop-rate`, for every route.
    pub drop_rate: Option<&'a str>,
    /// `--timeout-ms`, for every route.
    pub timeout_ms: Option<&'a str>,
    /// `--bind`: where a LISTEN that is a port listens; none: 127.0.0.1.
    pub bind: Option<IpAddr>,
}

/// The plan for routes from the command line.
///
/// # Errors
/// All that is wrong with them; the paths are the flags.
pub fn plan_for_routes(inline: &Inline<'_>) -> Result<Plan, Problems> {
    let mut found = Found { bind: inline.bind, ..Found::default() };
    let routes: Vec<Rc<Node>> =
        inline.routes.iter().filter_map(|text| route(text, inline, &mut found)).collect();
    let none_is_left = routes.is_empty() && !inline.routes.is_empty();
    let list = Value::List(routes);
    let root = At { path: "routes".into(), pos: None, value: &list };
    let plan = if none_is_left { None } else { top::plan(&root, &mut found) };
    match plan {
        Some(plan) if found.list.is_empty() => Ok(plan),
        Some(_) | None => Err(report(by_flag(found.list))),
    }
}

/// The object that a file would hold for one `--route` and the flags for all of them.
fn route(text: &str, inline: &Inline<'_>, found: &mut Found) -> Option<Rc<Node>> {
    let Some((listen, upstream)) = text.split_once('=') else {
        let allowed = "LISTEN=UPSTREAM, such as 6380=127.0.0.1:6379";
        found.note("--route", None, refuse(&quoted(text), allowed));
        return None;
    };
    let is_port = !listen.is_empty() && listen.bytes().all(|b| b.is_ascii_digit());
    let listen = match listen {
        "0" => {
            let any = Endpoint { host: Host::Ip(found.bind()), port: 0 };
            entry("listen", Value::Text(any.to_string().into()))
        }
        _ if is_port => entry("localPort", Value::plain(listen)),
        _ => entry("listen", Value::Text(listen.into())),
    };
    let knob = |key: &str, text: Option<&str>| text.map(|text| entry(key, number_or_text(text)));
    let knobs = [
        knob("latencyMs", inline.latency_ms),
        knob("dropRate", inline.drop_rate),
        knob("timeoutMs", inline.timeout_ms),
    ];
    let address = [listen, entry("upstream", Value::Text(upstream.into()))];
    let entries = address.into_iter().chain(knobs.into_iter().flatten()).collect();
    Some(Rc::new(Node::leaf(None, Value::Object(entries))))
}

fn entry(key: &str, value: Value) -> Entry {
    Entry { key: key.into(), key_pos: None, node: Rc::new(Node::leaf(None, value)) }
}

fn number_or_text(text: &str) -> Value {
    match Value::plain(text) {
        Value::Number(written) => Value::Number(written),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
            Value::Text(text.into())
        }
    }
}

/// Each problem under its flag; one flag counts for every route, and is told of once.
fn by_flag(list: Vec<Problem>) -> Vec<Problem> {
    let mut told: Vec<Problem> = Vec::new();
    for problem in list {
        let path = flag(&problem.path);
        if !told.iter().any(|other| other.path == path && other.message == problem.message) {
            told.push(Problem { path: path.to_owned(), ..problem });
        }
    }
    told
}

fn flag(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, key)| key) {
        Some("latencyMs") => "--latency-ms",
        Some("dropRate") => "--drop-rate",
        Some("timeoutMs") => "--timeout-ms",
        _ => "--route",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan as JSON, or the lines of its problems.
    fn check(inline: &Inline<'_>, expected: &str) {
        let got = match plan_for_routes(inline) {
            Ok(plan) => serde_json::to_string(&plan.routes).unwrap(),
            Err(problems) => problems.lines("command line").join("\n"),
        };
        assert_eq!(got.replace("chaos-proxy: command line: ", ""), expected);
    }

    #[test]
    fn routes_without_a_file() {
        let routes = ["6380=127.0.0.1:6379", "[::1]:80=web:80", "0=db:1"];
        let plan = plan_for_routes(&Inline {
            routes: &routes,
            latency_ms: Some("100"),
            drop_rate: Some("5%"),
            timeout_ms: Some("2000"),
            bind: None,
        })
        .unwrap();
        let listens: Vec<String> = plan.routes.iter().map(|r| r.listen.to_string()).collect();
        assert_eq!(listens, ["127.0.0.1:6380", "[::1]:80", "127.0.0.1:0"]);
        assert_eq!(plan.routes[0].name, "port-6380");
        assert_eq!(plan.routes[0].limits.idle, Some(crate::units::Span::from_ms(2000)));
        let names: Vec<&str> = plan.routes[2].faults.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["latency_downstream", "drop"]);
    }

    #[test]
    fn the_same_route_as_from_a_file() {
        let text = br#"[{"localPort":1,"upstream":"a:1","dropRate":0.3,"latencyMs":100}]"#;
        let (latency_ms, drop_rate) = (Some("100"), Some("0.3"));
        let routes = ["1=a:1"];
        let inline =
            Inline { routes: &routes, latency_ms, drop_rate, timeout_ms: None, bind: None };
        assert_eq!(plan_for_routes(&inline), crate::config::read(text));
        let bind = Some("::".parse().unwrap());
        let everywhere = plan_for_routes(&Inline { bind, ..inline });
        assert_eq!(everywhere, crate::config::read_for(text, bind));
        assert_eq!(everywhere.unwrap().routes[0].listen.to_string(), "[::]:1");
        let any = Inline { routes: &["0=a:1"], bind, ..Inline::default() };
        assert_eq!(plan_for_routes(&any).unwrap().routes[0].listen.to_string(), "[::]:0");
    }

    #[test]
    fn what_can_be_wrong() {
        let route = |text: &str, expected: &str| {
            check(&Inline { routes: &[text], ..Inline::default() }, expected);
        };
        check(&Inline::default(), "--route: a list of 0 (a list of 1..1024 routes)");
        route("6380", "--route: \"6380\" (LISTEN=UPSTREAM, such as 6380=127.0.0.1:6379)");
        route("99999=x:1", "--route: 99999 is too large (a whole number 1..65535)");
        route("1=x", "--route: \"x\" has no port (host:port, such as x:80)");
        route("=x:1", "--route: \"\" is empty (host:port)");
        route(":1=x:1", "--route: \":1\" has no host (write 0.0.0.0:1 or [::]:1)");
        let itself = "127.0.0.1:1 is the route's own address (another address or port)";
        route("1=127.0.0.1:1", &format!("--route: {itself}"));
        let twice = "127.0.0.1:1 of routes[1] \"port-1\" is the address of routes[0] \
                     \"port-1\" too (another address or port)";
        let routes = ["1=x:1", "1=y:1"];
        check(&Inline { routes: &routes, ..Inline::default() }, &format!("--route: {twice}"));
    }

    #[test]
    fn a_knob_is_told_of_once() {
        let expected = "--latency-ms: \"fast\" is not a number (a whole number 0..3600000)\n\
                        --drop-rate: 50 is not a share (0..1, did you mean 0.5 or \"50%\"?)\n\
                        --timeout-ms: -1 is negative (a whole number 0..86400000, 0 = off)";
        let inline = Inline {
            routes: &["1=x:1", "2=x:1"],
            latency_ms: Some("fast"),
            drop_rate: Some("50"),
            timeout_ms: Some("-1"),
            bind: None,
        };
        let mut lines = plan_for_routes(&inline).unwrap_err().lines("c");
        lines.sort_by_key(|line| expected.find(&line[16..26]));
        let lines: Vec<&str> =
            lines.iter().map(|line| line.trim_start_matches("chaos-proxy: c: ")).collect();
        assert_eq!(lines.join("\n"), expected);
    }
}
