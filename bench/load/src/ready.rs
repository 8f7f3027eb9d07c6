//! How long a program takes from its start to the line on stderr that says it is ready.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::{ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::sys;

const READY_TIMEOUT: Duration = Duration::from_secs(5);
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// `mark` is looked for with all blanks left out, so that the spacing of JSON does not matter.
pub fn run(mark: &str, program: &str, args: &[&str]) -> Outcome<()> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    sys::end_with_parent(&mut command);
    let start = Instant::now();
    let mut child = command.spawn()?;
    let stderr = child.stderr.take().ok_or("the program has no stderr")?;
    let found = time_until(mark, stderr, start);
    child.kill()?;
    child.wait()?;
    println!("{{\"ready_ms\":{:.3}}}", found?.as_secs_f64() * 1e3);
    Ok(())
}

fn time_until(mark: &str, mut stderr: ChildStderr, start: Instant) -> Outcome<Duration> {
    let mut text = Vec::new();
    let mut buffer = [0; 16384];
    while text.len() < OUTPUT_BYTES_MAX {
        let left = READY_TIMEOUT.saturating_sub(start.elapsed());
        if !sys::readable_within(stderr.as_raw_fd(), left)? {
            return Err(format!("no line with {mark} within {READY_TIMEOUT:?}").into());
        }
        let count = stderr.read(&mut buffer)?;
        let arrived = start.elapsed();
        if count == 0 {
            break;
        }
        text.extend(buffer[..count].iter().filter(|byte| **byte != b' '));
        if text.windows(mark.len()).any(|window| window == mark.as_bytes()) {
            return Ok(arrived);
        }
    }
    Err(format!("ended without a line with {mark}: {}", String::from_utf8_lossy(&text)).into())
}
