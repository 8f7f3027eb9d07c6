//! The stream of events: to clients of the admin API, and into a file.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chaos_proxy::admin::{AdminOptions, Metrics};
use chaos_proxy::config;
use chaos_proxy::config::plan::Endpoint;
use chaos_proxy::embed::Running;
use chaos_proxy::journal::Journal;
use chaos_proxy::journal::hub::{CLIENT_EVENTS_MAX, CLIENTS_MAX};
use chaos_proxy::shell::admin_server::AdminServer;
use chaos_proxy::shell::listener::Bound;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::binary::{self, Process};
use crate::metrics::get;
use crate::support::{Proxy, connect, eventually, expect, faults, slow};
use crate::upstreams;

/// A proxy in this process with its admin API, and the journal that both tell.
struct Watched {
    running: Running,
    server: Option<AdminServer>,
    journal: Arc<Journal>,
}

impl Watched {
    fn start(upstream: SocketAddr, knobs: &str) -> Watched {
        let text = Proxy::config(&upstream.to_string(), knobs);
        let plan = config::read(text.as_bytes()).expect("a plan");
        let journal = Arc::new(Journal::new(Box::new(|_| {}), || "now".into()));
        let running = Running::start_told(plan, &journal).expect("bound");
        let bound = Bound::bind(&Endpoint::lenient("127.0.0.1:0")).expect("bound");
        let options = AdminOptions { metrics: Metrics::ALL, ..AdminOptions::default() };
        let server = running.open_admin(bound, options, false).expect("open");
        Watched { running, server: Some(server), journal }
    }

    fn admin(&self) -> SocketAddr {
        self.server.as_ref().expect("it runs").addr
    }

    fn watch(&self) -> Watching {
        Watching::start(self.admin())
    }
}

/// A client that reads events.
struct Watching {
    reader: BufReader<TcpStream>,
    head: String,
}

impl Watching {
    fn start(admin: SocketAddr) -> Watching {
        let mut client = connect(admin);
        write!(client, "GET /api/events HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
        let mut watching = Watching { reader: BufReader::new(client), head: String::new() };
        while !watching.head.ends_with("\r\n\r\n") && !watching.head.ends_with("\n\n") {
            assert!(
                watching.reader.read_line(&mut watching.head).unwrap() > 0,
                "{}",
                watching.head
            );
        }
        watching
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    /// The next event; what stands before its data must agree with it.
    fn next(&mut self) -> Value {
        let lines = [(); 4].map(|()| self.line());
        let data = lines[2].strip_prefix("data: ").unwrap_or_else(|| panic!("{lines:?}"));
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(lines[0], format!("id: {}\n", event["seq"]));
        assert_eq!(lines[1], format!("event: {}\n", event["event"].as_str().unwrap()));
        assert_eq!(lines[3], "\n");
        event
    }

    /// The next event of this name; what comes before it is skipped.
    fn wait_for(&mut self, name: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == name {
                return event;
            }
        }
    }
}

#[test]
fn a_connection_from_accept_to_close() {
    let upstream = upstreams::echo();
    let knobs = r#""faults": [
        {"type": "latency", "name": "slow", "latency": "5ms"},
        {"type": "limit_data", "name": "cut", "direction": "upstream", "bytes": 1,
         "mode": "shadow"},
        {"type": "connect_delay", "name": "late", "value": "1ms", "probability": 0}]"#;
    let watched = Watched::start(upstream.addr, knobs);
    let mut watching = watched.watch();
    assert!(watching.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", watching.head);
    assert!(watching.head.contains("Content-Type: text/event-stream\r\n"), "{}", watching.head);
    let start = watching.next();
    assert_eq!(
        (&start["event"], &start["seed"], &start["format"]),
        (&"start".into(), &7.into(), &1.into())
    );
    assert_eq!(start["routes"][0]["faults"][0]["latency"], "5ms");
    let mut client = connect(watched.running.addr("r").unwrap());
    client.write_all(b"abc").unwrap();
    expect(&client, "abc");
    drop(client);
    let mut events = Vec::new();
    while events.last().is_none_or(|event: &Value| event["event"] != "close") {
        events.push(watching.next());
    }
    let first = start["seq"].as_u64().unwrap() + 1;
    let told: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(told, (first..first + told.len() as u64).collect::<Vec<_>>(), "without a gap");
    let one = |name: &str, fault: &str| {
        let is = |event: &&Value| {
            event["event"] == name && (fault.is_empty() || event["fault"] == fault)
        };
        events.iter().find(is).unwrap_or_else(|| panic!("no {name} {fault} in {events:#?}"))
    };
    assert!(events.iter().all(|event| event["route"] == "r" && event["conn"] == 1));
    assert_eq!(one("dial", "")["upstream"], upstream.addr.to_string());
    let decision = one("decision", "late");
    assert_eq!((&decision["action"], &decision["reason"]), (&"pass".into(), &"probability".into()));
    assert_eq!(one("decision", "slow")["direction"], "downstream");
    assert_eq!(one("decision", "cut")["mode"], "shadow");
    let inject = one("inject", "slow");
    assert_eq!(
        (&inject["type"], &inject["action"], &inject["offset"]),
        (&"latency".into(), &"delayed".into(), &0.into())
    );
    assert_eq!(one("shadow", "cut")["type"], "limit_data");
    assert_eq!(one("close", "")["bytes_up"], 3);
}

#[test]
fn a_change_is_told_before_it_decides() {
    let upstream = upstreams::echo();
    let watched = Watched::start(upstream.addr, "");
    let mut watching = watched.watch();
    let mut client = connect(watched.running.addr("r").unwrap());
    client.write_all(b"a").unwrap();
    expect(&client, "a");
    assert!(watched.running.set_faults("r", faults(r#""latencyMs": 1"#)));
    let change = watching.wait_for("change");
    assert_eq!((&change["gen"], &change["faults"][0]["type"]), (&1.into(), &"latency".into()));
    let decision = watching.wait_for("decision");
    assert_eq!((&decision["gen"], &decision["conn"]), (&1.into(), &1.into()));
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_learns_what_it_missed() {
    const LARGE: usize = 60; // of 200 kB: more than the sockets hold
    const EVENTS: usize = LARGE + CLIENT_EVENTS_MAX + 500;
    let watched = Watched::start(upstreams::echo().addr, "");
    let mut watching = watched.watch();
    watching.wait_for("start");
    let padding = Value::from("x".repeat(200_000));
    for number in 0..EVENTS {
        let padding = if number < LARGE { padding.clone() } else { Value::Null };
        watched.journal.events.tell("test", &[("padding", padding)]);
    }
    let lost = watched.journal.events.lost();
    assert!(lost > 0, "all {EVENTS} events went somewhere");
    let (mut came, mut missed) = (0, 0);
    loop {
        let event = watching.next();
        match event["event"].as_str() {
            Some("test") => came += 1,
            Some("gap") => missed += event["lost"].as_u64().unwrap(),
            other => panic!("{other:?}"),
        }
        if came + lost == EVENTS as u64 {
            break;
        }
    }
    // The last gap is told before what comes behind it.
    watched.journal.events.tell("last", &[]);
    loop {
        match watching.next() {
            event if event["event"] == "gap" => missed += event["lost"].as_u64().unwrap(),
            event => {
                assert_eq!((&event["event"], missed), (&"last".into(), lost));
                return;
            }
        }
    }
}

#[test]
fn clients_are_bounded_and_give_their_place_back() {
    let watched = Watched::start(upstreams::echo().addr, "");
    let mut all: Vec<Watching> = (0..CLIENTS_MAX).map(|_| watched.watch()).collect();
    eventually("all read", || watched.journal.events.readers() == CLIENTS_MAX);
    let (head, body) = get(watched.admin(), "/api/events");
    assert!(head.starts_with("HTTP/1.1 503 "), "one past the bound: {head}");
    assert_eq!(body, "16 clients read events already\n");
    let (_, page) = get(watched.admin(), "/metrics");
    assert!(page.contains("\nchaos_proxy_event_readers 16\n"), "{page}");
    all.pop();
    eventually("a place is free", || watched.journal.events.readers() < CLIENTS_MAX);
    let mut watching = watched.watch();
    assert_eq!(watching.next()["event"], "start");
    drop(all);
    eventually("all gone but one", || watched.journal.events.readers() == 1);
}

#[test]
fn a_stop_ends_the_streams_at_once() {
    let mut watched = Watched::start(upstreams::echo().addr, "");
    let mut watching = watched.watch();
    watching.wait_for("start");
    watched.server = None; // joins the thread of the stream
    let mut rest = Vec::new();
    let _ = watching.reader.read_to_end(&mut rest); // FIN or RST, but not silence
    assert!(!watched.journal.events.is_read());
}

#[test]
fn a_client_that_never_reads_is_dropped() {
    if !slow() {
        return;
    }
    let watched = Watched::start(upstreams::echo().addr, "");
    let _watching = watched.watch();
    let padding = Value::from("x".repeat(100_000));
    eventually("it is dropped", || {
        watched.journal.events.tell("test", &[("padding", padding.clone())]);
        !watched.journal.events.is_read()
    });
}

#[test]
fn silence_has_a_heartbeat() {
    if !slow() {
        return;
    }
    let watched = Watched::start(upstreams::echo().addr, "");
    let mut watching = watched.watch();
    watching.wait_for("start");
    assert_eq!([watching.line(), watching.line()], [": heartbeat\n", "\n"]);
}

/// A file for one test.
pub(crate) fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("chaos-proxy-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path); // mostly not there
    path
}

/// A run of the real binary with an event log, one connection through it, and a clean stop.
pub(crate) fn recorded(path: &Path, knobs: &str, connections: usize) {
    let upstream = upstreams::echo();
    let config = binary::config(upstream.addr, knobs);
    let mut process = Process::serving(&config, &["--event-log", path.to_str().unwrap()]);
    for _ in 0..connections {
        let mut client = connect(process.addr());
        if client.write_all(b"x").is_ok() {
            let _ = client.read(&mut [0]); // dropped, maybe
        }
    }
    process.signal(Signal::SIGTERM);
    process.ended_well();
}

/// The events in a file.
pub(crate) fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn a_file_gets_all_from_start_to_stop_and_is_never_overwritten() {
    let path = file("log");
    recorded(&path, "", 3);
    let first = events(&path);
    let seqs: Vec<u64> = first.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=first.len() as u64).collect::<Vec<_>>());
    assert_eq!(
        (&first[0]["event"], &first[0]["routes"][0]["name"]),
        (&"start".into(), &"r".into())
    );
    assert_eq!(first.last().unwrap()["event"], "stopped");
    let of = |name: &str| first.iter().filter(|event| event["event"] == name).count();
    assert_eq!([of("accept"), of("dial"), of("close")], [3, 3, 3]);
    recorded(&path, "", 1);
    let both = events(&path);
    assert_eq!(both[..first.len()], first);
    assert_eq!(
        (&both[first.len()]["event"], &both[first.len()]["seq"]),
        (&"start".into(), &1.into())
    );
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_path_that_cannot_be_written_ends_the_start_with_one_line() {
    for path in ["/", "/nowhere/at/all", ""] {
        let args = ["--route", "127.0.0.1:0=127.0.0.1:1", &format!("--event-log={path}")];
        let said = binary::run(&args, "");
        assert_eq!((said.code, said.err.lines().count()), (Some(2), 1), "{said:?}");
        assert!(said.err.contains("--event-log: ") || path.is_empty(), "{said:?}");
    }
}

#[test]
fn a_full_disk_is_told_once_and_counted() {
    let upstream = upstreams::echo();
    let config = binary::config(upstream.addr, "");
    let args = ["--event-log", "/dev/full", "--admin", "127.0.0.1:0"];
    let mut command = binary::command(binary::PROGRAM);
    command.args(["-c", "-", "--log-format", "json"]).args(args);
    let mut process = Process::spawn(command);
    process.give(&config);
    let admin = crate::metrics::admin(&process);
    eventually("it is told", || process.said().contains("event_log_failed"));
    for _ in 0..3 {
        let mut client = connect(process.addr());
        client.write_all(b"x").unwrap();
        expect(&client, "x");
    }
    eventually("the lost ones are counted", || {
        let (_, page) = get(admin, "/metrics");
        let lost =
            page.lines().find_map(|line| line.strip_prefix("chaos_proxy_events_lost_total "));
        lost.unwrap().parse::<u64>().unwrap() > 9
    });
    process.signal(Signal::SIGTERM);
    process.ended_well();
    assert_eq!(process.said().matches("event_log_failed").count(), 1, "{}", process.said());
}

/// What `replay` says of a file.
pub(crate) fn replayed(path: &Path, more: &[&str]) -> (Option<i32>, String) {
    let said = binary::run(&[&["replay", path.to_str().unwrap()], more].concat(), "");
    assert!(said.err.is_empty() || said.code == Some(2), "{said:?}");
    (said.code, said.out + &said.err)
}

/// Faults that are drawn in every direction.
const DRAWN: &str = r#""dropRate": 0.3, "faults": [
    {"type": "latency", "name": "slow", "direction": "both", "latency": "1ms", "probability": 0.5},
    {"type": "limit_data", "name": "cut", "bytes": 1, "probability": "25%", "sampling": "exact"}]"#;

#[test]
fn a_recorded_run_is_the_same_again() {
    let path = file("replay");
    recorded(&path, DRAWN, 30);
    let (code, said) = replayed(&path, &[]);
    assert!(said.ends_with(" decisions, 0 differ\n") && !said.starts_with("0 "), "{said}");
    assert_eq!(code, Some(0), "{said}");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen(r#""action":"act""#, r#""action":"pass""#, 1)).unwrap();
    let (code, said) = replayed(&path, &[]);
    assert!(said.starts_with("line ") && said.contains(" decisions, 1 differ\n"), "{said}");
    assert_eq!(code, Some(1));
    let (code, said) = replayed(&path, &["--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["diverged"]), (Some(1), &1.into()), "{said}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_run_whose_faults_changed_is_the_same_again() {
    let path = file("changes");
    let upstream = upstreams::echo();
    let config = binary::config(upstream.addr, "");
    let log = path.to_str().unwrap();
    let mut command = binary::command(binary::PROGRAM);
    command.args(["-c", "-", "--log-format", "json", "--event-log", log]);
    command.args(["--admin", "127.0.0.1:0", "--seed", "5"]);
    let mut process = Process::spawn(command);
    process.give(&config);
    let admin = crate::metrics::admin(&process);
    let ask = |method: &str, path: &str, body: &str| {
        let mut client = connect(admin);
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n");
        write!(client, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 20"), "{method} {path}: {said}");
    };
    let mut live = connect(process.addr());
    live.write_all(b"x").unwrap();
    expect(&live, "x");
    let toxic = |toxicity: f64| {
        format!(
            r#"{{"name": "a b", "type": "noop", "stream": "upstream", "toxicity": {toxicity}}}"#
        )
    };
    ask("POST", "/proxies/r/toxics", &toxic(0.3));
    for toxicity in [0.1, 0.9, 0.5] {
        for _ in 0..5 {
            let mut client = connect(process.addr());
            client.write_all(b"x").unwrap();
            expect(&client, "x");
        }
        ask("PATCH", "/proxies/r/toxics/a%20b", &toxic(toxicity));
        live.write_all(b"x").unwrap();
        expect(&live, "x");
    }
    ask("PATCH", "/proxies/r", r#"{"enabled": false}"#);
    ask("PATCH", "/proxies/r", r#"{"enabled": true}"#);
    let mut client = connect(process.addr());
    client.write_all(b"x").unwrap();
    expect(&client, "x");
    ask("DELETE", "/proxies/r/toxics/a%20b", "");
    process.signal(Signal::SIGTERM);
    drop((client, live));
    process.ended_well();
    let changes = events(&path).iter().filter(|event| event["event"] == "change").count();
    assert_eq!(changes, 6, "four edits, a start, a removal");
    let (code, said) = replayed(&path, &[]);
    // One for each of 16 connections, four for the one that lived through the edits, and those of
    // connections that were closing when one came.
    let (decisions, rest) = said.split_once(' ').unwrap();
    assert_eq!((code, rest), (Some(0), "decisions, 0 differ\n"), "{said}");
    assert!(decisions.parse::<u32>().unwrap() >= 20, "{said}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_is_no_recording_is_one_line() {
    let path = file("none");
    std::fs::write(&path, "routes: []\n").unwrap();
    for path in [&*path, Path::new("/nowhere/at/all"), Path::new("/")] {
        let (code, said) = replayed(path, &[]);
        assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.ends_with("(give a file that --event-log wrote)\n"), "{said}");
    }
    std::fs::remove_file(&path).unwrap();
}
