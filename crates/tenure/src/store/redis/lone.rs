//! Decides which calls go over the direct connection: those of a program that has one call under
//! way at a time. Their callers wait for the answer in place, and no other thread is woken.
//! Everybody else shares the pipeline, where calls that wait at the same moment travel together.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use crate::process::PerProcess;
use crate::runtime::{Moment, Runtime, is_own_thread, shielded};

use super::client::Readiness;
use super::link::Link;

/// The direct connection is made at so many lone calls in a row, so that a program that sends
/// few never pays for one.
const STREAK: u32 = 3;
/// Calls farther apart than this are not in a row.
const GAP: Duration = Duration::from_millis(100);
/// A direct connection that is not used for this time is closed.
const IDLE: Duration = Duration::from_secs(5);
/// Maximum number of direct connections of a process.
const CONNECTIONS_MAX: usize = 4;
/// So many answers in a row that do not come in place begin a pause: the server is too far away, or
/// too slow, for its callers to wait in place.
const MISSES_MAX: u32 = 3;
/// The first pause, and the longest: each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// After so many answers in place the next pause is the first again.
const RELIABLE: u32 = 100;
/// At one in so many calls the other tasks of the caller's thread go first. A task that waits in
/// place would keep them from running, and so from sending together.
const YIELD_EVERY: u32 = 4;

/// When calls go over the direct connection: for tests and measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direct {
    /// While one caller calls alone.
    #[default]
    Lone,
    /// Never.
    Never,
    /// Whenever no other call is under way on it, once it is open.
    Always,
}

/// The calls of a store that are under way.
pub(super) struct Lone {
    mode: Direct,
    link: Arc<Link>,
    runtime: Arc<dyn Runtime>,
    under_way: AtomicUsize,
    /// Whether a caller has been let through to it, with [`Direct::Always`].
    is_taken: AtomicBool,
    streak: Mutex<Streak>,
    this: Weak<Self>,
}

/// The last lone calls.
struct Streak {
    /// Number of lone calls in a row.
    calls: u32,
    last: Moment,
    /// Whether the direct connection is open, or being opened.
    is_open: bool,
    /// Before this it is not used.
    not_before: Moment,
    next_pause: Duration,
    /// Number of calls over it since the last pause.
    direct_calls: u32,
}

/// A call that is under way.
pub(super) struct UnderWay<'a> {
    lone: &'a Lone,
    is_alone: bool,
}

impl Lone {
    pub(super) fn new(mode: Direct, link: &Arc<Link>, runtime: &Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            mode,
            link: Arc::clone(link),
            runtime: Arc::clone(runtime),
            under_way: AtomicUsize::new(0),
            is_taken: AtomicBool::new(false),
            streak: Mutex::default(),
            this: this.clone(),
        })
    }

    /// A call begins. The engine's own calls are not counted: its thread must not wait, and they
    /// do not keep a lone caller from being alone.
    pub(super) fn enter(&self) -> Option<UnderWay<'_>> {
        if self.mode == Direct::Never || is_own_thread() {
            return None;
        }
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let is_alone = match self.mode {
            Direct::Always => !self.is_taken.swap(true, Ordering::Relaxed),
            Direct::Lone | Direct::Never => before == 0,
        };
        Some(UnderWay { lone: self, is_alone })
    }

    /// Whether a lone call may go over the direct connection. It is opened for a later call if it
    /// is time.
    fn is_direct(&self) -> bool {
        let now = self.runtime.now();
        let is_time = {
            let mut streak = self.streak();
            streak.comes(now);
            now >= streak.not_before && (self.mode == Direct::Always || streak.calls >= STREAK)
        };
        if !is_time {
            return false;
        }
        match self.link.direct_readiness() {
            (Readiness::Ended, _) => {
                self.open();
                false
            }
            (_, misses) if misses >= MISSES_MAX && self.mode == Direct::Lone => {
                self.link.close_direct();
                false
            }
            (readiness, _) => readiness == Readiness::Ready,
        }
    }

    fn open(&self) {
        let mut streak = self.streak();
        if !streak.is_open
            && let Some(slot) = Slot::take()
        {
            streak.is_open = true;
            let (lone, link) = (Weak::clone(&self.this), Arc::downgrade(&self.link));
            let runtime = Arc::clone(&self.runtime);
            self.runtime.spawn(Box::pin(keep(lone, link, runtime, slot)));
        }
    }

    /// Closes the direct connection if nobody has called for a while and no call is under way.
    /// Answers when to look again; `None`: it is closed.
    fn close_if_idle(&self, link: &Link) -> Option<Moment> {
        let now = self.runtime.now();
        // The lock is held until it is closed: a call that begins meanwhile comes before, or finds
        // it closed.
        let streak = self.streak();
        if now < streak.last + IDLE {
            return Some(streak.last + IDLE);
        }
        // A call may take longer than that.
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Some(now + IDLE);
        }
        link.close_direct();
        None
    }

    /// The connection has ended, or was not to be had.
    fn closed(&self, is_fault: bool) {
        let now = self.runtime.now();
        let mut streak = self.streak();
        streak.is_open = false;
        if is_fault {
            streak.pause(now);
        }
    }

    fn streak(&self) -> MutexGuard<'_, Streak> {
        self.streak.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Streak {
    fn default() -> Self {
        let (last, not_before) = (Moment::from_micros(0), Moment::from_micros(0));
        let next_pause = FIRST_PAUSE;
        Self { calls: 0, last, is_open: false, not_before, next_pause, direct_calls: 0 }
    }
}

impl Streak {
    fn comes(&mut self, now: Moment) {
        let is_in_a_row = now.since(self.last) < GAP;
        self.calls = if is_in_a_row { self.calls.saturating_add(1) } else { 1 };
        self.last = now;
    }

    fn pause(&mut self, now: Moment) {
        if self.direct_calls >= RELIABLE {
            self.next_pause = FIRST_PAUSE;
        }
        self.not_before = now + self.next_pause;
        self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
        (self.calls, self.direct_calls) = (0, 0);
    }
}

impl UnderWay<'_> {
    /// Whether this call goes over the direct connection.
    pub(super) async fn is_direct(&self) -> bool {
        let lone = self.lone;
        if !self.is_alone {
            lone.streak().calls = 0;
            return false;
        }
        if !lone.is_direct() {
            return false;
        }
        let direct_calls = {
            let mut streak = lone.streak();
            streak.direct_calls = streak.direct_calls.wrapping_add(1);
            streak.direct_calls
        };
        if direct_calls % YIELD_EVERY == 0 {
            let_others_go_first().await;
            let is_alone = lone.under_way.load(Ordering::Relaxed) == 1;
            return is_alone || lone.mode == Direct::Always;
        }
        true
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.lone.under_way.fetch_sub(1, Ordering::Relaxed);
        if self.is_alone && self.lone.mode == Direct::Always {
            self.lone.is_taken.store(false, Ordering::Relaxed);
        }
    }
}

/// Lets the executor run the other tasks of this thread, whichever executor it is.
async fn let_others_go_first() {
    let mut has_gone = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_gone, true) {
            return Poll::Ready(());
        }
        // A waker that panics wakes nobody.
        match shielded(|| cx.waker().wake_by_ref()) {
            Some(()) => Poll::Pending,
            None => Poll::Ready(()),
        }
    })
    .await;
}

/// Opens the direct connection, and closes it when it is no longer used.
async fn keep(lone: Weak<Lone>, link: Weak<Link>, runtime: Arc<dyn Runtime>, slot: Slot) {
    let Some(opening) = link.upgrade() else { return };
    let opened = opening.open_direct().await;
    drop(opening);
    let mut is_fault = true;
    if let Ok(ended) = opened {
        loop {
            let (Some(lone), Some(link)) = (lone.upgrade(), link.upgrade()) else { return };
            let Some(next) = lone.close_if_idle(&link) else {
                is_fault = false;
                break;
            };
            drop((lone, link));
            tokio::select! {
                biased;
                () = ended.cancelled() => break,
                () = runtime.sleep_until(next) => {}
            }
        }
    }
    drop(slot);
    if let Some(lone) = lone.upgrade() {
        lone.closed(is_fault);
    }
}

/// The right to one direct connection of this process.
struct Slot(());

impl Slot {
    fn taken() -> &'static AtomicUsize {
        static TAKEN: PerProcess<AtomicUsize> = PerProcess::new();
        TAKEN.get()
    }

    fn take() -> Option<Self> {
        let more = |taken| (taken < CONNECTIONS_MAX).then_some(taken + 1);
        Self::taken()
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Self(()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        Self::taken().fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Lone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lone").field("mode", &self.mode).finish_non_exhaustive()
    }
}
