//! What the topics share: a proxy in this process, its notes on a channel, and clients.
//!
//! Nothing here sleeps: waiting is a blocking read with a timeout, a channel, or `eventually`.
//! When a test fails, the `Proxy` it used prints its configuration, its seed and all it has told.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use serde_json::{Map, Value};
use socket2::SockRef;

use chaos_proxy::config;
use chaos_proxy::embed::Running;
use chaos_proxy::fault::Spec;
use chaos_proxy::journal::Figures;

/// How long a test waits for what must come. Generous: the machine may be busy with other jobs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The name of the one route of a `Proxy`.
const ROUTE: &str = "r";

/// The ways through the relay: without faults, with a queue in one direction, with two queues.
pub(crate) const PATHS: [&str; 3] = [
    "",
    r#""latencyMs": 20"#,
    r#""faults": [{"type": "latency", "direction": "both", "latency": "20ms"}]"#,
];

/// True when upper bounds of time count: on a machine that has nothing else to do.
pub(crate) fn slow() -> bool {
    std::env::var_os("RUN_SLOW_TESTS").is_some()
}

/// Runs a test for each of these, all at once: most of the time they wait. One after the other
/// where upper bounds of time count.
pub(crate) fn each<T: Send>(cases: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    if slow() {
        return cases.into_iter().for_each(test);
    }
    let test = &test;
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || test(case));
        }
    });
}

/// Waits until `ok`, or fails with `what`.
pub(crate) fn eventually(what: &str, mut ok: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ok() {
        assert!(begun.elapsed() < PATIENCE, "never came: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Receives within `PATIENCE`, or fails with `what`.
pub(crate) fn receive<T>(from: &Receiver<T>, what: &str) -> T {
    from.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("never came: {what}: {error}"))
}

/// Asserts on time that passed: at least `low`; below `high` only where upper bounds count.
#[track_caller]
pub(crate) fn assert_took(took: Duration, low: u64, high: u64, what: &str) {
    assert!(took >= Duration::from_millis(low), "{what}: took {took:?}, at least {low} ms");
    let bounded = !slow() || took < Duration::from_millis(high);
    assert!(bounded, "{what}: took {took:?}, less than {high} ms");
}

/// A note with everything in it copied.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Its word.
    pub(crate) name: String,
    /// The number of its connection, or 0.
    pub(crate) conn: u64,
    /// All its fields.
    pub(crate) fields: Map<String, Value>,
}

impl Told {
    /// A field as text; empty when there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.fields.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field as a number; none is a failure.
    pub(crate) fn number(&self, key: &str) -> f64 {
        let found = self.fields.get(key).and_then(Value::as_f64);
        found.unwrap_or_else(|| panic!("no number {key} in {self:?}"))
    }
}

/// A proxy in this process with one route.
pub(crate) struct Proxy {
    running: Option<Running>,
    config: String,
    notes: Receiver<Told>,
    /// Told, and not waited for yet.
    unseen: Mutex<Vec<Told>>,
    all: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A route to `upstream` with these knobs (JSON members), under seed 7.
    pub(crate) fn start(upstream: SocketAddr, knobs: &str) -> Proxy {
        Proxy::with_config(&Proxy::config(&upstream.to_string(), knobs))
    }

    /// The configuration that `start` uses.
    pub(crate) fn config(upstream: &str, knobs: &str) -> String {
        Proxy::config_on(&own_listen(), upstream, knobs)
    }

    /// The same, listening there.
    pub(crate) fn config_on(listen: &str, upstream: &str, knobs: &str) -> String {
        let comma = if knobs.is_empty() { "" } else { ", " };
        let knobs = format!("{comma}{knobs}");
        format!(
            r#"{{"seed": 7, "routes": [{{"name": "{ROUTE}", "listen": "{listen}",
                "upstream": "{upstream}"{knobs}}}]}}"#
        )
    }

    /// A proxy with this configuration, whose first route is named `r`.
    pub(crate) fn with_config(config: &str) -> Proxy {
        let (sender, notes) = unbounded();
        let all: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = Arc::clone(&all);
        let plan = config::read(config.as_bytes())
            .unwrap_or_else(|problems| panic!("{config}: {:?}", problems.lines("test")));
        let sink = move |note: &chaos_proxy::journal::Note<'_>| {
            lines.lock().unwrap().push(note.to_text());
            let fields = note.fields().into_iter().map(|(key, value)| (key.to_owned(), value));
            let told = Told {
                name: note.name().to_owned(),
                conn: note.connection.unwrap_or_default(),
                fields: fields.collect(),
            };
            let _ = sender.send(told);
        };
        let running = Running::start_with(plan, Box::new(sink))
            .unwrap_or_else(|error| panic!("{config}: {error}"));
        let config = config.to_owned();
        Proxy { running: Some(running), config, notes, unseen: Mutex::default(), all }
    }

    /// The proxy itself.
    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs until it is stopped")
    }

    /// Where clients connect.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.running().addr(ROUTE).expect("the route of every test")
    }

    /// A client.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.addr())
    }

    /// The counters of the route.
    pub(crate) fn figures(&self) -> Figures {
        self.running().figures(ROUTE).expect("the route of every test")
    }

    /// Puts other faults in force: those that a route with these knobs would have.
    pub(crate) fn set_faults(&self, knobs: &str) {
        let changed = self.running().set_faults(ROUTE, faults(knobs));
        assert!(changed, "{knobs} on {}", self.config);
    }

    /// The next note with this name that nobody has waited for.
    pub(crate) fn wait_for(&self, name: &str) -> Told {
        let mut unseen = self.unseen.lock().unwrap();
        loop {
            if let Some(index) = unseen.iter().position(|told| told.name == name) {
                return unseen.remove(index);
            }
            unseen.push(receive(&self.notes, name));
        }
    }

    /// All notes with this name so far that nobody has waited for.
    pub(crate) fn take_all(&self, name: &str) -> Vec<Told> {
        let mut unseen = self.unseen.lock().unwrap();
        unseen.extend(self.notes.try_iter());
        unseen.extract_if(.., |told| told.name == name).collect()
    }

    /// All notes of this connection so far that nobody has waited for, as they were told.
    pub(crate) fn take_in_order(&self, conn: u64) -> Vec<Told> {
        let mut unseen = self.unseen.lock().unwrap();
        unseen.extend(self.notes.try_iter());
        unseen.extract_if(.., |told| told.conn == conn).collect()
    }

    /// Waits until no connection is left, then checks that the counters balance.
    pub(crate) fn balanced(&self) -> Figures {
        eventually("no connection in flight", || self.running().in_flight() == 0);
        eventually("balanced counters", || self.figures().active() == 0);
        let now = self.figures();
        let ended = now.dropped + now.refused + now.upstream_failed + now.closed;
        assert_eq!(now.accepted, ended, "{now:?}");
        now
    }

    /// Refuses new connections, as the first signal does.
    pub(crate) fn drain(&mut self) {
        self.running.as_mut().expect("it runs until it is stopped").drain();
    }

    /// Stops it as `drop` does; how long that took.
    pub(crate) fn stop(mut self) -> Duration {
        let begun = Instant::now();
        drop(self.running.take());
        begun.elapsed()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.running.as_ref().map(Running::seed);
            let told = self.all.lock().map(|lines| lines.join("\n  ")).unwrap_or_default();
            eprintln!("config {}\nseed {seed:?}\nnotes\n  {told}", self.config);
        }
    }
}

/// The faults that a route with these knobs has.
pub(crate) fn faults(knobs: &str) -> Vec<Spec> {
    let plan = config::read(Proxy::config("127.0.0.1:1", knobs).as_bytes());
    plan.expect("knobs of a test are valid").routes.remove(0).faults
}

/// Any port of a loopback address that nobody else uses: each call gives another one, and so does
/// each process. On `127.0.0.1` a port that is given back for a moment may be somebody else's then.
pub(crate) fn own_listen() -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed) % (1 << 13);
    let [_, a, b, c] = (((std::process::id() % (1 << 10)) << 13) | call).to_be_bytes();
    format!("127.{}.{b}.{c}:0", 128 | a)
}

/// A client of `addr` that gives up after `PATIENCE`.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(addr).unwrap_or_else(|error| panic!("connect to {addr}: {error}")))
}

/// The same socket, which gives up after `PATIENCE` and sends at once.
pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.set_nodelay(true); // refused on a socket that is reset already
    stream
}

/// How a stream of bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer has sent its FIN.
    Fin,
    /// The peer has sent RST.
    Reset,
    /// Nothing came within the read timeout.
    Silence,
}

/// Reads to the end, whatever it is.
pub(crate) fn read_all(mut stream: &TcpStream) -> (Vec<u8>, End) {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (bytes, End::Fin),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            // A read with a timeout does not go on by itself after a stop (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => match end(&error) {
                Some(end) => return (bytes, end),
                None => panic!("after {} bytes: {error:?}", bytes.len()),
            },
        }
    }
}

fn end(error: &std::io::Error) -> Option<End> {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Some(End::Reset),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Some(End::Silence),
        _ => None,
    }
}

/// Reads exactly as many bytes as `text` has and compares them.
#[track_caller]
pub(crate) fn expect(mut stream: &TcpStream, text: &str) {
    let mut buffer = vec![0; text.len()];
    let read = stream.read_exact(&mut buffer);
    assert!(read.is_ok(), "waiting for {text:?}: {read:?}");
    assert_eq!(String::from_utf8_lossy(&buffer), text);
}

/// Ends a connection with RST.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Bytes in which every place can be told from its neighbours, other ones for each `salt`.
pub(crate) fn pattern(length: usize, salt: u32) -> Vec<u8> {
    let mut state = salt.wrapping_mul(2_654_435_769) | 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// Fails with the first place in which they differ, not with all the bytes.
#[track_caller]
pub(crate) fn assert_same(came: &[u8], sent: &[u8], what: &str) {
    let differ = came.iter().zip(sent).position(|(came, sent)| came != sent);
    let lengths = (came.len(), sent.len());
    assert!(differ.is_none(), "{what}: differ at byte {differ:?} of (came, sent) {lengths:?}");
    assert_eq!(came.len(), sent.len(), "{what}: bytes that came, and that were sent");
}
