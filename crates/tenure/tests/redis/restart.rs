//! A server that comes back empty has forgotten who holds: the holder learns at its next renewal.
//! With the restart guard nobody else is granted before.

use std::time::{Duration, Instant};

use tenure::runtime;
use tenure::{ErrorKind, LostReason};
use tenure_testkit::{Flavour, Server};

use crate::world::{acquire, connect, ms, within};

const TTL: Duration = Duration::from_secs(3);
/// Its renewal is due so late that nothing but the reconnection brings the verdict.
const LONG_TTL: Duration = Duration::from_secs(60);
/// Finding the server again, on a busy machine. A renewal would be due after a third of the ttl.
const NOISE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_restarted_empty_is_noticed_as_soon_as_it_is_back() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let renewed = acquire(&locks.mutex("renewed").with_ttl(LONG_TTL)).await;
        let mutex = locks.mutex("left alone").with_ttl(LONG_TTL);
        let left_alone = acquire(&mutex.with_renewal(tenure::Renewal::Off)).await;
        server.restart_empty();
        let back = Instant::now();
        for guard in [renewed, left_alone] {
            let reason = within("the loss", guard.lost()).await;
            let after = back.elapsed();
            println!("{flavour}: {} lost {after:?} after an empty restart", guard.key());
            assert_eq!(reason, LostReason::Gone);
            assert!(after < NOISE, "{after:?}");
            assert!(guard.check().is_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_verifies_the_leases_and_costs_none() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let guard = acquire(&locks.mutex("key").with_ttl(LONG_TTL)).await;
        let before = guard.deadline();
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        let after = within("a renewal", guard.renewed(before)).await;
        assert!(after.since(before) < NOISE, "it came with the reconnection");
        guard.check().expect("still held");
        guard.release().await.expect("released");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_restart_guard_leaves_no_overlap_at_all() {
    let clock = runtime::machine().expect("a clock");
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let url = format!("{}?restart_guard=3s&call_timeout=5s", server.url());
        let (rival, locks) = (connect(&url).await, connect(&url).await);
        // Nobody renews it, so that only its deadline ends it. The first start is guarded as well.
        let mutex = locks.mutex("key").with_ttl(TTL).with_renewal(tenure::Renewal::Off);
        let guard = acquire(&mutex).await;
        let deadline = guard.deadline();
        server.restart_empty();
        let next = acquire(&rival.mutex("key").with_ttl(TTL)).await;
        let now = clock.now();
        println!("{flavour}: granted {:?} after the old deadline", now.since(deadline));
        assert!(now >= deadline, "{flavour}: overlap of {:?}", deadline.since(now));
        assert!(next.fence() > guard.fence());
        assert!(guard.check().is_err());
        next.release().await.expect("released");
    }
}

#[tokio::test]
async fn a_ttl_beyond_the_restart_guard_is_refused() {
    let server = Server::redis().start();
    let locks = connect(&format!("{}?restart_guard=3s", server.url())).await;
    let error = locks.mutex("key").with_ttl(ms(3001)).acquire().await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("3.001s") && text.contains("limit of 3s"), "{text}");
    let guard = acquire(&locks.mutex("key").with_ttl(ms(3000))).await;
    let error = guard.extend_to(ms(3001)).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}
