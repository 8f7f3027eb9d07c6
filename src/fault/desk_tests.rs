//! Decisions on exchanges: orders, counts, shares, and that threads change nothing.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::attr::Value;
use super::super::course::{Abort, Corruption, CorruptionKind, Edit, Lose, Malformed, Partial};
use super::super::matching::{Glob, Match};
use super::super::odds::{Stand, odds};
use super::super::pipeline::transcript::{OWNER, parse};
use super::super::{ALL, Level};
use super::*;
use crate::http::{Field, Fields};
use crate::limit::table::KEYS_MAX;
use crate::units::{Ratio, Span, Time};

/// A request for a path; `METHOD PATH[?QUERY]`.
pub(super) fn facts<'a>(request: &'a str, fields: &'a Fields) -> Facts<'a> {
    let (method, target) = request.split_once(' ').unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let (peer, age) = ([127, 0, 0, 1].into(), Time::ZERO);
    Facts { method, path, query, fields, body_bytes: Some(0), peer, age }
}

static NO_FIELDS: Fields = Fields(Vec::new());

/// Decides on requests in a row with the faults of one route.
struct Route {
    desk: Desk,
    faults: Vec<Spec>,
    generation: u64,
    judges: bool,
}

impl Route {
    fn new(faults: &str) -> Route {
        let mut faults = parse(faults);
        faults.iter_mut().for_each(|spec| spec.place = Place::Exchange);
        Route { desk: Desk::default(), faults, generation: 0, judges: false }
    }

    fn decide_on(&self, facts: &Facts<'_>) -> Course {
        let ground = Ground {
            owner: OWNER,
            generation: self.generation,
            faults: &self.faults,
            explain: true,
            judges: self.judges,
        };
        self.desk.decide(&ground, facts)
    }

    fn decide(&self, request: &str) -> Course {
        self.decide_on(&facts(request, &NO_FIELDS))
    }

    /// What the faults drew: `f0 status=503, f1 ms=100`.
    fn drawn(&self, request: &str) -> String {
        told(&self.decide(request))
    }
}

fn told(course: &Course) -> String {
    let told =
        |one: &Decided| format!("{}{} {}", one.fault, if one.shadow { "?" } else { "" }, one.drawn);
    course.decided.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// What one fault decides on one request.
fn course(fault: &str) -> Course {
    Route::new(fault).decide("GET /a")
}

#[test]
fn every_fault_of_level_http_can_be_asked() {
    for kind in ALL.iter().filter(|kind| kind.level == Level::Http) {
        assert_eq!(kind.place(true), Some(Place::Exchange), "{}", kind.name);
        let course = course(kind.name);
        let limit = kind.name == "rate_limit"; // lets the first one in
        assert_eq!(course.decided.len(), usize::from(!limit), "{}: {course:?}", kind.name);
    }
    let on_tcp = ALL.iter().filter(|kind| kind.level == Level::Http && kind.place(false).is_some());
    assert_eq!(on_tcp.map(|kind| kind.name).collect::<Vec<_>>(), ["rate_limit"]);
}

#[test]
fn what_each_of_them_decides() {
    let reply = |course: Course| match course.abort {
        Some(Abort::Reply(reply, held)) => (reply, held),
        other => panic!("{other:?}"),
    };
    let (error, held) = reply(course("http_error"));
    assert_eq!((error.status, held), (503, Span::ZERO));
    assert_eq!(error.body, b"{\"error\":\"injected\",\"status\":503}");
    assert_eq!(error.fields, [("Content-Type".into(), "application/json".into())]);
    let (error, _) = reply(course("http_error status=418 body=tea"));
    assert_eq!((error.status, &*error.body), (418, &b"tea"[..]));
    assert_eq!(error.fields, [("Content-Type".into(), "text/plain; charset=utf-8".into())]);
    let after = course("http_error status=500 phase=after");
    assert_eq!((after.abort, after.answer.replace.map(|reply| reply.status)), (None, Some(500)));
    let (timeout, held) = reply(course("http_timeout timeout=2s"));
    assert_eq!((timeout.status, held), (504, Span::from_ms(2000)));
    assert_eq!(course("connection_error").abort, Some(Abort::Reset));
    assert_eq!(course("connection_error kind=close").abort, Some(Abort::Close));
    assert_eq!(reply(course("connection_error kind=http503")).0.status, 503);
    assert_eq!(course("http_delay latency=100").delay, Span::from_ms(100));
    let late =
        course("http_delay latency=100 phase=response | http_delay latency=5 phase=response");
    assert_eq!((late.delay, late.answer.delay), (Span::ZERO, Span::from_ms(105)));
    assert_eq!(course("partial_response").answer.partial, Some(Partial::Fraction(Ratio::HALF)));
    let partial = course("partial_response bytes=10 fraction=0.9").answer.partial;
    assert_eq!(partial, Some(Partial::Bytes(10)));
    let malformed = course("malformed_response kind=chunk").answer.malformed;
    assert_eq!(malformed, Some(Malformed::Chunk));
    let corruption = course("payload_corruption kind=bit_flip").answer.corruption;
    let kind = CorruptionKind::BitFlip;
    assert!(matches!(corruption, Some(Corruption { kind: own, .. }) if own == kind));
    assert_eq!(course("duplicate_request times=3").duplicates, 3);
    assert_eq!(course("lose_response then=hang").answer.lose, Some(Lose::Hang));
}

#[test]
fn fields_are_taken_out_and_set() {
    let mut route = Route::new("http_header on=request | http_header");
    let set = Value::Fields(vec![("X-A".into(), "1".into())]);
    let names = Value::Names(vec!["X-B".into()]);
    for spec in &mut route.faults {
        spec.attrs.set("set", set.clone());
        spec.attrs.set("remove", names.clone());
    }
    let edits = [Edit::Remove("X-B".into()), Edit::Set("X-A".into(), b"1".to_vec())];
    let course = route.decide("GET /");
    assert_eq!((&course.request_edits[..], &course.answer.edits[..]), (&edits[..], &edits[..]));
    assert_eq!(told(&course), "f0 set=1;remove=1, f1 set=1;remove=1");
}

#[test]
fn a_status_is_drawn_out_of_a_list() {
    let mut route = Route::new("http_error");
    route.faults[0].attrs.set("status", Value::Statuses(Cow::Borrowed(&[500, 502, 503])));
    let mut seen = [0; 3];
    for _ in 0..600 {
        let drawn = route.drawn("GET /");
        let all = ["f0 status=500", "f0 status=502", "f0 status=503"];
        seen[all.iter().position(|one| *one == drawn).unwrap()] += 1;
    }
    assert!(seen.iter().all(|count| (150..250).contains(count)), "{seen:?}");
}

#[test]
fn the_order_is_that_of_the_phases() {
    let check = |faults: &str, expected: &str| {
        assert_eq!(Route::new(faults).drawn("GET /"), expected, "{faults}");
    };
    let all = "lose_response | payload_corruption | http_header | http_error enabled=false | \
               duplicate_request | http_delay latency=7";
    let expected = "f5 ms=7, f4 times=1, f2 set=0;remove=0, f1 kind=random_bytes, f0 then=reset";
    check(all, expected);
    // Another answer is neither damaged nor does it end otherwise; its head changes.
    let replaced = all.replace("enabled=false", "phase=after");
    check(&replaced, "f5 ms=7, f4 times=1, f3 status=503, f2 set=0;remove=0");
    // An abort leaves the later phases nothing to do, and there is one of it.
    let aborts = "http_timeout timeout=1s | http_error | http_delay latency=7";
    check(&format!("{all} | {aborts}"), "f5 ms=7, f8 ms=7, f6 ms=1000");
    // One answer is put in the place of the upstream's, and one end is the end.
    check("http_error phase=after | http_error status=500 phase=after", "f0 status=503");
    check("partial_response | malformed_response | lose_response", "f0 fraction=0.5");
    let shadow = "http_error shadow=1 | http_error status=500";
    check(shadow, "f0? status=503, f1 status=500");
    assert_eq!(course("http_error shadow=1").abort, None);
    check("http_error enabled=false", "");
}

#[test]
fn a_limit_comes_before_all_else() {
    let limited = "http_error | rate_limit requests_per_second=10 burst=2";
    let route = Route::new(limited);
    let request = |ms: u64| {
        let age = Time::ZERO + Span::from_ms(ms);
        route.decide_on(&Facts { age, ..facts("GET /", &NO_FIELDS) })
    };
    assert_eq!(told(&request(0)), "f0 status=503");
    assert_eq!(told(&request(0)), "f0 status=503");
    let refused = request(0);
    assert_eq!(told(&refused), "f1 status=429");
    let Some(Abort::Reply(reply, Span::ZERO)) = refused.abort else { panic!("{refused:?}") };
    let fields: Vec<String> =
        reply.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected = "Content-Type: application/json, Retry-After: 1, RateLimit-Limit: 10, \
                    RateLimit-Remaining: 0, RateLimit-Reset: 1";
    assert_eq!((reply.status, &*fields.join(", ")), (429, expected));
    assert_eq!(told(&request(99)), "f1 status=429");
    assert_eq!(told(&request(100)), "f0 status=503");
}

#[test]
fn a_limit_for_each_key() {
    let admitted = |key: &str, requests: &[(&str, [u8; 4])]| {
        let route = Route::new(&format!("rate_limit requests_per_second=1 key={key}"));
        let ask = |(request, peer): &&(&str, [u8; 4])| {
            let facts = Facts { peer: (*peer).into(), ..facts(request, &NO_FIELDS) };
            route.decide_on(&facts).abort.is_none()
        };
        requests.iter().filter(ask).count()
    };
    let (one, other) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let requests =
        [("GET /u/1", one), ("GET /u/2", one), ("GET /u/1?a", other), ("POST /u/1", one)];
    assert_eq!(admitted("global", &requests), 1);
    assert_eq!(admitted("ip", &requests), 2);
    assert_eq!(admitted("endpoint", &requests), 2);
}

#[test]
fn triggers_count_for_each_method_and_path() {
    let acts = |fault: &str, requests: &str| -> String {
        let route = Route::new(fault);
        let act = |request| if route.drawn(request).is_empty() { '.' } else { 'x' };
        requests.split(", ").map(act).collect()
    };
    let requests = "GET /a, GET /b, GET /a, POST /a, GET /a?q, GET /b";
    assert_eq!(acts("http_error nth=1", requests), "xx.x..");
    assert_eq!(acts("http_error nth=2", requests), "..x..x");
    assert_eq!(acts("http_error every=3", requests), "....x.");
    assert_eq!(acts("http_error times=2", requests), "xxxx.x");
    assert_eq!(acts("http_error first=1", requests), "xx.x..");
}

#[test]
fn triggers_count_what_matches() {
    let mut route = Route::new("http_error nth=2");
    let header = vec![("X-Test".into(), Glob("*".into()))];
    let matching = Match { headers: header, ..Match::default() };
    route.faults[0].among.matching = Some(Arc::new(matching));
    let fields = Fields(vec![Field { name: "x-test".into(), value: b"1".to_vec() }]);
    let without = Fields::default();
    let order = [&fields, &without, &without, &fields, &fields];
    let act = |fields: &Fields| told(&route.decide_on(&facts("GET /a", fields)));
    assert_eq!(order.map(act), ["", "", "", "f0 status=503", ""]);
}

#[test]
fn a_stretch_is_one_of_the_connection() {
    let route = Route::new("http_error after=1s for=2s");
    let acts = |ms: u64| {
        let age = Time::ZERO + Span::from_ms(ms);
        let facts = Facts { age, ..facts("GET /", &NO_FIELDS) };
        !route.decide_on(&facts).decided.is_empty()
    };
    assert_eq!([0, 999, 1000, 2999, 3000].map(acts), [false, false, true, true, false]);
}

const REQUESTS: u64 = 20_000;

/// How many of so many requests for one path each fault acted on.
fn counts(route: &Route) -> Vec<f64> {
    let mut counts = vec![0.0; route.faults.len()];
    for _ in 0..REQUESTS {
        for decided in route.decide("GET /a").decided {
            let index = route.faults.iter().position(|spec| spec.name == decided.fault).unwrap();
            counts[index] += 1.0;
        }
    }
    counts
}

#[track_caller]
fn check_share(count: f64, share: f64) {
    let sigma = (REQUESTS as f64 * share * (1.0 - share)).sqrt();
    let far = (count - REQUESTS as f64 * share).abs();
    assert!(far <= 4.0 * sigma, "{count} of {REQUESTS} at {share}: {} sigma", far / sigma);
}

#[test]
fn shares_hold_over_many_requests() {
    let counts = counts(&Route::new("http_delay p=0.3 | http_error p=20% | http_timeout p=10%"));
    for (count, share) in counts.into_iter().zip([0.3, 0.2, 0.8 * 0.1]) {
        check_share(count, share);
    }
}

#[test]
fn shares_hold_over_many_paths() {
    let route = Route::new("http_error p=0.25");
    let acted = |n: &u64| !route.drawn(&format!("GET /item/{n}")).is_empty();
    check_share((0..REQUESTS).filter(acted).count() as f64, 0.25);
}

#[test]
fn the_odds_are_those_of_the_decisions() {
    let mut route = Route::new(
        "http_delay p=50% | http_error p=20% | lose_response p=30% | partial_response p=40% | \
         http_timeout p=10% | http_header p=25% | http_error phase=after p=30%",
    );
    for index in [1, 2, 4] {
        route.faults[index].among.one_of = Some(1);
    }
    let (stands, untouched) = odds(&route.faults, None);
    for (count, stand) in counts(&route).into_iter().zip(stands) {
        let Stand::Acts(share) = stand else { panic!("{stand:?}") };
        assert!((share.to - share.from).abs() < 1e-9, "{share:?}");
        check_share(count, share.to);
    }
    let none = (0..REQUESTS).filter(|_| route.drawn("PUT /b").is_empty()).count();
    check_share(none as f64, untouched.to);
}

/// A member of a group keeps its part of the roll, whether those before it match or not.
#[test]
fn the_odds_of_a_group_with_matches_are_those_of_the_decisions() {
    let mut route = group("http_error p=40% | http_timeout p=30% | http_delay p=20%");
    let post = Match { methods: vec!["POST".into()], ..Match::default() };
    route.faults[0].among.matching = Some(Arc::new(post));
    route.faults.extend(parse("lose_response p=50% name=late"));
    route.faults[3].place = Place::Exchange;
    let (stands, untouched) = odds(&route.faults, Some(&facts("GET /a", &NO_FIELDS)));
    assert!(matches!(stands[0], Stand::Idle(_)), "{stands:?}");
    let counts = counts(&route);
    assert_eq!(counts[0], 0.0);
    for (count, stand) in counts[1..].iter().zip(&stands[1..]) {
        let Stand::Acts(share) = stand else { panic!("{stand:?}") };
        check_share(*count, share.to);
    }
    let none = (0..REQUESTS).filter(|_| route.drawn("GET /b").is_empty()).count();
    check_share(none as f64, untouched.to);
}

#[test]
fn an_exact_share_is_exact() {
    let route = Route::new("http_error p=0.25 sampling=exact");
    assert_eq!(counts(&route), [REQUESTS as f64 / 4.0]);
    let acts: String =
        (0..8).map(|_| if route.drawn("GET /a").is_empty() { '.' } else { 'x' }).collect();
    assert_eq!(acts[..4], acts[4..], "evenly spread");
}

fn group(faults: &str) -> Route {
    let mut route = Route::new(faults);
    route.faults.iter_mut().for_each(|spec| spec.among.one_of = Some(3));
    route
}

#[test]
fn the_totals_of_a_group_are_as_written() {
    let counts = counts(&group("http_error p=20% | http_timeout p=10% | http_delay p=0.3"));
    for (count, share) in counts.into_iter().zip([0.2, 0.1, 0.3]) {
        check_share(count, share);
    }
}

#[test]
fn a_group_draws_one_of_its_faults() {
    let route = group("http_delay p=0.5 | http_header p=0.25 | lose_response p=0.25");
    for _ in 0..1000 {
        assert_eq!(route.decide("GET /a").decided.len(), 1);
    }
    let alone = Route::new("http_delay p=0.5 | http_header p=0.5");
    assert!((0..100).any(|_| alone.decide("GET /a").decided.len() == 2));
}

#[test]
fn threads_change_nothing() {
    let faults = "http_delay p=0.5 jitter=100 | http_error p=0.3 | lose_response p=0.3 nth=7 | \
                  http_header every=2";
    let paths = ["GET /a", "GET /b", "POST /a", "GET /c"];
    let in_a_row = Route::new(faults);
    let expected: Vec<Vec<Course>> =
        paths.iter().map(|path| (0..200).map(|_| in_a_row.decide(path)).collect()).collect();
    assert!(expected.iter().flatten().any(|course| !course.decided.is_empty()));
    let route = Route::new(faults);
    let got: Vec<Vec<Course>> = std::thread::scope(|scope| {
        let ask = |path: &'static str| {
            let route = &route;
            scope.spawn(move || (0..200).map(|_| route.decide(path)).collect())
        };
        let threads: Vec<_> = paths.into_iter().map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(got == expected, "four threads, a path each");
    // Interleaved in another order.
    let route = Route::new(faults);
    for n in 0..200 {
        for (path, expected) in paths.iter().zip(&expected).rev() {
            assert_eq!(route.decide(path), expected[n], "{path} {n}");
        }
    }
}

#[test]
fn the_seed_and_the_route_decide() {
    let faults = parse("http_error p=0.5");
    let acts = |seed, name: &str| -> String {
        let route = Route::new("http_error p=0.5");
        let owner = Owner { seed, route: name, connection: 9, ..OWNER };
        let ground =
            Ground { owner, generation: 0, faults: &faults, explain: false, judges: false };
        let fields = Fields::default();
        let act = |_| route.desk.decide(&ground, &facts("GET /", &fields)).abort.is_some();
        (0..64).map(|n| if act(n) { 'x' } else { '.' }).collect()
    };
    assert_eq!(acts(1, "r"), acts(1, "r"));
    assert_ne!(acts(1, "r"), acts(2, "r"));
    assert_ne!(acts(1, "r"), acts(1, "s"));
}

#[test]
fn counts_survive_a_change_of_the_faults() {
    let mut route = Route::new("http_error times=2 name=e | rate_limit burst=3 name=l");
    let drawn = |route: &Route| route.drawn("GET /");
    assert_eq!([drawn(&route), drawn(&route)], ["e status=503"; 2]);
    route.generation += 1;
    route.faults = Route::new("rate_limit burst=3 name=l | http_error times=3 name=e").faults;
    assert_eq!([drawn(&route), drawn(&route)], ["e status=503", "l status=429"]);
    // Without it for a while, it begins anew; the limit goes on.
    route.generation += 1;
    route.faults = Route::new("rate_limit burst=4 name=l").faults;
    assert_eq!([drawn(&route), drawn(&route)], ["", "l status=429"]);
    route.generation += 1;
    route.faults = Route::new("http_error times=1 name=e").faults;
    assert_eq!([drawn(&route), drawn(&route)], ["e status=503", ""]);
}

#[test]
fn one_path_more_than_there_is_room_for() {
    let route = Route::new("http_error nth=2");
    let acts = |n: usize| !route.drawn(&format!("GET /{n}")).is_empty();
    assert!((0..=KEYS_MAX).all(|n| !acts(n)), "each is the first of its path");
    assert_eq!(route.desk.keys(), KEYS_MAX);
    assert!(!acts(0), "it went for the last one, and 1 goes for it");
    assert!(acts(2) && acts(KEYS_MAX) && !acts(1), "the others were the second");
    assert_eq!(route.desk.keys(), KEYS_MAX);
}

#[test]
fn a_long_body_is_not_sent_again() {
    let route = Route::new("duplicate_request");
    let duplicates = |body_bytes| {
        route.decide_on(&Facts { body_bytes, ..facts("POST /", &NO_FIELDS) }).duplicates
    };
    assert_eq!([Some(65_536), Some(65_537), None].map(duplicates), [1, 0, 1]);
}

#[test]
fn connections_are_limited_too() {
    let mut route = Route::new("http_error | rate_limit requests_per_second=1 key=ip burst=2");
    route.faults[1].place = Place::Connection;
    let admits = |connection: u64, ip: [u8; 4], ms: u64| {
        let owner = Owner { connection, ..OWNER };
        let ground =
            Ground { owner, generation: 0, faults: &route.faults, explain: false, judges: false };
        route.desk.refuses(&ground, ip.into(), Time::ZERO + Span::from_ms(ms)).is_none()
    };
    let (one, other) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    assert_eq!([admits(1, one, 0), admits(2, one, 0), admits(3, one, 0)], [true, true, false]);
    assert!(admits(4, other, 0) && !admits(5, one, 999) && admits(6, one, 1000));
}

#[test]
fn faults_of_connections_are_passed_over_and_those_of_bytes_told() {
    let mut route = Route::new("latency latency=100 | drop | http_error | loss loss=1% p=0%");
    route.faults[0].place = Place::Both;
    route.faults[1].place = Place::Connection;
    route.faults[3].place = Place::One(Direction::Downstream);
    let course = route.decide("GET /");
    assert_eq!(told(&course), "f2 status=503, f0 latency=100ms;direction=both");
    assert_eq!(course.decided[1].phase, Phase::Stream);
    assert_eq!(course.message.expect("one").faults, [""; 0], "it acts on the connection");
}

/// A route with these faults of the stream.
fn streams(faults: &str) -> Route {
    let mut route = Route::new(faults);
    route.faults.iter_mut().for_each(|spec| spec.place = Place::One(Direction::Downstream));
    route
}

#[test]
fn faults_of_bytes_that_choose_are_drawn_for_each_exchange() {
    let drawn = |route: &Route, request: &str| match route.decide(request).message {
        Some(message) => message.faults.join(","),
        None => String::new(),
    };
    let mut route = streams("latency latency=5 | limit_data bytes=9 nth=2 | slicer times=1");
    let matching = Match { methods: vec!["PUT".into()], ..Match::default() };
    route.faults[0].among.matching = Some(Arc::new(matching));
    let asked = ["GET /a", "GET /a", "GET /a", "GET /b", "PUT /a"];
    let expected = ["f2", "f1", "", "f2", "f0,f2"];
    assert_eq!(asked.map(|request| drawn(&route, request)), expected);
    // The same share of each endpoint, however its connections come.
    let route = streams("latency latency=5 p=30%");
    let hits = (0..1000).filter(|_| drawn(&route, "GET /") == "f0").count();
    assert!((250..350).contains(&hits), "{hits}");
    // In a group one roll is taken.
    let mut route = streams("latency p=50% | slicer p=50%");
    route.faults.iter_mut().for_each(|spec| spec.among.one_of = Some(0));
    assert!((0..100).all(|_| ["f0", "f1"].contains(&&*drawn(&route, "GET /"))));
}

#[test]
fn an_answer_of_our_own_has_bytes_and_a_cut_has_none() {
    let told = |faults: &str, upstream: bool| {
        let mut route = Route::new(faults);
        let direction = if upstream { Direction::Upstream } else { Direction::Downstream };
        route.faults[0].place = Place::One(direction);
        let course = route.decide("GET /");
        course.decided.iter().map(|decided| decided.kind.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told("slicer | http_error", false), "http_error slicer");
    assert_eq!(told("slicer | http_error", true), "http_error");
    assert_eq!(told("slicer | connection_error", false), "connection_error");
}

#[test]
fn what_came_of_each_fault_is_told_where_it_is_asked_for() {
    let faults = "http_error enabled=false | http_error nth=2 | http_error p=0% | http_error \
                  after=1s | http_error p=100% | http_delay times=1 | http_timeout | slicer p=1%";
    let mut route = Route::new(faults);
    route.faults[7].place = Place::One(Direction::Downstream);
    assert!(route.decide("GET /z").judged.is_empty(), "nobody asked");
    route.judges = true;
    let reasons = |request: &str| {
        let judged = route.decide(request).judged;
        assert!(judged.iter().all(|one| (0.0..1.0).contains(&one.drawn) && one.count > 0));
        let word = |one: &Judged| one.reason.unwrap_or("-");
        judged.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    let first = "disabled number probability time - - excluded probability";
    let second = "disabled - probability time excluded times excluded probability";
    assert_eq!([reasons("GET /"), reasons("GET /")], [first, second].map(str::to_owned));
    let unmet = Match { methods: vec!["PUT".into()], ..Match::default() };
    route.faults[0].how.enabled = true;
    route.faults[0].among.matching = Some(Arc::new(unmet));
    assert!(route.decide("GET /").judged[0].reason == Some("match"));
    let limited = Route { judges: true, ..Route::new("rate_limit") };
    assert_eq!(limited.decide("GET /").judged[0].reason, Some("idle"));
}
