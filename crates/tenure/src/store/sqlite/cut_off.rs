//! A journal, or the file itself, that was removed while processes use it. Two holders never come
//! of that.
//!
//! If the journal is removed, its users still have all leases in it, but nobody else can open it
//! any more, and a newcomer would begin another.
//!
//! So a newcomer is refused as long as SQLite's lock on the file shows that a process has it open.
//! Its users find out before or after their next transaction, or within [`LOOK_EVERY`]. They keep
//! the lock until the last lease in their journal is over, and nothing is granted meanwhile.
//!
//! The lock is a POSIX lock: a process loses it if it opens and closes the file by other means than
//! SQLite. Then another process may believe that it is the last user, write the journal back and
//! remove it. Nothing is lost in this case, since all confirmed steps are in the file then.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Result, config::DbConfig};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType};

use super::beside;
use super::error::{self, Stage};
use super::file::File;
use super::lock_owner::LockOwner;
use crate::store::{StoreError, StoreErrorClass};
use crate::types::StoreTime;

/// Time between two checks of an idle process that its files are in place.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The first byte of the locks on the `-shm` file, and their number: eight locks, and one that all
/// its users share (SQLite, `os_unix.c`).
const SHM_LOCKS_FROM: u64 = 120;
const SHM_LOCKS: u64 = 9;

/// SQLite 3.51, the first version with a checkpoint that only looks.
const NOOP_SINCE: i32 = 3_051_000;

/// Whether no process has the file open: only then can it be locked exclusively.
pub(super) fn is_unused(path: &Path) -> std::result::Result<bool, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let lock = || {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(Duration::ZERO)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // In this mode it uses no shared memory, and needs the file for itself before it makes a
        // journal.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.execute_batch("BEGIN EXCLUSIVE; COMMIT")
    };
    match lock() {
        Ok(()) => Ok(true),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(e) => Err(error::of_sqlite(path, Stage::Open, e)),
    }
}

/// Removes the journal and the shared memory of a file that is gone or empty; `false` if a process
/// still uses them. SQLite would remove the journal but share the memory, so that the old and the
/// new users would read each other's data.
pub(super) fn clear(path: &Path) -> std::result::Result<bool, StoreError> {
    if is_shared(&beside::path_of(path, "-shm"))? {
        return Ok(false);
    }
    for ending in ["-wal", "-shm"] {
        let left = beside::path_of(path, ending);
        match fs::remove_file(&left) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(error::of_system(&format!("cannot remove {}", left.display()), e));
            }
            _ => {}
        }
    }
    Ok(true)
}

/// Whether another process has a lock on this shared memory, as all its users do.
///
/// Closing it here ends the locks that this process has on it. They were for a file that is gone,
/// and all its users leave it before their next transaction.
fn is_shared(shared_memory: &Path) -> std::result::Result<bool, StoreError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock =
        Flock { start: SHM_LOCKS_FROM, length: SHM_LOCKS, ..Flock::from(FlockType::WriteLock) };
    let found = match rustix::fs::open(shared_memory, flags, Mode::empty()) {
        Ok(file) => rustix::process::fcntl_getlk(&file, &lock),
        Err(Errno::NOENT) => return Ok(false),
        Err(e) => Err(e),
    };
    let what = format!("cannot open {}", shared_memory.display());
    Ok(found.map_err(|e| error::of_system(&what, e.into()))?.is_some())
}

/// The end of the last lease in a connection's removed journal; `None` if the file has them all.
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

/// Whether the file has all of the connection's journal. Nothing is written, since others may have
/// written to the file since.
fn is_written_back(db: &Connection) -> Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
        let (is_hindered, pages, written_back): (bool, i64, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!is_hindered && pages == written_back)
    })
}

/// The error for a process that comes while others use a journal that is gone.
pub(super) fn newcomer(path: &Path) -> StoreError {
    let file = path.display();
    if !fs::metadata(path).is_ok_and(|main| main.len() > 0) {
        return newcomer_without_file(path);
    }
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

/// The error for a process that comes while others use a file that is gone, or was emptied.
fn newcomer_without_file(path: &Path) -> StoreError {
    let file = path.display();
    let (who, cure) = match LockOwner::sharing(path) {
        Some(who) if who.is_stopped() => {
            let pid = who.pid();
            let cure = format!("It is stopped: continue it (kill -CONT {pid}) or end it");
            (who.to_string(), format!("{cure} (kill -KILL {pid})"))
        }
        Some(who) => (who.to_string(), format!("Try again, or end it (kill {})", who.pid())),
        None => ("another process".to_owned(), "Try again, or end it".to_owned()),
    };
    error::plain(
        StoreErrorClass::Transient,
        format!(
            "{file} was removed or emptied while {who} uses it and its {file}-wal. Nothing is \
             granted before that process has left them, which takes it a second. {cure}"
        ),
    )
}

/// The error in a process whose own journal is gone.
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

/// The error for a transaction that was just written: perhaps no other process can see it.
pub(super) fn written(path: &Path) -> StoreError {
    let file = path.display();
    let message = format!(
        "{file}, its -wal or its -shm was moved or removed in the middle of a request, so that it \
         is not known whether that was carried out"
    );
    StoreError { class: StoreErrorClass::Transient, message, may_have_run: true, source: None }
}
