//! A user of locks: it wants one, waits or not, holds it for a while, releases it in one way or
//! another, and reports each step to the judge. It takes every choice from its own random numbers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tenure::{ErrorKind, Key, Mutex, Renewal};

use crate::host::Host;
use crate::judge::{Ending, Patience, Rule, Wish, label};
use crate::rng::Rng;

pub(crate) const MS: u64 = 1_000;

/// One task of a program.
pub(crate) struct User {
    pub(crate) host: Arc<Host>,
    pub(crate) rng: Rng,
    pub(crate) keys: Arc<[Key]>,
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
        let wish = self.wish();
        let mutex = self.order(&wish);
        let number = self.host.judge.begin(wish.clone());
        let mutex = mutex.with_label(label(number));
        let interrupt = self.interrupt();
        let outcome = match wish.patience {
            Patience::None => self.unless(interrupt, mutex.try_acquire()).await,
            _ => self.unless(interrupt, async { mutex.acquire().await.map(Some) }).await,
        };
        let guard = match outcome {
            Some(Ok(Some(guard))) => Arc::new(guard),
            Some(Ok(None)) => return self.host.judge.ended(number, Ending::Busy),
            Some(Err(error)) => return self.failed(number, &error),
            None => return self.host.judge.ended(number, Ending::Dropped),
        };
        self.host.judge.handed(number, &guard);
        self.hold(number, &guard, &wish).await;
        self.let_go(number, guard).await;
    }

    fn wish(&mut self) -> Wish {
        let rng = &mut self.rng;
        let ttl = Duration::from_millis(rng.pick(&[150, 400, 1_000, 3_000, 10_000]));
        let patience = match rng.below(10) {
            0..=1 => Patience::None,
            2..=5 => Patience::Until(Duration::from_micros(rng.below(5_000) * MS)),
            _ => Patience::Endless,
        };
        let min_hold = if rng.per_mille(50) { rng.below(500) } else { 0 };
        let max_hold = rng.per_mille(50).then(|| Duration::from_millis(500 + rng.below(1_000)));
        Wish {
            pid: self.host.pid,
            key: self.keys[rng.index(self.keys.len())].clone(),
            ttl,
            patience,
            renews: !rng.per_mille(250),
            min_hold: Duration::from_millis(min_hold),
            max_hold,
        }
    }

    fn order(&mut self, wish: &Wish) -> Mutex {
        let mut mutex = self.host.locks().mutex(wish.key.as_str()).with_ttl(wish.ttl);
        mutex = mutex.with_min_hold(wish.min_hold);
        if let Some(span) = wish.max_hold {
            mutex = mutex.with_max_hold(span);
        }
        if let Patience::Until(wait) = wish.patience {
            mutex = mutex.with_wait(wait);
        }
        mutex = match (wish.renews, self.rng.below(4)) {
            (false, _) => mutex.with_renewal(Renewal::Off),
            (true, 0) => mutex.with_renewal(Renewal::Every(wish.ttl / 5)),
            (true, _) => mutex,
        };
        if self.rng.per_mille(100) { mutex.with_owner("job-1") } else { mutex }
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

    fn failed(&self, number: u64, error: &tenure::Error) {
        let judge = &self.host.judge;
        self.host.world.note(|| format!("a{number}: {error}"));
        match error.kind() {
            ErrorKind::Busy => judge.ended(number, Ending::Busy),
            ErrorKind::Unavailable => judge.ended(number, Ending::Failed),
            ErrorKind::Closed => judge.ended(number, Ending::Closed),
            // Its fixed value is held by another task.
            ErrorKind::Invalid if error.message().contains("oneself") => {
                judge.ended(number, Ending::Closed);
            }
            _ => judge.complain(Rule::Calm, || format!("a{number} failed oddly: {error}")),
        }
    }
}
