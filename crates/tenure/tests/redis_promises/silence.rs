//! A server that falls silent while others wait: who holds the key is not known, and "busy" would
//! be a guess.

use std::time::Duration;

use tenure::{ErrorKind, Locks};
use tenure_testkit::{Flavour, Server};

const TTL: Duration = Duration::from_millis(300);
/// Longer than a waiter of this ttl takes a silent store for a busy one.
const WAIT: Duration = Duration::from_secs(4);

/// Two tasks wait, the second one behind the first in this process; then nobody answers any more.
async fn waits_for_silence(holder: &Locks, waiting: &Locks, servers: &[Server]) {
    let held = holder.mutex("job").acquire().await.expect("free");
    let waiter = |locks: &Locks| {
        let mutex = locks.mutex("job").with_ttl(TTL).with_wait(WAIT);
        tokio::spawn(async move { mutex.acquire().await })
    };
    let waiters = [waiter(waiting), waiter(waiting)];
    tokio::time::sleep(Duration::from_millis(500)).await;
    servers.iter().for_each(Server::stop);
    for waiter in waiters {
        let error = waiter.await.expect("no panic").expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    servers.iter().for_each(Server::cont);
    drop(held);
}

#[tokio::test]
async fn a_silent_server_is_not_told_as_busy() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let [holder, waiting] = [
            tenure::connect(&server.url()).await.expect("the server answers"),
            tenure::connect(&server.url()).await.expect("the server answers"),
        ];
        waits_for_silence(&holder, &waiting, &[server]).await;
    }
}

#[tokio::test]
async fn a_silent_quorum_is_not_told_as_busy() {
    let servers: Vec<_> = (0..3).map(|_| Server::redis().start()).collect();
    let urls: Vec<_> = servers.iter().map(Server::url).collect();
    let url = format!("quorum:{} ?max_ttl=1s", urls.join(" "));
    let [holder, waiting] = [
        tenure::connect(&url).await.expect("the servers answer"),
        tenure::connect(&url).await.expect("the servers answer"),
    ];
    // The guard of a fresh quorum is over when somebody has had a lock.
    let first = holder.mutex("other").with_ttl(TTL).acquire().await.expect("granted");
    first.release().await.expect("an answer");
    let held = holder.mutex("job").with_ttl(Duration::from_millis(900)).acquire().await;
    let held = held.expect("free");
    let mutex = waiting.mutex("job").with_ttl(TTL).with_wait(WAIT);
    let waiter = tokio::spawn(async move { mutex.acquire().await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    servers.iter().for_each(Server::stop);
    let error = waiter.await.expect("no panic").expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    servers.iter().for_each(Server::cont);
    drop(held);
}
