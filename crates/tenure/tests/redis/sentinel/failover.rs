//! Failovers: the primary is killed, stopped and continued, or replaced for maintenance.

use std::time::{Duration, Instant};

use tenure::{ErrorKind, LostReason};
use tenure_testkit::{Flavour, Sentinels, Server, wait_until};

use super::fake::FakeSentinel;
use super::{LONG_TTL, aside, cut_off, inboxes, patient, replicated};
use crate::world::{acquire, exists, granted, ms, take, until, until_waiting, waiting, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_costs_no_lease_that_was_replicated_and_no_waiter() {
    for flavour in Flavour::ALL {
        let group = Sentinels::of(flavour).start();
        let (locks, rival) = (patient(&group.url()).await, patient(&group.url()).await);
        let held = acquire(&locks.mutex("held").with_ttl(LONG_TTL)).await;
        let waiter = waiting(rival.mutex("held").with_ttl(LONG_TTL));
        until_waiting(&locks, "held", 1).await;
        let first = group.primary();
        replicated(first);
        let deadline = held.deadline();
        first.kill9();
        let killed = Instant::now();
        // Both begin while there is no primary, and neither is told of an error.
        let mutex = rival.mutex("new");
        let (new, renewed) =
            tokio::join!(acquire(&mutex), within("a look", held.renewed(deadline)));
        let after = killed.elapsed();
        println!("{flavour}: {after:?} after the kill: a new lock, and the old lease is renewed");
        let second = group.primary();
        assert_ne!(second.port(), first.port());
        assert!(exists(second, "new") && exists(second, "held"));
        held.check().expect("the lease went along");
        assert!(renewed > deadline);
        let fence = held.fence();
        held.release().await.expect("released");
        let next = granted(waiter).await;
        assert!(next.fence() > fence);
        next.release().await.expect("released");
        new.release().await.expect("released");
        for locks in [locks, rival] {
            within("the close", locks.close(ms(60_000))).await.expect("nothing is stuck");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_no_replica_had_is_lost_as_soon_as_there_is_a_new_primary() {
    for flavour in Flavour::ALL {
        let group = Sentinels::of(flavour).start();
        let locks = patient(&group.url()).await;
        let first = group.primary();
        let kept = acquire(&locks.mutex("kept").with_ttl(LONG_TTL)).await;
        replicated(first);
        cut_off(first);
        let renewed = acquire(&locks.mutex("renewed").with_ttl(LONG_TTL)).await;
        let mutex = locks.mutex("left alone").with_ttl(LONG_TTL);
        let left_alone = acquire(&mutex.with_renewal(tenure::Renewal::Off)).await;
        first.kill9();
        for guard in [renewed, left_alone] {
            let reason = within("the loss", guard.lost()).await;
            assert_eq!(reason, LostReason::Gone, "{flavour}: {}", guard.key());
            assert_eq!(guard.check().expect_err("lost").kind(), ErrorKind::Lost);
        }
        kept.check().expect("a replica had it");
        let next = take(&locks, "renewed").await;
        next.release().await.expect("released");
        kept.release().await.expect("released");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_primary_is_left_for_the_next_and_not_used_again_when_it_goes_on() {
    for flavour in Flavour::ALL {
        let group = Sentinels::of(flavour).start();
        let url = format!("{}?call_timeout=60s", group.url());
        let locks = patient(&url).await;
        let first = group.primary();
        let held = acquire(&locks.mutex("held").with_ttl(LONG_TTL)).await;
        let waiter = waiting(locks.mutex("held").with_ttl(LONG_TTL));
        until("an inbox", async || inboxes(first) == 1).await;
        until_waiting(&locks, "held", 1).await;
        replicated(first);
        first.stop();
        // Its call hangs at the old primary, and for a minute nothing would end it but the switch.
        let stopped = Instant::now();
        let new = acquire(&locks.mutex("new").with_ttl(LONG_TTL)).await;
        let after = stopped.elapsed();
        println!("{flavour}: a new lock {after:?} after the primary stopped");
        let second = group.primary();
        assert_ne!(second.port(), first.port());
        assert!(exists(second, "new"), "{flavour}");
        until("the inbox has followed", async || inboxes(second) == 1).await;
        held.check().expect("the lease went along");
        first.cont();
        aside(|| group.wait_until_agreed()).await;
        assert_eq!(first.info("role").as_deref(), Some("slave"));
        let later = take(&locks, "later").await;
        assert!(exists(group.primary(), "later"), "{flavour}");
        for guard in [held, new, later] {
            guard.check().expect("held");
            guard.release().await.expect("released");
        }
        granted(waiter).await.release().await.expect("released");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_for_maintenance_is_followed_by_every_connection() {
    for flavour in Flavour::ALL {
        let group = Sentinels::of(flavour).with_down_after(Duration::from_secs(60)).start();
        let (locks, rival) = (patient(&group.url()).await, patient(&group.url()).await);
        for round in 0..3 {
            let first = group.primary();
            let held = acquire(&locks.mutex("held").with_ttl(LONG_TTL)).await;
            let waiter = waiting(rival.mutex("held").with_ttl(LONG_TTL));
            until_waiting(&locks, "held", 1).await;
            replicated(first);
            let deadline = held.deadline();
            aside(|| group.failover()).await;
            within("a renewal", held.renewed(deadline)).await;
            held.check().unwrap_or_else(|e| panic!("{flavour}, round {round}: {e}"));
            // The inbox has followed: the waiter is told, and need not look.
            let second = group.primary();
            assert_ne!(second.port(), first.port());
            until("the inbox is there", async || inboxes(second) == 1).await;
            held.release().await.expect("released");
            granted(waiter).await.release().await.expect("released");
        }
    }
}

/// A caller alone has a connection of its own, at which it waits in place.
#[tokio::test]
async fn a_lone_caller_follows_too() {
    let group = Sentinels::of(Flavour::Redis).with_down_after(Duration::from_secs(60)).start();
    let locks = patient(&group.url()).await;
    let is_direct = |server: &tenure_testkit::Server| {
        let clients = server.command(&["CLIENT", "LIST"]).text().unwrap_or_default();
        clients.contains("name=tenure-direct")
    };
    for _ in 0..2 {
        until("a direct connection", async || {
            take(&locks, "key").await.release().await.expect("released");
            is_direct(group.primary())
        })
        .await;
        let first = group.primary();
        std::thread::scope(|scope| {
            scope.spawn(|| group.failover());
        });
        take(&locks, "key").await.release().await.expect("released");
        assert_ne!(group.primary().port(), first.port());
        wait_until("the old primary keeps none", || !is_direct(first));
    }
}

#[tokio::test]
async fn a_connection_that_was_made_before_the_message_hides_the_switch_from_no_other() {
    // Both are primaries, as an old one is for some seconds after a failover.
    let (old, new) = (Server::redis().start(), Server::redis().start());
    let sentinel = FakeSentinel::naming("127.0.0.1", old.port());
    let locks = patient(&sentinel.url()).await;
    let _held = take(&locks, "key").await;
    // A waiter listens at the primary.
    let waiter = waiting(locks.mutex("key").with_ttl(LONG_TTL));
    until_waiting(&locks, "key", 1).await;
    let leads_to = |server: &Server| {
        let clients = server.command(&["CLIENT", "LIST"]).text().unwrap_or_default();
        clients.contains("name=tenure")
    };
    until("it listens to the Sentinel", async || sentinel.subscribers() == 1).await;
    sentinel.name(Some(("127.0.0.1", new.port())));
    until("its inbox is at the old one", async || inboxes(&old) == 1).await;
    old.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    until("its inbox is at the new one", async || inboxes(&new) == 1).await;
    assert!(leads_to(&old), "its calls still go to the old primary");
    sentinel.announce(old.port(), new.port());
    until("no connection is left at the old primary", async || !leads_to(&old)).await;
    granted(waiter).await.release().await.expect("released");
}
