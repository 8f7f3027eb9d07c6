//! What is to be run: valid by construction, immutable, the same for a file and for flags.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::shape;
use crate::fault::Spec;
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

impl Protocol {
    /// All of them, by their words.
    pub const WORDS: &[(&str, Protocol)] = &[("tcp", Protocol::Tcp), ("http", Protocol::Http)];
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
    /// How long the head of a request may take; none on a route without requests.
    #[serde(
        rename = "headTimeoutMs",
        serialize_with = "as_ms_or_zero",
        skip_serializing_if = "Option::is_none"
    )]
    pub head: Option<Span>,
    /// Connections at one time; none: worked out from the descriptor limit at start.
    #[serde(rename = "maxConnections", skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

/// The dial budget when neither connectTimeoutMs nor timeoutMs is given.
pub const CONNECT_DEFAULT: Span = Span::from_ms(10_000);

/// How long the head of a request may take, from its first byte to its last, by default.
pub const HEAD_DEFAULT: Span = Span::from_ms(10_000);

impl Default for Limits {
    fn default() -> Limits {
        let connect = CONNECT_DEFAULT;
        Limits { idle: None, lifetime: None, connect, head: None, connections: None }
    }
}

impl Limits {
    /// How long the head of a request may take.
    pub fn head_span(&self) -> Span {
        self.head.unwrap_or(HEAD_DEFAULT)
    }

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
    shape::faults(faults).serialize(serializer)
}

/// Faults in the shape in which a configuration writes them.
pub fn faults_as_json(faults: &[Spec]) -> serde_json::Value {
    as_json(&shape::faults(faults))
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
