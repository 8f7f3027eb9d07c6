//! The head of an answer: its line, its fields, and how the end of its body is found.

use super::head::{Framing, Grammar, HeadLines, Version, framing, keeps, version_of};
use super::raw::RawFields;
use super::{Limits, Reject};

/// What matters of the head of an answer to whoever passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What the server speaks.
    pub version: Version,
    /// From 100 to 999.
    pub status: u16,
    /// How the end of the body is found. For an answer that can have none, what its head says of
    /// the body that it would have.
    pub framing: Framing,
    /// The server means to take another request.
    pub keep_alive: bool,
}

impl Answered {
    /// True when no body follows, whatever the head says (RFC 9112, 6.3).
    pub fn is_bodiless(&self, head_only: bool) -> bool {
        head_only || matches!(self.status, 100..200 | 204 | 304)
    }
}

/// Reads the head of one answer after the other.
#[derive(Clone, Debug)]
pub struct AnswerReader(HeadLines);

static ANSWER: Grammar = Grammar {
    blank_lines: 0,
    begins: |line| match b"HTTP/1.".starts_with(line) {
        true => Ok(()),
        false => Err(Reject::bad("the answer is not HTTP/1.1 or HTTP/1.0")),
    },
    too_long: Reject::bad("the status line is too long"),
    check: |line| status_line(line).map(|_| ()),
};

impl AnswerReader {
    /// Waits for the first byte.
    pub fn new(limits: &Limits) -> AnswerReader {
        AnswerReader(HeadLines::new(limits, &ANSWER))
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
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Answered>), Reject> {
        let (taken, ended) = self.0.take(bytes)?;
        Ok((taken, if ended { Some(self.finish()?) } else { None }))
    }

    /// The words behind the status, as they were written.
    pub fn reason(&self) -> &[u8] {
        self.0.first_line().get(13..).unwrap_or_default()
    }

    /// The status line with its end, once the head has ended.
    pub fn whole_line(&self) -> &[u8] {
        self.0.whole_first_line()
    }

    /// The fields as they were written.
    pub fn fields(&self) -> RawFields<'_> {
        self.0.fields()
    }

    fn finish(&self) -> Result<Answered, Reject> {
        let (version, status) = status_line(self.0.first_line())?;
        let fields = self.fields();
        let framing = framing(version, fields)?;
        let keep_alive = keeps(version, fields);
        Ok(Answered { version, status, framing: framing.unwrap_or(Framing::Close), keep_alive })
    }
}

/// `HTTP/1.1 200 OK`; the words may be none, and then the blank before them too.
fn status_line(line: &[u8]) -> Result<(Version, u16), Reject> {
    let shape = Reject::bad("the status line is not VERSION STATUS REASON");
    let [version @ .., b' ', hundreds @ b'1'..=b'9', tens, ones] = line.get(..12).ok_or(shape)?
    else {
        return Err(shape);
    };
    let version = version_of(version).ok_or(shape)??;
    if !tens.is_ascii_digit()
        || !ones.is_ascii_digit()
        || !matches!(line.get(12), None | Some(b' '))
    {
        return Err(shape);
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok((version, digit(hundreds) * 100 + digit(tens) * 10 + digit(ones)))
}
