//! The one writer of live state: which faults are in force on each route, and who is in flight.
//!
//! A generation is an immutable snapshot of a route's faults together with the read end of a
//! pipe. Nobody ever writes to that pipe: replacing the generation drops the write end, and the
//! hang-up wakes every thread that waits on the read end at once, however many there are.

pub mod ledger;

pub mod routes;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::fault::Spec;

/// How both sockets of a connection are ended from outside the normal course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// FIN to both peers.
    Close,
    /// RST to both peers.
    Reset,
}

/// Makes a pipe: the read end, the write end. The shell's; pure code makes no descriptors.
pub type MakePipe = fn() -> io::Result<(OwnedFd, OwnedFd)>;

/// The faults of a route from one change to the next.
#[derive(Debug)]
pub struct Generation {
    /// From 0, one more with each change.
    pub number: u64,
    /// In the order in which they act.
    pub faults: Vec<Spec>,
    /// Set when the route is over: its connections are to end like this.
    pub ends: Option<Cut>,
    /// Hangs up when this generation is no longer the current one.
    pub wake: Arc<OwnedFd>,
    /// Dropped with the last reference to it: whoever changed the faults knows then that every
    /// connection has looked.
    _held: Sender<()>,
}

/// The changeable part of one route.
#[derive(Debug)]
pub struct Live {
    current: Mutex<Current>,
    make_pipe: MakePipe,
}

#[derive(Debug)]
struct Current {
    generation: Arc<Generation>,
    /// Dropping it wakes whoever waits on `generation.wake`.
    _hang_up: Option<OwnedFd>,
    /// Disconnected when nobody holds `generation` any more.
    left: Receiver<()>,
}

impl Current {
    /// A generation that is in force until its write end is dropped.
    fn new(number: u64, faults: Vec<Spec>, (wake, hang_up): (OwnedFd, OwnedFd)) -> Current {
        let (held, left) = bounded(0);
        let wake = Arc::new(wake);
        let generation = Arc::new(Generation { number, faults, ends: None, wake, _held: held });
        Current { generation, _hang_up: Some(hang_up), left }
    }
}

impl Live {
    /// The first generation of a route.
    pub fn new(faults: Vec<Spec>, make_pipe: MakePipe) -> io::Result<Live> {
        let first = Current::new(0, faults, make_pipe()?);
        Ok(Live { current: Mutex::new(first), make_pipe })
    }

    /// The generation in force.
    pub fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.lock().generation)
    }

    /// Puts other faults in force, on new connections and on live ones. When it returns, every
    /// waiting thread has been woken; what it gives is disconnected when all of them have looked.
    /// Fails, and changes nothing, when no pipe can be had.
    pub fn set_faults(&self, faults: Vec<Spec>) -> io::Result<Receiver<()>> {
        let pipe = (self.make_pipe)()?;
        let mut current = self.lock();
        let new = Current::new(current.generation.number + 1, faults, pipe);
        Ok(std::mem::replace(&mut *current, new).left)
    }

    /// Ends the route: its connections end now. Needs nothing from the system.
    pub fn end(&self, cut: Cut) {
        let mut current = self.lock();
        let old = &current.generation;
        let generation = Generation {
            number: old.number + 1,
            faults: old.faults.clone(),
            ends: Some(cut),
            wake: Arc::clone(&old.wake),
            _held: old._held.clone(),
        };
        current.generation = Arc::new(generation);
        current._hang_up = None;
    }

    /// The lock is held for a swap only, so a panic under it cannot leave it half-changed.
    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
