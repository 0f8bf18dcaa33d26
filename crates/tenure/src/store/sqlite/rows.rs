//! One key between its rows and the machine: loads a [`KeyState`], and stores the changes of a
//! step. It never writes rows that did not change: a heartbeat of one among a thousand waiters
//! changes one row.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Result, Row, params};

use super::tombstones;
use crate::protocol::{Holder, KeyState, Op, Place};
use crate::types::{Claim, Fence, Key, Label, Owner, StoreTime};

/// A key's rows as they were found, and the machine that they make.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The state to which steps are applied.
    pub(super) state: KeyState,
    before: KeyState,
    holders: Vec<i64>,
    places: Vec<i64>,
    /// The end of the first tombstone in the file; `None` if it has none. A key may have very many,
    /// so a step loads those that it needs, and [`Loaded::store`] takes them out again.
    first_end: Option<StoreTime>,
    /// The time until which the record is kept; `None` without a record.
    forget_at: Option<StoreTime>,
}

/// The state of a key's rows after a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The rows are those of the machine's state.
    Kept,
    /// The rows were deleted. Every later fence must be larger than this one.
    Forgotten(Fence),
}

impl Loaded {
    /// Reads a key; a key without rows is a fresh machine.
    pub(super) fn read(db: &Connection, key: &Key) -> Result<Self> {
        let record = db
            .prepare_cached("SELECT fence, forget_at FROM record WHERE key = ?1")?
            .query_row([key.as_str()], |row| {
                Ok((Fence::new(unsigned(row, 0)?), StoreTime::from_micros(unsigned(row, 1)?)))
            })
            .optional()?;
        // A key that has rows has a record: without one there is nothing to read.
        let Some((fence, forget_at)) = record else {
            return Ok(Self {
                state: KeyState::default(),
                before: KeyState::default(),
                holders: Vec::new(),
                places: Vec::new(),
                first_end: None,
                forget_at: None,
            });
        };
        let (holders, held) = read_all::<Holder>(db, key)?;
        let (places, queue) = read_all::<Place>(db, key)?;
        let queue = VecDeque::from(queue);
        let before = KeyState::from_parts(held, queue, Vec::new(), fence, forget_at);
        let (state, first_end) = (before.clone(), tombstones::first_end(db, key)?);
        let forget_at = Some(forget_at);
        Ok(Self { state, before, holders, places, first_end, forget_at })
    }

    /// Loads the tombstones that a step needs.
    pub(super) fn prepare(&mut self, db: &Connection, key: &Key, op: &Op) -> Result<()> {
        if self.first_end.is_none() || matches!(op, Op::Inspect) {
            return Ok(());
        }
        let takes_all = matches!(op, Op::Force { .. } | Op::Steal(_));
        let holders = self.state.holders().iter().map(|h| &h.owner);
        let is_asked =
            |holder: &&Owner| takes_all || op.owners().any(|owner| owner.value() == holder.value());
        let owners: Vec<_> = op.owners().chain(holders.filter(is_asked)).cloned().collect();
        for owner in owners {
            if self.before.tombstones().iter().any(|t| t.owner == owner) {
                continue;
            }
            if let Some(tombstone) = tombstones::find(db, key, owner)? {
                self.before.add_tombstone(&tombstone);
                self.state.add_tombstone(&tombstone);
            }
        }
        Ok(())
    }

    /// Writes the difference to the rows that were read or stored before. The record may stay up to
    /// `slack` longer than it must, so that its end need not be written at every step.
    pub(super) fn store(
        &mut self,
        db: &Connection,
        key: &Key,
        now: StoreTime,
        slack: Duration,
    ) -> Result<Stored> {
        if self.first_end.is_some_and(|end| end <= now) {
            self.first_end = tombstones::prune(db, key, now)?;
        }
        if self.before == self.state {
            self.before.take_tombstones();
            self.state.take_tombstones();
            return Ok(Stored::Kept);
        }
        let (before, after) = (&self.before, &self.state);
        if after.is_forgettable(now) && !tombstones::last_beyond(db, key, now)? {
            if self.forget_at.is_some() {
                forget(db, key.as_str())?;
            }
            return Ok(Stored::Forgotten(after.fence()));
        }
        write_all(db, key, &mut self.holders, before.holders().iter(), after.holders().iter())?;
        write_all(db, key, &mut self.places, before.queue().iter(), after.queue().iter())?;
        let first_end = tombstones::write(db, key, before.tombstones(), after.tombstones())?;
        self.first_end = first_end.into_iter().chain(self.first_end).min();
        let needed = needed_until(after, now);
        let lasting = self.forget_at.filter(|until| *until >= needed);
        if lasting.is_none() || before.fence() != after.fence() {
            // Without a fence the key has only tombstones, and their end is known.
            let minted = after.fence() > Fence::default();
            let forget_at = lasting.unwrap_or(if minted { needed + slack } else { needed });
            db.prepare_cached(
                "INSERT INTO record (key, fence, forget_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (key) DO UPDATE SET fence = ?2, forget_at = ?3",
            )?
            .execute(params![
                key.as_str(),
                signed(after.fence().get()),
                at(forget_at)
            ])?;
            self.forget_at = Some(forget_at);
        }
        self.state.take_tombstones();
        self.before.clone_from(&self.state);
        Ok(Stored::Kept)
    }
}

/// The time until which a key's rows must stay: the end of its claims, and the time until which its
/// fence is remembered.
fn needed_until(state: &KeyState, now: StoreTime) -> StoreTime {
    let minted = state.fence() > Fence::default();
    let fence = if minted { state.fence_until() } else { now };
    let holders = state.holders().iter().map(|h| h.expires);
    let places = state.queue().iter().map(|p| p.alive_until);
    let tombstones = state.tombstones().iter().map(|t| t.until);
    holders.chain(places).chain(tombstones).fold(fence, StoreTime::max)
}

/// Deletes every row of a key.
fn forget(db: &Connection, key: &str) -> Result<()> {
    for sql in [
        "DELETE FROM holder WHERE key = ?1",
        "DELETE FROM place WHERE key = ?1",
        "DELETE FROM tombstone WHERE key = ?1",
        "DELETE FROM record WHERE key = ?1",
    ] {
        db.prepare_cached(sql)?.execute([key])?;
    }
    Ok(())
}

/// Deletes up to `limit` keys whose time is over, and answers their names and fences.
pub(super) fn prune(db: &Connection, now: StoreTime, limit: u32) -> Result<Vec<(String, Fence)>> {
    let over: Vec<(String, Fence)> = db
        .prepare_cached("SELECT key, fence FROM record WHERE forget_at <= ?1 LIMIT ?2")?
        .query_map(params![at(now), limit], |row| Ok((row.get(0)?, Fence::new(unsigned(row, 1)?))))?
        .collect::<Result<_>>()?;
    for (key, _) in &over {
        forget(db, key)?;
    }
    Ok(over)
}

/// A kind of row of which a key has several, in the order of `seq`.
trait Item: Sized + PartialEq {
    const SELECT: &str;
    const PUT: &str;
    const DELETE: &str;

    fn owner(&self) -> &Owner;
    fn read(row: &Row<'_>) -> Result<Self>;
    fn put(&self, put: &mut CachedStatement<'_>, key: &str, seq: i64) -> Result<usize>;
}

fn read_all<T: Item>(db: &Connection, key: &Key) -> Result<(Vec<i64>, Vec<T>)> {
    let mut select = db.prepare_cached(T::SELECT)?;
    let mut rows = select.query([key.as_str()])?;
    let (mut seqs, mut items) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        seqs.push(row.get(0)?);
        items.push(T::read(row)?);
    }
    Ok((seqs, items))
}

/// Walks both lists side by side: it deletes missing rows, replaces rows that differ, and appends
/// new ones. That is right for every pair of lists, and few writes for those of the machine.
fn write_all<'a, T: Item + 'a>(
    db: &Connection,
    key: &Key,
    seqs: &mut Vec<i64>,
    before: impl Iterator<Item = &'a T>,
    after: impl Iterator<Item = &'a T>,
) -> Result<()> {
    let mut after = after.peekable();
    let next = seqs.last().map_or(1, |last| last + 1);
    let mut kept = Vec::with_capacity(seqs.len());
    for (seq, old) in seqs.iter().zip(before) {
        let new = after.next_if(|new| new.owner() == old.owner());
        match new {
            Some(new) if new != old => {
                new.put(&mut db.prepare_cached(T::PUT)?, key.as_str(), *seq)?;
            }
            Some(_) => {}
            None => {
                db.prepare_cached(T::DELETE)?.execute(params![key.as_str(), seq])?;
            }
        }
        kept.extend(new.map(|_| *seq));
    }
    for (seq, new) in (next..).zip(after) {
        new.put(&mut db.prepare_cached(T::PUT)?, key.as_str(), seq)?;
        kept.push(seq);
    }
    *seqs = kept;
    Ok(())
}

impl Item for Holder {
    const SELECT: &str = "SELECT seq, owner, attempt, label, units, unit_limit, fence, since, \
         expires FROM holder WHERE key = ?1 ORDER BY seq";
    const PUT: &str = "INSERT OR REPLACE INTO holder (key, seq, owner, attempt, label, units, \
         unit_limit, fence, since, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    const DELETE: &str = "DELETE FROM holder WHERE key = ?1 AND seq = ?2";

    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            owner: owner(row, 1)?,
            label: Label::new(row.get_ref(3)?.as_str()?),
            claim: claim(row, 4)?,
            fence: Fence::new(unsigned(row, 6)?),
            since: StoreTime::from_micros(unsigned(row, 7)?),
            expires: StoreTime::from_micros(unsigned(row, 8)?),
        })
    }

    fn put(&self, put: &mut CachedStatement<'_>, key: &str, seq: i64) -> Result<usize> {
        put.execute(params![
            key,
            seq,
            self.owner.value(),
            self.owner.attempt().cast_signed(),
            self.label.as_str(),
            self.claim.units(),
            self.claim.limit(),
            signed(self.fence.get()),
            at(self.since),
            at(self.expires),
        ])
    }
}

impl Item for Place {
    const SELECT: &str = "SELECT seq, owner, attempt, label, units, unit_limit, claim_lease, \
         since, alive_until, stamp, inbox FROM place WHERE key = ?1 ORDER BY seq";
    const PUT: &str = "INSERT OR REPLACE INTO place (key, seq, owner, attempt, label, units, \
         unit_limit, claim_lease, since, alive_until, stamp, inbox) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    const DELETE: &str = "DELETE FROM place WHERE key = ?1 AND seq = ?2";

    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            owner: owner(row, 1)?,
            label: Label::new(row.get_ref(3)?.as_str()?),
            claim: claim(row, 4)?,
            claim_lease: Duration::from_micros(unsigned(row, 6)?),
            since: StoreTime::from_micros(unsigned(row, 7)?),
            alive_until: StoreTime::from_micros(unsigned(row, 8)?),
            stamp: row.get::<_, i64>(9)?.cast_unsigned(),
            inbox: row.get_ref(10)?.as_str_or_null()?.map(Arc::from),
        })
    }

    fn put(&self, put: &mut CachedStatement<'_>, key: &str, seq: i64) -> Result<usize> {
        put.execute(params![
            key,
            seq,
            self.owner.value(),
            self.owner.attempt().cast_signed(),
            self.label.as_str(),
            self.claim.units(),
            self.claim.limit(),
            i64::try_from(self.claim_lease.as_micros()).unwrap_or(i64::MAX),
            at(self.since),
            at(self.alive_until),
            self.stamp.cast_signed(),
            self.inbox.as_deref(),
        ])
    }
}

/// SQLite's integers are signed; moments and fences stay far below the sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn at(time: StoreTime) -> i64 {
    signed(time.as_micros())
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn owner(row: &Row<'_>, column: usize) -> Result<Owner> {
    let attempt: i64 = row.get(column + 1)?;
    Ok(Owner::from_parts(row.get_ref(column)?.as_str()?, attempt.cast_unsigned()))
}

fn claim(row: &Row<'_>, column: usize) -> Result<Claim> {
    Claim::new(row.get(column)?, row.get(column + 1)?).ok_or_else(|| {
        let what = "more units than the limit".into();
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, what)
    })
}
