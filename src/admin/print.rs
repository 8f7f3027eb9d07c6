//! Toxiproxy's JSON as it is told: proxies and toxics, with what Toxiproxy has no words for.

use std::fmt::{self, Write};

use super::wire::is_inside;
use crate::config::plan::Protocol;
use crate::config::shape;
use crate::control::routes::RouteView;
use crate::fault::attr::{Attr, Bare, Value};
use crate::fault::{Direction, How, Mode, Place, Sampling, Spec};
use crate::units::Ratio;

/// Prints a text in quotes, with what Go's encoding/json escapes beyond JSON's own needs.
pub(super) fn print_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write_to(out, format_args!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn write_to(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes all that is written");
}

fn print_key(before: char, key: &str, out: &mut String) {
    out.push(before);
    print_text(key, out);
    out.push(':');
}

/// Prints values between brackets.
pub(super) fn print_list<'a, T: 'a>(
    all: impl IntoIterator<Item = &'a T>,
    print: impl Fn(&T, &mut String),
    out: &mut String,
) {
    out.push('[');
    print_commas(all, print, out);
    out.push(']');
}

fn print_commas<'a, T: 'a>(
    all: impl IntoIterator<Item = &'a T>,
    print: impl Fn(&T, &mut String),
    out: &mut String,
) {
    for (index, value) in all.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        print(value, out);
    }
}

/// Prints all proxies under their names.
pub(super) fn print_object(routes: &[RouteView], out: &mut String) {
    if routes.is_empty() {
        out.push('{');
    }
    for (index, route) in routes.iter().enumerate() {
        print_key(if index == 0 { '{' } else { ',' }, &route.name, out);
        print_proxy(route, out);
    }
    out.push('}');
}

/// Prints a proxy.
pub(super) fn print_proxy(route: &RouteView, out: &mut String) {
    let texts = [("name", &route.name), ("listen", &route.listen), ("upstream", &route.upstream)];
    for (index, (key, text)) in texts.into_iter().enumerate() {
        print_key(if index == 0 { '{' } else { ',' }, key, out);
        print_text(text, out);
    }
    write_to(out, format_args!(",\"enabled\":{}", route.enabled));
    if route.protocol == Protocol::Http {
        out.push_str(",\"protocol\":\"http\"");
    }
    print_key(',', "toxics", out);
    print_toxics(&route.faults, out);
    out.push('}');
}

/// Prints toxics: the upstream ones first, each stream in the order in which they act.
pub(super) fn print_toxics(faults: &[Spec], out: &mut String) {
    let of = |direction| faults.iter().filter(move |spec| stream(spec.place) == direction);
    let all = of(Direction::Upstream).chain(of(Direction::Downstream));
    print_list(all, print_toxic, out);
}

/// Prints a toxic.
pub(super) fn print_toxic(spec: &Spec, out: &mut String) {
    out.push_str("{\"attributes\":{");
    let row = || spec.kind.attrs.iter().zip(spec.attrs.iter().map(|(_, value)| value));
    let set = || row().filter(|(_, value)| **value != Value::Unset);
    let inside = set().filter(|(attr, _)| is_inside(spec.kind, attr.name));
    for (index, (attr, value)) in inside.enumerate() {
        if index > 0 {
            out.push(',');
        }
        print_attribute(attr, value, out);
    }
    out.push('}');
    let stream = stream(spec.place).as_str();
    for (key, text) in [("name", &*spec.name), ("type", spec.kind.name), ("stream", stream)] {
        print_key(',', key, out);
        print_text(text, out);
    }
    write_to(out, format_args!(",\"toxicity\":{}", toxicity(spec.probability)));
    print_beyond(spec, stream, out);
    for (attr, value) in set() {
        if !is_inside(spec.kind, attr.name) && *value != attr.default {
            out.push(',');
            print_attribute(attr, value, out);
        }
    }
    out.push('}');
}

fn print_attribute(attr: &Attr, value: &Value, out: &mut String) {
    print_text(attr.name, out);
    out.push(':');
    print_bare(&value.bare(attr.unit), out);
}

fn print_bare(bare: &Bare, out: &mut String) {
    match bare {
        Bare::Number(number) => out.push_str(number),
        Bare::Text(text) => print_text(text, out),
        Bare::List(all) => print_list(all, print_bare, out),
        Bare::Object(all) => {
            let print = |(name, text): &(String, String), out: &mut String| {
                print_text(name, out);
                out.push(':');
                print_text(text, out);
            };
            out.push('{');
            print_commas(all, print, out);
            out.push('}');
        }
    }
}

/// Prints what Toxiproxy has no words for, where it is not as its clients take it to be.
fn print_beyond(spec: &Spec, stream: &str, out: &mut String) {
    let How { enabled, mode, sampling, when } = spec.how;
    let keys = [
        ("direction", spec.place.as_str(), spec.place.as_str() != stream),
        ("mode", "shadow", mode == Mode::Shadow),
        ("sampling", "exact", sampling == Sampling::Exact),
    ];
    for (key, word, _) in keys.into_iter().filter(|(_, _, told)| *told) {
        print_key(',', key, out);
        print_text(word, out);
    }
    if !enabled {
        out.push_str(",\"enabled\":false");
    }
    if let Some(left) = spec.ttl {
        // Rounded up: 0 would take the lease back where it is read again.
        write_to(out, format_args!(",\"ttl\":{}", left.0.div_ceil(1_000_000).max(1)));
    }
    for (row, value) in when.given() {
        out.push(',');
        print_attribute(row, &value, out);
    }
    if let Some(matching) = &spec.among.matching {
        let json = serde_json::to_string(&shape::matching(matching));
        print_key(',', "match", out);
        out.push_str(&json.expect("texts, numbers and lists always have a JSON form"));
    }
}

/// The stream that clients are told: they know two.
fn stream(place: Place) -> Direction {
    match place {
        Place::One(direction) => direction,
        Place::Listener | Place::Connection | Place::Exchange | Place::Both => {
            Direction::Downstream
        }
    }
}

/// As Go prints a float32: the shortest digits, with an exponent below a millionth.
fn toxicity(share: Ratio) -> String {
    let number = share.get() as f32;
    match 0.0 < number && number < 1e-6 {
        true => format!("{number:e}"),
        false => number.to_string(),
    }
}
