//! Several mutexes held as one: all of them or none. It sends nothing before a verb is called.

mod guard;
mod lease;
mod steps;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{AcquireOptions, Engine, Renewal};
use crate::process::OfProcess;
use crate::runtime::Moment;
use crate::scope::{self, Compensated, Failure, Finished};
use crate::types::{Claim, Error, ErrorKind, InvalidKey, Key, Operation, Result};

use super::{LazyLocks, Mutex};
pub use guard::MultiGuard;
pub use lease::MultiLease;

/// Number of keys that one multi-lock can have.
const KEYS_MAX: usize = 64;

/// Several mutexes, held all together or not at all.
///
/// [`Locks::all`](crate::Locks::all) makes one. Use it for work on several things at once, such as
/// a transfer between two accounts. Each key is a plain [`Mutex`]: a multi-lock and a mutex exclude
/// each other on every key that they share.
///
/// If all keys are free and nobody waits for one of them, they are taken in one step of the store,
/// so that nobody ever sees a part of them held. (A quorum has no such step.) Otherwise they are
/// acquired one after the other, in the order of their bytes, whatever order they were named in,
/// and each once. So two multi-locks never wait for each other, however they overlap. If a key
/// cannot be had, the earlier ones are given back at once, even if a `min_hold` is set. The price:
/// while a multi-lock waits for one key, it holds the keys before it, and others wait for those.
/// Name as few keys as you can, and never wait for a multi-lock while you hold another lock: that
/// is not ordered.
///
/// The options are those of [`Mutex`], and hold for each key. The limit of the wait counts for all
/// keys together. Options that do not fit together, and keys that a store refuses, are refused
/// before anything is touched.
///
/// ```
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// let both = locks.all(["account:7", "account:3"]).acquire().await?;
/// for (key, fence) in both.fences() {
///     println!("{key} is ours, with fence {fence}");
/// }
/// both.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is locked before it is acquired"]
pub struct MultiLock {
    locks: LazyLocks,
    /// In the order of their keys, each key once.
    members: Vec<Mutex>,
    invalid: Option<InvalidKey>,
    wait: Option<Duration>,
    min_hold: Duration,
}

impl MultiLock {
    pub(crate) fn new(
        locks: LazyLocks,
        keys: impl IntoIterator<Item = Result<Key, InvalidKey>>,
    ) -> Self {
        let mut invalid = None;
        let keys = keys.into_iter().filter_map(|key| key.map_err(|e| invalid = Some(e)).ok());
        let keys: BTreeSet<_> = keys.collect();
        let members = keys.into_iter().map(|key| Mutex::new(locks.clone(), Ok(key))).collect();
        Self { locks, members, invalid, wait: None, min_hold: Duration::ZERO }
    }

    /// See [`Mutex::with_ttl`].
    pub fn with_ttl(self, ttl: Duration) -> Self {
        self.with(|mutex| mutex.with_ttl(ttl))
    }

    /// Maximum time for which [`acquire`](Self::acquire) waits for all keys together; default: no
    /// limit. The first request for each key may take 100 ms even if this limit is shorter.
    pub fn with_wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// See [`Mutex::with_retry`].
    pub fn with_retry(self, tries: u32, delay: Duration) -> Self {
        self.with_wait(delay.saturating_mul(tries))
    }

    /// See [`Mutex::with_renewal`]. Without renewal, the lease of an early key may end while a
    /// later one is awaited. Then all begins anew, at the end of each line.
    pub fn with_renewal(self, renewal: Renewal) -> Self {
        self.with(|mutex| mutex.with_renewal(renewal))
    }

    /// Keeps all keys taken until `span` after the grant of the last one, even if they are released
    /// earlier or the ttl is shorter. Default: zero.
    pub fn with_min_hold(mut self, span: Duration) -> Self {
        self.min_hold = span;
        self
    }

    /// Loses each key `span` after its own grant, whatever is renewed or extended. The first key is
    /// the first to be lost. Default: never.
    pub fn with_max_hold(self, span: Duration) -> Self {
        self.with(|mutex| mutex.with_max_hold(span))
    }

    /// See [`Mutex::with_owner`]: the value for each key.
    pub fn with_owner(self, value: impl AsRef<str>) -> Self {
        self.with(|mutex| mutex.with_owner(&value))
    }

    /// See [`Mutex::with_label`].
    pub fn with_label(self, text: impl AsRef<str>) -> Self {
        self.with(|mutex| mutex.with_label(&text))
    }

    /// Checks the keys and the options, and sends nothing. See [`Mutex::validate`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with both numbers in the message.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) {
    /// let error = locks.all(["a", ""]).validate().unwrap_err();
    /// assert_eq!(error.kind(), tenure::ErrorKind::Invalid);
    /// # }
    /// ```
    pub fn validate(&self) -> Result<()> {
        self.options().map(drop)
    }

    /// Waits until all keys are held.
    ///
    /// # If the reply is lost
    /// As with [`Mutex::acquire`], for each key.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line of the key that it waits for, and gives the earlier keys
    /// back in the background: none stays held.
    ///
    /// # Errors
    /// Those of [`Mutex::acquire`]; the error names the key, and the other keys are given back in
    /// the background. [`ErrorKind::Invalid`] also for no key and for more than 64.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let transfer = locks.all(["account:3", "account:7"]);
    /// let guard = transfer.with_wait(std::time::Duration::from_secs(10)).acquire().await?;
    /// guard.check()?;
    /// guard.release().await?;
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Result<MultiGuard> {
        let (engine, options) = self.opened().await?;
        let give_up = self.wait.map_or(Moment::NEVER, |wait| engine.now() + wait);
        let guards = steps::acquire(&engine, &options, give_up).await?;
        Ok(MultiGuard::new(guards, self.min_hold))
    }

    /// Takes all keys if each of them is free and nobody stands in line for any of them; `None` if
    /// not. Then nothing was changed. On a quorum, those that were free are taken one after the
    /// other, and given back in the background.
    ///
    /// # If the reply is lost
    /// As with [`Mutex::try_acquire`], for each key.
    ///
    /// # Cancel safety
    /// As with [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As with [`acquire`](Self::acquire), but for `Busy`.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// match locks.all(["account:3", "account:7"]).try_acquire().await? {
    ///     Some(guard) => drop(guard.release().await?),
    ///     None => println!("somebody works on one of them"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_acquire(&self) -> Result<Option<MultiGuard>> {
        let (engine, options) = self.opened().await?;
        let guards = steps::try_acquire(&engine, &options).await?;
        Ok(guards.map(|guards| MultiGuard::new(guards, self.min_hold)))
    }

    /// Waits for all keys, runs `work` under them, and gives them back. As [`Mutex::run`]: an `Ok`
    /// means that every key was held from the first to the last line of the work.
    ///
    /// # If the reply is lost
    /// As with [`acquire`](Self::acquire); the releases go on in the background.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line, or drops the work's future and releases in the
    /// background.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire); the work's own; [`Lost`](ErrorKind::Lost).
    ///
    /// # Examples
    /// ```
    /// # async fn transfer(_: tenure::MultiLease) -> tenure::Result<()> { Ok(()) }
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// locks.all(["account:3", "account:7"]).run(transfer).await
    /// # }
    /// ```
    pub async fn run<T, E, Fut>(&self, work: impl FnOnce(MultiLease) -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        scope::run(self.acquire().await?, work).await
    }

    /// Runs `work` under all keys if they can be had without waiting; `None` if they cannot.
    ///
    /// # If the reply is lost
    /// As with [`try_acquire`](Self::try_acquire); the releases go on in the background.
    ///
    /// # Cancel safety
    /// As with [`run`](Self::run).
    ///
    /// # Errors
    /// Those of [`try_acquire`](Self::try_acquire); the work's own; [`Lost`](ErrorKind::Lost).
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let both = locks.all(["account:3", "account:7"]);
    /// if both.try_run(|_lease| async { tenure::ok(()) }).await?.is_none() {
    ///     println!("somebody works on one of them");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_run<T, E, Fut>(
        &self,
        work: impl FnOnce(MultiLease) -> Fut,
    ) -> Result<Option<T>, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        match self.try_acquire().await? {
            Some(guard) => scope::run(guard, work).await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for all keys, runs `work` to its end even if one is lost, and gives them back; see
    /// [`Mutex::run_to_end`].
    ///
    /// # If the reply is lost
    /// As with [`acquire`](Self::acquire); the releases go on in the background.
    ///
    /// # Cancel safety
    /// As with [`run`](Self::run).
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let both = locks.all(["account:3", "account:7"]);
    /// let sum = both.run_to_end(|_lease| async { 1 + 1 }).await?.or_lost()?;
    /// # assert_eq!(sum, 2); Ok(()) }
    /// ```
    pub async fn run_to_end<V, Fut>(
        &self,
        work: impl FnOnce(MultiLease) -> Fut,
    ) -> Result<Finished<V>>
    where
        Fut: Future<Output = V>,
    {
        Ok(self.acquire().await?.run_to_end(work).await)
    }

    /// Like [`run_to_end`](Self::run_to_end), for work that can fail. After any failure, of the
    /// work or by the loss of a key, `compensation` runs before any key is given back.
    ///
    /// # If the reply is lost
    /// As with [`acquire`](Self::acquire); the releases go on in the background.
    ///
    /// # Cancel safety
    /// As with [`run`](Self::run); a compensation that has not begun is not begun.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    ///
    /// # Examples
    /// ```
    /// # async fn transfer(_: tenure::MultiLease) -> tenure::Result<u32> { Ok(1) }
    /// # async fn undo() {}
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let both = locks.all(["account:3", "account:7"]);
    /// let moved = both.run_compensated(transfer, |_lease, _failure| undo()).await?;
    /// println!("moved {}", moved.into_result()?);
    /// # Ok(()) }
    /// ```
    pub async fn run_compensated<T, E, Fut, C, CFut>(
        &self,
        work: impl FnOnce(MultiLease) -> Fut,
        compensation: impl FnOnce(MultiLease, Failure<'_, T, E>) -> CFut,
    ) -> Result<Compensated<T, E, C>>
    where
        Fut: Future<Output = Result<T, E>>,
        CFut: Future<Output = C>,
    {
        Ok(self.acquire().await?.run_compensated(work, compensation).await)
    }

    fn with(mut self, option: impl FnMut(Mutex) -> Mutex) -> Self {
        self.members = self.members.into_iter().map(option).collect();
        self
    }

    /// The engine, and the options of each acquire.
    async fn opened(&self) -> Result<(OfProcess<Arc<Engine>>, Vec<AcquireOptions>)> {
        let options = self.options()?;
        let first = options.first().map(|options| &options.key);
        let engine = self.locks.engine(Operation::Acquire, first.expect("one at least")).await?;
        Ok((engine, options))
    }

    fn options(&self) -> Result<Vec<AcquireOptions>> {
        let invalid = |message| Err(Error::new(ErrorKind::Invalid, Operation::Acquire, message));
        if let Some(key) = &self.invalid {
            return Err(key.during(Operation::Acquire));
        }
        match self.members.len() {
            0 => return invalid("it names no key".into()),
            1..=KEYS_MAX => {}
            many => return invalid(format!("{many} keys are above the limit of {KEYS_MAX}")),
        }
        // With its `min_hold` it is checked, and without it acquired: a key that is given back
        // because another cannot be had is free at once.
        let with_min_hold = |mutex: &Mutex| mutex.clone().with_min_hold(self.min_hold).validate();
        self.members.iter().try_for_each(with_min_hold)?;
        self.members.iter().map(|mutex| mutex.options.check(Claim::EXCLUSIVE)).collect()
    }
}

impl fmt::Debug for MultiLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiLock")
            .field("members", &self.members)
            .field("wait", &self.wait)
            .field("min_hold", &self.min_hold)
            .finish_non_exhaustive()
    }
}
