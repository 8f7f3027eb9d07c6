//! One thing that happened, and how it is shown to people.

use std::fmt::Write;
use std::net::SocketAddr;

use log::Level;
use serde_json::Value;

use crate::fault::Direction;
use crate::fault::course::Decided;
use crate::fault::gate::{Door, Turn};
use crate::fault::passage::Drawn;
use crate::fault::pipeline::{Deed, Total};
use crate::units::Span;

/// One thing that happened, as told to logs.
#[derive(Clone, Debug, PartialEq)]
pub struct Note<'a> {
    /// The route it happened on.
    pub route: Option<&'a str>,
    /// The number of the connection on its route.
    pub connection: Option<u64>,
    /// What happened.
    pub event: Event<'a>,
}

/// What may happen, each with what is told of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The process begins; holds the version and the seed.
    Starting(&'a str, u64),
    /// A listener is bound.
    Listening(SocketAddr),
    /// The admin API answers; and whether anybody who reaches it may use it.
    Admin(SocketAddr, bool),
    /// The admin API was asked: by whom, for what (method, path), and the status it answered.
    Asked(SocketAddr, &'a str, &'a str, u16),
    /// All listeners accept; holds their number.
    Ready(usize),
    /// A client has connected.
    Accepted(SocketAddr),
    /// The upstream has been reached; and how long after the accept, or on an http route after the
    /// dial began.
    Connected(SocketAddr, Span),
    /// A fault ended the connection before it was dialled; holds how.
    Dropped(&'a str),
    /// A fault did something for the first time in this direction, or would have done so.
    Injected(&'a Injection<'a>),
    /// A limit of the route ended the connection; holds which one.
    TimedOut(Limit, Span),
    /// A request was answered otherwise than by the upstream alone.
    Answered(&'a Answered<'a>),
    /// One address of several did not answer the dial, and the next one is tried; holds why.
    DialFailed(&'a str),
    /// The upstream could not be reached; holds why.
    UpstreamFailed(&'a str),
    /// The connection was not served; holds why, and how many since it was last told.
    Refused(Refusal, u64),
    /// A fault makes something else of the listener than before, or would do so; and what the
    /// listener does now.
    Turned(&'a Turn, Door),
    /// A fault removed itself, for its `ttl` was over; holds its name.
    LeaseExpired(&'a str),
    /// The listener could not be made to do this; holds why, and when it is tried again.
    ListenFailed(Door, &'a str, Span),
    /// Both directions ended.
    Closed(&'a Closing),
    /// The first signal came; new connections are accepted for so long all the same.
    Stopping(Span),
    /// No new connections from here on; holds those in flight.
    Draining(usize),
    /// No connection is in flight any more; holds how many had to be cut off.
    Drained(usize),
    /// So many lines were lost, since nobody read them.
    LogLost(u64),
    /// Events cannot be written to their file; holds why. Told once.
    EventLogFailed(&'a str),
    /// The process ends.
    Stopped,
}

/// What a connection was, told at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// Bytes written to the upstream.
    pub bytes_up: u64,
    /// Bytes written to the client.
    pub bytes_down: u64,
    /// From accept to close.
    pub lived: Span,
    /// Why it ended.
    pub reason: Reason,
    /// What faults did in sum, by fault and direction.
    pub totals: Vec<FaultTotal>,
}

/// What a fault did for the first time in one direction of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection<'a> {
    /// The fault's name.
    pub fault: &'a str,
    /// Its type.
    pub kind: &'static str,
    /// `upstream`, `downstream`, or `connection` before there are bytes.
    pub direction: &'static str,
    /// What it did.
    pub deed: Deed,
    /// How many bytes of the direction had come before; none before there are bytes.
    pub offset: Option<u64>,
    /// It only would have done so: its mode is shadow.
    pub shadow: bool,
    /// The request for which it was drawn; none when it acts on the connection.
    pub drawn: Option<&'a Drawn>,
}

/// What became of a request on an http route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<'a> {
    /// The number of the request on its connection, from 1.
    pub number: u64,
    /// The status that the client was given; 0 when it was given none.
    pub status: u16,
    /// It is the upstream's.
    pub by_upstream: bool,
    /// What the faults decided, in order.
    pub decided: &'a [Decided],
    /// How long their delays have really held the request and its answer.
    pub held: Span,
    /// Why a message was refused.
    pub refused: Option<&'a str>,
}

/// What one fault did in one direction of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultTotal {
    /// The fault's name.
    pub fault: String,
    /// Which way the bytes went.
    pub direction: Direction,
    /// The sums.
    pub total: Total,
    /// It only would have done so: its mode is shadow.
    pub shadow: bool,
}

/// Which limit of a route was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `timeoutMs`: no byte moved.
    Idle,
    /// `lifetimeMs`.
    Lifetime,
    /// `connectTimeoutMs`: resolving and connecting took too long.
    Connect,
}

/// Why a connection was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many connections as the route may have.
    MaxConnections,
    /// The process has no descriptor left.
    Descriptors,
    /// The system gives no further thread, or no memory for one.
    Threads,
    /// The system has no memory for a further socket; the client waits in the listener's queue.
    Memory,
    /// Accepting failed for another reason of the system's.
    System,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Both peers sent their FIN.
    Finished,
    /// The client sent RST or vanished.
    ClientReset,
    /// The upstream sent RST or vanished.
    UpstreamReset,
    /// A limit of the route.
    TimedOut,
    /// A fault closed or reset it.
    Fault,
    /// The process stops.
    Shutdown,
    /// The system gave no second copy thread.
    NoThread,
    /// An error of this program, caught.
    Internal,
}

impl Limit {
    fn as_str(self) -> &'static str {
        match self {
            Limit::Idle => "idle",
            Limit::Lifetime => "lifetime",
            Limit::Connect => "connect",
        }
    }
}

impl Refusal {
    fn as_str(self) -> &'static str {
        match self {
            Refusal::MaxConnections => "maxConnections",
            Refusal::Descriptors => "descriptors",
            Refusal::Threads => "threads",
            Refusal::Memory => "memory",
            Refusal::System => "system",
        }
    }
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Reason::Finished => "finished",
            Reason::ClientReset => "client_reset",
            Reason::UpstreamReset => "upstream_reset",
            Reason::TimedOut => "timed_out",
            Reason::Fault => "fault",
            Reason::Shutdown => "shutdown",
            Reason::NoThread => "no_thread",
            Reason::Internal => "internal",
        }
    }
}

impl Note<'_> {
    /// How important it is.
    pub fn level(&self) -> Level {
        match self.event {
            Event::UpstreamFailed(_)
            | Event::ListenFailed(..)
            | Event::Refused(..)
            | Event::Admin(_, true)
            | Event::LogLost(_)
            | Event::EventLogFailed(_) => Level::Warn,
            Event::Asked(..) | Event::DialFailed(_) => Level::Debug,
            _ => Level::Info,
        }
    }

    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self.event {
            Event::Starting(..) => "starting",
            Event::Listening(_) => "listening",
            Event::Admin(..) => "admin",
            Event::Asked(..) => "asked",
            Event::Ready(_) => "ready",
            Event::Accepted(_) => "accepted",
            Event::Connected(..) => "connected",
            Event::Dropped(_) => "dropped",
            Event::Injected(injection) => injection.name(),
            Event::TimedOut(..) => "timed_out",
            Event::Answered(_) => "answered",
            Event::DialFailed(_) => "dial_failed",
            Event::UpstreamFailed(_) => "upstream_failed",
            Event::Refused(..) => "refused",
            Event::Turned(..) => "turned",
            Event::ListenFailed(..) => "listen_failed",
            Event::LeaseExpired(_) => "lease_expired",
            Event::Closed(_) => "closed",
            Event::Stopping(_) => "stopping",
            Event::Draining(_) => "draining",
            Event::Drained(_) => "drained",
            Event::LogLost(_) => "log_lost",
            Event::EventLogFailed(_) => "event_log_failed",
            Event::Stopped => "stopped",
        }
    }

    /// Its fields in the order in which they are shown; numbers stay numbers.
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = Vec::new();
        fields.extend(self.route.map(|route| ("route", route.into())));
        fields.extend(self.connection.map(|connection| ("conn", connection.into())));
        match &self.event {
            Event::Starting(version, seed) => {
                fields.extend([("version", (*version).into()), ("seed", (*seed).into())]);
            }
            Event::Listening(addr) => fields.push(("addr", addr.to_string().into())),
            Event::Admin(addr, insecure) => {
                fields.push(("addr", addr.to_string().into()));
                fields.extend(insecure.then(|| ("insecure", true.into())));
            }
            Event::Ready(routes) => fields.push(("routes", (*routes).into())),
            Event::Accepted(peer) => fields.push(("peer", peer.to_string().into())),
            Event::Connected(upstream, took) => {
                fields.extend([("upstream", upstream.to_string().into()), ms(*took)]);
            }
            Event::Dropped(mode) => fields.push(("mode", (*mode).into())),
            Event::Injected(injection) => injection.fields(&mut fields),
            Event::TimedOut(limit, after) => {
                fields.extend([("limit", limit.as_str().into()), ms(*after)]);
            }
            Event::Answered(answered) => answered.fields(&mut fields),
            Event::Asked(peer, method, path, status) => fields.extend([
                ("peer", peer.to_string().into()),
                ("method", (*method).into()),
                ("path", (*path).into()),
                ("status", (*status).into()),
            ]),
            Event::UpstreamFailed(reason)
            | Event::DialFailed(reason)
            | Event::EventLogFailed(reason) => fields.push(("reason", (*reason).into())),
            Event::Refused(refusal, count) => {
                fields.extend([("reason", refusal.as_str().into()), ("count", (*count).into())]);
            }
            Event::Turned(turn, door) => {
                fields.extend([
                    ("fault", (*turn.fault).into()),
                    ("state", turn.door.as_str().into()),
                ]);
                fields.push(("listener", door.as_str().into()));
                fields.extend(turn.shadow.then(|| ("mode", mode(true).into())));
            }
            Event::LeaseExpired(fault) => fields.push(("fault", (*fault).into())),
            Event::ListenFailed(door, reason, retry) => {
                fields.extend([("state", door.as_str().into()), ("reason", (*reason).into())]);
                fields.push(("retry_ms", in_ms(*retry)));
            }
            Event::Closed(closing) => closing.fields(&mut fields),
            Event::Stopping(delay) => fields.push(ms(*delay)),
            Event::Draining(in_flight) => fields.push(("in_flight", (*in_flight).into())),
            Event::Drained(cut) => fields.push(("cut", (*cut).into())),
            Event::LogLost(lines) => fields.push(("lines", (*lines).into())),
            Event::Stopped => {}
        }
        fields
    }

    /// `accepted route=redis conn=17 peer=127.0.0.1:51000`; no control character comes out.
    pub fn to_text(&self) -> String {
        let mut text = self.name().to_owned();
        for (key, value) in self.fields() {
            let shown = match &value {
                Value::String(word) if is_plain(word) => word.clone(),
                Value::Array(items) => items.iter().map(one_word).collect::<Vec<_>>().join(","),
                other => escape(&other.to_string()),
            };
            let _ = write!(text, " {key}={shown}");
        }
        text
    }
}

impl Closing {
    fn fields(&self, fields: &mut Vec<(&'static str, Value)>) {
        fields.push(("bytes_up", self.bytes_up.into()));
        fields.push(("bytes_down", self.bytes_down.into()));
        fields.push(ms(self.lived));
        fields.push(("reason", self.reason.as_str().into()));
        for (key, list) in [("delayed", self.delays()), ("injected", self.injected())] {
            if !list.is_empty() {
                fields.push((key, list.into()));
            }
        }
    }

    /// The delays that were done, one item a fault and direction.
    fn delays(&self) -> Vec<Value> {
        let done = self.totals.iter().filter(|sum| sum.total.delayed_steps > 0 && !sum.shadow);
        let item = |sum: &FaultTotal| {
            serde_json::json!({
                "fault": sum.fault,
                "direction": sum.direction.as_str(),
                "chunks": sum.total.delayed_steps,
                "ms": in_ms(sum.total.delayed),
            })
        };
        done.map(item).collect()
    }

    /// The bytes that faults took out or changed, one item an action.
    fn injected(&self) -> Vec<Value> {
        let mut items = Vec::new();
        for sum in &self.totals {
            let actions =
                [("swallowed", sum.total.swallowed_bytes), ("changed", sum.total.changed_bytes)];
            for (action, bytes) in actions.into_iter().filter(|(_, bytes)| *bytes > 0) {
                items.push(serde_json::json!({
                    "fault": sum.fault,
                    "direction": sum.direction.as_str(),
                    "action": action,
                    "bytes": bytes,
                    "mode": mode(sum.shadow),
                }));
            }
        }
        items
    }
}

impl Answered<'_> {
    fn fields(&self, fields: &mut Vec<(&'static str, Value)>) {
        fields.push(("req", self.number.into()));
        fields.push(("status", self.status.into()));
        fields.push(("origin", origin(self.by_upstream).into()));
        fields.extend(self.refused.map(|reason| ("reason", reason.into())));
        let item = |decided: &Decided| {
            serde_json::json!({
                "fault": decided.fault,
                "type": decided.kind.name,
                "drawn": decided.drawn,
                "mode": mode(decided.shadow),
            })
        };
        if !self.decided.is_empty() {
            let decided: Vec<Value> = self.decided.iter().map(item).collect();
            fields.push(("faults", decided.into()));
            fields.extend((self.held != Span::ZERO).then(|| ("actual_ms", in_ms(self.held))));
        }
    }
}

/// Who gave an answer.
pub(super) fn origin(by_upstream: bool) -> &'static str {
    if by_upstream { "upstream" } else { "proxy" }
}

impl Injection<'_> {
    fn name(&self) -> &'static str {
        match self.deed {
            Deed::Delayed(_) if !self.shadow => "delayed",
            _ => "injected",
        }
    }

    fn fields(&self, fields: &mut Vec<(&'static str, Value)>) {
        fields.extend(self.drawn.map(|drawn| ("req", drawn.number.into())));
        fields.push(("fault", self.fault.into()));
        fields.push(("direction", self.direction.into()));
        let (action, more) = self.action();
        if self.name() == "injected" {
            fields.push(("action", action.into()));
        }
        fields.extend(more);
        fields.extend(self.shadow.then(|| ("mode", mode(true).into())));
    }

    /// What it did in a word, and how much.
    pub(super) fn action(&self) -> (&'static str, Option<(&'static str, Value)>) {
        match self.deed {
            Deed::Delayed(by) => ("delayed", Some(ms(by))),
            Deed::Held => ("held", None),
            Deed::Swallowed(bytes) => ("swallowed", Some(("bytes", bytes.into()))),
            Deed::Changed(bytes) => ("changed", Some(("bytes", bytes.into()))),
            Deed::Closed => ("closed", None),
            Deed::Reset => ("reset", None),
        }
    }
}

fn mode(shadow: bool) -> &'static str {
    if shadow { "shadow" } else { "act" }
}

fn ms(span: Span) -> (&'static str, Value) {
    ("ms", in_ms(span))
}

/// Milliseconds to the microsecond.
fn in_ms(span: Span) -> Value {
    ((span.as_ms_f64() * 1000.0).round() / 1000.0).into()
}

/// An item of a list in one word: `fault:direction`, and then its other values by their keys, as
/// in `slow:downstream:chunks=2:ms=400.0`.
fn one_word(item: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let Value::Object(map) = item else { return word(item) };
    let who = ["fault", "direction"];
    let first = who.iter().filter_map(|key| map.get(*key)).map(word);
    let rest = map.iter().filter(|(key, _)| !who.contains(&key.as_str()));
    let rest = rest.map(|(key, value)| format!("{key}={}", word(value)));
    first.chain(rest).collect::<Vec<_>>().join(":")
}

fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\')
}

/// Escapes what JSON leaves as it is and a terminal would act upon.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(event: Event<'_>) -> String {
        Note { route: Some("redis"), connection: Some(17), event }.to_text()
    }

    #[test]
    fn notes_as_text() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 51000));
        assert_eq!(
            text(Event::Accepted(peer)),
            "accepted route=redis conn=17 peer=127.0.0.1:51000"
        );
        let delayed = Injection {
            fault: "slow",
            kind: "latency",
            direction: "downstream",
            deed: Deed::Delayed(Span(1_500_000)),
            offset: Some(0),
            shadow: false,
            drawn: None,
        };
        assert_eq!(
            text(Event::Injected(&delayed)),
            "delayed route=redis conn=17 fault=slow direction=downstream ms=1.5"
        );
        let (fault, direction) = ("hole", "upstream");
        let injected =
            Injection { fault, direction, deed: Deed::Swallowed(7), shadow: true, ..delayed };
        assert_eq!(
            text(Event::Injected(&injected)),
            "injected route=redis conn=17 fault=hole direction=upstream action=swallowed bytes=7 \
             mode=shadow"
        );
        let refused = Event::Refused(Refusal::MaxConnections, 3);
        assert_eq!(text(refused), "refused route=redis conn=17 reason=maxConnections count=3");
    }

    #[test]
    fn the_close_carries_the_totals() {
        let total = Total { delayed_steps: 2, delayed: Span::from_ms(400), ..Total::default() };
        let swallowed = Total { swallowed_bytes: 9, ..Total::default() };
        let sum = |fault: &str, total, shadow| FaultTotal {
            fault: fault.into(),
            direction: Direction::Downstream,
            total,
            shadow,
        };
        let totals = vec![sum("slow", total, false), sum("hole", swallowed, true)];
        let closing = Closing {
            bytes_up: 1,
            bytes_down: 2,
            lived: Span::from_ms(3),
            reason: Reason::Finished,
            totals,
        };
        let expected = "closed route=redis conn=17 bytes_up=1 bytes_down=2 ms=3.0 reason=finished \
                        delayed=slow:downstream:chunks=2:ms=400.0 \
                        injected=hole:downstream:action=swallowed:bytes=9:mode=shadow";
        assert_eq!(text(Event::Closed(&closing)), expected);
    }

    #[test]
    fn what_a_peer_sends_cannot_break_a_line() {
        let line = text(Event::UpstreamFailed("a\r\nb\x1b[31m \u{9b}\"c\\"));
        assert!(!line.chars().any(char::is_control), "{line:?}");
        let expected =
            r#"upstream_failed route=redis conn=17 reason="a\r\nb\u001b[31m \u{9b}\"c\\""#;
        assert_eq!(line, expected);
    }
}
