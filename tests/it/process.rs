//! The command line: what is printed where, exit codes, and that nothing is served by half.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::api::Api;
use crate::binary::{PROGRAM, Process, command, config, run};
use crate::support::{End, connect, each, eventually, read_all};
use crate::upstreams;

#[test]
fn the_lines_of_a_start_and_of_a_connection() {
    let upstream = upstreams::echo();
    let text = config(upstream.addr, r#""latencyMs": 1"#);
    let mut process = Process::serving(&text, &["--seed", "99"]);
    let client = connect(process.addr());
    (&client).write_all(b"hi").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client), (b"hi".to_vec(), End::Fin));
    process.wait_for("closed");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    process.ended_well();
    eventually("the last line", || process.said().contains("stopped"));
    let said = process.said();
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let expected = [
        "starting",
        "listening",
        "ready",
        "accepted",
        "connected",
        "delayed",
        "closed",
        "draining",
        "drained",
        "stopped",
    ];
    assert_eq!(events, expected, "{said}");
    assert_eq!(lines[0]["seed"], 99, "the flag goes over the file: {said}");
    let closed = &lines[6];
    assert_eq!((&closed["bytes_up"], &closed["bytes_down"]), (&2.into(), &2.into()));
    assert_eq!(closed["reason"], "finished");
    for line in &lines {
        assert!(line["ts"].as_str().unwrap().ends_with('Z') && line["level"].is_string(), "{line}");
    }
}

#[test]
fn text_lines() {
    let upstream = upstreams::echo();
    let mut command = command(PROGRAM);
    command.args(["--route", &format!("0={}", upstream.addr)]);
    let process = Process::spawn(command);
    eventually("ready", || process.said().contains(" INFO  ready routes=1"));
    assert!(process.said().contains(" INFO  listening route=port-0 addr=127.0.0.1:"));
}

#[test]
fn every_bad_example_ends_with_2_and_its_lines() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/bad");
    for name in ["all-at-once.json", "drop-rate-percent.json", "duplicate-key.json", "itself.yaml"]
    {
        let path = format!("{folder}/{name}");
        let expected = fs::read_to_string(format!("{folder}/{}.expect", &name[..name.len() - 5]));
        let expected = expected.unwrap().replace(name, &path);
        for args in [vec![path.as_str()], vec!["check", path.as_str()]] {
            let said = run(&args, "");
            assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?}: {said:?}");
            assert_eq!(said.err, expected, "{args:?}");
        }
    }
}

#[test]
fn a_bad_configuration_binds_nothing() {
    let nobody = upstreams::Nobody::start();
    let port = nobody.addr.port();
    let text = format!(
        r#"[{{"localPort": {port}, "upstream": "127.0.0.1:1"}},
            {{"localPort": 1, "upstream": "127.0.0.1"}}]"#
    );
    let said = run(&["-c", "-"], &text);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.starts_with("chaos-proxy: stdin:2:"), "{said:?}");
    assert!(!said.err.contains("listening"), "{said:?}");
}

#[test]
fn a_taken_port_ends_with_1_and_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let text = format!(
        r#"{{"log": {{"level": "warn"}}, "routes": [
             {{"name": "free", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}},
             {{"name": "db", "localPort": {}, "upstream": "127.0.0.1:1"}}]}}"#,
        addr.port()
    );
    let said = run(&["-c", "-"], &text);
    let expected = format!(
        "chaos-proxy: routes[1] \"db\": {addr}: address already in use; \
         another process listens there\n"
    );
    assert_eq!((said.code, said.err.as_str()), (Some(1), expected.as_str()));
    assert_eq!(said.out, "");
}

#[test]
fn arguments_that_cannot_be_understood() {
    let no_utf8 = OsStr::from_bytes(b"caf\xe9.json");
    let said = run(&[no_utf8], "");
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("is not UTF-8"), "{said:?}");
    for args in [&["--no-such-option"][..], &["--seed", "x", "a.json"], &[], &["/no/such.json"]] {
        let said = run(args, "");
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?}: {said:?}");
        assert!(said.err.starts_with("chaos-proxy: "), "{args:?}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{args:?}: {said:?}");
        assert!(!said.err.contains("panicked") && !said.err.contains("Error {"), "{said:?}");
    }
}

#[test]
fn a_reader_of_stdout_that_has_seen_enough_is_fine() {
    for args in [&["--help"][..], &["faults"], &["faults", "--json"], &["--version"]] {
        let mut command = command(PROGRAM);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take()); // before it has written: the pipe is closed
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), err.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn a_closed_stderr_is_fine() {
    let upstream = upstreams::echo();
    let spawn = |args: &[&str]| {
        let mut command = command(PROGRAM);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut wrong = spawn(&["--no-such-option"]);
    drop(wrong.stderr.take());
    assert_eq!(wrong.wait().unwrap().code(), Some(2), "closed before a word was said");

    let mut child = spawn(&["--route", &format!("0={}", upstream.addr)]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let listening = lines.find_map(|line| Some(line.split_once(" addr=")?.1.to_owned()));
    drop(lines);
    let addr: SocketAddr = listening.expect("a listening line").parse().unwrap();
    for _ in 0..20 {
        assert!(round_trip(addr), "closed while it serves");
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Where the standard descriptors are closed, the first things that are opened take their numbers:
/// a listener must not be written to as if it were stderr.
#[test]
fn closed_standard_descriptors_are_fine() {
    let upstream = upstreams::echo();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = format!("exec {PROGRAM} --route {port}={} <&- >&- 2>&-", upstream.addr);
    let mut child = command("sh").args(["-c", &script]).spawn().unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("it listens", || TcpStream::connect(addr).is_ok());
    for n in 0..300 {
        assert!(round_trip(addr), "connection {n}");
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A reader of stderr that stops reading costs lines, not connections.
#[test]
fn a_stalled_stderr_stops_nothing() {
    let upstream = upstreams::echo();
    let mut command = command(PROGRAM);
    command.args(["--route", &format!("0={}", upstream.addr)]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let listening = lines.find_map(|line| Some(line.split_once(" addr=")?.1.to_owned()));
    let addr: SocketAddr = listening.expect("a listening line").parse().unwrap();
    each(0..4, |_| (0..100).for_each(|n| assert!(round_trip(addr), "{n}: nobody reads")));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(lines);
}

/// True when an echo answers there.
fn round_trip(addr: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect(addr) else { return false };
    let client = crate::support::patient(stream);
    let _ = (&client).write_all(b"x");
    let _ = client.shutdown(Shutdown::Write);
    read_all(&client) == (b"x".to_vec(), End::Fin)
}

#[test]
fn a_plan_that_check_prints_is_accepted_again() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/good");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let first = run(&[OsStr::new("check"), path.as_os_str()], "");
        let remarks = ["TCP Reno passes about ", "of the requests that each is for: "];
        let is_remark = |line: &&str| remarks.iter().any(|remark| line.contains(remark));
        let problems = first.err.lines().filter(|line| !is_remark(line));
        assert_eq!((first.code, problems.count()), (Some(0), 0), "{path:?}: {}", first.err);
        let plan: Value = serde_json::from_str(&first.out).expect("a plan is JSON");
        assert!(plan["routes"].is_array(), "{plan}");
        let second = run(&["check", "-c", "-"], &first.out);
        assert_eq!(second.code, Some(0), "{path:?}: {}{}", first.out, second.err);
        assert_eq!(second.out, first.out, "{path:?}");
    }
}

#[test]
fn the_faults_as_json() {
    let said = run(&["faults", "--json"], "");
    let rows: Vec<Value> = serde_json::from_str(&said.out).expect("a list");
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"latency") && names.contains(&"drop"), "{names:?}");
    assert!(names.is_sorted(), "{names:?}");
    let text = run(&["faults"], "").out;
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn a_route_without_a_file() {
    let upstream = upstreams::echo();
    let mut command = command(PROGRAM);
    let route = format!("127.0.0.1:0={}", upstream.addr);
    command.args(["--route", &route, "--latency-ms", "30", "--log-format", "json"]);
    let process = Process::spawn(command);
    process.wait_for("ready");
    let begun = std::time::Instant::now();
    assert!(round_trip(process.addr()));
    crate::support::assert_took(begun.elapsed(), 30, 120, "--latency-ms 30");
}

#[test]
fn the_environment_goes_over_the_file_and_a_flag_over_both() {
    let upstream = upstreams::echo();
    let path = std::env::temp_dir().join(format!("chaos-proxy-it-{}.json", std::process::id()));
    fs::write(&path, config(upstream.addr, "")).unwrap();
    let seed = |args: &[&str], env: Option<&str>| {
        let mut command = command(PROGRAM);
        command.arg(&path).args(["--log-format", "json"]).args(args);
        command.envs(env.map(|seed| ("CHAOS_PROXY_SEED", seed)));
        let process = Process::spawn(command);
        process.wait_for("starting")["seed"].as_u64()
    };
    assert_eq!(seed(&[], None), Some(7));
    assert_eq!(seed(&[], Some("8")), Some(8));
    assert_eq!(seed(&["--seed", "9"], Some("8")), Some(9));
    fs::remove_file(&path).unwrap();
}

/// A run whose seed nobody knows cannot be repeated.
#[test]
fn a_chosen_seed_is_told_whatever_the_level() {
    // An address of this process: nobody else takes the port that is free again.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let free = TcpListener::bind((Ipv4Addr::new(127, 128 | a, b, c), 0)).unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let text = format!(r#"[{{"name": "r", "listen": "{addr}", "upstream": "127.0.0.1:9"}}]"#);
    for (flags, lines) in [(&[][..], 1), (&["--seed", "7"][..], 0)] {
        let mut command = command(PROGRAM);
        command.args(["-c", "-", "--log-format", "json", "--quiet"]).args(flags);
        let mut process = Process::spawn(command);
        process.give(&text);
        if lines == 1 {
            assert!(process.wait_for("starting")["seed"].is_u64());
        }
        eventually("it serves", || TcpStream::connect(addr).is_ok());
        process.signal(Signal::SIGTERM);
        process.ended_well();
        let said = process.said();
        let infos = said.lines().filter(|line| line.contains(r#""level":"info""#));
        assert_eq!(infos.count(), lines, "{flags:?}: {said}");
    }
}

#[test]
fn debug_tells_what_the_api_is_asked() {
    let upstream = upstreams::echo();
    let options = ["--admin", "127.0.0.1:0", "--log-level", "debug"];
    let process = Process::serving(&config(upstream.addr, ""), &options);
    let admin = process.wait_for("admin");
    let mut api = Api::connect(admin["addr"].as_str().unwrap().parse().unwrap());
    api.ask(404, "DELETE", "/proxies/none", "");
    let asked = process.wait_for("asked");
    assert_eq!(asked["level"], "debug");
    let told = ["method", "path"].map(|key| asked[key].as_str().unwrap());
    assert_eq!((told, &asked["status"]), (["DELETE", "/proxies/none"], &404.into()));
    assert!(asked["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn the_demonstration_serves() {
    let mut command = command(PROGRAM);
    command.args(["demo", "--log-format", "json"]);
    let process = Process::spawn(command);
    let taken = "address already in use";
    let is_known = |said: &str| said.contains(r#""ready""#) || said.contains(taken);
    eventually("ready or a refusal", || is_known(&process.said()));
    if process.said().contains(taken) {
        eprintln!("skipped: a port of the demonstration is taken");
        return;
    }
    let mut client = connect(process.addr());
    client.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
    let (answer, end) = read_all(&client);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("hello from the demo upstream\n"), "{answer}");
    assert_eq!(end, End::Fin);
}
