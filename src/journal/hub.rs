//! The stream of events: what is told goes to every reader's bounded queue, and nothing waits.
//!
//! ```text
//! tell --> numbered, one line of JSON --> queue of a reader --> its thread
//!                                   \--> full: lost for this reader, who sees it by the numbers
//! ```
//!
//! Without a reader nothing is made, numbered or locked: one look at a number.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::Value;

/// Readers by way of the admin API at one time.
pub const CLIENTS_MAX: usize = 16;

/// Events that may wait for a reader by way of the admin API.
pub const CLIENT_EVENTS_MAX: usize = 1024;

/// Events that may wait for the file.
pub const FILE_EVENTS_MAX: usize = 8192;

/// An event as readers get it.
#[derive(Debug)]
pub struct Line {
    /// Its number in the stream, from 1.
    pub seq: u64,
    /// What it is.
    pub name: &'static str,
    /// All of it as JSON, without the end of the line.
    pub text: String,
}

/// What is called after an event came for a reader that may be waiting.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// The way of events to their readers.
pub struct Hub {
    readers: AtomicUsize,
    lost: AtomicU64,
    stamp: fn() -> String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seq: u64,
    next_id: u64,
    readers: Vec<Reader>,
}

struct Reader {
    id: u64,
    is_client: bool,
    queue: Sender<Arc<Line>>,
    wake: Wake,
}

/// What one reader gets. Dropping it ends that.
pub struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    events: Receiver<Arc<Line>>,
    /// The number of the last event that was taken.
    last: u64,
    /// Taken from the queue; what was lost before it is told first.
    ahead: Option<Arc<Line>>,
}

/// What a reader takes next.
#[derive(Debug)]
pub enum Next {
    /// An event.
    Event(Arc<Line>),
    /// So many events were lost, and the number of the last of them.
    Gap(u64, u64),
    /// Nothing is there.
    Nothing,
}

impl Hub {
    /// A hub without readers; `stamp` tells the time of day.
    pub fn new(stamp: fn() -> String) -> Arc<Hub> {
        let (readers, lost) = (AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Hub { readers, lost, stamp, state: Mutex::default() })
    }

    /// True when somebody reads.
    pub fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }

    /// How many read.
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// Events that did not fit into a reader's queue, over all readers.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Counts events that a reader got and could not keep.
    pub fn lose(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::Relaxed);
    }

    /// Tells all readers.
    pub fn tell(&self, name: &'static str, fields: &[(&'static str, Value)]) {
        let body = self.body(name, fields);
        let mut state = self.lock();
        state.seq += 1;
        let seq = state.seq;
        let line = Arc::new(Line { seq, name, text: format!("{{\"seq\":{seq},{body}") });
        for reader in &state.readers {
            match reader.queue.try_send(Arc::clone(&line)) {
                Ok(()) => (reader.wake)(),
                Err(_) => self.lose(1),
            }
        }
    }

    /// The line of an event that only one reader gets, which has the number of the one before.
    pub fn aside(&self, seq: u64, name: &'static str, fields: &[(&'static str, Value)]) -> Line {
        Line { seq, name, text: format!("{{\"seq\":{seq},{}", self.body(name, fields)) }
    }

    fn body(&self, name: &str, fields: &[(&'static str, Value)]) -> String {
        let mut body = format!("\"ts\":\"{}\",\"event\":\"{name}\"", (self.stamp)());
        for (key, value) in fields {
            for part in [",\"", key, "\":", &value.to_string()] {
                body.push_str(part);
            }
        }
        body.push('}');
        body
    }

    /// A reader of all events from now on, of which at most `queue` may wait; none for a client
    /// beyond `CLIENTS_MAX`.
    pub fn subscribe(
        self: &Arc<Hub>,
        queue: usize,
        is_client: bool,
        wake: Wake,
    ) -> Option<Subscription> {
        let (sender, events) = bounded(queue);
        let mut state = self.lock();
        let clients = state.readers.iter().filter(|reader| reader.is_client).count();
        if is_client && clients >= CLIENTS_MAX {
            return None;
        }
        state.next_id += 1;
        let (id, last) = (state.next_id, state.seq);
        state.readers.push(Reader { id, is_client, queue: sender, wake });
        self.readers.store(state.readers.len(), Ordering::Relaxed);
        Some(Subscription { hub: Arc::clone(self), id, events, last, ahead: None })
    }

    /// Ends all readers: each takes what waits for it, and then finds the end.
    pub fn close(&self) {
        let readers = std::mem::take(&mut self.lock().readers);
        self.readers.store(0, Ordering::Relaxed);
        readers.iter().for_each(|reader| (reader.wake)());
    }

    /// Nothing that can panic is done under the lock, but for what wakes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Hub({} readers)", self.readers())
    }
}

impl Subscription {
    /// The number of the last event that was taken.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Takes what there is next, without waiting. What was lost before it comes first.
    pub fn take(&mut self) -> Next {
        match self.ahead.take().or_else(|| self.events.try_recv().ok()) {
            Some(line) => self.check(line),
            None => Next::Nothing,
        }
    }

    /// Waits until there is something to take; false when the hub is closed and nothing is left.
    pub fn wait(&mut self) -> bool {
        if self.ahead.is_none() {
            self.ahead = self.events.recv().ok();
        }
        self.ahead.is_some()
    }

    fn check(&mut self, line: Arc<Line>) -> Next {
        let missing = line.seq - self.last - 1;
        self.last += missing;
        if missing > 0 {
            self.ahead = Some(line);
            return Next::Gap(missing, self.last);
        }
        self.last = line.seq;
        Next::Event(line)
    }

    /// What was lost at the end, when nothing came behind it.
    pub fn lost_at_last(&mut self) -> Option<(u64, u64)> {
        let seq = self.hub.lock().seq;
        let missing = seq - self.last;
        self.last = seq;
        (missing > 0).then_some((missing, seq))
    }

    /// The hub whose events it gets.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.readers.retain(|reader| reader.id != self.id);
        self.hub.readers.store(state.readers.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Arc<Hub> {
        Hub::new(|| "now".into())
    }

    fn reader(hub: &Arc<Hub>, queue: usize) -> Subscription {
        hub.subscribe(queue, true, Box::new(|| {})).expect("room")
    }

    fn next(reader: &mut Subscription) -> String {
        match reader.take() {
            Next::Event(line) => format!("{} {}", line.seq, line.name),
            Next::Gap(lost, last) => format!("gap {lost} to {last}"),
            Next::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn events_are_lines_with_numbers() {
        let hub = hub();
        let mut reader = reader(&hub, 2);
        hub.tell("accept", &[("route", "a\"\n".into()), ("conn", 7.into())]);
        let Next::Event(line) = reader.take() else { panic!("nothing came") };
        let expected = r#"{"seq":1,"ts":"now","event":"accept","route":"a\"\n","conn":7}"#;
        assert_eq!(line.text, expected);
        assert_eq!(hub.aside(1, "gap", &[]).text, r#"{"seq":1,"ts":"now","event":"gap"}"#);
    }

    #[test]
    fn a_slow_reader_loses_and_sees_how_much() {
        let hub = hub();
        let (mut slow, mut quick) = (reader(&hub, 2), reader(&hub, 9));
        for name in ["a", "b", "c", "d"] {
            hub.tell(name, &[]);
        }
        assert_eq!(hub.lost(), 2, "one past the bound, and one more");
        assert_eq!([next(&mut slow), next(&mut slow), next(&mut slow)], ["1 a", "2 b", "nothing"]);
        hub.tell("e", &[]);
        assert!(slow.wait());
        assert_eq!(
            [next(&mut slow), next(&mut slow), next(&mut slow)],
            ["gap 2 to 4", "5 e", "nothing"]
        );
        hub.tell("f", &[]);
        hub.tell("g", &[]);
        hub.tell("h", &[]);
        assert_eq!([next(&mut slow), next(&mut slow)], ["6 f", "7 g"]);
        assert_eq!((slow.lost_at_last(), slow.lost_at_last()), (Some((1, 8)), None));
        for expected in ["1 a", "2 b", "3 c", "4 d", "5 e", "6 f", "7 g", "8 h", "nothing"] {
            assert_eq!(next(&mut quick), expected);
        }
    }

    #[test]
    fn who_comes_later_begins_later() {
        let hub = hub();
        assert!(!hub.is_read());
        let first = reader(&hub, 1);
        hub.tell("a", &[]);
        let mut second = reader(&hub, 1);
        assert_eq!((hub.readers(), second.last(), next(&mut second)), (2, 1, "nothing".into()));
        hub.tell("b", &[]);
        assert_eq!(next(&mut second), "2 b");
        drop(first);
        drop(second);
        assert!(!hub.is_read());
    }

    #[test]
    fn clients_are_bounded_and_the_file_is_none() {
        let hub = hub();
        let mut all: Vec<Subscription> = (0..CLIENTS_MAX).map(|_| reader(&hub, 1)).collect();
        assert!(hub.subscribe(1, true, Box::new(|| {})).is_none(), "one past the bound");
        assert!(hub.subscribe(1, false, Box::new(|| {})).is_some());
        all.pop();
        assert!(hub.subscribe(1, true, Box::new(|| {})).is_some());
    }

    #[test]
    fn a_closed_hub_ends_its_readers_behind_the_last_event() {
        let hub = hub();
        let woken = Arc::new(AtomicUsize::new(0));
        let own = Arc::clone(&woken);
        let wake = move || {
            own.fetch_add(1, Ordering::Relaxed);
        };
        let mut reader = hub.subscribe(3, false, Box::new(wake)).expect("room");
        hub.tell("a", &[]);
        hub.close();
        hub.tell("b", &[]);
        assert!(reader.wait());
        assert_eq!(next(&mut reader), "1 a");
        assert!(!reader.wait());
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
