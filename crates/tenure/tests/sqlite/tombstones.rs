//! Owners that are refused, very many of them: they are refused all the same, slow nobody down,
//! and leave when their time is over.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tenure::protocol::{Op, Reply, Request};
use tenure::store::{Sqlite, SqliteOptions, Store};

use crate::world::{Clock, acquire, ask, fence, key, open, owner, release};

const TTL: Duration = Duration::from_secs(3600);
const MANY: u32 = 100_000;

fn tombstones(path: &Path) -> u32 {
    let db = Connection::open(path).expect("a connection");
    let count = db.query_row("SELECT count(*) FROM tombstone", [], |row| row.get(0));
    count.expect("a number")
}

async fn renewed_within(store: &Sqlite, name: &str) -> Duration {
    let since = Instant::now();
    let renew = Op::Renew { owner: owner(1), ttl: TTL };
    assert_eq!(ask(store, name, renew).await.expect("an answer"), Reply::Renewed);
    since.elapsed()
}

/// Every wait that is given up may leave one.
#[tokio::test]
async fn a_hundred_thousand_tombstones_do_not_slow_a_renewal() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let (here, there) = (open(&path).await, open(&path).await);
    for name in ["full", "empty"] {
        fence(&ask(&here, name, acquire(&owner(1), TTL)).await.expect("an answer"));
    }
    let withdraw = Op::Withdraw { owner: owner(2), tombstone: TTL };
    ask(&here, "full", withdraw).await.expect("an answer");
    let db = Connection::open(&path).expect("a connection");
    db.execute(
        "WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < ?1)
         INSERT INTO tombstone (key, seq, owner, attempt, until)
         SELECT key, 1000 + n, 'gone-' || n, n, until FROM tombstone, more",
        [MANY],
    )
    .expect("inserted");
    drop(db);
    // The best of many: a busy machine makes some slow, but not all of one kind. They alternate
    // between two connections, so that each loads its key anew.
    let mut best = [Duration::MAX; 2];
    for _ in 0..100 {
        for (best, name) in best.iter_mut().zip(["full", "empty"]) {
            for store in [&here, &there] {
                *best = renewed_within(store, name).await.min(*best);
            }
        }
    }
    let [full, empty] = best;
    println!("a renewal beside {MANY} tombstones: {full:?}, beside none: {empty:?}");
    assert!(full < empty * 5, "{full:?} beside {MANY} tombstones, {empty:?} beside none");
    // A step that writes one is no slower than a step that writes.
    let withdraw = |n| Op::Withdraw { owner: owner(n), tombstone: TTL };
    let mut best = Duration::MAX;
    for n in 100..200 {
        let since = Instant::now();
        ask(&here, "full", withdraw(n)).await.expect("an answer");
        best = best.min(since.elapsed());
    }
    println!("one more: {best:?}");
    assert!(best < empty * 10, "{best:?} for one more tombstone");
}

#[tokio::test]
async fn they_are_refused_by_every_connection_and_leave_in_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = Clock::new();
    let open = async || {
        let options = SqliteOptions::default();
        Sqlite::open_with(&path, clock.clone(), options).await.expect("it opens")
    };
    let (here, there) = (open().await, open().await);
    fence(&ask(&here, "k", acquire(&owner(0), TTL)).await.expect("an answer"));
    let short = Duration::from_secs(60);
    let bury =
        |n, tombstone| Request { key: key("k"), op: Op::Withdraw { owner: owner(n), tombstone } };
    here.call((1..=500).map(|n| bury(n, short)).collect()).await.expect("buried");
    here.call(vec![bury(500, TTL), bury(501, TTL)]).await.expect("buried");
    assert_eq!(tombstones(&path), 501, "one of each owner");
    ask(&here, "k", release(&owner(0))).await.expect("an answer");
    for store in [&here, &there, &open().await] {
        for n in [1, 250, 500, 501] {
            let refused = ask(store, "k", acquire(&owner(n), TTL)).await.expect("an answer");
            assert_eq!(refused, Reply::Withdrawn, "{n}");
        }
    }
    // A shorter one shortens nothing.
    here.call(vec![bury(501, short)]).await.expect("buried");
    clock.advance(short + Duration::from_secs(1));
    for n in [500, 501] {
        let refused = ask(&there, "k", acquire(&owner(n), TTL)).await.expect("an answer");
        assert_eq!(refused, Reply::Withdrawn, "{n} is refused for an hour");
    }
    fence(&ask(&there, "k", acquire(&owner(250), TTL)).await.expect("its time is over"));
    for _ in 0..10 {
        let renew = Op::Renew { owner: owner(250), ttl: TTL };
        assert_eq!(ask(&here, "k", renew).await.expect("an answer"), Reply::Renewed);
    }
    assert_eq!(tombstones(&path), 2, "the others have left");
    clock.advance(TTL + TTL);
    ask(&here, "k", acquire(&owner(502), TTL)).await.expect("an answer");
    assert_eq!(tombstones(&path), 0);
}

/// A key that nobody holds any more is not forgotten as long as somebody is refused.
#[tokio::test]
async fn a_key_with_nothing_but_a_tombstone_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let store = open(&path).await;
    let withdraw = Op::Withdraw { owner: owner(1), tombstone: TTL };
    ask(&store, "k", withdraw).await.expect("an answer");
    for n in [2, 3] {
        // They find nothing and leave nothing.
        assert_eq!(ask(&store, "k", release(&owner(n))).await.expect("an answer"), Reply::Gone);
    }
    let refused = ask(&open(&path).await, "k", acquire(&owner(1), TTL)).await;
    assert_eq!(refused.expect("an answer"), Reply::Withdrawn);
}
