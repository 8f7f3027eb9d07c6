//! The admin API under load: many calls, many clients, many proxies.

use std::io::Error;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use chaos_proxy::config::ROUTES_MAX;
use serde_json::json;

use crate::api::{Api, served};
use crate::support::{assert_took, own_listen, slow};
use crate::upstreams::Nobody;

/// How many of something: fewer where only the outcome counts.
fn scale(many: usize) -> usize {
    if slow() { many } else { many / 10 }
}

/// Says how fast it was where that counts.
fn told(what: &str, count: usize, took: Duration) {
    if slow() {
        eprintln!("{what}: {count} in {took:?}, {:.0}/s", count as f64 / took.as_secs_f64());
    }
    assert_took(took, 0, 1_000, what);
}

#[test]
fn a_thousand_creates_and_deletes_a_second_on_one_connection() {
    let (served, nobody) = (served(), Nobody::start());
    let mut api = Api::connect(served.addr);
    let count = scale(1_000);
    let begun = Instant::now();
    for n in 0..count {
        api.create(&n.to_string(), nobody.addr);
    }
    told("creates on one connection", count, begun.elapsed());
    assert_eq!(api.ask(200, "GET", "/proxies", "").json().as_object().unwrap().len(), count + 1);
    let begun = Instant::now();
    (0..count).for_each(|n| api.delete(&n.to_string()));
    told("deletes on one connection", count, begun.elapsed());
    assert_eq!(served.running.routes().all().len(), 1, "only the one there was");
}

/// None of them is turned away, though they come at one instant and keep their connections.
#[test]
fn a_hundred_clients_at_once_all_succeed() {
    let (served, nobody) = (served(), Nobody::start());
    let (clients, count) = (100, scale(100) / 10);
    let (begin, connected) = (Barrier::new(clients), Barrier::new(clients));
    let begun = Instant::now();
    let tasks = &|client: usize| {
        begin.wait();
        let mut api = Api::connect(served.addr);
        connected.wait();
        for name in (0..count).map(|n| format!("{client}-{n}")) {
            let body = json!({"name": name, "listen": "127.0.0.1:0", "upstream": nobody.addr});
            let made = api.try_ask("POST", "/proxies", &body.to_string())?;
            let gone = api.try_ask("DELETE", &format!("/proxies/{name}"), "")?;
            assert_eq!((made.status, gone.status), (201, 204), "{made:?} {gone:?}");
        }
        Ok::<(), Error>(())
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..clients).map(|client| scope.spawn(move || tasks(client))).collect();
        let ends: Vec<_> = all.into_iter().map(|task| task.join().unwrap()).collect();
        let failed: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
        assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed[0]);
    });
    told("creates and deletes of 100 clients", 2 * clients * count, begun.elapsed());
    assert_eq!(served.running.routes().all().len(), 1);
}

#[test]
fn a_reset_of_a_thousand_proxies_takes_less_than_a_second() {
    let (served, nobody) = (served(), Nobody::start());
    let mut api = Api::connect(served.addr);
    let count = scale(ROUTES_MAX) - 1;
    let own = own_listen();
    for n in 0..count {
        let body = json!({"name": n.to_string(), "listen": own, "upstream": nobody.addr});
        api.ask(201, "POST", "/proxies", &body.to_string());
        let toxics = format!("/proxies/{n}/toxics");
        api.ask(200, "POST", &toxics, r#"{"type": "latency", "attributes": {"latency": 1}}"#);
    }
    for n in (0..count).step_by(2) {
        api.ask(200, "POST", &format!("/proxies/{n}"), r#"{"enabled": false}"#);
    }
    let begun = Instant::now();
    api.ask(204, "POST", "/reset", "");
    told("a reset of proxies with a toxic, half of them disabled", count, begun.elapsed());
    let all = served.running.routes().all();
    assert!(all.iter().all(|route| route.enabled && route.faults.is_empty()));
}
