//! Routes that are made, moved, disabled and deleted while the process runs.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use chaos_proxy::config;
use chaos_proxy::config::plan::Protocol;
use chaos_proxy::control::routes::{Refused, RouteEdit, RouteView};
use chaos_proxy::embed::Running;
use chaos_proxy::journal::Note;
use crossbeam_channel::bounded;

use crate::support::{End, PATIENCE, Proxy, eventually, own_listen, read_all, receive};
use crate::upstreams;

fn running() -> Running {
    let listen = own_listen();
    let text = format!(r#"[{{"name": "first", "listen": "{listen}", "upstream": "127.0.0.1:9"}}]"#);
    Running::start(config::read(text.as_bytes()).expect("a plan")).expect("bound")
}

fn wanted(name: &str, listen: &str, upstream: SocketAddr) -> RouteView {
    RouteView {
        protocol: Protocol::Tcp,
        name: name.into(),
        listen: listen.into(),
        upstream: upstream.to_string(),
        enabled: true,
        faults: Vec::new(),
    }
}

fn connect(listen: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(listen.parse::<SocketAddr>().expect("an address"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn echoes(mut stream: &TcpStream) -> bool {
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok() && byte == *b"x"
}

#[test]
fn a_route_is_made_and_its_port_is_free_when_it_is_deleted() {
    let (running, upstream) = (running(), upstreams::echo());
    let routes = running.routes();
    let made = routes.create(wanted("r", &own_listen(), upstream.addr)).expect("made");
    let live = connect(&made.listen).expect("connected");
    assert!(echoes(&live));
    assert_eq!(routes.create(wanted("r", "", upstream.addr)), Err(Refused::NameTaken));
    let other = routes.create(wanted("s", &made.listen, upstream.addr));
    let expected = format!("listen tcp {}: bind: address already in use", made.listen);
    assert_eq!(other, Err(Refused::CannotListen(expected)));
    assert_eq!(routes.get("s"), None, "a route that cannot listen is not kept");
    routes.delete("r").expect("deleted");
    eventually("its connections are over", || !echoes(&live));
    assert_eq!(
        connect(&made.listen).map_err(|e| e.kind()).err(),
        Some(ErrorKind::ConnectionRefused)
    );
    assert_eq!(routes.delete("r"), Err(Refused::NoSuchRoute));
    routes.create(wanted("s", &made.listen, upstream.addr)).expect("the port is free");
}

#[test]
fn a_disabled_route_comes_back_on_its_port_with_its_faults() {
    let (running, upstream) = (running(), upstreams::echo());
    let routes = running.routes();
    let made = routes.create(wanted("r", &own_listen(), upstream.addr)).expect("made");
    let live = connect(&made.listen).expect("connected");
    assert!(echoes(&live));
    let enabled = |enabled| RouteEdit { enabled: Some(enabled), ..RouteEdit::default() };
    for _ in 0..2 {
        let off = routes.edit("r", enabled(false)).expect("disabled");
        assert_eq!((off.enabled, &off.listen), (false, &made.listen));
    }
    eventually("its connections are over", || !echoes(&live));
    assert!(connect(&made.listen).is_err());
    let on = routes.edit("r", enabled(true)).expect("enabled");
    assert_eq!((on.enabled, &on.listen), (true, &made.listen));
    assert!(echoes(&connect(&made.listen).expect("connected")));
}

/// A dial that is done when the route ends, and is not used yet.
#[test]
fn a_connection_that_is_just_being_made_ends_with_its_route() {
    let upstream = upstreams::echo();
    let (dialled, is_dialled) = bounded(1);
    let (go_on, may_go_on) = bounded::<()>(1);
    let sink = move |note: &Note<'_>| {
        if note.name() == "connected" {
            dialled.send(()).expect("the test waits for it");
            let _ = may_go_on.recv_timeout(PATIENCE);
        }
    };
    let plan = Proxy::config(&upstream.addr.to_string(), "");
    let plan = config::read(plan.as_bytes()).expect("a plan");
    let running = Running::start_with(plan, Box::new(sink)).expect("bound");
    let client = crate::support::connect(running.addr("r").expect("it listens"));
    receive(&is_dialled, "a dial that is done");
    let off = RouteEdit { enabled: Some(false), ..RouteEdit::default() };
    running.routes().edit("r", off).expect("disabled");
    go_on.send(()).expect("it waits for it");
    assert_ne!(read_all(&client).1, End::Silence);
    eventually("nothing is left of it", || running.in_flight() == 0);
}

#[test]
fn another_upstream_ends_connections_and_the_same_one_does_not() {
    let (running, upstream, other) = (running(), upstreams::echo(), upstreams::echo());
    let routes = running.routes();
    let made = routes.create(wanted("r", "localhost:0", upstream.addr)).expect("made");
    let live = connect(&made.listen).expect("connected");
    assert!(echoes(&live));
    let by_name = made.listen.replace("127.0.0.1", "localhost");
    let same = RouteEdit {
        listen: Some(by_name.clone()),
        upstream: Some(upstream.addr.to_string()),
        protocol: Some(Protocol::Tcp),
        enabled: Some(true),
    };
    assert_eq!(routes.edit("r", same).as_ref(), Ok(&made));
    assert_eq!(routes.ensure(wanted("r", &by_name, upstream.addr)).as_ref(), Ok(&made));
    assert!(echoes(&live), "nothing was different");
    let elsewhere = RouteEdit { upstream: Some(other.addr.to_string()), ..RouteEdit::default() };
    routes.edit("r", elsewhere).expect("led elsewhere");
    eventually("its connections are over", || !echoes(&live));
    assert!(echoes(&connect(&made.listen).expect("connected")));
    let bad = RouteEdit { listen: Some("bad".into()), ..RouteEdit::default() };
    let refusal = Refused::CannotListen("address bad: missing port in address".into());
    assert_eq!(routes.edit("r", bad), Err(refusal));
    assert!(echoes(&connect(&made.listen).expect("still there")));
}

#[test]
fn a_wildcard_written_again_is_the_same() {
    let (running, upstream) = (running(), upstreams::echo());
    let routes = running.routes();
    let Ok(made) = routes.create(wanted("r", "0.0.0.0:0", upstream.addr)) else {
        return; // a host without IPv6
    };
    let port = made.listen.rsplit(':').next().expect("a port").to_owned();
    assert_eq!(made.listen, format!("[::]:{port}"));
    for text in [format!("0.0.0.0:{port}"), format!(":{port}"), format!("[::]:{port}")] {
        assert_eq!(routes.ensure(wanted("r", &text, upstream.addr)).as_ref(), Ok(&made), "{text}");
    }
}

#[test]
fn reset_enables_all_and_goes_on_after_a_refusal() {
    let (running, upstream) = (running(), upstreams::echo());
    let routes = running.routes();
    let off = RouteEdit { enabled: Some(false), ..RouteEdit::default() };
    let first = routes.edit("first", off.clone()).expect("disabled");
    let taker = routes.create(wanted("a-taker", &first.listen, upstream.addr)).expect("made");
    routes.create(wanted("z", &own_listen(), upstream.addr)).expect("made");
    routes.edit("z", off).expect("disabled");
    let refused = routes.reset().expect_err("one cannot listen");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(routes.get("z").expect("there").enabled);
    routes.delete("a-taker").expect("deleted");
    assert_eq!(routes.reset(), Ok(()));
    assert_eq!(routes.get("first").expect("there").listen, taker.listen);
}
