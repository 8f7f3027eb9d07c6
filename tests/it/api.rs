//! A client of the admin API on one connection that is kept, and a proxy to ask about.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use chaos_proxy::admin::{self, AdminOptions};
use chaos_proxy::config;
use chaos_proxy::embed::Running;
use chaos_proxy::http::Request;
use chaos_proxy::shell::admin_server::{AdminServer, Limits};
use chaos_proxy::shell::listener::Bound;
use serde_json::{Value, json};

use crate::support::{End, PATIENCE, connect, expect, own_listen, read_all};

/// A proxy in this process with the API, and no other route than one that nobody uses.
pub(crate) struct Served {
    /// Where the API is.
    pub(crate) addr: SocketAddr,
    /// Stopped before the routes it is asked about.
    pub(crate) server: AdminServer,
    /// The routes.
    pub(crate) running: Running,
}

/// Starts it.
pub(crate) fn served() -> Served {
    served_with(Limits::default())
}

/// The same with other bounds of the API.
pub(crate) fn served_with(limits: Limits) -> Served {
    let text = br#"{"seed": 7, "routes": [
        {"name": "unused", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}]}"#;
    let running = Running::start(config::read(text).unwrap()).unwrap();
    let bound = Bound::bind_to(&[SocketAddr::from(([127, 0, 0, 1], 0))]).unwrap();
    let (addr, routes, options) = (bound.addr, running.routes(), AdminOptions::default());
    let handler = Arc::new(move |request: &Request, _| admin::handle(request, &*routes, &options));
    let server = AdminServer::serve(bound, limits, handler).unwrap();
    Served { addr, server, running }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Told {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// A connection to the API.
pub(crate) struct Api(BufReader<TcpStream>);

impl Api {
    /// Connects.
    pub(crate) fn connect(addr: SocketAddr) -> Api {
        Api(BufReader::new(connect(addr)))
    }

    /// Asks, and waits for the whole answer.
    pub(crate) fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<Told> {
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}");
        self.0.get_mut().write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
        let (mut status, mut length, mut line) = (0, 0, String::new());
        while line != "\r\n" {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if status == 0 {
                status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(1);
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Told { status, body })
    }

    /// The same; it must be this status.
    #[track_caller]
    pub(crate) fn ask(&mut self, status: u16, method: &str, path: &str, body: &str) -> Told {
        let told = self.try_ask(method, path, body);
        let told = told.unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"));
        let text = String::from_utf8_lossy(&told.body).into_owned();
        assert_eq!(told.status, status, "{method} {path} {body}: {text}");
        told
    }

    /// Creates a proxy of this name on an address of its own; where it listens.
    #[track_caller]
    pub(crate) fn create(&mut self, name: &str, upstream: SocketAddr) -> SocketAddr {
        let upstream = upstream.to_string();
        let body = json!({"name": name, "listen": own_listen(), "upstream": upstream});
        let made = self.ask(201, "POST", "/proxies", &body.to_string()).json();
        made["listen"].as_str().expect("an address").parse().expect("an address")
    }

    /// Deletes it.
    #[track_caller]
    pub(crate) fn delete(&mut self, name: &str) {
        self.ask(204, "DELETE", &format!("/proxies/{name}"), "");
    }

    /// Adds a toxic, named after its type and stream unless it says otherwise, to the proxy `p`.
    #[track_caller]
    pub(crate) fn add(&mut self, toxic: &str) {
        self.ask(200, "POST", "/proxies/p/toxics", toxic);
    }

    /// Updates a toxic of the proxy `p`.
    #[track_caller]
    pub(crate) fn update(&mut self, name: &str, toxic: &str) {
        self.ask(200, "PATCH", &format!("/proxies/p/toxics/{name}"), toxic);
    }

    /// Removes a toxic of the proxy `p`.
    #[track_caller]
    pub(crate) fn remove(&mut self, name: &str) {
        self.ask(204, "DELETE", &format!("/proxies/p/toxics/{name}"), "");
    }
}

/// The API, and a proxy called `p` to `upstream`.
pub(crate) struct Proxied {
    /// The proxy and its API.
    pub(crate) served: Served,
    /// A connection to it.
    pub(crate) api: Api,
    /// Where `p` listens.
    pub(crate) addr: SocketAddr,
}

/// Starts them.
pub(crate) fn proxied(upstream: SocketAddr) -> Proxied {
    let served = served();
    let mut api = Api::connect(served.addr);
    let addr = api.create("p", upstream);
    Proxied { served, api, addr }
}

/// A client that is through to an echo.
pub(crate) fn live(addr: SocketAddr) -> TcpStream {
    let mut client = connect(addr);
    client.write_all(b"hello").unwrap();
    expect(&client, "hello");
    client
}

/// Nothing comes for a moment.
#[track_caller]
pub(crate) fn expect_silence(client: &TcpStream) {
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(read_all(client), (Vec::new(), End::Silence));
    client.set_read_timeout(Some(PATIENCE)).unwrap();
}
