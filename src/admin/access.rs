//! Who may use the admin API: no page that a browser has open, and nobody without the token.
//!
//! A page can make a browser send requests to localhost. What gives it away: a `Host` that is a
//! name it made resolve to us, an `Origin`, a `Sec-Fetch-Site`, and the browser's `User-Agent`.

use std::fmt;
use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::json::quoted;
use super::{AdminOptions, error};
use crate::http::{Reply, Request};

/// A secret that requests must carry. It is never printed.
pub struct Token(Vec<u8>);

impl Token {
    /// None when it is empty: that would let everybody in.
    pub fn new(text: &str) -> Option<Token> {
        let text = text.trim();
        (!text.is_empty()).then(|| Token(text.as_bytes().to_vec()))
    }

    /// Compares in a time that tells nothing of where the two differ.
    fn is(&self, given: &[u8]) -> bool {
        let own = self.0.iter().cycle();
        let apart = given.iter().zip(own).fold(0, |apart, (a, b)| black_box(apart | (a ^ b)));
        apart == 0 && given.len() == self.0.len()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(..)")
    }
}

/// The refusal for a request to a host that is not ours; none when it is.
///
/// HTTP/1.0 clients may leave `Host` out; browsers never do.
pub(super) fn refuse_host(request: &Request, options: &AdminOptions) -> Option<Reply> {
    if request.host.is_empty() || is_own_host(&request.host, options) {
        return None;
    }
    let host = quoted(&request.host);
    Some(error(403, &format!("host {host} is not allowed (an IP address, or allowedHosts)")))
}

fn is_own_host(host: &str, options: &AdminOptions) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split_once(']').map(|(address, _)| address.parse::<Ipv6Addr>());
        return matches!(address, Some(Ok(_)));
    }
    let name = host.split(':').next().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    let same = |own: &String| own.eq_ignore_ascii_case(name) || own == "*";
    name.parse::<Ipv4Addr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || !name.is_empty() && options.allowed_hosts.iter().any(same)
}

/// The refusal for a request that a page of another site made; none when none did.
pub(super) fn refuse_page(request: &Request) -> Option<Reply> {
    let own = format!("http://{}", request.host);
    let is_own = |origin: &[u8]| origin.eq_ignore_ascii_case(own.as_bytes());
    if !request.fields.all("origin").all(is_own) {
        return Some(error(403, "requests from web pages are not allowed (Origin)"));
    }
    let is_own = |site: &[u8]| matches!(site, b"none" | b"same-origin");
    if !request.fields.all("sec-fetch-site").all(is_own) {
        return Some(error(403, "requests from web pages are not allowed (Sec-Fetch-Site)"));
    }
    None
}

/// The refusal for a request without the token; none when it has it, or needs none.
pub(super) fn refuse_stranger(request: &Request, options: &AdminOptions) -> Option<Reply> {
    let token = options.token.as_ref()?;
    let mut given = request.fields.all("authorization");
    let given = given.next().filter(|_| given.next().is_none());
    if given.and_then(bearer).is_some_and(|secret| token.is(secret)) {
        return None;
    }
    let reply = error(401, "a token is needed (Authorization: Bearer <token>)");
    Some(reply.with("WWW-Authenticate", "Bearer"))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
}

/// The refusal for a browser on the paths of Toxiproxy, exactly as Toxiproxy does it (PR #184).
pub(super) fn refuse_browser(request: &Request) -> Option<Reply> {
    let agent = request.fields.get("user-agent")?;
    agent.starts_with(b"Mozilla/").then(|| Reply::text(403, "User agent not allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(hosts: &[&str]) -> AdminOptions {
        let allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        AdminOptions { allowed_hosts, ..AdminOptions::default() }
    }

    #[test]
    fn hosts() {
        let own = |host: &str| is_own_host(host, &options(&["Toxiproxy"]));
        for host in ["127.0.0.1:8474", "127.0.0.1", "10.1.2.3:1", "[::1]:8474", "[::1]"] {
            assert!(own(host), "{host}");
        }
        for host in ["localhost", "LocalHost:8474", "localhost.:1", "localhost:", "toxiproxy:8474"]
        {
            assert!(own(host), "{host}");
        }
        let pages = ["evil.example", "evil.example:8474", "localhost.evil.example"];
        let tricks =
            ["127.0.0.1.nip.io", "127.1", "0x7f.1", "2130706433", "", ":80", "[::1", "[e]"];
        for host in pages.into_iter().chain(tricks) {
            assert!(!own(host), "{host}");
        }
        assert!(is_own_host("anything:1", &options(&["*"])));
    }

    #[test]
    fn tokens() {
        let token = Token::new(" secret\n").expect("a token");
        assert!(token.is(b"secret"));
        for given in ["", "s", "secre", "secreT", "secrets", "secretsecret"] {
            assert!(!token.is(given.as_bytes()), "{given}");
        }
        assert!(Token::new(" \n").is_none());
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
