//! The fault vocabulary: what a fault is, the table of all of them, and the pipeline they form.
//!
//! A fault is a pure map from timed steps to timed steps. It knows no socket, no clock and no
//! thread; `shell/` performs what falls due. To add one, copy the nearest file here, write its
//! `KIND` row, its `retune` and `apply`, and put its `mod` line and its row in `ALL` in place.

pub mod attr;
pub mod course;
pub mod desk;
pub mod exchange;
pub mod gate;
pub mod matching;
pub mod message;
pub mod odds;
pub mod passage;
pub mod pipeline;
pub mod profile;
pub mod when;

pub mod lot;

mod common;

mod deed;

mod stage;

mod bandwidth;
mod connect_delay;
mod connect_hang;
mod connection_error;
mod corrupt;
mod drop;
mod duplicate_request;
mod flap;
mod hang;
mod http_delay;
mod http_error;
mod http_header;
mod http_timeout;
mod latency;
mod limit_data;
mod lose_response;
mod loss;
mod malformed_response;
mod noop;
mod partial_response;
mod payload_corruption;
mod rate_limit;
mod refuse;
mod reset;
mod reset_peer;
mod slicer;
mod slow_close;
mod timeout;

use std::sync::Arc;

use crate::dice::Dice;
use crate::units::{Ratio, Span, Time};
use attr::{Attr, Attrs};
use exchange::Exchange;
use gate::Phase;
use matching::Match;

pub use common::{Common, Joined, Line};
pub use when::When;

/// Every fault this build knows, in alphabetical order.
pub static ALL: &[&Kind] = &[
    &bandwidth::KIND,
    &connect_delay::KIND,
    &connect_hang::KIND,
    &connection_error::KIND,
    &corrupt::KIND,
    &drop::KIND,
    &duplicate_request::KIND,
    &flap::KIND,
    &hang::KIND,
    &http_delay::KIND,
    &http_error::KIND,
    &http_header::KIND,
    &http_timeout::KIND,
    &latency::KIND,
    &limit_data::KIND,
    &lose_response::KIND,
    &loss::KIND,
    &malformed_response::KIND,
    &noop::KIND,
    &partial_response::KIND,
    &payload_corruption::KIND,
    &rate_limit::KIND,
    &refuse::KIND,
    &reset::KIND,
    &reset_peer::KIND,
    &slicer::KIND,
    &slow_close::KIND,
    &timeout::KIND,
];

/// What happens on a connection, or in one direction of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The connection (level connection: let it be dialled) or this direction of it begins.
    Open,
    /// These bytes go on to the other side.
    Send(Vec<u8>),
    /// No more bytes will come: a half-close (FIN).
    Finish,
    /// Both sides are closed in the ordinary way (FIN).
    Close,
    /// Both sides are reset (RST).
    Reset,
}

/// An action and when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Not before this.
    pub at: Time,
    /// What is to be done.
    pub action: Action,
}

/// The behaviour of one fault in one direction of one connection.
pub trait Fault: Send {
    /// Takes new attributes, and keeps the state that is not an attribute.
    fn retune(&mut self, attrs: &Attrs);

    /// Puts what becomes of `step` into `out`; nothing, if it is swallowed. A `Finish` is only for
    /// passing on: a half-close that no peer asked for would leave a copy thread waiting for it.
    ///
    /// Steps to send come in the order of their times. What is put out earlier than it came in,
    /// or out of order, the pipeline moves later.
    fn apply(&mut self, step: Step, dice: &mut Dice, out: &mut Vec<Step>);

    /// Learns what it shares with the other connections of its route. The few that share anything
    /// keep it; it may come again with every change.
    fn join(&mut self, _with: &Joined) {}

    /// What is worth knowing of its attributes before anything comes, in one line.
    fn remark(&self) -> Option<String> {
        None
    }

    /// What is left to do on a connection on which it acted and acts no more.
    fn removed(&mut self) -> Option<Action> {
        None
    }

    /// Bytes to which it has given another value so far.
    fn changed_bytes(&self) -> u64 {
        0
    }

    /// When it wants to be woken if nothing comes before: it keeps steps until then.
    fn wakes_at(&self) -> Option<Time> {
        None
    }

    /// The time it asked for has come; afterwards it asks for a later one, or none.
    fn wake(&mut self, _now: Time, _dice: &mut Dice, _out: &mut Vec<Step>) {}

    /// Gives back all that it keeps, for the faults change.
    fn release(&mut self, _now: Time, _out: &mut Vec<Step>) {}

    /// True when it may keep steps, ends too: one that is planned for later goes past it.
    fn keeps_steps(&self) -> bool {
        false
    }

    /// Bytes that a direction may hold for its sake, before the source of that has to wait.
    fn room(&self) -> usize {
        0
    }

    /// How many bytes it keeps.
    fn held_bytes(&self) -> usize {
        0
    }

    /// What it makes of the route's listener, so long after it came into force: for faults of
    /// level listener, which see no steps.
    fn phase(&self, _age: Span) -> Phase {
        Phase::SERVING
    }

    /// Its side that is asked once per exchange of an HTTP route, if it has one.
    fn exchange(&mut self) -> Option<&mut dyn Exchange> {
        None
    }
}

/// Which steps a fault sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// None: it acts on the listener, before there are connections and for all clients alike.
    Listener,
    /// The one `Open` of a connection, before the upstream is dialled.
    Connection,
    /// The exchanges of an HTTP route, each a request and its answer.
    Http,
    /// The bytes of one direction.
    Stream,
}

impl Level {
    /// The word for it in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Listener => "listener",
            Level::Connection => "connection",
            Level::Http => "http",
            Level::Stream => "stream",
        }
    }
}

/// The row of a fault: everything that is known of it outside its file.
pub struct Kind {
    /// The word for it in configurations, the API, logs and metrics.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// Which steps it sees.
    pub level: Level,
    /// Its attributes in the order in which they are shown.
    pub attrs: &'static [Attr],
    /// Makes one, with the default attributes.
    pub build: fn() -> Box<dyn Fault>,
}

/// Two rows are the same when their names are: names are unique in `ALL`.
impl PartialEq for Kind {
    fn eq(&self, other: &Kind) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

impl std::fmt::Debug for Kind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Kind({})", self.name)
    }
}

impl Kind {
    /// The row with this name.
    pub fn find(name: &str) -> Option<&'static Kind> {
        ALL.iter().copied().find(|kind| kind.name == name)
    }

    /// When it is asked about an exchange, if it can be.
    fn phase(&self) -> Option<exchange::Phase> {
        (self.build)().exchange().map(|exchange| exchange.phase(&Attrs::defaults(self.attrs)))
    }

    /// Where it acts on a route when no direction is given; none when it cannot act there: a fault
    /// of exchanges needs a route that knows them, unless it only limits how many there are.
    pub fn place(&self, on_http: bool) -> Option<Place> {
        match (self.level, self.phase()) {
            (Level::Listener, _) => Some(Place::Listener),
            (Level::Connection, _) => Some(Place::Connection),
            (Level::Http | Level::Stream, Some(_)) if on_http => Some(Place::Exchange),
            (Level::Http, Some(exchange::Phase::Limit)) => Some(Place::Connection),
            (Level::Http, _) => None,
            (Level::Stream, _) => Some(Place::One(Direction::Downstream)),
        }
    }
}

/// One of the two ways through a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to the upstream.
    Upstream,
    /// From the upstream to the client.
    Downstream,
}

impl Direction {
    /// The word for it, and its part of a dice key.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Upstream => "upstream",
            Direction::Downstream => "downstream",
        }
    }
}

/// Where a configured fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the listener of the route; all faults of level listener are here.
    Listener,
    /// Before the upstream is dialled; all faults of level connection are here.
    Connection,
    /// On the exchanges of an HTTP route; decided by `desk`, and no part of any pipeline.
    Exchange,
    /// On the bytes of one direction.
    One(Direction),
    /// On the bytes of both directions, each with its own state and its own dice.
    Both,
}

impl Place {
    /// The word for it in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Listener => "listener",
            Place::Connection => "connection",
            Place::Exchange => "exchange",
            Place::One(direction) => direction.as_str(),
            Place::Both => "both",
        }
    }

    /// True when a fault at this place sees the bytes of `direction`.
    pub fn covers(self, direction: Direction) -> bool {
        match self {
            Place::Listener | Place::Connection | Place::Exchange => false,
            Place::One(own) => own == direction,
            Place::Both => true,
        }
    }
}

/// A fault as configured on a route: valid by construction, immutable.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Unique on its route.
    pub name: String,
    /// Its row.
    pub kind: &'static Kind,
    /// Where it acts.
    pub place: Place,
    /// The share of connections (and directions) on which it acts.
    pub probability: Ratio,
    /// A value for every attribute of the row.
    pub attrs: Attrs,
    /// Whether and how it acts.
    pub how: How,
    /// How long until it removes itself, from the moment in which this is asked for or told; none:
    /// it stays. The shell keeps the time.
    pub ttl: Option<Span>,
    /// What all its connections share; clones of a fault share it too.
    pub common: Common,
    /// For which exchanges; all, unless its place is `Exchange`.
    pub among: Among,
}

/// How long a fault may be asked to stay.
pub static TTL: Attr = Attr {
    name: "ttl",
    about: "it removes itself so much later",
    unit: attr::Unit::MsFrom(Span::from_ms(1), Span::from_ms(24 * 3_600_000)),
    default: attr::Value::Span(Span::ZERO),
};

impl Spec {
    /// A fault of this kind as it is when nothing more is said of it.
    pub fn new(name: impl Into<String>, kind: &'static Kind, place: Place) -> Spec {
        Spec {
            name: name.into(),
            kind,
            place,
            probability: Ratio::ONE,
            attrs: Attrs::defaults(kind.attrs),
            how: How::default(),
            ttl: None,
            common: Common::default(),
            among: Among::default(),
        }
    }

    /// What is worth knowing of it before anything comes, in one line.
    pub fn remark(&self) -> Option<String> {
        let mut fault = (self.kind.build)();
        fault.retune(&self.attrs);
        fault.remark()
    }

    /// When it is asked about an exchange, if it is.
    fn phase(&self) -> Option<exchange::Phase> {
        match self.place {
            Place::Exchange => {
                (self.kind.build)().exchange().map(|exchange| exchange.phase(&self.attrs))
            }
            Place::One(_) | Place::Both => self.chooses().then_some(exchange::Phase::Stream),
            Place::Listener | Place::Connection => None,
        }
    }

    /// True when it leaves nothing to do for a fault behind it, where it acts.
    fn excludes(&self, later: &Spec) -> bool {
        use exchange::Phase;
        match (self.phase(), later.phase()) {
            (Some(Phase::Limit | Phase::Abort), Some(Phase::Stream)) => {
                let leaves = |own: &mut dyn exchange::Exchange| own.leaves_bytes(&self.attrs);
                later.place == Place::One(Direction::Upstream)
                    || !(self.kind.build)().exchange().is_some_and(leaves)
            }
            (Some(own), Some(later)) => own.excludes(later),
            (None, _) | (_, None) => false,
        }
    }

    /// True when it acts on something, and not in shadow mode.
    pub fn can_act(&self) -> bool {
        self.how.enabled && self.how.mode == Mode::Act && self.probability != Ratio::ZERO
    }

    /// What is wrong with it as a whole, where each of its parts may be right.
    pub fn wrong(&self) -> Option<&'static str> {
        if self.among.one_of.is_some() && self.how.sampling == Sampling::Exact {
            return Some("sampling exact needs a lot of its own (leave it out in a group)");
        }
        (self.kind.build)().exchange().and_then(|own| own.wrong(&self.attrs, self.place))
    }
}

/// What the shares of a group add up to, when that is more than there is.
pub fn too_much<'a>(group: impl Iterator<Item = &'a Spec>) -> Option<f64> {
    let sum: f64 = group.map(|spec| spec.probability.get()).sum();
    (sum > 1.0 + 1e-9).then_some(sum) // what rounding adds is not too much
}

/// Which exchanges a fault comes into question for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Among {
    /// Those of which this holds.
    pub matching: Option<Arc<Match>>,
    /// Those for which no other fault of this group is drawn: a group takes one roll.
    pub one_of: Option<u16>,
}

/// Whether and how a fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// False: it is listed, and idle.
    pub enabled: bool,
    /// Whether what it decides is done.
    pub mode: Mode,
    /// How the connections are chosen on which it acts.
    pub sampling: Sampling,
    /// Which connections come into question, and which stretch of them.
    pub when: When,
}

impl Default for How {
    fn default() -> How {
        How { enabled: true, mode: Mode::Act, sampling: Sampling::Bernoulli, when: When::default() }
    }
}

/// Whether what a fault decides is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is done and reported.
    Act,
    /// It is reported only.
    Shadow,
}

/// How the connections are chosen on which a fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Each by its own roll.
    Bernoulli,
    /// Evenly spread by number, so that the share is exact.
    Exact,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_complete() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
        for kind in ALL {
            assert_eq!(Kind::find(kind.name), Some(*kind));
            assert!(!kind.about.is_empty() && !kind.about.ends_with('.'), "{}", kind.name);
        }
        assert_eq!(Kind::find("reorder"), None);
    }
}
