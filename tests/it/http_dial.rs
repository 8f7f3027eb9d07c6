//! When the upstream of an http route is dialled, and what the client and the log are told of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use crate::http_route::{ok, serve, told, web};
use crate::support::{
    End, PATHS, Proxy, assert_same, assert_took, eventually, expect, pattern, read_all, reset,
};
use crate::upstreams::{Nobody, Unreachable, Upstream};

const HTTP: &str = r#""protocol": "http""#;

/// What these faults answer, and what they let pass.
const ABORTED: &str = "GET /no HTTP/1.1\r\nHost: a\r\n\r\n";
const CLEAN: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET /z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The knobs of an http route with this fault for `/no` alone.
fn aborting(fault: &str) -> String {
    format!(r#"{HTTP}, "faults": [{{{fault}, "match": {{"path": "/no"}}}}]"#)
}

const ERROR: &str = r#""type": "http_error", "status": 503, "body": "no""#;

/// The answer of `ERROR`.
const ERROR_ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain; charset=utf-8\r\nX-Chaos-Faults: http_error;status=503\r\n\
    Content-Length: 2\r\n\r\nno";

/// An http route to somebody who does not answer a dial, with such knobs.
fn to_nowhere(upstream: &Unreachable, knobs: &str) -> Proxy {
    let comma = if knobs.is_empty() { "" } else { ", " };
    Proxy::start(upstream.addr, &format!(r#"{HTTP}, "connectTimeoutMs": 60000{comma}{knobs}"#))
}

/// Waits until the proxy dials for a request of which it has to pass on so many bytes.
fn dials_for(proxy: &Proxy, request: &str) {
    eventually("the dial is on", || proxy.figures().received[0] >= request.len() as u64);
}

/// The statuses of answers.
fn statuses(answers: &[u8]) -> Vec<String> {
    let answers = String::from_utf8_lossy(answers).into_owned();
    answers.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect()
}

fn send(mut client: &TcpStream, bytes: impl AsRef<[u8]>) {
    client.write_all(bytes.as_ref()).unwrap();
}

#[test]
fn what_is_answered_here_needs_no_upstream() {
    let nobody = Nobody::start();
    for (fault, answers, end) in [
        (r#""type": "http_error", "status": 503"#, "503", End::Silence),
        (r#""type": "http_timeout", "timeout": 20"#, "504", End::Silence),
        (r#""type": "connection_error", "kind": "close""#, "", End::Fin),
        (r#""type": "connection_error", "kind": "reset""#, "", End::Reset),
    ] {
        let proxy = Proxy::start(nobody.addr, &aborting(fault));
        let client = proxy.connect();
        send(&client, ABORTED);
        let mut some = [0; 12];
        match answers {
            "" => assert_eq!(read_all(&client), (Vec::new(), end), "{fault}"),
            status => {
                (&client).read_exact(&mut some).unwrap();
                assert_eq!(some[9..], *status.as_bytes(), "{fault}");
            }
        }
        drop(client);
        let figures = proxy.balanced();
        assert_eq!((figures.closed, figures.upstream_failed), (1, 0), "{fault}");
        assert_eq!(figures.upstream_up, None, "{fault}: nobody was dialled");
        assert!(proxy.take_all("upstream_failed").is_empty(), "{fault}");
    }
}

#[test]
fn what_is_refused_needs_no_upstream() {
    let nobody = Nobody::start();
    let rate = r#""faults": [{"type": "rate_limit", "requests_per_second": 1, "burst": 1}]"#;
    let proxy = Proxy::start(nobody.addr, &format!("{HTTP}, {rate}"));
    let ask = |request: &str| {
        let client = proxy.connect();
        send(&client, request);
        let (answer, end) = read_all(&client);
        assert_eq!(end, End::Fin);
        statuses(&answer).concat()
    };
    assert_eq!(ask("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), "400");
    let (mut allowed, mut refused) = (0, 1);
    eventually("one beyond the rate", || {
        let status = ask(LAST);
        assert!(["429", "502"].contains(&&*status), "{status}");
        allowed += u64::from(status == "502");
        refused += u64::from(status == "429");
        status == "429"
    });
    let figures = proxy.balanced();
    assert_eq!((figures.closed, figures.upstream_failed), (refused, allowed));
}

/// The one that needs the upstream gets 502, behind those that did not, and is the last one.
#[test]
fn a_bad_gateway_behind_answers_of_our_own() {
    let nobody = Nobody::start();
    let proxy = Proxy::start(nobody.addr, &aborting(ERROR));
    for requests in [
        vec![[ABORTED, ABORTED, CLEAN, ABORTED].concat()],
        vec![ABORTED.into(), ABORTED.into(), CLEAN.into()],
    ] {
        let client = proxy.connect();
        let mut answers = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            send(&client, request);
            if index + 1 < requests.len() {
                expect(&client, ERROR_ANSWER);
                answers.extend_from_slice(ERROR_ANSWER.as_bytes());
            }
        }
        let (rest, end) = read_all(&client);
        answers.extend(rest);
        assert_eq!(
            (statuses(&answers), end),
            (vec!["503".into(), "503".into(), "502".into()], End::Fin)
        );
        drop(client);
        for status in [503.0, 503.0, 502.0] {
            assert_eq!(proxy.wait_for("answered").number("status"), status);
        }
        proxy.wait_for("upstream_failed");
    }
    let figures = proxy.balanced();
    assert_eq!((figures.accepted, figures.upstream_failed, figures.closed), (2, 2, 0));
    assert_eq!(figures.upstream_up, Some(false));
    assert!(proxy.take_all("upstream_failed").is_empty(), "told once for each");
    assert!(proxy.take_all("closed").is_empty(), "each has one outcome");
    let page = proxy.running().metrics(chaos_proxy::admin::Metrics::ALL);
    let count = r#"chaos_proxy_http_requests_total{route="r",status="502",origin="proxy"} 2"#;
    assert!(page.lines().any(|line| line == count), "{page}");
}

#[test]
fn nobody_is_dialled_before_a_request_goes_there() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, &aborting(ERROR));
    let client = proxy.connect();
    for _ in 0..10 {
        send(&client, ABORTED);
        expect(&client, ERROR_ANSWER);
    }
    assert_eq!(upstream.accepted(), 0);
    assert!(proxy.take_all("connected").is_empty());
    for _ in 0..2 {
        send(&client, CLEAN);
        expect(&client, &ok("GET /a 0"));
        send(&client, ABORTED);
        expect(&client, ERROR_ANSWER);
    }
    drop(client);
    assert_eq!(upstream.outcome(), 2);
    assert_eq!(upstream.accepted(), 1);
    proxy.wait_for("connected");
    assert_eq!(proxy.wait_for("closed").text("reason"), "finished");
    assert_eq!(proxy.balanced().closed, 1);
}

#[test]
fn answers_of_both_sorts_keep_their_order() {
    let upstream = web(told);
    let late = r#""type": "http_timeout", "timeout": 30"#;
    for (fault, status) in [(ERROR, "503"), (late, "504")] {
        let proxy = Proxy::start(upstream.addr, &aborting(fault));
        let client = proxy.connect();
        send(&client, [ABORTED, CLEAN, ABORTED, ABORTED, CLEAN, CLEAN, ABORTED, LAST].concat());
        let (answers, end) = read_all(&client);
        let expected = [status, "200", status, status, "200", "200", status, "200"];
        assert_eq!((statuses(&answers), end), (expected.map(String::from).to_vec(), End::Fin));
        drop(client);
        proxy.balanced();
    }
}

#[test]
fn a_client_that_asks_nothing_is_let_go() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, &aborting(ERROR));
    for requests in [0, 1, 3] {
        let client = proxy.connect();
        send(&client, ABORTED.repeat(requests));
        client.shutdown(Shutdown::Write).unwrap();
        let (answers, end) = read_all(&client);
        assert_eq!(
            (String::from_utf8_lossy(&answers), end),
            (ERROR_ANSWER.repeat(requests).into(), End::Fin)
        );
        assert_eq!(proxy.wait_for("closed").text("reason"), "finished");
    }
    assert_eq!(upstream.accepted(), 0);
    assert_eq!(proxy.balanced().closed, 3);
}

/// Every byte of an upload comes, also of one whose client has sent its FIN before the dial.
#[test]
fn uploads_are_whole() {
    let upstream = web(|request| Some([b"HTTP/1.1 200 OK\r\n\r\n", &*request.body].concat()));
    let body = pattern(600_000, 9);
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    for path in PATHS {
        let comma = if path.is_empty() { "" } else { ", " };
        let proxy = Proxy::start(upstream.addr, &format!("{HTTP}{comma}{path}"));
        let client = proxy.connect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                send(&client, &head);
                send(&client, &body);
                client.shutdown(Shutdown::Write).unwrap();
            });
            let (answer, end) = read_all(&client);
            let came = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            assert_same(&answer[came..], &body, path);
            assert_eq!(end, End::Fin);
        });
        drop(client);
        let figures = proxy.balanced();
        assert_eq!((figures.discarded[0], figures.closed), (0, 1), "{path}");
    }
}

/// While a dial takes its time, requests wait for it, and what comes behind them; a client that has
/// sent its FIN gets its answers.
#[test]
fn what_waits_for_the_dial_goes_on_when_it_is_done() {
    let upstream = Unreachable::start();
    let body = "x".repeat(600_000); // more than is read before some of it is written
    let put = format!("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let requests = [ABORTED, &put, &body, ABORTED, CLEAN].concat();
    let faults = format!(r#"{{{ERROR}, "match": {{"path": "/no"}}}}"#);
    let latency = r#", {"type": "latency", "latency": 20, "direction": "both"}"#;
    let proxies = ["", latency].map(|more| {
        let knobs = format!(r#""timeoutMs": 30000, "explain": false, "faults": [{faults}{more}]"#);
        to_nowhere(&upstream, &knobs)
    });
    let refused = &*ERROR_ANSWER.replace("X-Chaos-Faults: http_error;status=503\r\n", "");
    let clients = proxies.each_ref().map(Proxy::connect);
    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| {
                send(client, &requests);
                client.shutdown(Shutdown::Write).unwrap();
            });
            expect(client, refused);
        }
        proxies.iter().for_each(|proxy| dials_for(proxy, CLEAN));
        let upstream = upstream.relent(serve(told));
        for client in &clients {
            let answers = [&*ok("PUT /a 600000"), refused, &ok("GET /a 0")].concat();
            let (came, end) = read_all(client);
            assert_eq!((String::from_utf8_lossy(&came), end), (answers.into(), End::Fin));
        }
        drop(upstream);
    });
    drop(clients);
    for proxy in proxies {
        let connected = proxy.wait_for("connected");
        assert!(connected.number("ms") > 0.0, "{connected:?}");
        let figures = proxy.balanced();
        assert_eq!((figures.closed, figures.discarded), (1, [0, 0]));
        assert_eq!(figures.upstream_up, Some(true));
    }
}

#[test]
fn a_name_that_is_unknown_is_a_bad_gateway() {
    let knobs = format!(r#"{HTTP}, "connectTimeoutMs": 5000"#);
    let proxy = Proxy::with_config(&Proxy::config("nobody.invalid:1", &knobs));
    let client = proxy.connect();
    send(&client, CLEAN);
    let (answer, end) = read_all(&client);
    assert_eq!((statuses(&answer), end), (vec!["502".to_owned()], End::Fin));
    assert!(proxy.wait_for("upstream_failed").text("reason").contains("nobody.invalid"));
    drop(client);
    assert_eq!(proxy.balanced().upstream_failed, 1);
}

/// An answer of our own that is due while the upstream is dialled comes in time.
#[test]
fn own_answers_go_out_while_the_upstream_is_dialled() {
    let upstream = Unreachable::start();
    let fault = r#""type": "http_timeout", "timeout": 50, "match": {"path": "/no"}"#;
    let proxy = to_nowhere(&upstream, &format!(r#""faults": [{{{fault}}}]"#));
    let client = proxy.connect();
    send(&client, [ABORTED, CLEAN].concat());
    dials_for(&proxy, CLEAN);
    expect(&client, "HTTP/1.1 504 Gateway Timeout\r\n");
    drop(client);
    let figures = proxy.balanced();
    assert_eq!((figures.closed, figures.upstream_failed), (1, 0));
}

#[test]
fn a_client_that_goes_ends_the_dial() {
    let upstream = Unreachable::start();
    for path in PATHS {
        for half_closed in [false, true] {
            let proxy = to_nowhere(&upstream, path);
            let client = proxy.connect();
            send(&client, CLEAN);
            dials_for(&proxy, CLEAN);
            if half_closed {
                client.shutdown(Shutdown::Write).unwrap();
            }
            reset(client);
            assert_eq!(proxy.wait_for("closed").text("reason"), "client_reset", "{path}");
            let figures = proxy.balanced();
            assert_eq!((figures.closed, figures.upstream_failed), (1, 0), "{path}");
            assert_eq!(figures.discarded[0], figures.received[0], "{path}");
        }
    }
}

/// A client that has its last answer from us does not wait for a dial that nobody needs.
#[test]
fn a_last_answer_of_our_own_ends_the_dial() {
    let upstream = Unreachable::start();
    let proxy = to_nowhere(&upstream, "");
    let client = proxy.connect();
    let broken = "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n";
    send(&client, broken);
    client.shutdown(Shutdown::Write).unwrap();
    let (answer, end) = read_all(&client);
    assert_eq!((statuses(&answer), end), (vec!["400".to_owned()], End::Fin));
    assert_eq!(proxy.wait_for("closed").text("reason"), "finished");
    assert_eq!(proxy.balanced().closed, 1);
}

#[test]
fn a_dial_does_not_hold_up_an_end() {
    let upstream = Unreachable::start();
    for path in PATHS {
        let proxy = to_nowhere(&upstream, path);
        let client = proxy.connect();
        send(&client, CLEAN);
        dials_for(&proxy, CLEAN);
        assert_took(proxy.stop(), 0, 500, "stopping while a dial hangs");
        assert_eq!(read_all(&client), (Vec::new(), End::Reset), "{path}");
    }
    let mut proxy = to_nowhere(&upstream, "");
    let client = proxy.connect();
    send(&client, CLEAN);
    dials_for(&proxy, CLEAN);
    proxy.drain();
    assert_eq!(proxy.running().in_flight(), 1, "it goes on");
    assert_took(proxy.stop(), 0, 500, "the end of the grace");
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
}

/// Faults that come while a dial hangs act at once.
#[test]
fn a_change_of_faults_ends_the_dial() {
    let upstream = Unreachable::start();
    let close = r#""type": "timeout", "timeout": 50, "direction": "upstream""#;
    let refuse = r#""type": "refuse", "reset_live": true"#;
    for (fault, end) in [(close, End::Fin), (refuse, End::Reset)] {
        let proxy = to_nowhere(&upstream, "");
        let client = proxy.connect();
        send(&client, CLEAN);
        dials_for(&proxy, CLEAN);
        let begun = Instant::now();
        proxy.set_faults(&format!(r#"{HTTP}, "faults": [{{{fault}}}]"#));
        assert_took(begun.elapsed(), 0, 500, "a change while a dial hangs");
        assert_eq!(read_all(&client), (Vec::new(), end), "{fault}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "fault", "{fault}");
        proxy.balanced();
    }
}

#[test]
fn a_fault_of_the_stream_ends_the_dial() {
    let upstream = Unreachable::start();
    let fault = r#""type": "reset_peer", "timeout": 50, "direction": "upstream""#;
    let proxy = to_nowhere(&upstream, &format!(r#""faults": [{{{fault}}}]"#));
    let (client, begun) = (proxy.connect(), Instant::now());
    send(&client, CLEAN);
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
    assert_took(begun.elapsed(), 50, 150, "a reset");
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
    proxy.balanced();
}

#[test]
fn a_dial_has_its_time() {
    let upstream = Unreachable::start();
    for (limits, limit) in [
        (r#""connectTimeoutMs": 200"#, "connect"),
        (r#""timeoutMs": 200"#, "connect"), // which is no longer than that
        (r#""timeoutMs": 200, "connectTimeoutMs": 60000"#, "idle"),
    ] {
        for path in PATHS {
            let comma = if path.is_empty() { "" } else { ", " };
            let proxy = Proxy::start(upstream.addr, &format!("{HTTP}, {limits}{comma}{path}"));
            let client = proxy.connect();
            let begun = Instant::now();
            send(&client, CLEAN);
            let (answer, end) = read_all(&client);
            assert_took(begun.elapsed(), 200, 450, limits);
            assert_eq!((statuses(&answer), end), (vec!["502".to_owned()], End::Fin), "{limits}");
            let timed_out = proxy.wait_for("timed_out");
            assert_eq!((timed_out.text("limit"), timed_out.number("ms")), (limit, 200.0));
            let failed = proxy.wait_for("upstream_failed");
            let expected = format!("timed out while connecting to {}", upstream.addr);
            assert_eq!(failed.text("reason"), expected);
            drop(client);
            let figures = proxy.balanced();
            assert_eq!((figures.upstream_failed, figures.closed, figures.timed_out), (1, 0, 0));
        }
    }
}

/// The budget counts from the dial, not from the accept.
#[test]
fn the_time_of_a_dial_begins_with_it() {
    let upstream = Unreachable::start();
    let delay = r#""faults": [{"type": "http_delay", "latency": 150}]"#;
    let knobs = format!(r#"{HTTP}, "connectTimeoutMs": 100, {delay}"#);
    let proxy = Proxy::start(upstream.addr, &knobs);
    let client = proxy.connect();
    let begun = Instant::now();
    send(&client, LAST);
    let (answer, _) = read_all(&client);
    assert_eq!(statuses(&answer), ["502"]);
    assert_took(begun.elapsed(), 250, 400, "a delay and a dial");
}

#[test]
fn a_lifetime_ends_the_dial() {
    let upstream = Unreachable::start();
    for path in PATHS {
        let comma = if path.is_empty() { "" } else { ", " };
        let proxy = to_nowhere(&upstream, &format!(r#""lifetimeMs": 200{comma}{path}"#));
        let begun = Instant::now();
        let client = proxy.connect();
        send(&client, CLEAN);
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{path}");
        assert_took(begun.elapsed(), 200, 350, path);
        assert_eq!(proxy.wait_for("timed_out").text("limit"), "lifetime");
        assert_eq!(proxy.wait_for("closed").text("reason"), "timed_out");
        let figures = proxy.balanced();
        assert_eq!((figures.closed, figures.timed_out, figures.upstream_failed), (1, 1, 0));
    }
}

#[test]
fn silence_meets_the_idle_timeout_without_an_upstream() {
    let nobody = Nobody::start();
    let knobs = format!(r#"{}, "timeoutMs": 150"#, aborting(ERROR));
    let proxy = Proxy::start(nobody.addr, &knobs);
    for requests in [0, 1] {
        let begun = Instant::now();
        let client = proxy.connect();
        send(&client, ABORTED.repeat(requests));
        let (answers, end) = read_all(&client);
        assert_eq!((statuses(&answers).len(), end), (requests, End::Fin));
        assert_took(begun.elapsed(), 150, 300, "silence");
        assert_eq!(proxy.wait_for("timed_out").text("limit"), "idle");
        assert_eq!(proxy.wait_for("closed").text("reason"), "timed_out");
    }
    let figures = proxy.balanced();
    assert_eq!((figures.closed, figures.timed_out, figures.upstream_failed), (2, 2, 0));
}

/// The idle time of the connection goes on with the dial, and begins anew behind it.
#[test]
fn an_upstream_that_is_reached_late_has_the_idle_time_anew() {
    let upstream = Upstream::start(|stream| (read_all(&stream).0, stream)); // it says nothing
    let delay = r#""faults": [{"type": "http_delay", "latency": 100}]"#;
    let proxy = Proxy::start(upstream.addr, &format!(r#"{HTTP}, "timeoutMs": 200, {delay}"#));
    let client = proxy.connect();
    let begun = Instant::now();
    send(&client, CLEAN);
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    assert_took(begun.elapsed(), 300, 450, "idle since the request was passed on");
    drop(upstream.outcome());
    proxy.balanced();
}

/// What one client sees of the order: its own answers, the dial, the end.
#[test]
fn the_log_tells_it_in_order() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, &aborting(ERROR));
    let client = proxy.connect();
    send(&client, ABORTED);
    expect(&client, ERROR_ANSWER);
    send(&client, LAST);
    read_all(&client);
    drop(client);
    proxy.balanced();
    let names = ["accepted", "answered", "connected", "closed"];
    let told = proxy.take_in_order(1);
    assert_eq!(told.iter().map(|told| &*told.name).collect::<Vec<_>>(), names);
    let page = proxy.running().metrics(chaos_proxy::admin::Metrics::ALL);
    for line in
        [r#"chaos_proxy_upstream_up{route="r"} 1"#, "chaos_proxy_upstream_connect_seconds_count 1"]
    {
        assert!(page.lines().any(|found| found == line), "no {line} in {page}");
    }
}

#[test]
fn everything_at_once_balances() {
    let upstream = web(told);
    let faults = r#""faults": [
        {"type": "http_error", "status": 503, "probability": 0.4},
        {"type": "connection_error", "kind": "reset", "probability": 0.1},
        {"type": "drop", "probability": 0.1},
        {"type": "latency", "latency": 1, "direction": "both"}]"#;
    let knobs = format!(r#"{HTTP}, "timeoutMs": 5000, {faults}"#);
    let nobody = Nobody::start();
    for addr in [upstream.addr, nobody.addr] {
        let proxy = Proxy::start(addr, &knobs);
        std::thread::scope(|scope| {
            for number in 0..8 {
                let proxy = &proxy;
                scope.spawn(move || {
                    for round in 0..20 {
                        let client = proxy.connect();
                        let requests = CLEAN.repeat(round % 4) + LAST;
                        let _ = (&client).write_all(requests.as_bytes()); // it may be dropped
                        match (number + round) % 3 {
                            0 => reset(client),
                            1 => drop(read_all(&client)),
                            _ => {
                                let _ = client.shutdown(Shutdown::Write);
                                read_all(&client);
                            }
                        }
                    }
                });
            }
        });
        // Those who were reset at once may not have been accepted yet.
        eventually("all accepted", || proxy.figures().accepted == 160);
        let figures = proxy.balanced();
        let times = |name| proxy.take_all(name).len() as u64;
        assert_eq!(times("closed"), figures.closed);
        assert_eq!(times("dropped"), figures.dropped);
        assert_eq!(times("upstream_failed"), figures.upstream_failed);
        for direction in 0..2 {
            let sent = [figures.bytes_up, figures.bytes_down][direction];
            assert_eq!(figures.received[direction], sent + figures.discarded[direction]);
        }
    }
}
