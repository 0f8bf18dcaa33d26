//! Streams of the state of keys: all keys of a store, page by page; one key, change by change. They
//! change nothing, and ask the store only while the next item is polled for.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use crate::kinds::Looks;
use crate::process::OfProcess;
use crate::protocol::{Inspection, State};
use crate::types::{Fence, Key, Operation, Result};

use super::Locks;

/// Number of keys in one answer.
const PAGE: usize = 100;

type Coming<T> = OfProcess<Pin<Box<dyn Future<Output = Result<T>> + Send>>>;

/// The keys in use, in order: the stream of [`Locks::list_all`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct List {
    locks: Locks,
    prefix: String,
    /// Keys that were read and not yet asked for.
    page: VecDeque<(Key, Inspection)>,
    /// The request for the next page; `None` after the last one, or after an error.
    coming: Option<Coming<Vec<(Key, Inspection)>>>,
}

impl List {
    pub(super) fn new(locks: Locks, prefix: &str) -> Self {
        let mut list =
            Self { locks, prefix: prefix.to_owned(), page: VecDeque::new(), coming: None };
        list.coming = Some(list.after(None));
        list
    }

    fn after(&self, last: Option<Key>) -> Coming<Vec<(Key, Inspection)>> {
        let (locks, prefix) = (self.locks.clone(), self.prefix.clone());
        OfProcess::new(Box::pin(async move { locks.list(&prefix, last.as_ref(), PAGE).await }))
    }

    /// The next key, without stream combinators; `None` after the last.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; the next call goes on.
    ///
    /// # Errors
    /// The store's failure, after which the stream has ended.
    ///
    /// # Examples
    /// See [`Locks::list_all`].
    /// ```
    /// # async fn f(mut list: tenure::List) -> tenure::Result<()> {
    /// let first = list.next().await.transpose()?;
    /// # drop(first); Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<Result<(Key, Inspection)>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for List {
    type Item = Result<(Key, Inspection)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                return Poll::Ready(Some(Ok(entry)));
            }
            let Some(coming) = &mut self.coming else { return Poll::Ready(None) };
            let page = ready!(Pin::new(coming).poll(cx));
            self.coming = None;
            let forked = |_| Err(self.locks.engine().failing(Operation::Inspect, None).by_fork());
            match page.unwrap_or_else(forked) {
                Ok(page) => {
                    if page.len() == PAGE {
                        let last = page.last().map(|(key, _)| key.clone());
                        self.coming = Some(self.after(last));
                    }
                    self.page = page.into();
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The state of one key, change by change: the stream of [`Locks::watch`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct Watch {
    looks: Looks,
    /// The last state that was answered.
    seen: Option<Shape>,
}

/// The part of a state that counts for a change. Time that passes is not a change.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    state: State,
    limit: Option<u32>,
    fence: Option<Fence>,
    holders: Vec<Fence>,
    waiters: usize,
}

impl Shape {
    fn of(seen: &Inspection) -> Self {
        Self {
            state: seen.state.clone(),
            limit: seen.limit,
            fence: seen.fence,
            holders: seen.holders.iter().map(|holder| holder.fence).collect(),
            waiters: seen.waiters.len(),
        }
    }
}

impl Watch {
    pub(super) fn new(looks: Looks) -> Self {
        Self { looks, seen: None }
    }

    /// Sets the time between two requests; default 500 ms. Less than 10 ms counts as 10 ms.
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { looks: self.looks.with_interval(interval), ..self }
    }

    /// The next state, without stream combinators. It never answers `None`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; the next call goes on.
    ///
    /// # Errors
    /// A bad key or the store's failure; the next call asks again.
    ///
    /// # Examples
    /// See [`Locks::watch`].
    /// ```
    /// # async fn f(mut watch: tenure::Watch) -> tenure::Result<()> {
    /// let present = watch.next().await.transpose()?;
    /// # drop(present); Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<Result<Inspection>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Watch {
    type Item = Result<Inspection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let seen = ready!(self.looks.poll_next(cx));
            let Ok(state) = &seen else { return Poll::Ready(Some(seen)) };
            let shape = Some(Shape::of(state));
            if self.seen != shape {
                self.seen = shape;
                return Poll::Ready(Some(seen));
            }
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("key", &self.looks.key()).finish_non_exhaustive()
    }
}
