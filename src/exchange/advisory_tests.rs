//! What went wrong in another proxy must not go wrong here: one test for each class of its
//! advisories.

use super::tests::talk;
use super::{Ended, Turn};
use crate::exchange::tests::{Talk, crlf};
use crate::fault::course::{Abort, Course};
use crate::http::Reply;
use crate::units::Span;

const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi";
const HIDDEN: &str = "GET /hidden HTTP/1.1\nHost: a\n\n";

fn answered_by_us() -> Option<Course> {
    let abort = Some(Abort::Reply(Reply::new(503), Span::ZERO));
    Some(Course { abort, ..Course::default() })
}

/// A request that is answered without the upstream: its body is no request.
#[test]
fn rustsec_2025_0037_an_unread_body_is_no_request() {
    let ours = "HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n";
    let length = crlf(HIDDEN).len();
    for framing in [
        format!("Content-Length: {length}\n\n{HIDDEN}"),
        format!("Transfer-Encoding: chunked\n\n{length:x}\n{HIDDEN}\n0\n\n"),
    ] {
        let request = format!("POST / HTTP/1.1\nHost: a\n{framing}");
        let next = "GET /next HTTP/1.1\nHost: a\n\n";
        let heard = talk(&format!("{request}{next}"), OK, vec![answered_by_us(), None]);
        assert_eq!((heard.upstream, heard.client), (next.into(), format!("{ours}{OK}")));
    }
    // Where the body may come or not, the connection ends.
    let head = "POST / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 9\n\n";
    let heard = talk(&format!("{head}{HIDDEN}"), OK, vec![answered_by_us(), None]);
    assert_eq!((&*heard.upstream, heard.ends.1), ("", Turn::Finish));
    assert_eq!(heard.done, [(1, 503, false)]);
    // One that is refused in its body is the last one.
    let broken = format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nx\n{HIDDEN}");
    let heard = talk(&broken, "", vec![answered_by_us()]);
    assert_eq!((&*heard.upstream, heard.ends.1), ("", Turn::Finish));
    assert_eq!(heard.done, [(1, 400, false)]);
}

const UPGRADE: &str = "GET /chat HTTP/1.1\nHost: a\nUpgrade: x\nConnection: upgrade\n\n";

/// What follows a request to upgrade is not passed on before the upstream has agreed, and is a
/// request like any other when it does not.
#[test]
fn rustsec_2026_0033_no_tunnel_before_101() {
    let heard = talk(&format!("{UPGRADE}{HIDDEN}"), "", Vec::new());
    assert_eq!(heard.upstream, UPGRADE, "it waits for an answer");
    let heard = talk(&format!("{UPGRADE}{HIDDEN}"), "HTTP/1.1 100 Continue\n\n", Vec::new());
    assert_eq!(heard.upstream, UPGRADE, "100 is no agreement");
    let no = "HTTP/1.1 403 Forbidden\nContent-Length: 0\n\n";
    let heard = talk(&format!("{UPGRADE}{HIDDEN}"), no, Vec::new());
    assert_eq!(heard.upstream, format!("{UPGRADE}{HIDDEN}"), "the next request is the next");
    assert_eq!(heard.client, no);
    let smuggled = format!("{UPGRADE}GET /hidden HTTP/1.1\nHost : a\n\n");
    let heard = talk(&smuggled, no, Vec::new());
    assert_eq!((&*heard.upstream, heard.ends.1), (UPGRADE, Turn::Finish));
    assert_eq!(heard.done, [(1, 403, true), (2, 400, false)], "it is read as strictly");
    // With the agreement all that follows passes as it is.
    let yes = "HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: upgrade\n\n";
    let heard = talk(&smuggled, &format!("{yes}raw"), Vec::new());
    assert_eq!((heard.upstream, heard.client), (smuggled, format!("{yes}raw")));
    assert_eq!(heard.ends, (Turn::Tunnel, Turn::Tunnel));
}

/// Without `Upgrade` in `Connection`, or on HTTP/1.0, nobody asked for a tunnel.
#[test]
fn rustsec_2026_0033_no_tunnel_unasked() {
    for request in [
        "GET / HTTP/1.1\nHost: a\nUpgrade: x\n\n",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade\n\n",
        "GET / HTTP/1.0\nUpgrade: x\nConnection: upgrade\n\n",
    ] {
        let (client, upstream) = (
            crlf(request),
            crlf("HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: upgrade\n\nraw"),
        );
        let talk = Talk {
            client: &client,
            upstream: &upstream,
            courses: Vec::new(),
            client_ends: None,
            upstream_ends: Some(Ended::Finished),
        };
        let heard = talk.hear();
        assert_eq!(heard.done, [(1, 502, false)], "{request}");
        assert!(!heard.client.contains("raw") && !heard.upstream.contains("pgrade"), "{heard:?}");
    }
}

/// One reader sees a length and another one chunks: such a request reaches nobody.
#[test]
fn rustsec_2026_0034_framing_is_never_a_matter_of_taste() {
    for (head, status) in [
        ("HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n", 400),
        ("HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 5\n", 400),
        ("HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 5\n", 400),
        ("HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked\n", 400),
        ("HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n", 501),
        ("HTTP/1.1\nHost: a\nTransfer-Encoding: identity\nTransfer-Encoding: chunked\n", 501),
        ("HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, identity\n", 501),
        ("HTTP/1.1\nHost: a\nTransfer-Encoding: identity, chunked\n", 501),
        ("HTTP/1.1\nHost: a\nTransfer-Encoding: chunked,\n", 501),
        ("HTTP/1.1\nHost: a\nTransfer-Encoding: xchunked\n", 501),
        ("HTTP/1.1\nHost: a\nTransfer-Encoding : chunked\n", 400),
        ("HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 5\n", 400),
        ("HTTP/1.1\nHost: a\nContent-Length: 0\nContent-Length: 5\n", 400),
    ] {
        let request = format!("POST / {head}\n0\n\n{HIDDEN}");
        let heard = talk(&request, OK, Vec::new());
        assert_eq!(heard.done, [(1, status, false)], "{head}");
        assert_eq!((&*heard.upstream, heard.ends.1), ("", Turn::Finish), "{head}");
    }
}

/// The same for an answer: what it hides is not passed on as another one.
#[test]
fn rustsec_2026_0034_answers_too() {
    for head in [
        "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Length: 5\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: identity\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\nContent-Length: 5\n",
    ] {
        let get = "GET / HTTP/1.1\nHost: a\n\n";
        let heard = talk(&get.repeat(2), &format!("{head}\n0\n\n{OK}"), Vec::new());
        assert_eq!(heard.done, [(1, 502, false)], "{head}");
        assert_eq!(heard.ends.1, Turn::Finish, "{head}");
        assert!(!heard.client.contains("200"), "{head}");
    }
}
