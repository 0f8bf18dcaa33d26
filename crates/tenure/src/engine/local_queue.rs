//! The waiters of this process, and their order. The tasks of a process that want one key whole
//! stand in one line, of which only the first stands in the store's queue too.
//!
//! It never asks the store: the keepalive task does, for the waiters in the schedule.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::runtime::Moment;
use crate::types::{Key, Owner};

use super::lease::TimerId;
use super::schedule::Schedule;
use super::schedule::Timer;
use super::waiter::Waiter;

#[derive(Debug, Default)]
pub(super) struct LocalQueue {
    /// All waiters by owner, so that a push finds its own.
    waiters: HashMap<Owner, (Position, Arc<Waiter>)>,
    /// One line for each key that is waited for whole.
    lines: HashMap<Key, Line>,
    last: u64,
}

/// The place of a waiter.
#[derive(Debug, Clone, Copy)]
enum Position {
    /// At the store, with this entry in the schedule.
    Store(TimerId),
    /// In its key's line, behind the one at the store.
    Behind(u64),
}

#[derive(Debug)]
struct Line {
    /// The one in the store's queue.
    first: Owner,
    /// The others, in order of arrival.
    behind: BTreeMap<u64, Arc<Waiter>>,
}

impl LocalQueue {
    /// Lets a waiter in: to the store, or, if it stands `in_line`, behind earlier ones of this
    /// process.
    pub(super) fn enter(
        &mut self,
        waiter: &Arc<Waiter>,
        in_line: bool,
        schedule: &Schedule,
        now: Moment,
    ) {
        let owner = waiter.acquire.owner.clone();
        let position = if in_line {
            self.last += 1;
            let number = self.last;
            match self.lines.get_mut(&waiter.key) {
                Some(line) => {
                    waiter.stand_behind();
                    line.behind.insert(number, Arc::clone(waiter));
                    Position::Behind(number)
                }
                None => {
                    let line = Line { first: owner.clone(), behind: BTreeMap::new() };
                    self.lines.insert(waiter.key.clone(), line);
                    to_the_store(waiter, schedule, now)
                }
            }
        } else {
            to_the_store(waiter, schedule, now)
        };
        self.waiters.insert(owner, (position, Arc::clone(waiter)));
    }

    /// Lets a waiter out, however its waiting ended. The next of its line goes to the store at
    /// `at`.
    pub(super) fn leave(&mut self, owner: &Owner, schedule: &Schedule, at: Moment) {
        let Some((position, waiter)) = self.waiters.remove(owner) else { return };
        match position {
            Position::Store(id) => {
                schedule.leave(id);
                self.advance(&waiter, schedule, at);
            }
            Position::Behind(number) => {
                if let Some(line) = self.lines.get_mut(&waiter.key) {
                    line.behind.remove(&number);
                }
            }
        }
    }

    /// The waiter of this owner, if it stands at the store.
    pub(super) fn at_store(&self, owner: &Owner) -> Option<(TimerId, Arc<Waiter>)> {
        match self.waiters.get(owner)? {
            (Position::Store(id), waiter) => Some((*id, Arc::clone(waiter))),
            (Position::Behind(_), _) => None,
        }
    }

    /// The entries of all waiters at the store.
    pub(super) fn all_at_store(&self) -> Vec<TimerId> {
        let at_store = |(position, _): &(Position, Arc<Waiter>)| match position {
            Position::Store(id) => Some(*id),
            Position::Behind(_) => None,
        };
        self.waiters.values().filter_map(at_store).collect()
    }

    /// The first of the key's line.
    pub(super) fn first(&self, key: &Key) -> Option<(TimerId, Arc<Waiter>)> {
        if self.lines.is_empty() {
            return None;
        }
        self.at_store(&self.lines.get(key)?.first)
    }

    /// Lets all waiters out that stand behind others, in order of arrival.
    pub(super) fn drain(&mut self) -> Vec<Arc<Waiter>> {
        let mut behind = BTreeMap::new();
        for line in self.lines.values_mut() {
            behind.append(&mut line.behind);
        }
        for waiter in behind.values() {
            self.waiters.remove(&waiter.acquire.owner);
        }
        behind.into_values().collect()
    }

    /// `gone` has left the store. If it was the first of its line, the next one is first now.
    fn advance(&mut self, gone: &Waiter, schedule: &Schedule, at: Moment) {
        let (key, owner) = (&gone.key, &gone.acquire.owner);
        let Some(line) = self.lines.get_mut(key).filter(|line| line.first == *owner) else {
            return;
        };
        let Some((_, next)) = line.behind.pop_first() else {
            self.lines.remove(key);
            return;
        };
        // Until an answer comes, the store is as silent to it as to the one before.
        next.inherit(gone.silence());
        line.first = next.acquire.owner.clone();
        let position = to_the_store(&next, schedule, at);
        self.waiters.insert(next.acquire.owner.clone(), (position, next));
    }
}

fn to_the_store(waiter: &Arc<Waiter>, schedule: &Schedule, at: Moment) -> Position {
    Position::Store(schedule.enter(at, Timer::Waiter(Arc::clone(waiter))))
}
