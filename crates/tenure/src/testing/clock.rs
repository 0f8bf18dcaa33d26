//! A clock that a test moves. It never moves by itself.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::{self, Call, Moment, Runtime, Task};

/// A clock that the test moves. Clones are the same clock.
///
/// It jumps, which for the program is like a pause. A jump past a lease's deadline loses the lease,
/// as a real pause does. To keep a lease, jump by less than the time to its deadline and await
/// [`Lease::renewed`](crate::Lease::renewed).
///
/// ```
/// # async fn f() -> tenure::Result<()> {
/// use std::time::Duration;
/// use tenure::testing::{Clock, World};
///
/// let clock = Clock::new();
/// let world = World::with_clock(&clock);
/// let guard = world.locks().mutex("report").acquire().await?;
/// let deadline = guard.deadline();
/// clock.advance(Duration::from_secs(10));
/// guard.renewed(deadline).await;
/// clock.advance(Duration::from_secs(31));
/// assert_eq!(guard.lost().await, tenure::LostReason::Expired);
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Clock {
    machine: Arc<dyn Runtime>,
    /// A blocking mutex: it is never held while a waker is called.
    state: Arc<Mutex<ClockState>>,
}

#[derive(Debug)]
struct ClockState {
    now: Moment,
    /// Ordered by the moment of waking; the number tells sleepers of the same moment apart.
    sleepers: BTreeMap<(Moment, u64), Waker>,
    /// The last number that was given to a sleeper.
    last: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that shows one hour.
    ///
    /// # Panics
    /// If the machine gives no thread for the background.
    #[must_use]
    pub fn new() -> Self {
        let now = Moment::from_micros(3_600_000_000);
        let state = ClockState { now, sleepers: BTreeMap::new(), last: 0 };
        let machine = runtime::machine().expect("a thread and a timer");
        Self { machine, state: Arc::new(Mutex::new(state)) }
    }

    /// Moves the clock on by `span`, and wakes the sleepers that are due.
    pub fn advance(&self, span: Duration) {
        let due = {
            let mut state = self.state();
            state.now = state.now + span;
            let after = (state.now + Duration::from_micros(1), 0);
            let later = state.sleepers.split_off(&after);
            std::mem::replace(&mut state.sleepers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, ClockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime for Clock {
    fn now(&self) -> Moment {
        self.state().now
    }

    fn wall_micros(&self) -> u64 {
        // A moment in 2026, in microseconds since 1970.
        1_780_000_000_000_000 + self.now().as_micros()
    }

    fn sleep_until(&self, at: Moment) -> Task {
        Box::pin(Sleep { at, entry: None, clock: self.clone() })
    }

    fn spawn(&self, task: Task) {
        self.machine.spawn(task);
    }

    fn aside(&self, call: Call) {
        self.machine.aside(call);
    }

    fn report(&self, event: Call) {
        self.machine.report(event);
    }

    fn random(&self, bytes: &mut [u8]) {
        self.machine.random(bytes);
    }
}

/// One sleeper. Dropping it removes its entry.
struct Sleep {
    at: Moment,
    entry: Option<u64>,
    clock: Clock,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        let number = *self.entry.get_or_insert_with(|| {
            state.last += 1;
            state.last
        });
        state.sleepers.insert((self.at, number), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.entry {
            self.clock.state().sleepers.remove(&(self.at, number));
        }
    }
}
