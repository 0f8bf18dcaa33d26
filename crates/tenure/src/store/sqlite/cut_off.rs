//! A journal that was removed while processes use it. Each of them has all leases in a file that
//! nobody else can open any more, and a newcomer would begin another.
//!
//! So a newcomer is refused for as long as SQLite's lock on the file says that somebody has it
//! open. Those who have it open find out before or after their next transaction, or within
//! [`LOOK_EVERY`], and keep that lock until the last lease in their journal is over. Nothing is
//! granted meanwhile.
//!
//! That lock is one of POSIX: a process loses it by opening and closing the file by other means
//! than SQLite's. Then another process may take itself for the last, write the journal back and
//! remove it. In this case nothing is lost: all that was confirmed is in the file by now.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Result, config::DbConfig};

use super::error::{self, Stage};
use super::file::File;
use super::lock_owner::LockOwner;
use crate::store::{StoreError, StoreErrorClass};
use crate::types::StoreTime;

/// How often a process that has nothing to do looks whether the file is whole.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// SQLite 3.51, before which a checkpoint could not only look.
const NOOP_SINCE: i32 = 3_051_000;

/// Whether nobody has the file open: only then may one lock it exclusively.
pub(super) fn is_unused(path: &Path) -> std::result::Result<bool, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let lock = || {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(Duration::ZERO)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // So it uses no shared memory, and needs the file for itself before it makes a journal.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.execute_batch("BEGIN EXCLUSIVE; COMMIT")
    };
    match lock() {
        Ok(()) => Ok(true),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(e) => Err(error::of_sqlite(path, Stage::Open, e)),
    }
}

/// Until when the leases in a connection's removed journal last, if the file has not got them.
pub(super) fn leases_end(file: &File) -> std::result::Result<Option<StoreTime>, StoreError> {
    let read = || {
        if rusqlite::version_number() >= NOOP_SINCE && is_written_back(&file.db)? {
            return Ok(None);
        }
        let select = "SELECT max(expires) FROM holder";
        file.db.query_row(select, [], |row| row.get::<_, Option<i64>>(0))
    };
    let end = read().map_err(|e| file.fault(Stage::Steps, e))?;
    Ok(end.map(|end| StoreTime::from_micros(end.unsigned_abs())))
}

/// Whether the file has all that stands in the connection's journal. Nothing is written: others may
/// have written to the file since.
fn is_written_back(db: &Connection) -> Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
        let (is_hindered, pages, written_back): (bool, i64, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!is_hindered && pages == written_back)
    })
}

/// For a process that comes while others use a journal that is gone.
pub(super) fn newcomer(path: &Path) -> StoreError {
    let file = path.display();
    let (who, end) = match LockOwner::using(path) {
        Some(who) => (who.to_string(), format!(" (kill {})", who.pid())),
        None => ("another process".to_owned(), String::new()),
    };
    error::plain(
        StoreErrorClass::Transient,
        format!(
            "{file}-wal or {file}-shm was removed while {who} uses {file}; they belong to it. \
             Nothing is granted before the leases of that process are over: wait, or end it{end}"
        ),
    )
}

/// For a process whose own journal is gone.
pub(super) fn holder(path: &Path, left: Duration) -> StoreError {
    let file = path.display();
    let left = left.as_secs_f64();
    error::plain(
        StoreErrorClass::Transient,
        format!(
            "{file}-wal or {file}-shm was removed while in use; they belong to {file}. Nothing is \
             granted or renewed until the leases in them are over, in {left:.1} s at the latest; \
             then the file is opened anew. End all processes that use it to go on at once"
        ),
    )
}

/// For what was just written: perhaps nobody else can see it.
pub(super) fn written(path: &Path) -> StoreError {
    let file = path.display();
    let message = format!(
        "{file}, its -wal or its -shm was moved or removed in the middle of a request, so that it \
         is not known whether that was carried out"
    );
    StoreError { class: StoreErrorClass::Transient, message, may_have_run: true, source: None }
}
