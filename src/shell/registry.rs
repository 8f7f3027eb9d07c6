//! The live routes: which there are, which of them listen, and how they change while they run.
//!
//! One lock over all of them, held while a listener is bound or an accept thread joined, never
//! while bytes move, a name of an upstream is looked up or a connection is waited for.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, after, select};

use crate::config::ROUTES_MAX;
use crate::config::plan::{self, Endpoint, Host, Limits};
use crate::control::Cut;
use crate::control::lease::Leases;
use crate::control::routes::{EditFaults, Refused, RouteEdit, RouteView, Routes, check_fit};
use crate::fault::{Common, Spec};
use crate::journal::events::{self, Fields};
use crate::journal::metrics::RouteReport;
use crate::journal::{Event, Figures};
use crate::shell::clock::Clock;
use crate::shell::dial::words;
use crate::shell::keeper::Keeper;
use crate::shell::listener::{Accepting, Bound, hint, tell};
use crate::shell::resolve;
use crate::shell::route::{Route, Shared, Tally};
use crate::units::{Span, Time};

/// All routes of the process.
pub struct Registry {
    shared: Arc<Shared>,
    entries: Arc<Mutex<Entries>>,
    /// The process stops: nothing may listen any more.
    stopping: AtomicBool,
    /// Ends leases; there is none before the first lease.
    keeper: Mutex<Option<Keeper>>,
}

type Entries = BTreeMap<String, Entry>;

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
    /// When its faults remove themselves, by `clock`.
    leases: Leases,
    clock: Clock,
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
        self.route.end(cut);
        let next = self.route.live.generation().number + 1;
        self.route.tally.next_generation.store(next, Ordering::Relaxed);
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
        Registry {
            shared: Arc::clone(shared),
            entries: Arc::default(),
            stopping: AtomicBool::new(false),
            keeper: Mutex::default(),
        }
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
    pub fn open(&self, ready: Ready) -> io::Result<()> {
        let (route, addr) = (ready.route, ready.bound.addr);
        tell(&route, addr);
        let mut entries = self.lock();
        let kept = self.keep(&route.plan.faults);
        kept.map_err(|refused| io::Error::other(refused.to_string()))?;
        let accepting = ready.bound.accept(Arc::clone(&route))?;
        let mut entry = Entry {
            plan: route.plan.clone(),
            listen: addr.to_string(),
            upstream: route.plan.upstream.to_string(),
            tally: Arc::clone(&route.tally),
            serving: Some(Serving { accepting, route, addr }),
            leases: Leases::default(),
            clock: Clock::start(),
        };
        entry.leases.take(&mut entry.plan.faults, entry.clock.now());
        entries.insert(entry.plan.name.clone(), entry);
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

    /// What a reader of events who comes now must know first.
    pub fn header(&self) -> Fields {
        let entries = self.lock();
        let plan = |entry: &Entry| plan::Route {
            listen: Endpoint::lenient(&entry.listen),
            upstream: Endpoint::lenient(&entry.upstream),
            ..entry.plan.clone()
        };
        let number = |entry: &Entry| match &entry.serving {
            Some(serving) => serving.route.live.generation().version,
            None => entry.tally.next_generation.load(Ordering::Relaxed),
        };
        let routes: Vec<_> = entries.values().map(|entry| (plan(entry), number(entry))).collect();
        events::start(self.shared.seed, &routes)
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
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(keeper); // its thread is joined, and may want the lock of the routes before
        let mut entries = self.lock();
        self.stopping.store(true, Ordering::SeqCst);
        let entries = std::mem::take(&mut *entries);
        for serving in entries.into_values().filter_map(|entry| entry.serving) {
            serving.stop(Cut::Reset); // it was not finished, and shall not seem so
        }
    }

    /// The routes, to start one of them; refused when the process stops.
    fn lock_to_start(&self) -> Result<MutexGuard<'_, Entries>, Refused> {
        let entries = self.lock();
        if self.stopping.load(Ordering::SeqCst) {
            return Err(Refused::Exhausted("the process is stopping".into()));
        }
        Ok(entries)
    }

    /// No code that can panic half-way changes an entry under the lock.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the leases of these faults will end; to be called under the lock of the
    /// routes, for that is what the keeper waits for before it looks.
    fn keep(&self, faults: &[Spec]) -> Result<(), Refused> {
        if faults.iter().all(|spec| spec.ttl.is_none()) {
            return Ok(());
        }
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = &*keeper {
            keeper.nudge();
            return Ok(());
        }
        let (shared, entries) = (Arc::clone(&self.shared), Arc::clone(&self.entries));
        let look = move || {
            let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.values_mut().filter_map(|entry| entry.expire(&shared)).min()
        };
        let started = Keeper::start("leases", Box::new(look));
        *keeper = Some(started.map_err(|error| Refused::Exhausted(error.to_string()))?);
        Ok(())
    }
}

impl Entry {
    fn new(wanted: &RouteView) -> Entry {
        let plan = plan::Route {
            name: wanted.name.clone(),
            listen: Endpoint { host: Host::Name(String::new()), port: 0 }, // `listen` is the text
            upstream: Endpoint::lenient(&wanted.upstream),
            protocol: wanted.protocol,
            explain: true,
            faults: Vec::new(),
            limits: Limits::default(),
        };
        let mut entry = Entry {
            plan,
            listen: wanted.listen.clone(),
            upstream: wanted.upstream.clone(),
            tally: Arc::default(),
            serving: None,
            leases: Leases::default(),
            clock: Clock::start(),
        };
        entry.plan.faults.clone_from(&wanted.faults);
        entry.leases.take(&mut entry.plan.faults, entry.clock.now());
        entry
    }

    fn view(&self) -> RouteView {
        RouteView {
            name: self.plan.name.clone(),
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            protocol: self.plan.protocol,
            enabled: self.serving.is_some(),
            faults: self.leases.show(&self.plan.faults, self.clock.now()),
        }
    }

    /// Puts other faults in force; their leases begin now. What it gives is disconnected when all
    /// connections have looked.
    fn put(&mut self, mut faults: Vec<Spec>, now: Time) -> io::Result<Option<Receiver<()>>> {
        let mut leases = Leases::default();
        leases.take(&mut faults, now);
        let route = self.serving.as_ref().map(|serving| &serving.route);
        let looked = route.map(|route| route.set_faults(faults.clone())).transpose()?;
        (self.plan.faults, self.leases) = (faults, leases);
        Ok(looked)
    }

    /// Removes the faults whose leases are over; how long until the next one is.
    fn expire(&mut self, shared: &Shared) -> Option<Span> {
        let now = self.clock.now();
        let is_over = |spec: &Spec| self.leases.is_over(&spec.name, now);
        let shown = self.leases.show(&self.plan.faults, now).into_iter();
        let (over, stay): (Vec<Spec>, Vec<Spec>) = shown.partition(is_over);
        if !over.is_empty() && self.put(stay, now).is_err() {
            return Some(EXPIRE_AGAIN);
        }
        for spec in &over {
            let expired = Event::LeaseExpired(&spec.name);
            shared.journal.on_route(&self.plan.name, None, expired);
        }
        self.leases.next(now)
    }

    fn report(&self) -> RouteReport {
        RouteReport {
            name: self.plan.name.clone(),
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            figures: self.tally.counters.read(),
            by_fault: self.tally.counters.by_fault(),
            answers: self.tally.counters.answers(),
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
        let generation = route.live.generation();
        shared.journal.changed(&self.plan.name, generation.version, &generation.faults);
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

/// When a lease is looked at again whose fault could not be removed for want of a descriptor.
const EXPIRE_AGAIN: Span = Span::from_ms(100);

/// How long a change of faults waits for connections that are too busy to look.
const CHANGE_SPAN: std::time::Duration = std::time::Duration::from_millis(50);

/// Waits until all connections have looked at their change, or are too busy to be waited for.
fn wait_for(changes: impl IntoIterator<Item = Receiver<()>>) {
    let too_busy = after(CHANGE_SPAN);
    for looked in changes {
        select! {
            recv(looked) -> _ => {} // disconnected
            recv(too_busy) -> _ => return,
        }
    }
}

impl Registry {
    /// Changes the faults of a route; what it gives is disconnected when all have looked.
    fn change_faults(
        &self,
        name: &str,
        decide: &mut EditFaults<'_>,
    ) -> Result<(RouteView, Option<Receiver<()>>), Refused> {
        let mut entries = self.lock();
        let entry = entries.get_mut(name).ok_or(Refused::NoSuchRoute)?;
        let now = entry.clock.now();
        let shown = entry.leases.show(&entry.plan.faults, now);
        let Some(faults) = decide(&shown) else { return Ok((entry.view(), None)) };
        check_fit(&faults, entry.plan.protocol)?; // it may be another since somebody looked
        self.keep(&faults)?;
        let changed = entry.put(faults, now);
        let looked = changed.map_err(|error| Refused::Exhausted(error.to_string()))?;
        Ok((entry.view(), looked))
    }
}

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
        self.keep(&wanted.faults)?;
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
        let own = (&entry.upstream, entry.plan.protocol);
        if entry.listens_at(&wanted.listen) && own == (&wanted.upstream, wanted.protocol) {
            return Ok(entry.view());
        }
        self.keep(&wanted.faults)?;
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
        let spoken = edit.protocol.filter(|protocol| *protocol != entry.plan.protocol);
        spoken.map_or(Ok(()), |protocol| check_fit(&entry.plan.faults, protocol))?;
        if moved.is_some() || led_elsewhere.is_some() || spoken.is_some() {
            entry.stop();
            entry.plan.protocol = spoken.unwrap_or(entry.plan.protocol);
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
        let (view, looked) = self.change_faults(name, decide)?;
        wait_for(looked);
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
        let (mut refused, mut waiting) = (Vec::new(), Vec::new());
        for name in names {
            let enabled = self.edit(&name, enable.clone()).map(drop);
            let cleared =
                self.change_faults(&name, &mut |faults| (!faults.is_empty()).then(Vec::new));
            let cleared = cleared.map(|(_, looked)| waiting.extend(looked));
            // A route that was deleted meanwhile needs no reset.
            let failed = [enabled, cleared].into_iter().filter_map(Result::err);
            refused.extend(failed.filter(|refusal| *refusal != Refused::NoSuchRoute));
        }
        wait_for(waiting);
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }
}
