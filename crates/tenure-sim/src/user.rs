//! A user of locks: it wants one, waits or not, holds it for a while, releases it in one way or
//! another, and reports each step to the judge. It takes every choice from its own random numbers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tenure::{ErrorKind, Key};

use crate::host::Host;
use crate::judge::{Ending, Patience, Rule, Wish};
use crate::kind::{self, Kind, Mixture, Terms};
use crate::rng::Rng;

pub(crate) const MS: u64 = 1_000;

/// One task of a program.
pub(crate) struct User {
    pub(crate) host: Arc<Host>,
    pub(crate) rng: Rng,
    pub(crate) keys: Arc<[Key]>,
    /// Which kinds it asks for; `None`: mutexes.
    pub(crate) mixture: Option<Mixture>,
    /// The day is over: nothing new is begun.
    pub(crate) over: Arc<AtomicBool>,
    /// The longest pause between two attempts.
    pub(crate) idle: u64,
}

/// The reason for which a caller drops a future.
pub(crate) enum Interrupt {
    Never,
    AfterPolls(u64),
    After(u64),
}

impl User {
    pub(crate) async fn live(mut self) {
        loop {
            let pause = self.rng.below(self.idle);
            self.host.sleep(pause).await;
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            if self.rng.per_mille(10) {
                self.host.close().await;
            }
            self.work().await;
        }
    }

    async fn work(&mut self) {
        let wishes = self.wishes();
        if wishes[0].kind == Kind::Leader && self.rng.per_mille(300) {
            return self.observe(&wishes[0].key).await;
        }
        let mut terms = self.terms(&wishes[0]);
        let number = self.host.judge.begin(&wishes);
        terms.label = kind::label(number, &wishes);
        let interrupt = self.interrupt();
        let asked = kind::ask(self.host.locks(), &wishes, &terms);
        let mut held = match self.unless(interrupt, asked).await {
            Some(Ok(Some(held))) => held,
            Some(Ok(None)) => return self.ended(number, &wishes, Ending::Busy),
            Some(Err(error)) => return self.failed(number, &wishes, &error),
            None => return self.ended(number, &wishes, Ending::Dropped),
        };
        // The judge looks through weak references, and only between polls.
        let leases = held.leases();
        self.host.judge.handed(number, &leases);
        self.hold(number, &mut held, &wishes[0]).await;
        drop(leases);
        self.let_go(number, held, wishes.len()).await;
    }

    /// Decides on its next call; several wishes are the keys of one multi-lock, in their order.
    fn wishes(&mut self) -> Vec<Wish> {
        let (mut wish, key) = self.wish();
        let Some(mixture) = &self.mixture else { return vec![wish] };
        wish.kind = mixture.pick(&mut self.rng, key);
        if let Kind::Run { .. } = wish.kind {
            // It never waits, and has no minimum.
            (wish.patience, wish.min_hold) = (Patience::None, Duration::ZERO);
        }
        if wish.kind != Kind::Several {
            return vec![wish];
        }
        // It counts from the last grant, which no single key knows.
        wish.min_hold = Duration::ZERO;
        let with_key = |key: &Key| Wish { key: key.clone(), ..wish.clone() };
        let mut is_wanted = |index: usize| index == key || self.rng.per_mille(700);
        (0..self.keys.len()).filter(|i| is_wanted(*i)).map(|i| with_key(&self.keys[i])).collect()
    }

    /// A wish for a mutex, and the number of its key.
    fn wish(&mut self) -> (Wish, usize) {
        let rng = &mut self.rng;
        let ttl = Duration::from_millis(rng.pick(&[150, 400, 1_000, 3_000, 10_000]));
        let patience = match rng.below(10) {
            0..=1 => Patience::None,
            2..=5 => Patience::Until(Duration::from_micros(rng.below(5_000) * MS)),
            _ => Patience::Endless,
        };
        let min_hold = if rng.per_mille(50) { rng.below(500) } else { 0 };
        let max_hold = rng.per_mille(50).then(|| Duration::from_millis(500 + rng.below(1_000)));
        let key = rng.index(self.keys.len());
        let wish = Wish {
            pid: self.host.pid,
            key: self.keys[key].clone(),
            kind: Kind::Mutex,
            ttl,
            patience,
            renews: !rng.per_mille(250),
            min_hold: Duration::from_millis(min_hold),
            max_hold,
        };
        (wish, key)
    }

    /// The other options; the label is yet to come.
    fn terms(&mut self, wish: &Wish) -> Terms {
        let often = self.rng.below(4) == 0;
        let renewal = kind::renewal(wish.renews, often, wish.ttl);
        let owner = self.rng.per_mille(100).then_some("job-1");
        Terms { label: String::new(), renewal, owner }
    }

    /// Follows the leaders for a while.
    async fn observe(&mut self, key: &Key) {
        for _ in 0..self.rng.between(1, 8) {
            self.host.sleep(self.rng.below(300) * MS).await;
            self.look_for_leader(key).await;
        }
    }

    pub(crate) async fn look_for_leader(&mut self, key: &Key) {
        let began = self.host.world.now();
        let election = self.host.locks().election(key.as_str());
        let interrupt = self.interrupt();
        if let Some(Ok(Some(leader))) = self.unless(interrupt, election.leader()).await {
            self.host.world.note(|| format!("p{} sees {leader:?} on {key}", self.host.pid));
            self.host.judge.saw(key, &leader, began);
        }
    }

    pub(crate) fn interrupt(&mut self) -> Interrupt {
        match self.rng.below(20) {
            0..=1 => Interrupt::AfterPolls(self.rng.between(1, 6)),
            2 => Interrupt::After(self.rng.below(2_000) * MS),
            _ => Interrupt::Never,
        }
    }

    /// Runs a future to its end, or drops it half-way.
    pub(crate) async fn unless<T>(
        &self,
        interrupt: Interrupt,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let (mut polls, micros) = match interrupt {
            Interrupt::Never => (u64::MAX, u64::MAX / 8),
            Interrupt::AfterPolls(polls) => (polls, u64::MAX / 8),
            Interrupt::After(micros) => (u64::MAX, micros),
        };
        let mut future = pin!(future);
        let mut alarm = pin!(self.host.sleep(micros));
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            polls -= 1;
            if polls == 0 || alarm.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    fn ended(&self, number: u64, wishes: &[Wish], ending: Ending) {
        (number..).zip(wishes).for_each(|(number, _)| self.host.judge.ended(number, ending));
    }

    fn failed(&self, number: u64, wishes: &[Wish], error: &tenure::Error) {
        let judge = &self.host.judge;
        self.host.world.note(|| format!("a{number}: {error}"));
        match error.kind() {
            ErrorKind::Busy => self.ended(number, wishes, Ending::Busy),
            ErrorKind::Unavailable => self.ended(number, wishes, Ending::Failed),
            ErrorKind::Closed => self.ended(number, wishes, Ending::Closed),
            // Its fixed value is held by another task.
            ErrorKind::Invalid if error.message().contains("oneself") => {
                self.ended(number, wishes, Ending::Closed);
            }
            // A key of a multi-lock was lost before the last one was granted.
            ErrorKind::Lost if wishes[0].kind == Kind::Several => {
                self.ended(number, wishes, Ending::Closed);
            }
            _ => judge.complain(Rule::Calm, || format!("a{number} failed oddly: {error}")),
        }
    }
}
