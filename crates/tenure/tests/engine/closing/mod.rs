//! Closing while something is given up elsewhere: at the very moment of a grant, of a drop, of a
//! release. A guard that comes out of it then holds nothing, and a close that has ended has left
//! nothing at the store.

mod gate;
mod interrupted;
mod late;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tenure::protocol::{Inspection, Reply};
use tenure::runtime::{self, Runtime};
use tenure::store::{Memory, Store};
use tenure::{ErrorKind, Locks, LocksOptions, Released, Renewal};

use crate::store_wrapper::Wrapper;
use gate::Gate;
use interrupted::Interrupted;
use late::Late;

const PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: u32 = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn grant_that_meets_a_close_is_given_back() {
    let runtime = runtime::machine().expect("a clock and timers");
    let store = Memory::new(Arc::clone(&runtime));
    let over =
        || Locks::over(Arc::new(store.clone()), Arc::clone(&runtime), LocksOptions::default());
    let rival = over();
    let mut met = 0;
    for round in 0..ROUNDS {
        let closing = over();
        let guard = rival.mutex("key").acquire().await.expect("granted");
        let mutex = closing.mutex("key");
        let waiter = tokio::spawn(async move { mutex.acquire().await });
        while rival.mutex("key").inspect().await.expect("a look").waiters.is_empty() {
            tokio::task::yield_now().await;
        }
        let release = tokio::spawn(guard.release());
        let pause = Duration::from_micros(u64::from(round % 40));
        let started = std::time::Instant::now();
        while started.elapsed() < pause {
            std::hint::spin_loop();
        }
        closing.close(PATIENCE).await.expect("all was answered");
        release.await.expect("no panic").expect("released");
        let outcome = tokio::time::timeout(PATIENCE, waiter).await.expect("an end");
        if let Ok(guard) = outcome.expect("no panic") {
            met += 1;
            assert!(guard.check().is_err(), "round {round}: held after the close");
        }
        let left = rival.mutex("key").inspect().await.expect("a look");
        assert!(left.holders.is_empty() && left.waiters.is_empty(), "round {round}: {left:?}");
    }
    assert!(met > 0, "no close met a grant in {ROUNDS} rounds");
}

/// Found by the test above, once in a hundred runs: the waiter had left the engine's books and
/// its withdrawal had not yet entered them, so the close found nothing to wait for.
#[tokio::test]
async fn close_waits_for_the_withdrawal_of_a_waiter_that_is_dropped() {
    for_every_reading(async |world| {
        let rival = world.other.mutex("key").acquire().await.expect("granted");
        let mutex = world.closing.mutex("key");
        let mut waiting = Box::pin(mutex.acquire());
        while world.other.mutex("key").inspect().await.expect("a look").waiters.is_empty() {
            poll(waiting.as_mut());
            tokio::task::yield_now().await;
        }
        world.close_within(|| drop(waiting), |left| left.waiters.is_empty()).await;
        rival.release().await.expect("released");
    })
    .await;
}

#[tokio::test]
async fn close_waits_for_the_release_of_a_guard_that_is_dropped() {
    for_every_reading(async |world| {
        let guard = world.closing.mutex("key").acquire().await.expect("granted");
        world.close_within(|| drop(guard), is_free).await;
    })
    .await;
}

#[tokio::test]
async fn close_waits_for_a_release_that_another_task_awaits() {
    for_every_reading(async |world| {
        let guard = world.closing.mutex("key").acquire().await.expect("granted");
        let release = || {
            let released = poll(pin!(guard.release())).expect("memory answers at once");
            assert_eq!(released.expect("an answer"), Released::Released);
        };
        world.close_within(release, is_free).await;
    })
    .await;
}

#[tokio::test]
async fn close_waits_for_an_acquire_that_another_task_awaits() {
    for_every_reading(async |world| {
        let mutex = world.closing.mutex("key");
        let acquire = || {
            let acquired = poll(pin!(mutex.acquire())).expect("memory answers at once");
            // A guard that is dropped here gives back.
            drop(acquired);
        };
        world.close_within(acquire, is_free).await;
    })
    .await;
}

/// The grant comes after the close has looked for leases, and before it has come to the waiter.
#[tokio::test]
async fn grant_that_comes_while_a_close_gives_back_is_no_lock() {
    for_every_reading(async |world| {
        let first = world.closing.mutex("first").acquire().await.expect("granted");
        let held = world.closing.mutex("key").acquire().await.expect("granted");
        let mutex = world.closing.mutex("key");
        let mut waiting = Box::pin(mutex.acquire());
        while look(&world.store).waiters.is_empty() {
            poll(waiting.as_mut());
            tokio::task::yield_now().await;
        }
        // This hands the key over to the waiter.
        world.runtime.interrupt(world.reading, move || drop(poll(pin!(held.release()))));
        world.closing.close(PATIENCE).await.expect("all was answered");
        world.came_to_it = !world.runtime.forget();
        let outcome = tokio::time::timeout(PATIENCE, waiting).await.expect("an end");
        if let Ok(guard) = outcome {
            assert!(guard.check().is_err(), "held after the close");
        }
        world.closing.close(PATIENCE).await.expect("all was answered");
        assert!(is_free(&look(&world.store)), "something came after the end");
        drop(first);
    })
    .await;
}

/// Nobody has the lease of an acquire that is answered after the close, so nobody renews it.
#[tokio::test]
async fn grant_that_is_answered_after_a_close_is_not_renewed() {
    let runtime = runtime::machine().expect("a clock and timers");
    let memory = Memory::new(Arc::clone(&runtime));
    let gate = Arc::new(Wrapper(Gate::new(Arc::new(memory.clone()))));
    let over = |store: Arc<dyn Store>| Locks::over(store, Arc::clone(&runtime), Default::default());
    let (closing, other) = (over(Arc::clone(&gate) as _), over(Arc::new(memory.clone())));
    let ttl = Duration::from_millis(300);

    let mutex = closing.mutex("key").with_ttl(ttl);
    let mut acquire = Box::pin(mutex.acquire());
    assert!(poll(acquire.as_mut()).is_none(), "the answer is held back");
    let mut close = Box::pin(closing.close(PATIENCE));
    assert!(poll(close.as_mut()).is_none(), "a request is not answered");
    gate.0.open();
    assert_eq!(acquire.await.expect_err("closed").kind(), ErrorKind::Closed);
    close.await.expect("all was answered");
    assert!(is_free(&look(&memory)));

    let beside = other.mutex("beside").with_renewal(Renewal::Every(ttl));
    let beside = beside.acquire().await.expect("granted");
    for _ in 0..3 {
        beside.renewed(beside.deadline()).await;
    }
    assert_eq!(gate.0.renewals(), 0);
}

/// A task behind others of its process has no place at the store. But an acquire that was never
/// answered may still be on its way there.
#[tokio::test]
async fn waiter_that_a_close_sends_away_is_withdrawn() {
    let runtime = runtime::machine().expect("a clock and timers");
    let memory = Memory::new(Arc::clone(&runtime));
    let late = Arc::new(Wrapper(Late::new(Arc::new(memory.clone()))));
    let over = |store: Arc<dyn Store>| Locks::over(store, Arc::clone(&runtime), Default::default());
    let (closing, other) = (over(Arc::clone(&late) as _), over(Arc::new(memory.clone())));
    let held = other.mutex("key").acquire().await.expect("granted");

    let mutex = closing.mutex("key");
    let mut second = Box::pin(mutex.acquire());
    // Its first request is not answered, and it will try again.
    assert!(poll(second.as_mut()).is_none());
    let mut first = Box::pin(mutex.acquire());
    while look(&memory).waiters.is_empty() {
        poll(first.as_mut());
        tokio::task::yield_now().await;
    }
    // The second request finds the key taken, and the one in line in front.
    while !late.0.was_repeated() {
        assert!(poll(second.as_mut()).is_none());
        tokio::task::yield_now().await;
    }
    closing.close(PATIENCE).await.expect("all was answered");
    for waiting in [first, second] {
        assert_eq!(waiting.await.expect_err("closed").kind(), ErrorKind::Closed);
    }
    held.release().await.expect("released");
    assert_eq!(late.0.arrive().await, Reply::Withdrawn);
    assert!(is_free(&look(&memory)));
}

/// Two engines over one store, of which one is closed in the middle of what it does.
struct World {
    closing: Locks,
    other: Locks,
    runtime: Arc<Interrupted>,
    store: Memory,
    /// At which reading of the clock.
    reading: usize,
    /// Whether there was such a reading.
    came_to_it: bool,
}

/// Tells `story` with the close at its first reading of the clock, at its second, and so on, to
/// the one that has no such reading any more. An engine reads the clock on its way through all
/// that it gives up.
async fn for_every_reading(story: impl AsyncFn(&mut World)) {
    for reading in 0..100 {
        let machine = runtime::machine().expect("a clock and timers");
        let store = Memory::new(Arc::clone(&machine));
        let runtime = Arc::new(Interrupted::new(machine));
        let over = || {
            let runtime: Arc<dyn Runtime> = Arc::clone(&runtime) as _;
            Locks::over(Arc::new(store.clone()), runtime, LocksOptions::default())
        };
        let (closing, other) = (over(), over());
        let mut world = World { closing, other, runtime, store, reading, came_to_it: false };
        story(&mut world).await;
        if !world.came_to_it {
            assert!(reading > 1, "the clock was hardly read at all");
            return;
        }
    }
    panic!("it reads the clock without end");
}

type Closing = Pin<Box<dyn Future<Output = tenure::Result<()>> + Send>>;

impl World {
    /// Closes within `step`. A close that has ended has left the key as it is `clean`, and
    /// nothing that comes after changes that.
    async fn close_within(&mut self, step: impl FnOnce(), clean: fn(&Inspection) -> bool) {
        let begun: Arc<Mutex<Option<(Closing, bool)>>> = Arc::default();
        let (closing, store, begin) =
            (self.closing.clone(), self.store.clone(), Arc::clone(&begun));
        self.runtime.interrupt(self.reading, move || {
            let mut close: Closing = Box::pin(async move { closing.close(PATIENCE).await });
            let ended = poll(close.as_mut()).is_some();
            assert!(!ended || clean(&look(&store)), "ended before its time");
            *begin.lock().expect("no panic") = Some((close, ended));
        });
        step();
        self.came_to_it = !self.runtime.forget();
        let close = begun.lock().expect("no panic").take();
        let Some((close, has_ended)) = close else { return };
        if has_ended {
            assert!(clean(&look(&self.store)), "something came after the end");
        } else {
            let ended = tokio::time::timeout(PATIENCE, close).await;
            ended.expect("an end").expect("all was answered");
            assert!(clean(&look(&self.store)), "ended before its time");
        }
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn look(store: &Memory) -> Inspection {
    let page = poll(store.list("key", None, 1).as_mut()).expect("memory answers at once");
    let first = page.expect("a page").into_iter().next();
    first.map_or_else(Inspection::free, |(_, seen)| seen)
}

fn is_free(left: &Inspection) -> bool {
    left.holders.is_empty() && left.waiters.is_empty()
}
