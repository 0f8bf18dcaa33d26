//! The leaders of an election as others see them. It changes nothing, and asks the store only while
//! the next leader is polled for.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use crate::protocol::Inspection;
use crate::types::{Fence, Label, Result, Value};

use super::super::looks::Looks;

/// A leader, as the store saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    term: Fence,
    label: Label,
    value: Option<Value>,
}

impl Leader {
    /// The holder of a key, as the leader.
    pub(super) fn of(seen: &Inspection) -> Option<Self> {
        let holder = seen.holders.first()?;
        let (term, label) = (holder.fence, holder.label.clone());
        Some(Self { term, label, value: holder.value.clone() })
    }

    /// The term: larger than that of every leader before.
    #[must_use]
    pub fn term(&self) -> Fence {
        self.term
    }

    /// The name for people.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The value: the one that it campaigned with, or has set since. Empty if it has none, as the
    /// holder of a mutex on the same key.
    #[must_use]
    pub fn value(&self) -> &str {
        self.value.as_ref().map_or("", Value::as_str)
    }
}

/// The leaders of an election, change by change: the stream of
/// [`Election::observe`](crate::Election::observe).
#[must_use = "a stream does nothing unless it is polled"]
pub struct Leaders {
    looks: Looks,
    /// The last answer; `None` before the first.
    seen: Option<Option<Leader>>,
}

impl Leaders {
    pub(super) fn new(looks: Looks) -> Self {
        Self { looks, seen: None }
    }

    /// Sets the time between two requests; default 500 ms. Less than 10 ms counts as 10 ms.
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { looks: self.looks.with_interval(interval), ..self }
    }

    /// The next leader, or that nobody leads (`None` inside), without stream combinators. It never
    /// answers `None` outside.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; the next call goes on.
    ///
    /// # Errors
    /// A bad key or the store's failure; the next call asks again.
    ///
    /// # Examples
    /// See [`Election::observe`](crate::Election::observe).
    /// ```
    /// # async fn f(mut leaders: tenure::Leaders) -> tenure::Result<()> {
    /// let present = leaders.next().await.transpose()?;
    /// # drop(present); Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<Result<Option<Leader>>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Leaders {
    type Item = Result<Option<Leader>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let seen = match ready!(self.looks.poll_next(cx)) {
                Ok(seen) => Leader::of(&seen),
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            if self.seen.as_ref() != Some(&seen) {
                self.seen = Some(seen.clone());
                return Poll::Ready(Some(Ok(seen)));
            }
        }
    }
}

impl fmt::Debug for Leaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaders").field("key", &self.looks.key()).finish_non_exhaustive()
    }
}
