//! What a program keeps: the locks of one store.

use std::sync::Arc;
use std::time::Duration;

use crate::kinds::Mutex;
use crate::logic::Inspection;
use crate::seam::Seam;
use crate::store::{Capabilities, Store};
use crate::words::{Error, ErrorKind, Key, Operation, Result};

use super::core::Engine;

/// The locks of one store. Cheap to clone; clones share everything.
///
/// Make one per program and store with [`connect`](crate::connect) and keep it. It may be used
/// from any number of runtimes, also short-lived ones: leases are kept by a thread of Tenure's
/// own.
#[derive(Debug, Clone)]
pub struct Locks {
    engine: Arc<Engine>,
}

/// How a [`Locks`] treats its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocksOptions {
    store_timeout: Duration,
}

impl Default for LocksOptions {
    fn default() -> Self {
        Self { store_timeout: Duration::from_secs(5) }
    }
}

impl LocksOptions {
    /// The time limit of one store call, and how long the first contact of an acquire rides out
    /// transient faults. Default: 5 s.
    #[must_use]
    pub fn with_store_timeout(mut self, limit: Duration) -> Self {
        self.store_timeout = limit;
        self
    }

    pub(crate) fn store_timeout(self) -> Duration {
        self.store_timeout
    }
}

impl Locks {
    /// Locks over a store of one's own; [`connect`](crate::connect) is the usual way.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "a constructor takes what it is made of")]
    pub fn over(store: Arc<dyn Store>, seam: Arc<dyn Seam>, options: LocksOptions) -> Self {
        Self { engine: Engine::start(store, &seam, options.store_timeout) }
    }

    /// A mutex on `key`: at most one holder at a time.
    ///
    /// Nothing is sent yet. A key that breaks the rules of [`Key`] is refused when it is used.
    #[must_use]
    pub fn mutex(&self, key: impl AsRef<str>) -> Mutex {
        Mutex::new(Arc::clone(&self.engine), Key::new(key))
    }

    /// At most `limit` keys in use that begin with `prefix`, in order, from the one after
    /// `after` on. A page shorter than `limit` is the last.
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// The store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// for (key, state) in locks.list("job:", None, 100).await? {
    ///     println!("{key}: {} holders", state.holders.len());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Inspection)>> {
        let engine = &self.engine;
        let name = engine.store.name();
        tokio::select! {
            biased;
            page = engine.store.list(prefix, after, limit) => {
                page.map_err(|e| e.into_error(Operation::Inspect, &name))
            }
            () = engine.seam.sleep_until(engine.now() + engine.store_timeout) => {
                let message = format!("no answer within {:?}", engine.store_timeout);
                let error = Error::new(ErrorKind::Unavailable, Operation::Inspect, message);
                Err(error.with_store(&name))
            }
        }
    }

    /// The store's name for messages, without secrets.
    #[must_use]
    pub fn store_name(&self) -> Arc<str> {
        self.engine.store.name()
    }

    /// What the store can do and how far it reaches.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        self.engine.store.capabilities()
    }

    /// Gives back all that is held or awaited, ends what goes on in the background, and refuses
    /// what comes later, for every clone of this `Locks`. Guards that are alive are lost with
    /// [`LostReason::Closed`](crate::LostReason::Closed).
    ///
    /// Call it before the program ends, so that no release is cut off half-way.
    ///
    /// # Cancel safety
    /// Dropping the future leaves everything to the background; it stays closed.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the store has not answered everything within `limit`. What
    /// is left ends with its ttl.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// locks.close(std::time::Duration::from_secs(5)).await
    /// # }
    /// ```
    pub async fn close(&self, limit: Duration) -> Result<()> {
        let engine = &self.engine;
        engine.close();
        match engine.rest(engine.now() + limit).await {
            0 => Ok(()),
            left => {
                let message = format!(
                    "{left} releases or withdrawals were not answered within {limit:?}; the keys \
                     are free when their ttl ends"
                );
                let error = Error::new(ErrorKind::Unavailable, Operation::Close, message);
                Err(error.with_store(&engine.store.name()).with_may_hold(true))
            }
        }
    }
}
