//! The body of a request: so many bytes, or chunks and trailers.
//!
//! ```text
//! Size -- ';' --> Extension -- CR --> SizeEnd -- n > 0 --> Data -> DataCr -> DataLf --> Size
//!   \_____________ CR ________________/  \______ 0 ------> Trailers --> Done
//! ```

use super::head::{Fields, check_count, field};
use super::line::{Lines, is_control};
use super::{Framing, Limits, Reject};

/// Digits in the size of a chunk.
const SIZE_DIGITS_MAX: usize = 16;

/// Bytes of extensions behind the size of one chunk; they are dropped.
const EXTENSION_BYTES_MAX: usize = 1 << 10;

/// Fields that trailers may not have, for they would say where the message ends, or to whom it
/// goes, when that was decided already (RFC 9110, 6.5.1).
const NOT_IN_TRAILERS: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const TOO_LARGE: Reject = Reject { status: 413, reason: "the body is too large" };

/// Reads one body.
#[derive(Clone, Debug)]
pub(super) struct BodyReader {
    limits: Limits,
    state: State,
    /// Bytes promised so far, without framing.
    promised: u64,
}

#[derive(Clone, Debug)]
enum State {
    /// So many bytes are left.
    Plain(u64),
    Size {
        digits: usize,
        value: u64,
    },
    /// White space behind the size: an extension must follow.
    Blank {
        value: u64,
        bytes: usize,
    },
    Extension {
        value: u64,
        bytes: usize,
    },
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailers(Lines, Fields),
    Done,
}

const NEW_CHUNK: State = State::Size { digits: 0, value: 0 };

impl BodyReader {
    /// Refuses a length over the limit at once.
    pub(super) fn new(framing: Framing, limits: &Limits) -> Result<BodyReader, Reject> {
        let (state, promised) = match framing {
            Framing::Length(0) => (State::Done, 0),
            Framing::Length(length) => (State::Plain(length), length),
            Framing::Chunked => (NEW_CHUNK, 0),
        };
        let reader = BodyReader { limits: *limits, state, promised };
        reader.check_promise()?;
        Ok(reader)
    }

    fn check_promise(&self) -> Result<(), Reject> {
        match self.promised > self.limits.body_bytes as u64 {
            true => Err(TOO_LARGE),
            false => Ok(()),
        }
    }

    /// True when the body is whole.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes bytes up to the end of the body, and puts out what is not framing: how many.
    pub(super) fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Reject> {
        let mut rest = bytes;
        while let [first, after @ ..] = rest {
            if let State::Plain(left) | State::Data(left) = &mut self.state {
                let length = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                out.extend_from_slice(&rest[..length]);
                *left -= length as u64;
                rest = &rest[length..];
                self.leave_data();
            } else if self.is_done() {
                break;
            } else {
                self.feed(*first)?;
                rest = after;
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn leave_data(&mut self) {
        match self.state {
            State::Plain(0) => self.state = State::Done,
            State::Data(0) => self.state = State::DataCr,
            _ => {}
        }
    }

    /// Takes one byte of the framing.
    fn feed(&mut self, byte: u8) -> Result<(), Reject> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        self.state = match (&mut self.state, byte) {
            (State::Size { digits, value }, _) if digit.is_some() => {
                if *digits == SIZE_DIGITS_MAX {
                    return Err(Reject::bad("the size of a chunk has too many digits"));
                }
                State::Size { digits: *digits + 1, value: *value << 4 | digit.unwrap_or(0) }
            }
            (State::Size { digits: 1.., value }, b'\r') => State::SizeEnd(*value),
            (State::Size { digits: 1.., value }, b';') => {
                State::Extension { value: *value, bytes: 0 }
            }
            (State::Size { digits: 1.., value }, b' ' | b'\t') => {
                State::Blank { value: *value, bytes: 1 }
            }
            (State::Size { .. }, _) => {
                return Err(Reject::bad("the size of a chunk is no hexadecimal number"));
            }
            (State::Blank { value, bytes }, b' ' | b'\t') if *bytes < EXTENSION_BYTES_MAX => {
                State::Blank { value: *value, bytes: *bytes + 1 }
            }
            (State::Blank { value, bytes }, b';') => {
                State::Extension { value: *value, bytes: *bytes }
            }
            (State::Blank { .. }, _) => {
                return Err(Reject::bad("white space behind the size of a chunk"));
            }
            (State::Extension { value, .. }, b'\r') => State::SizeEnd(*value),
            (State::Extension { value, bytes }, _) => extension(*value, *bytes, byte)?,
            (State::SizeEnd(value), b'\n') => {
                let value = *value;
                self.enter_chunk(value)?
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => NEW_CHUNK,
            (State::SizeEnd(_) | State::DataCr | State::DataLf, _) => {
                return Err(Reject::bad("a chunk does not end with CRLF"));
            }
            (State::Trailers(lines, fields), _) => {
                let Some(line) = lines.feed(byte)? else { return Ok(()) };
                if !line.is_empty() {
                    return trailer(&line, fields, &self.limits);
                }
                State::Done
            }
            (State::Plain(_) | State::Data(_) | State::Done, _) => return Ok(()),
        };
        Ok(())
    }

    fn enter_chunk(&mut self, size: u64) -> Result<State, Reject> {
        if size == 0 {
            return Ok(State::Trailers(Lines::new(&self.limits), Fields::default()));
        }
        self.promised = self.promised.saturating_add(size);
        self.check_promise()?;
        Ok(State::Data(size))
    }
}

fn extension(value: u64, bytes: usize, byte: u8) -> Result<State, Reject> {
    if is_control(byte) {
        return Err(Reject::bad("a control character behind the size of a chunk"));
    }
    if bytes == EXTENSION_BYTES_MAX {
        return Err(Reject { status: 413, reason: "the extension of a chunk is too long" });
    }
    Ok(State::Extension { value, bytes: bytes + 1 })
}

/// Trailers are checked, counted and dropped.
fn trailer(line: &[u8], fields: &mut Fields, limits: &Limits) -> Result<(), Reject> {
    let field = field(line)?;
    if NOT_IN_TRAILERS.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
        return Err(Reject::bad("a field that may not be a trailer"));
    }
    fields.0.push(field);
    check_count(fields, limits)
}
