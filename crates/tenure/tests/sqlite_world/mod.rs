//! A clock that stands still until a test moves it, and words that are quick to write.

#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tenure::logic::{Acquire, Op, Queueing, Reply, Step};
use tenure::seam::{self, Moment, Seam, Task};
use tenure::store::{Sqlite, Store, StoreError};
use tenure::{Claim, Fence, Key, Label, Owner};

/// The machine's seam with a clock of its own.
#[derive(Debug)]
pub(crate) struct Clock {
    now: AtomicU64,
    wall: AtomicU64,
    machine: Arc<dyn Seam>,
}

impl Clock {
    pub(crate) fn new() -> Arc<Self> {
        let machine = seam::machine().expect("the machine's seam starts");
        Arc::new(Self { now: 1_000_000.into(), wall: 1_700_000_000_000_000.into(), machine })
    }

    pub(crate) fn advance(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).expect("a short span");
        self.now.fetch_add(micros, Ordering::SeqCst);
        self.wall.fetch_add(micros, Ordering::SeqCst);
    }

    pub(crate) fn set_wall(&self, micros: u64) {
        self.wall.store(micros, Ordering::SeqCst);
    }
}

impl Seam for Clock {
    fn now(&self) -> Moment {
        Moment::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn wall_micros(&self) -> u64 {
        self.wall.load(Ordering::SeqCst)
    }

    fn sleep_until(&self, _: Moment) -> Task {
        unreachable!("a store does not sleep")
    }

    fn spawn(&self, task: Task) {
        self.machine.spawn(task);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.machine.random(bytes);
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).expect("a good key")
}

pub(crate) fn owner(number: u64) -> Owner {
    Owner::from_parts(&format!("owner-{number}"), number)
}

/// A claim of `owner` for `ttl`, without a place in the queue.
pub(crate) fn claim(owner: &Owner, ttl: Duration) -> Acquire {
    let label = Label::new("test");
    Acquire { owner: owner.clone(), label, claim: Claim::MUTEX, ttl, queue: None }
}

pub(crate) fn acquire(owner: &Owner, ttl: Duration) -> Op {
    Op::Acquire(claim(owner, ttl))
}

/// A claim that waits for up to `window` without a heartbeat.
pub(crate) fn wait_for(
    owner: &Owner,
    ttl: Duration,
    window: Duration,
    inbox: Option<Arc<str>>,
) -> Op {
    let queue = Some(Queueing { window, stamp: 7, inbox });
    Op::Acquire(Acquire { queue, ..claim(owner, ttl) })
}

pub(crate) fn release(owner: &Owner) -> Op {
    Op::Release { owner: owner.clone(), min_hold: Duration::ZERO, tombstone: None }
}

/// One step, one reply.
pub(crate) async fn ask(store: &Sqlite, name: &str, op: Op) -> Result<Reply, StoreError> {
    let replies = store.call(vec![Step { key: key(name), op }]).await?;
    assert_eq!(replies.len(), 1, "one reply for one step");
    Ok(replies.into_iter().next().expect("one reply"))
}

/// The fence of a grant.
pub(crate) fn fence(reply: &Reply) -> Fence {
    match reply {
        Reply::Granted { fence } => *fence,
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) async fn open(path: &std::path::Path) -> Sqlite {
    let machine = seam::machine().expect("the machine's seam starts");
    Sqlite::open(path, machine).await.expect("the store opens")
}
