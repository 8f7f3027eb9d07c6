//! Clients of the admin API that are slow, silent or many, all at once: nobody else notices, and
//! each of them is ended when its time is over.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chaos_proxy::shell::admin_server::Limits;
use chaos_proxy::units::Span;
use socket2::{Domain, Socket, Type};

use crate::api::{Api, Served, served, served_with};
use crate::support::{PATIENCE, assert_took, connect, eventually, patient};
use crate::upstreams::Nobody;

/// Each kind of slow client so many times.
const EACH: usize = 4;

/// Connections that say nothing; more than there are seats.
const SILENT: usize = 200;

/// A client that gives the kernel little room for what it does not read.
fn small_client(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(&addr.into()).unwrap();
    patient(socket.into())
}

/// Sends a byte every few milliseconds until it is ended; what it was told.
fn drip(mut client: TcpStream, start: &str) -> String {
    client.write_all(start.as_bytes()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let (mut told, mut buffer, begun) = (Vec::new(), [0; 1024], Instant::now());
    loop {
        match client.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => told.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let _ = client.write(b"x"); // refused once it is ended
            }
            Err(_) => break,
        }
        assert!(begun.elapsed() < PATIENCE, "never ended: {start:?}");
    }
    String::from_utf8_lossy(&told).into_owned()
}

/// Asks for much, again and again, and reads nothing until it is ended.
fn swallow_nothing(mut client: TcpStream) {
    let asked = "GET /proxies HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client.set_nonblocking(true).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match client.write(asked.as_bytes()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Err(_) => return,
        }
    }
    panic!("a client that reads nothing is never ended");
}

/// Many proxies with long toxics: a listing is more than kernels keep.
fn much(served: &Served) {
    let (mut api, nobody) = (Api::connect(served.addr), Nobody::start());
    let toxic = format!(r#"{{"type": "latency", "name": "{}"}}"#, "x".repeat(200));
    let toxics = (0..20).map(|n| toxic.replacen('x', &format!("{n}-"), 1));
    let toxics = toxics.collect::<Vec<_>>().join(",");
    for n in 0..20 {
        let rest = r#""listen": "127.0.0.1:0", "enabled": false"#;
        let upstream = nobody.addr;
        let body =
            format!(r#"{{"name": "{n}", "upstream": "{upstream}", {rest}, "toxics": [{toxics}]}}"#);
        api.ask(201, "POST", "/proxies", &body);
    }
    let listing = api.ask(200, "GET", "/proxies", "").body.len();
    assert!(listing > 100_000, "{listing} bytes");
}

/// What a client that behaves does, on a new connection.
fn behave(served: &Served, nobody: &Nobody, n: usize) {
    let (begun, mut api, name) = (Instant::now(), Api::connect(served.addr), format!("good-{n}"));
    api.create(&name, nobody.addr);
    api.ask(200, "GET", &format!("/proxies/{name}"), "");
    api.delete(&name);
    assert_took(begun.elapsed(), 0, 100, "three calls amid attackers");
}

const HEAD: &str = "GET / HTTP/1.1\r\nX: ";
const BODY: &str = "POST /proxies HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
const CHUNKS: &str = "POST /proxies HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;";

#[test]
fn slow_silent_and_deaf_clients_at_once_hold_up_nobody_and_are_ended() {
    let span = Span::from_ms(150);
    let limits = Limits { head: span, body: span, write: span, ..Limits::default() };
    let (served, nobody) = (served_with(limits), Nobody::start());
    much(&served);
    let addr = served.addr;
    let silent: Vec<TcpStream> = (0..SILENT).map(|_| connect(served.addr)).collect();
    std::thread::scope(|scope| {
        let mut attackers = Vec::new();
        for start in [HEAD, BODY, CHUNKS].iter().cycle().take(3 * EACH) {
            attackers.push(scope.spawn(move || {
                let begun = Instant::now();
                let told = drip(connect(addr), start);
                assert!(told.starts_with("HTTP/1.1 408 "), "{start:?}: {told}");
                assert_took(begun.elapsed(), 145, 1_500, start);
            }));
        }
        for _ in 0..EACH {
            attackers.push(scope.spawn(move || {
                let begun = Instant::now();
                swallow_nothing(small_client(addr));
                assert_took(begun.elapsed(), 145, 1_500, "a client that reads nothing");
            }));
        }
        let mut asked = 0;
        while asked < 3 || attackers.iter().any(|attacker| !attacker.is_finished()) {
            behave(&served, &nobody, asked);
            asked += 1;
        }
        attackers.into_iter().for_each(|attacker| attacker.join().unwrap());
    });
    drop(silent);
    eventually("the silent ones leave nothing behind", || served.server.connections() == 0);
}

/// With the deadlines of the real thing all attackers are still there when others are answered.
#[test]
fn the_api_answers_while_attackers_hold_on() {
    let (served, nobody) = (served(), Nobody::start());
    let hold = |start: &str| {
        let mut client = connect(served.addr);
        client.write_all(start.as_bytes()).unwrap();
        client
    };
    let slow: Vec<TcpStream> =
        [HEAD, BODY, CHUNKS].iter().cycle().take(3 * EACH).map(|start| hold(start)).collect();
    eventually("all of them are at it", || {
        served.server.connections() - served.server.idle_connections() == slow.len()
    });
    let silent: Vec<TcpStream> = (0..SILENT).map(|_| connect(served.addr)).collect();
    for n in 0..20 {
        behave(&served, &nobody, n);
    }
    assert!(served.server.connections() - served.server.idle_connections() >= slow.len());
    for client in &slow {
        client.set_nonblocking(true).unwrap();
        let kind = client.peek(&mut [0]).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::WouldBlock), "it was ended too early");
    }
    drop(silent);
}
