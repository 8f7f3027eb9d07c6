//! Routes in memory for the tests: they bind nothing and behave as the real ones promise to.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::control::routes::{EditFaults, Refused, RouteEdit, RouteView, Routes, check_fit};

/// An address that something else listens on.
pub(super) const TAKEN: &str = "127.0.0.1:1";

#[derive(Debug, Default)]
pub(super) struct Fake {
    routes: Mutex<Vec<RouteView>>,
}

/// The address that a text is bound to; each port 0 becomes another port.
fn resolve(listen: &str, ports: usize) -> Result<String, String> {
    let listen = if listen.is_empty() { ":0" } else { listen };
    let Some((host, port)) = listen.rsplit_once(':') else {
        return Err(format!("address {listen}: missing port in address"));
    };
    let number: u16 = port.parse().map_err(|_| format!("address {listen}: invalid port"))?;
    let port = if number == 0 { 40_000 + ports } else { number.into() };
    Ok(match host {
        "" | "0.0.0.0" => format!("[::]:{port}"),
        "localhost" => format!("127.0.0.1:{port}"),
        host => format!("{host}:{port}"),
    })
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, Vec<RouteView>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<'a>(all: &'a mut [RouteView], name: &str) -> Result<&'a mut RouteView, Refused> {
    all.iter_mut().find(|route| route.name == name).ok_or(Refused::NoSuchRoute)
}

/// Lets a route listen, if nobody else does there.
fn start(all: &[RouteView], mut route: RouteView) -> Result<RouteView, Refused> {
    let listen = resolve(&route.listen, all.len());
    route.listen =
        listen.map_err(|reason| Refused::CannotListen(format!("listen tcp: {reason}")))?;
    let same = |other: &RouteView| {
        other.name != route.name && other.enabled && other.listen == route.listen
    };
    if route.listen == TAKEN || all.iter().any(same) {
        let reason = format!("listen tcp {}: bind: address already in use", route.listen);
        return Err(Refused::CannotListen(reason));
    }
    route.enabled = true;
    Ok(route)
}

impl Routes for Fake {
    fn all(&self) -> Vec<RouteView> {
        let mut all = self.lock().clone();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn get(&self, name: &str) -> Option<RouteView> {
        self.lock().iter().find(|route| route.name == name).cloned()
    }

    fn create(&self, wanted: RouteView) -> Result<RouteView, Refused> {
        let mut all = self.lock();
        if all.iter().any(|route| route.name == wanted.name) {
            return Err(Refused::NameTaken);
        }
        let route = if wanted.enabled { start(&all, wanted)? } else { wanted };
        all.push(route.clone());
        Ok(route)
    }

    fn ensure(&self, wanted: RouteView) -> Result<RouteView, Refused> {
        if let Some(known) = self.get(&wanted.name) {
            let listen = resolve(&wanted.listen, 0);
            let own = (&known.upstream, known.protocol);
            let is_same = own == (&wanted.upstream, wanted.protocol);
            if listen.as_ref() == Ok(&known.listen) && is_same {
                return Ok(known);
            }
            self.delete(&wanted.name)?;
        }
        self.create(wanted)
    }

    fn edit(&self, name: &str, edit: RouteEdit) -> Result<RouteView, Refused> {
        let mut all = self.lock();
        let mut next = find(&mut all, name)?.clone();
        let listen = edit.listen.map(|listen| resolve(&listen, all.len())).transpose();
        next.listen = listen.map_err(Refused::CannotListen)?.unwrap_or(next.listen);
        next.upstream = edit.upstream.unwrap_or(next.upstream);
        next.protocol = edit.protocol.unwrap_or(next.protocol);
        check_fit(&next.faults, next.protocol)?;
        next.enabled = edit.enabled.unwrap_or(next.enabled);
        if next.enabled {
            next = start(&all, next)?;
        }
        find(&mut all, name)?.clone_from(&next);
        Ok(next)
    }

    fn edit_faults(&self, name: &str, decide: &mut EditFaults<'_>) -> Result<RouteView, Refused> {
        let mut all = self.lock();
        let route = find(&mut all, name)?;
        if let Some(faults) = decide(&route.faults) {
            route.faults = faults;
        }
        Ok(route.clone())
    }

    fn delete(&self, name: &str) -> Result<(), Refused> {
        let mut all = self.lock();
        find(&mut all, name)?;
        all.retain(|route| route.name != name);
        Ok(())
    }

    fn reset(&self) -> Result<(), Vec<Refused>> {
        let mut all = self.lock();
        let mut refused = Vec::new();
        for index in 0..all.len() {
            all[index].faults.clear();
            match start(&all, all[index].clone()) {
                Ok(route) => all[index] = route,
                Err(reason) => refused.push(reason),
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }
}
