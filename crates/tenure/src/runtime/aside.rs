//! Threads for calls that may block: the wakers of the program, and files. Usually there is one.
//! A call that blocks keeps its thread, and another thread takes its place: it never holds up the
//! calls behind it for long.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use super::timers::{Sleep, Timers};
use super::{Call, now, shielded, start_thread};

/// Time after which a queue that has not moved gets more threads.
const STUCK_AFTER: Duration = Duration::from_millis(3);
/// Maximum number of threads. If as many calls block at once, later ones wait.
const THREADS_MAX: usize = 512;

pub(super) struct Aside {
    /// A blocking mutex: it is never held while a call runs.
    state: Mutex<State>,
    /// Notified when a call is queued.
    more: Condvar,
    timers: Arc<Timers>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Call>,
    /// The number of threads.
    threads: usize,
    /// The number of threads that wait for a call.
    idle: usize,
    /// The number of calls that have ended.
    ended: u64,
    /// The number of calls that had ended at the last check.
    ended_before: u64,
    /// The number of threads that the next check starts if no call has ended since the last one.
    growth: usize,
    /// The alarm of the next check, while there is a queue.
    watch: Option<Sleep>,
}

/// The waker of the check.
struct Watch(Weak<Aside>);

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        if let Some(aside) = self.0.upgrade() {
            aside.check();
        }
    }
}

impl Aside {
    pub(super) fn start(timers: &Arc<Timers>) -> io::Result<Arc<Self>> {
        let (state, more) = (Mutex::default(), Condvar::new());
        let aside = Arc::new(Self { state, more, timers: Arc::clone(timers) });
        aside.state().threads += 1;
        let first = Arc::clone(&aside);
        start_thread("tenure-aside", move || first.work())?;
        Ok(aside)
    }

    /// Calls `call` soon, on another thread.
    pub(super) fn call(self: &Arc<Self>, call: Call) {
        let mut state = self.state();
        state.queue.push_back(call);
        let waits = state.queue.len() > state.idle;
        if waits && state.watch.is_none() {
            state.growth = 1;
            state.ended_before = state.ended;
            self.watch(&mut state);
        }
        drop(state);
        self.more.notify_one();
    }

    fn watch(self: &Arc<Self>, state: &mut State) {
        let watch = Waker::from(Arc::new(Watch(Arc::downgrade(self))));
        state.watch = Some(self.timers.alarm(now() + STUCK_AFTER, watch));
    }

    /// Starts more threads if the queue has not moved. It runs on the thread of the alarms.
    fn check(self: &Arc<Self>) {
        let mut state = self.state();
        state.watch = None;
        if state.queue.is_empty() {
            return;
        }
        let missing = if state.ended == state.ended_before {
            let room = THREADS_MAX.saturating_sub(state.threads);
            state.growth.min(state.queue.len()).min(room)
        } else {
            0
        };
        state.growth = if missing == 0 { 1 } else { state.growth * 2 };
        state.ended_before = state.ended;
        self.watch(&mut state);
        drop(state);
        for _ in 0..missing {
            // If no thread can be started, the next check tries again.
            let _none = self.start_another();
        }
    }

    fn start_another(self: &Arc<Self>) -> io::Result<()> {
        let aside = Arc::clone(self);
        self.state().threads += 1;
        let thread = std::thread::Builder::new().name("tenure-aside".into());
        let started = thread.spawn(move || aside.work());
        started.map(drop).inspect_err(|_| self.state().threads -= 1)
    }

    /// Runs calls. Ends when the queue is empty and another thread already waits.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(call) = state.queue.pop_front() {
                drop(state);
                shielded(call);
                state = self.state();
                state.ended += 1;
                continue;
            }
            if state.idle > 0 {
                state.threads -= 1;
                return;
            }
            state.idle += 1;
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").finish_non_exhaustive()
    }
}
