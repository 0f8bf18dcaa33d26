//! A user that holds: it works, checks that it still holds, extends, and goes on to the very end of
//! its lease, or sleeps past it. It never releases another's lease.

use std::sync::Arc;
use std::time::Duration;

use tenure::runtime::Runtime;
use tenure::{Guard, Leadership, Lease, MultiGuard, Outcome, Result};

use crate::judge::{Rule, Wish};
use crate::kind::{self, Held, Kind};
use crate::user::{Interrupt, MS, User};

impl User {
    pub(crate) async fn hold(&mut self, number: u64, held: &mut Held, wish: &Wish) {
        match held {
            Held::One(guard) => {
                if wish.kind.can_change() && self.rng.per_mille(500) {
                    self.hold_and_change(number, guard, wish).await;
                }
                self.hold_one(number, guard, wish).await;
            }
            Held::Several(guard) => self.hold_several(number, guard).await,
            Held::Leader(leadership) => {
                self.lead(number, leadership, wish).await;
                self.hold_one(number, leadership, wish).await;
            }
            Held::Run(run) => self.hold_one(number, run, wish).await,
        }
    }

    async fn hold_one(&mut self, number: u64, guard: &Lease, wish: &Wish) {
        match self.rng.below(10) {
            0..=1 => self.host.sleep(self.rng.below(20) * MS).await,
            2..=3 => self.hold_and_look(number, guard).await,
            4 => self.hold_and_extend(number, guard, wish).await,
            5..=7 => self.hold_to_the_end(number, guard).await,
            8 => self.hold_to_the_brink(number, guard, wish).await,
            _ => self.hold_until_lost(number, guard).await,
        }
    }

    /// Reads and writes by turns, without giving the lock back in between.
    async fn hold_and_change(&mut self, number: u64, guard: &mut Guard, wish: &Wish) {
        let judge = Arc::clone(&self.host.judge);
        let mut writes = wish.kind == Kind::Writer;
        for _ in 0..self.rng.between(1, 3) {
            self.host.sleep(self.rng.below(200) * MS).await;
            let interrupt = self.interrupt();
            let answer = if writes {
                judge.downgrades(number);
                writes = false;
                self.unless(interrupt, guard.downgrade()).await.map(|done| done.map(|()| false))
            } else {
                judge.upgrades(number);
                let upgraded = self.unless(interrupt, guard.try_upgrade()).await;
                writes = matches!(upgraded, Some(Ok(true)));
                judge.upgraded(number, writes);
                upgraded
            };
            self.host.world.note(|| format!("a{number} has changed, writes {writes}: {answer:?}"));
            judge.changed_claim(number, matches!(answer, Some(Ok(_))));
            if let Some(Err(error)) = answer {
                judge.change_failed(number, error.kind());
            }
            if !self.look(number, guard) {
                return;
            }
        }
    }

    /// Changes its value, and looks at what others see.
    async fn lead(&mut self, number: u64, leadership: &mut Leadership, wish: &Wish) {
        let judge = Arc::clone(&self.host.judge);
        for revision in 1..=self.rng.between(1, 12) {
            self.host.sleep(self.rng.below(200) * MS).await;
            let value = kind::value(&format!("a{number}"), revision);
            // Often the next value is sent before the store has answered.
            let is_hasty = self.rng.per_mille(300);
            let interrupt = if is_hasty { Interrupt::AfterPolls(1) } else { self.interrupt() };
            let answer = self.unless(interrupt, leadership.set_value(value)).await;
            self.host.world.note(|| format!("a{number} has set value {revision}: {answer:?}"));
            match answer {
                Some(Ok(())) => judge.has_value(number, revision),
                Some(Err(error)) => judge.change_failed(number, error.kind()),
                None => {}
            }
            if self.rng.per_mille(700) {
                self.look_for_leader(&wish.key).await;
            }
            if !self.look(number, leadership) {
                return;
            }
        }
    }

    /// Several keys are held as long as each of them is.
    async fn hold_several(&mut self, number: u64, guard: &MultiGuard) {
        for _ in 0..self.rng.between(1, 6) {
            let pause = self.rng.below(500) * MS;
            let host = Arc::clone(&self.host);
            tokio::select! {
                biased;
                reason = guard.lost() => host.world.note(|| format!("a{number} hears: {reason}")),
                () = host.sleep(pause) => {}
            }
            let held = guard.check().is_ok();
            let members = (number..).zip(guard.leases());
            members.for_each(|(member, _)| self.host.judge.checked(member, held));
            if !held {
                return;
            }
        }
    }

    async fn hold_and_look(&mut self, number: u64, guard: &Lease) {
        for _ in 0..self.rng.between(1, 8) {
            self.host.sleep(self.rng.below(300) * MS).await;
            if !self.look(number, guard) {
                return;
            }
        }
    }

    async fn hold_and_extend(&mut self, number: u64, guard: &Lease, wish: &Wish) {
        for _ in 0..self.rng.between(1, 3) {
            self.host.sleep(self.rng.below(200) * MS).await;
            let span = Duration::from_micros(self.rng.between(10, 4_000) * MS);
            self.host.judge.extends(number, span);
            let asked = self.host.runtime.now();
            let interrupt = self.interrupt();
            let extended: Option<Result<()>> = if self.rng.per_mille(500) {
                self.unless(interrupt, guard.extend_by(span)).await
            } else {
                self.unless(interrupt, guard.extend_to(span)).await
            };
            let short = guard.deadline() < asked + span && wish.max_hold.is_none();
            if matches!(extended, Some(Ok(()))) && short {
                self.host.judge.complain(Rule::Validity, || {
                    format!("a{number} was extended by less than {span:?}")
                });
            }
            if !self.look(number, guard) {
                return;
            }
        }
    }

    /// Works up to the last moment that is known to be safe.
    async fn hold_to_the_end(&mut self, number: u64, guard: &Lease) {
        let enough = self.host.world.now() + self.rng.below(4_000) * MS;
        while self.look(number, guard) && self.host.world.now() < enough {
            if guard.remaining().is_zero() {
                return;
            }
            self.host.runtime.sleep_until(guard.deadline()).await;
        }
    }

    /// Works until little time is left, or another renewal has come.
    async fn hold_to_the_brink(&mut self, number: u64, guard: &Lease, wish: &Wish) {
        let host = Arc::clone(&self.host);
        let grace = wish.ttl.mul_f64(0.2);
        let [before, most] = [guard.deadline(), host.runtime.now()];
        let most = most + Duration::from_micros(self.rng.below(4_000) * MS);
        tokio::select! {
            biased;
            () = guard.at_risk(grace) => {
                let left = guard.remaining();
                if left > grace {
                    let text = || format!("a{number} is called at risk with {left:?} left");
                    host.judge.complain(Rule::Announcement, text);
                }
            }
            later = guard.renewed(before) => {
                if later <= before {
                    let text = || format!("a{number} is called renewed until {later:?}");
                    host.judge.complain(Rule::Validity, text);
                }
            }
            () = host.runtime.sleep_until(most) => {}
        }
        self.look(number, guard);
    }

    async fn hold_until_lost(&mut self, number: u64, guard: &Lease) {
        let most = self.rng.below(4_000) * MS;
        let host = Arc::clone(&self.host);
        tokio::select! {
            biased;
            reason = guard.lost() => host.world.note(|| format!("a{number} hears: {reason}")),
            () = host.sleep(most) => {}
        }
        self.look(number, guard);
    }

    pub(crate) async fn let_go(&mut self, number: u64, held: Held, keys: usize) {
        let interrupt = self.interrupt();
        let style = self.rng.below(3);
        (number..).take(keys).for_each(|member| self.host.judge.let_go(member));
        if style == 0 {
            return drop(held);
        }
        let is_done = self.rng.per_mille(800);
        let outcome = if is_done { Outcome::Ok } else { Outcome::failed("no luck") };
        let release = async move {
            match held {
                Held::One(guard) => guard.release().await.map(drop),
                Held::Several(guard) => guard.release().await.map(drop),
                Held::Leader(leadership) => leadership.resign().await.map(drop),
                Held::Run(run) => run.finish(outcome).await,
            }
        };
        let released = self.unless(interrupt, release).await;
        self.host.world.note(|| format!("a{number} has released: {released:?}"));
    }

    /// Asks whether it still holds.
    fn look(&self, number: u64, guard: &Lease) -> bool {
        let held = guard.check().is_ok();
        self.host.judge.checked(number, held);
        held
    }
}
