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

/// Starts all connects at once; the clock runs until the last one has its echo. All stay open until then.
pub fn burst(port: u16, count: usize) -> Outcome<()> {
    let mut exchanges = Exchanges::new(port, count)?;
    let prepared: Result<Vec<_>, _> =
        (0..count).map(|index| sys::prepare(index, Waiting::NonBlocking)).collect();
    let prepared = prepared?;
    let mut kept = Vec::with_capacity(count);
    let mut failed = 0;
    let mut last = Duration::ZERO;
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
    }
    let failed = count - kept.len();
    let millis = last.as_secs_f64() * 1e3;
    println!("{{\"done\":{},\"failed\":{failed},\"last_ms\":{millis:.3}}}", kept.len());
    Ok(())
}
