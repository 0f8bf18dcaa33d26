//! Several keys in one request: what it costs, and what becomes of it when its reply is lost.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tenure::protocol::{Op, Reply, Request};
use tenure::runtime;
use tenure::store::{Answer, Memory, Store, StoreError, StoreErrorClass};
use tenure::{ErrorKind, Locks, LocksOptions};

use crate::store_wrapper::{Change, Wrapper};

/// Longer than anything takes, on any machine that runs tests.
const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: [&str; 3] = ["a", "b", "c"];
/// Nothing that is left behind ends by itself while somebody looks.
const TTL: Duration = Duration::from_secs(3600);

/// The fate of the next group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is carried out, and its reply is lost.
    Unheard,
    /// It is still under way when its sender gives up.
    Late,
    /// The store is never reached, and that is known.
    NotSent,
    /// One of its keys could not be looked at, and nobody knows whether another try succeeds.
    Unknown,
}

#[derive(Debug)]
struct Lossy {
    inner: Memory,
    fates: Mutex<VecDeque<Fate>>,
    late: Mutex<Vec<Vec<Request>>>,
    calls: AtomicUsize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Change for Lossy {
    fn within(&self) -> &dyn Store {
        &self.inner
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let group = steps.iter().find_map(|step| match &step.op {
            Op::AcquireAll(group) => Some(group.first().clone()),
            _ => None,
        });
        let lost = |may_have_run| StoreError {
            class: StoreErrorClass::Transient,
            message: "the reply is lost".into(),
            may_have_run,
            source: None,
        };
        let fate = group.clone().and_then(|_| locked(&self.fates).pop_front());
        match (fate, group) {
            (Some(Fate::Unheard), _) => Box::pin(async move {
                self.inner.call(steps).await?;
                Err(lost(true))
            }),
            (Some(Fate::Late), _) => {
                locked(&self.late).push(steps);
                Box::pin(ready(Err(lost(true))))
            }
            (Some(Fate::NotSent), _) => Box::pin(ready(Err(lost(false)))),
            (Some(Fate::Unknown), Some(key)) => {
                let by = Box::new(Reply::Unknown("no answer".into()));
                Box::pin(ready(Ok(vec![Reply::Blocked { key, by }])))
            }
            _ => self.inner.call(steps),
        }
    }
}

struct World {
    store: Arc<Wrapper<Lossy>>,
    locks: Locks,
}

impl World {
    fn new(fates: &[Fate]) -> Self {
        let runtime = runtime::machine().expect("a clock and timers");
        let store = Arc::new(Wrapper(Lossy {
            inner: Memory::new(Arc::clone(&runtime)),
            fates: Mutex::new(fates.iter().copied().collect()),
            late: Mutex::default(),
            calls: AtomicUsize::new(0),
        }));
        let locks = Locks::over(Arc::clone(&store) as _, runtime, LocksOptions::default());
        Self { store, locks }
    }

    fn calls(&self) -> usize {
        self.store.0.calls.swap(0, Ordering::Relaxed)
    }

    async fn late_ones_arrive(&self) {
        let late = std::mem::take(&mut *locked(&self.store.0.late));
        for steps in late {
            self.store.0.inner.call(steps).await.expect("an answer");
        }
    }

    async fn is_free(&self) -> bool {
        for key in KEYS {
            let seen = self.locks.mutex(key).inspect().await.expect("a look");
            if !seen.holders.is_empty() || !seen.waiters.is_empty() {
                return false;
            }
        }
        true
    }

    async fn until_free(&self) {
        let begun = Instant::now();
        while !self.is_free().await {
            assert!(begun.elapsed() < PATIENCE, "a key stays held");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn free_keys_cost_one_request() {
    let world = World::new(&[]);
    let all = world.locks.all(KEYS);
    let guard = all.acquire().await.expect("granted");
    assert_eq!(world.calls(), 1);
    assert_eq!(guard.fences().count(), KEYS.len());
    guard.release().await.expect("released");
    world.calls();
    let guard = all.try_acquire().await.expect("an answer").expect("free");
    assert_eq!(world.calls(), 1);
    guard.release().await.expect("released");
    let _busy = world.locks.mutex("c").acquire().await.expect("free");
    world.calls();
    assert!(all.try_acquire().await.expect("an answer").is_none());
    assert_eq!(world.calls(), 1);
    let wait = Duration::from_millis(10);
    let error = all.with_wait(wait).acquire().await.expect_err("c is held");
    assert_eq!(error.key().map(tenure::Key::as_str), Some("c"));
}

#[tokio::test]
async fn try_whose_reply_is_lost_leaves_nothing() {
    for fate in [Fate::Unheard, Fate::Late, Fate::NotSent, Fate::Unknown] {
        let world = World::new(&[fate]);
        let all = world.locks.all(KEYS).with_ttl(TTL);
        let error = all.try_acquire().await.expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{fate:?}");
        assert_eq!(error.may_hold(), fate != Fate::NotSent, "{fate:?}");
        world.until_free().await;
        // Its owners are refused from now on.
        world.locks.close(PATIENCE).await.expect("all was answered");
        world.late_ones_arrive().await;
        let beside = World { locks: another(&world), store: Arc::clone(&world.store) };
        assert!(beside.is_free().await, "{fate:?}: a late request was carried out");
    }
}

fn another(world: &World) -> Locks {
    let runtime = runtime::machine().expect("a clock and timers");
    Locks::over(Arc::clone(&world.store) as _, runtime, LocksOptions::default())
}

#[tokio::test]
async fn acquire_asks_again_until_it_is_answered() {
    for fate in [Fate::Unheard, Fate::Late, Fate::NotSent, Fate::Unknown] {
        let world = World::new(&[fate, fate]);
        let all = world.locks.all(KEYS).with_ttl(TTL);
        let guard = all.acquire().await.expect("granted at last");
        guard.check().expect("held");
        assert!(world.calls() >= 3, "{fate:?}");
        guard.release().await.expect("released");
        world.late_ones_arrive().await;
        world.until_free().await;
    }
}
