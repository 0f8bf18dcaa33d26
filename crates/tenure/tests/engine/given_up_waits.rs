//! A wait that is given up leaves nothing at the store: not a place, and no tombstone, which the
//! store would have to keep for a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tenure::protocol::{Op, Reply, Request};
use tenure::runtime::{self, Runtime};
use tenure::store::{Answer, Memory, Redis, Sqlite, Store};
use tenure::{ErrorKind, Locks, LocksOptions, Owner};
use tenure_testkit::{Reply as Said, Server};

use crate::store_wrapper::{Change, Wrapper};

/// No step of a machine that runs tests takes so long, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);
const WAITS: usize = 1_000;
const AT_ONCE: usize = 100;

/// The steps that want a tombstone.
#[derive(Debug, Default)]
struct Tombstones {
    /// The requests of each owner that are under way.
    under_way: HashMap<Owner, usize>,
    /// For an owner with a request under way, which may arrive later.
    needed: usize,
    /// For an owner without one.
    needless: usize,
}

/// Counts the steps that want a tombstone.
#[derive(Debug)]
struct Counted {
    store: Arc<dyn Store>,
    tombstones: Arc<Mutex<Tombstones>>,
}

impl Change for Counted {
    fn within(&self) -> &dyn Store {
        &*self.store
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let mut asking = Vec::new();
        let mut tombstones = self.tombstones.lock().expect("no panic");
        for step in &steps {
            match &step.op {
                Op::Acquire(acquire) => {
                    *tombstones.under_way.entry(acquire.owner.clone()).or_default() += 1;
                    asking.push(acquire.owner.clone());
                }
                Op::Withdraw { owner, .. } | Op::Release { owner, tombstone: Some(_), .. } => {
                    let may_arrive =
                        tombstones.under_way.get(owner).is_some_and(|count| *count > 0);
                    tombstones.needed += usize::from(may_arrive);
                    tombstones.needless += usize::from(!may_arrive);
                }
                _ => {}
            }
        }
        drop(tombstones);
        let answer = self.store.call(steps);
        Box::pin(async move {
            let answer = answer.await;
            if answer.is_ok() {
                let mut tombstones = self.tombstones.lock().expect("no panic");
                for owner in asking {
                    tombstones.under_way.entry(owner).and_modify(|count| *count -= 1);
                }
            }
            answer
        })
    }
}

/// A thousand tasks wait for a key that another has, and give up. Each has a place of its own at
/// the store. Answers how many tombstones that took.
async fn give_up(store: Arc<dyn Store>) -> usize {
    let runtime = runtime::machine().expect("a clock and timers");
    let tombstones = Arc::<Mutex<Tombstones>>::default();
    let over = |store: Arc<dyn Store>| {
        let options = LocksOptions::default().with_store_timeout(PATIENCE);
        Locks::over(store, Arc::clone(&runtime), options)
    };
    let other = over(Arc::clone(&store));
    let counted = Counted { store, tombstones: Arc::clone(&tombstones) };
    let locks = over(Arc::new(Wrapper(counted)));
    let held = other.mutex("key").acquire().await.expect("granted");
    let mut unanswered = 0;
    for round in 0..WAITS / AT_ONCE {
        let waits: Vec<_> = (0..AT_ONCE)
            .map(|index| {
                let mutex = locks.mutex("key").with_owner(format!("{round}-{index}"));
                // With all that must be answered before, it has its place for a while.
                tokio::spawn(
                    async move { mutex.with_wait(Duration::from_millis(500)).acquire().await },
                )
            })
            .collect();
        for wait in waits {
            let error = wait.await.expect("no panic").expect_err("held");
            match error.kind() {
                ErrorKind::Busy => {}
                ErrorKind::Unavailable => unanswered += 1,
                _ => panic!("{error}"),
            }
        }
    }
    let began = Instant::now();
    while !other.mutex("key").inspect().await.expect("a look").waiters.is_empty() {
        assert!(began.elapsed() < PATIENCE, "places are left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    locks.close(PATIENCE).await.expect("nothing is owed");
    held.release().await.expect("released");
    assert!(unanswered < WAITS, "no wait was answered");
    let tombstones = tombstones.lock().expect("no panic");
    let Tombstones { needed, needless, .. } = &*tombstones;
    assert!(*needless < FEW, "{needless} tombstones of waits of which nothing was under way");
    needed + needless
}

/// An answer may have come that its waiter has not been told of when it gives up: on a busy
/// machine, those of many waits that began at once.
const FEW: usize = WAITS / 2;

#[tokio::test]
async fn in_memory() {
    let store = Memory::new(runtime::machine().expect("a clock and timers"));
    give_up(Arc::new(store)).await;
}

#[tokio::test]
async fn in_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("locks.db");
    let runtime: Arc<dyn Runtime> = runtime::machine().expect("a clock and timers");
    let store = Sqlite::open(&file, runtime).await.expect("a file");
    let wanted = give_up(Arc::new(store)).await;
    let db = rusqlite::Connection::open(&file).expect("the file");
    let count = "SELECT count(*) FROM tombstone";
    let kept: u32 = db.query_row(count, [], |row| row.get(0)).expect("a count");
    assert!(kept as usize <= wanted, "{kept} tombstones where {wanted} were wanted");
}

#[tokio::test]
async fn in_a_server() {
    let server = Server::redis().start();
    let runtime: Arc<dyn Runtime> = runtime::machine().expect("a clock and timers");
    let url = format!("{}?call_timeout=60s&connect_timeout=60s", server.url());
    let store = Redis::open(&url, runtime).await.expect("a server");
    let wanted = give_up(Arc::new(store)).await;
    let all = "local count = 0 for _, name in ipairs(redis.call('KEYS', '*:buried')) do \
               count = count + redis.call('ZCARD', name) end return count";
    let Said::Int(kept) = server.command(&["EVAL", all, "0"]) else { panic!("a count") };
    assert!(usize::try_from(kept).is_ok_and(|kept| kept <= wanted), "{kept} where {wanted}");
}
