//! A process: its runtime to the world. Its clock is wrong by its own offset and rate, its timers
//! are late, and it may be stopped at any call.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tenure::runtime::{Moment, Runtime, Task};

use crate::rng::Rng;
use crate::world::{EventId, Part, Pid, World};

/// Timers fire up to so much late.
pub(crate) const TIMER_LATE: u64 = 20_000;

/// The runtime of one process.
#[derive(Debug)]
pub(crate) struct SimRuntime {
    world: Arc<World>,
    pid: Pid,
    rng: Mutex<Rng>,
}

impl SimRuntime {
    pub(crate) fn new(world: Arc<World>, pid: Pid, rng: Rng) -> Arc<Self> {
        Arc::new(Self { world, pid, rng: Mutex::new(rng) })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> Moment {
        // Before the reading: after it, no program could know.
        self.world.may_stumble(self.pid);
        self.world.clock(self.pid).moment(self.world.now())
    }

    fn wall_micros(&self) -> u64 {
        self.world.clock(self.pid).wall(self.world.now())
    }

    fn sleep_until(&self, at: Moment) -> Task {
        Box::pin(Sleep { at, pid: self.pid, world: Arc::clone(&self.world), timer: None })
    }

    /// It rings as a task of the process does: not while that is stopped.
    fn alarm(&self, at: Moment, bell: Waker) -> Task {
        let knock = Waker::from(Arc::new(Knock { pid: self.pid, world: self.world.clone(), bell }));
        let mut alarm = self.sleep_until(at);
        if alarm.as_mut().poll(&mut Context::from_waker(&knock)).is_ready() {
            knock.wake();
        }
        alarm
    }

    fn spawn(&self, task: Task) {
        self.world.spawn(self.pid, Part::Engine, task);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }
}

/// Rings the bell from a task.
struct Knock {
    pid: Pid,
    world: Arc<World>,
    bell: Waker,
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        let bell = self.bell.clone();
        self.world.spawn(self.pid, Part::Engine, Box::pin(async move { bell.wake() }));
    }
}

struct Sleep {
    at: Moment,
    pid: Pid,
    world: Arc<World>,
    timer: Option<(EventId, Arc<Mutex<Option<Waker>>>)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.world.clock(self.pid);
        if clock.moment(self.world.now()) >= self.at {
            return Poll::Ready(());
        }
        if let Some((_, waker)) = &self.timer {
            *waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let waker = Arc::new(Mutex::new(Some(cx.waker().clone())));
        let woken = Arc::clone(&waker);
        let late = self.world.rng(|rng| match rng.below(4) {
            0 => rng.below(TIMER_LATE),
            1 => rng.below(TIMER_LATE / 10),
            2 => TIMER_LATE,
            _ => 0,
        });
        let due = clock.when_moment(self.at).saturating_add(late);
        let event = self.world.at(due, move |_| {
            let waker = woken.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        self.timer = Some((event, waker));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((event, _)) = self.timer.take() {
            self.world.cancel(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::Clock;
    use crate::judge::Rule;
    use crate::trace::Trace;

    use super::*;

    fn world() -> Arc<World> {
        World::new(vec![Clock::new(5_000_000, 5_000)], Rng::new(1, 1), Trace::new(false))
    }

    #[test]
    fn a_task_that_never_waits_is_found() {
        let world = world();
        let spin = std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        world.spawn(0, Part::Program, Box::pin(spin));
        world.run(1_000_000, || false);
        assert_eq!(world.failure().map(|f| f.rule), Some(Rule::Spin));
    }

    #[test]
    fn a_timer_is_late_and_never_early() {
        let world = world();
        let runtime = SimRuntime::new(Arc::clone(&world), 0, Rng::new(1, 2));
        let at = runtime.now() + std::time::Duration::from_secs(1);
        let (ended, sleep) = (Arc::new(Mutex::new(None)), runtime.sleep_until(at));
        let end = Arc::clone(&ended);
        let task = async move {
            sleep.await;
            *end.lock().expect("nobody panics") = Some(runtime.now());
        };
        world.spawn(0, Part::Engine, Box::pin(task));
        world.run(3_000_000, || false);
        let ended = ended.lock().expect("nobody panics").expect("it has ended");
        assert!(ended >= at && ended.since(at).as_micros() <= u128::from(TIMER_LATE) * 101 / 100);
    }
}
