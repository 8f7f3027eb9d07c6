//! Exchanges as text: what the client and the upstream send, what each of them gets. Everything is
//! given whole, byte by byte and cut at every place, with the same outcome but for chunk sizes.

use super::between::Ends;
use super::*;
use crate::units::Span;

/// One half with what it has been given and has put out.
struct Side<'a> {
    input: &'a [u8],
    ends: Option<Ended>,
    out: Vec<u8>,
    turn: Turn,
}

impl<'a> Side<'a> {
    fn new(input: &'a [u8], ends: Option<Ended>) -> Side<'a> {
        Side { input, ends, out: Vec::new(), turn: Turn::Wait }
    }

    /// The next bytes; none when the half does not want any.
    fn next(&mut self, wants: bool, size: usize) -> &'a [u8] {
        let count = if wants { size.min(self.input.len()) } else { 0 };
        let (now, later) = self.input.split_at(count);
        self.input = later;
        now
    }
}

/// After so many rounds in which nothing happened, nothing will.
const IDLE_ROUNDS: usize = 20;

/// A connection whose client and upstream say all they have to say.
pub(super) struct Talk<'a> {
    pub(super) client: &'a [u8],
    pub(super) upstream: &'a [u8],
    pub(super) courses: Vec<Option<Course>>,
    pub(super) client_ends: Option<Ended>,
    pub(super) upstream_ends: Option<Ended>,
}

/// What came out of it: to the upstream, to the client, and how each half ended.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) upstream: String,
    pub(super) client: String,
    pub(super) ends: (Turn, Turn),
    pub(super) done: Vec<(u64, u16, bool)>,
    /// To the upstream, as it was sent.
    pub(super) sent: Vec<u8>,
    /// To the client.
    got: Vec<u8>,
}

impl Talk<'_> {
    /// Gives the first `first` bytes of each side at once, and then `then` at once.
    pub(super) fn cut(&self, first: usize, then: usize) -> Heard {
        let ends = Ends::default();
        ends.0.borrow_mut().courses = self.courses.iter().cloned().collect();
        let (mut up, mut down) = (Up::new(Span::from_ms(10_000)), Down::default());
        let mut client = Side::new(self.client, self.client_ends);
        let mut upstream = Side::new(self.upstream, self.upstream_ends);
        let (mut now, mut done, mut size) = (Time::ZERO, Vec::new(), first);
        let (mut idle, mut before) = (0, (0, 0, 0, 0));
        while idle < IDLE_ROUNDS {
            if client.turn == Turn::Wait {
                let fresh = client.next(up.wants(), size);
                if client.input.is_empty() && fresh.is_empty() {
                    client.ends.into_iter().for_each(|ended| up.end(ended));
                }
                client.turn = up.turn(fresh, now, &mut ends.clone(), &mut client.out);
                ends.0.borrow_mut().client_finished |= client.turn == Turn::Finish;
            }
            if upstream.turn == Turn::Wait && (client.input.is_empty() || !up.wants()) {
                let fresh = upstream.next(down.wants(), size);
                if upstream.input.is_empty() && fresh.is_empty() {
                    upstream.ends.into_iter().for_each(|ended| down.end(ended));
                }
                upstream.turn = down.turn(fresh, now, &mut ends.clone(), &mut upstream.out);
            }
            size = then;
            now = now + Span(100_000);
            done.extend(std::iter::from_fn(|| down.take_done()));
            let after =
                (client.input.len(), upstream.input.len(), client.out.len(), upstream.out.len());
            idle = if after == before { idle + 1 } else { 0 };
            before = after;
        }
        if client.turn == Turn::Tunnel {
            client.out.extend(up.take_rest());
            upstream.out.extend(down.take_rest());
            client.out.extend(client.input);
            upstream.out.extend(upstream.input);
        }
        Heard {
            upstream: text(&client.out),
            client: text(&upstream.out),
            sent: client.out,
            got: upstream.out,
            ends: (client.turn, upstream.turn),
            done: done.iter().map(|done| (done.number, done.status, done.by_upstream)).collect(),
        }
    }

    /// What came out, whole, and the same however it is cut.
    #[track_caller]
    pub(super) fn hear(&self) -> Heard {
        let whole = self.cut(usize::MAX, usize::MAX);
        let same = |heard: &Heard, how: &str| {
            assert_eq!((heard.ends, &heard.done), (whole.ends, &whole.done), "{how}");
            assert_eq!(unframed(&heard.sent), unframed(&whole.sent), "{how}");
            assert_eq!(unframed(&heard.got), unframed(&whole.got), "{how}");
        };
        same(&self.cut(1, 1), "byte by byte");
        // Every cut of a short message, some of a long one.
        let longest = self.client.len().max(self.upstream.len());
        let step = if longest < 600 { 1 } else { longest / 10 };
        for at in (0..longest).step_by(step) {
            same(&self.cut(at, usize::MAX), &format!("cut at {at}"));
        }
        whole
    }
}

/// Bytes as they are written here.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\n")
}

/// Messages without the sizes of their chunks, as text.
fn unframed(messages: &[u8]) -> String {
    let end = |bytes: &[u8], what: &[u8]| {
        let at = bytes.windows(what.len()).position(|window| window == what);
        at.map(|at| at + what.len())
    };
    let (mut out, mut rest) = (Vec::new(), messages);
    while let Some(head) = end(rest, b"chunked\r\n") {
        let head = head - 2 + end(&rest[head - 2..], b"\r\n\r\n").unwrap_or(2);
        out.extend_from_slice(&rest[..head]);
        rest = &rest[head..];
        while let Some(line) = end(rest, b"\r\n") {
            let size = String::from_utf8_lossy(&rest[..line - 2]);
            let Some(size @ 1..) = usize::from_str_radix(&size, 16).ok() else { break };
            let data = &rest[line..(line + size).min(rest.len())];
            out.extend_from_slice(data);
            rest = &rest[(line + size + 2).min(rest.len())..];
        }
    }
    out.extend_from_slice(rest);
    out.escape_ascii().to_string()
}

pub(super) fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

pub(super) fn talk(client: &str, upstream: &str, courses: Vec<Option<Course>>) -> Heard {
    let (client, upstream) = (crlf(client), crlf(upstream));
    let talk = Talk {
        client: &client,
        upstream: &upstream,
        courses,
        client_ends: None,
        upstream_ends: None,
    };
    talk.hear()
}

/// Nothing is decided: what the client sends, and what the upstream gets of it.
#[track_caller]
fn check_request(client: &str, upstream: &str) {
    let heard = talk(client, "", Vec::new());
    assert_eq!(heard.upstream, upstream);
    assert_eq!(heard.client, "");
}

/// What the upstream answers to a GET, and what the client gets of it, and how that ends.
#[track_caller]
fn check_answer(upstream: &str, client: &str, end: Turn) {
    check_answer_to("GET / HTTP/1.1\nHost: a\n\n", upstream, client, end);
}

#[track_caller]
fn check_answer_to(request: &str, upstream: &str, client: &str, end: Turn) {
    let (request, answer) = (crlf(request), crlf(upstream));
    let (client_ends, upstream_ends) = (None, Some(Ended::Finished));
    let courses = Vec::new();
    let talk = Talk { client: &request, upstream: &answer, courses, client_ends, upstream_ends };
    let heard = talk.hear();
    assert_eq!((&*heard.client, heard.ends.1), (client, end), "{upstream}");
}

#[test]
fn requests_pass() {
    let plain = "GET /a?b HTTP/1.1\nHost: a\nX-Case: As It Was\nx-empty: \n\n";
    check_request(plain, plain);
    check_request(&format!("\n{plain}{plain}"), &format!("{plain}{plain}"));
    let body = "POST / HTTP/1.1\nContent-Length: 5\nHost: a\n\nhello";
    check_request(&format!("{body}{plain}"), &format!("{body}{plain}"));
    let old = "GET / HTTP/1.0\nX: y\n\n";
    check_request(old, "GET / HTTP/1.0\nX: y\nConnection: close\n\n");
    check_request(
        "GET / HTTP/1.0\nConnection: Keep-Alive\n\n",
        "GET / HTTP/1.0\nConnection: keep-alive\n\n",
    );
    check_request("HEAD http://a/ HTTP/1.1\nHost: a\n\n", "HEAD http://a/ HTTP/1.1\nHost: a\n\n");
    let expects = "PUT / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 1\n\nx";
    check_request(expects, expects);
}

#[test]
fn chunks_are_framed_anew() {
    let head = "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n";
    let sent = format!("{head}00003;ext=1\nabc\n2 ;x\nde\n0;last\nX-Sum: 1\nX-b:2\n\n");
    check_request(&sent, &format!("{head}3\nabc\n2\nde\n0\nX-Sum: 1\nX-b: 2\n\n"));
    check_request(&format!("{head}0\n\n"), &format!("{head}0\n\n"));
}

#[test]
fn fields_for_one_hop_stay_here() {
    check_request(
        "GET / HTTP/1.1\nHost: a\nConnection: X-Hop, keep-alive\nX-Hop: 1\nKeep-Alive: 5\n\
         Proxy-Connection: close\nTE: gzip\nX-Kept: 1\n\n",
        "GET / HTTP/1.1\nHost: a\nX-Kept: 1\n\n",
    );
    check_request(
        "GET / HTTP/1.1\nHost: a\nTE: gzip, trailers\nConnection: TE, close\n\n",
        "GET / HTTP/1.1\nHost: a\nTE: trailers\nConnection: TE, close\n\n",
    );
    let framed = "POST / HTTP/1.1\nHost: a\nContent-Length: 1\n";
    check_request(
        &format!("{framed}Connection: host, content-length, transfer-encoding\n\nx"),
        &format!("{framed}\nx"),
    );
    check_request("GET / HTTP/1.1\nHost: a\nUpgrade: x\n\n", "GET / HTTP/1.1\nHost: a\n\n");
}

#[test]
fn behind_the_last_request_nothing_passes() {
    check_request(
        "GET / HTTP/1.1\nHost: a\nConnection: close\n\nGET /2 HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a\nConnection: close\n\n",
    );
}

#[test]
fn answers_pass() {
    let kept = "HTTP/1.1 200 OK\nServer: x\nContent-Length: 2\n\nhi";
    check_answer(kept, kept, Turn::Finish);
    check_answer(
        "HTTP/1.0 200 OK\nContent-Length: 2\n\nhi",
        "HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nhi",
        Turn::Finish,
    );
    check_answer(
        "HTTP/1.1 200\nConnection: close\n\nuntil the end",
        "HTTP/1.1 200 \nConnection: close\n\nuntil the end",
        Turn::Finish,
    );
    let chunks = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\nX: y\n\n";
    check_answer(chunks, chunks, Turn::Finish);
    check_answer(
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early\nLink: x\n\nHTTP/1.1 204 No\n\n",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early\nLink: x\n\nHTTP/1.1 204 No\n\n",
        Turn::Finish,
    );
    check_answer(
        "HTTP/1.1 304 Not Modified\nContent-Length: 7\nETag: x\n\n",
        "HTTP/1.1 304 Not Modified\nContent-Length: 7\nETag: x\n\n",
        Turn::Finish,
    );
}

#[test]
fn answers_without_a_body() {
    let head = "HEAD / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\nHost: a\n\n";
    let answers = "HTTP/1.1 200 OK\nContent-Length: 9\n\nHTTP/1.1 204 Gone\n\n";
    check_answer_to(head, answers, answers, Turn::Finish);
    check_answer_to(
        head,
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nHTTP/1.1 204 Gone\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\n\nHTTP/1.1 204 Gone\n\n",
        Turn::Finish,
    );
}

#[test]
fn an_old_client_gets_no_chunks() {
    check_answer_to(
        "GET / HTTP/1.0\nConnection: keep-alive\n\n",
        "HTTP/1.1 100 Go on\n\nHTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n1\n!\n0\n\n",
        "HTTP/1.1 200 OK\nConnection: close\n\nhi!",
        Turn::Finish,
    );
    check_answer_to(
        "GET / HTTP/1.0\nConnection: keep-alive\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        "HTTP/1.1 200 OK\nContent-Length: 1\nConnection: keep-alive\n\nx",
        Turn::Finish,
    );
    check_answer_to(
        "GET / HTTP/1.0\n\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n",
        "HTTP/1.1 200 OK\nConnection: close\n\nhi",
        Turn::Reset,
    );
}

#[test]
fn a_cut_answer_is_no_whole_one() {
    for (answer, told) in [
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nhi", "HTTP/1.1 200 OK\nContent-Length: 3\n\nhi"),
        (
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n",
        ),
        (
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\nbroken\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n",
        ),
    ] {
        check_answer(answer, told, Turn::Close);
    }
}

const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\nContent-Type: text/plain; charset=utf-8\n\
                           X-Content-Type-Options: nosniff\nContent-Length: ";

#[test]
fn answers_that_are_none() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\nContent",
        "HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 1\n\nx",
        "HTTP/1.1 200 OK\nContent-Length: +1\n\nx",
        "HTTP/1.1 200 OK\nContent-Length: 99999999999999999999\n\nx",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Length: 1\n\n0\n\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n0\n\n",
        "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n0\n\n",
        "HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: upgrade\n\n",
        "HTTP/1.1 99 Low\n\n",
        "HTTP/1.1 2000 OK\n\n",
        "HTTP/1.1  200 OK\n\n",
        "HTTP/2 200 OK\n\n",
        "SSH-2.0-OpenSSH\n",
        "\nHTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\nA : b\n\n",
        "HTTP/1.1 200 OK\nA: b\n c\n\n",
    ] {
        let answer = crlf(answer);
        let talk = Talk {
            client: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            upstream: &answer,
            courses: Vec::new(),
            client_ends: None,
            upstream_ends: Some(Ended::Finished),
        };
        let heard = talk.hear();
        assert!(heard.client.starts_with(BAD_GATEWAY), "{heard:?}");
        assert!(heard.client.contains("\nConnection: close\n\n"), "{heard:?}");
        assert_eq!((heard.ends.1, &*heard.done), (Turn::Finish, &[(1, 502, false)][..]));
    }
}

#[test]
fn a_head_that_comes_slowly_is_late() {
    let head_span = Span::from_ms(10_000);
    let (ends, mut up) = (Ends::default(), Up::new(head_span));
    let mut turn = |bytes: &[u8], at: Time| {
        let mut out = Vec::new();
        assert_eq!(up.turn(bytes, at, &mut ends.clone(), &mut out), Turn::Wait);
        (out.len(), up.due(), ends.0.borrow_mut().queue.pop_front().map(|given| given.from))
    };
    let first = Time::ZERO + Span::from_ms(5_000); // waiting for the first byte does not count
    let (late, just) = (first + head_span, Time((first + head_span).0 - 1));
    assert_eq!(turn(b"", first), (0, Time::NEVER, None));
    assert_eq!(turn(b"G", first), (0, late, None));
    assert_eq!(turn(b"ET / HTTP/1.1\r\n", just), (0, late, None));
    let (_, due, given) = turn(b"H", late);
    let late = matches!(given, Some(From::Refused(Reject { status: 408, .. })));
    assert!(late && due == Time::NEVER, "{given:?} {due:?}");
}

#[test]
fn a_head_that_was_not_read_is_not_late_for_that() {
    let at = |ms: u64| Time::ZERO + Span::from_ms(ms);
    let (ends, mut up) = (Ends::default(), Up::new(Span::from_ms(10)));
    let turn = |up: &mut Up, bytes: &[u8], ms: u64| {
        up.turn(bytes, at(ms), &mut ends.clone(), &mut Vec::new());
        ends.0.borrow_mut().queue.pop_front().map(|given| given.from)
    };
    up.was_not_read(Span::from_ms(50));
    assert_eq!(up.due(), Time::NEVER, "none is under way");
    assert_eq!(turn(&mut up, b"GET / HT", 0), None);
    up.was_not_read(Span::from_ms(50));
    assert_eq!((turn(&mut up, b"", 59), up.due()), (None, at(60)));
    assert_eq!(turn(&mut up, &crlf("TP/1.1\nHost: a\n\n"), 59), Some(From::Upstream));
}

#[test]
fn one_request_more_than_may_wait_waits_unread() {
    let request = crlf("GET / HTTP/1.1\nHost: a\n\n");
    let (ends, mut up) = (Ends::default(), Up::new(Span::from_ms(1)));
    let mut out = Vec::new();
    let requests = request.repeat(PIPELINED_MAX + 1);
    up.turn(&requests, Time::ZERO, &mut ends.clone(), &mut out);
    assert_eq!((out.len(), up.wants()), (PIPELINED_MAX * request.len(), false));
    assert!(up.waits_for_answers());
    ends.0.borrow_mut().queue.pop_front();
    up.turn(&[], Time::ZERO, &mut ends.clone(), &mut out);
    assert_eq!((out.len(), up.wants()), (requests.len(), true));
}

/// The body of a request breaks the rules when its head has been passed on.
#[test]
fn a_body_that_is_broken_is_told() {
    let head = "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n";
    let sent = format!("{head}2\nhi\nbroken\n");
    let heard = talk(&sent, "", Vec::new());
    assert_eq!(heard.upstream, format!("{head}2\nhi\n"), "nothing that looks whole");
    assert_eq!((heard.ends.1, &*heard.done), (Turn::Finish, &[(1, 400, false)][..]));
    // When the upstream has begun to answer, the client cannot be told but by a cut.
    let begun = "HTTP/1.1 200 OK\nContent-Length: 5\n\nhe";
    let (client, upstream) = (crlf(&sent), crlf(begun));
    let talk = Talk {
        client: &client,
        upstream: &upstream,
        courses: Vec::new(),
        client_ends: None,
        upstream_ends: None,
    };
    let heard = talk.cut(usize::MAX, usize::MAX);
    assert_eq!(heard.done.len(), 1);
    assert!(heard.ends.1 == Turn::Close || heard.done[0].1 == 400, "{heard:?}");
}
