//! The head of a request: its line, its fields, and how long its body is said to be.

use super::line::{CRLF, Lines, is_token, is_whole_token, trim};
use super::raw::{Known, RawField, RawFields};
use super::target::{Parts, Target, is_host};
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
    /// Where the connection ends; an answer's alone.
    Close,
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

/// Reads one head of either kind: a first line, and fields up to an empty line.
#[derive(Clone, Debug)]
pub(super) struct HeadLines {
    pub(super) lines: Lines,
    line_bytes_max: usize,
    blank_lines: usize,
    /// Where the first line ends in the text; 0 before its end.
    pub(super) first: usize,
    grammar: &'static Grammar,
}

/// What the two kinds of first lines differ in.
#[derive(Debug)]
pub(super) struct Grammar {
    /// Empty lines before it that are passed over.
    pub(super) blank_lines: usize,
    /// What is no HTTP at all may never end its line: whether it can begin like that. What is
    /// refused is refused whatever follows.
    pub(super) begins: fn(&[u8]) -> Result<(), Reject>,
    /// For one that is over the limit.
    pub(super) too_long: Reject,
    /// Whether it is one.
    pub(super) check: fn(&[u8]) -> Result<(), Reject>,
}

/// Bytes of a first line that `Grammar::begins` is asked about.
const BEGINNING: usize = 7;

impl HeadLines {
    pub(super) fn new(limits: &Limits, grammar: &'static Grammar) -> HeadLines {
        let line_bytes_max = limits.line_bytes;
        HeadLines { lines: Lines::new(limits), line_bytes_max, blank_lines: 0, first: 0, grammar }
    }

    /// Begins another head in the same memory.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        (self.blank_lines, self.first) = (0, 0);
    }

    /// The first line, once it has ended.
    pub(super) fn first_line(&self) -> &[u8] {
        &self.lines.text[..self.first]
    }

    /// The first line with its end, once it has ended.
    pub(super) fn whole_first_line(&self) -> &[u8] {
        &self.lines.text[..self.first + CRLF.len()]
    }

    pub(super) fn fields(&self) -> RawFields<'_> {
        RawFields::new(&self.lines)
    }

    /// Takes bytes up to the end of the head: how many, and whether that was its end.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Reject> {
        let mut taken = 0;
        loop {
            if self.first > 0 {
                let (count, ended) = self.lines.take_fields(&bytes[taken..])?;
                taken += count;
                if ended {
                    return Ok((taken, true));
                }
            }
            let before = self.lines.line().len();
            let room = match self.first {
                0 => self.line_bytes_max.saturating_sub(before),
                _ => usize::MAX,
            };
            taken += self.lines.take_run(&bytes[taken..], room);
            if self.first == 0 && before < BEGINNING {
                self.check_beginning()?;
            }
            if self.lines.take_end(&bytes[taken..]) {
                taken += CRLF.len();
                if self.end_line()? {
                    return Ok((taken, true));
                }
                continue;
            }
            let Some(byte) = bytes.get(taken) else { return Ok((taken, false)) };
            taken += 1;
            if self.feed(*byte)? && self.end_line()? {
                return Ok((taken, true));
            }
        }
    }

    fn feed(&mut self, byte: u8) -> Result<bool, Reject> {
        let ended = self.lines.feed(byte)?;
        if self.first == 0 {
            self.check_beginning()?;
            if self.lines.line().len() > self.line_bytes_max {
                return Err(self.grammar.too_long);
            }
        }
        Ok(ended)
    }

    fn check_beginning(&self) -> Result<(), Reject> {
        match self.lines.line() {
            [] => Ok(()),
            line => (self.grammar.begins)(&line[..line.len().min(BEGINNING)]),
        }
    }

    /// A line has ended; true when the head has.
    fn end_line(&mut self) -> Result<bool, Reject> {
        let line = self.lines.line();
        if self.first > 0 {
            return match line.is_empty() {
                true => Ok(true),
                false => self.lines.take_field().map(|()| false),
            };
        }
        if line.is_empty() && self.blank_lines < self.grammar.blank_lines {
            self.blank_lines += 1;
            return Ok(false);
        }
        (self.grammar.check)(line)?;
        self.first = line.len();
        self.lines.next_line();
        Ok(false)
    }
}

/// What matters of the head of a request to whoever passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What the client speaks.
    pub version: Version,
    /// How the end of the body is found.
    pub framing: Framing,
    /// The client means to send another request.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The answer has no body, whatever its head says.
    pub head_only: bool,
    /// The client would speak another protocol from here on.
    pub upgrade: bool,
}

/// Reads the head of one request after the other.
#[derive(Clone, Debug)]
pub struct HeadReader(HeadLines);

static REQUEST: Grammar = Grammar {
    blank_lines: 1, // RFC 9112, 2.2
    begins: |line| match line {
        [byte, ..] if !is_token(*byte) => Err(Reject::bad("the method is no token")),
        _ => Ok(()),
    },
    too_long: Reject { status: 414, reason: "the request line is too long" },
    check: check_line,
};

impl HeadReader {
    /// Waits for the first byte.
    pub fn new(limits: &Limits) -> HeadReader {
        HeadReader(HeadLines::new(limits, &REQUEST))
    }

    /// Begins another head in the same memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// True when not one byte has come.
    pub fn is_untouched(&self) -> bool {
        self.0.lines.is_untouched()
    }

    /// Takes bytes up to the end of the head: how many, and the head when that was its end.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Asked>), Reject> {
        let (taken, ended) = self.0.take(bytes)?;
        Ok((taken, if ended { Some(self.finish()?) } else { None }))
    }

    /// The request line as it was written; before its end, what there is of it.
    pub fn line(&self) -> &[u8] {
        if self.0.first == 0 { self.0.lines.line() } else { self.0.first_line() }
    }

    /// The request line with its end, once the head has ended.
    pub fn whole_line(&self) -> &[u8] {
        self.0.whole_first_line()
    }

    /// The fields as they were written.
    pub fn fields(&self) -> RawFields<'_> {
        self.0.fields()
    }

    fn finish(&self) -> Result<Asked, Reject> {
        let (method, target, version) = request_line(self.line())?;
        let fields = self.fields();
        host(target, version, fields)?;
        let framing = framing(version, fields)?;
        let framing = framing.unwrap_or(Framing::Length(0));
        let expects = version == Version::Http11 && fields.lists(Known::Expect, b"100-continue");
        let upgrade = version == Version::Http11
            && fields.connection().upgrades()
            && fields.all(Known::Upgrade).next().is_some();
        Ok(Asked {
            keep_alive: keeps(version, fields),
            expects_continue: expects && framing != Framing::Length(0),
            head_only: method == b"HEAD",
            version,
            framing,
            upgrade,
        })
    }

    /// The head that has ended, with memory of its own.
    pub fn head(&self) -> Result<Head, Reject> {
        let asked = self.finish()?;
        let (method, target, _) = request_line(self.line())?;
        let parts = Target::parse(method, text_of(target)?)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned(); // tokens are ASCII
        let own = |field: RawField<'_>| Field { name: text(field.name), value: field.value.into() };
        Ok(Head {
            method: text(method),
            target: parts,
            version: asked.version,
            fields: Fields(self.fields().iter().map(own).collect()),
            host: text(host(target, asked.version, self.fields())?),
            framing: asked.framing,
            keep_alive: asked.keep_alive,
            expects_continue: asked.expects_continue,
        })
    }
}

/// True when the connection is to stay open after the message.
pub(super) fn keeps(version: Version, fields: RawFields<'_>) -> bool {
    let keeps = match version {
        Version::Http11 => true,
        Version::Http10 => fields.connection().keeps_alive(),
    };
    keeps && !fields.connection().closes()
}

/// Whether it is one.
fn check_line(line: &[u8]) -> Result<(), Reject> {
    text_of(line)?;
    let [method, target, version] = parts(line)?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    if !is_whole_token(method) || target.is_empty() || target.iter().any(is_blank) {
        return Err(NO_REQUEST_LINE);
    }
    version_of(version).ok_or(NO_REQUEST_LINE)??;
    Parts::of(method, text_of(target)?).map(|_| ())
}

const NO_REQUEST_LINE: Reject = Reject::bad("the request line is not METHOD TARGET VERSION");

/// Method, target and version of a line that was checked.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Reject> {
    let [method, target, version] = parts(line)?;
    Ok((method, target, version_of(version).ok_or(NO_REQUEST_LINE)??))
}

/// What stands before the first blank, between it and the last one, and behind that.
fn parts(line: &[u8]) -> Result<[&[u8]; 3], Reject> {
    let first = line.iter().position(|byte| *byte == b' ').ok_or(NO_REQUEST_LINE)?;
    let last = line.iter().rposition(|byte| *byte == b' ').ok_or(NO_REQUEST_LINE)?;
    let target = line.get(first + 1..last).ok_or(NO_REQUEST_LINE)?;
    Ok([&line[..first], target, &line[last + 1..]])
}

fn text_of(target: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(target).map_err(|_| Reject::bad("the target is not UTF-8"))
}

/// The version that is spoken, 505 for another one, nothing for what is none.
pub(super) fn version_of(text: &[u8]) -> Option<Result<Version, Reject>> {
    match text {
        b"HTTP/1.1" => Some(Ok(Version::Http11)),
        b"HTTP/1.0" => Some(Ok(Version::Http10)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some(Err(Reject { status: 505, reason: "only HTTP/1.1 and HTTP/1.0 are spoken" }))
        }
        _ => None,
    }
}

/// Exactly one field on 1.1, at most one on 1.0, and the same as in an absolute target. ASCII.
fn host<'a>(target: &'a [u8], version: Version, fields: RawFields<'a>) -> Result<&'a [u8], Reject> {
    let mut all = fields.all(Known::Host);
    let host = match (all.next(), all.next()) {
        (Some(host), None) => Some(host),
        (None, _) if version == Version::Http10 => None,
        (None, _) => return Err(Reject::bad("there is no Host")),
        (Some(_), Some(_)) => return Err(Reject::bad("there is more than one Host")),
    };
    let (is_missing, host) = (host.is_none(), host.unwrap_or_default());
    if !is_host(host) {
        return Err(Reject::bad("Host is invalid"));
    }
    if target.starts_with(b"/") {
        return Ok(host);
    }
    match Parts::of(b"", text_of(target)?)?.authority {
        None => Ok(host),
        Some(authority) if is_missing => Ok(authority.as_bytes()),
        Some(authority) if authority.as_bytes().eq_ignore_ascii_case(host) => {
            Ok(authority.as_bytes())
        }
        Some(_) => Err(Reject::bad("Host is not the host in the target")),
    }
}

/// One Content-Length of digits, or one `chunked` on 1.1, or neither (RFC 9112, 6.3).
pub(super) fn framing(version: Version, fields: RawFields<'_>) -> Result<Option<Framing>, Reject> {
    let mut lengths = fields.all(Known::ContentLength);
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(Reject::bad("there is more than one Content-Length"));
    }
    let mut codings = fields.all(Known::TransferEncoding);
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
        return Ok(Some(Framing::Chunked));
    }
    let Some(digits) = length else { return Ok(None) };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reject::bad("Content-Length is no number"));
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Ok(Some(Framing::Length(digits.iter().fold(0, add))))
}
