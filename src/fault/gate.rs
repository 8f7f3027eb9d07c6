//! What faults make of a route's listener: a function of the faults in force and the time.
//!
//! ```text
//!              +---- refuse, flap ----> Refusing: nobody listens (ECONNREFUSED)
//! Serving <----+
//!              +---- connect_hang ----> Hanging: a connect gets no answer
//! ```

use super::{Fault, Level, Mode, Spec};
use crate::units::Time;

/// What becomes of who connects. Where faults say different things the later one here holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// It is accepted.
    #[default]
    Serving,
    /// It gets no answer.
    Hanging,
    /// It is refused, for nobody listens.
    Refusing,
}

impl Door {
    /// The word for it in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Door::Serving => "serving",
            Door::Hanging => "hanging",
            Door::Refusing => "refusing",
        }
    }
}

/// What one fault makes of a listener for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What becomes of who connects.
    pub door: Door,
    /// Whether live connections are reset when it begins.
    pub reset_live: bool,
    /// When another phase begins, counted from when the fault came into force.
    pub ends: Time,
}

impl Phase {
    /// As without the fault.
    pub const SERVING: Phase = Phase { door: Door::Serving, reset_live: false, ends: Time::NEVER };
}

/// A fault makes something else of the listener than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The fault's name.
    pub fault: String,
    /// Its kind.
    pub kind: &'static str,
    /// What it makes of the listener from now on.
    pub door: Door,
    /// Whether live connections are reset.
    pub reset_live: bool,
    /// It only would do so: its mode is shadow.
    pub shadow: bool,
}

/// The faults in force on a listener, each with the time since which it is.
#[derive(Default)]
pub struct Gate {
    held: Vec<Held>,
    /// Of faults that are no longer in force.
    over: Vec<Turn>,
}

struct Held {
    spec: Spec,
    fault: Box<dyn Fault>,
    since: Time,
    door: Door,
}

impl Held {
    fn new(spec: &Spec, now: Time) -> Held {
        let mut fault = (spec.kind.build)();
        fault.retune(&spec.attrs);
        Held { spec: spec.clone(), fault, since: now, door: Door::Serving }
    }

    /// True when this is the fault that `spec` stands for; it may have other attributes.
    fn is(&self, spec: &Spec) -> bool {
        let own = (&self.spec.name, self.spec.kind, self.spec.how.mode);
        own == (&spec.name, spec.kind, spec.how.mode)
    }

    fn acts(&self) -> bool {
        self.spec.how.mode == Mode::Act
    }

    fn phase(&self, now: Time) -> Phase {
        let phase = self.fault.phase(now - self.since);
        Phase { ends: self.since + (phase.ends - Time::ZERO), ..phase }
    }

    fn turn(&mut self, phase: Phase) -> Option<Turn> {
        if phase.door == self.door {
            return None;
        }
        self.door = phase.door;
        Some(Turn {
            fault: self.spec.name.clone(),
            kind: self.spec.kind.name,
            door: phase.door,
            reset_live: phase.reset_live,
            shadow: !self.acts(),
        })
    }
}

impl Gate {
    /// Takes the faults of a route that are in force from `now` on. One that was there before, with
    /// the same attributes, goes on by its own time; one with others begins anew.
    pub fn retune(&mut self, now: Time, specs: &[Spec]) {
        let mut old = std::mem::take(&mut self.held);
        let here = |spec: &&Spec| spec.kind.level == Level::Listener && spec.how.enabled;
        for spec in specs.iter().filter(here) {
            let mut held = Held::new(spec, now);
            if let Some(index) = old.iter().position(|old| old.is(spec)) {
                let before = old.swap_remove(index);
                held.door = before.door;
                held.since = if before.spec.attrs == spec.attrs { before.since } else { now };
            }
            self.held.push(held);
        }
        self.over.extend(old.iter_mut().filter_map(|held| held.turn(Phase::SERVING)));
    }

    /// What has changed by `now` since the last look.
    pub fn turns(&mut self, now: Time) -> Vec<Turn> {
        let mut turns = std::mem::take(&mut self.over);
        turns.extend(self.held.iter_mut().filter_map(|held| held.turn(held.phase(now))));
        turns
    }

    /// What all of them make of the listener at `now`.
    pub fn door(&self, now: Time) -> Door {
        let acting = self.held.iter().filter(|held| held.acts());
        acting.map(|held| held.phase(now).door).max().unwrap_or_default()
    }

    /// When the next of them changes, after `now`.
    pub fn next(&self, now: Time) -> Time {
        self.held.iter().map(|held| held.phase(now).ends).min().unwrap_or(Time::NEVER)
    }
}

/// Gates as text in, text out: `check("refuse", "5 set", "0 f0 refusing; 5 f0 serving")`.
#[cfg(test)]
pub(super) mod transcript {
    use super::*;
    use crate::fault::pipeline::transcript::{at_ns, parse};

    /// Leads `faults` through the changes of `input` (`T set FAULTS`, or `T none`), to the last
    /// time in it, and compares the turns.
    #[track_caller]
    pub(in crate::fault) fn check(faults: &str, input: &str, expected: &str) {
        let (mut gate, mut now, mut told) = (Gate::default(), Time::ZERO, Vec::new());
        gate.retune(now, &parse(faults));
        for line in input.split("; ") {
            let at = Time(at_ns(line));
            tell(&mut gate, now, &mut told);
            while gate.next(now) <= at {
                now = gate.next(now);
                tell(&mut gate, now, &mut told);
            }
            now = at;
            if let Some(faults) = line.split_once(" set").map(|(_, faults)| faults.trim()) {
                gate.retune(now, &parse(faults));
            }
        }
        tell(&mut gate, now, &mut told);
        assert_eq!(told.join("; "), expected, "faults: {faults}\ninput:  {input}");
    }

    fn tell(gate: &mut Gate, now: Time, told: &mut Vec<String>) {
        for turn in gate.turns(now) {
            let ms = (now - Time::ZERO).as_ms();
            let resets = if turn.reset_live { ", resets" } else { "" };
            let shadow = if turn.shadow { ", shadow" } else { "" };
            told.push(format!("{ms} {} {}{resets}{shadow}", turn.fault, turn.door.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::transcript::check;
    use super::*;
    use crate::fault::pipeline::transcript::parse;
    use crate::units::Span;

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_ms(ms)
    }

    #[test]
    fn a_change_of_another_fault_leaves_the_time_of_a_flap() {
        let other = "60 set flap up=100 down=50 | latency latency=5";
        check(
            "flap up=100 down=50",
            &format!("{other}; 150 none"),
            "100 f0 refusing; 150 f0 serving",
        );
        let retuned = "120 set flap up=100 down=60; 220 none";
        check("flap up=100 down=50", retuned, "100 f0 refusing; 120 f0 serving; 220 f0 refusing");
        let retuned = "7 set refuse reset_live=true; 9 none";
        check("refuse", retuned, "0 f0 refusing"); // it refused already: nothing begins
    }

    #[test]
    fn shadow_is_told_and_does_nothing() {
        check("refuse shadow=1", "5 set", "0 f0 refusing, shadow; 5 f0 serving, shadow");
        check(
            "refuse shadow=1",
            "5 set refuse",
            "0 f0 refusing, shadow; 5 f0 serving, shadow; 5 f0 refusing",
        );
        let mut gate = Gate::default();
        gate.retune(at(0), &parse("refuse shadow=1"));
        assert_eq!((gate.turns(at(0)).len(), gate.door(at(0))), (1, Door::Serving));
    }

    #[test]
    fn of_several_faults_the_strictest_holds() {
        let mut gate = Gate::default();
        gate.retune(at(0), &parse("connect_hang | flap up=100 down=50 | drop"));
        let doors = [0, 99, 100, 149, 150].map(|ms| gate.door(at(ms)).as_str());
        assert_eq!(doors, ["hanging", "hanging", "refusing", "refusing", "hanging"]);
        assert_eq!([0, 100, 150].map(|ms| gate.next(at(ms))), [at(100), at(150), at(250)]);
        gate.retune(at(200), &[]);
        assert_eq!((gate.door(at(200)), gate.next(at(200))), (Door::Serving, Time::NEVER));
    }

    /// Who sleeps until `next` misses nothing: in between nothing changes.
    #[test]
    fn nothing_changes_before_it_is_said_to() {
        let flaps = "flap up=30 down=20 | flap up=70 down=10 shadow=1 | connect_hang enabled=false";
        let mut gate = Gate::default();
        gate.retune(at(3), &parse(flaps));
        let (mut next, mut turns) = (at(3), 0);
        for ms in 3..2_000 {
            let told = gate.turns(at(ms)).len();
            assert!(told == 0 || at(ms) == next, "{told} turns at {ms} ms, not at {next:?}");
            turns += told;
            next = gate.next(at(ms));
            assert!(at(ms) < next, "at {ms} ms it is to be looked at again at {next:?}");
        }
        assert_eq!(turns, 79 + 49); // each edge of (30, 20) and of (70, 10) from 3 to 1999 ms
    }

    #[test]
    fn a_look_that_comes_late_finds_what_holds_now() {
        let mut gate = Gate::default();
        gate.retune(at(0), &parse("flap up=100 down=50"));
        assert!(gate.turns(at(0)).is_empty());
        assert!(gate.turns(at(160)).is_empty(), "down and up again meanwhile: nothing was done");
        assert_eq!(gate.turns(at(250)).len(), 1);
    }
}
