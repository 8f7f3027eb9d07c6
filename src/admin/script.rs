//! Scripts for the tests: requests and what is answered, as text.
//!
//! ```text
//! > POST /proxies/db/toxics {"type":"latency"} | User-Agent: curl
//! < 200 json {"attributes":...}
//! ```

use super::fake::Fake;
use super::{AdminOptions, handle};
use crate::http::{Event, Limits, Reply, Request, RequestReader};

/// A request from one line, by way of the bytes it would come as.
pub(super) fn request(line: &str) -> Request {
    let mut parts = line.split(" | ");
    let mut words = parts.next().unwrap_or_default().splitn(3, ' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fields: Vec<&str> = parts.collect();
    bytes_request(method, target, words.next().unwrap_or_default().as_bytes(), &fields)
}

/// A request with any body.
pub(super) fn bytes_request(method: &str, target: &str, body: &[u8], fields: &[&str]) -> Request {
    let mut head = format!("{method} {target} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    if !fields.iter().any(|field| field.starts_with("Host:")) {
        head.push_str("Host: localhost:8474\r\n");
    }
    fields.iter().for_each(|field| head.push_str(&format!("{field}\r\n")));
    let bytes = [format!("{head}\r\n").as_bytes(), body].concat();
    let limits = Limits { body_bytes: 2 << 20, ..Limits::default() };
    match RequestReader::new(limits).take(&bytes).expect("a request").event {
        Event::Whole(request) => request,
        other => panic!("{method} {target}: {other:?}"),
    }
}

/// A reply in one line: status, the kind of its body, its body; the id is left out.
pub(super) fn line(reply: &Reply) -> String {
    let mut line = reply.status.to_string();
    let mut nosniff = false;
    for (name, value) in &reply.fields {
        match (&**name, &**value) {
            ("Content-Type", "application/json") => line.push_str(" json"),
            ("Content-Type", "text/plain; charset=utf-8") => line.push_str(" text"),
            ("X-Content-Type-Options", "nosniff") => nosniff = true,
            ("X-Toxiproxy-Request-Id", _) => {}
            (name, value) => line.push_str(&format!(" {name}: {value}")),
        }
    }
    assert_eq!(nosniff, line.contains(" text"), "nosniff goes with text: {reply:?}");
    if !reply.body.is_empty() {
        line.push(' ');
        line.push_str(&String::from_utf8_lossy(&reply.body).replace('\n', "\\n"));
    }
    line
}

/// Plays a script against routes of its own.
#[track_caller]
pub(super) fn play(script: &str) {
    play_with(&AdminOptions::default(), script);
}

/// The same with other options.
#[track_caller]
pub(super) fn play_with(options: &AdminOptions, script: &str) {
    let (routes, mut said, mut told) = (Fake::default(), String::new(), String::new());
    for text in script.lines().map(str::trim) {
        if let Some(text) = text.strip_prefix("> ") {
            told = line(&handle(&request(text), &routes, options));
            said.push_str(&format!("> {text}\n< {told}\n"));
        } else if let Some(expected) = text.strip_prefix("< ") {
            assert_eq!(told, expected, "\n{said}");
        } else {
            said.push_str(&format!("{text}\n"));
            assert!(text.is_empty() || text.starts_with('#'), "no line of a script: {text}");
        }
    }
}
