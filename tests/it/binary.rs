//! The real binary as a child process: its lines on a channel, its end, its signals.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{PATIENCE, eventually, receive};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_chaos-proxy");

/// What a finished process said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code; none when a signal killed it.
    pub(crate) code: Option<i32>,
    /// All of stdout.
    pub(crate) out: String,
    /// All of stderr.
    pub(crate) err: String,
}

/// The program without the environment's own settings.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in ["CONFIG", "BIND", "ADMIN", "SEED", "LOG_LEVEL", "LOG_FORMAT", "GRACE_MS"] {
        command.env_remove(format!("CHAOS_PROXY_{name}"));
    }
    command.env_remove("TOXIPROXY_URL");
    command
}

/// Runs the program to its end with this stdin.
pub(crate) fn run(args: &[impl AsRef<OsStr>], stdin: &str) -> Said {
    let mut command = command(PROGRAM);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // Gone already when it did not want to read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let (sender, status) = unbounded();
    std::thread::scope(|scope| {
        let out = scope.spawn(move || read_text(&mut out));
        let err = scope.spawn(move || read_text(&mut err));
        scope.spawn(move || sender.send(child.wait().unwrap()).unwrap());
        let ended = status.recv_timeout(PATIENCE);
        if ended.is_err() {
            let _ = kill(pid, Signal::SIGKILL); // its own child, not waited for yet
        }
        let (out, err) = (out.join().unwrap(), err.join().unwrap());
        let status = ended.unwrap_or_else(|_| panic!("still runs; stderr {err}"));
        Said { code: status.code(), out, err }
    })
}

fn read_text(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8(bytes).expect("all output is UTF-8")
}

/// A running program. Dropping it kills it, by its id.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    all: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// A proxy with this configuration from stdin, and these further arguments, that is ready.
    pub(crate) fn serving(config: &str, args: &[&str]) -> Process {
        let mut command = command(PROGRAM);
        command.args(["-c", "-", "--log-format", "json"]).args(args);
        let mut process = Process::spawn(command);
        process.give(config);
        process.wait_for("ready");
        process
    }

    /// Starts a command with stderr on a channel and stdin open.
    pub(crate) fn spawn(mut command: Command) -> Process {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = unbounded();
        let all: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&all);
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line.clone());
                let _ = sender.send(line);
            }
        });
        Process { child, lines, all }
    }

    /// Writes all of stdin and closes it.
    pub(crate) fn give(&mut self, stdin: &str) {
        self.child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    }

    /// Its id.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The next line of stderr, if one comes in time.
    pub(crate) fn line_within(&self, span: Duration) -> Option<String> {
        self.lines.recv_timeout(span).ok()
    }

    /// The next JSON log line of this event; what comes before it is skipped.
    pub(crate) fn wait_for(&self, event: &str) -> Value {
        loop {
            let line = receive(&self.lines, event);
            let parsed: Value = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("not a JSON line: {line}: {error}"));
            if parsed["event"] == event {
                return parsed;
            }
        }
    }

    /// All lines so far.
    pub(crate) fn said(&self) -> String {
        self.all.lock().unwrap().join("\n")
    }

    /// Where the first route listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        let lines = self.all.lock().unwrap().clone();
        let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let addr = events
            .filter(|event| event["event"] == "listening")
            .find_map(|event| event["addr"].as_str().map(|addr| addr.parse().expect("an address")));
        addr.unwrap_or_else(|| panic!("no listening line in {lines:?}"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// True when it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end: its code, and how long that took.
    pub(crate) fn ended(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        eventually("the end of the process", || self.has_ended());
        (self.child.wait().unwrap(), begun.elapsed())
    }

    /// Waits for its end and fails unless it was 0.
    pub(crate) fn ended_well(&mut self) -> Duration {
        let (status, took) = self.ended();
        assert_eq!(status.code(), Some(0), "{status}");
        took
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("stderr of the process\n  {}", self.said().replace('\n', "\n  "));
        }
        let _ = self.child.kill(); // ended already
        let _ = self.child.wait();
    }
}

/// A configuration with one route to `upstream` and these knobs, on a port the system chooses.
pub(crate) fn config(upstream: SocketAddr, knobs: &str) -> String {
    crate::support::Proxy::config(&upstream.to_string(), knobs)
}
