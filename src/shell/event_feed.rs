//! The stream of events as a client of the admin API gets it: server-sent events.
//!
//! The hub writes one byte into a pipe when events come for a feed that waits; the feed takes the
//! byte out before it looks, so that at most one is in it and nobody ever waits to write.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::http::Reply;
use crate::journal::events::{self, Fields};
use crate::journal::hub::{CLIENT_EVENTS_MAX, CLIENTS_MAX, Hub, Line, Next, Subscription};
use crate::shell::sys;
use crate::units::Span;

/// Without an event for this long, a comment shows that the server is there.
pub const HEARTBEAT: Span = Span::from_ms(15_000);

/// What is sent then.
pub const BEAT: &[u8] = b": heartbeat\n\n";

/// Bytes that are gathered for one write, or one event if it is longer.
const BATCH_BYTES: usize = 64 << 10;

/// The events for one client.
pub struct EventFeed {
    subscription: Subscription,
    pipe: File,
    /// The next event is to wake it; whoever takes this back writes the byte.
    waits: Arc<AtomicBool>,
    /// It was said that it waits, and not taken back yet.
    is_armed: bool,
    first: Option<Line>,
}

impl EventFeed {
    /// All events from now on, after `start` with what `header` gives; or the refusal.
    pub fn open(hub: &Arc<Hub>, header: impl FnOnce() -> Fields) -> Result<EventFeed, Reply> {
        let refused = |why: &str| Reply::text(503, why).with("Retry-After", "1");
        let (read, write) =
            sys::pipe().map_err(|_| refused("no descriptor left for a stream of events"))?;
        let waits = Arc::new(AtomicBool::new(false));
        let (own, write) = (Arc::clone(&waits), File::from(write));
        let wake = move || {
            if own.swap(false, Ordering::SeqCst) {
                let _ = (&write).write(&[0]); // there is room, for nothing is in it
            }
        };
        let subscription = hub.subscribe(CLIENT_EVENTS_MAX, true, Box::new(wake));
        let Some(subscription) = subscription else {
            return Err(refused(&format!("{CLIENTS_MAX} clients read events already")));
        };
        let first = Some(hub.aside(subscription.last(), "start", &header()));
        Ok(EventFeed { subscription, pipe: File::from(read), waits, is_armed: false, first })
    }

    /// Readable when there may be something to take.
    pub fn wakes(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Takes what is there; nothing: from now on the next event wakes.
    pub fn take(&mut self) -> io::Result<Vec<u8>> {
        self.stop_waiting()?;
        let mut batch = Vec::new();
        if let Some(line) = self.first.take() {
            put(&line, &mut batch);
        }
        while batch.len() < BATCH_BYTES && self.take_one(&mut batch) {}
        if batch.is_empty() {
            self.is_armed = true;
            self.waits.store(true, Ordering::SeqCst);
            self.take_one(&mut batch); // it may have come before that was said
        }
        Ok(batch)
    }

    /// Takes the byte out of the pipe, if one was written since it was said that it waits.
    fn stop_waiting(&mut self) -> io::Result<()> {
        let is_armed = std::mem::take(&mut self.is_armed);
        if is_armed && !self.waits.swap(false, Ordering::SeqCst) {
            (&self.pipe).read_exact(&mut [0])?; // there, or on its way
        }
        Ok(())
    }

    fn take_one(&mut self, batch: &mut Vec<u8>) -> bool {
        match self.subscription.take() {
            Next::Event(line) => put(&line, batch),
            Next::Gap(lost, last) => {
                let hub = self.subscription.hub();
                put(&hub.aside(last, "gap", &events::gap(lost)), batch);
            }
            Next::Nothing => return false,
        }
        true
    }
}

fn put(line: &Line, batch: &mut Vec<u8>) {
    let text = format!("id: {}\nevent: {}\ndata: {}\n\n", line.seq, line.name, line.text);
    batch.extend_from_slice(text.as_bytes());
}
