//! A client of HTTP/1.1 for one request and its answer, in plain text: for the API of a server.
//!
//! It sends `Connection: close` and nothing that would need more than one answer, so a socket
//! serves one request. Everything is bounded: connecting, the time of the answer, its size.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::config::plan::Endpoint;
use crate::shell::clock::Clock;
use crate::shell::dial::words;
use crate::shell::resolve;
use crate::units::Span;

/// How long connecting may take, all addresses of the name together; the lookup is the system's.
const CONNECT_SPAN: Span = Span::from_ms(10_000);

/// How long the server may take from the request to the last byte of its answer, where the client
/// is not in haste.
pub const ANSWER_SPAN: Span = Span::from_ms(30_000);

/// The longest head of an answer, and the longest line in it.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The longest body of an answer.
pub const BODY_BYTES_MAX: usize = 16 << 20;

/// Answers of status 100 to 199 that may come before the one that counts.
const INTERIM_MAX: usize = 10;

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who is asked.
    pub endpoint: &'a Endpoint,
    /// The method.
    pub method: &'a str,
    /// The path, escaped.
    pub path: &'a str,
    /// What the client calls itself.
    pub user_agent: &'a str,
    /// JSON, if any.
    pub body: Option<&'a str>,
    /// How long the answer may take, and connecting too.
    pub span: Span,
    /// What to try where nobody listens.
    pub way_out: &'static str,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, out of its framing.
    pub body: Vec<u8>,
}

/// Asks and waits for the answer; or says in one line why there is none.
pub fn ask(ask: &Ask<'_>) -> Result<Answer, String> {
    let server = ask.endpoint;
    let stream = connect(server, ask.span.min(CONNECT_SPAN)).map_err(|error| {
        format!("http://{server}: {} ({})", reason(&error, "connecting"), ask.way_out)
    })?;
    let answer = exchange(stream, &request(ask), ask.span);
    answer.map_err(|error| format!("http://{server}: {}", reason(&error, "waiting for an answer")))
}

fn connect(server: &Endpoint, span: Span) -> io::Result<TcpStream> {
    let addrs = resolve::blocking(server)?;
    let clock = Clock::start();
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for (n, addr) in addrs.iter().enumerate() {
        let left = span.to_duration().saturating_sub(clock.elapsed().to_duration());
        let share = left / u32::try_from(addrs.len() - n).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(addr, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The system's words; those of a timeout would be "resource temporarily unavailable".
fn reason(error: &io::Error, doing: &str) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("timed out while {doing}"),
        ErrorKind::InvalidData => error.to_string(), // our own words
        _ => words(error),
    }
}

fn request(ask: &Ask<'_>) -> String {
    let Ask { endpoint, method, path, user_agent, body, .. } = ask;
    let length = body.map(|body| format!("Content-Length: {}\r\n", body.len()));
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {endpoint}\r\nUser-Agent: {user_agent}\r\n\
         Content-Type: application/json\r\nAccept: */*\r\nConnection: close\r\n{}\r\n{}",
        length.unwrap_or_default(),
        body.unwrap_or_default()
    )
}

fn exchange(stream: TcpStream, request: &str, span: Span) -> io::Result<Answer> {
    stream.set_write_timeout(Some(span.to_duration()))?;
    let sent = (&stream).write_all(request.as_bytes());
    let answer = read(&mut BufReader::new(Timed::new(stream, span)));
    // A server that refuses before it has read everything resets, but may have said why.
    answer.map_err(|error| sent.err().unwrap_or(error))
}

/// A socket whose reads are over when the time for all of them is.
struct Timed {
    stream: TcpStream,
    clock: Clock,
    span: Span,
}

impl Timed {
    fn new(stream: TcpStream, span: Span) -> Timed {
        Timed { stream, clock: Clock::start(), span }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.span.to_duration().saturating_sub(self.clock.elapsed().to_duration());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// How the end of a body is known (RFC 9112, 6.3).
enum Framing {
    Empty,
    Length(usize),
    Chunked,
    Close,
}

/// Reads the answer that counts, with its body.
fn read(from: &mut impl BufRead) -> io::Result<Answer> {
    for _ in 0..INTERIM_MAX {
        let (status, framing) = head(from)?;
        if (100..200).contains(&status) {
            continue;
        }
        let mut body = Vec::new();
        match framing {
            Framing::Empty => {}
            Framing::Length(length) => append(from, &mut body, length)?,
            Framing::Chunked => chunks(from, &mut body)?,
            Framing::Close => {
                from.take(BODY_BYTES_MAX as u64 + 1).read_to_end(&mut body)?;
                if body.len() > BODY_BYTES_MAX {
                    return Err(too_long());
                }
            }
        }
        return Ok(Answer { status, body });
    }
    Err(malformed("too many interim answers"))
}

/// Status line and header lines up to the empty one.
fn head(from: &mut impl BufRead) -> io::Result<(u16, Framing)> {
    let mut left = HEAD_BYTES_MAX;
    let first = line(from, &mut left)?;
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
        .filter(|status| (100..1000).contains(status));
    let Some(status) = status else { return Err(malformed("the answer is not HTTP/1.1")) };
    let mut framing = Framing::Close;
    loop {
        let header = line(from, &mut left)?;
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else {
            return Err(malformed("a header line has no colon"));
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(malformed("the transfer encoding is unknown"));
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length")
            && !matches!(framing, Framing::Chunked)
        {
            framing = Framing::Length(length(value, 10)?);
        }
    }
    let bare = status < 200 || matches!(status, 204 | 304);
    Ok((status, if bare { Framing::Empty } else { framing }))
}

/// One line without its end, which must come; `left` is what the head may still have.
fn line(from: &mut impl BufRead, left: &mut usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(*left as u64).read_until(b'\n', &mut bytes)?;
    *left -= bytes.len();
    if bytes.pop() != Some(b'\n') {
        return Err(if *left == 0 { malformed("the head is too long") } else { cut_off() });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(from, &mut { HEAD_BYTES_MAX })?;
        let size = length(size.split(';').next().unwrap_or_default().trim(), 16)?;
        if size == 0 {
            return Ok(()); // trailers are not wanted, and the connection ends with the answer
        }
        append(from, body, size)?;
        if !line(from, &mut { HEAD_BYTES_MAX })?.is_empty() {
            return Err(malformed("a chunk is longer than it says"));
        }
    }
}

fn append(from: &mut impl BufRead, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
    if length > BODY_BYTES_MAX.saturating_sub(body.len()) {
        return Err(too_long());
    }
    match from.take(length as u64).read_to_end(body)? {
        read if read < length => Err(cut_off()),
        _ => Ok(()),
    }
}

fn length(text: &str, radix: u32) -> io::Result<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let length = usize::from_str_radix(text, radix).ok().filter(|_| digits);
    length.ok_or_else(|| malformed("a length is not a number"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the connection ended within the answer")
}

fn too_long() -> io::Error {
    malformed(&format!("the answer is longer than {} MiB", BODY_BYTES_MAX >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<String, String> {
        let answer = read(&mut BufReader::with_capacity(3, text.as_bytes()));
        let short =
            |answer: Answer| format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        answer.map(short).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(said(text).unwrap_or_else(|error| error), expected, "{text:?}");
    }

    #[test]
    fn bodies_end_in_three_ways() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}x", "200 {}");
        check("HTTP/1.1 200 OK\r\n\r\n{}", "200 {}");
        check("HTTP/1.0 404\r\nA: b\r\n\r\n", "404 ");
        let chunked = "HTTP/1.1 201 Created\r\ntransfer-encoding: Chunked\r\n\r\n";
        check(
            &format!("{chunked}2;x=y\r\n{{}}\r\nA\r\n0123456789\r\n0\r\n\r\n"),
            "201 {}0123456789",
        );
        check("HTTP/1.1 204 No Content\r\n\r\nx", "204 ");
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\n\nx", "200 x");
        let both = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n";
        check(&format!("{both}1\r\nx\r\n0\r\n\r\n"), "200 x");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let ended = "the connection ended within the answer";
        for text in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxy"] {
            check(text, ended);
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{chunked}5\r\nxy"), ended);
        check(&format!("{chunked}2\r\nxyz\r\n0\r\n\r\n"), "a chunk is longer than it says");
        check(&format!("{chunked}-1\r\n"), "a length is not a number");
        check(&format!("{chunked}FFFFFFFFF\r\n"), "the answer is longer than 16 MiB");
        check("SSH-2.0-x\r\n", "the answer is not HTTP/1.1");
        check("HTTP/1.1 20\r\n\r\n", "the answer is not HTTP/1.1");
        check("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nxy", "a length is not a number");
        check("HTTP/1.1 200 OK\r\nabc\r\n\r\n", "a header line has no colon");
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "the transfer encoding is unknown",
        );
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(INTERIM_MAX);
        check(&interim, "too many interim answers");
    }

    #[test]
    fn bounds() {
        let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
        check(&head, "the head is too long");
        let length = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        check(&length(BODY_BYTES_MAX + 1), "the answer is longer than 16 MiB");
        let full = length(BODY_BYTES_MAX) + &"x".repeat(BODY_BYTES_MAX);
        assert_eq!(said(&full).map(|text| text.len()), Ok(BODY_BYTES_MAX + 4));
        let open = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(BODY_BYTES_MAX + 1));
        check(&open, "the answer is longer than 16 MiB");
    }

    /// A server that goes on sending must not keep the client for ever, nor one that says nothing.
    #[test]
    fn the_time_for_an_answer_ends() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it listens");
        let connect = || TcpStream::connect(addr).expect("it listens");
        let said = |stream: TcpStream, span: Span| {
            let error = read(&mut BufReader::with_capacity(1, Timed::new(stream, span)));
            reason(&error.expect_err("no answer"), "waiting")
        };
        let silent = (connect(), listener.accept());
        assert_eq!(said(silent.0, Span::from_ms(20)), "timed out while waiting");
        let (client, server) = (connect(), listener.accept());
        (&server.expect("a client").0).write_all(b"HTTP/1.1 200 OK\r\n").expect("room for it");
        assert_eq!(said(client, Span::ZERO), "timed out while waiting", "bytes are there");
    }

    #[test]
    fn what_is_sent() {
        let endpoint = crate::config::endpoint("[::1]:8474", false).expect("valid");
        let mut ask = Ask {
            endpoint: &endpoint,
            method: "GET",
            path: "/a",
            user_agent: "u",
            body: None,
            span: ANSWER_SPAN,
            way_out: "",
        };
        let head = "GET /a HTTP/1.1\r\nHost: [::1]:8474\r\nUser-Agent: u\r\n\
                    Content-Type: application/json\r\nAccept: */*\r\nConnection: close\r\n";
        assert_eq!(request(&ask), format!("{head}\r\n"));
        ask.body = Some("{}");
        assert_eq!(request(&ask), format!("{head}Content-Length: 2\r\n\r\n{{}}"));
    }
}
