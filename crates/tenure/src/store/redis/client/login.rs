//! How a new connection introduces itself: protocol, user and password, database, name; and what
//! it learns of the server. It sends nothing for callers.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use crate::runtime::{Moment, Runtime, answer_by};

use super::dial::ByteStream;
use super::failure::{Cause, Failure, Seen};
use super::resp::{Command, Reader, Value};
use super::secrets::Secrets;
use super::sentinel_fault::SentinelFault;
use super::server_error::ServerSays;

/// The oldest servers with what the scripts use.
const OLDEST_REDIS: (u32, u32) = (6, 2);
const OLDEST_VALKEY: (u32, u32) = (7, 2);

/// The kind of server that is expected. Any other one is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A server for data, whether it takes writes now or not.
    #[default]
    Single,
    /// A server that is no replica, also later on.
    Primary,
    /// A node of a cluster that is no replica.
    ClusterPrimary,
    Sentinel,
}

/// User, password and database for a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) wanted: Wanted,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) password: Password,
    pub(crate) database: u32,
    /// Passwords that must not be shown.
    pub(crate) secrets: Secrets,
}

/// Where the password comes from.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Password {
    #[default]
    None,
    Given(Arc<str>),
    /// Read at every connection, so that it may be changed while the program runs.
    File(PasswordFile),
}

/// A file with a password. Clones are one.
#[derive(Clone)]
pub(crate) struct PasswordFile {
    path: Arc<str>,
    /// The last attempt to read it. While that hangs, there is no second one: each would cost a
    /// thread.
    reading: Arc<Mutex<Option<Reading>>>,
}

/// The text of the file, once it has been read.
type Reading = watch::Receiver<Option<Result<String, String>>>;

impl PasswordFile {
    pub(crate) fn at(path: &str) -> Self {
        Self { path: path.into(), reading: Arc::default() }
    }

    /// Reads it on a thread that may block: it may be a pipe, or lie on a mount that hangs.
    async fn read(&self, runtime: &dyn Runtime) -> Result<String, Failure> {
        let mut reading = self.begin(runtime);
        let text = match reading.wait_for(Option::is_some).await {
            Ok(read) => read.clone().unwrap_or_else(|| Err("no answer".to_owned())),
            Err(_) => Err("the reading was broken off".to_owned()),
        };
        text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).map_err(|text| {
            Failure::unsent(Cause::PasswordFile { path: Arc::clone(&self.path), text })
        })
    }

    fn begin(&self, runtime: &dyn Runtime) -> Reading {
        let mut last = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = last.as_ref().filter(|reading| {
            let has_ended = reading.borrow().is_some() || reading.has_changed().is_err();
            !has_ended
        }) {
            return reading.clone();
        }
        let (tell, reading) = watch::channel(None);
        *last = Some(reading.clone());
        drop(last);
        let path = Arc::clone(&self.path);
        runtime.aside(Box::new(move || {
            let text = std::fs::read_to_string(&*path).map_err(|error| error.to_string());
            tell.send_replace(Some(text));
        }));
        reading
    }
}

impl PartialEq for PasswordFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for PasswordFile {}

/// The facts that a server tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// `redis` or `valkey`.
    pub(crate) server: String,
    pub(crate) version: String,
    /// `standalone`, `cluster` or `sentinel`.
    mode: String,
    /// `master` or `replica`.
    pub(super) role: String,
    /// A replica's primary, as HOST:PORT, where a single server tells it.
    pub(super) replica_of: Option<String>,
}

/// Speaks first on each new connection, for the owner of the connections.
pub(crate) trait Greet: fmt::Debug + Send + Sync + 'static {
    /// Kept with the connection, and dropped with it.
    type Session: fmt::Debug + Send + Sync + 'static;

    /// `beside`: the session of the connection beside which this one is made. It fails if another
    /// server is at this end.
    fn greet(
        &self,
        talk: &mut Talk<'_>,
        beside: Option<&Self::Session>,
    ) -> impl Future<Output = Result<Self::Session, Failure>> + Send;

    /// The connection was given up.
    fn ended(&self, session: &Self::Session, now: Moment);
}

/// Nothing to ask, and nothing to keep.
impl Greet for () {
    type Session = ();

    async fn greet(&self, _: &mut Talk<'_>, _: Option<&()>) -> Result<(), Failure> {
        Ok(())
    }

    fn ended(&self, (): &(), _: Moment) {}
}

impl Login {
    /// Whether a password is given, or read from a file.
    pub(crate) fn has_password(&self) -> bool {
        self.password != Password::None
    }

    /// The password as it is now; `None`, where there is none. Ends at `until`, or a little
    /// later.
    pub(crate) async fn password(
        &self,
        runtime: &dyn Runtime,
        until: Moment,
    ) -> Result<Option<String>, Failure> {
        match &self.password {
            // A user without a password is let in by an empty one.
            Password::None => Ok(self.user.as_ref().map(|_| String::new())),
            Password::Given(password) => Ok(Some(password.as_ref().to_owned())),
            Password::File(file) => {
                let limit = until.since(runtime.now());
                let read = answer_by(runtime, until, file.read(runtime)).await;
                let path = Arc::clone(&file.path);
                let slow = || Err(Failure::unsent(Cause::PasswordFileHangs { path, limit }));
                read.unwrap_or_else(slow).map(Some)
            }
        }
    }

    /// Introduces us over a stream. Nothing of a caller's is sent before it is done.
    pub(crate) async fn enter(
        &self,
        talk: &mut Talk<'_>,
        password: Option<&str>,
        name: &str,
    ) -> Result<Greeting, Failure> {
        let hello = talk.ask(&self.hello(password, name)).await;
        let hello = hello.map_err(|e| if password.is_some() { e.after_password() } else { e });
        let mut greeting = Greeting::read(hello?, &self.secrets);
        greeting.check(self.wanted)?;
        if matches!(self.wanted, Wanted::Primary | Wanted::ClusterPrimary) {
            if greeting.role.is_empty() {
                greeting.role = role_in(&talk.ask(&Command::of(&["ROLE"])).await?);
            }
            if greeting.role != "master" {
                return Err(Failure::unsent(match self.wanted {
                    Wanted::ClusterPrimary => Cause::Replica,
                    _ => Cause::Sentinels(SentinelFault::Replica),
                }));
            }
        }
        if self.wanted == Wanted::Single && greeting.is_replica() {
            // Only for messages: a server that does not tell is a replica all the same.
            let info = talk.ask(&Command::of(&["INFO", "replication"])).await.ok();
            greeting.replica_of =
                info.as_ref().and_then(text_of).and_then(|info| primary_in(&info));
        }
        let primary = || greeting.replica_of.as_deref().unwrap_or("another server").into();
        talk.replica_of = greeting.is_replica().then(primary);
        if self.database != 0 {
            talk.ask(&Command::of(&["SELECT", &self.database.to_string()])).await?;
        }
        Ok(greeting)
    }

    fn hello(&self, password: Option<&str>, name: &str) -> Command {
        match password {
            Some(password) => {
                self.secrets.add(password);
                let user = self.user.as_deref().unwrap_or("default");
                Command::of(&["HELLO", "3", "AUTH", user, password, "SETNAME", name])
            }
            None => Command::of(&["HELLO", "3", "SETNAME", name]),
        }
    }
}

/// The first commands on a connection, before any caller's.
pub(crate) struct Talk<'a> {
    stream: Box<dyn ByteStream>,
    reader: Reader,
    /// The first bytes that came: they tell what is no Redis.
    first: Vec<u8>,
    is_tls: bool,
    secrets: &'a Secrets,
    /// The primary of the server, if it has said that it is a replica.
    pub(crate) replica_of: Option<Box<str>>,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(stream: Box<dyn ByteStream>, is_tls: bool, secrets: &'a Secrets) -> Self {
        let (reader, first) = (Reader::default(), Vec::new());
        Self { stream, reader, first, is_tls, secrets, replica_of: None }
    }

    /// The stream, and the reader of what the server has said so far.
    pub(crate) fn end(self) -> (Box<dyn ByteStream>, Reader) {
        (self.stream, self.reader)
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn ask(&mut self, command: &Command) -> Result<Value, Failure> {
        // A server that turns us away says why before it closes, so a failed write is not the
        // answer.
        let _ = self.write(command).await;
        match self.answer().await.map_err(Failure::unsent)? {
            Value::Error(error) if error.starts_with("NOPROTO") => {
                Err(Failure::unsent(Cause::Server(ServerSays::unknown_command(&command.name()))))
            }
            Value::Error(error) => {
                let failure = Failure::answered(&command.name(), &error).of_our_own();
                Err(failure.without(self.secrets))
            }
            value => Ok(value),
        }
    }

    async fn write(&mut self, command: &Command) -> io::Result<()> {
        self.stream.write_all(command.as_bytes()).await?;
        self.stream.flush().await
    }

    async fn answer(&mut self) -> Result<Value, Cause> {
        let mut buffer = [0; 1024];
        loop {
            match self.reader.next() {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(nonsense) => return Err(self.nonsense(nonsense.0)),
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(self.explain(&io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    let room = 8_usize.saturating_sub(self.first.len());
                    self.first.extend(buffer[..count].iter().take(room));
                    self.reader.feed(&buffer[..count]);
                }
                Err(error) => return Err(self.explain(&error)),
            }
        }
    }

    fn nonsense(&self, text: &str) -> Cause {
        match Seen::in_first(&self.first) {
            Some(seen) => Cause::NotRedis { seen },
            None => Cause::Nonsense { text: text.to_owned() },
        }
    }

    /// The cause behind the end of a stream.
    fn explain(&self, error: &io::Error) -> Cause {
        #[cfg(feature = "tls")]
        if let Some(fault) = super::tls::fault_in(error) {
            return Cause::Tls(fault);
        }
        match Seen::in_first(&self.first) {
            Some(seen) => Cause::NotRedis { seen },
            None if self.first.is_empty() => Cause::ClosedAtOnce { tls: self.is_tls },
            None => Cause::of_stream(error),
        }
    }
}

impl Greeting {
    fn read(answer: Value, secrets: &Secrets) -> Self {
        let mut greeting = Self::default();
        let said = |value| text_of(value).filter(|text| !secrets.are_in(text)).unwrap_or_default();
        if let Value::Map(entries) = answer {
            for entry in entries.chunks_exact(2) {
                match text_of(&entry[0]).as_deref() {
                    Some("server") => greeting.server = said(&entry[1]),
                    Some("version") => greeting.version = said(&entry[1]),
                    Some("mode") => greeting.mode = said(&entry[1]),
                    Some("role") => greeting.role = said(&entry[1]),
                    _ => {}
                }
            }
        }
        greeting
    }

    /// Whether it follows another server.
    pub(super) fn is_replica(&self) -> bool {
        matches!(&*self.role, "replica" | "slave")
    }

    /// Refuses a server of another kind, or one that is too old. One that does not say its version
    /// is given a chance.
    fn check(&self, wanted: Wanted) -> Result<(), Failure> {
        let refused = match (&*self.mode, wanted) {
            ("sentinel", Wanted::Sentinel) => None,
            ("sentinel", _) => Some(Cause::Sentinel),
            (_, Wanted::Sentinel) => Some(Cause::Sentinels(SentinelFault::NotSentinel)),
            ("cluster", Wanted::ClusterPrimary) => None,
            ("cluster", _) => Some(Cause::Cluster),
            ("standalone", Wanted::ClusterPrimary) => Some(Cause::NoCluster),
            _ => None,
        };
        if let Some(cause) = refused {
            return Err(Failure::unsent(cause));
        }
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

/// The role in the answer to ROLE.
fn role_in(answer: &Value) -> String {
    match answer {
        Value::Array(items) => items.first().and_then(text_of).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The address of a replica's primary in the answer to INFO.
fn primary_in(info: &str) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
    let (host, port) = (field("master_host:")?, field("master_port:")?);
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
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
