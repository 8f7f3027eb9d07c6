//! Upstreams on threads, on ports that the system chose; what they saw comes on a channel.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::{PATIENCE, patient, read_all, receive};

/// An upstream that does the same with each connection. Dropping it stops it.
pub(crate) struct Upstream<T> {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    outcomes: Receiver<T>,
    accepted: Arc<AtomicUsize>,
    listener: Arc<TcpListener>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Upstream<T> {
    /// Calls `serve` on a thread for each connection; what it returns is an outcome.
    pub(crate) fn start(serve: impl Fn(TcpStream) -> T + Send + Sync + 'static) -> Upstream<T> {
        Upstream::on(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
    }

    /// The same on a listener that the test made.
    pub(crate) fn on(
        listener: TcpListener,
        serve: impl Fn(TcpStream) -> T + Send + Sync + 'static,
    ) -> Upstream<T> {
        let (listener, serve) = (Arc::new(listener), Arc::new(serve));
        let (sender, outcomes) = unbounded();
        let addr = listener.local_addr().unwrap();
        let (accepted, stopping) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (own, count, stop) =
            (Arc::clone(&listener), Arc::clone(&accepted), Arc::clone(&stopping));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = own.accept()
                && !stop.load(Ordering::SeqCst)
            {
                count.fetch_add(1, Ordering::SeqCst);
                let (serve, sender) = (Arc::clone(&serve), sender.clone());
                std::thread::spawn(move || {
                    let _ = sender.send(serve(patient(stream)));
                });
            }
        });
        Upstream { addr, outcomes, accepted, listener, stopping, thread: Some(thread) }
    }

    /// What came of the next connection to end.
    pub(crate) fn outcome(&self) -> T {
        receive(&self.outcomes, "the outcome of an upstream's connection")
    }

    /// Connections it has accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl<T> Drop for Upstream<T> {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both); // ends the accept
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Sends everything back, and its FIN after the client's.
pub(crate) fn echo() -> Upstream<()> {
    Upstream::start(|stream| echo_back(&stream))
}

/// Sends everything back until the end.
pub(crate) fn echo_back(mut stream: &TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// Reads everything and says nothing; the outcome is what came.
pub(crate) fn sink() -> Upstream<Vec<u8>> {
    Upstream::start(|stream| read_all(&stream).0)
}

/// Sends one byte and closes.
pub(crate) fn one_byte() -> Upstream<()> {
    Upstream::start(|mut stream| {
        let _ = stream.write_all(b"k");
    })
}

/// A port on which nobody listens; it is bound, so that nobody else takes it.
pub(crate) struct Nobody {
    /// Where a connect is refused.
    pub(crate) addr: SocketAddr,
    _socket: Socket,
}

impl Nobody {
    /// Binds and does not listen.
    pub(crate) fn start() -> Nobody {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        Nobody { addr, _socket: socket }
    }
}

/// A listener whose queue is full: a further connect hangs, for the system ignores it.
pub(crate) struct Unreachable {
    /// Where a connect hangs.
    pub(crate) addr: SocketAddr,
    listener: TcpListener,
    _fillers: Vec<TcpStream>,
}

impl Unreachable {
    /// Listens with the shortest queue and fills it.
    pub(crate) fn start() -> Unreachable {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener: TcpListener = socket.into();
        let addr = listener.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(100)) {
            fillers.push(stream);
            assert!(fillers.len() < 16, "the queue of {addr} never fills");
        }
        Unreachable { addr, listener, _fillers: fillers }
    }

    /// Answers from now on. The system repeats a connect that hangs after a second.
    pub(crate) fn relent<T: Send + 'static>(
        self,
        serve: impl Fn(TcpStream) -> T + Send + Sync + 'static,
    ) -> Upstream<T> {
        SockRef::from(&self.listener).listen(64).unwrap();
        Upstream::on(self.listener, serve)
    }
}

/// A signal from an upstream's thread to the test, or the other way.
pub(crate) fn gate() -> (impl Fn() + Clone + Send + Sync, impl Fn() + Clone + Send + Sync) {
    let (sender, receiver) = unbounded();
    let open = move || sender.send(()).unwrap();
    let wait = move || receiver.recv_timeout(PATIENCE).unwrap();
    (open, wait)
}
