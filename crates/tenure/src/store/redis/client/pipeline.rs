//! A connection to a server: requests go out in order, and answers come back in that order.
//!
//! A caller writes its request to the socket in place, from its own thread: a hop to another thread
//! costs as much as the server does. The driver, a task of the runtime, writes the bytes that the
//! socket does not take at once, and reads the answers. A pipeline knows no time limits and mends
//! nothing; links do.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::runtime::shielded;

use super::dial::ByteStream;
use super::failure::{Cause, Failure};
use super::resp::{Command, Reader, Value};

/// The most bytes that one read takes.
const READ_SIZE: usize = 16 << 10;

/// Takes the pushes of the server, on the driver's thread: it must be quick.
pub(crate) type OnPush = Arc<dyn Fn(&[Value]) + Send + Sync>;

/// Moves the bytes of a connection. It must be polled for the connection to work, and the
/// connection ends with it.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Pipeline {
    state: Arc<Mutex<State>>,
}

struct State {
    /// `None`: the connection has ended.
    stream: Option<Box<dyn ByteStream>>,
    /// Bytes that the socket has not taken yet.
    unsent: Vec<u8>,
    /// Whether the stream holds something back (TLS does).
    unflushed: bool,
    /// The callers that await an answer, the first in front.
    awaiting: VecDeque<oneshot::Sender<Result<Value, Cause>>>,
    /// The reason why nothing can be sent any more, although answers may be left to read.
    broken: Option<Cause>,
    driver: Waker,
}

impl Pipeline {
    /// A connection over a stream of which `reader` has read so far, and its driver.
    pub(crate) fn new(
        stream: Box<dyn ByteStream>,
        reader: Reader,
        on_push: Option<OnPush>,
    ) -> (Self, Driver) {
        let state = State {
            stream: Some(stream),
            unsent: Vec::new(),
            unflushed: false,
            awaiting: VecDeque::new(),
            broken: None,
            driver: Waker::noop().clone(),
        };
        let pipe = Self { state: Arc::new(Mutex::new(state)) };
        let ending = Ending(pipe.clone());
        let driver = async move {
            let mut reading = Reading { reader, buffer: vec![0; READ_SIZE], on_push };
            let cause = poll_fn(|cx| ending.0.poll(cx, &mut reading)).await;
            ending.0.end(&cause);
        };
        (pipe, Box::pin(driver))
    }

    /// Sends a command, once, and waits for its answer.
    pub(crate) async fn send(&self, command: &Command) -> Result<Value, Failure> {
        let (answer, coming) = oneshot::channel();
        {
            let mut state = self.state();
            if state.stream.is_none() {
                let text = "connection closed".to_owned();
                return Err(Failure::unsent(state.broken.clone().unwrap_or(Cause::Cut { text })));
            }
            state.awaiting.push_back(answer);
            state.write(command.as_bytes());
        }
        let answer = coming.await.unwrap_or_else(|_| Err(cut_off()));
        answer.map_err(Failure::unknown)
    }

    /// Writes the rest, reads answers and gives them to their callers, until the end.
    fn poll(&self, cx: &mut Context<'_>, reading: &mut Reading) -> Poll<Cause> {
        loop {
            let read = {
                let mut state = self.state();
                state.driver.clone_from(cx.waker());
                state.push(cx);
                let read = state.read(cx, &mut reading.buffer);
                if let (Poll::Pending, Some(cause)) = (&read, &state.broken) {
                    return Poll::Ready(cause.clone());
                }
                ready!(read)
            };
            match read {
                Ok(0) => {
                    let at = if reading.reader.is_within() { "in an answer" } else { "closed" };
                    return Poll::Ready(Cause::Cut { text: format!("end of stream: {at}") });
                }
                Ok(count) => reading.reader.feed(&reading.buffer[..count]),
                Err(error) => return Poll::Ready(Cause::of_stream(&error)),
            }
            loop {
                match reading.reader.next() {
                    Ok(Some(value)) => {
                        if !self.hand_over(value, reading.on_push.as_ref()) {
                            let text = "an answer that nobody asked for".to_owned();
                            return Poll::Ready(Cause::Nonsense { text });
                        }
                    }
                    Ok(None) => break,
                    Err(nonsense) => {
                        return Poll::Ready(Cause::Nonsense { text: nonsense.0.to_owned() });
                    }
                }
            }
        }
    }

    /// Returns whether a caller had asked. Otherwise the answers are shifted: each later one could
    /// belong to another request.
    fn hand_over(&self, value: Value, on_push: Option<&OnPush>) -> bool {
        if let Value::Push(items) = &value
            && !is_confirmation(items)
        {
            on_push.iter().for_each(|on_push| on_push(items));
            return true;
        }
        // Without the lock: the caller that is woken may want it.
        let Some(asker) = self.state().awaiting.pop_front() else { return false };
        // The caller may have gone.
        let _gone = shielded(|| asker.send(Ok(value)).is_err());
        true
    }

    /// Closes the stream and fails all callers. The first cause counts.
    fn end(&self, cause: &Cause) {
        let (stream, askers) = {
            let mut state = self.state();
            state.broken.get_or_insert_with(|| cause.clone());
            (state.stream.take(), std::mem::take(&mut state.awaiting))
        };
        drop(stream);
        for asker in askers {
            let _gone = shielded(|| asker.send(Err(cause.clone())).is_err());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subscribing is answered by a push.
fn is_confirmation(items: &[Value]) -> bool {
    matches!(items.first(), Some(Value::BulkString(kind)) if kind == b"subscribe")
}

fn cut_off() -> Cause {
    Cause::Cut { text: "connection given up".to_owned() }
}

impl State {
    /// Sends in place as much as the socket takes, and leaves the rest to the driver.
    fn write(&mut self, bytes: &[u8]) {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return;
        }
        let written = self.write_now(&mut Context::from_waker(Waker::noop()), bytes);
        self.unsent.extend_from_slice(&bytes[written..]);
        if !self.unsent.is_empty() || self.unflushed || self.broken.is_some() {
            self.driver.wake_by_ref();
        }
    }

    /// The driver's part: the rest.
    fn push(&mut self, cx: &mut Context<'_>) {
        if !self.unsent.is_empty() || self.unflushed {
            let bytes = std::mem::take(&mut self.unsent);
            let written = self.write_now(cx, &bytes);
            self.unsent = bytes;
            self.unsent.drain(..written);
        }
    }

    /// The number of bytes that could be written without waiting; all of them if the stream is
    /// broken.
    fn write_now(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let Some(stream) = self.stream.as_mut() else { return bytes.len() };
        if self.broken.is_some() {
            return bytes.len();
        }
        let mut written = 0;
        let error = loop {
            if written == bytes.len() {
                match Pin::new(&mut *stream).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(error)) => break error,
                    Poll::Pending => self.unflushed = true,
                }
                return written;
            }
            match Pin::new(&mut *stream).poll_write(cx, &bytes[written..]) {
                Poll::Ready(Ok(0)) => break io::ErrorKind::WriteZero.into(),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => break error,
                Poll::Pending => return written,
            }
        };
        self.unflushed = false;
        self.broken = Some(Cause::of_stream(&error));
        bytes.len()
    }

    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Ready(Ok(0)) };
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

/// The driver's own state.
struct Reading {
    reader: Reader,
    buffer: Vec<u8>,
    on_push: Option<OnPush>,
}

/// Ends the connection with its driver, for whatever reason that ends.
struct Ending(Pipeline);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(&cut_off());
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}
