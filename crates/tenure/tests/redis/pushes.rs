//! Pushes that never come, or come too late: waiting costs one heartbeat more, and no grant is
//! believed that has expired.

use std::time::{Duration, Instant};

use tenure_testkit::{
    Fate, Flavour, LIMIT, Proxy, Pushes, Reply, Server, Which, lateness, wait_until,
};

use crate::world::{
    acquire, connect, granted, ms, nothing_but_memories, quick, take, until, until_waiting, waiting,
};

/// Its heartbeats come each three seconds.
const TTL: Duration = Duration::from_secs(9);
const HEARTBEAT: Duration = Duration::from_secs(3);
/// Time that a busy machine may add, beside the pauses of this process.
const NOISE: Duration = Duration::from_millis(2800);

/// The connections that listen to an inbox.
fn inboxes(server: &Server) -> Vec<String> {
    let list = server.command(&["CLIENT", "LIST"]).text().expect("a list");
    let ours = list.lines().filter(|line| line.contains(" name=tenure-inbox "));
    ours.filter_map(|line| Some(line.strip_prefix("id=")?.split_once(' ')?.0.to_owned())).collect()
}

fn kill_inboxes(server: &Server) {
    let inboxes = inboxes(server);
    assert!(!inboxes.is_empty(), "nobody listens");
    for id in inboxes {
        assert_eq!(server.command(&["CLIENT", "KILL", "ID", &id]), Reply::Int(1));
    }
}

/// The fate of the push of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Dropped,
    LinkKilled,
    /// Killed, and no new link is accepted.
    LinkKilledForGood,
}

async fn granted_without_a_push(flavour: Flavour, loss: Loss) {
    let _from_here_on = lateness();
    let server = Server::of(flavour).start();
    let proxy = Proxy::to(server.address());
    let locks = quick(&proxy.url()).await;
    let rival = connect(&server.url()).await;
    let before = take(&rival, "key").await;
    let waiter = waiting(locks.mutex("key").with_ttl(TTL));
    until_waiting(&rival, "key", 1).await;
    // A place in the line is no sign of it.
    until("somebody listens", async || !inboxes(&server).is_empty()).await;
    match loss {
        Loss::Dropped => proxy.set_pushes(Pushes::Drop),
        Loss::LinkKilled => kill_inboxes(&server),
        Loss::LinkKilledForGood => {
            proxy.set_refusing(true);
            kill_inboxes(&server);
        }
    }
    let seen = proxy.pushes();
    before.release().await.expect("the rival's link is whole");
    let released = Instant::now();
    let guard = granted(waiter).await;
    let waited = released.elapsed();
    println!("{flavour}, {loss:?}: granted {waited:?} after the release");
    if loss == Loss::Dropped {
        assert!(proxy.pushes() > seen, "there was no push to drop");
    }
    assert!(waited < HEARTBEAT + NOISE + lateness(), "{waited:?}");
    guard.check().expect("held");
    proxy.heal();
    guard.release().await.expect("the link for requests is whole");
}

#[tokio::test]
async fn a_push_that_is_dropped_costs_at_most_one_heartbeat() {
    for flavour in Flavour::ALL {
        granted_without_a_push(flavour, Loss::Dropped).await;
    }
}

#[tokio::test]
async fn a_push_link_that_is_killed_costs_at_most_one_heartbeat() {
    for flavour in Flavour::ALL {
        granted_without_a_push(flavour, Loss::LinkKilled).await;
        granted_without_a_push(flavour, Loss::LinkKilledForGood).await;
    }
}

#[tokio::test]
async fn an_inbox_that_was_killed_is_opened_again_and_brings_pushes() {
    let server = Server::redis().start();
    let locks = connect(&server.url()).await;
    let rival = connect(&server.url()).await;
    let ttl = Duration::from_secs(30);
    for round in 0..3 {
        let before = take(&rival, "key").await;
        let waiter = waiting(locks.mutex("key").with_ttl(ttl));
        until_waiting(&rival, "key", 1).await;
        until("somebody listens", async || inboxes(&server).len() == 1).await;
        if round < 2 {
            kill_inboxes(&server);
            until("it listens again", async || inboxes(&server).len() == 1).await;
        }
        before.release().await.expect("released");
        let guard = granted(waiter).await;
        guard.release().await.expect("released");
    }
}

/// Readers of two programs behind a writer are granted in one step.
async fn readers_are_told_together(flavour: Flavour) {
    const READERS: usize = 1_000;
    let server = Server::of(flavour).start();
    let (rival, programs) = (
        connect(&server.url()).await,
        [connect(&server.url()).await, connect(&server.url()).await],
    );
    let writer = rival.rwlock("key").write().await.expect("free");
    let readers = programs.iter().cycle().take(READERS).map(|locks| {
        let rwlock = locks.rwlock("key");
        tokio::spawn(async move { rwlock.read().await.expect("granted") })
    });
    let readers: Vec<_> = readers.collect();
    until_waiting(&rival, "key", READERS).await;
    server.command(&["CONFIG", "RESETSTAT"]);
    writer.release().await.expect("released");
    let mut guards = Vec::new();
    for reader in readers {
        guards.push(reader.await.expect("no panic"));
    }
    let stats = server.command(&["INFO", "commandstats"]).text().expect("a text");
    let published = stats.lines().find_map(|line| line.strip_prefix("cmdstat_publish:calls="));
    let published = published.and_then(|rest| rest.split(',').next()).map(str::parse::<usize>);
    println!("{flavour}: {published:?} messages for {READERS} readers");
    let seen = rival.rwlock("key").inspect().await.expect("a look");
    assert_eq!((seen.holders.len(), seen.waiters.len()), (READERS, 0));
    assert_eq!(published, Some(Ok(programs.len())), "one message to each program");
    drop(guards);
    for locks in programs {
        locks.close(LIMIT).await.expect("closes");
    }
}

#[tokio::test]
async fn readers_of_one_program_that_are_granted_together_are_told_by_one_message() {
    for flavour in Flavour::ALL {
        readers_are_told_together(flavour).await;
    }
}

/// The grant's push is held back until its lease is over and somebody else has the key.
async fn delayed(flavour: Flavour) {
    let server = Server::of(flavour).start();
    let proxy = Proxy::to(server.address());
    let locks = quick(&proxy.url()).await;
    let rival = connect(&server.url()).await;
    let before = take(&rival, "key").await;
    let waiter = waiting(locks.mutex("key").with_ttl(ms(4000)));
    until_waiting(&rival, "key", 1).await;
    proxy.set_pushes(Pushes::Hold);
    let seen = proxy.pushes();
    let steps = |call: &tenure_testkit::Call| matches!(call.name().as_str(), "EVALSHA" | "EVAL");
    let dark = proxy.on(Which::every(steps), Fate::LoseRequest);
    before.release().await.expect("the rival's link is whole");
    wait_until("the push of the grant is on its way", || proxy.pushes() > seen);
    let successor = acquire(&rival.mutex("key").with_ttl(ms(20_000))).await;
    proxy.set_pushes(Pushes::Pass);
    dark.lift();
    // By the time it stands in line again, it has long had the old push.
    let mutex = rival.mutex("key");
    until("it stands in line again", async || {
        assert!(!waiter.is_finished(), "{flavour}: an expired grant was believed");
        mutex.inspect().await.expect("a look").waiters.len() == 1
    })
    .await;
    successor.check().expect("nobody touched the successor");
    let fence = successor.fence();
    successor.release().await.expect("released");
    let guard = granted(waiter).await;
    assert!(guard.fence() > fence);
    guard.release().await.expect("released");
    until("all is free", async || {
        rival.mutex("key").inspect().await.expect("a look").holders.is_empty()
    })
    .await;
    nothing_but_memories(&server);
}

#[tokio::test]
async fn a_delayed_push_of_an_expired_grant_revives_nothing() {
    for flavour in Flavour::ALL {
        delayed(flavour).await;
    }
}
