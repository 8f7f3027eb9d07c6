//! The JSON of a request: a tree that keeps every key as it came, bounded in depth and size.
//!
//! Read as Go reads it, because that is what clients were written against: keys match without
//! case, the last of equal keys wins, `null` is the same as nothing, and bytes after the first
//! value are not looked at.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

/// Values in a body at most. The depth is bounded by serde_json, which stops at 128.
pub(super) const NODES_MAX: usize = 200_000;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    /// In the order of the text; keys may come twice.
    Object(Vec<(String, Json)>),
}

/// The first value of `body`, or one line on why there is none.
pub(super) fn first_value(body: &[u8]) -> Result<Json, String> {
    let nodes = Cell::new(0);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    Node(&nodes).deserialize(&mut deserializer).map_err(|error| match error.classify() {
        Category::Eof if body.iter().all(u8::is_ascii_whitespace) => "EOF".to_owned(),
        Category::Eof => "unexpected EOF".to_owned(),
        Category::Io | Category::Syntax | Category::Data => error.to_string(),
    })
}

/// The last value under `key` that is not null, whatever the case of the letters.
pub(super) fn get<'a>(entries: &'a [(String, Json)], key: &str) -> Option<&'a Json> {
    let same = |(own, value): &&(String, Json)| {
        own.eq_ignore_ascii_case(key) && !matches!(value, Json::Null)
    };
    entries.iter().rev().find(same).map(|(_, value)| value)
}

impl Json {
    /// The entries of an object, none for null.
    pub(super) fn object(&self) -> Result<&[(String, Json)], String> {
        match self {
            Json::Null => Ok(&[]),
            Json::Object(entries) => Ok(entries),
            other => Err(format!("{} (an object)", other.what())),
        }
    }

    /// The elements of a list, none for null.
    pub(super) fn list(&self) -> Result<&[Json], String> {
        match self {
            Json::Null => Ok(&[]),
            Json::List(list) => Ok(list),
            other => Err(format!("{} (a list)", other.what())),
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Json::Text(text) => Ok(text),
            other => Err(format!("{} is not a text", other.what())),
        }
    }

    /// True or false.
    pub(super) fn truth(&self) -> Result<bool, String> {
        match self {
            Json::Bool(truth) => Ok(*truth),
            other => Err(format!("{} (true or false)", other.what())),
        }
    }

    /// What it is, in words, for messages.
    pub(super) fn what(&self) -> String {
        match self {
            Json::Null => "null".into(),
            Json::Bool(truth) => truth.to_string(),
            Json::Integer(number) => number.to_string(),
            Json::Float(number) => format!("{number:?}"),
            Json::Text(text) => quoted(text),
            Json::List(_) => "a list".into(),
            Json::Object(_) => "an object".into(),
        }
    }
}

/// Characters of a text that a message shows.
const SHOWN_MAX: usize = 60;

/// `text` as a message shows it: in quotes, escaped, cut when long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{:?}", format!("{}...", &text[..end])),
        None => format!("{text:?}"),
    }
}

/// Reads one value; counts the values of the whole body.
#[derive(Clone, Copy)]
struct Node<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > NODES_MAX {
            return Err(D::Error::custom(format!("more than {NODES_MAX} values")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Integer(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &[u8], expected: &str) {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let error = first_value(body).expect_err(&shown);
        assert!(error.contains(expected), "{shown}: {error}");
    }

    #[test]
    fn hostile_bodies_are_refused_in_one_line() {
        check(b"", "EOF");
        check(b" \n", "EOF");
        check(b"{\"a\":", "unexpected EOF");
        check("[".repeat(10_000).as_bytes(), "recursion limit");
        check("[".repeat(1 << 20).as_bytes(), "recursion limit");
        check("{\"a\":".repeat(10_000).as_bytes(), "recursion limit");
        check(format!("[{}1]", "1,".repeat(NODES_MAX)).as_bytes(), "values");
        check(b"NaN", "expected");
        check(b"[Infinity]", "expected");
        check(b"1e999", "number out of range");
        check(b"\"\xff\"", "unicode");
        check(br#""\ud800""#, "hex escape");
        check(br#""\ud800\u0041""#, "surrogate");
        check(b"\"a\0b\"", "control character");
        check(b"\xef\xbb\xbf{}", "expected value");
    }

    #[test]
    fn as_many_values_as_the_bound_are_read() {
        let body = format!("[{}1]", "1,".repeat(NODES_MAX - 2));
        assert_eq!(first_value(body.as_bytes()).map(|json| json.list().map(<[Json]>::len)), {
            Ok(Ok(NODES_MAX - 1))
        });
    }

    #[test]
    fn keys_match_without_case_and_the_last_one_that_says_something_counts() {
        let json = first_value(br#"{"A": 1, "a": 2, "a": null, "b": null} trailing"#);
        let json = json.expect("an object");
        let entries = json.object().expect("entries");
        assert_eq!(get(entries, "a"), Some(&Json::Integer(2)));
        assert_eq!((get(entries, "b"), get(entries, "c")), (None, None));
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(quoted(&"ä".repeat(60)), format!("\"{}\"", "ä".repeat(60)));
        assert_eq!(quoted(&"ä".repeat(61)), format!("\"{}...\"", "ä".repeat(60)));
    }
}
