//! Random steps, and the machine that says what they must bring.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tenure::protocol::{
    Acquire, Count, FenceRule, Grant, Group, KeyState, Op, Outcome, Queueing, Reply, Request,
    StepContext, TickClock, Ticks,
};
use tenure::store::{Inbox, Push, Store};
use tenure::{Claim, Fence, Key, Label, Owner, Value};

use crate::acts::{aimed, first_value, known, outcome, revised, value};

/// No push takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The owner with a number; each generation of it is another owner.
pub(crate) fn owner(number: u64) -> Owner {
    Owner::from_parts(&format!("owner-{}", number % 100), number)
}

/// A step whose owners and inbox are still numbers.
#[derive(Debug, Clone)]
pub(crate) enum Draft {
    Acquire {
        owner: u64,
        claim: Claim,
        ttl: u64,
        window: Option<u64>,
        stamp: u64,
        fence: FenceRule,
        value: Option<Value>,
    },
    Raise {
        owner: u64,
        fence: Fence,
    },
    Resize {
        owner: u64,
        /// A fence, or a mark for it.
        fence: Fence,
        from: Claim,
        claim: Claim,
    },
    SetValue {
        owner: u64,
        /// As above.
        fence: Fence,
        value: Value,
    },
    Steal {
        owner: u64,
        claim: Claim,
        ttl: u64,
        value: Option<Value>,
    },
    Renew {
        owner: u64,
        ttl: u64,
    },
    Release {
        owner: u64,
        min_hold: u64,
        tombstone: Option<u64>,
    },
    Withdraw {
        owner: u64,
        tombstone: u64,
    },
    Pass {
        owner: u64,
        to: u64,
        claim: Claim,
        ttl: u64,
        fence: FenceRule,
        value: Option<Value>,
        ahead: bool,
        ends: Ends,
    },
    Transfer {
        from: u64,
        to: u64,
        ttl: u64,
    },
    Force {
        none: bool,
    },
    Begin {
        owner: u64,
        claim: Claim,
        ttl: u64,
        ticks: Ticks,
    },
    Finish {
        owner: u64,
        outcome: Outcome,
        tombstone: Option<u64>,
    },
    SetLimit {
        limit: u32,
    },
    AcquireAll {
        members: Vec<(u8, u64, Claim)>,
        ttl: u64,
        /// Whether the ttls differ.
        uneven: bool,
    },
    Inspect,
}

/// How a pass gives back.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    min_hold: u64,
    tombstone: Option<u64>,
}

impl Ends {
    pub(crate) fn at_once() -> Self {
        Self { min_hold: 0, tombstone: None }
    }
}

fn ends() -> impl Strategy<Value = Ends> {
    let mostly_at_once = prop_oneof![4 => Just(0), 1 => 10..4000_u64];
    let mostly_none = prop_oneof![4 => Just(None), 1 => (10..4000_u64).prop_map(Some)];
    (mostly_at_once, mostly_none).prop_map(|(min_hold, tombstone)| Ends { min_hold, tombstone })
}

/// Numbers below, around and above what the tests' clocks say.
fn fence() -> impl Strategy<Value = Fence> {
    let around = 1_700_000_000_000_000..1_700_000_100_000_000_u64;
    prop_oneof![0..9_u64, around, 8_000_000_000_000_000..8_000_000_000_000_009_u64]
        .prop_map(Fence::new)
}

fn fence_rule() -> impl Strategy<Value = FenceRule> {
    let within = (0..90_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        4 => Just(FenceRule::Mint),
        2 => (fence(), within).prop_map(|(fence, within)| FenceRule::Propose { fence, within }),
        1 => fence().prop_map(FenceRule::Carry),
    ]
}

pub(crate) fn share(units: u32, limit: u32) -> Claim {
    Claim::new(units, limit).expect("a good claim")
}

/// Ticks about as long as leases. A time that is proposed is near the clocks of the tests now and
/// then.
fn ticks() -> impl Strategy<Value = Ticks> {
    let every = (1..9_u64).prop_map(|n| Duration::from_millis(500 * n));
    let count = prop_oneof![Just(Count::Grid), Just(Count::LastRun)];
    let within = prop_oneof![Just(Duration::from_secs(1)), Just(Duration::from_secs(100_000_000)),];
    let clock = prop_oneof![
        5 => Just(TickClock::Store),
        1 => (fence(), within)
            .prop_map(|(now, within)| TickClock::Proposed { now: now.get(), within }),
    ];
    (every, count, any::<bool>(), clock).prop_map(|(every, count, retry_failed, clock)| Ticks {
        every,
        count,
        retry_failed,
        clock,
    })
}

/// Mostly exclusive or of the same limit, so that queues form.
pub(crate) fn claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        5 => Just(Claim::EXCLUSIVE),
        1 => Just(share(1, 1)),
        5 => (1..3_u32).prop_map(|units| share(units, 2)),
    ]
}

pub(crate) fn draft() -> impl Strategy<Value = Draft> {
    let who = || 0..6_u64;
    let ttl = || 10..4000_u64;
    prop_oneof![
        6 => (who(), claim(), ttl(), prop::option::of(500..3000_u64), 0..9_u64, fence_rule(),
              first_value())
            .prop_map(|(owner, claim, ttl, window, stamp, fence, value)| {
                Draft::Acquire { owner, claim, ttl, window, stamp, fence, value }
            }),
        1 => (who(), fence()).prop_map(|(owner, fence)| Draft::Raise { owner, fence }),
        4 => (who(), known(), claim(), claim())
            .prop_map(|(owner, fence, from, claim)| Draft::Resize { owner, fence, from, claim }),
        3 => (who(), known(), value())
            .prop_map(|(owner, fence, value)| Draft::SetValue { owner, fence, value }),
        1 => (who(), claim(), ttl(), first_value())
            .prop_map(|(owner, claim, ttl, value)| Draft::Steal { owner, claim, ttl, value }),
        2 => (who(), ttl()).prop_map(|(owner, ttl)| Draft::Renew { owner, ttl }),
        3 => (who(), prop_oneof![Just(0), ttl()], prop::option::of(ttl())).prop_map(
            |(owner, min_hold, tombstone)| Draft::Release { owner, min_hold, tombstone }
        ),
        1 => (who(), ttl()).prop_map(|(owner, tombstone)| Draft::Withdraw { owner, tombstone }),
        3 => (who(), who(), claim(), ttl(), fence_rule(), first_value(), any::<bool>(), ends())
            .prop_map(|(owner, to, claim, ttl, fence, value, ahead, ends)| {
                Draft::Pass { owner, to, claim, ttl, fence, value, ahead, ends }
            }),
        1 => (who(), who(), ttl()).prop_map(|(from, to, ttl)| Draft::Transfer { from, to, ttl }),
        3 => (who(), claim(), ttl(), ticks())
            .prop_map(|(owner, claim, ttl, ticks)| Draft::Begin { owner, claim, ttl, ticks }),
        3 => (who(), outcome(), prop::option::of(ttl())).prop_map(
            |(owner, outcome, tombstone)| Draft::Finish { owner, outcome, tombstone }
        ),
        1 => any::<bool>().prop_map(|none| Draft::Force { none }),
        2 => prop_oneof![Just(2), 0..4_u32].prop_map(|limit| Draft::SetLimit { limit }),
        1 => Just(Draft::Inspect),
    ]
}

/// A step that few words describe, of two owners who get in each other's way.
fn simple_draft() -> impl Strategy<Value = Draft> {
    let who = || 0..2_u64;
    let ttl = || 10..4000_u64;
    prop_oneof![
        3 => (who(), ttl(), fence_rule()).prop_map(|(owner, ttl, fence)| Draft::Acquire {
            owner, claim: Claim::EXCLUSIVE, ttl, window: None, stamp: 0, fence, value: None,
        }),
        3 => who().prop_map(|owner| Draft::Release { owner, min_hold: 0, tombstone: None }),
        1 => (who(), ttl()).prop_map(|(owner, ttl)| Draft::Renew { owner, ttl }),
    ]
}

/// A step of a few who stand in line for a mutex and hand it on.
fn line_draft() -> impl Strategy<Value = Draft> {
    let who = || 0..3_u64;
    let ttl = || 10..4000_u64;
    prop_oneof![
        2 => (who(), ttl(), prop::option::weighted(0.8, 500..3000_u64), 0..9_u64, first_value())
            .prop_map(|(owner, ttl, window, stamp, value)| Draft::Acquire {
                owner, claim: Claim::EXCLUSIVE, ttl, window, stamp, fence: FenceRule::Mint, value,
            }),
        4 => (who(), who(), ttl(), prop::bool::weighted(0.8)).prop_map(
            |(owner, to, ttl, ahead)| Draft::Pass {
                owner, to, claim: Claim::EXCLUSIVE, ttl, fence: FenceRule::Mint, value: None, ahead,
                ends: Ends::at_once(),
            }
        ),
        1 => who().prop_map(|owner| Draft::Release { owner, min_hold: 0, tombstone: None }),
        1 => Just(Draft::Inspect),
    ]
}

/// A share may have a value, although no kind of lock gives it one.
fn rare_value() -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(0.1, value())
}

/// A step that few words describe, of a few who share a key.
pub(crate) fn share_draft() -> impl Strategy<Value = Draft> {
    let who = || 0..4_u64;
    let ttl = || 1000..4000_u64;
    prop_oneof![
        4 => (who(), 1..3_u32, ttl(), rare_value()).prop_map(|(owner, units, ttl, value)| {
            let (claim, fence) = (share(units, 4), FenceRule::Mint);
            Draft::Acquire { owner, claim, ttl, window: None, stamp: 0, fence, value }
        }),
        3 => who().prop_map(|owner| Draft::Release { owner, min_hold: 0, tombstone: None }),
        1 => (who(), ttl()).prop_map(|(owner, ttl)| Draft::Renew { owner, ttl }),
        1 => Just(Draft::Inspect),
    ]
}

/// The steps of one call on these keys: a few here and there, or many on one.
fn mixed(keys: &'static [u8]) -> impl Strategy<Value = Vec<(u8, Draft)>> {
    let crowd = (prop::sample::select(keys), prop::collection::vec(draft(), 10..40));
    let crowd = crowd.prop_map(|(key, drafts)| drafts.into_iter().map(|d| (key, d)).collect());
    prop_oneof![
        6 => prop::collection::vec((prop::sample::select(keys), draft()), 1..6),
        1 => crowd,
    ]
}

/// The steps of one call on these keys: a mixture, or (this often of 10) one for each key, a
/// simple one or one of a line. Shares of the second key have one limit.
pub(crate) fn asks(keys: &'static [u8], simple: u32) -> impl Strategy<Value = Vec<(u8, Draft)>> {
    let one_each = prop_oneof![
        prop::collection::vec(simple_draft(), keys.len()),
        prop::collection::vec(line_draft(), keys.len()),
    ];
    let one_each = one_each.prop_map(|drafts| {
        let drafts = keys.iter().copied().zip(drafts);
        drafts
            .map(|(key, draft)| (key, if key == 1 { draft.of_a_share() } else { draft }))
            .collect()
    });
    let asks = prop_oneof![10 - simple => mixed(keys), simple => one_each];
    asks.prop_map(|asks: Vec<_>| {
        asks.into_iter().map(|(key, draft)| (key, draft.on(key))).collect()
    })
}

/// The steps of one call, with an inbox.
pub(crate) fn steps(asks: &[(u8, Draft)], inbox: &Arc<str>) -> Vec<Request> {
    let step = |(number, draft): &(u8, Draft)| match draft.op(inbox) {
        Op::AcquireAll(group) => Request::acquire_all(group),
        op => Request { key: key(*number), op },
    };
    asks.iter().map(step).collect()
}

/// The key with a number.
pub(crate) fn key(number: u8) -> Key {
    Key::new(format!("key-{number}")).expect("a good key")
}

impl Draft {
    /// The same step as it is meant for that key.
    pub(crate) fn on(mut self, key: u8) -> Self {
        if let Some(claim) = self.claim()
            && key == 1
            && !claim.is_exclusive()
        {
            *claim = share(claim.units(), 2);
        }
        self
    }

    /// The same step with a share in place of the whole key.
    pub(crate) fn of_a_share(mut self) -> Self {
        if let Some(claim) = self.claim() {
            *claim = share(1, 2);
        }
        self
    }

    fn claim(&mut self) -> Option<&mut Claim> {
        match self {
            Self::Acquire { claim, .. }
            | Self::Steal { claim, .. }
            | Self::Pass { claim, .. }
            | Self::Begin { claim, .. }
            | Self::Resize { claim, .. } => Some(claim),
            _ => None,
        }
    }

    pub(crate) fn op(&self, inbox: &Arc<str>) -> Op {
        let ms = |ms: &u64| Duration::from_millis(*ms);
        let label = |owner: &u64| Label::new(format!("label {owner}"));
        match self {
            Self::Acquire { owner: who, claim, ttl, window, stamp, fence, value } => {
                let queue = window.as_ref().map(|window| {
                    let inbox = (who % 2 == 0).then(|| Arc::clone(inbox));
                    Queueing { window: ms(window), stamp: *stamp, inbox }
                });
                let (owner, claim, label, fence) = (owner(*who), *claim, label(who), *fence);
                let (ttl, value) = (ms(ttl), value.clone());
                Op::Acquire(Acquire { owner, label, claim, ttl, queue, fence, value })
            }
            Self::Steal { owner: who, claim, ttl, value } => {
                let (owner, claim, label, ttl) = (owner(*who), *claim, label(who), ms(ttl));
                let (fence, value) = (FenceRule::Mint, value.clone());
                Op::Steal(Acquire { owner, label, claim, ttl, queue: None, fence, value })
            }
            Self::SetValue { owner: who, fence, value } => {
                Op::SetValue { owner: owner(*who), fence: *fence, value: value.clone() }
            }
            Self::Resize { owner: who, fence, from, claim } => {
                Op::Resize { owner: owner(*who), fence: *fence, from: *from, to: *claim }
            }
            Self::Raise { owner: who, fence } => Op::Raise { owner: owner(*who), fence: *fence },
            Self::Renew { owner: who, ttl } => Op::Renew { owner: owner(*who), ttl: ms(ttl) },
            Self::Release { owner: who, min_hold, tombstone } => Op::Release {
                owner: owner(*who),
                min_hold: ms(min_hold),
                tombstone: tombstone.as_ref().map(ms),
            },
            Self::Withdraw { owner: who, tombstone } => {
                Op::Withdraw { owner: owner(*who), tombstone: ms(tombstone) }
            }
            Self::Pass { owner: who, to, claim, ttl, fence, value, ahead, ends } => {
                let (window, stamp) = (Duration::from_millis(900), *ttl);
                let inbox = (to % 2 == 0).then(|| Arc::clone(inbox));
                let queue = Some(Queueing { window, stamp, inbox });
                let (claim, ttl, label) = (*claim, ms(ttl), label(to));
                let (to, fence, value) = (owner(*to), *fence, value.clone());
                Op::Handoff {
                    owner: owner(*who),
                    min_hold: ms(&ends.min_hold),
                    tombstone: ends.tombstone.as_ref().map(ms),
                    to: Acquire { owner: to, label, claim, ttl, queue, fence, value },
                    ahead: *ahead,
                }
            }
            Self::Transfer { from, to, ttl } => {
                Op::Transfer { from: owner(*from), to: owner(*to), label: label(to), ttl: ms(ttl) }
            }
            Self::Force { none } => {
                Op::Force { up_to: Fence::new(if *none { 0 } else { u64::MAX }) }
            }
            Self::Begin { owner: who, claim, ttl, ticks } => {
                let (owner, claim, label, ttl) = (owner(*who), *claim, label(who), ms(ttl));
                let fence = FenceRule::Mint;
                let acquire = Acquire { owner, label, claim, ttl, queue: None, fence, value: None };
                Op::Begin { acquire, ticks: *ticks }
            }
            Self::Finish { owner: who, outcome, tombstone } => Op::Finish {
                owner: owner(*who),
                outcome: outcome.clone(),
                tombstone: tombstone.as_ref().map(ms),
            },
            Self::SetLimit { limit } => Op::SetLimit { limit: *limit },
            Self::AcquireAll { members, ttl, uneven } => {
                let claim = |&(number, who, claim): &(u8, u64, Claim)| {
                    let ttl = ttl + if *uneven { u64::from(number) * 10 } else { 0 };
                    let (owner, label, ttl) = (owner(who), label(&who), ms(&ttl));
                    let fence = FenceRule::Mint;
                    // Some have a value, and then few words do not do.
                    let value = owner.attempt().is_multiple_of(3).then(|| revised("group", 0));
                    (key(number), Acquire { owner, label, claim, ttl, queue: None, fence, value })
                };
                Op::AcquireAll(Group::new(members.iter().map(claim)).expect("a good group"))
            }
            Self::Inspect => Op::Inspect,
        }
    }
}

/// The machine, without a store.
#[derive(Clone, Default)]
pub(crate) struct Model {
    keys: BTreeMap<Key, KeyState>,
    /// Whether the store knows the last fence of a key that is free, too.
    shows_old_fences: bool,
}

impl Model {
    pub(crate) fn of_a_store_that_shows_old_fences() -> Self {
        Self { shows_old_fences: true, ..Self::default() }
    }

    /// Carries out one step. Answers the pushes as well.
    fn apply(&mut self, step: &Request, at: StepContext) -> (Reply, Vec<Push>) {
        let mut pushes = Vec::new();
        let mut tell = |key: &Key, grants: Vec<Grant>| {
            pushes.extend(grants.into_iter().map(|grant| {
                let Grant { owner, fence, stamp, .. } = grant;
                Push { key: key.clone(), owner, fence, stamp }
            }));
        };
        let reply = if let Op::AcquireAll(group) = &step.op {
            let Ok(reply) = group.carry_out(|key, part| {
                let state = self.keys.entry(key.clone()).or_default();
                let (granted, grants) = state.apply_part(part, at);
                tell(key, grants);
                Ok::<_, Infallible>(granted)
            });
            reply
        } else {
            let state = self.keys.entry(step.key.clone()).or_default();
            let (reply, grants) = state.apply(&step.op, at);
            tell(&step.key, grants);
            reply
        };
        (reply, pushes)
    }

    /// Asks the store for the steps, and demands the machine's replies and pushes.
    pub(crate) async fn agrees_with(
        &mut self,
        store: &dyn Store,
        inbox: &mut Inbox,
        mut steps: Vec<Request>,
        at: StepContext,
    ) {
        let mut ahead = self.clone();
        for step in &mut steps {
            step.op = aimed(&step.op, ahead.keys.entry(step.key.clone()).or_default());
            ahead.apply(step, at);
        }
        let replies = store.call(steps.clone()).await.expect("the store answers");
        assert_eq!(replies.len(), steps.len());
        let mut granted = Vec::new();
        for (step, reply) in steps.iter().zip(replies) {
            let (mut expected, pushes) = self.apply(step, at);
            let mut reply = reply;
            if !self.shows_old_fences {
                forget_old_fence(&mut reply);
                forget_old_fence(&mut expected);
            }
            assert_eq!(reply, expected, "to {step:?}");
            granted.extend(pushes);
        }
        let mut pushes = Vec::new();
        for expected in &granted {
            let push = tokio::time::timeout(PATIENCE, inbox.pushes.recv()).await;
            let push = push.unwrap_or_else(|_| panic!("nobody was told of {expected:?}"));
            pushes.push(push.expect("the inbox is open"));
        }
        // In order for each key: a store may carry out the steps of one before those of another.
        granted.sort_by(|one, other| one.key.cmp(&other.key));
        pushes.sort_by(|one, other| one.key.cmp(&other.key));
        assert_eq!(pushes, granted);
        assert!(inbox.pushes.try_recv().is_err(), "a push of nobody's grant");
    }
}

fn forget_old_fence(reply: &mut Reply) {
    if let Reply::Inspected(seen) = reply
        && seen.holders.is_empty()
    {
        seen.fence = None;
    }
}
