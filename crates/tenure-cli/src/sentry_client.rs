//! A sentry as `tenure` sees it: started, told, heard, and ended if it does not do its work.

use std::cell::Cell;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use tenure::runtime::Moment;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use crate::clock;
use crate::command::{Cmd, Environment, OWN_NAME, OWN_PROGRAM};
use crate::link::{self, Inbox, Order, Report, Start};
use crate::sentry;
use crate::watch::Event;

/// How long the sentry may take to say that it has started CMD.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How long the sentry may take to follow an order before it is continued, and to end once it is
/// ending.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take from then on before it is ended: a busy machine is no reason to end CMD.
const LAST_PATIENCE: Duration = Duration::from_secs(8);

/// A sentry that has started CMD.
#[derive(Debug)]
pub(crate) struct SentryClient {
    sentry: Process,
    link: UnixStream,
    inbox: Inbox,
    /// CMD's own process, whose end shows whatever the sentry does. `None` once it has ended.
    cmd: Option<AsyncFd<OwnedFd>>,
    /// How many orders were not followed yet.
    orders: Cell<usize>,
    /// When to doubt that the sentry runs; `NEVER` if it has followed all.
    doubt: Cell<Moment>,
    /// It was continued, and has not said anything since.
    continued: bool,
    /// It was silent once: it is asked again and again, since it may be stopped before it has sent
    /// CMD a signal, which it does a little later than it follows the order.
    suspect: bool,
}

/// What was done about a sentry that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It was continued, since it may be stopped.
    Continued(Pid),
    /// It was killed; the rest follows.
    Killed(Pid),
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
            let started = Self {
                sentry,
                link,
                inbox: Inbox::default(),
                // A CMD that has ended already was reaped by a sentry that runs.
                cmd: watched(cmd),
                orders: Cell::new(0),
                doubt: Cell::new(Moment::NEVER),
                continued: false,
                suspect: false,
            };
            // One that was stopped right after its first word shows by this.
            started.tell(&Order::Answer);
            return Ok((started, cmd));
        }
        // What it may have started, it ends for lack of a `tenure` at the link's other end.
        drop(ours);
        sentry.go_on();
        sentry.wait(Duration::from_micros(start.grace_us) + LAST_PATIENCE);
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
        let cmd_ended = async {
            match &self.cmd {
                Some(cmd) => drop(cmd.readable().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // An error of the link shows when it is read.
            _ = self.link.readable() => {}
            () = cmd_ended => {}
        }
    }

    /// When [`SentryClient::doubt`] is due; `NEVER` while all is well.
    pub(crate) fn doubt_at(&self) -> Moment {
        self.doubt.get()
    }

    /// A sentry that did not follow an order in time is continued, and then ended.
    pub(crate) fn doubt(&mut self, now: Moment) -> Option<Silence> {
        // What was said while we were stopped is read first.
        if now < self.doubt.get() || is_readable(&self.link, Duration::ZERO) {
            return None;
        }
        if self.continued {
            self.doubt.set(Moment::NEVER);
            self.sentry.kill();
            return Some(Silence::Killed(self.sentry.pid));
        }
        if self.orders.get() == 0 {
            self.doubt.set(Moment::NEVER);
            self.tell(&Order::Answer);
            return None;
        }
        (self.continued, self.suspect) = (true, true);
        self.doubt.set(now + LAST_PATIENCE);
        self.sentry.go_on();
        Some(Silence::Continued(self.sentry.pid))
    }

    /// What the sentry has said, and whether it lives.
    pub(crate) fn hear(&mut self) -> (Vec<Event>, bool) {
        self.sentry.reap_all();
        let lives = self.read();
        let mut events = vec![];
        while let Some(report) = self.inbox.pop() {
            match report {
                Ok(Report::Event(event)) => events.push(event),
                Ok(Report::Followed) => self.followed(),
                _ => {}
            }
        }
        if self.cmd.as_ref().is_some_and(|cmd| is_readable(cmd.get_ref(), Duration::ZERO)) {
            self.cmd = None;
            self.tell(&Order::Answer);
        }
        (events, lives)
    }

    fn followed(&mut self) {
        let orders = self.orders.get().saturating_sub(1);
        self.orders.set(orders);
        self.continued = false;
        let is_well = orders == 0 && !self.suspect;
        self.doubt.set(if is_well { Moment::NEVER } else { clock::now() + PATIENCE });
    }

    /// Tells the sentry. One that has not listened for so long that a line does not fit any
    /// more is no sentry and is ended.
    pub(crate) fn tell(&self, order: &Order) {
        let line = link::line(order);
        // Not by way of tokio: to it, a link on which nothing was awaited yet is not writable.
        if rustix::io::write(&self.link, &line) != Ok(line.len()) {
            self.sentry.kill();
        }
        self.orders.set(self.orders.get() + 1);
        if self.doubt.get() == Moment::NEVER {
            self.doubt.set(clock::now() + PATIENCE);
        }
    }

    /// Ends the sentry, not what it guards.
    pub(crate) fn kill(&self) {
        self.sentry.kill();
    }

    /// Waits for the end of a sentry that is ending, and ends one that does not.
    pub(crate) fn wait(&mut self) {
        self.sentry.wait(PATIENCE);
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

    /// Continues it, if it was stopped.
    fn go_on(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.handle, Signal::CONT);
    }

    /// Waits for its end, and ends it if that takes longer.
    fn wait(&mut self, limit: Duration) {
        if !self.reaped && !is_readable(&self.handle, limit) {
            self.kill();
        }
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

/// A process whose end can be awaited; `None` if that is impossible.
#[allow(deprecated, reason = "its successor is unsafe; an OwnedFd keeps what that one demands")]
fn watched(process: Pid) -> Option<AsyncFd<OwnedFd>> {
    let handle = rustix::process::pidfd_open(process, PidfdFlags::NONBLOCK).ok()?;
    AsyncFd::with_interest(handle, Interest::READABLE).ok()
}

/// Whether there is something to read, within this time: of a process's handle, its end.
fn is_readable(descriptor: &impl AsFd, limit: Duration) -> bool {
    let mut ready = [PollFd::new(descriptor, PollFlags::IN)];
    let limit = Timespec::try_from(limit).ok();
    // No signal interrupts this for long: the limit is short, and killing comes after it.
    rustix::event::poll(&mut ready, limit.as_ref()).is_ok_and(|count| count > 0)
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
