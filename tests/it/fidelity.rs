//! Bytes, FIN and RST pass as they came: nothing changed, lost or reordered without a fault.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::support::{
    End, PATHS, Proxy, assert_same, each, eventually, expect, pattern, read_all, reset,
};
use crate::upstreams::{Upstream, gate};

/// Runs a test on every way through the relay.
fn on_every_path(test: impl Fn(&str) + Sync) {
    each(PATHS, test);
}

#[test]
fn the_answer_after_the_clients_fin_is_complete() {
    on_every_path(|knobs| {
        let answer = pattern(300_000, 1);
        let sent = answer.clone();
        let upstream = Upstream::start(move |mut stream| {
            let question = read_all(&stream);
            for piece in sent.chunks(70_001) {
                stream.write_all(piece).unwrap();
            }
            question
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (came, end) = read_all(&client);
        assert_same(&came, &answer, knobs);
        assert_eq!(end, End::Fin, "{knobs}");
        assert_eq!(upstream.outcome(), (b"question".to_vec(), End::Fin), "{knobs}");
        let closed = proxy.wait_for("closed");
        assert_eq!(closed.text("reason"), "finished", "{closed:?}");
        let bytes = (closed.number("bytes_up"), closed.number("bytes_down"));
        assert_eq!(bytes, (8.0, 300_000.0), "{closed:?}");
        assert_eq!(proxy.balanced().closed, 1);
    });
}

#[test]
fn a_client_goes_on_sending_after_the_upstreams_fin() {
    on_every_path(|knobs| {
        let upstream = Upstream::start(|mut stream| {
            stream.write_all(b"bye").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            read_all(&stream)
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        assert_eq!(read_all(&client), (b"bye".to_vec(), End::Fin), "{knobs}");
        let sent = pattern(300_000, 2);
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (came, end) = upstream.outcome();
        assert_same(&came, &sent, knobs);
        assert_eq!(end, End::Fin, "{knobs}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "finished");
    });
}

#[test]
fn a_reset_by_the_client_reaches_the_upstream() {
    on_every_path(|knobs| {
        let upstream = Upstream::start(|mut stream| {
            expect(&stream, "x");
            stream.write_all(b"y").unwrap();
            read_all(&stream)
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        client.write_all(b"x").unwrap();
        expect(&client, "y");
        reset(client);
        assert_eq!(upstream.outcome(), (Vec::new(), End::Reset), "{knobs}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "client_reset");
        proxy.balanced();
    });
}

#[test]
fn a_reset_by_the_upstream_reaches_the_client() {
    on_every_path(|knobs| {
        let upstream = Upstream::start(|stream| {
            expect(&stream, "x");
            reset(stream);
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        client.write_all(b"x").unwrap();
        assert_eq!(read_all(&client), (Vec::new(), End::Reset), "{knobs}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "upstream_reset");
        proxy.balanced();
    });
}

#[test]
fn bytes_before_a_reset_still_come() {
    on_every_path(|knobs| {
        let sent = pattern(10_000, 3);
        let answer = sent.clone();
        let (sent_all, wait_for_client) = gate();
        let upstream = Upstream::start(move |mut stream| {
            wait_for_client();
            stream.write_all(&answer).unwrap();
            reset(stream);
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let client = proxy.connect();
        proxy.wait_for("connected");
        sent_all();
        let (came, end) = read_all(&client);
        assert_same(&came, &sent, knobs);
        assert_eq!(end, End::Reset, "{knobs}");
    });
}

#[test]
fn bytes_of_a_client_before_its_reset_still_come() {
    on_every_path(|knobs| {
        let upstream = Upstream::start(|stream| read_all(&stream));
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        proxy.wait_for("connected");
        let sent = pattern(10_000, 4);
        client.write_all(&sent).unwrap();
        reset(client);
        let (came, end) = upstream.outcome();
        assert_same(&came, &sent, knobs);
        assert_eq!(end, End::Reset, "{knobs}");
    });
}

#[test]
fn a_reset_by_the_upstream_after_the_clients_fin() {
    on_every_path(|knobs| {
        let upstream = Upstream::start(|stream| {
            let question = read_all(&stream);
            reset(stream);
            question
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&client), (Vec::new(), End::Reset), "{knobs}");
        assert_eq!(upstream.outcome(), (b"question".to_vec(), End::Fin), "{knobs}");
        assert_eq!(proxy.wait_for("closed").text("reason"), "upstream_reset");
    });
}

#[test]
fn a_reset_by_the_client_after_its_fin() {
    on_every_path(|knobs| {
        let (saw_fin, wait_for_fin) = gate();
        let upstream = Upstream::start(move |stream| {
            assert_eq!(read_all(&stream), (b"x".to_vec(), End::Fin));
            saw_fin();
            // After a FIN a reset is no error of reading (tcp(7)): it is one of the socket.
            eventually("a reset after the FIN", || stream.take_error().unwrap().is_some());
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        client.write_all(b"x").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        wait_for_fin();
        reset(client);
        upstream.outcome();
        assert_eq!(proxy.wait_for("closed").text("reason"), "client_reset");
    });
}

#[test]
fn a_reset_by_the_client_after_the_upstreams_fin() {
    on_every_path(|knobs| {
        let upstream = Upstream::start(|stream| {
            stream.shutdown(Shutdown::Write).unwrap();
            read_all(&stream)
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let client = proxy.connect();
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{knobs}");
        reset(client);
        assert_eq!(upstream.outcome(), (Vec::new(), End::Reset), "{knobs}");
    });
}

/// Reads all of `length` bytes in pieces of odd sizes.
fn read_oddly(mut stream: &TcpStream, length: usize) -> Vec<u8> {
    let (mut bytes, mut filled) = (vec![0; length], 0);
    for size in [7, 1, 4093].into_iter().cycle() {
        let to = (filled + size).min(length);
        match stream.read(&mut bytes[filled..to]) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    bytes.truncate(filled);
    bytes
}

#[test]
fn much_both_ways_at_once() {
    const LENGTH: usize = 16 << 20;
    let up = pattern(LENGTH, 5);
    let down = pattern(LENGTH, 6);
    on_every_path(|knobs| {
        let (answer, expected) = (down.clone(), up.clone());
        let upstream = Upstream::start(move |stream| {
            std::thread::scope(|scope| {
                let writer = scope.spawn(|| {
                    (&stream).write_all(&answer).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                });
                let came = read_oddly(&stream, LENGTH);
                writer.join().unwrap();
                assert_same(&came, &expected, "upstream");
                read_all(&stream)
            })
        });
        let proxy = Proxy::start(upstream.addr, knobs);
        let client = proxy.connect();
        let came = std::thread::scope(|scope| {
            scope.spawn(|| {
                (&client).write_all(&up).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            });
            read_oddly(&client, LENGTH)
        });
        assert_same(&came, &down, knobs);
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{knobs}");
        assert_eq!(upstream.outcome(), (Vec::new(), End::Fin), "{knobs}");
        let figures = proxy.balanced();
        assert_eq!((figures.bytes_up, figures.bytes_down), (LENGTH as u64, LENGTH as u64));
    });
}

#[test]
fn a_byte_is_passed_on_without_waiting_for_more() {
    on_every_path(|knobs| {
        let upstream = crate::upstreams::echo();
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        for round in 0..5 {
            let byte = round.to_string();
            client.write_all(byte.as_bytes()).unwrap();
            expect(&client, &byte);
        }
    });
}
