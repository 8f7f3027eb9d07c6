//! A flow of an http route whose upstream was not dialled yet. That is done for the first bytes
//! that go there, by the thread that has them; until it is over the target counts as one that takes
//! no more, so ends, limits and changes are seen to as ever. The other flow has no source
//! meanwhile, and gives answers of our own.

use std::io;

use super::{Flow, Over, Pending};
use crate::control::Cut;
use crate::fault::Direction;
use crate::journal::Reason;
use crate::shell::dial::{Budget, Caller, Dial, DialError, Progress};
use crate::shell::sys::{self, Found, Watch};
use crate::units::{Span, Time};

impl<'a> Flow<'a> {
    /// Takes what the other flow has dialled as its source.
    pub(super) fn find_source(&mut self) {
        if self.source.is_none() {
            (self.source, _) = self.link.ends(self.direction);
        }
    }

    /// There are bytes for the target: dials it, unless that was done.
    pub(super) fn begin_dial(&mut self) -> Result<(), Over> {
        if self.target.is_some() || self.dial.is_some() || self.is_unreachable() {
            return Ok(());
        }
        let (route, clock) = (self.link.route(), self.link.clock);
        let begun = clock.now();
        let budget = Budget::of_request(&route.plan.limits, begun);
        let caller = Caller { route, number: self.link.number, clock, budget, begun };
        self.link.begin_dial();
        self.take_progress(caller, Dial::begin(caller))
    }

    fn is_unreachable(&self) -> bool {
        self.half.as_ref().is_some_and(|half| half.is_unreachable())
    }

    /// Goes on with the dial after a wait. A client that has gone ends it: it was reset, or has its
    /// last answer.
    pub(super) fn go_on_dialling(&mut self, source: Found, dialled: Found) -> Result<(), Over> {
        if source.error || source.hang_up {
            return match self.link.is_finished(Direction::Downstream) {
                true => self.end(Reason::Finished, Cut::Close),
                false => self.end(Reason::ClientReset, Cut::Reset),
            };
        }
        let Some(dial) = self.dial.take() else { return Ok(()) };
        self.take_progress(dial.caller(), dial.go_on(dialled))
    }

    fn take_progress(
        &mut self,
        caller: Caller<'a>,
        progress: Result<Progress<'a>, DialError>,
    ) -> Result<(), Over> {
        match progress {
            Ok(Progress::Waiting(dial)) => {
                self.dial = Some(dial);
                Ok(())
            }
            Ok(Progress::Reached(upstream, addr)) => {
                caller.tell_reached(&upstream, addr);
                self.link.reach(upstream);
                (_, self.target) = self.link.ends(self.direction);
                self.half.iter().for_each(|half| half.reach(self.link));
                // Whoever has ended the connection meanwhile did not find this socket.
                if self.link.is_over() { Err(Over) } else { Ok(()) }
            }
            Err(DialError::Descriptors) => {
                self.link.refuse();
                Err(Over)
            }
            Err(error) => {
                caller.tell_failed(&error);
                self.link.fail();
                self.half.iter().for_each(|half| half.fail(self.link));
                self.lose_target()
            }
        }
    }

    /// When the dial is to go on.
    pub(super) fn due_of_dial(&self) -> Time {
        self.dial.as_ref().map_or(Time::NEVER, Dial::due)
    }

    /// There is nobody to write to: not yet, or never.
    pub(super) fn lack_target(&mut self) -> Result<(), Over> {
        self.count(0);
        match (&self.dial, &self.pending) {
            (Some(_), _) => {
                self.blocked = true;
                Ok(())
            }
            (None, Pending::Nothing) => Ok(()),
            (None, _) => self.lose_target(),
        }
    }

    /// Waits on an http route, where there is a bell beside all else, and maybe nobody to watch
    /// yet. Tells what was found on the generation's pipe, the source, and the target or its dial.
    pub(super) fn poll_http(
        &self,
        [wake, source, target]: [Watch<'_>; 3],
        quiet: bool,
        timeout: Option<Span>,
    ) -> io::Result<(Found, Found, Found)> {
        let bell = self.half.as_ref().and_then(|half| half.watch());
        let deaf = self.source.is_none() || self.is_lingering() || quiet && self.dial.is_none();
        // Without a source nothing else tells that the other flow has ended the connection.
        let minds = self.blocked || self.source.is_none() && !self.finished;
        let aside = match &self.dial {
            Some(dial) => Some(dial.watch()),
            None => minds.then_some(target),
        };
        let none = Found::default();
        // Each one costs: measured with wrk, 64 connections, two to spare took 3 % of the requests.
        let [wake, source, target, bell] = match (deaf, aside, bell) {
            (false, None, None) => {
                sys::poll([wake, source], timeout).map(|[w, s]| [w, s, none, none])?
            }
            (false, None, Some(bell)) => {
                sys::poll([wake, source, bell], timeout).map(|[w, s, b]| [w, s, none, b])?
            }
            _ => {
                let source = if deaf { wake } else { source };
                let watches = [wake, source, aside.unwrap_or(wake), bell.unwrap_or(wake)];
                sys::poll(watches, timeout)?
            }
        };
        self.half.iter().filter(|_| bell.ready).for_each(|half| half.hush());
        let source = if deaf { none } else { source };
        Ok((wake, source, if aside.is_some() { target } else { none }))
    }
}
