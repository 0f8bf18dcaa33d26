//! The store of programs that name none: set once, or found in the environment at first use.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::engine::{Locks, LocksOptions, Opening, Source};
use crate::kinds::Mutex;
use crate::process::{OfProcess, PerProcess, of_process};
use crate::words::{Error, ErrorKind, Key, Operation, Result};

use super::connect;

static DEFAULT: PerProcess<Default> = PerProcess::new();

/// The default store of one process.
#[derive(std::default::Default)]
struct Default {
    /// Swapped whole by [`set_default`]; the cell inside is filled once, by the first use.
    locks: StdMutex<Arc<OnceCell<Locks>>>,
    /// The program has named it. Read by its children, too.
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
/// 4. the URL in `REDIS_URL`;
/// 5. the server at `REDIS_HOST` and `REDIS_PORT` (6379 if there is none);
/// 6. the embedded store of this host and user, see [`embedded_file`](crate::embedded_file).
///
/// An empty variable counts as none. The environment is read at the first use only; concurrent
/// first uses share one opening, and one that failed is tried again at the next use. A forked
/// process opens its own store at its own first use; if its parent has called [`set_default`], it
/// must call that as well, or is refused with [`ErrorKind::Forked`].
///
/// ```
/// # async fn rebuild() {}
/// # async fn f() -> tenure::Result<()> {
/// tenure::lock("rebuild-index")
///     .run(|_lease| async {
///         rebuild().await;
///         tenure::ok(())
///     })
///     .await
/// # }
/// ```
#[must_use]
pub fn lock(name: impl AsRef<str>) -> Mutex {
    Mutex::new(Source::Later(open), Key::new(name))
}

/// Makes `locks` the default store of [`lock`] and [`default_locks`], for this whole program.
///
/// Call it early in `main`. Mutexes made before use it too at their next acquisition; guards
/// stay where they were acquired. It does not go on to a forked process.
pub fn set_default(locks: Locks) {
    let default = DEFAULT.get();
    default.is_named.store(true, Ordering::Release);
    *default.locks() = Arc::new(OnceCell::from(locks));
}

/// The default store, opened if it was not yet; see [`lock`] for how it is found.
///
/// # Cancel safety
/// Dropping the future opens nothing that stays; the next use opens.
///
/// # Errors
/// Those of [`connect`](crate::connect). The message names the variable that was followed.
///
/// # Examples
/// ```no_run
/// # async fn f() -> tenure::Result<()> {
/// let locks = tenure::default_locks().await?;
/// println!("locks are kept at {}", locks.store_name());
/// # Ok(()) }
/// ```
pub async fn default_locks() -> Result<Locks> {
    let cell = OfProcess::new(Arc::clone(&DEFAULT.get().locks()));
    let locks = of_process(cell.get_or_try_init(|| async {
        // Another store than the parent's would be taken in silence.
        if DEFAULT.inherited().any(|parent| parent.is_named.load(Ordering::Acquire)) {
            return Err(forked(
                "set_default was called before this process was forked: call it \
                               again in the child, with a connection of its own",
            ));
        }
        let (from, url) = url(|name| env::var(name))?;
        let opened = connect::connect_with(&url, LocksOptions::default()).await;
        opened.map_err(|error| named(from, error))
    }));
    let forked = |_| forked("this process was forked while it connected: try again");
    locks.await.map_err(forked)?.cloned()
}

fn forked(message: &str) -> Error {
    Error::new(ErrorKind::Forked, Operation::Connect, message)
}

fn open() -> Opening {
    Box::pin(default_locks())
}

/// What named the store, for messages, and its URL.
fn url(env: impl Fn(&str) -> Result<String, env::VarError>) -> Result<(&'static str, String)> {
    let var = |name: &'static str| match env(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            let message = format!("{name} is not valid UTF-8");
            Err(Error::new(ErrorKind::Config, Operation::Connect, message))
        }
    };
    if let Some(url) = var("TENURE_STORE")? {
        return Ok(("TENURE_STORE", url));
    }
    if let Some(path) = var("TENURE_STORE_FILE")? {
        return Ok(("TENURE_STORE_FILE", format!("sqlite:{path}")));
    }
    if let Some(url) = var("REDIS_URL")? {
        return Ok(("REDIS_URL", url));
    }
    if let Some(host) = var("REDIS_HOST")? {
        let port = var("REDIS_PORT")?.unwrap_or_else(|| "6379".to_owned());
        // An address of IPv6 stands in brackets in a URL.
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        return Ok(("REDIS_HOST", format!("redis://{host}:{port}")));
    }
    Ok(("the embedded store", embedded()?))
}

#[cfg(feature = "sqlite")]
fn embedded() -> Result<String> {
    let file = super::embedded_file()?;
    match file.to_str() {
        Some(path) => Ok(format!("sqlite:{path}")),
        None => {
            let message = format!("the path {} is not valid UTF-8", file.display());
            Err(Error::new(ErrorKind::Config, Operation::Connect, message))
        }
    }
}

#[cfg(not(feature = "sqlite"))]
fn embedded() -> Result<String> {
    let message = "no store is named, and this build has no embedded one; set TENURE_STORE, or \
                   build with the feature \"sqlite\"";
    Err(Error::new(ErrorKind::Config, Operation::Connect, message))
}

/// The error of an opening, with what had named the store.
fn named(from: &str, error: Error) -> Error {
    let message = format!("{} (named by {from})", error.message());
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

    fn found(env: &[(&str, &str)]) -> (&'static str, String) {
        let get = |name: &str| {
            let value = env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            value.ok_or(env::VarError::NotPresent)
        };
        url(get).expect("a store")
    }

    #[test]
    fn the_environment_names_the_store_in_order() {
        let all = [
            ("TENURE_STORE", "memory:"),
            ("TENURE_STORE_FILE", "/f"),
            ("REDIS_URL", "redis://a"),
            ("REDIS_HOST", "::1"),
            ("REDIS_PORT", "7"),
        ];
        let cases = [
            (0, "TENURE_STORE", "memory:"),
            (1, "TENURE_STORE_FILE", "sqlite:/f"),
            (2, "REDIS_URL", "redis://a"),
            (3, "REDIS_HOST", "redis://[::1]:7"),
        ];
        for (from, name, url) in cases {
            assert_eq!(found(&all[from..]), (name, url.to_owned()));
        }
        assert_eq!(found(&[("TENURE_STORE", ""), ("REDIS_HOST", "db")]).1, "redis://db:6379");
    }

    #[test]
    fn a_failed_opening_says_what_named_the_store() {
        let cause = Error::new(ErrorKind::Config, Operation::Connect, "no such store");
        let error = named("REDIS_URL", cause);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("REDIS_URL"), "{error}");
    }
}
