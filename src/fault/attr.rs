//! The attributes of faults: what may be written, in which unit, and the default.

use std::fmt;

use crate::units::Span;

/// One attribute: a column of a fault's row.
#[derive(Debug)]
pub struct Attr {
    /// The word for it.
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
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A length of time.
    Span(Span),
    /// A word of the attribute's choices.
    Choice(&'static str),
}

/// What a configuration or a request may hold for an attribute, before it is understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'a> {
    /// A whole number.
    Integer(i128),
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
            Unit::Choice(words) => words.join(", "),
        }
    }

    /// The unit of a bare integer, or nothing for words.
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Ms(_) => "ms",
            Unit::Choice(_) => "",
        }
    }

    /// The value that `raw` stands for, or one line that says what came and what is allowed.
    pub fn parse(self, raw: Raw<'_>) -> Result<Value, String> {
        let refuse = |came: &dyn fmt::Display| Err(format!("{came} ({})", self.allowed()));
        match (self, raw) {
            (_, Raw::Other(what)) => refuse(&what),
            (Unit::Ms(max), Raw::Integer(number)) => match u64::try_from(number) {
                Ok(ms) if Span::from_ms(ms) <= max => Ok(Value::Span(Span::from_ms(ms))),
                _ => refuse(&number),
            },
            (Unit::Ms(max), Raw::Text(text)) => match Span::parse(text) {
                Ok(span) if span <= max => Ok(Value::Span(span)),
                Ok(span) => refuse(&span),
                Err(error) => Err(error.to_string()),
            },
            (Unit::Choice(words), Raw::Text(text)) => {
                match words.iter().find(|word| **word == text) {
                    Some(word) => Ok(Value::Choice(word)),
                    None => {
                        let near = crate::problem::did_you_mean(text, words.iter().copied());
                        Err(format!("{text:?} ({}{near})", self.allowed()))
                    }
                }
            }
            (Unit::Choice(_), Raw::Integer(number)) => refuse(&number),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Span(span) => span.fmt(out),
            Value::Choice(word) => out.write_str(word),
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
        match self.get(name) {
            Value::Span(span) => span,
            Value::Choice(_) => unreachable!("{name} is a span in its row"),
        }
    }

    /// The word called `name`.
    pub fn choice(&self, name: &str) -> &'static str {
        match self.get(name) {
            Value::Choice(word) => word,
            Value::Span(_) => unreachable!("{name} is a choice in its row"),
        }
    }

    fn get(&self, name: &str) -> Value {
        let slot = self.0.iter().find(|(own, _)| *own == name);
        slot.expect("a fault asks for attributes of its own row").1
    }
}
