//! A signal for the tasks that wait for something to happen to a lease. Their wakers are foreign
//! code: each is called by itself, and none under a lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Made by the first task that waits. Most leases end without one.
    waiting: Mutex<Option<Box<Waiting>>>,
}

#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<(u64, Waker)>,
    last: u64,
}

impl Signal {
    /// Ends when `so` answers something. It is called again whenever this signal is given.
    pub(crate) fn until<T, F: FnMut() -> Option<T> + Unpin>(&self, so: F) -> Until<'_, F> {
        Until { signal: self, entry: None, so }
    }

    /// The wakers to call, now that something has happened.
    pub(crate) fn given(&self) -> impl Iterator<Item = Waker> {
        let mut waiting = self.waiting();
        let wakers = waiting.as_mut().map(|waiting| std::mem::take(&mut waiting.wakers));
        drop(waiting);
        wakers.into_iter().flatten().map(|(_, waker)| waker)
    }

    fn enter(&self, entry: Option<u64>, waker: Waker) -> u64 {
        let mut guard = self.waiting();
        let waiting = guard.get_or_insert_default();
        let number = entry.unwrap_or(waiting.last + 1);
        waiting.last = waiting.last.max(number);
        let before = match waiting.wakers.iter_mut().find(|(n, _)| *n == number) {
            Some((_, before)) => Some(std::mem::replace(before, waker)),
            None => {
                waiting.wakers.push((number, waker));
                None
            }
        };
        drop(guard);
        drop(before);
        number
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Box<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that waits. Its waker leaves with it.
#[must_use = "a future does nothing unless it is awaited"]
pub(crate) struct Until<'a, F> {
    signal: &'a Signal,
    entry: Option<u64>,
    so: F,
}

impl<T, F: FnMut() -> Option<T> + Unpin> Future for Until<'_, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(found) = (self.so)() {
            return Poll::Ready(found);
        }
        self.entry = Some(self.signal.enter(self.entry, cx.waker().clone()));
        // Again: it may have become so after the first look and before the waker was entered.
        (self.so)().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<F> Drop for Until<'_, F> {
    fn drop(&mut self) {
        let Some(number) = self.entry else { return };
        let mut guard = self.signal.waiting();
        let left = guard.as_mut().and_then(|waiting| {
            let at = waiting.wakers.iter().position(|(n, _)| *n == number)?;
            Some(waiting.wakers.swap_remove(at))
        });
        drop(guard);
        drop(left);
    }
}
