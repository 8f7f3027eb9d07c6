//! A change by way of the API is in force on live connections when its answer is there, and what
//! was under way goes on as Toxiproxy's users know it: for each toxic.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::api::{expect_silence, live, proxied};
use crate::support::{End, assert_same, assert_took, connect, expect, pattern, read_all};
use crate::upstreams::{self, Upstream};

/// Longer than any test: whatever waits for it is let go by a change alone.
const HOUR: u64 = 3_600_000;

/// How long a change waits for connections that are too busy to look; then it answers anyway.
const CHANGE_SPAN: Duration = Duration::from_millis(50);

fn round_trip(mut client: &TcpStream) -> Duration {
    let begun = Instant::now();
    client.write_all(b"hello").unwrap();
    expect(client, "hello");
    begun.elapsed()
}

/// An upstream that sends `hello` and closes.
fn closing() -> Upstream<()> {
    Upstream::start(|mut stream| {
        let _ = stream.write_all(b"hello");
    })
}

#[test]
fn every_live_connection_feels_a_change_when_it_is_answered() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let clients: Vec<TcpStream> = (0..8).map(|_| live(p.addr)).collect();
    let mut seen = 0;
    for client in &clients {
        let begun = Instant::now();
        p.api.add(r#"{"type": "latency", "attributes": {"latency": 20}}"#);
        let in_time = begun.elapsed() < CHANGE_SPAN;
        let took = round_trip(client);
        assert!(took >= Duration::from_millis(20) || !in_time, "added: {took:?}");
        let begun = Instant::now();
        p.api.update("latency_downstream", r#"{"attributes": {"latency": 30}}"#);
        let in_time = in_time && begun.elapsed() < CHANGE_SPAN;
        let took = round_trip(client);
        assert!(took >= Duration::from_millis(30) || !in_time, "updated: {took:?}");
        p.api.remove("latency_downstream");
        assert_took(round_trip(client), 0, 20, "removed");
        seen += usize::from(in_time);
    }
    assert!(seen > 0, "no change was answered within {CHANGE_SPAN:?}");
}

#[test]
fn latency_lets_go_of_what_waits_when_it_changes() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    for change in [
        r#"{"attributes": {"latency": 0}}"#,
        r#"{"attributes": {"latency": 3600000}}"#, // the same again: a restart lets go, too
        r#"{"toxicity": 0}"#,
    ] {
        p.api.add(r#"{"type": "latency", "attributes": {"latency": 3600000}}"#);
        (&client).write_all(b"first").unwrap();
        expect_silence(&client);
        (&client).write_all(b"second").unwrap();
        p.api.update("latency_downstream", change);
        expect(&client, "first");
        p.api.remove("latency_downstream");
        expect(&client, "second");
    }
}

#[test]
fn bandwidth_lets_go_of_the_rest_when_it_changes_or_goes() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    let sent = pattern(20_000, 1);
    for removed in [false, true] {
        p.api.add(r#"{"type": "bandwidth", "attributes": {"rate": 1}}"#);
        (&client).write_all(&sent).unwrap();
        let mut came = vec![0; 100];
        (&client).read_exact(&mut came).unwrap(); // the first piece: a tenth of a second of them
        if removed {
            p.api.remove("bandwidth_downstream");
        } else {
            p.api.update("bandwidth_downstream", r#"{"attributes": {"rate": 0}}"#);
        }
        let mut rest = vec![0; sent.len() - 100];
        (&client).read_exact(&mut rest).unwrap();
        assert!([came, rest].concat() == sent, "in order, once");
        if !removed {
            (&client).write_all(b"held").unwrap();
            expect_silence(&client);
            p.api.remove("bandwidth_downstream");
            expect(&client, "held");
        }
    }
}

#[test]
fn slicer_lets_go_of_the_rest_when_it_goes() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    // A piece each second, and more of them than the client has patience for.
    let slow = r#"{"average_size": 1, "delay": 1000000}"#;
    p.api.add(&format!(r#"{{"type": "slicer", "attributes": {slow}}}"#));
    let sent = "hello".repeat(10);
    (&client).write_all(sent.as_bytes()).unwrap();
    expect(&client, "h");
    expect_silence(&client);
    p.api.remove("slicer_downstream");
    expect(&client, &sent[1..]);
}

#[test]
fn slow_close_begins_anew_when_it_changes_and_closes_at_once_when_it_goes() {
    let upstream = closing();
    let mut p = proxied(upstream.addr);
    let add = format!(r#"{{"type": "slow_close", "attributes": {{"delay": {HOUR}}}}}"#);
    for removed in [false, true] {
        p.api.add(&add);
        let client = connect(p.addr);
        expect(&client, "hello");
        expect_silence(&client);
        if !removed {
            let begun = Instant::now();
            p.api.update("slow_close_downstream", r#"{"attributes": {"delay": 100}}"#);
            assert_eq!(read_all(&client), (Vec::new(), End::Fin));
            assert_took(begun.elapsed(), 100, 300, "the new delay, from the update on");
        }
        p.api.remove("slow_close_downstream");
        assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    }
}

#[test]
fn timeout_begins_anew_when_it_changes_and_closes_when_it_goes() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    p.api.add(r#"{"type": "timeout"}"#);
    (&client).write_all(b"lost").unwrap();
    expect_silence(&client);
    let begun = Instant::now();
    p.api.update("timeout_downstream", r#"{"attributes": {"timeout": 100}}"#);
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    assert_took(begun.elapsed(), 100, 300, "from the update");
    for path in ["/proxies/p/toxics/timeout_downstream", "/reset"] {
        p.api.ask(204, "POST", "/reset", "");
        let client = live(p.addr);
        p.api.add(r#"{"type": "timeout"}"#);
        expect_silence(&client);
        p.api.ask(204, if path == "/reset" { "POST" } else { "DELETE" }, path, "");
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "bytes may be missing");
        live(p.addr);
    }
}

#[test]
fn limit_data_counts_on_through_a_change_and_anew_when_it_comes_back() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let limit =
        |bytes: u32| format!(r#"{{"type": "limit_data", "attributes": {{"bytes": {bytes}}}}}"#);
    p.api.add(&limit(8));
    let client = live(p.addr); // 5 bytes of 8
    p.api.remove("limit_data_downstream");
    p.api.add(&limit(8)); // 0 of 8
    round_trip(&client);
    p.api.update("limit_data_downstream", r#"{"attributes": {"bytes": 7}}"#);
    (&client).write_all(b"hello").unwrap();
    assert_eq!(read_all(&client).0, b"he", "5 had passed before the change");
    let client = live(p.addr);
    p.api.update("limit_data_downstream", r#"{"attributes": {"bytes": 4}}"#);
    expect_silence(&client); // already beyond it: the next chunk closes
    (&client).write_all(b"hello").unwrap();
    assert_eq!(read_all(&client).0, b"");
}

#[test]
fn idle_connections_are_left_alone_by_what_waits_for_a_byte() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    for toxic in ["reset_peer", "limit_data"] {
        p.api.add(&format!(r#"{{"type": "{toxic}"}}"#));
        expect_silence(&client);
        p.api.remove(&format!("{toxic}_downstream"));
        round_trip(&client);
    }
}

/// A stream at full speed never looks up from its work for long.
#[test]
fn changes_do_not_wait_for_a_busy_connection() {
    let upstream = upstreams::echo();
    let mut p = proxied(upstream.addr);
    let client = live(p.addr);
    let sent = pattern(8 << 20, 9);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&client).write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        let reader = scope.spawn(|| read_all(&client));
        let mut changes = 0;
        while changes < 5 || !reader.is_finished() && changes < 50 {
            let begun = Instant::now();
            p.api.add(r#"{"type": "slicer", "attributes": {"average_size": 4096}}"#);
            p.api.remove("slicer_downstream");
            assert_took(begun.elapsed(), 0, 200, "two changes of a busy connection");
            changes += 1;
        }
        let (came, end) = reader.join().unwrap();
        assert_same(&came, &sent, "through the changes");
        assert_eq!(end, End::Fin);
    });
}
