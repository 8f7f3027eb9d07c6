//! What is to be run: valid by construction, immutable, the same for a file and for flags.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::fault::attr::Value;
use crate::fault::matching::{Match, Net};
use crate::fault::{Mode, Place, Sampling, Spec};
use crate::units::{Span, Time};

/// Everything a process needs to know to run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The seed of every decision; none: chosen at start, and told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What is logged, and how.
    pub log: Log,
    /// How a stop goes.
    pub shutdown: Shutdown,
    /// The admin API; off when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
    /// At least one, with different names and addresses.
    pub routes: Vec<Route>,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Events below it are left out.
    pub level: LogLevel,
    /// Text for people, JSON lines for programs.
    pub format: LogFormat,
}

/// How important an event must be to be logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what was refused.
    Warn,
    /// And what happened.
    #[default]
    Info,
    /// And details.
    Debug,
    /// And everything.
    Trace,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `2026-01-02T03:04:05.678Z INFO  accepted route=redis conn=17`
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How a stop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shutdown {
    /// How long connections in flight may go on after the first signal.
    #[serde(rename = "graceMs", serialize_with = "as_ms")]
    pub grace: Span,
    /// How long new ones are accepted after it, while the probe for readiness says no already.
    #[serde(rename = "delayMs", serialize_with = "as_ms")]
    pub delay: Span,
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown { grace: Span::from_ms(10_000), delay: Span::ZERO }
    }
}

/// Where the admin API listens, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// Where it listens.
    pub listen: Endpoint,
    /// The file that holds the token; beyond loopback there must be one.
    #[serde(rename = "tokenFile", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Names that may stand in `Host`, beside addresses and `localhost`.
    #[serde(rename = "allowedHosts", skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
}

impl Admin {
    /// The API at `listen`, for whoever can reach it.
    pub fn at(listen: Endpoint) -> Admin {
        Admin { listen, token_file: None, allowed_hosts: Vec::new() }
    }
}

/// One listener, the upstream behind it, and what is wrong with the link between them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    /// Unique; used in logs, metrics, the API and decisions.
    pub name: String,
    /// Where clients connect.
    pub listen: Endpoint,
    /// Where they are led to; resolved at each dial.
    pub upstream: Endpoint,
    /// What its connections speak.
    pub protocol: Protocol,
    /// An answer on which a fault acted says so, in `X-Chaos-Faults`.
    #[serde(skip_serializing_if = "is_true")]
    pub explain: bool,
    /// In the order in which they act; names are unique on the route.
    #[serde(serialize_with = "faults_as_written")]
    pub faults: Vec<Spec>,
    /// What bounds a connection.
    #[serde(flatten)]
    pub limits: Limits,
}

/// What the connections of a route speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Anything; bytes pass as they come.
    #[default]
    Tcp,
    /// HTTP/1.1 and 1.0, read strictly and passed on message by message.
    Http,
}

/// What bounds the connections of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The longest time without a byte read from or written to either peer; also bounds dialling.
    #[serde(rename = "timeoutMs", serialize_with = "as_ms_or_zero")]
    pub idle: Option<Span>,
    /// The longest a connection may live.
    #[serde(rename = "lifetimeMs", serialize_with = "as_ms_or_zero")]
    pub lifetime: Option<Span>,
    /// The budget for resolving and connecting.
    #[serde(rename = "connectTimeoutMs", serialize_with = "as_ms")]
    pub connect: Span,
    /// Connections at one time; none: worked out from the descriptor limit at start.
    #[serde(rename = "maxConnections", skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

/// The dial budget when neither connectTimeoutMs nor timeoutMs is given.
pub const CONNECT_DEFAULT: Span = Span::from_ms(10_000);

impl Default for Limits {
    fn default() -> Limits {
        Limits { idle: None, lifetime: None, connect: CONNECT_DEFAULT, connections: None }
    }
}

impl Limits {
    /// When a connection has lived long enough.
    pub fn end_of_life(&self) -> Time {
        self.lifetime.map_or(Time::NEVER, |span| Time::ZERO + span)
    }
}

/// A host and a port, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
    pub host: Host,
    /// 0 only where the system may choose.
    pub port: u16,
}

/// A host as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name to look up; in lower case.
    Name(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(out, "[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => write!(out, "{ip}:{}", self.port),
            Host::Name(name) => write!(out, "{name}:{}", self.port),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// True for what need not be written.
fn is_true(truth: &bool) -> bool {
    *truth
}

fn as_ms<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(span.as_ms())
}

fn as_ms_or_zero<S: Serializer>(span: &Option<Span>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(span.map_or(0, Span::as_ms))
}

fn faults_as_written<S: Serializer>(faults: &[Spec], serializer: S) -> Result<S::Ok, S::Error> {
    let together = |one: &Spec, next: &Spec| {
        one.among.one_of.is_some() && one.among.one_of == next.among.one_of
    };
    serializer.collect_seq(faults.chunk_by(together).map(Group))
}

/// A fault by itself, or the faults of a group.
struct Group<'a>(&'a [Spec]);

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [single] if single.among.one_of.is_none() => AsWritten(single).serialize(serializer),
            all => {
                let all: Vec<AsWritten<'_>> = all.iter().map(AsWritten).collect();
                serializer.collect_map([("oneOf", all)])
            }
        }
    }
}

/// Faults in the shape in which a configuration writes them.
pub fn faults_as_json(faults: &[Spec]) -> serde_json::Value {
    faults.iter().map(|spec| as_json(&AsWritten(spec))).collect()
}

impl Route {
    /// The route in the shape in which a configuration writes it.
    pub fn as_json(&self) -> serde_json::Value {
        as_json(self)
    }
}

/// By way of the text that `check` prints: one writer less in the binary.
fn as_json<T: Serialize>(value: &T) -> serde_json::Value {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// A fault in the shape in which a configuration writes it, every attribute present.
struct AsWritten<'a>(&'a Spec);

impl Serialize for AsWritten<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spec = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", spec.kind.name)?;
        map.serialize_entry("name", &spec.name)?;
        if let Place::One(_) | Place::Both = spec.place {
            map.serialize_entry("direction", spec.place.as_str())?;
        }
        if spec.place != Place::Listener {
            map.serialize_entry("probability", &spec.probability)?;
        }
        if spec.how.sampling == Sampling::Exact {
            map.serialize_entry("sampling", "exact")?;
        }
        if !spec.how.enabled {
            map.serialize_entry("enabled", &false)?;
        }
        let shadow = spec.how.mode == Mode::Shadow;
        if shadow {
            map.serialize_entry("mode", "shadow")?;
        }
        if let Some(matching) = &spec.among.matching {
            map.serialize_entry("match", &Matching(matching))?;
        }
        // A fault with a mode of its own has the default one in shadow mode.
        let attrs = spec.attrs.iter().filter(|(name, _)| !(shadow && *name == "mode"));
        let when = spec.how.when.given().map(|(row, value)| (row.name, value));
        let attrs = attrs.map(|(name, value)| (name, value.clone()));
        let given = when.chain(attrs).filter(|(_, value)| *value != Value::Unset);
        let mut last = "";
        for (name, value) in given {
            match name.split_once('.') {
                None => map.serialize_entry(name, &Written(value))?,
                Some((key, _)) if key == last => {} // with the first of them
                Some((key, _)) => {
                    let of_key = spec.attrs.iter().filter_map(|(name, value)| {
                        Some((name.strip_prefix(key)?.strip_prefix('.')?, Written(value.clone())))
                    });
                    map.serialize_entry(key, &of_key.collect::<BTreeMap<_, _>>())?;
                    last = key;
                }
            }
        }
        map.end()
    }
}

/// A value as a configuration writes it.
struct Written(Value);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Unset => serializer.serialize_unit(),
            Value::Count(count) => serializer.serialize_u64(*count),
            Value::Share(share) => share.serialize(serializer),
            Value::Statuses(all) => all.serialize(serializer),
            Value::Fields(all) => AsMap(all).serialize(serializer),
            Value::Names(all) => all.serialize(serializer),
            Value::Span(_)
            | Value::Bytes(_)
            | Value::Rate(_)
            | Value::Choice(_)
            | Value::Text(_) => serializer.collect_str(&self.0),
        }
    }
}

/// Names and values as an object.
struct AsMap<'a>(&'a [(String, String)]);

impl Serialize for AsMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A match in the shape in which a configuration writes it.
pub(crate) struct Matching<'a>(pub(crate) &'a Match);

impl Serialize for Matching<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.0;
        let mut map = serializer.serialize_map(None)?;
        let nets: Vec<String> = own.source_ips.iter().map(Net::to_string).collect();
        for (key, list) in [("method", &own.methods), ("sourceIp", &nets)] {
            if !list.is_empty() {
                map.serialize_entry(key, list)?;
            }
        }
        if let Some(path) = &own.path {
            map.serialize_entry("path", &path.0)?;
        }
        for (key, pairs) in [("header", &own.headers), ("query", &own.query)] {
            if !pairs.is_empty() {
                let pairs = pairs.iter().map(|(name, glob)| (name.clone(), glob.0.clone()));
                map.serialize_entry(key, &AsMap(&pairs.collect::<Vec<_>>()))?;
            }
        }
        for (key, bytes) in [("minBody", own.min_body), ("maxBody", own.max_body)] {
            if let Some(bytes) = bytes {
                map.serialize_entry(key, &bytes)?;
            }
        }
        map.end()
    }
}
