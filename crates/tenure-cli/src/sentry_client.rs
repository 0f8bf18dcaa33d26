//! A sentry as `tenure` sees it: started, told, heard, and ended if it does not do its work.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use tokio::net::UnixStream;

use crate::command::{Cmd, Environment, OWN_NAME, OWN_PROGRAM};
use crate::link::{self, Inbox, Order, Report, Start};
use crate::sentry;
use crate::watch::Event;

/// How long the sentry may take to say that it has started CMD.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A sentry that has started CMD.
#[derive(Debug)]
pub(crate) struct SentryClient {
    sentry: Process,
    link: UnixStream,
    inbox: Inbox,
}

/// Why CMD did not start.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The system refused to run CMD itself.
    Cmd(io::Error),
    /// The sentry could not be started, or did not do its part.
    Sentry(io::Error),
}

impl SentryClient {
    /// Starts a sentry and through it CMD; answers CMD's number too.
    pub(crate) fn start(
        cmd: &Cmd,
        env: &Environment,
        start: &Start,
    ) -> Result<(Self, Pid), NotStarted> {
        let (mut sentry, ours) = start_sentry(cmd, env, start).map_err(NotStarted::Sentry)?;
        let word = first_word(&ours);
        if let Ok(Report::Started { cmd }) = word
            && let Some(cmd) = Pid::from_raw(cmd)
        {
            let link = ours.set_nonblocking(true).and_then(|()| UnixStream::from_std(ours));
            let link = link.map_err(NotStarted::Sentry)?;
            return Ok((Self { sentry, link, inbox: Inbox::default() }, cmd));
        }
        // What it may have started, it ends for lack of a `tenure` at the link's other end.
        drop(ours);
        sentry.wait();
        Err(match word {
            Ok(Report::NotStarted { errno }) => {
                NotStarted::Cmd(io::Error::from_raw_os_error(errno))
            }
            Ok(_) => NotStarted::Sentry(io::ErrorKind::InvalidData.into()),
            Err(e) => NotStarted::Sentry(e),
        })
    }

    /// Ends when there is something to hear.
    pub(crate) async fn ready(&self) {
        // An error of the link shows when it is read.
        let _ = self.link.readable().await;
    }

    /// What the sentry has said, and whether it lives.
    pub(crate) fn hear(&mut self) -> (Vec<Event>, bool) {
        self.sentry.reap_all();
        let lives = self.read();
        let mut events = vec![];
        while let Some(report) = self.inbox.pop() {
            if let Ok(Report::Event(event)) = report {
                events.push(event);
            }
        }
        (events, lives)
    }

    /// Tells the sentry. One that has not listened for so long that a line does not fit any
    /// more is no sentry and is ended.
    pub(crate) fn tell(&self, order: &Order) {
        let line = link::line(order);
        // Not by way of tokio: to it, a link on which nothing was awaited yet is not writable.
        if rustix::io::write(&self.link, &line) != Ok(line.len()) {
            self.sentry.kill();
        }
    }

    /// Ends the sentry, not what it guards.
    pub(crate) fn kill(&self) {
        self.sentry.kill();
    }

    /// Waits for the end of a sentry that is ending.
    pub(crate) fn wait(&mut self) {
        self.sentry.wait();
    }

    /// `false` at the end of the link.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 1024];
        loop {
            let read = match self.link.try_read(&mut bytes) {
                // To tokio nothing has come before it was awaited; but after a stop, what was said
                // meanwhile comes before the signal that continued us.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    rustix::io::read(&self.link, &mut bytes).map_err(io::Error::from)
                }
                read => read,
            };
            match read {
                Ok(0) => return false,
                Ok(count) => self.inbox.push(&bytes[..count]),
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// The sentry's process. The handle stays with it, whoever gets its number later.
#[derive(Debug)]
struct Process {
    pid: Pid,
    handle: OwnedFd,
    reaped: bool,
}

impl Process {
    fn kill(&self) {
        // It may have ended by itself.
        let _ = rustix::process::pidfd_send_signal(&self.handle, Signal::KILL);
    }

    fn wait(&mut self) {
        while !self.reaped {
            match rustix::process::waitpid(Some(self.pid), WaitOptions::empty()) {
                Err(rustix::io::Errno::INTR) => {}
                _ => self.reaped = true,
            }
        }
    }

    /// Collects every child that has ended: as process 1 we get everybody's orphans.
    fn reap_all(&mut self) {
        while let Ok(Some((pid, _))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.reaped |= pid == self.pid;
        }
    }
}

fn start_sentry(cmd: &Cmd, env: &Environment, start: &Start) -> io::Result<(Process, StdStream)> {
    let (ours, theirs) = StdStream::pair()?;
    link::send_start(&ours, start, rustix::stdio::stdin())?;
    let mut command = Command::new(OWN_PROGRAM);
    command.arg0(OWN_NAME).arg(sentry::WORD).args(cmd.to_arguments());
    env.put_into(&mut command);
    let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).process_group(0).spawn()?;
    let pid = Pid::from_child(&child);
    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    Ok((Process { pid, handle, reaped: false }, ours))
}

fn first_word(mut link: &StdStream) -> io::Result<Report> {
    link.set_read_timeout(Some(START_LIMIT))?;
    let mut inbox = Inbox::default();
    // Byte by byte, so that nothing of the next message is taken.
    let mut byte = [0];
    loop {
        if let Some(report) = inbox.pop() {
            return report;
        }
        match link.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => inbox.push(&byte),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
