//! The leadership of one candidate, until it is resigned, dropped or lost.

use std::fmt;
use std::future::Future;
use std::ops::Deref;

use crate::guard::{Guard, Lease, Released};
#[cfg(doc)]
use crate::types::ErrorKind;
use crate::types::{Error, Fence, Result, Value};

/// A leadership that is held, until it is resigned, dropped or lost.
///
/// It is renewed in the background, whatever the program's threads do. It dereferences to
/// [`Lease`]: [`lost`](Lease::lost) ends when the leadership is lost, and [`check`](Lease::check)
/// says right before a step whether it is held. Dropping it resigns in the background.
///
/// `Guard::from` makes the guard of a mutex of it, for the verbs that it does not have, such as
/// [`hand_over`](Guard::hand_over). The value stays what it is then.
///
/// ```
/// # async fn step(_: tenure::Fence) {}
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// let mut leadership = locks.election("scheduler").campaign("starting").await?;
/// leadership.set_value("10.0.0.7:8080").await?; // ready: others may come
/// while leadership.held() {
///     step(leadership.term()).await;
/// #   break;
/// }
/// leadership.resign().await?;
/// # Ok(()) }
/// ```
#[must_use = "a leadership that is dropped at once is resigned at once"]
pub struct Leadership {
    guard: Guard,
    /// The number of values that were sent.
    revision: u64,
}

impl Leadership {
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, revision: 0 }
    }

    /// The term: larger than that of every leader before. It is the [fence](Lease::fence).
    #[must_use]
    pub fn term(&self) -> Fence {
        self.guard.fence()
    }

    /// A copy of the lease, for the work of the leader.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.guard.lease()
    }

    /// Changes the value that others see: a text of at most 4 KiB.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`]: others may see the new value, now or later, or the
    /// old one. Setting a value again settles it: a request that arrives late does nothing once a
    /// later value was set, or once the leadership has ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the value was set, as if the reply had been lost.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value that is too long, before anything is touched.
    /// [`ErrorKind::Lost`] if the leadership is lost; [`ErrorKind::Forked`] in a forked process; or
    /// the store's failure, after which the leadership is what it was.
    ///
    /// # Examples
    /// ```
    /// # async fn f(mut leadership: tenure::Leadership) -> tenure::Result<()> {
    /// leadership.set_value("draining").await?;
    /// # leadership.resign().await.map(drop) }
    /// ```
    pub async fn set_value(&mut self, value: impl AsRef<str>) -> Result<()> {
        // Counted even if this future is dropped: the request may have left.
        self.revision += 1;
        self.guard.set_value(Value::revised(value.as_ref(), self.revision)).await
    }

    /// Resigns, and tells how it went. The next candidate in line leads within one message.
    ///
    /// # If the reply is lost
    /// As with [`Guard::release`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves the resignation to the background.
    ///
    /// # Errors
    /// As with [`Guard::release`].
    ///
    /// # Examples
    /// ```
    /// # async fn f(leadership: tenure::Leadership) -> tenure::Result<()> {
    /// if leadership.resign().await? != tenure::Released::Released {
    ///     eprintln!("the leadership had been lost");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn resign(self) -> Result<Released> {
        self.guard.release().await
    }

    /// Runs `work` while it leads, and resigns. If the leadership is lost, the work's future is
    /// dropped at its next await and the answer is an error of kind [`ErrorKind::Lost`]. See
    /// [`Mutex::run`](crate::Mutex::run).
    ///
    /// # Cancel safety
    /// Dropping the future drops the work's future and resigns in the background.
    ///
    /// # Errors
    /// The work's own; [`ErrorKind::Lost`].
    ///
    /// # Examples
    /// ```
    /// # async fn serve(_: tenure::Fence) {}
    /// # async fn f(leadership: tenure::Leadership) -> tenure::Result<()> {
    /// leadership
    ///     .run(|lease| async move {
    ///         serve(lease.fence()).await;
    ///         tenure::ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn run<T, E, Fut>(self, work: impl FnOnce(Lease) -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        self.guard.run(work).await
    }
}

impl Deref for Leadership {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.guard
    }
}

impl From<Leadership> for Guard {
    fn from(leadership: Leadership) -> Self {
        leadership.guard
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("key", self.key())
            .field("term", &self.term())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
