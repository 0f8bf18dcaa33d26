//! A logger and a recorder of numbers that panic whatever they are told, on all threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tenure::protocol::State;
use tenure::{Locks, LostReason, Released, Renewal};
use tenure_testkit::alone;
use tracing::span;

use crate::stores::{Stores, within};

static TOLD: AtomicUsize = AtomicUsize::new(0);

fn fail() -> ! {
    TOLD.fetch_add(1, Ordering::SeqCst);
    panic!("told of something");
}

struct Panics;

impl tracing::Subscriber for Panics {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    /// One in two is made, so that it is entered and left.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        if TOLD.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            fail();
        }
        span::Id::from_u64(1)
    }

    fn event(&self, _: &tracing::Event<'_>) {
        fail();
    }

    fn enter(&self, _: &span::Id) {
        fail();
    }

    fn exit(&self, _: &span::Id) {
        fail();
    }

    fn try_close(&self, _: span::Id) -> bool {
        fail();
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
}

impl Recorder for Panics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        fail();
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        fail();
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        fail();
    }
}

#[test]
fn logger_that_panics_ends_nothing_and_leaves_nothing() {
    // The logger, the recorder and the hook are global to a process.
    alone(|| {
        live_in_every_store();
    });
}

fn live_in_every_store() {
    std::panic::set_hook(Box::new(|info| {
        // Those of the logger are too many.
        if info.payload().downcast_ref() != Some(&"told of something") {
            eprintln!("{info}");
        }
    }));
    tracing::subscriber::set_global_default(Panics).expect("the first");
    metrics::set_global_recorder(Panics).map_err(|_| "a second").expect("the first");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let stores = Stores::start();
        for locks in stores.connect().await {
            live(&locks).await;
        }
    });
    assert!(TOLD.load(Ordering::SeqCst) > 40, "hardly anything was told");
}

async fn live(locks: &Locks) {
    let often = Renewal::Every(Duration::from_millis(50));
    let long = locks.mutex("key").with_ttl(Duration::from_secs(60)).with_renewal(often);
    // Several, since one in two spans is made.
    for _ in 0..4 {
        let guard = within("the lock", locks, long.acquire()).await.expect("granted");
        assert!(within("a look", locks, long.try_acquire()).await.expect("a look").is_none());
        for _ in 0..3 {
            within("a renewal", locks, guard.renewed(guard.deadline())).await;
        }
        let released = within("the release", locks, guard.release()).await;
        assert_eq!(released.expect("an answer"), Released::Released);
        let sum = long.run(|_lease| async { tenure::ok(2) });
        assert_eq!(within("the work", locks, sum).await.expect("it ran"), 2);
        drop(within("the lock", locks, long.acquire()).await.expect("granted"));
    }
    let forced = within("the lock", locks, long.acquire()).await.expect("granted");
    long.force_release().await.expect("an answer");
    assert_eq!(within("the loss", locks, forced.lost()).await, LostReason::Gone);
    drop(forced);
    let short = locks.mutex("short").with_ttl(Duration::from_secs(2));
    let short = within("the lock", locks, short.with_renewal(Renewal::Off).acquire()).await;
    let short = short.expect("granted");
    assert_eq!(within("the loss", locks, short.lost()).await, LostReason::Expired);
    drop(short);
    let free = async {
        for key in ["key", "short"] {
            while locks.mutex(key).inspect().await.expect("a look").state != State::Free {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    within("a free key", locks, free).await;
    within("the close", locks, locks.close(Duration::from_secs(30))).await.expect("closed");
}
