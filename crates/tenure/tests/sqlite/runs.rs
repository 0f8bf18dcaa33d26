//! The runs of jobs in a file: what a reboot, a sweep and an older file do to them.

use std::sync::Arc;
use std::time::Duration;

use crate::world::{Clock, ask, claim, owner, release};
use tenure::Outcome;
use tenure::protocol::{Count, LastRun, Op, Reply, RunState, TickClock, Ticks};
use tenure::runtime::Runtime;
use tenure::store::{Sqlite, SqliteOptions};

const TTL: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3_600);
/// When the tests begin, in microseconds since 1970: at the edge of an hour.
const WALL: u64 = 1_800_000_000_000_000;

fn begin(number: u64) -> Op {
    let (every, count, retry_failed) = (HOUR, Count::Grid, false);
    let ticks = Ticks { every, count, retry_failed, clock: TickClock::Store };
    Op::Begin { acquire: claim(&owner(number), TTL), ticks }
}

fn finish(number: u64) -> Op {
    Op::Finish { owner: owner(number), outcome: Outcome::Ok, tombstone: None }
}

async fn last(store: &Sqlite) -> Option<LastRun> {
    match ask(store, "job", Op::Inspect).await.expect("an answer") {
        Reply::Inspected(seen) => seen.last_run.map(|run| *run),
        other => panic!("{other:?}"),
    }
}

/// A kernel that has just started, at this time of day.
fn booted(wall: u64) -> Arc<Clock> {
    let clock = Clock::new();
    clock.set_wall(wall);
    clock
}

#[tokio::test]
async fn last_run_outlives_a_reboot_as_long_as_its_tick() {
    for is_finished in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("locks.db");
        let open = async |clock: &Arc<Clock>, boot: &str| {
            let options = SqliteOptions { boot_id: Some(boot.into()), ..Default::default() };
            let runtime = Arc::clone(clock) as Arc<_>;
            Sqlite::open_with(&path, runtime, options).await.expect("the store opens")
        };
        let before = booted(WALL);
        before.advance(50 * HOUR);
        let store = open(&before, "one").await;
        let granted = ask(&store, "job", begin(1)).await.expect("an answer");
        assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
        if is_finished {
            assert_eq!(ask(&store, "job", finish(1)).await.expect("an answer"), Reply::Finished);
        }
        drop(store);
        // Half an hour later the clock of leases begins anew.
        let after = booted(WALL);
        after.advance(50 * HOUR + HOUR / 2);
        let after = booted(after.wall_micros());
        let store = open(&after, "two").await;
        let told = last(&store).await.expect("the run");
        let state = if is_finished { RunState::Ok } else { RunState::Unfinished };
        assert_eq!(told.state, state);
        let skipped = ask(&store, "job", begin(2)).await.expect("an answer");
        assert_eq!(skipped, Reply::AlreadyRan(told.into()));
        // Other keys come and go, and with them what is over.
        after.advance(HOUR / 2);
        ask(&store, "other", release(&owner(3))).await.expect("an answer");
        let granted = ask(&store, "job", begin(4)).await.expect("an answer");
        assert!(matches!(granted, Reply::Granted { .. }), "the next hour: {granted:?}");
    }
}

#[tokio::test]
async fn run_is_kept_for_its_tick_and_then_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = booted(WALL);
    let retention = Duration::from_secs(1);
    let options = SqliteOptions { fence_retention: retention, ..SqliteOptions::default() };
    let runtime = Arc::clone(&clock) as Arc<_>;
    let store = Sqlite::open_with(&path, runtime, options).await.expect("the store opens");
    let rows = || {
        let db = rusqlite::Connection::open(&path).expect("the file");
        let count = |row: &rusqlite::Row<'_>| row.get::<_, u32>(0);
        db.query_row("SELECT count(*) FROM run", [], count).expect("a number")
    };
    ask(&store, "job", begin(1)).await.expect("an answer");
    ask(&store, "job", finish(1)).await.expect("an answer");
    clock.advance(HOUR - Duration::from_secs(1));
    for number in 0..3 {
        ask(&store, &format!("other {number}"), release(&owner(3))).await.expect("an answer");
    }
    let skipped = ask(&store, "job", begin(2)).await.expect("an answer");
    assert!(matches!(skipped, Reply::AlreadyRan(_)), "{skipped:?}");
    assert_eq!(rows(), 1);
    clock.advance(HOUR);
    for number in 0..3 {
        ask(&store, &format!("other {number}"), release(&owner(3))).await.expect("an answer");
    }
    assert_eq!((rows(), last(&store).await), (0, None));
}

#[tokio::test]
async fn file_from_before_there_were_jobs_gets_their_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = booted(WALL);
    let open = async || {
        let runtime = Arc::clone(&clock) as Arc<_>;
        Sqlite::open_with(&path, runtime, SqliteOptions::default()).await.expect("it opens")
    };
    drop(open().await);
    let db = rusqlite::Connection::open(&path).expect("the file");
    db.execute_batch("DROP TABLE run").expect("as before");
    drop(db);
    let store = open().await;
    ask(&store, "job", begin(1)).await.expect("an answer");
    ask(&store, "job", finish(1)).await.expect("an answer");
    drop(store);
    let told = last(&open().await).await.expect("the run");
    assert_eq!(told.state, RunState::Ok);
}
