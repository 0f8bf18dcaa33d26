//! The leases, waiters and cleanups of an engine, ordered by the time at which they fall due. They
//! are data: the keepalive task does the work. Only the verdict on an overdue lease does not wait
//! for that task.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

// The ids are counted here, so nobody can choose them to collide: a fast hash is enough.
use foldhash::fast::RandomState;
use tokio::sync::Notify;

use crate::mutants;
use crate::protocol::{Backoff, Op};
use crate::runtime::{Moment, Runtime, Task};
use crate::types::Key;

use super::lease::{LeaseState, TimerId};
use super::waiter::Waiter;

/// An entry of the schedule.
#[derive(Debug, Clone)]
pub(super) enum Timer {
    Lease(Arc<LeaseState>),
    Waiter(Arc<Waiter>),
    Cleanup(Arc<Cleanup>),
}

/// A release or withdrawal that must still reach the store. It is repeated until it is answered,
/// or until what it undoes has ended by itself.
#[derive(Debug)]
pub(super) struct Cleanup {
    pub(super) key: Key,
    pub(super) op: Op,
    /// After this moment nothing is left to undo.
    pub(super) until: Moment,
    pub(super) backoff: Mutex<Backoff>,
    /// A handoff may have granted to the first in line without telling it.
    pub(super) recheck_queue: bool,
    /// The engine, which works on until this entry leaves the schedule, even after the last guard
    /// and the last `Locks` are gone.
    pub(super) _engine: Arc<dyn Any + Send + Sync>,
}

impl Cleanup {
    /// How long to wait before it is repeated.
    pub(super) fn pause(&self, random: u32) -> Duration {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner).next(random)
    }
}

#[derive(Debug)]
pub(super) struct Schedule {
    table: Mutex<Table>,
    runtime: Arc<dyn Runtime>,
    /// Wakes the keepalive task.
    changed: Arc<Notify>,
    /// Rings here.
    bell: Waker,
}

#[derive(Debug)]
struct Table {
    /// The same entries twice: by time for the keepalive task, by id to end or move one.
    by_time: BTreeSet<(Moment, TimerId)>,
    by_id: HashMap<TimerId, (Moment, Timer), RandomState>,
    last: u64,
    /// When the bell rings next: never later than the first entry that it has not rung for. It may
    /// ring sooner, for an entry that has left or was moved. Setting it again each time would cost
    /// more where locks are held briefly, one after the other.
    rings: Moment,
    /// Set in place, so that the keepalive task is woken for work only.
    alarm: Option<Alarm>,
}

struct Alarm(#[allow(dead_code, reason = "it rings unless it is dropped")] Task);

/// Rings on the alarms' thread. Verdicts are given there; the keepalive task, which may be held
/// up, does the rest.
struct Bell(Weak<Schedule>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let Some(schedule) = self.0.upgrade() else { return };
        schedule.give_verdicts();
        schedule.changed.notify_one();
    }
}

impl Schedule {
    pub(super) fn new(runtime: Arc<dyn Runtime>, changed: Arc<Notify>) -> Arc<Self> {
        let table = Table {
            by_time: BTreeSet::new(),
            by_id: HashMap::default(),
            last: 0,
            rings: Moment::NEVER,
            alarm: None,
        };
        Arc::new_cyclic(|this| {
            let bell = Waker::from(Arc::new(Bell(Weak::clone(this))));
            Self { table: Mutex::new(table), runtime, changed, bell }
        })
    }

    pub(super) fn enter(&self, at: Moment, entry: Timer) -> TimerId {
        // A grant from the queue is confirmed at once. For that the alarms' thread would do no more
        // than wake the keepalive task, and be in the way of the waiter that is woken next.
        let verdict = entry.verdict_if_overdue(at);
        let mut table = self.table();
        table.last += 1;
        let id = TimerId(table.last);
        table.by_time.insert((at, id));
        table.by_id.insert(id, (at, entry));
        self.ring_by(&mut table, verdict.unwrap_or(at));
        drop(table);
        if verdict.is_some() {
            self.changed.notify_one();
        }
        id
    }

    /// Moves an entry to `at`. Does nothing if it has left.
    pub(super) fn move_to(&self, id: TimerId, at: Moment) {
        self.place(&mut self.table(), id, at);
    }

    /// Moves an entry to `at`, unless it is due sooner.
    pub(super) fn bring_forward(&self, id: TimerId, at: Moment) {
        let mut table = self.table();
        if table.by_id.get(&id).is_some_and(|(due, _)| at < *due) {
            self.place(&mut table, id, at);
        }
    }

    fn place(&self, table: &mut Table, id: TimerId, at: Moment) {
        let Some((was, _)) = table.by_id.get_mut(&id) else { return };
        let was = std::mem::replace(was, at);
        table.by_time.remove(&(was, id));
        table.by_time.insert((at, id));
        self.ring_by(table, at);
    }

    /// Takes an entry out. Answers whether it was there.
    pub(super) fn leave(&self, id: TimerId) -> bool {
        let mut table = self.table();
        let Some((at, _)) = table.by_id.remove(&id) else { return false };
        table.by_time.remove(&(at, id))
    }

    /// The wanted entries due by `until`, in order of time. They stay where they are: the
    /// keepalive task moves or ends each.
    pub(super) fn due(
        &self,
        until: Moment,
        is_wanted: impl Fn(Moment, &Timer) -> bool,
    ) -> Vec<(Moment, TimerId, Timer)> {
        let table = self.table();
        let due = table.by_time.iter().take_while(|(at, _)| *at <= until);
        let entries = due.filter_map(|(at, id)| {
            let (_, entry) = table.by_id.get(id)?;
            is_wanted(*at, entry).then(|| (*at, *id, entry.clone()))
        });
        entries.collect()
    }

    /// All entries, oldest first.
    pub(super) fn all(&self) -> Vec<(TimerId, Timer)> {
        let table = self.table();
        let mut all: Vec<_> = table.by_id.iter().map(|(id, (_, e))| (*id, e.clone())).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    /// The leases on a key. It looks at every entry, under the lock.
    pub(super) fn leases_of(&self, key: &Key) -> Vec<Arc<LeaseState>> {
        let table = self.table();
        let leases = table.by_id.values().filter_map(|(_, timer)| match timer {
            Timer::Lease(lease) if lease.key == *key => Some(Arc::clone(lease)),
            Timer::Lease(_) | Timer::Waiter(_) | Timer::Cleanup(_) => None,
        });
        leases.collect()
    }

    /// The keepalive task has done what was due at `now`, and is woken when there is more.
    pub(super) fn rest(&self, now: Moment) {
        let mut table = self.table();
        let first = table.by_time.first().map_or(Moment::NEVER, |(at, _)| *at);
        if table.rings <= now {
            table.rings = Moment::NEVER;
        }
        self.ring_by(&mut table, first);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the bell ring at `at` or sooner.
    fn ring_by(&self, table: &mut Table, at: Moment) {
        if at < table.rings {
            table.rings = at;
            table.alarm = Some(Alarm(self.runtime.alarm(at, self.bell.clone())));
        }
    }

    /// Gives all verdicts that are due, then announces them. Sets the bell for the next ones too,
    /// since the keepalive task, which sets it after its work, may be held up.
    fn give_verdicts(&self) {
        let now = self.runtime.now();
        let mut table = self.table();
        let later = table.by_time.range((now, TimerId(u64::MAX))..).next();
        let mut next = later.map_or(Moment::NEVER, |(at, _)| *at);
        let mut expired = Vec::new();
        for (_, id) in table.by_time.iter().take_while(|(at, _)| *at <= now) {
            let Some((_, entry)) = table.by_id.get(id) else { continue };
            match entry.expire(now) {
                Expiry::Nothing => {}
                Expiry::At(at) => next = next.min(at),
                Expiry::Expired => expired.push(entry.clone()),
            }
        }
        table.rings = Moment::NEVER;
        self.ring_by(&mut table, next);
        drop(table);
        for entry in expired {
            entry.announce();
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

/// The verdict of an entry whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    /// The keepalive task does all there is to do.
    Nothing,
    /// The verdict is due at this later moment.
    At(Moment),
    /// It has expired now, and this must be announced.
    Expired,
}

impl Timer {
    /// When the verdict is due on a lease that is due for renewal from its first moment on.
    fn verdict_if_overdue(&self, at: Moment) -> Option<Moment> {
        match self {
            Self::Lease(lease) if at <= lease.held_from => {
                Some(lease.alarm()).filter(|verdict| lease.held_from < *verdict)
            }
            Self::Lease(_) | Self::Waiter(_) | Self::Cleanup(_) => None,
        }
    }

    /// Called on the alarms' thread with the schedule locked, so it wakes nobody.
    fn expire(&self, now: Moment) -> Expiry {
        match self {
            Self::Lease(lease) if lease.is_held() && !mutants::has!(AlarmWaitsForCall) => {
                if now < lease.alarm() {
                    Expiry::At(lease.alarm())
                } else if lease.set_lost(lease.expiry()) {
                    Expiry::Expired
                } else {
                    Expiry::Nothing
                }
            }
            Self::Lease(_) | Self::Waiter(_) | Self::Cleanup(_) => Expiry::Nothing,
        }
    }

    /// Announces the verdict. Called after the schedule is unlocked.
    fn announce(&self) {
        if let Self::Lease(lease) = self {
            lease.announce(lease.expiry());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Renewal;
    use crate::engine::lease::Grant;
    use crate::engine::options::{HandoffBudget, LeaseOptions};
    use crate::runtime::machine;
    use crate::types::{Fence, Owner};

    use super::*;

    /// Nobody is woken by `changed`, as if the keepalive task were held up.
    #[tokio::test]
    async fn grant_that_nobody_confirms_is_lost_by_its_deadline() {
        let runtime = machine().unwrap();
        let changed = Arc::new(Notify::new());
        let schedule = Schedule::new(Arc::clone(&runtime), Arc::clone(&changed));
        let (ttl, lease_for) = (Duration::from_millis(1_200), Duration::from_millis(600));
        let options = LeaseOptions::check(ttl, Renewal::Auto, Duration::ZERO, None).unwrap();
        let now = runtime.now();
        let budget = HandoffBudget::new(now, true);
        let grant = Grant { fence: Fence::new(1), sent_at: now, lease_for, held_from: now, budget };
        let (key, owner) = (Key::new("key").unwrap(), Owner::random(&[1; 28]));
        let lease =
            Arc::new(LeaseState::new(&key, &owner, options, grant, &"store".into(), &runtime));
        schedule.enter(lease.next_visit(), Timer::Lease(Arc::clone(&lease)));
        changed.notified().await;
        while lease.is_held() {
            let now = runtime.now();
            assert!(now < lease.deadline() + Duration::from_secs(30), "its alarm never rang");
            runtime.sleep_until(now + Duration::from_millis(5)).await;
        }
    }
}
