//! The one thread that owns the connection. It carries out everything that is waiting in one
//! transaction, so that sixty-four tasks pay for one commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::sync::oneshot;

use super::SqliteOptions;
use super::fault::{self, Stage};
use super::file::File;
use super::rows::{self, Loaded, Stored};
use super::wakeup::Postman;
use crate::logic::{At, Grant, Inspection, Op, Reply, State, Step};
use crate::seam::Seam;
use crate::store::{StoreError, StoreErrorClass};
use crate::words::{Fence, Key, StoreTime};

/// A transaction takes no further call once it has so many steps: others want their turn.
const STEPS_MAX: usize = 256;
/// So many keys whose time is over leave with a transaction, and so many free pages; a few free
/// pages stay, for the next keys.
const PRUNE_KEYS: u32 = 32;
const FREE_PAGES_MAX: i64 = 64;
const FREE_PAGES_KEPT: i64 = 8;
/// How often a wake-up that found no room is offered again.
const RETRY_EVERY: Duration = Duration::from_millis(1);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Request {
    /// Carry out steps.
    Call(Call),
    /// Show a page of keys.
    List(List),
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) steps: Vec<Step>,
    pub(super) answer: Answer<Vec<Reply>>,
}

#[derive(Debug)]
pub(super) struct List {
    pub(super) prefix: String,
    pub(super) after: Option<Key>,
    pub(super) limit: usize,
    pub(super) answer: Answer<Vec<(Key, Inspection)>>,
}

/// What a transaction did, to be told once it is committed.
#[derive(Debug, Default)]
struct Done {
    replies: Vec<Vec<Reply>>,
    grants: Vec<(Key, Grant)>,
}

#[derive(Debug)]
pub(super) struct Worker {
    file: File,
    seam: Arc<dyn Seam>,
    options: SqliteOptions,
    postman: Postman,
    requests: Receiver<Request>,
}

impl Worker {
    pub(super) fn new(
        file: File,
        seam: Arc<dyn Seam>,
        options: SqliteOptions,
        postman: Postman,
        requests: Receiver<Request>,
    ) -> Self {
        Self { file, seam, options, postman, requests }
    }

    /// Works until the last handle of the store is gone.
    pub(super) fn run(mut self) {
        while let Some(first) = self.next() {
            let (mut calls, mut lists, mut steps) = (Vec::new(), Vec::new(), 0);
            let mut request = Some(first);
            while let Some(next) = request {
                match next {
                    Request::Call(call) => {
                        steps += call.steps.len();
                        calls.push(call);
                    }
                    Request::List(list) => lists.push(list),
                }
                request = if steps < STEPS_MAX { self.requests.try_recv().ok() } else { None };
            }
            if !calls.is_empty() {
                self.carry_out(calls);
            }
            for list in lists {
                let page = self.list(&list);
                let _ = list.answer.send(page);
            }
        }
    }

    fn next(&mut self) -> Option<Request> {
        while self.postman.has_unsent() {
            match self.requests.recv_timeout(RETRY_EVERY) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Timeout) => self.postman.retry(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        self.requests.recv().ok()
    }

    fn carry_out(&mut self, calls: Vec<Call>) {
        let mut done = self.transact(&calls);
        if done.as_ref().is_err_and(|e| e.class == StoreErrorClass::Refused) {
            // On a full disk the journal cannot grow; emptied into the file, it begins anew, and
            // what frees or renews goes on.
            let empty = "PRAGMA wal_checkpoint(PASSIVE)";
            if self.file.db.query_row(empty, [], |_| Ok(())).is_ok() {
                done = self.transact(&calls);
            }
        }
        match done {
            Ok(done) => {
                // Waiters first: they have waited longest.
                self.postman.tell(done.grants);
                for (call, replies) in calls.into_iter().zip(done.replies) {
                    let _ = call.answer.send(Ok(replies));
                }
            }
            Err(error) => {
                for call in calls {
                    let _ = call.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn transact(&mut self, calls: &[Call]) -> Result<Done, StoreError> {
        self.reopen_if_replaced()?;
        let looks_only = calls.iter().flat_map(|c| &c.steps).all(|s| matches!(s.op, Op::Inspect));
        let behavior =
            if looks_only { TransactionBehavior::Deferred } else { TransactionBehavior::Immediate };
        let file = &self.file;
        let tx = rusqlite::Transaction::new_unchecked(&file.db, behavior)
            .map_err(|e| file.fault(Stage::Steps, e))?;
        let floor = self.floor(&tx)?;
        let at = At {
            now: StoreTime::from_micros(self.seam.now().as_micros()),
            fence_seed: self.seam.wall_micros(),
            retention: self.options.fence_retention,
        };
        let done = if looks_only { look(&tx, calls, at) } else { step(&tx, calls, at, floor) };
        let done = done.map_err(|e| file.fault(Stage::Steps, e))?;
        tx.commit().map_err(|e| file.fault(Stage::Commit, e))?;
        Ok(done)
    }

    /// The fence at or below which none may be minted. A file that another boot has taken over
    /// is not ours any more: its clock is another one.
    fn floor(&self, tx: &Connection) -> Result<Fence, StoreError> {
        let fault = |e| self.file.fault(Stage::Steps, e);
        let floor: Option<i64> = tx
            .prepare_cached("SELECT fence_floor FROM meta WHERE boot_id = ?1")
            .map_err(fault)?
            .query_row([&self.file.boot_id], |row| row.get(0))
            .optional()
            .map_err(fault)?;
        let Some(floor) = floor else {
            let message = format!(
                "{} is in use under another boot of a machine: a file of locks cannot be shared by \
                 two kernels",
                self.file.path.display()
            );
            return Err(fault::plain(StoreErrorClass::Config, message));
        };
        Ok(Fence::new(floor.unsigned_abs()))
    }

    /// Goes over to the file that now stands at the path: the locks of the old one are seen by
    /// nobody who comes after, so its holders must learn that they are gone.
    fn reopen_if_replaced(&mut self) -> Result<(), StoreError> {
        if self.file.is_in_place() {
            return Ok(());
        }
        let path = self.file.path.clone();
        tracing::warn!(file = %path.display(), "moved or deleted while in use: opened anew");
        self.file = File::open(&path, &*self.seam, &self.options)?;
        Ok(())
    }

    fn list(&mut self, list: &List) -> Result<Vec<(Key, Inspection)>, StoreError> {
        self.reopen_if_replaced()?;
        let file = &self.file;
        let fault = |e| file.fault(Stage::Steps, e);
        let tx = rusqlite::Transaction::new_unchecked(&file.db, TransactionBehavior::Deferred)
            .map_err(fault)?;
        self.floor(&tx)?;
        let now = StoreTime::from_micros(self.seam.now().as_micros());
        page(&tx, list, now).map_err(fault)
    }
}

fn look(tx: &Connection, calls: &[Call], at: At) -> rusqlite::Result<Done> {
    let mut replies = Vec::with_capacity(calls.len());
    for call in calls {
        let looks = call.steps.iter().map(|step| {
            let loaded = Loaded::read(tx, &step.key)?;
            Ok(Reply::Inspected(loaded.resource.inspect(at.now)))
        });
        replies.push(looks.collect::<rusqlite::Result<_>>()?);
    }
    Ok(Done { replies, grants: Vec::new() })
}

fn step(tx: &Connection, calls: &[Call], at: At, floor: Fence) -> rusqlite::Result<Done> {
    let (pruned, keys_pruned) = rows::prune(tx, at.now, PRUNE_KEYS)?;
    let mut new_floor = floor.max(pruned);
    let at = At { fence_seed: at.fence_seed.max(new_floor.get() + 1), ..at };
    let mut loaded = BTreeMap::new();
    let mut done = Done::default();
    for call in calls {
        let mut replies = Vec::with_capacity(call.steps.len());
        for step in &call.steps {
            if !loaded.contains_key(&step.key) {
                loaded.insert(&step.key, Loaded::read(tx, &step.key)?);
            }
            let Some(key) = loaded.get_mut(&step.key) else {
                unreachable!("loaded above");
            };
            let (reply, grants) = key.resource.apply(&step.op, at);
            done.grants.extend(grants.into_iter().map(|grant| (step.key.clone(), grant)));
            replies.push(reply);
        }
        done.replies.push(replies);
    }
    for (key, loaded) in &loaded {
        if let Stored::Forgotten(fence) = loaded.store(tx, key, at.now, at.retention / 8)? {
            new_floor = new_floor.max(fence);
        }
    }
    if new_floor > floor {
        let fence = i64::try_from(new_floor.get()).unwrap_or(i64::MAX);
        tx.prepare_cached("UPDATE meta SET fence_floor = ?1")?.execute([fence])?;
    }
    if keys_pruned > 0 {
        give_pages_back(tx)?;
    }
    Ok(done)
}

/// Free pages go back to the disk, a few with every transaction that prunes.
fn give_pages_back(tx: &Connection) -> rusqlite::Result<()> {
    let free: i64 = tx.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let spare = (free - FREE_PAGES_KEPT).min(FREE_PAGES_MAX);
    if spare > 0 {
        tx.pragma(None, "incremental_vacuum", spare, |_| Ok(()))?;
    }
    Ok(())
}

fn page(tx: &Connection, list: &List, now: StoreTime) -> rusqlite::Result<Vec<(Key, Inspection)>> {
    // Free keys have only a record, and there may be a million of those.
    let mut select = tx.prepare_cached(
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
        let key = Key::new(name).map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e))
        })?;
        if list.after.as_ref() == Some(&key) {
            continue;
        }
        let seen = Loaded::read(tx, &key)?.resource.inspect(now);
        if seen.state != State::Free || !seen.waiters.is_empty() {
            page.push((key, seen));
        }
    }
    Ok(page)
}
