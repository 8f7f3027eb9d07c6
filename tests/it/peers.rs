//! Peers that misbehave by themselves: the proxy passes it on, stays bounded and can be stopped.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::{
    End, PATHS, PATIENCE, Proxy, assert_took, each, expect, patient, read_all, reset,
};
use crate::upstreams::{self, Unreachable, Upstream, gate};

#[test]
fn an_upstream_that_refuses() {
    each(PATHS, |knobs| {
        let nobody = upstreams::Nobody::start();
        let proxy = Proxy::start(nobody.addr, knobs);
        let client = proxy.connect();
        assert_eq!(read_all(&client), (Vec::new(), End::Reset), "{knobs}");
        let failed = proxy.wait_for("upstream_failed");
        assert!(failed.text("reason").contains("connection refused"), "{failed:?}");
        let figures = proxy.balanced();
        assert_eq!((figures.upstream_failed, figures.closed), (1, 0));
    });
}

#[test]
fn an_upstream_that_resets_at_once() {
    each(PATHS, |knobs| {
        let upstream = Upstream::start(reset);
        let proxy = Proxy::start(upstream.addr, knobs);
        let client = proxy.connect();
        assert_eq!(read_all(&client), (Vec::new(), End::Reset), "{knobs}");
        proxy.balanced();
    });
}

#[test]
fn an_upstream_that_closes_at_once() {
    each(PATHS, |knobs| {
        let upstream = Upstream::start(drop);
        let proxy = Proxy::start(upstream.addr, knobs);
        let client = proxy.connect();
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{knobs}");
        drop(client);
        assert_eq!(proxy.wait_for("closed").text("reason"), "finished");
        proxy.balanced();
    });
}

#[test]
fn an_unknown_name() {
    let proxy =
        Proxy::with_config(&Proxy::config("nobody.invalid:1", r#""connectTimeoutMs": 5000"#));
    let client = proxy.connect();
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
    assert_ne!(proxy.wait_for("upstream_failed").text("reason"), "");
    assert_eq!(proxy.balanced().upstream_failed, 1);
}

/// Writes until the socket takes no more for 80 ms; how much it took.
fn stuff(mut stream: &TcpStream) -> usize {
    const BOUND: usize = 512 << 20;
    stream.set_write_timeout(Some(Duration::from_millis(80))).unwrap();
    let (chunk, mut taken) = (vec![b'x'; 256 << 10], 0);
    while taken < BOUND {
        match stream.write(&chunk) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return taken,
            Err(error) => panic!("after {taken} bytes: {error}"),
        }
    }
    panic!("{taken} bytes taken and nothing read: no back-pressure");
}

/// A listener whose connections have a small receive buffer, so that they are full soon.
fn small_listener() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(16).unwrap();
    socket.into()
}

#[test]
fn an_upstream_that_does_not_read_is_felt_by_the_client() {
    const QUEUE: usize = 32 << 20; // QUEUE_BYTES_MAX of the pipeline
    const KERNEL: usize = 32 << 20; // what the buffers of two connections may hold
    each([(PATHS[0], KERNEL), (PATHS[2], QUEUE + KERNEL)], |(knobs, bound)| {
        let (go_on, wait_until_stuffed) = gate();
        let upstream = Upstream::on(small_listener(), move |stream| {
            wait_until_stuffed();
            read_all(&stream).0.len()
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let client = proxy.connect();
        let taken = stuff(&client);
        assert!(taken < bound, "{knobs}: {taken} bytes are held, at most {bound}");
        go_on();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(upstream.outcome(), taken, "{knobs}: every byte that was taken comes");
    });
}

/// An upstream that sends without end.
fn chatterbox() -> Upstream<()> {
    Upstream::start(|mut stream| while stream.write_all(&[b'x'; 64 << 10]).is_ok() {})
}

#[test]
fn a_client_that_does_not_read_meets_the_idle_timeout() {
    each(PATHS, |knobs| {
        let upstream = chatterbox();
        let comma = if knobs.is_empty() { "" } else { ", " };
        let proxy = Proxy::start(upstream.addr, &format!(r#""timeoutMs": 150{comma}{knobs}"#));
        let client = proxy.connect();
        let timed_out = proxy.wait_for("timed_out");
        assert_eq!(timed_out.text("limit"), "idle", "{knobs}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "timed_out", "{knobs}");
        proxy.balanced();
        drop(client);
    });
}

#[test]
fn an_upstream_that_was_writing_hears_of_the_idle_timeout() {
    each(PATHS, |knobs| {
        let upstream = chatterbox();
        let comma = if knobs.is_empty() { "" } else { ", " };
        let proxy = Proxy::start(upstream.addr, &format!(r#""timeoutMs": 150{comma}{knobs}"#));
        let client = proxy.connect();
        proxy.wait_for("closed");
        upstream.outcome(); // its write fails: nobody will ever read
        drop(client);
    });
}

#[test]
fn a_client_that_does_not_read_does_not_hold_up_the_end() {
    each(PATHS, |knobs| {
        let upstream = Upstream::start(|stream| stuff(&stream));
        let proxy = Proxy::start(upstream.addr, knobs);
        let client = proxy.connect();
        upstream.outcome(); // nothing moves any more
        let took = proxy.stop();
        assert_took(took, 0, 2_000, knobs);
        drop(client);
    });
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    each(PATHS, |knobs| {
        let upstream = upstreams::echo();
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        client.write_all(b"x").unwrap();
        expect(&client, "x");
        let took = proxy.stop();
        assert_took(took, 0, 500, knobs);
        assert_eq!(read_all(&client), (Vec::new(), End::Reset), "{knobs}");
    });
}

#[test]
fn a_client_that_sends_and_leaves_before_the_dial_is_done() {
    each(PATHS, |knobs| {
        let upstream = upstreams::sink();
        let proxy = Proxy::start(upstream.addr, knobs);
        for _ in 0..15 {
            let mut client = proxy.connect();
            client.write_all(b"last words").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(upstream.outcome(), b"last words", "{knobs}");
            assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{knobs}");
        }
        proxy.balanced();
    });
}

#[test]
fn a_client_that_resets_before_the_dial_is_done() {
    let upstream = Unreachable::start();
    let proxy = Proxy::start(upstream.addr, r#""connectTimeoutMs": 60000"#);
    let client = proxy.connect();
    proxy.wait_for("accepted");
    reset(client);
    assert_eq!(proxy.wait_for("closed").text("reason"), "client_reset");
    let figures = proxy.balanced();
    assert_eq!((figures.closed, figures.upstream_failed), (1, 0));
}

#[test]
fn a_dial_that_hangs_does_not_hold_up_the_end() {
    let upstream = Unreachable::start();
    let proxy = Proxy::start(upstream.addr, r#""connectTimeoutMs": 60000"#);
    let client = proxy.connect();
    proxy.wait_for("accepted");
    let took = proxy.stop();
    assert!(took < PATIENCE, "{took:?}");
    assert_took(took, 0, 500, "stopping while a dial hangs");
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
}

/// A client, an echo and a route between them, on these addresses.
fn round_trip(listen: &str, upstream_host: &str, listener: TcpListener) {
    let upstream = Upstream::on(listener, |stream| upstreams::echo_back(&stream));
    let config = format!(
        r#"[{{"name": "r", "listen": "{listen}", "upstream": "{upstream_host}:{}"}}]"#,
        upstream.addr.port()
    );
    let proxy = Proxy::with_config(&config);
    let mut client = proxy.connect();
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client), (b"hello".to_vec(), End::Fin), "{config}");
    assert_eq!(proxy.balanced().closed, 1);
}

#[test]
fn addresses_of_version_6() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: this machine has no ::1");
        return;
    };
    round_trip("[::1]:0", "[::1]", listener);
    round_trip("127.0.0.1:0", "[::1]", TcpListener::bind("[::1]:0").unwrap());
    // `localhost` stands for both; the one that answers is found.
    round_trip("[::1]:0", "localhost", TcpListener::bind("[::1]:0").unwrap());
}

#[test]
fn an_address_that_fails_before_another_is_told() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: this machine has no ::1");
        return;
    };
    let upstream = Upstream::on(listener, |stream| upstreams::echo_back(&stream));
    let to = format!("localhost:{}", upstream.addr.port());
    let proxy = Proxy::with_config(&Proxy::config(&to, ""));
    let client = proxy.connect();
    let failed = proxy.wait_for("dial_failed");
    assert!(failed.text("reason").starts_with("127.0.0.1:"), "{failed:?}");
    assert_eq!(proxy.wait_for("connected").text("upstream"), upstream.addr.to_string());
    drop(client);
}

#[test]
fn the_name_localhost() {
    round_trip("localhost:0", "localhost", TcpListener::bind("127.0.0.1:0").unwrap());
    round_trip("127.0.0.1:0", "LOCALHOST", TcpListener::bind("127.0.0.1:0").unwrap());
}

#[test]
fn many_at_once_are_kept_apart() {
    const CLIENTS: usize = 60;
    for knobs in PATHS {
        let upstream = upstreams::echo();
        let proxy = Proxy::start(upstream.addr, knobs);
        let addr = proxy.addr();
        let wrong = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let wrong = &wrong;
                scope.spawn(move || {
                    let mut client = patient(TcpStream::connect(addr).unwrap());
                    let sent = crate::support::pattern(5_000 + number, number as u32);
                    client.write_all(&sent).unwrap();
                    client.shutdown(Shutdown::Write).unwrap();
                    if read_all(&client) != (sent, End::Fin) {
                        wrong.lock().unwrap().push(number);
                    }
                });
            }
        });
        assert_eq!(*wrong.lock().unwrap(), Vec::<usize>::new(), "{knobs}");
        assert_eq!(proxy.balanced().closed, CLIENTS as u64);
    }
}

#[test]
fn the_end_while_many_connect() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let addr = proxy.addr();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let connecting = scope.spawn(move || {
            while let Ok(stream) = TcpStream::connect(addr) {
                drop(stream);
                assert!(begun.elapsed() < PATIENCE, "it never stops to accept");
            }
        });
        (0..20).for_each(|_| drop(proxy.wait_for("accepted")));
        proxy.stop();
        connecting.join().unwrap();
    });
}
