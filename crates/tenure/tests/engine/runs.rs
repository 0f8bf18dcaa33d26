//! Runs of a job whose requests or replies are lost, or whose futures are dropped: a run that
//! nobody was told of was never begun, and an outcome that was told comes on record.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tenure::protocol::{Op, Reply, Request};
use tenure::runtime;
use tenure::store::{Answer, Memory, Store, StoreError, StoreErrorClass};
use tenure::{Begun, ErrorKind, Locks, LocksOptions, Once, OnceGuard, Outcome, RunState};
use tenure_testkit::LIMIT;
use tokio::sync::Notify;

use crate::store_wrapper::{Change, Wrapper};

/// The fate of the next request that begins or ends a run.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is carried out, and its reply is lost.
    Unheard,
    /// It gets lost itself, which nobody knows.
    Unsent,
    /// It is carried out, and its reply never comes.
    Hangs,
    /// It is carried out, and its reply comes when the gate is opened.
    Waits,
}

#[derive(Debug)]
struct Lossy {
    within: Memory,
    fates: Mutex<VecDeque<Fate>>,
    gate: Notify,
}

impl Change for Lossy {
    fn within(&self) -> &dyn Store {
        &self.within
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let is_meant = |step: &Request| matches!(step.op, Op::Begin { .. } | Op::Finish { .. });
        let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner);
        let fate = if steps.iter().any(is_meant) { fates.pop_front() } else { None };
        let lost = StoreError {
            class: StoreErrorClass::Transient,
            message: "the reply is lost".into(),
            may_have_run: true,
            source: None,
        };
        match fate {
            None => self.within.call(steps),
            Some(Fate::Unsent) => Box::pin(async { Err(lost) }),
            Some(Fate::Unheard) => Box::pin(async move {
                self.within.call(steps).await?;
                Err(lost)
            }),
            Some(Fate::Waits) => Box::pin(async move {
                let replies = self.within.call(steps).await;
                self.gate.notified().await;
                replies
            }),
            Some(Fate::Hangs) => Box::pin(async move {
                self.within.call(steps).await?;
                pending().await
            }),
        }
    }
}

struct World {
    store: Arc<Wrapper<Lossy>>,
    locks: Locks,
    once: Once,
}

/// As long as a request is waited for that hangs.
const SHORT: Duration = Duration::from_millis(200);

fn job(locks: &Locks) -> Once {
    locks.once("job").every(Duration::from_secs(3_600)).since_last_run()
}

impl World {
    fn new() -> Self {
        Self::within(LIMIT)
    }

    /// Where no request is waited for longer than this.
    fn within(store_timeout: Duration) -> Self {
        let runtime = runtime::machine().expect("a clock and timers");
        let within = Memory::new(Arc::clone(&runtime));
        let (fates, gate) = (Mutex::default(), Notify::new());
        let store = Arc::new(Wrapper(Lossy { within, fates, gate }));
        let options = LocksOptions::default().with_store_timeout(store_timeout);
        let locks = Locks::over(Arc::clone(&store) as _, runtime, options);
        let once = job(&locks);
        Self { store, locks, once }
    }

    fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.store.0.fates.lock().unwrap_or_else(PoisonError::into_inner).extend(fates);
    }

    fn nothing_is_lost_any_more(&self) {
        self.store.0.fates.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn begun(&self) -> OnceGuard {
        match self.once.begin().await.expect("an answer") {
            Begun::Ours(guard) => guard,
            Begun::Skipped(last) => panic!("skipped: {last}"),
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn(Option<RunState>) -> bool) {
        let started = Instant::now();
        while !is_so(self.once.last().await.expect("a look").map(|last| last.state)) {
            assert!(started.elapsed() < LIMIT, "{what}: not in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn begin_whose_reply_is_lost_is_repeated() {
    for fate in [Fate::Unheard, Fate::Unsent] {
        let world = World::new();
        world.next([fate]);
        let guard = world.begun().await;
        guard.check().expect("held");
        guard.finish(Outcome::Ok).await.expect("finished");
    }
}

#[tokio::test]
async fn run_that_nobody_was_told_of_leaves_its_tick() {
    let world = World::within(SHORT);
    world.next([Fate::Unheard; 1_000]);
    let error = world.once.begin().await.expect_err("no answer");
    assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
    world.nothing_is_lost_any_more();
    world.until("it is withdrawn", |state| state.is_none()).await;
    drop(world.begun().await);
}

#[tokio::test]
async fn dropped_begin_leaves_its_tick() {
    let world = World::within(SHORT);
    world.next([Fate::Hangs]);
    let begin = tokio::time::timeout(Duration::from_millis(20), world.once.begin());
    begin.await.expect_err("it hangs");
    world.until("it is withdrawn", |state| state.is_none()).await;
    drop(world.begun().await);
}

#[tokio::test]
async fn run_that_is_granted_to_a_closed_engine_leaves_its_tick() {
    let world = World::new();
    world.next([Fate::Waits]);
    let mut begin = std::pin::pin!(world.once.begin());
    let too_early = tokio::time::timeout(Duration::from_millis(20), begin.as_mut());
    too_early.await.expect_err("the gate is closed");
    // It waits for the request that is under way.
    let close = world.locks.close(LIMIT);
    let open_and_begin = async {
        tokio::task::yield_now().await;
        world.store.0.gate.notify_one();
        begin.await
    };
    let (closed, begun) = tokio::join!(close, open_and_begin);
    closed.expect("all is answered");
    assert_eq!(begun.expect_err("it is closed").kind(), ErrorKind::Closed);
    let machine = runtime::machine().expect("a clock and timers");
    let other = Locks::over(Arc::clone(&world.store) as _, machine, LocksOptions::default());
    assert_eq!(job(&other).last().await.expect("a look"), None, "its tick is used up");
}

#[tokio::test]
async fn outcome_whose_reply_is_lost_comes_on_record() {
    for fate in [Fate::Unheard, Fate::Unsent] {
        let world = World::new();
        let guard = world.begun().await;
        world.next([fate]);
        let error = guard.finish(Outcome::Ok).await.expect_err("no answer");
        assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
        world.until("it is on record", |state| state == Some(RunState::Ok)).await;
    }
}

#[tokio::test]
async fn dropped_finish_goes_on_in_the_background() {
    let world = World::within(SHORT);
    let guard = world.begun().await;
    world.next([Fate::Hangs, Fate::Unsent]);
    let finish = guard.finish(Outcome::failed("no table"));
    tokio::time::timeout(Duration::from_millis(20), finish).await.expect_err("it hangs");
    world.until("it is on record", |state| matches!(state, Some(RunState::Failed(_)))).await;
}

/// The work's result stands, as with every lock.
#[tokio::test]
async fn work_ends_well_though_its_outcome_is_not_answered() {
    let world = World::new();
    let store = Arc::clone(&world.store);
    let ran = world.once.run(|_lease| async move {
        let mut fates = store.0.fates.lock().unwrap_or_else(PoisonError::into_inner);
        fates.push_back(Fate::Unsent);
        tenure::ok(7)
    });
    assert_eq!(ran.await.expect("its result").done(), Some(7));
    world.until("it is on record", |state| state == Some(RunState::Ok)).await;
}
