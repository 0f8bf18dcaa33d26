//! How a new connection introduces itself: protocol, user and password, database, name; and what
//! it learns of the server. The driver of the connection runs inside, until the link takes over.

use std::fmt;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{future::Future, io};

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::failure::{Cause, Failure, Seen, TlsFault};
use super::server_error::ServerSays;
use super::stream::ByteStream;

/// The oldest servers with what the scripts use.
const OLDEST_REDIS: (u32, u32) = (6, 2);
const OLDEST_VALKEY: (u32, u32) = (7, 2);

/// Who we are to the server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<Arc<str>>,
    pub(super) password: Password,
    pub(super) database: u32,
    pub(super) guard: RestartGuard,
}

/// A server that has been up for less than so long must not be trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RestartGuard {
    /// Zero: off.
    pub(super) span: Duration,
    /// What a test says in place of the server.
    pub(super) up_for: Option<Duration>,
}

/// Where the password comes from.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) enum Password {
    #[default]
    None,
    Given(Arc<str>),
    /// Read at every connection, so that it may be changed while the program runs.
    File(PathBuf),
}

/// What the server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    /// `redis` or `valkey`.
    pub(super) server: String,
    pub(super) version: String,
    /// How long the restart guard holds yet; `None`: nobody knows.
    pub(super) asleep_for: Option<Duration>,
}

/// What moves the bytes of a connection. It must be polled for the connection to work, and the
/// connection ends with it.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Login {
    /// Makes a connection out of a stream. `pushes` receives what the server sends by itself.
    pub(super) async fn enter(
        &self,
        stream: Box<dyn ByteStream>,
        is_tls: bool,
        name: &str,
        pushes: Option<Arc<dyn AsyncPushSender>>,
    ) -> Result<(MultiplexedConnection, Driver, Greeting), Failure> {
        let witness = Witness::default();
        let seen = witness.clone();
        let info = self.connection_info()?;
        let stream = Witnessed { stream, witness };
        // Limits are kept by the seam's clock, outside.
        let mut config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(1024);
        if let Some(pushes) = pushes {
            config = config.set_push_sender(pushes);
        }
        let entered = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (mut connection, driver) =
            entered.map_err(|error| seen.explain(&error, "HELLO", is_tls))?;
        let mut driver: Driver = Box::pin(driver);

        let mut ask = async |command: Cmd, name: &str| -> Result<Value, Failure> {
            let mut sent = pin!(connection.send_packed_command(&command));
            let answer = tokio::select! {
                biased;
                answer = &mut sent => answer,
                // The answer may have been the last that it brought.
                () = &mut driver => sent.await,
            };
            match answer {
                Ok(Value::ServerError(error)) => Err(turned_away(name, &error)),
                Ok(value) => Ok(value),
                Err(error) => Err(seen.explain(&error, name, is_tls)),
            }
        };
        // The same command again, since the client crate keeps the first answer to itself.
        let mut hello = redis::cmd("HELLO");
        hello.arg(3).arg("SETNAME").arg(name);
        let mut greeting = Greeting::read(ask(hello, "HELLO").await?);
        greeting.check()?;
        greeting.asleep_for = if self.guard.span.is_zero() {
            Some(Duration::ZERO)
        } else {
            let mut info = redis::cmd("INFO");
            info.arg("server");
            let told = ask(info, "INFO").await.ok().as_ref().and_then(uptime);
            self.guard.up_for.or(told).map(|up_for| self.guard.left(up_for))
        };
        if self.database != 0 {
            let mut select = redis::cmd("SELECT");
            select.arg(self.database);
            ask(select, "SELECT").await?;
        }
        Ok((connection, driver, greeting))
    }

    fn connection_info(&self) -> Result<RedisConnectionInfo, Failure> {
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        if let Some(user) = &self.user {
            info = info.set_username(user);
        }
        match &self.password {
            // A user without a password is let in by an empty one.
            Password::None if self.user.is_some() => info = info.set_password(""),
            Password::None => {}
            Password::Given(password) => info = info.set_password(password),
            Password::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    let path = path.display().to_string().into();
                    Failure::unsent(Cause::PasswordFile { path, text: error.to_string() })
                })?;
                info = info.set_password(text.trim_end_matches(['\r', '\n']));
            }
        }
        Ok(info)
    }
}

impl Greeting {
    fn read(answer: Value) -> Self {
        let mut greeting = Self::default();
        if let Value::Map(entries) = answer {
            for (field, value) in entries {
                match text_of(&field).as_deref() {
                    Some("server") => greeting.server = text_of(&value).unwrap_or_default(),
                    Some("version") => greeting.version = text_of(&value).unwrap_or_default(),
                    _ => {}
                }
            }
        }
        greeting
    }

    /// Refuses a server that is too old. One that does not say its version is given a chance.
    fn check(&self) -> Result<(), Failure> {
        let mut numbers = self.version.split('.').map_while(|part| part.parse::<u32>().ok());
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else { return Ok(()) };
        let oldest = if self.server == "valkey" { OLDEST_VALKEY } else { OLDEST_REDIS };
        if (major, minor) >= oldest {
            return Ok(());
        }
        let (server, version) = (self.server.clone(), self.version.clone());
        Err(Failure::unsent(Cause::TooOld { server, version }))
    }
}

impl RestartGuard {
    /// How long it holds yet, on our clock, which may run faster than the server's.
    fn left(self, up_for: Duration) -> Duration {
        // Whole seconds from one second's beginning to another's: up to one is not over yet.
        let sure = up_for.saturating_sub(Duration::from_secs(1));
        self.span.saturating_sub(sure).mul_f64(1.02)
    }
}

/// For how long a server has been up, by its INFO.
fn uptime(info: &Value) -> Option<Duration> {
    let text = match info {
        Value::VerbatimString { text, .. } => text.clone(),
        other => text_of(other)?,
    };
    let mut lines = text.lines();
    let seconds = lines.find_map(|line| line.strip_prefix("uptime_in_seconds:"))?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// An error answered before the link was open: nothing of a caller's was sent.
fn turned_away(command: &str, error: &redis::ServerError) -> Failure {
    Failure { may_have_run: false, ..Failure::answered(command, error) }
}

/// What a stream has shown so far. The client crate's errors do not tell the protocols apart.
#[derive(Debug, Clone, Default)]
struct Witness(Arc<Mutex<Testimony>>);

#[derive(Debug, Default)]
struct Testimony {
    /// The first bytes that came.
    first: Vec<u8>,
    fault: Option<TlsFault>,
}

impl Witness {
    fn testimony(&self) -> MutexGuard<'_, Testimony> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, bytes: &[u8]) {
        let mut testimony = self.testimony();
        let room = 8_usize.saturating_sub(testimony.first.len());
        testimony.first.extend(bytes.iter().take(room));
    }

    fn failed(&self, error: &io::Error) {
        #[cfg(feature = "tls")]
        if let Some(fault) = super::tls::fault_in(error) {
            self.testimony().fault = Some(fault);
        }
        #[cfg(not(feature = "tls"))]
        let _ = error;
    }

    fn explain(&self, error: &redis::RedisError, command: &str, is_tls: bool) -> Failure {
        let testimony = self.testimony();
        let cause = if let Some(fault) = &testimony.fault {
            Cause::Tls(fault.clone())
        } else if let Some(seen) = Seen::in_first(&testimony.first) {
            Cause::NotRedis { seen }
        } else if let Some(errors) = error.clone().into_server_errors()
            && let Some((_, error)) = errors.first()
        {
            return turned_away(command, error);
        } else if error.kind() == redis::ErrorKind::RESP3NotSupported {
            Cause::Server(ServerSays::unknown_command("HELLO"))
        } else if testimony.first.is_empty() && error.is_io_error() {
            Cause::ClosedAtOnce { tls: is_tls }
        } else {
            Cause::broken(error)
        };
        Failure::unsent(cause)
    }
}

/// A stream that tells its witness what it sees.
struct Witnessed {
    stream: Box<dyn ByteStream>,
    witness: Witness,
}

impl AsyncRead for Witnessed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match &polled {
            Poll::Ready(Ok(())) => self.witness.saw(&buffer.filled()[before..]),
            Poll::Ready(Err(error)) => self.witness.failed(error),
            Poll::Pending => {}
        }
        polled
    }
}

impl AsyncWrite for Witnessed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("database", &self.database).finish_non_exhaustive()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Given(_) => "Given",
            Self::File(_) => "File",
        })
    }
}
