//! `match`: for which requests a fault comes into question.

use std::rc::Rc;

use super::node::{Entry, Node, Value, is_integer, quoted};
use super::value::{At, Found, Object, refuse};
use crate::fault::attr::{BYTES_MAX, Raw};
use crate::fault::matching::{Glob, Match, Net};
use crate::http::line::is_whole_token;
use crate::problem::Problem;
use crate::units::ByteCount;

const KEYS: [&str; 7] = ["method", "path", "header", "query", "minBody", "maxBody", "sourceIp"];

/// Methods, fields, parts of the query, or ranges of addresses that a match may name, each.
const CONDITIONS_MAX: usize = 32;

/// Bytes of a pattern at most.
const GLOB_MAX: usize = 1024;

/// What must hold; none when something is wrong.
pub(super) fn read(at: &At<'_>, found: &mut Found) -> Option<Match> {
    let object = at.object(found)?;
    object.only(&KEYS, found);
    let methods = each(&object, "method", "a method or a list of methods", method, found);
    let path = object.get("path").map(|at| glob(&at, found).filter(|glob| path(&at, glob, found)));
    let (headers, query) = (pairs(&object, "header", found), pairs(&object, "query", found));
    let (min, max) = (bytes(&object, "minBody", found), bytes(&object, "maxBody", found));
    let source_ips = each(&object, "sourceIp", "an address or a list of them", net, found);
    let read = Match {
        methods: methods?,
        path: path.map_or(Some(None), |path| path.map(Some))?,
        headers: headers?,
        query: query?,
        min_body: min?,
        max_body: max?,
        source_ips: source_ips?,
    };
    if read == Match::default() {
        found.note(&at.path, at.pos, refuse("nothing to match", &KEYS.join(", ")));
    }
    if let (Some(min), Some(max)) = (read.min_body, read.max_body)
        && max < min
    {
        found.note(&at.path, at.pos, refuse("maxBody is below minBody", "no body has both"));
    }
    Some(read)
}

/// What must hold, from the admin API.
pub(super) fn from_raw(raw: &Raw<'_>) -> Result<Match, String> {
    let (node, mut found) = (node(raw), Found::default());
    let read = read(&At::root(&node), &mut found);
    match (read, found.list.into_iter().next()) {
        (Some(matching), None) => Ok(matching),
        (_, None) => Err(refuse("nothing to match", &KEYS.join(", "))),
        (_, Some(Problem { path, message, .. })) if path.is_empty() => Err(message),
        (_, Some(Problem { path, message, .. })) => Err(format!("{path}: {message}")),
    }
}

/// A value without a place.
fn node(raw: &Raw<'_>) -> Node {
    let inner = |raw: &Raw<'_>| Rc::new(node(raw));
    let value = match raw {
        Raw::Integer(number) => Value::Number(number.to_string().into()),
        Raw::Decimal(_, written) => Value::Number((&**written).into()),
        Raw::Text(text) => Value::Text((*text).into()),
        Raw::List(list) => Value::List(list.iter().map(inner).collect()),
        Raw::Object(entries) => {
            let entry = |(key, raw): &(&str, Raw<'_>)| Entry {
                key: (*key).into(),
                key_pos: None,
                node: inner(raw),
            };
            Value::Object(entries.iter().map(entry).collect())
        }
        Raw::Other(word) => Value::plain(word),
    };
    Node::leaf(None, value)
}

/// What `read` makes of a value, or of each of a list of them; nothing when the key is not there.
fn each<T>(
    object: &Object<'_>,
    key: &str,
    of: &str,
    read: impl Fn(&str) -> Result<T, String>,
    found: &mut Found,
) -> Option<Vec<T>> {
    let Some(at) = object.get(key) else { return Some(Vec::new()) };
    let list = match at.value {
        Value::List(_) => at.list(1, CONDITIONS_MAX, "of them", found)?,
        _ => vec![at],
    };
    let read = |at: &At<'_>| {
        let text = at.text(of, found)?;
        found.take(at, read(text))
    };
    list.iter().map(read).collect::<Vec<Option<T>>>().into_iter().collect()
}

fn method(text: &str) -> Result<String, String> {
    const ALLOWED: &str = "a method such as GET";
    let upper = text.to_ascii_uppercase();
    match is_whole_token(text.as_bytes()) {
        false => Err(refuse(&quoted(text), ALLOWED)),
        true if upper != text => {
            Err(refuse(&quoted(text), &format!("{ALLOWED}, did you mean {}?", quoted(&upper))))
        }
        true => Ok(upper),
    }
}

fn net(text: &str) -> Result<Net, String> {
    Net::parse(text)
}

fn glob(at: &At<'_>, found: &mut Found) -> Option<Glob> {
    let allowed = format!("a text of at most {GLOB_MAX} bytes, in which * stands for any");
    let text = at.text(&allowed, found)?;
    let fits = text.len() <= GLOB_MAX && text.is_ascii() && !text.bytes().any(|b| b < b' ');
    let glob = if fits { Ok(Glob(text.to_owned())) } else { Err(refuse(&quoted(text), &allowed)) };
    found.take(at, glob)
}

/// A path begins with a slash, and the query is no part of it.
fn path(at: &At<'_>, glob: &Glob, found: &mut Found) -> bool {
    let way_out = match &*glob.0 {
        text if !text.starts_with(['/', '*']) => format!("write {}", quoted(&format!("/{text}"))),
        text if text.contains('?') => "what follows ? is matched by \"query\"".to_owned(),
        _ => return true,
    };
    found.note(&at.path, at.pos, refuse(&quoted(&glob.0), &way_out));
    false
}

fn pairs(object: &Object<'_>, key: &str, found: &mut Found) -> Option<Vec<(String, Glob)>> {
    let Some(at) = object.get(key) else { return Some(Vec::new()) };
    let entries = at.object(found)?.entries();
    if !(1..=CONDITIONS_MAX).contains(&entries.len()) {
        let came = format!("an object with {} names", entries.len());
        found.note(&at.path, at.pos, refuse(&came, &format!("1..{CONDITIONS_MAX} names")));
        return None;
    }
    let pair = |(name, at): &(&str, At<'_>)| {
        if key == "header" && !is_whole_token(name.as_bytes()) {
            found.note(&at.path, at.pos, refuse(&quoted(name), "the name of a field"));
            return None;
        }
        Some(((*name).to_owned(), glob(at, found)?))
    };
    entries.iter().map(pair).collect::<Vec<_>>().into_iter().collect()
}

fn bytes(object: &Object<'_>, key: &str, found: &mut Found) -> Option<Option<u64>> {
    let Some(at) = object.get(key) else { return Some(None) };
    match at.value {
        Value::Number(written) if is_integer(written) => {
            at.whole((0, BYTES_MAX.0), "", found).map(Some)
        }
        _ => {
            let text = at.text("a number of bytes, or a text such as \"64kB\"", found)?;
            let count = ByteCount::parse(text).map_err(|error| error.to_string());
            found.take(&at, count).map(|count| Some(count.0))
        }
    }
}
