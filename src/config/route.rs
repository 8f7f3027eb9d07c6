//! One route: its keys, and the shorthands that become faults and limits.

use std::net::{IpAddr, Ipv4Addr};

use super::FAULTS_MAX;
use super::endpoint::endpoint;
use super::faults::{self, Named};
use super::node::{Value, quoted};
use super::plan::{CONNECT_DEFAULT, Endpoint, HEAD_DEFAULT, Host, Limits, Protocol, Route};
use super::value::{At, Found, MS_MAX, Object, refuse};
use crate::fault::attr::{Raw, Value as AttrValue};
use crate::fault::profile::{PROFILES, Profile, round_trip};
use crate::fault::{Direction, Kind, Place, Spec};
use crate::problem::{Pos, did_you_mean};
use crate::units::{Ratio, Span};

/// What stands for the routes, in words.
pub(super) const LIST: &str = "a list of 1..1024 routes";

const KEYS: &[&str] = &[
    "name",
    "localPort",
    "bind",
    "listen",
    "upstream",
    "protocol",
    "explain",
    "profile",
    "rtt",
    "latencyMs",
    "dropRate",
    "dropMode",
    "timeoutMs",
    "lifetimeMs",
    "connectTimeoutMs",
    "headTimeoutMs",
    "maxConnections",
    "faults",
];

/// Something, and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) path: String,
    pub(super) pos: Option<Pos>,
    pub(super) value: T,
}

/// What could be read of a route, for the checks among routes and for the `Route` itself.
#[derive(Debug)]
pub(super) struct Draft {
    /// What to call it in messages: `routes[1]`.
    pub(super) label: String,
    /// None when it is wrong; with true when it is the default.
    pub(super) name: Option<(Located<String>, bool)>,
    pub(super) listen: Option<Located<Endpoint>>,
    pub(super) upstream: Option<Located<Endpoint>>,
    pub(super) protocol: Option<Protocol>,
    pub(super) explain: Option<bool>,
    pub(super) faults: Option<Vec<Spec>>,
    pub(super) limits: Option<Limits>,
}

impl Draft {
    /// The route, if nothing was wrong with it.
    pub(super) fn finish(self) -> Option<Route> {
        Some(Route {
            name: self.name?.0.value,
            listen: self.listen?.value,
            upstream: self.upstream?.value,
            protocol: self.protocol?,
            explain: self.explain?,
            faults: self.faults?,
            limits: self.limits?,
        })
    }
}

/// Reads the route at `at`; what is wrong is noted and left out.
pub(super) fn draft(at: &At<'_>, found: &mut Found) -> Draft {
    let label = at.path.clone();
    let Some(object) = at.object(found) else {
        let (name, listen, upstream, protocol, explain) = (None, None, None, None, None);
        let (faults, limits) = (None, None);
        return Draft { label, name, listen, upstream, protocol, explain, faults, limits };
    };
    object.only(KEYS, found);
    let listen = listen(&object, found);
    let name = name(&object, listen.as_ref(), found);
    let upstream = upstream(&object, found);
    let protocol = object.get("protocol").map(|at| at.word(Protocol::WORDS, found));
    let protocol = protocol.unwrap_or(Some(Protocol::Tcp));
    let explain = explain(&object, protocol, found);
    let limits = limits(&object, protocol, found);
    let mut named = shorthands(&Knobs::read(&object, found));
    let faults = match object.get("faults") {
        Some(list) => faults::list(&list, protocol.unwrap_or(Protocol::Http), found),
        None => Some(Vec::new()),
    };
    let faults = faults.map(|list| {
        named.extend(list);
        if named.len() > FAULTS_MAX {
            let count = named.len();
            let message = format!("{count} faults with the shorthands (at most {FAULTS_MAX})");
            found.note(&label, at.pos, message);
        }
        faults::check_names(&named, found);
        named.into_iter().map(|named| named.spec).collect()
    });
    Draft { label, name, listen, upstream, protocol, explain, faults, limits }
}

fn name(
    object: &Object<'_>,
    listen: Option<&Located<Endpoint>>,
    found: &mut Found,
) -> Option<(Located<String>, bool)> {
    if let Some(at) = object.get("name") {
        let value = at.name(found)?;
        return Some((Located { path: at.path, pos: at.pos, value }, false));
    }
    let (path, pos) = object.place();
    let value = format!("port-{}", listen?.value.port);
    Some((Located { path: path.to_owned(), pos, value }, true))
}

/// Whether answers tell what acted on them: where there are answers, they do unless told not to.
fn explain(object: &Object<'_>, protocol: Option<Protocol>, found: &mut Found) -> Option<bool> {
    let Some(at) = object.get("explain") else { return Some(true) };
    if protocol == Some(Protocol::Tcp) {
        let way_out = "only with \"protocol\": \"http\"";
        found.note(&at.path, at.pos, format!("a tcp route has no answers to explain ({way_out})"));
    }
    at.truth(found)
}

fn upstream(object: &Object<'_>, found: &mut Found) -> Option<Located<Endpoint>> {
    let at = object.require("upstream", "host:port", found)?;
    address(at, false, found)
}

fn address(at: At<'_>, port_zero_ok: bool, found: &mut Found) -> Option<Located<Endpoint>> {
    let text = match at.value {
        Value::Number(written) => written, // a port alone; what is missing is told
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
            at.text("host:port", found)?
        }
    };
    let value = found.take(&at, endpoint(text, port_zero_ok))?;
    Some(Located { path: at.path, pos: at.pos, value })
}

fn listen(object: &Object<'_>, found: &mut Found) -> Option<Located<Endpoint>> {
    let bind = object.get("bind").map(|at| (bind(&at, found), at));
    match (object.get("localPort"), object.get("listen")) {
        (Some(port), None) => {
            let number = port.whole((1, u64::from(u16::MAX)), "", found);
            let ip = bind.map_or(Some(found.bind()), |(ip, _)| ip);
            let value = Endpoint { host: Host::Ip(ip?), port: number? };
            Some(Located { path: port.path, pos: port.pos, value })
        }
        (port, listen) => {
            if let Some((_, at)) = bind {
                found.note(&at.path, at.pos, "bind without localPort (only with localPort)".into());
            }
            let Some(at) = listen else {
                let (path, pos) = object.place();
                found.note(path, pos, "localPort is missing (localPort or listen)".into());
                return None;
            };
            let address = address(at.clone(), true, found);
            if port.is_some() {
                let message = "both localPort and listen (one of them)";
                found.note(&at.path, at.pos, message.into());
                return None;
            }
            address
        }
    }
}

fn bind(at: &At<'_>, found: &mut Found) -> Option<IpAddr> {
    const ALLOWED: &str = "an IP address, such as 0.0.0.0";
    let text = at.text(ALLOWED, found)?;
    found.take(at, bind_ip(text).ok_or_else(|| format!("{} ({ALLOWED})", quoted(text))))
}

/// The address that a text names, brackets or not; none when it names none.
pub(super) fn bind_ip(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if text == "localhost" {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    bare.parse().ok()
}

/// The shorthands of a route for faults.
#[derive(Default)]
struct Knobs {
    profile: Option<Located<&'static Profile>>,
    rtt: Option<Located<Span>>,
    latency: Option<Located<Span>>,
    drop_rate: Option<Located<Ratio>>,
    drop_mode: Option<AttrValue>,
}

/// The longest latency: an hour.
const LATENCY_MAX_MS: u64 = 3_600_000;

impl Knobs {
    fn read(object: &Object<'_>, found: &mut Found) -> Knobs {
        let profile = object.get("profile").and_then(|at| {
            let value = profile(&at, found)?;
            Some(Located { path: at.path, pos: at.pos, value })
        });
        let rtt = object.get("rtt").and_then(|at| {
            if profile.is_some() {
                found.note(&at.path, at.pos, "both profile and rtt (one of them)".into());
            }
            let value = faults::span(&at, found)?;
            Some(Located { path: at.path, pos: at.pos, value })
        });
        let latency = object.get("latencyMs").and_then(|at| {
            let value = at.ms((0, LATENCY_MAX_MS), "", found)?;
            Some(Located { path: at.path, pos: at.pos, value })
        });
        let drop_rate = object.get("dropRate").and_then(|at| {
            let value = at.share(found)?;
            Some(Located { path: at.path, pos: at.pos, value })
        });
        let drop_mode = object.get("dropMode").and_then(|at| mode(&at, found));
        Knobs { profile, rtt, latency, drop_rate, drop_mode }
    }
}

fn profile(at: &At<'_>, found: &mut Found) -> Option<&'static Profile> {
    const ALLOWED: &str = "a name that `chaos-proxy presets` lists";
    let name = at.text(ALLOWED, found)?;
    found.take(
        at,
        Profile::find(name).ok_or_else(|| {
            let names = PROFILES.iter().flat_map(|profile| profile.names).copied();
            let near = did_you_mean(name, names);
            refuse(&format!("unknown profile {}", quoted(name)), &format!("{ALLOWED}{near}"))
        }),
    )
}

/// `dropMode` is the attribute `mode` of the fault `drop`, and says what that says.
fn mode(at: &At<'_>, found: &mut Found) -> Option<AttrValue> {
    let attr = kind("drop").attrs.iter().find(|attr| attr.name == "mode")?;
    match at.value {
        Value::Text(text) => found.take(at, attr.unit.parse(Raw::Text(text))),
        other => found.take(at, attr.unit.parse(Raw::Other(other.what().into()))),
    }
}

/// The faults that the shorthands stand for; they come before the listed ones.
fn shorthands(knobs: &Knobs) -> Vec<Named> {
    let mut named = Vec::new();
    if let Some(profile) = &knobs.profile {
        let named_by = |spec| Named::shorthand(spec, profile.path.clone(), profile.pos);
        named.extend(profile.value.faults().into_iter().map(named_by));
    }
    if let Some(rtt) = &knobs.rtt {
        let named_by = |spec| Named::shorthand(spec, rtt.path.clone(), rtt.pos);
        named.extend(round_trip(rtt.value).into_iter().map(named_by));
    }
    if let Some(latency) = knobs.latency.as_ref().filter(|at| at.value != Span::ZERO) {
        let kind = kind("latency");
        let place = Place::One(Direction::Downstream);
        let mut spec = Spec::new("latency_downstream", kind, place);
        spec.attrs.set("latency", AttrValue::Span(latency.value));
        named.push(Named::shorthand(spec, latency.path.clone(), latency.pos));
    }
    if let Some(rate) = knobs.drop_rate.as_ref().filter(|at| at.value != Ratio::ZERO) {
        let kind = kind("drop");
        let mut spec = Spec::new("drop", kind, Place::Connection);
        if let Some(mode) = knobs.drop_mode.clone() {
            spec.attrs.set("mode", mode);
        }
        spec.probability = rate.value;
        named.push(Named::shorthand(spec, rate.path.clone(), rate.pos));
    }
    named
}

fn kind(name: &str) -> &'static Kind {
    Kind::find(name).expect("the shorthands stand for faults that every build has")
}

const CONNECTIONS_MAX: u64 = 100_000;

/// The longest that the head of a request may be given: an hour.
const HEAD_MAX_MS: u64 = 3_600_000;

/// What the head of a request may take: where there are requests, a while unless told otherwise.
fn head(
    object: &Object<'_>,
    protocol: Option<Protocol>,
    found: &mut Found,
) -> Option<Option<Span>> {
    let Some(at) = object.get("headTimeoutMs") else {
        return Some((protocol == Some(Protocol::Http)).then_some(HEAD_DEFAULT));
    };
    if protocol == Some(Protocol::Tcp) {
        let way_out = "only with \"protocol\": \"http\"";
        found.note(&at.path, at.pos, format!("a tcp route reads no heads ({way_out})"));
    }
    at.ms((1, HEAD_MAX_MS), "", found).map(Some)
}

fn limits(object: &Object<'_>, protocol: Option<Protocol>, found: &mut Found) -> Option<Limits> {
    let head = head(object, protocol, found);
    let mut off_or_ms = |key: &str| match object.get(key) {
        Some(at) => {
            let span = at.ms((0, MS_MAX), ", 0 = off", found)?;
            Some(Some(span).filter(|span| *span != Span::ZERO))
        }
        None => Some(None),
    };
    let (idle, lifetime) = (off_or_ms("timeoutMs"), off_or_ms("lifetimeMs"));
    let connect = object.get("connectTimeoutMs").map(|at| at.ms((1, MS_MAX), "", found));
    let connections =
        object.get("maxConnections").map(|at| at.whole((1, CONNECTIONS_MAX), "", found));
    let (idle, lifetime) = (idle?, lifetime?);
    let connect = connect.unwrap_or(Some(idle.unwrap_or(CONNECT_DEFAULT)))?;
    let connections = connections.map_or(Some(None), |number| number.map(Some))?;
    Some(Limits { idle, lifetime, connect, head: head?, connections })
}
