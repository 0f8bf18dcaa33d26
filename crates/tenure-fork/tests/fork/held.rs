//! Another thread is in the middle of something at the fork, and may hold any lock of Tenure's:
//! the child has no such thread, and must come by without them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use pollster::block_on;
use tenure::runtime::{self, Moment, Runtime, Task};
use tenure::store::{Memory, Redis, Store};
use tenure::{Locks, LocksOptions};
use tenure_fork::fork;
use tenure_testkit::{LIMIT, Server, alone, wait_until};

use crate::inherited::Hands;
use crate::stores::unhurried;

/// The thread that stops on its way.
const THREAD: &str = "stops";

/// The machine's runtime, on which one thread stops at a call, with whatever it holds then.
#[derive(Debug)]
struct Stops {
    machine: Arc<dyn Runtime>,
    /// How many calls it makes before that.
    before: AtomicI64,
    has_stopped: AtomicBool,
    goes_on: AtomicBool,
}

impl Stops {
    fn at_call(number: i64) -> Arc<Self> {
        Arc::new(Self {
            machine: runtime::machine().expect("threads"),
            before: AtomicI64::new(number),
            has_stopped: AtomicBool::new(false),
            goes_on: AtomicBool::new(false),
        })
    }

    fn pass(&self) {
        if thread::current().name() == Some(THREAD)
            && self.before.fetch_sub(1, Ordering::AcqRel) == 0
        {
            self.has_stopped.store(true, Ordering::Release);
            wait_until("the child has ended", || self.goes_on.load(Ordering::Acquire));
        }
    }
}

impl Runtime for Stops {
    fn now(&self) -> Moment {
        self.pass();
        self.machine.now()
    }

    fn wall_micros(&self) -> u64 {
        self.pass();
        self.machine.wall_micros()
    }

    fn sleep_until(&self, at: Moment) -> Task {
        self.pass();
        self.machine.sleep_until(at)
    }

    fn spawn(&self, task: Task) {
        self.pass();
        self.machine.spawn(task);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.pass();
        self.machine.random(bytes);
    }
}

/// Acquires, is waited for, passes the lock on, releases.
fn work(locks: &Locks) {
    let busy = locks.mutex("busy").with_ttl(Duration::from_secs(60));
    block_on(async {
        let first = busy.acquire().await.expect("free");
        let in_time = busy.clone().with_wait(Duration::from_millis(1));
        assert!(in_time.acquire().await.is_err());
        first.release().await.expect("an answer");
        drop(busy.try_acquire().await.expect("an answer"));
    });
}

/// Answers whether the thread came to that call at all.
fn fork_at_call(number: i64, store: impl FnOnce(Arc<dyn Runtime>) -> Arc<dyn Store>) -> bool {
    let runtime = Stops::at_call(number);
    let dyn_seam: Arc<dyn Runtime> = Arc::clone(&runtime) as _;
    let options = LocksOptions::default().with_store_timeout(LIMIT);
    let locks = Locks::over(store(Arc::clone(&dyn_seam)), dyn_seam, options);
    let mut hands = Some(Hands::full(locks.clone()));
    let of_thread = locks.clone();
    let busy = thread::Builder::new().name(THREAD.to_owned()).spawn(move || work(&of_thread));
    let busy = busy.expect("a thread");
    wait_until("it stops, or has done all", || {
        runtime.has_stopped.load(Ordering::Acquire) || busy.is_finished()
    });
    let has_stopped = runtime.has_stopped.load(Ordering::Acquire);
    let mut inherited = Some(locks);
    let child = fork(|| {
        hands.take().expect("its own").poke();
        drop(inherited.take());
        "done"
    });
    let said = child.says();
    runtime.goes_on.store(true, Ordering::Release);
    busy.join().expect("it goes on as if nothing had happened");
    assert_eq!(said, "done", "call {number}");
    hands.take().expect("the parent's").give_back();
    let locks = inherited.expect("the parent's");
    block_on(locks.close(LIMIT)).expect("all is given back");
    has_stopped
}

fn fork_at_every_call(store: impl Fn(Arc<dyn Runtime>) -> Arc<dyn Store>) {
    let calls = (0..).take_while(|number| fork_at_call(*number, &store)).count();
    assert!(calls > 15, "only {calls} calls");
}

#[test]
fn with_a_store_in_memory() {
    alone(|| {
        fork_at_every_call(|runtime| Arc::new(Memory::new(runtime)));
    });
}

#[test]
fn with_redis() {
    alone(|| {
        let server = Server::redis().start();
        fork_at_every_call(|runtime| {
            Arc::new(block_on(Redis::open(&unhurried(&server), runtime)).expect("the server is up"))
        });
    });
}
