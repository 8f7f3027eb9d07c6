//! The whole configuration: its own keys, and the list of routes.

use super::node::Value;
use super::plan::{Log, LogFormat, LogLevel, Plan, Shutdown};
use super::value::{At, Found, Object};
use super::{ROUTES_MAX, crossing, route};
use crate::units::Span;

/// The plan for the tree at `root`; none, or problems noted, when something is wrong.
pub(super) fn plan(root: &At<'_>, found: &mut Found) -> Option<Plan> {
    match root.value {
        Value::List(_) => {
            let list = At { path: "routes".into(), ..root.clone() };
            let routes = routes(Some(list), found)?;
            Some(Plan { seed: None, log: Log::default(), shutdown: Shutdown::default(), routes })
        }
        Value::Object(_) => object(&root.object(found)?, found),
        Value::Null => {
            found.note("", None, format!("an empty file ({ALLOWED})"));
            None
        }
        Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            found.note("", root.pos, format!("{} ({ALLOWED})", root.value.what()));
            None
        }
    }
}

/// What a configuration is, in words.
pub(super) const ALLOWED: &str = "an object with \"routes\", or a list of routes";
const KEYS: &[&str] = &["seed", "log", "shutdown", "routes"];

fn object(object: &Object<'_>, found: &mut Found) -> Option<Plan> {
    if object.get("routes").is_none() && object.get("upstream").is_some() {
        let (path, pos) = object.place();
        found.note(path, pos, format!("a route by itself ({ALLOWED})"));
        return None;
    }
    object.only(KEYS, found);
    let seed = object.get("seed").map(|at| at.whole((0, u64::MAX), "", found));
    let log = object.get("log").map_or(Some(Log::default()), |at| log(&at, found));
    let shutdown =
        object.get("shutdown").map_or(Some(Shutdown::default()), |at| shutdown(&at, found));
    let routes = routes(object.require("routes", route::LIST, found), found);
    Some(Plan { seed: seed.flatten(), log: log?, shutdown: shutdown?, routes: routes? })
}

fn log(at: &At<'_>, found: &mut Found) -> Option<Log> {
    let object = at.object(found)?;
    object.only(&["level", "format"], found);
    let level = object.get("level").map(|at| at.word(LEVELS, found));
    let format = object.get("format").map(|at| at.word(FORMATS, found));
    let default = Log::default();
    Some(Log {
        level: level.unwrap_or(Some(default.level))?,
        format: format.unwrap_or(Some(default.format))?,
    })
}

const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The longest grace: an hour.
const GRACE_MAX_MS: u64 = 3_600_000;

fn shutdown(at: &At<'_>, found: &mut Found) -> Option<Shutdown> {
    let object = at.object(found)?;
    object.only(&["graceMs"], found);
    let grace: Option<Option<Span>> =
        object.get("graceMs").map(|at| at.ms((0, GRACE_MAX_MS), "", found));
    Some(Shutdown { grace: grace.unwrap_or(Some(Shutdown::default().grace))? })
}

/// All routes, each by itself and then together.
fn routes(list: Option<At<'_>>, found: &mut Found) -> Option<Vec<super::plan::Route>> {
    let list = list?.list(1, ROUTES_MAX, "routes", found)?;
    let drafts: Vec<route::Draft> = list.iter().map(|at| route::draft(at, found)).collect();
    crossing::check(&drafts, found);
    drafts.into_iter().map(route::Draft::finish).collect()
}
