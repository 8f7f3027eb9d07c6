//! The live routes: which there are, which of them listen, and how they change while they run.
//!
//! One lock over all of them, held while a listener is bound or an accept thread joined, never
//! while bytes move, a name of an upstream is looked up or a connection is waited for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::ROUTES_MAX;
use crate::config::plan::{self, Endpoint, Host, Limits, Protocol};
use crate::control::Cut;
use crate::control::routes::{EditFaults, Refused, RouteEdit, RouteView, Routes};
use crate::fault::Common;
use crate::journal::Figures;
use crate::journal::metrics::RouteReport;
use crate::shell::dial::words;
use crate::shell::listener::{Accepting, Bound, hint, tell};
use crate::shell::resolve;
use crate::shell::route::{Route, Shared, Tally};

/// All routes of the process.
pub struct Registry {
    shared: Arc<Shared>,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// The process stops: nothing may listen any more.
    stopping: AtomicBool,
}

/// A route, whether it listens or not.
struct Entry {
    /// What was asked for; name, faults and limits are the ones in force.
    plan: plan::Route,
    /// As a listing shows it.
    listen: String,
    /// As it was given.
    upstream: String,
    /// Outlives a stop of the route.
    tally: Arc<Tally>,
    serving: Option<Serving>,
}

/// A route that listens. Its parts are let go of in this order.
struct Serving {
    accepting: Accepting,
    route: Arc<Route>,
    addr: SocketAddr,
}

impl Serving {
    /// Refuses new connections and cuts the live ones; the port is free afterwards.
    fn stop(self, cut: Cut) {
        drop(self.accepting);
        self.route.live.end(cut);
    }
}

/// A listener that is bound for a route and does not accept yet.
pub struct Ready {
    route: Arc<Route>,
    bound: Bound,
}

impl Registry {
    /// No routes yet.
    pub fn new(shared: &Arc<Shared>) -> Registry {
        let entries = Mutex::default();
        Registry { shared: Arc::clone(shared), entries, stopping: AtomicBool::new(false) }
    }

    /// Binds the listener of a route of the configuration, or tells why not, with a hint.
    pub fn bind(&self, mut plan: plan::Route) -> Result<Ready, String> {
        // A plan may be run more than once, and each run counts for itself.
        plan.faults.iter_mut().for_each(|spec| spec.common = Common::default());
        let bound = Bound::bind(&plan.listen)?;
        let tally = Arc::default();
        let failed = |error| format!("{}; {}", words(&error), hint(&error));
        let route = Route::new(&self.shared, plan, &tally).map_err(failed)?;
        Ok(Ready { route: Arc::new(route), bound })
    }

    /// Lets a bound route accept, and lists it. Fails when the system gives no thread.
    pub fn open(&self, ready: Ready) -> std::io::Result<()> {
        let (route, addr) = (ready.route, ready.bound.addr);
        tell(&route, addr);
        let accepting = ready.bound.accept(Arc::clone(&route))?;
        let entry = Entry {
            plan: route.plan.clone(),
            listen: addr.to_string(),
            upstream: route.plan.upstream.to_string(),
            tally: Arc::clone(&route.tally),
            serving: Some(Serving { accepting, route, addr }),
        };
        self.lock().insert(entry.plan.name.clone(), entry);
        Ok(())
    }

    /// Where a route listens.
    pub fn addr(&self, name: &str) -> Option<SocketAddr> {
        self.lock().get(name)?.serving.as_ref().map(|serving| serving.addr)
    }

    /// What happened on a route so far.
    pub fn figures(&self, name: &str) -> Option<Figures> {
        self.lock().get(name).map(|entry| entry.tally.counters.read())
    }

    /// All routes with their counters, by name.
    pub fn report(&self) -> Vec<RouteReport> {
        self.lock().values().map(Entry::report).collect()
    }

    /// Refuses new connections on all routes; live ones go on.
    pub fn refuse(&self) {
        let mut entries = self.lock();
        self.stopping.store(true, Ordering::SeqCst);
        entries.values_mut().for_each(|entry| {
            if let Some(serving) = &mut entry.serving {
                serving.accepting.stop();
            }
        });
    }

    /// Ends all routes and their connections.
    pub fn end(&self) {
        let mut entries = self.lock();
        self.stopping.store(true, Ordering::SeqCst);
        let entries = std::mem::take(&mut *entries);
        for serving in entries.into_values().filter_map(|entry| entry.serving) {
            serving.stop(Cut::Reset); // it was not finished, and shall not seem so
        }
    }

    /// The routes, to start one of them; refused when the process stops.
    fn lock_to_start(&self) -> Result<MutexGuard<'_, BTreeMap<String, Entry>>, Refused> {
        let entries = self.lock();
        if self.stopping.load(Ordering::SeqCst) {
            return Err(Refused::Exhausted("the process is stopping".into()));
        }
        Ok(entries)
    }

    /// No code that can panic half-way changes an entry under the lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(wanted: &RouteView) -> Entry {
        let plan = plan::Route {
            name: wanted.name.clone(),
            listen: Endpoint { host: Host::Name(String::new()), port: 0 }, // `listen` is the text
            upstream: Endpoint::lenient(&wanted.upstream),
            protocol: Protocol::Tcp,
            faults: wanted.faults.clone(),
            limits: Limits::default(),
        };
        Entry {
            plan,
            listen: wanted.listen.clone(),
            upstream: wanted.upstream.clone(),
            tally: Arc::default(),
            serving: None,
        }
    }

    fn view(&self) -> RouteView {
        RouteView {
            name: self.plan.name.clone(),
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            enabled: self.serving.is_some(),
            faults: self.plan.faults.clone(),
        }
    }

    fn report(&self) -> RouteReport {
        RouteReport {
            name: self.plan.name.clone(),
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            figures: self.tally.counters.read(),
            by_fault: self.tally.counters.by_fault(),
            faults_active: self.plan.faults.iter().filter(|fault| fault.how.enabled).count(),
        }
    }

    fn start(&mut self, shared: &Arc<Shared>) -> Result<(), Refused> {
        if self.serving.is_some() {
            return Ok(());
        }
        let addrs = resolve::listen_addrs(&self.listen)
            .map_err(|reason| Refused::CannotListen(format!("listen tcp: {reason}")))?;
        let bound = Bound::bind_to(&addrs).map_err(|(addr, error)| {
            Refused::CannotListen(format!("listen tcp {addr}: bind: {}", words(&error)))
        })?;
        let addr = bound.addr;
        let exhausted = |error: std::io::Error| Refused::Exhausted(error.to_string());
        let route = Route::new(shared, self.plan.clone(), &self.tally).map_err(exhausted)?;
        let route = Arc::new(route);
        tell(&route, addr);
        let accepting = bound.accept(Arc::clone(&route)).map_err(exhausted)?;
        self.listen = addr.to_string();
        self.serving = Some(Serving { accepting, route, addr });
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop(Cut::Close); // a clean end: Toxiproxy sends FIN, too
        }
    }

    /// True when it listens, or would listen, where `listen` says. Port 0 is never the same.
    fn listens_at(&self, listen: &str) -> bool {
        let first = resolve::listen_addrs(listen).ok().and_then(|addrs| addrs.first().copied());
        first.is_some_and(|addr| addr.port() != 0 && addr.to_string() == self.listen)
            || (self.serving.is_none() && self.listen == listen)
    }
}

/// How long a change of faults waits for connections that are too busy to look.
const CHANGE_SPAN: std::time::Duration = std::time::Duration::from_millis(50);

impl Routes for Registry {
    fn all(&self) -> Vec<RouteView> {
        self.lock().values().map(Entry::view).collect()
    }

    fn get(&self, name: &str) -> Option<RouteView> {
        self.lock().get(name).map(Entry::view)
    }

    fn create(&self, wanted: RouteView) -> Result<RouteView, Refused> {
        let mut entries = self.lock_to_start()?;
        if entries.contains_key(&wanted.name) {
            return Err(Refused::NameTaken);
        }
        if entries.len() >= ROUTES_MAX {
            return Err(Refused::Exhausted(format!("{ROUTES_MAX} routes are there already")));
        }
        let mut entry = Entry::new(&wanted);
        if wanted.enabled {
            entry.start(&self.shared)?;
        }
        let view = entry.view();
        entries.insert(wanted.name, entry);
        Ok(view)
    }

    fn ensure(&self, wanted: RouteView) -> Result<RouteView, Refused> {
        let mut entries = self.lock_to_start()?;
        let Some(entry) = entries.get_mut(&wanted.name) else {
            drop(entries);
            return self.create(wanted);
        };
        if entry.listens_at(&wanted.listen) && entry.upstream == wanted.upstream {
            return Ok(entry.view());
        }
        entry.stop();
        *entry = Entry { tally: Arc::clone(&entry.tally), ..Entry::new(&wanted) };
        if wanted.enabled {
            entry.start(&self.shared)?;
        }
        Ok(entry.view())
    }

    fn edit(&self, name: &str, edit: RouteEdit) -> Result<RouteView, Refused> {
        let mut entries = self.lock_to_start()?;
        let entry = entries.get_mut(name).ok_or(Refused::NoSuchRoute)?;
        let enabled = edit.enabled.unwrap_or(entry.serving.is_some());
        let moved = edit.listen.filter(|listen| !entry.listens_at(listen));
        if let Some(listen) = &moved {
            resolve::listen_addrs(listen).map_err(Refused::CannotListen)?;
        }
        let led_elsewhere = edit.upstream.filter(|upstream| *upstream != entry.upstream);
        if moved.is_some() || led_elsewhere.is_some() {
            entry.stop();
            entry.listen = moved.unwrap_or_else(|| entry.listen.clone());
            if let Some(upstream) = led_elsewhere {
                entry.plan.upstream = Endpoint::lenient(&upstream);
                entry.upstream = upstream;
            }
        }
        match enabled {
            true => entry.start(&self.shared)?,
            false => entry.stop(),
        }
        Ok(entry.view())
    }

    fn edit_faults(&self, name: &str, decide: &mut EditFaults<'_>) -> Result<RouteView, Refused> {
        let mut entries = self.lock();
        let entry = entries.get_mut(name).ok_or(Refused::NoSuchRoute)?;
        let Some(faults) = decide(&entry.plan.faults) else { return Ok(entry.view()) };
        let looked = match &entry.serving {
            Some(serving) => {
                let change = serving.route.live.set_faults(faults.clone());
                Some(change.map_err(|error| Refused::Exhausted(error.to_string()))?)
            }
            None => None,
        };
        entry.plan.faults = faults;
        let view = entry.view();
        drop(entries);
        if let Some(looked) = looked {
            let _ = looked.recv_timeout(CHANGE_SPAN); // disconnected, or too busy to wait for
        }
        Ok(view)
    }

    fn delete(&self, name: &str) -> Result<(), Refused> {
        let mut entry = self.lock().remove(name).ok_or(Refused::NoSuchRoute)?;
        entry.stop();
        Ok(())
    }

    fn reset(&self) -> Result<(), Vec<Refused>> {
        let names: Vec<String> = self.lock().keys().cloned().collect();
        let enable = RouteEdit { enabled: Some(true), ..RouteEdit::default() };
        let mut refused = Vec::new();
        for name in names {
            let enabled = self.edit(&name, enable.clone()).map(drop);
            let cleared =
                self.edit_faults(&name, &mut |faults| (!faults.is_empty()).then(Vec::new));
            // A route that was deleted meanwhile needs no reset.
            let failed = [enabled, cleared.map(drop)].into_iter().filter_map(Result::err);
            refused.extend(failed.filter(|refusal| *refusal != Refused::NoSuchRoute));
        }
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }
}
