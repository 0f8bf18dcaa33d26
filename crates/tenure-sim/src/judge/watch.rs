//! Events that must have happened by some moment: an alarm, a handover, a withdrawal. And states
//! that may never change: a process's guards are looked at after each of its polls.

use std::sync::Arc;

use crate::process::TIMER_LATE;
use crate::world::Pid;

use super::attempt::Stage;
use super::lease::Turn;
use super::rule::Rule;
use super::{Book, Judge, LONGEST_WINDOW, WITHDRAWN_WITHIN, micros};

impl Judge {
    /// A task of this process has run: what do its guards say now?
    pub(super) fn look_at(self: &Arc<Self>, pid: Pid) {
        let mut book = self.book();
        for number in book.open.get(&pid).cloned().unwrap_or_default() {
            self.look(&mut book, number);
        }
    }

    pub(super) fn look(self: &Arc<Self>, book: &mut Book, number: u64) {
        let now = self.world.now();
        let (Some(lease), Some(attempt)) =
            (book.leases.get_mut(&number), book.attempts.get(&number))
        else {
            return;
        };
        let pid = attempt.wish.pid;
        let turn = lease.look(self.world.clock(pid), now);
        let heard = lease.told_gone.filter(|at| *at < now);
        if heard.is_some_and(|at| lease.is_valid(now) && self.world.ran_freely(pid, at)) {
            self.fail(Rule::Announcement, || {
                format!("a{number} still counts on a lease that the store called gone")
            });
        }
        if turn.extended {
            self.watch_alarm(number, lease.until);
        }
        if turn != Turn::default() {
            self.judge_turn(book, number, turn);
        }
    }

    fn judge_turn(&self, book: &Book, number: u64, turn: Turn) {
        let now = self.world.now();
        let (lease, wish) = (&book.leases[&number], &book.attempts[&number].wish);
        if turn.revived && self.world.engine_ran_freely(wish.pid, now) {
            self.fail(Rule::Final, || format!("a{number} was over, and is held again"));
        }
        // An extension that is over already harms nobody.
        if turn.extended && now < lease.until {
            let began = book.attempts[&number].began;
            let backing = book.truths.backing(&wish.key, &lease.owner, began);
            let backed = backing.is_some_and(|until| lease.until <= until);
            let honest = match lease.taken {
                Some(taken) => lease.deadline <= taken.latest_deadline || taken.forgotten && backed,
                None => backed,
            };
            if !honest {
                self.fail(Rule::Validity, || {
                    format!("a{number} counts on its lease longer than the store: {backing:?}")
                });
            }
        }
        if turn.newly_lost && !lease.may_end_early {
            if self.calm && wish.renews {
                self.fail(Rule::Calm, || format!("a{number} was lost in good network_faults"));
            }
            let slack = micros(wish.ttl / 100).max(10_000).min(micros(wish.ttl / 4));
            if lease.told_gone.is_none() && now + slack * 102 / 100 + 1_000 < lease.until {
                self.fail(Rule::Announcement, || {
                    format!("a{number} was lost {} µs before its deadline", lease.until - now)
                });
            }
        }
    }

    /// A grant at the server must be in its waiter's hands at the true time `by`.
    pub(super) fn watch_handover(self: &Arc<Self>, number: u64, granted: u64, by: u64) {
        let judge = Arc::clone(self);
        self.world.at(by, move |world| {
            let book = judge.book();
            let Some(attempt) = book.attempts.get(&number) else { return };
            let same = attempt.granted == Some(granted) && attempt.stage == Stage::Pending;
            let since = granted.saturating_sub(LONGEST_WINDOW / 2);
            if same && world.was_clean(attempt.wish.pid, since) && !book.was_forgotten(since) {
                judge.fail(Rule::Handover, || {
                    format!("a{number} does not know of its grant, {} µs later", by - granted)
                });
            }
        });
    }

    /// The loss of a lease must be announced soon after `until`, unless it is renewed before.
    pub(super) fn watch_alarm(self: &Arc<Self>, number: u64, until: u64) {
        let judge = Arc::clone(self);
        self.world.at(until + TIMER_LATE + 1, move |world| {
            let book = judge.book();
            let (Some(lease), Some(attempt)) =
                (book.leases.get(&number), book.attempts.get(&number))
            else {
                return;
            };
            let silent = lease.until == until && lease.lost.is_none() && lease.let_go.is_none();
            if silent && world.engine_ran_freely(attempt.wish.pid, until.saturating_sub(TIMER_LATE))
            {
                judge
                    .fail(Rule::Announcement, || format!("the loss of a{number} is not announced"));
            }
        });
    }

    /// At the true time `at`, nothing of an attempt that is over may be left at the server.
    pub(super) fn watch_orphan(self: &Arc<Self>, number: u64, at: u64) {
        let judge = Arc::clone(self);
        self.world.at(at, move |world| {
            let book = judge.book();
            let Some(attempt) = book.attempts.get(&number) else { return };
            let Some(what) = judge.is_left(&book, number) else { return };
            let pid = attempt.wish.pid;
            if attempt.ghost || world.is_crashed(pid) {
                return;
            }
            if world.was_clean(pid, at - WITHDRAWN_WITHIN) {
                return judge.fail(Rule::Orphan, || format!("a{number} left {what} behind"));
            }
            drop(book);
            judge.watch_orphan(number, at + WITHDRAWN_WITHIN / 4);
        });
    }

    /// The rest that an attempt has left at the server, though nobody wants it.
    pub(super) fn is_left(&self, book: &Book, number: u64) -> Option<&'static str> {
        let now = self.world.now();
        let attempt = book.attempts.get(&number)?;
        let Stage::Over(_) = attempt.stage else { return None };
        let kept = micros(attempt.wish.min_hold) * 102 / 100;
        for truth in book.truths.of(&attempt.wish.key) {
            let mut holdings = truth.holdings.iter().filter(|h| h.attempt == Some(number));
            if holdings.any(|h| h.until > now && h.granted + kept < now) {
                return Some("a lease");
            }
            let mut line = truth.line.iter().filter(|s| s.attempt == Some(number));
            if line.any(|s| s.alive_until > now) {
                return Some("a place in line");
            }
        }
        None
    }
}
