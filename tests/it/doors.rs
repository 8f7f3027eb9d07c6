//! Faults of the listener: refused connects, connects without an answer, and a route that flaps.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chaos_proxy::admin::Metrics;
use chaos_proxy::control::routes::RouteEdit;
use socket2::{Domain, Socket, Type};

use crate::support::{End, Proxy, Told, assert_took, connect, each, eventually, read_all, slow};
use crate::upstreams;

const REFUSE: &str = r#""faults": [{"type": "refuse", "name": "gone"}]"#;
const HANG: &str = r#""faults": [{"type": "connect_hang", "name": "silent"}]"#;

/// What a connect that is given so long comes to.
fn attempt(addr: SocketAddr, ms: u64) -> Result<TcpStream, ErrorKind> {
    TcpStream::connect_timeout(&addr, Duration::from_millis(ms)).map_err(|error| error.kind())
}

fn echoes(mut stream: &TcpStream) -> bool {
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok() && byte == *b"x"
}

fn is_refused(addr: SocketAddr) -> bool {
    attempt(addr, 10_000).err() == Some(ErrorKind::ConnectionRefused)
}

/// A turn in short: `gone refusing/refusing`: the fault's state, and the listener's.
fn short(told: &Told) -> String {
    format!("{} {}/{}", told.text("fault"), told.text("state"), told.text("listener"))
}

#[track_caller]
fn has_metric(proxy: &Proxy, line: &str) {
    let page = proxy.running().metrics(Metrics::ALL);
    assert!(page.lines().any(|own| own == line), "{line} is not in\n{page}");
}

#[test]
fn a_route_that_refuses_heals_on_its_port() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let (addr, live) = (proxy.addr(), proxy.connect());
    assert!(echoes(&live));
    for _ in 0..3 {
        proxy.set_faults(REFUSE);
        assert_eq!(short(&proxy.wait_for("turned")), "gone refusing/refusing");
        assert!(is_refused(addr));
        assert!(echoes(&live), "live connections go on");
        proxy.set_faults("");
        assert_eq!(short(&proxy.wait_for("turned")), "gone serving/serving");
        assert!(echoes(&connect(addr)));
    }
    proxy.set_faults(r#""faults": [{"type": "refuse", "enabled": false}]"#);
    assert!(echoes(&connect(addr)), "it is listed, and idle");
    drop(live);
    let figures = proxy.balanced();
    assert_eq!((figures.accepted, figures.listen_failures), (5, 0));
    let line = r#"chaos_proxy_faults_injected_total{route="r",fault="gone",type="refuse"} 3"#;
    has_metric(&proxy, line);
}

#[test]
fn it_resets_live_connections_when_asked_to_and_those_after_it_live_on() {
    let upstream = upstreams::echo();
    let silent = r#""faults": [{"type": "drop", "mode": "hang", "nth": 2}]"#;
    let proxy = Proxy::start(upstream.addr, silent);
    let (live, dropped) = (proxy.connect(), proxy.connect());
    assert!(echoes(&live));
    proxy.wait_for("dropped");
    proxy.set_faults(r#""faults": [{"type": "refuse", "reset_live": true}]"#);
    for stream in [&live, &dropped] {
        assert_eq!(read_all(stream), (Vec::new(), End::Reset));
    }
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
    proxy.set_faults("");
    assert_eq!(short(&proxy.wait_for("turned")), "refuse refusing/refusing");
    let later = proxy.connect();
    proxy.set_faults(r#""latencyMs": 1"#);
    assert!(echoes(&later), "it came after the cut");
    drop(later);
    proxy.balanced();
}

#[test]
fn who_had_connected_before_is_served() {
    let upstream = upstreams::echo();
    for knobs in [REFUSE, HANG] {
        let proxy = Proxy::start(upstream.addr, "");
        let clients: Vec<TcpStream> = (0..150).map(|_| proxy.connect()).collect();
        proxy.set_faults(knobs);
        proxy.wait_for("turned");
        assert!(clients.iter().all(echoes), "{knobs}");
        drop(clients);
        assert_eq!(proxy.balanced().accepted, 150, "{knobs}");
    }
}

/// The connection that fills the queue is told from clients that come at the same moment.
#[test]
fn clients_that_crowd_in_meanwhile_are_counted_and_nobody_else() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let (addr, over) = (proxy.addr(), AtomicBool::new(false));
    let knock = || {
        while !over.load(Ordering::Relaxed) {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
            if socket.connect_timeout(&addr.into(), Duration::from_millis(5)).is_ok() {
                let client = TcpStream::from(socket);
                client.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
                let _ = echoes(&client);
            }
        }
    };
    std::thread::scope(|scope| {
        let _ = [(); 3].map(|()| scope.spawn(knock));
        for _ in 0..30 {
            proxy.set_faults(HANG);
            assert_eq!(proxy.wait_for("turned").text("listener"), "hanging");
            proxy.set_faults("");
            assert_eq!(proxy.wait_for("turned").text("listener"), "serving");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(echoes(&proxy.connect()));
    assert!(proxy.balanced().accepted > 0);
    let peers = proxy.take_all("accepted");
    let strangers = peers.iter().filter(|told| !told.text("peer").starts_with("127.0.0.2:"));
    assert_eq!(strangers.count(), 1, "the last one alone is not of those who knocked");
}

/// The dial of a connection is cut like the rest of it.
#[test]
fn it_resets_who_still_waits_for_the_upstream() {
    let upstream = upstreams::Unreachable::start();
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    proxy.wait_for("accepted");
    proxy.set_faults(r#""faults": [{"type": "refuse", "reset_live": true}]"#);
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
    proxy.balanced();
}

#[test]
fn shadow_is_told_and_refuses_nobody() {
    let upstream = upstreams::echo();
    let refuse = r#"{"type": "refuse", "mode": "shadow", "reset_live": true}"#;
    let hang = r#"{"type": "connect_hang", "mode": "shadow"}"#;
    let proxy = Proxy::start(upstream.addr, &format!(r#""faults": [{refuse}, {hang}]"#));
    let told = [proxy.wait_for("turned"), proxy.wait_for("turned")];
    assert_eq!(told.each_ref().map(|told| told.text("mode")), ["shadow", "shadow"]);
    let expected = ["refuse refusing/serving", "connect_hang hanging/serving"];
    assert_eq!(told.each_ref().map(short), expected);
    assert!(echoes(&proxy.connect()));
    let labels = r#"route="r",fault="refuse",type="refuse""#;
    has_metric(&proxy, &format!("chaos_proxy_faults_shadow_total{{{labels}}} 1"));
    has_metric(&proxy, &format!("chaos_proxy_faults_injected_total{{{labels}}} 0"));
}

#[test]
fn a_connect_gets_no_answer_and_then_it_heals() {
    let upstream = upstreams::echo();
    each(["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::1]:0"], |listen| {
        let config = Proxy::config_on(listen, &upstream.addr.to_string(), HANG);
        let proxy = Proxy::with_config(&config);
        assert_eq!(short(&proxy.wait_for("turned")), "silent hanging/hanging", "{listen}");
        let mut addr = proxy.addr();
        if addr.ip().is_unspecified() {
            addr.set_ip([127, 0, 0, 1].into());
        }
        for _ in 0..2 {
            assert_eq!(attempt(addr, 60).err(), Some(ErrorKind::TimedOut), "{listen}");
        }
        proxy.set_faults("");
        assert!(echoes(&connect(addr)), "{listen}");
        let figures = proxy.balanced();
        assert_eq!(figures.accepted, 1, "{listen}: our own is no client");
        assert_eq!(proxy.take_all("accepted").len(), 1, "{listen}");
    });
}

#[test]
fn a_live_connection_goes_on_beside_connects_without_an_answer() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let (addr, live) = (proxy.addr(), proxy.connect());
    for _ in 0..2 {
        proxy.set_faults(HANG);
        assert_eq!(short(&proxy.wait_for("turned")), "silent hanging/hanging");
        assert!(echoes(&live));
        let begun = Instant::now();
        assert_eq!(attempt(addr, 60).err(), Some(ErrorKind::TimedOut));
        assert_took(begun.elapsed(), 60, 150, "a connect without an answer");
        proxy.set_faults(REFUSE); // from one straight to the other, and back
        eventually("it refuses", || is_refused(addr));
        proxy.set_faults(HANG);
        eventually("it hangs", || attempt(addr, 60).err() == Some(ErrorKind::TimedOut));
        proxy.set_faults("");
        assert!(echoes(&connect(addr)));
        let _ = proxy.take_all("turned");
    }
    drop(live);
    assert_eq!(proxy.balanced().accepted, 3);
}

/// A client repeats its SYN after a second, so this takes one.
#[test]
fn who_knocked_meanwhile_is_served_after_it() {
    if !slow() {
        return;
    }
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, HANG);
    proxy.wait_for("turned");
    let addr = proxy.addr();
    let clients: Vec<_> = (0..20).map(|_| std::thread::spawn(move || connect(addr))).collect();
    assert_eq!(attempt(addr, 100).err(), Some(ErrorKind::TimedOut));
    proxy.set_faults("");
    for client in clients {
        assert!(echoes(&client.join().expect("connected")));
    }
    assert_eq!(proxy.balanced().accepted, 20);
}

#[test]
fn a_flapping_route_serves_first_and_keeps_to_the_clock() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let live = proxy.connect();
    assert!(echoes(&live));
    let begun = Instant::now();
    let flap = r#"{"type": "flap", "up": "60ms", "down": "40ms", "reset_live": true}"#;
    proxy.set_faults(&format!(r#""faults": [{flap}]"#));
    for (low, state) in [(60, "refusing"), (100, "serving"), (160, "refusing")] {
        assert_eq!(proxy.wait_for("turned").text("state"), state);
        assert_took(begun.elapsed(), low, low + 30, state);
    }
    assert_eq!(read_all(&live), (Vec::new(), End::Reset));
    eventually("it serves", || attempt(proxy.addr(), 1_000).is_ok());
    eventually("it refuses", || is_refused(proxy.addr()));
}

#[test]
fn a_long_phase_ends_at_once_by_a_change_or_a_stop() {
    let upstream = upstreams::echo();
    let flap = r#""faults": [{"type": "flap", "up": "10ms", "down": "1h"}]"#;
    let proxy = Proxy::start(upstream.addr, flap);
    let addr = proxy.addr();
    assert_eq!(proxy.wait_for("turned").text("state"), "refusing");
    proxy.set_faults("");
    assert_eq!(proxy.wait_for("turned").text("state"), "serving");
    assert!(echoes(&connect(addr)));
    for knobs in [flap, HANG] {
        let mut proxy = Proxy::start(upstream.addr, knobs);
        proxy.wait_for("turned");
        proxy.drain();
        let took = proxy.stop();
        assert!(took < Duration::from_secs(10), "{knobs}: took {took:?}");
    }
}

#[test]
fn the_port_is_free_when_a_route_ends_that_refuses_or_hangs() {
    let upstream = upstreams::echo();
    for knobs in [REFUSE, HANG] {
        let proxy = Proxy::start(upstream.addr, knobs);
        let (addr, routes) = (proxy.addr(), proxy.running().routes());
        proxy.wait_for("turned");
        let enabled = |enabled| RouteEdit { enabled: Some(enabled), ..RouteEdit::default() };
        assert!(!routes.edit("r", enabled(false)).expect("disabled").enabled);
        drop(TcpListener::bind(addr).expect("the port is free"));
        assert!(routes.edit("r", enabled(true)).expect("enabled").enabled);
        proxy.wait_for("turned");
        assert!(attempt(addr, 60).is_err(), "the fault is in force again");
        routes.delete("r").expect("deleted");
        TcpListener::bind(addr).expect("the port is free");
    }
}

#[test]
fn a_port_that_was_taken_meanwhile_is_tried_again() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, REFUSE);
    let addr = proxy.addr();
    proxy.wait_for("turned");
    let thief = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    thief.set_reuse_address(true).unwrap();
    thief.bind(&addr.into()).unwrap();
    thief.listen(1).unwrap();
    let begun = Instant::now();
    proxy.set_faults("");
    assert_took(begun.elapsed(), 0, 60, "a change does not wait for the port");
    let failed = proxy.wait_for("listen_failed");
    assert_eq!(
        (failed.text("state"), failed.text("reason")),
        ("serving", "address already in use")
    );
    assert!(failed.number("retry_ms") > 0.0);
    assert_eq!(short(&proxy.wait_for("turned")), "gone serving/refusing");
    proxy.wait_for("listening"); // of the start
    drop(thief);
    proxy.wait_for("listening");
    assert!(echoes(&connect(addr)));
    assert!(proxy.balanced().listen_failures > 0);
}
