//! A connection whose callers wait for their answers in place. Its socket is on no event loop: the
//! thread that wrote a request sleeps until the answer is there. Only an answer that takes longer
//! is left to the driver, which watches the socket meanwhile.
//!
//! The sleep is a receive that blocks. `poll(2)` would do, but sets a precise timer for its limit,
//! which costs a virtual machine more than the rest of the call. The limit of a receive is coarse
//! instead, one or two ticks of the system (1 to 20 ms), so only a server that has been prompt is
//! trusted with it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{net, os};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::runtime::{Moment, Runtime};

use super::dial::ByteStream;

/// A socket that is on no event loop.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(net::TcpStream),
    Unix(os::unix::net::UnixStream),
}

/// A write to a connection that has ended is an error, and no signal. Apple's systems know that of
/// the socket.
#[cfg(not(target_vendor = "apple"))]
const SEND_NOW: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
#[cfg(target_vendor = "apple")]
const SEND_NOW: SendFlags = SendFlags::DONTWAIT;

impl Socket {
    /// Whether a receive may block. Nothing else does.
    fn set_nonblocking(&self, is_so: bool) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(is_so),
            Self::Unix(socket) => socket.set_nonblocking(is_so),
        }
    }

    /// Gives a receive that blocks the shortest limit that the system has.
    fn limit_receiving(&self) -> io::Result<()> {
        let limit = Some(IN_PLACE_MAX);
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(limit),
            Self::Unix(socket) => socket.set_read_timeout(limit),
        }
    }

    /// The same socket on the event loop of the runtime that calls this.
    fn watched(&self) -> io::Result<Box<dyn ByteStream>> {
        Ok(match self {
            Self::Tcp(socket) => Box::new(TcpStream::from_std(socket.try_clone()?)?),
            Self::Unix(socket) => Box::new(UnixStream::from_std(socket.try_clone()?)?),
        })
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self, buffer, RecvFlags::empty())?.0)
    }

    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self, buffer, RecvFlags::DONTWAIT)?.0)
    }

    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self, bytes, SEND_NOW)?)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Maximum time for which a thread waits in place for a server that has not been prompt: several
/// times what a server in the same network takes, and little to the other tasks of the thread.
const IN_PLACE_MAX: Duration = Duration::from_micros(200);
/// A server is prompt after so many answers in a row in time.
const PROMPT_MIN: u32 = 16;
/// It is no longer prompt if one of its answers takes longer.
const PROMPT_MAX: Duration = Duration::from_micros(400);
/// A connection that was used less than this time ago is taken to be open. Otherwise each call of a
/// busy caller would pay for a look.
const FRESH: Duration = Duration::from_micros(200);

/// The caller's end of the socket.
pub(crate) struct InPlace {
    socket: Arc<Socket>,
    runtime: Arc<dyn Runtime>,
    /// Number of calls in a row whose answer did not come in time.
    misses: AtomicU32,
    /// Number of answers in a row that did.
    prompt: AtomicU32,
    /// When the last answer was read, in microseconds.
    used: AtomicU64,
}

impl InPlace {
    /// Whether there are bytes, or the end of the stream, before anything was asked.
    pub(crate) fn has_bytes(&self) -> bool {
        let used = Moment::from_micros(self.used.load(Ordering::Relaxed));
        self.now().since(used) >= FRESH && self.poll(Duration::ZERO)
    }

    pub(crate) fn now(&self) -> Moment {
        self.runtime.now()
    }

    /// Waits a little for bytes, or for the end of the stream, and reads. An interrupted wait is
    /// one in which nothing came.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_prompt() {
            return self.socket.receive(buffer);
        }
        match self.socket.receive_now(buffer) {
            Err(error) if is_nothing(&error) && self.poll(IN_PLACE_MAX) => {
                self.socket.receive_now(buffer)
            }
            read => read,
        }
    }

    /// Whether the server has answered in time, many times in a row.
    pub(crate) fn is_prompt(&self) -> bool {
        self.prompt.load(Ordering::Relaxed) >= PROMPT_MIN
    }

    fn poll(&self, limit: Duration) -> bool {
        let mut sockets = [PollFd::new(&*self.socket, PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
        poll(&mut sockets, Some(&limit)).is_ok_and(|count| count > 0)
    }

    /// A call that waited in place since `begun` has its answer, or leaves it to the driver.
    pub(crate) fn ends(&self, begun: Moment, is_answered: bool) {
        let now = self.now();
        self.used.store(now.as_micros(), Ordering::Relaxed);
        let is_prompt = is_answered && now.since(begun) <= PROMPT_MAX;
        count(&self.prompt, is_prompt);
        count(&self.misses, !is_answered);
    }

    pub(crate) fn misses(&self) -> u32 {
        self.misses.load(Ordering::Relaxed)
    }
}

/// Counts how often something was so, in a row.
fn count(times: &AtomicU32, is_so: bool) {
    let more = if is_so { times.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
    times.store(more, Ordering::Relaxed);
}

/// Whether nothing was read or written, and nothing is wrong.
pub(crate) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The driver's end of the socket. While nobody watches it, a call that would block is pending, and
/// wakes nobody later. While it is watched, nobody waits in place: a receive does not block.
pub(crate) struct DirectStream {
    socket: Arc<Socket>,
    watched: Option<Box<dyn ByteStream>>,
}

impl DirectStream {
    /// Both ends of a socket.
    pub(crate) fn over(socket: Socket, runtime: Arc<dyn Runtime>) -> io::Result<(Self, InPlace)> {
        socket.limit_receiving()?;
        socket.set_nonblocking(false)?;
        let socket = Arc::new(socket);
        let in_place = InPlace {
            socket: Arc::clone(&socket),
            runtime,
            misses: AtomicU32::new(0),
            prompt: AtomicU32::new(0),
            used: AtomicU64::new(0),
        };
        Ok((Self { socket, watched: None }, in_place))
    }
}

impl ByteStream for DirectStream {
    fn watch(&mut self, is_wanted: bool) -> io::Result<()> {
        if is_wanted != self.watched.is_some() {
            self.watched = None;
            self.socket.set_nonblocking(is_wanted)?;
            if is_wanted {
                self.watched = Some(self.socket.watched()?);
            }
        }
        Ok(())
    }
}

impl AsyncRead for DirectStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(watched) = &mut self.watched {
            return Pin::new(watched).poll_read(cx, buffer);
        }
        let read = self.socket.receive_now(buffer.initialize_unfilled());
        unwatched(read.map(|count| buffer.advance(count)))
    }
}

impl AsyncWrite for DirectStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.watched {
            Some(watched) => Pin::new(watched).poll_write(cx, bytes),
            None => unwatched(self.socket.send_now(bytes)),
        }
    }

    /// A bare socket holds nothing back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn unwatched<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if is_nothing(&error) => Poll::Pending,
        done => Poll::Ready(done),
    }
}
