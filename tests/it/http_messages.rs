//! Faults of the stream that choose among the messages of an http route: they act on the bytes of
//! those requests and answers, and on no others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::binary::{self, Process};
use crate::events::{events, file, replayed};
use crate::http_route::{told, web};
use crate::support::{End, Proxy, assert_took, connect, eventually, expect, read_all};
use crate::upstreams::Upstream;

fn route(upstream: &Upstream<usize>, faults: &str) -> Proxy {
    Proxy::start(upstream.addr, &format!(r#""protocol": "http", "faults": [{faults}]"#))
}

fn request(line: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// One more answer: its head, and its body.
fn answer(mut client: &TcpStream) -> (String, String) {
    let (mut head, mut byte) = (String::new(), [0]);
    while !head.ends_with("\r\n\r\n") {
        client.read_exact(&mut byte).expect("a head");
        head.push(byte[0].into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.expect("a length").parse().expect("a number")];
    client.read_exact(&mut body).expect("a body");
    (head, String::from_utf8(body).expect("text"))
}

/// Asks, and how long it took.
fn ask(mut client: &TcpStream, line: &str, body: &str) -> (String, String, Duration) {
    let begun = Instant::now();
    client.write_all(request(line, body).as_bytes()).expect("written");
    let (head, body) = answer(client);
    (head, body, begun.elapsed())
}

/// What the answer tells about faults.
fn faults(head: &str) -> &str {
    head.lines().find_map(|line| line.strip_prefix("X-Chaos-Faults: ")).unwrap_or_default()
}

#[test]
fn latency_is_for_the_requests_that_match() {
    let upstream = web(told);
    let late = r#"{"type": "latency", "name": "l", "latency": 60, "match": {"path": "/slow*"}}"#;
    let proxy = route(&upstream, late);
    let client = proxy.connect();
    for (number, path) in ["/a", "/slow", "/b", "/slow/2"].into_iter().enumerate() {
        let (head, body, took) = ask(&client, &format!("GET {path}"), "");
        assert_eq!(body, format!("GET {path} 0"));
        let slow = path.starts_with("/slow");
        assert_eq!(faults(&head), if slow { "latency;latency=60ms" } else { "" });
        assert_took(took, if slow { 60 } else { 0 }, if slow { 110 } else { 50 }, path);
        if slow {
            let delayed = proxy.wait_for("delayed");
            assert_eq!(delayed.number("req") as usize, number + 1);
            assert!(delayed.number("ms") >= 60.0, "{delayed:?}");
        }
    }
    drop(client);
    assert_eq!(proxy.balanced().closed, 1);
}

#[test]
fn a_share_of_the_requests_of_one_connection() {
    let run = || {
        let upstream = web(told);
        let proxy = route(&upstream, r#"{"type": "latency", "latency": 5, "probability": 0.3}"#);
        let client = proxy.connect();
        let each = (0..60).map(|_| {
            let (head, body, took) = ask(&client, "GET /a", "");
            assert_eq!(body, "GET /a 0");
            let hit = !faults(&head).is_empty();
            assert!(!hit || took >= Duration::from_millis(5), "told {took:?}");
            hit
        });
        each.collect::<Vec<bool>>()
    };
    let hits = run();
    let count = hits.iter().filter(|hit| **hit).count();
    assert!((5..35).contains(&count), "{count} of 60");
    assert_eq!(hits, run(), "the same seed");
}

#[test]
fn a_budget_counts_from_the_answer_it_is_for() {
    let upstream = web(told);
    let cut = r#"{"type": "limit_data", "bytes": 30, "match": {"path": "/cut"}}"#;
    let proxy = route(&upstream, cut);
    let mut client = proxy.connect();
    for _ in 0..3 {
        assert_eq!(ask(&client, "GET /whole", "").1, "GET /whole 0");
    }
    client.write_all(request("GET /cut", "").as_bytes()).unwrap();
    let (bytes, end) = read_all(&client);
    assert_eq!((&*bytes, end), (&b"HTTP/1.1 200 OK\r\nContent-Length"[..30], End::Fin));
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
    proxy.balanced();
}

#[test]
fn requests_are_damaged_on_their_way_up() {
    let upstream = web(|request| {
        let reply = chaos_proxy::http::Reply::new(200);
        let body = String::from_utf8_lossy(&request.body).into_owned();
        Some(reply.with_body(body).to_bytes(chaos_proxy::http::Manner::of(request)))
    });
    // Past the head, whose bytes count, too: 1 of each about 100 bytes.
    let damage = r#"{"type": "corrupt", "per_mib": 10000, "kind": "overwrite", "afterBytes": 60,
                     "direction": "upstream", "match": {"method": "PUT"}}"#;
    let proxy = route(&upstream, damage);
    let client = proxy.connect();
    let body = "x".repeat(20_000);
    for line in ["POST /a", "PUT /a", "POST /a", "PUT /a"] {
        let (head, came, _) = ask(&client, line, &body);
        let changed = came.chars().filter(|byte| *byte != 'x').count();
        let hit = line.starts_with("PUT");
        assert_eq!(!faults(&head).is_empty(), hit, "{head}");
        assert_eq!(changed > 0, hit, "{line}: {changed} of {} bytes", came.len());
    }
    drop(client);
    proxy.balanced();
}

#[test]
fn a_slow_answer_holds_up_those_that_were_asked_for_behind_it() {
    let upstream = web(told);
    let late = r#"{"type": "latency", "latency": 80, "match": {"path": "/slow"}}"#;
    let proxy = route(&upstream, late);
    let (mut client, other) = (proxy.connect(), proxy.connect());
    let begun = Instant::now();
    let both = request("GET /slow", "") + &request("GET /a", "") + &request("GET /slow", "");
    client.write_all(both.as_bytes()).unwrap();
    assert_eq!(ask(&other, "GET /b", "").1, "GET /b 0", "another connection goes on");
    for path in ["/slow", "/a", "/slow"] {
        assert_eq!(answer(&client).1, format!("GET {path} 0"));
    }
    assert_took(begun.elapsed(), 160, 260, "two slow ones");
}

#[test]
fn a_group_takes_one_roll_over_faults_of_all_levels() {
    let upstream = web(told);
    let proxy = route(
        &upstream,
        r#"{"oneOf": [{"type": "http_error", "probability": 0.5},
            {"type": "latency", "latency": 1, "probability": 0.5}]}"#,
    );
    let client = proxy.connect();
    let mut counts = [0, 0];
    for _ in 0..40 {
        let head = ask(&client, "GET /a", "").0;
        let told = faults(&head).to_owned();
        let is_error = head.starts_with("HTTP/1.1 503");
        counts[usize::from(is_error)] += 1;
        assert_eq!(told, if is_error { "http_error;status=503" } else { "latency;latency=1ms" });
    }
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
}

/// A slow answer is let go when its fault is removed, and what comes later is not held.
#[test]
fn a_fault_is_removed_while_it_holds_an_answer() {
    let upstream = web(told);
    let faults = r#"{"type": "latency", "latency": "1h", "match": {"path": "/slow"}}"#;
    let proxy = route(&upstream, faults);
    let mut client = proxy.connect();
    assert_eq!(ask(&client, "GET /a", "").1, "GET /a 0");
    client.write_all(request("GET /slow", "").as_bytes()).unwrap();
    proxy.wait_for("delayed");
    proxy.set_faults(r#""protocol": "http""#);
    assert_eq!(answer(&client).1, "GET /slow 0");
    let (head, body, _) = ask(&client, "GET /slow", "");
    assert!(body == "GET /slow 0" && self::faults(&head).is_empty(), "{head}");
    drop(client);
    proxy.balanced();
}

/// The bytes behind a 101 belong to the exchange that asked for it.
#[test]
fn a_tunnel_keeps_the_faults_of_its_request() {
    let upstream = Upstream::start(|mut stream: TcpStream| {
        let mut some = [0; 1000];
        assert!(stream.read(&mut some).unwrap() > 0);
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
        stream.write_all(switch.as_bytes()).unwrap();
        while let Ok(count @ 1..) = stream.read(&mut some) {
            stream.write_all(&some[..count]).unwrap();
        }
        0
    });
    let late = r#"{"type": "latency", "latency": 40, "match": {"path": "/ws"}}"#;
    let proxy = route(&upstream, late);
    let mut client = proxy.connect();
    let ask = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    client.write_all(ask.as_bytes()).unwrap();
    expect(&client, "HTTP/1.1 101 ");
    let mut byte = [0];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    for _ in 0..2 {
        let begun = Instant::now();
        client.write_all(b"ping").unwrap();
        expect(&client, "ping");
        assert_took(begun.elapsed(), 40, 90, "through the tunnel");
    }
}

/// A recording of requests on several connections at the same time is the same again.
#[test]
fn what_was_decided_for_requests_is_replayed() {
    let path = file("requests");
    let upstream = web(told);
    let knobs = r#""protocol": "http", "faults": [
        {"type": "http_delay", "name": "d", "latency": 1, "every": 3,
         "match": {"query": {"q": "1"}}},
        {"oneOf": [{"type": "http_error", "name": "e", "probability": 0.3},
                   {"type": "latency", "name": "l", "latency": 1, "probability": 0.3}]},
        {"type": "slicer", "name": "s", "average_size": 9, "probability": 0.5, "times": 3},
        {"type": "http_header", "name": "h", "set": {"X-A": "b"}, "mode": "shadow",
         "sampling": "exact", "probability": 0.5}]"#;
    let config = binary::config(upstream.addr, knobs);
    let mut process = Process::serving(&config, &["--event-log", path.to_str().unwrap()]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let client = connect(process.addr());
            scope.spawn(move || {
                for number in 0..10 {
                    let line = format!("GET /{}", ["a?q=1", "a", "c"][(thread + number) % 3]);
                    ask(&client, &line, "");
                }
            });
        }
    });
    process.signal(Signal::SIGTERM);
    process.ended_well();
    let all = events(&path);
    let of = |name: &str| all.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!(of("decision").len(), 40 * 5, "each fault for each request");
    let acts = |fault: &str, name: &str| {
        let of_it = of(name).into_iter().filter(|event| event["fault"] == *fault);
        of_it.filter(|event| name != "decision" || event["action"] == "act").count()
    };
    for (fault, deed) in [("d", "inject"), ("e", "inject"), ("l", "inject"), ("h", "shadow")] {
        let count = acts(fault, "decision");
        assert!(count > 0 && count == acts(fault, deed), "{fault}: {count} {}", acts(fault, deed));
    }
    let first = of("inject").into_iter().find(|event| event["fault"] == "d").unwrap();
    assert_eq!((&first["action"], &first["drawn"]), (&"delay".into(), &"ms=1".into()));
    assert!(first["n"].is_u64() && first["req"].is_u64() && first["request"].is_string());
    let (code, said) = replayed(&path, &[]);
    assert_eq!((code, &*said), (Some(0), "200 decisions, 0 differ\n"));
    let text = std::fs::read_to_string(&path).unwrap();
    let shifted = |event: &&Value| event["event"] == "decision" && event["action"] == "act";
    assert!(all.iter().any(|event| shifted(&event)));
    std::fs::write(&path, text.replacen(r#""action":"act""#, r#""action":"pass""#, 1)).unwrap();
    let (code, said) = replayed(&path, &[]);
    assert!(code == Some(1) && said.ends_with("200 decisions, 1 differ\n"), "{said}");
    assert!(said.starts_with("line ") && said.contains(" n="), "{said}");
    std::fs::remove_file(&path).unwrap();
}

/// Bytes that a fault took out of an answer end the connection when the next one is asked for.
#[test]
fn lost_bytes_end_the_connection() {
    let upstream = web(told);
    let proxy = route(&upstream, r#"{"type": "timeout", "match": {"path": "/lost"}}"#);
    let mut client = proxy.connect();
    assert_eq!(ask(&client, "GET /a", "").1, "GET /a 0");
    client.write_all(request("GET /lost", "").as_bytes()).unwrap();
    eventually("it is lost", || proxy.figures().discarded[1] > 0);
    client.write_all(request("GET /a", "").as_bytes()).unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
    proxy.balanced();
}
