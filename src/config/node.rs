//! The tree that a text becomes: values that know where they stand.

use std::rc::Rc;

use crate::problem::Pos;

/// A value and where it stands; one node may stand in several places through an alias.
#[derive(Debug)]
pub(super) struct Node {
    /// Its first character; none on the command line.
    pub(super) pos: Option<Pos>,
    pub(super) value: Value,
    /// Nodes in it, itself and keys included, aliases counted as what they stand for.
    pub(super) size: usize,
    /// Levels of lists and objects in it, itself included.
    pub(super) height: usize,
}

/// What was written.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number, as written: what it means is up to who asks for it.
    Number(Rc<str>),
    Text(Rc<str>),
    List(Vec<Rc<Node>>),
    /// In the order of the text, keys are unique.
    Object(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Rc<str>,
    pub(super) key_pos: Option<Pos>,
    pub(super) node: Rc<Node>,
}

impl Node {
    /// A value without parts.
    pub(super) fn leaf(pos: Option<Pos>, value: Value) -> Node {
        Node { pos, value, size: 1, height: 0 }
    }
}

impl Value {
    /// What a plain scalar means in the core schema of YAML 1.2 (chapter 10.3.2).
    pub(super) fn plain(text: &str) -> Value {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ if is_integer(text) || is_float(text) => Value::Number(text.into()),
            _ => Value::Text(text.into()),
        }
    }

    /// What it is, in words, for messages.
    pub(super) fn what(&self) -> String {
        match self {
            Value::Null => "null".into(),
            Value::Bool(truth) => truth.to_string(),
            Value::Number(written) => shortened(written),
            Value::Text(text) => quoted(text),
            Value::List(_) => "a list".into(),
            Value::Object(_) => "an object".into(),
        }
    }
}

/// True for `12`, `-12`, `0o14`, `0xc`.
pub(super) fn is_integer(text: &str) -> bool {
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// True for `1.5`, `.5`, `1.`, `1e3`, `-.inf`, `.nan`.
fn is_float(text: &str) -> bool {
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['-', '+']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

/// Characters of a text that a message shows.
const SHOWN_MAX: usize = 60;

/// `text` as a message shows it: in quotes, escaped, cut when long.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// `text`, cut when long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kind of a plain scalar in one word.
    fn kind(text: &str) -> &'static str {
        match Value::plain(text) {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::Text(_) => "text",
            Value::List(_) | Value::Object(_) => "not a scalar",
        }
    }

    #[test]
    fn the_core_schema() {
        let all = |words: &[&str], expected: &str| {
            words.iter().for_each(|word| assert_eq!(kind(word), expected, "{word:?}"));
        };
        all(&["", "~", "null", "Null", "NULL"], "null");
        all(&["true", "False", "TRUE"], "bool");
        all(&["0", "-1", "+1", "007", "0o17", "0xfF", "99999999999999999999999"], "number");
        all(&["1.5", ".5", "1.", "1e3", "1E-3", "-1.5e+3", ".inf", "-.INF", ".nan"], "number");
        all(&["no", "yes", "on", "22:22", "1_000", "0b1", "0o8", "0x", "-0x1", "nULL"], "text");
        all(&[".", "-", "+", "e3", "1e", "1e+", ".e1", "-.nan", "1.2.3", "inf", "0x1p3"], "text");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(quoted("a\n\u{1b}"), r#""a\n\u{1b}""#);
        assert_eq!(quoted(&"ä".repeat(60)), format!("\"{}\"", "ä".repeat(60)));
        assert_eq!(quoted(&"ä".repeat(61)), format!("\"{}...\"", "ä".repeat(60)));
    }
}
