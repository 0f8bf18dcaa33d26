//! A small client of the wire, so that what tests assert does not depend on the client that they
//! test. It never reconnects and never retries.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::condition::LIMIT;
use crate::reply::{Reply, call};

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    /// The bytes that were read and not yet taken.
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Client {
    /// Connects over TCP. A reply that takes longer than [`LIMIT`] is an error.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream: Stream::Tcp(stream), buffer: Vec::new() })
    }

    /// Connects over a Unix socket.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream: Stream::Unix(stream), buffer: Vec::new() })
    }

    /// How long to wait for a reply; none is [`LIMIT`].
    ///
    /// # Panics
    /// If `limit` is zero.
    pub fn set_patience(&self, limit: impl Into<Option<Duration>>) {
        let limit = Some(limit.into().unwrap_or(LIMIT));
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(limit),
            Stream::Unix(stream) => stream.set_read_timeout(limit),
        }
        .expect("a time above zero");
    }

    /// Calls and waits for the reply, passing over pushes.
    ///
    /// # Errors
    /// The connection ended (`UnexpectedEof`), or no reply came in time (`TimedOut`).
    pub fn call(&mut self, words: &[&str]) -> io::Result<Reply> {
        self.send(words)?;
        self.reply()
    }

    /// Waits for the next reply, passing over pushes.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub fn reply(&mut self) -> io::Result<Reply> {
        loop {
            match self.receive()? {
                Reply::Push(_) => {}
                reply => return Ok(reply),
            }
        }
    }

    /// Sends a call without waiting for the reply.
    ///
    /// # Errors
    /// The connection ended.
    pub fn send(&mut self, words: &[&str]) -> io::Result<()> {
        self.send_bytes(&call(words))
    }

    /// Sends any bytes.
    ///
    /// # Errors
    /// The connection ended.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Waits for the next frame: a reply or a push.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut chunk = [0; 16 * 1024];
        loop {
            let frame = Reply::parse(&self.buffer)
                .map_err(|not_resp| io::Error::new(ErrorKind::InvalidData, not_resp))?;
            if let Some((reply, length)) = frame {
                self.buffer.drain(..length);
                return Ok(reply);
            }
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut chunk),
                Stream::Unix(stream) => stream.read(&mut chunk),
            };
            match read {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The bytes of a frame that has begun to arrive and is not complete.
    #[must_use]
    pub fn begun(&self) -> &[u8] {
        &self.buffer
    }

    /// Ends one direction, or both.
    pub fn shutdown(&self, how: Shutdown) {
        // The other side may have ended it before.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
        };
    }
}
