//! The one timer structure of an engine: what is to be done, and when. It does nothing itself.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use tokio::sync::Notify;

use crate::mutants::{self, Mutant};
use crate::runtime::{Moment, Runtime, Task};
use crate::types::Key;

use super::cleanup::Cleanup;
use super::lease::LeaseState;
use super::waiter::Waiter;

/// Names an entry of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TimerId(u64);

/// What the keepalive task has to look after.
#[derive(Debug, Clone)]
pub(crate) enum Timer {
    Lease(Arc<LeaseState>),
    Waiter(Arc<Waiter>),
    Cleanup(Arc<Cleanup>),
}

#[derive(Debug)]
pub(crate) struct Schedule {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    runtime: Arc<dyn Runtime>,
    /// Wakes the keepalive task.
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Table {
    /// The same entries twice: by time for the keepalive task, by name to end or move one.
    by_time: BTreeSet<(Moment, TimerId)>,
    by_id: HashMap<TimerId, (Moment, Timer)>,
    last: u64,
    /// When the bell rings next: never later than the first entry is due that was not yet rung
    /// for. It may be sooner, if an entry has left or was moved: locks that are held for a
    /// moment, one after the other, would otherwise set it each time.
    rings: Moment,
    /// It is set in place: the keepalive task is woken to do something, not to set it.
    alarm: Option<Alarm>,
}

struct Alarm(#[allow(dead_code, reason = "it rings unless it is dropped")] Task);

/// Rings on the thread of the alarms. The verdicts that are due are given there and then; the
/// keepalive task does the rest, whatever may hold it up.
struct Bell(Weak<Shared>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.0.upgrade() else { return };
        shared.give_verdicts();
        shared.changed.notify_one();
    }
}

impl Schedule {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, changed: Arc<Notify>) -> Self {
        let table = Table {
            by_time: BTreeSet::new(),
            by_id: HashMap::new(),
            last: 0,
            rings: Moment::NEVER,
            alarm: None,
        };
        Self { shared: Arc::new(Shared { table: Mutex::new(table), runtime, changed }) }
    }

    pub(crate) fn enter(&self, at: Moment, timer: Timer) -> TimerId {
        let mut table = self.table();
        table.last += 1;
        let id = TimerId(table.last);
        table.by_time.insert((at, id));
        table.by_id.insert(id, (at, timer));
        self.shared.ring_by(&mut table, at);
        id
    }

    /// Moves an entry to `at`; one that has left stays away.
    pub(crate) fn move_to(&self, id: TimerId, at: Moment) {
        self.place(&mut self.table(), id, at);
    }

    /// Moves an entry to `at`, unless it is due before that anyway.
    pub(crate) fn bring_forward(&self, id: TimerId, at: Moment) {
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
        self.shared.ring_by(table, at);
    }

    /// Takes an entry out, and says whether it was there.
    pub(crate) fn leave(&self, id: TimerId) -> bool {
        let mut table = self.table();
        let Some((at, _)) = table.by_id.remove(&id) else { return false };
        table.by_time.remove(&(at, id))
    }

    /// The entries due by `until`, in order of time. They stay entered where they are: the
    /// keepalive task moves or ends each.
    pub(crate) fn due(&self, until: Moment) -> Vec<(Moment, TimerId, Timer)> {
        let table = self.table();
        let due = table.by_time.iter().take_while(|(at, _)| *at <= until);
        due.filter_map(|(at, id)| Some((*at, *id, table.by_id.get(id)?.1.clone()))).collect()
    }

    /// All entries, in the order of their coming.
    pub(crate) fn all(&self) -> Vec<(TimerId, Timer)> {
        let table = self.table();
        let mut all: Vec<_> = table.by_id.iter().map(|(id, (_, d))| (*id, d.clone())).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    /// The leases on a key. It looks at every entry.
    pub(crate) fn leases_of(&self, key: &Key) -> Vec<Arc<LeaseState>> {
        let table = self.table();
        let timers = table.by_id.values().map(|(_, timer)| timer);
        let leases = timers.filter_map(|timer| match timer {
            Timer::Lease(lease) if lease.key == *key => Some(Arc::clone(lease)),
            _ => None,
        });
        leases.collect()
    }

    /// The keepalive task has done what was due at `now`, and is woken when there is more.
    pub(crate) fn rest(&self, now: Moment) {
        let mut table = self.table();
        let first = table.by_time.first().map_or(Moment::NEVER, |(at, _)| *at);
        if table.rings <= now {
            table.rings = Moment::NEVER;
        }
        self.shared.ring_by(&mut table, first);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table()
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the bell rings at `at` at the latest.
    fn ring_by(self: &Arc<Self>, table: &mut Table, at: Moment) {
        if at < table.rings {
            table.rings = at;
            let bell = Waker::from(Arc::new(Bell(Arc::downgrade(self))));
            table.alarm = Some(Alarm(self.runtime.alarm(at, bell)));
        }
    }

    /// Gives all verdicts that are due, then tells of them. Rings again for those that are due
    /// next: the keepalive task, which sets the bell when it has done its part, may not come to it.
    fn give_verdicts(self: &Arc<Self>) {
        let now = self.runtime.now();
        let mut table = self.table();
        let due = table.by_time.iter().take_while(|(at, _)| *at <= now);
        let leases: Vec<_> = due
            .filter_map(|(_, id)| match &table.by_id.get(id)?.1 {
                Timer::Lease(lease) => Some(Arc::clone(lease)),
                Timer::Waiter(_) | Timer::Cleanup(_) => None,
            })
            .collect();
        let later = table.by_time.range((now, TimerId(u64::MAX))..).next();
        let mut next = later.map_or(Moment::NEVER, |(at, _)| *at);
        let mut lost = Vec::new();
        for lease in leases.iter().filter(|lease| lease.is_held()) {
            if mutants::is_set(Mutant::AlarmWaitsForCall) {
                continue;
            }
            if now < lease.alarm() {
                next = next.min(lease.alarm());
            } else if lease.set_lost(lease.expiry()) {
                lost.push(lease);
            }
        }
        table.rings = Moment::NEVER;
        self.ring_by(&mut table, next);
        drop(table);
        for lease in lost {
            lease.announce(lease.expiry());
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}
