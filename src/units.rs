//! Quantities with their units: time, bytes, rates, shares. Parse and print, never overflow.
//!
//! A bare number takes its unit from where it stands (`latencyMs`); a string carries its own
//! (`"150ms"`). Arithmetic saturates: a sum that is too late is simply `Time::NEVER`.

use std::fmt;
use std::ops::{Add, Sub};

use serde::Serialize;

/// Nanoseconds since the connection was accepted. Pure code knows no other clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// A length of time in nanoseconds; at most about 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

/// A rate in bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

/// A share of a whole, in the closed range 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Ratio(f64);

const NS_PER_US: u64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

impl Time {
    /// The moment the connection was accepted.
    pub const ZERO: Time = Time(0);
    /// Later than anything: what is due at `NEVER` does not happen.
    pub const NEVER: Time = Time(u64::MAX);
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

/// The time from `earlier` to `self`, zero when `earlier` is the later one.
impl Sub<Time> for Time {
    type Output = Span;
    fn sub(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Span {
        Span(ms.saturating_mul(NS_PER_MS))
    }

    /// Whole milliseconds, rounded down.
    pub const fn as_ms(self) -> u64 {
        self.0 / NS_PER_MS
    }

    /// Milliseconds with their fraction, for reports.
    pub fn as_ms_f64(self) -> f64 {
        self.0 as f64 / NS_PER_MS as f64
    }

    /// For the standard library's waits.
    pub const fn to_duration(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0)
    }

    /// Parses `"150ms"`, `"250us"`, `"1.5s"`, `"2m"`, `"1h"`.
    pub fn parse(text: &str) -> Result<Span, UnitError> {
        let (number, unit) = split(text)?;
        let scale = match unit {
            "ns" => 1,
            "us" | "µs" => NS_PER_US,
            "ms" => NS_PER_MS,
            "s" => NS_PER_S,
            "m" | "min" => 60 * NS_PER_S,
            "h" => 3600 * NS_PER_S,
            "" => return Err(UnitError::NoUnit(r#""150ms", "250us" or "2s""#)),
            _ => return Err(UnitError::Unknown(unit.to_owned(), "us, ms, s, m, h")),
        };
        number.scaled(scale).map(Span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(3600 * NS_PER_S, "h"), (60 * NS_PER_S, "m"), (NS_PER_S, "s")];
        let small = [(NS_PER_MS, "ms"), (NS_PER_US, "us"), (1, "ns")];
        print_largest(self.0, units.iter().chain(&small), "ms", out)
    }
}

impl ByteCount {
    /// Parses `"64kB"`, `"1MB"`, `"64KiB"`, `"512B"`.
    pub fn parse(text: &str) -> Result<ByteCount, UnitError> {
        let (number, unit) = split(text)?;
        let scale = match bytes_scale(unit) {
            Some(scale) => scale,
            None if unit.is_empty() => {
                return Err(UnitError::NoUnit(r#""512B", "64kB" or "64KiB""#));
            }
            None => {
                return Err(UnitError::Unknown(unit.to_owned(), "B, kB, MB, GB, KiB, MiB, GiB"));
            }
        };
        number.scaled(scale).map(ByteCount)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimal = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        let binary = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
        print_largest(self.0, decimal.iter().chain(&binary), "B", out)
    }
}

impl Rate {
    /// Parses `"200kB/s"` (bytes, decimal) and `"1600kbit"`, `"10mbit"` (bits, decimal).
    pub fn parse(text: &str) -> Result<Rate, UnitError> {
        let (number, unit) = split(text)?;
        let bits = unit.strip_suffix("/s").unwrap_or(unit);
        let bits_scale = match bits {
            "bit" => Some(1),
            "kbit" => Some(1_000),
            "mbit" | "Mbit" => Some(1_000_000),
            "gbit" | "Gbit" => Some(1_000_000_000),
            _ => None,
        };
        if let Some(scale) = bits_scale {
            return number.scaled_by(scale, 8).map(Rate);
        }
        if let Some(scale) = unit.strip_suffix("/s").and_then(bytes_scale) {
            return number.scaled(scale).map(Rate);
        }
        match unit {
            "" => Err(UnitError::NoUnit(r#""200kB/s" or "1600kbit""#)),
            "bps" | "kbps" | "Kbps" | "KBps" | "kBps" | "mbps" | "Mbps" | "MBps" => {
                Err(UnitError::Ambiguous(unit.to_owned()))
            }
            _ => Err(UnitError::Unknown(unit.to_owned(), "kB/s, MB/s, kbit, mbit")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_000_000_000, "GB/s"), (1_000_000, "MB/s"), (1_000, "kB/s"), (1, "B/s")];
        print_largest(self.0, units.iter(), "B/s", out)
    }
}

impl Ratio {
    /// Nothing of it.
    pub const ZERO: Ratio = Ratio(0.0);
    /// Half of it.
    pub const HALF: Ratio = Ratio(0.5);
    /// All of it.
    pub const ONE: Ratio = Ratio(1.0);

    /// A share from a number; refuses what is not in 0..=1, with a guess at what was meant.
    pub fn new(number: f64) -> Result<Ratio, UnitError> {
        if (0.0..=1.0).contains(&number) {
            return Ok(Ratio(number + 0.0)); // no negative zero
        }
        Err(UnitError::NotAShare(number))
    }

    /// Parses `"5%"` and `"0.05"`.
    pub fn parse(text: &str) -> Result<Ratio, UnitError> {
        let trimmed = text.trim();
        let percent = trimmed.strip_suffix('%');
        let digits = percent.unwrap_or(trimmed).trim_end();
        let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let number = digits.parse::<f64>().ok().filter(|_| plain && !digits.is_empty());
        let number = number.ok_or_else(|| UnitError::NotANumber(text.to_owned()))?;
        Ratio::new(if percent.is_some() { number / 100.0 } else { number })
    }

    /// The share as a number in 0..=1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// Why a text is not the quantity that was asked for. Prints as one line with the way out.
#[derive(Clone, Debug, PartialEq)]
pub enum UnitError {
    /// A number without its unit; holds examples.
    NoUnit(&'static str),
    /// A unit nobody knows; holds it and the units that would do.
    Unknown(String, &'static str),
    /// `kbps` and its kin.
    Ambiguous(String),
    /// Not a number at all.
    NotANumber(String),
    /// More than 64 bits can hold.
    TooLarge,
    /// A number outside 0..=1.
    NotAShare(f64),
}

impl fmt::Display for UnitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnitError::NoUnit(examples) => write!(out, "a unit is missing (write {examples})"),
            UnitError::Unknown(unit, known) => {
                write!(out, "unknown unit {unit:?} (one of {known})")
            }
            UnitError::Ambiguous(unit) => write!(
                out,
                "{unit:?} means five different things (write \"200kB/s\" for bytes or \
                 \"1600kbit\" for bits)"
            ),
            UnitError::NotANumber(text) => write!(out, "{text:?} is not a number with a unit"),
            UnitError::TooLarge => write!(out, "the number is too large"),
            UnitError::NotAShare(number) => {
                write!(out, "{number} is not a share (0..1")?;
                if *number > 1.0 && *number <= 100.0 {
                    write!(out, ", did you mean {} or \"{number}%\"?", number / 100.0)?;
                }
                write!(out, ")")
            }
        }
    }
}

impl std::error::Error for UnitError {}

/// A decimal number as written: `digits / 10^places`.
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    fn scaled(&self, scale: u64) -> Result<u64, UnitError> {
        self.scaled_by(scale, 1)
    }

    /// `self * scale / divisor`, rounded to the nearest whole.
    fn scaled_by(&self, scale: u64, divisor: u64) -> Result<u64, UnitError> {
        let whole = self.digits.checked_mul(u128::from(scale)).ok_or(UnitError::TooLarge)?;
        let divisor = 10u128.pow(self.places) * u128::from(divisor);
        let rounded = whole.checked_add(divisor / 2).ok_or(UnitError::TooLarge)? / divisor;
        u64::try_from(rounded).map_err(|_| UnitError::TooLarge)
    }
}

/// Significant digits a quantity may have; enough for 64 bits and a fraction.
const DIGITS_MAX: usize = 28;

/// Splits `"1.5 ms"` into its number and its unit.
fn split(text: &str) -> Result<(Decimal, &str), UnitError> {
    let not_a_number = || UnitError::NotANumber(text.to_owned());
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(not_a_number());
    }
    if whole.len() + fraction.len() > DIGITS_MAX {
        return Err(UnitError::TooLarge);
    }
    let digits = format!("{whole}{fraction}").parse().map_err(|_| not_a_number())?;
    Ok((Decimal { digits, places: fraction.len() as u32 }, unit.trim_start()))
}

fn bytes_scale(unit: &str) -> Option<u64> {
    Some(match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    })
}

/// Prints `number` in the first unit that divides it; zero in `zero_unit`.
fn print_largest<'a>(
    number: u64,
    units: impl Iterator<Item = &'a (u64, &'static str)>,
    zero_unit: &str,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if number == 0 {
        return write!(out, "0{zero_unit}");
    }
    for (scale, unit) in units {
        if number.is_multiple_of(*scale) {
            return write!(out, "{}{unit}", number / scale);
        }
    }
    write!(out, "{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> String {
        Span::parse(text).map_or_else(|error| error.to_string(), |span| span.to_string())
    }

    fn bytes(text: &str) -> String {
        ByteCount::parse(text).map_or_else(|error| error.to_string(), |count| count.to_string())
    }

    fn rate(text: &str) -> String {
        Rate::parse(text).map_or_else(|error| error.to_string(), |rate| rate.to_string())
    }

    fn ratio(text: &str) -> String {
        Ratio::parse(text).map_or_else(|error| error.to_string(), |ratio| ratio.to_string())
    }

    #[test]
    fn spans() {
        assert_eq!(span("150ms"), "150ms");
        assert_eq!(span("1.5s"), "1500ms");
        assert_eq!(span("250us"), "250us");
        assert_eq!(span("2m"), "2m");
        assert_eq!(span("0ms"), "0ms");
        assert_eq!(span("150"), r#"a unit is missing (write "150ms", "250us" or "2s")"#);
        assert_eq!(span("-1ms"), r#""-1ms" is not a number with a unit"#);
        assert_eq!(span("1.2.3s"), r#""1.2.3s" is not a number with a unit"#);
        assert_eq!(span("1.s"), r#""1.s" is not a number with a unit"#);
        assert_eq!(span("5 parsecs"), r#"unknown unit "parsecs" (one of us, ms, s, m, h)"#);
        assert_eq!(span("99999999999999h"), "the number is too large");
        assert_eq!(span("99999999999999999999999999999h"), "the number is too large");
    }

    #[test]
    fn byte_counts() {
        assert_eq!(bytes("64kB"), "64kB");
        assert_eq!(bytes("64KiB"), "64KiB");
        assert_eq!(bytes("1MB"), "1MB");
        assert_eq!(bytes("1500B"), "1500B");
        assert_eq!(bytes("12"), r#"a unit is missing (write "512B", "64kB" or "64KiB")"#);
        assert_eq!(bytes("12mb"), r#"unknown unit "mb" (one of B, kB, MB, GB, KiB, MiB, GiB)"#);
    }

    #[test]
    fn rates() {
        assert_eq!(rate("1600kbit"), "200kB/s");
        assert_eq!(rate("10mbit"), "1250kB/s");
        assert_eq!(rate("200kB/s"), "200kB/s");
        assert_eq!(rate("1MB/s"), "1MB/s");
        assert!(rate("100kbps").contains("five different things"));
        assert!(rate("100").contains("a unit is missing"));
    }

    #[test]
    fn ratios() {
        assert_eq!(ratio("5%"), "0.05");
        assert_eq!(ratio("0.3"), "0.3");
        assert_eq!(ratio("100%"), "1");
        assert_eq!(ratio("5"), r#"5 is not a share (0..1, did you mean 0.05 or "5%"?)"#);
        assert_eq!(ratio("500"), "500 is not a share (0..1)");
        assert_eq!(ratio("nan"), r#""nan" is not a number with a unit"#);
        assert_eq!(ratio("1e0"), r#""1e0" is not a number with a unit"#);
        assert_eq!(ratio(""), r#""" is not a number with a unit"#);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::NEVER + Span(1), Time::NEVER);
        assert_eq!(Time(1) - Time(2), Span::ZERO);
        assert_eq!(Span::from_ms(u64::MAX), Span(u64::MAX));
    }

    #[test]
    fn what_prints_parses_back() {
        for number in [0, 1, 999, 1000, 1024, 3_600_000_000_000, u64::MAX] {
            assert_eq!(Span::parse(&Span(number).to_string()), Ok(Span(number)));
            assert_eq!(ByteCount::parse(&ByteCount(number).to_string()), Ok(ByteCount(number)));
            assert_eq!(Rate::parse(&Rate(number).to_string()), Ok(Rate(number)));
        }
    }
}
