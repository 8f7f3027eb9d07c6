//! What was decided for an exchange, carried out: as text, cut at every place.

use std::sync::Arc;

use super::between::Ends;
use super::tests::{Heard, Talk, crlf, talk, text};
use super::{COPY_BYTES_MAX, Down, Ended, Mark, Turn, Up, Upstream};
use crate::fault::Kind;
use crate::fault::course::{Abort, Answer, Corruption, CorruptionKind, Course, Decided, Edit};
use crate::fault::course::{Lose, Malformed, Partial};
use crate::fault::exchange::Phase;
use crate::fault::message::Message;
use crate::http::Reply;
use crate::units::{Ratio, Span, Time};

pub(super) const GET: &str = "GET / HTTP/1.1\nHost: a\n\n";
pub(super) const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello";
const CHUNKS: &str = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n";

pub(super) fn on_answer(answer: Answer) -> Course {
    Course { answer, ..Course::default() }
}

pub(super) fn aborted(abort: Abort) -> Course {
    Course { abort: Some(abort), ..Course::default() }
}

/// One request of which this becomes, and one that passes behind it.
#[track_caller]
fn check(course: Course, answers: &str, upstream: &str, client: &str, end: Turn) {
    let heard = talk(&GET.repeat(2), answers, vec![Some(course), None]);
    assert_eq!((&*heard.upstream, &*heard.client), (upstream, client));
    assert_eq!(heard.ends.1, end);
}

/// What the client gets of this answer alone.
#[track_caller]
fn check_answer(answer: Answer, from_upstream: &str, client: &str, end: Turn) {
    let both = GET.repeat(2);
    check(on_answer(answer), &format!("{from_upstream}{OK}"), &both, client, end);
}

#[test]
fn an_answer_of_our_own() {
    let reply = Reply::new(503).with("Retry-After", "1").with_body("no");
    let course = aborted(Abort::Reply(reply.clone(), Span::ZERO));
    let ours = "HTTP/1.1 503 Service Unavailable\nRetry-After: 1\nContent-Length: 2\n\nno";
    check(course.clone(), OK, GET, &format!("{ours}{OK}"), Turn::Wait);
    // The body of the request is read to its end, and the next request is the next.
    let put = "PUT / HTTP/1.1\nHost: a\nContent-Length: 4\n\nbody";
    let heard = talk(&format!("{put}{GET}"), OK, vec![Some(course.clone()), None]);
    assert_eq!((heard.upstream, heard.client), (GET.into(), format!("{ours}{OK}")));
    let chunked = "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n4\nbody\n0\nA: b\n\n";
    let heard = talk(&format!("{chunked}{GET}"), OK, vec![Some(course.clone()), None]);
    assert_eq!((heard.upstream, heard.client), (GET.into(), format!("{ours}{OK}")));
    assert_eq!(heard.done, [(1, 503, false), (2, 200, true)]);
    // Whoever waits for 100 Continue is answered at once, and not read further.
    let waits = "PUT / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 4\n\n";
    let heard = talk(waits, "", vec![Some(course.clone())]);
    let closing = "HTTP/1.1 503 Service Unavailable\nRetry-After: 1\nContent-Length: 2\n\
                   Connection: close\n\nno";
    assert_eq!((&*heard.client, heard.ends.1), (closing, Turn::Finish));
    let heard = talk("HEAD / HTTP/1.1\nHost: a\n\n", "", vec![Some(course)]);
    assert_eq!(heard.client, ours.trim_end_matches("no"));
}

#[test]
fn no_answer_at_all() {
    check(aborted(Abort::Close), "", "", "", Turn::Finish);
    check(aborted(Abort::Reset), "", "", "", Turn::Reset);
    // The body is not waited for.
    let begun = "PUT / HTTP/1.1\nHost: a\nContent-Length: 4\n\nbo";
    let heard = talk(begun, "", vec![Some(aborted(Abort::Reset))]);
    assert_eq!((&*heard.upstream, heard.ends.1), ("", Turn::Reset));
    assert_eq!(heard.done, [(1, 0, false)]);
}

#[test]
fn aborts_keep_the_order() {
    let course = aborted(Abort::Reply(Reply::new(429), Span::ZERO));
    let heard = talk(&GET.repeat(3), &OK.repeat(2), vec![None, Some(course), None]);
    let ours = "HTTP/1.1 429 Too Many Requests\nContent-Length: 0\n\n";
    assert_eq!(heard.client, format!("{OK}{ours}{OK}"));
    assert_eq!(heard.upstream, GET.repeat(2));
}

/// What comes out of a turn without bytes of the upstream.
fn turn(down: &mut Down, ends: &Ends) -> (Turn, String) {
    let mut out = Vec::new();
    let turn = down.turn(&[], Time::ZERO, &mut ends.clone(), &mut out);
    (turn, text(&out))
}

/// Answers of our own come before it; whoever needs the upstream is told, and is the last one.
#[test]
fn no_upstream_is_told_in_its_order() {
    let own = || Some(aborted(Abort::Reply(Reply::new(429), Span::ZERO)));
    let ours = "HTTP/1.1 429 Too Many Requests\nContent-Length: 0\n\n";
    let requests = crlf(&GET.repeat(4));
    let ends = Ends::default();
    ends.0.borrow_mut().courses = [own(), own(), None, own()].into();
    let (mut up, mut down) = (Up::new(Span::from_ms(1)), Down::default());
    up.turn(&requests, Time::ZERO, &mut ends.clone(), &mut Vec::new());
    assert_eq!(turn(&mut down, &ends), (Turn::Wait, ours.repeat(2)));
    ends.0.borrow_mut().upstream = Upstream::Failed;
    let (end, told) = turn(&mut down, &ends);
    assert!(told.starts_with("HTTP/1.1 502 Bad Gateway\n"), "{told}");
    assert!(told.contains("\nConnection: close\n\nthe upstream cannot be reached"), "{told}");
    assert_eq!(end, Turn::Finish);
    let done: Vec<u16> = std::iter::from_fn(|| down.take_done()).map(|done| done.status).collect();
    assert_eq!((done, ends.0.borrow().closing), (vec![429, 429, 502], true));
}

/// A client that has ended and needs no upstream gets its answers, and then FIN.
#[test]
fn nobody_is_waited_for_who_is_not_needed() {
    let ends = Ends::default();
    let mut down = Down::default();
    assert_eq!(turn(&mut down, &ends), (Turn::Wait, String::new()));
    let course = aborted(Abort::Reply(Reply::new(429), Span::ZERO));
    ends.0.borrow_mut().courses = [Some(course.clone()), Some(course)].into();
    let mut up = Up::new(Span::from_ms(1));
    up.turn(&crlf(&GET.repeat(2)), Time::ZERO, &mut ends.clone(), &mut Vec::new());
    ends.0.borrow_mut().upstream = Upstream::Unneeded;
    let ours = "HTTP/1.1 429 Too Many Requests\nContent-Length: 0\n\n";
    assert_eq!(turn(&mut down, &ends), (Turn::Finish, ours.repeat(2)));
}

#[test]
fn heads_are_edited() {
    let set = |name: &str, value: &str| Edit::Set(name.into(), value.into());
    let edits = vec![
        set("X-New", "1"),
        Edit::Remove("ACCEPT".into()),
        set("host", "b"),
        set("X-Gone", "1"),
        Edit::Remove("x-gone".into()),
        set("Content-Length", "9"),
        Edit::Remove("transfer-encoding".into()),
        set("X-Odd", "a\r\nb"),
    ];
    let course = Course { request_edits: edits.clone(), ..Course::default() };
    let request = "PUT / HTTP/1.1\nHost: a\nAccept: x\nContent-Length: 1\naccept: y\n\nz";
    let heard = talk(request, "", vec![Some(course)]);
    let edited = "PUT / HTTP/1.1\nContent-Length: 1\nX-New: 1\nhost: b\nX-Odd: a  b\n\nz";
    assert_eq!(heard.upstream, edited);
    let from = "HTTP/1.1 200 OK\nAccept: x\nX-New: old\nTransfer-Encoding: chunked\n\n0\n\n";
    let to = "HTTP/1.1 200 OK\nX-New: 1\nhost: b\nX-Odd: a  b\nTransfer-Encoding: chunked\n\n0\n\n";
    check_answer(Answer { edits, ..Answer::default() }, from, &format!("{to}{OK}"), Turn::Wait);
}

#[test]
fn another_answer_in_its_place() {
    let reply = Some(Reply::new(500).with_body("ours"));
    let ours = "HTTP/1.1 500 Internal Server Error\nContent-Length: 4\n\nours";
    let both = format!("{ours}{OK}");
    for theirs in [OK, CHUNKS, "HTTP/1.1 204 No\n\n"] {
        let replace = Answer { replace: reply.clone(), ..Answer::default() };
        check_answer(replace, theirs, &both, Turn::Wait);
    }
    let closing = "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 5\n\nhello";
    let ours = "HTTP/1.1 500 Internal Server Error\nContent-Length: 4\nConnection: close\n\nours";
    check_answer(Answer { replace: reply, ..Answer::default() }, closing, ours, Turn::Finish);
}

#[test]
fn answers_are_lost() {
    for (lose, end) in
        [(Lose::Reset, Turn::Reset), (Lose::Close, Turn::Finish), (Lose::Hang, Turn::Wait)]
    {
        for theirs in [OK, CHUNKS] {
            let answer = Answer { lose: Some(lose), ..Answer::default() };
            check_answer(answer, theirs, "", end);
        }
    }
}

#[test]
fn who_hangs_up_on_a_hanging_answer_is_let_go() {
    let course = on_answer(Answer { lose: Some(Lose::Hang), ..Answer::default() });
    let (client, upstream) = (crlf(GET), crlf(OK));
    let talk = Talk {
        client: &client,
        upstream: &upstream,
        courses: vec![Some(course)],
        client_ends: Some(Ended::Finished),
        upstream_ends: None,
    };
    assert_eq!(talk.hear().ends, (Turn::Finish, Turn::Close));
}

#[test]
fn answers_are_broken() {
    let broken = |kind| Answer { malformed: Some(kind), ..Answer::default() };
    check_answer(broken(Malformed::Empty), OK, "", Turn::Finish);
    let head = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nConnection: close\n\nno chunk\n";
    check_answer(broken(Malformed::Chunk), OK, head, Turn::Finish);
    let heard = talk(GET, OK, vec![Some(on_answer(broken(Malformed::Garbage)))]);
    assert!(!heard.client.is_empty() && !heard.client.starts_with("HTTP"), "{heard:?}");
    assert_eq!(heard.ends.1, Turn::Finish);
}

#[test]
fn answers_end_too_early() {
    let half = Ratio::new(0.5).unwrap();
    let head = "HTTP/1.1 200 OK\nContent-Length: 5\n\n";
    for (partial, passes) in [
        (Partial::Bytes(0), ""),
        (Partial::Bytes(2), "he"),
        (Partial::Bytes(5), "hell"), // fewer than were promised
        (Partial::Bytes(u64::MAX), "hell"),
        (Partial::Fraction(half), "he"),
        (Partial::Fraction(Ratio::ONE), "hell"),
        (Partial::Fraction(Ratio::ZERO), ""),
    ] {
        let answer = Answer { partial: Some(partial), ..Answer::default() };
        check_answer(answer, OK, &format!("{head}{passes}"), Turn::Finish);
    }
    let head = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n";
    for (bytes, passes) in [(0, ""), (2, "2\nhe\n"), (5, "5\nhello\n"), (9, "5\nhello\n")] {
        let partial = Some(Partial::Bytes(bytes));
        let answer = Answer { partial, ..Answer::default() };
        check_answer(answer, CHUNKS, &format!("{head}{passes}"), Turn::Finish);
    }
    // One that ends with the connection must not look as if it were whole.
    let endless = "HTTP/1.1 200 OK\n\nhello";
    let answer = Answer { partial: Some(Partial::Bytes(2)), ..Answer::default() };
    let cut = "HTTP/1.1 200 OK\nConnection: close\n\nhe";
    check_answer(answer, endless, cut, Turn::Reset);
}

/// What has no body cannot end too early.
#[test]
fn nothing_cannot_end_too_early() {
    let none = "HTTP/1.1 204 No\n\n";
    let answer = Answer { partial: Some(Partial::Bytes(0)), ..Answer::default() };
    check_answer(answer, none, &format!("{none}{OK}"), Turn::Wait);
}

#[test]
fn bodies_are_damaged_in_place() {
    for kind in [CorruptionKind::BitFlip, CorruptionKind::RandomBytes] {
        let corruption = Some(Corruption { kind, seed: 7 });
        let course = on_answer(Answer { corruption, ..Answer::default() });
        for theirs in [OK, CHUNKS] {
            let heard = talk(GET, theirs, vec![Some(course.clone())]);
            assert_ne!(heard.client, theirs);
            assert_eq!(body(&heard).0, body_of(theirs).0, "the head is as it was");
        }
        let long = format!("HTTP/1.1 200 OK\nContent-Length: 2000\n\n{}", "x".repeat(2000));
        let heard = talk(GET, &long, vec![Some(course)]);
        let changed = |text: &str| text.replace('x', "").len();
        let (head, body) = body(&heard);
        assert_eq!(head, body_of(&long).0);
        assert!((8..=64).contains(&changed(&body)), "one of 256 bytes: {body}");
    }
}

fn body_of(text: &str) -> (String, String) {
    let (head, body) = text.split_once("\n\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn body(heard: &Heard) -> (String, String) {
    body_of(&heard.client)
}

#[test]
fn the_second_half_is_missing() {
    let corruption = Some(Corruption { kind: CorruptionKind::Truncate, seed: 7 });
    let answer = Answer { corruption, ..Answer::default() };
    let short = "HTTP/1.1 200 OK\nContent-Length: 2\n\nhe";
    check_answer(answer.clone(), OK, &format!("{short}{OK}"), Turn::Wait);
    // Of a length that is not known: of what comes at once.
    let heard = talk_whole(CHUNKS, on_answer(answer));
    assert_eq!(heard, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhe\n0\n\n");
}

/// What the client gets of an answer that comes at once.
fn talk_whole(answer: &str, course: Course) -> String {
    let (client, upstream) = (crlf(GET), crlf(answer));
    let talk = Talk {
        client: &client,
        upstream: &upstream,
        courses: vec![Some(course)],
        client_ends: None,
        upstream_ends: None,
    };
    talk.cut(usize::MAX, usize::MAX).client
}

#[test]
fn requests_are_sent_again() {
    let course = || Course { duplicates: 2, ..Course::default() };
    let put = "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n4\nbody\n0\n\n";
    let answers = format!("{OK}{CHUNKS}HTTP/1.1 204 No\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n");
    let heard = talk(&format!("{put}{GET}"), &answers, vec![Some(course()), None]);
    assert_eq!(heard.upstream, format!("{}{GET}", put.repeat(3)));
    assert_eq!(heard.client, format!("{OK}HTTP/1.1 200 OK\nContent-Length: 0\n\n"));
    assert_eq!(heard.done, [(1, 200, true), (2, 200, true)]);
    // The last request of a connection: the upstream stays until it has answered all of them.
    let last = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n";
    let heard = talk(last, &OK.repeat(3), vec![Some(course())]);
    assert_eq!(heard.upstream, GET.repeat(3));
    let closing = "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\nhello";
    assert_eq!((&*heard.client, heard.ends.1), (closing, Turn::Finish));
}

/// Whatever becomes of the answer to a copy: the client has its own, and gets no second one.
#[test]
fn a_copy_is_answered_badly() {
    let malformed = "HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\n";
    let unasked = "HTTP/1.1 101 Switching Protocols\nUpgrade: a\n\n";
    let no_body = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\n";
    let cut = "HTTP/1.1 200 OK\nContent-Length: 5\n\nhe";
    let all_ends = [None, Some(Ended::Finished), Some(Ended::Reset)];
    let ends_by_itself = [malformed, unasked, no_body].map(|answer| (answer, &all_ends[..]));
    let ends_with_upstream = [cut, "HTTP/1.1 20", ""].map(|answer| (answer, &all_ends[1..]));
    for (answer, ends) in ends_by_itself.into_iter().chain(ends_with_upstream) {
        for upstream_ends in ends {
            let course = Course { duplicates: 1, ..Course::default() };
            let talk = Talk {
                client: &crlf(&GET.repeat(2)),
                upstream: &crlf(&format!("{OK}{answer}")),
                courses: vec![Some(course), None],
                client_ends: None,
                upstream_ends: *upstream_ends,
            };
            let heard = talk.hear();
            assert_eq!((&*heard.client, heard.ends.1), (OK, Turn::Finish), "{answer}");
            assert_eq!(heard.done, [(1, 200, true)], "{answer}");
        }
    }
}

/// A request whose body is longer than what is kept is sent once; one of just that length again.
#[test]
fn what_is_too_long_is_sent_once() {
    let decided = vec![decided("duplicate_request", Phase::Request)];
    let course = Course { duplicates: 1, explain: true, decided, ..Course::default() };
    let plain = |length: usize| {
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        format!("{head}{}", "x".repeat(length))
    };
    let chunked = |length: usize| {
        let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{}0\r\nA: b\r\n\r\n", "1\r\nx\r\n".repeat(length))
    };
    for (length, times) in [(COPY_BYTES_MAX, 2), (COPY_BYTES_MAX + 1, 1)] {
        for request in [plain(length), chunked(length)] {
            let talk = Talk {
                client: request.as_bytes(),
                upstream: &crlf(OK),
                courses: vec![Some(course.clone())],
                client_ends: None,
                upstream_ends: None,
            };
            let heard = talk.cut(usize::MAX, usize::MAX);
            assert_eq!(heard.upstream.matches("PUT / ").count(), times, "{length} bytes");
            assert_eq!(heard.upstream.matches('x').count(), times * length, "{length} bytes");
            let told = heard.client.contains("X-Chaos-Faults: duplicate_request");
            assert_eq!(told, times > 1, "{length} bytes: {}", heard.client);
        }
    }
}

/// Another answer in the place of the upstream's has the changes that were meant for that.
#[test]
fn another_answer_is_edited() {
    let answer = Answer {
        replace: Some(Reply::new(503).with("A", "1").with("B", "2")),
        edits: vec![Edit::Remove("a".into()), Edit::Set("b".into(), b"3".to_vec())],
        ..Answer::default()
    };
    let ours = "HTTP/1.1 503 Service Unavailable\nb: 3\nContent-Length: 0\n\n";
    check_answer(answer, OK, &format!("{ours}{OK}"), Turn::Wait);
}

/// A fault that hangs a client and goes leaves a connection that ends; else it goes on to hang.
/// It may go before the answer comes.
#[test]
fn a_hanging_answer_ends_with_its_fault() {
    let cases = [(false, false, Turn::Wait), (false, true, Turn::Close), (true, true, Turn::Close)];
    for (gone_before, gone_after, turn) in cases {
        let ends = Ends::default();
        let course = Course {
            decided: vec![decided("lose_response", Phase::End)],
            ..on_answer(Answer { lose: Some(Lose::Hang), ..Answer::default() })
        };
        ends.0.borrow_mut().courses = [Some(course)].into();
        let (mut up, mut down) = (Up::new(Span::from_ms(1)), Down::default());
        up.turn(&crlf(GET), Time::ZERO, &mut ends.clone(), &mut Vec::new());
        let mut out = Vec::new();
        let mut turn_with = |fresh: &[u8], gone| {
            ends.0.borrow_mut().without_faults = gone;
            down.turn(fresh, Time::ZERO, &mut ends.clone(), &mut out)
        };
        let first = turn_with(&crlf(OK), gone_before);
        let last = if first == Turn::Wait { turn_with(&[], gone_after) } else { first };
        assert_eq!((last, out.is_empty()), (turn, true), "{gone_before} {gone_after}");
    }
}

/// Where the bytes of another message begin is marked, if a fault of bytes was drawn for either.
#[test]
fn messages_are_marked_as_far_as_it_matters() {
    let course = |faults: &[&str], duplicates| {
        let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
        let message = Message { request: "GET /".into(), occurrence: 1, faults };
        Some(Course { message: Some(Arc::new(message)), duplicates, ..Course::default() })
    };
    let (ends, mut up, mut down) =
        (Ends::default(), Up::new(Span::from_ms(10_000)), Down::default());
    let courses = [None, course(&["f"], 1), course(&[], 0), None, course(&["f"], 0)];
    ends.0.borrow_mut().courses = courses.into();
    let (ask, answer) = (crlf(GET), crlf(OK));
    let (mut sent, mut got) = (Vec::new(), Vec::new());
    up.turn(&ask.repeat(5), Time::ZERO, &mut ends.clone(), &mut sent);
    down.turn(&answer.repeat(6), Time::ZERO, &mut ends.clone(), &mut got);
    let told = |marks: Vec<Mark>, length: usize| -> Vec<(usize, Option<u64>)> {
        let told = |mark: Mark| (mark.at / length, mark.drawn.map(|drawn| drawn.number));
        marks.into_iter().map(told).collect()
    };
    // The second one is sent twice, and both belong to it; its second answer is thrown away.
    assert_eq!(sent.len(), 6 * ask.len());
    assert_eq!(told(up.take_marks(), ask.len()), [(1, Some(2)), (3, None), (5, Some(5))]);
    assert_eq!(got.len(), 5 * answer.len());
    assert_eq!(told(down.take_marks(), answer.len()), [(1, Some(2)), (2, None), (4, Some(5))]);
    assert!(up.take_marks().is_empty() && down.take_marks().is_empty());
}

pub(super) fn decided(kind: &str, phase: Phase) -> Decided {
    let kind = Kind::find(kind).expect("a kind");
    Decided { phase, fault: "mine".into(), kind, drawn: String::new(), shadow: false }
}
