//! The parts of a key that programs count on, side by side, and their changes: a writer that
//! becomes a reader, and a reader that becomes a writer.

use std::sync::Arc;

use tenure::{Claim, ErrorKind};

use crate::kind::Kind;

use super::lease::Lease;
use super::rule::Rule;
use super::{Book, Judge, WITHDRAWN_WITHIN};

impl Judge {
    /// From now on a program counts on the claim of this lease, with the fence that it has now.
    pub(super) fn judge_claim(&self, book: &mut Book, number: u64) {
        let now = self.world.now();
        let Book { attempts, leases, truths, .. } = book;
        let (lease, key) = (&leases[&number], &attempts[&number].wish.key);
        let (claim, fence) = (lease.claim, lease.fence_now());
        let counts = |l: &Lease| l.taken.is_none() && l.is_valid(now);
        let is_other =
            |(n, l): &(&u64, &Lease)| **n != number && attempts[n].wish.key == *key && counts(l);
        let others: Vec<_> = leases.iter().filter(is_other).collect();
        if counts(lease) && !fit(claim, others.iter().map(|(_, other)| other.claim)) {
            let others: Vec<_> = others.iter().map(|(n, other)| (**n, other.claim)).collect();
            self.fail(Rule::Exclusion, || {
                format!("a{number} with {claim:?} and a{others:?} hold {key} at once")
            });
        }
        let top = truths.top_handed.entry(key.clone()).or_default();
        // Readers that were granted together may hear of it in any order.
        let before = if claim.is_exclusive() { top.of_any } else { top.of_exclusive };
        // A writer whose downgrade has failed may still be one, with the fence that it has.
        let is_its_own = top.by == number && fence == before;
        if counts(lease) && fence <= before && !is_its_own {
            self.fail(Rule::Fence, || format!("a{number} got {fence:?} after {before:?}"));
        }
        if fence > top.of_any {
            (top.of_any, top.by) = (fence, number);
        }
        if claim.is_exclusive() {
            top.of_exclusive = fence.max(top.of_exclusive);
        }
    }

    /// The program calls `downgrade`, and is a reader from now on, whatever the answer is.
    pub(crate) fn downgrades(&self, number: u64) {
        if let Some(lease) = self.book().leases.get_mut(&number) {
            lease.claim = Kind::Reader.claim();
        }
    }

    /// The program calls `try_upgrade`.
    pub(crate) fn upgrades(self: &Arc<Self>, number: u64) {
        let began = self.world.now();
        if let Some(lease) = self.book().leases.get_mut(&number) {
            lease.upgrading = Some(began);
        }
        let judge = Arc::clone(self);
        // Before it, an earlier change may have to be settled: a call that hangs, and calls.
        self.world.at(began + WITHDRAWN_WITHIN, move |world| {
            let book = judge.book();
            let (Some(lease), Some(attempt)) =
                (book.leases.get(&number), book.attempts.get(&number))
            else {
                return;
            };
            let waits = lease.upgrading == Some(began);
            if waits && world.was_clean(attempt.wish.pid, began) && !book.was_forgotten(began) {
                judge.fail(Rule::Upgrade, || {
                    format!("the upgrade of a{number} waits, {WITHDRAWN_WITHIN} µs later")
                });
            }
        });
    }

    /// The call has ended, and whether the program is a writer now.
    pub(crate) fn upgraded(&self, number: u64, writes: bool) {
        let mut book = self.book();
        let Some(lease) = book.leases.get_mut(&number) else { return };
        lease.upgrading = None;
        if writes {
            lease.claim = Claim::EXCLUSIVE;
            self.judge_claim(&mut book, number);
        }
    }

    /// A call that changes the claim has ended, and whether its outcome is known.
    pub(crate) fn changed_claim(&self, number: u64, is_known: bool) {
        if let Some(lease) = self.book().leases.get_mut(&number) {
            lease.is_unsure = !is_known;
        }
    }

    /// A call that changes the claim, or the value beside it, has failed.
    pub(crate) fn change_failed(&self, number: u64, kind: ErrorKind) {
        let taken = self.book().leases.get(&number).and_then(|lease| lease.taken);
        let is_usual = match kind {
            ErrorKind::Lost | ErrorKind::Closed => true,
            ErrorKind::Unavailable => !self.calm,
            // A server that has forgotten the lease may have granted it again, with another fence.
            ErrorKind::Mismatch => taken.is_some_and(|taken| taken.forgotten),
            _ => false,
        };
        if !is_usual {
            self.fail(Rule::Calm, || format!("a{number} could not change its lease: {kind:?}"));
        }
    }
}

/// Whether a claim may be held beside others.
fn fit(claim: Claim, others: impl Iterator<Item = Claim>) -> bool {
    let units = |claim: Claim| u64::from(claim.units());
    // An exclusive claim has more units than any limit.
    let sum: u64 = others.map(units).sum();
    sum == 0 || sum + units(claim) <= u64::from(claim.limit())
}
