//! The embedded store: one SQLite file shared by the processes of one host.
//!
//! It survives the death of every process. A reboot frees all locks, since no holder survives it;
//! fences go on growing. Time is the machine's boot-time clock, the same for all its processes.
//!
//! **Not promised.** The store stands still as long as a process is stopped (SIGSTOP, a debugger, a
//! frozen cgroup) in the middle of a transaction: SQLite's lock cannot be taken from it. Requests
//! then fail with an error that says so: after half a second if the kernel shows that the process
//! is stopped, and otherwise after 4 s, or four fifths of a shorter time limit of the caller.
//! `inspect` and `list` still work. Leases are lost by their deadlines, and nothing is granted. A
//! transaction takes well under a millisecond and holds no await, so this is rare. (A process that
//! is stopped while it reads blocks nobody, but the journal grows until it continues.) A power cut
//! may lose the last moments before it (`synchronous=NORMAL`), which is harmless: it is a reboot.

mod beside;
mod boot;
mod busy;
mod cache;
mod checkpoint;
mod columns;
mod cut_off;
mod datagram;
mod error;
mod examine;
mod file;
mod inherited;
mod leftover;
mod locate;
mod lock_owner;
mod mount;
mod notifier;
mod reading;
mod rows;
mod runs;
mod statements;
mod tombstones;
mod transaction;
mod unmade;
mod unread_journal;
mod view;
mod wake_dir;
mod worker;

use std::fmt;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::process::OfProcess;
use crate::protocol::{Inspection, Reply, Request};
use crate::runtime::{Runtime, blocking, claim_thread};
use crate::types::{Key, TTL_MAX};

use super::{
    Answer, Capabilities, DataServer, Examination, Forgets, Identity, Inbox, Links, Reach, Store,
    StoreError, StoreErrorClass,
};
use file::File;
use inherited::InUse;
use notifier::Inboxes;
pub(crate) use view::SqliteView;
use worker::{Call, Job, List, ListCall, Worker};

/// Locks in an SQLite file, shared by all processes of this host that can open it.
///
/// Clones share one connection on one thread, which ends with the last of them.
#[derive(Clone)]
pub struct Sqlite {
    shared: OfProcess<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    path: PathBuf,
    /// A name of the file that is the same for every path to it.
    unique: Arc<str>,
    runtime: Arc<dyn Runtime>,
    requests: Sender<Job>,
    inboxes: Inboxes,
}

/// Maximum time for which a request waits for another process. It is shorter than the default time
/// limit of a `Locks`, so that the error that names the process in the way comes first.
const BUSY_LIMIT: Duration = Duration::from_secs(4);

/// Settings for tests. All other users have the defaults.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Time for which a fence is remembered after the last use of its key.
    pub fence_retention: Duration,
    /// Maximum time to wait while other processes are inside transactions.
    pub busy_limit: Duration,
    /// A boot id in place of the machine's. A change of it is a reboot.
    pub boot_id: Option<String>,
    /// The number of pages at which the file counts as full.
    pub max_pages: Option<u32>,
    /// The directory in which open descriptors have short names.
    pub fd_names: PathBuf,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            fence_retention: Duration::from_secs(24 * 3600),
            busy_limit: BUSY_LIMIT,
            boot_id: None,
            max_pages: None,
            fd_names: "/proc/self/fd".into(),
        }
    }
}

impl Sqlite {
    /// Opens the file at `path`, and makes it first if there is none. Its directory must exist,
    /// be writable, and lie on a local file system.
    ///
    /// The file is opened on the store's own thread. Dropping the answer closes it again.
    ///
    /// A process that was forked while its parent had such a store open is refused.
    #[must_use]
    pub fn open(path: &Path, runtime: Arc<dyn Runtime>) -> Answer<'static, Self> {
        Self::open_with(path, runtime, SqliteOptions::default())
    }

    /// Like [`Sqlite::open`], for a caller that waits for up to `limit` for each answer. The store
    /// answers before that.
    pub(crate) fn open_within(
        path: &Path,
        runtime: Arc<dyn Runtime>,
        limit: Duration,
    ) -> Answer<'static, Self> {
        let busy_limit = (limit / 5 * 4).min(BUSY_LIMIT);
        Self::open_with(path, runtime, SqliteOptions { busy_limit, ..SqliteOptions::default() })
    }

    /// Like [`Sqlite::open`], for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn open_with(
        path: &Path,
        runtime: Arc<dyn Runtime>,
        options: SqliteOptions,
    ) -> Answer<'static, Self> {
        let in_use = match InUse::begin() {
            Ok(in_use) => in_use,
            Err(forked) => return Box::pin(ready(Err(forked))),
        };
        let path = path.to_owned();
        let (opened, answer) = oneshot::channel();
        let thread = std::thread::Builder::new().name("tenure-sqlite".into());
        let started = thread.spawn(move || {
            serve(&path, runtime, options, opened);
            drop(in_use);
        });
        match started {
            Ok(_) => Box::pin(async move { answer.await.unwrap_or_else(|_| Err(thread_ended())) }),
            Err(e) => {
                let fault = error::of_system("cannot start the thread of the store", e);
                Box::pin(ready(Err(fault)))
            }
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        request: Job,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Answer<'_, T> {
        let asked = self.shared.here().map(|shared| shared.requests.send(request));
        Box::pin(async move {
            asked?.map_err(|_| thread_ended())?;
            answer.await.unwrap_or_else(|_| Err(thread_ended()))
        })
    }
}

/// The store's thread, from the opening to the last handle's end.
fn serve(
    path: &Path,
    runtime: Arc<dyn Runtime>,
    options: SqliteOptions,
    opened: oneshot::Sender<Result<Sqlite, StoreError>>,
) {
    claim_thread();
    let start = || {
        let file = File::open(path, &*runtime, &options)?;
        let inboxes = Inboxes::new(Arc::clone(&file.wake_dir));
        let notifier = inboxes
            .notifier()
            .map_err(|e| error::of_system("cannot make a socket for wake-ups", e))?;
        Ok((file, inboxes, notifier))
    };
    match start() {
        Ok((file, inboxes, notifier)) => {
            let (requests, waiting) = mpsc::channel();
            let name = format!("sqlite:{}", path.display()).into();
            let unique = file.unique().into();
            let seam_too = Arc::clone(&runtime);
            let shared = Arc::new(Shared {
                name,
                path: path.to_owned(),
                unique,
                runtime: seam_too,
                requests,
                inboxes,
            });
            let _ = opened.send(Ok(Sqlite { shared: OfProcess::new(shared) }));
            Worker::new(file, runtime, options, notifier, waiting).run();
        }
        Err(error) => {
            let _ = opened.send(Err(error));
        }
    }
}

fn thread_ended() -> StoreError {
    StoreError {
        class: StoreErrorClass::Internal,
        message: "the store's thread has ended; this is a defect in Tenure".into(),
        may_have_run: true,
        source: None,
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// The capabilities of a file, for locks and for looks.
const CAPABILITIES: Capabilities = Capabilities {
    fifo: true,
    many_units: true,
    groups: true,
    plain_values: false,
    composite: false,
    reach: Reach::Host,
    ttl_max: TTL_MAX,
    slow_grants: false,
};

impl Store for Sqlite {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.shared.name)
    }

    fn check_key(&self, _key: &Key) -> Result<(), String> {
        Ok(())
    }

    fn part_of(&self, _key: &Key) -> u32 {
        0
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let (answer, replies) = oneshot::channel();
        self.ask(Job::Call(Call { steps, answer }), replies)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        let (answer, page) = oneshot::channel();
        let list = List { prefix: prefix.to_owned(), after: after.cloned(), limit };
        self.ask(Job::List(ListCall { list, answer }), page)
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        let opened = self.shared.here().map(|shared| shared.inboxes.open(&shared.runtime));
        Box::pin(ready(opened.map_err(StoreError::from)))
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        None
    }

    fn identity(&self) -> Answer<'_, Identity> {
        let unique = Arc::clone(&self.shared.unique);
        // A power cut may lose transactions, but it is a reboot, and no holder survives it.
        let forgets = Forgets::Never;
        Box::pin(ready(Ok(Identity { unique, replica_of: None, forgets })))
    }

    fn data(&self) -> Option<&dyn DataServer> {
        None
    }

    fn examine(&self, _ttl: Duration) -> Examination<'_> {
        Box::pin(async move {
            let Ok(shared) = self.shared.here() else { return Vec::new() };
            let (name, path) = (Arc::clone(&shared.name), shared.path.clone());
            // The file system may hang.
            let found = blocking(&*shared.runtime, move || examine::examine(&name, &path)).await;
            found.unwrap_or_default()
        })
    }
}
