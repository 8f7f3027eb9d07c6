//! Connections in use, whose threads wait in their reads: whatever else comes up wakes them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Instant;

use crate::http_route::{told, web};
use crate::support::{
    End, Proxy, assert_same, assert_took, eventually, expect, pattern, read_all, reset,
};
use crate::upstreams::{self, Upstream};

/// More than a thread polls before it dozes.
const ROUND_TRIPS: usize = 40;

/// Sends so often, and expects as often, that both threads doze at the end.
fn lull(client: &TcpStream, question: &str, answer: &str) {
    for _ in 0..ROUND_TRIPS {
        (&*client).write_all(question.as_bytes()).unwrap();
        expect(client, answer);
    }
    eventually("the thread of the client dozes", || blocks(client));
}

/// True when the proxy's end of this connection is a socket that blocks, as it does for one that
/// dozes. Both ends are in this process.
fn blocks(client: &TcpStream) -> bool {
    let (near, far) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let ends = format!("{} {}", written(far), written(near));
    let line = table.lines().find(|line| line.contains(&ends)).expect("a live connection");
    let inode = line.split_whitespace().nth(9).expect("ten columns");
    let socket = format!("socket:[{inode}]");
    let mut descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mine = descriptors
        .find(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == &*socket));
    let name = mine.expect("the proxy's end").file_name();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", name.display())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("its flags");
    let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
    flags & libc::O_NONBLOCK == 0
}

/// As the kernel's table has it: the address as a number of this machine, and the port.
fn written(addr: SocketAddr) -> String {
    let SocketAddr::V4(addr) = addr else { panic!("{addr} is not of the first kind") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port())
}

#[test]
fn a_change_is_felt_by_the_next_byte() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    for _ in 0..3 {
        lull(&client, "hello", "hello");
        proxy.set_faults(r#""faults": [{"type": "latency", "direction": "both", "latency": 15}]"#);
        let begun = Instant::now();
        (&client).write_all(b"later").unwrap();
        expect(&client, "later");
        assert_took(begun.elapsed(), 30, 200, "with latency");
        assert!(!blocks(&client));
        proxy.set_faults("");
    }
}

/// Every pipe of this process with one more writer, as a process that is being started holds it.
fn hold_pipes() -> Vec<File> {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten().map(|entry| entry.path());
    let is_pipe = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|to| to.as_os_str().as_encoded_bytes().starts_with(b"pipe:"))
    };
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    descriptors.filter(is_pipe).filter_map(|path| options.open(path).ok()).collect()
}

#[test]
fn a_change_before_the_doze_that_was_not_told_yet_is_felt() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    (&client).write_all(b"hello").unwrap();
    expect(&client, "hello");
    let held = hold_pipes();
    proxy.set_faults(r#""faults": [{"type": "latency", "direction": "both", "latency": 2}]"#);
    for _ in 0..ROUND_TRIPS {
        (&client).write_all(b"hello").unwrap();
        expect(&client, "hello");
    }
    drop(held);
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        (&client).write_all(b"later").unwrap();
        expect(&client, "later");
        assert_took(begun.elapsed(), 4, 200, "with latency");
    }
}

#[test]
fn a_fault_with_a_time_of_its_own_acts_on_silence() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    lull(&client, "hello", "hello");
    proxy.set_faults(r#""faults": [{"type": "reset", "after": 20}]"#);
    assert_eq!(read_all(&client), (Vec::new(), End::Reset));
    assert_eq!(proxy.wait_for("closed").text("reason"), "fault");
}

#[test]
fn a_stop_ends_them_at_once() {
    for knobs in ["", r#""protocol": "http""#] {
        let upstream = web(told);
        let proxy = Proxy::start(upstream.addr, knobs);
        let clients: Vec<TcpStream> = (0..8).map(|_| proxy.connect()).collect();
        for client in &clients {
            lull_web(client);
        }
        assert_took(proxy.stop(), 0, 500, "the stop");
        for client in &clients {
            assert_eq!(read_all(client), (Vec::new(), End::Reset), "{knobs}");
        }
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

/// The answer to a request, head and body.
fn ask(mut client: &TcpStream) -> String {
    client.write_all(GET.as_bytes()).unwrap();
    let mut came = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = client.read(&mut buffer).unwrap();
        assert!(count > 0, "the end instead of the rest of {came:?}");
        came += std::str::from_utf8(&buffer[..count]).unwrap();
        let Some((head, body)) = came.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() == length.expect("a length").parse::<usize>().unwrap() {
            return came;
        }
    }
}

fn lull_web(client: &TcpStream) {
    for _ in 0..ROUND_TRIPS {
        assert!(ask(client).starts_with("HTTP/1.1 200 "));
    }
    eventually("the thread of the client dozes", || blocks(client));
}

#[test]
fn answers_of_our_own_come_from_a_thread_that_dozed() {
    let upstream = web(told);
    let proxy = Proxy::start(upstream.addr, r#""protocol": "http""#);
    let client = proxy.connect();
    let error = r#""protocol": "http", "faults": [{"type": "http_error", "status": 503}]"#;
    for _ in 0..3 {
        lull_web(&client);
        proxy.set_faults(error);
        for _ in 0..ROUND_TRIPS {
            assert!(ask(&client).starts_with("HTTP/1.1 503 "));
        }
        proxy.set_faults(r#""protocol": "http""#);
    }
    // The thread towards the client has dozed when the other one wakes it, again and again.
    let rare = r#""protocol": "http",
        "faults": [{"type": "http_error", "status": 503, "every": 25}]"#;
    proxy.set_faults(rare);
    let answers: Vec<String> = (0..200).map(|_| ask(&client)).collect();
    let errors = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 503 ")).count();
    assert_eq!(errors, 8);
}

#[test]
fn ends_of_the_client_are_noticed() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    lull(&client, "hello", "hello");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
    assert_eq!(proxy.wait_for("closed").text("reason"), "finished");

    let client = proxy.connect();
    lull(&client, "hello", "hello");
    reset(client);
    assert_eq!(proxy.wait_for("closed").text("reason"), "client_reset");
    proxy.balanced();
}

#[test]
fn an_upstream_that_goes_is_noticed() {
    let upstream: Upstream<()> = Upstream::start(|mut stream| {
        let mut buffer = [0; 5];
        for _ in 0..=ROUND_TRIPS {
            stream.read_exact(&mut buffer).unwrap();
            if buffer != *b"leave" {
                stream.write_all(&buffer).unwrap();
            }
        }
    });
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    lull(&client, "hello", "hello");
    (&client).write_all(b"leave").unwrap();
    assert_eq!(read_all(&client), (Vec::new(), End::Fin));
}

#[test]
fn a_stalled_reader_wakes_whoever_writes_to_it() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    lull(&client, "hello", "hello");
    let sent = pattern(16 << 20, 3);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&client).write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        eventually("more is on its way than goes into the sockets", || {
            proxy.figures().bytes_up > 1 << 20
        });
        let (came, end) = read_all(&client);
        assert_same(&came, &sent, "through stalls");
        assert_eq!(end, End::Fin);
    });
    proxy.balanced();
}
