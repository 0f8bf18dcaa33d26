//! How a new connection introduces itself: protocol, user and password, database, name; and what
//! it learns of the server: its version and, with a restart guard, who it is and what its marker
//! says. It sends nothing for callers.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answers::{self, Told};
use super::failure::{Cause, Failure, Seen};
use super::layout;
use super::marker::{Marker, RestartGuard};
use super::resp::{Command, Reader, Value};
use super::scripts::{self, with_clock};
use super::secrets::Secrets;
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
    /// What servers are told that must not be shown.
    pub(super) secrets: Secrets,
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
    /// Who the server is, and its marker unless it is a replica; `None`: it was not asked.
    pub(super) told: Option<(Told, Option<Marker>)>,
}

impl Login {
    /// Introduces us over a stream. Nothing of a caller's is sent before it is done.
    pub(super) async fn enter(
        &self,
        stream: Box<dyn ByteStream>,
        is_tls: bool,
        (name, asks_who_it_is): (&str, bool),
    ) -> Result<(Box<dyn ByteStream>, Reader, Greeting), Failure> {
        let secrets = &self.secrets;
        let mut talk =
            Talk { stream, reader: Reader::default(), first: Vec::new(), is_tls, secrets };
        let (hello, has_password) = self.hello(name)?;
        let hello = talk.ask(&hello).await;
        let hello = hello.map_err(|e| if has_password { e.after_password() } else { e });
        let mut greeting = Greeting::read(hello?, secrets);
        greeting.check()?;
        if self.database != 0 {
            talk.ask(&Command::of(&["SELECT", &self.database.to_string()])).await?;
        }
        if asks_who_it_is && self.guard.is_on() {
            greeting.told = Some(self.meet(&mut talk).await?);
        }
        Ok((talk.stream, talk.reader, greeting))
    }

    /// Who the server is, and what its marker says. A replica, which must not be written to, has
    /// none of its own.
    async fn meet(&self, talk: &mut Talk<'_>) -> Result<(Told, Option<Marker>), Failure> {
        let nonsense = |command: &str| {
            let text = format!("{command} was answered with something else");
            Failure::unsent(Cause::Nonsense { text })
        };
        let info = talk.ask(&Command::of(&["INFO"])).await?;
        let told = answers::decode_info(&info).ok_or_else(|| nonsense("INFO"))?;
        if told.replica_of.is_some() {
            return Ok((told, None));
        }
        let script = match &self.guard.clock {
            Some(key) => with_clock(scripts::MEET, key).into(),
            None => Cow::Borrowed(scripts::MEET),
        };
        let known_for = self.guard.up_for.unwrap_or_default().as_micros().to_string();
        let words = ["EVAL", &*script, "1", layout::MARKER, &told.run_id, &known_for];
        let marker = answers::decode_marker(talk.ask(&Command::of(&words)).await?);
        Ok((told, Some(marker.ok_or_else(|| nonsense("EVAL"))?)))
    }

    /// The first command, and whether there is a password in it.
    fn hello(&self, name: &str) -> Result<(Command, bool), Failure> {
        let password = match &self.password {
            // A user without a password is let in by an empty one.
            Password::None => self.user.as_ref().map(|_| String::new()),
            Password::Given(password) => Some(password.as_ref().to_owned()),
            Password::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    let path = path.display().to_string().into();
                    Failure::unsent(Cause::PasswordFile { path, text: error.to_string() })
                })?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        };
        Ok(match &password {
            Some(password) => {
                self.secrets.add(password);
                let user = self.user.as_deref().unwrap_or("default");
                (Command::of(&["HELLO", "3", "AUTH", user, password, "SETNAME", name]), true)
            }
            None => (Command::of(&["HELLO", "3", "SETNAME", name]), false),
        })
    }
}

/// The first words with a server, before anybody else may speak.
struct Talk<'a> {
    stream: Box<dyn ByteStream>,
    reader: Reader,
    /// The first bytes that came: they tell what is no Redis.
    first: Vec<u8>,
    is_tls: bool,
    secrets: &'a Secrets,
}

impl Talk<'_> {
    async fn ask(&mut self, command: &Command) -> Result<Value, Failure> {
        // A server that turns us away says why before it closes: what can be read counts more
        // than that nothing could be written any more.
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

    /// What the end of the stream means.
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
