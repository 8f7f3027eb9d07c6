//! Faults in the shape in which a configuration writes them: a small tree, made once for every
//! way to print it.

use serde::{Serialize, Serializer};

use crate::fault::attr::Value;
use crate::fault::matching::{Glob, Match};
use crate::fault::{Mode, Place, Sampling, Spec};
use crate::units::Ratio;

/// A value of a configuration.
pub(crate) enum Shape {
    Truth(bool),
    Number(u64),
    Share(Ratio),
    Text(String),
    List(Vec<Shape>),
    /// In this order.
    Map(Vec<(String, Shape)>),
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shape::Truth(truth) => serializer.serialize_bool(*truth),
            Shape::Number(number) => serializer.serialize_u64(*number),
            Shape::Share(share) => share.serialize(serializer),
            Shape::Text(text) => serializer.serialize_str(text),
            Shape::List(list) => serializer.collect_seq(list),
            Shape::Map(entries) => serializer.collect_map(entries.iter().map(|(k, v)| (k, v))),
        }
    }
}

/// The faults of a route, those of a group together.
pub(super) fn faults(faults: &[Spec]) -> Shape {
    let together = |one: &Spec, next: &Spec| {
        one.among.one_of.is_some() && one.among.one_of == next.among.one_of
    };
    let group = |group: &[Spec]| match group {
        [single] if single.among.one_of.is_none() => fault(single),
        all => Shape::Map(vec![("oneOf".into(), Shape::List(all.iter().map(fault).collect()))]),
    };
    Shape::List(faults.chunk_by(together).map(group).collect())
}

/// A fault, every attribute present that has a value.
fn fault(spec: &Spec) -> Shape {
    let mut map = Vec::new();
    let mut put = |key: &str, shape: Shape| map.push((key.to_owned(), shape));
    let text = |text: &str| Shape::Text(text.to_owned());
    put("type", text(spec.kind.name));
    put("name", text(&spec.name));
    if let Place::One(_) | Place::Both = spec.place {
        put("direction", text(spec.place.as_str()));
    }
    if spec.place != Place::Listener {
        put("probability", Shape::Share(spec.probability));
    }
    if spec.how.sampling == Sampling::Exact {
        put("sampling", text("exact"));
    }
    if !spec.how.enabled {
        put("enabled", Shape::Truth(false));
    }
    let shadow = spec.how.mode == Mode::Shadow;
    if shadow {
        put("mode", text("shadow"));
    }
    if let Some(own) = &spec.among.matching {
        put("match", matching(own));
    }
    for (row, given) in spec.how.when.given() {
        put(row.name, value(&given));
    }
    // A fault with a mode of its own has the default one in shadow mode.
    let attrs = spec.attrs.iter().filter(|(name, _)| !(shadow && *name == "mode"));
    for (name, given) in attrs.filter(|(_, given)| **given != Value::Unset) {
        match (name.split_once('.'), map.last_mut()) {
            (None, _) => map.push((name.to_owned(), value(given))),
            (Some((key, part)), Some((last, Shape::Map(parts)))) if last == key => {
                parts.push((part.to_owned(), value(given)));
            }
            (Some((key, part)), _) => {
                let parts = vec![(part.to_owned(), value(given))];
                map.push((key.to_owned(), Shape::Map(parts)));
            }
        }
    }
    Shape::Map(map)
}

fn value(value: &Value) -> Shape {
    match value {
        Value::Count(count) => Shape::Number(*count),
        Value::Share(share) => Shape::Share(*share),
        Value::Statuses(all) => {
            Shape::List(all.iter().map(|status| Shape::Number(u64::from(*status))).collect())
        }
        Value::Fields(all) => {
            let entry = |(name, text): &(String, String)| (name.clone(), Shape::Text(text.clone()));
            Shape::Map(all.iter().map(entry).collect())
        }
        Value::Names(all) => texts(all),
        Value::Unset
        | Value::Span(_)
        | Value::Bytes(_)
        | Value::Rate(_)
        | Value::Choice(_)
        | Value::Text(_) => Shape::Text(value.to_string()),
    }
}

fn texts(all: &[String]) -> Shape {
    Shape::List(all.iter().map(|text| Shape::Text(text.clone())).collect())
}

/// What a request must be.
pub(crate) fn matching(own: &Match) -> Shape {
    let mut map = Vec::new();
    let mut put = |key: &str, given: bool, shape: Shape| {
        if given {
            map.push((key.to_owned(), shape));
        }
    };
    let pairs = |all: &[(String, Glob)]| {
        let pair = |(name, glob): &(String, Glob)| (name.clone(), Shape::Text(glob.0.clone()));
        Shape::Map(all.iter().map(pair).collect())
    };
    let nets: Vec<String> = own.source_ips.iter().map(ToString::to_string).collect();
    let path = own.path.as_ref().map(|glob| glob.0.clone());
    put("method", !own.methods.is_empty(), texts(&own.methods));
    put("path", path.is_some(), Shape::Text(path.unwrap_or_default()));
    put("header", !own.headers.is_empty(), pairs(&own.headers));
    put("query", !own.query.is_empty(), pairs(&own.query));
    put("minBody", own.min_body.is_some(), Shape::Number(own.min_body.unwrap_or_default()));
    put("maxBody", own.max_body.is_some(), Shape::Number(own.max_body.unwrap_or_default()));
    put("sourceIp", !nets.is_empty(), texts(&nets));
    Shape::Map(map)
}
