//! Odds as tables, and against every request of a small world.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::Place;
use super::super::matching::{Glob, Net};
use super::super::pipeline::transcript::parse;
use super::super::too_much;
use super::*;
use crate::dice::{Dice, Key};
use crate::http::{Field, Fields};
use crate::units::{Ratio, Time};

/// `METHOD,METHOD PATH`, either of them `-` for any.
fn matching(text: &str) -> Match {
    let (methods, path) = text.split_once(' ').unwrap();
    Match {
        methods: methods.split(',').filter(|word| *word != "-").map(str::to_owned).collect(),
        path: Some(path).filter(|path| *path != "-").map(|path| Glob(path.into())),
        ..Match::default()
    }
}

fn percent(share: Share) -> String {
    let [from, to] = [share.from, share.to].map(|share| format!("{:.3}", share * 100.0));
    if from == to { from } else { format!("{from}..{to}") }
}

/// The faults as `pipeline::transcript` reads them; behind each there may be `group=1`, and
/// `for METHODS PATH`.
fn specs(faults: &str) -> Vec<Spec> {
    let one = |text: &str| {
        let (text, own) = match text.split_once(" for ") {
            Some((text, own)) => (text, Some(Arc::new(matching(own)))),
            None => (text, None),
        };
        let (text, group) = match text.split_once(" group=") {
            Some((text, group)) => (text, Some(group.parse().unwrap())),
            None => (text, None),
        };
        let mut spec = parse(text).remove(0);
        (spec.place, spec.among.matching, spec.among.one_of) = (Place::Exchange, own, group);
        spec
    };
    faults.split(" | ").map(one).collect()
}

#[track_caller]
fn check(faults: &str, expected: &str) {
    let (stands, untouched) = odds(&specs(faults), None);
    let told = stands.iter().map(|stand| match stand {
        Stand::Acts(own) => percent(*own),
        other => format!("{other:?}"),
    });
    let told = format!("{} / {}", told.collect::<Vec<_>>().join(" "), percent(untouched));
    assert_eq!(told, expected, "{faults}");
}

#[test]
fn independent_faults_multiply() {
    check("http_error p=20%", "20.000 / 80.000");
    let three = "http_error p=20% | http_timeout p=10% | http_delay p=50%";
    check(three, "20.000 8.000 50.000 / 36.000");
    // A later phase is only for what was not aborted, and one end is the end.
    let ends = "lose_response p=50% | partial_response p=50% | http_error p=20%";
    check(ends, "40.000 20.000 20.000 / 20.000");
    check("http_error p=20% shadow=1 | http_timeout p=10%", "20.000 10.000 / 90.000");
    let limited = "rate_limit | http_error p=20% enabled=false";
    check(limited, "Limits Idle(\"it is not enabled\") / 100.000");
}

#[test]
fn those_of_a_group_are_totals() {
    let three = "http_error p=20% group=1 | http_timeout p=10% group=1 | lose_response p=30%";
    check(three, "20.000 10.000 21.000 / 49.000");
    check(&format!("{three} group=1"), "20.000 10.000 30.000 / 40.000");
}

#[test]
fn what_never_meets_takes_nothing() {
    let two = "http_error p=20% for GET - | http_timeout p=10% for POST -";
    check(two, "20.000 10.000 / 80.000..100.000");
    let paths = "http_error p=20% for - /a/* | http_timeout p=10% for - /b/*";
    check(paths, "20.000 10.000 / 80.000..100.000");
    // One that is for both meets at most one of them.
    let third = format!("{two} | connection_error p=50%");
    check(&third, "20.000 10.000 40.000..50.000 / 40.000..50.000");
}

#[test]
fn what_always_meets_takes_its_share() {
    check("http_error p=20% | http_timeout p=10% for GET -", "20.000 8.000 / 72.000..80.000");
    let wider = "http_error p=20% for GET,POST /a* | http_timeout p=10% for GET /a/b";
    check(wider, "20.000 8.000 / 72.000..100.000");
}

#[test]
fn what_may_meet_gives_a_range() {
    let two = "http_error p=20% for GET - | http_timeout p=10% for - /a/*";
    check(two, "20.000 8.000..10.000 / 72.000..100.000");
    check(
        "http_error p=20% for GET - | http_timeout p=10%",
        "20.000 8.000..10.000 / 72.000..90.000",
    );
}

#[test]
fn a_group_may_have_matches() {
    // The roll is one, and each has its own part of it, whichever of them match.
    let two = "http_error p=20% group=1 for GET - | http_timeout p=10% group=1";
    check(two, "20.000 10.000 / 70.000..90.000");
    let apart = "http_error p=60% group=1 for GET - | http_timeout p=40% group=1 for POST -";
    check(apart, "60.000 40.000 / 40.000..100.000");
    let later = format!("{apart} | lose_response p=50%");
    check(&later, "60.000 40.000 20.000..50.000 / 20.000..50.000");
    // Two groups that are for no request in common.
    let groups = "http_error p=20% group=1 for GET /a | http_timeout p=10% group=1 for GET /b | \
                  http_error p=30% group=2 for POST - | lose_response p=50%";
    check(groups, "20.000 10.000 30.000 35.000..50.000 / 35.000..50.000");
}

/// What random faults are made of.
struct Random(Dice);

impl Random {
    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.0.between(0, from.len() as u64 - 1) as usize]
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.0.between(1, n) == 1
    }

    fn matching(&mut self) -> Match {
        let mut own = Match::default();
        let glob = |text: &str| Glob(text.to_owned());
        let methods: [&[&str]; 4] = [&[], &["GET"], &["POST"], &["POST", "GET"]];
        own.methods = self.pick(&methods).iter().map(|word| (*word).to_owned()).collect();
        if self.one_in(2) {
            own.path = Some(glob(self.pick(&["/*", "/a", "/a/*", "/a/b", "*b", "/c*", "/a*b"])));
        }
        if self.one_in(4) {
            own.headers = vec![(self.pick(&["x", "X"]).into(), glob(self.pick(&["*", "1", "2"])))];
        }
        if self.one_in(4) {
            own.query = vec![("q".into(), glob(self.pick(&["*", "1", "2"])))];
        }
        let bounds = [&None, &None, &None, &Some(0), &Some(5), &Some(6)];
        (own.min_body, own.max_body) = (*self.pick(&bounds), *self.pick(&bounds));
        let nets: [&[&str]; 5] =
            [&[], &[], &["10.0.0.0/8"], &["10.0.0.0/16", "::1"], &["10.1.0.0/16"]];
        own.source_ips = self.pick(&nets).iter().map(|net| Net::parse(net).unwrap()).collect();
        own
    }

    fn faults(&mut self) -> Vec<Spec> {
        let kinds = [
            "http_error",
            "http_error phase=after",
            "http_delay",
            "http_timeout",
            "lose_response",
            "partial_response",
            "rate_limit",
        ];
        let mut faults: Vec<Spec> = Vec::new();
        for _ in 0..self.0.between(1, 6) {
            let mut spec = parse(self.pick(&kinds)).remove(0);
            spec.place = Place::Exchange;
            spec.probability = Ratio::new(*self.pick(&[&0.0, &0.2, &0.3, &0.5, &1.0])).unwrap();
            spec.how.enabled = !self.one_in(12);
            spec.how.mode = if self.one_in(12) { Mode::Shadow } else { Mode::Act };
            spec.among.matching = (!self.one_in(3)).then(|| Arc::new(self.matching()));
            spec.among.one_of = *self.pick(&[&None, &None, &Some(1), &Some(2)]);
            faults.push(spec);
            let of = |group| faults.iter().filter(move |spec| spec.among.one_of == Some(group));
            if [1, 2].into_iter().any(|group| too_much(of(group)).is_some()) {
                faults.pop();
            }
        }
        faults
    }
}

/// Calls `see` with every request of a small world.
fn each_request(see: &mut dyn FnMut(&Facts<'_>)) {
    let field = |value: &str| Field { name: "x".into(), value: value.into() };
    let fields = [&[][..], &["1"], &["2"], &["1", "2"]];
    let fields = fields.map(|all| Fields(all.iter().map(|value| field(value)).collect()));
    let peers: [IpAddr; 3] = [[10, 0, 0, 1].into(), [10, 1, 0, 1].into(), [0u16; 8].into()];
    for method in ["GET", "POST", "PUT"] {
        for path in ["/", "/a", "/a/b", "/a/c", "/c", "/cb"] {
            for query in [None, Some("q=1"), Some("q=2"), Some("q=1&q=2")] {
                for fields in &fields {
                    for body_bytes in [None, Some(0), Some(5), Some(6)] {
                        for peer in peers {
                            let age = Time::ZERO;
                            see(&Facts { method, path, query, fields, body_bytes, peer, age });
                        }
                    }
                }
            }
        }
    }
}

fn random(number: u64) -> Random {
    let key = Key { route: "odds", connection: number, direction: "", fault: "" };
    Random(Dice::new(42, &key))
}

/// True when `exact` is in the range, but for what rounding takes away.
fn is_in(exact: Share, range: Share) -> bool {
    range.from <= exact.to + 1e-9 && exact.from <= range.to + 1e-9
}

#[test]
fn every_request_is_in_the_range() {
    let (mut asked, mut exact_ones) = (0, 0);
    for number in 0..40 {
        let faults = random(number).faults();
        let (ranges, range) = odds(&faults, None);
        each_request(&mut |facts| {
            let (stands, untouched) = odds(&faults, Some(facts));
            assert!(is_in(untouched, range), "{facts:?} {faults:?}");
            for (stand, wide) in stands.iter().zip(&ranges) {
                match (stand, wide) {
                    (Stand::Acts(exact), Stand::Acts(range)) => {
                        assert!(is_in(*exact, *range), "{exact:?} {range:?} {facts:?} {faults:?}");
                        asked += 1;
                        exact_ones += u32::from(range.to - range.from < 1e-9);
                    }
                    (Stand::Idle(_), _) => {}
                    (stand, wide) => assert_eq!(stand, wide),
                }
            }
        });
    }
    assert!(exact_ones > asked / 4 && exact_ones < asked, "{exact_ones} of {asked}");
}

#[test]
fn what_is_certain_of_two_matches_holds_for_every_request() {
    let mut found = [0; 2];
    for number in 0..400 {
        let mut random = random(number);
        let (a, b) = (random.matching(), random.matching());
        let (covers, excludes) = (a.covers(&b), a.excludes(&b));
        if !covers && !excludes {
            continue;
        }
        found[usize::from(covers)] += 1;
        each_request(&mut |facts| {
            let [is_a, is_b] = [&a, &b].map(|own| own.unmet(facts).is_none());
            assert!(!covers || is_a || !is_b, "{a:?} covers {b:?}: {facts:?}");
            assert!(!excludes || !is_a || !is_b, "{a:?} excludes {b:?}: {facts:?}");
        });
    }
    assert!(found.iter().all(|count| *count > 20), "{found:?}");
}

#[test]
fn what_a_trigger_leaves_to_others_is_a_range() {
    for trigger in ["nth=3", "every=2", "first=5", "times=2", "after=10", "for=10"] {
        let faults = format!("partial_response {trigger} | lose_response p=0.5");
        check(&faults, "100.000 0.000..50.000 / 0.000..50.000");
    }
}
