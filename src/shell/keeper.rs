//! A thread that waits for deadlines which others move.

use std::io;

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use crate::shell::threads::Named;
use crate::units::Span;

/// Does what is due and tells how long until more is; none: not before it is nudged.
pub type Look = Box<dyn Fn() -> Option<Span> + Send>;

/// The thread. Dropping this ends it, once what is being done is done.
pub struct Keeper {
    nudge: Sender<()>,
    _thread: Named,
}

impl Keeper {
    /// Starts it, or tells that the system gives no thread.
    pub fn start(name: &str, look: Look) -> io::Result<Keeper> {
        let (nudge, nudged) = bounded(1);
        let thread = Named::start(name, move || keep(&nudged, &look))?;
        Ok(Keeper { nudge, _thread: thread })
    }

    /// Lets it look at once, for a deadline may have moved.
    pub fn nudge(&self) {
        let _ = self.nudge.try_send(()); // full: it is about to look
    }
}

fn keep(nudged: &Receiver<()>, look: &Look) {
    loop {
        let timer = look().map_or_else(never, |left| after(left.to_duration()));
        select! {
            recv(nudged) -> nudge => if nudge.is_err() {
                return;
            },
            recv(timer) -> _ => {}
        }
    }
}
