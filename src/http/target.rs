//! What a request asks for, and of which host.

use std::net::Ipv6Addr;

use super::Reject;
use super::line::is_of_name;

/// A request target, taken apart and still encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The authority of an absolute target, `http://here/path`.
    pub authority: Option<String>,
    /// The path with its percent-escapes, from its first slash; `*` for the server as a whole.
    pub path: String,
    /// What follows the first `?`.
    pub query: Option<String>,
}

impl Target {
    /// Takes the target of a request line apart (RFC 9112, 3.2).
    pub(super) fn parse(method: &[u8], text: &str) -> Result<Target, Reject> {
        let Parts { authority, path, query } = Parts::of(method, text)?;
        let own = |text: Option<&str>| text.map(str::to_owned);
        Ok(Target { authority: own(authority), path: path.to_owned(), query: own(query) })
    }

    /// The parts of the path between slashes, decoded: `/a%20b/` is `["a b", ""]`, `/` is `[""]`.
    /// A part may hold a slash that was escaped.
    pub(super) fn segments(&self) -> Result<Vec<String>, Reject> {
        match self.path.strip_prefix('/') {
            Some(path) => path.split('/').map(decode).collect(),
            None => Ok(Vec::new()),
        }
    }
}

/// A request target taken apart, in the caller's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl Parts<'_> {
    pub(super) fn of<'a>(method: &[u8], text: &'a str) -> Result<Parts<'a>, Reject> {
        if method == b"CONNECT" {
            return Err(Reject { status: 501, reason: "CONNECT is not served" });
        }
        if text == "*" && (method == b"OPTIONS" || method.is_empty()) {
            return Ok(Parts { authority: None, path: "*", query: None });
        }
        if text.as_bytes().contains(&b'#') {
            return Err(Reject::bad("a fragment in the target"));
        }
        let (authority, rest) = split(text)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Ok(Parts { authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

fn split(text: &str) -> Result<(Option<&str>, &str), Reject> {
    if text.starts_with('/') {
        return Ok((None, text));
    }
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let start = text.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    });
    let rest = rest.ok_or(Reject::bad("the target is neither a path nor a URL"))?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() || !is_host(authority.as_bytes()) {
        return Err(Reject::bad("the host in the target is invalid"));
    }
    Ok((Some(authority), rest))
}

/// Decodes percent-escapes; what comes out must be UTF-8.
fn decode(text: &str) -> Result<String, Reject> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        out.push(*first);
        if *first == b'%' {
            let value = after.get(..2).and_then(hex);
            out.pop();
            out.push(value.ok_or(Reject::bad("an escape in the path is not % and two digits"))?);
            rest = &after[2..];
        }
    }
    String::from_utf8(out).map_err(|_| Reject::bad("the path is not UTF-8"))
}

fn hex(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0u8, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        u8::try_from(u32::from(value) * 16 + digit).ok()
    })
}

/// True for `uri-host [ ":" port ]`, also for nothing at all (RFC 9110, 7.2).
pub(super) fn is_host(text: &[u8]) -> bool {
    let end = |mark| text.iter().position(|byte| *byte == mark);
    let (host, port) = match text {
        [b'[', ..] => match end(b']') {
            Some(end) => (is_ipv6(&text[1..end]), &text[end + 1..]),
            None => return false,
        },
        _ => {
            let (name, port) = text.split_at(end(b':').unwrap_or(text.len()));
            (is_name(name), port)
        }
    };
    let digits = if port.is_empty() { Some(port) } else { port.strip_prefix(b":") };
    host && digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// True for a registered name or an IPv4 address (RFC 3986, 3.2.2).
fn is_name(mut text: &[u8]) -> bool {
    while let [first, rest @ ..] = text {
        text = rest;
        if *first == b'%' && rest.get(..2).and_then(hex).is_some() {
            text = &rest[2..];
        } else if !is_of_name(*first) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expected: &str) {
        let parsed = Target::parse(b"GET", target).and_then(|target| {
            let segments = target.segments()?;
            Ok(format!("{:?} {segments:?} {:?}", target.authority, target.query))
        });
        let parsed = parsed.unwrap_or_else(|reject| reject.reason.to_owned());
        assert_eq!(parsed, expected, "{target}");
    }

    #[test]
    fn paths() {
        check("/", r#"None [""] None"#);
        check("/proxies", r#"None ["proxies"] None"#);
        check("//proxies/", r#"None ["", "proxies", ""] None"#);
        check("/a%20b/c%2Fd?x=%20?y", r#"None ["a b", "c/d"] Some("x=%20?y")"#);
        check("/%C3%BC/ü", r#"None ["ü", "ü"] None"#);
        check("http://a:1/b", r#"Some("a:1") ["b"] None"#);
        check("HTTPS://[::1]?q", r#"Some("[::1]") [""] Some("q")"#);
        for bad in ["/%", "/%2", "/%+1", "/%zz", "/%é"] {
            check(bad, "an escape in the path is not % and two digits");
        }
        check("/%ff", "the path is not UTF-8");
        check("/a#b", "a fragment in the target");
        for bad in ["a", "*", "ftp://a/", "http:/a"] {
            check(bad, "the target is neither a path nor a URL");
        }
        check("http:///", "the host in the target is invalid");
    }

    #[test]
    fn hosts() {
        for good in ["", "a", "a:", "a:80", "127.0.0.1:1", "[::1]", "[::1]:8474", "a_b.c", "%41"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in ["a b", "a@b", "a/b", "a:b", "a:1:2", "::1", "[::1", "[a]", "[::1]x", "%4", "ü"]
        {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
