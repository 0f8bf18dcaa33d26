//! Requests to the machine, from small pools of owners and keys, so that they meet each other.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tenure::protocol::{
    Acquire, Count, FenceRule, KeyState, Op, Outcome, Queueing, StepContext, TickClock, Ticks,
};
use tenure::{Claim, Fence, Label, Owner, StoreTime, Value};

/// One request, some time after the one before.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// Time since the act before.
    pub(crate) gap: Duration,
    /// Whether the store's wall clock had been set back when the act came.
    pub(crate) clock_set_back: bool,
    pub(crate) op: Op,
}

/// How long a fence outlives the last use of its key here.
pub(crate) const RETENTION: Duration = Duration::from_millis(500);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn at(now: StoreTime) -> StepContext {
    StepContext { now, fence_seed: now.as_micros(), wall: now.as_micros(), retention: RETENTION }
}

/// Where every history begins: not at zero, which is a fence of its own kind.
pub(crate) fn start() -> StoreTime {
    StoreTime::from_micros(1_000_000)
}

/// The owners of the pool: 0, 1 and 2 differ in all, 3 and 4 share a fixed value.
pub(crate) fn owner(number: usize) -> Owner {
    match number {
        0..=2 => Owner::from_parts(&format!("{number:040x}"), number as u64),
        _ => Owner::from_parts("job", number as u64),
    }
}

pub(crate) const OWNERS: usize = 5;

pub(crate) fn acquire(
    owner: &Owner,
    claim: Claim,
    ttl: Duration,
    queue: Option<Queueing>,
) -> Acquire {
    Acquire {
        owner: owner.clone(),
        label: Label::new("test"),
        claim,
        ttl,
        queue,
        fence: FenceRule::Mint,
        value: None,
    }
}

pub(crate) fn line(window: Duration, stamp: u64) -> Option<Queueing> {
    Some(Queueing { window, stamp, inbox: Some(Arc::from("inbox")) })
}

/// Carries out an op and forgets the grants.
pub(crate) fn apply(resource: &mut KeyState, op: &Op, now: StoreTime) -> tenure::protocol::Reply {
    resource.apply(op, at(now)).0
}

/// A history of up to `acts` acts by owners whose claims mostly stay the same throughout: all are
/// exclusive, all are shares, or some are.
pub(crate) fn histories(acts: usize) -> impl Strategy<Value = Vec<Act>> {
    let units = || (1..=4_u32).prop_map(Some);
    let wanted = prop_oneof![
        1 => prop::collection::vec(Just(None), OWNERS),
        1 => prop::collection::vec(units(), OWNERS),
        3 => prop::collection::vec(prop_oneof![Just(None), units()], OWNERS),
    ];
    (1..=4_u32, wanted)
        .prop_flat_map(move |(limit, units)| prop::collection::vec(act(limit, units), 1..acts))
}

/// In the place of a fence: that of the lease and its claim, as its holder knows them.
pub(crate) const NOW: Fence = Fence::new(0);
/// The same, but for the claim.
pub(crate) const FENCE_NOW: Fence = Fence::new(1);

/// How much the sender of a change knows of its lease.
pub(crate) fn known() -> impl Strategy<Value = Fence> {
    prop_oneof![6 => Just(NOW), 1 => Just(FENCE_NOW), 1 => Just(Fence::new(2))]
}

/// Few values, of few revisions.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let short = prop::sample::select(vec!["", "a", "2:b", "line\nfeed", "é\0"]);
    let text = prop_oneof![
        6 => short.prop_map(str::to_owned),
        1 => Just("x".repeat(Value::MAX_BYTES)),
    ];
    (text, 0..4_u64).prop_map(|(text, revision)| revised(&text, revision))
}

pub(crate) fn revised(text: &str, revision: u64) -> Value {
    Value::revised(text, revision).expect("a short value")
}

/// Mostly none, as with all kinds of locks but one.
pub(crate) fn first_value() -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(0.3, value())
}

/// The request with what its owner knows of its lease.
pub(crate) fn aimed(op: &Op, key: &KeyState) -> Op {
    let held = |owner: &Owner| key.holders().iter().find(|h| h.owner == *owner);
    if let Op::SetValue { owner, fence: NOW | FENCE_NOW, value } = op
        && let Some(held) = held(owner)
    {
        return Op::SetValue { owner: owner.clone(), fence: held.fence, value: value.clone() };
    }
    let Op::Resize { owner, fence, from, to } = op else { return op.clone() };
    let Some(held) = held(owner) else { return op.clone() };
    let (fence, from) = match *fence {
        NOW => (held.fence, held.claim),
        FENCE_NOW => (held.fence, *from),
        other => (other, *from),
    };
    Op::Resize { owner: owner.clone(), fence, from, to: *to }
}

/// A share of as many units as the limit allows; without units an exclusive claim.
fn claim(units: Option<u32>, limit: u32) -> Claim {
    let share = |units: u32| Claim::new(units.min(limit), limit).expect("within the limit");
    units.map_or(Claim::EXCLUSIVE, share)
}

fn act(limit: u32, units: Vec<Option<u32>>) -> impl Strategy<Value = Act> {
    let gap = prop_oneof![
        4 => Just(ms(0)),
        6 => (1..=20_u64).prop_map(ms),
        3 => (20..=300_u64).prop_map(ms),
        1 => Just(ms(1_000)),
        1 => Just(ms(70_000)),
    ];
    (gap, prop::bool::weighted(0.1), op(limit, units)).prop_map(|(gap, clock_set_back, op)| Act {
        gap,
        clock_set_back,
        op,
    })
}

fn op(limit: u32, units: Vec<Option<u32>>) -> impl Strategy<Value = Op> {
    let who = || (0..OWNERS).prop_map(owner);
    let ttl = || prop::sample::select(vec![ms(10), ms(40), ms(100), ms(1_000)]);
    let tombstone = || prop::sample::select(vec![ms(0), ms(100), ms(60_000)]);
    let queued = claims(limit, units.clone(), true);
    let tried = claims(limit, units.clone(), false);
    let passed = claims(limit, units.clone(), true);
    let begun = claims(limit, units.clone(), true);
    let stolen = claims(limit, units, false);
    let resized = prop_oneof![
        3 => Just(Claim::EXCLUSIVE),
        9 => (1..=limit).prop_map(move |units| claim(Some(units), limit)),
        1 => Just(claim(Some(1), limit + 1)),
    ];
    prop_oneof![
        8 => queued.prop_map(Op::Acquire),
        4 => tried.prop_map(Op::Acquire),
        4 => (who(), ttl()).prop_map(|(owner, ttl)| Op::Renew { owner, ttl }),
        6 => (who(), prop::sample::select(vec![ms(0), ms(0), ms(20), ms(200)]),
              prop::option::of(tombstone()))
            .prop_map(|(owner, min_hold, tombstone)| Op::Release { owner, min_hold, tombstone }),
        4 => (who(), prop::sample::select(vec![ms(0), ms(0), ms(0), ms(200)]),
              prop::option::of(tombstone()), passed, any::<bool>())
            .prop_map(|(owner, min_hold, tombstone, to, ahead)| {
                Op::Handoff { owner, min_hold, tombstone, to, ahead }
            }),
        3 => (who(), tombstone())
            .prop_map(|(owner, tombstone)| Op::Withdraw { owner, tombstone }),
        2 => (who(), who(), ttl())
            .prop_map(|(from, to, ttl)| Op::Transfer { from, to, label: Label::new("next"), ttl }),
        1 => prop_oneof![Just(u64::MAX), 900_000..3_000_000_u64]
            .prop_map(|fence| Op::Force { up_to: Fence::new(fence) }),
        1 => stolen.prop_map(Op::Steal),
        5 => (who(), known(), resized.clone(), resized)
            .prop_map(|(owner, fence, from, to)| Op::Resize { owner, fence, from, to }),
        3 => (who(), known(), value())
            .prop_map(|(owner, fence, value)| Op::SetValue { owner, fence, value }),
        2 => prop_oneof![2 => Just(limit), 3 => 0..=limit + 2]
            .prop_map(|limit| Op::SetLimit { limit }),
        5 => (begun, ticks()).prop_map(|(acquire, ticks)| Op::Begin { acquire, ticks }),
        4 => (who(), outcome(), prop::option::of(tombstone())).prop_map(
            |(owner, outcome, tombstone)| Op::Finish { owner, outcome, tombstone }
        ),
        1 => Just(Op::Inspect),
    ]
}

/// Ticks a little longer than most leases, by the store's clock or by one beside it.
fn ticks() -> impl Strategy<Value = Ticks> {
    let every = prop::sample::select(vec![ms(30), ms(100), ms(400)]);
    let count = prop_oneof![Just(Count::Grid), Just(Count::LastRun)];
    let clock = prop_oneof![
        6 => Just(TickClock::Store),
        // Around the start of every history.
        1 => (900_000..1_300_000_u64, prop::sample::select(vec![ms(50), ms(100_000)]))
            .prop_map(|(now, within)| TickClock::Proposed { now, within }),
    ];
    (every, count, any::<bool>(), clock).prop_map(|(every, count, retry_failed, clock)| Ticks {
        every,
        count,
        retry_failed,
        clock,
    })
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Ok), Just(Outcome::failed("no such table"))]
}

fn claims(limit: u32, units: Vec<Option<u32>>, queued: bool) -> impl Strategy<Value = Acquire> {
    let ttl = prop::sample::select(vec![ms(10), ms(40), ms(100), ms(1_000)]);
    let window = prop::sample::select(vec![ms(10), ms(30), ms(200)]);
    let other = prop_oneof![
        18 => Just(None),
        1 => Just(Some(Claim::EXCLUSIVE)),
        1 => (1..=5_u32).prop_map(move |units| Some(claim(Some(units), limit + 1))),
    ];
    let inbox = prop::option::of(Just(Arc::from("inbox")));
    (0..OWNERS, ttl, window, 1..9_u64, inbox, other, first_value()).prop_map(
        move |(number, ttl, window, stamp, inbox, other, value)| {
            let claim = other.unwrap_or_else(|| claim(units[number], limit));
            let queue = queued.then_some(Queueing { window, stamp, inbox });
            Acquire { value, ..acquire(&owner(number), claim, ttl, queue) }
        },
    )
}
