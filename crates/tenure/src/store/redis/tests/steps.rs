//! The fast branch by itself: what it carries out without the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tenure_testkit::Server as RealServer;
use tokio::sync::watch;

use crate::protocol::{Acquire, FenceRule, Op, Queueing, Reply, Request};
use crate::store::StoreError;
use crate::store::redis::carrier::Carrier;
use crate::store::redis::keys::{Scope, Template};
use crate::store::redis::scripts;
use crate::store::redis::{RETENTION, encode::Terms};
use crate::types::{Claim, Fence, Key, Label, Owner};

use crate::store::redis::client::Script;
use crate::store::redis::client::tests::server;
use crate::store::redis::greeter::{Greeter, Role};
use crate::store::redis::link::Link;
use crate::store::redis::marker::RestartGuard;

/// A store whose full branch only complains, of something that is nobody's fault.
fn carrier(real: &RealServer) -> Carrier {
    carrier_at(&real.url())
}

pub(super) fn carrier_at(url: &str) -> Carrier {
    let terms = Terms {
        sender: "sender".to_owned(),
        calls: AtomicU64::default(),
        template: Template::default(),
        restart_guard: Duration::ZERO,
    };
    let preface = scripts::preface(&terms.template, RETENTION, terms.restart_guard);
    let source = scripts::steps(&preface, Scope::Server).source;
    let complains = "do return redis.error_reply('LOADING goes the long way') end --";
    let fast = source.replacen("-- The full branch", complains, 1);
    assert_ne!(source, fast, "the full branch begins like that");
    let script = Script { source: fast.into(), ..Script::new("steps", "") };
    let server = server(url);
    let guard = RestartGuard::off(Arc::clone(&server.runtime));
    let greeter = Greeter { guard, role: Role::All, looks: false };
    Carrier::new(
        Arc::new(Link::new(&server, greeter, watch::Sender::default())),
        Arc::new(script),
        terms,
    )
}

pub(super) fn acquire(number: u64, fence: FenceRule) -> Acquire {
    Acquire {
        owner: Owner::from_parts(&format!("owner {number}"), number),
        label: Label::new("label"),
        claim: Claim::EXCLUSIVE,
        ttl: Duration::from_secs(30),
        queue: None,
        fence,
        value: None,
    }
}

fn release(number: u64) -> Op {
    let owner = Owner::from_parts(&format!("owner {number}"), number);
    Op::Release { owner, min_hold: Duration::ZERO, tombstone: None }
}

pub(super) fn step(key: &str, op: Op) -> Request {
    Request { key: Key::new(key).expect("a key"), op }
}

async fn carry_all(carrier: &Carrier, steps: &[Request]) -> Result<Vec<Reply>, StoreError> {
    carrier.carry(steps).await.each(steps.len()).into_iter().collect()
}

async fn carry(carrier: &Carrier, op: Op) -> Result<Reply, StoreError> {
    Ok(carry_all(carrier, &[step("key", op)]).await?.remove(0))
}

fn goes_the_long_way(answer: Result<Reply, StoreError>) -> bool {
    answer.is_err_and(|error| error.message.contains("the long way"))
}

fn handoff(number: u64, to: u64) -> Op {
    let queue = Some(Queueing { window: Duration::from_secs(3), stamp: 1, inbox: None });
    let to = Acquire { queue, ..acquire(to, FenceRule::Mint) };
    let Op::Release { owner, min_hold, tombstone } = release(number) else { unreachable!() };
    Op::Handoff { owner, min_hold, tombstone, to, ahead: true }
}

#[tokio::test]
async fn lone_steps_do_without_the_machine() {
    let real = RealServer::redis().start();
    let carrier = carrier(&real);
    let far = Fence::new(1 << 52);
    let granted = carry(&carrier, Op::Acquire(acquire(1, FenceRule::Mint))).await;
    assert!(matches!(granted, Ok(Reply::Granted { .. })), "{granted:?}");
    assert_eq!(carry(&carrier, release(1)).await.ok(), Some(Reply::Released));
    let near = FenceRule::Propose { fence: far, within: Duration::ZERO };
    let granted = carry(&carrier, Op::Acquire(acquire(2, near))).await;
    assert!(matches!(granted, Ok(Reply::Granted { fence }) if fence < far), "{granted:?}");
    let handed_off = carry(&carrier, handoff(2, 3)).await;
    assert!(matches!(handed_off, Ok(Reply::HandedOff { .. })), "{handed_off:?}");
    for ttl in [1, 60] {
        let owner = Owner::from_parts("owner 3", 3);
        let renewed = carry(&carrier, Op::Renew { owner, ttl: Duration::from_secs(ttl) }).await;
        assert_eq!(renewed.ok(), Some(Reply::Renewed));
    }
    // All that it does not know it leaves to the machine.
    assert!(goes_the_long_way(carry(&carrier, release(2)).await), "it is not held any more");
    assert!(goes_the_long_way(carry(&carrier, handoff(2, 3)).await), "who hands off must hold");
    let mine = carry(&carrier, Op::Acquire(acquire(3, FenceRule::Mint))).await;
    assert!(goes_the_long_way(mine), "it is mine already");
    for fence in [FenceRule::Mint, FenceRule::Propose { fence: far, within: Duration::ZERO }] {
        let taken = carry(&carrier, Op::Acquire(acquire(4, fence))).await;
        let Ok(Reply::Busy { blocker, .. }) = taken else { panic!("{taken:?}") };
        assert_eq!(blocker.map(|blocker| blocker.label), Some(Label::new("label")));
    }
    assert_eq!(carry(&carrier, release(3)).await.ok(), Some(Reply::Released));
    // The last of them arrives again.
    carrier.terms.calls.fetch_sub(1, Ordering::Relaxed);
    let again = carry(&carrier, Op::Acquire(acquire(4, FenceRule::Mint))).await;
    assert!(again.is_err_and(|error| error.message.contains("LATE")), "nobody waits for it");
}

/// Its record is made by the handoff.
#[tokio::test]
async fn a_lock_that_says_everything_is_handed_off_without_the_machine() {
    let real = RealServer::redis().start();
    let carrier = carrier(&real);
    let granted = carry(&carrier, Op::Acquire(acquire(1, FenceRule::Mint))).await;
    let Ok(Reply::Granted { fence: first }) = granted else { panic!("{granted:?}") };
    let handed_off = carry(&carrier, handoff(1, 2)).await;
    let Ok(Reply::HandedOff { acquired, .. }) = handed_off else { panic!("{handed_off:?}") };
    assert!(matches!(*acquired, Reply::Granted { fence } if fence > first), "{acquired:?}");
    assert_eq!(carry(&carrier, release(2)).await.ok(), Some(Reply::Released));
}

/// Many tasks of a process mostly ask for these at the same moment.
#[tokio::test]
async fn many_acquires_and_releases_do_without_the_machine() {
    const MANY: u64 = 10;
    let real = RealServer::redis().start();
    let carrier = carrier(&real);
    let key = |number: u64| format!("key {number}");
    let take = |number: u64, key: &str| step(key, Op::Acquire(acquire(number, FenceRule::Mint)));
    let crowd: Vec<_> = (0..MANY).map(|number| take(number, &key(number))).collect();
    let granted = carry_all(&carrier, &crowd).await.expect("an answer");
    let Reply::Granted { fence: first } = granted[0] else { panic!("{granted:?}") };
    assert_eq!(granted, vec![Reply::Granted { fence: first }; crowd.len()], "one for all");
    // Another one wants the key that is not released; the rest takes turns.
    let mut crowd = Vec::new();
    for number in 1..MANY {
        crowd.push(step(&key(number), release(number)));
        crowd.push(take(MANY + number, &key(MANY + number)));
    }
    crowd.push(take(MANY, &key(0)));
    let mut replies = carry_all(&carrier, &crowd).await.expect("an answer");
    let Some(Reply::Busy { blocker, .. }) = replies.pop() else { panic!("{replies:?}") };
    assert_eq!(blocker.map(|blocker| blocker.label), Some(Label::new("label")));
    for pair in replies.chunks(2) {
        assert_eq!(pair[0], Reply::Released);
        assert!(matches!(pair[1], Reply::Granted { fence } if fence > first), "{pair:?}");
    }
    // It leaves unknown steps to the machine, and these are not ours.
    let not_ours = (1..MANY).map(|number| step(&key(MANY + number), release(number)));
    let answer = carry_all(&carrier, &not_ours.collect::<Vec<_>>()).await;
    assert!(answer.is_err_and(|error| error.message.contains("the long way")));
    // The request arrives again.
    carrier.terms.calls.fetch_sub(1, Ordering::Relaxed);
    let again = carry_all(&carrier, &crowd).await;
    assert!(again.is_err_and(|error| error.message.contains("LATE")), "nobody waits for it");
}
