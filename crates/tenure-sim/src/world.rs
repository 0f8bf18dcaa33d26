//! True time and what moves in it: tasks, events, and the processes that tasks belong to. One
//! thread, no runtime; which task runs next and how late a timer is are questions to the generator.
//! It knows nothing of locks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use tenure::runtime::Task;

use crate::clock::Clock;
use crate::judge::Rule;
use crate::rng::Rng;
use crate::trace::Trace;

/// So many polls at one instant mean that somebody spins.
const POLLS_AT_ONE_INSTANT: u32 = 20_000;

/// So many looks at the clock at one instant mean the same, within one poll.
const LOOKS_AT_ONE_INSTANT: u32 = 200_000;

/// Number of a process.
pub(crate) type Pid = usize;

/// An action at some moment.
pub(crate) type Event = Box<dyn FnOnce(&Arc<World>) + Send>;

/// The thread that runs a task: the engine's own, or the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Engine,
    Program,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which one.
    pub rule: Rule,
    /// When, in microseconds of true time.
    pub at: u64,
    /// How.
    pub text: String,
}

/// Told of whatever may have changed what a process believes.
pub(crate) trait Observer: Send + Sync {
    /// A task of this process has run.
    fn ran(self: Arc<Self>, pid: Pid);
}

/// A simulated world.
pub(crate) struct World {
    pub(crate) trace: Trace,
    clocks: Vec<Clock>,
    now: AtomicU64,
    state: Mutex<State>,
    /// Apart from the state: wakers are called from everywhere.
    ready: Arc<Mutex<Vec<(Pid, u64)>>>,
    observer: OnceLock<Weak<dyn Observer>>,
    failure: OnceLock<Failure>,
}

struct State {
    events: BTreeMap<(u64, u64), Event>,
    tasks: BTreeMap<u64, Slot>,
    processes: Vec<Process>,
    last: u64,
    rng: Rng,
    polls: u32,
    looks: u32,
    /// A process that was stopped in the middle of a poll, while the rest of the world goes on.
    stumbled: Option<Pid>,
    stumble_per_mille: u64,
    stumble_micros: u64,
}

struct Slot {
    pid: Pid,
    part: Part,
    /// `None` while it is being polled.
    task: Option<Task>,
    waker: Arc<Alarm>,
}

#[derive(Debug, Default)]
struct Process {
    paused_until: u64,
    blocked_until: u64,
    crashed: bool,
    /// When it last did not run as it wanted to.
    disturbed: u64,
    /// When the network last did not do for it what networks should.
    troubled: u64,
}

struct Alarm {
    pid: Pid,
    id: u64,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<(Pid, u64)>>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push((self.pid, self.id));
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(clocks: Vec<Clock>, rng: Rng, trace: Trace) -> Arc<Self> {
        let processes = clocks.iter().map(|_| Process::default()).collect();
        Arc::new(Self {
            trace,
            clocks,
            now: AtomicU64::new(0),
            state: Mutex::new(State {
                events: BTreeMap::new(),
                tasks: BTreeMap::new(),
                processes,
                last: 0,
                rng,
                polls: 0,
                looks: 0,
                stumbled: None,
                stumble_per_mille: 0,
                stumble_micros: 0,
            }),
            ready: Arc::default(),
            observer: OnceLock::new(),
            failure: OnceLock::new(),
        })
    }

    pub(crate) fn observe(&self, observer: Weak<dyn Observer>) {
        assert!(self.observer.set(observer).is_ok(), "one observer watches a world");
    }

    /// True time, in microseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn clock(&self, pid: Pid) -> Clock {
        self.clocks[pid]
    }

    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        self.trace.note(self.now(), line);
    }

    /// Ends the run: a promise was broken. The first failure counts.
    pub(crate) fn fail(&self, rule: Rule, text: String) {
        self.note(|| format!("FAILED {rule}: {text}"));
        let _the_first_counts = self.failure.set(Failure { rule, at: self.now(), text });
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Has `event` happen at the true time `at`. Events of one moment keep their order.
    pub(crate) fn at(&self, at: u64, event: impl FnOnce(&Arc<Self>) + Send + 'static) -> EventId {
        let mut state = lock(&self.state);
        state.last += 1;
        let id = (at.max(self.now()), state.last);
        state.events.insert(id, Box::new(event));
        EventId(id)
    }

    pub(crate) fn cancel(&self, event: EventId) {
        let cancelled = lock(&self.state).events.remove(&event.0);
        drop(cancelled);
    }

    /// Draws from the world's own random numbers.
    pub(crate) fn rng<T>(&self, ask: impl FnOnce(&mut Rng) -> T) -> T {
        ask(&mut lock(&self.state).rng)
    }

    pub(crate) fn spawn(&self, pid: Pid, part: Part, task: Task) {
        let mut state = lock(&self.state);
        if state.processes[pid].crashed {
            drop(state);
            drop(task);
            return;
        }
        state.last += 1;
        let id = state.last;
        let ready = Arc::clone(&self.ready);
        let waker = Arc::new(Alarm { pid, id, queued: AtomicBool::new(false), ready });
        waker.wake_by_ref();
        state.tasks.insert(id, Slot { pid, part, task: Some(task), waker });
    }

    /// Stops all of a process until the true time `until`; its clock goes on.
    pub(crate) fn pause(&self, pid: Pid, until: u64) {
        let mut state = lock(&self.state);
        let process = &mut state.processes[pid];
        process.paused_until = process.paused_until.max(until);
        process.disturbed = process.disturbed.max(until);
        drop(state);
        self.at(until, |_| {});
    }

    /// Keeps the program's tasks busy with something else; the engine's thread goes on.
    pub(crate) fn block(&self, pid: Pid, until: u64) {
        let mut state = lock(&self.state);
        let process = &mut state.processes[pid];
        process.blocked_until = process.blocked_until.max(until);
        drop(state);
        self.at(until, |_| {});
    }

    /// Ends a process at once. It never sends anything again.
    pub(crate) fn crash(&self, pid: Pid) {
        let mut state = lock(&self.state);
        state.processes[pid].crashed = true;
        let tasks: Vec<_> =
            state.tasks.values_mut().filter(|s| s.pid == pid).map(|s| s.task.take()).collect();
        state.tasks.retain(|_, slot| slot.pid != pid);
        drop(state);
        drop(tasks);
    }

    pub(crate) fn is_crashed(&self, pid: Pid) -> bool {
        lock(&self.state).processes[pid].crashed
    }

    /// Whether nothing has kept the engine's thread from running since the true time `since`.
    pub(crate) fn engine_ran_freely(&self, pid: Pid, since: u64) -> bool {
        let process = &lock(&self.state).processes[pid];
        process.disturbed < since && !process.crashed
    }

    /// Whether nothing has kept the process from running since the true time `since`.
    pub(crate) fn ran_freely(&self, pid: Pid, since: u64) -> bool {
        let process = &lock(&self.state).processes[pid];
        process.disturbed.max(process.blocked_until) < since && !process.crashed
    }

    /// Notes that the network fails this process until the true time `until`.
    pub(crate) fn trouble(&self, pid: Pid, until: u64) {
        let process = &mut lock(&self.state).processes[pid];
        process.troubled = process.troubled.max(until);
    }

    /// Whether the process ran freely, on a network that worked, since the true time `since`.
    pub(crate) fn was_clean(&self, pid: Pid, since: u64) -> bool {
        let process = &lock(&self.state).processes[pid];
        let last = process.troubled.max(process.disturbed).max(process.blocked_until);
        last < since && !process.crashed
    }

    /// Whether it was stopped in the middle of a poll, so that its locks may be taken.
    pub(crate) fn is_stumbling(&self, pid: Pid) -> bool {
        lock(&self.state).stumbled == Some(pid)
    }

    /// From now on a process may be stopped for up to `micros` in the middle of a poll.
    pub(crate) fn set_stumbling(&self, per_mille: u64, micros: u64) {
        let mut state = lock(&self.state);
        state.stumble_per_mille = per_mille;
        state.stumble_micros = micros;
    }

    /// A point at which the machine may take the processor away in the middle of a poll.
    pub(crate) fn may_stumble(self: &Arc<Self>, pid: Pid) {
        let mut state = lock(&self.state);
        state.looks += 1;
        if state.looks > LOOKS_AT_ONE_INSTANT {
            drop(state);
            // Nothing else ends a loop within a poll.
            panic!("a task of p{pid} looks at the clock without end");
        }
        let rate = state.stumble_per_mille;
        if rate == 0 || state.stumbled.is_some() || !state.rng.per_mille(rate) {
            return;
        }
        let most = state.stumble_micros;
        let until = self.now() + state.rng.between(1_000, most);
        state.stumbled = Some(pid);
        state.processes[pid].disturbed = until;
        drop(state);
        self.note(|| format!("p{pid} is stopped in the middle of a poll"));
        self.run(until, || false);
        lock(&self.state).stumbled = None;
        self.note(|| format!("p{pid} goes on in the middle of a poll"));
    }

    /// Lets the world run until the true time `end`, until `enough`, or until it fails.
    pub(crate) fn run(self: &Arc<Self>, end: u64, enough: impl Fn() -> bool) {
        while self.failure.get().is_none() && !enough() {
            if let Some(id) = self.next_task() {
                self.poll(id);
                continue;
            }
            let mut state = lock(&self.state);
            state.polls = 0;
            state.looks = 0;
            let Some(entry) = state.events.first_entry().filter(|e| e.key().0 <= end) else {
                self.now.fetch_max(end, Ordering::Relaxed);
                return;
            };
            let ((at, _), event) = entry.remove_entry();
            drop(state);
            self.now.fetch_max(at, Ordering::Relaxed);
            event(self);
        }
    }

    /// Ends all processes and forgets all events.
    pub(crate) fn end(&self) {
        for pid in 0..self.clocks.len() {
            self.crash(pid);
        }
        let events = std::mem::take(&mut lock(&self.state).events);
        drop(events);
    }

    fn next_task(&self) -> Option<u64> {
        let now = self.now();
        let mut state = lock(&self.state);
        let mut ready = lock(&self.ready);
        if ready.is_empty() {
            return None;
        }
        ready.retain(|(_, id)| state.tasks.contains_key(id));
        let runs = |(pid, id): &(Pid, u64)| {
            let process = &state.processes[*pid];
            let blocked = state.tasks[id].part == Part::Program && process.blocked_until > now;
            process.paused_until <= now && !blocked && state.stumbled != Some(*pid)
        };
        let able: Vec<_> = (0..ready.len()).filter(|i| runs(&ready[*i])).collect();
        if able.is_empty() {
            return None;
        }
        let (_, id) = ready.remove(state.rng.pick(&able));
        Some(id)
    }

    fn poll(self: &Arc<Self>, id: u64) {
        let mut state = lock(&self.state);
        state.polls += 1;
        let spins = state.polls > POLLS_AT_ONE_INSTANT;
        let Some(slot) = state.tasks.get_mut(&id) else { return };
        slot.waker.queued.store(false, Ordering::Relaxed);
        let (pid, waker) = (slot.pid, Waker::from(Arc::clone(&slot.waker)));
        let Some(mut task) = slot.task.take() else { return };
        drop(state);
        if spins {
            self.fail(Rule::Spin, format!("a task of p{pid} spins without end"));
        }
        let done = task.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(());
        let mut state = lock(&self.state);
        if done {
            state.tasks.remove(&id);
        } else if let Some(slot) = state.tasks.get_mut(&id) {
            slot.task = Some(task);
            drop(state);
            return self.tell(pid);
        }
        drop(state);
        drop(task);
        self.tell(pid);
    }

    fn tell(&self, pid: Pid) {
        if let Some(observer) = self.observer.get().and_then(Weak::upgrade) {
            observer.ran(pid);
        }
    }
}

/// An event that has not happened yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventId((u64, u64));
