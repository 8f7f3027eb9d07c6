//! Faults that remove themselves, by way of the admin API.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chaos_proxy::admin::AdminOptions;
use chaos_proxy::control::routes::RouteEdit;
use chaos_proxy::shell::admin_server::AdminServer;
use chaos_proxy::shell::listener::Bound;

use crate::support::{Proxy, assert_took, connect, eventually, expect, read_all};
use crate::upstreams;

/// A proxy with its admin API.
fn started() -> (upstreams::Upstream<()>, Proxy, AdminServer) {
    let upstream = upstreams::echo();
    let proxy = Proxy::start(upstream.addr, "");
    let bound = Bound::bind_to(&[SocketAddr::from(([127, 0, 0, 1], 0))]).map_err(|(_, e)| e);
    let admin = proxy.running().open_admin(bound.unwrap(), AdminOptions::default(), false);
    (upstream, proxy, admin.unwrap())
}

/// What the API answers; anything but success is a failure.
#[track_caller]
fn ask(admin: &AdminServer, call: &str, body: &str) -> String {
    let client = connect(admin.addr);
    let head = format!("{call} HTTP/1.1\r\nHost: localhost\r\nConnection: close");
    let text = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    (&client).write_all(text.as_bytes()).unwrap();
    let answer = String::from_utf8(read_all(&client).0).unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{call} {body}: {answer}");
    answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

const TOXICS: &str = "POST /proxies/r/toxics";

/// What a listing says is left of the lease of the one fault, in ms.
fn left(admin: &AdminServer) -> Option<u64> {
    let listing = ask(admin, "GET /proxies/r/toxics", "");
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    listing[0]["ttl"].as_u64()
}

#[test]
fn a_fault_removes_itself_and_live_connections_feel_it() {
    let (_upstream, proxy, admin) = started();
    let live = proxy.connect();
    let begun = Instant::now();
    let hole =
        r#"{"type": "bandwidth", "name": "hole", "ttl": "150ms", "attributes": {"rate": 0}}"#;
    assert!(ask(&admin, TOXICS, hole).contains(r#""ttl":150}"#));
    (&live).write_all(b"held").unwrap();
    assert!(left(&admin).is_some_and(|ms| 0 < ms && ms <= 150));
    expect(&live, "held");
    assert_took(begun.elapsed(), 150, 180, "the lease");
    let expired = proxy.wait_for("lease_expired");
    assert_eq!(expired.text("fault"), "hole");
    assert_eq!(ask(&admin, "GET /proxies/r/toxics", ""), "[]");
}

#[test]
fn a_refused_route_heals_by_itself() {
    let (_upstream, proxy, admin) = started();
    let begun = Instant::now();
    ask(&admin, TOXICS, r#"{"type": "refuse", "ttl": 100}"#);
    let refused = TcpStream::connect(proxy.addr()).is_err();
    assert!(refused || begun.elapsed() >= Duration::from_millis(100), "the lease is not over");
    assert_eq!(proxy.wait_for("lease_expired").text("fault"), "refuse_downstream");
    eventually("it listens again", || TcpStream::connect(proxy.addr()).is_ok());
}

#[test]
fn an_update_keeps_the_lease_or_renews_it_or_takes_it_back() {
    let (_upstream, proxy, admin) = started();
    let begun = Instant::now();
    let (toxic, patch) =
        (r#"{"type": "noop", "name": "n", "ttl": "150ms"}"#, "PATCH /proxies/r/toxics/n");
    ask(&admin, TOXICS, toxic);
    ask(&admin, patch, r#"{"toxicity": 0.5}"#);
    assert!(left(&admin).is_some_and(|ms| ms <= 150), "kept");
    proxy.wait_for("lease_expired");
    assert_took(begun.elapsed(), 150, 180, "kept");

    let begun = Instant::now();
    ask(&admin, TOXICS, &toxic.replace("150ms", "1h"));
    ask(&admin, patch, r#"{"ttl": 50}"#); // earlier than the keeper was to look
    proxy.wait_for("lease_expired");
    assert_took(begun.elapsed(), 50, 80, "renewed");

    ask(&admin, TOXICS, &toxic.replace("150ms", "80ms"));
    ask(&admin, patch, r#"{"ttl": 0}"#);
    let other = r#"{"type": "noop", "name": "other", "ttl": "120ms"}"#;
    ask(&admin, TOXICS, other);
    assert_eq!(proxy.wait_for("lease_expired").text("fault"), "other");
    assert_eq!(left(&admin), None);
    assert!(ask(&admin, "GET /proxies/r/toxics", "").contains(r#""name":"n""#));
}

#[test]
fn who_removes_the_fault_removes_the_lease() {
    let (_upstream, proxy, admin) = started();
    let toxic = r#"{"type": "noop", "name": "n", "ttl": "150ms"}"#;
    ask(&admin, TOXICS, toxic);
    ask(&admin, "DELETE /proxies/r/toxics/n", "");
    ask(&admin, TOXICS, &toxic.replace(r#", "ttl": "150ms""#, "")); // of the same name
    ask(&admin, "POST /reset", "");
    ask(&admin, TOXICS, toxic);
    ask(&admin, "POST /reset", "");
    ask(&admin, TOXICS, &toxic.replace("150ms", "200ms").replace(r#""n""#, r#""last""#));
    assert_eq!(proxy.wait_for("lease_expired").text("fault"), "last");
    assert!(proxy.take_all("lease_expired").is_empty(), "of the others there were none");
}

/// Time passes on a route that is disabled, too.
#[test]
fn leases_of_a_disabled_and_of_a_deleted_route() {
    let (_upstream, proxy, admin) = started();
    ask(&admin, TOXICS, r#"{"type": "noop", "name": "n", "ttl": "30ms"}"#);
    ask(&admin, TOXICS, r#"{"type": "noop", "name": "m"}"#);
    let routes = proxy.running().routes();
    let enabled = |enabled| RouteEdit { enabled: Some(enabled), ..RouteEdit::default() };
    routes.edit("r", enabled(false)).unwrap();
    assert_eq!(proxy.wait_for("lease_expired").text("fault"), "n");
    assert_eq!(routes.get("r").unwrap().faults.len(), 1);
    let made = r#"{"name": "q", "upstream": "u", "enabled": false, "toxics": [{"type": "noop", "ttl": 30}]}"#;
    ask(&admin, "POST /proxies", made);
    ask(&admin, "DELETE /proxies/q", "");
    ask(&admin, "POST /populate", &format!("[{}]", made.replace(r#""q""#, r#""s""#)));
    proxy.wait_for("lease_expired");
    assert!(routes.get("s").unwrap().faults.is_empty());
    assert!(routes.edit("r", enabled(true)).unwrap().enabled);
}

#[test]
fn a_file_to_begin_with_takes_no_lease() {
    let (_upstream, proxy, admin) = started();
    let made = r#"[{"name": "q", "upstream": "u", "toxics": [{"type": "noop", "ttl": 30}]}]"#;
    let why = proxy.running().populate(made.as_bytes()).unwrap_err().to_string();
    let expected = r#"proxy \"q\": toxic \"noop_downstream\": a fault of a configuration stays"#;
    assert!(why.contains(expected), "{why}");
    assert_eq!(proxy.running().routes().get("q"), None);
    ask(&admin, "POST /populate", made);
}

#[test]
fn many_leases_end_each_in_its_time_and_a_stop_waits_for_none() {
    let (_upstream, proxy, admin) = started();
    for n in 0..50 {
        let ttl = if n % 2 == 0 { 20 + n } else { 3_600_000 };
        ask(&admin, TOXICS, &format!(r#"{{"type": "noop", "name": "n{n}", "ttl": {ttl}}}"#));
    }
    let expired: Vec<String> =
        (0..25).map(|_| proxy.wait_for("lease_expired").text("fault").to_owned()).collect();
    assert!(expired.iter().all(|name| name[1..].parse::<u32>().unwrap() % 2 == 0), "{expired:?}");
    let routes = proxy.running().routes();
    assert_eq!(routes.get("r").unwrap().faults.len(), 25);
    let mut read = connect(proxy.addr());
    drop((admin, routes));
    let took = proxy.stop();
    assert!(took < Duration::from_secs(10), "took {took:?}");
    let _ = read.read(&mut [0]); // its end, whichever
}
