//! Whole requests out of a stream of bytes, one after the other.

use super::body::BodyReader;
use super::head::{Fields, Head, HeadReader, Version};
use super::{Limits, Reject};

/// A request with all of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Upper and lower case differ.
    pub method: String,
    /// The path as it was written, with its escapes: `/a%20b/`; or `*`.
    pub path: String,
    /// The parts of the path between slashes, decoded: `["a b", ""]`, `[""]` for `/`, none for
    /// `*`. A part may hold a slash that was escaped.
    pub segments: Vec<String>,
    /// What follows the first `?`, as it was written.
    pub query: Option<String>,
    /// What the client speaks.
    pub version: Version,
    /// The host and port that were asked; empty when none was named.
    pub host: String,
    /// All fields of the head.
    pub fields: Fields,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The client means to send another request.
    pub keep_alive: bool,
}

/// What came of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All of them were taken, and more are needed.
    NeedMore,
    /// The client waits for `100 Continue`; told once, at the end of its head.
    Continue,
    /// A request is whole. The bytes that are left belong to the next one.
    Whole(Request),
}

/// What was taken, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that were taken; the others are to be given again.
    pub bytes: usize,
    /// What came of them.
    pub event: Event,
}

/// How far the request under way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not one byte of it has come.
    Idle,
    /// Its head is coming.
    Head,
    /// Its body is coming.
    Body,
}

/// Reads requests. After a refusal it refuses everything, for the same reason.
#[derive(Clone, Debug)]
pub struct RequestReader {
    limits: Limits,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Head(HeadReader),
    Body(Box<Request>, BodyReader),
    Refused(Reject, Option<Box<Request>>),
}

impl RequestReader {
    /// Waits for the first request.
    pub fn new(limits: Limits) -> RequestReader {
        RequestReader { state: State::Head(HeadReader::new(&limits)), limits }
    }

    /// How far the request under way has come; what was refused is `Head`.
    pub fn progress(&self) -> Progress {
        match &self.state {
            State::Head(head) if head.is_untouched() => Progress::Idle,
            State::Head(_) | State::Refused(..) => Progress::Head,
            State::Body(..) => Progress::Body,
        }
    }

    /// The request under way, or that was refused, as far as its head tells it: once that is whole.
    pub fn known(&self) -> Option<&Request> {
        match &self.state {
            State::Body(request, _) | State::Refused(_, Some(request)) => Some(request),
            State::Head(_) | State::Refused(_, None) => None,
        }
    }

    /// Takes bytes until something comes of them. To be called again with what was left, and
    /// with more only after `NeedMore`.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Taken, Reject> {
        let taken = self.advance(bytes);
        if let Err(reject) = taken {
            let known = match std::mem::replace(&mut self.state, State::Refused(reject, None)) {
                State::Body(request, _) => Some(request),
                State::Refused(_, known) => known,
                State::Head(_) => None,
            };
            self.state = State::Refused(reject, known);
        }
        taken
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Taken, Reject> {
        let mut taken = 0;
        if let State::Head(reader) = &mut self.state {
            let (length, ended) = reader.take(bytes)?;
            taken = length;
            if ended.is_none() {
                return Ok(Taken { bytes: taken, event: Event::NeedMore });
            }
            let head = reader.head()?;
            let (framing, expects_continue) = (head.framing, head.expects_continue);
            let request = Box::new(without_body(head)?);
            match BodyReader::new(framing, &self.limits) {
                Ok(body) => self.state = State::Body(request, body),
                Err(reject) => {
                    self.state = State::Refused(reject, Some(request));
                    return Err(reject);
                }
            }
            if expects_continue {
                return Ok(Taken { bytes: taken, event: Event::Continue });
            }
        }
        let done = match &mut self.state {
            State::Body(request, body) => {
                taken += body.take(&bytes[taken..], &mut request.body)?;
                body.is_done()
            }
            State::Refused(reject, _) => return Err(*reject),
            State::Head(_) => false,
        };
        Ok(Taken { bytes: taken, event: if done { self.leave() } else { Event::NeedMore } })
    }

    /// Gives the whole request away and waits for the next.
    fn leave(&mut self) -> Event {
        let next = State::Head(HeadReader::new(&self.limits));
        match std::mem::replace(&mut self.state, next) {
            State::Body(request, _) => Event::Whole(*request),
            State::Head(_) | State::Refused(..) => Event::NeedMore,
        }
    }
}

fn without_body(head: Head) -> Result<Request, Reject> {
    Ok(Request {
        segments: head.target.segments()?,
        method: head.method,
        path: head.target.path,
        query: head.target.query,
        version: head.version,
        host: head.host,
        fields: head.fields,
        body: Vec::new(),
        keep_alive: head.keep_alive,
    })
}
