//! The client of a running server, against a server that answers what it was told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread::JoinHandle;

use crate::binary::{PROGRAM, Said, command};
use crate::support::patient;

/// A server that answers one connection after the other, each with one of these texts.
struct Canned {
    addr: SocketAddr,
    requests: JoinHandle<Vec<String>>,
}

impl Canned {
    fn start(answers: &[&str]) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let requests = std::thread::spawn(move || {
            let serve = |answer: &String| {
                let mut client = patient(listener.accept().unwrap().0);
                let request = request(&mut client);
                client.write_all(answer.as_bytes()).unwrap();
                request
            };
            answers.iter().map(serve).collect()
        });
        Canned { addr, requests }
    }

    /// Runs the client with these words and this server; what it said, and what it asked.
    fn with(self, line: &str) -> (Said, Vec<String>) {
        let said = called("chaos-proxy", &format!("{line} --host {}", self.addr));
        (said, self.requests.join().unwrap())
    }
}

/// A request with its body.
fn request(from: &mut impl Read) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    loop {
        let count = from.read(&mut buffer).unwrap();
        text += std::str::from_utf8(&buffer[..count]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            return text;
        }
    }
}

/// The program called by this name, with these words.
fn called(name: &str, line: &str) -> Said {
    let mut command = command(PROGRAM);
    command.arg0(name).args(line.split_whitespace()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Checks code, stdout and stderr of the client with one answer from the server.
#[track_caller]
fn check(line: &str, answer: &str, code: i32, out: &str, err: &str) {
    let (said, _) = Canned::start(&[answer]).with(line);
    let came = (said.code, said.out.as_str(), said.err.as_str());
    assert_eq!(came, (Some(code), out, err), "{line}\n{answer}");
}

#[test]
fn what_is_asked_and_printed() {
    let body = r#"{"p":{"listen":"127.0.0.1:1","upstream":"h:2","enabled":true,"toxics":[]}}"#;
    let (said, requests) = Canned::start(&[&answer("200 OK", body)]).with("list");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out, "p\t127.0.0.1:1\th:2\tenabled\t0\n");
    let mut lines = requests[0].split("\r\n");
    assert_eq!(lines.next(), Some("GET /proxies HTTP/1.1"));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.contains(&"Content-Type: application/json"), "{lines:?}");
    assert!(lines.contains(&"Connection: close"), "{lines:?}");
    let agent = lines.iter().find(|line| line.starts_with("User-Agent: toxiproxy-cli/2."));
    assert!(agent.is_some_and(|agent| agent.contains(" (linux/")), "{lines:?}");
}

#[test]
fn a_toggle_asks_twice() {
    let answers = [r#"{"name":"p","enabled":true}"#, r#"{"name":"p","enabled":false}"#];
    let answers = answers.map(|body| answer("200 OK", body));
    let (said, requests) = Canned::start(&[&answers[0], &answers[1]]).with("toggle p");
    assert_eq!(said.out, "Proxy p is now disabled\n", "{said:?}");
    assert!(requests[0].starts_with("GET /proxies/p HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[1].starts_with("POST /proxies/p HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[1].ends_with("\r\n\r\n{\"enabled\":false}"), "{requests:?}");
}

#[test]
fn other_framings_and_json() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                   8\r\n{\"toxics\r\n5\r\n\":[]}\r\n0\r\n\r\n";
    check("inspect p", chunked, 0, "", "");
    check("inspect p --json", chunked, 0, "{\"toxics\":[]}\n", "");
    let until_close =
        "HTTP/1.1 200 OK\r\n\r\n{\"name\":\"t\",\"type\":\"x\",\"stream\":\"upstream\"}\n";
    check("toxic add -t x -u p", until_close, 0, "Added upstream x toxic 't' on proxy 'p'\n", "");
    let nothing = "HTTP/1.1 204 No Content\r\n\r\n";
    check("delete p", nothing, 0, "Deleted proxy p\n", "");
    check("delete p --json", nothing, 0, "", "");
}

#[test]
fn what_fails_is_one_line_and_1() {
    let not_found = answer("404 Not Found", "{\"error\":\"proxy not found\",\"status\":404}\n");
    let err = "chaos-proxy: Failed to delete proxy p: HTTP 404: proxy not found\n";
    check("delete p", &not_found, 1, "", err);
    let odd = answer("500 x", "{\"error\":\"a\\nb\\u001b[1m\"}");
    check("list", &odd, 1, "", "chaos-proxy: Failed to retrieve proxies: HTTP 500: a b [1m\n");
    let why = "the answer is not JSON (is it a Toxiproxy API that listens there?)";
    let err = format!("chaos-proxy: Failed to retrieve proxies: {why}\n");
    check("list", &answer("200 OK", "<html>"), 1, "", &err);
    for (text, why) in [
        ("", "the connection ended within the answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "the connection ended within the answer"),
        ("SSH-2.0-x\r\n", "the answer is not HTTP/1.1"),
    ] {
        let canned = Canned::start(&[text]);
        let addr = canned.addr;
        let (said, _) = canned.with("list");
        let err = format!("chaos-proxy: Failed to retrieve proxies: http://{addr}: {why}\n");
        assert_eq!((said.code, said.out.as_str(), said.err), (Some(1), "", err));
    }
    let nobody = crate::upstreams::Nobody::start();
    let said = called("chaos-proxy", &format!("list --host {}", nobody.addr));
    let way_out = "connection refused (is the server running? --host names another one)";
    let err =
        format!("chaos-proxy: Failed to retrieve proxies: http://{}: {way_out}\n", nobody.addr);
    assert_eq!((said.code, said.err), (Some(1), err));
}

/// With `--json` errors are JSON, too: on stderr, with the same exit codes.
#[test]
fn what_fails_is_json_where_that_is_asked_for() {
    let not_found = answer("404 Not Found", "{\"error\":\"proxy not found\",\"status\":404}\n");
    let err = "{\"error\":\"proxy not found\",\"status\":404}\n";
    for line in
        ["delete p --json", "inspect p --json", "--json toxic remove -n x p", "toggle p --json"]
    {
        check(line, &not_found, 1, "", err);
    }
    let plain = answer("403 Forbidden", "User agent not allowed\n");
    check("list --json", &plain, 1, "", "{\"error\":\"User agent not allowed\",\"status\":403}\n");
    let said = |line: &str| {
        let said = called("chaos-proxy", line);
        let error: serde_json::Value = serde_json::from_str(&said.err).expect("JSON");
        assert_eq!((said.out.as_str(), said.err.lines().count()), ("", 1), "{line}");
        assert!(error["status"].is_null(), "no server said it: {error}");
        (said.code, error["error"].as_str().unwrap().to_owned())
    };
    let nobody = crate::upstreams::Nobody::start();
    let (code, error) = said(&format!("list --json --host {}", nobody.addr));
    assert_eq!(code, Some(1));
    assert!(error.contains("connection refused (is the server running?"), "{error}");
    let (code, error) = said("toxic add --json p");
    assert_eq!(code, Some(2));
    assert!(error.starts_with("--type TYPE is missing (write toxic add"), "{error}");
    assert_eq!(said("--json list --frob").0, Some(2));
}

#[test]
fn by_the_name_of_toxiproxy_cli() {
    let canned = Canned::start(&[&answer("200 OK", "{}")]);
    let said = called("/usr/bin/toxiproxy-cli", &format!("-h http://{} ls", canned.addr));
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
    assert!(canned.requests.join().unwrap()[0].starts_with("GET /proxies HTTP/1.1\r\n"));
    assert_eq!(called("toxiproxy-cli", "-v").out, "toxiproxy-cli version 2.12.0\n");
    assert!(called("toxiproxy-cli", "--help").out.starts_with("toxiproxy-cli: "));
    let said = called("toxiproxy-cli", "run");
    assert_eq!((said.code, said.err.lines().count()), (Some(2), 1), "{said:?}");
    assert!(called("chaos-proxy", "help toxic add").out.starts_with("chaos-proxy toxic add: "));
    assert!(called("chaos-proxy", "list -V").out.starts_with("chaos-proxy "));
}
