//! The faults of requests on real sockets: what the client sees, what the upstream gets, what is
//! told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use chaos_proxy::http::{Manner, Reply};

use crate::http_route::{ok, told, web};
use crate::support::{End, Proxy, assert_took, each, eventually, expect, read_all, receive, reset};
use crate::upstreams::Upstream;

/// An http route with this one fault.
fn route(upstream: &Upstream<usize>, fault: &str) -> Proxy {
    Proxy::start(upstream.addr, &format!(r#""protocol": "http", "faults": [{{{fault}}}]"#))
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET /z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Sends a request; what comes until the end of the connection, and how that ends.
fn ask(proxy: &Proxy, request: &str) -> (String, End) {
    let mut client = proxy.connect();
    client.write_all(request.as_bytes()).unwrap();
    let (bytes, end) = read_all(&client);
    (String::from_utf8_lossy(&bytes).into_owned(), end)
}

/// The head of an answer in lines, and its body.
fn parts(answer: &str) -> (Vec<&str>, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    (head.split("\r\n").collect(), body)
}

#[test]
fn errors_before_the_upstream() {
    let upstream = web(told);
    let proxy = route(&upstream, r#""type": "http_error", "status": 503"#);
    // Two on one connection: it stays open, and a body is read before the answer.
    let put = "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    let body = "x".repeat(100_000);
    let (answers, end) = ask(&proxy, &[put, &body, LAST].concat());
    let each: Vec<&str> = answers.split_inclusive('}').collect();
    assert_eq!((each.len(), end), (2, End::Fin), "{answers}");
    for answer in each {
        let (head, body) = parts(answer);
        assert_eq!(head[0], "HTTP/1.1 503 Service Unavailable");
        assert!(head.contains(&"X-Chaos-Faults: http_error;status=503"), "{head:?}");
        assert_eq!(body, r#"{"error":"injected","status":503}"#);
        let answered = proxy.wait_for("answered");
        assert_eq!((answered.number("status"), answered.text("origin")), (503.0, "proxy"));
        assert_eq!(answered.fields["faults"][0]["drawn"], "status=503");
    }
    assert_eq!(upstream.accepted(), 0, "the upstream was not dialled");
    let page = proxy.running().metrics(chaos_proxy::admin::Metrics::ALL);
    let count = r#"chaos_proxy_http_requests_total{route="r",status="503",origin="proxy"} 2"#;
    assert!(page.lines().any(|line| line == count), "{page}");
}

#[test]
fn errors_after_the_upstream() {
    let upstream = web(told);
    let fault = r#""type": "http_error", "status": [500], "phase": "after", "body": "ours",
                   "headers": {"X-A": "b"}"#;
    let proxy = route(&upstream, fault);
    let (answer, _) = ask(&proxy, LAST);
    let (head, body) = parts(&answer);
    assert_eq!((head[0], body), ("HTTP/1.1 500 Internal Server Error", "ours"));
    assert!(head.contains(&"X-A: b"), "{head:?}");
    assert_eq!(upstream.outcome(), 1, "the upstream was asked");
}

#[test]
fn delays_once_per_request() {
    let upstream = web(told);
    each(["request", "response"], |phase| {
        let fault = format!(r#""type": "http_delay", "latency": 60, "phase": "{phase}""#);
        let proxy = route(&upstream, &fault);
        let client = proxy.connect();
        for _ in 0..2 {
            let begun = Instant::now();
            (&client).write_all(GET.as_bytes()).unwrap();
            expect(&client, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n");
            expect(&client, "X-Chaos-Faults: http_delay;ms=60\r\n\r\nGET /a 0");
            assert_took(begun.elapsed(), 60, 110, phase);
            assert!(proxy.wait_for("answered").number("actual_ms") >= 60.0, "{phase}");
        }
    });
}

/// What was held is told, also when nobody waits for it any more.
#[test]
fn a_held_request_whose_client_leaves_is_told() {
    let upstream = web(told);
    let match_ = r#""match": {"path": "/held"}"#;
    let proxy = route(&upstream, &format!(r#""type": "http_delay", "latency": 60000, {match_}"#));
    let mut client = proxy.connect();
    client.write_all([GET, &GET.replace("/a", "/held")].concat().as_bytes()).unwrap();
    expect(&client, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /a 0"); // both were read
    reset(client);
    let held = proxy.wait_for("answered");
    assert_eq!((held.number("req"), held.number("status")), (2.0, 0.0));
    assert!(held.number("actual_ms") < 60_000.0);
    proxy.balanced();
    assert_eq!(upstream.outcome(), 1, "requests that went to the upstream");
}

#[test]
fn timeouts_hold_and_give_up() {
    let upstream = web(told);
    let proxy = route(&upstream, r#""type": "http_timeout", "timeout": 80"#);
    let begun = Instant::now();
    let (answer, end) = ask(&proxy, LAST);
    assert_took(begun.elapsed(), 80, 130, "a timeout");
    assert!(proxy.wait_for("answered").number("actual_ms") >= 80.0);
    assert_eq!((parts(&answer).0[0], end), ("HTTP/1.1 504 Gateway Timeout", End::Fin));
}

#[test]
fn connections_end_without_an_answer() {
    for (kind, ends) in [("reset", End::Reset), ("close", End::Fin)] {
        let upstream = web(told);
        let proxy = route(&upstream, &format!(r#""type": "connection_error", "kind": "{kind}""#));
        assert_eq!(ask(&proxy, GET), (String::new(), ends), "{kind}");
        assert_eq!(upstream.accepted(), 0, "{kind}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "fault", "{kind}");
    }
}

#[test]
fn answers_end_too_early() {
    let upstream = web(told);
    let proxy = route(&upstream, r#""type": "partial_response", "bytes": 3"#);
    let (answer, end) = ask(&proxy, GET);
    let (head, body) = parts(&answer);
    assert!(head.contains(&"Content-Length: 8"), "{head:?}");
    assert_eq!((body, end), ("GET", End::Fin));
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
}

/// A fault that let the connection be is not why it ended.
#[test]
fn an_end_is_not_blamed_on_a_fault_that_left_it_alone() {
    let upstream = web(told);
    let proxy = route(&upstream, r#""type": "http_header", "set": {"X-A": "b"}"#);
    let (answer, end) = ask(&proxy, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("X-A: b") && end == End::Fin, "{answer} {end:?}");
    assert_eq!(proxy.wait_for("closed").text("reason"), "finished");
}

#[test]
fn answers_are_malformed() {
    let upstream = web(told);
    for kind in ["chunk", "garbage", "empty"] {
        let proxy = route(&upstream, &format!(r#""type": "malformed_response", "kind": "{kind}""#));
        let (answer, end) = ask(&proxy, GET);
        assert_eq!(end, End::Fin, "{kind}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "fault", "{kind}");
        match kind {
            "chunk" => {
                let (head, body) = parts(&answer);
                assert!(head.contains(&"Transfer-Encoding: chunked"), "{head:?}");
                let size = body.split("\r\n").next().unwrap();
                assert!(u64::from_str_radix(size, 16).is_err(), "{body:?} is no chunk");
            }
            "garbage" => assert!(!answer.is_empty() && !answer.starts_with("HTTP"), "{answer:?}"),
            _ => assert_eq!(answer, ""),
        }
    }
}

#[test]
fn bodies_are_corrupted() {
    let upstream = web(told);
    for kind in ["random_bytes", "bit_flip", "truncate"] {
        let proxy = route(&upstream, &format!(r#""type": "payload_corruption", "kind": "{kind}""#));
        let (answer, _) = ask(&proxy, LAST);
        let (head, body) = parts(&answer);
        match kind {
            "truncate" => {
                assert!(head.contains(&"Content-Length: 4"), "{head:?}");
                assert_eq!(body, "GET ");
            }
            _ => {
                assert!(head.contains(&"Content-Length: 8"), "{head:?}");
                assert_ne!(body, "GET /z 0");
            }
        }
    }
}

#[test]
fn heads_are_changed() {
    let upstream = web(|request| {
        let seen = request.fields.get("x-new").unwrap_or_default().to_vec();
        Some(Reply::new(200).with("Server", "s").with_body(seen).to_bytes(Manner::of(request)))
    });
    let faults = r#""protocol": "http", "explain": false, "faults": [
        {"type": "http_header", "set": {"X-New": "here"}, "on": "request"},
        {"type": "http_header", "name": "b", "remove": ["Server"], "set": {"X-B": "c"}}]"#;
    let proxy = Proxy::start(upstream.addr, faults);
    let (answer, _) = ask(&proxy, LAST);
    let expected =
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-B: c\r\nConnection: close\r\n\r\nhere";
    assert_eq!(answer, expected);
}

#[test]
fn over_the_rate_is_told_429() {
    let upstream = web(told);
    let fault = r#""type": "rate_limit", "requests_per_second": 1, "burst": 1"#;
    let proxy = route(&upstream, fault);
    let (answers, _) = ask(&proxy, &[GET, GET, LAST].concat());
    let statuses: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!((statuses[0], statuses[2]), ("200", "429"), "{answers}");
    assert!(answers.contains("Retry-After: "), "{answers}");
}

#[test]
fn requests_are_sent_again() {
    let upstream = web(told);
    let proxy = route(&upstream, r#""type": "duplicate_request", "times": 2"#);
    let put = "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let (answers, end) = ask(&proxy, &[put, LAST].concat());
    assert_eq!((answers.matches("HTTP/1.1 200").count(), end), (2, End::Fin), "{answers}");
    assert_eq!(upstream.outcome(), 6);
}

#[test]
fn answers_are_lost() {
    for (then, ends) in [("reset", End::Reset), ("close", End::Fin)] {
        let upstream = web(told);
        let proxy = route(&upstream, &format!(r#""type": "lose_response", "then": "{then}""#));
        assert_eq!(ask(&proxy, GET), (String::new(), ends), "{then}");
        assert_eq!(upstream.outcome(), 1, "the upstream has answered");
    }
    let upstream = web(told);
    let proxy = route(&upstream, r#""type": "lose_response", "then": "hang""#);
    let mut client = proxy.connect();
    client.write_all(GET.as_bytes()).unwrap();
    proxy.wait_for("answered");
    client.shutdown(Shutdown::Write).unwrap(); // it has waited long enough
    assert_eq!(read_all(&client).0, b"");
    proxy.balanced();
}

/// A change takes effect on a connection that is open, and lets go of what was delayed.
#[test]
fn faults_change_between_requests() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, r#""protocol": "http""#);
    let mut client = proxy.connect();
    client.write_all(GET.as_bytes()).unwrap();
    expect(&client, &ok("GET /a 0"));
    proxy.set_faults(r#""protocol": "http", "faults": [{"type": "http_delay", "latency": "1h"}]"#);
    client.write_all(GET.as_bytes()).unwrap();
    eventually("the request has come", || proxy.figures().received[0] == GET.len() as u64);
    let (sender, answered) = crossbeam_channel::bounded(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut some = [0; 15];
            (&client).read_exact(&mut some).unwrap();
            sender.send(some).unwrap();
        });
        eventually("it is held", || {
            proxy.set_faults(r#""protocol": "http""#);
            !answered.is_empty()
        });
        assert_eq!(&receive(&answered, "the answer"), b"HTTP/1.1 200 OK");
    });
}

/// Faults of the stream act on an http route as on any other, and the answer tells.
#[test]
fn faults_of_the_stream_act_too() {
    let upstream = web(told);
    let proxy = route(&upstream, r#""type": "limit_data", "bytes": 20"#);
    let (answer, _) = ask(&proxy, GET);
    assert_eq!(answer, &ok("GET /a 0")[..20]);
    let proxy = route(&upstream, r#""type": "latency", "latency": 40, "direction": "both""#);
    let begun = Instant::now();
    let client: TcpStream = proxy.connect();
    (&client).write_all(GET.as_bytes()).unwrap();
    expect(&client, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n");
    expect(&client, "X-Chaos-Faults: latency;latency=40ms;direction=both\r\n\r\nGET /a 0");
    assert_took(begun.elapsed(), 80, 140, "there and back");
}

/// What waits behind an answer that never comes is read, so that the client is seen to leave.
#[test]
fn a_lost_answer_holds_no_client_that_has_left() {
    let upstream = web(told);
    let proxy = route(&upstream, r#""type": "lose_response", "then": "hang""#);
    let mut client = proxy.connect();
    client.write_all(GET.repeat(40).as_bytes()).unwrap();
    proxy.wait_for("answered");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client).0, b"");
    proxy.balanced();
}

/// A client that resets after its last answer gives its place back at once.
#[test]
fn a_reset_behind_the_last_answer_gives_the_place_back() {
    let upstream = web(told);
    for fault in [r#""type": "http_error""#, r#""type": "noop""#] {
        let knobs = format!(r#""protocol": "http", "maxConnections": 2, "faults": [{{{fault}}}]"#);
        let proxy = Proxy::start(upstream.addr, &knobs);
        for number in 0..12 {
            let mut client = proxy.connect();
            client.write_all(LAST.as_bytes()).unwrap();
            let mut some = [0; 15];
            client.read_exact(&mut some).unwrap_or_else(|error| panic!("{number}: {error}"));
            let socket = socket2::SockRef::from(&client);
            socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
        assert_eq!(proxy.balanced().refused, 0, "{fault}");
    }
}

/// Answers of our own to a client that does not read are held to the bound of a direction.
#[test]
fn answers_of_our_own_are_bounded_too() {
    const BOUND: u64 = 32 << 20;
    let upstream = web(told);
    let body = "x".repeat(65_000);
    let proxy = Proxy::start(
        upstream.addr,
        &format!(
            r#""protocol": "http", "faults": [{{"type": "http_error", "body": "{body}"}},
                {{"type": "bandwidth", "rate": 0}}]"#
        ),
    );
    let mut client = proxy.connect();
    client.set_nonblocking(true).unwrap();
    let held = || proxy.figures().received[1] - proxy.figures().discarded[1];
    let mut more = || client.write(GET.repeat(100).as_bytes()).is_ok();
    eventually("it is full", || !more() || held() >= BOUND);
    for _ in 0..100 {
        more();
        assert!(held() < BOUND + (2 << 20), "{} bytes", held());
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
}
