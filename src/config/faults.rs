//! The list of faults of a route. What a fault takes is in its row; nothing here knows one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::{Value, is_integer, quoted};
use super::plan::Protocol;
use super::value::{At, Found, Object, integer, refuse};
use super::{FAULTS_MAX, matching};
use crate::fault::attr::{Attr, Attrs, Raw, SPAN_MAX, Unit};
use crate::fault::matching::Match;
use crate::fault::when::{self, TRIGGERS};
use crate::fault::{
    ALL, Among, Direction, How, Kind, Level, Mode, Place, Sampling, Spec, TTL, When, too_much,
};
use crate::problem::{Pos, did_you_mean};
use crate::units::{Ratio, Span};

/// A fault, and where its name comes from.
pub(super) struct Named {
    pub(super) spec: Spec,
    path: String,
    pos: Option<Pos>,
    origin: Origin,
}

/// Who gave a fault its name.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Given,
    Default,
    Shorthand,
}

impl Named {
    /// A fault that stands for a key of the route.
    pub(super) fn shorthand(spec: Spec, path: String, pos: Option<Pos>) -> Named {
        Named { spec, path, pos, origin: Origin::Shorthand }
    }
}

/// The faults listed at `at`, those of groups one after the other; none when one of them is wrong.
pub(super) fn list(at: &At<'_>, protocol: Protocol, found: &mut Found) -> Option<Vec<Named>> {
    let list = at.list(0, FAULTS_MAX, "faults", found)?;
    let (mut faults, mut groups) = (Vec::new(), 0..);
    for at in &list {
        let group = match at.value {
            Value::Object(_) => at.object(found)?.get("oneOf"),
            _ => None,
        };
        match group {
            Some(group) => {
                let number = groups.next().unwrap_or(u16::MAX);
                faults.extend(one_of(at, &group, (number, protocol), found));
            }
            None => faults.push(fault(at, protocol, found)),
        }
    }
    if faults.len() > FAULTS_MAX {
        let came = format!("{} faults, those of groups counted", faults.len());
        found.note(&at.path, at.pos, refuse(&came, &format!("at most {FAULTS_MAX}")));
    }
    faults.into_iter().collect()
}

/// The faults of a group, of which at most one is drawn for an exchange.
fn one_of(
    at: &At<'_>,
    group: &At<'_>,
    (number, protocol): (u16, Protocol),
    found: &mut Found,
) -> Vec<Option<Named>> {
    let Some(object) = at.object(found) else { return vec![None] };
    object.only(&["oneOf"], found);
    if protocol == Protocol::Tcp {
        let why = "one roll for several faults is taken for each exchange";
        found.note(&group.path, group.pos, refuse(why, "only with \"protocol\": \"http\""));
        return vec![None];
    }
    let Some(list) = group.list(1, FAULTS_MAX, "faults", found) else { return vec![None] };
    let mut member = |at: &At<'_>| {
        let mut named = fault(at, protocol, found)?;
        named.spec.among.one_of = Some(number);
        let kind = named.spec.kind.name;
        let why = match (named.spec.place, named.spec.wrong()) {
            (Place::Exchange | Place::One(_) | Place::Both, None) => return Some(named),
            (Place::Exchange | Place::One(_) | Place::Both, Some(wrong)) => wrong.to_owned(),
            (Place::Listener | Place::Connection, _) => {
                format!("{kind} is decided before there are requests ({REQUESTS})")
            }
        };
        found.note(&at.path, at.pos, why);
        None
    };
    let members: Vec<Option<Named>> = list.iter().map(&mut member).collect();
    if let Some(sum) = too_much(members.iter().flatten().map(|named| &named.spec)) {
        let came = format!("the probabilities of the group add up to {sum:.6}");
        let came = came.trim_end_matches('0').trim_end_matches('.');
        found.note(&group.path, group.pos, refuse(came, "at most 1; each is 1 unless given"));
    }
    members
}

/// What can be decided for each request of an HTTP route.
const REQUESTS: &str = "only for faults of level http and stream";

/// Notes every name that another fault of the route has already.
pub(super) fn check_names(faults: &[Named], found: &mut Found) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, fault) in faults.iter().enumerate() {
        let Some(earlier) = first.get(fault.spec.name.as_str()).map(|index| &faults[*index]) else {
            first.insert(&fault.spec.name, index);
            continue;
        };
        let way_out = match (fault.origin, earlier.origin) {
            (Origin::Given, Origin::Given) => "unique names",
            (Origin::Default | Origin::Shorthand, _)
            | (Origin::Given, Origin::Default | Origin::Shorthand) => "give it another \"name\"",
        };
        let name = quoted(&fault.spec.name);
        let earlier = earlier.path.trim_end_matches(".name");
        let message = format!("{name} is the name of {earlier} too ({way_out})");
        found.note(&fault.path, fault.pos, message);
    }
}

const KEYS: [&str; 8] =
    ["type", "name", "direction", "probability", "sampling", "enabled", "mode", "match"];

fn fault(at: &At<'_>, protocol: Protocol, found: &mut Found) -> Option<Named> {
    let object = at.object(found)?;
    let types = ALL.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    let word = object.require("type", &types, found)?;
    let name = word.text(&types, found)?;
    let kind = found.take(&word, kind(name, &types))?;
    let own = kind.attrs.iter().map(|attr| split(attr).0);
    let shared = KEYS.into_iter().chain(TRIGGERS.iter().map(|row| row.name));
    let shared = shared.filter(|key| !has(kind, key));
    let mut keys: Vec<&str> = shared.chain(own).collect();
    keys.dedup(); // attributes of one object
    if let Some(at) = object.get(TTL.name) {
        keys.push(TTL.name);
        let why =
            "a fault of a configuration stays; one that is made by the admin API may have a ttl";
        found.note(&at.path, at.pos, refuse(why, "leave it out"));
    }
    object.only(&keys, found);
    let place = place((&word, &object), kind, protocol, found);
    refuse_choice_of_clients(&object, kind, found);
    let probability = object.get("probability").map_or(Some(Ratio::ONE), |at| at.share(found));
    let how = how(&object, kind, place, found);
    let matching = matching(&object, (kind, place), protocol, found);
    let attrs = attrs(&object, kind, found);
    let name = object.get("name").map(|at| (at.name(found), at));
    let place = place?;
    let (name, path, pos, origin) = match name {
        Some((name, at)) => (name?, at.path, at.pos, Origin::Given),
        None => (default_name(kind, place), at.path.clone(), at.pos, Origin::Default),
    };
    let (probability, attrs, how) = (probability?, attrs?, how?);
    let among = Among { matching: matching?.map(Arc::new), one_of: None };
    let spec = Spec { probability, attrs, how, among, ..Spec::new(name, kind, place) };
    if let Some(wrong) = spec.wrong() {
        found.note(&at.path, at.pos, wrong.to_owned());
    }
    Some(Named { spec, path, pos, origin })
}

fn kind(name: &str, types: &str) -> Result<&'static Kind, String> {
    if let Some(why) = why_no_kind(name) {
        return Err(refuse(&why, &format!("one of {types}")));
    }
    Kind::find(name).ok_or_else(|| {
        let near = did_you_mean(name, ALL.iter().map(|kind| kind.name));
        refuse(&format!("unknown type {}", quoted(name)), &format!("one of {types}{near}"))
    })
}

/// Why there is no type of this name that many would look for.
pub(super) fn why_no_kind(name: &str) -> Option<String> {
    let why = "cannot be seen in a TCP byte stream: the receiver's kernel undoes it";
    ["reorder", "duplicate"].contains(&name).then(|| format!("{} {why}", quoted(name)))
}

fn default_name(kind: &Kind, place: Place) -> String {
    match place {
        Place::Listener | Place::Connection | Place::Exchange => kind.name.to_owned(),
        Place::One(_) | Place::Both => format!("{}_{}", kind.name, place.as_str()),
    }
}

const DIRECTIONS: &[(&str, Place)] = &[
    ("downstream", Place::One(Direction::Downstream)),
    ("upstream", Place::One(Direction::Upstream)),
    ("both", Place::Both),
];

/// Where it acts; `word` is its type.
fn place(
    (word, object): (&At<'_>, &Object<'_>),
    kind: &Kind,
    protocol: Protocol,
    found: &mut Found,
) -> Option<Place> {
    let Some(place) = kind.place(protocol == Protocol::Http) else {
        let why = format!("{} needs a route that speaks HTTP", kind.name);
        let way_out = "give the route \"protocol\": \"http\"";
        found.note(&word.path, word.pos, refuse(&why, way_out));
        return None;
    };
    let why = match (place, object.get("direction")) {
        (_, None) => return Some(place),
        (Place::One(_) | Place::Both, Some(at)) => return at.word(DIRECTIONS, found),
        (Place::Listener | Place::Connection, Some(at)) => (at, "acts before there are directions"),
        (Place::Exchange, Some(at)) => (at, "acts on exchanges of this route"),
    };
    let (at, why) = why;
    let why = format!("{} {why}", kind.name);
    found.note(&at.path, at.pos, refuse(&why, "leave out the direction"));
    None
}

/// For which requests; all when nothing is said.
fn matching(
    object: &Object<'_>,
    (kind, place): (&Kind, Option<Place>),
    protocol: Protocol,
    found: &mut Found,
) -> Option<Option<Match>> {
    let Some(at) = object.get("match") else { return Some(None) };
    let refused = match (place?, protocol) {
        (Place::Listener | Place::Connection, _) => {
            refuse(&format!("{} acts before there are requests", kind.name), REQUESTS)
        }
        (_, Protocol::Tcp) => {
            let why = "a request is matched, and this route knows none";
            refuse(why, "give the route \"protocol\": \"http\"")
        }
        (Place::Exchange | Place::One(_) | Place::Both, Protocol::Http) => {
            return matching::read(&at, found).map(Some);
        }
    };
    found.note(&at.path, at.pos, refused);
    None
}

/// A fault of level listener acts on all clients alike: there is nobody to choose among.
fn refuse_choice_of_clients(object: &Object<'_>, kind: &Kind, found: &mut Found) {
    let is_all = |at: &At<'_>| matches!(at.value, Value::Number(one) if one.parse() == Ok(1.0));
    let given = ["probability", "sampling"].into_iter().filter_map(|key| object.get(key));
    for at in given.filter(|at| kind.level == Level::Listener && !is_all(at)) {
        let why = format!("{} acts on the listener, for all clients alike", kind.name);
        found.note(&at.path, at.pos, refuse(&why, "leave it out"));
    }
}

/// True when a fault has an attribute with this name: that is then what the key stands for.
fn has(kind: &Kind, key: &str) -> bool {
    kind.attrs.iter().any(|attr| attr.name == key)
}

const SAMPLINGS: &[(&str, Sampling)] =
    &[("bernoulli", Sampling::Bernoulli), ("exact", Sampling::Exact)];
const MODES: &[(&str, Mode)] = &[("act", Mode::Act), ("shadow", Mode::Shadow)];

/// The keys of every fault that say whether and how it acts.
fn how(object: &Object<'_>, kind: &Kind, place: Option<Place>, found: &mut Found) -> Option<How> {
    let default = How::default();
    let enabled = object.get("enabled").map_or(Some(default.enabled), |at| at.truth(found));
    let sampling = object.get("sampling");
    let sampling = sampling.map_or(Some(default.sampling), |at| at.word(SAMPLINGS, found));
    let mode = match object.get("mode") {
        Some(_) if is_attribute(kind, object, "mode") => Some(default.mode),
        Some(at) => at.word(MODES, found),
        None => Some(default.mode),
    };
    let when = when(object, kind, place, found);
    Some(How { enabled: enabled?, mode: mode?, sampling: sampling?, when: when? })
}

/// True when the key stands for the attribute of that name. `mode: shadow` never does.
fn is_attribute(kind: &Kind, object: &Object<'_>, key: &str) -> bool {
    let is_shadow = |at: At<'_>| matches!(at.value, Value::Text(text) if &**text == "shadow");
    has(kind, key) && !(key == "mode" && object.get(key).is_some_and(is_shadow))
}

fn when(object: &Object<'_>, kind: &Kind, place: Option<Place>, found: &mut Found) -> Option<When> {
    let (mut when, mut good) = (When::default(), true);
    for row in TRIGGERS.iter().filter(|row| !has(kind, row.name)) {
        let Some(at) = object.get(row.name) else { continue };
        let refused = place.and_then(|place| when::refused(kind, place, row.name));
        let value = refused.map_or_else(|| parse(row, at.value), Err);
        match found.take(&at, value) {
            Some(value) => when.set(row.name, value),
            None => good = false,
        }
    }
    good.then_some(when)
}

/// The key under which an attribute stands, and its key in the object there, if there is one.
fn split(attr: &Attr) -> (&'static str, Option<&'static str>) {
    attr.name.split_once('.').map_or((attr.name, None), |(key, part)| (key, Some(part)))
}

fn attrs(object: &Object<'_>, kind: &Kind, found: &mut Found) -> Option<Attrs> {
    let mut attrs = Attrs::defaults(kind.attrs);
    let rows = || kind.attrs.iter().map(|attr| (attr, split(attr)));
    let mut good = true;
    for (attr, (key, _)) in rows().filter(|(_, (_, part))| part.is_none()) {
        let at = object.get(key).filter(|_| is_attribute(kind, object, key));
        good &= at.is_none_or(|at| fill(attr, &at, &mut attrs, found));
    }
    let mut keys: Vec<&str> = rows().filter_map(|(_, (key, part))| part.map(|_| key)).collect();
    keys.dedup();
    for (key, at) in keys.into_iter().filter_map(|key| Some((key, object.get(key)?))) {
        let inner = at.object(found)?;
        let parts =
            || rows().filter_map(|(attr, (own, part))| Some((attr, part.filter(|_| own == key)?)));
        inner.only(&parts().map(|(_, part)| part).collect::<Vec<_>>(), found);
        for (attr, part) in parts() {
            good &= inner.get(part).is_none_or(|at| fill(attr, &at, &mut attrs, found));
        }
    }
    good.then_some(attrs)
}

/// Sets an attribute to what was written for it; false when that is wrong.
fn fill(attr: &Attr, at: &At<'_>, attrs: &mut Attrs, found: &mut Found) -> bool {
    let value = found.take(at, parse(attr, at.value));
    value.map(|value| attrs.set(attr.name, value)).is_some()
}

fn parse(attr: &Attr, value: &Value) -> Result<crate::fault::attr::Value, String> {
    attr.unit.parse(raw(value))
}

/// A span such as an attribute takes: whole milliseconds, or a text with a unit.
pub(super) fn span(at: &At<'_>, found: &mut Found) -> Option<Span> {
    match found.take(at, Unit::Ms(SPAN_MAX).parse(raw(at.value)))? {
        crate::fault::attr::Value::Span(span) => Some(span),
        _ => None, // its unit gives nothing else
    }
}

/// A value as attributes understand it; no deeper than a configuration may be.
fn raw(value: &Value) -> Raw<'_> {
    match value {
        Value::Number(written) if is_integer(written) => match integer(written) {
            Some(number) => Raw::Integer(number),
            None => Raw::Other(value.what().into()),
        },
        Value::Number(written) => match written.parse::<f64>() {
            Ok(number) if number.is_finite() => Raw::Decimal(number, value.what().into()),
            Ok(_) | Err(_) => Raw::Other(value.what().into()),
        },
        Value::Text(text) => Raw::Text(text),
        Value::List(list) => Raw::List(list.iter().map(|node| raw(&node.value)).collect()),
        Value::Object(entries) => {
            Raw::Object(entries.iter().map(|entry| (&*entry.key, raw(&entry.node.value))).collect())
        }
        Value::Null | Value::Bool(_) => Raw::Other(value.what().into()),
    }
}
