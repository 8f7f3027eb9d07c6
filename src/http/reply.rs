//! A reply, and the bytes it becomes.

use super::head::Version;
use super::line::{is_control, is_whole_token};
use super::request::Request;

/// What a client that waits before it sends its body is told.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// From 200 to 599.
    pub status: u16,
    /// Names and values in their order, without those of the framing: Content-Length,
    /// Transfer-Encoding and Connection are written, or not, by `to_bytes` alone.
    pub fields: Vec<(String, String)>,
    /// Left out where there may be none.
    pub body: Vec<u8>,
}

/// How a reply is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// The request was HEAD: the body is told of, and not sent.
    pub head_only: bool,
    /// The connection stays open.
    pub keep_alive: bool,
    /// What the client speaks.
    pub version: Version,
}

impl Manner {
    /// As the request asks for it.
    pub fn of(request: &Request) -> Manner {
        Manner {
            head_only: request.method == "HEAD",
            keep_alive: request.keep_alive,
            version: request.version,
        }
    }

    /// For what was refused: the connection is closed.
    pub const CLOSE: Manner =
        Manner { head_only: false, keep_alive: false, version: Version::Http11 };
}

const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

/// True for the name of a field that says how long a message is or what becomes of its connection.
pub fn is_framing(name: &str) -> bool {
    FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing))
}

impl Reply {
    /// Without fields and without a body.
    pub fn new(status: u16) -> Reply {
        Reply { status, fields: Vec::new(), body: Vec::new() }
    }

    /// With a line of text for a person.
    pub fn text(status: u16, line: &str) -> Reply {
        let reply = Reply::new(status).with("Content-Type", "text/plain; charset=utf-8");
        reply.with("X-Content-Type-Options", "nosniff").with_body(format!("{line}\n"))
    }

    /// With one more field.
    pub fn with(mut self, name: &str, value: &str) -> Reply {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Reply {
        self.body = body.into();
        self
    }

    /// The words for a status; empty for one that has none.
    pub fn reason(&self) -> &'static str {
        REASONS.iter().find(|(status, _)| *status == self.status).map_or("", |(_, words)| words)
    }

    /// The head of a reply whose body goes on until the connection is closed.
    pub fn to_stream_head(&self) -> Vec<u8> {
        let mut head = self.head();
        head.push_str("Connection: close\r\n\r\n");
        head.into_bytes()
    }

    /// The reply as it is sent. What could end a field early never leaves: control characters
    /// become spaces, and a field whose name is no token is left out.
    pub fn to_bytes(&self, manner: Manner) -> Vec<u8> {
        let mut head = self.head();
        let bodiless = matches!(self.status, 0..200 | 204 | 304);
        if !bodiless {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        match (manner.keep_alive, manner.version) {
            (false, _) => head.push_str("Connection: close\r\n"),
            (true, Version::Http10) => head.push_str("Connection: keep-alive\r\n"),
            (true, Version::Http11) => {}
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !bodiless && !manner.head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    /// The first line, and the fields without those of the framing.
    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {:03} {}\r\n", self.status, self.reason());
        for (name, value) in &self.fields {
            if !is_framing(name) && is_whole_token(name.as_bytes()) {
                let clean =
                    |c: char| u8::try_from(c).map_or(c, |b| if is_control(b) { ' ' } else { c });
                head.extend(name.chars().chain(": ".chars()).chain(value.chars().map(clean)));
                head.push_str("\r\n");
            }
        }
        head
    }
}

/// What a program of this kind says (RFC 9110, 15).
const REASONS: [(u16, &str); 36] = [
    (100, "Continue"),
    (101, "Switching Protocols"),
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (204, "No Content"),
    (206, "Partial Content"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (422, "Unprocessable Content"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Manner = Manner { keep_alive: true, ..Manner::CLOSE };

    #[track_caller]
    fn check(reply: Reply, manner: Manner, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&reply.to_bytes(manner)), expected);
    }

    #[test]
    fn bodies_have_their_length() {
        let reply = || Reply::new(200).with("A", "b").with_body("hi");
        check(reply(), KEEP, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nhi");
        let closing = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
        check(reply(), Manner::CLOSE, closing);
        let head = Manner { head_only: true, ..KEEP };
        check(reply(), head, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n");
        check(Reply::new(404), KEEP, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let old = Manner { version: Version::Http10, ..KEEP };
        let kept = "HTTP/1.1 299 \r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
        check(Reply::new(299), old, kept);
    }

    #[test]
    fn some_have_none() {
        for (status, reason) in
            [(204, "No Content"), (304, "Not Modified"), (101, "Switching Protocols")]
        {
            let reply = Reply::new(status).with_body("not sent");
            check(reply, KEEP, &format!("HTTP/1.1 {status} {reason}\r\n\r\n"));
        }
    }

    #[test]
    fn nothing_ends_a_field_early() {
        let reply = Reply::new(200)
            .with("Location", "/a\r\nSet-Cookie: b\0\u{7f}ü")
            .with("B\r\nC", "d")
            .with("", "e")
            .with("content-length", "7")
            .with("Transfer-Encoding", "chunked")
            .with("CONNECTION", "close");
        let expected =
            "HTTP/1.1 200 OK\r\nLocation: /a  Set-Cookie: b  ü\r\nContent-Length: 0\r\n\r\n";
        check(reply, KEEP, expected);
    }
}
