//! The errors of the file, as people read them: one message and one class for each cause. None of
//! them is retried here.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Error, ErrorCode};
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;

use super::busy;
use super::lock_owner::{self, LockOwner};
use crate::store::{StoreError, StoreErrorClass};

/// The point at which a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Opening the file.
    Open,
    /// Inside a transaction, which is rolled back.
    Steps,
    /// While the transaction was being committed.
    Commit,
}

/// A fault that is found before SQLite is asked.
pub(super) fn plain(class: StoreErrorClass, message: String) -> StoreError {
    StoreError { class, message, may_have_run: false, source: None }
}

/// A fault of the system around the file.
pub(super) fn of_system(what: &str, error: io::Error) -> StoreError {
    let class = match error.kind() {
        _ if is_loop(&error) => StoreErrorClass::Config,
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidFilename => StoreErrorClass::Config,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreErrorClass::Refused
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorClass::Full,
        _ => StoreErrorClass::Transient,
    };
    let message = format!("{what}: {error}");
    StoreError { class, message, may_have_run: false, source: Some(Arc::new(error)) }
}

/// Whether links on a path lead back to themselves, so that there is no file behind them.
pub(super) fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// A fault that SQLite reports.
pub(super) fn of_sqlite(file: &Path, stage: Stage, error: Error) -> StoreError {
    let code = error.sqlite_error_code();
    let full = code == Some(ErrorCode::DiskFull)
        || code == Some(ErrorCode::SystemIoFailure) && is_full(file);
    let (class, message) = match code {
        _ if full => (StoreErrorClass::Full, disk_full(file)),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed,
        ) => (StoreErrorClass::Transient, busy_for(file)),
        Some(ErrorCode::NotADatabase) => (StoreErrorClass::Config, not_a_database(file)),
        Some(ErrorCode::DatabaseCorrupt) | None => (StoreErrorClass::Config, damaged(file)),
        Some(ErrorCode::ReadOnly) => (StoreErrorClass::Refused, read_only(file)),
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            (StoreErrorClass::Refused, cannot_open(file))
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => {
            (StoreErrorClass::Transient, format!("reading or writing {} failed", file.display()))
        }
        Some(_) => {
            (StoreErrorClass::Internal, format!("SQLite refused a request to {}", file.display()))
        }
    };
    // SQLite rolls a failed commit back. But after an I/O error the bytes may have reached the
    // disk, also if that is full by now.
    let may_have_run = stage == Stage::Commit && code != Some(ErrorCode::DiskFull);
    let message = format!("{message} ({error})");
    StoreError { class, message, may_have_run, source: Some(Arc::new(error)) }
}

fn busy_for(file: &Path) -> String {
    let doing = format!("inside a transaction on {}", file.display());
    format!(
        "waited {:.1} s while {}",
        busy::waited().as_secs_f64(),
        lock_owner::sentence(LockOwner::writing(file).as_ref(), &doing)
    )
}

fn disk_full(file: &Path) -> String {
    format!(
        "the disk or quota of {} is full; nothing was changed and nothing is lost: free some space",
        file.display()
    )
}

fn not_a_database(file: &Path) -> String {
    format!("{} is not an SQLite database; it was left as it is: name another file", file.display())
}

fn damaged(file: &Path) -> String {
    let file = file.display();
    format!(
        "{file} is damaged; end every process that uses it, then move it away together with \
         {file}-wal and {file}-shm: a new file is made, without the locks of this one"
    )
}

pub(super) fn read_only(file: &Path) -> String {
    if is_on_read_only_disk(file) {
        return format!(
            "{} can be read but not written: its disk is mounted read-only; a lock needs both: \
             mount it with `mount -o remount,rw`, or name another file",
            file.display()
        );
    }
    format!(
        "{} (or its -wal, -shm beside it) can be read but not written; a lock needs both: change \
         its mode or owner, or name another file",
        file.display()
    )
}

pub(super) fn is_on_read_only_disk(file: &Path) -> bool {
    let disk = rustix::fs::statvfs(file);
    disk.is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY))
}

pub(super) fn cannot_open(file: &Path) -> String {
    format!(
        "{} cannot be opened for reading and writing: check the rights of the file and of its \
         directory",
        file.display()
    )
}

fn is_full(file: &Path) -> bool {
    rustix::fs::statvfs(file).is_ok_and(|disk| disk.f_bavail == 0)
}
