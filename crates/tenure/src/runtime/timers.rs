//! All sleepers of the process, woken by one alarm clock. The thread of the alarms never calls a
//! waker of the program itself.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::process::Process;

use super::aside::Aside;
use super::{AlarmClock, Moment, is_own_thread, now, shielded};

#[derive(Debug)]
pub(super) struct Timers {
    clock: AlarmClock,
    /// A blocking mutex: it is never held while a waker is called or dropped.
    sleepers: Mutex<Sleepers>,
}

#[derive(Debug)]
struct Sleepers {
    /// Ordered by time; the number tells sleepers of the same moment apart.
    due: BTreeMap<(Moment, u64), Bell>,
    /// The last number that was given to a sleeper.
    last: u64,
    /// The moment at which the clock rings. Its sleeper may have left: most sleepers are the time
    /// limits of calls and leave early. Setting the clock again costs more than ringing for nothing
    /// now and then.
    armed: Moment,
}

/// The waker of a sleeper.
#[derive(Debug)]
struct Bell {
    waker: Waker,
    /// Whether the waker is Tenure's own, and so known to be quick: a task or an alarm of Tenure.
    is_ours: bool,
}

impl Timers {
    pub(super) fn new() -> io::Result<Self> {
        let sleepers = Sleepers { due: BTreeMap::new(), last: 0, armed: Moment::NEVER };
        Ok(Self { clock: AlarmClock::new()?, sleepers: Mutex::new(sleepers) })
    }

    pub(super) fn sleep_until(self: &Arc<Self>, at: Moment) -> Sleep {
        Sleep { process: Process::current(), at, entry: None, timers: Arc::clone(self) }
    }

    /// Sets an alarm with a waker of Tenure's own. Dropping the answer cancels it.
    pub(super) fn alarm(self: &Arc<Self>, at: Moment, waker: Waker) -> Sleep {
        let entry = Some(self.enter(at, None, Bell { waker, is_ours: true }));
        Sleep { process: Process::current(), at, entry, timers: Arc::clone(self) }
    }

    /// Makes `bell` wake at `at`. Answers the number of the entry, which is `entry` if there is one
    /// already.
    fn enter(&self, at: Moment, entry: Option<u64>, bell: Bell) -> u64 {
        let mut sleepers = self.sleepers();
        let number = entry.unwrap_or(sleepers.last + 1);
        sleepers.last = sleepers.last.max(number);
        let before = sleepers.due.insert((at, number), bell);
        if at < sleepers.armed {
            self.arm(&mut sleepers, at);
        }
        drop(sleepers);
        // After the lock is released: dropping a waker calls foreign code.
        drop(before);
        number
    }

    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arm(&self, sleepers: &mut Sleepers, at: Moment) {
        sleepers.armed = at;
        self.clock.set(at);
    }

    /// Wakes sleepers, for ever. It has a thread of its own, so that no task makes an alarm late.
    pub(super) fn drive(&self, aside: &Arc<Aside>) {
        loop {
            self.clock.wait();
            // All of Tenure's own alarms that are due ring before any other sleeper is woken.
            let (ours, others): (Vec<_>, Vec<_>) =
                self.take_due().into_iter().partition(|bell| bell.is_ours);
            for bell in ours {
                shielded(|| bell.waker.wake());
            }
            for bell in others {
                aside.call(Box::new(|| bell.waker.wake()));
            }
        }
    }

    fn take_due(&self) -> Vec<Bell> {
        let mut sleepers = self.sleepers();
        let later = sleepers.due.split_off(&(Moment(now().0 + 1), 0));
        let due = std::mem::replace(&mut sleepers.due, later);
        sleepers.armed = Moment::NEVER;
        if let Some(((at, _), _)) = sleepers.due.first_key_value() {
            let at = *at;
            self.arm(&mut sleepers, at);
        }
        due.into_values().collect()
    }
}

/// One sleeper. Dropping it removes its entry.
pub(super) struct Sleep {
    process: Process,
    at: Moment,
    entry: Option<u64>,
    timers: Arc<Timers>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Nobody would wake it in a forked process, so it ends there at once.
        if now() >= self.at || !self.process.is_current() {
            return Poll::Ready(());
        }
        // A thread of Tenure's own polls only Tenure's own tasks.
        let bell = Bell { waker: cx.waker().clone(), is_ours: is_own_thread() };
        self.entry = Some(self.timers.enter(self.at, self.entry, bell));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.entry
            && self.process.is_current()
        {
            let left = self.timers.sleepers().due.remove(&(self.at, number));
            drop(left);
        }
    }
}
