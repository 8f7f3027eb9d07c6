//! What is told of an exchange is what was done: statuses, faults, times.

use super::between::Ends;
use super::course_tests::{GET, OK, aborted, decided, on_answer};
use super::tests::{Talk, crlf, talk};
use super::{Done, Down, Ended, Turn, Up, Upstream};
use crate::fault::Kind;
use crate::fault::course::{Abort, Answer, Course, Decided, Edit, Lose, Malformed, Partial};
use crate::fault::exchange::Phase;
use crate::http::Reply;
use crate::units::{Span, Time};

/// What there was nothing to do for was not done, and is not told.
#[test]
fn what_was_not_done_is_not_told() {
    let told = |answer: Answer, request: &str, from_upstream: &str| {
        let decided = vec![
            decided("http_delay", Phase::Answer),
            decided("http_header", Phase::Answer),
            decided("payload_corruption", Phase::Corrupt),
            decided("partial_response", Phase::End),
        ];
        let course = Course { decided, explain: true, ..on_answer(answer) };
        let heard = talk(request, from_upstream, vec![Some(course)]);
        let line = heard.client.lines().find(|line| line.starts_with("X-Chaos-Faults: "));
        line.map_or(String::new(), |line| line.replace("X-Chaos-Faults: ", ""))
    };
    let partial = || Answer { partial: Some(Partial::Bytes(3)), ..Answer::default() };
    let all = "http_delay, http_header, payload_corruption, partial_response";
    assert_eq!(told(partial(), GET, OK), all);
    let bodiless = [
        (GET, "HTTP/1.1 204 No Content\n\n"),
        (GET, "HTTP/1.1 304 Not Modified\n\n"),
        (GET, "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        ("HEAD / HTTP/1.1\nHost: a\n\n", "HTTP/1.1 200 OK\nContent-Length: 5\n\n"),
    ];
    for (request, answer) in bodiless {
        assert_eq!(told(partial(), request, answer), "http_delay, http_header", "{answer}");
    }
    let chunk = Answer { malformed: Some(Malformed::Chunk), ..Answer::default() };
    assert_eq!(told(chunk, GET, OK), "http_delay, http_header");
    let upgrade = "GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: a\n\n";
    let switched = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: a\n\n";
    assert_eq!(told(partial(), upgrade, switched), "http_header");
}

/// Where the upstream cuts an answer that another one was to stand for, the client has none.
#[test]
fn no_status_is_told_that_the_client_was_not_given() {
    let replace = Answer { replace: Some(Reply::new(500)), ..Answer::default() };
    let lose = Answer { lose: Some(Lose::Close), ..Answer::default() };
    let cut = "HTTP/1.1 200 OK\nContent-Length: 5\n\nhe";
    for (answer, answers) in [(replace, vec![cut]), (lose, vec![cut])] {
        for from_upstream in answers {
            let talk = Talk {
                client: &crlf(GET),
                upstream: &crlf(from_upstream),
                courses: vec![Some(on_answer(answer.clone()))],
                client_ends: None,
                upstream_ends: Some(Ended::Finished),
            };
            assert_eq!(talk.hear().done, [(1, 0, false)], "{answer:?}");
        }
    }
}

/// What holds an answer until its client leaves has done so; one that waits behind it has not.
#[test]
fn what_was_held_until_the_client_left_is_told() {
    let wait = Span::from_ms(100);
    let timeout = Course {
        abort: Some(Abort::Reply(Reply::new(504), wait)),
        decided: vec![decided("http_timeout", Phase::Abort)],
        ..Course::default()
    };
    let late = Course {
        decided: vec![decided("http_delay", Phase::Answer)],
        ..on_answer(Answer { delay: wait, ..Answer::default() })
    };
    for (course, name) in [(timeout, "http_timeout"), (late, "http_delay")] {
        let ends = Ends::default();
        ends.0.borrow_mut().courses = vec![Some(course.clone()), Some(course)].into();
        let (mut up, mut down) = (Up::new(Span::from_ms(1)), Down::default());
        up.turn(&crlf(&GET.repeat(2)), Time::ZERO, &mut ends.clone(), &mut Vec::new());
        down.turn(&crlf(OK), Time::ZERO, &mut ends.clone(), &mut Vec::new());
        down.leave(Time::ZERO + Span::from_ms(30), &mut ends.clone());
        let done = std::iter::from_fn(|| down.take_done()).map(|done| {
            let course = done.course.expect("it was decided on");
            let names: Vec<&str> = course.decided.iter().map(|own| own.kind.name).collect();
            (done.status, names.join(","), course.held)
        });
        let held = (0, name.to_owned(), Span::from_ms(30));
        assert_eq!(done.collect::<Vec<_>>(), [held, (0, String::new(), Span::ZERO)]);
    }
}

/// What each exchange tells of its faults, when all that was said has been said.
fn told(client: &str, answers: &[&str], upstream: Upstream, course: &Course) -> Vec<String> {
    let ends = Ends::default();
    (ends.0.borrow_mut().courses, ends.0.borrow_mut().upstream) =
        (vec![Some(course.clone()); 2].into(), upstream);
    let (mut up, mut down) = (Up::new(Span::from_ms(1)), Down::default());
    let mut parts = client.split('|');
    for answer in answers {
        let asks = crlf(parts.next().unwrap_or_default());
        up.turn(&asks, Time::ZERO, &mut ends.clone(), &mut Vec::new());
        down.turn(&crlf(answer), Time::ZERO, &mut ends.clone(), &mut Vec::new());
    }
    down.leave(Time::ZERO, &mut ends.clone());
    let names = |done: Done| {
        let course = done.course.expect("it was decided on");
        let names: Vec<&str> = course.decided.iter().map(|own| own.kind.name).collect();
        format!("{} {}", done.status, names.join(","))
    };
    std::iter::from_fn(|| down.take_done()).map(names).collect()
}

#[test]
fn what_did_not_reach_the_upstream_is_not_told() {
    let edited = Course {
        decided: vec![decided("http_header", Phase::Request)],
        request_edits: vec![Edit::Remove("A".into())],
        ..Course::default()
    };
    let both = GET.repeat(2);
    assert_eq!(told(&both, &[""], Upstream::Failed, &edited), ["502 ", "0 "]);
    assert_eq!(told(GET, &[""], Upstream::Awaited, &edited), ["0 "]);
    assert_eq!(told(GET, &[""], Upstream::Reached, &edited), ["0 http_header"]);
    let again = Course {
        decided: vec![decided("duplicate_request", Phase::Request)],
        duplicates: 1,
        ..Course::default()
    };
    let put = "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n";
    let whole = format!("{put}1\nx\n0\n\n");
    let copied = ["200 duplicate_request"];
    assert_eq!(told(&whole, &[&OK.repeat(2)], Upstream::Reached, &again), copied);
    let broken = format!("{put}5\nhello\nZZ");
    assert_eq!(told(&broken, &[""], Upstream::Reached, &again), ["400 "]);
    assert_eq!(told(put, &[""], Upstream::Reached, &again), ["0 "]);
    // The answer begins before it is known whether the body is short enough.
    let (begun, rest) = OK.split_at(OK.len() - 2);
    let long = format!("{put}1\nx\n|{}\n{}\n0\n\n", "10000", "x".repeat(65_536));
    assert_eq!(told(&long, &[begun, rest], Upstream::Reached, &again), ["200 "]);
    let short = format!("{put}1\nx\n|2\nxx\n0\n\n");
    assert_eq!(told(&short, &[begun, rest], Upstream::Reached, &again), copied);
}

#[test]
fn what_acted_is_told() {
    let decided = |kind, drawn: &str, shadow| Decided {
        phase: Phase::Delay,
        fault: "mine".into(),
        kind: Kind::find(kind).expect("a kind"),
        drawn: drawn.into(),
        shadow,
    };
    let list = vec![
        decided("http_delay", "ms=512", false),
        decided("http_error", "status=500", true),
        decided("http_header", "", false),
    ];
    let course = Course { decided: list, explain: true, ..Course::default() };
    let told = "X-Chaos-Faults: http_delay;ms=512, http_header\n";
    let heard = talk(GET, OK, vec![Some(course.clone())]);
    let expected = format!("HTTP/1.1 200 OK\nContent-Length: 5\n{told}\nhello");
    assert_eq!(heard.client, expected);
    let silent = Course { explain: false, ..course.clone() };
    assert_eq!(talk(GET, OK, vec![Some(silent)]).client, OK);
    let abort = Some(Abort::Reply(Reply::new(503), Span::ZERO));
    let heard = talk(GET, "", vec![Some(Course { abort, ..course })]);
    let expected = format!("HTTP/1.1 503 Service Unavailable\n{told}Content-Length: 0\n\n");
    assert_eq!(heard.client, expected);
}

/// A request that is held, or read for an answer of our own, is told when the connection ends.
#[test]
fn what_is_left_is_told() {
    let delayed = Course { delay: Span::from_ms(50), ..Course::default() };
    let waiting = aborted(Abort::Reply(Reply::new(429), Span::ZERO));
    let post = "POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nab";
    let cases = [(GET, &delayed, false), (GET, &delayed, true), (post, &waiting, false)];
    for (request, course, closing) in cases {
        let ends = Ends::default();
        ends.0.borrow_mut().courses = [Some(course.clone())].into();
        let mut up = Up::new(Span::from_ms(1));
        let turn = up.turn(&crlf(request), Time::ZERO, &mut ends.clone(), &mut Vec::new());
        assert_eq!((turn, up.take_done().map(|done| done.number)), (Turn::Wait, None));
        let later = Time::ZERO + Span::from_ms(20);
        if closing {
            ends.0.borrow_mut().closing = true; // the answer before was the last one
            up.turn(&[], later, &mut ends.clone(), &mut Vec::new());
        }
        up.leave(later);
        let done = up.take_done().expect("it was decided on");
        assert_eq!((done.number, done.status, done.by_upstream), (1, 0, false));
        let held = if course.abort.is_none() { Span::from_ms(20) } else { Span::ZERO };
        assert_eq!(done.course.map(|course| course.held), Some(held));
        assert!(up.take_done().is_none(), "told once");
    }
}
