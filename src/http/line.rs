//! Lines of a head or of trailers: CRLF ends them, and nothing else does. They are kept in one
//! text, without their ends, and with the places of their fields.

use super::raw::{Known, Mark, RawField};
use super::{Limits, Reject};

/// Collects the lines of one section, and counts what it takes.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// All lines so far, one directly behind the other.
    pub(super) text: Vec<u8>,
    /// Where the fields stand in it.
    pub(super) marks: Vec<Mark>,
    /// Where the line under way begins.
    line: usize,
    after_cr: bool,
    /// Bytes of the section so far, ends of lines included.
    bytes: usize,
    limits: Limits,
}

const TOO_LONG: Reject = Reject { status: 431, reason: "fields are too long" };

impl Lines {
    pub(super) fn new(limits: &Limits) -> Lines {
        let (text, marks) = (Vec::new(), Vec::new());
        Lines { text, marks, line: 0, after_cr: false, bytes: 0, limits: *limits }
    }

    /// Begins another section in the same memory.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.marks.clear();
        (self.line, self.after_cr, self.bytes) = (0, false, 0);
    }

    /// True when not one byte has come.
    pub(super) fn is_untouched(&self) -> bool {
        self.bytes == 0
    }

    /// The line under way, or the one that has just ended.
    pub(super) fn line(&self) -> &[u8] {
        &self.text[self.line..]
    }

    /// Goes on behind the line that has ended.
    pub(super) fn next_line(&mut self) {
        self.line = self.text.len();
    }

    /// Takes bytes of one line in one go, at most `room` of them: as many as one by one would be
    /// taken without a word.
    pub(super) fn take_run(&mut self, bytes: &[u8], room: usize) -> usize {
        if self.after_cr {
            return 0;
        }
        let room = room.min(self.limits.head_bytes - self.bytes).min(bytes.len());
        let run = bytes[..room].iter().position(|byte| is_control(*byte)).unwrap_or(room);
        self.text.extend_from_slice(&bytes[..run]);
        self.bytes += run;
        run
    }

    /// Takes one byte; true when it is the last of a line.
    pub(super) fn feed(&mut self, byte: u8) -> Result<bool, Reject> {
        if self.bytes == self.limits.head_bytes {
            return Err(TOO_LONG);
        }
        self.bytes += 1;
        match (self.after_cr, byte) {
            (true, b'\n') => {
                self.after_cr = false;
                return Ok(true);
            }
            (true, _) => return Err(Reject::bad("a CR without LF")),
            (false, b'\r') => self.after_cr = true,
            (false, b'\n') => return Err(Reject::bad("a LF without CR")),
            (false, byte) if is_control(byte) => return Err(Reject::bad("a control character")),
            (false, byte) => self.text.push(byte),
        }
        Ok(false)
    }

    /// The line that has ended is a field.
    pub(super) fn take_field(&mut self) -> Result<(), Reject> {
        let line = self.line();
        if let [b' ' | b'\t', ..] = line {
            return Err(Reject::bad("a folded field"));
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let colon = colon.ok_or(Reject::bad("a field without a colon"))?;
        let (name, rest) = (&line[..colon], &line[colon + 1..]);
        if !is_whole_token(name) {
            return Err(Reject::bad("a field's name is no token"));
        }
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let (value, length) = (self.line + colon + 1 + blanks, trim(rest).len());
        let name_at = self.line..self.line + colon;
        let mark = Mark { name: name_at, value: value..value + length, known: Known::of(name) };
        self.marks.push(mark);
        self.next_line();
        if self.marks.len() > self.limits.fields {
            return Err(Reject { status: 431, reason: "there are too many fields" });
        }
        Ok(())
    }

    /// The fields so far.
    pub(super) fn fields(&self) -> impl Iterator<Item = RawField<'_>> {
        self.marks.iter().map(|mark| mark.of(&self.text))
    }
}

/// True for what may stand nowhere in a line.
pub(crate) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// True for the characters of methods and field names (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// True for a whole token.
pub(crate) fn is_whole_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token(*byte))
}

/// Without the spaces and tabs around it.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
