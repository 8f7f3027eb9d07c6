//! The half towards the client: exchanges are answered in their order, by the upstream or by us.
//!
//! ```text
//! Next --> Head -> Delayed -> Body --------> Next          (the next exchange)
//!   \----> Own (due?) -----------/   \-----> Over          (the connection ends)
//! ```

use std::collections::VecDeque;

use super::damage::{GARBAGE, NO_CHUNK};
use super::heads::{self, Goes, Out};
use super::way::{Passed, Passing, Then, To, Way};
use super::{Broken, Done, Ended, Exchange, From, LIMITS, Mark, Marks, Rest, Turn, Upstream};
use crate::fault::course::{Abort, Answer, Course, Lose, Malformed};
use crate::http::Version;
use crate::http::{AnswerReader, Answered, BodyReader, Framing, Manner, Reject, Reply};
use crate::units::Time;

/// What the half towards the client knows of the other one.
pub trait Questions {
    /// The next exchange in order, if there is one.
    fn next(&mut self) -> Option<Exchange>;

    /// The request whose body broke the rules after its exchange had been given.
    fn broken(&self) -> Option<Broken>;

    /// What the upstream said to an upgrade: whether there is a tunnel now.
    fn tell(&mut self, tunnel: bool);

    /// No further request will be answered.
    fn close(&mut self);

    /// How it stands with the upstream.
    fn upstream(&self) -> Upstream;

    /// True when the client has sent its FIN.
    fn is_finished(&self) -> bool;

    /// True when the fault with this name acts now.
    fn is_in_force(&self, fault: &str) -> bool;
}

/// Answers the requests of one connection.
#[derive(Debug)]
pub struct Down {
    state: State,
    reader: AnswerReader,
    rest: Rest,
    ended: Option<Ended>,
    current: Option<Exchange>,
    /// When the answer under way began to wait.
    since: Time,
    /// Answers of the upstream so far.
    answers: u64,
    done: VecDeque<Done>,
    marks: Marks,
}

#[derive(Debug)]
enum State {
    Next,
    /// An answer of our own waits for its time.
    Own(Time),
    Head,
    Delayed(Answered, Time),
    Body(Box<Passing>),
    /// Nothing more comes out, until the client leaves or this fault has gone.
    Hang(String),
    Over(Turn),
}

type Next = Option<Turn>;

type Work<'a> = super::Work<'a, dyn Questions + 'a>;

impl Default for Down {
    fn default() -> Down {
        Down {
            state: State::Next,
            reader: AnswerReader::new(&LIMITS),
            rest: Rest::default(),
            ended: None,
            current: None,
            since: Time::ZERO,
            answers: 0,
            done: VecDeque::new(),
            marks: Marks::default(),
        }
    }
}

impl Down {
    /// True when more bytes may be given.
    pub fn wants(&self) -> bool {
        let waits = matches!(self.state, State::Own(_) | State::Delayed(..) | State::Over(_));
        self.rest.0.is_empty() && !waits
    }

    /// When to take another turn, whatever happens.
    pub fn due(&self) -> Time {
        match &self.state {
            State::Own(due) | State::Delayed(_, due) => *due,
            State::Next | State::Head | State::Body(_) | State::Hang(_) | State::Over(_) => {
                Time::NEVER
            }
        }
    }

    /// True when a fault holds an answer until a time.
    pub fn is_delayed(&self) -> bool {
        matches!(self.state, State::Own(_) | State::Delayed(..))
    }

    /// The faults have changed: what they delayed goes on.
    pub fn release(&mut self, now: Time) {
        if let State::Own(due) | State::Delayed(_, due) = &mut self.state {
            *due = now;
        }
    }

    /// The upstream has ended: nothing comes behind what was given.
    pub fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
    }

    /// What was given and not taken, for a tunnel.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest.0)
    }

    /// The next one of the exchanges that have ended.
    pub fn take_done(&mut self) -> Option<Done> {
        self.done.pop_front()
    }

    /// Which messages the bytes belong to that were put out since the last call.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        self.marks.take()
    }

    /// Takes bytes of the upstream, and puts out what goes to the client now. After an end there
    /// is no further turn.
    pub fn turn(
        &mut self,
        fresh: &[u8],
        now: Time,
        other: &mut dyn Questions,
        out: &mut Vec<u8>,
    ) -> Turn {
        let rest = std::mem::take(&mut self.rest);
        let mut work = Work { bytes: rest.with(fresh), taken: 0, now, other, out };
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
        match std::mem::replace(&mut self.state, State::Next) {
            State::Next => self.next(work),
            State::Own(due) if work.now < due => self.wait(State::Own(due)),
            State::Own(_) => {
                self.held(work.now);
                self.own(work)
            }
            State::Head => self.head(work),
            State::Delayed(answered, due) if work.now < due => {
                self.wait(State::Delayed(answered, due))
            }
            State::Delayed(answered, _) => {
                self.held(work.now);
                self.answer(answered, work)
            }
            State::Body(mut passing) => match self.body(&mut passing, work) {
                Some(next) => next,
                None => self.wait(State::Body(passing)),
            },
            State::Hang(fault) => {
                work.taken = work.bytes.len();
                work.other.close(); // what still comes is read, so that its end is seen
                match work.other.is_finished() || !work.other.is_in_force(&fault) {
                    true => self.over(Turn::Close, work),
                    false => self.wait(State::Hang(fault)),
                }
            }
            State::Over(turn) => self.over(turn, work),
        }
    }

    /// The answer under way waits no longer.
    fn held(&mut self, now: Time) {
        let since = self.since;
        if let Some(course) = self.course() {
            course.held.0 += (now - since).0;
        }
    }

    /// What was decided for the exchange that is being answered, if there is one.
    fn course(&mut self) -> Option<&mut Course> {
        self.current.as_mut()?.course.as_deref_mut()
    }

    fn wait(&mut self, state: State) -> Next {
        self.state = state;
        Some(Turn::Wait)
    }

    /// The connection ends like this.
    fn over(&mut self, turn: Turn, work: &mut Work<'_>) -> Next {
        work.taken = work.bytes.len();
        work.other.close();
        self.state = State::Over(turn);
        Some(turn)
    }

    fn next(&mut self, work: &mut Work<'_>) -> Next {
        self.reader.clear();
        // Asked first: behind that no exchange is given.
        let is_unneeded = work.other.upstream() == Upstream::Unneeded;
        let Some(exchange) = work.other.next() else {
            return match (work.rest().is_empty(), self.ended) {
                (true, None) if is_unneeded => self.over(Turn::Finish, work),
                (true, None) => self.wait(State::Next),
                (_, Some(Ended::Reset)) => self.over(Turn::Reset, work),
                // What nobody asked for belongs to no request.
                (false, None) | (_, Some(Ended::Finished)) => self.over(Turn::Finish, work),
            };
        };
        // The answer to a copy, and none at all, put nothing out: the message before is not over.
        if !matches!(exchange.from, From::Again | From::Nobody) {
            self.marks.turn_to(work.out.len(), exchange.number, exchange.course.as_deref());
        }
        let abort = exchange.course.as_ref().and_then(|course| course.abort.as_ref());
        self.since = match (exchange.from, abort) {
            (From::Proxy(due), Some(Abort::Reply(_, wait))) if work.now < due => {
                Time(due.0.saturating_sub(wait.0)) // since it was decided
            }
            _ => work.now,
        };
        self.state = match exchange.from {
            From::Upstream | From::Again => State::Head,
            From::Proxy(due) => State::Own(due),
            From::Refused(_) => State::Own(work.now),
            From::Nobody => return self.over(Turn::Finish, work),
        };
        self.current = Some(exchange);
        None
    }

    /// The exchange that is being answered. There is one in every state but Next and Over.
    fn current(&self) -> &Exchange {
        self.current.as_ref().expect("there is one in every state but Next and Over")
    }

    /// Gives the answer that is ours.
    fn own(&mut self, work: &mut Work<'_>) -> Next {
        if let From::Refused(reject) = self.current().from {
            return self.refuse(reject, work);
        }
        let abort = self.current().course.as_ref().and_then(|course| course.abort.clone());
        match abort {
            Some(Abort::Reply(reply, _)) => self.reply(&reply, true, work),
            Some(Abort::Reset) => self.end_by_fault(0, Some(Turn::Reset), work),
            Some(Abort::Close) | None => self.end_by_fault(0, Some(Turn::Finish), work),
        }
    }

    /// Answers in the place of the upstream, which is still there or not.
    fn reply(&mut self, reply: &Reply, stays: bool, work: &mut Work<'_>) -> Next {
        let exchange = self.current();
        let stays = stays && self.ended.is_none();
        let keep_alive = stays && exchange.keep_alive;
        let manner =
            Manner { head_only: exchange.head_only, keep_alive, version: exchange.version };
        let reply = heads::own(reply, exchange.course.as_deref());
        work.out.extend_from_slice(&reply.to_bytes(manner));
        let end = (!stays || exchange.is_last).then_some(Turn::Finish);
        self.current_is_ours();
        self.finish_exchange(reply.status, end, work)
    }

    /// Whoever was to answer: the answer is ours.
    fn current_is_ours(&mut self) {
        if let Some(exchange) = &mut self.current {
            exchange.from = From::Proxy(Time::ZERO);
        }
    }

    /// A message broke the rules, or there was none: an answer that says so, and then the end.
    /// Whoever has its answer gets no other one.
    fn refuse(&mut self, reject: Reject, work: &mut Work<'_>) -> Next {
        if self.current().from == From::Again {
            return self.finish_exchange(0, Some(Turn::Finish), work);
        }
        let was_sent = work.other.upstream() == Upstream::Reached;
        self.current.iter_mut().for_each(Exchange::look_at_copies);
        if let Some(course) = self.course() {
            course.came_to_nothing(was_sent, false);
        }
        let turn = self.reply(&reject.reply(), false, work);
        if let Some(done) = self.done.back_mut() {
            done.refused = Some(reject.reason);
        }
        turn
    }

    fn bad_gateway(&mut self, reason: &'static str, work: &mut Work<'_>) -> Next {
        self.refuse(Reject { status: 502, reason }, work)
    }

    /// The connection is over before what is under way and what waits is answered.
    pub fn leave(&mut self, now: Time, other: &mut dyn Questions) {
        let is_held = self.is_delayed();
        if is_held {
            self.held(now);
        }
        let status = if let State::Body(passing) = &self.state { passing.given() } else { 0 };
        let upstream = other.upstream();
        let current = self.current.take().and_then(|own| own.cut(status, is_held, upstream));
        let waiting = std::iter::from_fn(|| other.next());
        let waiting = waiting.filter_map(|own| own.cut(0, false, upstream));
        self.done.extend(current.into_iter().chain(waiting));
    }

    /// The exchange is over; so is the connection, if it ends.
    fn finish_exchange(&mut self, status: u16, end: Option<Turn>, work: &mut Work<'_>) -> Next {
        if let Some(mut exchange) = self.current.take() {
            exchange.look_at_copies();
            let by_upstream = exchange.from == From::Upstream && status != 0;
            let Exchange { number, course, from, .. } = exchange;
            if from != From::Again {
                let (refused, ended_by_fault) = (None, false);
                let done = Done { number, status, by_upstream, course, refused, ended_by_fault };
                self.done.push_back(done);
            }
        }
        self.state = State::Next;
        end.and_then(|turn| self.over(turn, work))
    }

    /// The exchange is over, and a fault ends the connection with it.
    fn end_by_fault(&mut self, status: u16, turn: Option<Turn>, work: &mut Work<'_>) -> Next {
        let next = self.finish_exchange(status, turn, work);
        if let Some(done) = self.done.back_mut() {
            done.ended_by_fault = true;
        }
        next
    }

    fn broken(&self, work: &Work<'_>) -> Option<Reject> {
        let broken = work.other.broken()?;
        (broken.number == self.current().number).then_some(broken.reject)
    }

    fn head(&mut self, work: &mut Work<'_>) -> Next {
        if let Some(reject) = self.broken(work) {
            return self.refuse(reject, work);
        }
        if work.other.upstream() == Upstream::Failed {
            return self.bad_gateway("the upstream cannot be reached", work);
        }
        match self.reader.take(work.rest()) {
            Err(reject) => self.bad_gateway(reject.reason, work),
            Ok((taken, Some(answered))) => {
                work.taken += taken;
                self.answered(answered, work)
            }
            Ok((taken, None)) => {
                work.taken += taken;
                match self.ended {
                    None => self.wait(State::Head),
                    Some(ended) => self.no_answer(ended, work),
                }
            }
        }
    }

    /// The upstream has ended without one. On a connection that was used before, the client is
    /// not told more than that, so that it may try again: the upstream may just have closed an
    /// idle connection.
    fn no_answer(&mut self, ended: Ended, work: &mut Work<'_>) -> Next {
        if self.answers == 0 {
            return self.bad_gateway("the upstream closed the connection without an answer", work);
        }
        if !self.reader.is_untouched() {
            return self.bad_gateway("the upstream cut its answer short", work);
        }
        let is_reset = ended == Ended::Reset && self.current().from == From::Upstream;
        let turn = if is_reset { Turn::Reset } else { Turn::Finish };
        self.finish_exchange(0, Some(turn), work)
    }

    /// The head of an answer is whole: one that comes before the answer proper, or that.
    fn answered(&mut self, answered: Answered, work: &mut Work<'_>) -> Next {
        let exchange = self.current();
        let passes = exchange.from == From::Upstream && exchange.version == Version::Http11;
        let (upgrade, status) = (exchange.upgrade, answered.status);
        match status {
            101 if !upgrade => {
                return self.bad_gateway("the upstream switched protocols unasked", work);
            }
            101 if self.plan().is_none_or(|plan| plan.lose.is_none() && plan.replace.is_none()) => {
                self.course().into_iter().for_each(Course::meets_tunnel);
                self.write_head(&answered, Out::Bodiless, true, work);
                work.other.tell(true);
                let _ = self.finish_exchange(101, None, work);
                self.state = State::Over(Turn::Tunnel);
                return Some(Turn::Tunnel);
            }
            100 | 102..200 => {
                if passes {
                    self.write_head(&answered, Out::Bodiless, true, work);
                }
                self.reader.clear();
                self.state = State::Head;
                return None;
            }
            _ => {}
        }
        if upgrade {
            work.other.tell(false);
        }
        self.answers += 1;
        self.current.iter_mut().for_each(Exchange::look_at_copies);
        let due = self.plan().map_or(work.now, |plan| work.now + plan.delay);
        self.since = work.now;
        match work.now < due {
            true => self.wait(State::Delayed(answered, due)),
            false => self.answer(answered, work),
        }
    }

    /// What was decided for the answer under way.
    fn plan(&self) -> Option<&Answer> {
        self.current().course.as_ref().map(|course| &course.answer)
    }

    fn write_head(&self, answered: &Answered, body: Out, keep_alive: bool, work: &mut Work<'_>) {
        let exchange = self.current();
        let goes = Goes { version: exchange.version, keep_alive };
        let course = exchange.course.as_deref();
        heads::answer((&self.reader, answered), body, goes, course, work.out);
    }

    /// The answer proper goes on, or what was decided happens in its place.
    fn answer(&mut self, answered: Answered, work: &mut Work<'_>) -> Next {
        let is_bodiless = answered.is_bodiless(self.current().head_only);
        let framing = if is_bodiless { Framing::Length(0) } else { answered.framing };
        if let Some(course) = self.course() {
            course.meets_answer(framing != Framing::Length(0));
        }
        let exchange = self.current();
        let body = match BodyReader::new(framing, &LIMITS) {
            Ok(body) => body,
            Err(reject) => return self.bad_gateway(reject.reason, work),
        };
        let (status, nothing) = (answered.status, Answer::default());
        let plan = self.plan().unwrap_or(&nothing);
        let mut stays = answered.keep_alive && framing != Framing::Close && status != 101;
        let to = match (exchange.from, plan.lose, &plan.replace) {
            (From::Again, ..) => To::Nowhere(Then::Done(0)),
            (_, Some(lose), _) => To::Nowhere(Then::Lose(lose)),
            (_, None, Some(reply)) => To::Nowhere(Then::Reply(heads::edited(reply, &plan.edits))),
            (_, None, None) => {
                if let Some(malformed) = plan.malformed {
                    return self.break_answer(malformed, &answered, is_bodiless, work);
                }
                let way = Way::new(plan, is_bodiless, framing, exchange.version);
                stays &= way.framing != Out::Raw;
                let keep_alive = stays && exchange.keep_alive;
                self.write_head(&answered, way.framing, keep_alive, work);
                To::Client(way)
            }
        };
        let mut passing = Passing { body, status, to, stays };
        match self.body(&mut passing, work) {
            Some(next) => next,
            None => self.wait(State::Body(Box::new(passing))),
        }
    }

    fn break_answer(
        &mut self,
        malformed: Malformed,
        answered: &Answered,
        is_bodiless: bool,
        work: &mut Work<'_>,
    ) -> Next {
        let status = match malformed {
            Malformed::Empty => 0,
            Malformed::Garbage => {
                work.out.extend_from_slice(GARBAGE);
                0
            }
            Malformed::Chunk => {
                let framing = if is_bodiless { Out::Bodiless } else { Out::Chunked };
                self.write_head(answered, framing, false, work);
                work.out.extend_from_slice(NO_CHUNK);
                answered.status
            }
        };
        self.end_by_fault(status, Some(Turn::Finish), work)
    }

    /// Passes on what is there; none while more of the body is to come.
    fn body(&mut self, passing: &mut Passing, work: &mut Work<'_>) -> Option<Next> {
        if self.broken(work).is_some() {
            return Some(self.cut_off(passing, Turn::Close, work));
        }
        let status = passing.status;
        loop {
            let Ok((taken, data)) = passing.body.next(work.rest()) else {
                return Some(self.cut(passing, work));
            };
            work.taken += taken;
            if let To::Client(way) = &mut passing.to {
                match way.pass(data, work.out) {
                    Passed::All => {}
                    Passed::Cut => return Some(self.end_by_fault(status, Some(way.cut()), work)),
                    Passed::Ended => {
                        way.finish(None, work.out);
                        passing.to = To::Nowhere(Then::Done(status));
                    }
                }
            }
            if passing.body.is_done() {
                return Some(self.finish_body(passing, work));
            }
            if data.is_empty() {
                return match self.ended {
                    None => None,
                    Some(Ended::Finished) if passing.body.is_endless() => {
                        Some(self.finish_body(passing, work))
                    }
                    Some(_) => Some(self.cut(passing, work)),
                };
            }
        }
    }

    /// The upstream has cut its answer; the client must not take what it has for all of it.
    fn cut(&mut self, passing: &Passing, work: &mut Work<'_>) -> Next {
        let turn = match (&passing.to, self.ended) {
            (To::Nowhere(Then::Done(_)), _) => Turn::Finish, // it has all that it gets
            (To::Client(way), None | Some(Ended::Finished)) if way.framing != Out::Raw => {
                Turn::Close
            }
            _ => Turn::Reset,
        };
        self.cut_off(passing, turn, work)
    }

    /// The exchange ends before the body does.
    fn cut_off(&mut self, passing: &Passing, turn: Turn, work: &mut Work<'_>) -> Next {
        let status = passing.given();
        if let Some(course) = self.course().filter(|_| status == 0) {
            course.came_to_nothing(true, false);
        }
        self.finish_exchange(status, Some(turn), work)
    }

    fn finish_body(&mut self, passing: &mut Passing, work: &mut Work<'_>) -> Next {
        let Passing { body, status, to, stays } = passing;
        let (status, stays) = (*status, *stays);
        let end = (!stays || self.current().is_last).then_some(Turn::Finish);
        match to {
            To::Client(way) if way.cuts => self.end_by_fault(status, Some(way.cut()), work),
            To::Client(way) => {
                way.finish(body.trailers(), work.out);
                self.finish_exchange(status, end, work)
            }
            To::Nowhere(Then::Done(status)) => self.finish_exchange(*status, end, work),
            To::Nowhere(Then::Reply(reply)) => self.reply(reply, stays, work),
            To::Nowhere(Then::Lose(Lose::Reset)) => self.end_by_fault(0, Some(Turn::Reset), work),
            To::Nowhere(Then::Lose(Lose::Close)) => self.end_by_fault(0, Some(Turn::Finish), work),
            To::Nowhere(Then::Lose(Lose::Hang)) => {
                let fault = self.course().and_then(|course| course.lost_by()).unwrap_or_default();
                let _ = self.end_by_fault(0, None, work);
                self.state = State::Hang(fault);
                None
            }
        }
    }
}
