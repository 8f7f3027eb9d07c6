//! The pipeline's rules as transcripts, and a property test over random pipelines.

use super::transcript::{OWNER, check, parse, run};
use super::*;
use crate::dice::{Dice, Key};
use crate::fault::attr::Attrs;
use crate::fault::{Fault, Kind, Level, Mode};
use crate::units::Span;

#[test]
fn nothing_configured_changes_nothing() {
    check("", "0 send a; 5 send b; 5 finish", "0 send a; 5 send b; 5 finish");
    check("", "3 reset", "3 reset");
    let pipeline = Pipeline::for_direction(&OWNER, Direction::Upstream, &[], Time::ZERO);
    assert!(pipeline.is_pass_through());
}

#[test]
fn bytes_and_half_close_never_overtake() {
    let input = "0 send a; 10 set latency latency=5; 11 send b; 12 finish";
    check("latency latency=100", input, "10 send a; 16 send b; 16 finish");
}

#[test]
fn an_end_from_the_peer_waits_for_the_bytes_before_it() {
    check("latency latency=50", "0 send a; 20 reset", "50 send a; 50 reset");
    check("latency latency=50", "0 send a; 90 close", "50 send a; 90 close");
    check("latency latency=50 | latency latency=50", "0 send a; 20 reset", "100 send a; 100 reset");
}

/// A fault for these tests: swallows `x`, and plans an end some time after each other chunk.
struct Planner;

static PLANNER: Kind = Kind {
    name: "planner",
    about: "for tests",
    level: Level::Stream,
    attrs: &[],
    build: || Box::new(Planner),
};

impl Fault for Planner {
    fn retune(&mut self, _: &Attrs) {}

    fn apply(&mut self, step: Step, _: &mut Dice, out: &mut Vec<Step>) {
        match &step.action {
            Action::Send(bytes) if bytes == b"x" => {}
            Action::Send(bytes) if bytes == b"never" => {
                out.push(Step { at: Time::NEVER, action: Action::Close });
            }
            Action::Send(_) => {
                let at = step.at + Span::from_ms(30);
                out.push(step);
                out.push(Step { at, action: Action::Reset });
            }
            Action::Open => {
                out.push(Step { at: step.at + Span::from_ms(70), action: Action::Close })
            }
            _ => out.push(step),
        }
    }
}

fn planner_then(faults: &str) -> Vec<Spec> {
    let planner = Spec::new("planner", &PLANNER, Place::One(Direction::Downstream));
    let mut specs = parse(faults);
    specs.insert(0, planner);
    specs
}

fn drain(pipeline: &mut Pipeline) -> Vec<(u64, Action)> {
    let mut steps = Vec::new();
    while let Some(due) = pipeline.next_due() {
        let came = pipeline.pop_due(due);
        steps.extend(came.map(|step| ((step.at - Time::ZERO).as_ms(), step.action)));
    }
    steps
}

fn send(pipeline: &mut Pipeline, ms: u64, bytes: &[u8]) {
    pipeline
        .push(Step { at: Time::ZERO + Span::from_ms(ms), action: Action::Send(bytes.to_vec()) });
}

fn downstream(specs: &[Spec]) -> Pipeline {
    Pipeline::for_direction(&OWNER, Direction::Downstream, specs, Time::ZERO)
}

#[test]
fn a_planned_end_cuts_off_later_bytes() {
    let mut pipeline = downstream(&parse("latency latency=100"));
    pipeline.stages.extend(downstream(&planner_then("")).stages);
    send(&mut pipeline, 0, b"a");
    let expected = vec![(100, Action::Send(b"a".to_vec())), (130, Action::Reset)];
    assert_eq!(drain(&mut pipeline), expected);
    assert_eq!(pipeline.queued_bytes(), 0);
}

#[test]
fn an_end_decided_before_a_delay_line_waits_in_it() {
    let mut pipeline = downstream(&planner_then("latency latency=100"));
    send(&mut pipeline, 0, b"a");
    // The planner decides on the reset for 30; in the delay line it waits for the byte before it.
    let expected = vec![(100, Action::Send(b"a".to_vec())), (100, Action::Reset)];
    assert_eq!(drain(&mut pipeline), expected);
}

#[test]
fn ties_keep_arrival_order() {
    let mut pipeline = downstream(&planner_then(""));
    send(&mut pipeline, 0, b"a"); // plans a reset at 30
    pipeline.stages.clear();
    send(&mut pipeline, 30, b"b"); // due at 30 too, but decided on later: cut off
    assert_eq!(drain(&mut pipeline), vec![(0, Action::Send(b"a".to_vec())), (30, Action::Reset)]);
}

#[test]
fn a_newer_plan_replaces_the_older_one_and_never_takes_it_back() {
    let mut pipeline = downstream(&planner_then(""));
    assert_eq!(pipeline.next_due(), Some(Time::ZERO + Span::from_ms(70)));
    send(&mut pipeline, 0, b"a");
    send(&mut pipeline, 20, b"b");
    assert_eq!(pipeline.ends.len(), 1);
    send(&mut pipeline, 21, b"never");
    let steps = drain(&mut pipeline);
    assert_eq!(steps.len(), 2, "both chunks, no end: {steps:?}");
}

#[test]
fn a_stalled_target_holds_up_no_cut_but_bytes_come_before_their_own_close() {
    let mut pipeline = downstream(&planner_then(""));
    send(&mut pipeline, 0, b"a"); // plans a reset at 30
    assert_eq!(pipeline.next_cut(), Some(Time::ZERO + Span::from_ms(30)));
    assert_eq!(pipeline.pop_due_cut(Time(29_999_999)), None);
    let cut = pipeline.pop_due_cut(Time(30_000_000)).map(|step| step.action);
    assert_eq!((cut, pipeline.next_due()), (Some(Action::Reset), None));
    let mut pipeline = downstream(&parse("latency latency=50"));
    send(&mut pipeline, 0, b"a");
    pipeline.push(Step { at: Time(1), action: Action::Close });
    assert_eq!((pipeline.next_cut(), pipeline.pop_due_cut(Time(60_000_000))), (None, None));
    assert_eq!(drain(&mut pipeline).len(), 2, "the byte, then the close");
}

#[test]
fn nothing_is_due_early() {
    let mut pipeline = downstream(&parse("latency latency=10"));
    send(&mut pipeline, 0, b"a");
    assert_eq!(pipeline.pop_due(Time(9_999_999)), None);
    assert!(pipeline.pop_due(Time(10_000_000)).is_some());
}

#[test]
fn a_change_flushes_forgets_and_replays() {
    let mut pipeline = downstream(&planner_then("latency latency=100"));
    send(&mut pipeline, 0, b"a");
    let now = Time::ZERO + Span::from_ms(10);
    pipeline.retune(now, &OWNER, &planner_then("latency latency=100"));
    let steps = drain(&mut pipeline);
    // The bytes leave at 10, the reset of 30 is forgotten, the replayed Open plans 10 + 70.
    assert_eq!(steps, vec![(10, Action::Send(b"a".to_vec())), (80, Action::Close)]);
}

#[test]
fn a_change_of_another_fault_frees_nothing_that_is_held_for_ever() {
    let cut = "bandwidth rate=0 name=cut";
    let with_another = format!("latency latency=50 name=l | {cut}");
    let input = format!("0 send a; 5 finish; 10 set {with_another}; 20 set {cut}; 30 set ");
    check(cut, &input, "30 send a; 30 finish");
    let input = format!("0 send a; 10 set {with_another}; 20 send b; 30 set latency name=l");
    check(cut, &input, "30 send a; 30 send b");
    // What another fault delays does leave, and a hang counts its time anew.
    let hang = "hang after_bytes=1 for=100 then=reset name=h";
    let input = format!("0 send ab; 10 set {hang} | noop; 20 send c");
    check(&format!("latency latency=5 | {hang}"), &input, "5 send a; 110 reset");
    check("bandwidth rate=0", "0 send a; 10 set bandwidth rate=1", "10 send a");
}

#[test]
fn removing_everything_makes_it_a_pass_through_again() {
    let mut pipeline = downstream(&parse("latency latency=100"));
    send(&mut pipeline, 0, b"a");
    pipeline.retune(Time(1), &OWNER, &[]);
    assert!(!pipeline.is_pass_through(), "a byte still waits");
    assert!(pipeline.pop_due(Time(1)).is_some());
    assert!(pipeline.is_pass_through());
}

#[test]
fn a_fault_that_stays_keeps_its_lot_and_its_dice() {
    let half = "latency latency=100 jitter=50 p=0.5 name=l";
    for connection in 1..50 {
        let owner = Owner { connection, ..OWNER };
        let mut pipeline =
            Pipeline::for_direction(&owner, Direction::Downstream, &parse(half), Time::ZERO);
        let before = pipeline.is_pass_through();
        let with_another = format!("{half} | latency latency=0 p=0 name=m");
        pipeline.retune(Time(5), &owner, &parse(&with_another));
        assert_eq!(pipeline.is_pass_through(), before, "connection {connection}");
    }
}

#[test]
fn a_lost_lot_is_a_pass_through() {
    check("latency latency=100 p=0", "0 send a", "0 send a");
    check("latency latency=100 p=1", "0 send a", "100 send a");
}

#[test]
fn a_disabled_fault_is_idle_and_its_change_is_live() {
    check("latency latency=100 enabled=false", "0 send a", "0 send a");
    let input = "0 send a; 5 set latency latency=100 enabled=true; 10 send b";
    check("latency latency=100 enabled=false", input, "0 send a; 110 send b");
    check("timeout", "0 send a; 5 set timeout enabled=false", "5 close");
}

#[test]
fn a_shadow_reports_and_does_nothing() {
    let story = "0 send a; 5 send b; 6 finish";
    for fault in ["latency latency=100", "timeout timeout=9", "reset", "limit_data", "hang"] {
        check(&format!("{fault} shadow=true"), story, story);
        check(
            &format!("{fault} shadow=true"),
            "0 send a; 9 set ; 10 send b",
            "0 send a; 10 send b",
        );
    }
    let mut pipeline = downstream(&parse("limit_data bytes=1 shadow=true"));
    send(&mut pipeline, 0, b"ab");
    let told = pipeline.take_effects();
    let deeds: Vec<Deed> = told.iter().map(|effect| effect.deed).collect();
    assert_eq!(deeds, [Deed::Closed, Deed::Swallowed(1)]);
    assert!(told.iter().all(|effect| effect.shadow));
}

/// The numbers below 10 of the connections on which a fault acts.
fn acts_on(fault: &str) -> Vec<u64> {
    let specs = parse(fault);
    let acts = |connection: &u64| {
        let owner = Owner { connection: *connection, ..OWNER };
        let direction = Direction::Downstream;
        !Pipeline::for_direction(&owner, direction, &specs, Time::ZERO).is_pass_through()
    };
    (1..10).filter(acts).collect()
}

#[test]
fn triggers_choose_connections_by_number() {
    assert_eq!(acts_on("noop nth=3"), [3]);
    assert_eq!(acts_on("noop every=3"), [3, 6, 9]);
    assert_eq!(acts_on("noop first=3"), [1, 2, 3]);
    assert_eq!(acts_on("noop every=2 first=5"), [2, 4]);
    assert_eq!(acts_on("noop every=2 nth=3"), [0; 0]);
    assert_eq!(acts_on("noop first=3 p=0"), [0; 0]);
    // A trigger takes no draw: which of the connections win does not change.
    let winners = acts_on("noop p=0.5");
    let even: Vec<u64> = winners.into_iter().filter(|n| n % 2 == 0).collect();
    assert_eq!(acts_on("noop p=0.5 every=2"), even);
}

#[test]
fn a_shadow_keeps_no_more_than_its_bound() {
    let mut pipeline = downstream(&parse("loss loss=1 cc=none shadow=true"));
    let chunk = vec![0; 1 << 20];
    for n in 0..40 {
        send(&mut pipeline, n, &chunk);
        assert_eq!(drain(&mut pipeline).len(), 1, "the original goes on at once");
    }
    assert!(pipeline.stages[0].kept_bytes() <= 1 << 20);
}

#[test]
fn exact_sampling_is_exact_and_evenly_spread() {
    for (share, hits) in [(0.5, 500), (0.3, 300), (0.001, 1), (1.0, 1000), (0.0, 0)] {
        let specs = parse(&format!("noop p={share:?} sampling=exact"));
        let acts = |connection: u64| {
            let owner = Owner { connection, ..OWNER };
            let direction = Direction::Downstream;
            !Pipeline::for_direction(&owner, direction, &specs, Time::ZERO).is_pass_through()
        };
        let lots: Vec<bool> = (1..=1000).map(acts).collect();
        assert_eq!(lots.iter().filter(|acts| **acts).count(), hits, "{share}");
        for tenth in lots.chunks(100) {
            let count = tenth.iter().filter(|acts| **acts).count() as i64;
            assert!((count - hits as i64 / 10).abs() <= 1, "{share}: {count} of 100");
        }
    }
}

/// How often the fault acts in 20,000 connections, decided without a socket.
fn hits(fault: &str) -> f64 {
    let specs = parse(fault);
    let acts = |connection: &u64| {
        let owner = Owner { connection: *connection, ..OWNER };
        let direction = Direction::Downstream;
        !Pipeline::for_direction(&owner, direction, &specs, Time::ZERO).is_pass_through()
    };
    (1..=20_000).filter(acts).count() as f64
}

#[test]
fn shares_hold_within_four_sigma_and_exact_ones_exactly() {
    for share in [0.01, 0.3, 0.5, 0.99] {
        let sigma = (20_000.0_f64 * share * (1.0 - share)).sqrt();
        let off = hits(&format!("noop p={share}")) - 20_000.0 * share;
        assert!(off.abs() < 4.0 * sigma, "{share}: {off} off, sigma {sigma}");
        assert_eq!(hits(&format!("noop p={share} sampling=exact")), 20_000.0 * share, "{share}");
    }
}

/// A chunk each millisecond: a delay line holds what came within its delay, however long it runs.
#[test]
fn a_delay_line_does_not_pile_up() {
    let mut pipeline = downstream(&parse("latency latency=50"));
    for ms in 0..2_000 {
        send(&mut pipeline, ms, &[7; 1000]);
        let now = Time::ZERO + Span::from_ms(ms);
        let left = pipeline.pop_due(now).map(|step| step.at);
        assert_eq!(left, (ms >= 50).then_some(now), "each exactly 50 ms after it came");
        assert!(pipeline.queued_bytes() <= 50_000, "{ms} ms: {}", pipeline.queued_bytes());
    }
}

#[test]
fn the_bound_is_told_one_step_past_it() {
    let mut pipeline = downstream(&parse("latency latency=100"));
    let chunk = vec![0; (1 << 20) - STEP_OVERHEAD_BYTES];
    for _ in 0..31 {
        send(&mut pipeline, 0, &chunk);
    }
    send(&mut pipeline, 0, &chunk[1..]);
    assert!(!pipeline.is_full());
    send(&mut pipeline, 0, b"x");
    assert!(pipeline.is_full());
    assert_eq!(pipeline.queued_bytes(), 32 * chunk.len());
    drain(&mut pipeline);
    assert!(!pipeline.is_full());
}

#[test]
fn first_deeds_are_told_once_and_totals_add_up() {
    let mut pipeline = downstream(&planner_then("latency latency=100"));
    pipeline.take_effects();
    send(&mut pipeline, 0, b"a");
    send(&mut pipeline, 1, b"x");
    send(&mut pipeline, 2, b"x");
    send(&mut pipeline, 50, b"b");
    let deeds: Vec<Deed> = pipeline.take_effects().iter().map(|effect| effect.deed).collect();
    assert_eq!(deeds, [Deed::Delayed(Span::from_ms(100)), Deed::Swallowed(1)]);
    let totals: Vec<Total> = pipeline.totals().into_iter().map(|(_, total)| total).collect();
    let swallowed = Total { swallowed_bytes: 2, ..Total::default() };
    let delayed = Total {
        delayed_steps: 2,
        delayed: Span::from_ms(200),
        swallowed_bytes: 0,
        changed_bytes: 0,
    };
    assert_eq!(totals, [swallowed, delayed]);
}

#[test]
fn what_a_shadow_would_have_done_is_not_counted_when_it_acts() {
    for (fault, swallowed, changed) in [("timeout", 1, 0), ("corrupt per_mib=1048576", 0, 1)] {
        let specs = |shadow: &str| parse(&format!("{fault} name=f{shadow}"));
        let mut pipeline = downstream(&specs(" shadow=true"));
        send(&mut pipeline, 0, b"abc");
        pipeline.retune(Time(1), &OWNER, &specs(""));
        send(&mut pipeline, 1, b"d");
        let told: Vec<(bool, u64, u64)> = pipeline
            .totals()
            .iter()
            .map(|(spec, total)| (spec.how.mode == Mode::Shadow, total))
            .map(|(shadow, total)| (shadow, total.swallowed_bytes, total.changed_bytes))
            .collect();
        let before = (true, swallowed * 3, changed * 3);
        assert_eq!(told, [before, (false, swallowed, changed)], "{fault}");
    }
}

#[test]
fn what_a_removed_fault_did_is_told_at_the_end_up_to_a_bound() {
    let slow = |name: usize| parse(&format!("latency latency=10 name=slow{name}"));
    let mut pipeline = downstream(&slow(0));
    send(&mut pipeline, 0, b"a");
    // Removed, put back and removed again: one sum.
    for _ in 0..2 {
        pipeline.retune(Time(1), &OWNER, &[]);
        let kept = pipeline.totals();
        assert_eq!((kept.len(), kept[0].0.name.as_str()), (1, "slow0"));
        pipeline.retune(Time(1), &OWNER, &slow(0));
        send(&mut pipeline, 1, b"b");
    }
    assert_eq!(pipeline.totals().len(), 1);
    assert_eq!(pipeline.totals()[0].1.delayed_steps, 3);
    for name in 1..=GONE_TOTALS_MAX + 1 {
        pipeline.retune(Time(2), &OWNER, &slow(name));
        send(&mut pipeline, 2, b"c");
    }
    // The bound, and the one that acts now; the oldest was forgotten.
    let kept = pipeline.totals();
    assert_eq!((kept.len(), kept[0].0.name.as_str()), (GONE_TOTALS_MAX + 1, "slow1"));
    pipeline.retune(Time(3), &OWNER, &[]);
    assert_eq!(pipeline.totals().len(), GONE_TOTALS_MAX);
}

/// Random faults, random arrivals, random live changes: bytes stay intact and in order, nothing
/// is due early, and the same seed tells the same story.
#[test]
fn random_pipelines_keep_the_rules() {
    for seed in 0..400 {
        let (faults, input) = random_story(seed);
        let output = run(&faults, &input);
        let story = format!("seed {seed}: {faults}: {input}\n{output}");
        assert_eq!(output, run(&faults, &input), "same twice: {story}");
        // Each byte with its time, whatever the chunks.
        let bytes = |text: &str| -> Vec<(u64, char)> {
            let lines = text.split("; ").filter(|line| line.contains(" send "));
            let chunk = |line: &str| line.split(' ').nth(2).expect("bytes").to_owned();
            let timed = |line| (super::transcript::at_ns(line), chunk(line));
            let each = lines
                .map(timed)
                .flat_map(|(at, chunk)| chunk.chars().map(|byte| (at, byte)).collect::<Vec<_>>());
            each.collect()
        };
        let (came, left) = (bytes(&input), bytes(&output));
        let values =
            |bytes: &[(u64, char)]| bytes.iter().map(|(_, byte)| *byte).collect::<String>();
        assert_eq!(values(&left), values(&came), "{story}");
        assert!(left.is_sorted_by_key(|(at, _)| *at), "{story}");
        assert!(came.iter().zip(&left).all(|(came, left)| came.0 <= left.0), "early: {story}");
        assert!(output.ends_with("finish"), "{story}");
    }
}

/// The faults to begin with and the steps that come.
fn random_story(seed: u64) -> (String, String) {
    let key = Key { route: "story", connection: seed, direction: "-", fault: "-" };
    let mut dice = Dice::new(seed, &key);
    let faults = |dice: &mut Dice| -> String {
        let count = dice.between(0, 3);
        let one = |dice: &mut Dice| {
            let (low, high, small) = (dice.between(0, 80), dice.between(1, 40), dice.between(0, 3));
            let fault = match dice.between(0, 9) {
                0 => "noop".to_owned(),
                1 => format!("slow_close delay={low}"),
                2 => format!("slicer average_size={small} size_variation={high} delay={low}"),
                3 => format!("bandwidth rate={high} burst={low}"),
                4 => format!("bandwidth rate={high}B/s"),
                5 => format!("loss loss={low}% rtt={high} mss=64 rto_min={small}"),
                6 => format!("hang after_bytes={low} for={high} then=resume"),
                7 => format!("reset after_bytes={small} shadow=true"),
                8 => format!("latency latency={low} jitter={high} distribution=pareto"),
                _ => format!("latency latency={low} jitter={high}"),
            };
            format!("{fault} p=0.{}", dice.between(1, 9))
        };
        (0..count).map(|_| one(dice)).collect::<Vec<_>>().join(" | ")
    };
    let first = faults(&mut dice);
    let mut at_us = 0;
    let mut lines = Vec::new();
    for n in 0..dice.between(1, 40) {
        at_us += dice.between(0, 3) * dice.between(0, 9_000);
        let at = format!("{}.{:03}", at_us / 1000, at_us % 1000);
        match dice.between(0, 9) {
            0 => lines.push(format!("{at} set {}", faults(&mut dice))),
            _ => lines.push(format!("{at} send chunk{n}")),
        }
    }
    lines.push(format!("{}.0 finish", at_us / 1000 + 1));
    (first, lines.join("; "))
}
