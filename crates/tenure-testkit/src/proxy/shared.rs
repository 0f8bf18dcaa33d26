//! The proxy's state behind its lock, where its threads and the test meet.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Direction;
use super::state::{Next, State, Step};
use crate::condition::LIMIT;

/// Everything of one proxy.
#[derive(Debug)]
pub(super) struct Shared {
    upstream: Mutex<SocketAddr>,
    pub(super) understands: bool,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(upstream: SocketAddr, understands: bool) -> Self {
        let upstream = Mutex::new(upstream);
        Self { upstream, understands, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Where new links lead.
    pub(super) fn upstream(&self) -> SocketAddr {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_upstream(&self, upstream: SocketAddr) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state or changes it; all threads look again.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let answer = act(&mut self.lock());
        self.changed.notify_all();
        answer
    }

    /// Waits until `look` finds something.
    #[track_caller]
    pub(super) fn wait<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {LIMIT:?} in vain until {what}: {:#?}", state.plans);
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next step for one direction of a link; `None` if the link is gone. Waits until there is
    /// something to do.
    pub(super) fn next(&self, link: u64, way: Direction) -> Option<Step> {
        let mut state = self.lock();
        loop {
            state = match state.next(link, way) {
                Next::Step(step) => {
                    self.changed.notify_all();
                    return Some(step);
                }
                Next::Gone => return None,
                Next::News => {
                    self.changed.notify_all();
                    state
                }
                Next::Wait(Some(until)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let woken = self.changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                Next::Wait(None) => {
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}
