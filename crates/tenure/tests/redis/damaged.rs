//! Steps on a key of which somebody has damaged or removed a part.

use tenure::protocol::{Op, Reply};
use tenure::store::Store;
use tenure::{Fence, Label};
use tenure_testkit::{Flavour, Server};

use crate::steps::{
    TTL, answer, claim, granted, heartbeat, look, open, owner, pass, release, step,
};

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
