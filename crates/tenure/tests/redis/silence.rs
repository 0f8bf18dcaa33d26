//! A server that falls silent while others wait: who holds the key is not known, and "busy" would
//! be a guess.

use std::time::Duration;

use tenure::{ErrorKind, Guard, Locks};
use tenure_testkit::{Flavour, Server};

use crate::world::{hurried, until};

const TTL: Duration = Duration::from_millis(300);
/// Longer than a waiter of this ttl takes a silent store for a busy one.
const WAIT: Duration = Duration::from_secs(12);

/// The servers stop while two tasks wait, the second one behind the first in this process.
async fn both_hear_of_silence(held: Guard, waiting: &Locks, servers: &[Server]) {
    let waiter = || {
        let mutex = waiting.mutex("job").with_ttl(TTL).with_wait(WAIT);
        tokio::spawn(async move { mutex.acquire().await })
    };
    let waiters = [waiter(), waiter()];
    for server in servers {
        until("the holder and a waiter have asked", async || have_asked(server) >= 2).await;
    }
    servers.iter().for_each(Server::stop);
    for waiter in waiters {
        let error = waiter.await.expect("no panic").expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    servers.iter().for_each(Server::cont);
    drop(held);
}

/// How many connections of a server sent a step of a lock last.
fn have_asked(server: &Server) -> usize {
    let clients = server.command(&["CLIENT", "LIST"]).text().expect("a list");
    clients.lines().filter(|line| line.contains(" cmd=eval")).count()
}

#[tokio::test]
async fn a_silent_server_is_not_told_as_busy() {
    let [redis, valkey] = Flavour::ALL.map(is_not_told_as_busy);
    tokio::join!(redis, valkey);
}

async fn is_not_told_as_busy(flavour: Flavour) {
    let server = Server::of(flavour).start();
    let (holder, waiting) = (hurried(&server.url()).await, hurried(&server.url()).await);
    let held = holder.mutex("job").acquire().await.expect("free");
    both_hear_of_silence(held, &waiting, &[server]).await;
}

#[tokio::test]
async fn a_silent_quorum_is_not_told_as_busy() {
    let servers: Vec<_> = (0..3).map(|_| Server::redis().start()).collect();
    let urls: Vec<_> = servers.iter().map(Server::url).collect();
    let url = format!("quorum:{} ?max_ttl=5s", urls.join(" "));
    let (holder, waiting) = (hurried(&url).await, hurried(&url).await);
    // The guard of a fresh quorum is over when somebody has had a lock.
    let first = holder.mutex("other").with_ttl(4 * TTL).acquire().await.expect("granted");
    first.release().await.expect("an answer");
    let held = holder.mutex("job").with_ttl(Duration::from_millis(4_500)).acquire().await;
    both_hear_of_silence(held.expect("free"), &waiting, &servers).await;
}
