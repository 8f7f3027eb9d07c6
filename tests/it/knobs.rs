//! latencyMs, dropRate and live changes, as a client and an upstream see them.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;

use crate::support::{
    End, Proxy, assert_same, assert_took, eventually, expect, pattern, read_all, receive,
};
use crate::upstreams::{self, Upstream};

#[test]
fn each_answer_comes_a_latency_later() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, r#""latencyMs": 40"#);
    let mut client = proxy.connect();
    for round in 0..4 {
        let begun = Instant::now();
        client.write_all(b"ping").unwrap();
        expect(&client, "ping");
        assert_took(begun.elapsed(), 40, 70, &format!("round {round}"));
    }
    client.shutdown(Shutdown::Write).unwrap();
    let delayed = proxy.wait_for("delayed");
    assert_eq!(delayed.text("fault"), "latency_downstream");
    assert_eq!((delayed.text("direction"), delayed.number("ms")), ("downstream", 40.0));
    proxy.wait_for("closed");
    assert_eq!(proxy.take_all("delayed").len(), 0, "told once");
}

/// What `closed` says of delays: chunks and the sum in ms, by direction.
fn delays(closed: &crate::support::Told) -> Vec<(String, f64, f64)> {
    let list = closed.fields.get("delayed").and_then(|list| list.as_array().cloned());
    let number = |item: &serde_json::Value, key: &str| item[key].as_f64().unwrap();
    let one = |item: &serde_json::Value| {
        let direction = item["direction"].as_str().unwrap().to_owned();
        (direction, number(item, "chunks"), number(item, "ms"))
    };
    list.unwrap_or_default().iter().map(one).collect()
}

#[test]
fn requests_sent_at_once_share_one_latency() {
    let (arrived, arrivals) = unbounded();
    let upstream = Upstream::start(move |mut stream| {
        for number in 0..20 {
            expect(&stream, &format!("{number:02}"));
            arrived.send(Instant::now()).unwrap();
            stream.write_all(format!("{number:02}").as_bytes()).unwrap();
        }
    });
    let proxy = Proxy::start(upstream.addr, r#""latencyMs": 150"#);
    let mut client = proxy.connect();
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.push(Instant::now());
        client.write_all(format!("{number:02}").as_bytes()).unwrap();
    }
    for (number, sent) in sent.iter().enumerate() {
        expect(&client, &format!("{number:02}"));
        assert_took(sent.elapsed(), 150, 250, &format!("answer {number}"));
        let up = receive(&arrivals, "the upstream's time").duration_since(*sent);
        assert_took(up, 0, 100, &format!("request {number} is not delayed"));
    }
    client.shutdown(Shutdown::Write).unwrap();
    let closed = proxy.wait_for("closed");
    let delays = delays(&closed);
    assert_eq!(delays.len(), 1, "one direction only: {closed:?}");
    let (direction, chunks, sum) = &delays[0];
    assert_eq!(direction, "downstream");
    assert!((sum / chunks - 150.0).abs() < 0.001, "nothing adds up: {closed:?}");
}

#[test]
fn latency_leaves_bytes_and_throughput_alone() {
    const LENGTH: usize = 8 << 20;
    let sent = pattern(LENGTH, 9);
    let answer = sent.clone();
    let upstream = Upstream::start(move |mut stream| {
        read_all(&stream);
        stream.write_all(&answer)
    });
    let proxy = Proxy::start(upstream.addr, r#""latencyMs": 100"#);
    let client = proxy.connect();
    let begun = Instant::now();
    client.shutdown(Shutdown::Write).unwrap();
    let (came, end) = read_all(&client);
    // At 64 KiB a chunk, 128 delays one after the other would be 12.8 s.
    assert_took(begun.elapsed(), 100, 1_000, "8 MiB through 100 ms");
    assert_same(&came, &sent, "through 100 ms");
    assert_eq!(end, End::Fin);
}

#[test]
fn a_rate_of_one_drops_all_and_dials_none() {
    let ends = [("reset", End::Reset), ("close", End::Fin)];
    for (mode, expected) in ends {
        let upstream = upstreams::echo();
        let knobs = format!(r#""dropRate": 1, "dropMode": "{mode}""#);
        let proxy = Proxy::start(upstream.addr, &knobs);
        for _ in 0..10 {
            let mut client = proxy.connect();
            if expected == End::Fin {
                client.write_all(b"unread").unwrap(); // and still no RST behind the FIN
            }
            assert_eq!(read_all(&client), (Vec::new(), expected), "{mode}");
            drop(client);
            assert_eq!(proxy.wait_for("dropped").text("mode"), mode);
        }
        let figures = proxy.balanced();
        assert_eq!((figures.accepted, figures.dropped, figures.closed), (10, 10, 0), "{mode}");
        assert_eq!(upstream.accepted(), 0, "{mode}: never dialled");
    }
}

#[test]
fn a_dropped_connection_that_hangs_meets_the_timeout() {
    let upstream = upstreams::echo();
    let knobs = r#""dropRate": 1, "dropMode": "hang", "timeoutMs": 100"#;
    let proxy = Proxy::start(upstream.addr, knobs);
    let begun = Instant::now();
    let mut client = proxy.connect();
    client.write_all(b"anybody there?").unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    assert_took(begun.elapsed(), 100, 300, "silence");
    assert_eq!(proxy.wait_for("dropped").text("mode"), "hang");
    assert_eq!(proxy.wait_for("timed_out").text("limit"), "idle");
    drop(client);
    proxy.balanced();
    assert_eq!(upstream.accepted(), 0, "never dialled");
}

#[test]
fn a_dropped_connection_that_hangs_is_silent_until_the_client_leaves() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, r#""dropRate": 1, "dropMode": "hang""#);
    let client = proxy.connect();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Silence));
    proxy.wait_for("dropped");
    assert_eq!(proxy.running().in_flight(), 1);
    drop(client);
    assert_eq!(proxy.balanced().dropped, 1);
    let held = proxy.connect();
    proxy.wait_for("dropped");
    assert_took(proxy.stop(), 0, 500, "stopping with one that hangs");
    assert_eq!(read_all(&held), (Vec::new(), End::Reset));
}

#[test]
fn a_rate_of_zero_drops_none() {
    let upstream = upstreams::one_byte();
    let proxy = Proxy::start(upstream.addr, r#""dropRate": 0"#);
    for _ in 0..50 {
        assert_eq!(read_all(&proxy.connect()), (b"k".to_vec(), End::Fin));
    }
    assert_eq!(proxy.balanced().dropped, 0);
}

/// One client that says whether it was served.
fn is_served(client: &TcpStream) -> bool {
    match read_all(client) {
        (bytes, End::Fin) if bytes == b"k" => true,
        (bytes, End::Reset | End::Fin) if bytes.is_empty() => false,
        other => panic!("neither served nor dropped: {other:?}"),
    }
}

/// The numbers of the dropped ones among 200 connections by so many clients.
fn dropped_numbers(seed: u64, mode: &str, clients: u64) -> BTreeSet<u64> {
    const CONNECTIONS: u64 = 200;
    let upstream = upstreams::one_byte();
    let knobs = format!(r#""dropRate": 0.3, "dropMode": "{mode}""#);
    let config = Proxy::config(&upstream.addr.to_string(), &knobs)
        .replace(r#""seed": 7"#, &format!(r#""seed": {seed}"#));
    let proxy = Proxy::with_config(&config);
    let served: u64 = std::thread::scope(|scope| {
        let client = || {
            let rounds = 0..CONNECTIONS / clients;
            rounds.filter(|_| is_served(&proxy.connect())).count() as u64
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let figures = proxy.balanced();
    assert_eq!((figures.accepted, figures.dropped), (CONNECTIONS, CONNECTIONS - served));
    let dropped: BTreeSet<u64> = proxy.take_all("dropped").iter().map(|told| told.conn).collect();
    assert_eq!(dropped.len() as u64, figures.dropped, "each told once");
    dropped
}

#[test]
fn the_seed_says_who_is_dropped() {
    let first = dropped_numbers(7, "reset", 1);
    assert!((40..=80).contains(&first.len()), "about 60 of 200: {first:?}");
    assert_eq!(dropped_numbers(7, "reset", 1), first, "the same seed");
    assert_eq!(
        dropped_numbers(7, "close", 8),
        first,
        "the same seed, another mode, 8 clients at once"
    );
    assert_ne!(dropped_numbers(8, "reset", 1), first, "another seed");
}

#[test]
fn latency_added_to_an_idle_connection_acts_on_the_next_bytes() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let mut client = proxy.connect();
    client.write_all(b"before").unwrap();
    expect(&client, "before");
    for latency in [40, 60] {
        proxy.set_faults(&format!(r#""latencyMs": {latency}"#));
        let begun = Instant::now();
        client.write_all(b"after").unwrap();
        expect(&client, "after");
        assert_took(begun.elapsed(), latency, latency + 60, "the latency in force");
    }
    proxy.set_faults("");
    let begun = Instant::now();
    client.write_all(b"again").unwrap();
    expect(&client, "again");
    assert_took(begun.elapsed(), 0, 30, "without faults");
}

#[test]
fn removing_latency_releases_what_waits_in_order() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, r#""latencyMs": 3600000"#);
    let client = proxy.connect();
    let sent = pattern(500_000, 11);
    (&client).write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    upstream.outcome(); // the answer and its FIN are on their way
    proxy.wait_for("delayed");
    assert_eq!(proxy.figures().bytes_down, 0);
    proxy.set_faults("");
    let (came, end) = read_all(&client);
    assert_same(&came, &sent, "released");
    assert_eq!(end, End::Fin);
    proxy.balanced();
}

#[test]
fn faults_change_all_the_time_and_bytes_stay_the_same() {
    const LENGTH: usize = 2 << 20;
    let sent = pattern(LENGTH, 12);
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    let (came, end) = std::thread::scope(|scope| {
        scope.spawn(|| {
            for piece in sent.chunks(3_001) {
                (&client).write_all(piece).unwrap();
            }
            client.shutdown(Shutdown::Write).unwrap();
        });
        let reader = scope.spawn(|| read_all(&client));
        let both = r#""faults": [{"type": "latency", "direction": "both", "latency": "3ms"}]"#;
        for knobs in [r#""latencyMs": 5"#, both, "", r#""latencyMs": 1"#].into_iter().cycle() {
            if reader.is_finished() {
                break;
            }
            proxy.set_faults(knobs);
        }
        reader.join().unwrap()
    });
    assert_same(&came, &sent, "under changes");
    assert_eq!(end, End::Fin);
    proxy.balanced();
}

#[test]
fn a_drop_rate_set_live_acts_on_new_connections_only() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let mut old = proxy.connect();
    proxy.wait_for("connected");
    proxy.set_faults(r#""dropRate": 1"#);
    assert_eq!(read_all(&proxy.connect()), (Vec::new(), End::Reset));
    old.write_all(b"still here").unwrap();
    expect(&old, "still here");
    drop(old);
    eventually("both gone", || proxy.running().in_flight() == 0);
    let figures = proxy.balanced();
    assert_eq!((figures.accepted, figures.dropped, figures.closed), (2, 1, 1));
}

#[test]
fn a_change_of_an_unknown_route_is_refused() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    assert!(!proxy.running().set_faults("nobody", Vec::new()));
    assert_eq!(proxy.running().addr("nobody"), None);
}
