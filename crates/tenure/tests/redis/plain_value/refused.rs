//! Where no other program could know the value, it is refused before anything is sent; and a lease
//! that has one is no reader's.

use tenure::{ErrorKind, Locks};
use tenure_testkit::{Call, Fate, Fault, Flavour, Proxy, Server, Which};

use super::{acquire, connect, plain, value, within};

async fn is_refused(locks: &Locks, why: &str) {
    let (store, mutex) = (locks.store_name(), plain(locks, "job"));
    let refused = [
        within("an answer", mutex.acquire()).await.map(drop).expect_err("no such store"),
        within("an answer", mutex.try_acquire()).await.map(drop).expect_err("no such store"),
        within("an answer", mutex.steal()).await.map(drop).expect_err("no such store"),
        within("an answer", mutex.clone().reentrant().run(|_| async { tenure::ok(()) }))
            .await
            .expect_err("no such store"),
    ];
    for error in refused {
        assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Invalid, false), "{error}");
        for word in ["with_plain_value", "redis://", why] {
            assert!(error.to_string().contains(word), "{store}: {error}");
        }
    }
}

#[tokio::test]
async fn memory_and_files_refuse_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = format!("sqlite:{}", directory.path().join("locks.db").display());
    for url in ["memory:", &file] {
        let locks = connect(url).await;
        is_refused(&locks, "find no such value").await;
        let seen = within("a look", locks.mutex("job").inspect()).await.expect("a look");
        assert_eq!(seen.fence, None, "{url} was touched");
    }
}

#[tokio::test]
async fn quorum_refuses_it_and_sends_nothing() {
    let servers: Vec<_> = (0..3).map(|_| Server::redis().start()).collect();
    let proxies: Vec<_> = servers.iter().map(|server| Proxy::to(server.address())).collect();
    let urls: Vec<_> = proxies.iter().map(Proxy::url).collect();
    let locks = connect(&format!("quorum:{} ?max_ttl=2m", urls.join(" "))).await;
    let is_step = |call: &Call| matches!(call.name().as_str(), "EVALSHA" | "EVAL");
    let asked: Vec<_> =
        proxies.iter().map(|proxy| proxy.on(Which::every(is_step), Fate::Copy)).collect();
    is_refused(&locks, "a quorum is several stores").await;
    assert_eq!(asked.iter().map(Fault::strikes).sum::<u64>(), 0);
}

#[tokio::test]
async fn guard_with_a_plain_value_does_not_become_a_readers() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mut guard = acquire(&plain(&locks, "job")).await;
        let error = within("an answer", guard.downgrade()).await.expect_err("it has no share");
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
        assert!(error.to_string().contains("plain"), "{error}");
        guard.check().expect("it keeps what it has");
        assert_eq!(value(&server, "job").as_deref(), Some(guard.owner().value()));
        guard.release().await.expect("released");
    }
}
