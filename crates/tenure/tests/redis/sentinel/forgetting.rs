//! The restart guard over a failover: a server that never saw the marker of its predecessor, or
//! that has it from another run, grants nothing new until old leases are over.

use std::time::Duration;

use tenure::runtime;
use tenure::{ErrorKind, LostReason};
use tenure_testkit::{Flavour, Sentinels};

use super::{cut_off, patient, replicated};
use crate::world::{acquire, ms, until, within};

const TTL: Duration = Duration::from_secs(6);

/// Whether a replica had the marker before the primary was killed. None has the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saw {
    Nothing,
    TheMarker,
}

async fn no_overlap(flavour: Flavour, saw: Saw) {
    let clock = runtime::machine().expect("a clock");
    let group = Sentinels::of(flavour).start();
    let first = group.primary();
    if saw == Saw::Nothing {
        cut_off(first);
    }
    let url = format!("{}?restart_guard=6s", group.url());
    let (locks, rival) = (patient(&url).await, patient(&url).await);
    // The first contact with a server is guarded as well. Nobody renews the lease, so that only its
    // deadline ends it.
    let mutex = locks.mutex("key").with_ttl(TTL).with_renewal(tenure::Renewal::Off);
    if saw == Saw::TheMarker {
        let early = acquire(&locks.mutex("early").with_ttl(TTL)).await;
        early.release().await.expect("released");
        replicated(first);
        cut_off(first);
    }
    let guard = acquire(&mutex).await;
    let deadline = guard.deadline();
    first.kill9();
    let next = acquire(&rival.mutex("key").with_ttl(TTL)).await;
    let now = clock.now();
    println!("{flavour}, {saw:?}: granted {:?} after the old deadline", now.since(deadline));
    assert!(now >= deadline, "{flavour}, {saw:?}: overlap of {:?}", deadline.since(now));
    assert!(next.fence() > guard.fence());
    assert!(guard.check().is_err());
    next.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_server_that_never_saw_the_marker_grants_nothing_too_early() {
    for flavour in Flavour::ALL {
        no_overlap(flavour, Saw::Nothing).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_server_with_the_marker_of_its_primary_grants_nothing_too_early() {
    for flavour in Flavour::ALL {
        no_overlap(flavour, Saw::TheMarker).await;
    }
}

/// A program that starts after the failover and knows nothing of the time before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_after_the_failover_is_held_back_too() {
    let group = Sentinels::of(Flavour::Redis).start();
    let first = group.primary();
    let url = format!("{}?restart_guard=8s", group.url());
    let locks = patient(&url).await;
    acquire(&locks.mutex("early").with_ttl(ms(2000))).await.release().await.expect("released");
    replicated(first);
    first.kill9();
    group.wait_until_moved(first.port());
    let newcomer = patient(&url).await;
    let mut seen = None;
    until("the newcomer has looked", async || {
        seen = newcomer.mutex("key").inspect().await.ok();
        seen.is_some()
    })
    .await;
    let guarded = seen.expect("a look").guarded.expect("it is guarded");
    assert!(guarded.left > Duration::ZERO, "{guarded:?}");
    acquire(&newcomer.mutex("key").with_ttl(ms(2000))).await.release().await.expect("released");
}

/// The primary is cut off from its replicas, while its clients still reach it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_without_replicas_grants_and_renews_nothing_if_it_is_told_to_have_some() {
    for flavour in Flavour::ALL {
        let group = Sentinels::of(flavour)
            .with_down_after(Duration::from_secs(60))
            .with("min-replicas-to-write 1")
            .with("min-replicas-max-lag 1")
            .start();
        let locks = patient(&group.url()).await;
        let first = group.primary();
        let held = acquire(&locks.mutex("held").with_ttl(TTL)).await;
        within("a renewal", held.renewed(held.deadline())).await;
        cut_off(first);
        let error = locks.mutex("new").try_acquire().await.expect_err("no replica has it");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("min-replicas-to-write"), "{error}");
        assert_eq!(within("the loss", held.lost()).await, LostReason::Expired);
    }
}
