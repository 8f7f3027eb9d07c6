//! Where Toxiproxy crashes, freezes or forgets, and we do not: by way of its own API.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::api::{Proxied, expect_silence, live, proxied};
use crate::support::{End, PATIENCE, assert_took, connect, eventually, expect, read_all};
use crate::upstreams::{self, Unreachable, Upstream, echo_back, gate};

#[test]
fn an_upstream_that_swallows_the_dial_freezes_nothing() {
    let (nowhere, upstream) = (Unreachable::start(), upstreams::echo());
    let mut p = proxied(nowhere.addr);
    let _hanging = connect(p.addr);
    eventually("the dial is on", || p.served.running.in_flight() == 1);
    p.api.ask(200, "GET", "/proxies", "");
    p.api.create("other", upstream.addr);
    p.api.add(r#"{"type": "latency"}"#);
    p.api.ask(204, "POST", "/reset", "");
    // The next client of the same proxy is not held up by the one whose dial hangs.
    let _second = connect(p.addr);
    eventually("both are served", || p.served.running.in_flight() == 2);
    let begun = std::time::Instant::now();
    p.api.delete("p");
    assert_took(begun.elapsed(), 0, 500, "a delete during a dial");
    eventually("the dials are over", || p.served.running.in_flight() == 0);
}

#[test]
fn a_client_that_does_not_read_freezes_nothing() {
    let upstream = Upstream::start(|mut stream| while stream.write_all(&[b'x'; 65536]).is_ok() {});
    let mut p = proxied(upstream.addr);
    p.api.add(r#"{"type": "latency", "attributes": {"latency": 5}}"#);
    let deaf = connect(p.addr);
    let bytes = |p: &Proxied| p.served.running.figures("p").unwrap().bytes_down;
    let mut last = 0;
    eventually("the proxy is stuffed", || {
        let now = bytes(&p);
        std::thread::park_timeout(Duration::from_millis(20));
        std::mem::replace(&mut last, now) == now && now > 0
    });
    let begun = std::time::Instant::now();
    p.api.update("latency_downstream", r#"{"attributes": {"latency": 1}}"#);
    p.api.remove("latency_downstream");
    p.api.ask(200, "GET", "/proxies", "");
    assert_took(begun.elapsed(), 0, 500, "changes of a proxy with a client that does not read");
    assert!(deaf.peek(&mut [0]).is_ok(), "it is still there");
    p.api.delete("p");
    eventually("it is cut", || p.served.running.in_flight() == 0);
}

#[test]
fn a_reset_peer_that_waits_freezes_nothing() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    p.api.add(r#"{"type": "reset_peer", "attributes": {"timeout": 3600000}}"#);
    (&client).write_all(b"lost").unwrap();
    expect_silence(&client);
    p.api.update("reset_peer_downstream", r#"{"attributes": {"timeout": 0}}"#);
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
}

/// Each of them is the death of Toxiproxy at the first byte.
#[test]
fn the_four_requests_that_crash_toxiproxy() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    for toxic in [
        r#"{"type": "slicer"}"#,
        r#"{"type": "slicer", "attributes": {"average_size": 1, "size_variation": 500}}"#,
    ] {
        p.api.add(toxic);
        live(p.addr);
        p.api.remove("slicer_downstream");
    }
    for (toxic, path) in [
        (r#"{"type": "bandwidth", "attributes": {"rate": -1}}"#, "attributes.rate: -1 ("),
        (r#"{"type": "latency", "attributes": {"jitter": 5000000000000000000}}"#, "jitter: 5"),
    ] {
        let told = p.api.ask(400, "POST", "/proxies/p/toxics", toxic).json();
        let error = told["error"].as_str().unwrap();
        assert!(error.contains(path) && error.contains(".."), "the value and the range: {error}");
    }
    live(p.addr);
}

/// Which of 32 connections a toxic of toxicity 0.5 takes.
fn taken(mut p: Proxied) -> Vec<bool> {
    p.api.add(r#"{"type": "limit_data", "toxicity": 0.5}"#);
    let is_taken = |_| {
        let mut client = connect(p.addr);
        let _ = client.write_all(b"x"); // may be over before
        client.read(&mut [0]).map_or(true, |count| count == 0)
    };
    (0..32).map(is_taken).collect()
}

#[test]
fn the_seed_decides_and_unrelated_changes_do_not() {
    let upstream = upstreams::echo();
    let first = taken(proxied(upstream.addr));
    assert!(first.contains(&true) && first.contains(&false), "{first:?}");
    let mut other = proxied(upstream.addr);
    other.api.add(r#"{"type": "latency"}"#);
    let second = taken(other);
    assert_eq!(second, first, "the same seed, and a toxic more");
}

/// A connection keeps its lot when its neighbours come and go.
#[test]
fn the_lot_of_a_connection_is_drawn_once() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    p.api.add(r#"{"type": "timeout", "toxicity": 0.5}"#);
    let clients: Vec<TcpStream> = (0..16).map(|_| connect(p.addr)).collect();
    let passes = |client: &TcpStream| {
        let mut client = client;
        client.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        client.write_all(b"x").unwrap();
        client.read(&mut [0]).is_ok()
    };
    let lucky: Vec<&TcpStream> = clients.iter().filter(|client| passes(client)).collect();
    assert!((1..16).contains(&lucky.len()), "{}", lucky.len());
    for n in 0..20 {
        p.api.add(&json!({"type": "latency", "name": n.to_string()}).to_string());
        p.api.update("timeout_downstream", "{}");
        p.api.remove(&n.to_string());
    }
    for mut client in lucky {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"y").unwrap();
        expect(client, "y");
    }
}

#[test]
fn reset_peer_resets_connections_that_were_open_and_none_at_toxicity_0() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    p.api.add(r#"{"type": "reset_peer", "toxicity": 0}"#);
    for spared in [&client, &live(p.addr)] {
        let mut spared = spared;
        spared.write_all(b"x").unwrap();
        expect(spared, "x");
    }
    let leaving = live(p.addr);
    leaving.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&leaving), (Vec::new(), End::Fin), "a normal close stays one");
    p.api.update("reset_peer_downstream", r#"{"toxicity": 1}"#);
    (&client).write_all(b"x").unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
}

#[test]
fn connections_through_limit_data_leave_nothing_behind() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    p.api.add(r#"{"type": "limit_data", "attributes": {"bytes": 1}}"#);
    for _ in 0..200 {
        let mut client = connect(p.addr);
        client.write_all(b"xy").unwrap();
        assert_eq!(read_all(&client).0, b"x");
    }
    eventually("nobody is left", || p.served.running.in_flight() == 0);
    assert_eq!(p.served.running.figures("p").unwrap().active(), 0);
}

#[test]
fn a_half_close_leaves_the_response_whole_whatever_toxic_passes_it_on() {
    let upstream = Upstream::start(|stream| {
        let (asked, _) = read_all(&stream);
        (&stream).write_all(&asked.repeat(1_000)).unwrap();
    });
    let mut p = proxied(upstream.addr);
    for toxic in ["latency", "slicer", "slow_close", "noop"] {
        for stream in ["upstream", "downstream"] {
            p.api.add(&json!({"type": toxic, "stream": stream}).to_string());
        }
        let mut client = connect(p.addr);
        client.write_all(b"asked").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (came, end) = read_all(&client);
        assert_eq!((came.len(), end), (5_000, End::Fin), "{toxic}");
        p.api.ask(204, "POST", "/reset", "");
    }
}

#[test]
fn an_update_is_made_whole_or_not_at_all() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    p.api.add(r#"{"type": "latency", "attributes": {"latency": 1, "jitter": 1}}"#);
    let path = "/proxies/p/toxics/latency_downstream";
    let before = p.api.ask(200, "GET", path, "").body;
    for wrong in [
        r#"{"attributes": {"latency": 3600000, "jitter": -1}}"#,
        r#"{"attributes": {"latency": 3600000}, "toxicity": 7}"#,
        r#"{"attributes": {"latency": 3600000, "jiter": 1}}"#,
    ] {
        p.api.ask(400, "PATCH", path, wrong);
        assert_eq!(p.api.ask(200, "GET", path, "").body, before, "{wrong}");
    }
    live(p.addr);
}

/// What Toxiproxy's own tests assert of toxics that come and go under a live connection.
#[test]
fn a_connection_survives_a_hundred_changes() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let mut client = live(p.addr);
    for n in 0..100 {
        let toxic = ["latency", "slicer", "noop", "bandwidth"][n % 4];
        let stream = ["upstream", "downstream"][n % 2];
        let attributes = if toxic == "bandwidth" { json!({"rate": 1000}) } else { json!({}) };
        let body = json!({"type": toxic, "stream": stream, "attributes": attributes});
        p.api.add(&body.to_string());
        client.write_all(b"hello").unwrap();
        expect(&client, "hello");
        p.api.remove(&format!("{toxic}_{stream}"));
    }
    p.api.ask(204, "POST", "/reset", "");
    client.write_all(b"hello").unwrap();
    expect(&client, "hello");
}

#[test]
fn removing_rate_0_under_constant_writes_hangs_nothing() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    client.set_nonblocking(true).unwrap();
    let write_much = || {
        let (mut client, mut taken) = (&client, 0);
        while let Ok(count) = client.write(&[b'x'; 65536]) {
            taken += count;
            if taken > 64 << 20 {
                panic!("{taken} bytes and no end");
            }
        }
        taken
    };
    p.api.add(r#"{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 0}}"#);
    let mut taken = write_much();
    p.api.remove("bandwidth_upstream");
    client.set_nonblocking(false).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (came, end) = read_all(&client);
    taken -= came.len();
    assert_eq!((taken, end), (0, End::Fin), "what was held came whole");
}

/// `gate` keeps the upstream open, so that only the toxic can be what ends it.
#[test]
fn a_timeout_of_toxicity_0_passes_and_closes_when_it_is_raised() {
    let (release, held) = gate();
    let upstream = Upstream::start(move |stream| {
        echo_back(&stream);
        held();
    });
    let mut p = proxied(upstream.addr);
    p.api.add(r#"{"type": "timeout", "attributes": {"timeout": 100}, "toxicity": 0}"#);
    let client = live(p.addr);
    p.api.update("timeout_downstream", r#"{"toxicity": 1}"#);
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    release();
}

#[test]
fn the_port_is_refused_when_the_answer_to_a_disable_or_delete_is_there() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    for _ in 0..20 {
        let client = live(p.addr);
        p.api.ask(200, "POST", "/proxies/p", r#"{"enabled": false}"#);
        let refused = TcpStream::connect(p.addr).map_err(|error| error.kind());
        assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "live ones are ended");
        p.api.ask(200, "POST", "/proxies/p", r#"{"enabled": true}"#);
    }
    p.api.delete("p");
    let refused = TcpStream::connect(p.addr).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
}
