//! For tests of programs that use locks: a store in memory that fails on request, and a clock that
//! the test moves. It is never for production.
//!
//! ```
//! # async fn f() -> tenure::Result<()> {
//! use tenure::testing::World;
//!
//! let world = World::new();
//! let report = world.locks().mutex("report");
//! let busy = world.busy("report");
//! assert!(report.try_acquire().await?.is_none(), "somebody else has it");
//! drop(busy);
//!
//! let guard = report.acquire().await?;
//! world.lose("report");
//! assert!(guard.check().is_err(), "and the program must stop its work");
//!
//! world.fail_next(1);
//! assert!(report.try_acquire().await.is_err(), "the store did not answer");
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f()).unwrap();
//! ```
//!
//! # Programs that use the default store
//!
//! Code that calls [`tenure::mutex`](crate::mutex) or has a `#[tenure::locked]` function finds the
//! world that the test has entered, and tests that run at the same time do not meet:
//!
//! ```
//! # async fn f() -> tenure::Result<()> {
//! use tenure::testing::World;
//!
//! async fn rebuild_index() -> tenure::Result<bool> {
//!     let done = tenure::mutex("index").try_run(|_lease| async { tenure::ok(()) }).await?;
//!     Ok(done.is_some())
//! }
//!
//! let world = World::new();
//! let _entered = world.enter();
//! assert!(rebuild_index().await?, "nobody else is at it");
//! let _busy = world.busy("index");
//! assert!(!rebuild_index().await?, "somebody else is");
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f()).unwrap();
//! ```
//!
//! # With tokio's paused clock
//!
//! `tokio::time::pause` and `start_paused` stop tokio's clock, not Tenure's. Tokio moves a paused
//! clock on as soon as all tasks are idle, and a task that waits for SQLite or Redis is idle. So a
//! `timeout(30 s, acquire())` is over at once: do not pause the clock with such a store. With a
//! paused clock use a [`World`], whose store answers without waiting. Let [`Clock`] move the time
//! of leases and waits, and limit a wait by [`with_wait`](crate::Mutex::with_wait).
//!
//! ```
//! # async fn f() -> tenure::Result<()> {
//! use std::time::Duration;
//! use tenure::testing::{Clock, World};
//!
//! const HOUR: Duration = Duration::from_secs(3600);
//! let clock = Clock::new();
//! let guard = World::with_clock(&clock).locks().mutex("report").acquire().await?;
//! tokio::time::sleep(HOUR).await; // over at once
//! guard.check()?; // and no time of the lease
//! clock.advance(HOUR);
//! assert!(guard.check().is_err());
//! # Ok(()) }
//! # let mut runtime = tokio::runtime::Builder::new_current_thread();
//! # runtime.enable_all().start_paused(true).build().unwrap().block_on(f()).unwrap();
//! ```

mod clock;
mod faults;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::engine::{self, LocksOptions};
use crate::locks::Locks;
use crate::protocol::{Acquire, FenceRule, Op, Reply, Request};
use crate::runtime::{self, Runtime, random_u32};
use crate::store::{Memory, Store};
use crate::types::{Claim, Fence, Key, Label, Owner, TTL_MAX};

pub use crate::default::entered::{Entered, Scope};
pub use clock::Clock;
use faults::Faulty;

/// A store in memory, and its locks, for one test.
#[derive(Debug)]
pub struct World {
    store: Arc<Faulty>,
    runtime: Arc<dyn Runtime>,
    locks: Locks,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world on the machine's clock.
    ///
    /// # Panics
    /// If the machine gives no thread or timer.
    #[must_use]
    pub fn new() -> Self {
        Self::over(runtime::machine().expect("a thread and a timer"))
    }

    /// A world on a clock that the test moves. Until it does, no lease, no wait and no pause before
    /// a retry ends.
    #[must_use]
    pub fn with_clock(clock: &Clock) -> Self {
        Self::over(Arc::new(clock.clone()))
    }

    fn over(runtime: Arc<dyn Runtime>) -> Self {
        let store = Arc::new(Faulty::new(Memory::new(Arc::clone(&runtime))));
        // Short, since the store answers at once or fails because the test wants it.
        let options = LocksOptions::default().with_store_timeout(Duration::from_millis(200));
        let locks =
            Locks::over(Arc::clone(&store) as Arc<dyn Store>, Arc::clone(&runtime), options);
        Self { store, runtime, locks }
    }

    /// The locks: clones of one `Locks`, as a program would share them.
    #[must_use]
    pub fn locks(&self) -> Locks {
        self.locks.clone()
    }

    /// Locks over the same store as another process would have them. [`lose`](Self::lose) does not
    /// reach their guards.
    #[must_use]
    pub fn another(&self) -> Locks {
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        Locks::over(store, Arc::clone(&self.runtime), LocksOptions::default())
    }

    /// Makes this world the default store on this thread, until the answer is dropped: what
    /// [`mutex`](crate::mutex) and its siblings, [`default_locks`](crate::default_locks) and
    /// `#[tenure::locked]` use. It goes before [`set_default`](crate::set_default) and the
    /// environment, and the last world that was entered counts.
    ///
    /// A test of `#[tokio::test]` and the tasks that it spawns run on one thread. With
    /// `flavor = "multi_thread"` use [`scope`](Self::scope) for each task, and in a thread that the
    /// program starts enter the world there.
    ///
    /// ```
    /// # use tenure::testing::World;
    /// let world = World::new();
    /// let _entered = world.enter();
    /// // ... code that calls tenure::mutex("report")
    /// ```
    pub fn enter(&self) -> Entered {
        Entered::new(self.locks.clone())
    }

    /// Runs `work` with this world as its default store, on whatever thread it is polled. A task
    /// that `work` spawns is not in the world: give it a scope of its own.
    ///
    /// # Cancel safety
    /// That of `work`.
    ///
    /// # Examples
    /// ```
    /// # async fn f() {
    /// # use tenure::testing::World;
    /// let world = World::new();
    /// let task = world.scope(async { tenure::mutex("report").try_acquire().await });
    /// let guard = tokio::spawn(task).await;
    /// # drop(guard); }
    /// ```
    pub fn scope<F: Future>(&self, work: F) -> Scope<F> {
        Scope::new(self.locks.clone(), work)
    }

    /// Lets somebody else hold `key`, under the label `somebody else`, until the answer is
    /// dropped.
    ///
    /// # Panics
    /// If the key is held or is not valid; in a forked process.
    #[must_use = "the key is free again when it is dropped"]
    pub fn busy(&self, key: &str) -> Busy {
        self.try_busy(key).unwrap_or_else(|| panic!("{key:?} is not free"))
    }

    /// As [`busy`](Self::busy), but `None` if the key is held.
    ///
    /// # Panics
    /// If the key is not valid; in a forked process.
    #[must_use = "the key is free again when it is dropped"]
    pub fn try_busy(&self, key: &str) -> Option<Busy> {
        let key = Key::new(key).expect("a valid key");
        let attempt = u64::from(random_u32(&*self.runtime));
        let owner = Owner::from_parts("somebody else", attempt);
        let acquire = Acquire {
            owner: owner.clone(),
            label: Label::new("somebody else"),
            claim: Claim::EXCLUSIVE,
            ttl: TTL_MAX,
            queue: None,
            fence: FenceRule::Mint,
            value: None,
        };
        match self.ask(&key, Op::Acquire(acquire)) {
            Reply::Granted { .. } => Some(Busy { store: Arc::clone(&self.store), key, owner }),
            _ => None,
        }
    }

    /// Takes `key` away from its holder. Guards of [`locks`](Self::locks) are lost at once, with
    /// [`LostReason::Gone`](crate::LostReason::Gone); those of others at their next renewal.
    ///
    /// # Panics
    /// If the key is not valid; in a forked process.
    pub fn lose(&self, key: &str) {
        let key = Key::new(key).expect("a valid key");
        self.ask(&key, Op::Force { up_to: Fence::new(u64::MAX) });
        engine::lose(self.locks.engine(), &key);
    }

    /// Switches failing on or off: a failing store refuses every request and does nothing.
    /// `acquire` tries again for 200 ms; `try_acquire` asks once.
    pub fn fail(&self, failing: bool) {
        self.store.fail(failing);
    }

    /// The store fails the next `count` requests and does nothing. Renewals and releases in the
    /// background count as well.
    pub fn fail_next(&self, count: usize) {
        self.store.fail_next(count);
    }

    /// The store carries out the next `count` requests, and their answers are lost.
    pub fn lose_answers(&self, count: usize) {
        self.store.lose_answers(count);
    }

    fn ask(&self, key: &Key, op: Op) -> Reply {
        self.store.ask(key, op)
    }
}

/// Somebody else's hold on a key; dropping it releases.
#[derive(Debug)]
#[must_use = "the key is free again when it is dropped"]
pub struct Busy {
    store: Arc<Faulty>,
    key: Key,
    owner: Owner,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if !self.store.memory().is_here() {
            return;
        }
        let (owner, min_hold) = (self.owner.clone(), Duration::ZERO);
        self.store.ask(&self.key, Op::Release { owner, min_hold, tombstone: None });
    }
}

impl Faulty {
    /// Asks the memory store directly, past every fault. It answers at once.
    fn ask(&self, key: &Key, op: Op) -> Reply {
        let mut call = pin!(self.memory().call(vec![Request { key: key.clone(), op }]));
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(mut replies)) => replies.swap_remove(0),
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => unreachable!("memory answers at once"),
        }
    }
}
