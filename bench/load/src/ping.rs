//! Round-trip times of a small message on one connection, one after the other.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::Outcome;
use crate::sys::{self, Waiting};

const MESSAGE: [u8; 16] = *b"sixteen bytes...";
/// Round trips before the first that counts: caches, buffers and threads are warm then.
const WARM_UP: usize = 5;

/// Prints the times in microseconds, in the order in which they were measured.
pub fn run(port: u16, count: usize) -> Outcome<()> {
    let mut stream = sys::prepare(0, Waiting::Blocking)?;
    sys::connect(&stream, port)?;
    for _ in 0..WARM_UP {
        round_trip(&mut stream)?;
    }
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        round_trip(&mut stream)?;
        samples.push(format!("{:.1}", start.elapsed().as_secs_f64() * 1e6));
    }
    println!("[{}]", samples.join(","));
    Ok(())
}

fn round_trip(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&MESSAGE)?;
    stream.read_exact(&mut [0; MESSAGE.len()])
}
