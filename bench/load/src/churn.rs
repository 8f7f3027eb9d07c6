//! New connections: as many as can be made in a time, and many at the same instant.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::exchange::{End, Exchanges};
use crate::sys::{self, Waiting};

const POLL: Duration = Duration::from_millis(20);
const BURST_TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps `conns` exchanges going; each ends with an orderly close by the client, and the next one starts.
pub fn churn(port: u16, conns: usize, seconds: f64) -> Outcome<()> {
    let mut exchanges = Exchanges::new(port, conns)?;
    let mut opened = 0;
    let mut open = |exchanges: &mut Exchanges, slot| {
        opened += 1;
        exchanges.open(slot, sys::prepare(opened, Waiting::NonBlocking)?)
    };
    let time = Duration::try_from_secs_f64(seconds)?;
    let start = Instant::now();
    for slot in 0..conns {
        open(&mut exchanges, slot)?;
    }
    let (mut done, mut failed) = (0_u64, 0_u64);
    while start.elapsed() < time {
        for (slot, end) in exchanges.wait(POLL)? {
            match end {
                End::Echoed(_closes) => done += 1,
                End::Failed => failed += 1,
            }
            open(&mut exchanges, slot)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{{\"done\":{done},\"failed\":{failed},\"seconds\":{seconds:.6}}}");
    Ok(())
}

/// Starts all connects at once. Two times are told: until the last connect is done, and until the last one has its
/// echo. All stay open until then.
pub fn burst(port: u16, count: usize) -> Outcome<()> {
    let mut exchanges = Exchanges::new(port, count)?;
    let prepared: Result<Vec<_>, _> =
        (0..count).map(|index| sys::prepare(index, Waiting::NonBlocking)).collect();
    let prepared = prepared?;
    let mut kept = Vec::with_capacity(count);
    let mut failed = 0;
    let mut last = Duration::ZERO;
    let mut connected = None;
    let start = Instant::now();
    for (slot, stream) in prepared.into_iter().enumerate() {
        exchanges.open(slot, stream)?;
    }
    while kept.len() + failed < count && start.elapsed() < BURST_TIMEOUT {
        for (_, end) in exchanges.wait(POLL)? {
            match end {
                End::Echoed(stream) => kept.push(stream),
                End::Failed => failed += 1,
            }
            last = start.elapsed();
        }
        if connected.is_none() && exchanges.connecting() == 0 {
            connected = Some(start.elapsed());
        }
    }
    let failed = count - kept.len();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let (connected, last) = (millis(connected.unwrap_or(BURST_TIMEOUT)), millis(last));
    let done = kept.len();
    println!("{{\"done\":{done},\"failed\":{failed},\"connected_ms\":{connected:.3},\"last_ms\":{last:.3}}}");
    Ok(())
}
