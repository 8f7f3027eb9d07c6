//! Lines of a head or of trailers, byte by byte: CRLF ends them, and nothing else does.

use super::{Limits, Reject};

/// Collects one line at a time, and counts what the whole section takes.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    after_cr: bool,
    /// Bytes of the section so far, ends of lines included.
    bytes: usize,
    bytes_max: usize,
}

const TOO_LONG: Reject = Reject { status: 431, reason: "fields are too long" };

impl Lines {
    pub(super) fn new(limits: &Limits) -> Lines {
        Lines { line: Vec::new(), after_cr: false, bytes: 0, bytes_max: limits.head_bytes }
    }

    /// True when not one byte has come.
    pub(super) fn is_untouched(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes in the line that is under way.
    pub(super) fn length(&self) -> usize {
        self.line.len()
    }

    /// Takes one byte; the line, when it is the last of one.
    pub(super) fn feed(&mut self, byte: u8) -> Result<Option<Vec<u8>>, Reject> {
        self.bytes += 1;
        if self.bytes > self.bytes_max {
            return Err(TOO_LONG);
        }
        match (self.after_cr, byte) {
            (true, b'\n') => {
                self.after_cr = false;
                return Ok(Some(std::mem::take(&mut self.line)));
            }
            (true, _) => return Err(Reject::bad("a CR without LF")),
            (false, b'\r') => self.after_cr = true,
            (false, b'\n') => return Err(Reject::bad("a LF without CR")),
            (false, byte) if is_control(byte) => return Err(Reject::bad("a control character")),
            (false, byte) => self.line.push(byte),
        }
        Ok(None)
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
