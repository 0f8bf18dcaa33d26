//! Who waits in this process, and in which order. The tasks of a process that want one key stand
//! in one line, of which only the first stands in line at the store too.
//!
//! It never asks the store: the keepalive task does, for whoever the schedule names.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::Blocker;
use crate::runtime::Moment;
use crate::types::{Key, Owner};

use super::schedule::{Schedule, Timer, TimerId};
use super::waiter::Waiter;

#[derive(Debug, Default)]
pub(crate) struct Lobby {
    rooms: Mutex<Rooms>,
}

#[derive(Debug, Default)]
struct Rooms {
    /// All who wait, by owner: so a push finds its waiter.
    waiters: HashMap<Owner, (Spot, Arc<Waiter>)>,
    /// One line for each key that is waited for whole.
    lines: HashMap<Key, Line>,
    last: u64,
}

/// Where a waiter stands.
#[derive(Debug, Clone, Copy)]
enum Spot {
    /// At the store, with this entry in the schedule.
    Store(TimerId),
    /// In its key's line, behind the one at the store.
    Behind(u64),
}

#[derive(Debug)]
struct Line {
    /// Who stands at the store.
    first: Owner,
    /// The others, by the order of their coming.
    behind: BTreeMap<u64, Arc<Waiter>>,
}

impl Lobby {
    /// Lets a waiter in: to the store, or, if it stands `in_line`, behind those of this process
    /// who came before.
    pub(crate) fn enter(
        &self,
        waiter: &Arc<Waiter>,
        in_line: bool,
        schedule: &Schedule,
        now: Moment,
    ) {
        let mut rooms = self.rooms();
        let owner = waiter.acquire.owner.clone();
        let spot = if in_line {
            rooms.last += 1;
            let number = rooms.last;
            match rooms.lines.get_mut(&waiter.key) {
                Some(line) => {
                    waiter.stand_behind();
                    line.behind.insert(number, Arc::clone(waiter));
                    Spot::Behind(number)
                }
                None => {
                    let line = Line { first: owner.clone(), behind: BTreeMap::new() };
                    rooms.lines.insert(waiter.key.clone(), line);
                    to_the_store(waiter, schedule, now)
                }
            }
        } else {
            to_the_store(waiter, schedule, now)
        };
        rooms.waiters.insert(owner, (spot, Arc::clone(waiter)));
    }

    /// Lets a waiter out, however its waiting ended; the next of its line goes to the store `at`
    /// this moment.
    pub(crate) fn leave(&self, owner: &Owner, schedule: &Schedule, at: Moment) {
        let mut rooms = self.rooms();
        let Some((spot, waiter)) = rooms.waiters.remove(owner) else { return };
        match spot {
            Spot::Store(id) => {
                schedule.leave(id);
                rooms.advance(&waiter.key, owner, schedule, at);
            }
            Spot::Behind(number) => {
                if let Some(line) = rooms.lines.get_mut(&waiter.key) {
                    line.behind.remove(&number);
                }
            }
        }
    }

    /// The waiter of this owner, if it stands at the store.
    pub(crate) fn at_store(&self, owner: &Owner) -> Option<(TimerId, Arc<Waiter>)> {
        self.rooms().at_store(owner)
    }

    /// The schedule's entries of all who stand at the store.
    pub(crate) fn all_at_store(&self) -> Vec<TimerId> {
        let rooms = self.rooms();
        let spots = rooms.waiters.values();
        spots
            .filter_map(|(spot, _)| if let Spot::Store(id) = spot { Some(*id) } else { None })
            .collect()
    }

    /// The first of the key's line.
    pub(crate) fn first(&self, key: &Key) -> Option<(TimerId, Arc<Waiter>)> {
        let rooms = self.rooms();
        if rooms.lines.is_empty() {
            return None;
        }
        rooms.at_store(&rooms.lines.get(key)?.first)
    }

    /// Who was last seen in the way of the key's line, and when.
    pub(crate) fn blocker(&self, key: &Key) -> Option<(Blocker, Moment)> {
        self.first(key)?.1.blocker()
    }

    /// Lets all out who stand behind others, in their order.
    pub(crate) fn dismiss(&self) -> Vec<Arc<Waiter>> {
        let mut rooms = self.rooms();
        let mut behind = BTreeMap::new();
        for line in rooms.lines.values_mut() {
            behind.append(&mut line.behind);
        }
        for waiter in behind.values() {
            rooms.waiters.remove(&waiter.acquire.owner);
        }
        behind.into_values().collect()
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    fn at_store(&self, owner: &Owner) -> Option<(TimerId, Arc<Waiter>)> {
        match self.waiters.get(owner)? {
            (Spot::Store(id), waiter) => Some((*id, Arc::clone(waiter))),
            (Spot::Behind(_), _) => None,
        }
    }

    /// `gone` has left the store: if it was the first of the key's line, another is now.
    fn advance(&mut self, key: &Key, gone: &Owner, schedule: &Schedule, at: Moment) {
        let Some(line) = self.lines.get_mut(key).filter(|line| line.first == *gone) else {
            return;
        };
        let Some((_, next)) = line.behind.pop_first() else {
            self.lines.remove(key);
            return;
        };
        line.first = next.acquire.owner.clone();
        let spot = to_the_store(&next, schedule, at);
        self.waiters.insert(next.acquire.owner.clone(), (spot, next));
    }
}

fn to_the_store(waiter: &Arc<Waiter>, schedule: &Schedule, at: Moment) -> Spot {
    Spot::Store(schedule.enter(at, Timer::Waiter(Arc::clone(waiter))))
}
