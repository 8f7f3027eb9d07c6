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

use crate::fault::Spec;

/// Makes a pipe: the read end, the write end. The shell's; pure code makes no descriptors.
pub type MakePipe = fn() -> io::Result<(OwnedFd, OwnedFd)>;

/// The faults of a route from one change to the next.
#[derive(Debug)]
pub struct Generation {
    /// From 0, one more with each change.
    pub number: u64,
    /// In the order in which they act.
    pub faults: Vec<Spec>,
    /// False when the route is over: its connections are to end.
    pub serves: bool,
    /// Hangs up when this generation is no longer the current one.
    pub wake: Arc<OwnedFd>,
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
}

impl Live {
    /// The first generation of a route.
    pub fn new(faults: Vec<Spec>, make_pipe: MakePipe) -> io::Result<Live> {
        let (wake, hang_up) = make_pipe()?;
        let generation = Generation { number: 0, faults, serves: true, wake: Arc::new(wake) };
        let current = Current { generation: Arc::new(generation), _hang_up: Some(hang_up) };
        Ok(Live { current: Mutex::new(current), make_pipe })
    }

    /// The generation in force.
    pub fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.lock().generation)
    }

    /// Puts other faults in force, on new connections and on live ones; the number of their
    /// generation. When it returns, every waiting thread has been woken. Fails, and changes
    /// nothing, when no pipe can be had.
    pub fn set_faults(&self, faults: Vec<Spec>) -> io::Result<u64> {
        let (wake, hang_up) = (self.make_pipe)()?;
        let mut current = self.lock();
        let (number, serves) = (current.generation.number + 1, current.generation.serves);
        let generation = Generation { number, faults, serves, wake: Arc::new(wake) };
        *current = Current { generation: Arc::new(generation), _hang_up: Some(hang_up) };
        Ok(number)
    }

    /// Ends the route: its connections end now. Needs nothing from the system.
    pub fn end(&self) {
        let mut current = self.lock();
        let old = &current.generation;
        let generation = Generation {
            number: old.number + 1,
            faults: old.faults.clone(),
            serves: false,
            wake: Arc::clone(&old.wake),
        };
        *current = Current { generation: Arc::new(generation), _hang_up: None };
    }

    /// The lock is held for a swap only, so a panic under it cannot leave it half-changed.
    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
