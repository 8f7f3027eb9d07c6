//! What the two halves share, in one thread: for tests and for fuzzing, which include this file.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::{Answers, Broken, Course, Exchange, HeadReader, PIPELINED_MAX, Questions, Upstream};

/// What the halves share, in one thread.
#[derive(Default)]
pub(super) struct Between {
    pub(super) queue: VecDeque<Exchange>,
    pub(super) broken: Option<Broken>,
    pub(super) verdict: Option<bool>,
    pub(super) closing: bool,
    pub(super) client_finished: bool,
    pub(super) without_faults: bool,
    pub(super) upstream: Upstream,
    pub(super) courses: VecDeque<Option<Course>>,
}

#[derive(Clone, Default)]
pub(super) struct Ends(pub(super) Rc<RefCell<Between>>);

impl Answers for Ends {
    fn has_room(&mut self) -> bool {
        self.0.borrow().queue.len() < PIPELINED_MAX
    }

    fn give(&mut self, exchange: Exchange) {
        self.0.borrow_mut().queue.push_back(exchange);
    }

    fn break_off(&mut self, broken: Broken) {
        self.0.borrow_mut().broken = Some(broken);
    }

    fn verdict(&mut self) -> Option<bool> {
        self.0.borrow_mut().verdict.take()
    }

    fn is_closing(&self) -> bool {
        self.0.borrow().closing
    }

    fn decide(&mut self, _: u64, _: &HeadReader) -> Option<Box<Course>> {
        self.0.borrow_mut().courses.pop_front().flatten().map(Box::new)
    }
}

impl Questions for Ends {
    fn next(&mut self) -> Option<Exchange> {
        self.0.borrow_mut().queue.pop_front()
    }

    fn broken(&self) -> Option<Broken> {
        self.0.borrow().broken
    }

    fn tell(&mut self, tunnel: bool) {
        self.0.borrow_mut().verdict = Some(tunnel);
    }

    fn close(&mut self) {
        self.0.borrow_mut().closing = true;
    }

    fn upstream(&self) -> Upstream {
        self.0.borrow().upstream
    }

    fn is_finished(&self) -> bool {
        self.0.borrow().client_finished
    }

    fn is_in_force(&self, _: &str) -> bool {
        !self.0.borrow().without_faults
    }
}
