//! The state of keys as it comes: all keys of a store, page by page; one key, change by change.
//! They look and change nothing, and only while somebody asks for the next item.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use crate::process::OfProcess;
use crate::protocol::{Inspection, Op, Reply, State};
use crate::types::{Fence, InvalidKey, Key, Operation, Result};

use super::Locks;
use crate::engine::core::Engine;

/// How many keys travel in one answer.
const PAGE: usize = 100;
/// How often [`Watch`] looks, if nothing else is said.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The shortest time between two looks: without a pause, a store that answers at once would keep
/// its caller in one poll for ever.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(10);

type Coming<T> = OfProcess<Pin<Box<dyn Future<Output = Result<T>> + Send>>>;

/// The keys in use, in order: what [`Locks::list_all`] answers.
#[must_use = "a stream does nothing unless it is polled"]
pub struct List {
    locks: Locks,
    prefix: String,
    /// Read, and not asked for yet.
    page: VecDeque<(Key, Inspection)>,
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

    /// The next key, for those who do without stream combinators; `None` after the last.
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
            let forked = |_| Err(self.locks.engine().forked(Operation::Inspect, None));
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

/// One key's state, change by change: what [`Locks::watch`] answers.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Watch {
    engine: OfProcess<Arc<Engine>>,
    key: Result<Key, InvalidKey>,
    every: Duration,
    seen: Option<Shape>,
    coming: Option<Coming<Inspection>>,
}

/// What counts as a change: not that time passes.
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
    pub(super) fn new(engine: OfProcess<Arc<Engine>>, key: Result<Key, InvalidKey>) -> Self {
        Self { engine, key, every: LOOK_EVERY, seen: None, coming: None }
    }

    /// How often the store is asked; default: every 500 ms. Less than 10 ms counts as 10 ms.
    pub fn with_interval(mut self, every: Duration) -> Self {
        self.every = every.max(LOOK_EVERY_MIN);
        self
    }

    /// The next state, for those who do without stream combinators. It never answers `None`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; the next call goes on.
    ///
    /// # Errors
    /// A bad key or the store's failure; the next call looks again.
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

    fn look_after(&self, pause: Duration) -> Coming<Inspection> {
        let (engine, key) = (self.engine.clone(), self.key.clone());
        OfProcess::new(Box::pin(async move {
            if !pause.is_zero() && engine.is_here() {
                engine.runtime.sleep_until(engine.now() + pause).await;
            }
            let key = crate::engine::options::checked(key, Operation::Inspect)?;
            match engine.request(Operation::Inspect, &key, Op::Inspect).await? {
                Reply::Inspected(seen) => Ok(seen),
                other => Err(engine.unexpected(Operation::Inspect, &key, &other)),
            }
        }))
    }
}

impl Stream for Watch {
    type Item = Result<Inspection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.coming.is_none() {
                self.coming = Some(self.look_after(Duration::ZERO));
            }
            let Some(coming) = &mut self.coming else { continue };
            let seen = ready!(Pin::new(coming).poll(cx));
            let key = self.key.as_ref().ok();
            let seen = seen.unwrap_or_else(|_| Err(self.engine.forked(Operation::Inspect, key)));
            self.coming = Some(self.look_after(self.every));
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
        f.debug_struct("Watch").field("key", &self.key).finish_non_exhaustive()
    }
}
