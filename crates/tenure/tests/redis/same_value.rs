//! Another library's lock whose value is one that Tenure has seen: the value alone makes it
//! nobody's lease.

use std::time::Duration;

use tenure::ErrorKind;
use tenure::protocol::State;
use tenure_testkit::{Flavour, Server};

use crate::world::connect;

/// Without a holder, a record of the queue has the empty owner.
#[tokio::test]
async fn a_foreign_lock_with_an_empty_value_is_waited_for() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        server.command(&["SET", "job", "", "NX", "PX", "60000"]);
        let locks = connect(&server.url()).await;
        let waiting = locks.mutex("job").with_wait(Duration::from_secs(4)).acquire().await;
        let error = waiting.expect_err("another library holds it");
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(server.command(&["PTTL", "job"]).int() > 30_000, "its lock was touched");
    }
}

#[tokio::test]
async fn a_foreign_lock_with_the_value_of_an_ended_lease_is_nobodys_to_take() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let host = locks.mutex("job").with_ttl(Duration::from_secs(2)).with_owner("hostA");
        // Through the queue, so that a record stays.
        let first = locks.mutex("job").acquire().await.expect("free");
        let next = tokio::spawn(async move { host.acquire().await });
        while locks.mutex("job").inspect().await.expect("an answer").waiters.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        first.release().await.expect("an answer");
        next.await.expect("no panic").expect("granted").release().await.expect("an answer");
        assert_eq!(server.command(&["EXISTS", "tenure:{job}:record"]).int(), 1, "a record stays");
        server.command(&["SET", "job", "hostA", "PX", "60000"]);
        // The old lease would have ended by now.
        tokio::time::sleep(Duration::from_millis(2_300)).await;
        let seen = locks.mutex("job").inspect().await.expect("an answer");
        assert!(matches!(seen.state, State::Foreign(_)), "{seen:?}");
        assert!(locks.mutex("job").try_acquire().await.expect("an answer").is_none());
        let waiting = locks.mutex("job").with_wait(Duration::from_secs(4)).acquire().await;
        assert_eq!(waiting.expect_err("another library holds it").kind(), ErrorKind::Busy);
        assert_eq!(server.command(&["GET", "job"]).text().as_deref(), Some("hostA"));
        assert!(server.command(&["PTTL", "job"]).int() > 30_000, "its lock was touched");
    }
}
