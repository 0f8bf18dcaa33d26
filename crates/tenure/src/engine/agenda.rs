//! The one timer structure of an engine: what is to be done, and when. It does nothing itself.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use tokio::sync::Notify;

use crate::seam::{Moment, Seam, Task};
use crate::words::Key;

use super::lease::Lease;
use super::undo::Undo;
use super::waiter::Waiter;

/// Names an entry of the agenda.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DutyId(u64);

/// What the keeper has to look after.
#[derive(Debug, Clone)]
pub(crate) enum Duty {
    Lease(Arc<Lease>),
    Waiter(Arc<Waiter>),
    Undo(Arc<Undo>),
}

#[derive(Debug)]
pub(crate) struct Agenda {
    table: Mutex<Table>,
    seam: Arc<dyn Seam>,
    /// Wakes the keeper when something is due earlier than it thinks.
    keeper: Waker,
}

#[derive(Debug)]
struct Table {
    /// The same entries twice: by time for the keeper, by name for whoever ends or moves one.
    by_time: BTreeSet<(Moment, DutyId)>,
    by_id: HashMap<DutyId, (Moment, Duty)>,
    last: u64,
    /// When the keeper will look next: never later than the first entry is due.
    keeper_wakes: Moment,
    /// What wakes it then, if that is earlier than it thinks. It is set in place: the keeper is
    /// woken when there is something to do, not to set its alarm.
    alarm: Option<Alarm>,
}

struct Alarm(#[allow(dead_code, reason = "it rings unless it is dropped")] Task);

/// Wakes the keeper.
struct Nudge(Arc<Notify>);

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Agenda {
    pub(crate) fn new(seam: Arc<dyn Seam>, changed: Arc<Notify>) -> Self {
        let table = Table {
            by_time: BTreeSet::new(),
            by_id: HashMap::new(),
            last: 0,
            keeper_wakes: Moment::NEVER,
            alarm: None,
        };
        let keeper = Waker::from(Arc::new(Nudge(changed)));
        Self { table: Mutex::new(table), seam, keeper }
    }

    pub(crate) fn enter(&self, at: Moment, duty: Duty) -> DutyId {
        let mut table = self.table();
        table.last += 1;
        let id = DutyId(table.last);
        table.by_time.insert((at, id));
        table.by_id.insert(id, (at, duty));
        self.wake_keeper(&mut table, at);
        id
    }

    /// Moves an entry to `at`; one that has left stays away.
    pub(crate) fn move_to(&self, id: DutyId, at: Moment) {
        self.place(&mut self.table(), id, at);
    }

    /// Moves an entry to `at`, unless it is due before that anyway.
    pub(crate) fn bring_forward(&self, id: DutyId, at: Moment) {
        let mut table = self.table();
        if table.by_id.get(&id).is_some_and(|(due, _)| at < *due) {
            self.place(&mut table, id, at);
        }
    }

    fn place(&self, table: &mut Table, id: DutyId, at: Moment) {
        let Some((was, _)) = table.by_id.get_mut(&id) else { return };
        let was = std::mem::replace(was, at);
        table.by_time.remove(&(was, id));
        table.by_time.insert((at, id));
        self.wake_keeper(table, at);
    }

    /// Takes an entry out, and says whether it was there.
    pub(crate) fn leave(&self, id: DutyId) -> bool {
        let mut table = self.table();
        let Some((at, _)) = table.by_id.remove(&id) else { return false };
        table.by_time.remove(&(at, id))
    }

    /// The entries due by `until`, in order of time. They stay entered where they are: the
    /// keeper moves or ends each.
    pub(crate) fn due(&self, until: Moment) -> Vec<(Moment, DutyId, Duty)> {
        let table = self.table();
        let due = table.by_time.iter().take_while(|(at, _)| *at <= until);
        due.filter_map(|(at, id)| Some((*at, *id, table.by_id.get(id)?.1.clone()))).collect()
    }

    /// All entries, in the order of their coming.
    pub(crate) fn all(&self) -> Vec<(DutyId, Duty)> {
        let table = self.table();
        let mut all: Vec<_> = table.by_id.iter().map(|(id, (_, d))| (*id, d.clone())).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    /// The leases on a key. It looks at every entry.
    pub(crate) fn leases_of(&self, key: &Key) -> Vec<Arc<Lease>> {
        let table = self.table();
        let duties = table.by_id.values().map(|(_, duty)| duty);
        let leases = duties.filter_map(|duty| match duty {
            Duty::Lease(lease) if lease.key == *key => Some(Arc::clone(lease)),
            _ => None,
        });
        leases.collect()
    }

    /// Tells the keeper, who looks at `now`, when to look next, and remembers what it was told.
    ///
    /// A look that was planned stays planned, even if its entry has left: locks that are held
    /// for a moment, one after the other, would otherwise wake the keeper each time.
    pub(crate) fn next(&self, now: Moment) -> Moment {
        let mut table = self.table();
        table.alarm = None;
        let first = table.by_time.first().map_or(Moment::NEVER, |(at, _)| *at);
        let planned = table.keeper_wakes;
        table.keeper_wakes = if planned > now { planned.min(first) } else { first };
        table.keeper_wakes
    }

    fn wake_keeper(&self, table: &mut Table, at: Moment) {
        if at < table.keeper_wakes {
            table.keeper_wakes = at;
            let mut alarm = self.seam.sleep_until(at);
            if alarm.as_mut().poll(&mut Context::from_waker(&self.keeper)).is_ready() {
                self.keeper.wake_by_ref();
            } else {
                table.alarm = Some(Alarm(alarm));
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}
