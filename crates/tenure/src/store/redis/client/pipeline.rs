//! A connection to a server: requests go out in order, and answers come back in that order.
//!
//! A caller writes its request to the socket in place, from its own thread: a hop to another thread
//! costs as much as the server does. The driver, a task of the runtime, writes the bytes that the
//! socket does not take at once, and reads the answers. Over a direct connection the caller reads
//! its answer in place too, and the driver has nothing to do unless an answer is late. A pipeline
//! knows no time limits and mends nothing; links do.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::runtime::{Runtime, is_own_thread, shielded};

use super::dial::ByteStream;
use super::direct::{DirectStream, InPlace, Socket, is_nothing};
use super::failure::{Cause, Failure};
use super::resp::{Command, Reader, Value};

/// The most bytes that one read takes.
const READ_SIZE: usize = 16 << 10;
/// So many reads one caller makes in place: an answer that comes in more pieces is the driver's.
const READS_IN_PLACE: usize = 4;

/// Takes the pushes of the server, on the driver's thread: it must be quick.
pub(crate) type OnPush = Arc<dyn Fn(&[Value]) + Send + Sync>;

/// Moves the bytes of a connection. It must be polled for the connection to work, and the
/// connection ends with it.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Held by the one who reads: the driver, or a caller in place.
    reading: Mutex<Reading>,
    /// Of a direct connection.
    in_place: Option<InPlace>,
}

/// Whether a call can go out over a direct connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// An answer is still to come.
    Busy,
    /// The server has closed it, or said something unasked.
    Ended,
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
        Self::over(stream, reader, on_push, None)
    }

    /// A connection over a socket at which callers wait by themselves.
    pub(crate) fn direct(
        socket: Socket,
        reader: Reader,
        runtime: Arc<dyn Runtime>,
    ) -> io::Result<(Self, Driver)> {
        let (stream, in_place) = DirectStream::over(socket, runtime)?;
        Ok(Self::over(Box::new(stream), reader, None, Some(in_place)))
    }

    fn over(
        stream: Box<dyn ByteStream>,
        reader: Reader,
        on_push: Option<OnPush>,
        in_place: Option<InPlace>,
    ) -> (Self, Driver) {
        let state = State {
            stream: Some(stream),
            unsent: Vec::new(),
            unflushed: false,
            awaiting: VecDeque::new(),
            broken: None,
            driver: Waker::noop().clone(),
        };
        let reading = Mutex::new(Reading { reader, buffer: vec![0; READ_SIZE], on_push });
        let shared = Shared { state: Mutex::new(state), reading, in_place };
        let pipe = Self { shared: Arc::new(shared) };
        let ending = Ending(pipe.clone());
        let driver = async move {
            let cause = poll_fn(|cx| ending.0.poll(cx)).await;
            ending.0.end(&cause);
        };
        (pipe, Box::pin(driver))
    }

    /// Sends a command, once, and waits for its answer.
    pub(crate) async fn send(&self, command: &Command) -> Result<Value, Failure> {
        self.send_behind(None, command).await
    }

    /// The same right behind another command, whose own answer says nothing.
    pub(crate) async fn send_behind(
        &self,
        before: Option<&Command>,
        command: &Command,
    ) -> Result<Value, Failure> {
        let (answer, coming) = oneshot::channel();
        {
            let mut state = self.state();
            state.check_open()?;
            if let Some(before) = before {
                state.awaiting.push_back(oneshot::channel().0);
                state.write(before.as_bytes());
            }
            state.awaiting.push_back(answer);
            state.write(command.as_bytes());
        }
        if let Some(in_place) = &self.shared.in_place {
            // The engine's thread must not wait.
            if !is_own_thread() {
                self.read_in_place(in_place);
            }
            self.leave_to_driver();
        }
        answer_in(coming).await
    }

    /// Sends two commands in one piece, once, behind one whose answer is ignored. Answers what
    /// waits for the answer to each.
    pub(crate) fn send_pair(
        &self,
        before: Option<&Command>,
        commands: [&Command; 2],
    ) -> Result<[impl Future<Output = Result<Value, Failure>> + use<>; 2], Failure> {
        debug_assert!(self.shared.in_place.is_none(), "nobody reads these answers in place");
        let [(one, first), (other, second)] = commands.map(|_| oneshot::channel());
        {
            let mut state = self.state();
            state.check_open()?;
            if let Some(before) = before {
                state.awaiting.push_back(oneshot::channel().0);
                state.write(before.as_bytes());
            }
            state.awaiting.extend([one, other]);
            state.write(&commands.map(Command::as_bytes).concat());
        }
        Ok([first, second].map(answer_in))
    }

    /// Whether a caller may send and wait in place.
    pub(crate) fn readiness(&self) -> Readiness {
        let state = self.state();
        match &self.shared.in_place {
            Some(_) if !state.awaiting.is_empty() || !state.unsent.is_empty() => Readiness::Busy,
            Some(in_place) if !state.has_work() && !in_place.has_bytes() => Readiness::Ready,
            _ => Readiness::Ended,
        }
    }

    /// Number of calls in a row whose answers did not come while their callers waited in place.
    pub(crate) fn misses(&self) -> u32 {
        self.shared.in_place.as_ref().map_or(0, InPlace::misses)
    }

    #[cfg(test)]
    pub(crate) fn is_prompt(&self) -> bool {
        self.shared.in_place.as_ref().is_some_and(InPlace::is_prompt)
    }

    /// Waits a little for the answers that are due.
    fn read_in_place(&self, in_place: &InPlace) {
        // Otherwise another caller is at it, who leaves to the driver what is not its own.
        if let Some(mut reading) = self.try_reading() {
            let begun = in_place.now();
            let mut is_answered = false;
            for _ in 0..READS_IN_PLACE {
                let read = match in_place.read(&mut reading.buffer) {
                    Err(error) if is_nothing(&error) => break,
                    read => read,
                };
                if let Err(cause) = self.take(read, &mut reading) {
                    self.end(&cause);
                }
                is_answered = self.state().awaiting.is_empty();
                if is_answered {
                    break;
                }
            }
            in_place.ends(begun, is_answered);
        }
    }

    /// The driver of a direct connection gets what is left to do.
    fn leave_to_driver(&self) {
        let state = self.state();
        if state.has_work() {
            state.driver.wake_by_ref();
        }
    }

    /// Writes the rest, reads answers and gives them to their callers, until the end.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Cause> {
        self.state().driver.clone_from(cx.waker());
        // A caller that reads in place wakes the driver if something is left.
        let Some(mut reading) = self.try_reading() else { return Poll::Pending };
        loop {
            let read = {
                let mut state = self.state();
                if self.shared.in_place.is_some()
                    && let Err(cause) = ready!(state.watch_if_needed())
                {
                    return Poll::Ready(cause);
                }
                state.push(cx);
                let read = state.read(cx, &mut reading.buffer);
                if let (Poll::Pending, Some(cause)) = (&read, &state.broken) {
                    return Poll::Ready(cause.clone());
                }
                ready!(read)
            };
            if let Err(cause) = self.take(read, &mut reading) {
                return Poll::Ready(cause);
            }
        }
    }

    /// Gives the answers in what was read to their callers.
    fn take(&self, read: io::Result<usize>, reading: &mut Reading) -> Result<(), Cause> {
        match read {
            Ok(0) => {
                let at = if reading.reader.is_within() { "in an answer" } else { "closed" };
                return Err(Cause::Cut { text: format!("end of stream: {at}") });
            }
            Ok(count) => reading.reader.feed(&reading.buffer[..count]),
            Err(error) => return Err(Cause::of_stream(&error)),
        }
        loop {
            match reading.reader.next() {
                Ok(Some(value)) => {
                    if !self.hand_over(value, reading.on_push.as_ref()) {
                        let text = "an answer that nobody asked for".to_owned();
                        return Err(Cause::Nonsense { text });
                    }
                }
                Ok(None) => return Ok(()),
                Err(nonsense) => return Err(Cause::Nonsense { text: nonsense.0.to_owned() }),
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
    pub(crate) fn end(&self, cause: &Cause) {
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
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: somebody else reads.
    fn try_reading(&self) -> Option<MutexGuard<'_, Reading>> {
        match self.shared.reading.try_lock() {
            Ok(reading) => Some(reading),
            Err(TryLockError::Poisoned(reading)) => Some(reading.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Subscribing is answered by a push.
fn is_confirmation(items: &[Value]) -> bool {
    matches!(items.first(), Some(Value::BulkString(kind)) if kind == b"subscribe")
}

/// The answer to a command that was sent.
async fn answer_in(coming: oneshot::Receiver<Result<Value, Cause>>) -> Result<Value, Failure> {
    let answer = coming.await.unwrap_or_else(|_| Err(cut_off()));
    answer.map_err(Failure::unknown)
}

fn cut_off() -> Cause {
    Cause::GivenUp { text: "it is in use no more".to_owned() }
}

impl State {
    /// Refuses a command once the connection has ended.
    fn check_open(&self) -> Result<(), Failure> {
        if self.stream.is_some() {
            return Ok(());
        }
        let text = "it was closed".to_owned();
        Err(Failure::unsent(self.broken.clone().unwrap_or(Cause::GivenUp { text })))
    }

    /// Whether the driver of a direct connection has something to do.
    fn has_work(&self) -> bool {
        let is_open = self.stream.is_some() && self.broken.is_none();
        !is_open || !self.awaiting.is_empty() || !self.unsent.is_empty() || self.unflushed
    }

    /// Puts the socket of a direct connection on the event loop while there is something to do.
    /// Pending: there is nothing.
    fn watch_if_needed(&mut self) -> Poll<Result<(), Cause>> {
        let has_work = self.has_work();
        let Some(stream) = self.stream.as_mut() else {
            return Poll::Ready(Err(self.broken.clone().unwrap_or_else(cut_off)));
        };
        match stream.watch(has_work) {
            Err(error) => Poll::Ready(Err(Cause::of_stream(&error))),
            Ok(()) if has_work => Poll::Ready(Ok(())),
            Ok(()) => Poll::Pending,
        }
    }

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

/// The state that reading needs.
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
