//! Out of descriptors, or of threads: some are refused, it is said once a second, and it passes.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::binary::{PROGRAM, Process, command, config};
use crate::http_route;
use crate::support::{End, each, eventually, expect, patient, read_all};
use crate::upstreams;

/// Processor time a process has used so far.
fn processor_time(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10) // USER_HZ is 100 on Linux
}

/// Limits of descriptors, even and odd: what is left for the last connection differs.
const LIMITS: [u32; 2] = [40, 41];

/// A proxy that may have so many descriptors and believes it could serve 1000 connections.
fn starved(upstream: std::net::SocketAddr, descriptors: u32) -> Option<Process> {
    let knobs = r#""maxConnections": 1000, "connectTimeoutMs": 5000"#;
    starved_with(&config(upstream, knobs), descriptors)
}

fn starved_with(config: &str, descriptors: u32) -> Option<Process> {
    if !Path::new("/usr/bin/prlimit").exists() {
        eprintln!("skipped: no prlimit");
        return None;
    }
    let mut command = command("prlimit");
    let limit = format!("--nofile={descriptors}:{descriptors}");
    command.args([&limit, PROGRAM, "-c", "-", "--log-format", "json"]);
    let mut process = Process::spawn(command);
    process.give(config);
    process.wait_for("ready");
    Some(process)
}

/// What became of a client that said something: it was answered, or else ended at once.
fn is_served(client: &TcpStream) -> bool {
    is_answered(client, b"x")
}

/// The same of a client that said this.
fn is_answered(client: &TcpStream, bytes: &[u8]) -> bool {
    let _ = (&*client).write_all(bytes);
    match std::io::Read::read(&mut &*client, &mut [0]) {
        Ok(count) => count == 1,
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            panic!("neither served nor refused")
        }
        Err(_) => false,
    }
}

/// A client; none when it is reset so early that its connect tells.
fn client(addr: SocketAddr) -> Option<TcpStream> {
    match TcpStream::connect(addr) {
        Ok(stream) => Some(patient(stream)),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("{addr}: {error}"),
    }
}

/// So many of them at once.
fn clients(process: &Process, count: usize) -> Vec<TcpStream> {
    (0..count).filter_map(|_| client(process.addr())).collect()
}

fn serves(addr: SocketAddr) -> bool {
    client(addr).is_some_and(|client| is_served(&client))
}

#[test]
fn some_are_refused_and_later_ones_served() {
    each(LIMITS, some_are_refused_and_later_ones_served_with);
}

fn some_are_refused_and_later_ones_served_with(descriptors: u32) {
    let upstream = upstreams::echo();
    let Some(process) = starved(upstream.addr, descriptors) else { return };
    let begun = Instant::now();
    let clients = clients(&process, 60);
    let served: Vec<bool> = clients.iter().map(is_served).collect();
    let number = served.iter().filter(|served| **served).count();
    assert!(
        (1..=20).contains(&number),
        "served {number} of 60 with {descriptors} descriptors: {served:?}"
    );
    // While there is none left, it neither spins nor chatters.
    let before = processor_time(process.pid());
    let mut lines = Vec::new();
    let watched = Instant::now();
    while let Some(left) = Duration::from_millis(600).checked_sub(watched.elapsed()) {
        lines.extend(process.line_within(left));
    }
    let used = processor_time(process.pid()).saturating_sub(before);
    assert!(used < Duration::from_millis(100), "{used:?} of processor time in 0.6 s");
    let refused = process.said().matches(r#""event":"refused""#).count();
    let most = begun.elapsed().as_secs() as usize + 1;
    assert!((1..=most).contains(&refused), "told {refused} times in {:?}", begun.elapsed());
    assert!(process.said().contains(r#""reason":"descriptors""#), "{}", process.said());
    drop(clients);
    eventually("served again", || serves(process.addr()));
}

/// On an http route the dial comes with the first request; one that finds no descriptor for it is
/// reset like the others, and counts as refused.
#[test]
fn a_request_without_a_descriptor_for_its_dial_is_refused() {
    for descriptors in LIMITS {
        let upstream = http_route::web(http_route::told);
        let knobs = r#""maxConnections": 1000, "connectTimeoutMs": 5000, "protocol": "http""#;
        let Some(process) = starved_with(&config(upstream.addr, knobs), descriptors) else {
            return;
        };
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let clients = clients(&process, 60);
        let served = clients.iter().filter(|client| is_answered(client, request)).count();
        assert!((1..=20).contains(&served), "served {served} of 60 with {descriptors} descriptors");
        assert!(process.said().contains(r#""reason":"descriptors""#), "{}", process.said());
        assert!(!process.said().contains("upstream_failed"), "{}", process.said());
        drop(clients);
        let again = || client(process.addr()).is_some_and(|client| is_answered(&client, request));
        eventually("answered again", again);
    }
}

#[test]
fn it_still_drains() {
    each(LIMITS, it_still_drains_with);
}

fn it_still_drains_with(descriptors: u32) {
    let upstream = upstreams::echo();
    let Some(mut process) = starved(upstream.addr, descriptors) else { return };
    let clients = clients(&process, 60);
    let served: Vec<TcpStream> = clients.into_iter().filter(is_served).collect();
    process.signal(nix::sys::signal::Signal::SIGTERM);
    process.wait_for("draining");
    for client in served {
        (&client).write_all(b"still here").unwrap();
        expect(&client, "still here");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    }
    process.ended_well();
}

#[test]
fn the_first_one_after_the_shortage_is_served() {
    each(LIMITS, the_first_one_after_the_shortage_is_served_with);
}

fn the_first_one_after_the_shortage_is_served_with(descriptors: u32) {
    let upstream = upstreams::echo();
    let Some(process) = starved(upstream.addr, descriptors) else { return };
    let open = || std::fs::read_dir(format!("/proc/{}/fd", process.pid())).unwrap().count();
    let at_rest = open();
    let clients = clients(&process, 60);
    let served = clients.iter().filter(|client| is_served(client)).count();
    drop(clients);
    (0..served).for_each(|_| drop(process.wait_for("closed")));
    eventually("free descriptors", || open() <= at_rest + 2);
    assert!(serves(process.addr()), "with {} of {descriptors} descriptors in use", open());
}

/// A proxy as a user of its own who may have no more than 24 threads; root is not held to a limit.
/// Nobody else is this user, no other run of the tests either: the limit counts for all of a user.
fn short_of_threads(number: u32, config: &str) -> Option<(Process, std::path::PathBuf)> {
    let own = std::fs::metadata("/proc/self").unwrap();
    if own.uid() != 0 || !Path::new("/usr/bin/setpriv").exists() {
        eprintln!("skipped: not root, or no setpriv");
        return None;
    }
    let user = 20_000 + std::process::id() % 20_000 * 2 + number;
    let folder = format!("chaos-proxy-threads-{user}-{}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("chaos-proxy");
    // Not by this process: a child forked meanwhile would hold the copy open for writing, and what
    // is open for writing cannot be run.
    let copied = std::process::Command::new("cp").arg(PROGRAM).arg(&program).status().unwrap();
    assert!(copied.success());
    let mut command = command("setpriv");
    let (user, group) = (format!("--reuid={user}"), format!("--regid={user}"));
    command.args([&user, &group, "--clear-groups", "prlimit", "--nproc=24:24"]);
    command.arg(&program).args(["-c", "-", "--log-format", "json"]);
    let mut process = Process::spawn(command);
    process.give(config);
    process.wait_for("ready");
    Some((process, folder))
}

#[test]
fn without_threads_clients_are_reset_and_later_ones_served() {
    let upstream = upstreams::echo();
    let config = config(upstream.addr, r#""maxConnections": 1000"#);
    let Some((process, folder)) = short_of_threads(0, &config) else { return };
    let clients = clients(&process, 40);
    let number = clients.iter().filter(|client| is_served(client)).count();
    assert!((1..=12).contains(&number), "served {number} of 40 with 24 threads");
    assert!(process.said().contains(r#""reason":"threads""#), "{}", process.said());
    drop(clients);
    eventually("served again", || serves(process.addr()));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_name_that_no_thread_is_left_to_look_up_is_told() {
    let hang = r#""faults": [{"type": "drop", "mode": "hang"}]"#;
    let all = r#""listen": "127.0.0.1:0", "maxConnections": 1000"#;
    let full = format!(r#"{{"name": "full", "upstream": "127.0.0.1:9", {all}, {hang}}}"#);
    let named = format!(r#"{{"name": "named", "upstream": "name.invalid:9", {all}}}"#);
    let config = format!("[{full}, {named}]");
    let Some((process, folder)) = short_of_threads(1, &config) else { return };
    let said = process.said();
    let listening = said.lines().find(|line| line.contains(r#""route":"named""#)).unwrap();
    let line: serde_json::Value = serde_json::from_str(listening).unwrap();
    let named: SocketAddr = line["addr"].as_str().unwrap().parse().unwrap();
    let mut clients = clients(&process, 120);
    // They are served in their order: behind one that is refused none waits for a thread.
    assert!(!serves(process.addr()), "one more than there are threads");
    clients.remove(0); // its thread waits for another client, and is the only one that does
    let expected = "no thread to resolve name.invalid: resource temporarily unavailable";
    eventually(expected, || {
        let _ = serves(named);
        process.said().contains(expected)
    });
    std::fs::remove_dir_all(folder).unwrap();
}
