//! A store whose file is known, so that it can be opened, and how CMD is told of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD};
use tenure::runtime::Runtime;
use tenure::store::{Access, Reach};
use tenure::{Error, ErrorKind, Locks, LocksOptions, Operation, StoreEntry};

use super::origin::Origin;
use super::url;
use crate::duration::show;
use crate::variables::{FILE, REQUIRE_NETWORK, URL, WITHHELD};

/// A store that can be opened.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Located {
    /// May carry a secret.
    pub(super) url: String,
    pub(super) origin: Origin,
    /// It does, on the command line: CMD must not find it in its environment.
    pub(super) exposed: bool,
    /// A `tenure` within CMD must not use a store that other hosts cannot reach, either.
    pub(super) for_all_hosts: bool,
    pub(super) file: Option<PathBuf>,
    pub(super) embedded: bool,
    /// A message about a variable that may have been meant.
    pub(super) hint: Option<String>,
    /// The options that name it; see [`super::typed`].
    pub(super) option: String,
}

impl Located {
    /// Opens the store, within that time.
    pub(crate) async fn open(
        &self,
        limit: Duration,
        runtime: &dyn Runtime,
    ) -> tenure::Result<Locks> {
        self.open_for(Access::Locks, limit, runtime).await
    }

    /// Opens the store for this purpose.
    pub(crate) async fn open_for(
        &self,
        access: Access,
        limit: Duration,
        runtime: &dyn Runtime,
    ) -> tenure::Result<Locks> {
        let options = LocksOptions::default().with_store_timeout(limit).with_access(access);
        self.connect(options, limit, runtime).await
    }

    /// Opens the store, within `limit`. Later requests have `store_timeout`.
    pub(crate) async fn open_within(
        &self,
        limit: Duration,
        store_timeout: Duration,
        runtime: &dyn Runtime,
    ) -> tenure::Result<Locks> {
        let options = LocksOptions::default().with_store_timeout(store_timeout);
        self.connect(options, limit, runtime).await
    }

    async fn connect(
        &self,
        options: LocksOptions,
        limit: Duration,
        runtime: &dyn Runtime,
    ) -> tenure::Result<Locks> {
        let opened = tokio::select! {
            biased;
            locks = tenure::connect_with(&self.url, options) => locks,
            () = runtime.sleep_until(runtime.now() + limit) => {
                let message = format!(
                    "{} did not open within {}; is it up, and reachable from here?",
                    self.identity(),
                    show(limit),
                );
                Err(Error::new(ErrorKind::Unavailable, Operation::Connect, message))
            }
        };
        opened.map_err(|e| self.origin.name_in(e))
    }

    /// The store and how far its locks reach, for people.
    pub(crate) fn describe(&self, locks: &Locks) -> String {
        let reach = self.reach(locks.capabilities().reach);
        let hint = self.hint.iter().map(|hint| format!("; {hint}")).collect::<String>();
        format!("{} ({reach}){hint}", locks.store_name())
    }

    /// The options that name it on the command line, for a line to type; empty if none was typed.
    pub(crate) fn option(&self) -> &str {
        &self.option
    }

    pub(super) fn reach(&self, reach: Reach) -> &'static str {
        let own_host = |entry: &StoreEntry| entry.own_host(&self.url).is_some();
        match reach {
            Reach::Process => "this process only",
            Reach::Host if self.embedded => "this host, this user",
            Reach::Host => "this host",
            _ if StoreEntry::of(&self.url).is_ok_and(own_host) => "this host alone, by its address",
            _ => "every host that reaches it",
        }
    }

    /// Whether it is one file of this host.
    pub(crate) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// The text about a store's file that does not exist.
    pub(crate) fn missing(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let found = file.symlink_metadata();
        let is_missing = found.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
        let file = file.display();
        is_missing.then(|| format!("{file} does not exist, so nothing is locked there"))
    }

    /// Whether it is the embedded store, which does not exist, and which this user could make: the
    /// first lock makes its directory as well.
    pub(crate) fn is_embedded_to_come(&self) -> bool {
        let file = self.file.as_ref().filter(|_| self.embedded && self.missing().is_some());
        let directory =
            file.and_then(|file| file.ancestors().skip(1).find(|directory| directory.exists()));
        directory.is_some_and(|directory| directory.is_dir() && may_write(directory))
    }

    /// Text that tells this store from others, without secrets.
    pub(crate) fn identity(&self) -> String {
        match &self.file {
            Some(file) => {
                let directory = file.parent().and_then(|d| d.canonicalize().ok());
                let name = file.file_name().unwrap_or_default();
                let file = file.canonicalize().ok().or(directory.map(|d| d.join(name)));
                file.unwrap_or_else(|| self.file.clone().unwrap_or_default()).display().to_string()
            }
            None => url::identity(&self.url),
        }
    }

    /// Whether a path is a file of this store.
    pub(crate) fn is_made_of(&self, path: &Path) -> bool {
        let Some(store) = &self.file else { return false };
        let whole = |path: &Path| {
            let name = path.file_name().unwrap_or_default();
            let directory = std::path::absolute(path).ok()?.parent()?.canonicalize().ok()?;
            path.canonicalize().ok().or(Some(directory.join(name)))
        };
        let path = whole(path);
        ["", "-wal", "-shm", "-journal"].into_iter().any(|end| {
            let mut file = store.clone().into_os_string();
            file.push(end);
            path.is_some() && whole(Path::new(&file)) == path
        })
    }

    /// The variables for CMD, by which a `tenure` in it finds the same store, or none. `None`
    /// removes a variable. A password is there only if it was there before.
    pub(crate) fn environment(&self) -> [(&'static str, Option<OsString>); 4] {
        let url = if self.exposed { url::without_password(&self.url) } else { self.url.clone() };
        let withheld = self.exposed.then(|| url.clone().into());
        let (url, file) = match &self.file {
            Some(file) => (None, Some(file.into())),
            None => (Some(url.into()), None),
        };
        let rule = self.for_all_hosts.then(|| "1".into());
        [(URL, url), (FILE, file), (WITHHELD, withheld), (REQUIRE_NETWORK, rule)]
    }
}

/// Whether this user may make files in a directory.
fn may_write(directory: &Path) -> bool {
    let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::accessat(CWD, directory, wanted, AtFlags::EACCESS).is_ok()
}
