//! A server whose memory is used up: nothing new is locked, and what is locked goes on.

use tenure::{ErrorKind, Renewal};
use tenure_testkit::{Flavour, Server};

use crate::world::{
    acquire, connect, exists, granted, ms, nothing_but_memories, take, until, until_waiting,
    waiting, within,
};

#[tokio::test]
async fn under_memory_pressure_renewals_releases_and_handoffs_work() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mutex = locks.mutex("held").with_ttl(ms(6000)).with_renewal(Renewal::Every(ms(200)));
        let held = acquire(&mutex).await;
        let first = take(&locks, "line").await;
        // Its place is forgotten a second after its last heartbeat.
        let waiter = waiting(locks.mutex("line").with_ttl(ms(1000)));
        until_waiting(&locks, "line", 1).await;
        let floor = take(&locks, "brief").await;

        server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        let refused = locks.mutex("new").acquire().await.expect_err("no memory");
        assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
        assert!(refused.to_string().contains("maxmemory"), "{refused}");
        for _ in 0..3 {
            within("a renewal", held.renewed(held.deadline())).await;
            held.check().expect("it is renewed");
        }
        held.extend_to(ms(20_000)).await.expect("extended");
        until("a place kept for longer than a second", async || {
            let seen = locks.mutex("line").inspect().await.expect("a look");
            seen.waiters.first().expect("its place").waiting > ms(2500)
        })
        .await;
        floor.release().await.expect("released");
        assert!(!exists(&server, "brief"));
        first.release().await.expect("released");
        let second = granted(waiter).await;
        second.check().expect("held");
        second.release().await.expect("released");
        held.release().await.expect("released");
        assert!(!exists(&server, "line") && !exists(&server, "held") && !exists(&server, "new"));

        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        take(&locks, "new").await.release().await.expect("released");
        nothing_but_memories(&server);
    }
}
