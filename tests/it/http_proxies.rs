//! Proxies of protocol http that are made while the process runs: by the API, from Toxiproxy's
//! file, with the client.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use serde_json::json;

use crate::api::{Api, served};
use crate::binary::run;
use crate::http_route::{ok, told, web};
use crate::support::{End, connect, expect, own_listen, read_all};

/// What the API makes of this proxy; where it listens.
fn create(api: &mut Api, name: &str, upstream: SocketAddr) -> SocketAddr {
    let upstream = upstream.to_string();
    let body =
        json!({"name": name, "listen": own_listen(), "upstream": upstream, "protocol": "http"});
    let made = api.ask(201, "POST", "/proxies", &body.to_string()).json();
    assert_eq!(made["protocol"], "http");
    made["listen"].as_str().expect("an address").parse().expect("an address")
}

#[track_caller]
fn ask(mut client: &TcpStream, method: &str, answer: &str) {
    let request = format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    expect(client, answer);
}

#[test]
fn faults_of_requests_act_on_a_proxy_that_the_api_has_made() {
    let (served, upstream) = (served(), web(told));
    let mut api = Api::connect(served.addr);
    let client = connect(create(&mut api, "p", upstream.addr));
    ask(&client, "GET", &ok("GET /a 0"));
    api.add(
        r#"{"type": "http_error", "name": "e", "match": {"method": "POST"},
            "attributes": {"status": 503, "body": "ours", "headers": {"Content-Type": "x"}}}"#,
    );
    // On the same connection: only what matches.
    ask(&client, "GET", &ok("GET /a 0"));
    let error = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: x\r\n\
                 X-Chaos-Faults: http_error;status=503\r\nContent-Length: 4\r\n\r\nours";
    ask(&client, "POST", error);
    api.remove("e");
    ask(&client, "POST", &ok("POST /a 0"));
}

#[test]
fn another_protocol_ends_connections_and_is_refused_while_a_fault_needs_the_old_one() {
    let (served, upstream) = (served(), web(told));
    let mut api = Api::connect(served.addr);
    let addr = create(&mut api, "p", upstream.addr);
    let live = connect(addr);
    ask(&live, "GET", &ok("GET /a 0"));
    api.add(r#"{"type": "http_timeout"}"#);
    let refused = api.ask(409, "PATCH", "/proxies/p", r#"{"protocol": "tcp", "enabled": false}"#);
    let error = refused.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("http_timeout needs a route that speaks HTTP"), "{error}");
    let kept = api.ask(200, "GET", "/proxies/p", "").json();
    assert_eq!((&kept["enabled"], &kept["protocol"]), (&json!(true), &json!("http")));
    api.remove("http_timeout_downstream");
    let now = api.ask(200, "PATCH", "/proxies/p", r#"{"protocol": "tcp"}"#).json();
    assert_eq!(
        (&now["protocol"], now["listen"].as_str()),
        (&json!(null), Some(&*addr.to_string()))
    );
    assert_eq!(read_all(&live).1, End::Fin, "it was restarted");
    let mut client = connect(addr);
    client.write_all(b"no HTTP\r\n\r\n").unwrap();
    assert_eq!(read_all(&client).0, b"", "nobody says that it is no HTTP");
}

#[test]
fn a_file_of_proxies_may_say_it() {
    let (served, upstream) = (served(), web(told));
    let proxy = json!([{"name": "p", "listen": "127.0.0.1:0", "upstream": upstream.addr.to_string(),
        "protocol": "http", "toxics": [{"type": "http_delay", "attributes": {"latency": 1}}]}]);
    served.running.populate(proxy.to_string().as_bytes()).expect("a good file");
    let client = connect(served.running.addr("p").expect("it listens"));
    let delayed = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nX-Chaos-Faults: ";
    ask(&client, "GET", delayed);
    let wrong = json!([{"name": "q", "upstream": "u", "protocol": "https"}]);
    let error = served.running.populate(wrong.to_string().as_bytes()).expect_err("no protocol");
    let expected = "[0].protocol: \\\"https\\\" (tcp, http, did you mean \\\"http\\\"?)";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn the_client_makes_and_shows_it() {
    let (served, upstream) = (served(), web(told));
    let host = format!("--host={}", served.addr);
    let asked = |words: &[&str]| run(&[words, &[host.as_str()]].concat(), "");
    let to = upstream.addr.to_string();
    let words = ["create", "-l", "127.0.0.1:0", "-u", &to, "--protocol", "http", "p"];
    assert_eq!(asked(&words).out, "Created new proxy p\n");
    let addr = served.running.addr("p").expect("it listens");
    assert!(
        asked(&["list"]).out.contains(&format!("p\t{addr}\t{to}\tenabled\t0\tprotocol=http\n"))
    );
    assert_eq!(asked(&["inspect", "p"]).out, "protocol=http\n");
    let refused = asked(&["create", "-l", "127.0.0.1:0", "-u", &to, "--protocol", "h3", "q"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains(r#"protocol: "h3" (tcp, http)"#), "{}", refused.err);
    ask(&connect(addr), "GET", &ok("GET /a 0"));
}
