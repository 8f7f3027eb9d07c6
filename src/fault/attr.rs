//! The attributes of faults: what may be written, in which unit, and the default.

use std::fmt;

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
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
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
}

/// What a configuration or a request may hold for an attribute, before it is understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'a> {
    /// A whole number.
    Integer(i128),
    /// A finite number that was not written as a whole one, and how it was written.
    Decimal(f64, &'a str),
    /// A text.
    Text(&'a str),
    /// Anything else; holds the word for it, such as `a list`.
    Other(&'a str),
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
        }
    }

    /// The unit of a bare integer, or nothing for words and plain numbers.
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Ms(_) | Unit::MsFrom(..) => "ms",
            Unit::Us(_) => "us",
            Unit::Bytes(_) => "B",
            Unit::Rate(_) => "KB/s",
            Unit::Count(..) | Unit::Share | Unit::Choice(_) => "",
        }
    }

    /// The value that `raw` stands for, or one line that says what came and what is allowed.
    pub fn parse(self, raw: Raw<'_>) -> Result<Value, String> {
        match raw {
            Raw::Other(what @ ("true" | "false")) => match self {
                Unit::Choice(words) if words == TRUTH => self.text(what),
                _ => Err(self.refuse(&what)),
            },
            Raw::Other(what) => Err(self.refuse(&what)),
            Raw::Integer(number) => self.integer(number, &number),
            Raw::Decimal(number, written) => self.decimal(number, written),
            Raw::Text(text) => self.text(text),
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
            Unit::Choice(_) => None,
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
            Unit::Count(..) | Unit::Share => Err(self.refuse(&Quoted(text))),
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
        }
    }
}

/// A value as a program writes it: without its unit, which is that of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bare {
    /// A number in the unit of the row, whole, or digits with a point; or `true` or `false`.
    Number(String),
    /// A word, or what is no whole number in that unit: a text that `Unit::parse` understands.
    Text(String),
}

impl Value {
    /// The value as a bare number in `unit`, the unit of its row.
    pub fn bare(self, unit: Unit) -> Bare {
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
            (Value::Count(count), Unit::Count(..)) => whole(count, 1),
            (Value::Share(share), Unit::Share) => Bare::Number(share.to_string()),
            (Value::Choice(word), Unit::Choice(words)) if words == TRUTH => {
                Bare::Number(word.to_owned())
            }
            _ => Bare::Text(self.to_string()),
        }
    }
}

impl Attrs {
    /// The defaults of a row.
    pub fn defaults(row: &'static [Attr]) -> Attrs {
        Attrs(row.iter().map(|attr| (attr.name, attr.default)).collect())
    }

    /// Sets an attribute of the row; the value must be one that its unit gave.
    pub fn set(&mut self, name: &str, value: Value) {
        let slot = self.0.iter_mut().find(|(own, _)| *own == name);
        slot.expect("the attribute was looked up in the row").1 = value;
    }

    /// All of them, in the order of the row.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Value)> + '_ {
        self.0.iter().copied()
    }

    /// The length of time called `name`.
    pub fn span(&self, name: &str) -> Span {
        let Value::Span(span) = self.get(name) else { unreachable!("{name} is a span in its row") };
        span
    }

    /// The number of bytes called `name`.
    pub fn bytes(&self, name: &str) -> u64 {
        let Value::Bytes(count) = self.get(name) else {
            unreachable!("{name} is a number of bytes in its row")
        };
        count.0
    }

    /// The rate called `name`, in bytes per second.
    pub fn rate(&self, name: &str) -> u64 {
        let Value::Rate(rate) = self.get(name) else { unreachable!("{name} is a rate in its row") };
        rate.0
    }

    /// The whole number called `name`.
    pub fn count(&self, name: &str) -> u64 {
        let Value::Count(count) = self.get(name) else {
            unreachable!("{name} is a count in its row")
        };
        count
    }

    /// The share called `name`.
    pub fn share(&self, name: &str) -> Ratio {
        let Value::Share(share) = self.get(name) else {
            unreachable!("{name} is a share in its row")
        };
        share
    }

    /// The word called `name`.
    pub fn choice(&self, name: &str) -> &'static str {
        let Value::Choice(word) = self.get(name) else {
            unreachable!("{name} is a choice in its row")
        };
        word
    }

    fn get(&self, name: &str) -> Value {
        let slot = self.0.iter().find(|(own, _)| *own == name);
        slot.expect("a fault asks for attributes of its own row").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(unit: Unit, raw: Raw<'_>) -> String {
        unit.parse(raw).map_or_else(|line| line, |value| value.to_string())
    }

    #[test]
    fn a_bare_integer_takes_its_unit_from_the_row() {
        assert_eq!(said(Unit::Ms(SPAN_MAX), Raw::Integer(150)), "150ms");
        assert_eq!(said(Unit::Us(PAUSE_MAX), Raw::Integer(250)), "250us");
        assert_eq!(said(Unit::Bytes(BYTES_MAX), Raw::Integer(1500)), "1500B");
        assert_eq!(said(Unit::Rate(RATE_MAX), Raw::Integer(200)), "200kB/s");
        assert_eq!(said(Unit::Rate(RATE_MAX), Raw::Integer(0)), "0B/s");
        assert_eq!(said(Unit::Count(1, 9), Raw::Integer(9)), "9");
        assert_eq!(said(Unit::Share, Raw::Integer(1)), "1");
        assert_eq!(said(Unit::Ms(SPAN_MAX), Raw::Decimal(1e2, "1e2")), "100ms");
        assert_eq!(said(Unit::Share, Raw::Decimal(0.05, "0.05")), "0.05");
    }

    #[test]
    fn a_text_carries_its_unit() {
        assert_eq!(said(Unit::Bytes(BYTES_MAX), Raw::Text("64kB")), "64kB");
        assert_eq!(said(Unit::Rate(RATE_MAX), Raw::Text("1600kbit")), "200kB/s");
        assert_eq!(said(Unit::Us(PAUSE_MAX), Raw::Text("1ms")), "1ms");
        assert_eq!(said(Unit::Share, Raw::Text("5%")), "0.05");
        assert_eq!(said(Unit::Choice(TRUTH), Raw::Other("true")), "true");
        assert_eq!(said(Unit::Choice(TRUTH), Raw::Text("false")), "false");
        assert_eq!(said(Unit::Choice(TRUTH), Raw::Other("null")), "null (true, false)");
        assert_eq!(said(Unit::Choice(&["on"]), Raw::Other("true")), "true (on)");
    }

    #[test]
    fn one_past_the_range_is_refused_with_the_range() {
        let from = Unit::MsFrom(Span::from_ms(10), Span::from_ms(1_000));
        assert_eq!(said(from, Raw::Integer(10)), "10ms");
        assert_eq!(said(from, Raw::Text("1s")), "1s");
        assert_eq!(said(from, Raw::Integer(9)), "9 (10..1000 ms, or a text such as \"30s\")");
        assert!(said(from, Raw::Text("9ms")).starts_with("9ms (10..1000 ms"));
        assert!(said(from, Raw::Text("2s")).starts_with("2s (10..1000 ms"));
        let bytes = Unit::Bytes(ByteCount(10));
        assert_eq!(said(bytes, Raw::Integer(10)), "10B");
        let expected = "11 (0..10 bytes, or a text such as \"64kB\")";
        assert_eq!(said(bytes, Raw::Integer(11)), expected);
        assert_eq!(said(bytes, Raw::Integer(-1)), expected.replace("11", "-1"));
        assert_eq!(said(bytes, Raw::Text("11B")), expected.replace("11 ", "11B "));
        assert_eq!(said(Unit::Count(1, 9), Raw::Integer(0)), "0 (a whole number 1..9)");
        assert_eq!(said(Unit::Count(1, 9), Raw::Text("3")), "\"3\" (a whole number 1..9)");
        let rate = said(Unit::Rate(RATE_MAX), Raw::Integer(-1));
        let expected = "-1 (0..1000000000 KB/s, or a text such as \"200kB/s\" or \"1600kbit\")";
        assert_eq!(rate, expected);
        assert!(said(Unit::Rate(RATE_MAX), Raw::Integer(i128::MAX)).contains("0..1000000000"));
        let share = said(Unit::Share, Raw::Integer(5));
        assert_eq!(share, "5 is not a share (0..1, did you mean 0.05 or \"5%\"?)");
        let share = said(Unit::Share, Raw::Text("101%"));
        assert_eq!(share, "\"101%\" (a number 0..1, or a text such as \"5%\")");
        assert!(said(Unit::Ms(SPAN_MAX), Raw::Decimal(1.5, "1.5")).starts_with("1.5 (0..3600000"));
    }
}

#[cfg(test)]
mod bare_tests {
    use super::*;

    #[test]
    fn a_value_is_whole_in_its_unit_or_a_text_that_parses_back() {
        let unit = Unit::Ms(Span::from_ms(1000));
        for (ns, expected) in [(0, "0"), (100_000_000, "100"), (1_000_000_000, "1000")] {
            assert_eq!(Value::Span(Span(ns)).bare(unit), Bare::Number(expected.into()));
        }
        let fine = Value::Span(Span(250_000));
        let Bare::Text(text) = fine.bare(unit) else { panic!("250us is no whole number of ms") };
        assert_eq!((&*text, unit.parse(Raw::Text(&text))), ("250us", Ok(fine)));
        let words = Unit::Choice(&["reset"]);
        assert_eq!(Value::Choice("reset").bare(words), Bare::Text("reset".into()));
        let bare = Value::Choice("true").bare(Unit::Choice(TRUTH));
        assert_eq!(bare, Bare::Number("true".into()));
    }
}
