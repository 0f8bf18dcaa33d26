//! The scripts by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tenure_testkit::Server as RealServer;

use crate::protocol::{Acquire, FenceRule, Op, Queueing, Reply, Request};
use crate::store::StoreError;
use crate::store::redis::carrier::Carrier;
use crate::store::redis::keys::Template;
use crate::store::redis::scripts::Scripts;
use crate::store::redis::{RETENTION, encode::Terms};
use crate::types::{Claim, Fence, Key, Label, Owner};

use crate::store::redis::client::Script;
use crate::store::redis::client::tests::server;
use crate::store::redis::link::Link;
use crate::store::redis::marker::RestartGuard;

/// A store whose script for all steps only complains, of something that is nobody's fault.
fn carrier(real: &RealServer) -> Carrier {
    let terms = Terms {
        own_keys: ["fence".to_owned(), "calls".to_owned()],
        calls: AtomicU64::default(),
        proposes: AtomicBool::default(),
        template: Template::default(),
        retention: RETENTION,
        restart_guard: Duration::ZERO,
    };
    let complains = |script: Script| match script.name {
        "steps" => Script::new("steps", "return redis.error_reply('LOADING goes the long way')"),
        _ => script,
    };
    let scripts = Scripts::new(&terms.preface(), complains);
    let server = server(&real.url());
    let guard = RestartGuard::off(Arc::clone(&server.runtime));
    Carrier::new(Arc::new(Link::new(&server, guard)), scripts, terms)
}

fn acquire(number: u64, fence: FenceRule) -> Acquire {
    Acquire {
        owner: Owner::from_parts(&format!("owner {number}"), number),
        label: Label::new("label"),
        claim: Claim::MUTEX,
        ttl: Duration::from_secs(30),
        queue: None,
        fence,
    }
}

fn release(number: u64) -> Op {
    let owner = Owner::from_parts(&format!("owner {number}"), number);
    Op::Release { owner, min_hold: Duration::ZERO, tombstone: None }
}

fn step(key: &str, op: Op) -> Request {
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

/// Somebody waits for them: they must not need what is set up for all steps.
#[tokio::test]
async fn lone_steps_have_scripts_of_their_own() {
    let real = RealServer::redis().start();
    let carrier = carrier(&real);
    let far = Fence::new(1 << 52);
    let granted = carry(&carrier, Op::Acquire(acquire(1, FenceRule::Mint))).await;
    assert!(matches!(granted, Ok(Reply::Granted { .. })), "{granted:?}");
    assert_eq!(carry(&carrier, release(1)).await.ok(), Some(Reply::Released));
    let near = FenceRule::Propose { fence: far, within: Duration::ZERO };
    let granted = carry(&carrier, Op::Acquire(acquire(2, near))).await;
    assert!(matches!(granted, Ok(Reply::Granted { fence }) if fence < far), "{granted:?}");
    let queue = Some(Queueing { window: Duration::from_secs(3), stamp: 1, inbox: None });
    let to = Acquire { queue, ..acquire(3, FenceRule::Mint) };
    let Op::Release { owner, min_hold, tombstone } = release(2) else { unreachable!() };
    let pass = Op::Handoff { owner, min_hold, tombstone, to, ahead: true };
    let passed = carry(&carrier, pass.clone()).await;
    assert!(matches!(passed, Ok(Reply::HandedOff { .. })), "{passed:?}");
    assert_eq!(carry(&carrier, release(2)).await.ok(), Some(Reply::Others));
    // Whatever they do not know they leave to the script of all steps.
    assert!(goes_the_long_way(carry(&carrier, pass).await), "who passes must hold");
    let mine = carry(&carrier, Op::Acquire(acquire(3, FenceRule::Mint))).await;
    assert!(goes_the_long_way(mine), "it is mine already");
    for fence in [FenceRule::Mint, FenceRule::Propose { fence: far, within: Duration::ZERO }] {
        let taken = carry(&carrier, Op::Acquire(acquire(4, fence))).await;
        let Ok(Reply::Busy { blocker, .. }) = taken else { panic!("{taken:?}") };
        assert_eq!(blocker.map(|blocker| blocker.label), Some(Label::new("label")));
    }
    assert_eq!(carry(&carrier, release(3)).await.ok(), Some(Reply::Released));
    assert_eq!(carry(&carrier, release(3)).await.ok(), Some(Reply::Gone));
    let nothing = carry_all(&carrier, &[step("another key", release(3))]).await;
    assert_eq!(nothing.ok(), Some(vec![Reply::Gone]));
    // The last of them arrives again.
    carrier.terms.calls.fetch_sub(1, Ordering::Relaxed);
    let again = carry(&carrier, Op::Acquire(acquire(4, FenceRule::Mint))).await;
    assert!(again.is_err_and(|error| error.message.contains("LATE")), "nobody waits for it");
}

/// Many tasks of a process mostly ask for these at the same moment.
#[tokio::test]
async fn a_crowd_of_acquires_and_releases_has_a_script_of_its_own() {
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
    // Whatever it does not know it leaves to the script of all steps, and this one is not ours.
    let not_ours = (1..MANY).map(|number| step(&key(MANY + number), release(number)));
    let answer = carry_all(&carrier, &not_ours.collect::<Vec<_>>()).await;
    assert!(answer.is_err_and(|error| error.message.contains("the long way")));
    // The request arrives again.
    carrier.terms.calls.fetch_sub(1, Ordering::Relaxed);
    let again = carry_all(&carrier, &crowd).await;
    assert!(again.is_err_and(|error| error.message.contains("LATE")), "nobody waits for it");
}
