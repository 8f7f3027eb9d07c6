//! The admin server on real sockets: what clients may do to it, and that none holds up another.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaos_proxy::config::plan::{Endpoint, Host};
use chaos_proxy::http::{self, Reply, Request};
use chaos_proxy::shell::admin_server::{AdminServer, Limits};
use chaos_proxy::units::Span;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::api::served_with;
use crate::support::{
    End, PATIENCE, connect, each, eventually, expect, pattern, read_all, receive,
};

/// Says what it was asked: `POST /a abc`.
fn echo(request: &Request, _: SocketAddr) -> Reply {
    match &*request.path {
        "/panic" => std::panic::resume_unwind(Box::new("on purpose")),
        "/gone" => Reply::new(204),
        "/large" => Reply::new(200).with_body(vec![b'x'; 32 << 20]),
        path => {
            let body = [request.method.as_bytes(), b" ", path.as_bytes(), b" ", &request.body];
            Reply::new(200).with_body(body.concat())
        }
    }
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint { host: Host::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), port }
}

fn start(limits: Limits) -> AdminServer {
    AdminServer::start(&endpoint(0), limits, Arc::new(echo)).unwrap()
}

/// Connections at one time, where they are to be used up: fewer than by default.
const SEATS: usize = 32;

/// A server with so many seats.
fn small_server() -> AdminServer {
    start(hasty(|limits| limits.connections = SEATS))
}

fn server() -> AdminServer {
    start(Limits::default())
}

/// Sends, and reads one reply: its status, its fields in lower case, its body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn send(mut stream: &TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("sending {text:?}: {error}"));
}

/// Reads one reply; `bodiless` for one to HEAD.
fn answer(mut stream: &TcpStream, bodiless: bool) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        let read = stream.read_exact(&mut byte);
        assert!(read.is_ok(), "{read:?} after {}", head.escape_ascii());
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.split("content-length: ").nth(1).map(|rest| rest.lines().next().unwrap());
    let length = length.map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; if bodiless { 0 } else { length }];
    stream.read_exact(&mut body).unwrap();
    Answer { status, head, body }
}

#[track_caller]
fn expect_body(stream: &TcpStream, body: &str) {
    let answer = answer(stream, false);
    let came = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!((answer.status, &*came), (200, body), "{}", answer.head);
}

/// The end must be a FIN with nothing before it.
#[track_caller]
fn expect_fin(stream: &TcpStream) {
    let (bytes, end) = read_all(stream);
    assert_eq!((end, String::from_utf8_lossy(&bytes).into_owned()), (End::Fin, String::new()));
}

#[test]
fn a_connection_is_kept() {
    let server = server();
    let client = connect(server.addr);
    for n in 0..3 {
        send(&client, &format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
        expect_body(&client, &format!("GET /{n} "));
    }
    send(&client, "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let last = answer(&client, false);
    assert!(last.head.contains("\r\nconnection: close\r\n"), "{}", last.head);
    assert!(last.head.contains("\r\ndate: "), "{}", last.head);
    expect_fin(&client);
}

#[test]
fn ten_requests_in_one_write() {
    let server = server();
    let client = connect(server.addr);
    let mut text = String::new();
    for n in 0..10 {
        let body = "x".repeat(n);
        let head = format!("PUT /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n");
        write!(text, "{head}{body}").unwrap();
    }
    send(&client, &text);
    client.shutdown(Shutdown::Write).unwrap();
    for n in 0..10 {
        expect_body(&client, &format!("PUT /{n} {}", "x".repeat(n)));
    }
    expect_fin(&client);
}

#[test]
fn bodies_in_chunks_and_in_pieces() {
    let server = server();
    let client = connect(server.addr);
    let text = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n";
    send(&client, text);
    expect_body(&client, "POST /c hello world");
    for at in 0..text.len() {
        send(&client, &text[at..=at]);
    }
    expect_body(&client, "POST /c hello world");
}

#[test]
fn expect_is_answered_before_the_body() {
    let server = server();
    let client = connect(server.addr);
    for _ in 0..2 {
        let head = "POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n";
        send(&client, &format!("{head}\r\n"));
        expect(&client, "HTTP/1.1 100 Continue\r\n\r\n");
        send(&client, "body");
        expect_body(&client, "POST /e body");
    }
}

#[test]
fn the_old_version() {
    let server = server();
    let client = connect(server.addr);
    send(&client, "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let kept = answer(&client, false);
    assert!(kept.head.contains("\r\nconnection: keep-alive\r\n"), "{}", kept.head);
    send(&client, "GET /old HTTP/1.0\r\n\r\n");
    expect_body(&client, "GET /old ");
    expect_fin(&client);
}

#[test]
fn replies_without_a_body() {
    let server = server();
    let client = connect(server.addr);
    send(&client, "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = answer(&client, true);
    assert!(head.head.contains("\r\ncontent-length: 8\r\n"), "{}", head.head);
    send(&client, "DELETE /gone HTTP/1.1\r\nHost: a\r\n\r\n");
    let gone = answer(&client, true);
    assert_eq!((gone.status, gone.head.contains("content-length")), (204, false));
    send(&client, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_body(&client, "GET /next ");
}

#[test]
fn what_is_no_http_is_answered_and_closed() {
    let server = server();
    for (text, status) in [
        ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ] {
        let client = connect(server.addr);
        send(&client, text);
        let refused = answer(&client, false);
        assert_eq!(refused.status, status, "{text:?}");
        assert!(refused.head.contains("connection: close"), "{text:?}: {}", refused.head);
        expect_fin(&client);
    }
}

#[test]
fn a_panic_is_a_500_and_no_more() {
    let server = server();
    let client = connect(server.addr);
    send(&client, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer(&client, false).status, 500);
    send(&client, "GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_body(&client, "GET /after ");
}

/// Deadlines that a test can wait for.
fn hasty(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

const SHORT: Span = Span::from_ms(100);

/// A byte now and then does not move the deadline, and neither does a flood that leads nowhere.
#[test]
fn slow_heads_and_bodies_are_cut() {
    let server = start(hasty(|limits| (limits.head, limits.body) = (SHORT, SHORT)));
    let body = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n";
    let chunks = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let flood = format!("1;{}\r\nx\r\n", "x".repeat(1000)).repeat(16 << 10);
    each([("GET / HTTP/1.1\r\nX: ", "x"), (body, "x"), (chunks, &*flood)], |(start, more)| {
        let client = connect(server.addr);
        send(&client, start);
        let begun = Instant::now();
        client.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        while client.peek(&mut [0]).is_err() {
            assert!(begun.elapsed() < PATIENCE, "never cut: {start:?}");
            let _ = (&client).write_all(more.as_bytes()); // refused once it is closed
        }
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(90), "{:?}", begun.elapsed());
        assert_eq!(answer(&client, false).status, 408, "{start:?}");
        expect_fin(&client);
    });
}

#[test]
fn idle_connections_are_closed() {
    let server = start(hasty(|limits| limits.idle = SHORT));
    let silent = connect(server.addr);
    let used = connect(server.addr);
    send(&used, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_body(&used, "GET / ");
    expect_fin(&used);
    expect_fin(&silent);
}

/// A client that does not read its reply is let go, and holds up nobody meanwhile.
#[test]
fn slow_readers_are_cut() {
    let server = start(hasty(|limits| limits.write = Span::from_ms(150)));
    let slow = connect(server.addr);
    send(&slow, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let other = connect(server.addr);
    send(&other, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_body(&other, "GET /other ");
    drop(other);
    eventually("the slow reader is gone", || server.connections() == 0);
    let (bytes, _) = read_all(&slow);
    assert!(bytes.len() < 32 << 20, "{} bytes", bytes.len());
}

#[test]
fn one_too_many_takes_the_seat_of_the_oldest_idle() {
    let server = small_server();
    let used = |path: &str| {
        let client = connect(server.addr);
        send(&client, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        expect_body(&client, &format!("GET {path} "));
        client
    };
    let mut clients: Vec<TcpStream> = (0..SEATS).map(|_| used("/first")).collect();
    assert_eq!(server.connections(), SEATS);
    let all_idle = || eventually("all wait", || server.idle_connections() == SEATS);
    all_idle();
    // The first is used again: now the second has idled longest.
    send(&clients[0], "GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_body(&clients[0], "GET /again ");
    all_idle();
    clients.push(used("/one-more"));
    expect_fin(&clients[1]);
    clients.remove(1);
    assert_eq!(server.connections(), SEATS);
    for client in &clients {
        send(client, "GET /all HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_body(client, "GET /all ");
    }
}

/// Who says nothing holds no seat against who does.
#[test]
fn silent_connections_give_way() {
    let server = small_server();
    let silent: Vec<TcpStream> = (0..SEATS + 8).map(|_| connect(server.addr)).collect();
    let clients = [connect(server.addr), connect(server.addr)];
    for client in &clients {
        send(client, "GET /heard HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_body(client, "GET /heard ");
    }
    assert_eq!(server.connections(), SEATS);
    expect_fin(&silent[0]);
}

/// Connections that are all in the middle of a request keep their seats.
#[test]
fn one_too_many_is_refused_when_none_idles() {
    let (arrived, at_work): (Sender<()>, Receiver<()>) = unbounded();
    let (release, held) = bounded::<()>(0);
    let handler = move |_: &Request, _: SocketAddr| {
        arrived.send(()).unwrap();
        let _ = held.recv(); // ends when the sender is dropped
        Reply::new(200)
    };
    let limits = hasty(|limits| limits.connections = 3);
    let server = AdminServer::start(&endpoint(0), limits, Arc::new(handler)).unwrap();
    let clients: Vec<TcpStream> = (0..3).map(|_| connect(server.addr)).collect();
    for client in &clients {
        send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        receive(&at_work, "a handler at work");
    }
    let refused = connect(server.addr);
    send(&refused, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer(&refused, false).status, 503);
    expect_fin(&refused);
    // Many more of them, who say nothing and stay, hold up nobody.
    let silent: Vec<TcpStream> = (0..20).map(|_| connect(server.addr)).collect();
    drop(release);
    for client in &clients {
        assert_eq!(answer(client, false).status, 200);
    }
    drop(silent);
}

/// The client sees the reply although it is still sending what nobody wants.
#[test]
fn too_large_a_body_is_answered_without_a_reset() {
    let server = start(hasty(|limits| limits.linger = Span::from_ms(30_000))); // a busy machine
    let chunk = "Transfer-Encoding: chunked\r\n\r\n800000\r\n";
    for framing in ["Content-Length: 8388608\r\n\r\n", chunk] {
        let client = connect(server.addr);
        send(&client, &format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        (&client).write_all(&pattern(8 << 20, 1)).unwrap();
        assert_eq!(answer(&client, false).status, 413, "{framing:?}");
        expect_fin(&client);
    }
    let client = connect(server.addr);
    let length = http::Limits::default().body_bytes;
    send(&client, &format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    (&client).write_all(&vec![b'x'; length]).unwrap();
    assert_eq!(answer(&client, false).status, 200);
}

#[test]
fn a_drop_does_not_wait_for_clients() {
    let server = server();
    let addr = server.addr;
    let idle = connect(addr);
    let half = connect(addr);
    send(&half, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
    let reader = connect(addr);
    send(&reader, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(&reader, "HTTP/1.1 200 OK\r\n");
    let lingering = connect(addr);
    send(&lingering, "nonsense\r\n");
    assert_eq!(answer(&lingering, false).status, 400);
    eventually("all of them have seats", || server.connections() == 4);
    let begun = Instant::now();
    drop(server);
    assert!(begun.elapsed() < Duration::from_millis(1_500), "took {:?}", begun.elapsed());
    assert!(TcpStream::connect(addr).is_err(), "it still listens");
    for client in [idle, half, reader] {
        let (_, end) = read_all(&client);
        assert_ne!(end, End::Silence);
    }
}

/// From a whole head on it is the API that answers; before that, the server under it.
#[test]
fn what_is_refused_within_a_body_is_told_as_any_error_of_the_api() {
    let served = served_with(hasty(|limits| limits.body = SHORT));
    let told = |text: &str| {
        let client = connect(served.addr);
        send(&client, text);
        let refused = answer(&client, false);
        assert!(refused.head.contains("connection: close"), "{text:?}: {}", refused.head);
        expect_fin(&client);
        let is_json = refused.head.contains("\r\ncontent-type: application/json\r\n");
        (refused.status, is_json, String::from_utf8(refused.body).unwrap())
    };
    let request = |path: &str, rest: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\n{rest}");
    let error = |why: &str, status: u16| format!("{{\"error\":\"{why}\",\"status\":{status}");
    let (long, chunked) = ("Content-Length: 1048577\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n");
    let large = error("the body is too large (at most 1048576 bytes)", 413);
    let whole = format!("{large}}}\n");
    assert_eq!(told(&request("/proxies", long)), (413, false, whole.clone()));
    let chunk = request("/proxies/p/toxics", &format!("{chunked}100001\r\n"));
    assert_eq!(told(&chunk), (413, false, whole));
    let populated = format!("{large},\"proxies\":[]}}");
    assert_eq!(told(&request("/populate", long)), (413, true, populated));
    let (status, _, body) = told(&request("/proxies", &format!("{chunked}x\r\n")));
    assert!(status == 400 && body.starts_with("{\"error\":\"bad request body: "), "{body}");
    let late = error("bad request body: the body of the request came too slowly", 408);
    assert_eq!(told(&request("/reset", "Content-Length: 9\r\n\r\n")).2, format!("{late}}}\n"));
    // Nobody knows what these are for.
    let (plain, nothing) = ("the body is too large\n".to_owned(), "/nothing");
    assert_eq!(told(&request(nothing, long)), (413, false, plain));
    let fields = "X: y\r\n".repeat(101);
    for text in [&request("/proxies", &format!("{fields}\r\n")), "POST /proxies HTTP/1.1\r\n\r\n"] {
        let (status, _, body) = told(text);
        assert!([400, 431].contains(&status) && !body.contains('{'), "{status} {body}");
    }
}

#[test]
fn an_address_in_use() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let started = AdminServer::start(&endpoint(port), Limits::default(), Arc::new(echo));
    let why = started.err().unwrap();
    assert!(why.ends_with("in use; another process listens there"), "{why}");
}

/// What curl says to these arguments and the path.
fn curl(addr: SocketAddr, path: &str, args: &[&str]) -> String {
    let url = format!("http://{addr}{path}");
    let mut command = Command::new("curl");
    let output = command.args(["-sS", "--max-time", "20"]).args(args).arg(url).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {args:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn with_curl() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED with_curl: there is no curl here");
        return;
    }
    let server = server();
    let ask = |path: &str, args: &[&str]| curl(server.addr, path, args);
    assert_eq!(ask("/a", &[]), "GET /a ");
    assert_eq!(ask("/a", &["-0"]), "GET /a ");
    assert_eq!(ask("/a", &["-d", "hello"]), "POST /a hello");
    assert_eq!(ask("/a", &["-d", "hi", "-H", "Transfer-Encoding: chunked"]), "POST /a hi");
    assert_eq!(ask("/a", &["-d", "hi", "-H", "Expect: 100-continue"]), "POST /a hi");
    assert_eq!(ask("/a", &["-T", "Cargo.toml", "-o", "/dev/null", "-w", "%{http_code}"]), "200");
    assert_eq!(ask("/gone", &["-X", "DELETE", "-w", "%{http_code}"]), "204");
    assert!(ask("/a", &["-I"]).starts_with("HTTP/1.1 200 OK\r\n"));
    let large = std::env::temp_dir().join(format!("chaos-proxy-large-{}", std::process::id()));
    std::fs::write(&large, vec![b'x'; 4 << 20]).unwrap();
    let large_text = large.to_string_lossy();
    let code = ["-T", &*large_text, "-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(ask("/a", &code), "413");
    let _ = std::fs::remove_file(&large); // its directory is temporary
}
