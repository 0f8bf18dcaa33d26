//! The reports of a program: its calls, its grants, its releases. Each is judged at once.

use std::sync::Arc;
use std::time::Duration;

use crate::kind::Kind;
use crate::plan::KEYS_MAX;
use crate::process::TIMER_LATE;
use crate::world::Pid;

use super::attempt::{Attempt, Ending, Patience, Stage, Wish};
use super::lease::Lease;
use super::rule::Rule;
use super::truth::Truth;
use super::{Book, GRACE, Judge, WITHDRAWN_WITHIN, micros};

impl Judge {
    /// A program calls `acquire`, for all these together; the answer is the number of the first,
    /// for the label. The others follow it.
    pub(crate) fn begin(&self, wishes: &[Wish]) -> u64 {
        let mut book = self.book();
        let first = book.attempts.len() as u64 + 1;
        let began = self.world.now();
        for (number, wish) in (first..).zip(wishes) {
            self.world.note(|| format!("p{} a{number} begins: {wish:?}", wish.pid));
            let (wish, stage) = (wish.clone(), Stage::Pending);
            let attempt = Attempt { wish, began, stage, granted: None, ghost: false };
            book.attempts.insert(number, attempt);
        }
        first
    }

    /// The call has returned a guard, with a lease for each of its wishes.
    pub(crate) fn handed(self: &Arc<Self>, first: u64, handles: &[Arc<tenure::Lease>]) {
        self.book().handed += 1;
        for (number, handle) in (first..).zip(handles) {
            self.handed_lease(number, handle);
        }
    }

    fn handed_lease(self: &Arc<Self>, number: u64, handle: &Arc<tenure::Lease>) {
        let now = self.world.now();
        let mut book = self.book();
        let Book { attempts, leases, open, truths, forgotten, .. } = &mut *book;
        let Some(attempt) = attempts.get_mut(&number) else { return };
        let (wish, began) = (attempt.wish.clone(), attempt.began);
        attempt.stage = Stage::Held;
        let clock = self.world.clock(wish.pid);
        let mut lease = Lease::new(handle, wish.kind.claim(), clock, now);
        lease.longest = wish.ttl;
        lease.may_end_early = wish.max_hold.is_some();
        self.world.note(|| format!("p{} a{number} is handed {:?}", wish.pid, lease.fence));
        if now >= lease.until {
            self.fail(Rule::Validity, || format!("a{number} was handed a guard past its deadline"));
        }
        let same = |t: &Truth| t.holding(&lease.owner).is_some_and(|h| h.fence == lease.fence);
        let is_known = truths.is_quorum() || truths.of(&wish.key).any(same);
        let taken = truths.of(&wish.key).filter_map(|truth| truth.taken).max();
        match truths.backing(&wish.key, &lease.owner, began).filter(|_| is_known) {
            Some(until) if until < lease.until => self.fail(Rule::Validity, || {
                format!("a{number} counts on its lease longer than the store, until {until}")
            }),
            Some(_) => {}
            // Forced, or forgotten, while the answer was under way.
            None if taken.max(*forgotten) >= Some(began) && !truths.is_quorum() => {
                lease.take(clock, now, *forgotten >= Some(began));
            }
            None => self.fail(Rule::Validity, || format!("a{number} has no lease at the store")),
        }
        self.watch_alarm(number, lease.until);
        leases.insert(number, lease);
        open.entry(wish.pid).or_default().push(number);
        self.judge_claim(&mut book, number);
        self.judge_run(&mut book, number);
    }

    /// The call has ended without a guard.
    pub(crate) fn ended(self: &Arc<Self>, number: u64, ending: Ending) {
        let now = self.world.now();
        let mut book = self.book();
        let Some(attempt) = book.attempts.get_mut(&number) else { return };
        attempt.stage = Stage::Over(now);
        let (pid, began) = (attempt.wish.pid, attempt.began);
        self.world.note(|| format!("p{pid} a{number} ends: {ending:?}"));
        if self.calm && ending == Ending::Failed {
            self.fail(Rule::Calm, || format!("a{number} failed in good network_faults"));
        }
        if let (Patience::Until(wait), false) = (attempt.wish.patience, ending == Ending::Dropped) {
            let wait = micros(wait);
            let waited = now - began;
            // Each key of a multi-lock may take 100 ms to answer at all.
            let most = match attempt.wish.kind {
                Kind::Several => wait + KEYS_MAX * 100_000,
                _ => wait.max(100_000),
            };
            let most = most * 101 / 100 + TIMER_LATE + GRACE;
            if waited > most && self.world.ran_freely(pid, began) {
                self.fail(Rule::Waiting, || format!("a{number} waited {waited} µs, not {wait}"));
            }
            if ending == Ending::Busy && waited < wait * 99 / 100 {
                self.fail(Rule::Waiting, || format!("a{number} gave up after {waited} µs"));
            }
        }
        if ending == Ending::Busy && attempt.wish.patience == Patience::Endless {
            self.fail(Rule::Waiting, || format!("a{number} gave up though it waits for ever"));
        }
        drop(book);
        self.watch_orphan(number, now + WITHDRAWN_WITHIN);
    }

    /// The program calls `release`, or drops the guard.
    pub(crate) fn let_go(self: &Arc<Self>, number: u64) {
        let now = self.world.now();
        let mut book = self.book();
        let Book { attempts, leases, open, .. } = &mut *book;
        let (Some(attempt), Some(lease)) = (attempts.get_mut(&number), leases.get_mut(&number))
        else {
            return;
        };
        let pid = attempt.wish.pid;
        self.world.note(|| format!("p{pid} a{number} is let go"));
        attempt.stage = Stage::Over(now);
        lease.let_go = Some(now);
        if let Some(open) = open.get_mut(&pid) {
            open.retain(|n| *n != number);
        }
        drop(book);
        self.watch_orphan(number, now + WITHDRAWN_WITHIN);
    }

    /// The program asked `check()`, just now.
    pub(crate) fn checked(self: &Arc<Self>, number: u64, held: bool) {
        let now = self.world.now();
        let mut book = self.book();
        self.look(&mut book, number);
        let Some(lease) = book.leases.get(&number) else { return };
        self.world.note(|| format!("a{number} checks: {held}"));
        if held && lease.lost.is_some() {
            self.fail(Rule::Final, || format!("a{number} was lost, and is held again"));
        } else if held && now >= lease.until {
            self.fail(Rule::Announcement, || {
                format!(
                    "a{number} is told that it holds, {} µs past its deadline",
                    now - lease.until
                )
            });
        }
    }

    /// The program is about to ask for a longer lease.
    pub(crate) fn extends(&self, number: u64, by: Duration) {
        if let Some(lease) = self.book().leases.get_mut(&number) {
            lease.longest = lease.longest * 2 + by * 2;
        }
    }

    /// The program closes its `Locks`: its guards are lost from now on.
    pub(crate) fn closes(&self, pid: Pid) {
        let mut book = self.book();
        let Book { attempts, leases, .. } = &mut *book;
        for (number, lease) in leases {
            lease.may_end_early |= attempts[number].wish.pid == pid;
        }
    }

    /// A program saw something that must not be.
    pub(crate) fn complain(&self, rule: Rule, text: impl FnOnce() -> String) {
        self.fail(rule, text);
    }
}
