//! What may be changed while the process runs, and what is told of it: the one interface through
//! which the admin API changes live state.

use std::fmt;

use crate::config::plan::Protocol;
use crate::fault::{Among, Place, Spec};

/// A route as it stands, or as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteView {
    /// Unique in the process.
    pub name: String,
    /// The bound address of a route that has been started; else the text as it was given.
    pub listen: String,
    /// The text as it was given; looked at when a client connects.
    pub upstream: String,
    /// What its connections speak.
    pub protocol: Protocol,
    /// Whether it listens.
    pub enabled: bool,
    /// In the order in which they act.
    pub faults: Vec<Spec>,
}

/// What is to be different about a route; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteEdit {
    /// Where it listens.
    pub listen: Option<String>,
    /// Where it leads to.
    pub upstream: Option<String>,
    /// What its connections speak.
    pub protocol: Option<Protocol>,
    /// Whether it listens.
    pub enabled: Option<bool>,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No route has this name.
    NoSuchRoute,
    /// A route of this name is there already.
    NameTaken,
    /// It cannot listen there; holds why: `listen tcp 127.0.0.1:80: bind: permission denied`.
    CannotListen(String),
    /// A fault cannot be on a route of this protocol; holds which, and why.
    Unfit(String),
    /// The system has no descriptor or thread left for the change.
    Exhausted(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NoSuchRoute => out.write_str("proxy not found"),
            Refused::NameTaken => out.write_str("proxy already exists"),
            Refused::CannotListen(reason) | Refused::Unfit(reason) | Refused::Exhausted(reason) => {
                out.write_str(reason)
            }
        }
    }
}

/// Refuses faults on a route of this protocol of which one needs the other, or would be decided
/// elsewhere there than it is.
pub fn check_fit(faults: &[Spec], protocol: Protocol) -> Result<(), Refused> {
    let on_http = protocol == Protocol::Http;
    let of_bytes = |place| matches!(place, Place::One(_) | Place::Both);
    for spec in faults {
        let why = match spec.kind.place(on_http) {
            None => "needs a route that speaks HTTP",
            Some(_) if !on_http && spec.among != Among::default() => {
                "is for some requests only, which needs a route that speaks HTTP"
            }
            Some(place) if place == spec.place || (of_bytes(place) && of_bytes(spec.place)) => {
                continue;
            }
            Some(_) => "is decided elsewhere on a route of the other protocol",
        };
        let (name, kind) = (&spec.name, spec.kind.name);
        return Err(Refused::Unfit(format!("toxic {name:?}: {kind} {why} (remove it first)")));
    }
    Ok(())
}

/// Decides what becomes of a route's faults; none: they stay as they are.
pub type EditFaults<'a> = dyn FnMut(&[Spec]) -> Option<Vec<Spec>> + 'a;

/// The live routes. Every change is made whole or not at all, and is in force on live connections
/// when the call returns, or 50 ms later where a connection is too busy to look.
pub trait Routes: Send + Sync {
    /// All routes, by name in the order of bytes.
    fn all(&self) -> Vec<RouteView>;

    /// The route of this name.
    fn get(&self, name: &str) -> Option<RouteView>;

    /// A new route, started when it is enabled. One that cannot listen is not kept.
    fn create(&self, wanted: RouteView) -> Result<RouteView, Refused>;

    /// The route as wanted: one of the same name, listen, upstream and protocol is left untouched
    /// (faults, connections and `enabled` too); one that differs is replaced. Wildcard addresses
    /// of one port are the same; port 0 never is.
    fn ensure(&self, wanted: RouteView) -> Result<RouteView, Refused>;

    /// Changes a route. Another listen, upstream or protocol ends its connections; one that cannot
    /// listen stays with what is new, disabled. Its faults must fit the protocol.
    fn edit(&self, name: &str, edit: RouteEdit) -> Result<RouteView, Refused>;

    /// Changes the faults of a route, on new connections and on live ones. `decide` runs under
    /// the lock of the routes: what it saw is what is replaced.
    fn edit_faults(&self, name: &str, decide: &mut EditFaults<'_>) -> Result<RouteView, Refused>;

    /// Ends a route and its connections; its port is free when this returns.
    fn delete(&self, name: &str) -> Result<(), Refused>;

    /// Enables every route and removes all faults; goes on after a refusal, and tells them all.
    fn reset(&self) -> Result<(), Vec<Refused>>;
}
