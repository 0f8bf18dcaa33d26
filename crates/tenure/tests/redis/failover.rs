//! A primary that dies, is demoted, or has another one behind its address: what replicas have
//! acknowledged is still there.

use std::os::unix::fs::symlink;
use std::time::Duration;

use tenure::{ErrorKind, Guard};
use tenure_testkit::{Direction, Flavour, Proxy, Sentinels, Server, ServerOptions};

use crate::ack::{Replicated, until_streaming};
use crate::world::{acquire, connect, exists, ms, take, until, within};

/// A replica of `primary` through a proxy that takes its time with what the primary tells.
fn late_replica(flavour: Flavour, primary: &Server, delay: Duration) -> (Server, Proxy) {
    let proxy = Proxy::of_bytes(primary.address());
    let replica = Server::of(flavour).with_primary(primary).start();
    replica.command(&["REPLICAOF", "127.0.0.1", &proxy.port().to_string()]);
    tenure_testkit::wait_until("the replica is linked again", || proxy.open_links() > 0);
    until_streaming(primary, 1);
    proxy.set_delay(Direction::ToClient, delay);
    (replica, proxy)
}

/// Takes so many locks side by side.
async fn take_many(url: &str, count: usize) -> Vec<Guard> {
    let locks = connect(url).await;
    let take = |number| {
        let mutex = locks.mutex(format!("key {number}")).with_ttl(Duration::from_secs(600));
        tokio::spawn(async move { acquire(&mutex).await })
    };
    let mut guards = Vec::new();
    for task in (0..count).map(take).collect::<Vec<_>>() {
        guards.push(within("a grant", task).await.expect("no panic"));
    }
    guards
}

#[tokio::test]
async fn what_a_replica_has_acknowledged_is_held_after_its_promotion() {
    const LOCKS: usize = 64;
    for flavour in Flavour::ALL {
        // The delay, and how many are held in the end.
        for (ack, delay, held) in [("none", 20_000, 0), ("1", 100, LOCKS)] {
            let primary = Server::of(flavour).start();
            let (replica, proxy) = late_replica(flavour, &primary, ms(delay));
            let url = format!("{}?ack={ack}&call_timeout=30s", primary.url());
            let guards = take_many(&url, LOCKS).await;
            // The primary takes along the bytes that are on their way.
            proxy.cut();
            primary.kill9();
            drop(proxy);
            replica.command(&["REPLICAOF", "NO", "ONE"]);
            let locks = connect(&replica.url()).await;
            let mut found = 0;
            for guard in &guards {
                let asked = locks.mutex(guard.key().as_str()).try_acquire().await;
                found += usize::from(asked.expect("an answer").is_none());
            }
            assert_eq!(found, held, "{flavour}, ack={ack}");
        }
    }
}

#[tokio::test]
async fn an_old_primary_that_was_stopped_grants_nothing_of_what_it_was_asked_meanwhile() {
    const CALLS: usize = 64;
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let proxy = Proxy::to(servers.primary.address());
        let url = format!("{}?ack=1&ack_timeout=500ms&call_timeout=30s", proxy.url());
        let locks = connect(&url).await;
        // By then a replica has acknowledged, and the server knows the script.
        acquire(&locks.mutex("warm")).await.release().await.expect("released");
        let sent = proxy.count_of("EVALSHA");
        servers.primary.stop();
        let ask = |number| {
            let mutex = locks.mutex(format!("key {number}"));
            tokio::spawn(async move { mutex.try_acquire().await })
        };
        let asked: Vec<_> = (0..CALLS).map(ask).collect();
        until("it is asked", async || proxy.count_of("EVALSHA") > sent).await;
        servers.replicas[0].command(&["REPLICAOF", "NO", "ONE"]);
        servers.primary.cont();
        for task in asked {
            let answer = within("an answer", task).await.expect("no panic");
            let error = answer.expect_err("no replica follows it");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{flavour}: {error}");
        }
    }
}

#[tokio::test]
async fn with_min_replicas_to_write_an_old_primary_renews_nothing_either() {
    for flavour in Flavour::ALL {
        let lines = ["min-replicas-to-write 1", "min-replicas-max-lag 1"];
        let primary = lines.into_iter().fold(Server::of(flavour), ServerOptions::with).start();
        let replica = Server::of(flavour).with_primary(&primary).start();
        let locks = connect(&format!("{}?ack=1&ack_timeout=500ms", primary.url())).await;
        let mutex = locks.mutex("key").with_ttl(ms(3_000));
        // The primary counts its replicas once a second.
        let mut guard = None;
        until("a grant", async || {
            guard = mutex.acquire().await.ok();
            guard.is_some()
        })
        .await;
        let guard = guard.expect("granted");
        replica.command(&["REPLICAOF", "NO", "ONE"]);
        within("the loss", guard.lost()).await;
        let answer = within("an answer", locks.mutex("other").try_acquire()).await;
        let text = answer.expect_err("no replica follows it").to_string();
        for word in ["too few replicas", "min-replicas-to-write", "NOREPLICAS"] {
            assert!(text.contains(word), "{word} is missing in: {text}");
        }
    }
}

#[tokio::test]
async fn behind_sentinels_a_lock_outlives_its_primary_and_the_next_one_grants() {
    for flavour in Flavour::ALL {
        let group = tokio::task::spawn_blocking(move || Sentinels::of(flavour).start()).await;
        let group = group.expect("a group starts");
        let locks = connect(&format!("{}?ack=2&ack_timeout=1900ms", group.url())).await;
        // Then one of both is the primary, and the other one follows it.
        let one = connect(&format!("{}?ack=1&ack_timeout=1900ms", group.url())).await;
        let held = acquire(&locks.mutex("held")).await;
        group.primary().kill9();
        until("the next primary grants", async || {
            let answer = one.mutex("key").with_wait(ms(5_000)).acquire().await;
            answer.is_ok()
        })
        .await;
        held.check().expect("it was renewed by the next primary");
        let other = within("an answer", one.mutex("held").try_acquire()).await;
        assert!(other.expect("an answer").is_none(), "{flavour}: two holders");
    }
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_grants_nothing_until_it_is_one_again() {
    for flavour in Flavour::ALL {
        let servers = Replicated::start(flavour, 1);
        let other = Server::of(flavour).start();
        let locks = connect(&servers.patient_url("1")).await;
        acquire(&locks.mutex("key")).await.release().await.expect("released");
        let port = other.port().to_string();
        servers.primary.command(&["REPLICAOF", "127.0.0.1", &port]);
        for _ in 0..3 {
            let answer = within("an answer", locks.mutex("key").try_acquire()).await;
            let error = answer.expect_err("it takes no writes");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        servers.primary.command(&["REPLICAOF", "NO", "ONE"]);
        until("it grants again", async || {
            within("an answer", locks.mutex("key").try_acquire())
                .await
                .is_ok_and(|guard| guard.is_some())
        })
        .await;
    }
}

/// Ends the connections of this name at a server.
fn kill(server: &Server, name: &str) {
    let clients = server.command(&["CLIENT", "LIST"]).text().expect("a list");
    for line in clients.lines().filter(|line| line.contains(&format!(" name={name} "))) {
        let id = line.split(' ').next().and_then(|word| word.strip_prefix("id="));
        server.command(&["CLIENT", "KILL", "ID", id.expect("a client")]);
    }
}

#[tokio::test]
async fn no_grant_is_made_at_another_server_than_the_one_that_renews() {
    for flavour in Flavour::ALL {
        let (old, new) = (Replicated::start(flavour, 1), Replicated::start(flavour, 1));
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let lead_to = |server: &Server| {
            let _ = std::fs::remove_file(&path);
            symlink(server.unix_path(), &path).expect("a link");
        };
        lead_to(&old.primary);
        let parameters = "ack=1&ack_timeout=15s&call_timeout=30s";
        let locks = connect(&format!("redis+unix://{}?{parameters}", path.display())).await;
        let guard = take(&locks, "held").await;
        lead_to(&new.primary);
        kill(&old.primary, "tenure-ack");
        until("the two servers are told apart", async || {
            let answer = within("an answer", locks.mutex("key").try_acquire()).await;
            let error = answer.expect_err("there are two servers");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            // The first request may have met the end of the old connection.
            error.to_string().contains("another server answers by this name") && !error.may_hold()
        })
        .await;
        assert!(!exists(&new.primary, "key"), "{flavour}");
        guard.check().expect("it is held");
        kill(&old.primary, "tenure");
        let guard = acquire(&locks.mutex("key")).await;
        assert!(exists(&new.primary, "key"), "{flavour}");
        guard.release().await.expect("released");
    }
}
