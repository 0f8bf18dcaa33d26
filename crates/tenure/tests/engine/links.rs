//! A link to the store that was cut: all leases are verified at once, in few calls, and not once
//! more while an answer is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenure::protocol::{Op, Reply, Request};
use tenure::store::{Answer, Links, Memory, Store};
use tenure::{Guard, Locks, LocksOptions, LostReason, Renewal, runtime};
use tokio::sync::{Semaphore, watch};

use crate::still::Still;
use crate::store_wrapper::{Change, Wrapper};

const PATIENCE: Duration = Duration::from_secs(60);
const LEASES: usize = 1_200;

/// Memory behind links that the test cuts and makes.
#[derive(Debug)]
struct Linked {
    within: Memory,
    links: watch::Sender<Links>,
    /// Whether it has lost all that it knew.
    has_forgotten: AtomicBool,
    /// So many calls may be answered.
    answers: Semaphore,
    calls: AtomicUsize,
    renewals: AtomicUsize,
}

impl Change for Linked {
    fn within(&self) -> &dyn Store {
        &self.within
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let renewals = steps.iter().filter(|step| matches!(step.op, Op::Renew { .. })).count();
        if renewals == 0 {
            return self.within.call(steps);
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.renewals.fetch_add(renewals, Ordering::Relaxed);
        Box::pin(async move {
            self.answers.acquire().await.expect("it stays open").forget();
            if self.has_forgotten.load(Ordering::Relaxed) {
                return Ok(vec![Reply::Gone; renewals]);
            }
            self.within.call(steps).await
        })
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        Some(self.links.subscribe())
    }
}

impl Linked {
    fn renewals(&self) -> usize {
        self.renewals.load(Ordering::Relaxed)
    }
}

/// The clock stands still, so that no renewal is due by itself.
fn world() -> (Arc<Wrapper<Linked>>, Locks) {
    let runtime: Arc<dyn runtime::Runtime> = Arc::new(Still::default());
    let store = Arc::new(Wrapper(Linked {
        within: Memory::new(Arc::clone(&runtime)),
        links: watch::channel(Links::default()).0,
        has_forgotten: AtomicBool::new(false),
        answers: Semaphore::new(0),
        calls: AtomicUsize::new(0),
        renewals: AtomicUsize::new(0),
    }));
    let locks = Locks::over(Arc::clone(&store) as _, runtime, LocksOptions::default());
    (store, locks)
}

async fn held(locks: &Locks, renewal: Renewal) -> Vec<Guard> {
    let mut guards = Vec::new();
    for number in 0..LEASES {
        let mutex = locks.mutex(format!("{renewal:?} {number}")).with_renewal(renewal);
        guards.push(mutex.try_acquire().await.expect("an answer").expect("it is free"));
    }
    guards
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::task::yield_now().await;
    }
}

/// Everything under way has ended after this, since it waits for no timer.
async fn rest() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn all_leases_are_verified_at_once_and_in_few_calls() {
    let (store, locks) = world();
    let guards = held(&locks, Renewal::Auto).await;
    rest().await;
    assert_eq!(store.0.renewals(), 0, "nothing is due");

    store.0.links.send_modify(|links| links.cut += 1);
    until("the renewal of all", || store.0.renewals() == LEASES).await;
    let calls = store.0.calls.load(Ordering::Relaxed);
    assert!(calls <= 5, "{calls} calls for {LEASES} leases");
    // They wait for a link, and go out by the one that is made.
    store.0.links.send_modify(|links| links.made += 1);
    rest().await;
    assert_eq!(store.0.renewals(), LEASES, "sent twice for one reconnection");

    store.0.answers.add_permits(calls);
    until("the answers", || store.0.answers.available_permits() == 0).await;
    rest().await;
    // Somebody else's call has found the next link: nobody has asked yet.
    store.0.links.send_modify(|links| links.made += 1);
    until("the renewal of all", || store.0.renewals() == 2 * LEASES).await;
    store.0.has_forgotten.store(true, Ordering::Relaxed);
    store.0.answers.add_permits(1_000);
    for guard in &guards {
        let lost = tokio::time::timeout(PATIENCE, guard.lost()).await;
        assert_eq!(lost.expect("the verdict"), LostReason::Gone);
    }
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_is_verified_and_lasts_no_longer_for_it() {
    let (store, locks) = world();
    let guards = held(&locks, Renewal::Off).await;
    let deadline = guards[0].deadline();
    store.0.answers.add_permits(1_000);
    let left = async || {
        let page = store.0.within.list("", None, LEASES).await.expect("a page");
        page.iter().map(|(_, seen)| seen.holders[0].remaining).max()
    };
    let before = left().await;
    store.0.links.send_modify(|links| links.cut += 1);
    until("the look at all", || store.0.renewals() == LEASES).await;
    rest().await;
    assert_eq!((left().await, guards[0].deadline()), (before, deadline));
    guards[0].check().expect("still held");

    store.0.has_forgotten.store(true, Ordering::Relaxed);
    store.0.links.send_modify(|links| links.cut += 1);
    let lost = tokio::time::timeout(PATIENCE, guards[0].lost()).await;
    assert_eq!(lost.expect("the verdict"), LostReason::Gone);
}
