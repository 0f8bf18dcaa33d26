//! The answer of a scope that runs to its end. It drops no outcome: the caller takes what it needs.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;

use crate::guard::Released;
use crate::observe;
use crate::types::{Error, LostReason, Result};

use super::Leased;

/// The outcome of work under a lock: its value, the loss if there was one, and the release.
///
/// Take the value strictly with [`or_lost`](Self::or_lost), leniently with
/// [`value`](Self::value), or repair with [`compensate`](Self::compensate).
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it says whether the lock was lost while the work ran"]
pub struct Finished<V> {
    /// The value of the work.
    pub value: V,
    /// Why the lock was lost before the work had ended; `None`: it was held to the end.
    pub lost: Option<LostReason>,
    /// The answer to the release. After an error it goes on in the background.
    pub release: Result<Released>,
    /// The loss as an error, if there was one.
    error: Option<Error>,
}

impl<V> Finished<V> {
    pub(super) fn new(
        value: V,
        lost: Option<LostReason>,
        release: Result<Released>,
        lease: &impl Leased,
    ) -> Self {
        let error = lost.map(|reason| lease.lost_while_working(reason));
        Self { value, lost, release, error }
    }

    /// The value, if the lock was held to the end.
    ///
    /// # Errors
    /// [`Outlived`], which still carries the value.
    pub fn or_lost(self) -> Result<V, Outlived<V>> {
        match self.lost.zip(self.error) {
            None => Ok(self.value),
            Some((reason, error)) => Err(Outlived { value: self.value, reason, error }),
        }
    }

    /// The value, whether the lock was held to the end or not.
    #[must_use]
    pub fn value(self) -> V {
        if let Some((reason, key)) = self.lost.zip(self.error.as_ref().and_then(Error::key)) {
            observe::outlived(key, reason);
        }
        self.value
    }

    /// The value, if the lock was held to the end. If not, `compensation` gets the reason and the
    /// value, to repair what the work has done.
    ///
    /// It runs *without* the lock, which is lost. For a repair under the lock use
    /// [`Guard::run_compensated`](crate::Guard::run_compensated).
    ///
    /// # Cancel safety
    /// Dropping the future drops the compensation where it stands.
    ///
    /// # Errors
    /// [`Outlived`], with the answer of the compensation. So a failure of the compensation is
    /// reported beside the loss.
    ///
    /// # Examples
    /// ```
    /// # async fn refund(_: u32) -> std::io::Result<()> { Ok(()) }
    /// # async fn f(finished: tenure::Finished<u32>) {
    /// match finished.compensate(|_reason, receipt| refund(receipt)).await {
    ///     Ok(receipt) => println!("receipt {receipt}"),
    ///     Err(outlived) if outlived.value.is_ok() => println!("refunded: {outlived}"),
    ///     Err(outlived) => println!("{outlived}, and no refund: {:?}", outlived.value),
    /// }
    /// # }
    /// ```
    pub async fn compensate<C, Fut>(
        self,
        compensation: impl FnOnce(LostReason, V) -> Fut,
    ) -> Result<V, Outlived<C>>
    where
        Fut: Future<Output = C>,
    {
        match self.lost.zip(self.error) {
            None => Ok(self.value),
            Some((reason, error)) => {
                let value = compensation(reason, self.value).await;
                Err(Outlived { value, reason, error })
            }
        }
    }
}

/// The error of work that ended after its lock was lost. It still carries the value.
#[non_exhaustive]
pub struct Outlived<V> {
    /// The value of the work; after [`Finished::compensate`], the answer of the compensation.
    pub value: V,
    /// Why the lock was lost.
    pub reason: LostReason,
    error: Error,
}

impl<V> Outlived<V> {
    /// The loss as Tenure's error, of kind [`Lost`](crate::ErrorKind::Lost).
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl<V> From<Outlived<V>> for Error {
    fn from(outlived: Outlived<V>) -> Self {
        outlived.error
    }
}

impl<V> fmt::Display for Outlived<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the work outlived its lock: {}", self.error)
    }
}

impl<V> fmt::Debug for Outlived<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlived")
            .field("reason", &self.reason)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<V> StdError for Outlived<V> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

/// The failure that a compensation has to repair.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure<'a, T, E> {
    /// The work failed, with this error.
    Work(&'a E),
    /// The work ended well, with this value, but the lock had been lost.
    Lost(LostReason, &'a T),
}

/// The outcome of work with a compensation.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it says whether the work failed"]
pub struct Compensated<T, E, C> {
    /// The outcome of the work, and of the lock.
    pub finished: Finished<Result<T, E>>,
    /// The answer of the compensation; `None` if nothing had to be repaired.
    pub compensation: Option<C>,
}

impl<T, E, C> Compensated<T, E, C> {
    /// The work's value, or the first failure: that of the work, or else the loss of the lock.
    ///
    /// # Errors
    /// The work's own, or [`Lost`](crate::ErrorKind::Lost).
    pub fn into_result(self) -> Result<T, E>
    where
        E: From<Error>,
    {
        let Finished { value, lost, error, .. } = self.finished;
        let value = value?;
        lost.and(error).map_or(Ok(value), |error| Err(error.into()))
    }
}
