//! A primary that refuses: while it loads, as a replica, and as a replica without its primary.

use tenure::ErrorKind;
use tenure_testkit::{Fate, Flavour, Proxy, Server, Which};

use super::fake::FakeSentinel;
use super::patient;
use crate::world::{acquire, take, until, within};

/// The refusals, and whether another connection is made after each of them.
const REFUSALS: [(&str, bool); 3] = [
    ("LOADING Redis is loading the dataset in memory", false),
    ("READONLY You can't write against a read only replica.", true),
    ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true),
];

/// The number of the connection over which everybody's calls go.
fn shared_connection(server: &Server) -> String {
    let clients = server.command(&["CLIENT", "LIST"]).text().unwrap_or_default();
    let mut lines = clients.lines();
    let line = lines.find(|line| line.contains(" name=tenure ")).expect("a connection");
    line.split(' ').next().expect("its number").to_owned()
}

#[tokio::test]
async fn a_primary_that_has_become_a_replica_is_looked_for_again() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let proxy = Proxy::to(server.address());
        let sentinel = FakeSentinel::naming("127.0.0.1", proxy.port());
        let locks = patient(&sentinel.url()).await;
        for (refusal, is_asked_again) in REFUSALS {
            take(&locks, "warm").await.release().await.expect("released");
            let (connection, lookups) = (shared_connection(&server), sentinel.lookups());
            let struck = proxy.on(Which::nth_named(1, "EVALSHA"), Fate::Refuse(refusal));
            // It passes, and the caller is told nothing of it.
            acquire(&locks.mutex("key")).await.release().await.expect("released");
            assert_eq!(struck.strikes(), 1, "{refusal}");
            let is_another = shared_connection(&server) != connection;
            assert_eq!(is_another, is_asked_again, "{refusal}");
            assert!(!is_another || sentinel.lookups() > lookups, "{refusal}: nobody was asked");
        }
    }
}

#[tokio::test]
async fn a_replica_is_refused_at_the_login_until_another_is_named() {
    for flavour in Flavour::ALL {
        let primary = Server::of(flavour).start();
        let replica = Server::of(flavour).with_primary(&primary).start();
        let sentinel = FakeSentinel::naming("127.0.0.1", replica.port());
        let url = format!("{}?connect_timeout=500ms", sentinel.url());
        let options = tenure::LocksOptions::default().with_store_timeout(crate::world::ms(3000));
        let error = tenure::connect_with(&url, options).await.expect_err("a replica");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("is a replica by now"), "{error}");
        let opening = tokio::spawn(async move { patient(&url).await });
        let before = sentinel.lookups();
        until("it is asked", async || sentinel.lookups() > before).await;
        sentinel.name(Some(("127.0.0.1", primary.port())));
        let locks = within("a handle", opening).await.expect("no panic");
        take(&locks, "key").await.release().await.expect("released");
        // A single server may be a replica, as ever: its refusal comes with the first write.
        let locks = tenure::connect(&replica.url()).await.expect("it answers");
        let error = locks.mutex("key").try_acquire().await.expect_err("no writes");
        assert!(error.to_string().contains("READONLY"), "{error}");
    }
}
