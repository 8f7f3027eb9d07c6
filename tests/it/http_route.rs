//! Routes with `"protocol": "http"`: messages pass whole, connections stay open, and what is no
//! HTTP is refused so that the client sees it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use chaos_proxy::http::{Event, Limits, Manner, Reply, Request, RequestReader};

use crate::support::{End, Proxy, expect, pattern, read_all};
use crate::upstreams::{self, Nobody, Upstream};

const HTTP: &str = r#""protocol": "http""#;

/// An upstream that reads requests and answers each of them with `answer`; after an answer that
/// is none, it closes.
pub(crate) fn web(
    answer: impl Fn(&Request) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Upstream<usize> {
    Upstream::start(serve(answer))
}

/// What such an upstream does with a connection.
pub(crate) fn serve(
    answer: impl Fn(&Request) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> impl Fn(TcpStream) -> usize + Send + Sync + 'static {
    move |mut stream| {
        let limits = Limits { body_bytes: 64 << 20, ..Limits::default() };
        let (mut reader, mut buffer, mut served) =
            (RequestReader::new(limits), vec![0; 1 << 16], 0);
        loop {
            let Ok(count @ 1..) = stream.read(&mut buffer) else { return served };
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let Ok(taken) = reader.take(rest) else { return served };
                rest = &rest[taken.bytes..];
                if let Event::Whole(request) = taken.event {
                    served += 1;
                    let Some(bytes) = answer(&request) else { return served };
                    if stream.write_all(&bytes).is_err() || !request.keep_alive {
                        return served;
                    }
                }
            }
        }
    }
}

/// Answers with the method, the path and the length of the body.
pub(crate) fn told(request: &Request) -> Option<Vec<u8>> {
    let body = format!("{} {} {}", request.method, request.path, request.body.len());
    Some(Reply::new(200).with_body(body).to_bytes(Manner::of(request)))
}

/// Reads to the end of a head, and not a byte further.
fn read_head(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[track_caller]
fn ask(mut client: &TcpStream, request: &str, answer: &str) {
    client.write_all(request.as_bytes()).unwrap();
    expect(client, answer);
}

#[test]
fn a_connection_stays_open() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, HTTP);
    let client = proxy.connect();
    for path in ["/a", "/b?c", "/"] {
        let short = path.split('?').next().unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        ask(&client, &request, &ok(&format!("GET {short} 0")));
    }
    let request = "PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nPUT /p 3";
    ask(&client, request, answer);
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    drop(client);
    assert_eq!(upstream.outcome(), 4);
    assert_eq!(proxy.balanced().closed, 1);
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, HTTP);
    let mut client = proxy.connect();
    // More than may wait for their answers at one time.
    let paths: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
    let requests: String =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.write_all(requests.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let answers: String = paths.iter().map(|path| ok(&format!("GET {path} 0"))).collect();
    let (bytes, end) = read_all(&client);
    assert_eq!((String::from_utf8_lossy(&bytes), end), (answers.into(), End::Fin));
    proxy.balanced();
}

#[test]
fn large_bodies_stream_both_ways() {
    let upstream = web(|request| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        let mut bytes = head.into_bytes();
        for part in request.body.chunks(70_000) {
            bytes.extend(format!("{:x};x=y\r\n", part.len()).bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        Some(bytes)
    });
    let body = pattern(3 << 20, 5);
    for knobs in [HTTP, r#""protocol": "http", "latencyMs": 5"#] {
        let proxy = Proxy::start(upstream.addr, knobs);
        let client = proxy.connect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
                let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
                (&client).write_all(head.as_bytes()).unwrap();
                (&client).write_all(&body).unwrap();
            });
            let (bytes, end) = read_all(&client);
            assert_eq!(end, End::Fin);
            let came = chunks(&bytes);
            crate::support::assert_same(&came, &body, knobs);
        });
        drop(client);
        proxy.balanced();
    }
}

/// The body of an answer in chunks.
fn chunks(answer: &[u8]) -> Vec<u8> {
    let find = |bytes: &[u8], what: &[u8]| {
        bytes.windows(what.len()).position(|window| window == what).expect("a whole answer")
    };
    let mut rest = &answer[find(answer, b"\r\n\r\n") + 4..];
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
        if size == 0 {
            return body;
        }
    }
}

/// An answer that comes bit by bit goes on bit by bit.
#[test]
fn events_are_not_held_back() {
    let upstream = Upstream::start(|mut stream| {
        read_head(&stream);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for number in 0..3 {
            stream.write_all(format!("data: {number}\n\n").as_bytes()).unwrap();
            read_head(&stream); // the client asks again when it has this event
        }
    });
    let proxy = Proxy::start(upstream.addr, HTTP);
    let mut client = proxy.connect();
    let request = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    expect(&client, head);
    for number in 0..3 {
        expect(&client, &format!("data: {number}\n\n"));
        client.write_all(request.as_bytes()).unwrap();
    }
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    upstream.outcome();
}

#[test]
fn what_is_refused_is_told_and_closed() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, HTTP);
    for (bytes, status, reason) in [
        (&b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"[..], 400, "a field's name is no token"),
        (b"\x16\x03\x01\x02", 400, "this looks like TLS; use protocol tcp"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "this looks like HTTP/2; use protocol tcp"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501, "only the transfer"),
    ] {
        let mut client = proxy.connect();
        // What it goes on to send must not take the answer away from it.
        client.write_all(&[bytes, &[b'x'; 100_000]].concat()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (answer, end) = read_all(&client);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(reason) && end == End::Fin, "{answer} {end:?}");
        let told = proxy.wait_for("answered");
        assert_eq!(told.number("status"), f64::from(status));
        assert!(told.text("reason").starts_with(reason), "{told:?}");
    }
    proxy.balanced();
}

#[test]
fn a_head_has_the_time_that_the_route_gives_it() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, r#""protocol": "http", "headTimeoutMs": 60"#);
    let (mut client, began) = (proxy.connect(), Instant::now());
    client.write_all(b"GET / HTTP/1.1\r\nHost").unwrap();
    let (answer, end) = read_all(&client);
    assert!(began.elapsed() >= Duration::from_millis(60), "{:?}", began.elapsed());
    assert!(answer.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"), "{}", answer.escape_ascii());
    assert_eq!(end, End::Fin);
    assert_eq!(proxy.wait_for("answered").number("status"), 408.0);
}

#[test]
fn no_upstream_is_a_bad_gateway() {
    let nobody = Nobody::start();
    let proxy = Proxy::start(nobody.addr, HTTP);
    let client = proxy.connect();
    (&client).write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (answer, end) = read_all(&client);
    assert!(answer.starts_with(b"HTTP/1.1 502 Bad Gateway\r\n"), "{}", answer.escape_ascii());
    assert_eq!(end, End::Fin);
    assert_eq!(proxy.balanced().upstream_failed, 1);
}

#[test]
fn an_upstream_that_says_nothing_is_a_bad_gateway() {
    let upstream = web(|_| None);
    let proxy = Proxy::start(upstream.addr, HTTP);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (answer, end) = read_all(&client);
    assert!(answer.starts_with(b"HTTP/1.1 502 Bad Gateway\r\n"), "{}", answer.escape_ascii());
    assert_eq!(end, End::Fin);
}

/// An upstream that refuses a large body answers and closes; the client gets that answer.
#[test]
fn an_early_answer_survives_the_upload() {
    let upstream = Upstream::start(|mut stream| {
        let mut some = [0; 1000];
        let _ = stream.read(&mut some);
        let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\
                      Connection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let proxy = Proxy::start(upstream.addr, HTTP);
    let client = proxy.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n";
            let _ = (&client).write_all(head.as_bytes());
            let _ = (&client).write_all(&vec![b'x'; 4_000_000]);
            let _ = client.shutdown(Shutdown::Write);
        });
        let (answer, end) = read_all(&client);
        assert!(answer.starts_with(b"HTTP/1.1 413 "), "{} {end:?}", answer.escape_ascii());
        assert_eq!(end, End::Fin);
    });
    upstream.outcome();
    proxy.balanced();
}

#[test]
fn a_tunnel_after_101() {
    let upstream = Upstream::start(|mut stream| {
        let request = read_head(&stream);
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\
                      Connection: Upgrade\r\n\r\nwelcome";
        stream.write_all(answer.as_bytes()).unwrap();
        upstreams::echo_back(&stream);
        request
    });
    let late = r#""protocol": "http", "latencyMs": 5"#;
    for (knobs, told) in [(HTTP, ""), (late, "X-Chaos-Faults: latency;latency=5ms\r\n")] {
        let proxy = Proxy::start(upstream.addr, knobs);
        let mut client = proxy.connect();
        let request = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n";
        // The first bytes behind the request come early, and wait.
        client.write_all(&[request.as_bytes(), b"\x00early"].concat()).unwrap();
        let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade";
        expect(&client, &format!("{switched}\r\n{told}\r\nwelcome\x00early"));
        client.write_all(b"GET / no HTTP any more\n\n").unwrap();
        expect(&client, "GET / no HTTP any more\n\n");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&client), (Vec::new(), End::Fin));
        assert!(upstream.outcome().contains("\r\nConnection: upgrade\r\n\r\n"));
        proxy.balanced();
    }
}

#[test]
fn no_tunnel_without_101() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, HTTP);
    let mut client = proxy.connect();
    let request = "GET /no HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n";
    let next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.write_all([request, next].concat().as_bytes()).unwrap();
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nGET /next 0";
    let (answers, end) = read_all(&client);
    assert_eq!(String::from_utf8_lossy(&answers), [&*ok("GET /no 0"), last].concat());
    assert_eq!(end, End::Fin);
    assert_eq!(upstream.outcome(), 2);
}

#[test]
fn faults_of_the_listener_act_here_too() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, HTTP);
    let (used, fresh) = (proxy.connect(), proxy.connect());
    ask(&used, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", &ok("GET /a 0"));
    let refuse = r#""protocol": "http", "faults": [{"type": "refuse", "reset_live": true}]"#;
    proxy.set_faults(refuse);
    for client in [&used, &fresh] {
        assert_eq!(read_all(client), (Vec::new(), End::Reset));
    }
    assert!(TcpStream::connect(proxy.addr()).is_err());
    proxy.set_faults(HTTP);
    ask(&proxy.connect(), "GET /b HTTP/1.1\r\nHost: a\r\n\r\n", &ok("GET /b 0"));
    proxy.balanced();
}
