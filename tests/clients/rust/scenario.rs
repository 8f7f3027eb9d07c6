//! The scenario with toxiproxy_rust: every toxic it knows is added, seen, listed and removed.
//! It has no call that updates a toxic. Usage: scenario PORT

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use toxiproxy_rust::client::Client;
use toxiproxy_rust::proxy::{Proxy, ProxyPack};

/// Adds the toxic of this type with these values and this toxicity.
fn add(proxy: &Proxy, kind: &str, toxicity: f32) {
    let down = "downstream".to_owned();
    match kind {
        "latency" => proxy.with_latency(down, 100, 0, toxicity),
        "bandwidth" => proxy.with_bandwidth(down, 1000, toxicity),
        "slow_close" => proxy.with_slow_close(down, 10, toxicity),
        "timeout" => proxy.with_timeout(down, 0, toxicity),
        "slicer" => proxy.with_slicer(down, 1, 0, 10_000, toxicity),
        _ => proxy.with_limit_data(down, 3, toxicity),
    };
}

const TOXICS: [&str; 6] = ["latency", "bandwidth", "slow_close", "timeout", "slicer", "limit_data"];

fn echo_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let addr = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut back = client.try_clone().expect("a descriptor");
                let _ = std::io::copy(&mut client, &mut back);
            });
        }
    });
    addr
}

fn connect(proxy: &Proxy) -> std::io::Result<TcpStream> {
    let client = TcpStream::connect(&proxy.proxy_pack.listen)?;
    client.set_read_timeout(Some(Duration::from_secs(1)))?;
    Ok(client)
}

/// What comes back for `hello`, how it ends, and how long that takes.
fn round_trip(mut client: &TcpStream) -> (String, &'static str, Duration) {
    let (begun, mut got) = (Instant::now(), Vec::new());
    client.write_all(b"hello").expect("sent");
    while got.len() < 5 {
        let mut byte = [0];
        match client.read(&mut byte) {
            Ok(0) => return (text(got), "end", begun.elapsed()),
            Ok(_) => got.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return (text(got), "silence", begun.elapsed());
            }
            Err(error) => panic!("{error}"),
        }
    }
    (text(got), "all", begun.elapsed())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("what was sent")
}

fn see(proxy: &Proxy, kind: &str) {
    let (got, end, took) = round_trip(&connect(proxy).expect("connected"));
    let expected = match kind {
        "timeout" => ("", "silence"),
        "limit_data" => ("hel", "end"),
        _ => ("hello", "all"),
    };
    assert_eq!((&*got, end), expected, "{kind}");
    let least = match kind {
        "latency" => 100,
        "slicer" => 40,
        _ => 0,
    };
    assert!(took >= Duration::from_millis(least), "{kind}: {took:?}");
}

fn main() {
    let port = std::env::args().nth(1).expect("usage: scenario PORT");
    let server = Client::new(format!("127.0.0.1:{port}"));
    assert!(server.is_running());
    assert!(server.version().expect("a version").contains("\"version\""));
    let upstream = echo_server();
    let wanted =
        |name: &str, listen: &str| ProxyPack::new(name.into(), listen.into(), upstream.clone());
    let made = server.populate(vec![wanted("echo", "localhost:0")]).expect("populated");
    let proxy = &made[0];
    let live = connect(proxy).expect("connected");
    for kind in TOXICS {
        add(proxy, kind, 1.0);
        let listed = proxy.toxics().expect("a list");
        assert_eq!(listed.len(), 1, "{kind}");
        assert_eq!((&*listed[0].r#type, &*listed[0].stream), (kind, "downstream"));
        see(proxy, kind);
        if kind == "latency" {
            assert!(round_trip(&live).2 >= Duration::from_millis(100), "live connections, too");
        }
        proxy.delete_all_toxics().expect("removed");
        add(proxy, kind, 0.0);
        assert_eq!(round_trip(&connect(proxy).expect("connected")).0, "hello", "{kind} of 0");
        proxy.delete_all_toxics().expect("removed");
        assert!(proxy.toxics().expect("a list").is_empty());
    }
    let down = proxy.with_down(|| {
        let refused = connect(proxy).map_err(|error| error.kind()).err();
        assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
    });
    down.expect("down and up");
    proxy.with_latency("upstream".into(), 5000, 0, 1.0);
    proxy.disable().expect("disabled");
    server.reset().expect("reset");
    let after = server.find_proxy("echo").expect("found");
    assert!(after.proxy_pack.enabled && after.proxy_pack.toxics.is_empty());
    see(&after, "nothing");
    let both = vec![wanted("echo", &proxy.proxy_pack.listen), wanted("more", "localhost:0")];
    assert_eq!(server.populate(both).expect("populated").len(), 2);
    let all = server.all().expect("all");
    all.values().for_each(|proxy| proxy.delete().expect("deleted"));
    assert!(server.all().expect("all").is_empty());
    println!("toxiproxy_rust: ok");
}
