//! Owners that are refused. A key may have very many tombstones, and a step needs one or two: only
//! these are looked up, and all are never loaded.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::rows::{at, unsigned};
use crate::protocol::Tombstone;
use crate::types::{Key, Owner, StoreTime};

/// Maximum number of old tombstones that a transaction deletes for each key that it changes.
const PRUNE_MAX: u32 = 64;

/// The indexes that the statements below need. Files of older programs get them when they are
/// opened.
pub(super) const INDEXES: &str = "
    CREATE UNIQUE INDEX IF NOT EXISTS tombstone_by_owner ON tombstone (key, owner, attempt);
    CREATE INDEX IF NOT EXISTS tombstone_by_end ON tombstone (key, until);
";

/// The tombstone of an owner.
pub(super) fn find(db: &Connection, key: &Key, owner: Owner) -> Result<Option<Tombstone>> {
    let mut select = db.prepare_cached(
        "SELECT until FROM tombstone WHERE key = ?1 AND owner = ?2 AND attempt = ?3",
    )?;
    let who = params![key.as_str(), owner.value(), owner.attempt().cast_signed()];
    let until = select.query_row(who, |row| Ok(StoreTime::from_micros(unsigned(row, 0)?)));
    Ok(until.optional()?.map(|until| Tombstone { owner, until }))
}

/// The time at which the first tombstone of a key ends.
pub(super) fn first_end(db: &Connection, key: &Key) -> Result<Option<StoreTime>> {
    let mut select =
        db.prepare_cached("SELECT until FROM tombstone WHERE key = ?1 ORDER BY until LIMIT 1")?;
    let first = |row: &rusqlite::Row<'_>| Ok(StoreTime::from_micros(unsigned(row, 0)?));
    select.query_row([key.as_str()], first).optional()
}

/// Whether a tombstone of a key lasts beyond `now`.
pub(super) fn last_beyond(db: &Connection, key: &Key, now: StoreTime) -> Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM tombstone WHERE key = ?1 AND until > ?2)")?
        .query_row(params![key.as_str(), at(now)], |row| row.get(0))
}

/// Deletes a few tombstones whose time is over, and answers when the first of the others ends.
pub(super) fn prune(db: &Connection, key: &Key, now: StoreTime) -> Result<Option<StoreTime>> {
    db.prepare_cached(
        "DELETE FROM tombstone WHERE key = ?1 AND seq IN
             (SELECT seq FROM tombstone WHERE key = ?1 AND until <= ?2 LIMIT ?3)",
    )?
    .execute(params![key.as_str(), at(now), PRUNE_MAX])?;
    first_end(db, key)
}

/// Writes the changes of the tombstones that were loaded, and answers when the first of the new
/// ones ends.
pub(super) fn write(
    db: &Connection,
    key: &Key,
    before: &[Tombstone],
    after: &[Tombstone],
) -> Result<Option<StoreTime>> {
    for old in before.iter().filter(|old| after.iter().all(|new| new.owner != old.owner)) {
        let who = params![key.as_str(), old.owner.value(), old.owner.attempt().cast_signed()];
        db.prepare_cached("DELETE FROM tombstone WHERE key = ?1 AND owner = ?2 AND attempt = ?3")?
            .execute(who)?;
    }
    let mut first_end = None;
    for new in after.iter().filter(|new| !before.contains(new)) {
        let attempt = new.owner.attempt().cast_signed();
        db.prepare_cached(
            "INSERT INTO tombstone (key, seq, owner, attempt, until) VALUES (?1,
                 (SELECT coalesce(max(seq), 0) + 1 FROM tombstone WHERE key = ?1), ?2, ?3, ?4)
             ON CONFLICT (key, owner, attempt) DO UPDATE SET until = excluded.until",
        )?
        .execute(params![key.as_str(), new.owner.value(), attempt, at(new.until)])?;
        first_end = first_end.into_iter().chain([new.until]).min();
    }
    Ok(first_end)
}
