//! The rows of a key in the file: reads them, and writes what a step changed. It decides nothing:
//! `store/relational.rs` does.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Result, Row, params};

use super::runs;
use super::statements::Statements;
use super::tombstones;
use crate::protocol::{Holder, Op, Place};
use crate::store::relational::{Change, KeyRows, Record};
use crate::types::{Claim, Fence, Key, Label, Owner, StoreTime, Value};

/// The result of storing a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The rows hold the state.
    Kept,
    /// The rows were deleted. Every later fence must be larger than this one.
    Forgotten(Fence),
}

/// Reads a key; a key without rows is a fresh machine.
pub(super) fn read(db: &mut Statements<'_>, key: &Key) -> Result<KeyRows> {
    let record = db
        .get(
            "SELECT fence, forget_at, EXISTS (SELECT 1 FROM run WHERE run.key = ?1) FROM record
             WHERE key = ?1",
        )?
        .query_row([key.as_str()], |row| {
            let record = Record { fence: Fence::new(unsigned(row, 0)?), forget_at: time(row, 1)? };
            Ok((record, row.get(2)?))
        })
        .optional()?;
    let Some((record, has_run)) = record else { return Ok(KeyRows::default()) };
    let holders = read_all(db, key, HOLDERS, holder)?;
    let places = read_all(db, key, PLACES, place)?;
    let runs = if has_run { runs::of(db, key)? } else { None };
    Ok(KeyRows::new(record, holders, places, tombstones::first_end(db, key)?, runs))
}

/// Loads the tombstones that decide about a step.
pub(super) fn prepare(
    rows: &mut KeyRows,
    db: &mut Statements<'_>,
    key: &Key,
    op: &Op,
) -> Result<()> {
    for owner in rows.unknown_owners(op) {
        if let Some(tombstone) = tombstones::find(db, key, owner)? {
            rows.load(&tombstone);
        }
    }
    Ok(())
}

/// Writes the rows that differ from those that were read or stored before. The record may stay up
/// to `slack` longer than it must.
pub(super) fn store(
    rows: &mut KeyRows,
    db: &mut Statements<'_>,
    key: &Key,
    now: StoreTime,
    slack: Duration,
) -> Result<Stored> {
    if rows.have_ended_tombstones(now) {
        rows.set_first_end(tombstones::prune(db, key, now)?);
    }
    if !rows.is_changed() {
        rows.unload_tombstones();
        return Ok(Stored::Kept);
    }
    if rows.state.is_forgettable(now) && !tombstones::last_beyond(db, key, now)? {
        if rows.is_stored() {
            forget(db, key.as_str())?;
        }
        return Ok(Stored::Forgotten(rows.state.fence()));
    }
    for change in rows.changes(now, slack) {
        write(db, key, &change)?;
    }
    rows.written();
    Ok(Stored::Kept)
}

fn write(db: &mut Statements<'_>, key: &Key, change: &Change<'_>) -> Result<()> {
    let name = key.as_str();
    match *change {
        Change::PutHolder(seq, holder) => put_holder(db, name, seq, holder),
        Change::PutPlace(seq, place) => put_place(db, name, seq, place),
        Change::DeleteHolder(seq) => {
            delete(db, "DELETE FROM holder WHERE key = ?1 AND seq = ?2", name, seq)
        }
        Change::DeletePlace(seq) => {
            delete(db, "DELETE FROM place WHERE key = ?1 AND seq = ?2", name, seq)
        }
        Change::PutTombstone(tombstone) => tombstones::put(db, key, tombstone),
        Change::DeleteTombstone(owner) => tombstones::delete(db, key, owner),
        Change::PutRecord(Record { fence, forget_at }) => {
            let sql = "INSERT INTO record (key, fence, forget_at) VALUES (?1, ?2, ?3)
                       ON CONFLICT (key) DO UPDATE SET fence = ?2, forget_at = ?3";
            let values = params![name, signed(fence.get()), at(forget_at)];
            db.get(sql)?.execute(values).map(drop)
        }
        // Naming `forget_at` would also rewrite the index over it.
        Change::PutFence(fence) => {
            let sql = "UPDATE record SET fence = ?2 WHERE key = ?1";
            db.get(sql)?.execute(params![name, signed(fence.get())]).map(drop)
        }
        Change::PutRun(nth, run) => runs::put(db, name, nth, run),
        Change::DeleteRun(nth) => {
            delete(db, "DELETE FROM run WHERE key = ?1 AND nth = ?2", name, nth)
        }
    }
}

fn delete(db: &mut Statements<'_>, sql: &'static str, key: &str, seq: i64) -> Result<()> {
    db.get(sql)?.execute(params![key, seq]).map(drop)
}

/// Deletes every row of a key.
fn forget(db: &mut Statements<'_>, key: &str) -> Result<()> {
    for sql in [
        "DELETE FROM holder WHERE key = ?1",
        "DELETE FROM place WHERE key = ?1",
        "DELETE FROM tombstone WHERE key = ?1",
        "DELETE FROM run WHERE key = ?1",
        "DELETE FROM record WHERE key = ?1",
    ] {
        db.get(sql)?.execute([key])?;
    }
    Ok(())
}

/// Deletes up to `limit` keys whose time is over, and answers their names and fences.
pub(super) fn prune(
    db: &mut Statements<'_>,
    now: StoreTime,
    limit: u32,
) -> Result<Vec<(String, Fence)>> {
    let over: Vec<(String, Fence)> = db
        .get("SELECT key, fence FROM record WHERE forget_at <= ?1 LIMIT ?2")?
        .query_map(params![at(now), limit], |row| Ok((row.get(0)?, Fence::new(unsigned(row, 1)?))))?
        .collect::<Result<_>>()?;
    for (key, _) in &over {
        forget(db, key)?;
    }
    Ok(over)
}

const HOLDERS: &str = "SELECT seq, owner, attempt, label, units, unit_limit, fence, since, \
     expires, value FROM holder WHERE key = ?1 ORDER BY seq";
const PLACES: &str = "SELECT seq, owner, attempt, label, units, unit_limit, claim_lease, since, \
     alive_until, stamp, inbox, value FROM place WHERE key = ?1 ORDER BY seq";

pub(super) fn read_all<T>(
    db: &mut Statements<'_>,
    key: &Key,
    sql: &'static str,
    read: fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<(i64, T)>> {
    let select = db.get(sql)?;
    select.query_map([key.as_str()], |row| Ok((row.get(0)?, read(row)?)))?.collect()
}

fn holder(row: &Row<'_>) -> Result<Holder> {
    Ok(Holder {
        owner: owner(row, 1)?,
        label: Label::new(row.get_ref(3)?.as_str()?),
        claim: claim(row, 4)?,
        fence: Fence::new(unsigned(row, 6)?),
        since: time(row, 7)?,
        expires: time(row, 8)?,
        value: value(row, 9)?,
    })
}

fn put_holder(db: &mut Statements<'_>, key: &str, seq: i64, holder: &Holder) -> Result<()> {
    let put = "INSERT OR REPLACE INTO holder (key, seq, owner, attempt, label, units, \
               unit_limit, fence, since, expires, value) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let values = params![
        key,
        seq,
        holder.owner.value(),
        holder.owner.attempt().cast_signed(),
        holder.label.as_str(),
        stored_units(holder.claim),
        stored_limit(holder.claim),
        signed(holder.fence.get()),
        at(holder.since),
        at(holder.expires),
        holder.value.as_ref().map(Value::word),
    ];
    db.get(put)?.execute(values).map(drop)
}

fn place(row: &Row<'_>) -> Result<Place> {
    Ok(Place {
        owner: owner(row, 1)?,
        label: Label::new(row.get_ref(3)?.as_str()?),
        claim: claim(row, 4)?,
        claim_lease: Duration::from_micros(unsigned(row, 6)?),
        since: time(row, 7)?,
        alive_until: time(row, 8)?,
        stamp: row.get::<_, i64>(9)?.cast_unsigned(),
        inbox: row.get_ref(10)?.as_str_or_null()?.map(Arc::from),
        value: value(row, 11)?,
    })
}

fn put_place(db: &mut Statements<'_>, key: &str, seq: i64, place: &Place) -> Result<()> {
    let put = "INSERT OR REPLACE INTO place (key, seq, owner, attempt, label, units, unit_limit, \
               claim_lease, since, alive_until, stamp, inbox, value) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let values = params![
        key,
        seq,
        place.owner.value(),
        place.owner.attempt().cast_signed(),
        place.label.as_str(),
        stored_units(place.claim),
        stored_limit(place.claim),
        i64::try_from(place.claim_lease.as_micros()).unwrap_or(i64::MAX),
        at(place.since),
        at(place.alive_until),
        place.stamp.cast_signed(),
        place.inbox.as_deref(),
        place.value.as_ref().map(Value::word),
    ];
    db.get(put)?.execute(values).map(drop)
}

/// SQLite's integers are signed; moments and fences stay far below the sign.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn at(time: StoreTime) -> i64 {
    signed(time.as_micros())
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> Result<StoreTime> {
    Ok(StoreTime::from_micros(unsigned(row, column)?))
}

pub(super) fn owner(row: &Row<'_>, column: usize) -> Result<Owner> {
    let attempt: i64 = row.get(column + 1)?;
    Ok(Owner::from_parts(row.get_ref(column)?.as_str()?, attempt.cast_unsigned()))
}

fn value(row: &Row<'_>, column: usize) -> Result<Option<Value>> {
    let Some(word) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    Value::from_word(word).map(Some).ok_or_else(|| {
        let what = "a value that is none".into();
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what)
    })
}

fn claim(row: &Row<'_>, column: usize) -> Result<Claim> {
    let (units, limit): (u32, i64) = (row.get(column)?, row.get(column + 1)?);
    if (units, limit) == (1, 1) {
        return Ok(Claim::EXCLUSIVE);
    }
    let limit = limit.checked_neg().and_then(|limit| u32::try_from(limit).ok());
    limit.and_then(|limit| Claim::from_parts(units, limit)).ok_or_else(|| {
        let what = "units or a limit out of range".into();
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, what)
    })
}

/// An exclusive claim is 1 of 1, as a mutex was before there were shares. Programs of that time
/// would grant a share beside it. So the limit of a share is stored below zero, and they fail.
fn stored_limit(claim: Claim) -> i64 {
    if claim.is_exclusive() { 1 } else { -i64::from(claim.limit()) }
}

fn stored_units(claim: Claim) -> u32 {
    if claim.is_exclusive() { 1 } else { claim.units() }
}
