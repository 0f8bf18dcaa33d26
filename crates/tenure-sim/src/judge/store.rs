//! The reports of the servers and the network: each step that was carried out, each answer that
//! arrived.

use std::collections::BTreeMap;
use std::sync::Arc;

use tenure::protocol::{Inspection, Op, Reply, Request};
use tenure::{Fence, Key};

use crate::kind::{Kind, attempt_of};
use crate::process::TIMER_LATE;
use crate::world::Pid;

use super::attempt::{Attempt, Stage};
use super::lease::Lease;
use super::rule::Rule;
use super::truth::{Change, NewGrant, Standing};
use super::{Book, GRACE, Judge, LONGEST_WINDOW, micros};

impl Judge {
    /// A server has carried out a step.
    pub(crate) fn changed(self: &Arc<Self>, change: &Change<'_>) {
        let now = self.world.now();
        let mut book = self.book();
        let Book { attempts, leases, open, truths, runs, forgotten, .. } = &mut *book;
        let claim = match change.op {
            Op::Acquire(acquire) | Op::Handoff { to: acquire, .. } | Op::Begin { acquire, .. } => {
                Some(acquire)
            }
            _ => None,
        };
        if let (Some(acquire), Some(from)) = (claim, change.from) {
            let number = attempt_of(&acquire.label, change.key);
            if let Some(attempt) = number.and_then(|n| attempts.get_mut(&n)) {
                let longest = micros(attempt.wish.ttl.max(attempt.wish.window()));
                attempt.ghost |= now > from.sent + longest * 98 / 100;
                attempt.ghost |= forgotten.is_some_and(|at| from.sent <= at);
            }
        }
        let is_quorum = truths.is_quorum();
        let truth = truths.at(change.node, change.key);
        self.follow_runs(runs, truth, change);
        let difference = truth.follow(change, now);
        let top = truth.top_fence;
        for changed in &difference.changed {
            if changed.fence <= top {
                self.fail(Rule::Fence, || format!("{changed:?} was changed after {top:?}"));
            }
        }
        for grant in &difference.grants {
            if is_quorum {
                self.judge_topped_up(leases, change, grant);
            } else if grant.holding.fence <= truth.top_fence {
                self.fail(Rule::Fence, || {
                    format!("the server granted {grant:?} after {:?}", truth.top_fence)
                });
            }
            truth.top_fence = truth.top_fence.max(grant.holding.fence);
            self.granted(attempts, grant, now);
        }
        let fences = difference.changed.iter().map(|changed| changed.fence);
        truth.top_fence = fences.fold(truth.top_fence, Fence::max);
        for robbed in &difference.robbed {
            self.fail(Rule::Successor, || format!("{:?} ended the lease {robbed:?}", change.op));
        }
        for standing in &difference.vanished {
            if self.waits_in_vain(attempts, standing, now) {
                self.fail(Rule::Order, || format!("the place of {standing:?} is gone"));
            }
        }
        let forced = matches!(change.op, Op::Force { .. } | Op::Steal(_));
        for number in open.values().flatten() {
            let (lease, wish) =
                (leases.get_mut(number).expect("it is open"), &attempts[number].wish);
            if wish.key != *change.key || lease.taken.is_some() {
                continue;
            }
            let since = attempts[number].began;
            let holding = truths.at(change.node, change.key).holding(&lease.owner);
            let is_other_grant =
                holding.is_some_and(|h| h.first_fence != lease.fence) && !is_quorum;
            let backing = truths.backing(change.key, &lease.owner, since);
            if !is_other_grant && backing.is_some_and(|until| until >= now) {
                continue;
            }
            if forced {
                lease.take(self.world.clock(wish.pid), now, false);
            } else if lease.is_valid(now) {
                self.fail(Rule::Announcement, || {
                    format!("a{number} still counts on {}, which the server gave away", wish.key)
                });
            }
        }
    }

    /// A quorum's lease keeps its fence, also where it comes to a node later.
    fn judge_topped_up(
        &self,
        leases: &BTreeMap<u64, Lease>,
        change: &Change<'_>,
        grant: &NewGrant,
    ) {
        let lease = grant.holding.attempt.and_then(|number| leases.get(&number));
        let (Some(lease), Some(from)) = (lease, change.from) else { return };
        let is_same = lease.owner == grant.holding.owner && from.sent > lease.handed_at;
        if is_same && grant.holding.fence != lease.fence {
            self.fail(Rule::Fence, || format!("{grant:?} tops up a lease with {:?}", lease.fence));
        }
    }

    /// A server has lost its memory.
    pub(crate) fn forgotten(&self, node: usize) {
        let now = self.world.now();
        let mut book = self.book();
        book.forgotten = Some(now);
        let Book { attempts, leases, open, truths, .. } = &mut *book;
        truths.forget(node, now);
        if truths.is_quorum() {
            return;
        }
        for number in open.values().flatten() {
            let lease = leases.get_mut(number).expect("it is open");
            lease.take(self.world.clock(attempts[number].wish.pid), now, true);
        }
    }

    /// Answers of a server have arrived at a caller that waits for them.
    pub(crate) fn answered(&self, node: usize, to: Pid, steps: &[Request], replies: &[Reply]) {
        let now = self.world.now();
        let mut book = self.book();
        let (is_quorum, majority) = (book.truths.is_quorum(), book.truths.majority());
        for (step, reply) in steps.iter().zip(replies) {
            if let Reply::Inspected(seen) = reply {
                self.inspected(&mut book, to, &step.key, seen);
            }
            let owner = match (&step.op, reply) {
                (Op::Renew { .. }, Reply::Renewed) => continue,
                (
                    Op::Resize { owner, .. } | Op::SetValue { owner, .. },
                    Reply::Gone | Reply::Withdrawn,
                )
                | (Op::Renew { owner, .. }, _) => owner,
                _ => continue,
            };
            for lease in book.leases.values_mut().filter(|l| l.owner == *owner) {
                lease.gone_at.insert(node);
                if !is_quorum {
                    lease.told_gone.get_or_insert(now);
                }
                // A quorum's nodes may each be topped up again, or all be gone.
                lease.may_end_early |= is_quorum && lease.gone_at.len() >= majority;
            }
        }
    }

    /// A process that does not know what its lease claims has looked, and the lease is not there.
    fn inspected(&self, book: &mut Book, pid: Pid, key: &Key, seen: &Inspection) {
        let now = self.world.now();
        let Book { attempts, leases, .. } = book;
        for (number, lease) in leases.iter_mut().filter(|(_, lease)| lease.is_unsure) {
            let wish = &attempts[number].wish;
            if wish.pid != pid || wish.key != *key {
                continue;
            }
            if seen.holders.iter().all(|holder| holder.owner != lease.owner) {
                lease.told_gone.get_or_insert(now);
            }
        }
    }

    fn granted(
        self: &Arc<Self>,
        attempts: &mut BTreeMap<u64, Attempt>,
        grant: &NewGrant,
        now: u64,
    ) {
        for standing in &grant.overtaken {
            if self.waits_in_vain(attempts, standing, now) {
                self.fail(Rule::Order, || format!("{:?} overtook {standing:?}", grant.holding));
            }
        }
        let Some(number) = grant.holding.attempt else { return };
        let Some(attempt) = attempts.get_mut(&number) else { return };
        attempt.granted = Some(now);
        let Some(place) = &grant.place else { return };
        let pid = attempt.wish.pid;
        // The place of an attempt that has ended is a ghost's: nobody looks for it.
        let looks = attempt.stage == Stage::Pending;
        if let Some(free_since) = grant.free_since.filter(|_| looks) {
            let late = now - free_since;
            let knew = place.first_since.saturating_add(1_300_000) < free_since;
            let most = 50_000 + TIMER_LATE + 2 * self.round_trip;
            if knew && late > most && self.world.was_clean(pid, place.first_since) {
                self.fail(Rule::Waiting, || {
                    format!("a{number} was granted {late} µs after the holder's end")
                });
            }
        }
        // One key of several is not handed out before the others are.
        if looks && attempt.wish.kind != Kind::Several {
            let heartbeat = micros(attempt.wish.window().min(attempt.wish.ttl)) * 101 / 300;
            self.watch_handover(
                number,
                now,
                now + heartbeat + TIMER_LATE + 2 * self.round_trip + GRACE,
            );
        }
    }

    /// Whether it stands in line, alive, on a machine and a network that work.
    fn waits_in_vain(
        &self,
        attempts: &BTreeMap<u64, Attempt>,
        standing: &Standing,
        now: u64,
    ) -> bool {
        standing.attempt.and_then(|n| attempts.get(&n)).is_some_and(|attempt| {
            let since = now.saturating_sub(LONGEST_WINDOW * 3 / 2);
            // One that began afresh has a new owner: a ghost of the old one keeps no place.
            let is_looked_after = attempt.stage == Stage::Pending && !attempt.ghost;
            is_looked_after && self.world.was_clean(attempt.wish.pid, since)
        })
    }
}
