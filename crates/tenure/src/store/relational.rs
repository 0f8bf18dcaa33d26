//! One key between the rows of a relational store and the machine: which tombstones a step needs,
//! and which rows it changed. It knows no SQL and does no I/O.
//!
//! Only the difference is written: a heartbeat of one among a thousand waiters changes one row.

use std::collections::VecDeque;
use std::time::Duration;

use crate::protocol::{Holder, KeyState, Op, Place, Run, Runs, Tombstone};
use crate::types::{Fence, Owner, StoreTime};

/// The record of a key: each key with rows has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) fence: Fence,
    /// The end of its time.
    pub(super) forget_at: StoreTime,
}

/// A key's rows as the store has them, and the machine that they make.
#[derive(Debug, Default)]
pub(super) struct KeyRows {
    /// The machine: steps are applied to it.
    pub(super) state: KeyState,
    stored: KeyState,
    /// The numbers of the stored holders and places, in their order.
    holders: Vec<i64>,
    places: Vec<i64>,
    /// The first end of a stored tombstone; `None` without any. There may be very many, so those
    /// that a step needs are loaded for it and leave with the next [`written`](Self::written).
    first_end: Option<StoreTime>,
    /// The end of the stored record's time; `None` without a record.
    forget_at: Option<StoreTime>,
}

/// A change of one row. Holders and places have numbers, which keep their order.
#[derive(Debug)]
pub(super) enum Change<'a> {
    PutHolder(i64, &'a Holder),
    DeleteHolder(i64),
    PutPlace(i64, &'a Place),
    DeletePlace(i64),
    PutTombstone(&'a Tombstone),
    DeleteTombstone(&'a Owner),
    PutRecord(Record),
    /// Another fence in the stored record, whose time stays.
    PutFence(Fence),
    /// The last run is number 0, the one before it number 1.
    PutRun(i64, &'a Run),
    DeleteRun(i64),
}

impl KeyRows {
    /// A key with a record, and rows in their order. One without a record is the default.
    pub(super) fn new(
        record: Record,
        holders: Vec<(i64, Holder)>,
        places: Vec<(i64, Place)>,
        first_end: Option<StoreTime>,
        runs: Option<Runs>,
    ) -> Self {
        let (holders, held): (_, Vec<_>) = holders.into_iter().unzip();
        let (places, queue): (_, VecDeque<_>) = places.into_iter().unzip();
        let Record { fence, forget_at } = record;
        let stored = KeyState::from_parts(held, queue, Vec::new(), fence, forget_at);
        let stored = stored.with_runs(runs);
        let (state, forget_at) = (stored.clone(), Some(forget_at));
        Self { state, stored, holders, places, first_end, forget_at }
    }

    /// The owners whose tombstones decide about a step and are not loaded yet.
    pub(super) fn unknown_owners(&self, op: &Op) -> Vec<Owner> {
        if self.first_end.is_none() {
            return Vec::new();
        }
        let takes_all = matches!(op, Op::Force { .. } | Op::Steal(_) | Op::Inspect);
        let is_asked =
            |holder: &&Owner| takes_all || op.owners().any(|owner| owner.value() == holder.value());
        let holders = self.state.holders().iter().map(|holder| &holder.owner).filter(is_asked);
        let is_unknown =
            |owner: &&Owner| self.stored.tombstones().iter().all(|t| t.owner != **owner);
        op.owners().chain(holders).filter(is_unknown).cloned().collect()
    }

    /// Adds a stored tombstone.
    pub(super) fn load(&mut self, tombstone: &Tombstone) {
        self.stored.add_tombstone(tombstone);
        self.state.add_tombstone(tombstone);
    }

    /// Whether a stored tombstone has ended. The store then deletes some, and says when the first
    /// of the others ends.
    pub(super) fn have_ended_tombstones(&self, now: StoreTime) -> bool {
        self.first_end.is_some_and(|end| end <= now)
    }

    pub(super) fn set_first_end(&mut self, first_end: Option<StoreTime>) {
        self.first_end = first_end;
    }

    /// Whether the steps have changed anything.
    pub(super) fn is_changed(&self) -> bool {
        self.state != self.stored
    }

    /// Whether there is anything to delete.
    pub(super) fn is_stored(&self) -> bool {
        self.forget_at.is_some()
    }

    /// The rows that differ from the stored ones. The record may stay up to `slack` longer than it
    /// must, so that its end need not be written at every step.
    pub(super) fn changes(&mut self, now: StoreTime, slack: Duration) -> Vec<Change<'_>> {
        let Self { state, stored, holders, places, first_end, forget_at } = self;
        let mut changes = Vec::new();
        compare(holders, stored.holders().iter(), state.holders().iter(), &mut changes);
        compare(places, stored.queue().iter(), state.queue().iter(), &mut changes);
        let (old, new) = (stored.tombstones(), state.tombstones());
        let is_left = |t: &&Tombstone| new.iter().all(|new| new.owner != t.owner);
        changes.extend(old.iter().filter(is_left).map(|t| Change::DeleteTombstone(&t.owner)));
        for tombstone in new.iter().filter(|t| !old.contains(t)) {
            *first_end = (*first_end).into_iter().chain([tombstone.until]).min();
            changes.push(Change::PutTombstone(tombstone));
        }
        compare_runs(stored.runs(), state.runs(), &mut changes);
        let (fence, needed) = (state.fence(), needed_until(state, now));
        if forget_at.is_none_or(|until| until < needed) {
            // Without a fence there are only tombstones, whose end is known.
            let minted = fence > Fence::default();
            let until = if minted { needed + slack } else { needed };
            *forget_at = Some(until);
            changes.push(Change::PutRecord(Record { fence, forget_at: until }));
        } else if stored.fence() != fence {
            changes.push(Change::PutFence(fence));
        }
        changes
    }

    /// The changes are written.
    pub(super) fn written(&mut self) {
        self.state.take_tombstones();
        self.stored.clone_from(&self.state);
    }

    /// Nothing was changed, and the loaded tombstones are needed no more.
    pub(super) fn unload_tombstones(&mut self) {
        self.state.take_tombstones();
        self.stored.take_tombstones();
    }
}

/// The time until which a key's rows must stay: its fence as long as it is remembered, its claims
/// to their end.
fn needed_until(state: &KeyState, now: StoreTime) -> StoreTime {
    let minted = state.fence() > Fence::default();
    let fence = if minted { state.fence_until() } else { now };
    let holders = state.holders().iter().map(|h| h.expires);
    let places = state.queue().iter().map(|p| p.alive_until);
    let tombstones = state.tombstones().iter().map(|t| t.until);
    holders.chain(places).chain(tombstones).fold(fence, StoreTime::max)
}

/// The runs that differ.
fn compare_runs<'a>(
    stored: Option<&'a Runs>,
    state: Option<&'a Runs>,
    changes: &mut Vec<Change<'a>>,
) {
    let both = |runs: Option<&'a Runs>| {
        let before = runs.and_then(|runs| runs.before.as_ref());
        [runs.map(|runs| &runs.last), before]
    };
    for (number, (old, new)) in (0..).zip(both(stored).into_iter().zip(both(state))) {
        match new {
            Some(new) if old != Some(new) => changes.push(Change::PutRun(number, new)),
            None if old.is_some() => changes.push(Change::DeleteRun(number)),
            _ => {}
        }
    }
}

/// A kind of row that a key has several of, in an order.
trait Row: PartialEq {
    fn owner(&self) -> &Owner;
    fn put(number: i64, row: &Self) -> Change<'_>;
    fn delete<'a>(number: i64) -> Change<'a>;
}

impl Row for Holder {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn put(number: i64, row: &Self) -> Change<'_> {
        Change::PutHolder(number, row)
    }

    fn delete<'a>(number: i64) -> Change<'a> {
        Change::DeleteHolder(number)
    }
}

impl Row for Place {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn put(number: i64, row: &Self) -> Change<'_> {
        Change::PutPlace(number, row)
    }

    fn delete<'a>(number: i64) -> Change<'a> {
        Change::DeletePlace(number)
    }
}

/// Walks both lists side by side. A missing row is deleted, a different one replaced, the rest
/// appended: right for every pair of lists, small for those that the machine makes.
fn compare<'a, R: Row + 'a>(
    numbers: &mut Vec<i64>,
    stored: impl Iterator<Item = &'a R>,
    state: impl Iterator<Item = &'a R>,
    changes: &mut Vec<Change<'a>>,
) {
    let mut state = state.peekable();
    let next = numbers.last().map_or(1, |last| last + 1);
    let mut kept = Vec::with_capacity(numbers.len());
    for (&number, old) in numbers.iter().zip(stored) {
        match state.next_if(|new| new.owner() == old.owner()) {
            Some(new) => {
                kept.push(number);
                changes.extend((new != old).then(|| R::put(number, new)));
            }
            None => changes.push(R::delete(number)),
        }
    }
    for (number, new) in (next..).zip(state) {
        kept.push(number);
        changes.push(R::put(number, new));
    }
    *numbers = kept;
}
