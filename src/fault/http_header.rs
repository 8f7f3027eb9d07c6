//! http_header: fields of a head are set or taken out.

use super::attr::{Attr, Attrs, Unit, Value};
use super::course::Edit;
use super::exchange::{Ask, Phase, Stateless};
use super::{Kind, Level};
use crate::http::Known;

pub(super) static KIND: Kind = Kind {
    name: "http_header",
    about: "fields of the request or the answer are set or taken out",
    level: Level::Http,
    attrs: &[
        Attr {
            name: "set",
            about: "fields that then have this value, once",
            unit: Unit::Fields,
            default: Value::Fields(Vec::new()),
        },
        Attr {
            name: "remove",
            about: "fields that are taken out, before others are set",
            unit: Unit::Names,
            default: Value::Names(Vec::new()),
        },
        Attr {
            name: "on",
            about: "whose head",
            unit: Unit::Choice(&["request", "response"]),
            default: Value::Choice("response"),
        },
    ],
    build: || {
        Box::new(Stateless {
            phase: |attrs| match attrs.choice("on") {
                "request" => Phase::Request,
                _ => Phase::Answer,
            },
            decide,
            wrong,
        })
    },
};

fn wrong(attrs: &Attrs) -> Option<&'static str> {
    let (set, remove) = (attrs.fields("set"), attrs.names("remove"));
    let mut names = set.iter().map(|(name, _)| name).chain(remove.iter());
    if set.is_empty() && remove.is_empty() {
        return Some("nothing to set or remove (name fields in set or in remove)");
    }
    let is_for_one_hop = names.any(|name| Known::of(name.as_bytes()).is_of_hop());
    is_for_one_hop.then_some(
        "a field for one hop alone, which is never passed on as it came (choose others than \
         Keep-Alive, Proxy-Connection, TE, Trailer, Upgrade)",
    )
}

fn decide(ask: &mut Ask<'_>) -> Option<String> {
    let (set, remove) = (ask.attrs.fields("set"), ask.attrs.names("remove"));
    let edits = match ask.attrs.choice("on") {
        "request" => &mut ask.course.request_edits,
        _ => &mut ask.course.answer.edits,
    };
    edits.extend(remove.iter().map(|name| Edit::Remove(name.clone())));
    edits.extend(set.iter().map(|(name, value)| Edit::Set(name.clone(), value.clone().into())));
    Some(format!("set={};remove={}", set.len(), remove.len()))
}
