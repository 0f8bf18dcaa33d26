//! One transaction: it begins, checks that the file is still ours, carries out steps or reads,
//! deletes a few keys whose time is over, and commits. It never holds an await.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result};

use super::cache::Cache;
use super::error::{self, Stage};
use super::file::File;
use super::rows::{self, Stored};
use super::statements::Statements;
use super::worker::{Call, List};
use crate::protocol::{Grant, Inspection, Op, Reply, Request, State, StepContext};
use crate::runtime::Runtime;
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Fence, Key, StoreTime};

/// Maximum number of old keys that one transaction deletes.
const PRUNE_KEYS: u32 = 32;
/// Maximum number of free pages that one transaction gives back to the disk.
const FREE_PAGES_MAX: i64 = 64;
/// Number of free pages that stay, for the next keys.
const FREE_PAGES_KEPT: i64 = 8;

/// The results of a transaction, to be reported when it is committed.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) replies: Vec<Vec<Reply>>,
    pub(super) grants: Vec<(Key, Grant)>,
}

/// The clocks. They are read when the transaction has begun, since that may take a while.
#[derive(Debug)]
pub(super) struct Clocks {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) retention: Duration,
}

impl Clocks {
    pub(super) fn now(&self) -> StoreTime {
        StoreTime::from_micros(self.runtime.now().as_micros())
    }

    fn read(&self) -> StepContext {
        let (now, wall) = (self.now(), self.runtime.wall_micros());
        StepContext { now, fence_seed: wall, wall, retention: self.retention }
    }
}

/// Carries out all calls. Calls that only read take no write lock.
pub(super) fn carry_out(
    file: &File,
    cache: &mut Cache,
    calls: &[Call],
    clocks: &Clocks,
) -> std::result::Result<Done, StoreError> {
    let looks_only = calls.iter().flat_map(|c| &c.steps).all(|s| matches!(s.op, Op::Inspect));
    let kind = if looks_only { Kind::Read } else { Kind::Write };
    let fault = |e| file.fault(Stage::Steps, e);
    let mut tx = Transaction::begin(&file.db, kind).map_err(fault)?;
    let floor = floor(file, &mut tx)?;
    let at = clocks.read();
    let done =
        if looks_only { look(&mut tx, calls, at) } else { step(&mut tx, cache, calls, at, floor) };
    let done = done.map_err(fault)?;
    tx.commit().map_err(|e| file.fault(Stage::Commit, e))?;
    Ok(done)
}

/// Reads a page of keys.
pub(super) fn list(
    file: &File,
    list: &List,
    clocks: &Clocks,
) -> std::result::Result<Vec<(Key, Inspection)>, StoreError> {
    let fault = |e| file.fault(Stage::Steps, e);
    let mut tx = Transaction::begin(&file.db, Kind::Read).map_err(fault)?;
    floor(file, &mut tx)?;
    page(&mut tx, list, clocks.read().now).map_err(fault)
}

/// Looks at keys by a connection of its own, which only reads.
pub(super) fn view_keys(
    db: &Connection,
    keys: &[Key],
    boot: &str,
    now: StoreTime,
) -> Result<Vec<(Key, Inspection)>> {
    let mut tx = Transaction::begin(db, Kind::Read)?;
    let now = moment(&tx, boot, now)?;
    let mut seen = |key: &Key| Ok((key.clone(), inspect(&mut tx.statements, key, now)?));
    keys.iter().map(&mut seen).collect()
}

/// Reads a page of keys by a connection of its own, which only reads.
pub(super) fn view_page(
    db: &Connection,
    list: &List,
    boot: &str,
    now: StoreTime,
) -> Result<Vec<(Key, Inspection)>> {
    let mut tx = Transaction::begin(db, Kind::Read)?;
    let now = moment(&tx, boot, now)?;
    page(&mut tx, list, now)
}

/// The moment by which a file's leases are seen. Those of another boot are all over.
fn moment(tx: &Transaction<'_>, boot: &str, now: StoreTime) -> Result<StoreTime> {
    let is_ours: bool =
        tx.db.query_row("SELECT boot_id = ?1 FROM meta", [boot], |row| row.get(0))?;
    Ok(if is_ours { now } else { StoreTime::from_micros(u64::MAX) })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Read,
    Write,
}

/// A transaction that is rolled back unless it is committed.
struct Transaction<'a> {
    db: &'a Connection,
    statements: Statements<'a>,
}

impl<'a> Transaction<'a> {
    fn begin(db: &'a Connection, kind: Kind) -> Result<Self> {
        let sql = match kind {
            Kind::Read => "BEGIN",
            Kind::Write => "BEGIN IMMEDIATE",
        };
        let mut statements = Statements::of(db);
        statements.get(sql)?.execute([])?;
        Ok(Self { db, statements })
    }

    fn commit(mut self) -> Result<()> {
        self.statements.get("COMMIT")?.execute([]).map(drop)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // SQLite has rolled back by itself after some errors.
        if !self.db.is_autocommit() {
            let _ = self.db.execute_batch("ROLLBACK");
        }
    }
}

/// The fence floor: every new fence is larger. A file that another boot has taken over is refused,
/// since its clock is another one.
fn floor(file: &File, tx: &mut Transaction<'_>) -> std::result::Result<Fence, StoreError> {
    let mut floor = || {
        tx.statements
            .get("SELECT fence_floor FROM meta WHERE boot_id = ?1")?
            .query_row([&file.boot_id], |row| row.get::<_, i64>(0))
            .optional()
    };
    let Some(floor) = floor().map_err(|e| file.fault(Stage::Steps, e))? else {
        let message = format!(
            "{} is in use under another boot of a machine: a file of locks cannot be shared by \
             two kernels",
            file.path.display()
        );
        return Err(error::plain(StoreErrorClass::Config, message));
    };
    Ok(Fence::new(floor.unsigned_abs()))
}

fn look(tx: &mut Transaction<'_>, calls: &[Call], at: StepContext) -> Result<Done> {
    let mut replies = Vec::with_capacity(calls.len());
    for call in calls {
        let mut look =
            |step: &Request| Ok(Reply::Inspected(inspect(&mut tx.statements, &step.key, at.now)?));
        replies.push(call.steps.iter().map(&mut look).collect::<Result<_>>()?);
    }
    Ok(Done { replies, grants: Vec::new() })
}

fn inspect(db: &mut Statements<'_>, key: &Key, now: StoreTime) -> Result<Inspection> {
    let mut rows = rows::read(db, key)?;
    rows::prepare(&mut rows, db, key, &Op::Inspect)?;
    Ok(rows.state.inspect(now))
}

fn step(
    tx: &mut Transaction<'_>,
    cache: &mut Cache,
    calls: &[Call],
    at: StepContext,
    floor: Fence,
) -> Result<Done> {
    let Transaction { db, statements } = tx;
    cache.refresh(statements)?;
    let pruned = rows::prune(statements, at.now, PRUNE_KEYS)?;
    if !pruned.is_empty() {
        cache.clear();
    }
    let mut new_floor = pruned.iter().map(|(_, fence)| *fence).fold(floor, Fence::max);
    let at = StepContext { fence_seed: at.fence_seed.max(new_floor.get() + 1), ..at };
    let mut touched = Vec::new();
    let mut done = Done::default();
    for call in calls {
        let mut replies = Vec::with_capacity(call.steps.len());
        for Request { key, op } in &call.steps {
            replies.push(match op {
                Op::AcquireAll(group) => group.carry_out(|key, part| {
                    let rows = cache.get(statements, key)?;
                    rows::prepare(rows, statements, key, &Op::Acquire(part.acquire().clone()))?;
                    let (granted, grants) = rows.state.apply_part(part, at);
                    done.grants.extend(grants.into_iter().map(|grant| (key.clone(), grant)));
                    touched.push(key);
                    Ok::<_, rusqlite::Error>(granted)
                })?,
                op => {
                    let rows = cache.get(statements, key)?;
                    rows::prepare(rows, statements, key, op)?;
                    let (reply, grants) = rows.state.apply(op, at);
                    done.grants.extend(grants.into_iter().map(|grant| (key.clone(), grant)));
                    touched.push(key);
                    reply
                }
            });
        }
        done.replies.push(replies);
    }
    touched.sort_unstable();
    touched.dedup();
    for key in touched {
        let rows = cache.get(statements, key)?;
        let stored = rows::store(rows, statements, key, at.now, at.retention / 8)?;
        if let Stored::Forgotten(fence) = stored {
            cache.remove(key);
            new_floor = new_floor.max(fence);
        }
    }
    if new_floor > floor {
        let fence = i64::try_from(new_floor.get()).unwrap_or(i64::MAX);
        statements.get("UPDATE meta SET fence_floor = ?1")?.execute([fence])?;
    }
    if !pruned.is_empty() {
        give_pages_back(db)?;
    }
    Ok(done)
}

/// Gives a few free pages back to the disk, with every transaction that prunes.
fn give_pages_back(db: &Connection) -> Result<()> {
    let free: i64 = db.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let spare = (free - FREE_PAGES_KEPT).min(FREE_PAGES_MAX);
    if spare > 0 {
        db.pragma(None, "incremental_vacuum", spare, |_| Ok(()))?;
    }
    Ok(())
}

fn page(tx: &mut Transaction<'_>, list: &List, now: StoreTime) -> Result<Vec<(Key, Inspection)>> {
    // A free key has only a record, and there may be a million of them.
    let mut select = tx.db.prepare_cached(
        "SELECT key FROM holder WHERE key >= ?1 UNION SELECT key FROM place WHERE key >= ?1
         ORDER BY key",
    )?;
    let from = list.after.as_ref().map_or("", Key::as_str).max(list.prefix.as_str());
    let mut rows = select.query([from])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str()?;
        if page.len() == list.limit || !name.starts_with(&list.prefix) {
            break;
        }
        let key = Key::new(name)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(e)))?;
        if list.after.as_ref() == Some(&key) {
            continue;
        }
        let seen = inspect(&mut tx.statements, &key, now)?;
        if seen.state != State::Free || !seen.waiters.is_empty() {
            page.push((key, seen));
        }
    }
    Ok(page)
}
