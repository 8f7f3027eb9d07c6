//! For which requests a fault comes into question.

use std::fmt;
use std::net::IpAddr;

use super::exchange::Facts;

/// Conditions on a request; all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// One of these; none given: any.
    pub methods: Vec<String>,
    /// The path as it was written, without the query.
    pub path: Option<Glob>,
    /// For each name, a field of this name has such a value.
    pub headers: Vec<(String, Glob)>,
    /// For each name, the query has such a value for it; both as they were written.
    pub query: Vec<(String, Glob)>,
    /// The body is at least so long, and its length was told.
    pub min_body: Option<u64>,
    /// The body is at most so long, and its length was told.
    pub max_body: Option<u64>,
    /// The peer is in one of these; none given: any.
    pub source_ips: Vec<Net>,
}

impl Match {
    /// The first condition that does not hold: its key in a configuration, and in a map the name.
    pub fn unmet(&self, facts: &Facts<'_>) -> Option<(&'static str, &str)> {
        if !self.methods.is_empty() && !self.methods.iter().any(|own| own == facts.method) {
            return Some(("method", ""));
        }
        if self.path.as_ref().is_some_and(|glob| !glob.fits(facts.path.as_bytes())) {
            return Some(("path", ""));
        }
        let header = |(name, glob): &&(String, Glob)| !facts.fields.all(name).any(|v| glob.fits(v));
        if let Some((name, _)) = self.headers.iter().find(header) {
            return Some(("header", name));
        }
        let query = |(name, glob): &&(String, Glob)| !has_query(facts.query, name, glob);
        if let Some((name, _)) = self.query.iter().find(query) {
            return Some(("query", name));
        }
        if self.min_body.is_some_and(|min| facts.body_bytes.is_none_or(|bytes| bytes < min)) {
            return Some(("minBody", ""));
        }
        if self.max_body.is_some_and(|max| facts.body_bytes.is_none_or(|bytes| bytes > max)) {
            return Some(("maxBody", ""));
        }
        let outside = !self.source_ips.iter().any(|net| net.contains(facts.peer));
        (outside && !self.source_ips.is_empty()).then_some(("sourceIp", ""))
    }
}

fn has_query(query: Option<&str>, name: &str, glob: &Glob) -> bool {
    query.unwrap_or_default().split('&').any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        key == name && glob.fits(value.as_bytes())
    })
}

/// A pattern in which `*` stands for any characters, slashes too, or none; the rest for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(pub String);

impl Glob {
    /// True when the whole of `text` is as the pattern says.
    pub fn fits(&self, mut text: &[u8]) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default().as_bytes();
        let Some(rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        let Some(rest) = rest.strip_suffix(last.as_bytes()) else { return false };
        text = rest;
        for part in parts.map(str::as_bytes) {
            // The first place that fits leaves the most for the parts behind it.
            let fits = |at: &usize| text[*at..].starts_with(part);
            let Some(at) = (0..=text.len()).find(fits) else { return false };
            text = &text[at + part.len()..];
        }
        true
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    ip: IpAddr,
    prefix: u32,
}

impl Net {
    /// Parses `10.0.0.0/8`, `::1`. What came, and what is allowed, when it is none.
    pub fn parse(text: &str) -> Result<Net, String> {
        const ALLOWED: &str = "an address or a range of them, such as 10.0.0.0/8";
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let bad = || format!("{text:?} ({ALLOWED})");
        let ip: IpAddr = ip.parse().map_err(|_| bad())?;
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix.map(|text| Some(text).filter(digits)?.parse::<u32>().ok()) {
            None => bits,
            Some(prefix) => prefix.filter(|prefix| *prefix <= bits).ok_or_else(bad)?,
        };
        let net = Net { ip, prefix };
        let first = number(ip) & net.mask();
        if first != number(ip) {
            let first = match ip {
                IpAddr::V4(_) => IpAddr::V4((first as u32).into()),
                IpAddr::V6(_) => IpAddr::V6(first.into()),
            };
            return Err(format!("{text:?} is not where the range begins (write {first}/{prefix})"));
        }
        Ok(net)
    }

    fn mask(self) -> u128 {
        let bits = if self.ip.is_ipv4() { 32 } else { 128 };
        u128::MAX.checked_shl(bits - self.prefix).unwrap_or(0)
    }

    /// True when the address is in it; an IPv4 address in the clothes of an IPv6 one is one.
    pub fn contains(self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.ip.is_ipv4() && number(ip) & self.mask() == number(self.ip)
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

impl fmt::Display for Net {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.ip, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Field, Fields};
    use crate::units::Time;

    #[test]
    fn globs() {
        let check = |glob: &str, yes: &str, no: &str| {
            let fits = |text: &str| Glob(glob.into()).fits(text.as_bytes());
            yes.split(' ').for_each(|text| assert!(fits(text), "{glob} {text}"));
            let no = no.split(' ').filter(|text| !text.is_empty());
            no.for_each(|text| assert!(!fits(text), "{glob} {text}"));
        };
        check("/api/*", "/api/ /api/a /api/a/b", "/api /ap /x/api/");
        check("/a", "/a", "/ /ab /b");
        check("*", "/ /a x", "");
        check("/a*/b*c", "/a/bc /ax/bxc /a/b/b/c", "/a/b /a/c /abc");
        check("*.js", ".js /a/b.js /.js.js", ".js/ js");
        check("a*a", "aa aba aaa", "a ab ba");
        check("a*b*b", "abb axbxb abbb", "ab axb");
        check("**", "a", "");
        assert!(Glob("*".into()).fits(b"") && Glob(String::new()).fits(b""));
        assert!(!Glob("a*a*a*a*a*a*a*a*b".into()).fits(&[b'a'; 8000]), "in no time");
    }

    #[test]
    fn ranges_of_addresses() {
        let check = |net: &str, yes: &str, no: &str| {
            let contains = |ip: &str| Net::parse(net).unwrap().contains(ip.parse().unwrap());
            yes.split(' ').for_each(|ip| assert!(contains(ip), "{net} {ip}"));
            no.split(' ').for_each(|ip| assert!(!contains(ip), "{net} {ip}"));
        };
        check(
            "10.0.0.0/8",
            "10.0.0.0 10.255.255.255 ::ffff:10.1.2.3",
            "11.0.0.0 9.9.9.9 ::10.0.0.1",
        );
        check("127.0.0.1", "127.0.0.1 ::ffff:127.0.0.1", "127.0.0.2 ::1");
        check("0.0.0.0/0", "1.2.3.4", "::1");
        check("::/0", "::1", "1.2.3.4 ::ffff:1.2.3.4");
        check("fd00::/8", "fd12::1", "fe80::1");
        let refused = |text: &str| Net::parse(text).unwrap_err();
        let begins = "\"10.1.2.3/8\" is not where the range begins (write 10.0.0.0/8)";
        assert_eq!(refused("10.1.2.3/8"), begins);
        assert!(refused("fd01::/8").ends_with("(write fd00::/8)"));
        for bad in ["", "a", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8"] {
            let allowed = "(an address or a range of them, such as 10.0.0.0/8)";
            assert_eq!(refused(bad), format!("{bad:?} {allowed}"));
        }
    }

    #[test]
    fn all_that_is_given_must_hold() {
        let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
        let fields = Fields(vec![field("X-Test", "a"), field("x-test", "b"), field("Host", "h")]);
        let facts = Facts {
            method: "GET",
            path: "/api/a",
            query: Some("q=1&flag&q=2"),
            fields: &fields,
            body_bytes: Some(100),
            peer: [10, 0, 0, 1].into(),
            age: Time::ZERO,
        };
        let glob = |text: &str| Glob(text.into());
        let pairs = |name: &str, text: &str| vec![(name.to_owned(), glob(text))];
        let none = Match::default;
        let check = |own: Match, expected: &str| {
            let unmet =
                own.unmet(&facts).map_or(String::new(), |(key, name)| key.to_owned() + name);
            assert_eq!(unmet, expected, "{own:?}");
        };
        check(none(), "");
        check(Match { methods: vec!["POST".into(), "GET".into()], ..none() }, "");
        check(Match { methods: vec!["POST".into()], path: Some(glob("/b")), ..none() }, "method");
        check(Match { path: Some(glob("/api/*")), ..none() }, "");
        check(Match { path: Some(glob("/api/")), ..none() }, "path");
        check(Match { headers: pairs("x-TEST", "b"), ..none() }, "");
        check(Match { headers: pairs("x-test", "c"), ..none() }, "headerx-test");
        check(Match { headers: pairs("x-none", "*"), ..none() }, "headerx-none");
        check(Match { query: pairs("q", "2"), ..none() }, "");
        check(Match { query: pairs("flag", "*"), ..none() }, "");
        check(Match { query: pairs("fla", "*"), ..none() }, "queryfla");
        check(Match { min_body: Some(100), max_body: Some(100), ..none() }, "");
        check(Match { min_body: Some(101), ..none() }, "minBody");
        check(Match { max_body: Some(99), ..none() }, "maxBody");
        let net = |text: &str| vec![Net::parse(text).unwrap()];
        check(Match { source_ips: net("10.0.0.0/8"), ..none() }, "");
        check(Match { source_ips: net("11.0.0.0/8"), ..none() }, "sourceIp");
        let chunked = Facts { body_bytes: None, ..facts.clone() };
        let bounds = [Match { min_body: Some(0), ..none() }, Match { max_body: Some(9), ..none() }];
        assert!(bounds.iter().all(|own| own.unmet(&chunked).is_some()), "its length is not known");
    }
}
