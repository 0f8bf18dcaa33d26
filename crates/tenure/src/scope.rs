//! Work under a guard: run it, give the lock back, report the first failure. A scope never hides
//! the work's own outcome behind that of the release.

mod finished;

use std::future::Future;
use std::pin::pin;

use tracing::Span;

use crate::guard::{Guard, Lease, Released};
use crate::observe::{self, within};
use crate::types::{Error, LostReason, Operation, Result};

pub use finished::{Compensated, Failure, Finished, Outlived};

impl Guard {
    /// Runs `work` under this lock and gives the lock back.
    ///
    /// If the lock is lost, the work's future is dropped at its next await and the answer is an
    /// error of kind [`Lost`](crate::ErrorKind::Lost): an `Ok` means that the lock was held from
    /// the first to the last line of the work. An error or panic of the work comes first, always.
    /// If the store cannot be reached for the release, the work's result stands, a warning is
    /// logged, and the release goes on in the background.
    ///
    /// Work that fails only with Tenure's errors ends in [`tenure::ok`](crate::ok).
    ///
    /// # Cancel safety
    /// Dropping the future drops the work's future, then releases in the background.
    ///
    /// # Errors
    /// The work's own; [`Lost`](crate::ErrorKind::Lost) if it had none and the lock was lost.
    ///
    /// # Examples
    /// ```
    /// # async fn write_report(_: tenure::Fence) -> std::io::Result<u64> { Ok(1) }
    /// # async fn f(guard: tenure::Guard) -> Result<u64, Box<dyn std::error::Error>> {
    /// let bytes = guard.run(|lease| async move {
    ///     let bytes = write_report(lease.fence()).await?;
    ///     Ok::<_, Box<dyn std::error::Error>>(bytes)
    /// });
    /// bytes.await
    /// # }
    /// ```
    pub async fn run<T, E, Fut>(self, work: impl FnOnce(Lease) -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        run(self, work).await
    }

    /// Runs `work` to its end even if the lock is lost, and gives the lock back. The answer has the
    /// work's value, whether the lock was lost meanwhile, and how the release went. The work may
    /// watch [`Lease::lost`] and [`Lease::check`] itself.
    ///
    /// A panic of the work releases the lock and goes on to the caller.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work's future, then releases in the background.
    ///
    /// # Examples
    /// ```
    /// # async fn charge(_: tenure::Fence) -> u32 { 42 }
    /// # async fn refund(_: u32) {}
    /// # async fn f(guard: tenure::Guard) -> tenure::Result<()> {
    /// let finished = guard.run_to_end(|lease| async move { charge(lease.fence()).await }).await;
    /// let receipt = finished.compensate(|_reason, receipt| refund(receipt)).await?;
    /// # drop(receipt); Ok(()) }
    /// ```
    pub async fn run_to_end<V, Fut>(self, work: impl FnOnce(Lease) -> Fut) -> Finished<V>
    where
        Fut: Future<Output = V>,
    {
        run_to_end(self, work).await
    }

    /// Like [`run_to_end`](Self::run_to_end), for work that can fail. After any failure, of the
    /// work or by the loss of the lock, `compensation` runs *before* the lock is given back, so
    /// that no other holder sees half-done work. Its outcome is reported beside the first failure.
    ///
    /// The lease stays renewed while the compensation runs, unless it is lost.
    ///
    /// # Cancel safety
    /// Dropping the future drops what is running, then releases in the background; a
    /// compensation that has not begun is not begun.
    ///
    /// # Examples
    /// ```
    /// # async fn book(_: tenure::Fence) -> Result<u32, std::io::Error> { Ok(1) }
    /// # async fn undo_booking() -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn f(guard: tenure::Guard) -> Result<(), Box<dyn std::error::Error>> {
    /// let done = guard
    ///     .run_compensated(
    ///         |lease| async move { Ok(book(lease.fence()).await?) },
    ///         |_lease, _failure| undo_booking(),
    ///     )
    ///     .await;
    /// if let Some(Err(second)) = &done.compensation {
    ///     eprintln!("the booking could not be undone: {second}");
    /// }
    /// done.into_result().map(|_booked: u32| ())
    /// # }
    /// ```
    pub async fn run_compensated<T, E, Fut, C, CFut>(
        self,
        work: impl FnOnce(Lease) -> Fut,
        compensation: impl FnOnce(Lease, Failure<'_, T, E>) -> CFut,
    ) -> Compensated<T, E, C>
    where
        Fut: Future<Output = Result<T, E>>,
        CFut: Future<Output = C>,
    {
        run_compensated(self, work, compensation).await
    }
}

/// Something that is held while work runs under it: a lock, a level of one, or several locks.
pub(crate) trait Holding {
    /// The handle for the work.
    type Lease: Leased;

    fn lease(&self) -> Self::Lease;

    /// Gives it back, and answers how that went.
    async fn give_back(self) -> Result<Released>;
}

/// The handle of what is held, as a scope asks it.
pub(crate) trait Leased {
    /// The tracing span of the work.
    fn span(&self) -> Span;

    /// Ends when it is lost or given back.
    async fn until_lost(&self);

    /// The error of work that ended after the loss, which happened for this reason if no other is
    /// known.
    fn lost_while_working(&self, reason: LostReason) -> Error;

    /// Why it is lost, if it is.
    fn loss(&self) -> Option<LostReason>;

    /// Tells the loggers that giving it back has failed.
    fn tell_release_failed(&self, error: &Error);
}

/// Runs `work` under what is held, and gives that back: see [`Guard::run`].
pub(crate) async fn run<H, T, E, Fut>(held: H, work: impl FnOnce(H::Lease) -> Fut) -> Result<T, E>
where
    H: Holding,
    Fut: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    let lease = held.lease();
    let result = until_lost(&lease, work(held.lease())).await?;
    let (lost, released) = end(held).await;
    if let Err(error) = released {
        lease.tell_release_failed(&error);
    }
    let value = result?;
    lost.map_or(Ok(value), |reason| Err(lease.lost_while_working(reason).into()))
}

/// Runs `work` to its end under what is held, and gives that back: see [`Guard::run_to_end`].
pub(crate) async fn run_to_end<H, V, Fut>(
    held: H,
    work: impl FnOnce(H::Lease) -> Fut,
) -> Finished<V>
where
    H: Holding,
    Fut: Future<Output = V>,
{
    let lease = held.lease();
    let value = within(lease.span(), work(held.lease())).await;
    let (lost, release) = end(held).await;
    Finished::new(value, lost, release, &lease)
}

/// The same for work that can fail: see [`Guard::run_compensated`].
pub(crate) async fn run_compensated<H, T, E, Fut, C, CFut>(
    held: H,
    work: impl FnOnce(H::Lease) -> Fut,
    compensation: impl FnOnce(H::Lease, Failure<'_, T, E>) -> CFut,
) -> Compensated<T, E, C>
where
    H: Holding,
    Fut: Future<Output = Result<T, E>>,
    CFut: Future<Output = C>,
{
    let lease = held.lease();
    let result = within(lease.span(), work(held.lease())).await;
    let failure = match (&result, lease.loss()) {
        (Err(error), _) => Some(Failure::Work(error)),
        (Ok(value), Some(reason)) => Some(Failure::Lost(reason, value)),
        (Ok(_), None) => None,
    };
    let done = match failure.map(|failure| compensation(held.lease(), failure)) {
        Some(compensation) => Some(compensation.await),
        None => None,
    };
    let (lost, release) = end(held).await;
    Compensated { finished: Finished::new(result, lost, release, &lease), compensation: done }
}

/// Gives back what is held. Answers whether it was lost before that, and how the release went.
async fn end<H: Holding>(held: H) -> (Option<LostReason>, Result<Released>) {
    let lost = held.lease().loss();
    let released = held.give_back().await;
    let gone = matches!(released, Ok(Released::Gone | Released::Others));
    (lost.or_else(|| gone.then_some(LostReason::Gone)), released)
}

/// The result of `work`, which is dropped when the lock is lost: before a release lets another have
/// the key.
pub(crate) async fn until_lost<T>(lease: &impl Leased, work: impl Future<Output = T>) -> Result<T> {
    let span = lease.span();
    let mut work = pin!(within(span, work));
    tokio::select! {
        biased;
        result = &mut work => Ok(result),
        () = lease.until_lost() => {
            let reason = lease.loss().unwrap_or(LostReason::Expired);
            Err(lease.lost_while_working(reason))
        }
    }
}

impl Holding for Guard {
    type Lease = Lease;

    fn lease(&self) -> Lease {
        Guard::lease(self)
    }

    async fn give_back(self) -> Result<Released> {
        self.release().await
    }
}

impl Leased for Lease {
    fn span(&self) -> Span {
        Lease::span(self)
    }

    async fn until_lost(&self) {
        self.lost().await;
    }

    fn lost_while_working(&self, reason: LostReason) -> Error {
        self.lost_error(Operation::Hold, reason)
    }

    fn loss(&self) -> Option<LostReason> {
        self.verdict_now().err()
    }

    fn tell_release_failed(&self, error: &Error) {
        observe::release_failed(self.key(), error);
    }
}

/// `Ok` for work that fails only with Tenure's own errors: it tells the compiler the error's type.
///
/// # Errors
/// Never; it is the last line of a block that may fail elsewhere.
///
/// # Examples
/// ```
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// let sum = locks.mutex("sum").run(|_lease| async move { tenure::ok(1 + 1) }).await?;
/// assert_eq!(sum, 2);
/// # Ok(()) }
/// ```
pub fn ok<T>(value: T) -> Result<T> {
    Ok(value)
}
