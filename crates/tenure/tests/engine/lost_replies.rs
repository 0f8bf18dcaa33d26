//! Changes of the part that a lease claims, or of the value beside it, whose replies are lost: the
//! guard is a reader's then, at the store too, and requests that arrive late do nothing.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tenure::protocol::{HolderView, Op, Reply, Request};
use tenure::runtime::{self, Runtime};
use tenure::store::{Answer, Memory, Store, StoreError, StoreErrorClass};
use tenure::{ErrorKind, Fence, Guard, Locks, LocksOptions};

use crate::still::Still;
use crate::store_wrapper::{Change, Wrapper};

/// Longer than anything takes, on any machine that runs tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The fate of the next request that changes more than a fence.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is carried out, and its reply is lost.
    Unheard,
    /// It is still under way when its sender gives up.
    Late,
    /// The store is never reached, and that is known.
    NotSent,
}

#[derive(Debug)]
struct Lossy {
    inner: Memory,
    fates: Mutex<VecDeque<Fate>>,
    late: Mutex<Vec<Vec<Request>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Change for Lossy {
    fn within(&self) -> &dyn Store {
        &self.inner
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let changes = |op: &Op| match op {
            Op::Resize { from, to, .. } => from != to,
            op => matches!(op, Op::SetValue { .. }),
        };
        let fate =
            steps.iter().any(|step| changes(&step.op)).then(|| locked(&self.fates).pop_front());
        let lost = |may_have_run| StoreError {
            class: StoreErrorClass::Transient,
            message: "the reply is lost".into(),
            may_have_run,
            source: None,
        };
        match fate.flatten() {
            None => self.inner.call(steps),
            Some(Fate::Unheard) => Box::pin(async move {
                self.inner.call(steps).await?;
                Err(lost(true))
            }),
            Some(Fate::Late) => {
                locked(&self.late).push(steps);
                Box::pin(ready(Err(lost(true))))
            }
            Some(Fate::NotSent) => Box::pin(ready(Err(lost(false)))),
        }
    }
}

struct World {
    store: Arc<Wrapper<Lossy>>,
    locks: Locks,
}

impl World {
    fn new() -> Self {
        Self::over(runtime::machine().expect("a clock and timers"))
    }

    fn over(runtime: Arc<dyn Runtime>) -> Self {
        let inner = Memory::new(Arc::clone(&runtime));
        let store = Lossy { inner, fates: Mutex::default(), late: Mutex::default() };
        let store = Arc::new(Wrapper(store));
        let locks = Locks::over(Arc::clone(&store) as _, runtime, LocksOptions::default());
        Self { store, locks }
    }

    fn next(&self, fates: &[Fate]) {
        locked(&self.store.0.fates).extend(fates);
    }

    /// The requests that were under way arrive.
    async fn late_ones_arrive(&self) {
        let late = std::mem::take(&mut *locked(&self.store.0.late));
        assert!(!late.is_empty(), "nothing was under way");
        for steps in late {
            self.store.0.inner.call(steps).await.expect("an answer");
        }
    }

    async fn holder(&self) -> HolderView {
        let seen = self.locks.mutex("key").inspect().await.expect("a look");
        let [holder] = &seen.holders[..] else { panic!("{seen:?}") };
        holder.clone()
    }

    /// Waits until the store says of the guard what it says itself, and that it reads, with a fence
    /// of at least this.
    async fn until_a_reader(&self, guard: &Guard, fence: Fence) {
        self.until_it_has(guard, fence, false).await;
    }

    async fn until_it_has(&self, guard: &Guard, fence: Fence, exclusive: bool) {
        let begun = Instant::now();
        loop {
            let holder = self.holder().await;
            let is_known = holder.fence == guard.fence() && holder.fence >= fence;
            let is_over = locked(&self.store.0.fates).is_empty();
            if holder.exclusive == exclusive && is_known && is_over {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{holder:?} with {guard:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn upgrade_whose_reply_is_lost_is_undone() {
    for fate in [Fate::Unheard, Fate::Late] {
        let world = World::new();
        let mutex = world.locks.mutex("key");
        let mut guard = world.locks.rwlock("key").read().await.expect("granted");
        let fence = guard.fence();
        world.next(&[fate]);
        let error = guard.try_upgrade().await.expect_err("lost");
        assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
        guard.check().expect("it reads as before");
        // With the old one, a late request would have an effect.
        world.until_a_reader(&guard, Fence::new(fence.get() + 1)).await;
        if matches!(fate, Fate::Late) {
            world.late_ones_arrive().await;
            assert!(!world.holder().await.exclusive, "a late upgrade was carried out");
        }
        assert!(mutex.try_acquire().await.expect("an answer").is_none());
        let beside = world.locks.rwlock("key").try_read().await.expect("an answer");
        drop(beside.expect("it is a reader's"));
    }
}

/// There is nothing to undo, but the request can still arrive after a downgrade.
#[tokio::test]
async fn upgrade_of_a_writer_whose_reply_is_lost_leaves_a_writer() {
    let world = World::new();
    let mut guard = world.locks.rwlock("key").write().await.expect("granted");
    let fence = guard.fence();
    world.next(&[Fate::Late]);
    guard.try_upgrade().await.expect_err("lost");
    world.until_it_has(&guard, Fence::new(fence.get() + 1), true).await;
    guard.downgrade().await.expect("a reader");
    world.late_ones_arrive().await;
    assert!(!world.holder().await.exclusive, "a late upgrade was carried out");
}

#[tokio::test]
async fn undoing_goes_on_until_it_is_answered() {
    let world = World::new();
    let mut guard = world.locks.rwlock("key").read().await.expect("granted");
    world.next(&[Fate::Unheard, Fate::Late, Fate::Unheard, Fate::NotSent]);
    guard.try_upgrade().await.expect_err("lost");
    world.until_a_reader(&guard, guard.fence()).await;
    // All that was sent to undo it knows the fence of that time only.
    let upgraded = guard.try_upgrade().await;
    let fence = guard.fence();
    assert!(upgraded.expect("an answer"), "it is alone");
    world.late_ones_arrive().await;
    let holder = world.holder().await;
    assert_eq!((holder.exclusive, holder.fence), (true, fence), "a late request took it away");
}

#[tokio::test]
async fn downgrade_whose_reply_is_lost_is_completed() {
    for fate in [Fate::Unheard, Fate::Late] {
        let world = World::new();
        let mut guard = world.locks.rwlock("key").write().await.expect("granted");
        let fence = guard.fence();
        world.next(&[fate]);
        let error = guard.downgrade().await.expect_err("lost");
        assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
        world.until_a_reader(&guard, fence).await;
        assert_eq!(guard.fence(), fence);
        assert!(guard.try_upgrade().await.expect("an answer"), "it is alone");
        if matches!(fate, Fate::Late) {
            world.late_ones_arrive().await;
            assert!(world.holder().await.exclusive, "a late downgrade took it away");
        }
        guard.check().expect("held");
    }
}

/// The background has not come to it: the next change settles the one before it.
#[tokio::test]
async fn change_settles_the_one_before_it() {
    let world = World::over(Arc::new(Still::default()));
    let mut guard = world.locks.rwlock("key").write().await.expect("granted");
    let fence = guard.fence();
    world.next(&[Fate::Late]);
    guard.downgrade().await.expect_err("lost");
    assert!(guard.try_upgrade().await.expect("an answer"), "it is alone");
    assert!(guard.fence() > fence, "with the old one, a late downgrade would take it away");
    world.late_ones_arrive().await;
    let holder = world.holder().await;
    assert_eq!((holder.exclusive, holder.fence), (true, guard.fence()));
}

#[tokio::test]
async fn change_that_never_left_changes_nothing() {
    let world = World::new();
    let mut guard = world.locks.rwlock("key").read().await.expect("granted");
    let fence = guard.fence();
    world.next(&[Fate::NotSent]);
    guard.try_upgrade().await.expect_err("out of reach");
    assert_eq!((world.holder().await.fence, guard.fence()), (fence, fence));
    assert!(guard.try_upgrade().await.expect("an answer"));
    let fence = guard.fence();
    world.next(&[Fate::NotSent]);
    guard.downgrade().await.expect_err("out of reach");
    let holder = world.holder().await;
    assert_eq!((holder.exclusive, holder.fence), (true, fence), "nothing was sent");
}

#[tokio::test]
async fn value_whose_reply_is_lost_does_nothing_after_the_next_one() {
    for fate in [Fate::Unheard, Fate::Late, Fate::NotSent] {
        let world = World::new();
        let mut leadership = world.locks.election("key").campaign("a").await.expect("elected");
        world.next(&[fate]);
        let error = leadership.set_value("b").await.expect_err("lost");
        assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
        leadership.check().expect("it leads on");
        let value = async || world.holder().await.value.expect("a value").as_str().to_owned();
        assert_eq!(value().await, if matches!(fate, Fate::Unheard) { "b" } else { "a" });
        leadership.set_value("c").await.expect("set");
        if matches!(fate, Fate::Late) {
            world.late_ones_arrive().await;
        }
        assert_eq!(value().await, "c", "a late value was set");
        let term = leadership.term();
        world.next(&[Fate::Late]);
        leadership.set_value("d").await.expect_err("lost");
        leadership.resign().await.expect("resigned");
        let next = world.locks.election("key").campaign("e").await.expect("elected");
        world.late_ones_arrive().await;
        assert_eq!(value().await, "e", "a value outlived its term");
        assert!(next.term() > term);
    }
}
