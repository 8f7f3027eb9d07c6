//! The whole configuration: its own keys, and the list of routes.

use super::node::Value;
use super::plan::{Admin, Log, LogFormat, LogLevel, Plan, Shutdown};
use super::value::{At, Found, Object};
use super::{ROUTES_MAX, crossing, endpoint, route};
use crate::units::Span;

/// The plan for the tree at `root`; none, or problems noted, when something is wrong.
pub(super) fn plan(root: &At<'_>, found: &mut Found) -> Option<Plan> {
    match root.value {
        Value::List(_) => {
            let list = At { path: "routes".into(), ..root.clone() };
            let routes = routes(Some(list), found)?;
            let (log, shutdown) = (Log::default(), Shutdown::default());
            Some(Plan { seed: None, log, shutdown, admin: None, routes })
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
const KEYS: &[&str] = &["seed", "log", "shutdown", "admin", "routes"];

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
    let admin = object.get("admin").map_or(Some(None), |at| admin(&at, found).map(Some));
    let routes = routes(object.require("routes", route::LIST, found), found);
    let seed = seed.flatten();
    Some(Plan { seed, log: log?, shutdown: shutdown?, admin: admin?, routes: routes? })
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

/// The longest grace, and the longest delay before it: an hour.
const SHUTDOWN_MAX_MS: u64 = 3_600_000;

fn shutdown(at: &At<'_>, found: &mut Found) -> Option<Shutdown> {
    let object = at.object(found)?;
    object.only(&["graceMs", "delayMs"], found);
    let mut ms = |key: &str, default: Span| match object.get(key) {
        Some(at) => at.ms((0, SHUTDOWN_MAX_MS), "", found),
        None => Some(default),
    };
    let default = Shutdown::default();
    let (grace, delay) = (ms("graceMs", default.grace), ms("delayMs", default.delay));
    Some(Shutdown { grace: grace?, delay: delay? })
}

/// Names that may stand in `Host`, at most.
const HOSTS_MAX: usize = 64;

fn admin(at: &At<'_>, found: &mut Found) -> Option<Admin> {
    let object = at.object(found)?;
    object.only(&["listen", "tokenFile", "allowedHosts"], found);
    let listen = object.require("listen", LISTEN, found);
    let listen = listen.and_then(|at| {
        let text = at.text(LISTEN, found)?;
        found.take(&at, endpoint::endpoint(text, true))
    });
    let file = object.get("tokenFile").map(|at| at.text("the path of a file", found));
    let hosts = object.get("allowedHosts").map(|at| -> Option<Vec<String>> {
        let list = at.list(0, HOSTS_MAX, "names", found)?;
        list.iter().map(|at| Some(at.text("a host name", found)?.to_lowercase())).collect()
    });
    Some(Admin {
        listen: listen?,
        token_file: file.map_or(Some(None), |file| file.map(|file| Some(file.to_owned())))?,
        allowed_hosts: hosts.unwrap_or(Some(Vec::new()))?,
    })
}

/// Where the admin API may listen, in words.
const LISTEN: &str = "host:port, such as 127.0.0.1:8474";

/// All routes, each by itself and then together.
fn routes(list: Option<At<'_>>, found: &mut Found) -> Option<Vec<super::plan::Route>> {
    let list = list?.list(1, ROUTES_MAX, "routes", found)?;
    let drafts: Vec<route::Draft> = list.iter().map(|at| route::draft(at, found)).collect();
    crossing::check(&drafts, found);
    drafts.into_iter().map(route::Draft::finish).collect()
}
