//! `health`, the probe of a container that has no shell: what it says, and its exit codes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::binary::{Process, Said, config, run};
use crate::support::{assert_took, patient};
use crate::upstreams::{self, Nobody};

fn health(admin: SocketAddr, more: &[&str]) -> Said {
    let admin = admin.to_string();
    let args: Vec<&str> = ["health", "--admin", &admin].iter().chain(more).copied().collect();
    run(&args, "")
}

#[test]
fn of_a_proxy_from_ready_to_its_end() {
    let upstream = upstreams::echo();
    let more = r#"{"shutdown": {"delayMs": 3600000}, "admin": {"listen": "127.0.0.1:0"}, "#;
    let mut process = Process::serving(&config(upstream.addr, "").replacen('{', more, 1), &[]);
    let admin = process.wait_for("admin")["addr"].as_str().unwrap().parse().unwrap();
    for live in [&[][..], &["--live"]] {
        let said = health(admin, live);
        assert_eq!((said.code, &*said.out, &*said.err), (Some(0), "ok\n", ""), "{live:?}");
    }
    process.signal(Signal::SIGTERM);
    process.wait_for("stopping");
    let said = health(admin, &[]);
    let expected = format!("chaos-proxy: health: http://{admin}/readyz: 503 draining\n");
    assert_eq!((said.code, &*said.out, said.err), (Some(1), "", expected));
    assert_eq!(health(admin, &["--live"]).code, Some(0), "it lives until it ends");
    process.signal(Signal::SIGTERM);
    process.ended_well();
    assert_eq!(health(admin, &["--live"]).code, Some(1), "it has ended");
}

#[test]
fn of_nobody() {
    let admin = Nobody::start().addr;
    let begun = Instant::now();
    let said = health(admin, &["--wait", "150ms"]);
    assert_took(begun.elapsed(), 150, 600, "asked again until then");
    let expected = format!(
        "chaos-proxy: health: http://{admin}: connection refused \
         (is the admin API on? --admin names another address)\n"
    );
    assert_eq!((said.code, &*said.out, said.err), (Some(1), "", expected));
}

/// Answers one connection after the other with these texts; what it was asked.
fn answers(texts: &'static [&'static str]) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = move |text: &&str| {
        let mut client = patient(listener.accept().unwrap().0);
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        client.write_all(text.as_bytes()).unwrap();
        String::from_utf8(request).unwrap().lines().next().unwrap().to_owned()
    };
    (addr, std::thread::spawn(move || texts.iter().map(serve).collect()))
}

#[test]
fn waits_until_the_answer_is_yes() {
    let (addr, asked) = answers(&[
        "HTTP/1.1 503 Service Unavailable\r\n\r\ndraining",
        "",
        "HTTP/1.1 200 OK\r\n\r\nok",
    ]);
    let said = health(addr, &["--wait", "30s"]);
    assert_eq!((said.code, &*said.out, &*said.err), (Some(0), "ok\n", ""));
    assert_eq!(asked.join().unwrap(), ["GET /readyz HTTP/1.1"; 3]);
}

/// Whatever listens there, it is one line.
#[test]
fn of_something_else() {
    let (addr, asked) = answers(&["HTTP/1.1 404 No\r\n\r\nno\x1b[31m\r\nsuch\npage\n"]);
    let said = health(addr, &[]);
    let expected = format!("chaos-proxy: health: http://{addr}/readyz: 404 no [31m  such page\n");
    assert_eq!((said.code, said.err), (Some(1), expected));
    asked.join().unwrap();
}
