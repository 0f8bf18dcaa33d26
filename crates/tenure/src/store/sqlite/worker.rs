//! The one thread that owns the connection. It carries out all waiting calls in one transaction, so
//! that sixty-four tasks pay for one commit. No other thread ever uses the connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::SqliteOptions;
use super::beside::Standing;
use super::cache::Cache;
use super::checkpoint::{self, Journal};
use super::cut_off::{self, LOOK_EVERY};
use super::file::File;
use super::notifier::Notifier;
use super::transaction::{self, Clocks, Done};
use crate::observe::tell;
use crate::protocol::{Inspection, Reply, Request};
use crate::runtime::{Runtime, shielded};
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Key, StoreTime};

/// Number of steps from which a transaction takes no further call, so that other processes get
/// their turn.
const STEPS_MAX: usize = 256;
/// Time between two offers of a wake-up that found no room.
const RETRY_EVERY: Duration = Duration::from_millis(1);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request to the thread.
#[derive(Debug)]
pub(super) enum Job {
    /// Carry out steps.
    Call(Call),
    /// Show a page of keys.
    List(ListCall),
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) steps: Vec<Request>,
    pub(super) answer: Answer<Vec<Reply>>,
}

#[derive(Debug)]
pub(super) struct List {
    pub(super) prefix: String,
    pub(super) after: Option<Key>,
    pub(super) limit: usize,
}

#[derive(Debug)]
pub(super) struct ListCall {
    pub(super) list: List,
    pub(super) answer: Answer<Vec<(Key, Inspection)>>,
}

/// Answers a caller, which may have been dropped, or have a waker that panics.
fn answer<T>(to: Answer<T>, answer: Result<T, StoreError>) {
    shielded(|| to.send(answer).is_ok());
}

#[derive(Debug)]
pub(super) struct Worker {
    /// The file; `None` after it had to be closed, until it can be opened again.
    file: Option<File>,
    path: PathBuf,
    clocks: Clocks,
    options: SqliteOptions,
    notifier: Notifier,
    requests: Receiver<Job>,
    cache: Cache,
    journal: Journal,
    /// Whether the files were in place after the last transaction, which the next follows at once.
    are_in_place: bool,
    /// The end of the last lease in a journal that is gone.
    cut_off_until: Option<StoreTime>,
}

impl Worker {
    pub(super) fn new(
        file: File,
        runtime: Arc<dyn Runtime>,
        options: SqliteOptions,
        notifier: Notifier,
        requests: Receiver<Job>,
    ) -> Self {
        let clocks = Clocks { runtime, retention: options.fence_retention };
        let journal = Journal::beside(&file.path);
        let (path, cache) = (file.asked().to_owned(), Cache::default());
        Self {
            file: Some(file),
            path,
            clocks,
            options,
            notifier,
            requests,
            cache,
            journal,
            are_in_place: false,
            cut_off_until: None,
        }
    }

    /// Works until the last handle of the store is gone.
    pub(super) fn run(mut self) {
        while let Some(first) = self.next() {
            let (mut calls, mut lists, mut steps) = (Vec::new(), Vec::new(), 0);
            let mut request = Some(first);
            while let Some(next) = request {
                match next {
                    Job::Call(call) => {
                        steps += call.steps.len();
                        calls.push(call);
                    }
                    Job::List(list) => lists.push(list),
                }
                request = if steps < STEPS_MAX { self.requests.try_recv().ok() } else { None };
            }
            if !calls.is_empty() {
                self.carry_out(calls);
            }
            for ListCall { list, answer: to } in lists {
                let page = self.list(&list);
                answer(to, page);
            }
            // Nobody waits for an answer now.
            if let Some(file) = &self.file {
                self.journal.shorten(&file.db);
            }
        }
    }

    fn next(&mut self) -> Option<Job> {
        if let Ok(request) = self.requests.try_recv() {
            self.notifier.retry();
            return Some(request);
        }
        self.are_in_place = false;
        while self.notifier.has_unsent() {
            match self.requests.recv_timeout(RETRY_EVERY) {
                Ok(request) => {
                    self.notifier.retry();
                    return Some(request);
                }
                Err(RecvTimeoutError::Timeout) => self.notifier.retry(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        loop {
            match self.requests.recv_timeout(LOOK_EVERY) {
                Ok(request) => return Some(request),
                // Others cannot open a file whose journal is gone before this process lets go.
                Err(RecvTimeoutError::Timeout) if self.file.is_some() => {
                    let _ = self.file();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn carry_out(&mut self, calls: Vec<Call>) {
        let mut done = self.transact(&calls);
        if done.as_ref().is_err_and(|e| e.class == StoreErrorClass::Full) {
            // On a full disk the journal cannot grow. Written back into the file it begins anew, so
            // that releases and renewals go on.
            let written_back = |file: &File| checkpoint::write_back(&file.db).is_ok();
            if self.file.as_ref().is_some_and(written_back) {
                done = self.transact(&calls);
            }
        }
        match done {
            Ok(done) => {
                // Waiters are told first: they have waited longest.
                self.notifier.tell(done.grants);
                for (call, replies) in calls.into_iter().zip(done.replies) {
                    answer(call.answer, Ok(replies));
                }
            }
            Err(error) => {
                for call in calls {
                    answer(call.answer, Err(error.clone()));
                }
            }
        }
    }

    fn transact(&mut self, calls: &[Call]) -> Result<Done, StoreError> {
        // A transaction in files that were removed just now is found out when it is over.
        if !std::mem::take(&mut self.are_in_place) {
            self.file()?;
        }
        let Self { file: Some(file), cache, clocks, .. } = self else {
            return Err(cut_off::written(&self.path));
        };
        let done = transaction::carry_out(file, cache, calls, clocks).and_then(|done| {
            // Files that are in place now were there all the time, so others have seen the step.
            match file.standing() {
                Standing::InPlace => Ok(done),
                Standing::Moved | Standing::CutOff => Err(cut_off::written(&file.path)),
            }
        });
        match &done {
            Ok(_) => self.are_in_place = true,
            // Its states were not committed.
            Err(_) => self.cache = Cache::default(),
        }
        done
    }

    fn list(&mut self, list: &List) -> Result<Vec<(Key, Inspection)>, StoreError> {
        self.file()?;
        match &self.file {
            Some(file) => transaction::list(file, list, &self.clocks),
            None => Err(cut_off::written(&self.path)),
        }
    }

    /// The file at the path, with the journal at its path.
    ///
    /// If another file is at the path now, it goes on with that one. Newcomers do not see the locks
    /// of the old file, so its holders must learn that they are gone.
    fn file(&mut self) -> Result<&File, StoreError> {
        match self.file.as_ref().map(File::standing) {
            Some(Standing::InPlace) | None => {}
            Some(Standing::Moved) => self.close("moved or deleted"),
            Some(Standing::CutOff) => {
                self.wait_for_leases()?;
                self.close("robbed of its -wal or -shm");
            }
        }
        Ok(match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path, &*self.clocks.runtime, &self.options)?),
        })
    }

    /// Answers an error until the leases in a journal that nobody else can open are over.
    fn wait_for_leases(&mut self) -> Result<(), StoreError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let until = match self.cut_off_until {
            Some(until) => until,
            None => cut_off::leases_end(file)?.unwrap_or_default(),
        };
        self.cut_off_until = Some(until);
        let left = until.since(self.clocks.now());
        if left > Duration::ZERO { Err(cut_off::holder(&file.path, left)) } else { Ok(()) }
    }

    /// Closes the file before it is opened again: within a process, SQLite has one shared memory
    /// for all connections to it.
    fn close(&mut self, why: &'static str) {
        let say = move |path: &PathBuf| {
            tracing::warn!(file = %path.display(), "{why} while in use: opened anew");
        };
        tell!(self.clocks.runtime, say, &self.path);
        (self.file, self.cut_off_until) = (None, None);
        self.cache = Cache::default();
    }
}
