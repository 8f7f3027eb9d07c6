//! The counters and `/metrics`: that they tell the truth about bytes on real sockets.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};

use chaos_proxy::admin::Metrics;
use chaos_proxy::fault::Direction;

use crate::binary::{PROGRAM, Process, command, config};
use crate::support::{
    End, PATHS, Proxy, connect, eventually, expect, pattern, read_all, reset, slow,
};
use crate::upstreams::{self, Nobody};

/// The page of a proxy.
fn page(proxy: &Proxy) -> String {
    proxy.running().metrics(Metrics::ALL)
}

/// The value of the one sample that is named like this, labels included.
#[track_caller]
fn sample(page: &str, name: &str) -> f64 {
    let found = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = found.unwrap_or_else(|| panic!("no {name} in\n{page}"));
    value.parse().unwrap()
}

/// Asks for a page and reads it to its end: the head and the body.
pub(crate) fn get(addr: SocketAddr, path: &str) -> (String, String) {
    let mut client = connect(addr);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let text = String::from_utf8(read_all(&client).0).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

#[test]
fn all_that_was_read_was_written() {
    const LENGTHS: [usize; 4] = [1, 1000, 300_000, 3_000_000];
    for knobs in PATHS {
        let upstream = upstreams::echo();
        let proxy = Proxy::start(upstream.addr, knobs);
        std::thread::scope(|scope| {
            for length in LENGTHS {
                let client = proxy.connect();
                scope.spawn(move || {
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            (&client).write_all(&pattern(length, 1)).unwrap();
                            client.shutdown(Shutdown::Write).unwrap();
                        });
                        assert_eq!(read_all(&client).0.len(), length);
                    });
                });
            }
        });
        let (now, total) = (proxy.balanced(), LENGTHS.iter().sum::<usize>() as u64);
        assert_eq!((now.received, [now.bytes_up, now.bytes_down]), ([total; 2], [total; 2]));
        assert_eq!(now.discarded, [0, 0], "{knobs}");
        let page = page(&proxy);
        assert_eq!(
            sample(&page, r#"chaos_proxy_bytes_total{route="r",direction="upstream"}"#),
            total as f64
        );
        let toxiproxys = format!(
            r#"toxiproxy_proxy_sent_bytes_total{{direction="downstream",listener="{}",proxy="r",upstream="{}"}}"#,
            proxy.addr(),
            upstream.addr
        );
        assert_eq!(sample(&page, &toxiproxys), total as f64);
    }
}

#[test]
fn a_full_pipe_is_counted_too() {
    // Nobody reads: the proxy holds what it has read and cannot write.
    let (open, wait) = upstreams::gate();
    let upstream = upstreams::Upstream::start(move |_stream| wait());
    let proxy = Proxy::start(upstream.addr, "");
    let client = proxy.connect();
    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let chunk = vec![b'x'; 64 << 10];
    eventually("the proxy stops reading", || {
        while let Ok(count) = (&client).write(&chunk) {
            sent += count as u64;
        }
        let now = proxy.figures();
        now.queued(Direction::Upstream) > 0 && sent > now.received[0]
    });
    let now = proxy.figures();
    assert!(now.bytes_up > 0 && now.discarded == [0, 0], "{now:?}");
    reset(client);
    open();
    let now = proxy.balanced();
    assert_eq!(now.received[0], now.bytes_up + now.discarded[0], "{now:?}");
    assert!(now.discarded[0] > 0, "{now:?}");
}

#[test]
fn what_a_fault_takes_out_is_counted_while_the_connection_lives() {
    let upstream = upstreams::sink();
    let hole = r#""faults": [{"type": "timeout", "name": "hole", "direction": "upstream"}]"#;
    let proxy = Proxy::start(upstream.addr, hole);
    let mut client = proxy.connect();
    client.write_all(&[7; 1000]).unwrap();
    eventually("1000 bytes discarded", || proxy.figures().discarded == [1000, 0]);
    let now = proxy.figures();
    assert_eq!((now.received, now.bytes_up, now.active()), ([1000, 0], 0, 1));
    let text = page(&proxy);
    let injected = r#"chaos_proxy_faults_injected_total{route="r",fault="hole",type="timeout"}"#;
    assert_eq!(sample(&text, injected), 1.0);
    assert_eq!(sample(&text, r#"chaos_proxy_faults_active{route="r"}"#), 1.0);
    drop(client);
    assert_eq!(proxy.balanced().discarded, [1000, 0], "and not once more");
}

#[test]
fn what_waits_is_queued_and_what_is_cut_off_is_discarded() {
    let upstream = upstreams::sink();
    let late = r#""faults": [{"type": "latency", "direction": "upstream", "latency": "1h"}]"#;
    let proxy = Proxy::start(upstream.addr, late);
    let mut client = proxy.connect();
    client.write_all(&[7; 500]).unwrap();
    eventually("500 bytes queued", || proxy.figures().queued(Direction::Upstream) == 500);
    assert_eq!(proxy.figures().discarded, [0, 0]);
    proxy.set_faults("");
    eventually("500 bytes sent", || proxy.figures().bytes_up == 500);
    proxy.set_faults(late);
    client.write_all(&[7; 20]).unwrap();
    eventually("20 bytes queued", || proxy.figures().queued(Direction::Upstream) == 20);
    proxy.running().routes().delete("r").unwrap();
    assert_eq!(upstream.outcome().len(), 500, "the rest was cut off");
}

#[test]
fn every_outcome_of_a_connection() {
    let upstream = upstreams::echo();
    let knobs = r#""maxConnections": 1, "faults": [{"type": "drop", "name": "d", "nth": 3},
        {"type": "connect_delay", "name": "c", "value": "1ms", "nth": 1}]"#;
    let proxy = Proxy::start(upstream.addr, knobs);
    let mut first = proxy.connect();
    first.write_all(b"x").unwrap();
    expect(&first, "x");
    let second = proxy.connect();
    assert_eq!(read_all(&second).1, End::Reset);
    let active = r#"chaos_proxy_connections_active{route="r"}"#;
    eventually("the refusal is counted", || sample(&page(&proxy), active) == 1.0);
    drop(first);
    proxy.balanced();
    let third = proxy.connect();
    assert_eq!(read_all(&third).1, End::Reset);
    proxy.balanced();
    let text = page(&proxy);
    for (outcome, times) in
        [("accepted", 3), ("closed", 1), ("dropped", 1), ("refused", 1), ("upstream_failed", 0)]
    {
        let name = format!(r#"chaos_proxy_connections_total{{route="r",outcome="{outcome}"}}"#);
        assert_eq!(sample(&text, &name), f64::from(times), "{outcome}");
    }
    assert_eq!(sample(&text, active), 0.0);
    for (fault, kind) in [("d", "drop"), ("c", "connect_delay")] {
        let labels = format!(r#"{{route="r",fault="{fault}",type="{kind}"}}"#);
        assert_eq!(sample(&text, &format!("chaos_proxy_faults_injected_total{labels}")), 1.0);
    }
    assert_eq!(sample(&text, r#"chaos_proxy_upstream_up{route="r"}"#), 1.0);
    assert_eq!(sample(&text, "chaos_proxy_upstream_connect_seconds_count"), 1.0);
}

#[test]
fn an_upstream_that_is_not_there_is_down() {
    let nobody = Nobody::start();
    let proxy = Proxy::start(nobody.addr, "");
    assert!(!page(&proxy).contains("chaos_proxy_upstream_up{"), "not known before the first dial");
    assert_eq!(read_all(&proxy.connect()).1, End::Reset);
    proxy.balanced();
    let text = page(&proxy);
    let failed = r#"chaos_proxy_connections_total{route="r",outcome="upstream_failed"}"#;
    assert_eq!(
        (sample(&text, failed), sample(&text, r#"chaos_proxy_upstream_up{route="r"}"#)),
        (1.0, 0.0)
    );
    assert_eq!(sample(&text, "chaos_proxy_upstream_connect_seconds_count"), 0.0);
}

#[test]
fn how_late_a_delayed_chunk_leaves_is_measured() {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, r#""latencyMs": 20"#);
    let mut client = proxy.connect();
    for _ in 0..5 {
        client.write_all(b"x").unwrap();
        expect(&client, "x");
    }
    drop(client);
    proxy.balanced();
    let text = page(&proxy);
    assert_eq!(sample(&text, "chaos_proxy_delay_error_seconds_count"), 5.0, "once an answer");
    assert!(sample(&text, "chaos_proxy_delay_error_seconds_sum") > 0.0);
    if slow() {
        let good = sample(&text, r#"chaos_proxy_delay_error_seconds_bucket{le="0.005"}"#);
        assert!(good >= 3.0, "{text}");
    }
    let clean = Proxy::start(upstream.addr, "");
    let mut client = clean.connect();
    client.write_all(b"x").unwrap();
    expect(&client, "x");
    assert_eq!(sample(&page(&clean), "chaos_proxy_delay_error_seconds_count"), 0.0);
}

/// Where the API of a process answers.
pub(crate) fn admin(process: &Process) -> SocketAddr {
    let told = process.wait_for("admin");
    told["addr"].as_str().expect("an address").parse().unwrap()
}

#[test]
fn a_process_serves_its_page() {
    let upstream = upstreams::echo();
    let mut command = command(PROGRAM);
    command.args(["-c", "-", "--log-format", "json", "--admin", "127.0.0.1:0"]);
    let mut process = Process::spawn(command);
    process.give(&config(upstream.addr, ""));
    let addr = admin(&process);
    let (head, body) = get(addr, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    assert!(sample(&body, "process_resident_memory_bytes") > 100_000.0);
    assert!(sample(&body, "process_threads") >= 2.0);
    let accepted = r#"chaos_proxy_connections_total{route="r",outcome="accepted"}"#;
    assert_eq!(sample(&body, accepted), 0.0);
}

#[test]
fn toxiproxy_has_a_page_only_when_it_is_asked_for() {
    for (flags, routes, runtime) in [
        (&[][..], false, false),
        (&["-proxy-metrics"], true, false),
        (&["-runtime-metrics=true"], false, true),
        (&["-proxy-metrics", "-runtime-metrics"], true, true),
    ] {
        let mut command = command(PROGRAM);
        command.args(["toxiproxy-server", "-host", "127.0.0.1", "-port", "0"]).args(flags);
        let process = Process::spawn(command);
        let (head, body) = get(admin(&process), "/metrics");
        let status = if routes || runtime { "HTTP/1.1 200 OK" } else { "HTTP/1.1 404 Not Found" };
        assert!(head.starts_with(status), "{flags:?}: {head}");
        assert_eq!(body.contains("chaos_proxy_connections_total"), routes, "{flags:?}");
        assert_eq!(body.contains("process_open_fds"), runtime, "{flags:?}");
    }
}
