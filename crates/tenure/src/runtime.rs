//! Clocks, timers, spawning and randomness. All other code asks a [`Runtime`] for them, so that it
//! runs the same on the machine's clock and in a simulation.
//!
//! The machine's runtime has threads of its own. So leases are renewed and losses announced even
//! while every thread of the program is busy. One thread runs tasks, and one rings alarms. These
//! two never call foreign code that may block: wakers and files have threads *aside*, loggers and
//! metrics have the *reporter*. The clock goes on while the machine sleeps: `CLOCK_BOOTTIME` of
//! Linux, `CLOCK_MONOTONIC` of macOS. The timers fire as soon as the machine wakes up (Linux: one
//! timerfd), or within 100 ms (macOS).

mod aside;
mod limit;
mod reporter;
#[cfg(any(test, target_os = "macos"))]
mod sliced_wait;
mod span;
#[cfg(target_os = "linux")]
mod timerfd;
mod timers;

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use rustix::time::ClockId;

use crate::process::{OfProcess, PerProcess, Process};

use aside::Aside;
pub(crate) use limit::{Limit, answer_by};
use reporter::Reporter;
#[cfg(target_os = "macos")]
use sliced_wait::AlarmClock;
pub(crate) use span::shown;
#[doc(hidden)]
pub use span::{in_tenths, typed};
#[cfg(target_os = "linux")]
use timerfd::AlarmClock;
use timers::Timers;

/// A boxed future that may move between threads.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// A function to be called once, on another thread.
pub type Call = Box<dyn FnOnce() + Send + 'static>;

/// A moment on this process's clock, in microseconds since the machine was booted.
///
/// It must never be compared with a [`StoreTime`](crate::StoreTime).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `micros` microseconds after the clock's origin.
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

/// The clock, timers, threads and random numbers that Tenure runs on.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// This process's clock; it goes on while the machine sleeps.
    fn now(&self) -> Moment;

    /// The wall clock, in microseconds since 1970. It is the seed of fences, and no deadline
    /// depends on it.
    fn wall_micros(&self) -> u64;

    /// Ends at `at`, or a little later; at once if `at` has passed.
    fn sleep_until(&self, at: Moment) -> Task;

    /// Wakes `bell` at `at`, or a little later, but never from within this call. Dropping the
    /// answer cancels the alarm. `bell` must neither block nor call foreign code, since the thread
    /// of all alarms wakes it.
    fn alarm(&self, at: Moment, bell: Waker) -> Task {
        let mut alarm = self.sleep_until(at);
        if alarm.as_mut().poll(&mut Context::from_waker(&bell)).is_ready() {
            self.spawn(Box::pin(async move { bell.wake() }));
        }
        alarm
    }

    /// Runs a task in the background, also while the program's own threads are busy.
    fn spawn(&self, task: Task);

    /// Calls a function that may block or panic, such as a waker of the program or reading a file,
    /// where it holds up nothing else. The default calls it in place.
    fn aside(&self, call: Call) {
        shielded(call);
    }

    /// Calls a logger or a recorder of metrics, which may block or panic. Events keep their order.
    /// Events that find no room are counted, and the count is reported. The default calls in place.
    fn report(&self, event: Call) {
        shielded(event);
    }

    /// Blocks this thread until `task` ends, for `limit` at most. It does not block where that
    /// would hold up others, as in an async runtime. The default never blocks.
    fn linger(&self, task: Task, limit: Duration) {
        let _ = (task, limit);
    }

    /// Fills `bytes` from a cryptographically secure generator.
    fn random(&self, bytes: &mut [u8]);
}

/// The output of `work`; `None` if it has not ended at `limit`. See [`answer_by`] for work that
/// waits for others.
pub(crate) async fn timeout<T>(
    runtime: &dyn Runtime,
    limit: Moment,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    // Most work in memory ends when it is first polled, and needs no timer.
    let mut sleep = None;
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        let sleep = sleep.get_or_insert_with(|| OfProcess::new(runtime.sleep_until(limit)));
        Pin::new(sleep).poll(cx).map(|_| None)
    })
    .await
}

/// A random number for jitter.
pub(crate) fn random_u32(runtime: &dyn Runtime) -> u32 {
    let mut bytes = [0; 4];
    runtime.random(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// Calls foreign code; `None` if it panicked. The panic ends here; the program's panic hook has
/// reported it.
pub(crate) fn shielded<T>(call: impl FnOnce() -> T) -> Option<T> {
    // The payload is leaked, since dropping it may panic again.
    catch_unwind(AssertUnwindSafe(call)).map_err(std::mem::forget).ok()
}

/// Runs `work`, which may block, aside, and answers its value; `None` if it panicked.
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) async fn blocking<T: Send + 'static>(
    runtime: &dyn Runtime,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (answer, coming) = tokio::sync::oneshot::channel();
    runtime.aside(Box::new(move || {
        // The caller may have been dropped.
        let _gone = answer.send(work());
    }));
    coming.await.ok()
}

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one that no foreign code may hold up.
pub(crate) fn claim_thread() {
    OURS.set(true);
}

/// Whether this thread is one that no foreign code may hold up.
pub(crate) fn is_own_thread() -> bool {
    OURS.get()
}

/// Runs something that no foreign code, no slow server say, may hold up, on whatever thread.
pub(crate) fn unhindered<T>(run: impl FnOnce() -> T) -> T {
    struct Restore(bool);

    impl Drop for Restore {
        fn drop(&mut self) {
            OURS.set(self.0);
        }
    }

    let _restore = Restore(OURS.replace(true));
    run()
}

/// The runtime of this machine: its clock, timers and random generator, and the threads `tenure`,
/// `tenure-timer`, `tenure-aside` and `tenure-report`. They are started by the first use and shared
/// by the whole process. After a fork the child starts its own, also if it uses a runtime that it
/// inherited.
///
/// # Errors
/// A thread, the async runtime or the timer could not be made.
pub fn machine() -> io::Result<Arc<dyn Runtime>> {
    Machine::of_this_process().map(|machine| machine as Arc<dyn Runtime>)
}

#[derive(Debug)]
struct Machine {
    process: Process,
    tokio: tokio::runtime::Handle,
    timers: Arc<Timers>,
    aside: Arc<Aside>,
    reporter: Reporter,
    /// A mutex, since bytes are taken by any thread. It is held for a copy, or for one call of the
    /// system's generator.
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
        let aside = Aside::start(&timers)?;
        let machine = Arc::new(Self {
            process: Process::current(),
            tokio: runtime.handle().clone(),
            timers: Arc::clone(&timers),
            aside: Arc::clone(&aside),
            reporter: Reporter::start()?,
            entropy: Mutex::new(Entropy::none()),
        });
        start_thread("tenure-timer", move || {
            claim_thread();
            timers.drive(&aside);
        })?;
        start_thread("tenure", move || {
            claim_thread();
            runtime.block_on(std::future::pending::<()>());
        })?;
        Ok(machine)
    }
}

/// Maximum time until a new thread runs.
const THREAD_START_MAX: Duration = Duration::from_secs(10);

/// Starts a thread, and waits until it runs. In a forked child it never runs if a thread of the
/// parent was starting or ending at the fork: Rust's runtime holds a lock of its own then.
fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (runs, is_running) = std::sync::mpsc::channel();
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let _waits = runs.send(());
        work();
    })?;
    is_running.recv_timeout(THREAD_START_MAX).map_err(|_| {
        let message = "a new thread does not run; if this process was forked, a thread of its \
                       parent was starting or ending at that moment: fork again, or start a new \
                       program (exec)";
        io::Error::new(io::ErrorKind::TimedOut, message)
    })
}

impl Runtime for Machine {
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
            // Without threads nothing could end the sleep, so it ends at once.
            return Self::of_this_process()
                .map_or_else(|_| Box::pin(ready(())) as Task, |own| own.sleep_until(at));
        }
        Box::pin(self.timers.sleep_until(at))
    }

    fn alarm(&self, at: Moment, bell: Waker) -> Task {
        if !self.process.is_current() {
            return Self::of_this_process()
                .map_or_else(|_| Box::pin(ready(())) as Task, |own| own.alarm(at, bell));
        }
        Box::pin(self.timers.alarm(at, bell))
    }

    fn spawn(&self, task: Task) {
        if self.process.is_current() {
            self.tokio.spawn(task);
        } else if let Ok(own) = Self::of_this_process() {
            own.spawn(task);
        }
    }

    fn aside(&self, call: Call) {
        if self.process.is_current() {
            self.aside.call(call);
        } else if let Ok(own) = Self::of_this_process() {
            own.aside(call);
        }
    }

    fn report(&self, event: Call) {
        if self.process.is_current() {
            self.reporter.tell(event);
        } else if let Ok(own) = Self::of_this_process() {
            own.report(event);
        }
    }

    fn linger(&self, mut task: Task, limit: Duration) {
        let is_in_runtime = tokio::runtime::Handle::try_current().is_ok();
        if is_own_thread() || is_in_runtime || std::thread::panicking() {
            return;
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let until = self.now() + limit;
        while task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            let left = until.since(self.now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    fn random(&self, bytes: &mut [u8]) {
        if !self.process.is_current() {
            return fill(bytes);
        }
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
    }
}

/// Wakes a thread that is parked.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A stock of bytes from the operating system's generator, enough for many owners. With many tasks
/// one system call per owner is a good part of the cost of a lock. A forked process never takes
/// from its parent's stock, since both would give out the same bytes.
struct Entropy {
    stock: [u8; ENTROPY_SIZE],
    /// The number of bytes that were given out, and overwritten with zeros.
    used: usize,
}

/// Size of the stock in bytes: 36 owners of 28 bytes.
const ENTROPY_SIZE: usize = 1024;

impl Entropy {
    const fn none() -> Self {
        Self { stock: [0; ENTROPY_SIZE], used: ENTROPY_SIZE }
    }

    /// Fills `bytes`. No byte of the stock is given out twice.
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

/// Leaves out the bytes, which become owners: they are secret.
impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").field("used", &self.used).finish_non_exhaustive()
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the edge")]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system's random generator answers");
}

/// The clock that goes on while the machine sleeps.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
/// On macOS this one does; `CLOCK_UPTIME_RAW` does not.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

#[allow(clippy::disallowed_methods, reason = "this is the edge")]
fn now() -> Moment {
    let time = rustix::time::clock_gettime(CLOCK);
    Moment(time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The sizes do not divide the stock, so that it runs out in the middle of a request.
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
