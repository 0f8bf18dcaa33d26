//! One life of a lock, with a fault at each of its calls in turn: a lost reply, a cut link, a
//! request that arrives late. At most one holds, one release frees, and nothing is left.

use std::sync::Arc;

use tenure::{Locks, Renewal};
use tenure_testkit::{Call, Fate, Fault, Flavour, Proxy, Server, Which};

use crate::world::{
    acquire, connect, exists, granted, ms, nothing_but_memories, quick, take, until_waiting,
    waiting, within,
};

/// The faults. Their numbers of bytes lie within every call of ours, and within every reply.
const FATES: [Fate; 8] = [
    Fate::EatReply,
    Fate::LoseRequest,
    Fate::CutBefore,
    Fate::CutAfter,
    Fate::CutRequest(30),
    Fate::CutReply(3),
    Fate::Hold,
    Fate::Copy,
];

/// How the life begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Birth {
    /// The key is free.
    Free,
    /// Somebody holds it: the life begins in line.
    Queued,
}

/// A call that carries steps, or says who listens: what the client does by itself to make a link
/// is the business of the link's own tests.
fn is_ours(call: &Call) -> bool {
    matches!(call.name().as_str(), "EVALSHA" | "EVAL" | "SUBSCRIBE")
}

/// Lives once; `false` if there was no k-th call to strike.
async fn live(server: Arc<Server>, birth: Birth, fate: Fate, k: u64) -> bool {
    let key = format!("{birth:?}-{fate:?}-{k}");
    let proxy = Proxy::to(server.address());
    let locks = quick(&proxy.url()).await;
    let rival = connect(&server.url()).await;
    let before = match birth {
        Birth::Free => None,
        Birth::Queued => Some(take(&rival, &key).await),
    };
    let last = before.as_ref().map(|guard| guard.fence());
    let fault = proxy.on(Which::nth_where(k, is_ours), fate.clone());

    let mutex = locks.mutex(&key).with_ttl(ms(6000)).with_renewal(Renewal::Every(ms(100)));
    let waiter = waiting(mutex);
    if let Some(before) = before {
        until_waiting(&rival, &key, 1).await;
        before.release().await.expect("the rival's own link is whole");
    }
    let guard = granted(waiter).await;
    assert!(Some(guard.fence()) > last, "{key}: the fence does not grow");
    let other = rival.mutex(&key).try_acquire().await.expect("the rival's own link is whole");
    assert!(guard.check().is_err() || other.is_none(), "{key}: two hold it");
    drop(other);
    // Every later renewal is one more call that can be struck.
    for _ in 0..2 {
        within(&key, guard.renewed(guard.deadline())).await;
        guard.check().unwrap_or_else(|e| panic!("{key}: {e}"));
    }
    let fence = guard.fence();
    // The fault decides the caller's answer, but not the end of the key.
    let _told = guard.release().await;
    within(&key, locks.close(ms(60_000))).await.unwrap_or_else(|e| panic!("{key}: {e}"));
    let struck = fault.strikes() > 0;
    assert!(!exists(&server, &key), "{key}: still held after its release");
    if struck {
        no_ghost(&server, &rival, &key, &fate, &fault).await;
    }
    let next = take(&rival, &key).await;
    assert!(next.fence() > fence, "{key}: the fence does not grow");
    if struck && fate == Fate::Copy && may_come_again(&fate, &fault) {
        let told = fault.deliver();
        let seen = rival.mutex(&key).inspect().await.expect("a look");
        assert_eq!(seen.holders.len(), 1, "{key}: {told}");
        assert_eq!(seen.holders[0].fence, next.fence(), "{key}: a duplicate touched a successor");
        assert!(seen.waiters.is_empty(), "{key}: a duplicate stands in line: {told}");
    }
    next.release().await.expect("the rival's own link is whole");
    if struck {
        no_ghost(&server, &rival, &key, &fate, &fault).await;
    }
    rival.close(ms(60_000)).await.expect("nothing is under way");
    struck
}

/// Whether what was struck can arrive late. A late subscription asks for nothing.
fn may_come_again(fate: &Fate, fault: &Fault) -> bool {
    matches!(fate, Fate::Hold | Fate::Copy) && fault.wait().name() != "SUBSCRIBE"
}

/// A request that arrives after the release does nothing.
async fn no_ghost(server: &Server, rival: &Locks, key: &str, fate: &Fate, fault: &Fault) {
    if !may_come_again(fate, fault) {
        return;
    }
    let told = fault.deliver();
    assert!(!exists(server, key), "{key}: a ghost: {told}");
    let seen = rival.mutex(key).inspect().await.expect("a look");
    assert!(seen.holders.is_empty() && seen.waiters.is_empty(), "{key}: {told}: {seen:?}");
}

/// Strikes at every call of such a life, in every way.
async fn strike_everywhere(flavour: Flavour, birth: Birth) {
    let server = Arc::new(Server::of(flavour).start());
    for fate in FATES {
        // So that the first call of a life finds its script missing.
        server.command(&["SCRIPT", "FLUSH"]);
        let mut k = 0;
        loop {
            // Four at a time: they share no key, and the machine is small.
            let lives: Vec<_> = (k + 1..=k + 4)
                .map(|k| {
                    tokio::task::spawn_local(live(Arc::clone(&server), birth, fate.clone(), k))
                })
                .collect();
            let mut struck = Vec::new();
            for life in lives {
                struck.push(life.await.unwrap_or_else(|e| panic!("{birth:?} {fate:?}: {e}")));
            }
            let count = struck.iter().filter(|struck| **struck).count() as u64;
            k += count;
            if count < 4 {
                break;
            }
            assert!(k < 40, "a life has no end of calls");
        }
        println!("{flavour}, {birth:?}, {fate:?}: struck at {k} calls");
        assert!(k >= 4, "a life has at least so many calls");
    }
    nothing_but_memories(&server);
}

#[tokio::test]
async fn every_call_of_a_life_is_struck_on_redis() {
    let lives = strike_everywhere(Flavour::Redis, Birth::Free);
    tokio::task::LocalSet::new().run_until(lives).await;
}

#[tokio::test]
async fn every_call_of_a_life_is_struck_on_valkey() {
    let lives = strike_everywhere(Flavour::Valkey, Birth::Free);
    tokio::task::LocalSet::new().run_until(lives).await;
}

#[tokio::test]
async fn every_call_of_a_life_in_line_is_struck_on_redis() {
    let lives = strike_everywhere(Flavour::Redis, Birth::Queued);
    tokio::task::LocalSet::new().run_until(lives).await;
}

#[tokio::test]
async fn every_call_of_a_life_in_line_is_struck_on_valkey() {
    let lives = strike_everywhere(Flavour::Valkey, Birth::Queued);
    tokio::task::LocalSet::new().run_until(lives).await;
}

/// The tests above rest on this: a duplicate that nothing guards against is seen.
#[tokio::test]
async fn a_duplicate_without_an_owner_is_a_ghost() {
    let server = Server::redis().start();
    let proxy = Proxy::to(server.address());
    let fault = proxy.on(Which::nth_named(1, "SET"), Fate::Copy);
    let mut bare = tenure_testkit::Client::connect(proxy.address()).expect("a link");
    bare.call(&["SET", "key", "bare", "NX", "PX", "60000"]).expect("set");
    bare.call(&["DEL", "key"]).expect("deleted");
    fault.deliver();
    assert!(exists(&server, "key"), "the detector is blind");
    let locks = connect(&server.url()).await;
    let held = locks.mutex("key").try_acquire().await.expect("an answer");
    assert!(held.is_none());
    let free = locks.mutex("other");
    acquire(&free).await.release().await.expect("released");
}
