//! When a fault acts: which connections of the route come into question, and which stretch of each.
//!
//! `nth`, `every`, `first` and `times` count: connections of the route, or requests where the fault
//! is one of requests. `after`, `for` and `afterBytes` bound the stretch of a connection in which
//! the fault is in force. All that is given must hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::attr::{Attr, BYTES_MAX, SPAN_MAX, Unit, Value};
use super::{Kind, Level};
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

/// Why a fault of this kind does not take the trigger; none when it does.
pub fn refused(kind: &Kind, trigger: &str) -> Option<String> {
    let refused = kind.level == Level::Connection && OF_A_STRETCH.contains(&trigger);
    refused.then(|| format!("{} acts before there are bytes (leave out {trigger:?})", kind.name))
}

impl When {
    /// True when the fault may act on the connection, or the request, with this number.
    pub fn covers(&self, number: u64) -> bool {
        self.nth.is_none_or(|nth| number == nth)
            && self.every.is_none_or(|every| every > 0 && number.is_multiple_of(every))
            && self.first.is_none_or(|first| number <= first)
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

/// What all connections of a route share of one fault. Clones of it are the same one, so a fault
/// keeps it when it is changed, and a fault that is put in its place has a new one.
#[derive(Clone, Debug, Default)]
pub struct Common(Arc<AtomicU64>);

/// It is no part of what is configured.
impl PartialEq for Common {
    fn eq(&self, _: &Common) -> bool {
        true
    }
}

impl Common {
    /// Takes one of the `times` that a fault may act; false when there is none left.
    ///
    /// Exactly so many are ever given, however many threads ask. Where connections act at the
    /// same time, the first to ask gets it: which one that is, no seed decides.
    pub fn take_turn(&self, times: Option<u64>) -> bool {
        let one_more = |acted: u64| times.is_none_or(|times| acted < times).then_some(acted + 1);
        times.is_none()
            || self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// True when none is left.
    pub fn is_spent(&self, times: Option<u64>) -> bool {
        times.is_some_and(|times| times <= self.0.load(Ordering::Relaxed))
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
            when.set(row.name, value);
            let told: Vec<(&str, Value)> =
                when.given().map(|(row, value)| (row.name, value)).collect();
            assert_eq!(told, [(row.name, value)]);
            assert_eq!(when.is_always(), !OF_A_STRETCH.contains(&row.name), "{}", row.name);
        }
    }

    #[test]
    fn so_many_turns_and_not_one_more() {
        let common = Common::default();
        let taken: usize = std::thread::scope(|scope| {
            let ask = || (0..100).filter(|_| common.take_turn(Some(150))).count();
            let threads = [(); 4].map(|()| scope.spawn(ask));
            threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
        });
        assert_eq!((taken, common.is_spent(Some(150))), (150, true));
        assert!(common.take_turn(None) && !common.is_spent(Some(151)));
        assert!(common.clone().take_turn(Some(151)) && !common.take_turn(Some(151)));
    }
}
