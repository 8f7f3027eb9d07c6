//! Calls to the system that the standard library does not have. All `unsafe` of the program is
//! here, but for the entry in main.rs; each call has the reason why it is sound.
#![allow(unsafe_code, reason = "the one file that may")]

use std::cell::Cell;
use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::time::TimeSpec;
use socket2::SockRef;

use crate::shell::clock::Clock;
use crate::units::Span;

/// Something to wait for, and what came of it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    fd: BorrowedFd<'a>,
    interest: Interest,
}

/// What to wait for on a descriptor. Errors and hang-ups are always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Errors and hang-ups only.
    Trouble,
    /// The peer's FIN, whether or not there are bytes before it.
    Departure,
    /// Bytes, or the end of them.
    Readable,
    /// Room for bytes.
    Writable,
}

/// What a wait found on one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What was waited for is there.
    pub ready: bool,
    /// An error is pending: for a TCP socket, a reset.
    pub error: bool,
    /// Both directions are over, or the socket is dead.
    pub hang_up: bool,
}

impl Found {
    /// True when anything is to be looked at.
    pub fn any(self) -> bool {
        self.ready || self.error || self.hang_up
    }
}

impl<'a> Watch<'a> {
    /// Waits for `interest` on `fd`.
    pub fn new(fd: BorrowedFd<'a>, interest: Interest) -> Watch<'a> {
        Watch { fd, interest }
    }
}

/// What is waited for by itself at the end of a longer wait. A wait may be late by a thousandth of
/// its length (estimate_accuracy in Linux's fs/select.c), and a processor that sleeps deeply wakes
/// late as well. Measured with `make bench` on a virtual machine at rest: the error of a round trip
/// through a latency of 100 ms was 0.39 ms (p50) and 2.0 (p99), and is 0.16 and 0.34; of 10 ms 0.21
/// and 0.40, and is 0.09 and 0.23.
const LAST_PART: Span = Span(150_000);

/// Shorter waits are as good in one part.
const LONG_WAIT: Span = Span::from_ms(2);

/// Waits until one of the descriptors has something, or `timeout` is over; for ever without one.
/// A signal counts as nothing found.
pub fn poll<const N: usize>(
    watches: [Watch<'_>; N],
    timeout: Option<Span>,
) -> io::Result<[Found; N]> {
    let Some(whole) = timeout.filter(|span| *span >= LONG_WAIT) else {
        return poll_once(watches, timeout);
    };
    let clock = Clock::start();
    let first = Span(whole.0 - whole.0 / 1000 - LAST_PART.0);
    let found = poll_once(watches, Some(first))?;
    if found.iter().any(|found| found.any()) {
        return Ok(found);
    }
    poll_once(watches, Some(Span(whole.0.saturating_sub(clock.elapsed().0))))
}

fn poll_once<const N: usize>(
    watches: [Watch<'_>; N],
    timeout: Option<Span>,
) -> io::Result<[Found; N]> {
    let flags = |interest| match interest {
        Interest::Trouble => PollFlags::empty(),
        Interest::Departure => PollFlags::from_bits_retain(libc::POLLRDHUP),
        Interest::Readable => PollFlags::POLLIN,
        Interest::Writable => PollFlags::POLLOUT,
    };
    let mut fds = watches.map(|watch| PollFd::new(watch.fd, flags(watch.interest)));
    let timeout = timeout.map(|span| TimeSpec::from_duration(span.to_duration()));
    match nix::poll::ppoll(&mut fds, timeout, None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fds.map(|fd| {
        // A bit that nix does not know is the departure that was asked for.
        let found = fd.revents().unwrap_or(PollFlags::POLLIN);
        Found {
            ready: found.intersects(PollFlags::POLLIN | PollFlags::POLLOUT),
            error: found.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL),
            hang_up: found.contains(PollFlags::POLLHUP),
        }
    }))
}

/// A pipe whose ends are closed on exec: the read end, the write end.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Reads what is there. `waits` until there is something: then the socket must block, and fails
/// with `WouldBlock` or `Interrupted` after `interrupt_read`.
pub fn receive(source: &TcpStream, buffer: &mut [u8], waits: bool) -> io::Result<usize> {
    let flags = if waits { 0 } else { libc::MSG_DONTWAIT };
    // SAFETY: the kernel writes at most `len` bytes into `buffer`, which is borrowed until then.
    let count =
        unsafe { libc::recv(source.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Writes as much as there is room for, whether or not the socket blocks.
pub fn send(target: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    SockRef::from(target).send_with_flags(bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
}

/// A thread of this process, as the kernel numbers it.
#[derive(Clone, Copy)]
pub struct ThreadId(libc::pid_t);

impl ThreadId {
    /// The calling thread.
    pub fn of_caller() -> ThreadId {
        ThreadId(nix::unistd::gettid().as_raw())
    }
}

/// The signal that ends a `receive` that waits. By default it is ignored, and who embeds us has
/// hardly a use for it: it tells of urgent bytes to who asked for that.
const INTERRUPT: Signal = Signal::SIGURG;

/// Makes `INTERRUPT` end what it interrupts, in whatever thread. To be called once before
/// `interrupt_read`.
pub fn allow_interrupts() {
    extern "C" fn nothing(_: c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, so it may run at any time.
    let _ = unsafe { sigaction(INTERRUPT, &action) }; // fails for no signal that there is
}

/// Makes the `receive` end that `thread` waits in, and those that it would wait in from now on:
/// the socket does not block any more. `source` must be open, and the thread alive.
pub fn interrupt_read(source: RawFd, thread: ThreadId) {
    let on: c_int = 1;
    // SAFETY: FIONBIO reads one int, which outlives the call, and changes no memory.
    unsafe { libc::ioctl(source, libc::FIONBIO, &raw const on) };
    // SAFETY: a signal to a thread of this process runs its handler, which does nothing.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.0, INTERRUPT as c_int) };
}

/// Something one thread waits for and another one sets off: one descriptor.
pub struct Bell(EventFd);

impl Bell {
    /// One that nobody has rung.
    pub fn new() -> io::Result<Bell> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Bell(EventFd::from_value_and_flags(0, flags)?))
    }

    /// Wakes whoever waits, now or later.
    pub fn ring(&self) {
        let _ = self.0.write(1); // rung 2^64 times already: it is ringing
    }

    /// Is silent until it is rung again.
    pub fn hush(&self) {
        let _ = self.0.read(); // nobody has rung it
    }

    /// Waits until it is rung.
    pub fn watch(&self) -> Watch<'_> {
        Watch::new(self.0.as_fd(), Interest::Readable)
    }
}

/// Sends RST to the peer at once and wakes whoever waits on the socket, whether or not other
/// references to it are alive. Closing with linger 0 would wait for the last of them.
pub fn reset(stream: &TcpStream) {
    let nowhere =
        libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the descriptor is open while `stream` is borrowed, and the kernel reads `length`
    // bytes of `nowhere`, which is that long and outlives the call. Connecting to AF_UNSPEC
    // dissolves the association (connect(2)); for an established TCP socket Linux sends RST.
    let result = unsafe { libc::connect(stream.as_raw_fd(), &raw const nowhere, length) };
    if result != 0 {
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO)); // RST at the last close
    }
}

/// Raises the soft limit of descriptors to the hard one; the limit in force afterwards.
pub fn raise_descriptor_limit() -> u64 {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard); // refused: the soft one stays
    }
    descriptor_limit()
}

/// Descriptors that the table is widened for; it takes 8 bytes of the kernel for each.
const TABLE_DESCRIPTORS_MAX: u64 = 1 << 16;

/// Makes room in the kernel's table for all descriptors that are allowed. To be called while the
/// process has one thread: afterwards each doubling of the table waits for all processors to have
/// passed a quiet state. Measured: 100 routes were ready after 17 ms without, 6 ms with it.
pub fn widen_descriptor_table() {
    let highest = descriptor_limit().min(TABLE_DESCRIPTORS_MAX).saturating_sub(1);
    let highest = FcntlArg::F_DUPFD_CLOEXEC(i32::try_from(highest).unwrap_or(0));
    let Ok((any, _)) = pipe() else { return };
    if let Ok(copy) = fcntl(&any, highest) {
        // SAFETY: fcntl has just made this descriptor, and nobody else knows it.
        drop(unsafe { OwnedFd::from_raw_fd(copy) });
    }
}

/// The soft limit of descriptors.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

/// Makes a write to a closed pipe, or to a file over its size limit, an error instead of the end
/// of the process.
pub fn ignore_signals() {
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: SIG_IGN installs no handler, so no code runs in signal context.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Opens the standard descriptors that the caller had closed: else a listener would take the place
/// of stderr, and log lines would go into it.
pub fn fill_standard_descriptors() {
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    while let Ok(file) = null() {
        if file.as_raw_fd() > libc::STDERR_FILENO {
            return;
        }
        let _ = file.into_raw_fd(); // stays open for ever
    }
}

/// The arguments of the C runtime's main, the program's name first.
///
/// # Safety
/// `argv` must point to `argc` pointers to texts that end with a zero byte.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: the caller's promise; the texts are copied before this returns.
    let text = |index| unsafe { CStr::from_ptr(*argv.add(index)) };
    (0..count).map(|index| OsStr::from_bytes(text(index).to_bytes()).to_owned()).collect()
}

/// Lets timers of this thread, and of those it will start, fire without the 50 us by which Linux
/// otherwise bundles them (prctl(2), PR_SET_TIMERSLACK).
pub fn sharpen_timers() {
    let _ = nix::sys::prctl::set_timerslack(1); // refused: timers are 50 us late
}

/// How the kernel schedules a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Wakes at once: for threads that wait for a due time.
    Normal,
    /// Wakes without pushing others off the processor: for threads that pass bytes on.
    Batch,
}

/// Whether this process runs as batch where it passes bytes on.
static BATCH_ALLOWED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// A thread begins with the policy of the one that started it.
    static POLICY: Cell<Policy> = const { Cell::new(Policy::Batch) };
}

/// Runs this thread, and those it will start, as batch; they may `schedule` themselves otherwise.
/// Measured against HAProxy in one run, 50 connections: 0.77 without, 0.91 to 0.99 with it.
pub fn allow_batch() {
    BATCH_ALLOWED.store(true, Ordering::Relaxed);
    set_policy(Policy::Batch);
}

/// Sets the policy of this thread, when it is another one than before and batch is allowed.
pub fn schedule(policy: Policy) {
    if POLICY.get() != policy && BATCH_ALLOWED.load(Ordering::Relaxed) {
        set_policy(policy);
    }
}

fn set_policy(policy: Policy) {
    POLICY.set(policy);
    let number = match policy {
        Policy::Normal => libc::SCHED_OTHER,
        Policy::Batch => libc::SCHED_BATCH,
    };
    let priority: c_int = 0;
    // SAFETY: the kernel reads one `struct sched_param`, which is one int, and changes the
    // calling thread (0) alone. The raw call, for musl's wrapper returns ENOSYS.
    unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, number, &raw const priority) };
}

/// True when the process or the system has no descriptor left.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// True when the system has no memory for a socket.
pub fn is_out_of_memory(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::ENOBUFS))
}

/// True when there is nothing to read, or no room to write, for now.
pub fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
