//! The one place where clocks, timers, spawning and randomness enter. All the rest asks a
//! [`Seam`], so that it runs the same on the machine's clock and in a simulation.
//!
//! The machine's seam runs on two threads of its own (one for tasks, one for alarms): leases are
//! renewed and losses announced even while every thread of the program is busy. Its clock is
//! `CLOCK_BOOTTIME`, which goes on while the machine sleeps, and its timers (one timerfd) fire as
//! soon as the machine wakes up.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use rustix::fd::OwnedFd;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};

use crate::process::{PerProcess, Process};

/// A boxed future that may move between threads.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// A moment on this process's clock, in microseconds since the machine was booted.
///
/// It must never be compared with a [`StoreTime`](crate::StoreTime).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The end of time.
    pub const NEVER: Self = Self(u64::MAX);

    /// A moment so many microseconds after the clock's origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock's origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// What the engine needs of the world.
pub trait Seam: fmt::Debug + Send + Sync + 'static {
    /// This process's clock; it goes on while the machine sleeps.
    fn now(&self) -> Moment;

    /// The wall clock, in microseconds since 1970. For the seed of fences only.
    fn wall_micros(&self) -> u64;

    /// Ends at `at`, or a little later; at once if `at` has passed.
    fn sleep_until(&self, at: Moment) -> Task;

    /// Runs a task beside the program, whatever the program's own threads do.
    fn spawn(&self, task: Task);

    /// Fills `bytes` from a cryptographically secure generator.
    fn random(&self, bytes: &mut [u8]);
}

/// A random number for jitter.
pub(crate) fn random_u32(seam: &dyn Seam) -> u32 {
    let mut bytes = [0; 4];
    seam.random(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// The machine's own clock, timers and generator, and the threads `tenure` and `tenure-timer`,
/// which are started with the first use and shared by all of this process. After a fork the child
/// starts its own, also if it is asked by a seam that it inherited.
///
/// # Errors
/// A thread, the runtime or the timer could not be made.
pub fn machine() -> io::Result<Arc<dyn Seam>> {
    Machine::of_this_process().map(|machine| machine as Arc<dyn Seam>)
}

#[derive(Debug)]
struct Machine {
    process: Process,
    runtime: tokio::runtime::Handle,
    timers: Arc<Timers>,
    entropy: Mutex<Entropy>,
}

impl Machine {
    fn of_this_process() -> io::Result<Arc<Self>> {
        static MACHINE: PerProcess<Mutex<Option<Arc<Machine>>>> = PerProcess::new();
        let mut machine = MACHINE.get().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = &*machine {
            return Ok(Arc::clone(machine));
        }
        Ok(Arc::clone(machine.insert(Self::start()?)))
    }

    fn start() -> io::Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let timers = Arc::new(Timers::new()?);
        let machine = Arc::new(Self {
            process: Process::current(),
            runtime: runtime.handle().clone(),
            timers: Arc::clone(&timers),
            entropy: Mutex::new(Entropy::none()),
        });
        let named = |name: &str| std::thread::Builder::new().name(name.into());
        named("tenure-timer").spawn(move || timers.drive())?;
        named("tenure").spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(machine)
    }
}

impl Seam for Machine {
    fn now(&self) -> Moment {
        now()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the edge")]
    fn wall_micros(&self) -> u64 {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since_1970.map_or(0, |span| u64::try_from(span.as_micros()).unwrap_or(0))
    }

    fn sleep_until(&self, at: Moment) -> Task {
        if !self.process.is_current() {
            // Without threads nobody can be kept waiting.
            return Self::of_this_process()
                .map_or_else(|_| Box::pin(ready(())) as Task, |own| own.sleep_until(at));
        }
        let (process, timers) = (self.process.clone(), Arc::clone(&self.timers));
        Box::pin(Sleep { process, at, entry: None, timers })
    }

    fn spawn(&self, task: Task) {
        if self.process.is_current() {
            self.runtime.spawn(task);
        } else if let Ok(own) = Self::of_this_process() {
            own.spawn(task);
        }
    }

    fn random(&self, bytes: &mut [u8]) {
        if !self.process.is_current() {
            return fill(bytes);
        }
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
    }
}

/// Bytes from the operating system's generator, for many owners at a time: where many tasks lock
/// at once, a call to the system for each is a good part of what a lock costs them. A forked
/// process never takes from its parent's stock: it would give out the same.
struct Entropy {
    stock: [u8; ENTROPY_SIZE],
    /// How many of them were given out. None of these is left.
    used: usize,
}

/// For 36 owners.
const ENTROPY_SIZE: usize = 1024;

impl Entropy {
    const fn none() -> Self {
        Self { stock: [0; ENTROPY_SIZE], used: ENTROPY_SIZE }
    }

    /// Fills `bytes`. Nothing is given out twice.
    fn take(&mut self, bytes: &mut [u8]) {
        if bytes.len() > ENTROPY_SIZE {
            return fill(bytes);
        }
        if self.used + bytes.len() > ENTROPY_SIZE {
            fill(&mut self.stock);
            self.used = 0;
        }
        let given = &mut self.stock[self.used..][..bytes.len()];
        bytes.copy_from_slice(given);
        given.fill(0);
        self.used += bytes.len();
    }
}

/// It keeps secrets.
impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").field("used", &self.used).finish_non_exhaustive()
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the edge")]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system's random generator answers");
}

#[allow(clippy::disallowed_methods, reason = "this is the edge")]
fn now() -> Moment {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    Moment(time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000)
}

/// All sleepers of the process, woken by one timerfd.
#[derive(Debug)]
struct Timers {
    timer: OwnedFd,
    /// Ordered by time; the number tells sleepers of the same moment apart.
    sleepers: Mutex<Sleepers>,
}

#[derive(Debug)]
struct Sleepers {
    due: BTreeMap<(Moment, u64), Waker>,
    last: u64,
    /// When the timer rings. That may be for a sleeper who has left: most do, since most are the
    /// time limits of calls, and setting the timer costs more than ringing for nothing now and
    /// then.
    armed: Moment,
}

impl Timers {
    fn new() -> io::Result<Self> {
        let clock = TimerfdClockId::Boottime;
        let timer = rustix::time::timerfd_create(clock, TimerfdFlags::CLOEXEC)?;
        let sleepers = Sleepers { due: BTreeMap::new(), last: 0, armed: Moment::NEVER };
        Ok(Self { timer, sleepers: Mutex::new(sleepers) })
    }

    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arm(&self, sleepers: &mut Sleepers, at: Moment) {
        sleepers.armed = at;
        // A value of zero would disarm the timer.
        let micros = at.0.max(1);
        let value = Timespec {
            tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(micros % 1_000_000 * 1_000).unwrap_or(0),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)
            .expect("a timerfd takes any absolute time");
    }

    /// Runs on a thread of its own, so that no task can make an alarm late.
    fn drive(&self) {
        let mut count = [0; 8];
        loop {
            match rustix::io::read(&self.timer, &mut count) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => unreachable!("a timerfd of our own can be read: {e}"),
            }
            for waker in self.take_due() {
                waker.wake();
            }
        }
    }

    fn take_due(&self) -> Vec<Waker> {
        let mut sleepers = self.sleepers();
        let later = sleepers.due.split_off(&(Moment(now().0 + 1), 0));
        let due = std::mem::replace(&mut sleepers.due, later);
        sleepers.armed = Moment::NEVER;
        if let Some(((at, _), _)) = sleepers.due.first_key_value() {
            let at = *at;
            self.arm(&mut sleepers, at);
        }
        due.into_values().collect()
    }
}

/// One sleeper. Its entry leaves with it.
struct Sleep {
    process: Process,
    at: Moment,
    entry: Option<u64>,
    timers: Arc<Timers>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // In another process nobody would wake it: whatever is waited for there is over.
        if now() >= self.at || !self.process.is_current() {
            return Poll::Ready(());
        }
        let timers = Arc::clone(&self.timers);
        let mut sleepers = timers.sleepers();
        let number = *self.entry.get_or_insert_with(|| {
            sleepers.last += 1;
            sleepers.last
        });
        let entry = (self.at, number);
        sleepers.due.insert(entry, cx.waker().clone());
        if self.at < sleepers.armed {
            timers.arm(&mut sleepers, self.at);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.entry
            && self.process.is_current()
        {
            self.timers.sleepers().due.remove(&(self.at, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Sizes that do not divide the stock, so that it ends within one.
    #[test]
    fn no_random_byte_is_given_out_twice() {
        let mut entropy = Entropy::none();
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let mut owner = [0; 28];
            entropy.take(&mut owner);
            assert!(owner.chunks(14).all(|half| seen.insert(half.to_vec())), "given out before");
            assert!(owner.chunks(4).all(|part| part != [0; 4]), "nothing but what is used up");
            assert!(entropy.stock[..entropy.used].iter().all(|byte| *byte == 0), "still in stock");
        }
        let mut large = vec![0; ENTROPY_SIZE + 1];
        entropy.take(&mut large);
        assert!(large.chunks_exact(14).all(|part| seen.insert(part.to_vec())), "given out before");
    }
}
