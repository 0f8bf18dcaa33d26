//! One look at a file, by a connection that can change nothing. It blocks.
//!
//! A file in use has a journal and a shared memory beside it, and is read with them as they are.
//! One that nobody uses has neither, or a journal that was left, and SQLite would make them; so it
//! is read as a file that does not change, and once more if somebody has begun to use it meanwhile.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::beside;
use super::busy;
use super::columns;
use super::error::{self, Stage};
use super::file::Identity;
use super::leftover;
use super::locate::{at, locate_to_read};
use super::mount;
use super::transaction;
use super::unread_journal;
use super::worker::List;
use crate::protocol::Inspection;
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Key, StoreTime};

/// The subject of a look.
#[derive(Debug)]
pub(super) enum Asked {
    Keys(Vec<Key>),
    Page { prefix: String, after: Option<Key>, limit: usize },
}

/// Time for a process to make what lies beside a file that it begins to use.
const COMING: Duration = Duration::from_secs(1);

/// Keys and their states: of all keys that were asked for, in order, or of a page.
pub(super) type Seen = Vec<(Key, Inspection)>;

/// Looks at the file at `path`, for which the locks of another boot than `boot` are free.
#[allow(clippy::disallowed_methods, reason = "this is the edge to other processes")]
pub(super) fn read(
    path: &Path,
    boot: &str,
    asked: &Asked,
    now: StoreTime,
    limit: Duration,
) -> Result<Seen, StoreError> {
    match fs::metadata(path) {
        // Not a link that leads nowhere, which is a mistake.
        Err(e) if e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            return Ok(nothing(asked));
        }
        _ => {}
    }
    let path = locate_to_read(path)?;
    mount::check(&path)?;
    beside::check(&path)?;
    if fs::metadata(&path).is_ok_and(|found| found.len() == 0) {
        return Ok(nothing(asked));
    }
    let since = Instant::now();
    loop {
        let before = Standing::of(&path)?;
        let seen = read_once(&path, before.is_in_use, boot, asked, now, limit);
        let is_good = before.is_in_use && seen.is_ok();
        // Its last user may have gone and the next one come: then the file stands as before, and
        // what is beside it was not there in between.
        let may_pass = before.is_in_use && is_refused(&seen) && since.elapsed() < COMING.min(limit);
        if is_good || (!may_pass && before == Standing::of(&path)?) {
            return seen.map_err(|e| unread_journal::explain(&path, e));
        }
        if since.elapsed() >= limit {
            let message = format!("{} changed while it was read; try again", path.display());
            return Err(error::plain(StoreErrorClass::Transient, message));
        }
        std::thread::sleep(busy::pause());
    }
}

fn is_refused(seen: &Result<Seen, StoreError>) -> bool {
    seen.as_ref().is_err_and(|error| error.class == StoreErrorClass::Refused)
}

/// The answer of a file without locks.
fn nothing(asked: &Asked) -> Seen {
    match asked {
        Asked::Keys(keys) => keys.iter().map(|key| (key.clone(), Inspection::free())).collect(),
        Asked::Page { .. } => Seen::new(),
    }
}

/// Whether somebody uses a file, and what changes when somebody has written to it.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    is_in_use: bool,
    size: u64,
    modified: Option<std::time::SystemTime>,
}

impl Standing {
    fn of(path: &Path) -> Result<Self, StoreError> {
        let found = fs::metadata(path).map_err(|e| error::of_system(&at(path), e))?;
        let is_in_use =
            beside::path_of(path, "-wal").exists() && !leftover::is_left(path).unwrap_or(false);
        Ok(Self { is_in_use, size: found.len(), modified: found.modified().ok() })
    }
}

fn read_once(
    path: &Path,
    is_in_use: bool,
    boot: &str,
    asked: &Asked,
    now: StoreTime,
    limit: Duration,
) -> Result<Seen, StoreError> {
    let fault = |e| error::of_sqlite(path, Stage::Open, e);
    let how = if is_in_use { "?mode=ro&readonly_shm=1" } else { "?immutable=1" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let mut db = Connection::open_with_flags(uri(path, how), flags)?;
        busy::install(&mut db, path, limit, std::process::id())?;
        // The file may come from another program, with views and triggers that must not run.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        Ok(db)
    };
    let db = open().map_err(fault)?;
    if !Identity::read(&db).map_err(fault)?.check(path)? {
        return Ok(nothing(asked));
    }
    match layout(&db).map_err(fault)? {
        Layout::Whole => {}
        Layout::New => return Ok(nothing(asked)),
        Layout::Older => {
            let message = format!(
                "{} is of an older Tenure, and a look does not change it: `tenure run` on any key \
                 brings it up to date",
                path.display()
            );
            return Err(error::plain(StoreErrorClass::Config, message));
        }
    }
    let seen = match asked {
        Asked::Keys(keys) => transaction::view_keys(&db, keys, boot, now),
        Asked::Page { prefix, after, limit } => {
            let list = List { prefix: prefix.clone(), after: after.clone(), limit: *limit };
            transaction::view_page(&db, &list, boot, now)
        }
    };
    seen.map_err(|e| error::of_sqlite(path, Stage::Steps, e))
}

enum Layout {
    /// All that a look needs is there.
    Whole,
    /// Another process is making the file.
    New,
    Older,
}

/// The layout of a file of ours at one moment.
fn layout(db: &Connection) -> rusqlite::Result<Layout> {
    let snapshot = db.unchecked_transaction()?;
    if columns::are_complete(&snapshot)? {
        return Ok(Layout::Whole);
    }
    let claims = "SELECT EXISTS (SELECT 1 FROM holder) OR EXISTS (SELECT 1 FROM place)";
    let has_claims = snapshot.query_row(claims, [], |row| row.get(0))?;
    Ok(if has_claims { Layout::Older } else { Layout::New })
}

/// The name of a file for SQLite, with how it is opened behind it.
pub(super) fn uri(path: &Path, how: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'_' | b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + how
}
