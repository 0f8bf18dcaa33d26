//! CMD's parent: a small process that ends CMD and all its descendants when the lease ends, even
//! if `tenure` is stopped, killed, or too busy. It has no threads, no store and no engine, and it
//! exits when CMD has ended.
//!
//! It lives in a process group of its own, so that a signal to the group of `tenure` misses it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal};

use crate::clock::{self, Alarm};
use crate::command::{Cmd, Environment, OWN_NAME};
use crate::link::{self, Inbox, Order, Report};
use crate::log;
use crate::output::{Level, Output};
use crate::process_tree::Status;
use crate::relay::{Due, Relay};
use crate::signals;
use crate::watch::{Cause, End, Event, Watch};

/// The word that makes `tenure` a sentry: not for people.
pub(crate) const WORD: &str = "__sentry";

/// Runs the sentry; the arguments are CMD's. Its exit code means nothing: all its news go over the
/// link.
pub(crate) fn main(arguments: Vec<OsString>) -> io::Result<()> {
    // It was started as /proc/self/exe, and `ps` would call it "exe".
    let _ = std::fs::write("/proc/self/comm", OWN_NAME);
    let tenure = rustix::process::getppid();
    let mut link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (start, stdin) = link::receive_start(&link)?;
    log::set_format(start.log);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let children = signals::shield()?;
    let cmd = Cmd::from_arguments(arguments).ok_or(io::ErrorKind::InvalidInput)?;
    let child = match cmd.spawn(start.foreground, Some(stdin), &Environment::default()) {
        Ok(child) => child,
        Err(e) => {
            let errno = e.raw_os_error().unwrap_or_default();
            return link.write_all(&link::line(&Report::NotStarted { errno }));
        }
    };
    let cmd = Pid::from_child(&child);
    let started = Report::Started { cmd: cmd.as_raw_nonzero().get() };
    // If `tenure` is gone, the link says so below.
    let _ = link.write_all(&link::line(&started));
    link.set_nonblocking(true)?;
    let signal = Signal::from_named_raw(start.signal).unwrap_or(Signal::TERM);
    let grace = Duration::from_micros(start.grace_us);
    let watch = Watch::over(Some(cmd), signal, grace, Some(start.lease));
    let watch = watch.with_rest(start.on_rest);
    let (relay, alarm) = (Relay::listen()?, Alarm::new()?);
    Sentry { link, inbox: Inbox::default(), children, alarm, relay, watch, cmd, tenure }.run()
}

struct Sentry {
    link: UnixStream,
    inbox: Inbox,
    /// Becomes readable when a child has changed.
    children: UnixStream,
    alarm: Alarm,
    relay: Relay,
    watch: Watch,
    cmd: Pid,
    tenure: Option<Pid>,
}

impl Sentry {
    fn run(mut self) -> io::Result<()> {
        let mut tenure_lives = true;
        loop {
            for event in self.watch.look(clock::now()) {
                match &event {
                    Event::Ended(end) if !tenure_lives => {
                        self.tell_user(end);
                        return Ok(());
                    }
                    Event::Ended(_) => {
                        // The last message has to arrive, also while `tenure` is stopped. If
                        // `tenure` has just died, CMD has ended by itself, and that needs no word.
                        self.link.set_nonblocking(false)?;
                        self.tell(&event);
                        return Ok(());
                    }
                    Event::Ending { .. } => self.relay.forget(),
                    _ => {}
                }
                self.tell(&event);
            }
            for due in self.relay.due(self.cmd, clock::now()) {
                match due {
                    Due::PassOn(signal) => self.watch.signal(signal),
                    Due::HoldBack(signal) => {
                        self.tell(&Event::HeldBack { signal: signal.as_raw() });
                    }
                }
            }
            self.alarm
                .set(self.watch.next_look().into_iter().chain(self.relay.next_look()).min())?;
            self.sleep(tenure_lives)?;
            empty(&mut self.children)?;
            if tenure_lives && !self.hear()? {
                tenure_lives = false;
                self.relay.forget();
                self.watch.end(Cause::TenureDied, clock::now());
            }
        }
    }

    /// Tells the user how it ended, in the place of a `tenure` that was killed.
    fn tell_user(&self, end: &End) {
        let number = |pid: Pid| pid.as_raw_nonzero();
        let tenure =
            self.tenure.map_or_else(String::new, |pid| format!(" (process {})", number(pid)));
        let variable = |name| std::env::var(name).unwrap_or_default();
        let keys: Vec<_> = variable("TENURE_KEY").lines().map(str::to_owned).collect();
        log::about(keys.clone(), variable("TENURE_STORE_NAME"), String::new());
        let keys: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
        let keys = keys.join(", ");
        let cmd = number(self.cmd);
        let how = match end.status {
            Some(Status::Signal(signal)) => format!(" by {}", signals::name(signal)),
            _ => String::new(),
        };
        let done = if end.left.is_empty() {
            format!("was ended{how}, and all that it started")
        } else {
            "could not be ended with all that it started".to_owned()
        };
        let output = Output(Level::Quiet);
        output.error(format!(
            "tenure{tenure} was killed while it held {keys}; CMD (process {cmd}) {done}; the key \
             is free when the ttl is over"
        ));
        for survivor in &end.left {
            output.error(survivor.left_behind());
        }
    }

    fn sleep(&self, tenure_lives: bool) -> io::Result<()> {
        let heard = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut all = vec![heard(self.alarm.as_fd()), heard(self.children.as_fd())];
        all.push(heard(self.relay.as_fd()));
        if tenure_lives {
            all.push(heard(self.link.as_fd()));
        }
        match rustix::event::poll(&mut all, None) {
            Err(rustix::io::Errno::INTR) => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }

    /// Follows the orders of `tenure`; `false` if it is gone.
    fn hear(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 1024];
        let lives = loop {
            match self.link.read(&mut bytes) {
                Ok(0) => break false,
                Ok(count) => self.inbox.push(&bytes[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        while let Some(order) = self.inbox.pop() {
            match order? {
                Order::Extend { deadline_us } => self.watch.extend(deadline_us),
                Order::Signal { signal } => {
                    if let Some(signal) = Signal::from_named_raw(signal) {
                        self.watch.signal(signal);
                    }
                }
                Order::PassOn { signal } => {
                    if let Some(signal) = Signal::from_named_raw(signal) {
                        self.relay.pass_on(signal, clock::now());
                    }
                }
                Order::End { cause } => {
                    self.relay.forget();
                    if let Some(event) = self.watch.end(cause, clock::now()) {
                        self.tell(&event);
                    }
                }
                Order::Answer => {}
            }
            self.send(&Report::Followed);
        }
        Ok(lives)
    }

    fn tell(&mut self, event: &Event) {
        self.send(&Report::Event(event.clone()));
    }

    fn send(&mut self, report: &Report) {
        // It may fail: `tenure` may be gone, or stopped for so long that the link is full.
        let _ = self.link.write_all(&link::line(report));
    }
}

fn empty(pipe: &mut UnixStream) -> io::Result<()> {
    let mut bytes = [0; 64];
    loop {
        match pipe.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
