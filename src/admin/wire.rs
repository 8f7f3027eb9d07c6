//! Toxiproxy's JSON as it is read: proxies and toxics. `print` tells them again.
//!
//! A toxic is a fault: `stream` is its direction, `toxicity` its probability. `stream` has two
//! words only, and clients know no third. So a fault of both directions, or of the connection
//! before there are directions, is listed as `downstream` with the truth beside it under
//! `direction`, which clients pass over and which is understood when it comes back; the same goes
//! for `mode`, `sampling`, `enabled` and the triggers where they are not the usual ones. Letters of
//! `stream` are told in lower case, however they came; a default name keeps them. A proxy has
//! `protocol` beside what Toxiproxy knows, told when it is not `tcp`.

use std::fmt;
use std::sync::Arc;

use super::json::{Json, get, quoted};
use crate::config::plan::Protocol;
use crate::config::{self, FAULTS_MAX};
use crate::control::routes::{Refused, RouteView};
use crate::fault::attr::{Attr, Raw, Value};
use crate::fault::when::{self, TRIGGERS};
use crate::fault::{Direction, Kind, Level, Mode, Place, Sampling, Spec, TTL};
use crate::problem::did_you_mean;
use crate::units::Ratio;

/// Bytes of a proxy's or a toxic's name at most.
pub(super) const NAME_BYTES_MAX: usize = 256;

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failure {
    /// The body is no JSON, or a value in it is wrong.
    BadBody(String),
    /// Holds the name of the field, and where it is missing.
    MissingField(&'static str, String),
    /// Holds where.
    BadStream(String),
    /// Holds where, and why if that is known.
    BadType(String),
    /// The proxy is there, the toxic is not.
    NoToxic,
    /// Holds where.
    ToxicExists(String),
    /// Of what, and how many there may be.
    TooMany(&'static str, usize),
    /// The routes refused it.
    Refused(Refused),
    /// Not all proxies could be enabled.
    Reset(Vec<Refused>),
}

impl Failure {
    pub(super) const NO_PROXY: Failure = Failure::Refused(Refused::NoSuchRoute);

    /// The status that tells it.
    pub(super) fn status(&self) -> u16 {
        match self {
            Failure::BadBody(_)
            | Failure::MissingField(..)
            | Failure::BadStream(_)
            | Failure::BadType(_)
            | Failure::TooMany(..) => 400,
            Failure::NoToxic | Failure::Refused(Refused::NoSuchRoute) => 404,
            Failure::ToxicExists(_) | Failure::Refused(Refused::NameTaken | Refused::Unfit(_)) => {
                409
            }
            Failure::Refused(Refused::CannotListen(_) | Refused::Exhausted(_))
            | Failure::Reset(_) => 500,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::BadBody(reason) => write!(out, "bad request body: {reason}"),
            Failure::MissingField(field, at) => write!(out, "missing required field: {field}{at}"),
            Failure::BadStream(at) => {
                write!(out, "stream was invalid, can be either upstream or downstream{at}")
            }
            Failure::BadType(at) => write!(out, "invalid toxic type{at}"),
            Failure::NoToxic => out.write_str("toxic not found"),
            Failure::ToxicExists(at) => write!(out, "toxic already exists{at}"),
            Failure::TooMany(what, max) => write!(out, "too many {what} (at most {max})"),
            Failure::Refused(refused) => refused.fmt(out),
            Failure::Reset(all) => {
                let all: Vec<String> = all.iter().map(Refused::to_string).collect();
                out.write_str(&all.join("; "))
            }
        }
    }
}

/// Where in a body something stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Spot {
    /// Before the name of a key: `[1].toxics[0].`.
    path: String,
    /// After a text of Toxiproxy's: ` at proxy 2`, counted from 1.
    at: String,
}

impl Spot {
    /// An element of a populate.
    pub(super) fn of_proxy(index: usize) -> Spot {
        Spot { path: format!("[{index}]."), at: format!(" at proxy {}", index + 1) }
    }

    /// A toxic within a proxy.
    fn of_toxic(&self, index: usize) -> Spot {
        let of = self.at.replace(" at ", " of ");
        Spot {
            path: format!("{}toxics[{index}].", self.path),
            at: format!(" at toxic {}{of}", index + 1),
        }
    }

    fn bad(&self, key: &str, reason: &str) -> Failure {
        match format!("{}{key}", self.path).trim_end_matches('.') {
            "" => Failure::BadBody(reason.to_owned()),
            path => Failure::BadBody(format!("{path}: {reason}")),
        }
    }

    fn object<'a>(&self, json: &'a Json) -> Result<&'a [(String, Json)], Failure> {
        json.object().map_err(|reason| self.bad("", &reason))
    }

    /// What `read` makes of the value of `key`, if there is one.
    fn field<'a, T>(
        &self,
        entries: &'a [(String, Json)],
        key: &str,
        read: impl Fn(&'a Json) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        get(entries, key).map(read).transpose().map_err(|reason| self.bad(key, &reason))
    }
}

fn name(json: &Json) -> Result<&str, String> {
    let name = json.text()?;
    match name.len() <= NAME_BYTES_MAX {
        true => Ok(name),
        false => Err(format!("{} bytes (at most {NAME_BYTES_MAX})", name.len())),
    }
}

/// A proxy as it is given: none of it need be there.
#[derive(Debug)]
pub(super) struct ProxyIn<'a> {
    name: Option<&'a str>,
    pub(super) listen: Option<&'a str>,
    pub(super) upstream: Option<&'a str>,
    pub(super) protocol: Option<Protocol>,
    pub(super) enabled: Option<bool>,
    toxics: &'a [Json],
}

/// Reads a proxy.
pub(super) fn proxy<'a>(json: &'a Json, spot: &Spot) -> Result<ProxyIn<'a>, Failure> {
    let entries = spot.object(json)?;
    Ok(ProxyIn {
        name: spot.field(entries, "name", name)?,
        listen: spot.field(entries, "listen", Json::text)?,
        upstream: spot.field(entries, "upstream", Json::text)?,
        protocol: spot.field(entries, "protocol", protocol)?,
        enabled: spot.field(entries, "enabled", Json::truth)?,
        toxics: spot.field(entries, "toxics", Json::list)?.unwrap_or_default(),
    })
}

/// The protocol with this word.
fn protocol(json: &Json) -> Result<Protocol, String> {
    let word = json.text()?;
    let known = Protocol::WORDS.iter().find(|(own, _)| *own == word);
    known.map(|(_, protocol)| *protocol).ok_or_else(|| {
        let words = || Protocol::WORDS.iter().map(|(own, _)| *own);
        let (all, near) = (words().collect::<Vec<_>>().join(", "), did_you_mean(word, words()));
        format!("{} ({all}{near})", quoted(word))
    })
}

impl ProxyIn<'_> {
    /// Refuses one without a name or an upstream.
    pub(super) fn check_required(&self, spot: &Spot) -> Result<(), Failure> {
        let required = [("name", self.name), ("upstream", self.upstream)];
        match required.into_iter().find(|(_, text)| text.is_none_or(str::is_empty)) {
            Some((field, _)) => Err(Failure::MissingField(field, spot.at.clone())),
            None => Ok(()),
        }
    }

    /// The route it stands for, with its toxics.
    pub(super) fn wanted(&self, spot: &Spot) -> Result<RouteView, Failure> {
        if self.toxics.len() > FAULTS_MAX {
            return Err(Failure::TooMany("toxics", FAULTS_MAX));
        }
        let (mut faults, protocol) = (Vec::new(), self.protocol.unwrap_or_default());
        for (index, json) in self.toxics.iter().enumerate() {
            let spec = toxic(json, &spot.of_toxic(index), protocol, &faults)?;
            faults.push(spec);
        }
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(RouteView {
            name: text(self.name),
            listen: text(self.listen),
            upstream: text(self.upstream),
            protocol,
            enabled: self.enabled.unwrap_or(true),
            faults,
        })
    }
}

/// The fault that a new toxic stands for, beside those that are there. Complains in the order in
/// which Toxiproxy does: JSON, stream, type, name, attributes.
pub(super) fn toxic(
    json: &Json,
    spot: &Spot,
    protocol: Protocol,
    there: &[Spec],
) -> Result<Spec, Failure> {
    let entries = spot.object(json)?;
    let given_name = spot.field(entries, "name", name)?.filter(|name| !name.is_empty());
    let kind = spot.field(entries, "type", Json::text)?;
    let stream = spot.field(entries, "stream", Json::text)?.unwrap_or("downstream");
    let both = spot.field(entries, "direction", Json::text)?;
    let edit = ToxicEdit::read(json, spot)?;
    let direction = direction(stream).ok_or_else(|| Failure::BadStream(spot.at.clone()))?;
    let bad_type = || {
        let why = kind.and_then(config::why_no_kind).map(|why| format!(": {why}"));
        Failure::BadType(format!("{}{}", spot.at, why.unwrap_or_default()))
    };
    let kind = kind.and_then(Kind::find).ok_or_else(bad_type)?;
    let place = match (kind.place(protocol == Protocol::Http), both) {
        (None, _) => return Err(needs_http(kind, spot)),
        (Some(Place::One(_) | Place::Both), Some(word)) if word == Place::Both.as_str() => {
            Place::Both
        }
        (Some(Place::One(_) | Place::Both), _) => Place::One(direction),
        (Some(place @ (Place::Listener | Place::Connection | Place::Exchange)), _) => place,
    };
    let name = given_name.map_or_else(|| format!("{}_{stream}", kind.name), str::to_owned);
    let mut spec = Spec::new(name, kind, place);
    if there.iter().any(|other| other.name == spec.name) {
        return Err(Failure::ToxicExists(spot.at.clone()));
    }
    edit.apply(&mut spec, protocol, spot)?;
    Ok(spec)
}

/// The fault is one of exchanges, and the route knows none.
fn needs_http(kind: &Kind, spot: &Spot) -> Failure {
    spot.bad("type", &format!("{} needs a route that speaks HTTP", kind.name))
}

fn direction(stream: &str) -> Option<Direction> {
    let all = [Direction::Upstream, Direction::Downstream];
    all.into_iter().find(|direction| direction.as_str().eq_ignore_ascii_case(stream))
}

/// The attributes that Toxiproxy's own types have there. Clients may fail on others, so what else
/// a fault of such a type has is a key of the toxic, beside `attributes`, and told when it is set.
const STOCK: [(&str, &[&str]); 8] = [
    ("bandwidth", &["rate"]),
    ("latency", &["latency", "jitter"]),
    ("limit_data", &["bytes"]),
    ("noop", &[]),
    ("reset_peer", &["timeout"]),
    ("slicer", &["average_size", "size_variation", "delay"]),
    ("slow_close", &["delay"]),
    ("timeout", &["timeout"]),
];

/// True for an attribute that is told among `attributes`.
pub(super) fn is_inside(kind: &Kind, attr: &str) -> bool {
    let stock = STOCK.iter().find(|(name, _)| *name == kind.name);
    stock.is_none_or(|(_, attrs)| attrs.contains(&attr))
}

/// What may be changed about a toxic.
#[derive(Debug)]
pub(super) struct ToxicEdit<'a> {
    toxic: &'a [(String, Json)],
    toxicity: Option<Ratio>,
    attributes: &'a [(String, Json)],
}

impl<'a> ToxicEdit<'a> {
    /// Reads the part of a toxic that may be changed.
    pub(super) fn read(json: &'a Json, spot: &Spot) -> Result<ToxicEdit<'a>, Failure> {
        let toxic = spot.object(json)?;
        Ok(ToxicEdit {
            toxic,
            toxicity: spot.field(toxic, "toxicity", share)?,
            attributes: spot.field(toxic, "attributes", Json::object)?.unwrap_or_default(),
        })
    }

    /// Puts it in force on `spec`, a fault of a route with this protocol; on a failure `spec` is
    /// not to be used.
    pub(super) fn apply(
        &self,
        spec: &mut Spec,
        protocol: Protocol,
        spot: &Spot,
    ) -> Result<(), Failure> {
        for (key, json) in self.attributes {
            match json {
                // `"burst": {"mean": 4}` is `"burst.mean": 4`, as it is told.
                Json::Object(parts) if is_parted(spec.kind, key) => {
                    for (part, json) in parts {
                        set_attribute(spec, &format!("{key}.{part}"), json, spot)?;
                    }
                }
                json => set_attribute(spec, key, json, spot)?,
            }
        }
        for attr in spec.kind.attrs.iter().filter(|attr| !is_inside(spec.kind, attr.name)) {
            if let Some(value) = spot.field(self.toxic, attr.name, |json| value(attr, json))? {
                spec.attrs.set(attr.name, value);
            }
        }
        spec.probability = self.toxicity.unwrap_or(spec.probability);
        let ttl = |json: &Json| match json {
            Json::Integer(0) => Ok(None), // takes it back
            json => value(&TTL, json).map(|value| match value {
                Value::Span(span) => Some(span),
                _ => None,
            }),
        };
        spec.ttl = spot.field(self.toxic, TTL.name, ttl)?.unwrap_or(spec.ttl);
        self.apply_how(spec, spot)?;
        self.apply_match(spec, protocol, spot)?;
        refuse_choice_of_clients(spec, spot)?;
        spec.wrong().map_or(Ok(()), |reason| Err(spot.bad("attributes", reason)))
    }

    /// For which requests it is; an empty object takes that back.
    fn apply_match(&self, spec: &mut Spec, protocol: Protocol, spot: &Spot) -> Result<(), Failure> {
        let read = |json: &Json| match (spec.place, protocol, json) {
            (Place::Listener | Place::Connection, ..) | (_, Protocol::Tcp, _) => {
                Err(format!("{} is not decided for each request here", spec.kind.name))
            }
            (_, _, Json::Object(entries)) if entries.is_empty() => Ok(None),
            (_, _, json) => config::read_match(&raw(json)).map(Some),
        };
        if let Some(matching) = spot.field(self.toxic, "match", read)? {
            spec.among.matching = matching.map(Arc::new);
        }
        Ok(())
    }

    /// The keys of a fault that Toxiproxy has not: `enabled`, `mode`, `sampling` and the triggers.
    fn apply_how(&self, spec: &mut Spec, spot: &Spot) -> Result<(), Failure> {
        let is = |key: &str, usual: &'static str, other: &'static str| {
            let Some(word) = spot.field(self.toxic, key, Json::text)? else { return Ok(None) };
            match word == usual || word == other {
                true => Ok(Some(word == other)),
                false => Err(spot.bad(key, &format!("{} ({usual}, {other})", quoted(word)))),
            }
        };
        let (how, kind, place) = (&mut spec.how, spec.kind, spec.place);
        if let Some(shadow) = is("mode", "act", "shadow")? {
            how.mode = if shadow { Mode::Shadow } else { Mode::Act };
        }
        if let Some(exact) = is("sampling", "bernoulli", "exact")? {
            how.sampling = if exact { Sampling::Exact } else { Sampling::Bernoulli };
        }
        how.enabled = spot.field(self.toxic, "enabled", Json::truth)?.unwrap_or(how.enabled);
        for row in &TRIGGERS {
            let is_own = kind.attrs.iter().any(|attr| attr.name == row.name);
            let read = |json: &Json| match (when::refused(kind, place, row.name), json) {
                _ if is_own => Err(format!("an attribute of {} (put it there)", kind.name)),
                (Some(reason), _) => Err(reason),
                (None, Json::Integer(0)) => Ok(row.default.clone()), // takes it back
                (None, json) => value(row, json),
            };
            if let Some(value) = spot.field(self.toxic, row.name, read)? {
                how.when.set(row.name, value);
            }
        }
        Ok(())
    }
}

/// A fault of level listener acts on all clients alike: there is nobody to choose among.
fn refuse_choice_of_clients(spec: &Spec, spot: &Spot) -> Result<(), Failure> {
    let choice = match spec.probability == Ratio::ONE {
        false => Some(("toxicity", "1")),
        true => (spec.how.sampling == Sampling::Exact).then_some(("sampling", "leave it out")),
    };
    match (spec.kind.level, choice) {
        (Level::Listener, Some((key, way_out))) => {
            let why = format!("{} acts on the listener, for all clients alike", spec.kind.name);
            Err(spot.bad(key, &format!("{why} ({way_out})")))
        }
        _ => Ok(()),
    }
}

/// True when there are attributes that are parts of this one.
fn is_parted(kind: &Kind, key: &str) -> bool {
    kind.attrs.iter().any(|attr| attr.name.split_once('.').is_some_and(|(own, _)| own == key))
}

fn set_attribute(spec: &mut Spec, key: &str, json: &Json, spot: &Spot) -> Result<(), Failure> {
    let bad = |reason: &str| spot.bad(&format!("attributes.{}", shown_key(key)), reason);
    let row = spec.kind.attrs;
    let Some(attr) = row.iter().find(|attr| attr.name.eq_ignore_ascii_case(key)) else {
        return Err(bad(&unknown_attribute(key, spec.kind)));
    };
    if *json != Json::Null {
        spec.attrs.set(attr.name, value(attr, json).map_err(|reason| bad(&reason))?);
    }
    Ok(())
}

/// A key as a path shows it: plain when it is a plain word.
fn shown_key(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    match (1..=64).contains(&key.len()) && key.bytes().all(plain) {
        true => key.to_owned(),
        false => quoted(key),
    }
}

fn unknown_attribute(key: &str, kind: &Kind) -> String {
    let names = || kind.attrs.iter().map(|attr| attr.name);
    let all = names().collect::<Vec<_>>().join(", ");
    match all.is_empty() {
        true => format!("unknown attribute ({} has none)", kind.name),
        false => format!("unknown attribute (one of {all}{})", did_you_mean(key, names())),
    }
}

/// A text longer than this is no quantity.
const TEXT_MAX: usize = 200;

fn value(attr: &Attr, json: &Json) -> Result<Value, String> {
    attr.unit.parse(raw(json))
}

/// A value as attributes understand it; no deeper than a body may be.
fn raw(json: &Json) -> Raw<'_> {
    match json {
        Json::Integer(number) => Raw::Integer(*number),
        Json::Float(number) => Raw::Decimal(*number, json.what().into()), // 100.0 and 1e2 are whole
        Json::Text(text) => Raw::Text(text),
        Json::List(list) => Raw::List(list.iter().map(raw).collect()),
        Json::Object(entries) => {
            Raw::Object(entries.iter().map(|(key, value)| (&**key, raw(value))).collect())
        }
        Json::Null | Json::Bool(_) => Raw::Other(json.what().into()),
    }
}

fn share(json: &Json) -> Result<Ratio, String> {
    let ratio = match json {
        Json::Integer(number) => Ratio::new(*number as f64),
        Json::Float(number) => Ratio::new(*number),
        Json::Text(text) if text.len() <= TEXT_MAX => Ratio::parse(text),
        Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => {
            return Err(format!("{} is not a share (0..1)", json.what()));
        }
    };
    ratio.map_err(|error| error.to_string())
}
