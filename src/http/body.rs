//! The body of a request: so many bytes, or chunks and trailers.
//!
//! ```text
//! Size -- ';' --> Extension -- CR --> SizeEnd -- n > 0 --> Data -> DataCr -> DataLf --> Size
//!   \_____________ CR ________________/  \______ 0 ------> Trailers --> Done
//! ```
//!
//! One without either is `Endless`: it lasts until the connection ends.

use super::line::{Lines, is_control};
use super::raw::RawFields;
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

/// More bytes than the limits allow.
pub const TOO_LARGE: Reject = Reject { status: 413, reason: "the body is too large" };

/// Reads one body, and passes on what is not framing.
#[derive(Clone, Debug)]
pub struct BodyReader {
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
    Trailers(Box<Lines>),
    /// The fields that came behind the last chunk, if any.
    Done(Option<Box<Lines>>),
    /// Until the connection ends.
    Endless,
}

const NEW_CHUNK: State = State::Size { digits: 0, value: 0 };

impl BodyReader {
    /// Refuses a length over the limit at once.
    pub fn new(framing: Framing, limits: &Limits) -> Result<BodyReader, Reject> {
        let (state, promised) = match framing {
            Framing::Length(0) => (State::Done(None), 0),
            Framing::Length(length) => (State::Plain(length), length),
            Framing::Chunked => (NEW_CHUNK, 0),
            Framing::Close => (State::Endless, 0),
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
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// True when the body ends with the connection.
    pub fn is_endless(&self) -> bool {
        matches!(self.state, State::Endless)
    }

    /// The fields that came behind the last chunk, once the body is whole.
    pub fn trailers(&self) -> Option<RawFields<'_>> {
        match &self.state {
            State::Done(Some(lines)) if !lines.marks.is_empty() => Some(RawFields::new(lines)),
            _ => None,
        }
    }

    /// Takes bytes up to the end of the body, and puts out what is not framing: how many.
    pub(super) fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Reject> {
        let mut taken = 0;
        loop {
            let (count, data) = self.next(&bytes[taken..])?;
            taken += count;
            if data.is_empty() {
                return Ok(taken);
            }
            out.extend_from_slice(data);
        }
    }

    /// Takes bytes up to the end of the first of them that are not framing: how many, and those.
    /// None of those means that all bytes were taken, or that the body is whole.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, &'a [u8]), Reject> {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_done() {
            let rest = &bytes[taken..];
            let data = match &mut self.state {
                State::Endless => rest,
                State::Plain(left) | State::Data(left) => {
                    let length = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= length as u64;
                    &rest[..length]
                }
                _ => {
                    self.feed(rest[0])?;
                    taken += 1;
                    continue;
                }
            };
            match self.state {
                State::Plain(0) => self.state = State::Done(None),
                State::Data(0) => self.state = State::DataCr,
                _ => {}
            }
            return Ok((taken + data.len(), data));
        }
        Ok((taken, &[]))
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
            (State::Trailers(lines), _) => {
                if !lines.feed(byte)? {
                    return Ok(());
                }
                if !lines.line().is_empty() {
                    return trailer(lines);
                }
                let empty = Box::new(Lines::new(&self.limits));
                State::Done(Some(std::mem::replace(lines, empty)))
            }
            (State::Plain(_) | State::Data(_) | State::Done(_) | State::Endless, _) => {
                return Ok(());
            }
        };
        Ok(())
    }

    fn enter_chunk(&mut self, size: u64) -> Result<State, Reject> {
        if size == 0 {
            return Ok(State::Trailers(Box::new(Lines::new(&self.limits))));
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

/// A field behind the last chunk.
fn trailer(lines: &mut Lines) -> Result<(), Reject> {
    lines.take_field()?;
    let last = lines.fields().last();
    let refused = |name: &[u8]| {
        NOT_IN_TRAILERS.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
    };
    match last.is_some_and(|field| refused(field.name)) {
        true => Err(Reject::bad("a field that may not be a trailer")),
        false => Ok(()),
    }
}
