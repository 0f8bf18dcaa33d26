//! Plain values over a wire that loses replies, and in a server whose memory is used up.

use tenure::protocol::State;
use tenure::{ErrorKind, LocksOptions, Renewal};
use tenure_testkit::{Call, Fate, Flavour, Proxy, Server, Which};

use super::{friend, is_plain, plain};
use crate::pressure::{fill, raise_memory};
use crate::world::{PATIENCE, acquire, connect, exists, ms, nothing_but_memories, until, within};

#[tokio::test]
async fn lost_replies_leave_nothing_held_by_nobody() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let proxy = Proxy::to(server.address());
        let url = format!("{}?call_timeout=250ms&connect_timeout=5s", proxy.url());
        let options = LocksOptions::default().with_store_timeout(ms(600));
        let locks = loop {
            if let Ok(locks) = tenure::connect_with(&url, options).await {
                break locks;
            }
        };
        // Its scripts are known from here on.
        let patient = connect(&server.url()).await;
        acquire(&plain(&patient, "warm")).await.release().await.expect("released");
        let is_step = |call: &Call| matches!(call.name().as_str(), "EVALSHA" | "EVAL");
        let eaten = proxy.on(Which::nth_where(1, is_step), Fate::EatReply);
        let dark = proxy.on(Which::every(is_step), Fate::LoseRequest);
        let error = within("an answer", plain(&locks, "job").try_acquire()).await;
        let error = error.expect_err("no answer");
        assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
        assert_eq!(eaten.strikes(), 1);
        assert!(exists(&server, "job"), "{flavour}: it was granted");
        dark.lift();
        until("nobody holds it", async || !exists(&server, "job")).await;
        // Its withdrawal is not what is cut below.
        within("the close", locks.close(PATIENCE)).await.expect("it is withdrawn");
        // One that is repeated is one lease, and its release frees it.
        let locks = connect(&proxy.url()).await;
        let cut = proxy.on(Which::nth_where(1, is_step), Fate::CutAfter);
        let guard = acquire(&plain(&locks, "job")).await;
        assert_eq!(cut.strikes(), 1);
        is_plain(&server, &locks, &guard).await;
        let cut = proxy.on(Which::nth_where(1, is_step), Fate::CutAfter);
        drop(guard.release().await);
        assert_eq!(cut.strikes(), 1);
        until("it is free", async || !exists(&server, "job")).await;
        within("the close", locks.close(PATIENCE)).await.expect("nothing is owed");
        nothing_but_memories(&server);
    }
}

#[tokio::test]
async fn renewals_and_releases_need_no_memory() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let often = plain(&locks, "job").with_renewal(Renewal::Every(ms(200)));
        let guard = acquire(&often).await;
        fill(&server);
        for _ in 0..3 {
            within("a renewal", guard.renewed(guard.deadline())).await;
        }
        guard.check().expect("held");
        let friend = friend(&server, &guard);
        guard.release().await.expect("released");
        assert!(!exists(&server, "job"), "{flavour}");
        raise_memory(&server);
        // The record was written all the same: it names nobody.
        assert!(friend.acquires("job", 60_000));
        let seen = locks.mutex("job").inspect().await.expect("a look");
        assert!(matches!(seen.state, State::Foreign(_)), "{flavour}: {seen:?}");
        assert!(friend.releases("job"));
        let guard = acquire(&plain(&locks, "job")).await;
        is_plain(&server, &locks, &guard).await;
    }
}
