//! Wakers are foreign code: here they block, or panic. And a runtime that panics once.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use tenure::runtime::{self, Moment, Runtime, Task};
use tenure::store::Memory;
use tenure::{Guard, Locks, LocksOptions, LostReason, Renewal};
use tenure_testkit::wait_until;

use crate::stores::{PATIENCE, Stores, within};

/// Blocks for ever whoever calls it.
#[derive(Default)]
struct Blocks(AtomicUsize);

impl Wake for Blocks {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        loop {
            thread::park();
        }
    }
}

/// Panics in the face of whoever calls it.
#[derive(Default)]
struct Panics(AtomicUsize);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("woken");
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

async fn hold(locks: &Locks, key: &str, ttl: Duration, renewal: Renewal) -> Guard {
    let mutex = locks.mutex(key).with_ttl(ttl).with_renewal(renewal);
    within("the lock", locks, mutex.acquire()).await.expect("granted")
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(2);
const OFTEN: Renewal = Renewal::Every(Duration::from_millis(100));

/// Each of them has a thread of its own to block; those behind them are told by another.
#[tokio::test]
async fn waker_that_blocks_delays_no_other_loss_and_no_renewal() {
    let stores = Stores::start();
    for locks in stores.connect().await {
        let kept = hold(&locks, "kept", LONG, OFTEN).await;
        let mut guards = Vec::new();
        for index in 0..40 {
            guards.push(hold(&locks, &format!("short {index}"), SHORT, Renewal::Off).await);
        }
        let blocks = Arc::new(Blocks::default());
        let waker = Waker::from(Arc::clone(&blocks));
        let mut losses: Vec<_> = guards.iter().map(|guard| Box::pin(guard.lost())).collect();
        // All but the last, which this task awaits; and one that waits for its time.
        let last = losses.pop().expect("forty");
        let mut blocked = 0;
        for lost in &mut losses {
            blocked += usize::from(poll(lost.as_mut(), &waker).is_pending());
        }
        let mut at_risk = pin!(kept.at_risk(LONG - Duration::from_secs(1)));
        let _pending = poll(at_risk.as_mut(), &waker);
        assert_eq!(within("the loss", &locks, last).await, LostReason::Expired);
        for guard in &guards {
            guard.check().expect_err("all were for the same time");
        }
        for _ in 0..3 {
            within("a renewal", &locks, kept.renewed(kept.deadline())).await;
        }
        if blocked > 0 {
            wait_until("a blocked waker", || blocks.0.load(Ordering::SeqCst) > 0);
        }
        kept.check().expect("held");
    }
}

/// Others wait for the same loss; and the threads that called it go on.
#[tokio::test]
async fn waker_that_panics_silences_nobody() {
    let stores = Stores::start();
    for locks in stores.connect().await {
        let panics = Arc::new(Panics::default());
        let waker = Waker::from(Arc::clone(&panics));
        let kept = hold(&locks, "kept", LONG, OFTEN).await;
        for round in 0..10 {
            // Of an answer of the store, as far as it does not come at once.
            let key = format!("key {round}");
            let free = locks.mutex(&key);
            let mut acquire = Box::pin(free.acquire());
            if let Poll::Ready(granted) = poll(acquire.as_mut(), &waker) {
                drop(granted.expect("granted"));
                continue;
            }
            let before = panics.0.load(Ordering::SeqCst);
            wait_until("the answer", || panics.0.load(Ordering::SeqCst) > before);
            drop(acquire);
            drop(within("the lock", &locks, free.acquire()).await.expect("granted"));
        }
        // Of a grant from the line.
        let held = hold(&locks, "line", LONG, OFTEN).await;
        let mutex = locks.mutex("line");
        let mut first = Box::pin(mutex.acquire());
        let _pending = poll(first.as_mut(), &waker);
        held.release().await.expect("released");
        drop(first);
        drop(within("the lock", &locks, mutex.acquire()).await.expect("granted"));
        // Of a renewal and of a loss.
        let short = hold(&locks, "short", SHORT, Renewal::Off).await;
        let mut lost = pin!(short.lost());
        let mut renewed = pin!(kept.renewed(kept.deadline()));
        let _pending = (poll(lost.as_mut(), &waker), poll(renewed.as_mut(), &waker));
        within("a renewal", &locks, kept.renewed(kept.deadline())).await;
        assert_eq!(within("the loss", &locks, short.lost()).await, LostReason::Expired);
        for _ in 0..3 {
            within("a renewal", &locks, kept.renewed(kept.deadline())).await;
        }
        assert!(panics.0.load(Ordering::SeqCst) > 0, "nothing has panicked");
        within("the close", &locks, locks.close(PATIENCE)).await.expect("closed");
    }
}

/// The machine's runtime, which panics when it is told to.
#[derive(Debug)]
struct Stumbles {
    machine: Arc<dyn Runtime>,
    at_next_spawn: AtomicBool,
}

impl Runtime for Stumbles {
    fn now(&self) -> Moment {
        self.machine.now()
    }

    fn wall_micros(&self) -> u64 {
        self.machine.wall_micros()
    }

    fn sleep_until(&self, at: Moment) -> Task {
        self.machine.sleep_until(at)
    }

    fn spawn(&self, task: Task) {
        assert!(!self.at_next_spawn.swap(false, Ordering::SeqCst), "stumbles");
        self.machine.spawn(task);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.machine.random(bytes);
    }
}

#[tokio::test]
async fn keeper_that_panics_goes_on() {
    let machine = runtime::machine().expect("a clock and timers");
    let runtime = Arc::new(Stumbles { machine, at_next_spawn: AtomicBool::new(false) });
    let store = Arc::new(Memory::new(Arc::clone(&runtime) as Arc<dyn Runtime>));
    let locks = Locks::over(store, Arc::clone(&runtime) as _, LocksOptions::default());
    let kept = hold(&locks, "kept", LONG, OFTEN).await;
    for _ in 0..3 {
        runtime.at_next_spawn.store(true, Ordering::SeqCst);
        wait_until("a panic", || !runtime.at_next_spawn.load(Ordering::SeqCst));
        within("a renewal", &locks, kept.renewed(kept.deadline())).await;
    }
}
