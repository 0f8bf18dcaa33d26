//! Renewals that fail: the holder learns of the first one while it still holds, and learns the
//! cause again at the loss.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tenure::protocol::{Op, Reply, Request};
use tenure::store::{Answer, Memory, Store, StoreError, StoreErrorClass};
use tenure::{Locks, LocksOptions, LostReason, MultiLease, Mutex, Renewal, runtime};

use crate::store_wrapper::{Change, Wrapper};

const PATIENCE: Duration = Duration::from_secs(60);
const ANSWERS: u8 = 0;
const FAILS: u8 = 1;
const IS_SILENT: u8 = 2;

/// Memory that answers no renewal for a while.
#[derive(Debug)]
struct Away {
    within: Memory,
    mode: AtomicU8,
}

impl Away {
    fn is(&self, mode: u8) {
        self.mode.store(mode, Ordering::Relaxed);
    }
}

impl Change for Away {
    fn within(&self) -> &dyn Store {
        &self.within
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let is_renewal = matches!(steps[0].op, Op::Renew { .. });
        match self.mode.load(Ordering::Relaxed) {
            FAILS if is_renewal => Box::pin(std::future::ready(Err(StoreError {
                class: StoreErrorClass::Transient,
                message: "nobody listens".into(),
                may_have_run: true,
                source: None,
            }))),
            IS_SILENT if is_renewal => Box::pin(std::future::pending()),
            _ => self.within.call(steps),
        }
    }
}

fn world() -> (Arc<Wrapper<Away>>, Locks) {
    let machine = runtime::machine().expect("threads");
    let within = Memory::new(Arc::clone(&machine));
    let store = Arc::new(Wrapper(Away { within, mode: AtomicU8::new(ANSWERS) }));
    let locks = Locks::over(Arc::clone(&store) as _, machine, LocksOptions::default());
    (store, locks)
}

fn short(locks: &Locks, key: &str) -> Mutex {
    locks.mutex(key).with_ttl(Duration::from_millis(4_500))
}

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, work).await;
    ended.unwrap_or_else(|_| panic!("{what} did not come"))
}

#[tokio::test]
async fn the_first_failure_is_known_and_forgotten_when_a_renewal_works() {
    let (store, locks) = world();
    let often = locks.mutex("key").with_renewal(Renewal::Every(Duration::from_millis(200)));
    let guard = often.acquire().await.expect("granted");
    assert_eq!(guard.renewal_failure(), None);
    let begun = locks_now(&guard.lease());
    store.0.is(FAILS);
    let failure = soon("the failure", guard.failing()).await;
    guard.check().expect("it is still held");
    assert_eq!(failure.to_string(), "nobody listens");
    assert!(failure.since() >= begun && failure.at() >= failure.since());
    assert_eq!(soon("the same again", guard.failing()).await.since(), failure.since());
    store.0.is(ANSWERS);
    soon("a renewal", guard.renewed(guard.deadline())).await;
    let works = async {
        while guard.renewal_failure().is_some() {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of the failure", works).await;
}

/// The clock that failures are told on.
fn locks_now(lease: &tenure::Lease) -> runtime::Moment {
    lease.deadline() - lease.remaining()
}

#[tokio::test]
async fn a_silent_store_is_told_before_the_call_gives_up_and_is_the_cause_of_the_loss() {
    let (store, locks) = world();
    let guard = short(&locks, "key").acquire().await.expect("granted");
    let begun = Instant::now();
    store.0.is(IS_SILENT);
    let failure = soon("the failure", guard.failing()).await;
    // The call itself has 5 s.
    assert!(failure.to_string().starts_with("no answer within "), "{failure}");
    assert_eq!(soon("the loss", guard.lost()).await, LostReason::Expired);
    assert!(begun.elapsed() < PATIENCE);
    let cause = guard.renewal_failure().expect("the cause is kept");
    assert!(cause.since() == failure.since() && cause.at() >= failure.at());
}

#[tokio::test]
async fn several_leases_fail_as_one_and_a_lease_without_renewal_never() {
    let (store, locks) = world();
    let still = short(&locks, "still").with_renewal(Renewal::Off).acquire().await.expect("granted");
    let all = locks.all(["a", "b"]).with_ttl(Duration::from_millis(4_500));
    let all = all.acquire().await.expect("granted");
    store.0.is(FAILS);
    soon("the failure", all.failing()).await;
    assert_eq!(soon("the loss", still.lost()).await, LostReason::Expired);
    assert_eq!(still.renewal_failure(), None);
    assert!(MultiLease::from(still.lease()).leases()[0].renewal_failure().is_none());
}
