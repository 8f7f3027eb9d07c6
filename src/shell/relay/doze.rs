//! When a flow dozes, and when it stops: `shell::doze` is how.

use super::{Flow, Over};
use crate::shell::doze::DOZE_AFTER;
use crate::units::Time;

impl Flow<'_> {
    /// True when nothing but bytes of the source can make it go on, or a change, or the other flow.
    fn waits_for_source_alone(&self) -> bool {
        self.passes
            && self.wants_to_read()
            && self.source.is_some()
            && self.dial.is_none()
            && self.due_of_half() == Time::NEVER
            && !self.link.is_limited()
            && !self.holds_large_buffer()
    }

    /// True when the next read is to wait: there is no need for a poll before it.
    pub(super) fn dozes(&mut self) -> bool {
        let Some(doze) = &self.doze else { return false };
        if doze.is_over() || !self.waits_for_source_alone() {
            (self.doze, self.lone_waits) = (None, 0);
        }
        self.doze.is_some()
    }

    /// Counts the waits for the source alone, and dozes after so many of them. True when it begins:
    /// what has happened up to then is to be looked for.
    pub(super) fn begins_to_doze(&mut self) -> bool {
        self.lone_waits = if self.waits_for_source_alone() { self.lone_waits + 1 } else { 0 };
        if self.lone_waits < DOZE_AFTER {
            return false;
        }
        self.lone_waits = 0;
        self.doze = self.source.and_then(|source| self.link.doze(self.direction, source));
        self.doze.is_some()
    }

    /// What was read may be the end that was made here; and a change comes before what was read.
    pub(super) fn after_waiting_read(&mut self) -> Result<(), Over> {
        match &self.doze {
            _ if self.link.is_over() => Err(Over),
            Some(doze) if doze.is_over() => self.renew(),
            _ => Ok(()),
        }
    }
}
