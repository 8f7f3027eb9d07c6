//! The attributes of faults: what may be written, in which unit, and the default.

use std::borrow::Cow;
use std::fmt;

use crate::http;
use crate::units::{ByteCount, Rate, Ratio, Span, UnitError};

/// The longest time that an attribute may ask for: an hour.
pub const SPAN_MAX: Span = Span::from_ms(3_600_000);

/// The longest pause that is given in microseconds: a second.
pub const PAUSE_MAX: Span = Span::from_ms(1_000);

/// The most bytes that an attribute may count: a petabyte.
pub const BYTES_MAX: ByteCount = ByteCount(1_000_000_000_000_000);

/// The highest rate: a terabyte a second, more than any link.
pub const RATE_MAX: Rate = Rate(1_000_000_000_000);

/// The words of an attribute that is true or false.
pub const TRUTH: &[&str] = &["true", "false"];

/// One attribute: a column of a fault's row.
#[derive(Debug)]
pub struct Attr {
    /// The word for it. `burst.mean` is the `mean` in an object `burst`.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// What may be written, and the unit of a bare integer.
    pub unit: Unit,
    /// Its value when nothing is written.
    pub default: Value,
}

/// What may be written for an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// A span; a bare integer is in milliseconds. Holds the highest value allowed.
    Ms(Span),
    /// A span; a bare integer is in milliseconds. Holds the lowest and the highest value allowed.
    MsFrom(Span, Span),
    /// A span; a bare integer is in microseconds. Holds the highest value allowed.
    Us(Span),
    /// A number of bytes. Holds the highest one allowed.
    Bytes(ByteCount),
    /// A rate; a bare integer is in KB/s of 1000 bytes. Holds the highest one allowed.
    Rate(Rate),
    /// A whole number without a unit. Holds the lowest and the highest one allowed.
    Count(u64, u64),
    /// A share: a number in 0..=1, or a text in percent.
    Share,
    /// One of these words; `true` and `false` alone may be written bare, too.
    Choice(&'static [&'static str]),
    /// Any text of at most so many bytes.
    Text(usize),
    /// One status of an answer, or a list of them.
    Statuses,
    /// Names and values of fields of a head, those of the framing left out.
    Fields,
    /// Names of fields of a head, those of the framing left out.
    Names,
}

/// A text longer than this is no quantity and no word.
const WORD_MAX: usize = 200;

/// Statuses in a list, and fields or names of fields, at most.
pub const LIST_MAX: usize = 16;

/// Bytes of the value of a field at most.
pub const FIELD_VALUE_MAX: usize = 1024;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing was written, and nothing stands for it.
    Unset,
    /// A length of time.
    Span(Span),
    /// A number of bytes.
    Bytes(ByteCount),
    /// Bytes per second.
    Rate(Rate),
    /// A whole number.
    Count(u64),
    /// A share of a whole.
    Share(Ratio),
    /// A word of the attribute's choices.
    Choice(&'static str),
    /// Any text.
    Text(String),
    /// At least one status.
    Statuses(Cow<'static, [u16]>),
    /// Names and values of fields, in order.
    Fields(Vec<(String, String)>),
    /// Names of fields, in order.
    Names(Vec<String>),
}

/// What a configuration or a request may hold for an attribute, before it is understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw<'a> {
    /// A whole number.
    Integer(i128),
    /// A finite number that was not written as a whole one, and how it was written.
    Decimal(f64, Cow<'a, str>),
    /// A text.
    Text(&'a str),
    /// A list.
    List(Vec<Raw<'a>>),
    /// An object.
    Object(Vec<(&'a str, Raw<'a>)>),
    /// Anything else; holds the word for it, such as `null`.
    Other(Cow<'a, str>),
}

/// A value for every attribute of one row, in the order of the row.
#[derive(Clone, Debug, PartialEq)]
pub struct Attrs(Vec<(&'static str, Value)>);

impl Unit {
    /// What is allowed, in words, for messages and listings: `0..3600000 ms`.
    pub fn allowed(self) -> String {
        match self {
            Unit::Ms(max) => format!("0..{} ms, or a text such as \"150ms\"", max.as_ms()),
            Unit::MsFrom(min, max) => {
                format!("{}..{} ms, or a text such as \"30s\"", min.as_ms(), max.as_ms())
            }
            Unit::Us(max) => format!("0..{} us, or a text such as \"250us\"", max.0 / NS_PER_US),
            Unit::Bytes(max) => format!("0..{} bytes, or a text such as \"64kB\"", max.0),
            Unit::Rate(max) => {
                let max = max.0 / BYTES_PER_KB;
                format!("0..{max} KB/s, or a text such as \"200kB/s\" or \"1600kbit\"")
            }
            Unit::Count(min, max) => format!("a whole number {min}..{max}"),
            Unit::Share => "a number 0..1, or a text such as \"5%\"".to_owned(),
            Unit::Choice(words) => words.join(", "),
            Unit::Text(max) => format!("a text of at most {max} bytes"),
            Unit::Statuses => format!("a status 200..599, or a list of 1..{LIST_MAX} of them"),
            Unit::Fields => format!(
                "an object of at most {LIST_MAX} names and texts, without Content-Length, \
                 Transfer-Encoding, Connection"
            ),
            Unit::Names => format!(
                "a name or a list of at most {LIST_MAX}, without Content-Length, \
                 Transfer-Encoding, Connection"
            ),
        }
    }

    /// The unit of a bare integer, or nothing for words and plain numbers.
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Ms(_) | Unit::MsFrom(..) => "ms",
            Unit::Us(_) => "us",
            Unit::Bytes(_) => "B",
            Unit::Rate(_) => "KB/s",
            Unit::Count(..)
            | Unit::Share
            | Unit::Choice(_)
            | Unit::Text(_)
            | Unit::Statuses
            | Unit::Fields
            | Unit::Names => "",
        }
    }

    /// The value that `raw` stands for, or one line that says what came and what is allowed.
    pub fn parse(self, raw: Raw<'_>) -> Result<Value, String> {
        match (self, raw) {
            (Unit::Statuses, raw) => self.statuses(&raw),
            (Unit::Fields, raw) => self.fields(&raw),
            (Unit::Names, raw) => self.names(&raw),
            (Unit::Choice(TRUTH), Raw::Other(what)) if TRUTH.contains(&&*what) => self.text(&what),
            (_, Raw::Other(what)) => Err(self.refuse(&what)),
            (_, Raw::Integer(number)) => self.integer(number, &number),
            (_, Raw::Decimal(number, written)) => self.decimal(number, &written),
            (_, Raw::Text(text)) => self.text(text),
            (_, raw @ (Raw::List(_) | Raw::Object(_))) => Err(self.refuse(&raw)),
        }
    }

    fn statuses(self, raw: &Raw<'_>) -> Result<Value, String> {
        let all: Option<Vec<u16>> = raw.elements().iter().map(status).collect();
        let all = all.filter(|all| (1..=LIST_MAX).contains(&all.len()));
        all.map(|all| Value::Statuses(all.into())).ok_or_else(|| self.refuse(raw))
    }

    fn fields(self, raw: &Raw<'_>) -> Result<Value, String> {
        let Raw::Object(entries) = raw else { return Err(self.refuse(raw)) };
        let mut fields = Vec::new();
        for (name, value) in entries {
            match value {
                Raw::Text(text) if self.names_field(name)? && is_field_value(text) => {
                    fields.push(((*name).to_owned(), (*text).to_owned()));
                }
                other => {
                    let allowed = format!("a text without control characters for {name:?}");
                    return Err(format!("{other} ({allowed})"));
                }
            }
        }
        if fields.len() > LIST_MAX { Err(self.refuse(raw)) } else { Ok(Value::Fields(fields)) }
    }

    fn names(self, raw: &Raw<'_>) -> Result<Value, String> {
        let mut names = Vec::new();
        for element in raw.elements() {
            match element {
                Raw::Text(name) if self.names_field(name)? => names.push((*name).to_owned()),
                other => return Err(self.refuse(other)),
            }
        }
        if names.len() > LIST_MAX { Err(self.refuse(raw)) } else { Ok(Value::Names(names)) }
    }

    /// True for the name of a field that a fault may write.
    fn names_field(self, name: &str) -> Result<bool, String> {
        match http::line::is_whole_token(name.as_bytes()) && !http::reply::is_framing(name) {
            true if name.len() <= WORD_MAX => Ok(true),
            _ => Err(self.refuse(&Quoted(name))),
        }
    }

    fn refuse(self, came: &dyn fmt::Display) -> String {
        format!("{came} ({})", self.allowed())
    }

    /// The value of a bare integer; `came` is how it was written.
    fn integer(self, number: i128, came: &dyn fmt::Display) -> Result<Value, String> {
        let scaled = |scale: u64, max: u64| {
            let scaled = u64::try_from(number).ok().and_then(|number| number.checked_mul(scale));
            scaled.filter(|scaled| *scaled <= max)
        };
        let value = match self {
            Unit::Ms(max) => scaled(NS_PER_MS, max.0).map(|ns| Value::Span(Span(ns))),
            Unit::MsFrom(min, max) => {
                let ns = scaled(NS_PER_MS, max.0).filter(|ns| min.0 <= *ns);
                ns.map(|ns| Value::Span(Span(ns)))
            }
            Unit::Us(max) => scaled(NS_PER_US, max.0).map(|ns| Value::Span(Span(ns))),
            Unit::Bytes(max) => scaled(1, max.0).map(|count| Value::Bytes(ByteCount(count))),
            Unit::Rate(max) => scaled(BYTES_PER_KB, max.0).map(|rate| Value::Rate(Rate(rate))),
            Unit::Count(min, max) => scaled(1, max).filter(|count| min <= *count).map(Value::Count),
            Unit::Share => return share(number as f64),
            Unit::Choice(_) | Unit::Text(_) | Unit::Statuses | Unit::Fields | Unit::Names => None,
        };
        value.ok_or_else(|| self.refuse(came))
    }

    /// The value of a number with a fraction or an exponent: whole ones do for every unit.
    fn decimal(self, number: f64, written: &str) -> Result<Value, String> {
        match self {
            Unit::Share => share(number),
            _ if number.fract() == 0.0 && number.abs() < EXACT_MAX => {
                self.integer(number as i128, &written)
            }
            _ => Err(self.refuse(&written)),
        }
    }

    fn text(self, text: &str) -> Result<Value, String> {
        let max = if let Unit::Text(max) = self { max } else { WORD_MAX };
        if text.len() > max {
            return Err(self.refuse(&format_args!("a text of {} bytes", text.len())));
        }
        let in_range = |fits: bool, value: Value| match fits {
            true => Ok(value),
            false => Err(self.refuse(&value)),
        };
        let bad = |error: UnitError| error.to_string();
        match self {
            Unit::Ms(max) | Unit::Us(max) => {
                let span = Span::parse(text).map_err(bad)?;
                in_range(span <= max, Value::Span(span))
            }
            Unit::MsFrom(min, max) => {
                let span = Span::parse(text).map_err(bad)?;
                in_range(min <= span && span <= max, Value::Span(span))
            }
            Unit::Bytes(max) => {
                let count = ByteCount::parse(text).map_err(bad)?;
                in_range(count <= max, Value::Bytes(count))
            }
            Unit::Rate(max) => {
                let rate = Rate::parse(text).map_err(bad)?;
                in_range(rate <= max, Value::Rate(rate))
            }
            Unit::Share if text.trim_end().ends_with('%') => {
                Ratio::parse(text).map(Value::Share).map_err(|_| self.refuse(&Quoted(text)))
            }
            Unit::Text(_) => Ok(Value::Text(text.to_owned())),
            Unit::Count(..) | Unit::Share | Unit::Statuses | Unit::Fields | Unit::Names => {
                Err(self.refuse(&Quoted(text)))
            }
            Unit::Choice(words) => match words.iter().find(|word| **word == text) {
                Some(word) => Ok(Value::Choice(word)),
                None => {
                    let near = crate::problem::did_you_mean(text, words.iter().copied());
                    Err(format!("{text:?} ({}{near})", self.allowed()))
                }
            },
        }
    }
}

const NS_PER_US: u64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;
const BYTES_PER_KB: u64 = 1_000;

/// Below 2^53 an f64 holds every whole number.
const EXACT_MAX: f64 = 9e15;

fn share(number: f64) -> Result<Value, String> {
    Ratio::new(number).map(Value::Share).map_err(|error| error.to_string())
}

fn status(raw: &Raw<'_>) -> Option<u16> {
    let Raw::Integer(number) = raw else { return None };
    u16::try_from(*number).ok().filter(|status| (200..=599).contains(status))
}

/// True for what may stand in a field, and is still there when it is read back.
fn is_field_value(text: &str) -> bool {
    text.len() <= FIELD_VALUE_MAX
        && text.trim_matches([' ', '\t']) == text
        && !text.bytes().any(http::line::is_control)
}

impl<'a> Raw<'a> {
    /// The elements of a list; what is none is the only one.
    fn elements(&self) -> &[Raw<'a>] {
        match self {
            Raw::List(list) => list,
            other => std::slice::from_ref(other),
        }
    }
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raw::Integer(number) => number.fmt(out),
            Raw::Text(text) if text.len() > WORD_MAX => {
                write!(out, "a text of {} bytes", text.len())
            }
            Raw::Text(text) => Quoted(text).fmt(out),
            Raw::List(_) => out.write_str("a list"),
            Raw::Object(_) => out.write_str("an object"),
            Raw::Decimal(_, what) | Raw::Other(what) => out.write_str(what),
        }
    }
}

/// A text as a message shows it: in quotes, escaped.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Span(span) => span.fmt(out),
            Value::Bytes(count) => count.fmt(out),
            Value::Rate(rate) => rate.fmt(out),
            Value::Count(count) => count.fmt(out),
            Value::Share(share) => share.fmt(out),
            Value::Choice(word) => out.write_str(word),
            Value::Text(text) => out.write_str(text),
            Value::Statuses(all) => list(all.iter(), out),
            Value::Fields(all) => list(all.iter().map(|(name, _)| name), out),
            Value::Names(all) => list(all.iter(), out),
            Value::Unset => out.write_str("none"),
        }
    }
}

/// Prints elements with commas between them; `none` when there are none.
fn list<T: fmt::Display>(
    all: impl Iterator<Item = T>,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let all: Vec<String> = all.map(|element| element.to_string()).collect();
    out.write_str(if all.is_empty() { "none" } else { "" })?;
    out.write_str(&all.join(", "))
}

/// A value as a program writes it: without its unit, which is that of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bare {
    /// A number in the unit of the row, whole, or digits with a point; or `true` or `false`.
    Number(String),
    /// A word, or what is no whole number in that unit: a text that `Unit::parse` understands.
    Text(String),
    /// Several.
    List(Vec<Bare>),
    /// Several with names.
    Object(Vec<(String, String)>),
}

impl Value {
    /// The value as a bare number in `unit`, the unit of its row.
    pub fn bare(&self, unit: Unit) -> Bare {
        let whole = |number: u64, scale: u64| match number.is_multiple_of(scale) {
            true => Bare::Number((number / scale).to_string()),
            false => Bare::Text(self.to_string()),
        };
        match (self, unit) {
            (Value::Span(span), Unit::Ms(_) | Unit::MsFrom(..)) => {
                whole(span.0, Span::from_ms(1).0)
            }
            (Value::Span(span), Unit::Us(_)) => whole(span.0, 1_000),
            (Value::Bytes(count), Unit::Bytes(_)) => whole(count.0, 1),
            (Value::Rate(rate), Unit::Rate(_)) => whole(rate.0, 1_000),
            (Value::Count(count), Unit::Count(..)) => whole(*count, 1),
            (Value::Share(share), Unit::Share) => Bare::Number(share.to_string()),
            (Value::Choice(word), Unit::Choice(words)) if words == TRUTH => {
                Bare::Number((*word).to_owned())
            }
            (Value::Statuses(all), _) => {
                Bare::List(all.iter().map(|status| Bare::Number(status.to_string())).collect())
            }
            (Value::Fields(all), _) => Bare::Object(all.clone()),
            (Value::Names(all), _) => Bare::List(all.iter().cloned().map(Bare::Text).collect()),
            _ => Bare::Text(self.to_string()),
        }
    }
}

impl Attrs {
    /// The defaults of a row.
    pub fn defaults(row: &'static [Attr]) -> Attrs {
        Attrs(row.iter().map(|attr| (attr.name, attr.default.clone())).collect())
    }

    /// Sets an attribute of the row; the value must be one that its unit gave.
    pub fn set(&mut self, name: &str, value: Value) {
        let slot = self.0.iter_mut().find(|(own, _)| *own == name);
        slot.expect("the attribute was looked up in the row").1 = value;
    }

    /// All of them, in the order of the row.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> + '_ {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// The length of time called `name`.
    pub fn span(&self, name: &str) -> Span {
        let &Value::Span(span) = self.get(name) else {
            unreachable!("{name} is a span in its row")
        };
        span
    }

    /// The number of bytes called `name`.
    pub fn bytes(&self, name: &str) -> u64 {
        let &Value::Bytes(count) = self.get(name) else {
            unreachable!("{name} is a number of bytes in its row")
        };
        count.0
    }

    /// The rate called `name`, in bytes per second.
    pub fn rate(&self, name: &str) -> u64 {
        let &Value::Rate(rate) = self.get(name) else {
            unreachable!("{name} is a rate in its row")
        };
        rate.0
    }

    /// The whole number called `name`.
    pub fn count(&self, name: &str) -> u64 {
        let &Value::Count(count) = self.get(name) else {
            unreachable!("{name} is a count in its row")
        };
        count
    }

    /// The share called `name`.
    pub fn share(&self, name: &str) -> Ratio {
        let &Value::Share(share) = self.get(name) else {
            unreachable!("{name} is a share in its row")
        };
        share
    }

    /// The word called `name`.
    pub fn choice(&self, name: &str) -> &'static str {
        let &Value::Choice(word) = self.get(name) else {
            unreachable!("{name} is a choice in its row")
        };
        word
    }

    /// The number of bytes called `name`, if one was written.
    pub fn bytes_if_set(&self, name: &str) -> Option<u64> {
        (*self.get(name) != Value::Unset).then(|| self.bytes(name))
    }

    /// The whole number called `name`, if one was written.
    pub fn count_if_set(&self, name: &str) -> Option<u64> {
        (*self.get(name) != Value::Unset).then(|| self.count(name))
    }

    /// The text called `name`, if one was written.
    pub fn text_if_set(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The statuses called `name`.
    pub fn statuses(&self, name: &str) -> &[u16] {
        let Value::Statuses(all) = self.get(name) else {
            unreachable!("{name} is a list of statuses in its row")
        };
        all
    }

    /// The fields called `name`.
    pub fn fields(&self, name: &str) -> &[(String, String)] {
        let Value::Fields(all) = self.get(name) else {
            unreachable!("{name} is a list of fields in its row")
        };
        all
    }

    /// The names called `name`.
    pub fn names(&self, name: &str) -> &[String] {
        let Value::Names(all) = self.get(name) else {
            unreachable!("{name} is a list of names in its row")
        };
        all
    }

    fn get(&self, name: &str) -> &Value {
        let slot = self.0.iter().find(|(own, _)| *own == name);
        &slot.expect("a fault asks for attributes of its own row").1
    }
}

#[cfg(test)]
#[path = "attr_tests.rs"]
mod tests;
