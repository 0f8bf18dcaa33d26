//! Stdin and stdout of the protocol, and the end of the session: the end of stdin, or a stdout that
//! nobody reads. It never looks at what passes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rmcp::transport::io::{StdioReader, StdioWriter, stdio_pipes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// The end of a session; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Over(watch::Sender<bool>);

impl Over {
    pub(super) fn not_yet() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(super) fn set(&self) {
        self.0.send_replace(true);
    }

    /// Ends when the session does.
    pub(super) async fn reached(&self) {
        let mut over = self.0.subscribe();
        // The sender is here, so there is no error.
        let _ended = over.wait_for(|over| *over).await;
    }
}

/// Both streams of this process. The session ends with one of them.
pub(super) fn open(over: &Over) -> (Watched<StdioReader>, Watched<StdioWriter>) {
    let (reader, writer) = stdio_pipes();
    (Watched { stream: reader, over: over.clone() }, Watched { stream: writer, over: over.clone() })
}

/// A stream whose end is the end of the session.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    over: Over,
}

impl<S> Watched<S> {
    fn seen<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|_| self.over.set())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, wanted) = (buffer.filled().len(), buffer.remaining());
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if wanted > 0 && buffer.filled().len() == before {
            self.over.set();
        }
        Poll::Ready(self.seen(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.seen(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(self.seen(flushed))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
