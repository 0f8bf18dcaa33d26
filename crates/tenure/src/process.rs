//! Whose process this is. After a fork the child has its parent's memory, but only one of its
//! threads: a mutex may be held for ever, and sockets, timers and the epoll instance are shared
//! with the parent. So the child neither uses nor drops what it has inherited. Here stands how it
//! tells that, without any lock; nothing here forks.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use forkguard::atfork::Guard;
use once_cell::race::OnceBox;

/// A process that used Tenure. After a fork the child's mark is another one.
///
/// A handler of `pthread_atfork` counts the forks that led to a process, so a look is one load. A
/// look at the process number would be a system call: some 100 ns each, where a lock in memory
/// takes 2 µs with all of its looks. A child that a program makes without the C library's `fork`
/// (by the bare system call) is not noticed; nearly nothing works in it anyway, since the library
/// has not mended its own locks there.
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

/// A value that belongs to the process that made it. In another one it is never dropped: that
/// could take a lock that nobody releases, or touch what the parent still uses.
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

    /// The value, for what uses locks, clocks or the store.
    pub(crate) fn here(&self) -> Result<&T, Forked> {
        if self.is_here() { Ok(self) } else { Err(Forked) }
    }
}

/// For what reads plain data only; everything else asks [`OfProcess::here`].
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

/// A future that its process alone polls and drops: what it waits with may take locks.
pub(crate) fn of_process<F: Future>(future: F) -> OfProcess<Pin<Box<F>>> {
    OfProcess::new(Box::pin(future))
}

/// A static of which each process has its own. A child begins with a new one, since that of its
/// parent may be locked, or half made. What ancestors left stays in memory.
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

    /// The values that ancestors left, as they were at the fork. Only what needs no lock may be
    /// read of them.
    pub(crate) fn inherited(&self) -> impl Iterator<Item = &T> {
        let slots = std::iter::successors(self.first.get(), |slot| slot.next.get());
        slots.filter(|slot| !slot.process.is_current()).map(|slot| &slot.value)
    }
}

/// This process was forked after what it uses was made.
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

    // What happens in a child is tested with real forks, by the crate tenure-fork.

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
