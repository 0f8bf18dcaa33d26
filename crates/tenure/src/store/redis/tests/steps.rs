//! The script by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tenure_testkit::Server as RealServer;

use crate::logic::{Acquire, FenceRule, Op, Reply, Step};
use crate::store::redis::{Carrier, RETENTION, SOURCE, wire::Terms};
use crate::words::{Claim, Fence, Key, Label, Owner};

use super::{RedisUrl, Script, link};

/// A quorum waits for it: it must not need what is set up further down.
#[tokio::test]
async fn a_lone_proposal_is_carried_out_before_all_else() {
    let real = RealServer::redis().start();
    let (short, _) = SOURCE.split_once("-- Tells a waiter of its grant.").expect("what follows");
    let mut script = Script::new("steps", SOURCE);
    script.source = format!("{short}return redis.error_reply('goes the long way')").into();
    let terms = Terms {
        own_keys: ["fence".to_owned(), "calls".to_owned()],
        calls: AtomicU64::default(),
        proposes: AtomicBool::default(),
        template: RedisUrl::parse(&real.url()).expect("a good URL").key_template,
        retention: RETENTION,
        restart_guard: Duration::ZERO,
    };
    let carrier = Carrier { link: Arc::new(link(&real, "")), script, terms };
    let owner = Owner::from_parts("owner", 1);
    let (ttl, far) = (Duration::from_secs(30), Fence::new(1 << 52));
    let fence = FenceRule::Propose { fence: far, within: Duration::ZERO };
    let (label, claim) = (Label::new("label"), Claim::MUTEX);
    let acquire = Acquire { owner, label, claim, ttl, queue: None, fence };
    let step = |op| vec![Step { key: Key::new("key").expect("a key"), op }];
    let granted = carrier.carry(&step(Op::Acquire(acquire.clone()))).await.expect("an answer");
    assert!(matches!(granted[..], [Reply::Granted { fence }] if fence < far), "{granted:?}");
    let fence = FenceRule::Mint;
    let other = carrier.carry(&step(Op::Acquire(Acquire { fence, ..acquire }))).await;
    assert!(other.is_err_and(|error| error.message.contains("the long way")), "all do");
}
