//! What faults did, as told to logs and counters.

use crate::units::Span;

/// Something a fault did for the first time in this pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The fault's name on its route.
    pub fault: String,
    /// Its kind.
    pub kind: &'static str,
    /// What it did.
    pub deed: Deed,
    /// How many bytes of the direction had come before.
    pub offset: u64,
    /// It only would have done so: its mode is shadow.
    pub shadow: bool,
}

/// What a fault did to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It made bytes later, by this much.
    Delayed(Span),
    /// It holds bytes until the faults change.
    Held,
    /// It took this many bytes out.
    Swallowed(u64),
    /// It gave this many bytes another value.
    Changed(u64),
    /// It decided on a close.
    Closed,
    /// It decided on a reset.
    Reset,
}

/// What one fault did in this pipeline, in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Steps with bytes that it made later.
    pub delayed_steps: u64,
    /// The sum of those delays.
    pub delayed: Span,
    /// Bytes that it took out.
    pub swallowed_bytes: u64,
    /// Bytes that it gave another value.
    pub changed_bytes: u64,
}

impl Total {
    /// Adds what was done at another time.
    pub(super) fn add(&mut self, more: &Total) {
        self.delayed_steps += more.delayed_steps;
        self.delayed.0 = self.delayed.0.saturating_add(more.delayed.0);
        self.swallowed_bytes += more.swallowed_bytes;
        self.changed_bytes += more.changed_bytes;
    }
}
