//! Every message of testdata/http: the valid ones are read whole, the invalid ones are refused
//! with the status that their name begins with; however they are cut, and mutations of them.
#![allow(unused_imports)] // some are for the properties

use std::fs;
use std::path::Path;

use chaos_proxy::config::read;
use chaos_proxy::http::{self, Event, Limits, Progress, Request, RequestReader};
use chaos_proxy::units::{ByteCount, Rate, Ratio, Span};

#[path = "../../fuzz/properties.rs"]
mod properties;

/// A message that was kept, and the number that its name begins with.
struct Message {
    name: String,
    number: usize,
    bytes: Vec<u8>,
}

fn messages(folder: &str) -> Vec<Message> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/http").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let message = |path: &Path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap().parse();
        let number = number.unwrap_or_else(|_| panic!("{path:?} begins with no number"));
        Message { name, number, bytes: fs::read(path).unwrap() }
    };
    let mut messages: Vec<Message> = entries.map(|entry| message(&entry.unwrap().path())).collect();
    messages.sort_by(|a, b| a.name.cmp(&b.name));
    messages
}

#[test]
fn valid_ones_are_read_whole() {
    let messages = messages("valid");
    assert!(messages.len() >= 40, "{} messages", messages.len());
    for Message { name, number, bytes } in messages {
        let (mut reader, mut rest, mut whole) = (RequestReader::new(Limits::default()), &*bytes, 0);
        while !rest.is_empty() {
            let taken = reader.take(rest).unwrap_or_else(|reject| panic!("{name}: {reject:?}"));
            rest = &rest[taken.bytes..];
            whole += usize::from(matches!(taken.event, Event::Whole(_)));
        }
        assert_eq!((whole, reader.progress()), (number, Progress::Idle), "{name}");
    }
}

#[test]
fn invalid_ones_are_refused() {
    let messages = messages("invalid");
    assert!(messages.len() >= 80, "{} messages", messages.len());
    for Message { name, number, bytes } in messages {
        let (mut reader, mut rest) = (RequestReader::new(Limits::default()), &*bytes);
        let status = loop {
            match reader.take(rest) {
                Ok(taken) => rest = &rest[taken.bytes..],
                Err(reject) => break Some(reject.status),
            }
            if rest.is_empty() {
                break None;
            }
        };
        assert_eq!(status, u16::try_from(number).ok(), "{name}");
    }
}

#[test]
fn the_cut_changes_nothing() {
    for Message { bytes, .. } in messages("valid").into_iter().chain(messages("invalid")) {
        properties::request(&bytes);
    }
}

/// Mutations of all messages: flipped, doubled, cut, and crossed with what hurts readers.
#[test]
fn mutations() {
    let messages: Vec<Message> = messages("valid").into_iter().chain(messages("invalid")).collect();
    let spice: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"0\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\xff",
        b"ffffffffffffffff",
    ];
    let mut state = 1u32;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below.max(1)
    };
    for round in 0..1_000 {
        let message = &messages[draw(messages.len())];
        let mut bytes = message.bytes[..message.bytes.len().min(600)].to_vec();
        for _ in 0..=draw(4) {
            let at = draw(bytes.len());
            match draw(5) {
                0 => drop(bytes.splice(at..at, spice[draw(spice.len())].iter().copied())),
                1 => bytes.truncate(at),
                2 if !bytes.is_empty() => bytes[at] ^= 1 << draw(8),
                3 => drop(bytes.drain(at..(at + draw(8)).min(bytes.len()))),
                _ => {
                    let other = &messages[draw(messages.len())].bytes;
                    let from = draw(other.len().min(600));
                    bytes.extend_from_slice(&other[from..other.len().min(600)]);
                }
            }
        }
        let checked = std::panic::catch_unwind(|| properties::request(&bytes));
        assert!(checked.is_ok(), "round {round}, of {}: {}", message.name, bytes.escape_ascii());
    }
}

fn whole(text: &str) -> Request {
    let taken = RequestReader::new(Limits::default()).take(text.as_bytes());
    match taken.unwrap_or_else(|reject| panic!("{text:?}: {reject:?}")).event {
        Event::Whole(request) => request,
        event => panic!("{text:?}: {event:?}"),
    }
}

#[test]
fn a_request_in_all_its_parts() {
    let request = whole(
        "POST /proxies/a%20b/toxics?x=%20 HTTP/1.1\r\nHOST: localhost:8474\r\n\
         Transfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n\
         3;e\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
    );
    assert_eq!((&*request.method, &*request.path), ("POST", "/proxies/a%20b/toxics"));
    assert_eq!(request.segments, ["proxies", "a b", "toxics"]);
    assert_eq!(request.query.as_deref(), Some("x=%20"));
    assert_eq!((&*request.host, &*request.body), ("localhost:8474", &b"abcde"[..]));
    assert_eq!(request.fields.all("X-a").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(request.fields.get("x-t"), None);
    assert!(request.keep_alive);
}

#[test]
fn who_keeps_the_connection() {
    let keeps = |version: &str, fields: &str| {
        whole(&format!("GET / {version}\r\nHost: a\r\n{fields}\r\n")).keep_alive
    };
    assert!(keeps("HTTP/1.1", ""));
    assert!(!keeps("HTTP/1.1", "Connection: a, CLOSE\r\n"));
    assert!(!keeps("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(!keeps("HTTP/1.0", ""));
    assert!(keeps("HTTP/1.0", "Connection: Keep-Alive\r\n"));
}

#[test]
fn continue_is_told_once() {
    let text = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    let mut reader = RequestReader::new(Limits::default());
    let taken = reader.take(text).unwrap();
    assert_eq!((taken.bytes, taken.event), (text.len(), Event::Continue));
    assert_eq!(reader.progress(), Progress::Body);
    assert_eq!(reader.take(b"").unwrap().event, Event::NeedMore);
    assert!(matches!(reader.take(b"x").unwrap().event, Event::Whole(_)));
}

#[test]
fn a_refusal_stays() {
    let mut reader = RequestReader::new(Limits::default());
    let reject = reader.take(b"\n").unwrap_err();
    assert_eq!(reader.take(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Err(reject));
}

/// The limit of the body itself, and one step past it.
#[test]
fn a_body_of_the_limit() {
    let limits = Limits { body_bytes: 5, ..Limits::default() };
    let head = "PUT / HTTP/1.1\r\nHost: a\r\n";
    for (rest, fits) in [
        ("Content-Length: 5\r\n\r\n12345", true),
        ("Content-Length: 6\r\n\r\n123456", false),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", false),
    ] {
        let taken = RequestReader::new(limits).take(format!("{head}{rest}").as_bytes());
        assert_eq!(taken.map_err(|reject| reject.status).is_ok(), fits, "{rest:?}");
    }
}
