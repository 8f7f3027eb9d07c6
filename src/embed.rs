//! The whole proxy in this process: for the command line, for tests, for users' own Rust tests.
//!
//! ```
//! use chaos_proxy::{config, embed::Running};
//!
//! let text = br#"{"routes": [{"name": "db", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:5432",
//!                             "latencyMs": 100}]}"#;
//! let plan = config::read(text).expect("a plan");
//! let running = Running::start(plan).expect("bound");
//! let addr = running.addr("db").expect("a route of that name");
//! // connect to `addr` ... and stop everything:
//! drop(running);
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::admin::{self, AdminOptions, Answer, Metrics};
use crate::config::plan::Plan;
use crate::control::ledger::Ledger;
use crate::control::routes::Routes;
use crate::fault::Spec;
use crate::http::Reply;
use crate::journal::{Event, Figures, Journal, Sink};
use crate::journal::{events, metrics};
use crate::shell::admin_server::{AdminServer, Handler, Limits, Served};
use crate::shell::clock::Clock;
use crate::shell::event_feed::EventFeed;
use crate::shell::listener::Bound;
use crate::shell::registry::Registry;
use crate::shell::resolve::Resolver;
use crate::shell::route::Shared;
use crate::shell::spare::Reserve;
use crate::shell::threads::Pool;
use crate::shell::{clock, logger, process, sys};
use crate::units::Span;

/// Why nothing is served: one line with the route, its address, the reason and a hint.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// A running proxy. Dropping it refuses new connections, cuts live ones and joins every thread. It
/// takes the signal SIGURG for itself: the process must neither block nor ignore it.
pub struct Running {
    shared: Arc<Shared>,
    routes: Arc<Registry>,
    all_left: Receiver<()>,
}

impl Running {
    /// Binds every listener and then accepts on all of them, without a word.
    pub fn start(plan: Plan) -> Result<Running, StartError> {
        Running::start_with(plan, Box::new(|_| {}))
    }

    /// The same, and tells `sink` what happens.
    pub fn start_with(plan: Plan, sink: Sink) -> Result<Running, StartError> {
        Running::start_told(plan, &Arc::new(Journal::new(sink, logger::stamp)))
    }

    /// The same with a journal whose events somebody may read already.
    pub fn start_told(plan: Plan, journal: &Arc<Journal>) -> Result<Running, StartError> {
        let seed = plan.seed.unwrap_or_else(clock::chosen_seed);
        let (ledger, all_left) = Ledger::new();
        let (pool, resolver) = (Pool::default(), Resolver::default());
        let (reserve, epoch) = (Reserve::default(), Clock::start());
        let journal = Arc::clone(journal);
        let shared = Arc::new(Shared { seed, epoch, journal, ledger, pool, resolver, reserve });
        if shared.journal.events.is_read() {
            let routes: Vec<_> = plan.routes.iter().map(|route| (route.clone(), 0)).collect();
            shared.journal.events.tell("start", &events::start(seed, &routes));
        }
        shared.journal.note(Event::Starting(env!("CARGO_PKG_VERSION"), seed));
        let routes = Arc::new(Registry::new(&shared));
        let running = Running { shared: Arc::clone(&shared), routes, all_left };
        let mut bound = Vec::new();
        for (index, plan) in plan.routes.into_iter().enumerate() {
            let name = format!("routes[{index}] {:?}: {}", plan.name, plan.listen);
            match running.routes.bind(plan) {
                Ok(ready) => bound.push((name, ready)),
                Err(reason) => return Err(StartError(format!("{name}: {reason}"))),
            }
        }
        let count = bound.len();
        for (name, ready) in bound {
            let failed = |error| StartError(format!("{name}: no thread to accept: {error}"));
            running.routes.open(ready).map_err(failed)?;
        }
        shared.journal.note(Event::Ready(count));
        Ok(running)
    }

    /// Where a route listens, with the port that the system chose.
    pub fn addr(&self, route: &str) -> Option<SocketAddr> {
        self.routes.addr(route)
    }

    /// What happened on a route so far.
    pub fn figures(&self, route: &str) -> Option<Figures> {
        self.routes.figures(route)
    }

    /// The routes, to be looked at and changed while they run.
    pub fn routes(&self) -> Arc<dyn Routes> {
        Arc::clone(&self.routes) as Arc<dyn Routes>
    }

    /// Answers the admin API on a bound listener, until what this gives is dropped. `insecure` is
    /// told: anybody who reaches the port may use it.
    pub fn open_admin(
        &self,
        bound: Bound,
        options: AdminOptions,
        insecure: bool,
    ) -> Result<AdminServer, StartError> {
        let addr = bound.addr;
        let (shared, routes) = (Arc::clone(&self.shared), Arc::clone(&self.routes));
        let handler: Handler = Arc::new(move |request, peer| {
            let served = match admin::answer(request, &*routes, &options) {
                Answer::Whole(reply) => Served::Whole(reply),
                Answer::Metrics(wanted) => Served::Whole(
                    Reply::new(200)
                        .with("Content-Type", metrics::CONTENT_TYPE)
                        .with_body(page(&shared, &routes, wanted)),
                ),
                Answer::Events => {
                    let feed = EventFeed::open(&shared.journal.events, || routes.header());
                    feed.map_or_else(Served::Whole, Served::Stream)
                }
            };
            let status = match &served {
                Served::Whole(reply) => reply.status,
                Served::Stream(_) => 200,
            };
            shared.journal.note(Event::Asked(peer, &request.method, &request.path, status));
            served
        });
        let failed = |reason| StartError(format!("admin: {addr}: {reason}"));
        let server =
            AdminServer::serve_streams(bound, Limits::default(), handler).map_err(failed)?;
        self.shared.journal.note(Event::Admin(addr, insecure));
        Ok(server)
    }

    /// The counters as Prometheus reads them.
    pub fn metrics(&self, wanted: Metrics) -> String {
        page(&self.shared, &self.routes, wanted)
    }

    /// Creates the routes of a file as Toxiproxy's `/populate` takes it; or its words for why not.
    pub fn populate(&self, body: &[u8]) -> Result<(), StartError> {
        let reply = admin::populate_file(body, &*self.routes());
        match reply.status {
            201 => Ok(()),
            _ => Err(StartError(String::from_utf8_lossy(&reply.body).into_owned())),
        }
    }

    /// Connections in flight on all routes.
    pub fn in_flight(&self) -> usize {
        self.shared.ledger.in_flight()
    }

    /// The seed of all decisions.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// Puts other faults in force on a route, for new connections and live ones. False when
    /// there is no such route, or when the system has no descriptor left for the change.
    pub fn set_faults(&self, route: &str, faults: Vec<Spec>) -> bool {
        self.routes.edit_faults(route, &mut |_| Some(faults.clone())).is_ok()
    }

    /// Tells that a stop has been asked for, and that new connections are accepted for so long.
    pub fn stopping_in(&self, delay: Span) {
        self.shared.journal.note(Event::Stopping(delay));
    }

    /// Refuses new connections from now on. What receives a message when the last connection
    /// has left; it may be one of an earlier moment, so look at `in_flight`.
    pub fn drain(&mut self) -> Receiver<()> {
        self.routes.refuse();
        let in_flight = self.in_flight();
        self.shared.journal.note(Event::Draining(in_flight));
        self.all_left.clone()
    }

    /// Cuts what is still in flight, and waits for every thread.
    pub fn stop(mut self) {
        let cut = self.in_flight();
        self.end();
        self.shared.journal.note(Event::Drained(cut));
        self.shared.journal.note(Event::Stopped);
    }

    fn end(&mut self) {
        self.routes.end();
        self.shared.pool.close();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn page(shared: &Shared, routes: &Registry, wanted: Metrics) -> String {
    let reports = wanted.routes.then(|| routes.report());
    let process = wanted.process.then(process::report);
    metrics::text(&metrics::Page {
        routes: reports.as_deref().map(|reports| (reports, &*shared.journal)),
        process: process.as_ref(),
    })
}

/// Raises the limit of descriptors, makes room for them, sharpens timers, and lets pass-through
/// threads run as batch: for a process that is a proxy and nothing else, before it has a second
/// thread.
pub fn claim_process() {
    sys::raise_descriptor_limit();
    sys::widen_descriptor_table();
    sys::sharpen_timers();
    sys::allow_batch();
}
