//! Steps as a store carries them out, beside the locks and data of others, and at a server whose
//! clock is wrong.

use std::sync::Arc;
use std::time::Duration;

use tenure::protocol::{Acquire, FenceRule, Inspection, Op, Queueing, Reply, Request};
use tenure::runtime;
use tenure::store::{Redis, RedisOptions, Store, StoreError};
use tenure::{Claim, Fence, Key, Label, Owner};
use tenure_testkit::{Flavour, Server};

use crate::world::unhurried;

pub(crate) const TTL: Duration = Duration::from_secs(30);

pub(crate) fn owner(number: u64) -> Owner {
    Owner::from_parts(&format!("owner {number}"), number)
}

pub(crate) fn step(key: &str, op: Op) -> Request {
    Request { key: Key::new(key).expect("a key"), op }
}

/// A claim to one of `limit` units; of one, that is the key whole.
pub(crate) fn claim(number: u64, limit: u32) -> Acquire {
    let share = Claim::new(1, limit).expect("a good claim");
    Acquire {
        owner: owner(number),
        label: Label::new(format!("label {number}")),
        claim: if limit == 1 { Claim::EXCLUSIVE } else { share },
        ttl: TTL,
        queue: None,
        fence: FenceRule::Mint,
        value: None,
    }
}

/// The heartbeat with that number. No test is so slow that its place ends before the next.
pub(crate) fn heartbeat(number: u64, limit: u32, stamp: u64) -> Acquire {
    let queue = Queueing { window: TTL, stamp, inbox: None };
    Acquire { queue: Some(queue), ..claim(number, limit) }
}

pub(crate) fn release(number: u64) -> Op {
    Op::Release { owner: owner(number), min_hold: Duration::ZERO, tombstone: None }
}

pub(crate) fn pass(from: u64, to: Acquire) -> Op {
    let (owner, min_hold) = (owner(from), Duration::ZERO);
    Op::Handoff { owner, min_hold, tombstone: None, to, ahead: true }
}

pub(crate) async fn open(server: &Server) -> Redis {
    open_with(server, RedisOptions::default()).await
}

async fn open_with(server: &Server, options: RedisOptions) -> Redis {
    let runtime: Arc<dyn runtime::Runtime> =
        runtime::machine().expect("the machine's runtime starts");
    Redis::open_with(&unhurried(&server.url()), runtime, options).await.expect("the server answers")
}

pub(crate) async fn ask(store: &Redis, key: &str, op: Op) -> Result<Reply, StoreError> {
    Ok(store.call(vec![step(key, op)]).await?.remove(0))
}

/// The answer to a step that the store carries out or refuses, and never fails.
pub(crate) async fn answer(store: &Redis, key: &str, op: Op) -> Reply {
    ask(store, key, op.clone()).await.unwrap_or_else(|e| panic!("{op:?}: {e}"))
}

pub(crate) async fn look(store: &Redis, key: &str) -> Inspection {
    let Reply::Inspected(seen) = answer(store, key, Op::Inspect).await else { panic!("a look") };
    seen
}

pub(crate) fn granted(reply: &Reply) -> Fence {
    let Reply::Granted { fence } = reply else { panic!("{reply:?}") };
    *fence
}

#[tokio::test]
async fn a_late_pass_finds_the_place_that_the_next_one_has_by_now() {
    for flavour in Flavour::ALL {
        for company in [0, 3, 12] {
            let server = Server::of(flavour).start();
            let store = open(&server).await;
            granted(&answer(&store, "key", Op::Acquire(claim(1, 1))).await);
            // The heartbeat after the one that is still on its way.
            let place = answer(&store, "key", Op::Acquire(heartbeat(2, 1, 2))).await;
            assert!(matches!(place, Reply::Queued { .. }), "{place:?}");
            let mut steps = vec![step("key", pass(1, heartbeat(2, 1, 1)))];
            for mate in 0..company {
                steps.push(step(&format!("mate {mate}"), Op::Acquire(claim(9, 1))));
            }
            let passed = store.call(steps).await.expect("an answer").remove(0);
            let Reply::HandedOff { acquired, .. } = passed else { panic!("{passed:?}") };
            granted(&acquired);
            assert_eq!(look(&store, "key").await.waiters, [], "it waits for itself");
            assert_eq!(answer(&store, "key", release(2)).await, Reply::Released);
            granted(&answer(&store, "key", Op::Acquire(claim(3, 1))).await);
        }
    }
}

#[tokio::test]
async fn a_force_that_comes_late_leaves_the_newer_lock_of_another_library_alone() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let fence = granted(&answer(&store, "key", Op::Acquire(claim(1, 1))).await);
        assert_eq!(answer(&store, "key", release(1)).await, Reply::Released);
        server.command(&["SET", "key", "token", "NX", "PX", "60000"]);
        let forced = answer(&store, "key", Op::Force { up_to: fence }).await;
        assert_eq!(forced, Reply::Forced { holders: 0 });
        assert_eq!(server.command(&["GET", "key"]).text().as_deref(), Some("token"));
    }
}

#[tokio::test]
async fn a_steal_takes_locks_and_no_data() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        server.command(&["SET", "data", "of somebody"]);
        let refused = answer(&store, "data", Op::Steal(claim(1, 1))).await;
        assert!(matches!(&refused, Reply::Mismatch(why) if why.contains("ttl")), "{refused:?}");
        assert_eq!(server.command(&["GET", "data"]).text().as_deref(), Some("of somebody"));
        server.command(&["SET", "lock", "token", "PX", "60000"]);
        granted(&answer(&store, "lock", Op::Steal(claim(1, 1))).await);
        assert_eq!(look(&store, "lock").await.holders[0].owner, owner(1));
    }
}

#[tokio::test]
async fn a_grant_from_the_queue_writes_over_nothing() {
    for flavour in Flavour::ALL {
        for limit in [1, 2] {
            let server = Server::of(flavour).start();
            let store = open(&server).await;
            for holder in 0..u64::from(limit) {
                granted(&answer(&store, "key", Op::Acquire(claim(10 + holder, limit))).await);
            }
            answer(&store, "key", Op::Acquire(heartbeat(1, limit, 1))).await;
            server.command(&["DEL", "key"]);
            server.command(&["HSET", "key", "field", "value"]);
            for holder in 0..u64::from(limit) {
                answer(&store, "key", release(10 + holder)).await;
            }
            let told = answer(&store, "key", Op::Acquire(heartbeat(1, limit, 2))).await;
            if limit == 1 {
                assert!(matches!(&told, Reply::Mismatch(why) if why.contains("hash")), "{told:?}");
            }
            let kept = server.command(&["HGET", "key", "field"]);
            assert_eq!(kept.text().as_deref(), Some("value"), "limit {limit}, {told:?}");
        }
    }
}

const CLOCK: &str = "test:clock";

#[tokio::test]
async fn a_time_or_fence_of_too_many_digits_is_refused_and_grants_nothing() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let options = RedisOptions { clock: Some(CLOCK.into()), ..RedisOptions::default() };
        let store = open_with(&server, options).await;
        for micros in ["9007199254740993", "9999999999999999", "10000000000000000"] {
            server.command(&["SET", CLOCK, micros]);
            for company in [1, 12] {
                let steps = |begin: u64| {
                    let numbers = (0..company).map(move |mate| (mate, begin + mate));
                    let claims = numbers.map(|(mate, number)| {
                        step(&format!("key {mate}"), Op::Acquire(claim(number, 1)))
                    });
                    claims.collect::<Vec<_>>()
                };
                for begin in [100, 200] {
                    let failure = store.call(steps(begin)).await.expect_err("no such time");
                    assert!(failure.message.contains("2255"), "{failure}");
                    assert!(failure.message.contains("clock"), "{failure}");
                }
            }
            let failure = ask(&store, "key 0", pass(1, heartbeat(2, 1, 1))).await;
            assert!(failure.expect_err("no such time").message.contains("2255"));
        }
        server.command(&["SET", CLOCK, "1700000000000000"]);
        granted(&answer(&store, "key", Op::Acquire(claim(1, 1))).await);
        for fence in [9_007_199_254_740_993, u64::MAX] {
            let raised =
                answer(&store, "key", Op::Raise { owner: owner(1), fence: Fence::new(fence) });
            assert!(matches!(raised.await, Reply::Refused(_)), "{fence}");
        }
        assert_eq!(answer(&store, "key", release(1)).await, Reply::Released);
        let fence = FenceRule::Carry(Fence::new(u64::MAX));
        let carried = answer(&store, "key", Op::Acquire(Acquire { fence, ..claim(2, 1) })).await;
        assert!(matches!(carried, Reply::Refused(_)), "{carried:?}");
        assert_eq!(look(&store, "key").await.holders, []);
        server.command(&["SET", "tenure:\u{1}fence", "9999999999999999"]);
        let failure = ask(&store, "key", Op::Acquire(claim(3, 1))).await.expect_err("none is left");
        assert!(failure.message.contains("fence"), "{failure}");
    }
}

#[tokio::test]
async fn the_number_of_a_call_is_kept_for_a_minute() {
    let server = Server::redis().start();
    let store = open(&server).await;
    granted(&answer(&store, "key", Op::Acquire(claim(1, 1))).await);
    let names = server.command(&["KEYS", "tenure:?calls:*"]);
    let [name] = names.list() else { panic!("{names:?}") };
    let left = server.command(&["PTTL", &name.text().expect("a name")]).int();
    assert!((1..=60_000).contains(&left), "{left} ms");
}
