//! Threads that are named, counted, reused and joined.
//!
//! A worker that has done its job waits a while for the next one; the one that waited last is
//! taken first, so its stack is warm and the others can go. A worker that ends joins the one that
//! ended before it, so there is never more than one ended thread whose memory is not given back.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// What a thread is given to do.
pub type Job = Box<dyn FnOnce() + Send>;

/// Workers that may wait for a job at one time; beyond it a worker that is done ends.
const IDLE_MAX: usize = 512;

/// How long a worker waits for its next job. Memory is to be back within 5 s of closing.
const IDLE_SPAN: Duration = Duration::from_secs(2);

/// Virtual size of a stack; only what is touched is resident.
const STACK_BYTES: usize = 256 << 10;

/// A pool of reused threads. Whoever made it calls `close`.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    all_gone: Condvar,
}

#[derive(Default)]
struct State {
    /// Waiting workers, the last one to wait at the end.
    idle: Vec<(u64, Arc<Slot>)>,
    handles: BTreeMap<u64, JoinHandle<()>>,
    /// The one ended thread that nobody has joined yet.
    ended: Option<JoinHandle<()>>,
    next_id: u64,
    closing: bool,
}

/// Where a waiting worker finds its next job.
#[derive(Default)]
struct Slot {
    job: Mutex<Option<Job>>,
    given: Condvar,
}

impl Slot {
    fn give(&self, job: Job) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        self.given.notify_one();
    }

    /// The job, when one is given before the worker has waited long enough.
    fn take(&self) -> Option<Job> {
        let job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given.wait_timeout_while(job, IDLE_SPAN, |job| job.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

impl Shared {
    /// No job runs under the lock, so a panic cannot leave the state half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pool {
    fn default() -> Pool {
        let shared = Shared { state: Mutex::default(), all_gone: Condvar::new() };
        Pool { shared: Arc::new(shared) }
    }
}

impl Pool {
    /// Runs `job` on a waiting worker or on a new one. Fails when the system gives no thread;
    /// the job is dropped then.
    pub fn run(&self, job: Job) -> io::Result<()> {
        let mut state = self.shared.lock();
        if let Some((_, worker)) = state.idle.pop() {
            drop(state);
            worker.give(job); // whoever was taken from the list waits for what is given
            return Ok(());
        }
        let id = state.next_id;
        state.next_id += 1;
        let shared = Arc::clone(&self.shared);
        let builder = Builder::new().name("copy".into()).stack_size(STACK_BYTES);
        // The handle is in the list before the worker can look for it: both are under the lock.
        let handle = builder.spawn(move || work(&shared, id, job))?;
        state.handles.insert(id, handle);
        Ok(())
    }

    /// Threads alive now.
    pub fn alive(&self) -> usize {
        self.shared.lock().handles.len()
    }

    /// Waits for all jobs, and for the threads that ran them. Not to be called from a job.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closing = true;
        for (_, worker) in state.idle.drain(..) {
            worker.give(Box::new(|| ())); // wakes it; it finds the pool closing
        }
        while !state.handles.is_empty() {
            let wait = self.shared.all_gone.wait(state);
            state = wait.unwrap_or_else(PoisonError::into_inner);
        }
        let last = state.ended.take();
        drop(state);
        last.into_iter().for_each(join);
    }
}

fn work(shared: &Shared, id: u64, first: Job) {
    let slot = Arc::new(Slot::default());
    let mut next = Some(first);
    while let Some(job) = next {
        // The job tells of its own end; a panic in it must not end the process.
        let _ = catch_unwind(AssertUnwindSafe(job));
        next = wait(shared, id, &slot);
    }
    let mut state = shared.lock();
    let own = state.handles.remove(&id);
    let before = std::mem::replace(&mut state.ended, own);
    if state.handles.is_empty() {
        shared.all_gone.notify_all();
    }
    drop(state);
    before.into_iter().for_each(join);
}

/// The next job, or none when this worker is to end.
fn wait(shared: &Shared, id: u64, slot: &Arc<Slot>) -> Option<Job> {
    let mut state = shared.lock();
    if state.closing || state.idle.len() >= IDLE_MAX {
        return None;
    }
    state.idle.push((id, Arc::clone(slot)));
    drop(state);
    loop {
        if let Some(job) = slot.take() {
            return Some(job);
        }
        let mut state = shared.lock();
        let listed = state.idle.iter().position(|(own, _)| *own == id);
        if let Some(index) = listed {
            state.idle.remove(index);
            return None;
        }
        // Taken from the list meanwhile: a job is on its way.
    }
}

/// A worker catches the panics of its jobs, so there is no result to look at.
fn join(handle: JoinHandle<()>) {
    let _ = handle.join();
}

/// A thread of its own, with a name; joined when this is dropped.
pub struct Named(Option<JoinHandle<()>>);

impl Named {
    /// Starts it, or tells that the system gives no thread.
    pub fn start(name: &str, job: impl FnOnce() + Send + 'static) -> io::Result<Named> {
        let builder = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        Ok(Named(Some(builder.spawn(job)?)))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(join);
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn a_waiting_worker_is_used_again() {
        let pool = Pool::default();
        let (sender, receiver) = bounded(2);
        for _ in 0..50 {
            let sender = sender.clone();
            let shared = Arc::clone(&pool.shared);
            pool.run(Box::new(move || sender.send(()).expect("sent"))).expect("a thread");
            receiver.recv().expect("the job ran");
            while shared.lock().idle.is_empty() {
                std::thread::yield_now();
            }
        }
        assert_eq!(pool.alive(), 1);
    }

    #[test]
    fn a_panic_ends_its_job_only() {
        let pool = Pool::default();
        let (sender, receiver) = bounded(1);
        pool.run(Box::new(|| std::panic::resume_unwind(Box::new("on purpose")))).expect("a thread");
        pool.run(Box::new(move || sender.send(7).expect("sent"))).expect("a thread");
        assert_eq!(receiver.recv(), Ok(7));
    }

    #[test]
    fn closing_waits_for_all() {
        let (sender, receiver) = bounded(100);
        let pool = Pool::default();
        for n in 0..100 {
            let sender = sender.clone();
            pool.run(Box::new(move || sender.send(n).expect("sent"))).expect("a thread");
        }
        pool.close();
        assert_eq!((receiver.len(), pool.alive()), (100, 0));
    }
}
