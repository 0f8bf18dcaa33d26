//! The last `Locks` that goes waits for what is given back in the background: where that holds up
//! nobody else, and not for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tenure::protocol::{Op, Reply, Request};
use tenure::runtime::{self, Runtime};
use tenure::store::{Answer, Memory, Store};
use tenure::{Locks, LocksOptions, blocking};
use tokio::sync::Semaphore;

use crate::store_wrapper::{Change, Wrapper};

/// Releases arrive when they are let through.
#[derive(Debug)]
struct Slow {
    memory: Memory,
    let_through: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
}

impl Change for Slow {
    fn within(&self) -> &dyn Store {
        &self.memory
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        if !matches!(steps[0].op, Op::Release { .. } | Op::Withdraw { .. }) {
            return self.memory.call(steps);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            self.let_through.acquire().await.expect("never closed").forget();
            self.memory.call(steps).await
        })
    }
}

struct World {
    memory: Memory,
    runtime: Arc<dyn Runtime>,
    let_through: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let runtime = runtime::machine().expect("a clock and timers");
        let memory = Memory::new(Arc::clone(&runtime));
        Self { memory, runtime, let_through: Arc::new(Semaphore::new(0)), asked: Arc::default() }
    }

    fn locks(&self) -> Locks {
        let (let_through, asked) = (Arc::clone(&self.let_through), Arc::clone(&self.asked));
        let slow = Slow { memory: self.memory.clone(), let_through, asked };
        Locks::over(Arc::new(Wrapper(slow)), Arc::clone(&self.runtime), LocksOptions::default())
    }

    fn is_free(&self) -> bool {
        let locks = Locks::over(
            Arc::new(self.memory.clone()),
            Arc::clone(&self.runtime),
            Default::default(),
        );
        !blocking::Locks::from(locks).mutex("key").held_by_anyone().expect("a look")
    }
}

/// As at an early return from `main`: the guard goes first, then the locks.
fn leave(locks: blocking::Locks) -> Duration {
    let guard = locks.mutex("key").acquire().expect("granted");
    let began = Instant::now();
    drop(guard);
    let clone = locks.clone();
    drop(locks);
    drop(clone);
    began.elapsed()
}

#[test]
fn early_return_from_main_waits_until_the_lock_is_given_back() {
    // It waits for 100 ms at most, and this machine may be busy for longer: then once more.
    let waited = (0..100).any(|_| {
        let world = World::new();
        let (let_through, asked) = (Arc::clone(&world.let_through), Arc::clone(&world.asked));
        let server = thread::spawn(move || {
            while asked.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            // The one who leaves would be gone by now.
            thread::sleep(Duration::from_millis(10));
            let_through.add_permits(1);
        });
        leave(world.locks().into());
        let was_free = world.is_free();
        server.join().expect("no panic");
        was_free
    });
    assert!(waited, "it never waits");
}

#[test]
fn store_that_does_not_answer_holds_the_end_up_for_a_moment() {
    let world = World::new();
    let took = leave(world.locks().into());
    assert!(!world.is_free());
    assert!(took >= Duration::from_millis(90), "it has not waited: {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn nothing_given_back_is_nothing_to_wait_for() {
    let world = World::new();
    let locks = world.locks();
    let guard = blocking::Locks::from(locks.clone()).mutex("key").acquire().expect("granted");
    // A lock that is held stays held.
    let quick = (0..100).any(|_| {
        let began = Instant::now();
        drop(world.locks());
        began.elapsed() < Duration::from_millis(50)
    });
    drop(locks);
    assert!(quick && guard.check().is_ok());
}

/// The time that it would block is all that it is told by, so it is told more than once.
#[tokio::test]
async fn task_of_a_runtime_is_never_blocked() {
    let mut shortest = Duration::MAX;
    for _ in 0..20 {
        let world = World::new();
        let locks = world.locks();
        let guard = locks.mutex("key").acquire().await.expect("granted");
        let began = Instant::now();
        drop(guard);
        drop(locks);
        shortest = shortest.min(began.elapsed());
    }
    assert!(shortest < Duration::from_millis(90), "it blocks: {shortest:?}");
}
