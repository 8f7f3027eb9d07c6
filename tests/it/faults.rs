//! Each fault of the table once on real sockets: what both peers see, and what is told of it.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{
    End, Proxy, assert_same, assert_took, each, eventually, expect, pattern, read_all,
};
use crate::upstreams::{self, Upstream, gate};

/// A proxy with this one fault before an upstream.
fn with_fault<T: Send + 'static>(upstream: &Upstream<T>, fault: &str) -> Proxy {
    Proxy::start(upstream.addr, &list(fault))
}

fn list(fault: &str) -> String {
    format!(r#""faults": [{{{fault}}}]"#)
}

/// Sends all of it, then the end, and reads what comes back and how it ended.
fn exchange(client: &TcpStream, sent: &[u8]) -> (Vec<u8>, End) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = (&*client).write_all(sent); // the fault may end it
            let _ = client.shutdown(Shutdown::Write);
        });
        read_all(client)
    })
}

/// What is told of a fault for the first time: action, fault.
fn injected(proxy: &Proxy) -> (String, String) {
    let told = proxy.wait_for("injected");
    (told.text("action").to_owned(), told.text("fault").to_owned())
}

#[test]
fn bytes_stay_the_same_where_nothing_says_otherwise() {
    let faults = [
        (r#""type": "noop", "direction": "both""#, 0),
        (r#""type": "slow_close", "delay": 150"#, 150),
        (r#""type": "slicer", "average_size": 700, "size_variation": 300, "delay": "100us""#, 0),
        (r#""type": "bandwidth", "rate": "2MB/s""#, 150),
        (r#""type": "bandwidth", "direction": "upstream", "rate": 2000, "burst": "100kB""#, 100),
        (r#""type": "hang", "after_bytes": 1000, "for": "150ms", "then": "resume""#, 150),
        (r#""type": "connect_delay", "value": "150ms""#, 150),
        (r#""type": "loss", "loss": "2%", "rtt": 20, "direction": "both""#, 20),
        (r#""type": "loss", "burst": {"loss": 0.02, "mean": 3}, "rtt": 10, "cc": "none""#, 0),
        (r#""type": "bandwidth", "rate": 0, "for": "150ms""#, 150),
        (r#""type": "latency", "latency": 150, "afterBytes": 299999"#, 150),
        (r#""type": "timeout", "afterBytes": 300000, "times": 1"#, 0),
        (r#""type": "drop", "mode": "shadow""#, 0),
        (r#""type": "timeout", "mode": "shadow""#, 0),
        (r#""type": "reset", "enabled": false"#, 0),
    ];
    each(faults, |(fault, low)| {
        let upstream = upstreams::echo();
        let proxy = with_fault(&upstream, fault);
        let (begun, sent) = (Instant::now(), pattern(300_000, 3));
        let (came, end) = exchange(&proxy.connect(), &sent);
        assert_took(begun.elapsed(), low, low + 3_000, fault); // some 20 packets are lost
        assert_same(&came, &sent, fault);
        assert_eq!(end, End::Fin, "{fault}");
        proxy.balanced();
    });
}

#[test]
fn a_timeout_loses_the_bytes_and_closes_after_the_silence() {
    let upstream = upstreams::sink();
    let fault = r#""type": "timeout", "direction": "upstream", "timeout": 100"#;
    let proxy = with_fault(&upstream, fault);
    let mut client = proxy.connect();
    let begun = Instant::now();
    client.write_all(b"lost").unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    assert_took(begun.elapsed(), 100, 300, "the silence");
    assert_eq!(upstream.outcome(), b"");
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
    let mut told = [injected(&proxy).0, injected(&proxy).0];
    told.sort();
    assert_eq!(told, ["closed", "swallowed"]);
}

#[test]
fn a_timeout_that_is_removed_closes() {
    let upstream = upstreams::sink();
    let proxy = with_fault(&upstream, r#""type": "timeout", "direction": "upstream""#);
    let mut client = proxy.connect();
    client.write_all(b"lost").unwrap();
    assert_eq!(injected(&proxy).0, "swallowed");
    proxy.set_faults("");
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    assert_eq!(upstream.outcome(), b"");
}

#[test]
fn resets_come_where_they_were_asked_for() {
    let faults = [
        (r#""type": "reset_peer", "timeout": 100"#, 100, 0),
        (r#""type": "reset", "after_bytes": 1234, "after": 100"#, 100, 1234),
        (r#""type": "hang", "after_bytes": 1234, "for": 100, "then": "reset""#, 100, 1234),
        (r#""type": "lose_response""#, 20, 0),
    ];
    each(faults, |(fault, low, passed)| {
        let upstream = upstreams::echo();
        let proxy = with_fault(&upstream, fault);
        let (begun, sent) = (Instant::now(), pattern(3_000, 4));
        let mut client = proxy.connect();
        client.write_all(&sent).unwrap();
        let (came, end) = read_all(&client);
        assert_took(begun.elapsed(), low, low + 300, fault);
        assert_same(&came, &sent[..passed], fault);
        assert_eq!(end, End::Reset, "{fault}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "fault", "{fault}");
    });
}

/// A connection that is half closed is still a live one.
#[test]
fn a_fault_that_comes_after_the_clients_fin_acts() {
    let (saw_fin, wait_for_fin) = gate();
    let upstream = Upstream::start(move |stream| {
        assert_eq!(read_all(&stream), (b"x".to_vec(), End::Fin));
        saw_fin();
        eventually("a reset after the FIN", || stream.take_error().unwrap().is_some());
    });
    let proxy = with_fault(&upstream, r#""type": "noop""#);
    let mut client = proxy.connect();
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    wait_for_fin();
    proxy.set_faults(&list(r#""type": "reset", "direction": "upstream""#));
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
    upstream.outcome();
}

#[test]
fn limit_data_passes_exactly_so_many() {
    let upstream = upstreams::echo();
    let proxy = with_fault(&upstream, r#""type": "limit_data", "bytes": "100kB""#);
    let sent = pattern(300_000, 5);
    let (came, end) = exchange(&proxy.connect(), &sent);
    assert_same(&came, &sent[..100_000], "the limit");
    assert!(end != End::Silence, "{end:?}");
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
}

#[test]
fn nothing_passes_at_rate_0_until_it_is_removed() {
    let upstream = upstreams::echo();
    let proxy = with_fault(&upstream, r#""type": "bandwidth", "rate": 0"#);
    let client = proxy.connect();
    (&client).write_all(b"held").unwrap();
    assert_eq!(injected(&proxy), ("held".into(), "bandwidth_downstream".into()));
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Silence));
    proxy.set_faults("");
    client.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    expect(&client, "held");
}

#[test]
fn corrupt_damages_exactly_so_many_and_the_same_ones_each_time() {
    let fault = r#""type": "corrupt", "per_mib": 8, "kind": "overwrite", "afterBytes": "64KiB""#;
    let damaged = || {
        let upstream = upstreams::echo();
        let proxy = with_fault(&upstream, fault);
        let sent = pattern((1 << 20) + (64 << 10), 6);
        let (came, end) = exchange(&proxy.connect(), &sent);
        assert_eq!((came.len(), end), (sent.len(), End::Fin));
        assert_same(&came[..64 << 10], &sent[..64 << 10], "the part that stays whole");
        let differ = (0..sent.len()).filter(|at| came[*at] != sent[*at]);
        let differ: Vec<(usize, u8)> = differ.map(|at| (at, came[at])).collect();
        let closed = proxy.wait_for("closed");
        let injected = &closed.fields["injected"][0];
        assert_eq!((&injected["action"], &injected["bytes"]), (&"changed".into(), &8.into()));
        differ
    };
    let first = damaged();
    assert_eq!(first.len(), 8, "{first:?}");
    assert_eq!(damaged(), first, "the same seed");
}

#[test]
fn a_hang_is_silent_until_the_client_leaves() {
    let upstream = upstreams::echo();
    let proxy = with_fault(&upstream, r#""type": "hang", "after_bytes": 4"#);
    let client = proxy.connect();
    (&client).write_all(b"okay, lost").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    assert_eq!(read_all(&client), (b"okay".to_vec(), End::Silence));
    crate::support::reset(client);
    eventually("nobody left", || proxy.running().in_flight() == 0);
}

#[test]
fn exact_sampling_takes_exactly_its_share() {
    let upstream = upstreams::one_byte();
    let fault = r#""type": "drop", "probability": "25%", "sampling": "exact""#;
    let proxy = with_fault(&upstream, fault);
    for _ in 0..40 {
        read_all(&proxy.connect());
    }
    assert_eq!(proxy.balanced().dropped, 10);
}

#[test]
fn triggers_choose_connections_by_number() {
    let upstream = upstreams::one_byte();
    let proxy = with_fault(&upstream, r#""type": "drop", "every": 3, "first": 7"#);
    let ends: Vec<End> = (0..9).map(|_| read_all(&proxy.connect()).1).collect();
    let dropped: Vec<usize> = (1..=9).filter(|number| ends[number - 1] == End::Reset).collect();
    assert_eq!(dropped, [3, 6]);
}

#[test]
fn a_fault_acts_so_many_times_and_never_again() {
    let upstream = upstreams::one_byte();
    let knobs = list(r#""type": "drop", "probability": 0.5, "times": 3"#);
    let config = Proxy::config(&upstream.addr.to_string(), &knobs);
    let plan = chaos_proxy::config::read(config.as_bytes()).unwrap();
    for run in ["one", "another"] {
        let running = chaos_proxy::embed::Running::start(plan.clone()).unwrap();
        let connect = || TcpStream::connect(running.addr("r").unwrap()).unwrap();
        let ends: Vec<End> = (0..20).map(|_| read_all(&connect()).1).collect();
        assert_eq!(ends.iter().filter(|end| **end == End::Reset).count(), 3, "{run}: {ends:?}");
    }
    let at_once = with_fault(&upstream, r#""type": "drop", "times": 7"#);
    let ask = || (0..10).filter(|_| read_all(&at_once.connect()).1 == End::Reset).count();
    let dropped: usize = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(ask));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(dropped, 7);
}

#[test]
fn a_round_trip_and_a_named_link() {
    each([(r#""rtt": "100ms""#, 100), (r#""profile": "cable""#, 56)], |(knobs, low)| {
        let upstream = upstreams::echo();
        let proxy = Proxy::start(upstream.addr, knobs);
        let begun = Instant::now();
        assert_eq!(exchange(&proxy.connect(), b"hello"), (b"hello".to_vec(), End::Fin), "{knobs}");
        assert_took(begun.elapsed(), low, low + 20, knobs);
    });
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, r#""profile": "offline""#);
    let client = proxy.connect();
    (&client).write_all(b"hello").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Silence));
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn connections_share_the_line_of_their_route() {
    let upstream = upstreams::echo();
    let fault = r#""type": "bandwidth", "rate": "2MB/s", "scope": "route""#;
    let (proxy, sent) = (with_fault(&upstream, fault), pattern(100_000, 5));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let ask = || assert_eq!(exchange(&proxy.connect(), &sent), (sent.clone(), End::Fin));
        (0..4).for_each(|_| drop(scope.spawn(ask)));
    });
    assert_took(begun.elapsed(), 200, 260, "4 times 100 kB at 2 MB/s");
    proxy.balanced();
}

#[test]
fn connections_beyond_a_rate_are_reset() {
    let upstream = upstreams::echo();
    let proxy =
        with_fault(&upstream, r#""type": "rate_limit", "requests_per_second": 1, "burst": 2"#);
    for _ in 0..2 {
        assert_eq!(exchange(&proxy.connect(), b"let in"), (b"let in".to_vec(), End::Fin));
    }
    let beyond = proxy.connect();
    assert_eq!(read_all(&beyond), (Vec::new(), End::Reset));
    assert_eq!(proxy.wait_for("dropped").text("mode"), "reset");
    proxy.balanced();
}
