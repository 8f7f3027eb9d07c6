//! loss: what an application sees of lost packets: bytes that come late, and all behind them waits.
//!
//! Nobody can drop a segment from user space: the kernel has acknowledged it. So the stream is cut
//! into segments of `mss` bytes by offset, whatever the reads were, and a sender is simulated:
//!
//! ```text
//! bytes --> waiting --window--> a segment departs --lost?--> held until it is sent again
//!                                   `--> goes on at once, or waits behind a lost one
//! ```
//!
//! - A lost segment is sent again when three later ones were acknowledged (RFC 5681, 3.2), one
//!   round trip after they departed; or else after RTO = rtt + `rto_min`, which doubles with each
//!   further loss of it (RFC 6298; the variance of a constant rtt is 0).
//! - `cc: reno` bounds what is under way: a window that begins at 10 (RFC 6928), grows by one each
//!   acknowledgement, then each round trip, halves once a window on loss, and is 1 after an RTO.
//!   It stops to grow fast at the mean window that such losses leave: the sender knows the path,
//!   as Linux does from connections before (tcp_metrics). `cc: none` shows the stalls alone.
//! - With `burst`, losses come in bursts of that mean length (Gilbert 1960), beside those that come
//!   each by itself. What is sent again is lost with the share of both: a burst is over by then.
//!
//! A segment that is not full takes bytes that follow within 1 ms, as its packet would have.

use std::collections::VecDeque;

use super::attr::{Attr, Attrs, SPAN_MAX, Unit, Value};
use super::pipeline::QUEUE_BYTES_MAX;
use super::{Action, Fault, Kind, Level, Step};
use crate::dice::Dice;
use crate::units::{Ratio, Span, Time};

pub(super) static KIND: Kind = Kind {
    name: "loss",
    about: "packets are lost: bytes come late, and all behind them waits",
    level: Level::Stream,
    attrs: &[
        Attr {
            name: "loss",
            about: "the share of segments that are lost, each by itself",
            unit: Unit::Share,
            default: Value::Share(Ratio::ZERO),
        },
        Attr {
            name: "burst.loss",
            about: "the share of segments that are lost in bursts, beside the others",
            unit: Unit::Share,
            default: Value::Share(Ratio::ZERO),
        },
        Attr {
            name: "burst.mean",
            about: "the mean length of a burst, in segments",
            unit: Unit::Count(1, 1_000),
            default: Value::Count(1),
        },
        Attr {
            name: "rtt",
            about: "the round trip of the link that is lossy; adds no delay of its own",
            unit: Unit::Ms(SPAN_MAX),
            default: Value::Span(Span::from_ms(50)),
        },
        Attr {
            name: "cc",
            about: "reno: throughput collapses as on a real link; none: stalls alone",
            unit: Unit::Choice(&["none", "reno"]),
            default: Value::Choice("reno"),
        },
        Attr {
            name: "mss",
            about: "bytes in a segment",
            unit: Unit::Count(64, 65_535),
            default: Value::Count(1_448),
        },
        Attr {
            name: "rto_min",
            about: "the least that a retransmission timeout is longer than the round trip",
            unit: Unit::Ms(SPAN_MAX),
            default: Value::Span(Span::from_ms(200)),
        },
    ],
    build: || Box::new(Loss::default()),
};

/// The window to begin with (RFC 6928), and the most it grows to: 95 MB of full segments.
const WINDOW_FIRST: f64 = 10.0;
const WINDOW_MAX: f64 = 65_536.0;

/// Acknowledgements of later segments that tell of a loss (RFC 5681).
const LATER_ACKS: u8 = 3;

/// The longest timeout, and how often a segment is sent again: as Linux does (TCP_RTO_MAX,
/// tcp_retries2). After that it is held for ever.
const RTO_MAX: Span = Span::from_ms(120_000);
const TRIES_MAX: u32 = 15;

/// Bytes that follow within this time still fit into the packet of those before.
const SAME_PACKET: Span = Span::from_ms(1);

struct Loss {
    channel: Channel,
    rtt: Span,
    has_window: bool,
    mss: usize,
    rto_min: Span,
    /// Bytes that have not departed.
    waiting: VecDeque<u8>,
    /// Segments that departed and wait for a lost one before them; the first of them is lost.
    held: VecDeque<(u64, Vec<u8>)>,
    held_bytes: usize,
    /// What follows the bytes.
    ends: Vec<Action>,
    /// When acknowledgements come, and of which segments; in the order of time.
    acks: VecDeque<(Time, u64)>,
    lost: Vec<Lost>,
    next_segment: u64,
    /// Room in the last segment, and when bytes last came for it.
    open: (usize, Time),
    window: Window,
}

/// A segment on its way that will never arrive.
#[derive(Clone, Copy)]
struct Lost {
    segment: u64,
    later_acks: u8,
    /// It was sent again, and lost again.
    is_again: bool,
    due: Time,
    timeout: Span,
    tries: u32,
}

/// Which segments are lost.
struct Channel {
    /// Each by itself.
    loss: Ratio,
    /// In bursts of this mean length.
    burst_loss: Ratio,
    burst_mean: u64,
    in_burst: bool,
}

impl Default for Channel {
    fn default() -> Channel {
        Channel { loss: Ratio::ZERO, burst_loss: Ratio::ZERO, burst_mean: 1, in_burst: false }
    }
}

impl Channel {
    /// Draws the fate of a new segment: lost by itself, or in a burst, which is the bad one of
    /// two states.
    fn loses(&mut self, dice: &mut Dice) -> bool {
        let (share, mean) = (self.burst_loss.get(), self.burst_mean as f64);
        if share > 0.0 {
            let drawn = dice.share();
            let into_burst = if share < 1.0 { share / (mean * (1.0 - share)) } else { 1.0 };
            self.in_burst = match self.in_burst {
                true => share >= 1.0 || drawn >= 1.0 / mean,
                false => drawn < into_burst,
            };
        }
        dice.roll(self.loss) || (share > 0.0 && self.in_burst)
    }

    /// Draws the fate of a segment that is sent again: by then a burst is over.
    fn loses_again(&self, dice: &mut Dice) -> bool {
        dice.share() < 1.0 - (1.0 - self.loss.get()) * (1.0 - self.burst_loss.get())
    }

    /// The mean window that these losses leave to reno (Mathis 1997): a burst halves it once.
    fn window(&self) -> f64 {
        (1.5 / self.events()).sqrt().clamp(2.0, WINDOW_MAX)
    }

    /// The share of segments at which the window is halved.
    fn events(&self) -> f64 {
        self.loss.get() + self.burst_loss.get() / self.burst_mean as f64
    }
}

/// How many segments may be under way.
struct Window {
    size: f64,
    threshold: f64,
    /// Losses of segments before this one belong to a window that was halved already.
    recover: u64,
    /// No growth before: the sender does not know yet that it has recovered.
    grows_from: Time,
}

impl Default for Window {
    fn default() -> Window {
        Window { size: WINDOW_FIRST, threshold: WINDOW_MAX, recover: 0, grows_from: Time::ZERO }
    }
}

impl Window {
    fn grow(&mut self) {
        let more = if self.size < self.threshold { 1.0 } else { 1.0 / self.size };
        self.size = (self.size + more).min(WINDOW_MAX);
    }

    /// A loss of `segment` was noticed while `next` was the next one to depart.
    fn halve(&mut self, segment: u64, next: u64) {
        if self.recover <= segment {
            self.threshold = (self.size / 2.0).max(2.0);
            self.size = self.threshold;
            self.recover = next;
        }
    }
}

impl Default for Loss {
    fn default() -> Loss {
        Loss {
            channel: Channel::default(),
            rtt: Span::from_ms(50),
            has_window: true,
            mss: 1_448,
            rto_min: Span::from_ms(200),
            waiting: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            ends: Vec::new(),
            acks: VecDeque::new(),
            lost: Vec::new(),
            next_segment: 0,
            open: (0, Time::ZERO),
            window: Window::default(),
        }
    }
}

impl Loss {
    /// Lives through all that happens up to `now`.
    fn run(&mut self, now: Time, dice: &mut Dice, out: &mut Vec<Step>) {
        loop {
            let timer = (0..self.lost.len()).min_by_key(|index| self.lost[*index].due);
            let timer = timer.map(|index| (self.lost[index].due, index));
            let ack = self.acks.front().copied();
            match (ack, timer) {
                (Some((at, segment)), _) if at <= now && timer.is_none_or(|(due, _)| at <= due) => {
                    self.acks.pop_front();
                    self.acknowledge(segment, at, dice, out);
                    self.depart(at, dice, out);
                }
                (_, Some((due, index))) if due <= now && due < Time::NEVER => {
                    self.time_out(index, dice, out);
                    self.depart(due, dice, out);
                }
                _ => return,
            }
        }
    }

    fn acknowledge(&mut self, segment: u64, at: Time, dice: &mut Dice, out: &mut Vec<Step>) {
        let is_full = (self.under_way() + 1) as f64 >= self.window.size.floor();
        if self.lost.is_empty() && is_full && self.window.grows_from <= at {
            self.window.grow();
        }
        let mut index = 0;
        while let Some(lost) = self.lost.get_mut(index) {
            if lost.segment < segment && !lost.is_again {
                lost.later_acks += 1;
                if lost.later_acks == LATER_ACKS {
                    self.window.halve(lost.segment, self.next_segment);
                    if self.send_again(index, at, dice, out) {
                        continue; // it is not in the list any more
                    }
                }
            }
            index += 1;
        }
    }

    fn time_out(&mut self, index: usize, dice: &mut Dice, out: &mut Vec<Step>) {
        let lost = &mut self.lost[index];
        let at = lost.due;
        lost.timeout = Span(lost.timeout.0.saturating_mul(2)).min(RTO_MAX);
        self.window.halve(lost.segment, self.next_segment);
        self.window.size = 1.0;
        self.send_again(index, at, dice, out);
    }

    /// Sends a lost segment again; true when it arrives.
    fn send_again(&mut self, index: usize, at: Time, dice: &mut Dice, out: &mut Vec<Step>) -> bool {
        let lost = &mut self.lost[index];
        lost.tries += 1;
        if self.channel.loses_again(dice) {
            lost.is_again = true;
            lost.due = if lost.tries < TRIES_MAX { at + lost.timeout } else { Time::NEVER };
            return false;
        }
        let segment = self.lost.remove(index).segment;
        self.acks.push_back((at + self.rtt, segment));
        self.window.grows_from = self.window.grows_from.max(at + self.rtt);
        while let Some((first, _)) = self.held.front()
            && !self.lost.iter().any(|lost| lost.segment == *first)
            && let Some((_, bytes)) = self.held.pop_front()
        {
            self.held_bytes -= bytes.len();
            out.push(Step { at, action: Action::Send(bytes) });
        }
        true
    }

    fn under_way(&self) -> usize {
        self.acks.len() + self.lost.len()
    }

    /// Lets segments depart while the window has room, and what follows the bytes after them.
    fn depart(&mut self, at: Time, dice: &mut Dice, out: &mut Vec<Step>) {
        let has_room = |own: &Loss| !own.has_window || own.under_way() < own.window.size as usize;
        while !self.waiting.is_empty() && has_room(self) {
            let length = self.mss.min(self.waiting.len());
            let bytes: Vec<u8> = self.waiting.drain(..length).collect();
            self.open = (self.mss - length, at);
            let segment = self.next_segment;
            self.next_segment += 1;
            if self.channel.loses(dice) {
                let timeout = Span((self.rtt.0).saturating_add(self.rto_min.0)).min(RTO_MAX);
                let (due, later_acks, is_again, tries) = (at + timeout, 0, false, 0);
                self.lost.push(Lost { segment, later_acks, is_again, due, timeout, tries });
                self.hold(segment, bytes);
            } else {
                self.acks.push_back((at + self.rtt, segment));
                match self.held.is_empty() {
                    true => out.push(Step { at, action: Action::Send(bytes) }),
                    false => self.hold(segment, bytes),
                }
            }
        }
        if self.waiting.is_empty() && self.held.is_empty() {
            out.extend(self.ends.drain(..).map(|action| Step { at, action }));
        }
    }

    fn hold(&mut self, segment: u64, bytes: Vec<u8>) {
        self.held_bytes += bytes.len();
        self.held.push_back((segment, bytes));
    }

    /// Takes bytes into the last segment, if it has room; what is left of them.
    fn fill(&mut self, at: Time, mut bytes: Vec<u8>, out: &mut Vec<Step>) -> Vec<u8> {
        let (room, last) = self.open;
        if room == 0 || !self.waiting.is_empty() || at - last >= SAME_PACKET {
            return bytes;
        }
        let rest = bytes.split_off(room.min(bytes.len()));
        self.open = (room - bytes.len(), at);
        match self.held.back_mut() {
            Some((_, held)) => {
                self.held_bytes += bytes.len();
                held.extend(bytes);
            }
            None => out.push(Step { at, action: Action::Send(bytes) }),
        }
        rest
    }
}

impl Fault for Loss {
    fn room(&self) -> usize {
        QUEUE_BYTES_MAX
    }

    fn retune(&mut self, attrs: &Attrs) {
        self.channel.loss = attrs.share("loss");
        self.channel.burst_loss = attrs.share("burst.loss");
        self.channel.burst_mean = attrs.count("burst.mean");
        if self.next_segment == 0 {
            self.window.threshold = self.channel.window();
        }
        self.rtt = attrs.span("rtt");
        self.has_window = attrs.choice("cc") == "reno";
        self.mss = usize::try_from(attrs.count("mss")).unwrap_or(usize::MAX);
        self.rto_min = attrs.span("rto_min");
    }

    /// The ceiling that Mathis, Semke, Mahdavi and Ott gave in 1997.
    fn remark(&self) -> Option<String> {
        let (share, rtt_s) = (self.channel.events(), self.rtt.as_ms_f64() / 1e3);
        let per_s = self.mss as f64 / rtt_s * 1.22 / share.sqrt();
        let bounded = self.has_window && share > 0.0 && rtt_s > 0.0;
        bounded.then(|| {
            format!("TCP Reno passes about {:.0} kB/s at most, each connection", per_s / 1e3)
        })
    }

    fn apply(&mut self, step: Step, dice: &mut Dice, out: &mut Vec<Step>) {
        let at = step.at;
        match step.action {
            Action::Open => out.push(step),
            Action::Send(bytes) => {
                self.run(at, dice, out);
                let bytes = self.fill(at, bytes, out);
                self.waiting.extend(bytes);
                self.depart(at, dice, out);
            }
            Action::Finish | Action::Close | Action::Reset => {
                self.run(at, dice, out);
                self.ends.push(step.action);
                self.depart(at, dice, out);
            }
        }
    }

    fn wakes_at(&self) -> Option<Time> {
        if self.held_bytes() == 0 && self.ends.is_empty() {
            return None; // what is acknowledged can be looked at later
        }
        let timers = self.lost.iter().map(|lost| lost.due);
        timers.chain(self.acks.front().map(|(at, _)| *at)).min().filter(|at| *at < Time::NEVER)
    }

    fn wake(&mut self, now: Time, dice: &mut Dice, out: &mut Vec<Step>) {
        self.run(now, dice, out);
    }

    fn release(&mut self, now: Time, out: &mut Vec<Step>) {
        let held = std::mem::take(&mut self.held).into_iter().map(|(_, bytes)| bytes);
        let waiting = Vec::from(std::mem::take(&mut self.waiting));
        let bytes = held.chain([waiting]).filter(|bytes| !bytes.is_empty());
        let actions = bytes.map(Action::Send).chain(std::mem::take(&mut self.ends));
        out.extend(actions.map(|action| Step { at: now, action }));
        self.lost.clear();
        self.acks.clear();
        (self.held_bytes, self.open) = (0, (0, now));
    }

    fn keeps_steps(&self) -> bool {
        true
    }

    fn held_bytes(&self) -> usize {
        self.held_bytes + self.waiting.len()
    }
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;
