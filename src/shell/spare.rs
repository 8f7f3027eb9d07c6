//! A descriptor in reserve for each listener: with none left it can still accept a client, and
//! refuse it.

use std::io;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// What all listeners and dials of the process share: how many listeners lack their spare
/// descriptor. While one does, no dial takes a descriptor; its client is refused instead, which
/// frees one. Without that order a dial could take a spare one in the moment of its use, and the
/// listener could refuse nobody until some connection ends.
#[derive(Default)]
pub struct Reserve {
    missing: Mutex<usize>,
}

impl Reserve {
    /// What `open` gives, but EMFILE while a listener lacks its spare descriptor.
    pub fn open<T>(&self, open: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if *missing > 0 {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        open()
    }
}

/// The spare descriptor of one listener.
pub struct Spare<'a> {
    reserve: &'a Reserve,
    listener: &'a TcpListener,
    kept: Option<TcpListener>,
}

impl<'a> Spare<'a> {
    /// Keeps a descriptor, if there is one.
    pub fn of(listener: &'a TcpListener, reserve: &'a Reserve) -> Spare<'a> {
        let mut missing = reserve.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = listener.try_clone().ok();
        *missing += usize::from(kept.is_none());
        Spare { reserve, listener, kept }
    }

    /// What `act` does with one descriptor more, which it must have closed by its end; then keeps
    /// one again, and whether that worked.
    pub fn lend<T>(&mut self, act: impl FnOnce() -> T) -> (T, bool) {
        let mut missing = self.reserve.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let had = self.kept.take().is_some();
        let done = act();
        self.kept = self.listener.try_clone().ok();
        *missing += usize::from(had);
        *missing -= usize::from(self.kept.is_some());
        (done, self.kept.is_some())
    }

    /// Keeps one again, where it was lost.
    pub fn restore(&mut self) {
        if self.kept.is_none() {
            self.lend(|| ());
        }
    }
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        if self.kept.is_none() {
            *self.reserve.missing.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        }
    }
}
