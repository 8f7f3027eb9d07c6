//! timeoutMs, lifetimeMs, connectTimeoutMs and maxConnections.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;

use crate::support::{End, PATHS, Proxy, assert_took, each, eventually, expect, read_all, receive};
use crate::upstreams::{self, Unreachable, Upstream};

/// These knobs together with those of a way through the relay.
fn with(knobs: &str, path: &str) -> String {
    let comma = if path.is_empty() { "" } else { ", " };
    format!("{knobs}{comma}{path}")
}

#[test]
fn silence_meets_the_idle_timeout() {
    each(PATHS, |path| {
        let upstream = upstreams::sink();
        let proxy = Proxy::start(upstream.addr, &with(r#""timeoutMs": 100"#, path));
        let begun = Instant::now();
        let client = proxy.connect();
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{path}");
        assert_took(begun.elapsed(), 100, 250, path);
        let timed_out = proxy.wait_for("timed_out");
        assert_eq!((timed_out.text("limit"), timed_out.number("ms")), ("idle", 100.0));
        assert_eq!(proxy.wait_for("closed").text("reason"), "timed_out");
        assert_eq!(upstream.outcome(), b"", "{path}: the upstream is closed too");
        let figures = proxy.balanced();
        assert_eq!((figures.timed_out, figures.closed), (1, 1));
    });
}

#[test]
fn a_half_closed_connection_meets_the_idle_timeout_too() {
    each(PATHS, |path| {
        let upstream = Upstream::start(|stream| {
            (read_all(&stream).0, stream) // which says nothing, and is held open
        });
        let proxy = Proxy::start(upstream.addr, &with(r#""timeoutMs": 200"#, path));
        let mut client = proxy.connect();
        let begun = Instant::now();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (question, held) = upstream.outcome();
        assert_eq!(question, b"question");
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{path}");
        assert_took(begun.elapsed(), 200, 450, path);
        assert_eq!(proxy.wait_for("timed_out").text("limit"), "idle");
        drop(held);
        proxy.balanced();
    });
}

#[test]
fn bytes_held_by_a_fault_are_no_progress() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, r#""timeoutMs": 100, "latencyMs": 3600000"#);
    let begun = Instant::now();
    let mut client = proxy.connect();
    client.write_all(b"x").unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    assert_took(begun.elapsed(), 100, 300, "a byte that is held");
    assert_eq!(proxy.wait_for("timed_out").text("limit"), "idle");
    proxy.balanced();
}

#[test]
fn a_busy_upload_keeps_a_silent_download_open() {
    each([PATHS[0], PATHS[2]], |path| {
        let (arrived, arrivals) = unbounded();
        let upstream = Upstream::start(move |mut stream| {
            let mut byte = [0];
            while let Ok(1) = stream.read(&mut byte) {
                arrived.send(()).unwrap();
            }
        });
        let proxy = Proxy::start(upstream.addr, &with(r#""timeoutMs": 300"#, path));
        let mut client = proxy.connect();
        let begun = Instant::now();
        let mut last = begun;
        while begun.elapsed() < Duration::from_millis(600) {
            last = Instant::now();
            client.write_all(b"x").unwrap();
            receive(&arrivals, "a byte of the upload");
        }
        assert_eq!(proxy.take_all("timed_out").len(), 0, "{path}: busy for twice the timeout");
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{path}");
        assert_took(last.elapsed(), 300, 500, path);
        assert_eq!(proxy.wait_for("timed_out").text("limit"), "idle");
        proxy.balanced();
    });
}

#[test]
fn a_busy_connection_meets_its_lifetime() {
    each(PATHS, |path| {
        let upstream = upstreams::echo();
        let proxy = Proxy::start(upstream.addr, &with(r#""lifetimeMs": 100"#, path));
        let begun = Instant::now();
        let mut client = proxy.connect();
        let mut byte = [0];
        while client.write_all(b"x").is_ok() && matches!(client.read(&mut byte), Ok(1)) {
            assert!(begun.elapsed() < crate::support::PATIENCE, "{path}: it never ends");
        }
        assert_took(begun.elapsed(), 100, 250, path);
        let timed_out = proxy.wait_for("timed_out");
        assert_eq!((timed_out.text("limit"), timed_out.number("ms")), ("lifetime", 100.0));
        assert_eq!(proxy.wait_for("closed").text("reason"), "timed_out");
        drop(client);
        assert_eq!(proxy.balanced().timed_out, 1);
    });
}

#[test]
fn an_upstream_that_never_answers_the_dial() {
    let upstream = Unreachable::start();
    each([r#""connectTimeoutMs": 100"#, r#""timeoutMs": 100"#], |knobs| {
        let proxy = Proxy::start(upstream.addr, knobs);
        let begun = Instant::now();
        let client = proxy.connect();
        assert_eq!(read_all(&client), (Vec::new(), End::Reset), "{knobs}");
        assert_took(begun.elapsed(), 100, 250, knobs);
        let timed_out = proxy.wait_for("timed_out");
        assert_eq!((timed_out.text("limit"), timed_out.number("ms")), ("connect", 100.0));
        let failed = proxy.wait_for("upstream_failed");
        let expected = format!("timed out while connecting to {}", upstream.addr);
        assert_eq!(failed.text("reason"), expected);
        let figures = proxy.balanced();
        assert_eq!((figures.upstream_failed, figures.closed), (1, 0), "{knobs}");
    });
}

#[test]
fn a_dial_lasts_no_longer_than_the_connection_may() {
    let upstream = Unreachable::start();
    each(
        [(r#""timeoutMs": 100"#, "idle"), (r#""lifetimeMs": 100"#, "lifetime")],
        |(knob, limit)| {
            let config = format!(r#"{knob}, "connectTimeoutMs": 60000"#);
            let proxy = Proxy::start(upstream.addr, &config);
            let begun = Instant::now();
            assert_eq!(read_all(&proxy.connect()), (Vec::new(), End::Reset), "{config}");
            assert_took(begun.elapsed(), 100, 250, &config);
            let timed_out = proxy.wait_for("timed_out");
            assert_eq!((timed_out.text("limit"), timed_out.number("ms")), (limit, 100.0));
        },
    );
}

#[test]
fn one_connection_more_than_allowed_is_reset() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, r#""maxConnections": 2"#);
    let begun = Instant::now();
    let mut held = [proxy.connect(), proxy.connect()];
    for client in &mut held {
        client.write_all(b"x").unwrap();
        expect(client, "x");
    }
    for _ in 0..5 {
        assert_eq!(read_all(&proxy.connect()), (Vec::new(), End::Reset));
    }
    assert_eq!(proxy.wait_for("refused").text("reason"), "maxConnections");
    let more = proxy.take_all("refused").len() as u64;
    assert!(more <= begun.elapsed().as_secs(), "at most once a second, came {more} more");
    drop(held);
    let figures = proxy.balanced();
    assert_eq!((figures.accepted, figures.refused, figures.closed), (7, 5, 2));
    assert_eq!(upstream.accepted(), 2);
}

#[test]
fn places_come_back() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, r#""maxConnections": 2"#);
    for round in 0..1_000 {
        // A client sees the end a moment before the place is given back, and is back at once.
        let mut client = proxy.connect();
        client.write_all(b"x").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&client), (b"x".to_vec(), End::Fin), "round {round}");
    }
    let figures = proxy.balanced();
    assert_eq!((figures.accepted, figures.closed, figures.refused), (1_000, 1_000, 0));
}

#[test]
fn places_come_back_from_every_end() {
    let upstream = upstreams::one_byte();
    let knobs = r#""maxConnections": 1, "dropRate": 0.5, "timeoutMs": 10000"#;
    let proxy = Proxy::start(upstream.addr, knobs);
    for _ in 0..100 {
        eventually("the place", || proxy.running().in_flight() == 0);
        let client = proxy.connect();
        read_all(&client);
    }
    let figures = proxy.balanced();
    assert_eq!(figures.accepted, 100);
    assert_eq!(figures.refused, 0);
    assert!(figures.dropped > 20 && figures.closed > 20, "{figures:?}");
}

#[test]
fn everything_at_once_balances() {
    let upstream = upstreams::one_byte();
    let config = Proxy::config(
        &upstream.addr.to_string(),
        r#""dropRate": 0.2, "latencyMs": 2, "maxConnections": 3, "timeoutMs": 5000"#,
    );
    let proxy = Proxy::with_config(&config);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..25).for_each(|_| drop(read_all(&proxy.connect()))));
        }
    });
    let figures = proxy.balanced();
    assert_eq!(figures.accepted, 200);
    assert_eq!(proxy.take_all("closed").len() as u64, figures.closed);
    assert_eq!(proxy.take_all("dropped").len() as u64, figures.dropped);
    assert_eq!(upstream.accepted() as u64, figures.closed, "served or not dialled");
}
