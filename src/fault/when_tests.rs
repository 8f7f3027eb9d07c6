//! Triggers: a fault is in force in its stretch of a connection alone, and acts so many times.

use super::transcript::{OWNER, check, parse, run};
use super::*;

#[test]
fn before_and_after_its_stretch_a_fault_is_not_there() {
    let input = "0 send a; 9 send b; 10 send c; 29 send d; 30 send e; 31 finish";
    let timed = "latency latency=5 after=10 for=20";
    let all = "0 send a; 9 send b; 15 send c; 30 send d; 30 send e; 31 finish";
    check(timed, input, all);
    check("latency latency=5 after=10", "9 send a; 10 send b", "9 send a; 15 send b");
    check("latency latency=5 for=10", "9 send a; 10 send b", "10 send a; 10 send b");
    check("timeout after=10 for=20", input, "0 send a; 9 send b; 30 close");
    check("limit_data bytes=1 for=20", "0 send a; 5 send b", "0 send a; 0 close");
    check("noop for=20", input, input);
}

#[test]
fn an_outage_ends_when_its_time_is_over() {
    let cut = "bandwidth rate=0 after=10 for=20";
    check(cut, "0 send a; 15 send b; 16 finish", "0 send a; 30 send b; 30 finish");
    check(cut, "0 send a; 15 send b; 40 send c", "0 send a; 30 send b; 40 send c");
    check("hang after=10 for=20", "5 send a; 15 send b; 40 send c", "5 send a; 30 close");
    let slow = "bandwidth rate=1kB/s for=20";
    check(slow, "0 send abc; 19 send def; 21 send g", "3 send abc; 20 send def; 21 send g");
    let lossy = "loss loss=1 cc=none after=10 for=20";
    check(lossy, "0 send a; 15 send b; 40 send c", "0 send a; 30 send b; 40 send c");
    check(&format!("{lossy} | latency latency=5"), "15 send b; 16 finish", "35 send b; 35 finish");
}

#[test]
fn what_begins_within_the_stretch_begins_with_it() {
    check("timeout timeout=50 after=10", "0 send a", "0 send a; 60 close");
    check("timeout timeout=50 after=10 for=49", "0 send a", "0 send a; 59 close");
    check("reset after=5 afterBytes=3", "0 send ab; 2 send cd", "0 send ab; 2 send c; 7 reset");
    check("reset_peer timeout=5 after=10", "0 send a; 20 send b", "0 send a; 25 reset");
    check("timeout timeout=50 after=10 | noop", "0 send a; 70 finish", "0 send a; 60 close");
}

#[test]
fn from_this_byte_on_exactly() {
    let delayed = "latency latency=5 afterBytes=4";
    check(delayed, "0 send abc; 1 send def; 2 send g", "0 send abc; 1 send d; 6 send ef; 7 send g");
    check(delayed, "0 send abcd; 1 send e", "0 send abcd; 6 send e");
    for split in 1..6 {
        let (first, second) = "abcdef".split_at(split);
        let output = run("timeout afterBytes=4", &format!("5 send {first}; 5 send {second}"));
        assert_eq!(output.replace("; ", "").replace("5 send ", ""), "abcd", "{split}");
    }
    // Both must hold: the fourth byte came before the time did.
    let both = "latency latency=5 afterBytes=4 after=10";
    check(both, "0 send abcdef; 9 send g; 10 send h", "0 send abcdef; 9 send g; 15 send h");
    check(both, "0 send abc; 11 send def", "0 send abc; 11 send d; 16 send ef");
    check("latency latency=5 afterBytes=4 for=10", "20 send abcdef", "20 send abcdef");
}

#[test]
fn a_change_keeps_the_offset_and_looks_at_the_time_again() {
    let delayed = "latency latency=5 afterBytes=4";
    let input = "0 send abc; 1 set latency latency=9 afterBytes=4; 2 send def";
    check(delayed, input, "0 send abc; 2 send d; 11 send ef");
    let input = "0 send a; 20 set timeout for=15; 21 send b";
    check("timeout", input, "20 close");
    let input = "12 send a; 20 set timeout after=10 for=15; 30 send b";
    check("timeout after=30", input, "12 send a; 25 close");
}

#[test]
fn once_it_is_over_it_is_a_pass_through() {
    for fault in ["latency latency=5 for=10", "timeout after=5 for=5 shadow=true"] {
        let specs = parse(fault);
        let mut pipeline =
            Pipeline::for_direction(&OWNER, Direction::Downstream, &specs, Time::ZERO);
        assert!(!pipeline.is_pass_through());
        while let Some(due) = pipeline.next_due() {
            assert_eq!(pipeline.pop_due(due), None);
        }
        assert!(pipeline.is_pass_through(), "{fault}");
    }
}

/// What comes out on connections one after the other that share one fault.
fn on_connections(fault: &str, inputs: &[&str]) -> Vec<usize> {
    let specs = parse(fault);
    let mut acted = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        let connection = index as u64 + 1;
        let owner = Owner { connection, ..OWNER };
        let direction = Direction::Downstream;
        let mut pipeline = Pipeline::for_direction(&owner, direction, &specs, Time::ZERO);
        let action = Action::Send(input.as_bytes().to_vec());
        pipeline.push(Step { at: Time(1), action: action.clone() });
        let came = pipeline.pop_due(Time(1));
        if came != Some(Step { at: Time(1), action }) {
            acted.push(index + 1);
        }
    }
    acted
}

#[test]
fn so_many_times_and_never_again() {
    assert_eq!(on_connections("latency latency=5 times=2", &["a"; 5]), [1, 2]);
    assert_eq!(on_connections("latency latency=5 times=2 every=2", &["a"; 9]), [2, 4]);
    // Counted is what it does, not what it might have done.
    let some = ["a", "abcd", "b", "cdef", "ghij"];
    assert_eq!(on_connections("limit_data bytes=3 times=2", &some), [2, 4]);
    assert_eq!(on_connections("latency latency=5 times=1 afterBytes=3", &some), [2]);
    assert_eq!(on_connections("noop times=1", &some), [0; 0]);
    let winners = on_connections("latency latency=5 p=0.5", &["a"; 20]);
    assert_eq!(on_connections("latency latency=5 p=0.5 times=3", &["a"; 20]), winners[..3]);
}

#[test]
fn a_turn_lasts_for_a_direction_and_outlives_a_change() {
    let twice = "0 send a; 10 send b; 20 finish";
    check("latency latency=5 times=1", twice, "5 send a; 15 send b; 20 finish");
    let mut specs = parse("timeout times=1");
    let pipeline =
        |specs: &[Spec]| Pipeline::for_direction(&OWNER, Direction::Downstream, specs, Time::ZERO);
    let send = |pipeline: &mut Pipeline, at| {
        pipeline.push(Step { at: Time(at), action: Action::Send(b"a".to_vec()) });
        pipeline.pop_due(Time(at)).map(|step| step.action)
    };
    let passed = Some(Action::Send(b"a".to_vec()));
    let (mut first, mut second) = (pipeline(&specs), pipeline(&specs));
    assert_eq!((send(&mut first, 1), send(&mut second, 1)), (None, passed.clone()));
    assert!(second.is_pass_through() && pipeline(&specs).is_pass_through());
    specs[0].probability = crate::units::Ratio::new(0.9).expect("a share");
    first.retune(Time(2), &OWNER, &specs);
    second.retune(Time(2), &OWNER, &specs);
    assert_eq!((send(&mut first, 3), send(&mut second, 3)), (None, passed.clone()));
    // One more than before: whoever acts next takes it.
    specs[0].how.when.times = Some(2);
    second.retune(Time(4), &OWNER, &specs);
    assert_eq!(send(&mut second, 5), None);
    assert_eq!(send(&mut pipeline(&specs), 6), passed);
    // One that never acted leaves nothing to do when it is removed.
    let mut idle = pipeline(&parse("timeout times=1"));
    idle.retune(Time(7), &OWNER, &[]);
    assert_eq!(idle.next_due(), None);
}
