//! How a process stops: signals, draining, the grace, and being process 1.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::binary::{PROGRAM, Process, command, config};
use crate::support::{
    End, assert_same, assert_took, connect, each, eventually, expect, patient, pattern, read_all,
};
use crate::upstreams::{self, Upstream, gate};

#[test]
fn the_first_signal_drains() {
    each([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP], |signal| {
        let upstream = upstreams::echo();
        let mut process = Process::serving(&config(upstream.addr, ""), &[]);
        let mut client = connect(process.addr());
        client.write_all(b"before").unwrap();
        expect(&client, "before");
        process.signal(signal);
        assert_eq!(process.wait_for("draining")["in_flight"], 1, "{signal}");
        let refused = TcpStream::connect(process.addr());
        assert!(refused.is_err(), "{signal}: new connections are refused");
        client.write_all(b"after").unwrap();
        expect(&client, "after");
        assert!(!process.has_ended(), "{signal}: it waits for the one in flight");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&client), (Vec::new(), End::Fin), "{signal}");
        process.ended_well();
    });
}

#[test]
fn nothing_in_flight_ends_at_once() {
    let upstream = upstreams::echo();
    let mut process = Process::serving(&config(upstream.addr, ""), &["--grace-ms", "3600000"]);
    process.signal(Signal::SIGTERM);
    let took = process.ended_well();
    assert_took(took, 0, 200, "nothing in flight");
}

#[test]
fn transfers_in_flight_are_complete() {
    const CLIENTS: usize = 50;
    const LENGTH: usize = 100_000;
    each(["", r#""latencyMs": 50"#], |knobs| {
        let (go_on, wait_for_signal) = gate();
        let answer = pattern(LENGTH, 21);
        let sent = answer.clone();
        let upstream = Upstream::start(move |mut stream| {
            stream.write_all(&sent[..LENGTH / 2]).unwrap();
            wait_for_signal();
            stream.write_all(&sent[LENGTH / 2..]).unwrap();
        });
        let mut process = Process::serving(&config(upstream.addr, knobs), &[]);
        let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(process.addr())).collect();
        (0..CLIENTS).for_each(|_| drop(process.wait_for("connected")));
        process.signal(Signal::SIGTERM);
        assert_eq!(process.wait_for("draining")["in_flight"], CLIENTS);
        (0..CLIENTS).for_each(|_| go_on());
        for (number, client) in clients.into_iter().enumerate() {
            let (came, end) = read_all(&client);
            assert_same(&came, &answer, &format!("{knobs}: client {number}"));
            assert_eq!(end, End::Fin, "{knobs}: client {number}");
        }
        process.ended_well();
        eventually("the last line", || process.said().contains(r#""event":"drained","cut":0"#));
    });
}

#[test]
fn an_idle_connection_does_not_outlive_the_grace() {
    let upstream = upstreams::echo();
    let mut process = Process::serving(&config(upstream.addr, ""), &["--grace-ms", "150"]);
    let client = connect(process.addr());
    process.wait_for("connected");
    let begun = Instant::now();
    process.signal(Signal::SIGTERM);
    process.ended_well();
    assert_took(begun.elapsed(), 150, 450, "the grace");
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
    eventually("the cut", || process.said().contains(r#""event":"drained","cut":1"#));
}

#[test]
fn a_grace_of_zero_cuts_at_once() {
    let upstream = upstreams::echo();
    let mut process = Process::serving(&config(upstream.addr, ""), &["--grace-ms", "0"]);
    let client = connect(process.addr());
    process.wait_for("connected");
    process.signal(Signal::SIGTERM);
    assert_took(process.ended_well(), 0, 200, "no grace");
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
}

/// A configuration with the admin API and this delay between the signal and the drain.
fn delayed(upstream: SocketAddr, ms: u64) -> String {
    let more =
        format!(r#"{{"shutdown": {{"delayMs": {ms}}}, "admin": {{"listen": "127.0.0.1:0"}}, "#);
    config(upstream, "").replacen('{', &more, 1)
}

/// Who sends clients here hears that it ends before it refuses any.
#[test]
fn a_delay_goes_on_accepting_while_not_ready() {
    let upstream = upstreams::echo();
    let mut process = Process::serving(&delayed(upstream.addr, 400), &["--grace-ms", "0"]);
    let admin = process.wait_for("admin")["addr"].as_str().unwrap().to_owned();
    let status = |path: &str| {
        let mut client = connect(admin.parse().unwrap());
        write!(client, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let (answer, _) = read_all(&client);
        String::from_utf8(answer[9..12].to_vec()).unwrap()
    };
    assert_eq!((&*status("/healthz"), &*status("/readyz")), ("200", "200"));
    let signalled = Instant::now();
    process.signal(Signal::SIGTERM);
    assert_eq!(process.wait_for("stopping")["ms"], 400.0);
    assert_eq!((&*status("/healthz"), &*status("/readyz")), ("200", "503"));
    let client = connect(process.addr());
    (&client).write_all(b"late").unwrap();
    expect(&client, "late");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    process.ended_well();
    assert_took(signalled.elapsed(), 400, 700, "the delay");
    assert!(TcpStream::connect(&admin).is_err(), "nobody answers any more");
}

#[test]
fn a_second_signal_ends_the_delay_and_all() {
    let upstream = upstreams::echo();
    let config = delayed(upstream.addr, 3_600_000);
    let mut process = Process::serving(&config, &["--grace-ms", "3600000"]);
    let client = connect(process.addr());
    process.wait_for("connected");
    process.signal(Signal::SIGTERM);
    process.wait_for("stopping");
    process.signal(Signal::SIGTERM);
    assert_took(process.ended_well(), 0, 200, "two signals");
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
}

#[test]
fn a_second_signal_ends_it() {
    let upstream = upstreams::echo();
    let knobs = [r#""connectTimeoutMs": 5000"#, r#""latencyMs": 3600000"#];
    each(knobs, |knobs| {
        let config = config(upstream.addr, knobs);
        let mut process = Process::serving(&config, &["--grace-ms", "3600000"]);
        let clients: Vec<TcpStream> = (0..20).map(|_| connect(process.addr())).collect();
        for client in &clients {
            let _ = (&*client).write_all(b"x");
            process.wait_for("connected");
        }
        process.signal(Signal::SIGTERM);
        process.wait_for("draining");
        process.signal(Signal::SIGINT);
        let begun = Instant::now();
        process.ended_well();
        assert_took(begun.elapsed(), 0, 200, knobs);
    });
}

#[test]
fn a_signal_before_ready_is_a_clean_end() {
    each([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP], |signal| {
        let mut command = command(PROGRAM);
        command.args(["-c", "-"]);
        let mut process = Process::spawn(command); // its stdin never ends
        // Without a handler the signal would kill it: its mask of caught signals tells.
        eventually("the handler", || catches(process.pid(), signal));
        process.signal(signal);
        assert_took(process.ended_well(), 0, 200, signal.as_str());
    });
}

/// True when the process has a handler for the signal.
fn catches(pid: i32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    mask & (1 << (signal as i32 - 1)) != 0
}

#[test]
fn as_process_1() {
    if !Path::new("/usr/bin/unshare").exists() {
        eprintln!("skipped: no unshare");
        return;
    }
    let upstream = upstreams::echo();
    let mut command = command("unshare");
    command.args(["--pid", "--fork", "--kill-child", PROGRAM]);
    command.args(["-c", "-", "--log-format", "json"]);
    let mut process = Process::spawn(command);
    process.give(&config(upstream.addr, ""));
    let is_known = |said: &str| said.contains(r#""ready""#) || said.contains("unshare failed");
    eventually("ready or a refusal", || is_known(&process.said()));
    if process.said().contains("unshare failed") {
        eprintln!("skipped: no pid namespace here");
        return;
    }
    let client = patient(TcpStream::connect(process.addr()).unwrap());
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    let children = format!("/proc/{0}/task/{0}/children", process.pid());
    let inner = std::fs::read_to_string(children).unwrap();
    let inner: i32 = inner.trim().parse().expect("one child");
    kill(Pid::from_raw(inner), Signal::SIGTERM).unwrap();
    assert_took(process.ended_well(), 0, 300, "SIGTERM to process 1");
}
