//! The handle of several leases for the work under them. It never releases.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::engine::RenewalFailure;
use crate::guard::Lease;
use crate::observe;
use crate::runtime::{Moment, shielded};
use crate::scope::Leased;
use crate::types::{Error, Fence, Key, LostReason, Operation, Result};

/// A handle of the leases of a [`MultiLock`](crate::MultiLock), for the work under it. They count
/// as one: when one of them is lost, all of it is lost.
///
/// A [`MultiGuard`](crate::MultiGuard) holds the keys and has all that this has. A clone goes by
/// value into tasks and closures. Dropping it releases nothing.
#[derive(Clone)]
pub struct MultiLease {
    /// In the order of their keys; one at least.
    leases: Arc<[Lease]>,
    /// Made when it is first asked for.
    lost: Arc<OnceLock<CancellationToken>>,
}

impl MultiLease {
    pub(super) fn new(leases: impl Iterator<Item = Lease>) -> Self {
        Self { leases: leases.collect(), lost: Arc::default() }
    }

    /// The leases of the single keys, in the order of the keys.
    #[must_use]
    pub fn leases(&self) -> &[Lease] {
        &self.leases
    }

    /// The keys and their fencing tokens, in the order of the keys. Each key has its own: send each
    /// resource the fence of the key that protects it.
    pub fn fences(&self) -> impl Iterator<Item = (&Key, Fence)> {
        self.leases.iter().map(|lease| (lease.key(), lease.fence()))
    }

    /// The fencing token of a key; `None` if it is none of these keys.
    #[must_use]
    pub fn fence(&self, key: impl AsRef<str>) -> Option<Fence> {
        let key = key.as_ref();
        self.fences().find(|(of, _)| of.as_str() == key).map(|(_, fence)| fence)
    }

    /// The moment until which all leases are confirmed: the earliest
    /// [`deadline`](Lease::deadline).
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.leases.iter().map(Lease::deadline).min().unwrap_or(Moment::NEVER)
    }

    /// The time to the deadline, zero if it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.leases.iter().map(Lease::remaining).min().unwrap_or_default()
    }

    /// Checks that every key is held at this moment. It reads the clock and does no I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost), with the key and the reason.
    pub fn check(&self) -> Result<()> {
        // One reading for all: a pause between two would find one held that is lost by then.
        let Some(now) = self.leases.first().map(Lease::now_for_check) else { return Ok(()) };
        self.leases.iter().try_for_each(|lease| lease.check_at(now))
    }

    /// Whether every key is held at this moment: [`check`](Self::check) as a bool.
    #[must_use]
    pub fn held(&self) -> bool {
        self.check().is_ok()
    }

    /// Ends when the first of the keys is lost or was given back, and says why. See
    /// [`Lease::lost`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; a later call answers the same.
    ///
    /// # Examples
    /// ```
    /// # async fn work() {}
    /// # async fn f(both: tenure::MultiLease) {
    /// tokio::select! {
    ///     () = work() => {}
    ///     reason = both.lost() => eprintln!("stop: {reason}"),
    /// }
    /// # }
    /// ```
    pub async fn lost(&self) -> LostReason {
        first(self.leases.iter().map(|lease| Box::pin(lease.lost()))).await
    }

    /// The loss as a token, for code that takes one. It is cancelled when the first of the keys is
    /// lost, and not when they are given back. See [`Lease::lost_token`], also for forks.
    #[must_use]
    pub fn lost_token(&self) -> CancellationToken {
        if self.leases.iter().any(Lease::is_inherited) {
            let lost = CancellationToken::new();
            lost.cancel();
            return lost;
        }
        let token = self.lost.get_or_init(|| {
            let token = CancellationToken::new();
            self.leases.iter().for_each(|lease| lease.cancel_when_lost(&token));
            token
        });
        token.clone()
    }

    /// Ends when no more than `grace` is left to the [`deadline`](Self::deadline), or when a key is
    /// lost. See [`Lease::at_risk`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # async fn f(both: tenure::MultiLease) {
    /// both.at_risk(std::time::Duration::from_secs(5)).await;
    /// # }
    /// ```
    pub async fn at_risk(&self, grace: Duration) {
        first(self.leases.iter().map(|lease| Box::pin(lease.at_risk(grace)))).await;
    }

    /// Ends when the [`deadline`](Self::deadline) is later than `after`, and answers it. It never
    /// ends if a key is lost before. See [`Lease::renewed`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # async fn f(both: tenure::MultiLease) {
    /// let deadline = both.deadline();
    /// assert!(both.renewed(deadline).await > deadline);
    /// # }
    /// ```
    pub async fn renewed(&self, after: Moment) -> Moment {
        for lease in &*self.leases {
            lease.renewed(after).await;
        }
        self.deadline()
    }

    /// Ends when one of the leases cannot be renewed, and says why. See [`Lease::failing`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # async fn f(both: tenure::MultiLease) {
    /// eprintln!("{}; lost in {:?}", both.failing().await, both.remaining());
    /// # }
    /// ```
    pub async fn failing(&self) -> RenewalFailure {
        first(self.leases.iter().map(|lease| Box::pin(lease.failing()))).await
    }

    /// Makes every lease last at least `span` from now on. See [`Lease::extend_to`].
    ///
    /// # If the reply is lost
    /// As there, for each key.
    ///
    /// # Cancel safety
    /// As there; some keys may be extended and others not.
    ///
    /// # Errors
    /// As there, for the first key that fails. Keys before it are extended.
    ///
    /// # Examples
    /// ```
    /// # async fn f(both: tenure::MultiLease) -> tenure::Result<()> {
    /// both.extend_to(std::time::Duration::from_secs(300)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn extend_to(&self, span: Duration) -> Result<()> {
        for lease in &*self.leases {
            lease.extend_to(span).await?;
        }
        Ok(())
    }
}

/// Ends when one of them is lost or given back; never if there are none.
pub(super) async fn first_to_lose<L: Deref<Target = Lease>>(leases: &[L]) {
    first(leases.iter().map(|lease| Box::pin(lease.lost()))).await;
}

/// The output of the future that ends first.
async fn first<F: Future>(futures: impl Iterator<Item = Pin<Box<F>>>) -> F::Output {
    let mut futures: Vec<_> = futures.collect();
    poll_fn(|cx| {
        let ready = futures.iter_mut().find_map(|future| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        });
        ready.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// The lease of one key, for code that takes those of several.
impl From<Lease> for MultiLease {
    fn from(lease: Lease) -> Self {
        Self::new(std::iter::once(lease))
    }
}

impl Leased for MultiLease {
    /// One span for each key, each within the one before.
    fn span(&self) -> Span {
        self.leases.iter().fold(Span::none(), |outer, lease| {
            shielded(move || outer.in_scope(|| Leased::span(lease))).unwrap_or_else(Span::none)
        })
    }

    async fn until_lost(&self) {
        self.lost().await;
    }

    fn lost_while_working(&self, reason: LostReason) -> Error {
        let is_lost = |lease: &&Lease| {
            lease.verdict_now().is_err_and(|reason| reason != LostReason::GivenBack)
        };
        let lost = self.leases.iter().find(is_lost);
        lost.unwrap_or(&self.leases[0]).lost_error(Operation::Hold, reason)
    }

    fn loss(&self) -> Option<LostReason> {
        self.leases.iter().find_map(|lease| lease.verdict_now().err())
    }

    fn tell_release_failed(&self, error: &Error) {
        observe::release_failed(error.key().unwrap_or(self.leases[0].key()), error);
    }
}

impl fmt::Debug for MultiLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.leases).finish()
    }
}
