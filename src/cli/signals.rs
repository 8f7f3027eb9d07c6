//! Signals, and the way a process stops.
//!
//! ```text
//! before ready: exit 0
//! first:        say not ready; after the delay refuse new connections, and wait for those in
//!               flight until the grace is over
//! second:       cut what is left, exit within 200 ms
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, after, bounded, select};

use crate::config::plan::Shutdown;
use crate::embed::{self, Running};
use crate::shell::admin_server::AdminServer;
use crate::units::Span;

/// After the second signal the process ends by then, whatever its threads do.
const LAST_SPAN: Duration = Duration::from_millis(150);

/// The signals that stop: SIGINT, SIGTERM and SIGHUP.
pub(super) struct Signals {
    received: Receiver<()>,
    ready: Arc<AtomicBool>,
}

impl Signals {
    /// Handles them from now on; until `hold`, one of them ends the process with code 0. Takes
    /// the process for the proxy first, since handling signals starts its second thread.
    pub(super) fn listen() -> Result<Signals, ctrlc::Error> {
        embed::claim_process();
        let (sender, received) = bounded(2);
        let ready = Arc::new(AtomicBool::new(false));
        let is_ready = Arc::clone(&ready);
        let mut count = 0;
        ctrlc::set_handler(move || {
            count += 1;
            if !is_ready.load(Ordering::SeqCst) {
                exit();
            }
            let _ = sender.try_send(()); // full: the process is ending already
            if count >= 2 {
                let _ = after(LAST_SPAN).recv();
                exit();
            }
        })?;
        Ok(Signals { received, ready })
    }

    /// From now on a signal is a wish to drain, not to end at once; said before `ready` is told.
    pub(super) fn hold(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    /// Serves until the first signal, sets `draining`, drains, and stops; the admin API answers
    /// until then.
    pub(super) fn serve(
        &self,
        mut running: Running,
        shutdown: Shutdown,
        draining: &AtomicBool,
        admin: Option<AdminServer>,
    ) {
        let _ = self.received.recv(); // the handler keeps the sender for ever
        draining.store(true, Ordering::SeqCst);
        let mut in_haste = false;
        if shutdown.delay > Span::ZERO {
            running.stopping_in(shutdown.delay);
            in_haste = self.received.recv_timeout(shutdown.delay.to_duration()).is_ok();
        }
        let all_left = running.drain();
        let grace = after(shutdown.grace.to_duration());
        while !in_haste && running.in_flight() > 0 {
            select! {
                recv(all_left) -> _ => {} // told late, maybe: looked at again
                recv(self.received) -> _ => break,
                recv(grace) -> _ => break,
            }
        }
        drop(admin);
        running.stop();
    }
}

#[allow(clippy::disallowed_methods, reason = "a handler has no main to return to")]
fn exit() {
    std::process::exit(0);
}
