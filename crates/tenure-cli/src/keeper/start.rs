//! The keeper is started: our own program again, without our terminal, our output or our input. It
//! gets all that it needs over a pair of sockets, since words and variables are seen by others.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tenure::Label;

use crate::args::HoldArgs;
use crate::command::{OWN_NAME, OWN_PROGRAM};
use crate::label;
use crate::store::Located;
use crate::ticket::grant::{Granted, Wanted};

use super::WORD;

/// Time for the keeper to adopt the lock.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// All that the keeper has to know.
#[derive(Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) store: Located,
    pub(super) store_timeout: Duration,
    pub(super) ticket: String,
    pub(super) label: String,
    pub(super) ttl: Duration,
    /// The process that is watched; its handle is the keeper's stdin.
    pub(super) pid: Option<i32>,
    /// The line that is run in its place.
    pub(super) line: Option<Vec<u8>>,
    pub(super) every: Duration,
    pub(super) signal: Option<i32>,
}

/// The keeper's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Holds,
    Failed(String),
}

/// A keeper that holds the lock.
pub(super) struct Keeper {
    process: Child,
    /// The name under which others see it.
    pub(super) label: Label,
}

impl Keeper {
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Lets it release the lock.
    pub(super) fn end(&self) {
        let _ = rustix::process::kill_process(Pid::from_child(&self.process), Signal::TERM);
    }
}

/// Starts a keeper, and waits until it holds the lock.
pub(super) fn keeper(
    args: &HoldArgs,
    wanted: &Wanted,
    granted: &Granted,
    watched: Option<&OwnedFd>,
    log: Option<&File>,
) -> io::Result<Keeper> {
    let ticket = &granted.ticket;
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(OWN_PROGRAM);
    // The key is for people who look for it in the list of processes.
    command.arg0(OWN_NAME).args([WORD, ticket.key().as_str()]);
    command.stdin(watched.map(OwnedFd::try_clone).transpose()?.map_or(Stdio::null(), Into::into));
    command.stderr(log.map(File::try_clone).transpose()?.map_or(Stdio::null(), Into::into));
    let process = command.stdout(OwnedFd::from(theirs)).spawn()?;
    let label = label::adopted(&wanted.label, process.id());
    let keeper = Keeper { process, label };
    // The parent's copy of the other socket would keep the pair open.
    drop(command);
    let start = Start {
        store: wanted.store.clone(),
        store_timeout: wanted.store_timeout,
        ticket: ticket.to_string(),
        label: keeper.label.as_str().to_owned(),
        ttl: super::ttl(args, granted),
        pid: args.pid,
        line: args.line.as_ref().map(|line| line.as_bytes().to_vec()),
        every: args.every,
        signal: args.signal.map(Signal::as_raw),
    };
    ours.set_read_timeout(Some(LIMIT))?;
    ours.write_all(&crate::link::line(&start))?;
    let mut answer = String::new();
    let read = BufReader::new(&ours).read_line(&mut answer);
    match read.and_then(|_| serde_json::from_str(&answer).map_err(io::Error::from)) {
        Ok(Answer::Holds) => Ok(keeper),
        Ok(Answer::Failed(why)) => Err(io::Error::other(why)),
        Err(e) => {
            keeper.end();
            Err(io::Error::other(format!("it did not say that it holds the lock: {e}")))
        }
    }
}
