//! What a page in a browser, a stranger or a broken client may send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fake::Fake;
use super::script::{bytes_request, line, play, play_with};
use super::{AdminOptions, Answer, BODY_BYTES_MAX, Metrics, Token, answer, handle};
use crate::config::{FAULTS_MAX, ROUTES_MAX};

#[test]
fn other_hosts_are_refused_whatever_they_ask_for() {
    let why = r#"is not allowed (an IP address, or allowedHosts)","status":403}\n"#;
    let evil = format!(r#"403 text {{"error":"host \"evil.example:8474\" {why}"#);
    for path in ["/version", "/proxies", "/nothing", "/healthz", "/readyz", "//proxies"] {
        play(&format!("> GET {path} | Host: evil.example:8474\n< {evil}"));
    }
    let lookalike = format!(r#"403 text {{"error":"host \"127.0.0.1.nip.io\" {why}"#);
    play(&format!("> POST /reset | Host: 127.0.0.1.nip.io\n< {lookalike}"));
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8474", "[::1]:8474", "192.168.1.7"] {
        play(&format!("> GET /proxies | Host: {host}\n< 200 json {{}}"));
    }
    let options = AdminOptions { allowed_hosts: vec!["toxiproxy".into()], ..Default::default() };
    play_with(&options, "> GET /proxies | Host: Toxiproxy:8474\n< 200 json {}");
    play_with(&options, &format!("> GET /version | Host: evil.example:8474\n< {evil}"));
}

#[test]
fn an_old_client_may_leave_the_host_out() {
    let mut request = bytes_request("GET", "/proxies", b"", &[]);
    request.host.clear();
    let reply = handle(&request, &Fake::default(), &AdminOptions::default());
    assert_eq!(line(&reply), "200 json {}");
}

#[test]
fn pages_of_other_sites_are_refused() {
    let refused = |field: &str, name: &str| {
        let why = format!("requests from web pages are not allowed ({name})");
        play(&format!(
            "> POST /reset | {field}\n< 403 text {{\"error\":\"{why}\",\"status\":403}}\\n"
        ));
    };
    for origin in ["http://evil.example", "null", "", "https://localhost:8474", "http://localhost"]
    {
        refused(&format!("Origin: {origin}"), "Origin");
    }
    refused("Origin: http://localhost:8474 | Origin: http://evil.example", "Origin");
    for site in ["cross-site", "same-site", "", "Same-Origin"] {
        refused(&format!("Sec-Fetch-Site: {site}"), "Sec-Fetch-Site");
    }
    for own in ["Origin: http://LOCALHOST:8474", "Sec-Fetch-Site: none"] {
        play(&format!("> POST /reset | {own}\n< 204"));
    }
    play("> POST /reset | Sec-Fetch-Site: same-origin\n< 204");
}

#[test]
fn browsers_are_refused_on_matched_paths() {
    play(
        r##"
        > GET /version | User-Agent: Mozilla/5.0 (Linux) AppleWebKit
        < 403 text User agent not allowed\n
        > POST /proxies {"name":"a","upstream":"u"} | User-Agent: Mozilla/5.0
        < 403 text User agent not allowed\n
        > GET /proxies | User-Agent: Wget/1.21
        < 200 json {}
        > GET /proxies | User-Agent: mozilla/5.0
        < 200 json {}
        > GET /proxies | User-Agent: My Mozilla/5.0
        < 200 json {}
        > GET /nothing | User-Agent: Mozilla/5.0
        < 404 text 404 page not found\n
        > PUT /proxies | User-Agent: Mozilla/5.0
        < 405
        > GET /healthz | User-Agent: Mozilla/5.0
        < 200 text ok\n
        "##,
    );
}

#[test]
fn nobody_without_the_token() {
    let options = AdminOptions { token: Token::new("s3cret"), ..Default::default() };
    let why = "a token is needed (Authorization: Bearer <token>)".replace('<', "\\u003c");
    let why = why.replace('>', "\\u003e");
    let refused =
        format!("401 text WWW-Authenticate: Bearer {{\"error\":\"{why}\",\"status\":401}}\\n");
    let bad = ["X: y", "Authorization: s3cret", "Authorization: Basic s3cret", "Authorization:"];
    let near =
        ["Authorization: Bearer", "Authorization: Bearer s3cre", "Authorization: Bearer S3cret"];
    let twice = ["Authorization: Bearer s3cret | Authorization: Bearer x"];
    for field in bad.into_iter().chain(near).chain(twice) {
        for path in ["/version", "/proxies", "/nothing", "//proxies"] {
            play_with(&options, &format!("> GET {path} | {field}\n< {refused}"));
        }
    }
    play_with(&options, "> GET /proxies | Authorization: bearer  s3cret\n< 200 json {}");
    play_with(&options, "> GET /healthz\n< 200 text ok\\n");
    assert!(!format!("{options:?}").contains("s3cret"));
}

#[test]
fn probes() {
    let draining = Arc::new(AtomicBool::new(false));
    let options = AdminOptions { draining: Arc::clone(&draining), ..Default::default() };
    let both = "> GET /healthz\n< 200 text ok\\n\n> GET /readyz\n";
    play_with(&options, &format!("{both}< 200 text ok\\n"));
    play_with(&options, "> HEAD /healthz\n< 200 text ok\\n\n> POST /readyz\n< 405");
    draining.store(true, Ordering::Relaxed);
    play_with(&options, &format!("{both}< 503 text draining\\n"));
}

/// The status for a body on every path that reads one; nothing may be changed by it.
#[track_caller]
fn refused(body: &[u8]) {
    let (routes, options) = (Fake::default(), AdminOptions::default());
    let ask = |method: &str, path: &str, body: &[u8]| {
        let reply = handle(&bytes_request(method, path, body, &[]), &routes, &options);
        (reply.status, line(&reply))
    };
    ask("POST", "/proxies", br#"{"name":"p","upstream":"u","toxics":[{"type":"latency"}]}"#);
    let before = ask("GET", "/proxies", b"");
    let paths = ["/proxies", "/proxies/p", "/proxies/p/toxics", "/populate"];
    for path in paths.into_iter().chain(["/proxies/p/toxics/latency_downstream"]) {
        let (status, text) = ask("POST", path, body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(status, 400, "{path}: {shown}: {text}");
        assert!(text.contains("bad request body: ") && text.len() < 400, "{path}: {text}");
    }
    assert_eq!(ask("GET", "/proxies", b""), before);
}

#[test]
fn hostile_json_is_refused_in_one_line() {
    refused("[".repeat(10_000).as_bytes());
    refused("[".repeat(BODY_BYTES_MAX).as_bytes());
    refused("{\"a\":".repeat(10_000).as_bytes());
    refused(&[br#"{"name":""#, [b'x'; 5_000].as_slice()].concat());
    for body in ["", " ", "NaN", "-", "1e999", "{\"a\":Infinity}", "{\"a\" 1}", "{,}", "'a'", "\0"]
    {
        refused(body.as_bytes());
    }
    refused(b"{\"name\":\"\xff\"}");
    refused(br#"{"name":"\ud800"}"#);
    refused(br#"{"name":"\ud800\u0041"}"#);
    refused(b"\xef\xbb\xbf{}");
    refused(format!("[{}1]", "1,".repeat(300_000)).as_bytes());
    for body in ["5", "\"text\"", "true", "1.5"] {
        refused(body.as_bytes());
    }
}

#[test]
fn hostile_values_are_refused() {
    let (routes, options) = (Fake::default(), AdminOptions::default());
    let ask = |path: &str, body: &str| {
        handle(&bytes_request("POST", path, body.as_bytes(), &[]), &routes, &options).status
    };
    assert_eq!(ask("/proxies", r#"{"name":"p","upstream":"u","enabled":false}"#), 201);
    for number in ["1e308", "-1e308", "1e30", "-1", "18446744073709551616", "0.5", "\"\"", "[[]]"] {
        let body = format!(r#"{{"type":"latency","attributes":{{"latency":{number}}}}}"#);
        assert_eq!(ask("/proxies/p/toxics", &body), 400, "{number}");
    }
    let long = "x".repeat(super::wire::NAME_BYTES_MAX + 1);
    for (key, status) in [(&long[1..], 201), (&long, 400)] {
        let body = format!(r#"{{"name":"{key}","upstream":"u","enabled":false}}"#);
        assert_eq!(ask("/proxies", &body), status);
    }
    let body =
        r#"{"type":"x","type":"latency","Type":null,"attributes":{"latency":-1,"latency":2}}"#;
    assert_eq!(ask("/proxies/p/toxics", body), 400, "each of equal keys is looked at");
    let body = format!("{{}}{}", " ".repeat(BODY_BYTES_MAX - 2));
    assert_eq!(ask("/proxies/p", &body), 200);
    assert_eq!(ask("/proxies/p", &format!("{body} ")), 413);
    let large = bytes_request("POST", "/populate", format!("{body} ").as_bytes(), &[]);
    let expected = r#"413 json {"error":"the body is too large (at most 1048576 bytes)","status":413,"proxies":[]}"#;
    assert_eq!(line(&handle(&large, &routes, &options)), expected);
}

#[test]
fn one_more_than_there_may_be_is_refused() {
    let (routes, options) = (Fake::default(), AdminOptions::default());
    let ask = |path: &str, body: &str| {
        line(&handle(&bytes_request("POST", path, body.as_bytes(), &[]), &routes, &options))
    };
    let proxy = |n: usize| format!(r#"{{"name":"{n}","upstream":"u","enabled":false}}"#);
    let toxic = |n: usize| format!(r#"{{"type":"latency","name":"{n}"}}"#);
    (0..ROUTES_MAX).for_each(|n| assert!(ask("/proxies", &proxy(n)).starts_with("201")));
    assert!(ask("/proxies", &proxy(ROUTES_MAX)).contains("too many proxies (at most 1024)"));
    assert!(ask("/proxies", &proxy(0)).contains("proxy already exists"));
    let one_more = ask("/populate", &format!("[{},{}]", proxy(0), proxy(ROUTES_MAX)));
    assert!(one_more.contains("too many proxies (at most 1024)"), "{one_more}");
    assert!(one_more.contains(r#""proxies":[{"name":"0","#), "those before it stay: {one_more}");
    let all: Vec<String> = (0..ROUTES_MAX + 1).map(|_| proxy(0)).collect();
    let too_long = ask("/populate", &format!("[{}]", all.join(",")));
    assert!(too_long.contains("too many proxies") && too_long.ends_with(r#""proxies":[]}"#));
    assert!(ask("/populate", &format!("[{}]", all[1..].join(","))).starts_with("201"));
    (0..FAULTS_MAX).for_each(|n| assert!(ask("/proxies/0/toxics", &toxic(n)).starts_with("200")));
    assert!(ask("/proxies/0/toxics", &toxic(FAULTS_MAX)).contains("too many toxics (at most 100)"));
    let all: Vec<String> = (0..FAULTS_MAX + 1).map(toxic).collect();
    let body = format!(r#"[{{"name":"1","upstream":"v","toxics":[{}]}}]"#, all.join(","));
    assert!(ask("/populate", &body).contains("too many toxics (at most 100)"));
}

#[test]
fn counters_and_events_are_for_who_may_use_the_api() {
    let options = |metrics| AdminOptions { token: Token::new("s"), metrics, ..Default::default() };
    let ask_at = |path: &str, method: &str, field: &str, metrics| {
        let request = bytes_request(method, path, b"", &["User-Agent: Mozilla/5.0", field]);
        match answer(&request, &Fake::default(), &options(metrics)) {
            Answer::Whole(reply) => reply.status,
            Answer::Metrics(wanted) => {
                assert_eq!(wanted, metrics);
                200
            }
            Answer::Events => 200,
        }
    };
    let ask = |method: &str, field: &str, metrics| ask_at("/metrics", method, field, metrics);
    let bearer = "Authorization: Bearer s";
    assert_eq!(ask("GET", bearer, Metrics::ALL), 200, "a person may look at it in a browser");
    assert_eq!(ask("HEAD", bearer, Metrics { routes: true, process: false }), 200);
    assert_eq!(ask("POST", bearer, Metrics::ALL), 405);
    assert_eq!(ask("GET", "Authorization: Bearer t", Metrics::ALL), 401);
    assert_eq!(ask("GET", "Host: evil.example", Metrics::ALL), 403);
    assert_eq!(ask("GET", "Origin: http://evil.example", Metrics::ALL), 403);
    assert_eq!(ask("GET", bearer, Metrics::default()), 404);
    let events = |method: &str, field: &str| ask_at("/api/events", method, field, Metrics::ALL);
    assert_eq!(
        [events("GET", bearer), events("HEAD", bearer), events("POST", bearer)],
        [200, 405, 405]
    );
    assert_eq!(events("GET", "Authorization: Bearer t"), 401);
    assert_eq!(events("GET", "Origin: http://evil.example"), 403);
}
