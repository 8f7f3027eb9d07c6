//! The head of a request: its line, its fields, and how long its body is said to be.

use super::line::{Lines, is_token, is_whole_token, trim};
use super::target::{Target, is_host};
use super::{Limits, Reject};

/// The versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// One field of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As it was written.
    pub name: String,
    /// Without the white space around it. Not always UTF-8.
    pub value: Vec<u8>,
}

/// The fields of a head in their order. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<Field>);

impl Fields {
    /// The value of the first field with this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let first = self.0.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        first.map(|field| &*field.value)
    }

    /// The values of all fields with this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let same = move |field: &&Field| field.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(same).map(|field| &*field.value)
    }

    /// True when a field that is a list has this word in it.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let mut words = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        words.any(|other| trim(other).eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; 0 when nothing was said.
    Length(u64),
    /// After the last chunk and its trailers.
    Chunked,
}

/// A head that leaves no doubt where its message ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Upper and lower case differ.
    pub method: String,
    /// What is asked for.
    pub target: Target,
    /// What the client speaks.
    pub version: Version,
    /// All fields, those of the framing too.
    pub fields: Fields,
    /// The host that is asked, of the target or of the field; empty when none was named.
    pub host: String,
    /// How the end of the body is found.
    pub framing: Framing,
    /// The client means to send another request.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Empty lines before a request that are passed over (RFC 9112, 2.2).
const BLANK_LINES_MAX: usize = 1;

/// Reads one head.
#[derive(Clone, Debug)]
pub(super) struct HeadReader {
    limits: Limits,
    lines: Lines,
    blank_lines: usize,
    start: Option<(String, Target, Version)>,
    fields: Fields,
}

impl HeadReader {
    pub(super) fn new(limits: &Limits) -> HeadReader {
        HeadReader {
            limits: *limits,
            lines: Lines::new(limits),
            blank_lines: 0,
            start: None,
            fields: Fields::default(),
        }
    }

    /// True when not one byte has come.
    pub(super) fn is_untouched(&self) -> bool {
        self.lines.is_untouched()
    }

    /// Takes bytes up to the end of the head: how many, and the head when that was its end.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Head>), Reject> {
        for (index, byte) in bytes.iter().enumerate() {
            if let Some(line) = self.feed(*byte)?
                && let Some(head) = self.take_line(&line)?
            {
                return Ok((index + 1, Some(head)));
            }
        }
        Ok((bytes.len(), None))
    }

    fn feed(&mut self, byte: u8) -> Result<Option<Vec<u8>>, Reject> {
        let line = self.lines.feed(byte)?;
        if self.start.is_none() {
            // What is no HTTP at all may never end its line.
            if self.lines.length() == 1 && !is_token(byte) && byte != b'\r' {
                return Err(Reject::bad("the method is no token"));
            }
            let length = line.as_ref().map_or(self.lines.length(), Vec::len);
            if length > self.limits.line_bytes {
                return Err(Reject { status: 414, reason: "the request line is too long" });
            }
        }
        Ok(line)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<Head>, Reject> {
        let Some(start) = self.start.take() else {
            if line.is_empty() && self.blank_lines < BLANK_LINES_MAX {
                self.blank_lines += 1;
            } else {
                self.start = Some(request_line(line)?);
            }
            return Ok(None);
        };
        if line.is_empty() {
            return finish(start, std::mem::take(&mut self.fields)).map(Some);
        }
        self.start = Some(start);
        self.fields.0.push(field(line)?);
        check_count(&self.fields, &self.limits)?;
        Ok(None)
    }
}

/// Refuses more fields than there may be.
pub(super) fn check_count(fields: &Fields, limits: &Limits) -> Result<(), Reject> {
    match fields.0.len() > limits.fields {
        true => Err(Reject { status: 431, reason: "there are too many fields" }),
        false => Ok(()),
    }
}

fn request_line(line: &[u8]) -> Result<(String, Target, Version), Reject> {
    let shape = Reject::bad("the request line is not METHOD TARGET VERSION");
    let text = std::str::from_utf8(line).map_err(|_| Reject::bad("the target is not UTF-8"))?;
    let mut parts = text.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(shape);
    };
    if !is_whole_token(method.as_bytes()) || target.is_empty() || text.contains('\t') {
        return Err(shape);
    }
    let version = match version.as_bytes() {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Reject { status: 505, reason: "only HTTP/1.1 and HTTP/1.0 are spoken" });
        }
        _ => return Err(shape),
    };
    Ok((method.to_owned(), Target::parse(method, target)?, version))
}

/// Reads one field line, of a head or of trailers.
pub(super) fn field(line: &[u8]) -> Result<Field, Reject> {
    if let [b' ' | b'\t', ..] = line {
        return Err(Reject::bad("a folded field"));
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let colon = colon.ok_or(Reject::bad("a field without a colon"))?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    if !is_whole_token(name) {
        return Err(Reject::bad("a field's name is no token"));
    }
    let name = name.iter().map(|byte| char::from(*byte)).collect(); // tokens are ASCII
    Ok(Field { name, value: value.to_vec() })
}

fn finish(start: (String, Target, Version), fields: Fields) -> Result<Head, Reject> {
    let (method, target, version) = start;
    let host = host(&target, version, &fields)?;
    let framing = framing(version, &fields)?;
    let keeps = match version {
        Version::Http11 => true,
        Version::Http10 => fields.lists("connection", "keep-alive"),
    };
    let expects = version == Version::Http11 && fields.lists("expect", "100-continue");
    Ok(Head {
        keep_alive: keeps && !fields.lists("connection", "close"),
        expects_continue: expects && framing != Framing::Length(0),
        method,
        target,
        version,
        fields,
        host,
        framing,
    })
}

/// Exactly one field on 1.1, at most one on 1.0, and the same as in an absolute target.
fn host(target: &Target, version: Version, fields: &Fields) -> Result<String, Reject> {
    let mut all = fields.all("host");
    let host = match (all.next(), all.next()) {
        (Some(host), None) => Some(host),
        (None, _) if version == Version::Http10 => None,
        (None, _) => return Err(Reject::bad("there is no Host")),
        (Some(_), Some(_)) => return Err(Reject::bad("there is more than one Host")),
    };
    let text = host.map(std::str::from_utf8).transpose();
    let text = text.ok().filter(|host| is_host(host.unwrap_or("").as_bytes()));
    let host = text.ok_or(Reject::bad("Host is invalid"))?;
    match (&target.authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(Reject::bad("Host is not the host in the target"))
        }
        (Some(authority), _) => Ok(authority.clone()),
        (None, host) => Ok(host.unwrap_or("").to_owned()),
    }
}

/// One Content-Length of digits, or one `chunked` on 1.1, or neither (RFC 9112, 6.3).
fn framing(version: Version, fields: &Fields) -> Result<Framing, Reject> {
    let mut lengths = fields.all("content-length");
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(Reject::bad("there is more than one Content-Length"));
    }
    let mut codings = fields.all("transfer-encoding");
    if let Some(coding) = codings.next() {
        if version == Version::Http10 {
            return Err(Reject::bad("Transfer-Encoding on HTTP/1.0"));
        }
        if length.is_some() {
            return Err(Reject::bad("Transfer-Encoding and Content-Length"));
        }
        if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(Reject {
                status: 501,
                reason: "only the transfer coding chunked is known",
            });
        }
        return Ok(Framing::Chunked);
    }
    let Some(digits) = length else { return Ok(Framing::Length(0)) };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reject::bad("Content-Length is no number"));
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Ok(Framing::Length(digits.iter().fold(0, add)))
}
