//! The default store of a test: it goes before that of the program, on one thread or in one future.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::locks::Locks;

thread_local! {
    /// The stores that this thread has entered; the last one counts.
    static ENTERED: RefCell<Vec<Rc<Locks>>> = const { RefCell::new(Vec::new()) };
}

/// The store that this thread has entered last.
pub(super) fn locks() -> Option<Locks> {
    ENTERED.with_borrow(|all| all.last().map(|locks| Locks::clone(locks)))
}

/// A default store for this thread, until this is dropped. Made by
/// [`World::enter`](crate::testing::World::enter).
#[derive(Debug)]
#[must_use = "the thread leaves the store when this is dropped"]
pub struct Entered(Rc<Locks>);

impl Entered {
    pub(crate) fn new(locks: Locks) -> Self {
        let locks = Rc::new(locks);
        ENTERED.with_borrow_mut(|all| all.push(Rc::clone(&locks)));
        Self(locks)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Also one that is dropped before a later one. A thread that ends has left all of them.
        let left = ENTERED.try_with(|all| {
            let mut all = all.borrow_mut();
            all.iter().position(|other| Rc::ptr_eq(other, &self.0)).map(|at| all.remove(at))
        });
        // Dropped here, where nothing is borrowed: it may be the last handle of the store.
        drop(left);
    }
}

pin_project! {
    /// A future with a default store of its own. Made by
    /// [`World::scope`](crate::testing::World::scope).
    #[derive(Debug)]
    #[must_use = "a future does nothing unless it is polled"]
    pub struct Scope<F> {
        locks: Locks,
        #[pin]
        work: F,
    }
}

impl<F> Scope<F> {
    pub(crate) fn new(locks: Locks, work: F) -> Self {
        Self { locks, work }
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = Entered::new(this.locks.clone());
        this.work.poll(cx)
    }
}
