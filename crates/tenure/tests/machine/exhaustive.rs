//! Every history in a small scope: three owners (two of them with one fixed value), every kind
//! of request, times before, at and after each limit. Equal states are looked at once.

use std::collections::HashSet;
use std::time::Duration;

use tenure::protocol::{Count, Holder, KeyState, Op, Outcome, TickClock, Ticks};
use tenure::{Claim, Fence, Label, Owner, StoreTime, Value};

use super::acts::{acquire, at, line, ms, owner, revised, start};
use super::checks::{shares, take};
use super::drain::drain;

const TTL: Duration = ms(4);
const WINDOW: Duration = ms(3);
/// Longer than a lease, so that a run may fail within it.
const TICK: Duration = ms(6);
const GAPS: [Duration; 4] = [ms(0), ms(1), ms(3), ms(5)];

fn requests(who: &Owner, claim: Claim) -> Vec<Op> {
    let release = |min_hold, tombstone| Op::Release { owner: who.clone(), min_hold, tombstone };
    vec![
        Op::Acquire(acquire(who, claim, TTL, None)),
        Op::Acquire(acquire(who, claim, TTL, line(WINDOW, 1))),
        Op::Renew { owner: who.clone(), ttl: TTL },
        release(ms(0), None),
        release(ms(2), None),
        release(ms(0), Some(ms(4))),
        Op::Withdraw { owner: who.clone(), tombstone: ms(4) },
        Op::Steal(acquire(who, claim, TTL, None)),
    ]
}

fn handover(from: &Owner, to: &Owner) -> Op {
    Op::Transfer { from: from.clone(), to: to.clone(), label: Label::new("heir"), ttl: TTL }
}

fn pass(owner: &Owner, to: &Owner, claim: Claim) -> Op {
    Op::Handoff {
        owner: owner.clone(),
        min_hold: ms(0),
        tombstone: None,
        to: acquire(to, claim, TTL, line(WINDOW, 1)),
        ahead: true,
    }
}

/// Every holder wants as much as each of the others does.
fn resizes(key: &KeyState, claims: &[(usize, Claim)]) -> Vec<Op> {
    let resize = |h: &Holder, to: Claim| {
        let (owner, fence, from) = (h.owner.clone(), h.fence, h.claim);
        Op::Resize { owner, fence, from, to }
    };
    let wanted: HashSet<_> = claims.iter().map(|(_, claim)| *claim).collect();
    let holders = key.holders().iter();
    holders.flat_map(|h| wanted.iter().map(move |to| resize(h, *to))).collect()
}

/// A job begins, retries and ends, and is withdrawn.
fn job(who: &Owner) -> Vec<Op> {
    let begin = |count, retry_failed| {
        let ticks = Ticks { every: TICK, count, retry_failed, clock: TickClock::Store };
        Op::Begin { acquire: acquire(who, Claim::EXCLUSIVE, TTL, None), ticks }
    };
    let finish = |outcome| Op::Finish { owner: who.clone(), outcome, tombstone: None };
    vec![
        begin(Count::LastRun, false),
        begin(Count::LastRun, true),
        begin(Count::Grid, false),
        finish(Outcome::Ok),
        finish(Outcome::failed("no table")),
    ]
}

/// Every holder sets a value, as it would and as one that has lost its lease.
fn set_values(key: &KeyState, revisions: &[u64]) -> Vec<Op> {
    let set = |h: &Holder, revision: u64, fence: Fence| Op::SetValue {
        owner: h.owner.clone(),
        fence,
        value: revised("value", revision),
    };
    let of = |h: &Holder, revision| [h.fence, Fence::new(1)].map(|fence| set(h, revision, fence));
    let holders = key.holders().iter();
    holders.flat_map(|h| revisions.iter().flat_map(move |revision| of(h, *revision))).collect()
}

/// Walks every state that `depth` requests can reach; answers how many there were.
fn explore(claims: &[(usize, Claim)], depth: usize) -> usize {
    explore_with(claims, Vec::new(), depth, &[])
}

/// The same with more requests, and with values of these revisions.
fn explore_with(
    claims: &[(usize, Claim)],
    more: Vec<Op>,
    depth: usize,
    revisions: &[u64],
) -> usize {
    let mut ops: Vec<_> = claims.iter().flat_map(|(n, c)| requests(&owner(*n), *c)).collect();
    for pair in claims.windows(2) {
        ops.push(handover(&owner(pair[0].0), &owner(pair[1].0)));
        ops.push(pass(&owner(pair[0].0), &owner(pair[1].0), pair[1].1));
    }
    if let Some((_, share)) = claims.iter().find(|(_, claim)| !claim.is_exclusive()) {
        ops.extend([1, share.limit()].map(|limit| Op::SetLimit { limit }));
    }
    ops.extend(more);
    let first_fence = Fence::new(start().as_micros());
    ops.push(Op::Force { up_to: first_fence });
    ops.push(Op::Force { up_to: Fence::new(u64::MAX) });
    let mut seen = HashSet::new();
    let mut edge = vec![(KeyState::default(), start())];
    for _ in 0..depth {
        let mut next = Vec::new();
        for (resource, then) in &edge {
            let mut changes = resizes(resource, claims);
            changes.extend(set_values(resource, revisions));
            let ops = || ops.iter().chain(&changes);
            for (gap, op) in GAPS.iter().flat_map(|gap| ops().map(move |op| (*gap, op))) {
                let (mut resource, now) = (resource.clone(), *then + gap);
                if let Err(what) = take(&mut resource, op, at(now)) {
                    panic!("{what}");
                }
                if seen.insert(shape(&resource, now)) {
                    next.push((resource, now));
                }
            }
        }
        edge = next;
    }
    for (resource, now) in edge.into_iter().step_by(50) {
        if let Err(what) = drain(resource, now, 2) {
            panic!("{what}");
        }
    }
    seen.len()
}

/// The state, with times counted from now and fences by their rank: two states of one shape have
/// the same future.
fn shape(resource: &KeyState, now: StoreTime) -> Vec<u64> {
    let from_now = |t: StoreTime| t.since(now).as_micros() as u64;
    let ago = |t: StoreTime| now.since(t).min(ms(10)).as_micros() as u64;
    let mut shape = vec![u64::from(shares(resource).next().map_or(0, Claim::limit))];
    for h in resource.holders() {
        let units = u64::from(h.claim.units());
        shape.extend([1, h.owner.attempt(), units, ago(h.since), from_now(h.expires)]);
        shape.extend(h.value.as_ref().map(Value::revision));
    }
    for p in resource.queue() {
        let (units, lease) = (u64::from(p.claim.units()), p.claim_lease.as_micros() as u64);
        shape.extend([2, p.owner.attempt(), units, lease, ago(p.since), from_now(p.alive_until)]);
    }
    let mut tombstones: Vec<_> = resource.tombstones().iter().collect();
    tombstones.sort_by_key(|t| &t.owner);
    for t in tombstones {
        shape.extend([3, t.owner.attempt(), from_now(t.until)]);
    }
    if let Some(runs) = resource.runs() {
        shape.extend([4, now.as_micros() % TICK.as_micros() as u64]);
        for run in [Some(&runs.last), runs.before.as_ref()].into_iter().flatten() {
            let end = run.end.as_ref().map_or(0, |end| 1 + u64::from(end.outcome == Outcome::Ok));
            let begun = now.as_micros().saturating_sub(run.begun).min(20_000);
            shape.extend([run.owner.attempt(), end, begun]);
        }
    }
    shape
}

#[test]
fn mutex_of_three_owners() {
    let claims = [(0, Claim::EXCLUSIVE), (3, Claim::EXCLUSIVE), (4, Claim::EXCLUSIVE)];
    let states = explore(&claims, 5);
    assert!(states > 5_000, "only {states} states: the scope has shrunk");
}

#[test]
fn semaphore_of_two_with_claims_of_one_and_of_two() {
    let one = Claim::new(1, 2).expect("valid");
    let two = Claim::new(2, 2).expect("valid");
    let states = explore(&[(0, one), (1, one), (2, two)], 5);
    assert!(states > 5_000, "only {states} states: the scope has shrunk");
}

#[test]
fn mutex_of_two_owners_deeper() {
    let states = explore(&[(0, Claim::EXCLUSIVE), (1, Claim::EXCLUSIVE)], 6);
    assert!(states > 1_500, "only {states} states: the scope has shrunk");
}

#[test]
fn job_of_two_owners() {
    let claims = [(0, Claim::EXCLUSIVE), (1, Claim::EXCLUSIVE)];
    let jobs = claims.iter().flat_map(|(number, _)| job(&owner(*number))).collect();
    let states = explore_with(&claims, jobs, 4, &[]);
    assert!(states > 3_000, "only {states} states: the scope has shrunk");
}

#[test]
fn leaders_of_two_that_set_values() {
    let claims = [(0, Claim::EXCLUSIVE), (1, Claim::EXCLUSIVE)];
    let states = explore_with(&claims, Vec::new(), 5, &[1, 2]);
    assert!(states > 1_500, "only {states} states: the scope has shrunk");
}

#[test]
fn exclusive_claim_among_shares() {
    let share = |units, limit| Claim::new(units, limit).expect("valid");
    let states = explore(&[(0, Claim::EXCLUSIVE), (1, share(1, 2)), (2, share(2, 2))], 5);
    assert!(states > 5_000, "only {states} states: the scope has shrunk");
    let states = explore(&[(0, share(1, 2)), (1, Claim::EXCLUSIVE), (2, share(1, 1))], 4);
    assert!(states > 1_000, "only {states} states: the scope has shrunk");
}
