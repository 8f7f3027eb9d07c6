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

    /// True when it is certain that it holds for every request for which `other` does.
    pub fn covers(&self, other: &Match) -> bool {
        let path = |own: &Glob| other.path.as_ref().is_some_and(|path| own.covers(path));
        let header = |(name, glob): &(String, Glob)| {
            let same = |(own, value): &(String, Glob)| {
                own.eq_ignore_ascii_case(name) && glob.covers(value)
            };
            other.headers.iter().any(same)
        };
        let query = |(name, glob): &(String, Glob)| {
            other.query.iter().any(|(own, value)| own == name && glob.covers(value))
        };
        let is_long = |min| other.min_body.is_some_and(|bytes| bytes >= min);
        let is_told = other.min_body.or(other.max_body).is_some();
        is_implied(&self.methods, &other.methods, |own, word| own == word)
            && self.path.as_ref().is_none_or(path)
            && self.headers.iter().all(header)
            && self.query.iter().all(query)
            && self.min_body.is_none_or(|min| is_long(min) || (min == 0 && is_told))
            && self.max_body.is_none_or(|max| other.max_body.is_some_and(|bytes| bytes <= max))
            && is_implied(&self.source_ips, &other.source_ips, |own, net| own.covers(*net))
    }

    /// True when it is certain that no request meets both. Fields and values of a query say
    /// nothing of that: a request may have two of one name.
    pub fn excludes(&self, other: &Match) -> bool {
        let paths = self.path.as_ref().zip(other.path.as_ref());
        let below = |max: Option<u64>, min| max.zip(min).is_some_and(|(max, min)| max < min);
        are_apart(&self.methods, &other.methods, |a, b| a != b)
            || paths.is_some_and(|(a, b)| a.excludes(b))
            || below(self.max_body, other.min_body)
            || below(other.max_body, self.min_body)
            || are_apart(&self.source_ips, &other.source_ips, |a, b| a.excludes(*b))
    }
}

/// True when a choice of `own` holds wherever one of `other` does; an empty list is any.
fn is_implied<T>(own: &[T], other: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    let is_covered = |one: &T| own.iter().any(|own| covers(own, one));
    own.is_empty() || (!other.is_empty() && other.iter().all(is_covered))
}

/// True when no two of both choices go together; an empty list is any.
fn are_apart<T>(own: &[T], other: &[T], excludes: impl Fn(&T, &T) -> bool) -> bool {
    let goes_with_none = |one: &T| other.iter().all(|other| excludes(one, other));
    !own.is_empty() && !other.is_empty() && own.iter().all(goes_with_none)
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

    /// True when it is certain that what is as `other` says is as this one says.
    fn covers(&self, other: &Glob) -> bool {
        // Where a pattern fits the text of another one, each star of that lies in a star of its
        // own, whatever it stands for.
        self.fits(other.0.as_bytes())
    }

    /// True when it is certain that no text is as both say.
    fn excludes(&self, other: &Glob) -> bool {
        let (own, others) = (self.0.as_bytes(), other.0.as_bytes());
        match (self.has_star(), other.has_star()) {
            (false, _) => !other.fits(own),
            (true, false) => !self.fits(others),
            (true, true) => {
                let fixed = |byte: &&u8| **byte != b'*';
                let starts = own.iter().take_while(fixed).zip(others.iter().take_while(fixed));
                let own_end = own.iter().rev().take_while(fixed);
                let ends = own_end.zip(others.iter().rev().take_while(fixed));
                starts.chain(ends).any(|(own, other)| own != other)
            }
        }
    }

    fn has_star(&self) -> bool {
        self.0.contains('*')
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

    /// True when all of the other's addresses are in it. Of two ranges, one holds the other or
    /// none of it.
    fn covers(self, other: Net) -> bool {
        self.prefix <= other.prefix && self.contains(other.ip)
    }

    /// True when no address is in both.
    fn excludes(self, other: Net) -> bool {
        !self.contains(other.ip) && !other.contains(self.ip)
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

    /// Every text of at most `length` of these characters.
    fn texts(alphabet: &str, length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..length {
            let longer = |text: &String| alphabet.chars().map(|c| format!("{text}{c}")).collect();
            last = last.iter().flat_map::<Vec<String>, _>(longer).collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn two_globs() {
        let check = |a: &str, b: &str, covers: bool, excludes: bool| {
            let (a, b) = (Glob(a.into()), Glob(b.into()));
            assert_eq!((a.covers(&b), a.excludes(&b)), (covers, excludes), "{a:?} {b:?}");
            assert_eq!(b.excludes(&a), excludes, "{b:?} {a:?}");
        };
        check("*", "/a", true, false);
        check("/a", "/a", true, false);
        check("/a/*", "/a/b", true, false);
        check("/a/*", "/a/b/*", true, false);
        check("/a/b/*", "/a/*", false, false);
        check("/a/*", "/a/*.js", true, false);
        check("/a/*", "/b/*", false, true);
        check("/a/*", "/b", false, true);
        check("/a", "/b", false, true);
        check("*.js", "/a/*.css", false, true);
        check("*.js", "/a/*", false, false);
        // What is certain holds for all texts.
        let words = texts("ab", 6);
        let globs: Vec<(Glob, u128)> = texts("ab*", 4)
            .into_iter()
            .map(|text| {
                let glob = Glob(text);
                let fits = words.iter().map(|word| u128::from(glob.fits(word.as_bytes())));
                let set = fits.enumerate().fold(0, |set, (bit, fits)| set | fits << bit);
                (glob, set)
            })
            .collect();
        for (a, own) in &globs {
            for (b, other) in &globs {
                assert!(!a.covers(b) || other & !own == 0, "{a:?} {b:?}");
                assert!(!a.excludes(b) || own & other == 0, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn two_ranges_of_addresses() {
        let check = |a: &str, b: &str, covers: bool, excludes: bool| {
            let [a, b] = [a, b].map(|text| Net::parse(text).unwrap());
            assert_eq!((a.covers(b), a.excludes(b)), (covers, excludes), "{a} {b}");
            assert_eq!(b.excludes(a), excludes, "{b} {a}");
        };
        check("10.0.0.0/8", "10.0.0.0/8", true, false);
        check("10.0.0.0/8", "10.1.0.0/16", true, false);
        check("10.1.0.0/16", "10.0.0.0/8", false, false);
        check("10.0.0.0/8", "11.0.0.0/8", false, true);
        check("0.0.0.0/0", "1.2.3.4", true, false);
        check("0.0.0.0/0", "::/0", false, true);
        check("::/0", "fd00::/8", true, false);
    }

    #[test]
    fn two_matches() {
        let glob = |text: &str| Some(Glob(text.into()));
        let pairs = |name: &str, text: &str| vec![(name.to_owned(), Glob(text.into()))];
        let methods = |words: &str| words.split(' ').map(str::to_owned).collect();
        let nets = |text: &str| text.split(' ').map(|net| Net::parse(net).unwrap()).collect();
        let none = Match::default;
        let check = |a: &Match, b: &Match, covers: bool, excludes: bool| {
            assert_eq!((a.covers(b), a.excludes(b)), (covers, excludes), "{a:?} {b:?}");
            assert_eq!(b.excludes(a), excludes, "{b:?} {a:?}");
        };
        let get = Match { methods: methods("GET"), ..none() };
        let post = Match { methods: methods("POST"), ..none() };
        let both = Match { methods: methods("POST GET"), ..none() };
        check(&none(), &none(), true, false);
        check(&none(), &get, true, false);
        check(&get, &none(), false, false);
        check(&get, &post, false, true);
        check(&both, &get, true, false);
        check(&get, &both, false, false);
        let (a, b) = (Match { path: glob("/a/*"), ..none() }, Match { path: glob("/b"), ..none() });
        check(&a, &b, false, true);
        check(&a, &Match { path: glob("/a/b"), ..get.clone() }, true, false);
        check(&Match { path: glob("/a/*"), ..get.clone() }, &a, false, false);
        let x = Match { headers: pairs("X-A", "1*"), ..none() };
        check(&x, &Match { headers: pairs("x-a", "12"), ..none() }, true, false);
        check(&x, &Match { headers: pairs("x-a", "2"), ..none() }, false, false);
        let q = Match { query: pairs("q", "*"), ..none() };
        check(&q, &Match { query: pairs("q", "1"), ..none() }, true, false);
        check(&q, &Match { query: pairs("Q", "1"), ..none() }, false, false);
        let bounds = |min_body, max_body| Match { min_body, max_body, ..none() };
        check(&bounds(Some(5), None), &bounds(Some(6), None), true, false);
        check(&bounds(None, Some(5)), &bounds(Some(6), None), false, true);
        check(&bounds(None, Some(5)), &bounds(Some(5), None), false, false);
        check(&bounds(None, Some(5)), &bounds(Some(1), Some(4)), true, false);
        check(&bounds(Some(0), None), &bounds(None, Some(4)), true, false);
        check(&bounds(Some(0), None), &none(), false, false);
        let net = |text: &str| Match { source_ips: nets(text), ..none() };
        check(&net("10.0.0.0/8 ::1"), &net("10.1.0.0/16"), true, false);
        check(&net("10.1.0.0/16"), &net("10.2.0.0/16 10.3.0.0/16"), false, true);
        check(&net("10.1.0.0/16"), &net("10.2.0.0/16 10.0.0.0/8"), false, false);
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
