//! The stream of events in a file, one JSON object a line, written by a thread of its own.
//!
//! A disk that is slow or full holds up nobody. What does not fit into the queue is counted, and a
//! `gap` in the file tells it. What cannot be written is counted and logged once; in the file it is
//! missing in the numbers of the events.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::journal::hub::{FILE_EVENTS_MAX, Hub, Next, Subscription};
use crate::journal::{Event, Journal, events};
use crate::shell::dial::words;

/// How long the end of the process waits for the last lines to be written.
const FINISH_SPAN: Duration = Duration::from_secs(2);

/// Bytes that are gathered for one write, or one line if it is longer.
const BATCH_BYTES: usize = 64 << 10;

/// A file that is open and gets nothing yet.
pub struct EventLog {
    file: File,
}

/// A file that gets events.
pub struct Recording {
    hub: Arc<Hub>,
    written: Receiver<()>,
}

impl EventLog {
    /// Opens the file, made if it is not there; what it holds already stays before what comes.
    pub fn open(path: &Path) -> io::Result<EventLog> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?; // whoever wrote it was killed in the middle of a line
            }
        }
        Ok(EventLog { file })
    }

    /// Writes all events of `journal` from now on; it is told once when that fails. Fails when the
    /// system gives no thread.
    pub fn record(self, journal: &Arc<Journal>) -> io::Result<Recording> {
        let hub = &journal.events;
        let subscription = hub.subscribe(FILE_EVENTS_MAX, false, Box::new(|| {}));
        let subscription = subscription.expect("only clients are bounded");
        let (writing, written) = bounded(0);
        let teller = Arc::clone(journal);
        let tell = move |reason: &str| teller.note(Event::EventLogFailed(reason));
        let mut writer = Writer { file: self.file, subscription, torn: false, told: false };
        // Not joined: a disk may hold it up for ever.
        Builder::new().name("events".into()).spawn(move || {
            writer.run(&tell);
            drop(writing);
        })?;
        Ok(Recording { hub: Arc::clone(hub), written })
    }
}

impl Recording {
    /// Ends the stream and waits until the file has it all; not for a disk that takes nothing.
    pub fn finish(self) {
        self.hub.close();
        let _ = self.written.recv_timeout(FINISH_SPAN); // disconnected: all is written
    }
}

struct Writer<W> {
    file: W,
    subscription: Subscription,
    /// The last line that was begun was not written to its end.
    torn: bool,
    /// It was told that this happens.
    told: bool,
}

impl<W: Write> Writer<W> {
    /// Writes until the hub is closed.
    fn run(&mut self, tell: &dyn Fn(&str)) {
        while self.subscription.wait() {
            let batch = self.batch();
            self.write(&batch, tell);
        }
        if let Some((lost, last)) = self.subscription.lost_at_last() {
            let gap = self.gap(last, lost);
            self.write(gap.as_bytes(), tell);
        }
    }

    /// All lines that wait, as far as they go into one write.
    fn batch(&mut self) -> Vec<u8> {
        let mut batch = Vec::new();
        while batch.len() < BATCH_BYTES {
            let text = match self.subscription.take() {
                Next::Event(line) => format!("{}\n", line.text),
                Next::Gap(lost, last) => self.gap(last, lost),
                Next::Nothing => break,
            };
            batch.extend_from_slice(text.as_bytes());
        }
        batch
    }

    fn gap(&self, last: u64, lost: u64) -> String {
        let line = self.subscription.hub().aside(last, "gap", &events::gap(lost));
        format!("{}\n", line.text)
    }

    /// Writes whole lines. Those that cannot be written are counted.
    fn write(&mut self, batch: &[u8], tell: &dyn Fn(&str)) {
        let mut whole = Vec::new();
        if self.torn {
            whole.push(b'\n');
        }
        whole.extend_from_slice(batch);
        let mut rest = &whole[..];
        let failed = loop {
            if rest.is_empty() {
                self.torn = false;
                return;
            }
            match self.file.write(rest) {
                Ok(0) => break "nothing is written".to_owned(),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break words(&error),
            }
        };
        let written = whole.len() - rest.len();
        self.torn = if written == 0 { self.torn } else { whole[written - 1] != b'\n' };
        self.subscription.hub().lose(rest.iter().filter(|byte| **byte == b'\n').count() as u64);
        if !std::mem::replace(&mut self.told, true) {
            tell(&failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A disk that takes so many bytes at each write, and then fails.
    struct Disk(Vec<u8>, Vec<usize>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.1.pop() {
                Some(0) => Err(io::Error::from(io::ErrorKind::StorageFull)),
                room => {
                    let count = room.unwrap_or(usize::MAX).min(bytes.len());
                    self.0.extend_from_slice(&bytes[..count]);
                    Ok(count)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_tears_one_line_and_is_told_once() {
        let hub = Hub::new(String::new);
        let subscription = hub.subscribe(9, false, Box::new(|| {})).expect("room");
        let disk = Disk(Vec::new(), vec![0, 0, 4, 3]); // from the end
        let mut writer = Writer { file: disk, subscription, torn: false, told: false };
        let told = RefCell::new(Vec::new());
        let tell = |reason: &str| told.borrow_mut().push(reason.to_owned());
        writer.write(b"ab\ncd\nef\ngh\n", &tell);
        assert_eq!((writer.torn, hub.lost()), (true, 2), "one was torn, one not begun");
        writer.write(b"ij\n", &tell);
        assert_eq!((writer.torn, hub.lost()), (true, 4));
        writer.write(b"kl\n", &tell);
        assert_eq!(writer.file.0, b"ab\ncd\ne\nkl\n");
        assert_eq!((writer.torn, told.borrow().len()), (false, 1));
    }

    #[test]
    fn a_file_that_ends_in_the_middle_of_a_line_is_mended() {
        let path = std::env::temp_dir().join(format!("chaos-proxy-events-{}", std::process::id()));
        for (before, after) in [("", ""), ("a\n", "a\n"), ("a\nb", "a\nb\n")] {
            std::fs::write(&path, before).expect("written");
            drop(EventLog::open(&path).expect("opened"));
            assert_eq!(std::fs::read_to_string(&path).expect("read"), after);
        }
        std::fs::remove_file(&path).expect("removed");
    }
}
