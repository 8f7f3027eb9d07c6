//! One value of a configuration: what it must be, or one line on what came instead.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::str::FromStr;

use super::node::{Entry, Node, Value, is_integer, quoted, shortened};
use super::text::join;
use crate::problem::{Pos, Problem, did_you_mean};
use crate::units::{Ratio, Span};

/// A value, with all that a problem says about its place.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    pub(super) path: String,
    pub(super) pos: Option<Pos>,
    pub(super) value: &'a Value,
}

/// An object whose keys were looked at.
pub(super) struct Object<'a> {
    path: String,
    pos: Option<Pos>,
    entries: &'a [Entry],
}

/// The problems found so far; reading goes on after each.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) list: Vec<Problem>,
    /// Where `localPort` listens without `bind`; none: 127.0.0.1.
    pub(super) bind: Option<IpAddr>,
}

/// Problems kept until they are sorted; far more than are shown.
pub(super) const FOUND_MAX: usize = 1000;

impl Found {
    /// Where `localPort` listens without `bind`.
    pub(super) fn bind(&self) -> IpAddr {
        self.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Keeps a problem, while there are few.
    pub(super) fn push(&mut self, problem: Problem) {
        if self.list.len() < FOUND_MAX {
            self.list.push(problem);
        }
    }

    /// Notes a problem at a place.
    pub(super) fn note(&mut self, path: &str, pos: Option<Pos>, message: String) {
        self.push(Problem { pos, path: path.to_owned(), message });
    }

    /// The value, or its problem noted.
    pub(super) fn take<T>(&mut self, at: &At<'_>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.note(&at.path, at.pos, message)).ok()
    }
}

impl<'a> At<'a> {
    /// The whole text.
    pub(super) fn root(node: &'a Node) -> At<'a> {
        At { path: String::new(), pos: node.pos, value: &node.value }
    }

    /// The elements of a list of `min..=max`, or what came is noted.
    pub(super) fn list(
        &self,
        min: usize,
        max: usize,
        of: &str,
        found: &mut Found,
    ) -> Option<Vec<At<'a>>> {
        let allowed = format!("a list of {min}..{max} {of}");
        let Value::List(list) = self.value else {
            found.note(&self.path, self.pos, refuse(&self.value.what(), &allowed));
            return None;
        };
        if list.len() < min || max < list.len() {
            let came = format!("a list of {}", list.len());
            found.note(&self.path, self.pos, refuse(&came, &allowed));
            return None;
        }
        Some(list.iter().enumerate().map(|(index, node)| self.element(index, node)).collect())
    }

    fn element(&self, index: usize, node: &'a Rc<Node>) -> At<'a> {
        At { path: format!("{}[{index}]", self.path), pos: node.pos, value: &node.value }
    }

    /// The object, whatever its keys; or what came is noted.
    pub(super) fn object(&self, found: &mut Found) -> Option<Object<'a>> {
        let Value::Object(entries) = self.value else {
            found.note(&self.path, self.pos, refuse(&self.value.what(), "an object"));
            return None;
        };
        Some(Object { path: self.path.clone(), pos: self.pos, entries })
    }

    /// A whole number in `min..=max`. `note` follows what is allowed.
    pub(super) fn whole<T: TryFrom<u64>>(
        &self,
        (min, max): (u64, u64),
        note: &str,
        found: &mut Found,
    ) -> Option<T> {
        let number = found.take(self, whole(self.value, min, max, note))?;
        T::try_from(number).ok()
    }

    /// Whole milliseconds in `min..=max`.
    pub(super) fn ms(&self, range: (u64, u64), note: &str, found: &mut Found) -> Option<Span> {
        self.whole::<u64>(range, note, found).map(Span::from_ms)
    }

    /// A share: a number 0..1, or a text such as "5%".
    pub(super) fn share(&self, found: &mut Found) -> Option<Ratio> {
        found.take(self, share(self.value))
    }

    /// `true` or `false`.
    pub(super) fn truth(&self, found: &mut Found) -> Option<bool> {
        let truth = match self.value {
            Value::Bool(truth) => Ok(*truth),
            other => Err(refuse(&other.what(), "true or false")),
        };
        found.take(self, truth)
    }

    /// A text; `allowed` says which.
    pub(super) fn text(&self, allowed: &str, found: &mut Found) -> Option<&'a str> {
        found.take(self, text(self.value, allowed))
    }

    /// What the word stands for, one of `words`.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)], found: &mut Found) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let allowed = names.join(", ");
        let word = self.text(&allowed, found)?;
        let known = words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        found.take(
            self,
            known.ok_or_else(|| refuse(&quoted(word), &(allowed + &near(word, &names)))),
        )
    }

    /// A name for a route or a fault.
    pub(super) fn name(&self, found: &mut Found) -> Option<String> {
        let name = match self.value {
            Value::Number(_) | Value::Bool(_) | Value::Null => {
                self.text(&format!("{NAME}, put it in quotes"), found)?
            }
            Value::Text(_) | Value::List(_) | Value::Object(_) => self.text(NAME, found)?,
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let good = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(fits);
        found.take(self, if good { Ok(name.to_owned()) } else { Err(refuse(&quoted(name), NAME)) })
    }
}

const NAME_MAX: usize = 64;
const NAME: &str = "1..64 of A-Z, a-z, 0-9, \".\", \"_\", \"-\"";

impl<'a> Object<'a> {
    /// Notes every key that is not one of `known`.
    pub(super) fn only(&self, known: &[&str], found: &mut Found) {
        for entry in self.entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            let allowed = format!("one of {}{}", known.join(", "), near(&entry.key, known));
            let message = refuse(&format!("unknown key {}", quoted(&entry.key)), &allowed);
            found.note(&join(&self.path, &entry.key), entry.key_pos, message);
        }
    }

    /// The value of a key, if there.
    pub(super) fn get(&self, key: &str) -> Option<At<'a>> {
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        let (pos, value) = (entry.node.pos, &entry.node.value);
        Some(At { path: join(&self.path, key), pos, value })
    }

    /// All keys and values, in the order of the text.
    pub(super) fn entries(&self) -> Vec<(&'a str, At<'a>)> {
        let at = |entry: &'a Entry| {
            let (pos, value) = (entry.node.pos, &entry.node.value);
            (&*entry.key, At { path: join(&self.path, &entry.key), pos, value })
        };
        self.entries.iter().map(at).collect()
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &str, allowed: &str, found: &mut Found) -> Option<At<'a>> {
        let at = self.get(key);
        if at.is_none() {
            found.note(&join(&self.path, key), self.pos, refuse("missing", allowed));
        }
        at
    }

    /// Its path, and where it stands.
    pub(super) fn place(&self) -> (&str, Option<Pos>) {
        (&self.path, self.pos)
    }
}

/// What came, and in parentheses what is allowed.
pub(super) fn refuse(came: &str, allowed: &str) -> String {
    format!("{came} ({allowed})")
}

fn near(word: &str, known: &[&str]) -> String {
    did_you_mean(word, known.iter().copied())
}

fn text<'a>(value: &'a Value, allowed: &str) -> Result<&'a str, String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) | Value::Null => {
            Err(refuse(&format!("{} is not a text", value.what()), allowed))
        }
        Value::List(_) | Value::Object(_) => Err(refuse(&value.what(), allowed)),
    }
}

fn whole(value: &Value, min: u64, max: u64, note: &str) -> Result<u64, String> {
    let allowed = format!("a whole number {min}..{max}{note}");
    let fits = |number: u64| (min..=max).contains(&number);
    match value {
        Value::Number(written) => number(written, min, max, &allowed),
        Value::Text(text) => {
            let span = Span::parse(text).ok().map(Span::as_ms);
            let way_out = match (Value::plain(text), span) {
                (Value::Number(_), _) => ", leave out the quotes".to_owned(),
                (_, Some(ms)) if fits(ms) && max <= MS_MAX => format!(", write {ms}"),
                _ => String::new(),
            };
            let came = format!("{} is not a number", quoted(text));
            Err(refuse(&came, &(allowed + &way_out)))
        }
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => {
            Err(refuse(&value.what(), &allowed))
        }
    }
}

/// The longest time that is given in milliseconds: a day.
pub(super) const MS_MAX: u64 = 86_400_000;

fn number(written: &str, min: u64, max: u64, allowed: &str) -> Result<u64, String> {
    let shown = shortened(written);
    if !is_integer(written) {
        return Err(not_whole(written, &shown, min, max, allowed));
    }
    let value = integer(written);
    match value.and_then(|number| u64::try_from(number).ok()) {
        Some(number) if number < min => Err(refuse(&format!("{shown} is too small"), allowed)),
        Some(number) if number <= max => Ok(number),
        None if written.starts_with('-') => Err(refuse(&format!("{shown} is negative"), allowed)),
        Some(_) | None => Err(refuse(&format!("{shown} is too large"), allowed)),
    }
}

/// A number with a fraction or an exponent, and the whole one that it may have been meant for.
fn not_whole(written: &str, shown: &str, min: u64, max: u64, allowed: &str) -> String {
    let value = f64::from_str(written).unwrap_or(f64::NAN);
    let meant = value.fract() == 0.0 && (min as f64) <= value && value <= (max as f64);
    let exact = value < 9e15; // below 2^53, where f64 holds every whole number
    let way_out = if meant && exact { format!(", write {value}") } else { String::new() };
    let why = match written {
        _ if !value.is_finite() && !written.contains(['e', 'E']) => "is not a whole number",
        _ if written.starts_with('-') => "is negative",
        _ if written.contains(['e', 'E']) => "has an exponent",
        _ => "has a fraction",
    };
    refuse(&format!("{shown} {why}"), &format!("{allowed}{way_out}"))
}

/// A whole number as the core schema writes it; none when it is beyond all bounds.
pub(super) fn integer(written: &str) -> Option<i128> {
    if let Some(octal) = written.strip_prefix("0o") {
        return i128::from_str_radix(octal, 8).ok();
    }
    match written.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => written.parse().ok(),
    }
}

const SHARE: &str = "a number 0..1 or a text such as \"5%\"";

fn share(value: &Value) -> Result<Ratio, String> {
    match value {
        Value::Number(written) => {
            let number = integer(written).map(|number| number as f64);
            let number = number.or_else(|| f64::from_str(written).ok());
            match number.filter(|number| number.is_finite()) {
                Some(number) => Ratio::new(number).map_err(|error| error.to_string()),
                None => Err(refuse(&shortened(written), SHARE)),
            }
        }
        Value::Text(text) if matches!(Value::plain(text), Value::Number(_)) => {
            let came = format!("{} is not a number", quoted(text));
            Err(refuse(&came, &format!("{SHARE}, leave out the quotes")))
        }
        Value::Text(text) if text.trim_end().ends_with('%') && text.len() <= NAME_MAX => {
            Ratio::parse(text).map_err(|error| match error {
                crate::units::UnitError::NotAShare(_) => refuse(&quoted(text), "\"0%\"..\"100%\""),
                _ => refuse(&quoted(text), SHARE),
            })
        }
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
            Err(refuse(&value.what(), SHARE))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: Value) -> String {
        match whole(&value, 1, 3_600_000, "") {
            Ok(number) => number.to_string(),
            Err(message) => {
                message.replace(" (a whole number 1..3600000", " (").replace("(, ", "(")
            }
        }
    }

    #[test]
    fn whole_numbers() {
        let plain = |text: &str| ms(Value::plain(text));
        assert_eq!(plain("100"), "100");
        assert_eq!(plain("0x10"), "16");
        assert_eq!(plain("0o10"), "8");
        assert_eq!(plain("0010"), "10");
        assert_eq!(plain("+5"), "5");
        assert_eq!(plain("0"), "0 is too small ()");
        assert_eq!(plain("-0"), "-0 is too small ()");
        assert_eq!(plain("-5"), "-5 is negative ()");
        assert_eq!(plain("3600001"), "3600001 is too large ()");
        let huge = "9".repeat(100);
        assert_eq!(plain(&huge), format!("{}... is too large ()", &huge[..60]));
        assert_eq!(plain(&format!("-{huge}")), format!("-{}... is negative ()", &huge[..59]));
        assert_eq!(plain("1.5"), "1.5 has a fraction ()");
        assert_eq!(plain("100.0"), "100.0 has a fraction (write 100)");
        assert_eq!(plain("1e2"), "1e2 has an exponent (write 100)");
        assert_eq!(plain("1e999"), "1e999 has an exponent ()");
        assert_eq!(plain("-1.5"), "-1.5 is negative ()");
        assert_eq!(plain(".inf"), ".inf is not a whole number ()");
        assert_eq!(plain(".nan"), ".nan is not a whole number ()");
        assert_eq!(plain("true"), "true ()");
        assert_eq!(plain("~"), "null ()");
        assert_eq!(plain("150ms"), "\"150ms\" is not a number (write 150)");
        assert_eq!(plain("2s"), "\"2s\" is not a number (write 2000)");
        assert_eq!(plain("fast"), "\"fast\" is not a number ()");
        assert_eq!(ms(Value::Text("100".into())), "\"100\" is not a number (leave out the quotes)");
        assert_eq!(ms(Value::List(Vec::new())), "a list ()");
    }

    #[test]
    fn all_of_u64() {
        let seed = |text: &str| whole(&Value::plain(text), 0, u64::MAX, "");
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        let beyond = "18446744073709551616 is too large (a whole number 0..18446744073709551615)";
        assert_eq!(seed("18446744073709551616"), Err(beyond.into()));
        let exponent = "1e19 has an exponent (a whole number 0..18446744073709551615)";
        assert_eq!(seed("1e19"), Err(exponent.into()));
    }

    fn part(value: Value) -> String {
        match share(&value) {
            Ok(ratio) => ratio.to_string(),
            Err(message) => message.replace(SHARE, "").replace("(, ", "("),
        }
    }

    #[test]
    fn shares() {
        let plain = |text: &str| part(Value::plain(text));
        assert_eq!(plain("0.3"), "0.3");
        assert_eq!(plain("1"), "1");
        assert_eq!(plain("5e-2"), "0.05");
        assert_eq!(plain("5%"), "0.05");
        assert_eq!(plain("50"), "50 is not a share (0..1, did you mean 0.5 or \"50%\"?)");
        assert_eq!(plain("-0.1"), "-0.1 is not a share (0..1)");
        assert_eq!(plain(".nan"), ".nan ()");
        assert_eq!(plain("1e999"), "1e999 ()");
        assert_eq!(plain("101%"), "\"101%\" (\"0%\"..\"100%\")");
        assert_eq!(plain("x%"), "\"x%\" ()");
        assert_eq!(plain("often"), "\"often\" ()");
        assert_eq!(plain("no"), "\"no\" ()");
        assert_eq!(plain(""), "null ()");
        assert_eq!(
            part(Value::Text("0.3".into())),
            "\"0.3\" is not a number (leave out the quotes)"
        );
    }
}
