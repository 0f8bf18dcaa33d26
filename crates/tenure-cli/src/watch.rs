//! The watch over CMD and its descendants: it decides when they have to end, and ends them. The
//! sentry keeps it for `tenure run`; without a sentry `tenure` keeps it itself. It reads no clock,
//! arms no timer and knows nothing of a store: it is told the time and says when it wants to look
//! again.

use std::cell::RefCell;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tenure::runtime::Moment;

use crate::process_tree::{Change, ProcessTree, Status, Survivor};
use crate::rest::{OnRest, Rest};

/// Why CMD was made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The lease was not renewed in time.
    Deadline,
    /// `tenure` said that the lock is lost.
    Lost,
    /// `tenure` died.
    TenureDied,
    /// The sentry died.
    SentryDied,
    /// `--max-hold` is over.
    MaxHold,
    /// `--check` has failed too often.
    Unhealthy,
    /// CMD has ended by itself, and the processes that it has left are ended.
    Rest,
}

impl Cause {
    /// How much of the grace is left: somebody else may hold already what is lost.
    pub(crate) fn grace(self, full: Duration) -> Duration {
        if self == Self::Lost { full.min(LAST_GRACE) } else { full }
    }
}

/// When CMD and its descendants have to be gone.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// The end of the lease, in microseconds of `CLOCK_BOOTTIME`.
    pub(crate) deadline_us: u64,
    /// How much earlier SIGKILL is sent: signals and process tables take their time.
    pub(crate) slack_us: u64,
}

impl Lease {
    fn kill_at(self) -> Moment {
        Moment::from_micros(self.deadline_us.saturating_sub(self.slack_us))
    }
}

/// News of CMD. The sentry sends them to `tenure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// CMD was stopped by this signal.
    Stopped { signal: i32 },
    /// A signal was not passed on: CMD has it.
    HeldBack { signal: i32 },
    /// CMD did not get a signal: it runs as another user.
    Untold { signal: i32, cmd: Survivor },
    /// CMD has ended by itself and left living processes. Told once.
    Left(Rest),
    /// CMD and its descendants are being ended.
    Ending { cause: Cause },
    /// CMD has ended, and its descendants too if it was made to. Nothing follows.
    Ended(End),
}

/// The end of CMD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// `None` if CMD could not be ended, or nobody saw its end.
    pub(crate) status: Option<Status>,
    /// When CMD was seen to end, and all that was waited for or ended after it, in microseconds of
    /// `CLOCK_BOOTTIME`.
    pub(crate) at_us: u64,
    /// `None` if it ended by itself.
    pub(crate) cause: Option<Cause>,
    /// The processes that could not be ended.
    pub(crate) left: Vec<Survivor>,
}

/// Time between the first signal and SIGKILL once the lock is lost.
const LAST_GRACE: Duration = Duration::from_millis(100);
/// Interval of looks after SIGKILL: a process may have forked before it was hit.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A process that lives this long after SIGKILL hangs in the kernel.
const GIVE_UP: Duration = Duration::from_secs(5);

/// How CMD and its descendants are made to end.
#[derive(Debug, Clone, Copy)]
struct Ending {
    cause: Cause,
    /// The end of the grace.
    kill_at: Moment,
    /// When SIGKILL was sent first.
    killed: Option<Moment>,
    /// The next look, after SIGKILL.
    look: Moment,
}

/// CMD has ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    /// `None` if nobody saw it.
    status: Option<Status>,
    at: Moment,
}

impl Ended {
    fn because_of(self, cause: Option<Cause>, left: Vec<Survivor>) -> End {
        End { status: self.status, at_us: self.at.as_micros(), cause, left }
    }
}

/// The watch.
#[derive(Debug)]
pub(crate) struct Watch {
    tree: ProcessTree,
    /// The first signal.
    signal: Signal,
    /// The time between it and SIGKILL.
    grace: Duration,
    /// `None`: no lease limits CMD.
    lease: Option<Lease>,
    ending: Option<Ending>,
    ended: Option<Ended>,
    on_rest: OnRest,
    /// CMD has left processes, which the lock waits for.
    waits: bool,
    /// News for the next look.
    untold: RefCell<Vec<Event>>,
}

impl Watch {
    pub(crate) fn over(
        cmd: Option<Pid>,
        signal: Signal,
        grace: Duration,
        lease: Option<Lease>,
    ) -> Self {
        Self {
            tree: ProcessTree::of(cmd),
            signal,
            grace,
            lease,
            ending: None,
            ended: None,
            on_rest: OnRest::Leave,
            waits: false,
            untold: RefCell::default(),
        }
    }

    /// Sets the fate of the processes that CMD leaves when it ends by itself. Default: they go on.
    pub(crate) fn with_rest(self, on_rest: OnRest) -> Self {
        Self { on_rest, ..self }
    }

    /// The lease was renewed until `deadline_us`. An ending that has begun goes on.
    pub(crate) fn extend(&mut self, deadline_us: u64) {
        if let Some(lease) = &mut self.lease {
            lease.deadline_us = deadline_us.max(lease.deadline_us);
        }
    }

    /// Sends a signal to CMD's group, or to all that CMD has left and that is waited for.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.waits && self.ending.is_none() {
            return self.tree.signal_all(signal);
        }
        if let Some(cmd) = self.tree.signal_group(signal) {
            let event = Event::Untold { signal: signal.as_raw(), cmd };
            self.untold.borrow_mut().push(event);
        }
    }

    /// Ends CMD and its descendants: the first signal now, SIGKILL after the grace or when the
    /// lease ends. Stopped processes are continued, so that they can follow the signal. An ending
    /// that has begun can only become shorter.
    pub(crate) fn end(&mut self, cause: Cause, now: Moment) -> Option<Event> {
        let kill_at = now + cause.grace(self.grace);
        if let Some(ending) = &mut self.ending {
            ending.kill_at = ending.kill_at.min(kill_at);
            return None;
        }
        self.tree.signal_all(self.signal);
        self.tree.signal_all(Signal::CONT);
        self.ending = Some(Ending { cause, kill_at, killed: None, look: kill_at });
        Some(Event::Ending { cause })
    }

    /// CMD has ended unseen. Its descendants are left to watch.
    pub(crate) fn ended_unseen(&mut self, now: Moment) {
        self.ended.get_or_insert(Ended { status: None, at: now });
    }

    /// Looks at the processes, and does all that is due.
    pub(crate) fn look(&mut self, now: Moment) -> Vec<Event> {
        let mut events = self.untold.take();
        for change in self.tree.reap() {
            match change {
                Change::Stopped(signal) => events.push(Event::Stopped { signal }),
                Change::Ended(status) => {
                    self.ended = Some(Ended { status: Some(status), at: now });
                    if self.ending.is_none() {
                        events.extend(self.left(now));
                    }
                }
            }
        }
        self.waits = self.waits && self.goes_on(now);
        if self.ending.is_none() && (self.ended.is_none() || self.waits) {
            let due = self.lease.is_some_and(|lease| now >= lease.kill_at() - self.grace);
            events.extend(due.then(|| self.end(Cause::Deadline, now)).flatten());
        }
        events.extend(self.is_over(now).map(Event::Ended));
        events
    }

    /// CMD has just ended by itself: a look at what it has left.
    fn left(&mut self, now: Moment) -> Vec<Event> {
        let Some(rest) = ProcessTree::rest() else { return vec![] };
        let mut events = vec![Event::Left(rest)];
        match self.on_rest {
            OnRest::Leave => {}
            OnRest::Wait => self.waits = true,
            OnRest::Kill => events.extend(self.end(Cause::Rest, now)),
        }
        events
    }

    /// Whether some of what CMD has left goes on. The last end counts as the end of CMD.
    fn goes_on(&mut self, now: Moment) -> bool {
        if let Some(ended) = &mut self.ended {
            ended.at = now;
        }
        ProcessTree::has_children()
    }

    fn is_over(&mut self, now: Moment) -> Option<End> {
        let kill_at = self.kill_at();
        let Some(ending) = &mut self.ending else {
            return self.ended.filter(|_| !self.waits).map(|ended| ended.because_of(None, vec![]));
        };
        let cause = Some(ending.cause).filter(|cause| *cause != Cause::Rest);
        if cause.is_none()
            && let Some(ended) = &mut self.ended
        {
            ended.at = now;
        }
        if now >= kill_at {
            self.tree.signal_all(Signal::KILL);
            ending.look = now + LOOK_AGAIN;
            let killed = *ending.killed.get_or_insert(now);
            if now.since(killed) >= GIVE_UP {
                let ended = self.ended.unwrap_or(Ended { status: None, at: now });
                return Some(ended.because_of(cause, self.tree.survivors()));
            }
        }
        let ended = self.ended.filter(|_| self.tree.is_gone());
        ended.map(|ended| ended.because_of(cause, vec![]))
    }

    /// When SIGKILL is due, once an ending has begun.
    fn kill_at(&self) -> Moment {
        let grace_over = self.ending.map_or(Moment::NEVER, |ending| ending.kill_at);
        self.lease.map_or(grace_over, |lease| grace_over.min(lease.kill_at()))
    }

    /// When to look again, if nothing happens before.
    pub(crate) fn next_look(&self) -> Option<Moment> {
        match self.ending {
            Some(Ending { killed: Some(_), look, .. }) => Some(look),
            Some(_) => Some(self.kill_at()),
            None => self.lease.map(|lease| lease.kill_at() - self.grace),
        }
    }
}
