//! bandwidth: a line that carries only so many bytes a second.
//!
//! A slice leaves once the line has carried it: at max(when the one before left, its arrival) +
//! bytes / rate. Counted from the moment when the line became busy, in whole bytes, so that no
//! rounding adds up. Slices are at most 100 ms long, as Toxiproxy's are.
//!
//! With `scope: route` there is one line for all connections of the route in this direction. Each
//! has one slice on it, of at most 10 ms, and the rest waits here: so they take turns.

use std::collections::VecDeque;

use super::attr::{Attr, Attrs, BYTES_MAX, RATE_MAX, Unit, Value};
use super::common::{Joined, Line, Rate};
use super::pipeline::QUEUE_BYTES_MAX;
use super::stage::bytes;
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{self, ByteCount, Time};

pub(super) static KIND: Kind = Kind {
    name: "bandwidth",
    about: "the line carries only so many bytes a second",
    level: Level::Stream,
    attrs: &[
        Attr {
            name: "rate",
            about: "bytes a second; 0 = nothing passes, ever",
            unit: Unit::Rate(RATE_MAX),
            default: Value::Rate(units::Rate(0)),
        },
        Attr {
            name: "burst",
            about: "how many bytes pass at once after a pause long enough",
            unit: Unit::Bytes(BYTES_MAX),
            default: Value::Bytes(ByteCount(0)),
        },
        Attr {
            name: "scope",
            about: "each connection has the line for itself, or all of the route share it",
            unit: Unit::Choice(&["connection", "route"]),
            default: Value::Choice("connection"),
        },
    ],
    build: || Box::<Bandwidth>::default(),
};

#[derive(Default)]
struct Bandwidth {
    rate: Rate,
    is_shared: bool,
    /// The line of this connection alone.
    line: Line,
    /// The line of all connections of the route.
    shared: Option<Joined>,
    waiting: Waiting,
}

/// Steps that wait for the shared line, and the slice that is on it.
#[derive(Default)]
struct Waiting {
    steps: VecDeque<Step>,
    bytes: usize,
    /// So many bytes of the first step are on the line, and have passed at this time.
    slice: Option<(usize, Time)>,
}

/// Parts of a second that a slice lasts at most: on a line of its own as long as Toxiproxy's; on
/// a shared one shorter, for whoever comes next waits for a slice of each connection before.
const SLICES_PER_S: u64 = 10;
const SHARED_SLICES_PER_S: u64 = 100;

/// What may wait for the line is what it carries in a twentieth of a second: it is not to be idle
/// because its bytes are read late.
const ROOMS_PER_S: u64 = 20;

impl Bandwidth {
    /// Bytes of a slice at most.
    fn slice_bytes(&self, per_s: u64) -> usize {
        usize::try_from(self.rate.bytes_per_s / per_s).unwrap_or(usize::MAX).max(1)
    }

    /// Puts the next slice on the shared line, once it has arrived. Steps without bytes go on.
    fn load(&mut self, now: Time, out: &mut Vec<Step>) {
        let largest = self.slice_bytes(SHARED_SLICES_PER_S);
        while self.waiting.slice.is_none()
            && let Some(first) = self.waiting.steps.front().filter(|step| step.at <= now)
        {
            match (&first.action, &self.shared) {
                (Action::Send(bytes), Some(shared)) => {
                    let count = bytes.len().min(largest);
                    let passed = shared.carry(self.rate, now, count as u64);
                    self.waiting.slice = Some((count, passed));
                }
                _ => {
                    out.extend(self.waiting.steps.pop_front().map(|step| Step { at: now, ..step }))
                }
            }
        }
    }
}

impl Waiting {
    fn push(&mut self, step: Step) {
        self.bytes += bytes(&step.action);
        self.steps.push_back(step);
    }

    /// Takes `count` bytes off the first step.
    fn take(&mut self, count: usize, at: Time) -> Option<Step> {
        let Action::Send(first) = &mut self.steps.front_mut()?.action else { return None };
        let rest = first.split_off(count.min(first.len()));
        let slice = std::mem::replace(first, rest);
        if first.is_empty() {
            self.steps.pop_front();
        }
        self.bytes -= slice.len();
        Some(Step { at, action: Action::Send(slice) })
    }
}

impl Fault for Bandwidth {
    fn retune(&mut self, attrs: &Attrs) {
        self.rate = Rate { bytes_per_s: attrs.rate("rate"), burst: attrs.bytes("burst") };
        self.is_shared = attrs.choice("scope") == "route";
        self.line = Line::default();
    }

    fn join(&mut self, with: &Joined) {
        self.shared = Some(with.clone()).filter(|_| self.is_shared);
    }

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        let arrival = step.at;
        match step.action {
            Action::Send(_) if self.rate.bytes_per_s == 0 => {
                out.push(Step { at: Time::NEVER, ..step });
            }
            Action::Open => {
                self.line = Line::default(); // what waited has left
                out.push(step);
            }
            _ if self.shared.is_some() && self.rate.bytes_per_s > 0 => self.waiting.push(step),
            Action::Send(bytes) => {
                for slice in bytes.chunks(self.slice_bytes(SLICES_PER_S)) {
                    let at = self.line.carry(self.rate, arrival, slice.len() as u64);
                    out.push(Step { at, action: Action::Send(slice.to_vec()) });
                }
            }
            Action::Finish | Action::Close | Action::Reset => out.push(step),
        }
    }

    fn wakes_at(&self) -> Option<Time> {
        let passed = self.waiting.slice.map(|(_, passed)| passed);
        passed.or_else(|| self.waiting.steps.front().map(|step| step.at))
    }

    fn wake(&mut self, now: Time, _: &mut Dice, out: &mut Vec<Step>) {
        if let Some((count, passed)) = self.waiting.slice.filter(|(_, passed)| *passed <= now) {
            out.extend(self.waiting.take(count, passed));
            self.waiting.slice = None;
        }
        self.load(now, out);
    }

    fn release(&mut self, now: Time, out: &mut Vec<Step>) {
        let steps = std::mem::take(&mut self.waiting).steps;
        out.extend(steps.into_iter().map(|step| Step { at: now, ..step }));
    }

    fn room(&self) -> usize {
        let at_once = self.rate.burst.saturating_add(self.rate.bytes_per_s / ROOMS_PER_S);
        usize::try_from(at_once).unwrap_or(usize::MAX).min(QUEUE_BYTES_MAX)
    }

    fn keeps_steps(&self) -> bool {
        self.shared.is_some()
    }

    fn held_bytes(&self) -> usize {
        self.waiting.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Key;
    use crate::fault::Direction;
    use crate::fault::pipeline::transcript::{OWNER, check, parse, run};
    use crate::fault::pipeline::{Owner, Pipeline};

    #[test]
    fn a_slice_leaves_when_it_was_carried() {
        check("bandwidth rate=1kB/s", "0 send ab; 1 send c", "2 send ab; 3 send c");
        check("bandwidth rate=1kB/s", "0 send ab; 10 send c", "2 send ab; 11 send c");
        check("bandwidth rate=20B/s", "0 send abcd", "100 send ab; 200 send cd");
        check("bandwidth rate=1kB/s", "0 send ab; 1 finish", "2 send ab; 2 finish");
    }

    #[test]
    fn a_burst_passes_at_once() {
        let burst = "bandwidth rate=1kB/s burst=3";
        check(burst, "0 send ab; 0 send cd; 0 send e", "0 send ab; 1 send cd; 2 send e");
        check(burst, "0 send abc; 9 send abc", "0 send abc; 9 send abc");
    }

    #[test]
    fn nothing_passes_at_rate_0_until_it_is_removed() {
        check("bandwidth rate=0", "0 send abc; 5 finish", "");
        check("bandwidth rate=0", "0 send abc; 5 finish; 60 set ", "60 send abc; 60 finish");
        let input = "0 send abc; 60 set bandwidth rate=1; 70 send d";
        check("bandwidth rate=0", input, "60 send abc; 71 send d");
    }

    #[test]
    fn the_last_of_480_kb_at_1000_kb_a_second_is_due_at_480_ms() {
        let chunk = "x".repeat(32_000);
        let input: Vec<String> = (0..15).map(|_| format!("0 send {chunk}")).collect();
        let output = run("bandwidth rate=1000", &input.join("; "));
        let last = output.split("; ").last().expect("steps");
        assert_eq!(last, format!("480 send {chunk}"));
    }

    /// Random messages that keep the line busy, at random rates: the last one leaves when the
    /// line has carried all of them, to the nanosecond.
    #[test]
    fn the_rate_holds_in_the_long_run() {
        let key = Key { route: "r", connection: 1, direction: "-", fault: "-" };
        let mut dice = Dice::new(1, &key);
        for rate in [1_000, 7_777, 56_000, 1_000_000, 12_345_678, 100_000_000] {
            for largest in [1, 100, 65_536] {
                let rate = Rate { bytes_per_s: rate, burst: 0 };
                let mut line = Line::default();
                let (mut total, mut last) = (0u128, Time::ZERO);
                for _ in 0..2_000 {
                    let size = dice.between(1, largest);
                    total += u128::from(size);
                    let arrival = Time(last.0 - dice.between(0, last.0.min(1_000_000)));
                    last = line.carry(rate, arrival, size);
                }
                let exact = total as f64 / rate.bytes_per_s as f64;
                let error = (last.0 as f64 / 1e9 - exact).abs() / exact;
                assert!(error < 0.01, "{rate:?}, messages to {largest}: {error}");
            }
        }
    }

    /// Connections that begin at these times, each with so many bytes to send in chunks of such
    /// a length, on one line. When each of them got what, by the clock that they share.
    fn shared(fault: &str, connections: &[(u64, usize, usize)]) -> Vec<Vec<(Time, usize)>> {
        let specs = parse(fault);
        let began = |index: usize| Time(connections[index].0 * 1_000_000);
        let mut pipelines: Vec<Pipeline> = (0..connections.len())
            .map(|index| {
                let owner = Owner { connection: index as u64, began: began(index), ..OWNER };
                Pipeline::for_direction(&owner, Direction::Downstream, &specs, Time::ZERO)
            })
            .collect();
        let mut got = vec![Vec::new(); connections.len()];
        let mut queued = vec![false; connections.len()];
        loop {
            let due = |index: usize| match queued[index] {
                false => Some(Time::ZERO),
                true => pipelines[index].next_due(),
            };
            let due = |index| Some((began(index) + (due(index)? - Time::ZERO), index));
            let Some((now, index)) = (0..connections.len()).filter_map(due).min() else { break };
            let (pipeline, own) = (&mut pipelines[index], Time((now - began(index)).0));
            if !std::mem::replace(&mut queued[index], true) {
                let (_, bytes, chunk) = connections[index];
                for chunk in vec![0; bytes].chunks(chunk) {
                    pipeline.push(Step { at: own, action: Action::Send(chunk.to_vec()) });
                }
                pipeline.push(Step { at: own, action: Action::Finish });
            }
            while let Some(step) = pipeline.pop_due(own) {
                got[index].push((now, bytes(&step.action)));
            }
        }
        got
    }

    #[test]
    fn one_line_for_all_connections() {
        for count in [1, 3, 100] {
            let got = shared("bandwidth rate=1MB/s scope=route", &vec![(5, 60_000, 9_000); count]);
            let last = got.iter().flatten().map(|(at, _)| *at).max();
            // Exactly the sum of them, to the nanosecond, however many there are.
            assert_eq!(last, Some(Time(5_000_000 + count as u64 * 60_000_000)));
            // Whenever one look is taken, none is further than a slice ahead of another.
            for at in (0..60 * count as u64).map(|ms| Time(ms * 1_000_000)) {
                let until = |got: &Vec<(Time, usize)>| -> usize {
                    let came = got.iter().filter(|(came, _)| *came <= at);
                    came.map(|(_, bytes)| bytes).sum()
                };
                let (low, high) = (got.iter().map(until).min(), got.iter().map(until).max());
                assert!(high <= low.map(|low| low + 10_000), "{at:?}: {low:?} to {high:?}");
            }
            assert!(got.iter().all(|got| got.last().map(|(_, bytes)| *bytes) == Some(0)), "FIN");
        }
    }

    #[test]
    fn small_messages_of_many_connections_share_it_too() {
        let got =
            shared("bandwidth rate=1kB/s scope=route", &[(0, 100, 1), (3, 100, 7), (9, 50, 50)]);
        let last = got.iter().flatten().map(|(at, _)| *at).max();
        assert_eq!(last, Some(Time(250_000_000)));
    }

    #[test]
    fn a_shared_line_is_a_line() {
        let route = "bandwidth rate=1kB/s scope=route";
        check(route, "0 send ab; 10 send c", "2 send ab; 11 send c");
        check(route, "0 send ab; 1 finish", "2 send ab; 2 finish");
        check(route, "0 send ab; 1 reset", "2 send ab; 2 reset");
        check(&format!("{route} burst=3"), "0 send abc; 0 send d", "0 send abc; 1 send d");
        check(&format!("latency latency=5 | {route}"), "0 send ab", "7 send ab");
        check("bandwidth rate=100B/s scope=route", "0 send ab", "10 send a; 20 send b");
        check(route, "0 send abcd; 2 set ; 3 send e", "2 send abcd; 3 send e");
        let other = "bandwidth rate=500B/s scope=route";
        check(route, &format!("0 send abcd; 1 set {other}; 3 send e"), "1 send abcd; 5 send e");
        check("bandwidth rate=0 scope=route", "0 send a; 5 finish; 9 set ", "9 send a; 9 finish");
    }
}
