//! The runs of jobs on a server: the form of the record, how long it stays, and other libraries'
//! locks on the same name.

use std::time::Duration;

use tenure::Outcome;
use tenure::protocol::{Count, Op, Reply, RunState, TickClock, Ticks};
use tenure_testkit::{Flavour, Server};

use crate::steps::{ask, claim, open, owner, release};

const RECORD: &str = "tenure:{key}:record";
const EVERY: Duration = Duration::from_secs(3 * 24 * 3_600);

fn begin(number: u64) -> Op {
    let (count, retry_failed, clock) = (Count::LastRun, false, TickClock::Store);
    let ticks = Ticks { every: EVERY, count, retry_failed, clock };
    Op::Begin { acquire: claim(number, 1), ticks }
}

fn finish(number: u64, outcome: Outcome) -> Op {
    Op::Finish { owner: owner(number), outcome, tombstone: None }
}

fn form(server: &Server) -> String {
    let script = format!("return string.sub(redis.call('GET', '{RECORD}') or '--', 1, 2)");
    server.command(&["EVAL", &script, "0"]).text().expect("a form")
}

#[tokio::test]
async fn record_of_a_run_outlives_its_tick_and_plain_locks() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let done = async |op| ask(&store, "key", op).await.expect("an answer");
        assert!(matches!(done(begin(1)).await, Reply::Granted { .. }));
        assert_eq!(server.command(&["GET", "key"]).text().as_deref(), Some("owner 1"));
        assert_eq!(form(&server), "1J");
        assert_eq!(done(finish(1, Outcome::failed("no table"))).await, Reply::Finished);
        assert_eq!(server.command(&["EXISTS", "key"]).int(), 0);
        for number in 2..4 {
            done(Op::Acquire(claim(number, 1))).await;
            assert_eq!(done(release(number)).await, Reply::Released);
        }
        let left = Duration::from_millis(server.command(&["PTTL", RECORD]).int().unsigned_abs());
        assert!(left > EVERY && left <= EVERY + Duration::from_secs(24 * 3_600), "{left:?}");
        let Reply::AlreadyRan(run) = done(begin(4)).await else { panic!("a second run") };
        assert!(matches!(run.state, RunState::Failed(_)), "{run:?}");
    }
}

#[tokio::test]
async fn lock_of_another_library_keeps_a_run_out() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let done = async |op| ask(&store, "key", op).await.expect("an answer");
        server.command(&["SET", "key", "redis-py's", "PX", "60000"]);
        assert!(matches!(done(begin(1)).await, Reply::Busy { .. }));
        server.command(&["DEL", "key"]);
        assert!(matches!(done(begin(2)).await, Reply::Granted { .. }), "it was never begun");
        // One that takes the name away ends the run.
        server.command(&["SET", "key", "redis-py's", "PX", "60000"]);
        let Reply::Inspected(seen) = done(Op::Inspect).await else { panic!("a look") };
        assert_eq!(seen.last_run.expect("a run").state, RunState::Unfinished);
        assert_eq!(done(finish(2, Outcome::Ok)).await, Reply::Others);
    }
}

/// As a release: it goes on under memory pressure.
#[tokio::test]
async fn end_of_a_run_needs_no_memory() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let done = async |op| ask(&store, "key", op).await.expect("an answer");
        assert!(matches!(done(begin(1)).await, Reply::Granted { .. }));
        server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        assert_eq!(done(finish(1, Outcome::Ok)).await, Reply::Finished);
        assert!(matches!(ask(&store, "other", begin(2)).await, Ok(Reply::Full(_))));
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        let Reply::AlreadyRan(run) = done(begin(3)).await else { panic!("a second run") };
        assert_eq!(run.state, RunState::Ok);
    }
}
