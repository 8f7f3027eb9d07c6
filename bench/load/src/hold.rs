//! Holds many connections open, idle, until stdin ends. The upstream ends are in the process of `load serve`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::Outcome;
use crate::sys::{self, Waiting};

#[derive(Clone, Copy, PartialEq)]
pub enum First {
    Nothing,
    /// One small message there and back before the connection idles.
    Message,
}

pub fn run(port: u16, count: usize, first: First) -> Outcome<()> {
    let mut held = Vec::with_capacity(count);
    let mut failed = 0;
    for index in 0..count {
        match open(port, index, first) {
            Ok(stream) => held.push(stream),
            Err(_) => failed += 1,
        }
    }
    println!("{{\"held\":{},\"failed\":{failed}}}", held.len());
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    let mut broken = 0;
    for stream in &held {
        // Nothing was asked for, so anything to read is an end or an error.
        if sys::readable_within(stream.as_raw_fd(), Duration::ZERO)? {
            broken += 1;
        }
    }
    println!("{{\"broken\":{broken}}}");
    Ok(())
}

fn open(port: u16, index: usize, first: First) -> io::Result<TcpStream> {
    let mut stream = sys::prepare(index, Waiting::Blocking)?;
    sys::connect(&stream, port)?;
    if first == First::Message {
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
    }
    Ok(stream)
}
