//! The half towards the upstream: requests are read, decided on and passed on.
//!
//! ```text
//! Head -> Whole -> Delayed -> Body -> Copies --> Head     (the next request)
//!   |      room?    due?                 \-----> Asked    (an upgrade: tunnel, or the next one)
//!   \------- Refused --------------------------> Last     (what still comes is thrown away)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    Broken, COPY_BYTES_MAX, Done, Ended, Exchange, From, LIMITS, Mark, Marks, Rest, Turn, Upstream,
    heads,
};
use crate::fault::course::{Abort, Course};
use crate::http::{Asked, BodyReader, Framing, HeadReader, Reject, Version};
use crate::units::{Span, Time};

/// What the half towards the upstream knows of the other one, and of the faults.
pub trait Answers {
    /// True when another exchange may be given.
    fn has_room(&mut self) -> bool;

    /// Gives an exchange that follows all those given before.
    fn give(&mut self, exchange: Exchange);

    /// The body of a request broke the rules after its exchange was given.
    fn break_off(&mut self, broken: Broken);

    /// What the upstream said to an upgrade: whether there is a tunnel now. Told once.
    fn verdict(&mut self) -> Option<bool>;

    /// True when no further request will be answered.
    fn is_closing(&self) -> bool;

    /// What the faults decide for the request with this number, whose head has been read.
    fn decide(&mut self, number: u64, head: &HeadReader) -> Option<Box<Course>>;
}

/// Reads requests of a client and passes them on.
#[derive(Debug)]
pub struct Up {
    state: State,
    reader: HeadReader,
    rest: Rest,
    ended: Option<Ended>,
    /// The number of the request under way, or of the last one.
    number: u64,
    /// How long a head may take, from its first byte to its end.
    head_span: Span,
    /// When the head under way is too late.
    late: Time,
    marks: Marks,
    /// A request that went nowhere.
    left: Option<Done>,
}

#[derive(Debug)]
enum State {
    Head,
    /// Waits for room among those that wait for their answers.
    Whole(Asked),
    Delayed(Asked, Option<Box<Course>>, [Time; 2]),
    /// Waits for room for its answer.
    Refused(Reject),
    Body(Box<Sending>),
    Copies(Asked, Option<Copies>),
    /// Waits for what the upstream says to an upgrade.
    Asked,
    Last,
}

/// A request whose body is coming.
#[derive(Debug)]
struct Sending {
    asked: Asked,
    body: BodyReader,
    to: To,
}

#[derive(Debug)]
enum To {
    /// To be sent again, if it does not grow too long; and whether that was to be.
    Upstream(Option<Copies>, bool),
    /// Thrown away; this is given when it is whole.
    Nowhere(Box<Exchange>),
}

/// A request to be sent again.
#[derive(Debug)]
struct Copies {
    left: u32,
    head: Vec<u8>,
    body: Vec<u8>,
    /// What ends a body in chunks.
    end: Vec<u8>,
    /// To be set when it is sent again.
    is_repeated: Arc<AtomicBool>,
}

/// Goes on with the next state, or gives the turn back.
type Next = Option<Turn>;

type Work<'a> = super::Work<'a, dyn Answers + 'a>;

impl Up {
    /// Waits for the first request. A head may take `head_span`.
    pub fn new(head_span: Span) -> Up {
        Up {
            state: State::Head,
            reader: HeadReader::new(&LIMITS),
            rest: Rest::default(),
            ended: None,
            number: 0,
            head_span,
            late: Time::NEVER,
            marks: Marks::default(),
            left: None,
        }
    }

    /// True when more bytes may be given.
    pub fn wants(&self) -> bool {
        self.rest.0.is_empty() && !self.is_delayed() && !self.waits_for_answers()
    }

    /// When to take another turn, whatever happens.
    pub fn due(&self) -> Time {
        match &self.state {
            State::Head => self.late,
            State::Delayed(_, _, [_, due]) => *due,
            State::Whole(_)
            | State::Refused(_)
            | State::Body(_)
            | State::Copies(..)
            | State::Asked
            | State::Last => Time::NEVER,
        }
    }

    /// True when a fault holds a request until a time.
    pub fn is_delayed(&self) -> bool {
        matches!(self.state, State::Delayed(..))
    }

    /// True when only the other half can make it go on.
    pub fn waits_for_answers(&self) -> bool {
        matches!(self.state, State::Whole(_) | State::Refused(_) | State::Copies(..) | State::Asked)
    }

    /// The faults have changed: what they delayed goes on.
    pub fn release(&mut self, now: Time) {
        if let State::Delayed(_, _, [_, due]) = &mut self.state {
            *due = now;
        }
    }

    /// The client has ended: nothing comes behind what was given.
    pub fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
    }

    /// The upstream takes no more: what comes is thrown away, and the other half tells how it ends.
    pub fn lose_upstream(&mut self, now: Time) {
        self.leave(now);
        self.late = Time::NEVER;
    }

    /// No request goes on from here. What was decided for one that is here was done so far.
    pub fn leave(&mut self, now: Time) {
        let exchange = match std::mem::replace(&mut self.state, State::Last) {
            State::Delayed(asked, Some(mut course), [since, _]) => {
                course.held = now - since;
                let nobody = From::Proxy(now);
                Exchange { course: Some(course), ..self.exchange(&asked, nobody) }
            }
            State::Body(sending) => match sending.to {
                To::Nowhere(own) => *own,
                To::Upstream(..) => return, // the other half has it
            },
            _ => return,
        };
        self.left = exchange.cut(0, false, Upstream::Awaited); // it was never sent
    }

    /// For so long nothing was read: a head that was under way is not late for that.
    pub fn was_not_read(&mut self, span: Span) {
        if self.late < Time::NEVER {
            self.late = self.late + span;
        }
    }

    /// The request that was left, once.
    pub fn take_done(&mut self) -> Option<Done> {
        self.left.take()
    }

    /// What was given and not taken, for a tunnel.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest.0)
    }

    /// Which messages the bytes belong to that were put out since the last call.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        self.marks.take()
    }

    /// Takes bytes of the client, and puts out what goes to the upstream now. After an end there
    /// is no further turn.
    pub fn turn(
        &mut self,
        fresh: &[u8],
        now: Time,
        other: &mut dyn Answers,
        out: &mut Vec<u8>,
    ) -> Turn {
        let rest = std::mem::take(&mut self.rest);
        let bytes = rest.with(fresh);
        let mut work = Work { bytes, taken: 0, now, other, out };
        let turn = loop {
            if let Some(turn) = self.step(&mut work) {
                break turn;
            }
        };
        let (taken, length) = (work.taken, work.out.len());
        self.rest = rest.keep(fresh, taken);
        self.marks.come_to(length);
        turn
    }

    fn step(&mut self, work: &mut Work<'_>) -> Next {
        if work.other.is_closing() {
            self.lose_upstream(work.now);
        }
        match std::mem::replace(&mut self.state, State::Last) {
            State::Head => self.head(work),
            State::Whole(asked) => self.whole(asked, work),
            State::Delayed(asked, course, [since, due]) if work.now < due => {
                self.wait(State::Delayed(asked, course, [since, due]))
            }
            State::Delayed(asked, mut course, [since, _]) => {
                if let Some(course) = &mut course {
                    course.held = work.now - since;
                }
                self.begin(asked, course, work)
            }
            State::Refused(reject) => self.refused(reject, work),
            State::Body(mut sending) => match self.body(&mut sending, work) {
                Some(next) => next,
                None => self.wait_or_end(State::Body(sending)),
            },
            State::Copies(asked, copies) => self.copies(asked, copies, work),
            State::Asked => match work.other.verdict() {
                Some(true) => Some(Turn::Tunnel),
                Some(false) => self.next(),
                None => self.wait_or_end(State::Asked),
            },
            State::Last => {
                work.taken = work.bytes.len();
                self.wait_or_end(State::Last)
            }
        }
    }

    fn wait(&mut self, state: State) -> Next {
        self.state = state;
        Some(Turn::Wait)
    }

    /// Waits for more bytes, unless there will be none.
    fn wait_or_end(&mut self, state: State) -> Next {
        self.state = state;
        match self.ended {
            None => Some(Turn::Wait),
            Some(Ended::Finished) => Some(Turn::Finish),
            Some(Ended::Reset) => Some(Turn::Reset),
        }
    }

    /// Waits for the next request.
    fn next(&mut self) -> Next {
        self.reader.clear();
        self.state = State::Head;
        None
    }

    fn head(&mut self, work: &mut Work<'_>) -> Next {
        let rest = work.rest();
        if self.reader.is_untouched() {
            if rest.is_empty() {
                return self.wait_or_end(State::Head);
            }
            self.late = work.now + self.head_span;
            if rest[0] == TLS_HANDSHAKE {
                return self.refuse(Reject { status: 400, reason: LIKE_TLS }, work);
            }
        }
        match self.reader.take(rest) {
            Err(reject) => {
                let is_preface = reject.status == 505 && self.reader.line().starts_with(b"PRI ");
                let reason = if is_preface { LIKE_HTTP2 } else { reject.reason };
                self.refuse(Reject { reason, ..reject }, work)
            }
            Ok((taken, Some(asked))) => {
                work.taken += taken;
                self.late = Time::NEVER;
                self.whole(asked, work)
            }
            Ok((taken, None)) => {
                work.taken += taken;
                if work.now >= self.late {
                    let reason = "the head of the request came too slowly";
                    return self.refuse(Reject { status: 408, reason }, work);
                }
                self.wait_or_end(State::Head)
            }
        }
    }

    fn whole(&mut self, asked: Asked, work: &mut Work<'_>) -> Next {
        if let Err(reject) = BodyReader::new(asked.framing, &LIMITS) {
            return self.refuse(reject, work);
        }
        if !work.other.has_room() {
            return self.wait(State::Whole(asked));
        }
        self.number += 1;
        let course = work.other.decide(self.number, &self.reader);
        let due = course.as_ref().map_or(work.now, |course| work.now + course.delay);
        match work.now < due {
            true => self.wait(State::Delayed(asked, course, [work.now, due])),
            false => self.begin(asked, course, work),
        }
    }

    /// The head goes on, or the body is read for an answer of our own.
    fn begin(&mut self, asked: Asked, course: Option<Box<Course>>, work: &mut Work<'_>) -> Next {
        let body = match BodyReader::new(asked.framing, &LIMITS) {
            Ok(body) => body,
            Err(reject) => return self.refuse(reject, work),
        };
        let mut exchange = self.exchange(&asked, From::Upstream);
        let to = match course.as_ref().map(|course| (&course.abort, course.duplicates)) {
            Some((Some(abort), _)) => {
                let wait = if let Abort::Reply(_, span) = abort { *span } else { Span::ZERO };
                exchange.from = From::Proxy(work.now + wait);
                exchange.upgrade = false;
                if asked.expects_continue || !matches!(abort, Abort::Reply(..)) {
                    // The body may come or not: nothing can be read behind the answer. And whoever
                    // gets none does not wait for its body.
                    let (keep_alive, is_last) = (false, true);
                    work.other.give(Exchange { keep_alive, is_last, course, ..exchange });
                    self.state = State::Last;
                    return None;
                }
                exchange.course = course;
                To::Nowhere(Box::new(exchange))
            }
            decided => {
                let again = decided.map_or(0, |(_, duplicates)| duplicates);
                let again = if asked.upgrade { 0 } else { again };
                let edits = course.as_ref().map_or(&[][..], |course| &course.request_edits);
                let from = work.out.len();
                self.marks.turn_to(from, self.number, course.as_deref());
                // The upstream has to stay for as long as it is sent.
                let keep_alive = asked.keep_alive || again > 0;
                let sent = Asked { keep_alive, ..asked };
                heads::request(&self.reader, &sent, edits, work.out);
                exchange.is_last &= again == 0;
                exchange.course = course;
                if asked.upgrade {
                    exchange.course.iter_mut().for_each(|course| course.set_repeated(false));
                }
                let copies = (again > 0).then(|| Copies {
                    left: again,
                    head: work.out[from..].to_vec(),
                    body: Vec::new(),
                    end: Vec::new(),
                    is_repeated: Arc::default(),
                });
                exchange.is_repeated =
                    copies.as_ref().map(|copies| Arc::clone(&copies.is_repeated));
                work.other.give(exchange);
                To::Upstream(copies, again > 0)
            }
        };
        let mut sending = Sending { asked, body, to };
        match self.body(&mut sending, work) {
            Some(next) => next,
            None => self.wait_or_end(State::Body(Box::new(sending))),
        }
    }

    fn exchange(&self, asked: &Asked, from: From) -> Exchange {
        Exchange {
            number: self.number,
            version: asked.version,
            head_only: asked.head_only,
            keep_alive: asked.keep_alive,
            is_last: !asked.keep_alive,
            upgrade: asked.upgrade,
            from,
            course: None,
            is_repeated: None,
        }
    }

    /// Passes on what is there; none while more of the body is to come.
    fn body(&mut self, sending: &mut Sending, work: &mut Work<'_>) -> Option<Next> {
        loop {
            let (taken, data) = match sending.body.next(work.rest()) {
                Ok(found) => found,
                Err(reject) => return Some(self.break_off(sending, reject, work)),
            };
            work.taken += taken;
            match (&sending.to, sending.asked.framing) {
                (To::Nowhere(_), _) => {}
                (To::Upstream(..), Framing::Chunked) => heads::chunk(data, work.out),
                (To::Upstream(..), _) => work.out.extend_from_slice(data),
            }
            let is_done = sending.body.is_done();
            if let To::Upstream(copies, _) = &mut sending.to {
                keep_copy(copies, data);
                if is_done && sending.asked.framing == Framing::Chunked {
                    let from = work.out.len();
                    heads::last_chunk(sending.body.trailers(), work.out);
                    copies.iter_mut().for_each(|kept| kept.end = work.out[from..].to_vec());
                }
            }
            if is_done {
                return Some(self.finish_request(sending, work));
            }
            if data.is_empty() {
                return None;
            }
        }
    }

    fn finish_request(&mut self, sending: &mut Sending, work: &mut Work<'_>) -> Next {
        let asked = sending.asked;
        match std::mem::replace(&mut sending.to, To::Upstream(None, false)) {
            To::Nowhere(own) => {
                let is_last = own.is_last;
                work.other.give(*own);
                match is_last {
                    false => self.next(),
                    true => None, // the state is Last already
                }
            }
            To::Upstream(_, false) => self.follow(asked),
            To::Upstream(copies, true) => {
                self.state = State::Copies(asked, copies);
                None
            }
        }
    }

    /// Sends the request again, as often as was decided.
    fn copies(&mut self, asked: Asked, mut copies: Option<Copies>, work: &mut Work<'_>) -> Next {
        loop {
            if !work.other.has_room() {
                return self.wait(State::Copies(asked, copies));
            }
            let Some(copy) = copies.as_mut().filter(|copies| copies.left > 0) else { break };
            let is_last = false;
            work.other.give(Exchange { is_last, ..self.exchange(&asked, From::Again) });
            work.out.extend_from_slice(&copy.head);
            match asked.framing {
                Framing::Chunked => heads::chunk(&copy.body, work.out),
                Framing::Length(_) | Framing::Close => work.out.extend_from_slice(&copy.body),
            }
            work.out.extend_from_slice(&copy.end);
            copy.is_repeated.store(true, Ordering::SeqCst);
            copy.left -= 1;
        }
        if !asked.keep_alive {
            work.other.give(self.exchange(&asked, From::Nobody));
        }
        self.follow(asked)
    }

    /// A request has gone to the upstream. What follows it?
    fn follow(&mut self, asked: Asked) -> Next {
        match asked {
            Asked { upgrade: true, .. } => self.state = State::Asked,
            Asked { keep_alive: true, .. } => return self.next(),
            Asked { .. } => {} // the state is Last already
        }
        None
    }

    /// The body of a request broke the rules.
    fn break_off(&mut self, sending: &Sending, reject: Reject, work: &mut Work<'_>) -> Next {
        work.taken = work.bytes.len();
        match &sending.to {
            To::Upstream(..) => work.other.break_off(Broken { number: self.number, reject }),
            To::Nowhere(_) => work.other.give(self.refusal(reject)),
        }
        None // the state is Last already
    }

    /// What came is no request.
    fn refuse(&mut self, reject: Reject, work: &mut Work<'_>) -> Next {
        work.taken = work.bytes.len();
        self.late = Time::NEVER;
        self.number += 1;
        self.state = State::Refused(reject);
        None
    }

    /// It is answered behind all others, and then the connection ends.
    fn refused(&mut self, reject: Reject, work: &mut Work<'_>) -> Next {
        if !work.other.has_room() {
            return self.wait(State::Refused(reject));
        }
        work.other.give(self.refusal(reject));
        None // the state is Last already
    }

    fn refusal(&self, reject: Reject) -> Exchange {
        Exchange {
            number: self.number,
            version: Version::Http11,
            head_only: false,
            keep_alive: false,
            is_last: true,
            upgrade: false,
            from: From::Refused(reject),
            course: None,
            is_repeated: None,
        }
    }
}
/// The first byte of TLS.
const TLS_HANDSHAKE: u8 = 0x16;

const LIKE_TLS: &str = "this looks like TLS; use protocol tcp";
const LIKE_HTTP2: &str = "this looks like HTTP/2; use protocol tcp";

/// Keeps what was sent, to send it again; one that grows too long is forgotten.
fn keep_copy(copies: &mut Option<Copies>, data: &[u8]) {
    if let Some(kept) = copies {
        kept.body.extend_from_slice(data);
        if kept.body.len() > COPY_BYTES_MAX {
            *copies = None;
        }
    }
}
