//! The heartbeats of a process's waiters: in one call per round, however they began and however
//! slowly the store answers, and never late. Time moves in steps, and everything that a step
//! brings about is over before the next.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenure::protocol::{Op, Reply, Request};
use tenure::runtime::{Moment, Runtime, Task};
use tenure::store::{Answer, Capabilities, Memory, Store};
use tenure::testing::Clock;
use tenure::{Guard, Locks, LocksOptions, Renewal};

use crate::store_wrapper::{Change, Wrapper};

const STEP: Duration = Duration::from_millis(5);
/// Of a lease on the usual terms.
const HEARTBEAT: Duration = Duration::from_secs(1);
const WAITERS: usize = 40;

/// A clock that the test moves; what runs in the background runs on the test's own thread.
#[derive(Debug)]
struct Stepped(Clock);

impl Runtime for Stepped {
    fn now(&self) -> Moment {
        self.0.now()
    }

    fn wall_micros(&self) -> u64 {
        self.0.wall_micros()
    }

    fn sleep_until(&self, at: Moment) -> Task {
        self.0.sleep_until(at)
    }

    fn spawn(&self, task: Task) {
        tokio::spawn(task);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.0.random(bytes);
    }
}

impl Stepped {
    async fn pass(&self, span: Duration) {
        let end = self.now() + span;
        while self.now() < end {
            self.0.advance(STEP);
            // The longest way: from the keepalive task through the store to a waiter.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Memory that writes down which heartbeats come together, and answers them after a while.
#[derive(Debug)]
struct Slow {
    within: Memory,
    runtime: Arc<Stepped>,
    capabilities: Capabilities,
    answers_after: Mutex<Duration>,
    calls: Mutex<Vec<(Moment, Vec<String>)>>,
    /// How many of them had other steps, too.
    mixed: AtomicUsize,
}

impl Change for Slow {
    fn within(&self) -> &dyn Store {
        &self.within
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let is_beat = |step: &&Request| matches!(&step.op, Op::Acquire(a) if a.queue.is_some());
        let beats: Vec<_> = steps.iter().filter(is_beat).map(|step| step.key.to_string()).collect();
        if beats.is_empty() {
            return self.within.call(steps);
        }
        self.mixed.fetch_add(usize::from(beats.len() < steps.len()), Ordering::SeqCst);
        self.calls.lock().expect("no panic").push((self.runtime.now(), beats));
        let answered = self.runtime.now() + *self.answers_after.lock().expect("no panic");
        Box::pin(async move {
            let replies = self.within.call(steps).await;
            self.runtime.sleep_until(answered).await;
            replies
        })
    }
}

struct World {
    runtime: Arc<Stepped>,
    store: Arc<Wrapper<Slow>>,
    locks: Locks,
    _held: Vec<Guard>,
}

impl World {
    /// Waiters of one process, each behind a holder elsewhere, who came one after the other.
    async fn with_waiters(apart: Duration) -> Self {
        Self::with(apart, false).await
    }

    async fn with(apart: Duration, slow_grants: bool) -> Self {
        let runtime = Arc::new(Stepped(Clock::new()));
        let within = Memory::new(Arc::clone(&runtime) as _);
        let options = LocksOptions::default;
        let holders = Locks::over(Arc::new(within.clone()), Arc::clone(&runtime) as _, options());
        let capabilities = Capabilities { slow_grants, ..within.capabilities().clone() };
        let store = Arc::new(Wrapper(Slow {
            within,
            capabilities,
            mixed: AtomicUsize::default(),
            runtime: Arc::clone(&runtime),
            answers_after: Mutex::default(),
            calls: Mutex::default(),
        }));
        let locks = Locks::over(Arc::clone(&store) as _, Arc::clone(&runtime) as _, options());
        let mut guards = Vec::new();
        for number in 0..WAITERS {
            let key = format!("key-{number}");
            let held = holders.mutex(&key).with_ttl(HEARTBEAT * 600).with_renewal(Renewal::Off);
            guards.push(held.acquire().await.expect("it is free"));
            let waiter = locks.mutex(&key);
            tokio::spawn(async move { waiter.acquire().await });
            runtime.pass(apart).await;
        }
        Self { runtime, store, locks, _held: guards }
    }

    fn answer_after(&self, span: Duration) {
        *self.store.0.answers_after.lock().expect("no panic") = span;
    }

    /// The calls that have come since this was last asked, and how many heartbeats were in each.
    fn calls(&self, last: &mut HashMap<String, Moment>) -> Vec<usize> {
        let calls = std::mem::take(&mut *self.store.0.calls.lock().expect("no panic"));
        for (at, keys) in &calls {
            for key in keys {
                let before = last.insert(key.clone(), *at).unwrap_or(*at);
                let gap = at.since(before);
                assert!(gap <= HEARTBEAT + STEP, "a heartbeat for {key} came after {gap:?}");
            }
        }
        calls.into_iter().map(|(_, keys)| keys.len()).collect()
    }
}

/// Found by measuring: waiters who had come within a second stayed in three rounds for ever.
#[tokio::test]
async fn waiters_that_came_one_after_the_other_come_into_one_round() {
    let world = World::with_waiters(HEARTBEAT / 30).await;
    let mut last = HashMap::new();
    world.runtime.pass(HEARTBEAT * 2).await;
    world.calls(&mut last);
    world.runtime.pass(HEARTBEAT * 10).await;
    let calls = world.calls(&mut last);
    assert!((9..=11).contains(&calls.len()), "{calls:?}");
    assert!(calls.iter().all(|beats| *beats == WAITERS), "{calls:?}");
}

/// Found by reading: the late answer to one heartbeat called for another at once, although a
/// newer one was under way.
#[tokio::test]
async fn a_store_that_answers_late_is_not_asked_more_often() {
    let world = World::with_waiters(Duration::ZERO).await;
    let mut last = HashMap::new();
    world.runtime.pass(HEARTBEAT * 2).await;
    world.calls(&mut last);
    for late in [HEARTBEAT * 3 / 2, HEARTBEAT * 5 / 4, Duration::ZERO] {
        world.answer_after(late);
        world.runtime.pass(HEARTBEAT * 10).await;
        let calls = world.calls(&mut last);
        assert!((9..=11).contains(&calls.len()), "answered after {late:?}: {calls:?}");
        assert!(calls.iter().all(|beats| *beats == WAITERS), "{calls:?}");
    }
}

/// Otherwise a renewal would be answered when the replicas answer the heartbeats.
#[tokio::test]
async fn renewals_go_with_heartbeats_unless_grants_take_longer() {
    for slow_grants in [false, true] {
        let world = World::with(Duration::ZERO, slow_grants).await;
        // The last quarter of its interval is as long as that of heartbeats.
        let guard = world.locks.mutex("own").with_ttl(12 * HEARTBEAT).acquire().await;
        let guard = guard.expect("it is free");
        world.runtime.pass(13 * HEARTBEAT).await;
        guard.check().expect("it is renewed");
        let mixed = world.store.0.mixed.load(Ordering::SeqCst);
        assert_eq!(mixed > 0, !slow_grants, "{mixed} calls with both");
    }
}
