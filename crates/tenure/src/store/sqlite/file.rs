//! Opening the file: what is checked before anything is touched, the layout, the reboot.
//!
//! It never changes a file that is not Tenure's own, of this layout.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig, params};
use rustix::fs::FlockOperation;

use super::beside::{self, Inodes, Standing};
use super::boot;
use super::columns;
use super::cut_off;
use super::error::{self, Stage};
use super::locate::{at, locate};
use super::lock_owner::{self, LockOwner};
use super::mount;
use super::reading::uri;
use super::runs;
use super::tombstones;
use super::unread_journal;
use super::wake_dir::{self, WakeDir};
use super::{SqliteOptions, busy};
use crate::runtime::{Runtime, random_u32};
use crate::store::{StoreError, StoreErrorClass};
use crate::types::StoreTime;

/// "Tenu", in the header of every file of ours.
const APPLICATION_ID: i32 = 0x5465_6e75;
/// The number of the layout below. A file with a larger one is refused and left as it is.
const LAYOUT: i32 = 1;

/// `seq` keeps the order of a key's rows. Times are microseconds of the boot-time clock.
const SCHEMA: &str = "
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        boot_id TEXT NOT NULL,
        fence_floor INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE record (
        key TEXT PRIMARY KEY,
        fence INTEGER NOT NULL,
        forget_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX record_by_end ON record (forget_at);
    CREATE TABLE holder (
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        owner TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        label TEXT NOT NULL,
        units INTEGER NOT NULL,
        unit_limit INTEGER NOT NULL,
        fence INTEGER NOT NULL,
        since INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (key, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE place (
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        owner TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        label TEXT NOT NULL,
        units INTEGER NOT NULL,
        unit_limit INTEGER NOT NULL,
        claim_lease INTEGER NOT NULL,
        since INTEGER NOT NULL,
        alive_until INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        inbox TEXT,
        PRIMARY KEY (key, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tombstone (
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        owner TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (key, seq)
    ) STRICT, WITHOUT ROWID;
";

/// The file, opened.
#[derive(Debug)]
pub(super) struct File {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
    pub(super) boot_id: String,
    pub(super) wake_dir: Arc<WakeDir>,
    /// The absolute path that was given. Links on it may lead elsewhere later.
    asked: PathBuf,
    inodes: Inodes,
}

impl File {
    /// Opens `path`, and makes the file first if there is none. It blocks, so only the worker's
    /// thread calls it.
    #[allow(clippy::disallowed_methods, reason = "this is the edge to other processes")]
    pub(super) fn open(
        path: &Path,
        runtime: &dyn Runtime,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        let asked = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = locate(path)?;
        mount::check(&path)?;
        beside::check(&path)?;
        let boot_id = options.boot_id.clone().map_or_else(boot::id, Ok)?;
        // Beside a file of ours lies its directory, made before the file; whatever else lies at
        // the path must not get one.
        if !WakeDir::path_of(&path).exists() && is_filled(&path)? {
            check_untouched(&path)?;
        }
        let since = Instant::now();
        loop {
            let wake_dir = WakeDir::open(&path, &options.fd_names)?;
            let alone = Alone::wait(&wake_dir, &path, options, since)?;
            let whole = connect_whole(&path, &boot_id, runtime, options, since);
            let whole = whole.map_err(|e| unread_journal::explain(&path, e))?;
            if let Some((db, inodes)) = whole {
                wake_dir.follow(&path);
                wake_dir.sweep();
                drop(alone);
                let wake_dir = Arc::new(wake_dir);
                return Ok(Self { db, path, boot_id, wake_dir, asked, inodes });
            }
            // Other processes may open the file again meanwhile.
            drop(alone);
            if since.elapsed() >= options.busy_limit / 4 * 3 {
                return Err(cut_off::newcomer(&path));
            }
            std::thread::sleep(busy::pause());
        }
    }

    /// A name of the file that is the same for every path to it.
    pub(super) fn unique(&self) -> String {
        let (device, number) = self.inodes.file();
        format!("sqlite:{device}:{number}")
    }

    /// The path by which to open it again.
    pub(super) fn asked(&self) -> &Path {
        &self.asked
    }

    /// Checks that the path still leads to the files that were opened.
    pub(super) fn standing(&self) -> Standing {
        self.inodes.standing(&self.asked)
    }

    pub(super) fn fault(&self, stage: Stage, error: rusqlite::Error) -> StoreError {
        error::of_sqlite(&self.path, stage, error)
    }
}

fn is_filled(path: &Path) -> Result<bool, StoreError> {
    match fs::metadata(path) {
        Ok(file) => Ok(file.len() > 0),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(error::of_system(&at(path), e)),
    }
}

/// A connection to the file, and to the journal that all others use; `None` if others use a file or
/// a journal that is gone.
fn connect_whole(
    path: &Path,
    boot_id: &str,
    runtime: &dyn Runtime,
    options: &SqliteOptions,
    since: Instant,
) -> Result<Option<(Connection, Inodes)>, StoreError> {
    let look = || Inodes::of(path).map_err(|e| error::of_system(&at(path), e));
    beside::check(path)?;
    let mut before = look()?;
    if is_filled(path)? {
        // Nobody uses a file without them; with SQLite's lock on the file it is known for sure, in
        // other containers too.
        if !before.are_complete() {
            if !cut_off::is_unused(path)? {
                return Ok(None);
            }
            beside::make(path)?;
            before = look()?;
        }
    } else {
        // The files beside it belong to a file that was there before.
        if !cut_off::clear(path)? {
            return Ok(None);
        }
        before = look()?;
    }
    let mut db = connect(path, runtime, options)?;
    // The limit of one request is the limit of the whole opening.
    let left = || options.busy_limit.saturating_sub(since.elapsed());
    busy::with_limit(left(), || lay_out(&mut db, path, boot_id))?;
    if !before.are_complete() {
        // SQLite removes the journal of an empty file, so these two are made only now.
        beside::make(path)?;
        before = look()?;
    }
    let now = StoreTime::from_micros(runtime.now().as_micros());
    busy::with_limit(left(), || tune(&mut db, boot_id, now, options.fence_retention))
        .map_err(|e| error::of_sqlite(path, Stage::Open, e))?;
    beside::check(path)?;
    let inodes = look()?;
    // They may have been removed between the check and the opening.
    let is_whole = inodes.are_complete() && inodes == before;
    Ok(is_whole.then_some((db, inodes)))
}

/// Reads whose file it is, without locks, journals or any change. The identity is written before
/// the switch to WAL, so it is in the main file.
fn check_untouched(path: &Path) -> Result<(), StoreError> {
    let uri = uri(path, "?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match Connection::open_with_flags(uri, flags).and_then(|db| Identity::read(&db)) {
        Ok(identity) => identity.check(path).map(|_| ()),
        // Without locks, a file that another process is writing looks damaged too. The opening
        // itself reads it again, under locks.
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(()),
        Err(e) => Err(error::of_sqlite(path, Stage::Open, e)),
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SQLite writes the journal back when it closes, and removes it by its name. If the journal
        // is gone, that must not happen: others may have written to the file since.
        if self.standing() != Standing::InPlace {
            let _ = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

/// The marks in a file's header that say whose file it is.
pub(super) struct Identity {
    application_id: i32,
    layout: i32,
    has_tables: bool,
}

impl Identity {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let application_id = number("application_id")?;
        let has_tables = application_id == APPLICATION_ID
            || db.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
        Ok(Self { application_id, layout: number("user_version")?, has_tables })
    }

    /// Whether the layout exists already; an error if the file is not Tenure's.
    pub(super) fn check(&self, path: &Path) -> Result<bool, StoreError> {
        let file = path.display();
        let message = match (self.application_id, self.layout) {
            (0, 0) if !self.has_tables => return Ok(false),
            (APPLICATION_ID, LAYOUT) => return Ok(true),
            (APPLICATION_ID, layout) => format!(
                "{file} has layout {layout} of a newer Tenure, this one knows layout {LAYOUT}; it \
                 was left as it is: update Tenure, or name another file"
            ),
            _ => format!(
                "{file} is an SQLite database of another program; it was left as it is: name \
                 another file"
            ),
        };
        Err(error::plain(StoreErrorClass::Config, message))
    }
}

/// The right to open the file, held by one process at a time, since the switch to WAL answers
/// "locked" whatever the timeout. It ends with the process at the latest.
struct Alone<'a> {
    dir: &'a WakeDir,
}

impl<'a> Alone<'a> {
    #[allow(clippy::disallowed_methods, reason = "this is the edge to other processes")]
    fn wait(
        dir: &'a WakeDir,
        path: &Path,
        options: &SqliteOptions,
        since: Instant,
    ) -> Result<Self, StoreError> {
        loop {
            match rustix::fs::flock(dir, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { dir }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(e) => return Err(wake_dir::unusable(path, e.into())),
            }
            if since.elapsed() >= options.busy_limit {
                let who = LockOwner::opening(dir.path());
                let doing = format!("opening {}", path.display());
                let message = format!(
                    "waited {:.1} s while {}",
                    since.elapsed().as_secs_f64(),
                    lock_owner::sentence(who.as_ref(), &doing)
                );
                return Err(error::plain(StoreErrorClass::Transient, message));
            }
            std::thread::sleep(busy::pause());
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked meanwhile has the descriptor too.
        let _ = rustix::fs::flock(self.dir, FlockOperation::Unlock);
    }
}

fn connect(
    path: &Path,
    runtime: &dyn Runtime,
    options: &SqliteOptions,
) -> Result<Connection, StoreError> {
    // The path has no link in it. A link that is put there now is not followed.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let mut db = Connection::open_with_flags(path, flags)?;
        busy::install(&mut db, path, options.busy_limit, random_u32(runtime))?;
        db.set_prepared_statement_cache_capacity(64);
        // The file may come from another program, with views and triggers that must not run.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // Plans must not depend on values, or a statement is compiled again for each new value.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        if let Some(pages) = options.max_pages {
            db.pragma_update(None, "max_page_count", pages)?;
        }
        Ok(db)
    };
    let db = open().map_err(|e| error::of_sqlite(path, Stage::Open, e))?;
    // SQLite opens a file that it cannot write for reading only, and reports no error.
    if db.is_readonly("main").unwrap_or(false) {
        return Err(error::plain(StoreErrorClass::Refused, error::read_only(path)));
    }
    Ok(db)
}

/// Makes the layout if the file is new.
fn lay_out(db: &mut Connection, path: &Path, boot_id: &str) -> Result<(), StoreError> {
    let fault = |e| error::of_sqlite(path, Stage::Open, e);
    if Identity::read(db).map_err(fault)?.check(path)? {
        return Ok(());
    }
    create(db, boot_id).map_err(fault)
}

/// Switches to WAL, and forgets the claims of another boot.
fn tune(
    db: &mut Connection,
    boot_id: &str,
    now: StoreTime,
    retention: Duration,
) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.execute_batch(tombstones::INDEXES)?;
    db.execute_batch(runs::TABLE)?;
    columns::add(db)?;
    reboot(db, boot_id, now, retention)
}

fn create(db: &mut Connection, boot_id: &str) -> rusqlite::Result<()> {
    // So pages that pruning frees can go back to the disk. Only an empty file takes this setting.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    tx.execute_batch(SCHEMA)?;
    tx.execute_batch(tombstones::INDEXES)?;
    tx.execute_batch(runs::TABLE)?;
    tx.execute("INSERT INTO meta (one, boot_id, fence_floor) VALUES (1, ?1, 0)", [boot_id])?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", LAYOUT)?;
    tx.commit()
}

/// Forgets the claims of another boot. After a reboot no holder is alive, and the clock has begun
/// anew. The largest fence is kept, so that every later one is above it, whatever the wall clock
/// says; and the last runs of jobs.
fn reboot(
    db: &mut Connection,
    boot_id: &str,
    now: StoreTime,
    retention: Duration,
) -> rusqlite::Result<()> {
    let read = |db: &Connection| {
        db.query_row("SELECT boot_id = ?1 FROM meta", [boot_id], |row| row.get::<_, bool>(0))
    };
    if read(db)? {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute(
        "UPDATE meta SET boot_id = ?1, fence_floor = max(fence_floor,
             (SELECT coalesce(max(fence), 0) FROM record))",
        params![boot_id],
    )?;
    tx.execute_batch("DELETE FROM holder; DELETE FROM place; DELETE FROM tombstone")?;
    runs::keep(&tx, now, retention)?;
    tx.commit()
}
