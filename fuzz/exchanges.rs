//! What holds for whatever a client and an upstream send: called by the fuzz targets, and by a
//! test of `src/exchange` with the messages that were kept.
#![allow(dead_code, clippy::unwrap_used)] // each target uses one of them; a panic is a finding

use super::between::Ends;
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
    let (at, rest) = bytes.split_first().map_or((0, bytes), |(at, rest)| (usize::from(*at), rest));
    let (client, upstream) = rest.split_at((rest.len() * at / 255).min(rest.len()));
    let whole = talk(client, upstream, usize::MAX);
    assert_eq!(talk(client, upstream, 1), whole, "byte by byte");
    for size in [2, 7, 64] {
        assert_eq!(talk(client, upstream, size), whole, "{size} at once");
    }
    let (statuses, sent, _) = &whole;
    assert!(statuses.len() <= sent.len() + 1, "more answers than requests: {whole:?}");
}

/// The statuses that the client was given, the requests that reached the upstream, and how it all
/// ended. The upstream answers when all has reached it.
fn talk(client: &[u8], upstream: &[u8], size: usize) -> (Vec<u16>, Vec<String>, String) {
    let ends = Ends::default();
    let (mut up, mut down) = (Up::new(Span::from_ms(1_000)), Down::default());
    let (mut to_upstream, mut to_client, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut asked, mut answered) = (Turn::Wait, Turn::Wait);
    let (mut asks, mut answers) = (client.chunks(size), upstream.chunks(size));
    for _ in 0..client.len() + upstream.len() + 100 {
        if asked == Turn::Wait {
            let piece = if up.wants() { asks.next() } else { None };
            asked =
                up.turn(piece.unwrap_or_default(), Time::ZERO, &mut ends.clone(), &mut to_upstream);
        }
        let has_asked = asks.len() == 0 || !up.wants() || asked != Turn::Wait;
        if answered == Turn::Wait && has_asked {
            let piece = if down.wants() { answers.next() } else { None };
            if piece.is_none() && answers.len() == 0 {
                down.end(Ended::Finished);
            }
            let piece = piece.unwrap_or_default();
            answered = down.turn(piece, Time::ZERO, &mut ends.clone(), &mut to_client);
        }
        statuses.extend(down.take_done().map(|done| done.status));
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
