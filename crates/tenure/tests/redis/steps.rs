//! Steps as a store carries them out: what is asked of a key at a server that somebody has damaged,
//! that is full, or whose clock is wrong.

use std::sync::Arc;
use std::time::Duration;

use tenure::protocol::{Acquire, FenceRule, Inspection, Op, Queueing, Reply, Request};
use tenure::runtime;
use tenure::store::{Redis, RedisOptions, Store, StoreError};
use tenure::{Claim, Fence, Key, Label, Owner};
use tenure_testkit::{Flavour, Server};

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
    }
}

/// The heartbeat with that number.
pub(crate) fn heartbeat(number: u64, limit: u32, stamp: u64) -> Acquire {
    let queue = Queueing { window: Duration::from_secs(3), stamp, inbox: None };
    Acquire { queue: Some(queue), ..claim(number, limit) }
}

pub(crate) fn release(number: u64) -> Op {
    Op::Release { owner: owner(number), min_hold: Duration::ZERO, tombstone: None }
}

fn pass(from: u64, to: Acquire) -> Op {
    let (owner, min_hold) = (owner(from), Duration::ZERO);
    Op::Handoff { owner, min_hold, tombstone: None, to, ahead: true }
}

pub(crate) async fn open(server: &Server) -> Redis {
    open_with(server, RedisOptions::default()).await
}

async fn open_with(server: &Server, options: RedisOptions) -> Redis {
    let runtime: Arc<dyn runtime::Runtime> =
        runtime::machine().expect("the machine's runtime starts");
    Redis::open_with(&server.url(), runtime, options).await.expect("the server answers")
}

pub(crate) async fn ask(store: &Redis, key: &str, op: Op) -> Result<Reply, StoreError> {
    Ok(store.call(vec![step(key, op)]).await?.remove(0))
}

/// The answer to a step that the store carries out or refuses, and never fails.
async fn answer(store: &Redis, key: &str, op: Op) -> Reply {
    ask(store, key, op.clone()).await.unwrap_or_else(|e| panic!("{op:?}: {e}"))
}

async fn look(store: &Redis, key: &str) -> Inspection {
    let Reply::Inspected(seen) = answer(store, key, Op::Inspect).await else { panic!("a look") };
    seen
}

fn granted(reply: &Reply) -> Fence {
    let Reply::Granted { fence } = reply else { panic!("{reply:?}") };
    *fence
}

/// Memory that is used up, until it is raised again.
fn fill(server: &Server) {
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
}

fn raise_memory(server: &Server) {
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
}

#[tokio::test]
async fn a_semaphore_is_renewed_and_released_under_memory_pressure() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let short = Acquire { ttl: Duration::from_secs(9), ..claim(1, 2) };
        granted(&answer(&store, "sem", Op::Acquire(short)).await);
        granted(&answer(&store, "sem", Op::Acquire(claim(2, 2))).await);
        fill(&server);
        let renew = Op::Renew { owner: owner(1), ttl: Duration::from_secs(3600) };
        assert_eq!(answer(&store, "sem", renew).await, Reply::Renewed);
        let far = Fence::new(8_000_000_000_000_000);
        let raise = Op::Raise { owner: owner(1), fence: far };
        assert_eq!(answer(&store, "sem", raise).await, Reply::Renewed);
        let tombstone = Some(TTL);
        let give_back = Op::Release { owner: owner(2), min_hold: Duration::ZERO, tombstone };
        assert_eq!(answer(&store, "sem", give_back).await, Reply::Released);
        raise_memory(&server);
        let seen = look(&store, "sem").await;
        let [holder] = &*seen.holders else { panic!("{seen:?}") };
        assert!(holder.remaining > Duration::from_secs(3000), "it was told so: {seen:?}");
        assert_eq!((holder.owner.clone(), holder.fence), (owner(1), far));
        let taken = answer(&store, "sem", Op::Acquire(claim(2, 2))).await;
        assert_eq!(taken, Reply::Withdrawn, "the tombstone was written, too");
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_and_was_not_done() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        for key in ["mutex", "sem"] {
            let limit = if key == "sem" { 2 } else { 1 };
            granted(&answer(&store, key, Op::Acquire(claim(1, limit))).await);
        }
        let before = (look(&store, "mutex").await.holders, look(&store, "sem").await.holders);
        fill(&server);
        for (key, limit) in [("mutex", 1), ("sem", 2), ("free", 1), ("free sem", 2)] {
            let (from, to) = (owner(1), owner(2));
            let transfer = Op::Transfer { from, to, label: Label::new("next"), ttl: TTL };
            let withdraw = Op::Withdraw { owner: owner(3), tombstone: TTL };
            let mut ops = vec![Op::Acquire(claim(3, limit)), Op::Acquire(heartbeat(3, limit, 1))];
            if !key.starts_with("free") {
                ops.push(transfer);
                // It is busy, as it was before.
                ops.retain(|op| limit == 2 || !matches!(op, Op::Acquire(a) if a.queue.is_none()));
            } else {
                ops.push(Op::Steal(claim(3, limit)));
            }
            ops.push(withdraw);
            for op in ops {
                let reply = answer(&store, key, op.clone()).await;
                assert!(matches!(reply, Reply::Full(_)), "{key}, {op:?}: {reply:?}");
            }
        }
        raise_memory(&server);
        let after = (look(&store, "mutex").await, look(&store, "sem").await);
        for (seen, before) in [(&after.0, &before.0), (&after.1, &before.1)] {
            assert_eq!(seen.holders.len(), 1, "{seen:?}");
            assert_eq!(seen.holders[0].owner, before[0].owner);
            assert!(seen.waiters.is_empty(), "{seen:?}");
        }
        assert_eq!(look(&store, "free").await.holders.len(), 0);
        granted(&answer(&store, "sem", Op::Acquire(claim(3, 2))).await);
        assert_eq!(answer(&store, "mutex", release(1)).await, Reply::Released);
    }
}

/// The record, and what stands beside it.
const BESIDE: [&str; 5] = ["record", "queue", "places", "alive", "buried"];

/// Every operation, of somebody who holds, waits or neither.
fn every_op() -> Vec<Op> {
    let (from, to, label) = (owner(1), owner(5), Label::new("next"));
    vec![
        Op::Inspect,
        Op::Acquire(claim(3, 1)),
        Op::Acquire(heartbeat(3, 1, 1)),
        Op::Acquire(heartbeat(2, 1, 2)),
        Op::Renew { owner: owner(1), ttl: TTL },
        Op::Raise { owner: owner(1), fence: Fence::new(7) },
        Op::Withdraw { owner: owner(4), tombstone: TTL },
        Op::Transfer { from, to, label, ttl: TTL },
        pass(1, heartbeat(2, 1, 3)),
        release(1),
        Op::Force { up_to: Fence::new(u64::MAX) },
        Op::Steal(claim(6, 1)),
    ]
}

/// By what it is damaged: a key of another type, or text that is no record.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Type(&'static str),
    Record(&'static str),
    Lock(&'static str),
}

fn damages() -> Vec<Damage> {
    let records =
        ["1S", "1Q", "1Qxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "1G", "1G\u{1}", "1Gz"];
    let types = BESIDE.map(Damage::Type).into_iter();
    types.chain(records.map(Damage::Record)).chain(["\n1", ""].map(Damage::Lock)).collect()
}

impl Damage {
    fn inflict(self, server: &Server) {
        match self {
            Self::Type(part) => {
                let name = format!("tenure:{{bad}}:{part}");
                server.command(&["DEL", &name]);
                server.command(&["LPUSH", &name, "of somebody else"]);
            }
            Self::Record(text) => _ = server.command(&["SET", "tenure:{bad}:record", text]),
            Self::Lock(text) => _ = server.command(&["SET", "bad", text, "PX", "60000"]),
        }
    }
}

#[tokio::test]
async fn a_damaged_key_fails_alone_whatever_is_asked_of_it() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let mut number = 100;
        for (damage, op) in damages()
            .into_iter()
            .flat_map(|damage| every_op().into_iter().map(move |op| (damage, op)))
        {
            server.command(&["FLUSHALL"]);
            granted(&answer(&store, "bad", Op::Acquire(claim(1, 1))).await);
            answer(&store, "bad", Op::Acquire(heartbeat(2, 1, 1))).await;
            damage.inflict(&server);
            // Few words, many words, and a crowd of simple steps.
            for company in [1, 12] {
                let mut steps = Vec::new();
                for mate in 0..company {
                    number += 1;
                    let claim = Op::Acquire(claim(number, 1));
                    steps.push(step(&format!("good {number}"), claim));
                    if mate == 0 {
                        steps.push(step("bad", op.clone()));
                    }
                }
                let replies = store.call(steps).await;
                let mut replies = replies.unwrap_or_else(|e| panic!("{damage:?}, {op:?}: {e}"));
                replies.remove(1);
                let are_granted = replies.iter().all(|r| matches!(r, Reply::Granted { .. }));
                assert!(are_granted, "{damage:?}, {op:?}: {replies:?}");
            }
        }
    }
}

/// Number of scripts that a server has run.
fn scripts_run(server: &Server) -> u64 {
    let stats = server.info("cmdstat_evalsha").unwrap_or_default();
    let calls = stats.split(['=', ',']).nth(1).unwrap_or("0");
    calls.parse().expect("a number")
}

/// Writes a place of waiter 2 that nobody can read a time in.
fn damage_place(server: &Server) {
    let id = format!("{:016x}:owner 2", 2);
    let script = "local x = {'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x'} \
                  return redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(x))";
    server.command(&["EVAL", script, "1", "tenure:{bad}:places", &id]);
}

#[tokio::test]
async fn a_damaged_place_costs_the_call_no_repetition() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        granted(&answer(&store, "bad", Op::Acquire(claim(1, 1))).await);
        answer(&store, "bad", Op::Acquire(heartbeat(2, 1, 1))).await;
        damage_place(&server);
        let before = scripts_run(&server);
        let handoff = pass(1, heartbeat(2, 1, 2));
        let steps = vec![step("good", Op::Acquire(claim(3, 1))), step("bad", handoff)];
        let replies = store.call(steps).await.expect("an answer");
        granted(&replies[0]);
        // The script may say once that the step is to be sent in full.
        let run = scripts_run(&server) - before;
        assert!(run <= 2, "{run} scripts: {replies:?}");
    }
}

#[tokio::test]
async fn a_damaged_queue_keeps_no_lease_alive() {
    for flavour in Flavour::ALL {
        for part in ["places", "a place"] {
            let server = Server::of(flavour).start();
            let store = open(&server).await;
            granted(&answer(&store, "bad", Op::Acquire(claim(1, 1))).await);
            for waiter in [2, 4, 5] {
                answer(&store, "bad", Op::Acquire(heartbeat(waiter, 1, 1))).await;
            }
            match part {
                "a place" => damage_place(&server),
                part => Damage::Type(part).inflict(&server),
            }
            assert_eq!(answer(&store, "bad", release(1)).await, Reply::Released, "{part}");
            let holder = server.command(&["GET", "bad"]).text();
            assert_ne!(holder.as_deref(), Some("owner 1"), "{part}");
        }
    }
}

/// A release that the machine refuses has taken nobody out of the queue.
#[tokio::test]
async fn a_damaged_queue_loses_no_waiter_however_often_a_release_is_tried() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        granted(&answer(&store, "bad", Op::Acquire(claim(1, 1))).await);
        for waiter in [2, 4, 5] {
            answer(&store, "bad", Op::Acquire(heartbeat(waiter, 1, 1))).await;
        }
        Damage::Type("alive").inflict(&server);
        for _try in 0..3 {
            let refused = answer(&store, "bad", release(1)).await;
            assert!(matches!(refused, Reply::Refused(_)), "{refused:?}");
            assert_eq!(server.command(&["ZCARD", "tenure:{bad}:queue"]).int(), 3);
        }
        server.command(&["DEL", "tenure:{bad}:alive"]);
        assert_eq!(answer(&store, "bad", release(1)).await, Reply::Released);
        assert_eq!(server.command(&["GET", "bad"]).text().as_deref(), Some("owner 2"));
    }
}

#[tokio::test]
async fn a_holder_whose_place_was_left_behind_ends_its_lease() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        granted(&answer(&store, "bad", Op::Acquire(claim(1, 1))).await);
        answer(&store, "bad", Op::Acquire(heartbeat(2, 1, 1))).await;
        server.command(&["DEL", "tenure:{bad}:places"]);
        answer(&store, "bad", pass(1, heartbeat(2, 1, 2))).await;
        let withdraw = Op::Withdraw { owner: owner(2), tombstone: TTL };
        assert_eq!(answer(&store, "bad", withdraw).await, Reply::Released);
        assert!(server.command(&["GET", "bad"]).is_nil(), "it is still held");
    }
}

#[tokio::test]
async fn a_place_that_was_lost_is_dropped_and_the_next_is_granted() {
    for flavour in Flavour::ALL {
        for lost in ["places", "alive", "queue"] {
            let server = Server::of(flavour).start();
            let store = open(&server).await;
            granted(&answer(&store, "key", Op::Acquire(claim(1, 2))).await);
            granted(&answer(&store, "key", Op::Acquire(claim(2, 2))).await);
            for waiter in [3, 4] {
                let reply = answer(&store, "key", Op::Acquire(heartbeat(waiter, 2, 1))).await;
                assert!(matches!(reply, Reply::Queued { .. }), "{reply:?}");
            }
            match lost {
                "places" => {
                    let id = format!("{:016x}:owner 3", 3);
                    let gone = server.command(&["HDEL", "tenure:{key}:places", &id]);
                    assert_eq!(gone.int(), 1);
                }
                other => _ = server.command(&["DEL", &format!("tenure:{{key}}:{other}")]),
            }
            let replies = store
                .call(vec![step("key", release(1)), step("other", Op::Acquire(claim(9, 1)))])
                .await
                .unwrap_or_else(|e| panic!("{lost}: {e}"));
            assert_eq!(replies[0], Reply::Released, "{lost}");
            granted(&replies[1]);
            // The waiter that is still known has it by now, or by its next heartbeat.
            let (known, other) = if lost == "alive" { (3, 4) } else { (4, 3) };
            granted(&answer(&store, "key", Op::Acquire(heartbeat(known, 2, 2))).await);
            assert_eq!(answer(&store, "key", release(2)).await, Reply::Released);
            granted(&answer(&store, "key", Op::Acquire(heartbeat(other, 2, 2))).await);
            assert!(look(&store, "key").await.waiters.is_empty(), "{lost}");
        }
    }
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
