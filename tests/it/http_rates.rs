//! How exact a rate limit is over many seconds. Slow, for what is counted takes its time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Proxy, patient, slow};
use crate::upstreams::Upstream;

const SPAN: Duration = Duration::from_secs(20);

/// Answers whatever comes on a connection, as one request a read.
fn web() -> Upstream<()> {
    Upstream::start(|mut stream: TcpStream| {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    })
}

/// The status of the answer to one more request.
fn ask(mut client: &TcpStream) -> u16 {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !whole(&answer) {
        let count = client.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer[9..12]).parse().unwrap()
}

/// True when the head and as much as it promises are there.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    body.len() >= length.unwrap().parse::<usize>().unwrap()
}

#[test]
fn a_rate_limit_lets_in_its_burst_and_then_its_rate() {
    if !slow() {
        return;
    }
    let upstream = web();
    let limit = r#"{"type": "rate_limit", "requests_per_second": 100, "burst": 10}"#;
    let knobs = format!(r#""protocol": "http", "faults": [{limit}]"#);
    let proxy = Proxy::start(upstream.addr, &knobs);
    let client = patient(proxy.connect());
    let begun = Instant::now();
    let mut admitted = Vec::new();
    let mut refused = 0;
    while begun.elapsed() < SPAN {
        match ask(&client) {
            200 => admitted.push(begun.elapsed()),
            429 => refused += 1,
            other => panic!("status {other}"),
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let (rate, burst, seconds) = (100, 10, SPAN.as_secs() as usize);
    assert!(admitted[burst - 1] < Duration::from_millis(200), "the burst: {admitted:?}");
    let steady = admitted.len() - burst;
    let allowed = (rate - 1) * seconds..=(rate + 1) * seconds;
    assert!(allowed.contains(&steady), "{steady} in {seconds} s after the burst");
    assert!(refused > steady, "{refused} were refused: too few for a test");
    // However unevenly it was asked: no second has more than the rate and the burst.
    for (n, first) in admitted.iter().enumerate() {
        let within =
            admitted[n..].iter().take_while(|time| **time - *first < Duration::from_secs(1));
        assert!(within.count() <= rate + burst + 1, "in the second after {first:?}");
    }
}
