//! Real servers that forget while their links live, and servers that are another's.

use std::time::{Duration, Instant};

use tenure::{ErrorKind, Guard, Locks, Mutex, Renewal};
use tenure_testkit::{Flavour, LIMIT as PATIENCE, Proxy, Server};

use crate::nodes::{machine, ms};

const MAX_TTL: Duration = Duration::from_secs(2);

fn servers(count: usize) -> Vec<Server> {
    let flavours = [Flavour::Redis, Flavour::Valkey];
    (0..count).map(|index| Server::of(flavours[index % 2]).start()).collect()
}

fn urls(servers: &[Server]) -> Vec<String> {
    servers.iter().map(Server::url).collect()
}

async fn quorum(urls: &[String], parameters: &str) -> Locks {
    let url = format!("quorum:{} ?{parameters}", urls.join(" "));
    let begun = Instant::now();
    loop {
        match tenure::connect(&url).await {
            Ok(locks) => return locks,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    }
}

async fn acquire(mutex: &Mutex) -> Guard {
    let begun = Instant::now();
    loop {
        match mutex.acquire().await {
            Ok(guard) => return guard,
            // A busy machine may not answer within the nodes' limit.
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    }
}

/// Tries for a while; each answer says that nobody knows, or that others hold.
async fn try_for(span: Duration, mutex: &Mutex) -> Option<Guard> {
    let end = Instant::now() + span;
    while Instant::now() < end {
        match mutex.try_acquire().await {
            Ok(Some(guard)) => return Some(guard),
            Ok(None) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
    None
}

/// Tries in vain until the error says this: a busy machine may not have asked the node yet.
async fn until_told(mutex: &Mutex, words: &str) {
    let begun = Instant::now();
    loop {
        let text = mutex.try_acquire().await.expect_err("one of three").to_string();
        if text.contains(words) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{words} is missing in: {text}");
    }
}

/// A minority forgets, and another node was away when the lease was won: both together are a
/// majority that knows of nothing.
#[tokio::test]
async fn one_node_forgets_while_another_was_away_and_nobody_overlaps() {
    let servers = servers(3);
    let parameters = "max_ttl=2s&node_timeout=500ms";
    let locks = quorum(&urls(&servers), parameters).await;
    let rival = quorum(&urls(&servers), parameters).await;
    acquire(&rival.mutex("warm").with_ttl(MAX_TTL)).await.release().await.expect("released");
    for round in 0..3 {
        servers[2].stop();
        let mutex = locks.mutex("key").with_ttl(MAX_TTL).with_renewal(Renewal::Off);
        let guard = acquire(&mutex).await;
        tokio::time::sleep(ms(300 * round)).await;
        servers[0].command(&["FLUSHALL"]);
        servers[1].stop();
        servers[2].cont();
        let mutex = rival.mutex("key").with_ttl(ms(500));
        let next = try_for(ms(1_000), &mutex).await;
        servers[1].cont();
        let next = match next {
            Some(next) => next,
            None => acquire(&mutex).await,
        };
        let (now, deadline) = (machine().now(), guard.deadline());
        assert!(now >= deadline, "round {round}: overlap of {:?}", deadline.since(now));
        assert!(next.fence() > guard.fence());
        // If a busy machine answers too late, the lease ends by itself.
        let _in_time = next.release().await;
        // The guard of the first is over for the next round.
        acquire(&rival.mutex("warm").with_ttl(MAX_TTL)).await.release().await.expect("released");
        tokio::time::sleep(MAX_TTL).await;
    }
}

#[tokio::test]
async fn a_fresh_quorum_is_unavailable_and_says_for_how_long() {
    let servers = servers(3);
    let locks = quorum(&urls(&servers), "max_ttl=5m&node_timeout=20s").await;
    let mutex = locks.mutex("key");
    let seen = mutex.inspect().await.expect("an answer");
    let guarded = seen.guarded.expect("known for less than five minutes");
    assert!(guarded.left > Duration::from_secs(200), "{guarded:?}");
    for node in &seen.nodes {
        assert!(node.said.contains("free, but grants nothing new for"), "{node:?}");
    }
    for error in [
        mutex.try_acquire().await.expect_err("nobody holds it"),
        mutex.clone().with_wait(ms(2_000)).acquire().await.expect_err("too short a wait"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let text = error.to_string();
        for words in ["nothing new is granted until", "UTC", "known for"] {
            assert!(text.contains(words), "{words} is missing in: {text}");
        }
        for server in &servers {
            assert!(text.contains(&format!(":{}", server.port())), "{text}");
        }
    }
}

/// Nodes are vetted with each new link.
#[tokio::test]
async fn one_server_that_moves_behind_anothers_address_has_one_vote() {
    let servers = servers(3);
    let proxy = Proxy::to(servers[2].address());
    let nodes = [servers[0].url(), servers[1].url(), proxy.url()];
    let locks = quorum(&nodes, "max_ttl=2s&node_timeout=1500ms").await;
    acquire(&locks.mutex("warm").with_ttl(MAX_TTL)).await.release().await.expect("released");
    proxy.lead_to(servers[0].address());
    servers[1].kill9();
    // For longer than any guard: only who it is can tell.
    let mutex = locks.mutex("key").with_ttl(ms(500));
    assert!(try_for(MAX_TTL * 2, &mutex).await.is_none(), "one server is no majority");
    until_told(&mutex, "same store as node 1").await;
    // The address leads to itself again.
    proxy.lead_to(servers[2].address());
    drop(acquire(&mutex).await);
}

#[tokio::test]
async fn a_replica_behind_a_nodes_address_has_no_vote() {
    let servers = servers(3);
    let replica = Server::of(servers[0].flavour()).with_primary(&servers[0]).start();
    let proxy = Proxy::to(servers[2].address());
    let nodes = [servers[0].url(), servers[1].url(), proxy.url()];
    let locks = quorum(&nodes, "max_ttl=2s&node_timeout=1500ms").await;
    acquire(&locks.mutex("warm").with_ttl(MAX_TTL)).await.release().await.expect("released");
    proxy.lead_to(replica.address());
    servers[1].kill9();
    let mutex = locks.mutex("key").with_ttl(ms(500));
    assert!(try_for(MAX_TTL * 2, &mutex).await.is_none(), "one server is no majority");
    until_told(&mutex, "replica of").await;
    // It is promoted, and has a guard of its own.
    assert_eq!(replica.command(&["REPLICAOF", "NO", "ONE"]).text().as_deref(), Some("OK"));
    drop(acquire(&mutex).await);
}
