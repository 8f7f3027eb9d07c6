//! `host:port`, and for each way to get it wrong the way out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::node::quoted;
use super::plan::{Endpoint, Host};

/// The longest text that is looked at.
const TEXT_MAX: usize = 320;
/// The longest name, and the longest part of it between dots (RFC 1035, 2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Parses `host:port` or `[v6]:port`; port 0 only where the system may choose.
pub(crate) fn endpoint(text: &str, port_zero_ok: bool) -> Result<Endpoint, String> {
    parse(text, port_zero_ok).map_err(|why| format!("{} {why}", quoted(text)))
}

fn parse(text: &str, port_zero_ok: bool) -> Result<Endpoint, String> {
    refuse_the_rest_of_a_url(text)?;
    let (host, port) = split(text, port_zero_ok)?;
    Ok(Endpoint { host, port: parse_port(port, port_zero_ok)? })
}

/// What is in a URL, or around an address, beside host and port.
fn refuse_the_rest_of_a_url(text: &str) -> Result<(), String> {
    if text.len() > TEXT_MAX {
        return Err(format!("has {} bytes (host:port, at most {TEXT_MAX})", text.len()));
    }
    if text.is_empty() {
        return Err("is empty (host:port)".into());
    }
    let url = text.split_once("://");
    let rest = url.map_or(text, |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let bare = authority.rsplit_once('@').map_or(authority, |(_, bare)| bare);
    let what = match () {
        () if text.contains(char::is_whitespace) => {
            let joined: String = text.split_whitespace().collect();
            return Err(format!("has white space (host:port{})", suggest(&joined)));
        }
        () if url.is_some() => "scheme",
        () if authority != rest => "path",
        () if bare != authority => "user name",
        () => return Ok(()),
    };
    Err(format!("has a {what} (host:port, leave out the {what}{})", suggest(bare)))
}

/// `; write x:80`, if that is one.
fn suggest(text: &str) -> String {
    match parse(text, false) {
        Ok(endpoint) => format!("; write {endpoint}"),
        Err(_) => String::new(),
    }
}

fn split(text: &str, any_host_ok: bool) -> Result<(Host, &str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        return split_brackets(rest);
    }
    if text.contains(['[', ']']) {
        return Err("has a misplaced bracket (host:port, or [IPv6]:port)".into());
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Err(no_port(text)) };
    if host.is_empty() {
        parse_port(port, any_host_ok)?; // it is shown below, so it is digits only
        if any_host_ok {
            return Err(format!("has no host (write 0.0.0.0:{port} or [::]:{port})"));
        }
        return Err(format!("has no host (host:port; write 127.0.0.1:{port})"));
    }
    if host.contains(':') {
        return Err(bare_v6(text, host, port));
    }
    Ok((parse_host(host)?, port))
}

/// `rest` is what follows the opening bracket.
fn split_brackets(rest: &str) -> Result<(Host, &str), String> {
    let Some((inside, behind)) = rest.split_once(']') else {
        return Err("has no closing bracket ([IPv6]:port)".into());
    };
    if inside.contains('%') {
        return Err("has a zone id ([IPv6]:port, leave out the zone)".into());
    }
    let Ok(ip) = inside.parse::<Ipv6Addr>() else {
        return Err("has no IPv6 address in its brackets ([IPv6]:port)".into());
    };
    match behind.strip_prefix(':') {
        Some(port) => Ok((Host::Ip(IpAddr::V6(ip)), port)),
        None if behind.is_empty() => Err(format!("has no port (such as [{ip}]:80)")),
        None => Err("has text after its bracket ([IPv6]:port)".into()),
    }
}

fn no_port(text: &str) -> String {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return format!("has no host (host:port, such as 127.0.0.1:{text})");
    }
    match parse_host(text) {
        Ok(_) => format!("has no port (host:port, such as {text}:80)"),
        Err(why) => why,
    }
}

/// An IPv6 address without brackets: where does the port begin?
fn bare_v6(text: &str, host: &str, port: &str) -> String {
    if text.contains('%') {
        return "has a zone id ([IPv6]:port, leave out the zone)".into();
    }
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if host.parse::<Ipv6Addr>().is_ok() && digits {
        return format!("is an IPv6 address without brackets (write [{host}]:{port})");
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return format!("has no port ([IPv6]:port, such as [{text}]:80)");
    }
    "has too many colons (host:port, or [IPv6]:port)".into()
}

fn parse_host(host: &str) -> Result<Host, String> {
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("is not an IPv4 address (four numbers 0..255, such as 127.0.0.1)".into());
    }
    if host.contains('%') && host.contains(':') {
        return Err("has a zone id (leave out the zone)".into());
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(odd) = host.chars().find(|c| !fits(*c)) {
        return Err(format!("has {odd:?} in its host (letters, digits, \"-\", \"_\", \".\")"));
    }
    if host.len() > NAME_MAX {
        return Err(format!("has a host of {} bytes (at most {NAME_MAX})", host.len()));
    }
    let labels = host.strip_suffix('.').unwrap_or(host).split('.');
    if let Some(label) = labels.clone().find(|label| label.len() > LABEL_MAX) {
        return Err(format!(
            "has a host with a part of {} bytes (at most {LABEL_MAX})",
            label.len()
        ));
    }
    if labels.into_iter().any(str::is_empty) {
        return Err("has two dots in a row in its host, or begins with one (host:port)".into());
    }
    Ok(Host::Name(host.to_ascii_lowercase()))
}

fn parse_port(port: &str, zero_ok: bool) -> Result<u16, String> {
    let allowed = if zero_ok { "0..65535" } else { "1..65535" };
    if port.is_empty() {
        return Err(format!("has no port behind its colon ({allowed})"));
    }
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("has a port that is not a number ({allowed})"));
    }
    match port.parse::<u16>() {
        Ok(0) if !zero_ok => Err(format!("has port 0 ({allowed})")),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("has port {port} ({allowed})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text in, the address or the message without the text out.
    fn shown(text: &str, port_zero_ok: bool) -> String {
        match endpoint(text, port_zero_ok) {
            Ok(endpoint) => endpoint.to_string(),
            Err(message) => message.replacen(&format!("{text:?} "), "", 1),
        }
    }

    #[test]
    fn addresses_and_names() {
        let good = |text: &str, expected: &str| assert_eq!(shown(text, false), expected);
        good("127.0.0.1:80", "127.0.0.1:80");
        good("[::1]:80", "[::1]:80");
        good("[0:0::1]:080", "[::1]:80");
        good("LocalHost:65535", "localhost:65535");
        good("a-b_c.example.com.:1", "a-b_c.example.com.:1");
        good(&format!("{}:1", "a".repeat(LABEL_MAX)), &format!("{}:1", "a".repeat(LABEL_MAX)));
        assert_eq!(shown("0.0.0.0:0", true), "0.0.0.0:0");
    }

    #[test]
    fn ways_to_get_it_wrong() {
        let bad = |text: &str, expected: &str| assert_eq!(shown(text, false), expected, "{text}");
        bad("", "is empty (host:port)");
        bad("http://x:80", "has a scheme (host:port, leave out the scheme; write x:80)");
        bad("http://u:p@x:80/p", "has a scheme (host:port, leave out the scheme; write x:80)");
        bad("http://x", "has a scheme (host:port, leave out the scheme)");
        bad("x:80/p?q", "has a path (host:port, leave out the path; write x:80)");
        bad("u@x:80", "has a user name (host:port, leave out the user name; write x:80)");
        bad("x :80", "has white space (host:port; write x:80)");
        bad(" ", "has white space (host:port)");
        bad("x", "has no port (host:port, such as x:80)");
        bad("x:", "has no port behind its colon (1..65535)");
        bad("8080", "has no host (host:port, such as 127.0.0.1:8080)");
        bad(":80", "has no host (host:port; write 127.0.0.1:80)");
        bad(":\u{1b}80", "has a port that is not a number (1..65535)");
        bad("::1:", "has too many colons (host:port, or [IPv6]:port)");
        bad("x:0", "has port 0 (1..65535)");
        bad("x:65536", "has port 65536 (1..65535)");
        bad("x:99999999999", "has port 99999999999 (1..65535)");
        bad("x:http", "has a port that is not a number (1..65535)");
        bad("x:+80", "has a port that is not a number (1..65535)");
        bad("x:-1", "has a port that is not a number (1..65535)");
        bad("::1:80", "is an IPv6 address without brackets (write [::1]:80)");
        bad("fe80::1", "has no port ([IPv6]:port, such as [fe80::1]:80)");
        bad("::a", "has no port ([IPv6]:port, such as [::a]:80)");
        bad("a:b:c", "has too many colons (host:port, or [IPv6]:port)");
        bad("fe80::1%eth0:80", "has a zone id ([IPv6]:port, leave out the zone)");
        bad("[fe80::1%eth0]:80", "has a zone id ([IPv6]:port, leave out the zone)");
        bad("[::1:80", "has no closing bracket ([IPv6]:port)");
        bad("::1]:80", "has a misplaced bracket (host:port, or [IPv6]:port)");
        bad("[x]:80", "has no IPv6 address in its brackets ([IPv6]:port)");
        bad("[::1]", "has no port (such as [::1]:80)");
        bad("[::1]80", "has text after its bracket ([IPv6]:port)");
        bad("1.2.3:80", "is not an IPv4 address (four numbers 0..255, such as 127.0.0.1)");
        bad("1.2.3.256:80", "is not an IPv4 address (four numbers 0..255, such as 127.0.0.1)");
        bad("a..b:80", "has two dots in a row in its host, or begins with one (host:port)");
        bad(".a:80", "has two dots in a row in its host, or begins with one (host:port)");
        bad("mü:80", "has 'ü' in its host (letters, digits, \"-\", \"_\", \".\")");
    }

    #[test]
    fn one_step_past_each_bound() {
        let label = format!("{}:1", "a".repeat(LABEL_MAX + 1));
        assert!(shown(&label, false).contains("a part of 64 bytes (at most 63)"));
        let name = format!("{}a", "abc.".repeat(63));
        assert!(endpoint(&format!("{name}:1"), false).is_ok(), "{}", name.len());
        assert!(shown(&format!("{name}a:1"), false).contains("a host of 254 bytes (at most 253)"));
        assert!(shown(&"a".repeat(TEXT_MAX + 1), false).contains("has 321 bytes"));
    }

    #[test]
    fn where_to_listen() {
        assert_eq!(shown(":80", true), "has no host (write 0.0.0.0:80 or [::]:80)");
        assert_eq!(shown("x:70000", true), "has port 70000 (0..65535)");
    }
}
