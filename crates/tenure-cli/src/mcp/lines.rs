//! The messages of the protocol as lines of JSON. A line that is no message is answered as JSON-RPC
//! 2.0 demands, and the session goes on. A call is answered under its number where it has one, so
//! that no client waits in vain. Notifications are never answered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::ErrorCode;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, watch};

/// The longest line in bytes. A message to this server has some hundred.
const LINE_MAX: usize = 1 << 20;

/// The room in bytes that is kept for the next line.
const KEPT: usize = 1 << 16;

/// With so many bytes of answers that the client has not read, nothing more is read from it.
const UNSENT_MAX: usize = 16 << 20;

type Sending = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Both directions.
pub(super) struct Lines<R, W> {
    read: BufReader<R>,
    line: Vec<u8>,
    /// The line was too long: its rest is left out.
    is_too_long: bool,
    write: Arc<Mutex<W>>,
    /// The answer to a line that was no message. Nothing is read before it is written.
    answer: Option<Sending>,
    /// The bytes that are not written yet.
    unsent: watch::Sender<usize>,
}

impl<R: AsyncRead + Unpin, W> Lines<R, W> {
    pub(super) fn new(read: R, write: W) -> Self {
        let (read, write) = (BufReader::new(read), Arc::new(Mutex::new(write)));
        Self {
            read,
            line: Vec::new(),
            is_too_long: false,
            write,
            answer: None,
            unsent: watch::Sender::new(0),
        }
    }

    /// Reads up to the end of a line; `false`: the stream has ended. It may be dropped, and goes on
    /// where it was.
    async fn read_line(&mut self) -> io::Result<bool> {
        loop {
            let there = self.read.fill_buf().await?;
            if there.is_empty() {
                return Ok(false);
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let part = &there[..end.unwrap_or(there.len())];
            self.is_too_long |= self.line.len() + part.len() > LINE_MAX;
            if self.is_too_long {
                self.line = Vec::new();
            } else {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.read.consume(taken);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// The line that was read.
    fn take(&mut self) -> Read {
        if std::mem::take(&mut self.is_too_long) {
            let message = format!("the line has more than {LINE_MAX} bytes, and was left out");
            return Read::Fault(Fault::new(ErrorCode::PARSE_ERROR, message));
        }
        let read = Read::of(&self.line);
        self.line.clear();
        self.line.shrink_to(KEPT);
        read
    }
}

/// The meaning of a line.
enum Read {
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// There is nothing to do about it.
    Nothing,
    Fault(Fault),
}

/// The reason why a line is no message.
#[derive(Debug, PartialEq)]
struct Fault {
    code: ErrorCode,
    message: String,
    /// The number of the call; null if it has none that can be read.
    id: Value,
}

impl Fault {
    fn new(code: ErrorCode, message: String) -> Self {
        Self { code, message, id: Value::Null }
    }

    fn line(&self) -> Vec<u8> {
        let Self { code, message, id } = self;
        let error = json!({ "code": code.0, "message": message });
        let mut line = json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string();
        line.push('\n');
        line.into_bytes()
    }
}

impl Read {
    fn of(line: &[u8]) -> Self {
        let no_json = |why: String| Self::Fault(Fault::new(ErrorCode::PARSE_ERROR, why));
        let Ok(text) = std::str::from_utf8(line) else {
            return no_json("the line is no UTF-8".into());
        };
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Self::Nothing;
        }
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(e) => return no_json(format!("the line is no JSON: {e}")),
        };
        match RxJsonRpcMessage::<RoleServer>::deserialize(&value) {
            Ok(message) => Self::Message(Box::new(message)),
            Err(_) => Self::of_other(&value),
        }
    }

    /// JSON that is no message of the protocol.
    fn of_other(value: &Value) -> Self {
        let id = value.get("id");
        let known = id.filter(|id| id.is_string() || id.is_i64() || id.is_u64());
        let is_of_protocol = value["jsonrpc"] == "2.0" && (id.is_none() || known.is_some());
        let fault = |code, message: String| {
            Self::Fault(Fault {
                id: known.cloned().unwrap_or_default(),
                ..Fault::new(code, message)
            })
        };
        match &value["method"] {
            // A notification.
            Value::String(_) if is_of_protocol && id.is_none() => Self::Nothing,
            Value::String(method) if is_of_protocol => {
                fault(ErrorCode::INVALID_PARAMS, format!("wrong params for {method:?}"))
            }
            // The answer to a question that was never asked: an echo of it would have no end.
            Value::Null if value["jsonrpc"] == "2.0" && !value["error"].is_null() => Self::Nothing,
            _ => {
                let what = "the line is no request of JSON-RPC 2.0 (an object with \"jsonrpc\", \
                            \"id\" and \"method\")";
                fault(ErrorCode::INVALID_REQUEST, what.into())
            }
        }
    }
}

/// A part of the bytes that are not written yet, until it is dropped.
struct Unsent {
    of: watch::Sender<usize>,
    bytes: usize,
}

impl Unsent {
    fn add(of: &watch::Sender<usize>, bytes: usize) -> Self {
        of.send_modify(|unsent| *unsent += bytes);
        Self { of: of.clone(), bytes }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.of.send_modify(|unsent| *unsent -= self.bytes);
    }
}

/// Writes a line as a whole.
async fn write<W: AsyncWrite + Unpin>(to: Arc<Mutex<W>>, line: Vec<u8>) -> io::Result<()> {
    let mut to = to.lock().await;
    to.write_all(&line).await?;
    to.flush().await
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let line = serde_json::to_vec(&message).map(|mut line| {
            line.push(b'\n');
            line
        });
        let unsent = Unsent::add(&self.unsent, line.as_ref().map_or(0, Vec::len));
        let to = Arc::clone(&self.write);
        async move {
            let written = write(to, line?).await;
            drop(unsent);
            written
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(answer) = &mut self.answer {
                let written = answer.await;
                self.answer = None;
                written.ok()?;
            }
            let mut unsent = self.unsent.subscribe();
            // The sender is here, so there is no error.
            drop(unsent.wait_for(|unsent| *unsent < UNSENT_MAX).await);
            if !self.read_line().await.ok()? {
                return None;
            }
            match self.take() {
                Read::Message(message) => return Some(*message),
                Read::Nothing => {}
                Read::Fault(fault) => {
                    self.answer = Some(Box::pin(write(Arc::clone(&self.write), fault.line())));
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        // Both streams end with the process.
        Ok(())
    }
}
