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
use super::waiter::{Silence, Waiter};

#[derive(Debug, Default)]
pub(crate) struct LocalQueue {
    queues: Mutex<Queues>,
}

#[derive(Debug, Default)]
struct Queues {
    /// All who wait, by owner: so a push finds its waiter.
    waiters: HashMap<Owner, (Position, Arc<Waiter>)>,
    /// One line for each key that is waited for whole.
    lines: HashMap<Key, Line>,
    last: u64,
}

/// Where a waiter stands.
#[derive(Debug, Clone, Copy)]
enum Position {
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

impl LocalQueue {
    /// Lets a waiter in: to the store, or, if it stands `in_line`, behind those of this process
    /// who came before.
    pub(crate) fn enter(
        &self,
        waiter: &Arc<Waiter>,
        in_line: bool,
        schedule: &Schedule,
        now: Moment,
    ) {
        let mut queues = self.queues();
        let owner = waiter.acquire.owner.clone();
        let position = if in_line {
            queues.last += 1;
            let number = queues.last;
            match queues.lines.get_mut(&waiter.key) {
                Some(line) => {
                    waiter.stand_behind();
                    line.behind.insert(number, Arc::clone(waiter));
                    Position::Behind(number)
                }
                None => {
                    let line = Line { first: owner.clone(), behind: BTreeMap::new() };
                    queues.lines.insert(waiter.key.clone(), line);
                    to_the_store(waiter, schedule, now)
                }
            }
        } else {
            to_the_store(waiter, schedule, now)
        };
        queues.waiters.insert(owner, (position, Arc::clone(waiter)));
    }

    /// Lets a waiter out, however its waiting ended; the next of its line goes to the store `at`
    /// this moment.
    pub(crate) fn leave(&self, owner: &Owner, schedule: &Schedule, at: Moment) {
        let mut queues = self.queues();
        let Some((position, waiter)) = queues.waiters.remove(owner) else { return };
        match position {
            Position::Store(id) => {
                schedule.leave(id);
                queues.advance(&waiter, schedule, at);
            }
            Position::Behind(number) => {
                if let Some(line) = queues.lines.get_mut(&waiter.key) {
                    line.behind.remove(&number);
                }
            }
        }
    }

    /// The waiter of this owner, if it stands at the store.
    pub(crate) fn at_store(&self, owner: &Owner) -> Option<(TimerId, Arc<Waiter>)> {
        self.queues().at_store(owner)
    }

    /// The schedule's entries of all who stand at the store.
    pub(crate) fn all_at_store(&self) -> Vec<TimerId> {
        let queues = self.queues();
        let positions = queues.waiters.values();
        positions
            .filter_map(
                |(position, _)| if let Position::Store(id) = position { Some(*id) } else { None },
            )
            .collect()
    }

    /// The first of the key's line.
    pub(crate) fn first(&self, key: &Key) -> Option<(TimerId, Arc<Waiter>)> {
        let queues = self.queues();
        if queues.lines.is_empty() {
            return None;
        }
        queues.at_store(&queues.lines.get(key)?.first)
    }

    /// Who was last seen in the way of the key's line, and when.
    pub(crate) fn blocker(&self, key: &Key) -> Option<(Blocker, Moment)> {
        self.first(key)?.1.blocker()
    }

    /// How the store leaves the first of the key's line without an answer.
    pub(crate) fn silence(&self, key: &Key) -> Option<Silence> {
        self.first(key)?.1.silence()
    }

    /// Lets all out who stand behind others, in their order.
    pub(crate) fn drain(&self) -> Vec<Arc<Waiter>> {
        let mut queues = self.queues();
        let mut behind = BTreeMap::new();
        for line in queues.lines.values_mut() {
            behind.append(&mut line.behind);
        }
        for waiter in behind.values() {
            queues.waiters.remove(&waiter.acquire.owner);
        }
        behind.into_values().collect()
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn at_store(&self, owner: &Owner) -> Option<(TimerId, Arc<Waiter>)> {
        match self.waiters.get(owner)? {
            (Position::Store(id), waiter) => Some((*id, Arc::clone(waiter))),
            (Position::Behind(_), _) => None,
        }
    }

    /// `gone` has left the store: if it was the first of the key's line, another is now.
    fn advance(&mut self, gone: &Waiter, schedule: &Schedule, at: Moment) {
        let (key, owner) = (&gone.key, &gone.acquire.owner);
        let Some(line) = self.lines.get_mut(key).filter(|line| line.first == *owner) else {
            return;
        };
        let Some((_, next)) = line.behind.pop_first() else {
            self.lines.remove(key);
            return;
        };
        // Nobody answers it either, until it hears otherwise.
        next.inherit_silence(gone.silence());
        line.first = next.acquire.owner.clone();
        let position = to_the_store(&next, schedule, at);
        self.waiters.insert(next.acquire.owner.clone(), (position, next));
    }
}

fn to_the_store(waiter: &Arc<Waiter>, schedule: &Schedule, at: Moment) -> Position {
    Position::Store(schedule.enter(at, Timer::Waiter(Arc::clone(waiter))))
}
