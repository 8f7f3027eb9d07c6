//! The one writer of live state: which faults are in force on each route, and who is in flight.
//!
//! A generation is an immutable snapshot of a route's faults together with the read end of a
//! pipe. Nobody ever writes to that pipe: replacing the generation drops the write end, and the
//! hang-up wakes every thread that waits on the read end at once, however many there are.

pub mod lease;

pub mod ledger;

pub mod routes;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::fault::Spec;
use crate::journal::Reason;

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
    /// One more with each change; it goes on when the route stops and starts again.
    pub number: u64,
    /// In the order in which they act.
    pub faults: Vec<Spec>,
    /// The number of the generation with which these faults came into force.
    pub version: u64,
    /// Set when the route is over: its connections are to end like this.
    ends: Option<Cut>,
    /// The connections with numbers up to this one are reset: a fault cut them off.
    cut_up_to: u64,
    /// Hangs up when this generation is no longer the current one.
    pub wake: Arc<OwnedFd>,
    /// Dropped with the last reference to it: whoever changed the faults knows then that every
    /// connection has looked.
    _held: Sender<()>,
    /// Disconnected when this generation is no longer the current one.
    over: Receiver<()>,
}

/// Why a connection is to end now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its route is over.
    Route(Cut),
    /// A fault of its listener resets it.
    Fault,
}

impl End {
    /// What is told of it, and how both sockets end.
    pub fn told(self) -> (Reason, Cut) {
        match self {
            End::Route(cut) => (Reason::Shutdown, cut),
            End::Fault => (Reason::Fault, Cut::Reset),
        }
    }
}

impl Generation {
    /// Whether, and why, the connection with this number is to end now.
    pub fn end_of(&self, connection: u64) -> Option<End> {
        let cut = (connection <= self.cut_up_to).then_some(End::Fault);
        self.ends.map(End::Route).or(cut)
    }

    /// What is disconnected when this generation is no longer the current one, for who waits for
    /// no descriptor beside it.
    pub fn over(&self) -> &Receiver<()> {
        &self.over
    }
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
    /// Dropping it wakes whoever waits on `generation.over`.
    _over: Sender<()>,
    /// Disconnected when nobody holds `generation` any more.
    left: Receiver<()>,
}

impl Current {
    /// A generation that is in force until its write end is dropped.
    fn new(
        (number, version): (u64, u64),
        faults: Vec<Spec>,
        cut_up_to: u64,
        (wake, hang_up): (OwnedFd, OwnedFd),
    ) -> Current {
        let ((_held, left), (_over, over)) = (bounded(0), bounded(0));
        let wake = Arc::new(wake);
        let generation =
            Generation { number, faults, version, ends: None, cut_up_to, wake, _held, over };
        Current { generation: Arc::new(generation), _hang_up: Some(hang_up), _over, left }
    }
}

impl Live {
    /// The first generation of a route, with this number.
    pub fn new(number: u64, faults: Vec<Spec>, make_pipe: MakePipe) -> io::Result<Live> {
        let first = Current::new((number, number), faults, 0, make_pipe()?);
        Ok(Live { current: Mutex::new(first), make_pipe })
    }

    /// The generation in force.
    pub fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.lock().generation)
    }

    /// Puts other faults in force, on new connections and on live ones. When it returns, every
    /// waiting thread has been woken; what it gives is disconnected when all of them have looked.
    /// Fails, and changes nothing, when no pipe can be had.
    ///
    /// `tell` is told their version before anybody can decide by them.
    pub fn set_faults(
        &self,
        faults: Vec<Spec>,
        tell: &dyn Fn(u64, &[Spec]),
    ) -> io::Result<Receiver<()>> {
        let pipe = (self.make_pipe)()?;
        let mut current = self.lock();
        let old = &current.generation;
        let number = old.number + 1;
        tell(number, &faults);
        let new = Current::new((number, number), faults, old.cut_up_to, pipe);
        Ok(std::mem::replace(&mut *current, new).left)
    }

    /// Resets the live connections with numbers up to `connection`; the route goes on, with the
    /// faults in force. Fails, and changes nothing, when no pipe can be had.
    pub fn cut(&self, connection: u64) -> io::Result<()> {
        let pipe = (self.make_pipe)()?;
        let mut current = self.lock();
        let old = &current.generation;
        let up_to = old.cut_up_to.max(connection);
        let mut new = Current::new((old.number + 1, old.version), old.faults.clone(), up_to, pipe);
        // The faults are the same: whoever changes them next waits for those, too, who hold the
        // generation before.
        if let Some(generation) = Arc::get_mut(&mut new.generation) {
            generation._held = old._held.clone();
        }
        std::mem::swap(&mut new.left, &mut current.left);
        *current = new;
        Ok(())
    }

    /// Ends the route: its connections end now. Needs nothing from the system.
    pub fn end(&self, cut: Cut) {
        let mut current = self.lock();
        let old = &current.generation;
        let generation = Generation {
            number: old.number + 1,
            faults: old.faults.clone(),
            version: old.version,
            ends: Some(cut),
            cut_up_to: old.cut_up_to,
            wake: Arc::clone(&old.wake),
            _held: old._held.clone(),
            over: old.over.clone(),
        };
        current.generation = Arc::new(generation);
        current._hang_up = None;
        current._over = bounded(0).0;
    }

    /// The lock is held for a swap only, so a panic under it cannot leave it half-changed.
    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
