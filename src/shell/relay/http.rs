//! A flow of an http route: what is read goes through a half of the exchange machine before the
//! faults of the stream see it.
//!
//! ```text
//! source -- read --> [half] --> [pipeline] -- due --> write --> target
//! ```

use super::{Flow, Over, Pending};
use crate::control::Cut;
use crate::exchange::{Ended, Turn};
use crate::fault::passage::{Drawn, Passage};
use crate::fault::{Action, Direction, Step};
use crate::journal::{Answered, Event, Reason};
use crate::shell::http_half::Seen;
use crate::units::{Span, Time};

/// How long a client may take to read a last answer and close, while what it sends is thrown away.
const LINGER: Span = Span::from_ms(2_000);

/// True when what a half puts out can be written, or given to the faults.
fn has_room(passes: bool, pending: &Pending, passage: &Passage) -> bool {
    match passes {
        true => matches!(pending, Pending::Nothing),
        false => !passage.is_full(),
    }
}

impl Flow<'_> {
    /// True when there is something to be done without waiting: the half was stopped by a target
    /// that took no more.
    pub(super) fn goes_on(&self) -> bool {
        self.stopped && !self.blocked && (self.passes || !self.passage.is_full())
    }

    /// The half takes its turn with `fresh` bytes of the buffer; what comes out is written, or
    /// given to the faults.
    pub(super) fn turn(&mut self, fresh: usize) -> Result<(), Over> {
        self.stopped = false;
        let Some(half) = &mut self.half else { return Ok(()) };
        if self.half_end.is_none() {
            let mut out = std::mem::take(&mut self.spare);
            let fresh = self.buffer.as_ref().map_or(&[][..], |buffer| &buffer[..fresh]);
            let now = self.link.clock.now();
            let seen = Seen { fresh, now, link: self.link, generation: &self.generation };
            let turn = half.turn(&seen, &mut out);
            self.half_end = Some(turn).filter(|turn| *turn != Turn::Wait);
            self.tell_done();
            self.put_out(out)?;
        }
        self.perform_end()
    }

    /// Takes a turn, unless what it would put out could not be written yet.
    pub(super) fn turn_if_room(&mut self) -> Result<(), Over> {
        let Some(half) = &mut self.half else { return Ok(()) };
        let has_room = has_room(self.passes, &self.pending, &self.passage);
        if !has_room {
            self.stopped = true;
            self.full_since.get_or_insert_with(|| self.link.clock.now());
            return Ok(());
        }
        if let Some(since) = self.full_since.take() {
            half.was_not_read(self.link.clock.now() - since);
        }
        self.turn(0)
    }

    /// Writes what came out of the half, or gives it to the faults: of each message to its own.
    fn put_out(&mut self, mut out: Vec<u8>) -> Result<(), Over> {
        let marks = self.half.as_mut().map_or_else(Vec::new, |half| half.take_marks());
        let mut from = 0;
        for mark in marks {
            let rest = out.split_off(mark.at - from);
            from = mark.at;
            self.passes = false; // what is pending leaves first
            self.put(out)?;
            self.turn_to(mark.drawn.as_ref());
            out = rest;
        }
        self.put(out)
    }

    fn put(&mut self, out: Vec<u8>) -> Result<(), Over> {
        if out.is_empty() {
            self.spare = out;
            return Ok(());
        }
        self.begin_dial()?;
        self.uncounted = out.len();
        if self.passes {
            self.pending = Pending::Chunk(out, 0);
            return self.write_pending();
        }
        self.count(0);
        self.passage.push(Step { at: self.link.clock.now(), action: Action::Send(out) });
        Ok(())
    }

    /// What is put out from here on belongs to another message.
    fn turn_to(&mut self, drawn: Option<&Drawn>) {
        let (now, owner) = (self.link.clock.now(), self.link.owner());
        let bearings = self.link.bearings(&owner, self.direction, &self.generation.faults);
        self.passage.turn_to(now, &bearings, drawn);
    }

    /// Keeps the memory of written bytes for what comes next, if the buffer is as large.
    pub(super) fn keep_room(&mut self, written: Pending) {
        let Pending::Chunk(mut bytes, _) = written else { return };
        let most = self.buffer.as_ref().map_or(0, |buffer| buffer.len());
        if self.half.is_some() && self.passes && bytes.capacity() <= most {
            bytes.clear();
            self.spare = bytes;
        }
    }

    /// Does what the half ended with, behind all that it has put out.
    fn perform_end(&mut self) -> Result<(), Over> {
        let Some(end) = self.half_end.filter(|_| !self.finished) else { return Ok(()) };
        if self.passes && !matches!(self.pending, Pending::Nothing) {
            self.stopped = true;
            return Ok(());
        }
        let action = match end {
            Turn::Wait => return Ok(()),
            Turn::Tunnel => {
                let rest = self.half.take().map_or_else(Vec::new, |mut half| half.take_rest());
                self.half_end = None;
                self.put_out(rest)?;
                return match self.source_ended {
                    true => self.take_end(Action::Finish),
                    false => Ok(()),
                };
            }
            Turn::Finish if self.passes => return self.finish(),
            Turn::Finish => Action::Finish,
            Turn::Close if self.passes => return self.end(self.reason_of_half(), Cut::Close),
            Turn::Close => Action::Close,
            Turn::Reset if self.passes => return self.end(self.reason_of_half(), Cut::Reset),
            Turn::Reset => Action::Reset,
        };
        if !std::mem::replace(&mut self.half_ended, true) {
            self.passage.push(Step { at: self.link.clock.now(), action });
        }
        Ok(())
    }

    /// The source has ended, on an http route.
    pub(super) fn take_http_end(&mut self, end: &Action) {
        let ended = if *end == Action::Finish { Ended::Finished } else { Ended::Reset };
        if let Some(half) = &mut self.half {
            half.end(ended);
            self.settled = false;
        }
    }

    /// The target takes no more: on an http route the upstream may have said why.
    pub(super) fn lose_target(&mut self) -> Result<(), Over> {
        let now = self.link.clock.now();
        if self.half.as_mut().is_some_and(|half| half.lose_target(now)) {
            self.pending = Pending::Nothing;
            (self.blocked, self.settled) = (false, false);
            return Ok(());
        }
        self.end(self.link.reset_by(self.direction, false), Cut::Reset)
    }

    /// True while a client may still read its last answer.
    pub(super) fn is_lingering(&self) -> bool {
        self.finished && self.half.is_some() && self.direction == Direction::Downstream
    }

    /// When the half wants its turn, or the connection is over.
    pub(super) fn due_of_half(&self) -> Time {
        match &self.half {
            None => Time::NEVER,
            Some(_) if self.finished => self.linger_end(),
            Some(_) if self.half_end.is_some() || self.blocked => Time::NEVER,
            Some(_) if !has_room(self.passes, &self.pending, &self.passage) => Time::NEVER,
            Some(half) => half.due(),
        }
    }

    /// When an http connection that was finished towards the client is over anyway.
    pub(super) fn linger_end(&self) -> Time {
        if self.is_lingering() { self.finished_at + LINGER } else { Time::NEVER }
    }

    pub(super) fn reason_of_half(&self) -> Reason {
        if self.faulty { Reason::Fault } else { self.link.reset_by(self.direction, true) }
    }

    /// Tells and counts the exchanges that are over.
    pub(super) fn tell_done(&mut self) {
        while let Some(done) = self.half.as_mut().and_then(|half| half.take_done()) {
            let decided = done.course.as_ref().map_or(&[][..], |course| &course.decided);
            let route = self.link.route();
            route.counters().answered(done.status, done.by_upstream);
            self.faulty |= done.ended_by_fault;
            if let Some(course) = &done.course {
                route.carried_out((self.link.number, done.number), course);
            }
            if decided.is_empty() && done.refused.is_none() {
                continue;
            }
            self.link.note(Event::Answered(&Answered {
                number: done.number,
                status: done.status,
                by_upstream: done.by_upstream,
                decided,
                held: done.course.as_ref().map_or(Span::ZERO, |course| course.held),
                refused: done.refused,
            }));
        }
    }
}
