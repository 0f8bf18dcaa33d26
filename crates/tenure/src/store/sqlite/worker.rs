//! The one thread that owns the connection. It carries out everything that is waiting in one
//! transaction, so that sixty-four tasks pay for one commit.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::SqliteOptions;
use super::cache::Cache;
use super::file::File;
use super::journal::{self, Journal};
use super::transaction::{self, Clocks, Done};
use super::wakeup::Postman;
use crate::logic::{Inspection, Reply, Step};
use crate::seam::Seam;
use crate::store::{StoreError, StoreErrorClass};
use crate::words::Key;

/// A transaction takes no further call once it has so many steps: others want their turn.
const STEPS_MAX: usize = 256;
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

#[derive(Debug)]
pub(super) struct Worker {
    file: File,
    clocks: Clocks,
    options: SqliteOptions,
    postman: Postman,
    requests: Receiver<Request>,
    cache: Cache,
    journal: Journal,
}

impl Worker {
    pub(super) fn new(
        file: File,
        seam: Arc<dyn Seam>,
        options: SqliteOptions,
        postman: Postman,
        requests: Receiver<Request>,
    ) -> Self {
        let clocks = Clocks { seam, retention: options.fence_retention };
        let journal = Journal::beside(&file.path);
        Self { file, clocks, options, postman, requests, cache: Cache::default(), journal }
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
            // Nobody waits for an answer now.
            self.journal.shorten(&self.file.db);
        }
    }

    fn next(&mut self) -> Option<Request> {
        while self.postman.has_unsent() {
            match self.requests.recv_timeout(RETRY_EVERY) {
                Ok(request) => {
                    self.postman.retry();
                    return Some(request);
                }
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
            if journal::write_back(&self.file.db).is_ok() {
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
        let done = transaction::carry_out(&self.file, &mut self.cache, calls, &self.clocks);
        if done.is_err() {
            // What it holds has not come to pass.
            self.cache = Cache::default();
        }
        done
    }

    fn list(&mut self, list: &List) -> Result<Vec<(Key, Inspection)>, StoreError> {
        self.reopen_if_replaced()?;
        transaction::list(&self.file, list, &self.clocks)
    }

    /// Goes over to the file that now stands at the path: the locks of the old one are seen by
    /// nobody who comes after, so its holders must learn that they are gone.
    fn reopen_if_replaced(&mut self) -> Result<(), StoreError> {
        if self.file.is_in_place() {
            return Ok(());
        }
        let path = self.file.path.clone();
        tracing::warn!(file = %path.display(), "moved or deleted while in use: opened anew");
        self.file = File::open(&path, &*self.clocks.seam, &self.options)?;
        self.cache = Cache::default();
        Ok(())
    }
}
