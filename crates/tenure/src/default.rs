//! The default store of a program: set once by the program, or found in the environment at the
//! first use. It is never opened before that.

#[cfg(feature = "testing")]
pub(crate) mod entered;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::engine::LocksOptions;
use crate::kinds::{Election, LazyLocks, MultiLock, Mutex, Once, Opening, RwLock, Semaphore};
use crate::locks::Locks;
use crate::process::{OfProcess, PerProcess, of_process};
use crate::types::{Error, ErrorKind, Key, Operation, Result};

use super::connect;
use crate::connect::environment::{DefaultStore, FILE, URL};
use crate::connect::variables;

static DEFAULT: PerProcess<Default> = PerProcess::new();

/// The default store of one process.
#[derive(std::default::Default)]
struct Default {
    /// [`set_default`] replaces the cell; the first use fills it. The mutex is only held to read or
    /// replace the pointer, never while the store is opened.
    locks: StdMutex<Arc<OnceCell<Locks>>>,
    /// Whether the program has called [`set_default`]. Atomic, since a forked child reads its
    /// parent's value and cannot take a lock for that.
    is_named: AtomicBool,
}

impl Default {
    fn locks(&self) -> MutexGuard<'_, Arc<OnceCell<Locks>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mutex on `name` in the default store, which is opened at its first use:
///
/// 1. what [`set_default`] was given;
/// 2. the URL in `TENURE_STORE`;
/// 3. the embedded store's file in `TENURE_STORE_FILE`;
/// 4. the embedded store of this host and user, see [`embedded_file`](crate::embedded_file).
///
/// The command `tenure` follows the same order. A variable that is set and empty is refused
/// ([`ErrorKind::Config`]), and so are `TENURE_STORE` and `TENURE_STORE_FILE` together: they may
/// mean two stores. `REDIS_URL` and `REDIS_HOST` are not read, since they name a cache as often as
/// a server for locks. With `TENURE_REQUIRE_NETWORK=1` a store that other hosts cannot reach is
/// refused: memory, a file, a server under an address of this host alone, or a quorum with one such
/// node.
///
/// Another variable that begins with `TENURE_` is not read: a `WARN` event names it, once in a
/// process, with the variable that may have been meant.
///
/// The environment is read at the first use only; concurrent first uses share one opening, and one
/// that failed is tried again at the next use. A forked process opens its own store at its own
/// first use; if its parent has called [`set_default`], it must call that as well, or is refused
/// with [`ErrorKind::Forked`]. A test enters a store of its own: see the module `testing`.
///
/// ```
/// # async fn rebuild() {}
/// # async fn f() -> tenure::Result<()> {
/// tenure::mutex("rebuild-index")
///     .run(|_lease| async {
///         rebuild().await;
///         tenure::ok(())
///     })
///     .await
/// # }
/// ```
pub fn mutex(name: impl AsRef<str>) -> Mutex {
    Mutex::new(LazyLocks::Later(open), Key::new(name))
}

/// A semaphore of `permits` permits on `name` in the default store, which is found as by [`mutex`].
///
/// ```
/// # async fn render() {}
/// # async fn f() -> tenure::Result<()> {
/// tenure::semaphore("render", 4)
///     .run(|_lease| async {
///         render().await;
///         tenure::ok(())
///     })
///     .await
/// # }
/// ```
pub fn semaphore(name: impl AsRef<str>, permits: u32) -> Semaphore {
    Semaphore::new(LazyLocks::Later(open), Key::new(name), permits)
}

/// The mutexes on all of these keys in the default store, held together or not at all. See
/// [`Locks::all`] and [`mutex`].
///
/// ```
/// # async fn f() -> tenure::Result<()> {
/// tenure::all(["account:3", "account:7"]).run(|_lease| async { tenure::ok(()) }).await
/// # }
/// ```
pub fn all(keys: impl IntoIterator<Item = impl AsRef<str>>) -> MultiLock {
    MultiLock::new(LazyLocks::Later(open), keys.into_iter().map(Key::new))
}

/// A read-write lock on `name` in the default store, which is found as by [`mutex`].
///
/// ```
/// # async fn load() {}
/// # async fn f() -> tenure::Result<()> {
/// let reader = tenure::rwlock("prices").read().await?;
/// load().await;
/// # reader.release().await.map(drop) }
/// ```
pub fn rwlock(name: impl AsRef<str>) -> RwLock {
    RwLock::new(LazyLocks::Later(open), Key::new(name))
}

/// A job on `name` in the default store that runs once per tick; see [`Once`] and [`mutex`].
///
/// ```
/// # async fn poll() {}
/// # async fn f() -> tenure::Result<()> {
/// let every_five_minutes = std::time::Duration::from_secs(300);
/// tenure::once("poll")
///     .every(every_five_minutes)
///     .run(|_lease| async { tenure::ok(poll().await) })
///     .await?;
/// # Ok(()) }
/// ```
pub fn once(name: impl AsRef<str>) -> Once {
    Once::new(LazyLocks::Later(open), Key::new(name))
}

/// An election on `name` in the default store, which is found as by [`mutex`].
///
/// ```
/// # async fn serve(_: tenure::Lease) -> tenure::Result<()> { Ok(()) }
/// # async fn f() -> tenure::Result<()> {
/// let leadership = tenure::election("scheduler").campaign("10.0.0.7:8080").await?;
/// leadership.run(|lease| serve(lease)).await
/// # }
/// ```
pub fn election(name: impl AsRef<str>) -> Election {
    Election::new(LazyLocks::Later(open), Key::new(name))
}

/// Makes `locks` the default store of [`mutex`], [`rwlock`], [`semaphore`], [`election`], [`all`],
/// [`once`] and [`default_locks`], for this whole program.
///
/// Call it early in `main`. Locks that were made before use it from their next acquisition on;
/// guards stay with the store that granted them. A forked process does not inherit it.
pub fn set_default(locks: Locks) {
    let default = DEFAULT.get();
    default.is_named.store(true, Ordering::Release);
    *default.locks() = Arc::new(OnceCell::from(locks));
}

/// The default store, opened if it was not yet; see [`mutex`] for how it is found.
///
/// # Cancel safety
/// Dropping the future leaves nothing open. The next use opens the store.
///
/// # Errors
/// Those of [`connect`](crate::connect); [`ErrorKind::Refused`] in a command of `tenure run` that
/// did not pass on the password of its `--store`. The message names the variable that was read.
///
/// # Examples
/// ```no_run
/// # async fn f() -> tenure::Result<()> {
/// let locks = tenure::default_locks().await?;
/// println!("locks are kept at {}", locks.store_name());
/// # Ok(()) }
/// ```
pub async fn default_locks() -> Result<Locks> {
    #[cfg(feature = "testing")]
    if let Some(locks) = entered::locks() {
        return Ok(locks);
    }
    let cell = OfProcess::new(Arc::clone(&DEFAULT.get().locks()));
    let locks = of_process(cell.get_or_try_init(|| async {
        // The environment may name another store than the one that the parent has set.
        if DEFAULT.inherited().any(|parent| parent.is_named.load(Ordering::Acquire)) {
            return Err(forked(
                "set_default was called before this process was forked: call it \
                               again in the child, with a connection of its own",
            ));
        }
        warn_of_unknown_variables();
        open_first(DefaultStore::of_this_process()?).await
    }));
    let forked = |_| forked("this process was forked while it connected: try again");
    locks.await.map_err(forked)?.cloned()
}

/// Warns, once in a process, of variables that may have been meant to name the store.
fn warn_of_unknown_variables() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if WARNED.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(warning) = variables::warning(variables::names()) {
        tracing::warn!("{warning}");
    }
}

async fn open_first(store: DefaultStore) -> Result<Locks> {
    let hint = store.hint();
    if let Some(hint) = &hint {
        tracing::info!("the default store is the embedded one; {hint}");
    }
    let (from, url) = located(store).map_err(|error| with(hint.as_deref(), error))?;
    let opened = connect::connect_with(&url, LocksOptions::default()).await;
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    opened.map_err(|error| with(Some(&format!("named by {from}{hint}")), error))
}

fn forked(message: &str) -> Error {
    Error::new(ErrorKind::Forked, Operation::Connect, message)
}

fn open() -> Opening {
    Box::pin(async { Ok(default_locks().await?.engine().clone()) })
}

/// The origin of the store's name, for messages, and its URL.
fn located(store: DefaultStore) -> Result<(&'static str, String)> {
    match store {
        DefaultStore::Url(url) => Ok((URL, url)),
        DefaultStore::File(file) => Ok((FILE, url_of(&file)?)),
        DefaultStore::Embedded { .. } => Ok(("nothing: the embedded store", embedded()?)),
    }
}

fn url_of(file: &Path) -> Result<String> {
    let not_text = || {
        let message = format!("the path {} is not valid UTF-8", file.display());
        Error::new(ErrorKind::Config, Operation::Connect, message)
    };
    Ok(format!("sqlite:{}", file.to_str().ok_or_else(not_text)?))
}

#[cfg(feature = "sqlite")]
fn embedded() -> Result<String> {
    url_of(&super::embedded_file()?)
}

#[cfg(not(feature = "sqlite"))]
fn embedded() -> Result<String> {
    let message = "no store is named, and this build has no embedded one; set TENURE_STORE, or \
                   build with the feature \"sqlite\"";
    Err(Error::new(ErrorKind::Config, Operation::Connect, message))
}

/// Adds to the error of an opening where the store's name came from.
fn with(more: Option<&str>, error: Error) -> Error {
    let Some(more) = more else { return error };
    let message = format!("{} ({more})", error.message());
    let named = Error::new(error.kind(), error.operation(), message);
    match error.store() {
        Some(store) => named.with_store(&store.into()),
        None => named,
    }
    .with_source(Arc::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_opening_says_what_named_the_store() {
        let cause = Error::new(ErrorKind::Config, Operation::Connect, "no such store");
        let error = with(Some("named by TENURE_STORE"), cause);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("TENURE_STORE"), "{error}");
    }
}
