//! A logger that blocks for ever, as one does whose pipe is full, on every thread that is not the
//! test's own; and a recorder of numbers that does the same.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tenure::{Guard, Locks, LostReason, Released, Renewal};
use tenure_testkit::alone;
use tracing::span;

use crate::stores::{Stores, within};

thread_local! {
    static IS_THE_TESTS: Cell<bool> = const { Cell::new(false) };
}

/// How many threads it has blocked.
static BLOCKED: AtomicUsize = AtomicUsize::new(0);

fn block_unless_it_is_the_tests() {
    if !IS_THE_TESTS.get() {
        BLOCKED.fetch_add(1, Ordering::SeqCst);
        loop {
            thread::park();
        }
    }
}

struct Blocks;

impl tracing::Subscriber for Blocks {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        block_unless_it_is_the_tests();
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        block_unless_it_is_the_tests();
        span::Id::from_u64(1)
    }

    fn event(&self, _: &tracing::Event<'_>) {
        block_unless_it_is_the_tests();
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Recorder for Blocks {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        block_unless_it_is_the_tests();
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        block_unless_it_is_the_tests();
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        block_unless_it_is_the_tests();
        Histogram::noop()
    }
}

async fn hold(locks: &Locks, key: &str, ttl: Duration, renewal: Renewal) -> Guard {
    let mutex = locks.mutex(key).with_ttl(ttl).with_renewal(renewal);
    within("the lock", locks, mutex.acquire()).await.expect("granted")
}

/// A blocked logger takes nobody's lease, and silences no loss.
#[test]
fn logger_that_blocks_holds_up_no_renewal_and_no_loss() {
    // Both are global to a process.
    alone(|| {
        lose_and_keep_in_every_store();
    });
}

fn lose_and_keep_in_every_store() {
    IS_THE_TESTS.set(true);
    tracing::subscriber::set_global_default(Blocks).expect("the first");
    metrics::set_global_recorder(Blocks).map_err(|_| "a second").expect("the first");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let stores = Stores::start();
        for locks in stores.connect().await {
            lose_and_keep(&locks).await;
            assert_eq!(BLOCKED.load(Ordering::SeqCst), 1, "one thread is blocked, the reporter");
        }
    });
}

async fn lose_and_keep(locks: &Locks) {
    let often = Renewal::Every(Duration::from_millis(100));
    let kept = hold(locks, "kept", Duration::from_secs(60), often).await;
    let forced = hold(locks, "forced", Duration::from_secs(60), often).await;
    let short = hold(locks, "short", Duration::from_secs(2), Renewal::Off).await;
    assert_eq!(within("the loss", locks, short.lost()).await, LostReason::Expired);
    for _ in 0..3 {
        // Each is told, or would be.
        within("a renewal", locks, kept.renewed(kept.deadline())).await;
    }
    locks.mutex("forced").force_release().await.expect("an answer");
    assert_eq!(within("the loss", locks, forced.lost()).await, LostReason::Gone);
    let wait = Duration::from_millis(100);
    let waiter = locks.mutex("kept").with_wait(wait);
    within("its end", locks, waiter.acquire()).await.expect_err("held");
    let released = within("the release", locks, kept.release()).await;
    assert_eq!(released.expect("an answer"), Released::Released);
    assert!(BLOCKED.load(Ordering::SeqCst) > 0, "the logger was never told");
    within("the close", locks, locks.close(Duration::from_secs(30))).await.expect("closed");
}
