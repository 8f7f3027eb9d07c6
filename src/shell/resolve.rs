//! Name lookup within a budget.
//!
//! The system's lookup blocks for 5 s (musl) or 10 s (glibc) when no server answers, and cannot
//! be cut short. So it runs in a thread of its own and the dialling thread waits as long as its
//! budget allows. Those who ask for a name that is being looked up share the answer: there is at
//! most one lookup thread for each upstream name. They are the only threads that nobody joins,
//! since a process that stops must not wait for a silent name server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use crate::config::plan::{Endpoint, Host};
use crate::shell::sys;

/// What a lookup gives: all addresses of the name, or the system's words.
pub type Answer = Result<Vec<SocketAddr>, String>;

type Pending = Vec<(String, Arc<Lookup>)>;

/// Lookups under way, by name.
#[derive(Default)]
pub struct Resolver {
    pending: Arc<Mutex<Pending>>,
}

/// A lookup that is under way or done. Its read end hangs up when the answer is there, so that
/// it can be waited for together with sockets.
pub struct Lookup {
    done: OwnedFd,
    answer: Mutex<Option<Answer>>,
}

impl Lookup {
    /// What hangs up when the answer is there.
    pub fn done(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// The answer with this port, once it is there.
    pub fn answer(&self, port: u16) -> Option<Answer> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let with_port = |mut addrs: Vec<SocketAddr>| {
            addrs.iter_mut().for_each(|addr| addr.set_port(port));
            addrs
        };
        answer.clone().map(|answer| answer.map(with_port))
    }
}

/// The addresses that need no lookup: literals and `localhost`, which an image without /etc
/// could not look up. IPv4 first, as Toxiproxy does.
pub fn known(endpoint: &Endpoint) -> Option<Vec<SocketAddr>> {
    let ips: Vec<IpAddr> = match &endpoint.host {
        Host::Ip(ip) => vec![*ip],
        Host::Name(name) if name == "localhost" => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Host::Name(_) => return None,
    };
    Some(ips.into_iter().map(|ip| SocketAddr::new(ip, endpoint.port)).collect())
}

/// Looks a name up here and now, for a listener, before anything is served.
pub fn blocking(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    match (known(endpoint), &endpoint.host) {
        (Some(addrs), _) => Ok(addrs),
        (None, Host::Name(name)) => Ok((name.as_str(), endpoint.port).to_socket_addrs()?.collect()),
        (None, Host::Ip(_)) => unreachable!("an address is known"),
    }
}

/// Where the text of an API says to listen, as Go's net.Listen reads it: `host:port`, no host for
/// all interfaces, IPv4 first for a name; wildcards become one dual-stack `[::]`. The reasons are
/// Go's words, which clients of Toxiproxy know.
pub fn listen_addrs(text: &str) -> Result<Vec<SocketAddr>, String> {
    if text.is_empty() {
        return Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))]);
    }
    let missing_port = || format!("address {text}: missing port in address");
    let (host, port) = text.rsplit_once(':').ok_or_else(missing_port)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return Err(format!("address {text}: too many colons in address"));
    }
    let port = match (port, port.parse::<u64>()) {
        ("", _) => 0,
        (_, Ok(number)) => {
            u16::try_from(number).map_err(|_| format!("address {number}: invalid port"))?
        }
        (name, Err(_)) => service_port(name).ok_or(format!("lookup tcp/{name}: unknown port"))?,
    };
    let host = bare.unwrap_or(host);
    if matches!(host, "" | "0.0.0.0" | "::") {
        return Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))]);
    }
    let host = host.parse().map_or_else(|_| Host::Name(host.to_lowercase()), Host::Ip);
    let named = |_| format!("lookup {text}: no such host");
    let addrs = blocking(&Endpoint { host, port }).map_err(named)?;
    let (first, second): (Vec<_>, Vec<_>) = addrs.into_iter().partition(SocketAddr::is_ipv4);
    Ok([first, second].concat())
}

/// The ports that people write by name; there may be no /etc/services to look in.
fn service_port(name: &str) -> Option<u16> {
    Some(match name {
        "http" => 80,
        "https" => 443,
        "mysql" => 3306,
        "postgresql" => 5432,
        "redis" => 6379,
        "http-alt" => 8080,
        _ => return None,
    })
}

impl Resolver {
    /// Begins to look `name` up, or joins the lookup of it that is under way.
    pub fn look_up(&self, name: &str) -> io::Result<Arc<Lookup>> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lookup)) = pending.iter().find(|(other, _)| other == name) {
            return Ok(Arc::clone(lookup));
        }
        let (done, hang_up) = sys::pipe()?;
        let lookup = Arc::new(Lookup { done, answer: Mutex::new(None) });
        let (all, own, key) = (Arc::clone(&self.pending), Arc::clone(&lookup), name.to_owned());
        Builder::new().name("resolve".into()).spawn(move || {
            let addrs = (key.as_str(), 0).to_socket_addrs();
            let answer = addrs.map(|addrs| addrs.collect()).map_err(|error| error.to_string());
            *own.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            all.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != key);
            drop(hang_up);
        })?;
        pending.push((name.to_owned(), Arc::clone(&lookup)));
        Ok(lookup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen_in_the_words_of_go() {
        let said = |text: &str| match listen_addrs(text) {
            Ok(addrs) => addrs.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" "),
            Err(reason) => reason,
        };
        assert_eq!(said(""), "[::]:0");
        assert_eq!(said(":7070"), "[::]:7070");
        assert_eq!(said("0.0.0.0:7070"), "[::]:7070");
        assert_eq!(said("localhost:7070"), "127.0.0.1:7070 [::1]:7070");
        assert_eq!(said("127.0.0.1:http"), "127.0.0.1:80");
        assert_eq!(said("[::1]:5"), "[::1]:5");
        assert_eq!(said("bad"), "address bad: missing port in address");
        assert_eq!(said("::1:5"), "address ::1:5: too many colons in address");
        assert_eq!(said("127.0.0.1:99999"), "address 99999: invalid port");
    }

    #[test]
    fn what_needs_no_lookup() {
        let known = |host: Host| known(&Endpoint { host, port: 80 });
        let texts = |addrs: Option<Vec<SocketAddr>>| -> Option<Vec<String>> {
            addrs.map(|addrs| addrs.iter().map(SocketAddr::to_string).collect())
        };
        let localhost = texts(known(Host::Name("localhost".into())));
        assert_eq!(localhost, Some(vec!["127.0.0.1:80".into(), "[::1]:80".into()]));
        let literal = texts(known(Host::Ip(Ipv6Addr::LOCALHOST.into())));
        assert_eq!(literal, Some(vec!["[::1]:80".into()]));
        assert_eq!(known(Host::Name("example".into())), None);
    }
}
