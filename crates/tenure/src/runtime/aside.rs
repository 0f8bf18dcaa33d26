//! Threads for calls that may block: the wakers of the program, and files. Usually there is one.
//! A call that blocks keeps its thread, and another one takes its place.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use super::timers::{Sleep, Timers};
use super::{Call, now, shielded, start_thread};

/// A queue that has not moved for so long gets more threads.
const STUCK_AFTER: Duration = Duration::from_millis(3);
/// So many calls that block at once take all there is.
const THREADS_MAX: usize = 512;

pub(super) struct Aside {
    state: Mutex<State>,
    more: Condvar,
    timers: Arc<Timers>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Call>,
    threads: usize,
    /// Those of them that wait for something to do.
    idle: usize,
    /// How many calls have ended, and how many had when it was last looked at.
    ended: u64,
    ended_before: u64,
    /// How many threads are started at the next look that finds no call ended.
    growth: usize,
    /// The next look, while there is a queue.
    watch: Option<Sleep>,
}

/// Looks after the queue.
struct Watch(Weak<Aside>);

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        if let Some(aside) = self.0.upgrade() {
            aside.look();
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

    /// Calls it soon, on another thread.
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

    /// On the thread of the alarms: are there enough threads?
    fn look(self: &Arc<Self>) {
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
            // Should there be none to be had, the next look asks again.
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

    /// Until there is nothing to do, and another one waits for what may come.
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
