//! The figures that are promised, measured on real sockets: lower bounds always, upper ones and
//! the long runs under `RUN_SLOW_TESTS`. `make slow` prints nothing of them unless one fails; with
//! `-- --nocapture figures` each says what it measured.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{End, Proxy, assert_same, expect, pattern, read_all, slow};
use crate::upstreams::{self, Upstream};

/// A proxy with this one fault before an upstream that sends these bytes once it hears a byte.
fn sending(fault: &str, bytes: Vec<u8>, message: usize) -> (Upstream<()>, Proxy) {
    let upstream = Upstream::start(move |mut stream| {
        expect(&stream, "?");
        for message in bytes.chunks(message) {
            if stream.write_all(message).is_err() {
                return; // the test has seen enough
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
    });
    let proxy = Proxy::start(upstream.addr, &format!(r#""faults": [{{{fault}}}]"#));
    (upstream, proxy)
}

/// Asks for the bytes, and reads them all; how long that took.
fn fetched(proxy: &Proxy) -> (Vec<u8>, Duration) {
    let client = proxy.connect();
    let begun = Instant::now();
    (&client).write_all(b"?").unwrap();
    let (came, end) = read_all(&client);
    assert_eq!(end, End::Fin);
    (came, begun.elapsed())
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// The value that so many of a hundred are not above.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

#[test]
fn latency_is_late_by_little() {
    let (count, delay) = if slow() { (300, 20.0) } else { (20, 5.0) };
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, &format!(r#""latencyMs": {delay}"#));
    let mut client = proxy.connect();
    let mut late: Vec<f64> = (0..count)
        .map(|_| {
            let begun = Instant::now();
            client.write_all(b"x").unwrap();
            expect(&client, "x");
            ms(begun.elapsed()) - delay
        })
        .collect();
    late.sort_by(f64::total_cmp);
    let (p50, p99) = (percentile(&late, 50), percentile(&late, 99));
    eprintln!("latency {delay} ms: a round trip is late by p50 {p50:.2} ms, p99 {p99:.2} ms");
    assert!(late[0] >= 0.0, "early: {late:?}");
    assert!(!slow() || p99 < 5.0, "p99 {p99} ms: {late:?}");
}

#[test]
fn kilobytes_480_at_1000_kb_a_second_take_480_ms() {
    let sent = pattern(480_000, 1);
    let (_upstream, proxy) = sending(r#""type": "bandwidth", "rate": 1000"#, sent.clone(), 480_000);
    let (came, took) = fetched(&proxy);
    assert_same(&came, &sent, "480 kB");
    eprintln!("480 kB at 1000 kB/s: {:.2} ms", ms(took));
    assert!(ms(took) >= 480.0, "{took:?}");
    assert!(!slow() || ms(took) <= 485.0, "{took:?}");
}

/// Two seconds at each rate, in messages of each size; shared lines, too.
#[test]
fn bandwidth_holds_in_the_long_run() {
    let cases = [
        (1_000, 20, "connection"),
        (1_000, 1_000, "route"),
        (100_000, 100, "connection"),
        (10_000_000, 1_448, "connection"),
        (10_000_000, 65_536, "route"),
        (100_000_000, 65_536, "connection"),
    ];
    for (rate, message, scope) in cases.into_iter().filter(|_| slow()) {
        let fault = format!(r#""type": "bandwidth", "rate": "{rate}B/s", "scope": "{scope}""#);
        let (_upstream, proxy) = sending(&fault, vec![7; 2 * rate], message);
        let (came, took) = fetched(&proxy);
        let error = took.as_secs_f64() / 2.0 - 1.0;
        eprintln!("{rate} B/s in messages of {message}, {scope}: {:.3} %", error * 100.0);
        assert_eq!(came.len(), 2 * rate);
        assert!((0.0..0.01).contains(&error), "{fault}: {took:?}");
    }
}

/// A request of 100 bytes that is lost once costs RTT + 200 ms.
#[test]
fn a_lost_request_costs_a_round_trip_and_200_ms() {
    let upstream = upstreams::echo();
    let fault = r#""type": "loss", "direction": "upstream", "loss": 0.3, "rtt": "50ms""#;
    // The round trip is there, too: else the next request would come before an acknowledgement.
    let knobs = format!(r#""rtt": "50ms", "faults": [{{{fault}}}]"#);
    let proxy = Proxy::start(upstream.addr, &knobs);
    let mut client = proxy.connect();
    let request = "q".repeat(100);
    let mut costs = Vec::new();
    // Lost once: 250; twice: 250 and then 500 ms. What lies between may be a pause of the machine.
    let is_once = |cost: &f64| (250.0..400.0).contains(cost);
    while costs.len() < 60 && (slow() || !costs.last().is_some_and(is_once)) {
        let begun = Instant::now();
        client.write_all(request.as_bytes()).unwrap();
        expect(&client, &request);
        costs.push(ms(begun.elapsed()) - 50.0);
    }
    let late = |cost: &f64| (100.0..400.0).contains(cost);
    let mut once: Vec<f64> = costs.iter().copied().filter(late).collect();
    once.sort_by(f64::total_cmp);
    eprintln!("a request lost once: {once:.1?}");
    assert!(once.iter().any(is_once), "{costs:?}");
    let middle = once[once.len() / 2];
    let is_near = (250.0..=250.0 * 1.15).contains(&middle);
    assert!(!slow() || (once.len() > 3 && is_near), "{costs:?}");
}

#[test]
fn ten_mib_through_10_percent_loss_are_the_same_bytes() {
    let sent = pattern(if slow() { 10 << 20 } else { 1 << 20 }, 2);
    let fault = r#""type": "loss", "loss": "10%", "rtt": "5ms", "cc": "none""#;
    let (_upstream, proxy) = sending(fault, sent.clone(), 65_536);
    let (came, took) = fetched(&proxy);
    assert_same(&came, &sent, "through loss");
    eprintln!("{} bytes through 10 % loss in {:.0} ms", came.len(), ms(took));
}

#[test]
fn a_latency_fault_carries_100_mb_a_second() {
    let length = if slow() { 400_000_000 } else { 10_000_000 };
    let fault = r#""type": "latency", "latency": "100ms""#;
    let (_upstream, proxy) = sending(fault, vec![7; length], 65_536);
    let (came, took) = fetched(&proxy);
    let mb_per_s = length as f64 / 1e6 / took.as_secs_f64();
    eprintln!("through a latency of 100 ms: {mb_per_s:.0} MB/s");
    assert_eq!(came.len(), length);
    assert!(ms(took) >= 100.0, "{took:?}");
    assert!(!slow() || mb_per_s >= 100.0, "{mb_per_s} MB/s");
}

/// A message each millisecond, each with the time at which it was sent: the last ones are no later
/// than the first ones, so the line holds what came within its delay and no more.
#[test]
fn a_delay_line_under_load_does_not_pile_up() {
    const DELAY_MS: f64 = 50.0;
    let count: u64 = if slow() { 2_000 } else { 100 };
    let epoch = Instant::now();
    let upstream = Upstream::start(move |mut stream| {
        expect(&stream, "?");
        for _ in 0..count {
            let mut message = [0; 4096];
            let now = u64::try_from(epoch.elapsed().as_nanos()).unwrap();
            message[..8].copy_from_slice(&now.to_le_bytes());
            stream.write_all(&message).unwrap();
            std::thread::park_timeout(Duration::from_millis(1));
        }
    });
    let proxy = Proxy::start(upstream.addr, &format!(r#""latencyMs": {DELAY_MS}"#));
    let mut client: TcpStream = proxy.connect();
    client.write_all(b"?").unwrap();
    let mut delays: Vec<f64> = (0..count)
        .map(|_| {
            let (mut message, mut sent) = ([0; 4096], [0; 8]);
            client.read_exact(&mut message).unwrap();
            sent.copy_from_slice(&message[..8]);
            ms(epoch.elapsed()) - u64::from_le_bytes(sent) as f64 / 1e6
        })
        .collect();
    let tenth = delays.len() / 10;
    let mean = |delays: &[f64]| delays.iter().sum::<f64>() / delays.len() as f64;
    let (first, last) = (mean(&delays[..tenth]), mean(&delays[delays.len() - tenth..]));
    delays.sort_by(f64::total_cmp);
    let p99 = percentile(&delays, 99);
    eprintln!(
        "a message each ms, 50 ms late: first tenth {first:.2}, last {last:.2}, p99 {p99:.2}"
    );
    assert!(delays[0] >= DELAY_MS, "{delays:?}");
    assert!(!slow() || last < first + 2.0, "{first} ms, then {last} ms");
}
