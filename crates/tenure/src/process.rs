//! Values that belong to one process. After a fork the child has its parent's memory, but only one
//! of its threads: a mutex may be held for ever, and sockets, timers and the epoll instance are
//! shared with the parent. So the child neither uses nor drops inherited values. The types here
//! tell it which values these are, without taking a lock. Nothing here forks.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use forkguard::atfork::Guard;
use once_cell::race::OnceBox;

/// The mark of a process that uses Tenure. A forked child has another mark.
///
/// A handler of `pthread_atfork` counts the forks that led to a process, so a check is one load.
/// Reading the process number would be a system call of some 100 ns, while a lock in memory takes
/// 2 µs with all of its checks. A child that is made by the bare system call, without the C
/// library's `fork`, is not noticed. Nearly nothing works in such a child anyway, since the library
/// has not repaired its own locks.
#[derive(Debug, Clone)]
pub(crate) struct Process(Guard);

impl Process {
    /// The process that runs this.
    pub(crate) fn current() -> Self {
        Self(Guard::default())
    }

    /// Whether this process is the one that runs.
    pub(crate) fn is_current(&self) -> bool {
        !self.0.clone().detected_fork()
    }
}

/// A value that belongs to the process that made it. It is never dropped in another process: that
/// could take a lock that nobody releases, or change a resource that the parent still uses.
pub(crate) struct OfProcess<T> {
    process: Process,
    /// `None` only while it is dropped.
    value: Option<T>,
}

impl<T> OfProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { process: Process::current(), value: Some(value) }
    }

    pub(crate) fn is_here(&self) -> bool {
        self.process.is_current()
    }

    /// The value, for code that uses mutexes, clocks or the store.
    pub(crate) fn here(&self) -> Result<&T, Forked> {
        if self.is_here() { Ok(self) } else { Err(Forked) }
    }
}

/// Only for reading plain data; all other code asks [`OfProcess::here`].
impl<T> Deref for OfProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Clone> Clone for OfProcess<T> {
    fn clone(&self) -> Self {
        Self { process: self.process.clone(), value: self.value.clone() }
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if !self.is_here() {
            std::mem::forget(self.value.take());
        }
    }
}

/// A future that ends at once in another process, and is not polled there.
impl<F: Future + ?Sized> Future for OfProcess<Pin<Box<F>>> {
    type Output = Result<F::Output, Forked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_here() {
            return Poll::Ready(Err(Forked));
        }
        let future = self.value.as_mut().expect("it is there until it is dropped");
        future.as_mut().poll(cx).map(Ok)
    }
}

impl<T: fmt::Debug> fmt::Debug for OfProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.here() {
            Ok(value) => value.fmt(f),
            Err(Forked) => f.write_str("(inherited by a fork)"),
        }
    }
}

/// A future that is polled and dropped by its own process only, since that may take mutexes.
pub(crate) fn of_process<F: Future>(future: F) -> OfProcess<Pin<Box<F>>> {
    OfProcess::new(Box::pin(future))
}

/// A static with one value per process. A child begins with a new value, since that of its parent
/// may be locked or half made. The values of ancestors stay in memory.
pub(crate) struct PerProcess<T> {
    first: OnceBox<Slot<T>>,
}

struct Slot<T> {
    process: Process,
    value: T,
    next: OnceBox<Self>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { first: OnceBox::new() }
    }

    pub(crate) fn get(&self) -> &T {
        let new = || {
            let (process, value) = (Process::current(), T::default());
            Box::new(Slot { process, value, next: OnceBox::new() })
        };
        let mut slot = self.first.get_or_init(new);
        while !slot.process.is_current() {
            slot = slot.next.get_or_init(new);
        }
        &slot.value
    }

    /// The values of ancestors, as they were at the fork. Read only parts that need no mutex.
    pub(crate) fn inherited(&self) -> impl Iterator<Item = &T> {
        let slots = std::iter::successors(self.first.get(), |slot| slot.next.get());
        slots.filter(|slot| !slot.process.is_current()).map(|slot| &slot.value)
    }
}

/// The error of a value that is used in a process that was forked after the value was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forked;

impl fmt::Display for Forked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this process was forked after the connection was made, which is still its parent's: \
             connect again in the child",
        )
    }
}

impl Error for Forked {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    // The crate tenure-fork tests the child's side, with real forks.

    #[test]
    fn what_is_ones_own_is_dropped() {
        let dropped = Arc::new(());
        drop(OfProcess::new(Arc::clone(&dropped)));
        assert_eq!(Arc::strong_count(&dropped), 1);
    }

    #[test]
    fn a_process_keeps_its_mark_and_its_statics() {
        static OWN: PerProcess<Arc<()>> = PerProcess::new();
        assert!(Process::current().is_current());
        assert!(Arc::ptr_eq(OWN.get(), OWN.get()));
        assert_eq!(OWN.inherited().count(), 0);
    }
}
