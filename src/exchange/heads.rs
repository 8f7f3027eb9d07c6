//! Heads as they are passed on: the fields of the framing and those that are for one hop are
//! written anew, all others are copied.

use crate::fault::course::{Course, Edit};
use crate::http::line::is_control;
use crate::http::{AnswerReader, Answered, Asked, Framing, HeadReader, Known, RawField, RawFields};
use crate::http::{Reply, Version};

/// The field that tells which faults acted.
const EXPLAIN: &str = "X-Chaos-Faults";

/// How the body of a message that goes out is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// There is none. A length in the head is that of the body that there would be.
    Bodiless,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until the connection ends.
    Raw,
}

/// How the connection goes on behind an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goes {
    /// What the client speaks.
    pub(super) version: Version,
    /// It stays open.
    pub(super) keep_alive: bool,
}

/// Writes the head of a request.
pub(super) fn request(reader: &HeadReader, asked: &Asked, edits: &[Edit], out: &mut Vec<u8>) {
    out.extend_from_slice(reader.whole_line());
    let fields = reader.fields();
    copy(fields, edits, true, out);
    if asked.framing == Framing::Chunked {
        line(out, b"Transfer-Encoding", b"chunked");
    }
    let mut hop: Vec<&[u8]> = Vec::new();
    if asked.upgrade {
        fields.all(Known::Upgrade).for_each(|value| line(out, b"Upgrade", value));
        hop.push(b"upgrade");
    }
    if fields.lists(Known::Te, b"trailers") {
        line(out, b"TE", b"trailers");
        hop.push(b"TE");
    }
    match (asked.keep_alive, asked.version) {
        (false, _) => hop.push(b"close"),
        (true, Version::Http10) => hop.push(b"keep-alive"),
        (true, Version::Http11) => {}
    }
    if !hop.is_empty() {
        line(out, b"Connection", &hop.join(&b", "[..]));
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of an answer of the upstream.
pub(super) fn answer(
    (reader, answered): (&AnswerReader, &Answered),
    body: Out,
    goes: Goes,
    course: Option<&Course>,
    out: &mut Vec<u8>,
) {
    match (answered.version, reader.reason()) {
        (Version::Http11, [_, ..]) => out.extend_from_slice(reader.whole_line()),
        (_, reason) => status_line(answered.status, reason, out),
    }
    let fields = reader.fields();
    let keeps_length = match body {
        Out::Bodiless => answered.status >= 200 && answered.status != 204,
        Out::Length(length) => answered.framing == Framing::Length(length),
        Out::Chunked | Out::Raw => false,
    };
    let edits = course.map_or(&[][..], |course| &course.answer.edits);
    copy(fields, edits, keeps_length, out);
    match body {
        Out::Length(length) if !keeps_length => {
            out.extend_from_slice(b"Content-Length: ");
            number(out, length, 10);
            out.extend_from_slice(b"\r\n");
        }
        Out::Chunked => line(out, b"Transfer-Encoding", b"chunked"),
        Out::Length(_) | Out::Bodiless | Out::Raw => {}
    }
    match (answered.status, goes) {
        (101, _) => {
            fields.all(Known::Upgrade).for_each(|value| line(out, b"Upgrade", value));
            line(out, b"Connection", b"upgrade");
        }
        (..200, _) | (_, Goes { keep_alive: true, version: Version::Http11 }) => {}
        (_, Goes { keep_alive: false, .. }) => line(out, b"Connection", b"close"),
        (_, Goes { version: Version::Http10, .. }) => line(out, b"Connection", b"keep-alive"),
    }
    let is_proper = answered.status == 101 || answered.status >= 200;
    if let Some(told) = explained(course).filter(|_| is_proper) {
        line_of_ours(out, EXPLAIN.as_bytes(), told.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// An answer in the place of the upstream's, with the changes that were meant for that.
pub(super) fn edited(reply: &Reply, edits: &[Edit]) -> Reply {
    let mut reply = reply.clone();
    for edit in edits {
        let (Edit::Remove(name) | Edit::Set(name, _)) = edit;
        reply.fields.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        if let Edit::Set(name, value) = edit {
            reply = reply.with(name, &String::from_utf8_lossy(value));
        }
    }
    reply
}

/// An answer of our own, with what it tells of faults.
pub(super) fn own(reply: &Reply, course: Option<&Course>) -> Reply {
    let reply = reply.clone();
    match explained(course) {
        Some(told) => reply.with(EXPLAIN, &told),
        None => reply,
    }
}

/// Which faults acted, if that is to be told.
fn explained(course: Option<&Course>) -> Option<String> {
    let course = course.filter(|course| course.explain)?;
    let acted = course.decided.iter().filter(|decided| !decided.shadow);
    let words = acted.map(|decided| match decided.drawn.is_empty() {
        true => decided.kind.name.to_owned(),
        false => [decided.kind.name, &decided.drawn].join(";"),
    });
    Some(words.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
}

fn status_line(status: u16, reason: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, u64::from(status), 10);
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Copies what is for the other end, edited. Of the framing, a length if it `keeps` that.
fn copy(fields: RawFields<'_>, edits: &[Edit], keeps: bool, out: &mut Vec<u8>) {
    let names_fields = fields.connection().name_fields();
    fields.copy(out, |place| {
        let passes = match place.known() {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade => false,
            Known::ContentLength => keeps,
            // `Connection: host` must not take away where the message goes.
            Known::Host => true,
            Known::Expect | Known::Trailer | Known::Other => {
                !(names_fields && fields.lists(Known::Connection, place.field().name))
            }
        };
        passes && !edits.iter().any(|edit| is_about(edit, place.field().name))
    });
    for (index, edit) in edits.iter().enumerate() {
        if let Edit::Set(name, value) = edit
            && !Known::of(name.as_bytes()).is_of_hop()
            && !edits[index + 1..].iter().any(|later| is_about(later, name.as_bytes()))
        {
            line_of_ours(out, name.as_bytes(), value);
        }
    }
}

/// True when an edit takes the place of the field with this name. The framing is not to be had.
fn is_about(edit: &Edit, name: &[u8]) -> bool {
    let (Edit::Set(edited, _) | Edit::Remove(edited)) = edit;
    edited.as_bytes().eq_ignore_ascii_case(name) && !Known::of(name).is_of_hop()
}

/// Writes one field. What could end it early is written as a blank.
fn line_of_ours(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let clean = |byte: &u8| if is_control(*byte) { b' ' } else { *byte };
    line(out, name, &value.iter().map(clean).collect::<Vec<u8>>());
}

/// Writes one field; nothing in it ends it early.
fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    RawField { name, value, known: Known::Other }.write(out);
}

/// Writes the trailers and the end of a body in chunks.
pub(super) fn last_chunk(trailers: Option<RawFields<'_>>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    trailers.into_iter().for_each(|trailers| trailers.copy(out, |_| true));
    out.extend_from_slice(b"\r\n");
}

/// Writes one chunk; nothing for none, which would end the body.
pub(super) fn chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        number(out, data.len() as u64, 16);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

fn number(out: &mut Vec<u8>, mut value: u64, base: u64) {
    let (mut digits, mut at) = ([0; 20], 20); // a u64 has at most 20 digits
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(value % base) as usize];
        value /= base;
        if value == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}
