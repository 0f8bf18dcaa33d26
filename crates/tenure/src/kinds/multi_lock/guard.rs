//! Several keys that are held, as one guard.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::guard::{Guard, Released};
use crate::scope::{self, Compensated, Failure, Finished, Holding};
use crate::types::{Error, Result};

use super::MultiLease;

/// The keys of a [`MultiLock`](crate::MultiLock), held until they are released, dropped or lost.
///
/// It dereferences to [`MultiLease`], which answers all questions about it. If one key is lost, the
/// guard is lost: stop the work. The other keys stay held until you release or drop the guard.
#[must_use = "a guard that is dropped at once releases the locks at once"]
pub struct MultiGuard {
    lease: MultiLease,
    /// In the order of their keys; one at least.
    guards: Vec<Guard>,
}

impl MultiGuard {
    /// All keys are held, and from here on each is kept taken until `min_hold` after the last
    /// grant.
    pub(super) fn new(guards: Vec<Guard>, min_hold: Duration) -> Self {
        let granted = guards.iter().map(Guard::held_from).max();
        if let Some(granted) = granted.filter(|_| !min_hold.is_zero()) {
            guards.iter().for_each(|guard| guard.keep_until(granted + min_hold));
        }
        Self { lease: MultiLease::new(guards.iter().map(Guard::lease)), guards }
    }

    /// A copy of the leases, for the work under the locks.
    #[must_use]
    pub fn lease(&self) -> MultiLease {
        self.lease.clone()
    }

    /// The guards of the single keys, in the order of the keys: to give some of them back earlier.
    #[must_use]
    pub fn into_guards(self) -> Vec<Guard> {
        self.guards
    }

    /// Gives all keys back at the same time and tells how it went: `Released` if each of them was
    /// given back, and otherwise the answer for one that was not.
    ///
    /// # If the reply is lost
    /// As with [`Guard::release`], for each key.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the releases to the background.
    ///
    /// # Errors
    /// The first failure, with its key, as with [`Guard::release`]. The other keys are given back.
    ///
    /// # Examples
    /// ```
    /// # async fn f(both: tenure::MultiGuard) -> tenure::Result<()> {
    /// if both.release().await? != tenure::Released::Released {
    ///     eprintln!("one of the locks had been lost");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn release(self) -> Result<Released> {
        let answers = all(self.guards.into_iter().map(|guard| Box::pin(guard.release()))).await;
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        let other = answers.into_iter().find(|released| *released != Released::Released);
        Ok(other.unwrap_or(Released::Released))
    }

    /// Runs `work` under these locks and gives them back; see [`Guard::run`].
    ///
    /// # Cancel safety
    /// Dropping the future drops the work's future, then releases in the background.
    ///
    /// # Errors
    /// The work's own; [`Lost`](crate::ErrorKind::Lost) if it had none and a key was lost.
    ///
    /// # Examples
    /// ```
    /// # async fn f(both: tenure::MultiGuard) -> tenure::Result<()> {
    /// both.run(|lease| async move { lease.check() }).await
    /// # }
    /// ```
    pub async fn run<T, E, Fut>(self, work: impl FnOnce(MultiLease) -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        scope::run(self, work).await
    }

    /// Runs `work` to its end even if a key is lost, and gives all keys back; see
    /// [`Guard::run_to_end`].
    ///
    /// # Cancel safety
    /// Dropping the future drops the work's future, then releases in the background.
    ///
    /// # Examples
    /// ```
    /// # async fn f(both: tenure::MultiGuard) -> tenure::Result<()> {
    /// let sum = both.run_to_end(|_lease| async { 1 + 1 }).await.or_lost()?;
    /// # drop(sum); Ok(()) }
    /// ```
    pub async fn run_to_end<V, Fut>(self, work: impl FnOnce(MultiLease) -> Fut) -> Finished<V>
    where
        Fut: Future<Output = V>,
    {
        scope::run_to_end(self, work).await
    }

    /// The same for work that can fail. After any failure, of the work or by the loss of a key,
    /// `compensation` runs before any key is given back; see [`Guard::run_compensated`].
    ///
    /// # Cancel safety
    /// Dropping the future drops what is running, then releases in the background; a compensation
    /// that has not begun is not begun.
    ///
    /// # Examples
    /// ```
    /// # async fn transfer(_: tenure::MultiLease) -> std::io::Result<u32> { Ok(1) }
    /// # async fn undo() {}
    /// # async fn f(both: tenure::MultiGuard) -> Result<(), Box<dyn std::error::Error>> {
    /// let work = |lease| async move { Ok(transfer(lease).await?) };
    /// let done = both.run_compensated(work, |_lease, _failure| undo()).await;
    /// done.into_result().map(|_moved: u32| ())
    /// # }
    /// ```
    pub async fn run_compensated<T, E, Fut, C, CFut>(
        self,
        work: impl FnOnce(MultiLease) -> Fut,
        compensation: impl FnOnce(MultiLease, Failure<'_, T, E>) -> CFut,
    ) -> Compensated<T, E, C>
    where
        Fut: Future<Output = Result<T, E>>,
        CFut: Future<Output = C>,
    {
        scope::run_compensated(self, work, compensation).await
    }
}

/// The outputs of all futures, in their order.
async fn all<F: Future>(futures: impl Iterator<Item = Pin<Box<F>>>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (future, None)).collect();
    poll_fn(|cx| {
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(cx) {
                *output = Some(ready);
            }
        }
        let is_done = futures.iter().all(|(_, output)| output.is_some());
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// A single lock as a multi-lock of one key.
impl From<Guard> for MultiGuard {
    fn from(guard: Guard) -> Self {
        Self::new(vec![guard], Duration::ZERO)
    }
}

impl Deref for MultiGuard {
    type Target = MultiLease;

    fn deref(&self) -> &MultiLease {
        &self.lease
    }
}

impl Holding for MultiGuard {
    type Lease = MultiLease;

    fn lease(&self) -> MultiLease {
        self.lease.clone()
    }

    async fn give_back(self) -> Result<Released> {
        self.release().await
    }
}

impl fmt::Debug for MultiGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MultiGuard").field(&self.lease).finish()
    }
}
