//! Messages and their faults, as transcripts: beside steps, `T message f0,f1` begins a message
//! for which these were drawn, `T message` one without, and `T set FAULTS` is a live change.

use super::super::pipeline::QUEUE_BYTES_MAX;
use super::super::pipeline::transcript::{OWNER, action, at_ns, is_end, parse, print};
use super::*;
use crate::dice::{Dice, Key};
use crate::units::Span;

fn message(number: u64, faults: &str) -> Drawn {
    let faults = faults.split(',').map(str::to_owned).collect();
    let message = Message { request: "GET /".into(), occurrence: number, faults };
    Drawn { number, message: Arc::new(message) }
}

fn bearings(faults: &[Spec]) -> Bearings<'_> {
    Bearings { owner: &OWNER, direction: Direction::Downstream, on_http: true, faults }
}

/// What comes out, everything popped as soon as it is due; and what it is left with.
fn run(faults: &str, input: &str) -> (String, Passage) {
    let mut specs = parse(faults);
    let mut passage = Passage::new(&bearings(&specs), Time::ZERO);
    let (mut output, mut number) = (Vec::new(), 0);
    for line in input.split("; ").filter(|line| !line.is_empty()) {
        let at = Time(at_ns(line));
        let mut words = line.splitn(3, ' ').skip(1);
        let (verb, rest) = (words.next().expect("a verb"), words.next().unwrap_or_default());
        while let Some(due) = passage.next_due().filter(|due| *due < at) {
            output.extend(passage.pop_due(due));
        }
        if output.iter().any(is_end) {
            break; // the shell looks no further
        }
        match verb {
            "set" => {
                specs = parse(rest);
                passage.retune(at, &bearings(&specs));
            }
            "message" => {
                number += 1;
                let drawn = Some(message(number, rest)).filter(|_| !rest.is_empty());
                passage.turn_to(at, &bearings(&specs), drawn.as_ref());
            }
            verb => passage.push(Step { at, action: action(verb, rest) }),
        }
    }
    while let Some(due) = passage.next_due() {
        output.extend(passage.pop_due(due));
    }
    let output = output.iter().map(print).collect::<Vec<_>>().join("; ");
    (output, passage)
}

#[track_caller]
fn check(faults: &str, input: &str, expected: &str) -> Passage {
    let (output, passage) = run(faults, input);
    assert_eq!(output, expected, "faults: {faults}\ninput:  {input}");
    passage
}

#[test]
fn only_the_messages_that_it_was_drawn_for_are_touched() {
    let late = "latency latency=100 p=0.5";
    let input = "0 send a; 10 message f0; 10 send b; 20 send c; 200 message; 200 send d";
    let passage = check(late, input, "0 send a; 110 send b; 120 send c; 200 send d");
    assert!(passage.is_pass_through());
    // One that does not choose acts on the connection, behind those of messages.
    let both = "latency latency=100 p=0.5 | latency latency=10";
    let expected = "10 send a; 120 send b; 130 send c; 210 send d";
    check(both, input, expected);
    check("latency latency=100", input, "100 send a; 110 send b; 120 send c; 300 send d");
    check(late, "0 message f0; 0 send a; 5 finish", "100 send a; 100 finish");
}

#[test]
fn offsets_budgets_and_timers_count_from_the_message() {
    let input = "0 message f0; 0 send abcd; 10 message f0; 10 send ef; 20 send gh";
    check("limit_data bytes=5 p=0.5", input, "0 send abcd; 10 send ef; 20 send gh");
    check("limit_data bytes=3 p=0.5", input, "0 send abc; 0 close");
    check("reset after_bytes=3 p=0.5", input, "0 send abc; 0 reset");
    let slow = "bandwidth rate=1 burst=2 p=0.5"; // kB/s: a byte takes 1 ms
    let two = "0 message f0; 0 send abcd; 1 message f0; 1 send efgh";
    check(slow, two, "2 send abcd; 4 send efgh");
    check(
        "latency latency=7 afterBytes=3 p=0.5",
        input,
        "0 send abc; 7 send d; 10 send ef; \
           20 send g; 27 send h",
    );
}

#[test]
fn nothing_overtakes_what_its_message_holds() {
    let input = "0 message f0; 0 send a; 5 message; 5 send b; 6 message f0; 6 send c; 7 finish";
    check("latency latency=100 p=0.5", input, "100 send a; 100 send b; 200 send c; 200 finish");
    check("bandwidth rate=0 p=0.5", input, "");
    let lossy = "loss loss=1 rtt=50 p=0.5";
    let passage = check(lossy, input, "");
    assert_eq!(passage.waiting.len(), 5, "behind a segment that never arrives");
    // Slices of the shared line are held, and so is what comes behind.
    let shared = "bandwidth rate=1 scope=route p=0.5";
    let input = "0 message f0; 0 send abc; 1 message; 1 send d; 2 finish";
    let (output, _) = run(shared, input);
    assert!(output.ends_with("3 send d; 3 finish"), "{output}");
}

#[test]
fn the_next_message_ends_what_the_faults_of_the_last_one_planned() {
    let later = "reset after_bytes=1 after=50 p=0.5";
    check(later, "0 message f0; 0 send ab", "0 send a; 50 reset");
    let input = "0 message f0; 0 send a; 10 message; 10 send b; 90 send c";
    check(later, input, "0 send a; 10 reset");
    check(later, "0 message; 0 send a; 10 message f0; 20 send bc", "0 send a; 20 send b; 70 reset");
    // Bytes that are missing end the connection; no timer has to.
    let passage = check("timeout timeout=50 p=0.5", input, "10 close");
    assert!(passage.is_ended_by_fault());
    assert_eq!(passage.swallowed_bytes(), 2, "one in the fault, one behind the end");
    check("timeout timeout=5 p=0.5", input, "5 close");
    check("slow_close delay=30 p=0.5", "0 message f0; 0 send a; 10 finish", "0 send a; 40 finish");
}

/// Whatever holds the end up: the next message waits for it, and does not pass behind it.
#[test]
fn a_stretch_that_is_over_when_the_message_begins_is_no_stretch() {
    let input = "0 message; 0 send a; 60 message f0; 60 send b";
    check("timeout for=5 p=0.5", input, "0 send a; 60 send b");
    check("timeout for=90 p=0.5", input, "0 send a; 90 close");
}

#[test]
fn an_end_that_is_settled_on_a_message_ends_the_connection() {
    let limit = "limit_data bytes=2 p=0.5";
    let input = "0 message f0,f1; 0 send abc; 10 message f0,f1; 10 send d; 300 send e";
    let passage =
        check(&format!("{limit} | latency latency=100 p=0.5"), input, "100 send ab; 100 close");
    assert_eq!(passage.swallowed_bytes(), 2, "c, and d behind the end");
    assert!(passage.is_ended_by_fault());
    let nothing = "limit_data bytes=0 p=0.5 | hang for=100 p=0.5";
    check(nothing, input, "100 close");
    let kept = "latency latency=100 p=0.5 | limit_data bytes=0 p=0.5 | \
                bandwidth rate=1 scope=route p=0.5";
    check(kept, "0 message f0,f1,f2; 0 send abc; 10 message; 10 send d", "100 close");
    // Behind the end, faults of the connection may be of any length.
    for seed in 0..50 {
        let jitter = format!("{limit} | latency latency=100 jitter=100 name=j{seed}");
        let (output, _) = run(&jitter, "0 message f0; 0 send abc; 30 message; 30 send d");
        assert!(output.contains(" send ab; ") && output.ends_with(" close"), "{output}");
    }
    let changes = "0 message f0,f1; 0 send abc; 5 set latency latency=100 name=f1 p=0.5; \
                   5 send d; 10 message; 10 send e";
    check(&format!("{limit} | latency latency=100 p=0.5"), changes, "5 send ab; 5 close");
}

#[test]
fn a_change_retunes_the_message_under_way_and_those_that_wait() {
    let input = "0 message f0; 0 send a; 5 message f0; 5 send b; \
                 20 set latency latency=50 p=0.1; 25 send c";
    check("latency latency=100 p=0.5", input, "20 send a; 70 send b; 75 send c");
    let gone = "0 message f0; 0 send a; 5 message f0; 5 send b; 20 set ; 25 send c";
    check("latency latency=100 p=0.5", gone, "20 send a; 20 send b; 25 send c");
    // One that chose and does not any more acts on the connection; that it was drawn is past.
    let always = "0 message f0; 0 send a; 20 set latency latency=50; 25 send b";
    check("latency latency=100 p=0.5", always, "20 send a; 75 send b");
    check("timeout p=0.5", "0 message f0; 0 send a; 9 set ", "9 close");
    // One that is drawn for none any more lets go of what it held.
    for held in ["hang", "bandwidth rate=0"] {
        let off = format!("0 message f0; 0 send a; 9 set {held} p=0; 10 send b");
        check(&format!("{held} p=0.5"), &off, "9 send a; 10 send b");
        let less = off.replace("p=0;", "p=0.1;");
        check(&format!("{held} p=0.5"), &less, "");
    }
}

#[test]
fn effects_tell_for_which_request() {
    let input = "0 message f0; 0 send a; 200 message f0; 200 send b; 400 message; 400 send c";
    let mut passage =
        check("latency latency=100 p=0.5 | noop", input, "100 send a; 300 send b; 400 send c");
    let told = passage.take_effects();
    let numbers = told.iter().map(|(drawn, _)| drawn.as_ref().map(|drawn| drawn.number));
    assert_eq!(numbers.collect::<Vec<_>>(), [Some(1), Some(2)]);
    let totals = passage.totals();
    assert_eq!((totals.len(), totals[0].1.delayed_steps), (1, 2), "{totals:?}");
}

#[test]
fn the_dice_of_a_message_are_keyed_by_its_request() {
    let jitter = "latency latency=100 jitter=50 p=0.5";
    let out = |input: &str| run(jitter, input).0;
    let first = out("0 message f0; 0 send a");
    assert_eq!(first, out("0 message f0; 0 send a"));
    let second = out("0 message; 0 message f0; 0 send a");
    assert_ne!(first, second, "another occurrence");
}

#[test]
fn what_waits_counts_against_the_bound() {
    let specs = parse("hang p=0.5");
    let mut passage = Passage::new(&bearings(&specs), Time::ZERO);
    passage.turn_to(Time::ZERO, &bearings(&specs), Some(&message(1, "f0")));
    let chunk = || Step { at: Time::ZERO, action: Action::Send(vec![0; QUEUE_BYTES_MAX / 2]) };
    passage.push(chunk());
    passage.turn_to(Time::ZERO, &bearings(&specs), None);
    assert!(!passage.is_full());
    passage.push(chunk());
    assert!(passage.is_full(), "half of it in the pipeline, half behind");
}

/// A slow line holds what it needs to be busy, so that its sender feels how slow it is.
#[test]
fn what_may_be_held_depends_on_the_faults() {
    let holds = |faults: &str| {
        let specs = parse(faults);
        let mut passage = Passage::new(&bearings(&specs), Time::ZERO);
        passage.turn_to(Time::ZERO, &bearings(&specs), Some(&message(1, "f0")));
        let mut count = 0;
        while !passage.is_full() {
            let action = Action::Send(vec![0; 1024 - STEP_OVERHEAD_BYTES]);
            passage.push(Step { at: Time::ZERO, action });
            passage.turn_to(Time::ZERO, &bearings(&specs), None);
            count += 1;
        }
        count
    };
    for faults in ["bandwidth rate=1 p=0.5", "bandwidth rate=1", "bandwidth rate=0"] {
        assert!((50..=96).contains(&holds(faults)), "{faults}: {} KiB", holds(faults));
    }
    let fast = holds("bandwidth rate=20480"); // in KB/s: a twentieth of it
    assert!((900..=1_024).contains(&fast), "{fast} KiB");
    for faults in ["latency latency=9 | bandwidth rate=1", "hang", "loss loss=1", "slicer delay=9"]
    {
        let kib = holds(faults) as usize;
        assert!((20 << 10..=36 << 10).contains(&kib), "{faults}: {kib} KiB");
    }
}

/// Whatever is drawn for which message: faults that damage nothing leave the bytes as they were.
#[test]
fn random_messages_keep_their_bytes() {
    let all = "latency latency=9 jitter=9 p=0.5 | bandwidth rate=3 p=0.5 | loss loss=20% rtt=5 \
               p=0.5 | slicer average_size=3 delay=900 p=0.5 | bandwidth scope=route rate=2 p=0.5 \
               | latency latency=4 afterBytes=2 p=0.5 | latency latency=3";
    let specs = parse(all);
    for seed in 0..200 {
        let key = Key { route: "r", connection: seed, direction: "downstream", fault: "random" };
        let mut dice = Dice::new(7, &key);
        let mut passage = Passage::new(&bearings(&specs), Time::ZERO);
        let (mut now, mut sent, mut came) = (Time::ZERO, Vec::<u8>::new(), Vec::<u8>::new());
        let mut pop = |passage: &mut Passage, now: Time| {
            while let Some(due) = passage.next_due().filter(|due| *due <= now) {
                if let Some(Step { action: Action::Send(bytes), .. }) = passage.pop_due(due) {
                    came.extend(bytes);
                }
            }
        };
        for number in 1..20 {
            let faults: Vec<&str> = specs
                .iter()
                .filter(|spec| spec.chooses() && dice.between(0, 2) == 0)
                .map(|spec| &*spec.name)
                .collect();
            let drawn = Some(message(number, &faults.join(","))).filter(|_| !faults.is_empty());
            passage.turn_to(now, &bearings(&specs), drawn.as_ref());
            for _ in 0..dice.between(1, 3) {
                let bytes: Vec<u8> = (0..dice.between(1, 9)).map(|_| sent.len() as u8).collect();
                sent.extend(&bytes);
                passage.push(Step { at: now, action: Action::Send(bytes) });
                now = now + Span::from_ms(dice.between(0, 9));
                pop(&mut passage, now);
            }
            if dice.between(0, 9) == 0 {
                passage.retune(now, &bearings(&specs));
            }
        }
        pop(&mut passage, Time(u64::MAX - 1));
        assert_eq!(came, sent, "seed {seed}");
    }
}
