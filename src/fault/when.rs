//! When a fault acts: which connections of the route come into question, and which stretch of each.
//!
//! `nth`, `every`, `first` and `times` count: connections of the route, or requests where the fault
//! is one of requests. `after`, `for` and `afterBytes` bound the stretch of a connection in which
//! the fault is in force. All that is given must hold.

use super::attr::{Attr, BYTES_MAX, SPAN_MAX, Unit, Value};
use super::{Kind, Place};
use crate::units::{ByteCount, Span, Time};

/// What must hold before a fault acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// This one alone, by its number on the route, from 1.
    pub nth: Option<u64>,
    /// Each one whose number this divides.
    pub every: Option<u64>,
    /// So many at the beginning.
    pub first: Option<u64>,
    /// The fault has acted less often than this.
    pub times: Option<u64>,
    /// So long after the connection began.
    pub after: Span,
    /// And from then on for so long; 0: to the end.
    pub length: Span,
    /// From this byte of the direction on.
    pub after_bytes: u64,
}

/// The highest number of a connection that can be asked for: 10 000 a second for three years.
const NUMBER: Unit = Unit::Count(1, 1_000_000_000_000);

const NONE: Value = Value::Count(0);

/// The triggers that every fault takes, unless it has an attribute of the same name. What is not
/// given has the default, which for a number cannot be written.
pub static TRIGGERS: [Attr; 7] = [
    Attr { name: "nth", about: "this connection alone", unit: NUMBER, default: NONE },
    Attr { name: "every", about: "each n-th connection", unit: NUMBER, default: NONE },
    Attr { name: "first", about: "the first n connections", unit: NUMBER, default: NONE },
    Attr { name: "times", about: "until it has acted so often", unit: NUMBER, default: NONE },
    Attr {
        name: "after",
        about: "so long after the connection began",
        unit: Unit::Ms(SPAN_MAX),
        default: Value::Span(Span::ZERO),
    },
    Attr {
        name: "for",
        about: "and then for so long; 0 = to the end",
        unit: Unit::Ms(SPAN_MAX),
        default: Value::Span(Span::ZERO),
    },
    Attr {
        name: "afterBytes",
        about: "from this byte of the direction on",
        unit: Unit::Bytes(BYTES_MAX),
        default: Value::Bytes(ByteCount(0)),
    },
];

/// The triggers that ask for a stretch of a connection.
const OF_A_STRETCH: [&str; 3] = ["after", "for", "afterBytes"];

/// Why a fault of this kind does not take the trigger at this place; none when it does.
pub fn refused(kind: &Kind, place: Place, trigger: &str) -> Option<String> {
    let why = match place {
        Place::Listener => "acts on the listener, for all clients alike",
        Place::Connection if OF_A_STRETCH.contains(&trigger) => "acts before there are bytes",
        Place::Exchange if trigger == "afterBytes" => "acts on requests and their answers",
        Place::Connection | Place::Exchange | Place::One(_) | Place::Both => return None,
    };
    Some(format!("{} {why} (leave out {trigger:?})", kind.name))
}

impl When {
    /// True when the fault may act on the connection, or the request, with this number.
    pub fn covers(&self, number: u64) -> bool {
        self.nth.is_none_or(|nth| number == nth)
            && self.every.is_none_or(|every| every > 0 && number.is_multiple_of(every))
            && self.first.is_none_or(|first| number <= first)
    }

    /// True when `covers` depends on the number.
    pub fn counts(&self) -> bool {
        [self.nth, self.every, self.first].iter().any(Option::is_some)
    }

    /// True when it is in force from the beginning of a connection to its end.
    pub fn is_always(&self) -> bool {
        self.after == Span::ZERO && self.length == Span::ZERO && self.after_bytes == 0
    }

    /// The first moment of a connection at which the fault may be in force.
    pub fn begins(&self) -> Time {
        Time::ZERO + self.after
    }

    /// From when on it is not in force any more.
    pub fn ends(&self) -> Time {
        match self.length {
            Span::ZERO => Time::NEVER,
            length => self.begins() + length,
        }
    }

    /// Sets the trigger of this name; the value must be one that its unit gave, or its default.
    pub fn set(&mut self, name: &str, value: Value) {
        let given = |number| Some(number).filter(|number| *number > 0);
        match (name, value) {
            ("nth", Value::Count(number)) => self.nth = given(number),
            ("every", Value::Count(number)) => self.every = given(number),
            ("first", Value::Count(number)) => self.first = given(number),
            ("times", Value::Count(number)) => self.times = given(number),
            ("after", Value::Span(span)) => self.after = span,
            ("for", Value::Span(span)) => self.length = span,
            ("afterBytes", Value::Bytes(bytes)) => self.after_bytes = bytes.0,
            _ => unreachable!("{name} and its value are of one row of TRIGGERS"),
        }
    }

    /// What is given, with its row.
    pub fn given(&self) -> impl Iterator<Item = (&'static Attr, Value)> {
        let number = |number: Option<u64>| number.map_or(NONE, Value::Count);
        let numbers = [self.nth, self.every, self.first, self.times].map(number);
        let spans = [self.after, self.length].map(Value::Span);
        let bytes = Value::Bytes(ByteCount(self.after_bytes));
        let values = numbers.into_iter().chain(spans).chain([bytes]);
        TRIGGERS.iter().zip(values).filter(|(row, value)| row.default != *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trigger_is_set_and_told_by_its_row() {
        for row in &TRIGGERS {
            let mut when = When::default();
            assert_eq!(when.given().count(), 0);
            let value = row.unit.parse(super::super::attr::Raw::Integer(7)).expect("in range");
            when.set(row.name, value.clone());
            let told: Vec<(&str, Value)> =
                when.given().map(|(row, value)| (row.name, value)).collect();
            assert_eq!(told, [(row.name, value)]);
            assert_eq!(when.is_always(), !OF_A_STRETCH.contains(&row.name), "{}", row.name);
        }
    }
}
