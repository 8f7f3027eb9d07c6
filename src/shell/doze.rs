//! Copy threads that doze: each waits in the read of its source itself, which saves the `poll`
//! before it. That is for threads with nothing else to wait for, and it is undone from outside.
//!
//! ```text
//! poll + read --- DOZE_AFTER waits for nothing but the source ---> doze: read alone
//!      ^---------- roused: EAGAIN, or EINTR ------------------------/
//! ```
//!
//! Who rouses a thread raises its flag, then makes the socket non-blocking, then sends a signal:
//! the thread sees the flag before it reads, or its read does not block, or the signal ends it.
//! Nothing is lost in between. What it is roused for is told as ever, by a pipe or a bell, and is
//! found by the `poll` that it goes back to. Who begins to doze looks for what was told before: by
//! one more poll, and by comparing the faults in force with those it has.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use crate::fault::Direction;
use crate::shell::sys::{self, ThreadId};

/// Waits in a row for nothing but the source before a thread dozes: it costs three calls to begin,
/// and four to be roused. Measured with wrk, 64 connections: of the 18 us that the kernel takes
/// for a request it saves 1.7 on a tcp route, and 2 on an http route.
pub const DOZE_AFTER: u8 = 16;

/// Those of one route that doze, by connection and direction.
#[derive(Default)]
pub struct Dozing(Mutex<BTreeMap<(u64, Direction), Sleeper>>);

/// One that dozes. While it is listed its thread lives, and its source is open.
struct Sleeper {
    thread: ThreadId,
    source: RawFd,
    roused: Arc<AtomicBool>,
}

/// Held by a thread for as long as it dozes.
pub struct Doze<'a> {
    dozing: &'a Dozing,
    key: (u64, Direction),
    source: &'a TcpStream,
    roused: Arc<AtomicBool>,
}

impl Dozing {
    /// The calling thread dozes from here on, on the source of a direction of a connection. What
    /// was to wake it before this has to be looked for once more. Fails when the socket does.
    pub fn begin<'a>(
        &'a self,
        key: (u64, Direction),
        source: &'a TcpStream,
    ) -> std::io::Result<Doze<'a>> {
        static ALLOWED: Once = Once::new();
        ALLOWED.call_once(sys::allow_interrupts);
        let roused = Arc::new(AtomicBool::new(false));
        let (thread, flag) = (ThreadId::of_caller(), Arc::clone(&roused));
        let mut sleepers = self.lock();
        source.set_nonblocking(false)?;
        sleepers.insert(key, Sleeper { thread, source: source.as_raw_fd(), roused: flag });
        Ok(Doze { dozing: self, key, source, roused })
    }

    /// Sends all back to their polls.
    pub fn rouse_all(&self) {
        self.lock().values().for_each(Sleeper::rouse);
    }

    /// Sends the thread of a direction of a connection back to its poll, if it dozes.
    pub fn rouse(&self, connection: u64, direction: Direction) {
        self.lock().get(&(connection, direction)).into_iter().for_each(Sleeper::rouse);
    }

    /// Nothing under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u64, Direction), Sleeper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doze<'_> {
    /// True when it is to go back to its poll.
    pub fn is_over(&self) -> bool {
        self.roused.load(Ordering::SeqCst)
    }
}

impl Drop for Doze<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.dozing.lock();
        sleepers.remove(&self.key);
        let _ = self.source.set_nonblocking(true); // it was so before
    }
}

impl Sleeper {
    /// In this order: see the top of the file.
    fn rouse(&self) {
        self.roused.store(true, Ordering::SeqCst);
        sys::interrupt_read(self.source, self.thread);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::net::{Shutdown, TcpListener};
    use std::time::Duration;

    use crossbeam_channel::bounded;

    use super::*;

    /// Longer than any wait that ends at all.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// Whether it is roused before it reads, or while it does, or in between.
    #[test]
    fn no_rousing_is_lost() {
        let (source, _peer) = pair();
        let dozing = Dozing::default();
        let ((begun, begins), (woken, wakes)) = (bounded(0), bounded(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok(doze) = dozing.begin((1, Direction::Upstream), &source) {
                    if begun.send(()).is_err() {
                        return;
                    }
                    while !doze.is_over() {
                        let error = sys::receive(&source, &mut [0], true).unwrap_err();
                        let kinds = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
                        assert!(kinds.contains(&error.kind()), "{error:?}");
                    }
                    drop(doze);
                    if woken.send(()).is_err() {
                        return;
                    }
                }
            });
            for round in 0..2_000 {
                begins.recv_timeout(PATIENCE).unwrap();
                (0..round % 50).for_each(|_| std::thread::yield_now());
                match round % 2 {
                    0 => dozing.rouse(1, Direction::Upstream),
                    _ => dozing.rouse_all(),
                }
                let woken = wakes.recv_timeout(PATIENCE);
                if woken.is_err() {
                    let _ = source.shutdown(Shutdown::Both); // lets the thread go
                }
                woken.unwrap_or_else(|_| panic!("round {round}: not woken"));
            }
            drop((begins, wakes));
        });
        assert!(dozing.lock().is_empty());
    }

    /// The flag is looked at before that, and the signal is over.
    #[test]
    fn who_is_roused_just_before_a_read_does_not_wait_in_it() {
        let (source, _peer) = pair();
        let dozing = Dozing::default();
        let (ended, ends) = bounded(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let doze = dozing.begin((1, Direction::Upstream), &source).unwrap();
                dozing.rouse(1, Direction::Upstream);
                let error = sys::receive(&source, &mut [0], true).unwrap_err();
                drop(doze);
                ended.send(error.kind()).unwrap();
            });
            let kind = ends.recv_timeout(PATIENCE);
            let _ = source.shutdown(Shutdown::Both); // lets a thread go that waits
            assert_eq!(kind, Ok(ErrorKind::WouldBlock));
        });
    }

    #[test]
    fn others_sleep_on_and_bytes_come() {
        let (source, mut peer) = pair();
        let dozing = Dozing::default();
        let doze = dozing.begin((1, Direction::Upstream), &source).unwrap();
        dozing.rouse(1, Direction::Downstream);
        dozing.rouse(2, Direction::Upstream);
        assert!(!doze.is_over());
        peer.write_all(b"a").unwrap();
        assert_eq!(sys::receive(&source, &mut [0; 9], true).unwrap(), 1);
        drop(doze);
        let error = sys::receive(&source, &mut [0], true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "it does not block any more");
    }
}
