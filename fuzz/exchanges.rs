//! What holds for whatever a client and an upstream send: called by the fuzz targets, and by a
//! test of `src/exchange` with the messages that were kept.
#![allow(dead_code, clippy::unwrap_used)] // each target uses one of them; a panic is a finding

use super::between::Ends;
use super::{Abort, Answer, Course, Lose, Malformed, Partial, Reply};
use super::{AnswerReader, BodyReader, Down, Ended, Framing, LIMITS, Span, Time, Turn, Up};

/// Any bytes of an upstream: no panic; the same head and the same body, however they are cut.
pub(crate) fn answer(bytes: &[u8]) {
    let whole = read_answer(bytes, usize::MAX, usize::MAX);
    assert_eq!(read_answer(bytes, 1, 1), whole, "byte by byte");
    for at in cuts(bytes.len()) {
        assert_eq!(read_answer(bytes, at, usize::MAX), whole, "cut at {at}");
    }
}

/// Some places to cut so many bytes: all of few, about twenty of many.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(1 + length / 20)
}

/// The pieces of some bytes: the first one so long, and then all the others.
fn pieces(bytes: &[u8], first: usize, then: usize) -> impl Iterator<Item = &[u8]> {
    let (head, tail) = bytes.split_at(first.min(bytes.len()));
    std::iter::once(head).chain(tail.chunks(then))
}

/// Head, body, and whether it was refused or is whole.
fn read_answer(bytes: &[u8], first: usize, then: usize) -> (String, Vec<u8>, &'static str) {
    let mut reader = AnswerReader::new(&LIMITS);
    let (mut head, mut body, mut data) = (None, None, Vec::new());
    for mut piece in pieces(bytes, first, then) {
        while !piece.is_empty() {
            let Some(body) = &mut body else {
                match reader.take(piece) {
                    Err(_) => return (String::new(), data, "refused"),
                    Ok((taken, answered)) => {
                        piece = &piece[taken..];
                        head = answered;
                        body = answered.map(|answered| BodyReader::new(answered.framing, &LIMITS));
                    }
                }
                continue;
            };
            let Ok(reader) = body else { return (format!("{head:?}"), data, "too long") };
            match reader.next(piece) {
                Err(_) => return (format!("{head:?}"), data, "broken"),
                Ok((taken, some)) => {
                    assert!(taken <= piece.len());
                    data.extend_from_slice(some);
                    if reader.is_done() {
                        return (format!("{head:?}"), data, "whole");
                    }
                    piece = &piece[taken..];
                }
            }
        }
    }
    (format!("{head:?}"), data, "more")
}

/// Any chunks: the decoder finds what a plain reading of the rules finds.
pub(crate) fn chunks(bytes: &[u8]) {
    let mut reader = BodyReader::new(Framing::Chunked, &LIMITS).unwrap();
    let (mut rest, mut data) = (bytes, Vec::new());
    let found = loop {
        match reader.next(rest) {
            Err(_) => break None,
            Ok((taken, some)) => {
                data.extend_from_slice(some);
                rest = &rest[taken..];
                if reader.is_done() {
                    break Some(bytes.len() - rest.len());
                }
                if rest.is_empty() {
                    break Some(usize::MAX);
                }
            }
        }
    };
    match plain_chunks(bytes) {
        Some((body, end)) => assert_eq!((found, data), (Some(end), body)),
        // What the plain reading does not find may still be coming, or be wrong.
        None => assert!(found.is_none_or(|end| end == usize::MAX), "{found:?}"),
    }
}

/// The body and the end of whole chunks: line by line, as RFC 9112, 7.1 has it.
fn plain_chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let line = |from: usize| {
        let rest = bytes.get(from..)?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = &rest[..end];
        line.iter().all(|b| *b == b'\t' || !b.is_ascii_control()).then_some((line, from + end + 2))
    };
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let (size, next) = line(at)?;
        let digits = size.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = &size[digits..];
        let blanks = extension.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let is_extension = extension.is_empty() || extension.get(blanks) == Some(&b';');
        // The semicolon begins the extension; it counts as none of its bytes.
        let counted = extension.len().saturating_sub(1);
        if digits == 0 || digits > 16 || !is_extension || counted > 1024 || blanks > 1024 {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(&size[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            return plain_trailers(bytes, next, line).map(|end| (body, end));
        }
        let end = usize::try_from(size).ok()?.checked_add(next)?;
        body.extend_from_slice(bytes.get(next..end)?);
        if bytes.get(end..end.checked_add(2)?) != Some(b"\r\n") {
            return None;
        }
        at = end + 2;
    }
}

/// Where the fields behind the last chunk end, if they may be there.
fn plain_trailers<'a>(
    bytes: &[u8],
    from: usize,
    line: impl Fn(usize) -> Option<(&'a [u8], usize)>,
) -> Option<usize> {
    let (mut at, mut count) = (from, 0);
    loop {
        let (field, next) = line(at)?;
        if next - from > LIMITS.head_bytes || count > LIMITS.fields {
            return None;
        }
        if field.is_empty() {
            return Some(next.min(bytes.len()));
        }
        let name = &field[..field.iter().position(|byte| *byte == b':')?];
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let barred = ["connection", "content-length", "expect", "host", "te", "trailer"];
        if name.is_empty() || !name.as_bytes().iter().all(token) || barred.contains(&&*name) {
            return None;
        }
        if name == "transfer-encoding" || name == "upgrade" {
            return None;
        }
        (at, count) = (next, count + 1);
    }
}

/// What a client and an upstream say on one connection: no panic; what goes out does not depend on
/// the cuts, and every request and every answer in it can be read in one way only.
pub(crate) fn exchanges(bytes: &[u8]) {
    let (statuses, sent) = said(bytes, &[]);
    assert!(statuses.len() <= sent + 1, "{} answers to {sent} requests", statuses.len());
}

/// The same, where something was decided for the first exchanges: each is told once.
pub(crate) fn courses(bytes: &[u8]) {
    let (courses, bytes) = bytes.split_at(bytes.len().min(4));
    said(bytes, courses);
}

/// What a byte stands for; half of them for nothing.
fn course(byte: u8) -> Option<Course> {
    let wait = Span::from_ms(if byte & 64 == 0 { 0 } else { 3 });
    let mut course = Course { duplicates: u32::from(byte >> 7), ..Course::default() };
    let answer = match byte % 32 {
        0 => return Some(Course { abort: Some(Abort::Reply(Reply::new(503), wait)), ..course }),
        1 => return Some(Course { abort: Some(Abort::Close), ..course }),
        2 => return Some(Course { abort: Some(Abort::Reset), ..course }),
        3 => Answer { delay: Span::from_ms(5), ..Answer::default() },
        4 => Answer { replace: Some(Reply::new(500)), ..Answer::default() },
        5 => Answer { lose: Some(Lose::Reset), ..Answer::default() },
        6 => Answer { lose: Some(Lose::Close), ..Answer::default() },
        7 => Answer { lose: Some(Lose::Hang), ..Answer::default() },
        8 => Answer { malformed: Some(Malformed::Garbage), ..Answer::default() },
        9 => Answer { malformed: Some(Malformed::Empty), ..Answer::default() },
        10 => Answer { malformed: Some(Malformed::Chunk), ..Answer::default() },
        11 => Answer { partial: Some(Partial::Bytes(3)), ..Answer::default() },
        12..16 => Answer::default(),
        _ => return None,
    };
    course.answer = answer;
    Some(course)
}

/// What comes of it, however it is cut: the statuses, and how many requests were passed on.
fn said(bytes: &[u8], courses: &[u8]) -> (Vec<u16>, usize) {
    let (at, rest) = bytes.split_at(bytes.len().min(2));
    let length = at.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let (client, upstream) = rest.split_at(length % (rest.len() + 1));
    let (statuses, sent, end) = talk(client, upstream, courses, usize::MAX);
    // A request behind one that asks for another protocol waits for the answer to that, which
    // this upstream may not wait for.
    let upgrades = client.windows(6).any(|window| window.eq_ignore_ascii_case(b"pgrade"));
    for size in [1, 2, 7, 64].into_iter().filter(|_| !upgrades) {
        let cut = talk(client, upstream, courses, size);
        assert_eq!((&cut.0, &cut.2), (&statuses, &end), "{size} at once: {sent:?}");
        // Where the connection ends, some requests behind may have been passed on.
        let common = sent.len().min(cut.1.len());
        assert_eq!(cut.1[..common], sent[..common], "{size} at once");
    }
    (statuses, sent.len())
}

/// The statuses that the client was given, the requests that reached the upstream, and how it all
/// ended. The upstream answers when all has reached it.
fn talk(
    client: &[u8],
    upstream: &[u8],
    courses: &[u8],
    size: usize,
) -> (Vec<u16>, Vec<String>, String) {
    let ends = Ends::default();
    ends.0.borrow_mut().courses = courses.iter().map(|byte| course(*byte)).collect();
    let (mut up, mut down) = (Up::new(Span::from_ms(1_000_000)), Down::default());
    let (mut now, mut last_told) = (Time::ZERO, 0);
    let (mut to_upstream, mut to_client, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut asked, mut answered) = (Turn::Wait, Turn::Wait);
    let (mut asks, mut answers) = (client.chunks(size), upstream.chunks(size));
    for _ in 0..client.len() + upstream.len() + 100 {
        if asked == Turn::Wait {
            let piece = if up.wants() { asks.next() } else { None };
            asked = up.turn(piece.unwrap_or_default(), now, &mut ends.clone(), &mut to_upstream);
        }
        let has_asked = asks.len() == 0 || !up.wants() || asked != Turn::Wait;
        if answered == Turn::Wait && has_asked {
            let piece = if down.wants() { answers.next() } else { None };
            if piece.is_none() && answers.len() == 0 && !down.is_delayed() {
                down.end(Ended::Finished);
            }
            let piece = piece.unwrap_or_default();
            answered = down.turn(piece, now, &mut ends.clone(), &mut to_client);
        }
        while let Some(done) = down.take_done() {
            assert!(done.number > last_told, "{} is told after {last_told}", done.number);
            last_told = done.number;
            statuses.push(done.status);
        }
        now = now + Span::from_ms(1);
    }
    let requests = if asked == Turn::Tunnel { vec!["tunnel".into()] } else { plain(&to_upstream) };
    (statuses, requests, format!("{answered:?}"))
}

/// The requests in what was passed on, whole or cut, as a plain reading of their framing finds
/// them; what it cannot read is a finding.
fn plain(mut sent: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    while !sent.is_empty() {
        let end = sent.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.expect("heads are passed on whole") + 4;
        let head = String::from_utf8_lossy(&sent[..end]).to_lowercase();
        let (line, fields) = head.split_once("\r\n").unwrap();
        assert_eq!(line.split(' ').count(), 3, "{line}");
        assert!(!fields.contains("\r\n ") && !fields.contains("\r\n\t"), "{fields}");
        let all = |name: &str| fields.lines().filter(|line| line.starts_with(name)).count();
        let (lengths, codings) = (all("content-length:"), all("transfer-encoding:"));
        assert!(lengths + codings <= 1, "{fields}");
        sent = &sent[end..];
        let length = fields.lines().find_map(|line| line.strip_prefix("content-length:"));
        let body = match length {
            Some(length) => {
                let length: usize = length.trim().parse().expect("digits that fit");
                let body = &sent[..length.min(sent.len())];
                sent = &sent[body.len()..];
                body.to_vec()
            }
            None if codings == 1 => match plain_chunks(sent) {
                Some((body, end)) => {
                    sent = &sent[end..];
                    body
                }
                None => {
                    sent = &[]; // it was cut, and nothing follows
                    Vec::new()
                }
            },
            None => Vec::new(),
        };
        seen.push(format!("{line} {}", body.escape_ascii()));
    }
    seen
}
