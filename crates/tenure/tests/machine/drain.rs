//! Nothing stays stuck: from any state, waiters who do no more than look when the machine told
//! them to (no push ever arrives) are all granted in the end.

use std::time::Duration;

use tenure::protocol::{KeyState, Op, Reply};
use tenure::{Claim, Owner, StoreTime};

use super::acts::{acquire, at, line, ms};
use super::checks::shares;

/// More looks than any history here can need.
const LOOKS: usize = 2_000;

/// A waiter that is alive and keeps its place by heartbeats.
struct Waiter {
    owner: Owner,
    claim: Claim,
    next_look: StoreTime,
    stamp: u64,
}

/// Lets `waiters` new waiters join after all that happened so far; those already in line are
/// dead. Every second of the new ones wants the key whole. Every second of the granted dies with
/// its lease, the others release after a while.
pub(crate) fn drain(
    mut resource: KeyState,
    mut now: StoreTime,
    waiters: usize,
) -> Result<(), String> {
    // A holder can have more units than the limit by now.
    let share = |share: Claim| Claim::new(share.units().min(share.limit()), share.limit());
    let share = shares(&resource).next().map_or(Claim::new(1, 2), share).expect("a good claim");
    let (ttl, window) = (ms(60), ms(30));
    let mut waiting: Vec<_> = (0..waiters)
        .map(|n| Waiter {
            owner: Owner::from_parts(&format!("waiter {n}"), n as u64),
            claim: if n % 2 == 0 { share } else { Claim::EXCLUSIVE },
            next_look: now + ms(n as u64),
            stamp: 0,
        })
        .collect();
    let mut releases: Vec<(StoreTime, Owner)> = Vec::new();
    for _ in 0..LOOKS {
        if waiting.is_empty() {
            return Ok(());
        }
        let due = waiting.iter().map(|w| w.next_look).min().unwrap_or(now);
        let release = releases.iter().position(|(when, _)| *when <= due);
        if let Some((when, owner)) = release.map(|index| releases.swap_remove(index)) {
            now = now.max(when);
            resource
                .apply(&Op::Release { owner, min_hold: Duration::ZERO, tombstone: None }, at(now));
            continue;
        }
        now = now.max(due);
        let index = waiting.iter().position(|w| w.next_look == due).unwrap_or(0);
        let waiter = &mut waiting[index];
        waiter.stamp += 1;
        let op = Op::Acquire(acquire(&waiter.owner, waiter.claim, ttl, line(window, waiter.stamp)));
        match resource.apply(&op, at(now)).0 {
            Reply::Granted { .. } => {
                let waiter = waiting.swap_remove(index);
                if waiting.len().is_multiple_of(2) {
                    releases.push((now + ms(7), waiter.owner));
                }
            }
            Reply::Queued { look_in, .. } => waiter.next_look = now + look_in.min(window / 3),
            // Another limit than the live one: nothing will come of it before that has ended.
            Reply::Mismatch(_) => waiter.next_look = now + window,
            other => return Err(format!("a waiter was answered {other:?}")),
        }
    }
    Err(format!("after {LOOKS} looks {} of {waiters} still wait: {resource:#?}", waiting.len()))
}
