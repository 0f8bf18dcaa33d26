//! Claims over a store that withdraws what it cannot answer, as a quorum does: each try has an
//! owner of its own, and no request of an earlier one takes effect beside it.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tenure::protocol::{Op, Reply, Request};
use tenure::runtime;
use tenure::store::{Answer, Capabilities, Memory, Store, StoreError, StoreErrorClass};
use tenure::{Begun, Locks, LocksOptions, Once};
use tenure_testkit::LIMIT;

use crate::store_wrapper::{Change, Wrapper};

/// The fate of the next claim.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Too few nodes answer. It is still under way to all of them.
    Late,
    /// A majority answers, and others have a part of it. It is still at a majority of nodes.
    Lingers,
}

#[derive(Debug)]
struct Parts {
    within: Memory,
    capabilities: Capabilities,
    fates: Mutex<VecDeque<Fate>>,
    /// The calls with a claim, so far.
    asked: Mutex<Vec<Vec<Request>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Change for Parts {
    fn within(&self) -> &dyn Store {
        &self.within
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let Some(Request { op: Op::Begin { .. } | Op::Steal(_), .. }) = steps.last() else {
            return self.within.call(steps);
        };
        lock(&self.asked).push(steps.clone());
        match lock(&self.fates).pop_front() {
            None => self.within.call(steps),
            Some(Fate::Late) => Box::pin(ready(Err(StoreError {
                class: StoreErrorClass::Transient,
                message: "1 of 3 nodes answered".into(),
                may_have_run: true,
                source: None,
            }))),
            Some(Fate::Lingers) => Box::pin(async move {
                self.within.call(steps).await?;
                Ok(vec![Reply::Busy { look_in: Duration::ZERO, blocker: None }])
            }),
        }
    }
}

struct World {
    store: Arc<Wrapper<Parts>>,
    locks: Locks,
}

fn world(fates: impl IntoIterator<Item = Fate>) -> World {
    let machine = runtime::machine().expect("a clock and timers");
    let within = Memory::new(Arc::clone(&machine));
    let capabilities =
        Capabilities { fifo: false, composite: true, ..within.capabilities().clone() };
    let fates = Mutex::new(fates.into_iter().collect());
    let store = Parts { within, capabilities, fates, asked: Mutex::default() };
    let store = Arc::new(Wrapper(store));
    let options = LocksOptions::default().with_store_timeout(LIMIT);
    let locks = Locks::over(Arc::clone(&store) as _, machine, options);
    World { store, locks }
}

impl World {
    fn job(&self) -> Once {
        self.locks.once("key").every(Duration::from_secs(3_600)).since_last_run().with_ttl(LIMIT)
    }

    /// A request of an earlier try arrives.
    async fn arrives(&self, step: &Request) -> Reply {
        let replies = self.store.0.within.call(vec![step.clone()]).await;
        replies.expect("memory answers").swap_remove(0)
    }

    /// The calls with a claim. Behind the withdrawals of all before it, each has one of its own.
    fn asked(&self) -> Vec<Vec<Request>> {
        let asked = lock(&self.store.0.asked).clone();
        let owner_of = |step: &Request| match &step.op {
            Op::Begin { acquire, .. } | Op::Steal(acquire) => acquire.owner.clone(),
            other => panic!("{other:?}"),
        };
        let claims: Vec<_> = asked.iter().map(|steps| owner_of(&steps[steps.len() - 1])).collect();
        for (index, steps) in asked.iter().enumerate() {
            let (_, before) = steps.split_last().expect("a claim");
            let withdrawn = before.iter().map(|step| match &step.op {
                Op::Withdraw { owner, .. } => owner.clone(),
                other => panic!("{other:?}"),
            });
            assert_eq!(withdrawn.collect::<Vec<_>>(), claims[..index]);
            assert!(!claims[..index].contains(&claims[index]), "an owner that is refused");
        }
        asked
    }
}

#[tokio::test]
async fn a_late_steal_of_an_earlier_try_takes_nothing_from_the_next() {
    let world = world([Fate::Late, Fate::Late]);
    let guard = world.locks.mutex("key").with_ttl(LIMIT).steal().await.expect("stolen");
    let asked = world.asked();
    assert_eq!(asked.len(), 3);
    for steps in &asked[..2] {
        let last = steps.last().expect("a claim");
        assert_eq!(world.arrives(last).await, Reply::Withdrawn);
    }
    let seen = world.locks.mutex("key").inspect().await.expect("a look");
    assert_eq!(seen.holders[0].owner, *guard.owner());
}

#[tokio::test]
async fn a_late_begin_of_an_earlier_try_is_no_second_run() {
    let world = world([Fate::Late]);
    let Begun::Ours(guard) = world.job().begin().await.expect("an answer") else {
        panic!("nobody ran it")
    };
    let asked = world.asked();
    assert_eq!(asked.len(), 2);
    let late = asked[0].last().expect("a claim");
    assert!(
        matches!(world.arrives(late).await, Reply::AlreadyRan(run) if run.owner == *guard.owner())
    );
    guard.finish(tenure::Outcome::Ok).await.expect("finished");
    assert!(matches!(world.arrives(late).await, Reply::AlreadyRan(_)));
}

/// It would be a tick without a run.
#[tokio::test]
async fn nobody_skips_because_of_an_own_run_that_is_being_withdrawn() {
    let world = world([Fate::Lingers]);
    let job = world.job();
    let begin = tokio::spawn(async move { job.begin().await });
    let asked = async || {
        while lock(&world.store.0.asked).len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, asked()).await.expect("it is asked again");
    let first = lock(&world.store.0.asked)[0][0].clone();
    let Op::Begin { acquire, .. } = first.op else { panic!("{first:?}") };
    let op = Op::Withdraw { owner: acquire.owner, tombstone: LIMIT };
    world.arrives(&Request { key: first.key, op }).await;
    match begin.await.expect("no panic").expect("an answer") {
        Begun::Ours(guard) => guard.finish(tenure::Outcome::Ok).await.expect("finished"),
        Begun::Skipped(last) => panic!("skipped: {last}"),
    }
}
