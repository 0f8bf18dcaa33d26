//! Signals on their way from `tenure` to CMD. The sentry passes each of them on once, and never one
//! that CMD has got already.
//!
//! Service managers stop a service by a signal to every one of its processes. CMD has it then, and
//! a second one from us may cut its clean ending short. The sentry tells such a signal from one to
//! `tenure` alone: it lives in a process group of its own, so it gets the first and not the second.
//! By `killall tenure`, though, it gets a signal that CMD does not get. So a signal is held back
//! only if CMD certainly has it, or if it came from a manager of services (process 1 or an ancestor
//! of ours) and the sentry hears nothing that `tenure` does not hear. It is passed on if CMD would
//! be dead of it, and when it is repeated.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::{Pid, Signal};
use tenure::runtime::Moment;

use crate::procs::{Disposition, Table};
use crate::signals;

/// How long a signal to all processes may take from the first to the last of them.
const WINDOW: Duration = Duration::from_millis(100);
/// How long a signal to the sentry waits for the same one from `tenure`, which may be stopped.
const MEMORY: Duration = Duration::from_secs(10);

/// A signal that came to the sentry itself.
#[derive(Debug, Clone, Copy)]
struct Own {
    signal: Signal,
    at: Moment,
    /// A manager of services has sent it.
    by_manager: bool,
    /// `tenure` has got it, too.
    shared: bool,
}

/// A signal that is due for CMD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    PassOn(Signal),
    /// CMD has it.
    HoldBack(Signal),
}

/// A signal that waits until the sentry knows whether it has got the same one.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    signal: Signal,
    until: Moment,
}

/// The signals of the sentry, and those that `tenure` wants passed on.
#[derive(Debug)]
pub(crate) struct Relay {
    own: SignalFd,
    heard: Vec<Own>,
    waiting: Vec<Waiting>,
    /// The signals that were held back once.
    held_back: Vec<Signal>,
}

impl Relay {
    /// From here on signals to this process are read. To be called when CMD has started, since a
    /// program inherits which signals are blocked.
    pub(crate) fn listen() -> io::Result<Self> {
        let own = SignalFd::with_flags(
            &signals::block_passed_on()?,
            SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
        )?;
        Ok(Self { own, heard: vec![], waiting: vec![], held_back: vec![] })
    }

    /// `tenure` wants a signal passed on.
    pub(crate) fn pass_on(&mut self, signal: Signal, now: Moment) {
        self.waiting.push(Waiting { signal, until: now + WINDOW });
    }

    /// CMD is being ended: other signals do not matter any more.
    pub(crate) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// The signals that are due for CMD.
    pub(crate) fn due(&mut self, cmd: Pid, now: Moment) -> Vec<Due> {
        self.hear(now);
        for own in &mut self.heard {
            own.shared |= self.waiting.iter().any(|waiting| waiting.signal == own.signal);
        }
        let mut due = vec![];
        while let Some(at) = self.waiting.iter().position(|waiting| waiting.until <= now) {
            let Waiting { signal, .. } = self.waiting.remove(at);
            let has_it = self.heard.iter().find(|own| own.signal == signal);
            let has_it = has_it.is_some_and(|own| self.has_it(cmd, *own));
            self.heard.retain(|own| own.signal != signal);
            if has_it {
                self.held_back.push(signal);
            }
            due.push(if has_it { Due::HoldBack(signal) } else { Due::PassOn(signal) });
        }
        due
    }

    /// When the next signal is due.
    pub(crate) fn next_look(&self) -> Option<Moment> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    fn hear(&mut self, now: Moment) {
        while let Ok(Some(info)) = self.own.read_signal() {
            // Codes above zero are the kernel's own: no process has sent them.
            let by_process = info.ssi_code <= 0;
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            let sender = i32::try_from(info.ssi_pid).unwrap_or_default();
            if let Some(signal) = Signal::from_named_raw(number).filter(|_| by_process) {
                self.heard.push(Own {
                    signal,
                    at: now,
                    by_manager: is_manager(sender),
                    shared: false,
                });
            }
        }
        self.heard.retain(|own| now.since(own.at) <= MEMORY);
    }

    /// Whether CMD has got a signal that came to us, too.
    fn has_it(&self, cmd: Pid, own: Own) -> bool {
        match Table::read().ok().and_then(|table| table.disposition(cmd, own.signal)) {
            None | Some(Disposition::Pending) => true,
            Some(Disposition::Default) => false,
            Some(Disposition::Handled) => {
                let all_shared = self.heard.iter().all(|own| own.shared);
                own.by_manager && all_shared && !self.held_back.contains(&own.signal)
            }
        }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.own.as_fd()
    }
}

/// Whether a sender is process 1, an ancestor of ours, or outside of our namespace (0).
fn is_manager(sender: i32) -> bool {
    sender <= 1 || Table::read().is_ok_and(|table| table.ancestors().contains(&sender))
}
