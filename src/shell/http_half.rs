//! What the two copy threads of an http route share, and the half of the exchange machine that
//! each of them has. Exchanges go from one to the other in a bounded channel; who must wait for
//! the other rings and is rung.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::control::Generation;
use crate::exchange::{Answers, Broken, Done, Down, Ended, Exchange, From, PIPELINED_MAX};
use crate::exchange::{Mark, Questions, Turn, Up, Upstream};
use crate::fault::Direction;
use crate::fault::course::Course;
use crate::fault::desk::{Ground, is_of_exchanges};
use crate::fault::exchange::Facts;
use crate::http::HeadReader;
use crate::shell::link::Link;
use crate::shell::sys::{Bell, Watch};
use crate::units::{Span, Time};

/// What both halves see.
struct Shared {
    /// Rung for the half towards the client: an answer of our own is due, or there is news.
    down: Bell,
    /// Rung for the half towards the upstream. Made when it first has to wait for the other.
    up: OnceLock<Bell>,
    /// What the upstream said to an upgrade: 0 nothing, 1 no, 2 yes.
    verdict: AtomicU8,
    /// What became of the upstream, once that is known.
    upstream: OnceLock<Upstream>,
    closing: AtomicBool,
    /// The half towards the client takes no more exchanges.
    has_left: AtomicBool,
    client_finished: AtomicBool,
    broken: OnceLock<Broken>,
}

impl Shared {
    fn upstream(&self) -> Upstream {
        self.upstream.get().copied().unwrap_or_default()
    }

    fn ring_down(&self, link: &Link) {
        self.down.ring();
        link.rouse(Direction::Downstream);
    }

    fn ring_up(&self, link: &Link) {
        // Who waits makes its bell first and then looks again; here it is the other way round.
        fence(Ordering::SeqCst);
        if let Some(bell) = self.up.get() {
            bell.ring();
            link.rouse(Direction::Upstream);
        }
    }
}

/// One half of the exchange machine, and its way to the other one.
pub enum Half {
    /// Towards the upstream.
    Up(Up, Asking),
    /// Towards the client.
    Down(Down, Answering),
}

/// The way of the half towards the upstream to the other one.
pub struct Asking {
    shared: Arc<Shared>,
    sender: Sender<Exchange>,
    /// The other end of the same channel, for what is left in it.
    left: Receiver<Exchange>,
    /// Where the client comes from.
    peer: IpAddr,
}

/// The way of the half towards the client to the other one.
pub struct Answering {
    shared: Arc<Shared>,
    receiver: Receiver<Exchange>,
}

/// Both halves of the connection of a client at `peer`, whose heads may take `head_span`: towards
/// the upstream, towards the client.
pub fn pair(peer: IpAddr, head_span: Span) -> std::io::Result<(Half, Half)> {
    let (sender, receiver) = bounded(PIPELINED_MAX);
    let shared = Arc::new(Shared {
        down: Bell::new()?,
        up: OnceLock::new(),
        verdict: AtomicU8::new(0),
        upstream: OnceLock::new(),
        closing: AtomicBool::new(false),
        has_left: AtomicBool::new(false),
        client_finished: AtomicBool::new(false),
        broken: OnceLock::new(),
    });
    let asking = Asking { shared: Arc::clone(&shared), sender, left: receiver.clone(), peer };
    let answering = Answering { shared, receiver };
    Ok((Half::Up(Up::new(head_span), asking), Half::Down(Down::default(), answering)))
}

/// What a half takes its turn with.
pub struct Seen<'a> {
    /// Bytes that were read just now.
    pub fresh: &'a [u8],
    /// The time.
    pub now: Time,
    /// The connection.
    pub link: &'a Link,
    /// The faults in force.
    pub generation: &'a Generation,
}

impl Half {
    /// Takes bytes, and puts out what goes on now.
    pub fn turn(&mut self, seen: &Seen<'_>, out: &mut Vec<u8>) -> Turn {
        match self {
            Half::Up(up, asking) => {
                let mut ask = Ask { asking, seen };
                let turn = up.turn(seen.fresh, seen.now, &mut ask, out);
                if turn != Turn::Wait || !up.waits_for_answers() || asking.shared.up.get().is_some()
                {
                    return turn;
                }
                let Ok(bell) = Bell::new() else { return Turn::Reset };
                let _ = asking.shared.up.set(bell); // nobody else makes one
                fence(Ordering::SeqCst);
                up.turn(&[], seen.now, &mut Ask { asking, seen }, out)
            }
            Half::Down(down, answering) => {
                down.turn(seen.fresh, seen.now, &mut Answer { answering, link: seen.link }, out)
            }
        }
    }

    /// True when more bytes may be given.
    pub fn wants(&self) -> bool {
        match self {
            Half::Up(up, _) => up.wants(),
            Half::Down(down, _) => down.wants(),
        }
    }

    /// When to take another turn, whatever happens.
    pub fn due(&self) -> Time {
        match self {
            Half::Up(up, _) => up.due(),
            Half::Down(down, _) => down.due(),
        }
    }

    /// True when a fault holds something until a time.
    pub fn is_delayed(&self) -> bool {
        match self {
            Half::Up(up, _) => up.is_delayed(),
            Half::Down(down, _) => down.is_delayed(),
        }
    }

    /// The faults have changed: what they delayed goes on.
    pub fn release(&mut self, now: Time) {
        match self {
            Half::Up(up, _) => up.release(now),
            Half::Down(down, _) => down.release(now),
        }
    }

    /// For so long nothing was read, for there was no room for it.
    pub fn was_not_read(&mut self, span: Span) {
        if let Half::Up(up, _) = self {
            up.was_not_read(span);
        }
    }

    /// Nothing comes behind what was given.
    pub fn end(&mut self, ended: Ended) {
        match self {
            Half::Up(up, _) => up.end(ended),
            Half::Down(down, _) => down.end(ended),
        }
    }

    /// What was given and not taken, for a tunnel.
    pub fn take_rest(&mut self) -> Vec<u8> {
        match self {
            Half::Up(up, _) => up.take_rest(),
            Half::Down(down, _) => down.take_rest(),
        }
    }

    /// The next one of the exchanges that have ended.
    pub fn take_done(&mut self) -> Option<Done> {
        match self {
            Half::Up(up, asking) => up.take_done().or_else(|| asking.take_left()),
            Half::Down(down, _) => down.take_done(),
        }
    }

    /// Which messages the bytes belong to that were put out since the last call.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        match self {
            Half::Up(up, _) => up.take_marks(),
            Half::Down(down, _) => down.take_marks(),
        }
    }

    /// What it may be woken by.
    pub fn watch(&self) -> Option<Watch<'_>> {
        match self {
            Half::Up(_, asking) => asking.shared.up.get().map(Bell::watch),
            Half::Down(_, answering) => Some(answering.shared.down.watch()),
        }
    }

    /// It was woken.
    pub fn hush(&self) {
        match self {
            Half::Up(_, asking) => asking.shared.up.get().into_iter().for_each(Bell::hush),
            Half::Down(_, answering) => answering.shared.down.hush(),
        }
    }

    /// Its target takes no more. True when the other half will tell how the connection ends.
    pub fn lose_target(&mut self, now: Time) -> bool {
        match self {
            Half::Up(up, _) => {
                up.lose_upstream(now);
                true
            }
            Half::Down(..) => false,
        }
    }

    /// Its target, the upstream, was reached.
    pub fn reach(&self, link: &Link) {
        self.tell_upstream(Upstream::Reached, link);
    }

    /// Its target, the upstream, cannot be reached.
    pub fn fail(&self, link: &Link) {
        self.tell_upstream(Upstream::Failed, link);
    }

    /// True when its target, the upstream, could not be reached.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Half::Up(_, asking) if asking.shared.upstream() == Upstream::Failed)
    }

    /// It has passed its FIN on.
    pub fn finish(&self, link: &Link) {
        if let Half::Up(_, asking) = self {
            asking.shared.client_finished.store(true, Ordering::SeqCst);
            self.tell_upstream(Upstream::Unneeded, link); // if it was not dialled
        }
    }

    /// It takes no further turn: the exchanges that are not over are cut, and the other half may
    /// have to look how the connection stands.
    pub fn leave(&mut self, link: &Link) {
        match self {
            Half::Up(up, asking) => {
                up.leave(link.clock.now());
                asking.shared.ring_down(link);
            }
            Half::Down(down, answering) => {
                // What is given after this, the other half finds.
                answering.shared.has_left.store(true, Ordering::SeqCst);
                down.leave(link.clock.now(), &mut Answer { answering, link });
                answering.shared.ring_up(link);
            }
        }
    }

    /// What is known first, stays.
    fn tell_upstream(&self, upstream: Upstream, link: &Link) {
        if let Half::Up(_, asking) = self {
            let _ = asking.shared.upstream.set(upstream);
            asking.shared.ring_down(link);
        }
    }
}

impl Asking {
    /// What became of the next exchange that was given when the other half had left.
    fn take_left(&self) -> Option<Done> {
        if !self.shared.has_left.load(Ordering::SeqCst) {
            return None;
        }
        let upstream = self.shared.upstream();
        std::iter::from_fn(|| self.left.try_recv().ok()).find_map(|own| own.cut(0, false, upstream))
    }
}

/// The half towards the upstream at its turn.
struct Ask<'a> {
    asking: &'a Asking,
    seen: &'a Seen<'a>,
}

impl Answers for Ask<'_> {
    fn has_room(&mut self) -> bool {
        !self.asking.sender.is_full()
    }

    fn give(&mut self, exchange: Exchange) {
        let rings = !matches!(exchange.from, From::Upstream | From::Again);
        // There is room, and nobody else gives any.
        let _ = self.asking.sender.try_send(exchange);
        if rings {
            self.asking.shared.ring_down(self.seen.link);
        }
    }

    fn break_off(&mut self, broken: Broken) {
        let _ = self.asking.shared.broken.set(broken); // there is one at most
        self.asking.shared.ring_down(self.seen.link);
    }

    fn verdict(&mut self) -> Option<bool> {
        match self.asking.shared.verdict.swap(0, Ordering::SeqCst) {
            0 => None,
            said => Some(said == 2),
        }
    }

    fn is_closing(&self) -> bool {
        self.asking.shared.closing.load(Ordering::SeqCst)
    }

    fn decide(&mut self, number: u64, head: &HeadReader) -> Option<Box<Course>> {
        let Seen { link, generation, now, .. } = self.seen;
        if !generation.faults.iter().any(is_of_exchanges) {
            return None;
        }
        let head = head.head().ok()?; // it was read as a whole one
        let facts = Facts::of(&head, self.asking.peer, *now);
        let (route, faults) = (link.route(), &generation.faults);
        let ground = Ground {
            owner: link.owner(),
            generation: generation.number,
            faults,
            explain: route.plan.explain,
            judges: route.shared.journal.events.is_read(),
        };
        let course = route.desk().decide(&ground, &facts);
        route.judged((link.number, number), generation.version, &course);
        Some(Box::new(course)).filter(|course| !course.decided.is_empty())
    }
}

/// The half towards the client at its turn.
struct Answer<'a> {
    answering: &'a Answering,
    link: &'a Link,
}

impl Questions for Answer<'_> {
    fn next(&mut self) -> Option<Exchange> {
        let next = self.answering.receiver.try_recv().ok();
        // Looked at behind the receiving: who saw it full before is waiting by now, or will see
        // the room.
        if next.is_some() && self.answering.receiver.len() + 1 >= PIPELINED_MAX {
            self.answering.shared.ring_up(self.link);
        }
        next
    }

    fn broken(&self) -> Option<Broken> {
        self.answering.shared.broken.get().copied()
    }

    fn tell(&mut self, tunnel: bool) {
        self.answering.shared.verdict.store(1 + u8::from(tunnel), Ordering::SeqCst);
        self.answering.shared.ring_up(self.link);
    }

    fn close(&mut self) {
        if !self.answering.shared.closing.swap(true, Ordering::SeqCst) {
            self.answering.shared.ring_up(self.link);
        }
    }

    fn upstream(&self) -> Upstream {
        self.answering.shared.upstream()
    }

    fn is_finished(&self) -> bool {
        self.answering.shared.client_finished.load(Ordering::SeqCst)
    }

    fn is_in_force(&self, fault: &str) -> bool {
        let generation = self.link.route().live.generation();
        generation.faults.iter().any(|spec| spec.name == fault && spec.can_act())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::http::Version;

    fn exchange(number: u64, from: From) -> Exchange {
        Exchange {
            number,
            version: Version::Http11,
            head_only: false,
            keep_alive: true,
            is_last: false,
            upgrade: false,
            from,
            course: None,
            is_repeated: None,
        }
    }

    #[test]
    fn what_is_given_when_nobody_takes_it_any_more_is_told() {
        let halves = pair(Ipv4Addr::LOCALHOST.into(), Span::from_ms(1)).expect("two bells");
        let (Half::Up(_, asking), Half::Down(_, answering)) = halves else { panic!("in order") };
        for (number, from) in [(1, From::Upstream), (2, From::Again), (3, From::Upstream)] {
            asking.sender.try_send(exchange(number, from)).expect("there is room");
        }
        assert!(asking.take_left().is_none(), "the other half is still there to take it");
        answering.shared.has_left.store(true, Ordering::SeqCst);
        let told: Vec<(u64, u16)> = std::iter::from_fn(|| asking.take_left())
            .map(|done| (done.number, done.status))
            .collect();
        assert_eq!(told, [(1, 0), (3, 0)], "what nobody waits for is not told");
    }
}
