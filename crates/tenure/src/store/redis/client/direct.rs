//! A connection whose callers wait for their answers in place. Its socket is on no event loop: the
//! thread that wrote a request sleeps in `poll(2)` until the answer is there. Only an answer that
//! takes longer is left to the driver, which watches the socket meanwhile.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::{net, os};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::dial::ByteStream;

/// A socket that does not block, and is on no event loop.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(net::TcpStream),
    Unix(os::unix::net::UnixStream),
}

impl Socket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => (&*socket).read(buffer),
            Self::Unix(socket) => (&*socket).read(buffer),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => (&*socket).write(bytes),
            Self::Unix(socket) => (&*socket).write(bytes),
        }
    }

    /// The same socket on the event loop of the runtime that calls this.
    fn watched(&self) -> io::Result<Box<dyn ByteStream>> {
        Ok(match self {
            Self::Tcp(socket) => Box::new(TcpStream::from_std(socket.try_clone()?)?),
            Self::Unix(socket) => Box::new(UnixStream::from_std(socket.try_clone()?)?),
        })
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

/// Maximum time for which a thread waits in place: several times what a server in the same network
/// takes, and little to the other tasks of the thread.
const IN_PLACE_MAX: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000 };

/// The caller's end of the socket.
pub(crate) struct InPlace {
    socket: Arc<Socket>,
    /// Number of calls in a row whose answer did not come in time.
    misses: AtomicU32,
}

impl InPlace {
    /// Waits for bytes, or for the end of the stream. Returns whether there is something to read.
    pub(crate) fn wait(&self) -> bool {
        self.poll(&IN_PLACE_MAX)
    }

    /// Whether there are bytes, or the end of the stream, before anything was asked.
    pub(crate) fn has_bytes(&self) -> bool {
        self.poll(&Timespec { tv_sec: 0, tv_nsec: 0 })
    }

    /// An interrupted wait counts as one in which nothing came.
    fn poll(&self, limit: &Timespec) -> bool {
        let mut sockets = [PollFd::new(&*self.socket, PollFlags::IN)];
        poll(&mut sockets, Some(limit)).is_ok_and(|count| count > 0)
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }

    pub(crate) fn answered(&self, in_time: bool) {
        if in_time {
            self.misses.store(0, Ordering::Relaxed);
        } else {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn misses(&self) -> u32 {
        self.misses.load(Ordering::Relaxed)
    }
}

/// The driver's end of the socket. While nobody watches it, a call that would block is pending, and
/// wakes nobody later.
pub(crate) struct DirectStream {
    socket: Arc<Socket>,
    watched: Option<Box<dyn ByteStream>>,
}

impl DirectStream {
    /// Both ends of a socket.
    pub(crate) fn over(socket: Socket) -> (Self, InPlace) {
        let socket = Arc::new(socket);
        let in_place = InPlace { socket: Arc::clone(&socket), misses: AtomicU32::new(0) };
        (Self { socket, watched: None }, in_place)
    }
}

impl ByteStream for DirectStream {
    fn watch(&mut self, is_wanted: bool) -> io::Result<()> {
        match (is_wanted, &self.watched) {
            (true, None) => self.watched = Some(self.socket.watched()?),
            (false, Some(_)) => self.watched = None,
            _ => {}
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
        let read = self.socket.read(buffer.initialize_unfilled());
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
            None => unwatched(self.socket.write(bytes)),
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
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}
