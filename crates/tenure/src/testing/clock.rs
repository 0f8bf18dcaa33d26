//! A clock that stands still until a test moves it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::{self, Call, Moment, Runtime, Task};

/// A clock that the test moves. Clones are one clock.
///
/// It jumps: to the program that is like a pause of so long. A jump past a lease's deadline
/// loses it, as it should; to let a lease live on, jump by less than the time to its deadline and
/// await [`Lease::renewed`](crate::Lease::renewed).
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
    shared: Arc<Mutex<Face>>,
}

#[derive(Debug)]
struct Face {
    now: Moment,
    /// Who sleeps, by the moment of waking; the number tells sleepers of one moment apart.
    sleepers: BTreeMap<(Moment, u64), Waker>,
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
        let face = Face { now, sleepers: BTreeMap::new(), last: 0 };
        let machine = runtime::machine().expect("a thread and a timer");
        Self { machine, shared: Arc::new(Mutex::new(face)) }
    }

    /// Moves it on, and wakes who has slept long enough.
    pub fn advance(&self, span: Duration) {
        let due = {
            let mut face = self.face();
            face.now = face.now + span;
            let after = (face.now + Duration::from_micros(1), 0);
            let later = face.sleepers.split_off(&after);
            std::mem::replace(&mut face.sleepers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime for Clock {
    fn now(&self) -> Moment {
        self.face().now
    }

    fn wall_micros(&self) -> u64 {
        // Some time in 2026.
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

/// One sleeper. Its entry leaves with it.
struct Sleep {
    at: Moment,
    entry: Option<u64>,
    clock: Clock,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut face = clock.face();
        if face.now >= self.at {
            return Poll::Ready(());
        }
        let number = *self.entry.get_or_insert_with(|| {
            face.last += 1;
            face.last
        });
        face.sleepers.insert((self.at, number), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.entry {
            self.clock.face().sleepers.remove(&(self.at, number));
        }
    }
}
