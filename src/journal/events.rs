//! The events that readers of the stream get: what notes become, and what only they are told.

use serde_json::{Value, json};

use super::note::{Event, Injection, Note};
use crate::config::plan::{self, faults_as_json};
use crate::fault::course::{Course, Decided, Judged};
use crate::fault::lot::Decision;
use crate::fault::message::Message;
use crate::fault::{Mode, Spec};

/// The fields of an event in the order in which they are shown.
pub type Fields = Vec<(&'static str, Value)>;

/// The version of what a reader can rely on, told in `start`.
pub const FORMAT: u64 = 1;

/// What a note is in the stream; none when another event tells the same.
pub(super) fn of(note: &Note<'_>) -> Option<(&'static str, Fields)> {
    let name = match &note.event {
        Event::Starting(..) | Event::Asked(..) | Event::LogLost(_) | Event::Dropped(_) => {
            return None;
        }
        Event::Injected(injection) => return Some(injected(note, injection)),
        Event::Accepted(_) => "accept",
        Event::Connected(..) | Event::UpstreamFailed(_) => "dial",
        Event::Refused(..) => "refuse",
        Event::TimedOut(..) => "timeout",
        Event::Closed(_) => "close",
        _ => note.name(),
    };
    Some((name, note.fields()))
}

fn injected(note: &Note<'_>, injection: &Injection<'_>) -> (&'static str, Fields) {
    let (action, more) = injection.action();
    let mut fields = who(note.route, note.connection);
    if let Some(drawn) = injection.drawn {
        fields.push(("req", drawn.number.into()));
        fields.extend(key(&drawn.message));
    }
    fields.extend([
        ("direction", injection.direction.into()),
        ("fault", injection.fault.into()),
        ("type", injection.kind.into()),
        ("action", action.into()),
    ]);
    fields.extend(more);
    fields.extend(injection.offset.map(|offset| ("offset", offset.into())));
    (if injection.shadow { "shadow" } else { "inject" }, fields)
}

fn who(route: Option<&str>, connection: Option<u64>) -> Fields {
    let route = route.map(|route| ("route", route.into()));
    route.into_iter().chain(connection.map(|number| ("conn", number.into()))).collect()
}

/// Where a decision was made.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The route.
    pub route: &'a str,
    /// The number of the connection.
    pub connection: u64,
    /// `connection`, `upstream` or `downstream`.
    pub direction: &'static str,
    /// The generation of the route's faults that was in force.
    pub generation: u64,
}

/// `decision`: what the dice say about a fault on a connection.
pub(super) fn decided(place: &Place<'_>, decision: &Decision<'_>) -> Fields {
    let (spec, reason) = (decision.spec, decision.verdict.reason());
    let mut fields = who(Some(place.route), Some(place.connection));
    fields.extend([
        ("direction", place.direction.into()),
        ("gen", place.generation.into()),
        ("fault", spec.name.as_str().into()),
        ("type", spec.kind.name.into()),
        ("drawn", decision.drawn.into()),
        ("action", action(reason)),
    ]);
    fields.extend(reason.map(|reason| ("reason", reason.into())));
    fields.extend((spec.how.mode == Mode::Shadow).then(|| ("mode", "shadow".into())));
    fields
}

/// The request that something was decided about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The route.
    pub route: &'a str,
    /// The number of the connection.
    pub connection: u64,
    /// The number of the request on it, from 1.
    pub request: u64,
}

impl Asked<'_> {
    fn fields(&self, message: &Message) -> Fields {
        let mut fields = who(Some(self.route), Some(self.connection));
        fields.push(("req", self.request.into()));
        fields.extend(key(message));
        fields
    }
}

/// The key of the dice of an exchange.
fn key(message: &Message) -> [(&'static str, Value); 2] {
    [("request", message.request.as_str().into()), ("n", message.occurrence.into())]
}

/// `decision`: what came of a fault for a request.
pub(super) fn judged(
    asked: &Asked<'_>,
    generation: u64,
    message: &Message,
    judged: &Judged,
) -> Fields {
    let mut fields = asked.fields(message);
    fields.extend([
        ("direction", judged.place.as_str().into()),
        ("gen", generation.into()),
        ("fault", judged.fault.as_str().into()),
        ("type", judged.kind.name.into()),
    ]);
    fields.extend(judged.group.map(|group| ("group", group.into())));
    fields.extend((judged.count != message.occurrence).then(|| ("count", judged.count.into())));
    fields.push(("drawn", judged.drawn.into()));
    fields.push(("action", action(judged.reason)));
    fields.extend(judged.reason.map(|reason| ("reason", reason.into())));
    fields.extend(judged.shadow.then(|| ("mode", "shadow".into())));
    fields
}

/// `inject` or `shadow`: what was decided about a request that is over.
pub(super) fn carried_out(
    asked: &Asked<'_>,
    course: &Course,
    decided: &Decided,
) -> Option<(&'static str, Fields)> {
    let mut fields = asked.fields(course.message.as_ref()?);
    fields.extend([
        ("direction", "exchange".into()),
        ("fault", decided.fault.as_str().into()),
        ("type", decided.kind.name.into()),
        ("action", decided.phase.as_str().into()),
        ("drawn", decided.drawn.as_str().into()),
    ]);
    Some((if decided.shadow { "shadow" } else { "inject" }, fields))
}

/// The word for a fault that acts.
pub const ACT: &str = "act";
/// The word for one that does not.
pub const PASS: &str = "pass";

fn action(reason: Option<&str>) -> Value {
    if reason.is_none() { ACT } else { PASS }.into()
}

/// `change`: other faults are in force on a route.
pub(super) fn changed(route: &str, generation: u64, faults: &[Spec]) -> Fields {
    let mut fields = who(Some(route), None);
    fields.extend([("gen", generation.into()), ("faults", faults_as_json(faults))]);
    fields
}

/// `start`: what the decisions behind it depend on.
pub fn start(seed: u64, routes: &[(plan::Route, u64)]) -> Fields {
    let route = |(route, generation): &(plan::Route, u64)| {
        let mut value = route.as_json();
        if let Value::Object(members) = &mut value {
            members.insert("gen".into(), (*generation).into());
        }
        value
    };
    vec![
        ("format", FORMAT.into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("seed", seed.into()),
        ("routes", routes.iter().map(route).collect()),
    ]
}

/// `gap`: so many events were lost.
pub fn gap(lost: u64) -> Fields {
    vec![("lost", json!(lost))]
}
