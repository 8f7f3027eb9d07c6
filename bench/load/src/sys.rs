//! The few system calls that std does not offer: epoll, a bound source address, a long backlog, the descriptor limit.
//! All `unsafe` of the load tool is here.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

const BACKLOG: i32 = 4096;
const EVENTS_MAX: usize = 1024;
/// Bounds a blocking connect, read and write. Linux applies the send timeout to connect as well.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(10);
/// Source addresses 127.0.0.2 to 127.0.0.65: each has its own range of ephemeral ports.
const SOURCES: usize = 64;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub fn raise_descriptor_limit() -> io::Result<()> {
    // SAFETY: both calls get a pointer to a live rlimit.
    unsafe {
        let mut limit: libc::rlimit = zeroed();
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
    }
    Ok(())
}

/// The command is killed when this process ends, however it ends.
pub fn end_with_parent(command: &mut Command) {
    // SAFETY: prctl is a plain system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            Ok(())
        });
    }
}

/// std listens with a backlog of 128; a burst of connects needs more.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    // SAFETY: the descriptor is open for as long as `listener` lives.
    check(unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) })?;
    Ok(listener)
}

#[derive(Clone, Copy, PartialEq)]
pub enum Waiting {
    Blocking,
    NonBlocking,
}

/// A socket bound to one of the source addresses, not yet connected. `index` spreads over the addresses.
pub fn prepare(index: usize, waiting: Waiting) -> io::Result<TcpStream> {
    let kind = match waiting {
        Waiting::Blocking => libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
        Waiting::NonBlocking => libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
    };
    // SAFETY: a fresh descriptor from `socket` has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, kind, 0))?) };
    let on: i32 = 1;
    let source = address(Ipv4Addr::new(127, 0, 0, 2 + (index % SOURCES) as u8), 0);
    // SAFETY: pointers and lengths describe live values of the types the calls expect.
    // IP_BIND_ADDRESS_NO_PORT leaves the choice of the port to connect, where ports in TIME_WAIT can be used again.
    unsafe {
        check(libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<i32>() as u32,
        ))?;
        let size = size_of::<libc::sockaddr_in>() as u32;
        check(libc::bind(fd.as_raw_fd(), (&raw const source).cast(), size))?;
    }
    let stream = TcpStream::from(fd);
    stream.set_nodelay(true)?;
    if waiting == Waiting::Blocking {
        stream.set_read_timeout(Some(BLOCKING_TIMEOUT))?;
        stream.set_write_timeout(Some(BLOCKING_TIMEOUT))?;
    }
    Ok(stream)
}

/// Connects a prepared socket. On a non-blocking one the connect may still be under way at return.
pub fn connect(stream: &TcpStream, port: u16) -> io::Result<()> {
    let target = address(Ipv4Addr::LOCALHOST, port);
    let size = size_of::<libc::sockaddr_in>() as u32;
    // SAFETY: pointer and length describe the live `target`.
    match check(unsafe { libc::connect(stream.as_raw_fd(), (&raw const target).cast(), size) }) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        other => other.map(drop),
    }
}

fn address(ip: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    // SAFETY: sockaddr_in is plain numbers; all zero is a valid value.
    let mut address: libc::sockaddr_in = unsafe { zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from(ip).to_be();
    address
}

/// True if the descriptor has data, an end or an error waiting within `timeout`.
pub fn readable_within(fd: RawFd, timeout: Duration) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live pollfd, and the count says one.
    let count = check(unsafe { libc::poll(&mut entry, 1, timeout.as_millis() as i32) })?;
    Ok(count > 0)
}

#[derive(Clone, Copy)]
pub struct Event {
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
}

/// What to be told about, and how often.
pub enum Interest {
    /// Told for as long as there is something to read.
    Read,
    /// Told once at each change to readable or writable.
    ChangesOfBoth,
}

pub struct Poller {
    fd: OwnedFd,
    buffer: Vec<libc::epoll_event>,
}

impl Poller {
    pub fn new() -> io::Result<Poller> {
        // SAFETY: a fresh descriptor has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Poller { fd, buffer: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX] })
    }

    /// Closing the descriptor removes it again.
    pub fn add(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        let events = match interest {
            Interest::Read => libc::EPOLLIN,
            Interest::ChangesOfBoth => libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET,
        };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: `event` lives through the call.
        check(unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event)
        })?;
        Ok(())
    }

    /// Waits at most `timeout`, for ever if there is none; an interrupted wait is an empty one.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Vec<Event>> {
        let millis = timeout.map_or(-1, |timeout| timeout.as_millis() as i32);
        // SAFETY: the buffer is live and EVENTS_MAX entries long.
        let count = check(unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.buffer.as_mut_ptr(),
                EVENTS_MAX as i32,
                millis,
            )
        });
        let count = match count {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other? as usize,
        };
        let ends = (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) as u32;
        Ok(self.buffer[..count]
            .iter()
            .map(|event| Event {
                token: event.u64,
                readable: event.events & ends != 0,
                writable: event.events & libc::EPOLLOUT as u32 != 0,
            })
            .collect())
    }
}
