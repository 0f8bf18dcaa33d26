//! Acquires that nobody waits for any more while their request is still on its way: to a server
//! that is stopped, or in the network. The key is nobody's as soon as the server can be reached,
//! and a request that arrives after its withdrawal gets nothing.

use std::time::Duration;

use tenure::{ErrorKind, Locks, LocksOptions};
use tenure_testkit::{Call, Fate, Flavour, Proxy, Server, Which};

use crate::world::{connect, exists, ms, nothing_but_memories, take, until, within};

/// How a caller gives up.
#[derive(Debug, Clone, Copy)]
enum Way {
    Dropped,
    OwnLimit,
    StoreTimeout,
}

const WAYS: [Way; 3] = [Way::Dropped, Way::OwnLimit, Way::StoreTimeout];
/// Nobody who gives up waits for longer.
const SHORT: Duration = Duration::from_millis(300);

async fn handle(server: &Server, url: &str, way: Way) -> Locks {
    // Its scripts are known from here on.
    let patient = connect(&server.url()).await;
    take(&patient, "warm").await.release().await.expect("released");
    let options = match way {
        Way::StoreTimeout => LocksOptions::default().with_store_timeout(SHORT),
        Way::Dropped | Way::OwnLimit => LocksOptions::default(),
    };
    let url = format!("{url}?call_timeout=200ms&connect_timeout=500ms");
    let mut opened = None;
    // A busy machine may need more time than these limits.
    until("a handle", async || {
        opened = tenure::connect_with(&url, options).await.ok();
        opened.is_some()
    })
    .await;
    opened.expect("it was opened")
}

/// Asks for the key, in vain.
async fn give_up(locks: &Locks, way: Way) {
    let mutex = locks.mutex("key").with_ttl(Duration::from_secs(60));
    match way {
        Way::Dropped => {
            let dropped = tokio::time::timeout(SHORT, mutex.acquire()).await;
            assert!(dropped.is_err(), "it cannot have been answered");
        }
        Way::OwnLimit => {
            let error = within("an end", mutex.with_wait(SHORT).acquire()).await;
            let kind = error.expect_err("it cannot have been answered").kind();
            assert!(matches!(kind, ErrorKind::Busy | ErrorKind::Unavailable), "{kind:?}");
        }
        Way::StoreTimeout => {
            let error = within("an end", mutex.try_acquire()).await.expect_err("no answer");
            assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
        }
    }
}

#[tokio::test]
async fn what_was_given_up_at_a_stopped_server_is_nobodys_when_it_goes_on() {
    for flavour in Flavour::ALL {
        for way in WAYS {
            let server = Server::of(flavour).start();
            let locks = handle(&server, &server.url(), way).await;
            server.stop();
            give_up(&locks, way).await;
            server.cont();
            within("the close", locks.close(ms(60_000))).await.expect("all is withdrawn");
            assert!(!exists(&server, "key"), "{flavour}, {way:?}: held by nobody");
            let rival = connect(&server.url()).await;
            take(&rival, "key").await.release().await.expect("released");
            nothing_but_memories(&server);
        }
    }
}

#[tokio::test]
async fn what_arrives_after_its_withdrawal_gets_nothing() {
    for flavour in Flavour::ALL {
        for way in WAYS {
            let server = Server::of(flavour).start();
            let proxy = Proxy::to(server.address());
            let locks = handle(&server, &proxy.url(), way).await;
            let is_step = |call: &Call| matches!(call.name().as_str(), "EVALSHA" | "EVAL");
            let held_back = proxy.on(Which::nth_where(1, is_step), Fate::Hold);
            // Every other request before the caller has given up is lost.
            let dark = proxy.on(Which::every(is_step), Fate::LoseRequest);
            give_up(&locks, way).await;
            dark.lift();
            within("the close", locks.close(ms(60_000))).await.expect("all is withdrawn");
            assert!(!exists(&server, "key"), "{flavour}, {way:?}: held by nobody");
            let told = held_back.deliver();
            assert!(!exists(&server, "key"), "{flavour}, {way:?}: a ghost: {told}");
            let rival = connect(&server.url()).await;
            take(&rival, "key").await.release().await.expect("released");
            nothing_but_memories(&server);
        }
    }
}
