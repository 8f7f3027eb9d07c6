//! Ends and live changes, as transcripts: what is settled, what is planned, and what holds them up.

use super::transcript::{OWNER, check, parse, run};
use super::*;
use crate::units::Span;

fn downstream(faults: &str) -> Pipeline {
    Pipeline::for_direction(&OWNER, Direction::Downstream, &parse(faults), Time::ZERO)
}

fn at(ms: u64) -> Time {
    Time::ZERO + Span::from_ms(ms)
}

fn send(pipeline: &mut Pipeline, ms: u64, text: &str) {
    pipeline.push(Step { at: at(ms), action: Action::Send(text.as_bytes().to_vec()) });
}

fn change(pipeline: &mut Pipeline, ms: u64, faults: &str) {
    pipeline.retune(at(ms), &OWNER, &parse(faults));
}

/// Pops all that there is to pop; gives the last of it.
fn drain(pipeline: &mut Pipeline) -> Option<Action> {
    let mut last = None;
    while let Some(due) = pipeline.next_due() {
        last = pipeline.pop_due(due).map(|step| step.action).or(last);
    }
    last
}

/// Bytes are missing behind it, so it is not forgotten, and nothing passes.
#[test]
fn a_settled_end_outlives_a_change() {
    let late = "limit_data bytes=2 | latency latency=100";
    let gone = "latency latency=100 name=f1";
    check(late, &format!("0 send abc; 50 set {gone}; 60 send d"), "50 send ab; 50 close");
    check(late, &format!("0 send abc; 50 set {late} | noop; 60 send d"), "50 send ab; 50 close");
    check(late, "0 send abc; 50 set ; 50 send d; 50 reset", "50 send ab; 50 close");
    let held = "limit_data bytes=2 | bandwidth rate=0";
    let cut = "bandwidth rate=0 name=f1";
    let input = format!("0 send abc; 10 set {held} | noop; 20 set {cut}; 25 send d; 30 set ");
    check(held, &input, "30 send ab; 30 close");
    check(
        "latency latency=100 | reset after_bytes=1",
        "0 send abc; 50 set ",
        "50 send a; 50 reset",
    );
    let finish = "latency latency=9 | lose_response then=reset | latency latency=100";
    check(finish, "0 send a; 1 finish; 5 set ", "5 reset");
}

#[test]
fn what_a_change_frees_passes_no_fault_unseen() {
    let slow = "bandwidth rate=1 scope=route"; // kB/s: a byte takes 1 ms
    let lost = format!("{slow} | lose_response");
    check(&lost, "0 send abc; 2 set ; 5 send d", "2 close");
    let limit = "limit_data bytes=2 name=f1";
    let input = format!("0 send abcd; 1 set {limit}; 5 send e");
    check(&format!("{slow} | {limit}"), &input, "1 send ab; 1 close");
    let held = "bandwidth rate=0 name=f1";
    let input = format!("0 send abc; 1 set {held}; 5 set ");
    check(&format!("{slow} | {held}"), &input, "5 send abc");
}

#[test]
fn a_fault_that_has_lost_bytes_waits_for_no_later_turn() {
    let input = "0 send abc; 5 set timeout afterBytes=9; 6 send d";
    check("timeout", input, "5 close");
    check("timeout", "0 send abc; 5 set timeout after=9; 6 send d", "5 close");
    check("lose_response", "0 send abc; 0 set lose_response afterBytes=9; 1 send d", "0 close");
    // What it holds and does not lose, it holds until then.
    let late = "0 send abc; 1 finish; 5 set slow_close delay=5 after=9";
    check("slow_close delay=100", late, "0 send abc; 14 finish");
    let never = "0 send abc; 1 finish; 5 set slow_close delay=5 afterBytes=9";
    check("slow_close delay=100", never, "0 send abc; 5 finish");
}

#[test]
fn a_settled_end_outlives_the_stretch_of_its_fault() {
    let input = "0 send abc; 10 send d; 11 finish";
    check("limit_data bytes=2 for=5 | latency latency=100", input, "100 send ab; 100 close");
    let lossy = "limit_data bytes=2 for=5 | loss loss=1 cc=none for=30";
    check(lossy, input, "30 send ab; 30 close");
    let waiting = "limit_data bytes=2 for=1 | bandwidth rate=1 scope=route";
    check(waiting, input, "2 send ab; 2 close");
    for seed in 0..50 {
        let jitter =
            format!("limit_data bytes=2 for=5 | latency latency=50 jitter=50 name=j{seed}");
        let output = run(&jitter, input);
        assert!(output.contains(" send ab; ") && output.ends_with(" close"), "{output}");
    }
}

#[test]
fn who_settled_an_end_is_known_behind_a_fault_that_kept_it() {
    for keeper in ["loss loss=1 cc=none for=30", "bandwidth rate=1 scope=route", "noop"] {
        let mut pipeline = downstream(&format!("limit_data bytes=2 | {keeper}"));
        send(&mut pipeline, 0, "abc");
        assert_eq!(drain(&mut pipeline), Some(Action::Close));
        assert!(pipeline.is_ended_by_fault(), "{keeper}");
        let mut pipeline = downstream(keeper);
        send(&mut pipeline, 0, "abc");
        pipeline.push(Step { at: Time(1), action: Action::Reset });
        assert_eq!(drain(&mut pipeline), Some(Action::Reset));
        assert!(!pipeline.is_ended_by_fault(), "{keeper}");
    }
}

/// What was popped may wait in front of a target that takes nothing: a settled close waits behind.
#[test]
fn a_settled_close_cuts_off_nothing() {
    let limit = "limit_data bytes=2";
    let late = at(90);
    for (first, then, last) in [(limit, limit, limit), (limit, limit, ""), ("", "timeout", "")] {
        let mut pipeline = downstream(first);
        send(&mut pipeline, 0, "abc");
        let came = pipeline.pop_due(Time::ZERO).map(|step| step.action);
        assert!(matches!(came, Some(Action::Send(_))), "it stalls in front of the target");
        change(&mut pipeline, 10, then);
        send(&mut pipeline, 20, "d");
        change(&mut pipeline, 30, last);
        change(&mut pipeline, 40, last);
        send(&mut pipeline, 50, "e");
        assert_eq!((pipeline.next_cut(), pipeline.pop_due_cut(late)), (None, None), "{first}");
        let end = pipeline.pop_due(late).map(|step| step.action);
        assert_eq!((end, pipeline.is_ended_by_fault()), (Some(Action::Close), true), "{first}");
    }
    // With nothing of its own to wait for, it waits for what came before its fault was in force.
    let mut pipeline = downstream("limit_data afterBytes=3");
    send(&mut pipeline, 0, "abc");
    assert!(pipeline.pop_due(Time::ZERO).is_some());
    send(&mut pipeline, 5, "d");
    assert_eq!(pipeline.pop_due_cut(late), None);
    assert_eq!(pipeline.pop_due(late).map(|step| step.action), Some(Action::Close));
}

/// Popped late, for the target was stalled all the while.
#[test]
fn what_is_overdue_keeps_its_order_over_a_change() {
    for then in ["", "limit_data bytes=2 | noop"] {
        let mut pipeline = downstream("limit_data bytes=2");
        send(&mut pipeline, 0, "abc");
        change(&mut pipeline, 10, then);
        let came = [pipeline.pop_due(at(90)), pipeline.pop_due(at(90))];
        let came = came.map(|step| step.map(|step| step.action));
        assert_eq!(came, [Some(Action::Send(b"ab".to_vec())), Some(Action::Close)], "{then}");
    }
}

#[test]
fn an_end_that_was_looked_at_ahead_of_time_is_no_settled_one() {
    let late = "latency latency=100";
    let stretch = format!("{late} | timeout after=50 for=20");
    check(&stretch, &format!("0 send a; 20 set {late}; 30 send b"), "20 send a; 130 send b");
    let input = format!("0 send a; 20 set {stretch} | noop; 30 send b");
    check(&stretch, &input, "20 send a; 70 close");
    let begun = format!("{late} | timeout for=50");
    check(&begun, &format!("0 send a; 20 set {begun} | noop"), "20 send a; 50 close");
    // What has lost bytes ahead of time ends the connection with the change.
    let lost = format!("{late} | timeout after=50 for=60");
    check(&lost, &format!("0 send a; 30 send b; 40 set {late}; 50 send c"), "40 close");
}

#[test]
fn what_holds_an_end_for_ever_goes_on_to_hold_it() {
    let limit = "limit_data bytes=2 | hang name=h after_bytes=2";
    check(limit, &format!("0 send abc; 10 set {limit} | noop"), "0 send ab");
    let nothing = "limit_data bytes=0 | hang name=h";
    check(nothing, &format!("0 send a; 10 set {nothing} | noop; 20 set noop"), "20 close");
    for end in ["finish", "reset"] {
        let input = format!("5 {end}; 10 set hang | noop; 20 set ");
        check("hang", &input, &format!("20 {end}"));
    }
    // What came before it is held: so is the end, before and after a change.
    let held = "bandwidth rate=0 name=b";
    for change in ["", "10 set FAULTS | noop; "] {
        let faults = format!("timeout afterBytes=3 | {held}");
        let input = format!("0 send abc; {change}20 finish; 50 set noop");
        check(&faults, &input.replace("FAULTS", &faults), "50 send abc; 50 close");
        let input = format!("0 send abc; {change}20 reset; 50 set noop");
        check(held, &input.replace("FAULTS", held), "50 send abc; 50 reset");
    }
    let less = format!("limit_data bytes=3 | {held}");
    let input = format!("0 send abc; 20 set {less}; 30 send d; 40 set {less}; 50 set ");
    check(&format!("limit_data bytes=5 | {held}"), &input, "50 send abc; 50 close");
    let input = format!("0 send abcd; 10 set {held}; 50 set ");
    check(&format!("timeout afterBytes=3 | {held}"), &input, "50 send abc; 50 close");
}

#[test]
fn a_plan_goes_past_what_keeps_steps() {
    for keeper in ["bandwidth rate=1 scope=route", "loss loss=0"] {
        let check = |fault: &str, input: &str, expected: &str| {
            check(&format!("{fault} | {keeper}"), input, expected);
        };
        let input = "0 send a; 70 send b; 80 finish";
        check("timeout timeout=100 for=50", input, "50 close");
        check("lose_response for=10", input, "10 close");
        check("reset_peer timeout=20 for=10", input, "10 reset");
        check("timeout timeout=100", "0 send a; 60 send b", "160 close");
    }
}

#[test]
fn a_shadow_that_keeps_steps_holds_up_no_plan() {
    let shadow = "bandwidth rate=0 scope=route shadow=true";
    check(&format!("reset after_bytes=1 after=50 | {shadow}"), "0 send a", "0 send a; 50 reset");
}

#[test]
fn a_half_close_whose_stretch_ends_overtakes_nothing_that_is_kept() {
    let slow = "slow_close delay=100 for=50";
    let lossy = "loss loss=1 cc=none for=90";
    check(&format!("{slow} | {lossy}"), "0 send a; 1 finish", "90 send a; 90 finish");
    let line = "bandwidth rate=1B/s scope=route for=90";
    check(&format!("{slow} | {line}"), "0 send a; 1 finish", "90 send a; 90 finish");
}

#[test]
fn whose_end_it_is_is_known_of_each() {
    for keeper in ["loss loss=1 cc=none for=30", "bandwidth rate=1 scope=route", "noop"] {
        let mut pipeline = downstream(&format!("limit_data bytes=2 | {keeper}"));
        send(&mut pipeline, 0, "abc");
        pipeline.push(Step { at: at(1), action: Action::Reset });
        while let Some(due) = pipeline.next_due() {
            let Some(step) = pipeline.pop_due(due) else { continue };
            if is_end(&step.action) {
                assert_eq!((step.action, pipeline.is_ended_by_fault()), (Action::Close, true));
                break;
            }
        }
    }
}

#[test]
fn a_stretch_that_is_over_when_its_fault_is_added_is_no_stretch() {
    let all = "0 send a; 110 send b";
    for late in ["timeout for=5", "reset for=5", "timeout after=20 for=5"] {
        check("", &format!("0 send a; 100 set {late}; 110 send b"), all);
    }
    check("", "0 send a; 100 set timeout after=20 for=100; 110 send b", "0 send a; 120 close");
}

#[test]
fn a_greater_offset_begins_a_silence_anew() {
    let input = "0 send abc; 5 set hang after_bytes=5 for=100; 10 send defghij";
    check("hang after_bytes=1 for=100", input, "0 send a; 5 send bc; 10 send de; 110 close");
}

#[test]
fn lost_bytes_stay_counted_when_their_fault_becomes_a_shadow() {
    let mut pipeline = downstream("limit_data bytes=2 | bandwidth rate=0");
    send(&mut pipeline, 0, "abcdef");
    change(&mut pipeline, 10, "limit_data bytes=2 shadow=true | bandwidth rate=0");
    assert_eq!(pipeline.swallowed_bytes(), 4);
}
