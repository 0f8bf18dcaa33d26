//! A file that is only looked at. It is opened for each look and closed again, and nothing is made
//! or changed: neither the file, nor those beside it, nor a directory. The right to read suffices.
//! A file that does not exist has no locks.

use std::fmt;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::protocol::{Inspection, Op, Reply, Request};
use crate::runtime::{Runtime, blocking};
use crate::store::{
    Answer, Capabilities, DataServer, Examination, Forgets, Identity, Inbox, Links, Store,
    StoreError, StoreErrorClass,
};
use crate::types::{Key, StoreTime};

use super::CAPABILITIES;
use super::inherited::InUse;
use super::reading::{self, Asked, Seen};
use super::{boot, error, examine, unmade};

/// Locks in an SQLite file, to be looked at alone.
#[derive(Clone)]
pub(crate) struct SqliteView {
    file: Arc<Path>,
    name: Arc<str>,
    runtime: Arc<dyn Runtime>,
    /// Maximum time for which a look waits for another process.
    limit: Duration,
}

impl SqliteView {
    /// A look at the file at `path` is made at once, so that a path that leads to something else is
    /// found here.
    pub(crate) fn open(
        path: &Path,
        runtime: Arc<dyn Runtime>,
        limit: Duration,
    ) -> Answer<'static, Self> {
        let file: Arc<Path> = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into();
        let name = format!("sqlite:{}", path.display()).into();
        let limit = (limit / 5 * 4).min(super::BUSY_LIMIT);
        let view = Self { file, name, runtime, limit };
        Box::pin(async move {
            view.look(Asked::Keys(Vec::new())).await?;
            Ok(view)
        })
    }

    /// Whether the file at `path` is no store yet, and this user could make it one.
    pub(crate) fn of_no_store(path: &Path) -> bool {
        unmade::could_be_made(path)
    }

    async fn look(&self, asked: Asked) -> Result<Seen, StoreError> {
        let in_use = InUse::begin()?;
        let (file, limit) = (Arc::clone(&self.file), self.limit);
        let now = StoreTime::from_micros(self.runtime.now().as_micros());
        let look = move || {
            let seen = boot::id().and_then(|boot| reading::read(&file, &boot, &asked, now, limit));
            drop(in_use);
            seen
        };
        let panicked = || {
            let message = "looking at it panicked; this is a defect in Tenure".into();
            Err(error::plain(StoreErrorClass::Internal, message))
        };
        blocking(&*self.runtime, look).await.unwrap_or_else(panicked)
    }
}

impl fmt::Debug for SqliteView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteView").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Store for SqliteView {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn check_key(&self, _key: &Key) -> Result<(), String> {
        Ok(())
    }

    fn part_of(&self, _key: &Key) -> u32 {
        0
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        if steps.iter().any(|step| !matches!(step.op, Op::Inspect)) {
            return Box::pin(ready(Err(StoreError::only_looks())));
        }
        let keys = steps.into_iter().map(|step| step.key).collect();
        Box::pin(async move {
            let seen = self.look(Asked::Keys(keys)).await?;
            Ok(seen.into_iter().map(|(_, seen)| Reply::Inspected(seen)).collect())
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        Box::pin(self.look(Asked::Page { prefix, after, limit }))
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        Box::pin(ready(Ok(None)))
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        None
    }

    fn identity(&self) -> Answer<'_, Identity> {
        let unique = self.name();
        Box::pin(ready(Ok(Identity { unique, replica_of: None, forgets: Forgets::Never })))
    }

    fn data(&self) -> Option<&dyn DataServer> {
        None
    }

    fn examine(&self, _ttl: Duration) -> Examination<'_> {
        let (name, path) = (self.name(), self.file.to_path_buf());
        Box::pin(async move {
            // The file system may hang.
            let found = blocking(&*self.runtime, move || examine::examine(&name, &path)).await;
            found.unwrap_or_default()
        })
    }
}
