//! The tombstones in the file. A key may have very many, and a step is about one or two: these are
//! looked up, and no other is ever loaded.

use rusqlite::{OptionalExtension, Result, params};

use super::rows::{at, time};
use super::statements::Statements;
use crate::protocol::Tombstone;
use crate::types::{Key, Owner, StoreTime};

/// Maximum number of old tombstones that a transaction deletes for each key that it changes.
const PRUNE_MAX: u32 = 64;

/// The indexes that the statements below need. Files of older programs get them when opened.
pub(super) const INDEXES: &str = "
    CREATE UNIQUE INDEX IF NOT EXISTS tombstone_by_owner ON tombstone (key, owner, attempt);
    CREATE INDEX IF NOT EXISTS tombstone_by_end ON tombstone (key, until);
";

/// The tombstone of an owner.
pub(super) fn find(db: &mut Statements<'_>, key: &Key, owner: Owner) -> Result<Option<Tombstone>> {
    let select =
        db.get("SELECT until FROM tombstone WHERE key = ?1 AND owner = ?2 AND attempt = ?3")?;
    let who = params![key.as_str(), owner.value(), owner.attempt().cast_signed()];
    let until = select.query_row(who, |row| time(row, 0));
    Ok(until.optional()?.map(|until| Tombstone { owner, until }))
}

/// The first end of a key's tombstones.
pub(super) fn first_end(db: &mut Statements<'_>, key: &Key) -> Result<Option<StoreTime>> {
    let select = db.get("SELECT until FROM tombstone WHERE key = ?1 ORDER BY until LIMIT 1")?;
    select.query_row([key.as_str()], |row| time(row, 0)).optional()
}

/// Whether one of a key's tombstones lasts beyond `now`.
pub(super) fn last_beyond(db: &mut Statements<'_>, key: &Key, now: StoreTime) -> Result<bool> {
    db.get("SELECT EXISTS (SELECT 1 FROM tombstone WHERE key = ?1 AND until > ?2)")?
        .query_row(params![key.as_str(), at(now)], |row| row.get(0))
}

/// Deletes a few that have ended. Returns the first end of the others.
pub(super) fn prune(
    db: &mut Statements<'_>,
    key: &Key,
    now: StoreTime,
) -> Result<Option<StoreTime>> {
    db.get(
        "DELETE FROM tombstone WHERE key = ?1 AND seq IN
             (SELECT seq FROM tombstone WHERE key = ?1 AND until <= ?2 LIMIT ?3)",
    )?
    .execute(params![key.as_str(), at(now), PRUNE_MAX])?;
    first_end(db, key)
}

pub(super) fn put(
    db: &mut Statements<'_>,
    key: &Key,
    Tombstone { owner, until }: &Tombstone,
) -> Result<()> {
    db.get(
        "INSERT INTO tombstone (key, seq, owner, attempt, until) VALUES (?1,
             (SELECT coalesce(max(seq), 0) + 1 FROM tombstone WHERE key = ?1), ?2, ?3, ?4)
         ON CONFLICT (key, owner, attempt) DO UPDATE SET until = excluded.until",
    )?
    .execute(params![key.as_str(), owner.value(), owner.attempt().cast_signed(), at(*until)])
    .map(drop)
}

pub(super) fn delete(db: &mut Statements<'_>, key: &Key, owner: &Owner) -> Result<()> {
    db.get("DELETE FROM tombstone WHERE key = ?1 AND owner = ?2 AND attempt = ?3")?
        .execute(params![key.as_str(), owner.value(), owner.attempt().cast_signed()])
        .map(drop)
}
