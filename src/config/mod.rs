//! Text to an immutable `Plan`, or to all that is wrong with it. Takes text, touches no file.
//!
//! ```text
//! bytes -> source: text -> outline, text: tree of nodes with places -> top, route, faults: Plan
//!                                         flags -> inline: nodes without places --^
//! ```

pub mod plan;

mod crossing;
mod endpoint;
mod faults;
mod inline;
mod matching;
mod node;
mod outline;
mod route;
pub(crate) mod shape;
mod source;
mod syntax;
mod text;
mod top;
mod value;

use std::net::IpAddr;

use crate::fault::attr::Raw;
use crate::fault::matching::Match;
use crate::problem::{Problem, Problems};
use plan::Plan;

pub(crate) use endpoint::endpoint;
pub use inline::{Inline, plan_for_routes};

/// Bytes of a configuration at most.
pub const SIZE_MAX: usize = 4 << 20;

/// Values of a configuration at most, keys included, aliases counted as what they stand for.
pub const NODES_MAX: usize = 100_000;

/// Levels of lists and objects at most.
pub const DEPTH_MAX: usize = 32;

/// Routes at most.
pub const ROUTES_MAX: usize = 1024;

/// Faults that a route may list at most.
pub const FAULTS_MAX: usize = 100;

/// Parses where to listen: `host:port`, port 0 for any.
///
/// # Errors
/// What came, and what is allowed.
pub fn listen_endpoint(text: &str) -> Result<plan::Endpoint, String> {
    endpoint::endpoint(text, true)
}

/// Parses the address of a `bind`, IPv6 with brackets or without.
pub fn bind_ip(text: &str) -> Option<IpAddr> {
    route::bind_ip(text)
}

impl plan::Endpoint {
    /// Any text as an endpoint: what is not one is a name that will not resolve when it is dialled.
    pub fn lenient(text: &str) -> plan::Endpoint {
        let host = || plan::Host::Name(text.to_owned());
        endpoint::endpoint(text, true).unwrap_or_else(|_| plan::Endpoint { host: host(), port: 0 })
    }
}

/// Reads the `match` of a fault: for which requests it is.
///
/// # Errors
/// The first that is wrong with it, and where.
pub fn read_match(raw: &Raw<'_>) -> Result<Match, String> {
    matching::from_raw(raw)
}

/// Why there is no fault of this type, where many would look for it.
pub fn why_no_kind(name: &str) -> Option<String> {
    faults::why_no_kind(name)
}

/// Reads a configuration, JSON or YAML.
///
/// # Errors
/// All that is wrong with it, in the order of the text.
pub fn read(bytes: &[u8]) -> Result<Plan, Problems> {
    read_for(bytes, None)
}

/// The same, where `localPort` listens on `bind` unless its route says otherwise.
///
/// # Errors
/// All that is wrong with it, in the order of the text.
pub fn read_for(bytes: &[u8], bind: Option<IpAddr>) -> Result<Plan, Problems> {
    let text = source::text(bytes).map_err(|problem| report(vec![problem]))?;
    let mut found = value::Found { bind, ..value::Found::default() };
    let tree = text::tree(text, &mut found);
    let plan = tree.and_then(|root| top::plan(&value::At::root(&root), &mut found));
    match plan {
        Some(plan) if found.list.is_empty() => Ok(plan),
        Some(_) | None => Err(report(found.list)),
    }
}

/// The first problems by place, however many there are.
fn report(list: Vec<Problem>) -> Problems {
    let mut by_place: Vec<Problem> = Vec::with_capacity(list.len());
    for problem in list {
        let behind = by_place.partition_point(|other| other.pos <= problem.pos);
        by_place.insert(behind, problem);
    }
    let mut problems = Problems::default();
    by_place.into_iter().for_each(|problem| problems.add(problem));
    problems
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
