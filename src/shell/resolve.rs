//! Name lookup within a budget.
//!
//! The system's lookup blocks for 5 s (musl) or 10 s (glibc) when no server answers, and cannot
//! be cut short. So it runs in a thread of its own and the dialling thread waits as long as its
//! budget allows. Those who ask for a name that is being looked up share the answer: there is at
//! most one lookup thread for each upstream name. They are the only threads that nobody joins,
//! since a process that stops must not wait for a silent name server.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use crate::config::plan::{Endpoint, Host};
use crate::shell::sys;

/// What a lookup gives: all addresses of the name, or the system's words.
pub type Answer = Result<Vec<SocketAddr>, String>;

/// Lookups under way, by name.
#[derive(Default)]
pub struct Resolver {
    pending: Arc<Mutex<BTreeMap<String, Arc<Lookup>>>>,
}

/// A lookup that is under way or done. Its read end hangs up when the answer is there, so that
/// it can be waited for together with sockets.
pub struct Lookup {
    done: OwnedFd,
    answer: Mutex<Option<Answer>>,
}

impl Lookup {
    /// What hangs up when the answer is there.
    pub fn done(&self) -> impl AsFd + '_ {
        &self.done
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

impl Resolver {
    /// Begins to look `name` up, or joins the lookup of it that is under way.
    pub fn look_up(&self, name: &str) -> io::Result<Arc<Lookup>> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = pending.get(name) {
            return Ok(Arc::clone(lookup));
        }
        let (done, hang_up) = sys::pipe()?;
        let lookup = Arc::new(Lookup { done, answer: Mutex::new(None) });
        let (all, own, key) = (Arc::clone(&self.pending), Arc::clone(&lookup), name.to_owned());
        Builder::new().name("resolve".into()).spawn(move || {
            let addrs = (key.as_str(), 0).to_socket_addrs();
            let answer = addrs.map(|addrs| addrs.collect()).map_err(|error| error.to_string());
            *own.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            drop(hang_up);
        })?;
        pending.insert(name.to_owned(), Arc::clone(&lookup));
        Ok(lookup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
