//! The counters as Prometheus reads them: text format 0.0.4.

use super::note::origin;
use super::{Acted, BOUNDS_US, Figures, Histogram, Journal};
use crate::fault::Direction;

/// The type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A route and its counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteReport {
    /// Its name.
    pub name: String,
    /// Where it listens, as listings show it.
    pub listen: String,
    /// Where it leads to.
    pub upstream: String,
    /// Its counters.
    pub figures: Figures,
    /// What its faults did, by name and type.
    pub by_fault: Vec<((String, &'static str), Acted)>,
    /// Requests on an http route: status, whether the upstream gave it, how many.
    pub answers: Vec<(u16, bool, u64)>,
    /// Faults that are enabled on it.
    pub faults_active: usize,
}

/// What the system says of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "each field is the metric of its name")]
pub struct ProcessReport {
    pub cpu_seconds: f64,
    pub start_time_seconds: f64,
    pub open_fds: u64,
    pub max_fds: u64,
    pub resident_memory_bytes: u64,
    pub virtual_memory_bytes: u64,
    pub threads: u64,
}

/// Times that are measured for all routes together.
#[derive(Debug, Default)]
pub struct Times {
    /// How much later than asked for a delayed chunk was written.
    pub delay_error: Histogram,
    /// How long it took to reach an upstream, its name looked up.
    pub upstream_connect: Histogram,
}

/// What goes on the page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The routes, when they are wanted; with them goes what the journal counts.
    pub routes: Option<(&'a [RouteReport], &'a Journal)>,
    /// The process, when it is wanted.
    pub process: Option<&'a ProcessReport>,
}

/// A counter or a gauge with one sample for each route.
type Of = fn(&RouteReport) -> u64;

/// How a connection ended, and that it began.
const OUTCOMES: [(&str, Of); 5] = [
    ("accepted", |route| route.figures.accepted),
    ("closed", |route| route.figures.closed),
    ("dropped", |route| route.figures.dropped),
    ("refused", |route| route.figures.refused),
    ("upstream_failed", |route| route.figures.upstream_failed),
];

/// Name, type, help and value of what is told once for each direction of a route.
type OfDirection = (&'static str, &'static str, &'static str, fn(&Figures, Direction) -> u64);

const BYTES: [OfDirection; 4] = [
    ("chaos_proxy_bytes_total", "counter", "Bytes written, by direction.", |f, d| f.sent(d)),
    ("chaos_proxy_received_bytes_total", "counter", "Bytes read, by direction.", |f, d| {
        f.received[d as usize]
    }),
    (
        "chaos_proxy_discarded_bytes_total",
        "counter",
        "Bytes read that will never be written: a fault took them out, or the connection ended.",
        |f, d| f.discarded[d as usize],
    ),
    (
        "chaos_proxy_queued_bytes",
        "gauge",
        "Bytes read that are to be written yet: received less sent less discarded.",
        |f, d| f.queued(d),
    ),
];

/// Toxiproxy's own two, only where there was traffic.
const TOXIPROXY: [OfDirection; 2] = [
    (
        "toxiproxy_proxy_received_bytes_total",
        "counter",
        "Bytes read from the source of a direction, as Toxiproxy counts them.",
        |f, d| f.received[d as usize],
    ),
    (
        "toxiproxy_proxy_sent_bytes_total",
        "counter",
        "Bytes written to the target of a direction, as Toxiproxy counts them.",
        |f, d| f.sent(d),
    ),
];

const DIRECTIONS: [Direction; 2] = [Direction::Upstream, Direction::Downstream];

/// The page.
pub fn text(page: &Page<'_>) -> String {
    let mut out = Text { out: String::new(), family: String::new() };
    out.family("chaos_proxy_build_info", "gauge", "The program that answers; always 1.");
    out.sample("", &[("version", env!("CARGO_PKG_VERSION"))], "1");
    if let Some((routes, journal)) = page.routes {
        let (times, events) = (&journal.times, &journal.events);
        connections(&mut out, routes);
        bytes(&mut out, routes);
        faults(&mut out, routes);
        requests(&mut out, routes);
        out.histogram(
            "chaos_proxy_delay_error_seconds",
            "How much later than asked for a delayed chunk was written to a target with room.",
            &times.delay_error,
        );
        out.histogram(
            "chaos_proxy_upstream_connect_seconds",
            "How long it took to reach an upstream, its name looked up.",
            &times.upstream_connect,
        );
        let help = "Events that a reader did not get: it was too slow, or its file took no more.";
        out.family("chaos_proxy_events_lost_total", "counter", help);
        out.count(&[], events.lost());
        out.family("chaos_proxy_event_readers", "gauge", "Readers of the stream of events.");
        out.count(&[], events.readers() as u64);
    }
    if let Some(process) = page.process {
        of_process(&mut out, process);
    }
    out.out
}

fn connections(out: &mut Text, routes: &[RouteReport]) {
    let help = "Connections: accepted counts all, every other outcome is how one ended.";
    out.family("chaos_proxy_connections_total", "counter", help);
    for route in routes {
        for (outcome, of) in OUTCOMES {
            out.count(&[("route", &route.name), ("outcome", outcome)], of(route));
        }
    }
    let all: [(&str, &str, &str, Of); 3] = [
        (
            "chaos_proxy_connections_active",
            "gauge",
            "Connections in flight: accepted less all other outcomes.",
            |route| route.figures.active(),
        ),
        ("chaos_proxy_faults_active", "gauge", "Faults that are enabled on the route.", |route| {
            route.faults_active as u64
        }),
        (
            "chaos_proxy_listen_failures_total",
            "counter",
            "How often the listener could not be made to do what it was to do.",
            |route| route.figures.listen_failures,
        ),
    ];
    for (name, kind, help, of) in all {
        out.family(name, kind, help);
        for route in routes {
            out.count(&[("route", &route.name)], of(route));
        }
    }
    let help = "1 when the last dial reached the upstream, 0 when it failed; none before it.";
    out.family("chaos_proxy_upstream_up", "gauge", help);
    for route in routes {
        if let Some(up) = route.figures.upstream_up {
            out.count(&[("route", &route.name)], u64::from(up));
        }
    }
}

fn bytes(out: &mut Text, routes: &[RouteReport]) {
    for (name, kind, help, of) in BYTES {
        out.family(name, kind, help);
        for (route, direction) in routes.iter().flat_map(|r| DIRECTIONS.map(|d| (r, d))) {
            let labels = [("route", &*route.name), ("direction", direction.as_str())];
            out.count(&labels, of(&route.figures, direction));
        }
    }
    for (name, kind, help, of) in TOXIPROXY {
        out.family(name, kind, help);
        for (route, direction) in routes.iter().flat_map(|r| DIRECTIONS.map(|d| (r, d))) {
            let labels = [
                ("direction", direction.as_str()),
                ("listener", &route.listen),
                ("proxy", &route.name),
                ("upstream", &route.upstream),
            ];
            match of(&route.figures, direction) {
                0 => {}
                value => out.count(&labels, value),
            }
        }
    }
}

fn faults(out: &mut Text, routes: &[RouteReport]) {
    let injected =
        "Deeds of faults; each sort counts once in a direction of a connection, or for a request.";
    let shadow = "Deeds that faults in shadow mode would have done.";
    for (name, help, is_shadow) in [("injected", injected, false), ("shadow", shadow, true)] {
        out.family(&format!("chaos_proxy_faults_{name}_total"), "counter", help);
        for route in routes {
            for ((fault, kind), acted) in &route.by_fault {
                let value = if is_shadow { acted.shadow } else { acted.injected };
                out.count(&[("route", &route.name), ("fault", fault), ("type", kind)], value);
            }
        }
    }
}

fn requests(out: &mut Text, routes: &[RouteReport]) {
    let help = "Requests on http routes by the status that the client was given; 0 for none.";
    out.family("chaos_proxy_http_requests_total", "counter", help);
    for route in routes {
        for (status, by_upstream, times) in &route.answers {
            let (status, origin) = (status.to_string(), origin(*by_upstream));
            let labels = [("route", &*route.name), ("status", &*status), ("origin", origin)];
            out.count(&labels, *times);
        }
    }
}

fn of_process(out: &mut Text, process: &ProcessReport) {
    let whole = |value: u64| value.to_string();
    let rows = [
        ("cpu_seconds_total", "Time on processors in seconds.", process.cpu_seconds.to_string()),
        ("open_fds", "Open descriptors.", whole(process.open_fds)),
        ("max_fds", "The limit of descriptors.", whole(process.max_fds)),
        ("resident_memory_bytes", "Resident memory.", whole(process.resident_memory_bytes)),
        ("virtual_memory_bytes", "Virtual memory.", whole(process.virtual_memory_bytes)),
        (
            "start_time_seconds",
            "When it began, in seconds since 1970.",
            process.start_time_seconds.to_string(),
        ),
        ("threads", "Threads.", whole(process.threads)),
    ];
    for (name, help, value) in rows {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        out.family(&format!("process_{name}"), kind, help);
        out.sample("", &[], &value);
    }
}

/// The text so far, and the name of the family that was begun last.
struct Text {
    out: String,
    family: String,
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.out.push_str(part);
        }
        name.clone_into(&mut self.family);
    }

    /// A sample of that family.
    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        self.out.push_str(&self.family);
        self.out.push_str(suffix);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        self.out.push_str(if labels.is_empty() { " " } else { "} " });
        self.out.push_str(value);
        self.out.push('\n');
    }

    fn count(&mut self, labels: &[(&str, &str)], value: u64) {
        self.sample("", labels, &value.to_string());
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let (buckets, sum_ns) = histogram.read();
        for (index, value) in buckets.iter().enumerate() {
            let bound = match BOUNDS_US.get(index) {
                Some(us) => (*us as f64 / 1e6).to_string(),
                None => "+Inf".to_owned(),
            };
            self.sample("_bucket", &[("le", &bound)], &value.to_string());
        }
        self.sample("_sum", &[], &(sum_ns as f64 / 1e9).to_string());
        self.sample("_count", &[], &buckets[BOUNDS_US.len()].to_string());
    }
}

/// A label's value: a backslash, a quote and the end of a line would end it early.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    fn route() -> RouteReport {
        let figures = Figures {
            accepted: 9,
            dropped: 1,
            refused: 2,
            upstream_failed: 1,
            closed: 3,
            timed_out: 1,
            bytes_up: 10,
            bytes_down: 0,
            received: [17, 5],
            discarded: [4, 5],
            upstream_up: Some(false),
            listen_failures: 6,
        };
        RouteReport {
            name: "a\"b\\c\nd # TYPE x ".into(),
            listen: "127.0.0.1:1".into(),
            upstream: "up:2".into(),
            figures,
            by_fault: vec![(("slow".into(), "latency"), Acted { injected: 3, shadow: 4 })],
            answers: vec![(503, false, 7)],
            faults_active: 2,
        }
    }

    const LABEL: &str = r##"route="a\"b\\c\nd # TYPE x ""##;

    #[track_caller]
    fn has(page: &str, line: &str) {
        assert!(page.lines().any(|own| own == line), "{line} is not in\n{page}");
    }

    #[test]
    fn every_counter_of_a_route() {
        let journal = Journal::new(Box::new(|_| {}), String::new);
        let routes = [route()];
        let page = text(&Page { routes: Some((&routes, &journal)), process: None });
        for (outcome, value) in
            [("accepted", 9), ("closed", 3), ("dropped", 1), ("refused", 2), ("upstream_failed", 1)]
        {
            let line = r#"chaos_proxy_connections_total{"#;
            has(&page, &format!(r#"{line}{LABEL},outcome="{outcome}"}} {value}"#));
        }
        for (name, value) in [("connections", 2), ("faults", 2)] {
            has(&page, &format!("chaos_proxy_{name}_active{{{LABEL}}} {value}"));
        }
        has(&page, &format!("chaos_proxy_listen_failures_total{{{LABEL}}} 6"));
        has(&page, &format!("chaos_proxy_upstream_up{{{LABEL}}} 0"));
        let labels = format!(r#"{LABEL},status="503",origin="proxy""#);
        has(&page, &format!("chaos_proxy_http_requests_total{{{labels}}} 7"));
        for (name, values) in [
            ("bytes_total", [10, 0]),
            ("received_bytes_total", [17, 5]),
            ("discarded_bytes_total", [4, 5]),
            ("queued_bytes", [3, 0]),
        ] {
            for (direction, value) in DIRECTIONS.iter().zip(values) {
                let direction = direction.as_str();
                let labels = format!(r#"{LABEL},direction="{direction}""#);
                has(&page, &format!("chaos_proxy_{name}{{{labels}}} {value}"));
            }
        }
        for (name, value) in [("injected", 3), ("shadow", 4)] {
            let labels = format!(r#"{LABEL},fault="slow",type="latency""#);
            has(&page, &format!("chaos_proxy_faults_{name}_total{{{labels}}} {value}"));
        }
        assert!(!page.contains("process_"), "nobody asked for it");
    }

    #[test]
    fn toxiproxys_counters_only_where_there_was_traffic() {
        let journal = Journal::new(Box::new(|_| {}), String::new);
        let routes = [route()];
        let page = text(&Page { routes: Some((&routes, &journal)), process: None });
        let proxy = LABEL.replace("route=", "proxy=");
        let labels = |direction: &str| {
            format!(r#"{{direction="{direction}",listener="127.0.0.1:1",{proxy},upstream="up:2"}}"#)
        };
        has(&page, &format!("toxiproxy_proxy_received_bytes_total{} 17", labels("upstream")));
        has(&page, &format!("toxiproxy_proxy_received_bytes_total{} 5", labels("downstream")));
        has(&page, &format!("toxiproxy_proxy_sent_bytes_total{} 10", labels("upstream")));
        let silent = format!("toxiproxy_proxy_sent_bytes_total{}", labels("downstream"));
        assert!(!page.contains(&silent), "{page}");
    }

    #[test]
    fn histograms_are_cumulative() {
        let journal = Journal::new(Box::new(|_| {}), String::new);
        journal.times.delay_error.observe(Span(70_000));
        journal.times.delay_error.observe(Span(20_000_000_000));
        let page = text(&Page { routes: Some((&[], &journal)), process: None });
        let expected = "# TYPE chaos_proxy_delay_error_seconds histogram\n\
                        chaos_proxy_delay_error_seconds_bucket{le=\"0.00005\"} 0\n\
                        chaos_proxy_delay_error_seconds_bucket{le=\"0.0001\"} 1\n";
        assert!(page.contains(expected), "{page}");
        has(&page, r#"chaos_proxy_delay_error_seconds_bucket{le="10"} 1"#);
        has(&page, r#"chaos_proxy_delay_error_seconds_bucket{le="+Inf"} 2"#);
        has(&page, "chaos_proxy_delay_error_seconds_sum 20.00007");
        has(&page, "chaos_proxy_delay_error_seconds_count 2");
        has(&page, "chaos_proxy_upstream_connect_seconds_count 0");
        has(&page, "chaos_proxy_events_lost_total 0");
        has(&page, "chaos_proxy_event_readers 0");
    }

    #[test]
    fn the_process_alone() {
        let process = ProcessReport { cpu_seconds: 1.5, open_fds: 7, ..ProcessReport::default() };
        let page = text(&Page { routes: None, process: Some(&process) });
        has(&page, "# TYPE process_cpu_seconds_total counter");
        has(&page, "process_cpu_seconds_total 1.5");
        has(&page, "process_open_fds 7");
        has(
            &page,
            concat!(r#"chaos_proxy_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        );
        assert!(!page.contains("route"), "{page}");
    }
}
