//! A server whose memory is used up: nothing new is locked, and what is locked goes on.

use std::time::Duration;

use tenure::protocol::{Acquire, Op, Reply};
use tenure::{ErrorKind, Fence, Label, Renewal};
use tenure_testkit::{Flavour, Server};

use crate::steps::{self, TTL, answer, claim, heartbeat, look, open, owner, release};
use crate::world::{
    acquire, connect, exists, granted, ms, nothing_but_memories, take, until, until_waiting,
    waiting, within,
};

/// Memory that is used up, until it is raised again.
pub(crate) fn fill(server: &Server) {
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
}

pub(crate) fn raise_memory(server: &Server) {
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
}

#[tokio::test]
async fn under_memory_pressure_renewals_releases_and_handoffs_work() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mutex = locks.mutex("held").with_ttl(ms(6000)).with_renewal(Renewal::Every(ms(200)));
        let held = acquire(&mutex).await;
        let first = take(&locks, "line").await;
        // Its place is forgotten three seconds after its last heartbeat.
        let waiter = waiting(locks.mutex("line").with_ttl(ms(3000)));
        until_waiting(&locks, "line", 1).await;
        let floor = take(&locks, "brief").await;

        fill(&server);
        let refused = locks.mutex("new").acquire().await.expect_err("no memory");
        assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
        assert!(refused.to_string().contains("maxmemory"), "{refused}");
        for _ in 0..3 {
            within("a renewal", held.renewed(held.deadline())).await;
            held.check().expect("it is renewed");
        }
        held.extend_to(ms(20_000)).await.expect("extended");
        until("a place kept for longer than that", async || {
            let seen = locks.mutex("line").inspect().await.expect("a look");
            seen.waiters.first().expect("its place").waiting > ms(6500)
        })
        .await;
        floor.release().await.expect("released");
        assert!(!exists(&server, "brief"));
        first.release().await.expect("released");
        let second = granted(waiter).await;
        second.check().expect("held");
        second.release().await.expect("released");
        held.release().await.expect("released");
        assert!(!exists(&server, "line") && !exists(&server, "held") && !exists(&server, "new"));

        raise_memory(&server);
        take(&locks, "new").await.release().await.expect("released");
        nothing_but_memories(&server);
    }
}

#[tokio::test]
async fn a_semaphore_is_renewed_and_released_under_memory_pressure() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let store = open(&server).await;
        let short = Acquire { ttl: Duration::from_secs(9), ..claim(1, 2) };
        steps::granted(&answer(&store, "sem", Op::Acquire(short)).await);
        steps::granted(&answer(&store, "sem", Op::Acquire(claim(2, 2))).await);
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
            steps::granted(&answer(&store, key, Op::Acquire(claim(1, limit))).await);
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
        steps::granted(&answer(&store, "sem", Op::Acquire(claim(3, 2))).await);
        assert_eq!(answer(&store, "mutex", release(1)).await, Reply::Released);
    }
}
