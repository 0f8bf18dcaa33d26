//! A sentry as `tenure` sees it: it is started, told, heard, and killed if it does not do its work.
//! It never ends CMD: that is for the sentry, or for `tenure` once the sentry is gone.

use std::cell::Cell;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use tenure::runtime::Moment;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use crate::clock;
use crate::command::{Cmd, Environment, OWN_NAME, OWN_PROGRAM};
use crate::duration::show_seconds;
use crate::line;
use crate::link::{self, Inbox, Order, Report, Start};
use crate::process_tree::Survivor;
use crate::sentry;
use crate::watch::Event;

/// Time for the sentry to say that it has started CMD, if it is stopped.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Time for the sentry to follow an order before it is continued, and to end once it is ending.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time from then on before it is killed if it is stopped again, or is ending.
const LAST_PATIENCE: Duration = Duration::from_secs(8);
/// The same, and the time to start CMD, if it is not stopped: a busy machine, which does not let it
/// run, is no reason to end CMD.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);

/// A sentry that has started CMD.
#[derive(Debug)]
pub(crate) struct SentryClient {
    sentry: Process,
    link: UnixStream,
    inbox: Inbox,
    /// CMD's process: its end shows here even if the sentry does not tell. `None` after that.
    cmd: Option<AsyncFd<OwnedFd>>,
    /// The number of orders that were not followed yet.
    orders: Cell<usize>,
    /// When to check that the sentry runs; `NEVER` if it has followed all orders.
    check_at: Cell<Moment>,
    trust: Trust,
}

/// How far a sentry is trusted to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It has followed every order in time.
    Full,
    /// It was silent once. It is asked again and again: it sends CMD a signal a little later than
    /// it follows the order, and may be stopped in between.
    Suspect,
    /// It was continued at this moment, and has not said anything since.
    Continued(Moment),
}

/// The news of a sentry.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) events: Vec<Event>,
    pub(crate) sentry: Sentry,
}

/// Whether a sentry lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sentry {
    Lives,
    IsGone,
}

/// The measure taken against a sentry that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It was stopped, and was continued.
    Continued(Pid),
    /// It was killed; the rest follows.
    Killed(Pid),
}

/// Why CMD did not start.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The system refused to run CMD itself.
    Cmd(io::Error),
    /// The sentry could not be started, or did not say that it has started CMD.
    Sentry {
        error: io::Error,
        /// The processes that it has started all the same, and that could not be ended.
        left: Vec<Survivor>,
    },
}

impl NotStarted {
    fn of_sentry(error: io::Error) -> Self {
        Self::Sentry { error, left: vec![] }
    }
}

impl SentryClient {
    /// Starts a sentry, which starts CMD. Answers CMD's number too.
    pub(crate) fn start(
        cmd: &Cmd,
        env: &Environment,
        start: &Start,
    ) -> Result<(Self, Pid), NotStarted> {
        let (mut sentry, ours) = start_sentry(cmd, env, start).map_err(NotStarted::of_sentry)?;
        let word = first_word(&ours, &sentry);
        if let Ok(Report::Started { cmd }) = word
            && let Some(cmd) = Pid::from_raw(cmd)
        {
            let link = ours.set_nonblocking(true).and_then(|()| UnixStream::from_std(ours));
            let link = link.map_err(NotStarted::of_sentry)?;
            let started = Self {
                sentry,
                link,
                inbox: Inbox::default(),
                // If CMD has ended already, the sentry runs: it has reaped CMD.
                cmd: watched(cmd),
                orders: Cell::new(0),
                check_at: Cell::new(Moment::NEVER),
                trust: Trust::Full,
            };
            // It may have been stopped right after its first message.
            started.tell(&Order::Answer);
            return Ok((started, cmd));
        }
        // The sentry ends all that it may have started: the other end of its link is closed.
        drop(ours);
        sentry.go_on();
        sentry.wait(Duration::from_micros(start.grace_us) + LAST_PATIENCE);
        Err(match word {
            Ok(Report::NotStarted { errno }) => {
                NotStarted::Cmd(io::Error::from_raw_os_error(errno))
            }
            Ok(_) => NotStarted::of_sentry(io::ErrorKind::InvalidData.into()),
            Err(e) => NotStarted::of_sentry(e),
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

    /// When [`SentryClient::check`] is due; `NEVER` while the sentry answers.
    pub(crate) fn check_at(&self) -> Moment {
        self.check_at.get()
    }

    /// A sentry that did not follow an order in time is continued, and then killed.
    pub(crate) fn check(&mut self, now: Moment) -> Option<Silence> {
        // We may have been stopped ourselves: its messages of that time are read first.
        if now < self.check_at.get() || is_readable(&self.link, Duration::ZERO) {
            return None;
        }
        if let Trust::Continued(at) = self.trust {
            if now.since(at) < BUSY_PATIENCE && !self.sentry.is_stopped() {
                self.check_at.set(now + PATIENCE);
                return None;
            }
            self.check_at.set(Moment::NEVER);
            self.sentry.kill();
            return Some(Silence::Killed(self.sentry.pid));
        }
        if self.orders.get() == 0 {
            self.check_at.set(Moment::NEVER);
            self.tell(&Order::Answer);
            return None;
        }
        self.trust = Trust::Continued(now);
        self.check_at.set(now + LAST_PATIENCE);
        let was_stopped = self.sentry.is_stopped();
        self.sentry.go_on();
        was_stopped.then_some(Silence::Continued(self.sentry.pid))
    }

    /// The news of the sentry.
    pub(crate) fn hear(&mut self) -> Heard {
        self.sentry.reap_all();
        let sentry = self.read();
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
        Heard { events, sentry }
    }

    fn followed(&mut self) {
        let orders = self.orders.get().saturating_sub(1);
        self.orders.set(orders);
        if let Trust::Continued(_) = self.trust {
            self.trust = Trust::Suspect;
        }
        let is_well = orders == 0 && self.trust == Trust::Full;
        self.check_at.set(if is_well { Moment::NEVER } else { clock::now() + PATIENCE });
    }

    /// Sends an order. A sentry that has not read for so long that the link is full is killed.
    pub(crate) fn tell(&self, order: &Order) {
        let line = link::line(order);
        // Without tokio, which takes a link for not writable until something was awaited on it.
        if rustix::io::write(&self.link, &line) != Ok(line.len()) {
            self.sentry.kill();
        }
        self.orders.set(self.orders.get() + 1);
        if self.check_at.get() == Moment::NEVER {
            self.check_at.set(clock::now() + PATIENCE);
        }
    }

    /// Kills the sentry, and not CMD.
    pub(crate) fn kill(&self) {
        self.sentry.kill();
    }

    /// Kills the sentry if it is stopped, and not CMD; whether it is.
    pub(crate) fn kill_stopped(&self) -> bool {
        let is_stopped = self.sentry.is_stopped();
        if is_stopped {
            self.sentry.kill();
        }
        is_stopped
    }

    /// Waits for the end of a sentry that is ending, and kills one that is not.
    pub(crate) fn wait(&mut self) {
        self.sentry.wait(PATIENCE);
    }

    /// The end of the link is the end of the sentry.
    fn read(&mut self) -> Sentry {
        let mut bytes = [0; 1024];
        loop {
            let read = match self.link.try_read(&mut bytes) {
                // Tokio takes a link for empty until it was awaited. After a stop of ours, the
                // messages of that time come before the signal that continued us.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    rustix::io::read(&self.link, &mut bytes).map_err(io::Error::from)
                }
                read => read,
            };
            match read {
                Ok(0) => return Sentry::IsGone,
                Ok(count) => self.inbox.push(&bytes[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Sentry::Lives,
                Err(_) => return Sentry::IsGone,
            }
        }
    }
}

/// The sentry's process. The handle belongs to it even if another process gets its number later.
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

    /// Whether it is stopped. Its number is its own until it is reaped.
    fn is_stopped(&self) -> bool {
        let look = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let stopped = (!self.reaped).then(|| rustix::process::waitid(WaitId::Pid(self.pid), look));
        matches!(stopped, Some(Ok(Some(_))))
    }

    /// Continues it, if it was stopped.
    fn go_on(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.handle, Signal::CONT);
    }

    /// Waits for its end, and kills it if that takes longer.
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

    /// Collects every child that has ended: process 1 gets the orphans of all.
    fn reap_all(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.reaped |= pid == self.pid;
            line::collected(pid, status);
        }
    }
}

/// A process whose end can be awaited; `None` if that is impossible.
#[allow(deprecated, reason = "its successor is unsafe; an OwnedFd keeps what that one demands")]
fn watched(process: Pid) -> Option<AsyncFd<OwnedFd>> {
    let handle = rustix::process::pidfd_open(process, PidfdFlags::NONBLOCK).ok()?;
    AsyncFd::with_interest(handle, Interest::READABLE).ok()
}

/// Whether there is something to read, within this time. Of a process's handle that is its end.
fn is_readable(descriptor: &impl AsFd, limit: Duration) -> bool {
    let end = clock::now() + limit;
    loop {
        let mut ready = [PollFd::new(descriptor, PollFlags::IN)];
        let left = Timespec::try_from(end.since(clock::now())).ok();
        match rustix::event::poll(&mut ready, left.as_ref()) {
            // Every stop and every continuation of the sentry interrupts with a SIGCHLD.
            Err(rustix::io::Errno::INTR) => {}
            done => return done.is_ok_and(|count| count > 0),
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

fn first_word(mut link: &StdStream, sentry: &Process) -> io::Result<Report> {
    link.set_read_timeout(Some(START_LIMIT))?;
    let begun = clock::now();
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
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let waited = clock::now().since(begun);
                if waited < BUSY_PATIENCE && !sentry.is_stopped() {
                    continue;
                }
                let message = format!("it did not start CMD within {}", show_seconds(waited));
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use tenure_testkit::Running;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A sentry that never answers, and the other end of its link. It ends with the value.
    struct Silent {
        client: SentryClient,
        _link: StdStream,
        _process: Running,
    }

    impl Silent {
        /// It was just told something.
        fn start() -> Self {
            let process = Running::start(Command::new("sleep").arg("600"));
            let pid = Pid::from_child(&process);
            let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).expect("a handle");
            let (ours, theirs) = StdStream::pair().expect("a link");
            ours.set_nonblocking(true).expect("a link");
            let client = SentryClient {
                sentry: Process { pid, handle, reaped: false },
                link: UnixStream::from_std(ours).expect("a link"),
                inbox: Inbox::default(),
                cmd: None,
                orders: Cell::new(0),
                check_at: Cell::new(Moment::NEVER),
                trust: Trust::Full,
            };
            client.tell(&Order::Answer);
            Self { client, _link: theirs, _process: process }
        }

        fn stop(&self) {
            let sentry = &self.client.sentry;
            rustix::process::kill_process(sentry.pid, Signal::STOP).expect("it is there");
            while !sentry.is_stopped() {
                clock::sleep(Duration::from_millis(1));
            }
        }
    }

    fn in_a_runtime(test: impl FnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        runtime.expect("a runtime").block_on(async { test() });
    }

    /// It was killed after ten seconds, and CMD with it.
    #[test]
    fn a_sentry_that_a_busy_machine_does_not_let_run_is_not_told_of_and_not_killed() {
        in_a_runtime(|| {
            let mut sentry = Silent::start();
            let client = &mut sentry.client;
            let late = client.check_at();
            assert_eq!(client.check(late), None);
            for seconds in [8, 10, 30, 59] {
                assert_eq!(client.check(late + SECOND * seconds), None, "after {seconds} s");
            }
            assert!(!client.kill_stopped());
            let pid = client.sentry.pid;
            assert_eq!(client.check(late + SECOND * 62), Some(Silence::Killed(pid)));
        });
    }

    #[test]
    fn a_sentry_that_is_stopped_again_after_it_was_continued_is_killed() {
        in_a_runtime(|| {
            let mut sentry = Silent::start();
            let (late, pid) = (sentry.client.check_at(), sentry.client.sentry.pid);
            sentry.stop();
            assert_eq!(sentry.client.check(late), Some(Silence::Continued(pid)));
            sentry.stop();
            assert_eq!(sentry.client.check(late + SECOND * 7), None);
            assert_eq!(sentry.client.check(late + SECOND * 8), Some(Silence::Killed(pid)));
        });
    }
}
