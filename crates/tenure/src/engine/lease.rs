//! A lease that this process holds, as far as it knows: until when, and whether it is lost. The
//! verdict "lost" is final and needs no I/O. It sends nothing.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use foldhash::fast::FixedState;
use tokio::sync::Mutex;
use tokio::task;
use tokio_util::sync::CancellationToken;

use crate::mutants;
use crate::observe;
use crate::protocol::timing;
use crate::runtime::{Moment, Runtime, shielded};
use crate::types::{Claim, Fence, Key, LostReason, Owner, TTL_MIN};

use super::options::{HandoffBudget, LeaseOptions};
use super::renewal_failure::{Failing, RenewalFailure};
use super::signal::Signal;

const HELD: u8 = 0;
const LET_GO: u8 = 1;
const LOST_FIRST: u8 = 2;
const REASONS: [LostReason; 4] =
    [LostReason::Expired, LostReason::Gone, LostReason::MaxHold, LostReason::Closed];

/// Names an entry of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TimerId(pub(super) u64);

/// A lease and its entry in the schedule.
#[derive(Debug, Clone)]
pub(crate) struct LeaseEntry {
    pub(super) id: TimerId,
    pub(crate) lease: Arc<LeaseState>,
}

/// A change of the part of the key that a lease claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// The fence of the lease before it.
    pub(super) fence: Fence,
    pub(super) from: Claim,
    pub(super) to: Claim,
}

/// A grant, as this process learns of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    pub(super) fence: Fence,
    /// When the request was sent that was granted. The store counts from a later time.
    pub(super) sent_at: Moment,
    /// How long it lasts at the store: the ttl, or less for a grant from the queue, which the
    /// keepalive task confirms at once.
    pub(super) lease_for: Duration,
    /// When its holder gets it. For a waiter this may be a whole heartbeat after `sent_at`.
    pub(super) held_from: Moment,
    pub(super) budget: HandoffBudget,
}

/// The tokens that are cancelled when a lease is lost.
#[derive(Debug, Default)]
struct LossTokens {
    own: CancellationToken,
    /// Those of several leases that count as one.
    others: std::sync::Mutex<Vec<CancellationToken>>,
}

impl LossTokens {
    fn add(&self, token: &CancellationToken) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(token.clone());
    }

    fn all(&self) -> Vec<CancellationToken> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.iter().chain([&self.own]).cloned().collect()
    }
}

/// Shared by the guard, which asks, and the keepalive task, which renews.
#[derive(Debug)]
pub(crate) struct LeaseState {
    pub(crate) key: Key,
    pub(crate) owner: Owner,
    /// Written by each confirmed change of what it claims. Moves forward only.
    fence: AtomicU64,
    /// A change that was sent and whose outcome is unknown. Nobody begins another one, or settles
    /// this one, while somebody has the mutex.
    pub(super) unsettled: Mutex<Option<Change>>,
    pub(super) options: LeaseOptions,
    pub(crate) held_from: Moment,
    /// In microseconds: how long the key stays taken after the grant, even if it is released
    /// earlier. That of the options, unless its holder has set another.
    min_hold: AtomicU64,
    /// How often this process may still hand the key to its next task.
    pub(super) budget: HandoffBudget,
    /// The store's name.
    store: Arc<str>,
    runtime: Arc<dyn Runtime>,
    /// The task or thread that was given the guard; zero: none so far.
    holder: AtomicU64,
    /// Written by each confirmed renewal. Moves forward only.
    deadline: AtomicU64,
    /// The latest end that any request can have brought about at the store, answered or not. A
    /// release must be repeated until then. Moves forward only.
    reach: AtomicU64,
    /// `HELD`, `LET_GO`, or `LOST_FIRST` + index in `REASONS`. Leaves `HELD` once and for good.
    verdict: AtomicU8,
    /// When the keepalive task renews next; `Moment::NEVER`: not.
    next_renewal: AtomicU64,
    /// Number of renewals without an answer so far.
    renewals_under_way: AtomicU32,
    /// When the first of them was sent.
    unanswered_since: AtomicU64,
    /// It was granted for less than its ttl, and no renewal has been confirmed since.
    is_provisional: AtomicBool,
    /// An acquire of this owner may still arrive, so the release must leave a tombstone.
    needs_tombstone: AtomicBool,
    /// A handoff was sent. If its answer is lost, the next waiter must look for its grant.
    was_handed_off: AtomicBool,
    /// Made when it is first asked for.
    lost: OnceLock<Box<LossTokens>>,
    /// Given when it is lost or let go.
    ending: Signal,
    /// Given with each renewal.
    renewal: Signal,
    /// Made by the first renewal that fails, or the first task that waits for one.
    failing: OnceLock<Box<Failing>>,
}

/// A number for the task of Tokio that runs, or for the thread if it runs none. Guards move between
/// tasks, so this is good for a warning only.
fn current_task() -> u64 {
    FixedState::default().hash_one(task::try_id().ok_or_else(|| thread::current().id()))
}

impl LeaseState {
    pub(super) fn new(
        key: &Key,
        owner: &Owner,
        options: LeaseOptions,
        grant: Grant,
        store: &Arc<str>,
        runtime: &Arc<dyn Runtime>,
    ) -> Self {
        let Grant { fence, sent_at, lease_for, held_from, budget } = grant;
        let end = options.end(held_from);
        let next_renewal = match options.renew_every {
            _ if lease_for < options.ttl => sent_at,
            Some(every) => sent_at + every,
            None => Moment::NEVER,
        };
        Self {
            key: key.clone(),
            owner: owner.clone(),
            fence: AtomicU64::new(fence.get()),
            unsettled: Mutex::default(),
            options,
            held_from,
            min_hold: AtomicU64::new(micros(options.min_hold)),
            budget,
            store: Arc::clone(store),
            runtime: Arc::clone(runtime),
            holder: AtomicU64::new(0),
            deadline: AtomicU64::new(timing::deadline(sent_at, lease_for).min(end).as_micros()),
            reach: AtomicU64::new(reach(sent_at, lease_for).as_micros()),
            verdict: AtomicU8::new(HELD),
            next_renewal: AtomicU64::new(next_renewal.as_micros()),
            renewals_under_way: AtomicU32::new(0),
            unanswered_since: AtomicU64::new(0),
            is_provisional: AtomicBool::new(lease_for < options.ttl),
            // Until the number of unanswered requests is known. A close may come before that.
            needs_tombstone: AtomicBool::new(true),
            was_handed_off: AtomicBool::new(false),
            lost: OnceLock::new(),
            ending: Signal::default(),
            renewal: Signal::default(),
            failing: OnceLock::new(),
        }
    }

    /// Number of acquires of its owner that were not answered and may still arrive.
    pub(super) fn set_unanswered(&self, requests: u32) {
        self.needs_tombstone.store(requests > 0, Ordering::Release);
    }

    /// How long its release must leave a tombstone; `None`: no tombstone.
    pub(super) fn tombstone(&self) -> Option<Duration> {
        self.needs_tombstone.load(Ordering::Acquire).then(|| self.options.tombstone())
    }

    /// The key stays taken until `at`, even if it is released earlier.
    pub(crate) fn keep_until(&self, at: Moment) {
        self.min_hold.store(micros(at.since(self.held_from)), Ordering::Release);
    }

    pub(super) fn min_hold(&self) -> Duration {
        Duration::from_micros(self.min_hold.load(Ordering::Acquire))
    }

    /// A handoff is about to be sent.
    pub(super) fn hand_off(&self) {
        self.was_handed_off.store(true, Ordering::Release);
    }

    pub(super) fn was_handed_off(&self) -> bool {
        self.was_handed_off.load(Ordering::Acquire)
    }

    pub(crate) fn fence(&self) -> Fence {
        Fence::new(self.fence.load(Ordering::Acquire))
    }

    /// The store has given it this fence.
    pub(super) fn set_fence(&self, fence: Fence) {
        self.fence.fetch_max(fence.get(), Ordering::AcqRel);
    }

    pub(crate) fn deadline(&self) -> Moment {
        Moment::from_micros(self.deadline.load(Ordering::Acquire))
    }

    /// A renewal for `ttl` is about to be sent, at `sent`.
    pub(super) fn renewal_sent(&self, sent: Moment, ttl: Duration) {
        self.reach.fetch_max(reach(sent, ttl).as_micros(), Ordering::AcqRel);
    }

    /// The latest time at which it ends at the store by itself.
    pub(super) fn reach(&self) -> Moment {
        Moment::from_micros(self.reach.load(Ordering::Acquire))
    }

    /// When the alarm for the deadline rings.
    pub(super) fn alarm(&self) -> Moment {
        self.deadline() - timing::slack(self.options.ttl)
    }

    pub(super) fn next_renewal(&self) -> Moment {
        Moment::from_micros(self.next_renewal.load(Ordering::Acquire))
    }

    /// When the keepalive task has something to do for it.
    pub(super) fn next_visit(&self) -> Moment {
        self.next_renewal().min(self.alarm())
    }

    pub(super) fn renew_at(&self, at: Moment) {
        self.next_renewal.store(at.as_micros(), Ordering::Release);
    }

    /// Counts a renewal, sent at `now`, until `renewal_ends`.
    pub(super) fn renewal_begins(&self, now: Moment) {
        if self.renewals_under_way.fetch_add(1, Ordering::AcqRel) == 0 {
            self.unanswered_since.store(now.as_micros(), Ordering::Release);
        }
    }

    pub(super) fn renewal_ends(&self) {
        self.renewals_under_way.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_renewal_under_way(&self) -> bool {
        self.renewals_under_way.load(Ordering::Acquire) > 0
    }

    /// When the first renewal was sent that has no answer so far.
    pub(super) fn unanswered_since(&self) -> Option<Moment> {
        let since = Moment::from_micros(self.unanswered_since.load(Ordering::Acquire));
        self.is_renewal_under_way().then_some(since)
    }

    /// A renewal that was sent at `sent` has failed, as is known at `now`.
    pub(super) fn set_failing(&self, sent: Moment, now: Moment, message: &str) {
        let failing = self.failing.get_or_init(Box::default);
        failing.set(sent, now, message);
        self.wake_aside(failing.signal());
    }

    /// The failure since the last renewal that was confirmed.
    pub(crate) fn renewal_failure(&self) -> Option<RenewalFailure> {
        self.failing.get()?.get()
    }

    /// Ends when renewals fail.
    pub(crate) async fn failing(&self) -> RenewalFailure {
        let failing = self.failing.get_or_init(Box::default);
        failing.signal().until(|| failing.get()).await
    }

    /// The running task is given the guard.
    pub(super) fn give_to_current_task(&self) {
        self.holder.store(current_task(), Ordering::Relaxed);
    }

    /// Whether the running task was given the guard.
    pub(super) fn is_given_to_current_task(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == current_task()
    }

    /// The ttl to renew it for. A lease that shall not be renewed is verified with the shortest
    /// ttl, which does not prolong it, since a renewal never shortens.
    pub(super) fn renew_for(&self) -> Duration {
        let is_renewed =
            self.options.renew_every.is_some() || self.is_provisional.load(Ordering::Acquire);
        if is_renewed { self.options.ttl } else { TTL_MIN }
    }

    /// Whether it is held at `now`, which must have been read just before. This finds a passed
    /// deadline without the alarm, since a stopped process runs no timers.
    pub(crate) fn verdict(&self, now: Moment) -> Result<(), LostReason> {
        if self.verdict.load(Ordering::Acquire) == HELD && now >= self.deadline() {
            self.lose(self.expiry());
        }
        match self.verdict.load(Ordering::Acquire) {
            HELD => Ok(()),
            LET_GO => Err(LostReason::GivenBack),
            lost => Err(REASONS[usize::from(lost - LOST_FIRST)]),
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.verdict.load(Ordering::Acquire) == HELD
    }

    /// Whether its holder has let go of it before it was lost.
    pub(super) fn is_let_go(&self) -> bool {
        self.verdict.load(Ordering::Acquire) == LET_GO
    }

    /// Why it is lost when the deadline has passed.
    pub(super) fn expiry(&self) -> LostReason {
        if self.deadline() == self.options.end(self.held_from) {
            LostReason::MaxHold
        } else {
            LostReason::Expired
        }
    }

    /// Declares it lost, unless it was let go before, and tells its holder.
    pub(super) fn lose(&self, reason: LostReason) {
        if self.set_lost(reason) {
            self.announce(reason);
        }
    }

    /// Declares it lost, unless it was let go before. Answers whether that is news.
    pub(super) fn set_lost(&self, reason: LostReason) -> bool {
        let index = REASONS.iter().position(|r| *r == reason).unwrap_or(0);
        let lost = LOST_FIRST + u8::try_from(index).unwrap_or(0);
        let was = self.verdict.compare_exchange(HELD, lost, Ordering::AcqRel, Ordering::Acquire);
        was.is_ok()
    }

    /// Wakes all who wait for the loss, then tells the loggers. None of them holds up the caller.
    pub(super) fn announce(&self, reason: LostReason) {
        self.wake_aside(&self.ending);
        // Pairs with the fence of `lost_token`: either this sees the token, or that sees the loss.
        fence(Ordering::SeqCst);
        for token in self.lost.get().map(|tokens| tokens.all()).into_iter().flatten() {
            self.runtime.aside(Box::new(move || token.cancel()));
        }
        observe::lost(&*self.runtime, &self.store, &self.key, self.fence(), reason);
    }

    fn wake_aside(&self, signal: &Signal) {
        for waker in signal.given() {
            self.runtime.aside(Box::new(|| waker.wake()));
        }
    }

    /// A token that is cancelled when it is lost, and never otherwise.
    pub(crate) fn lost_token(&self) -> CancellationToken {
        let token = &self.lost.get_or_init(Box::default).own;
        self.cancel_if_lost(token);
        token.clone()
    }

    /// Cancels this token, too, when it is lost.
    pub(crate) fn cancel_when_lost(&self, token: &CancellationToken) {
        self.lost.get_or_init(Box::default).add(token);
        self.cancel_if_lost(token);
    }

    /// An announcement from here on finds the token.
    fn cancel_if_lost(&self, token: &CancellationToken) {
        fence(Ordering::SeqCst);
        if self.verdict.load(Ordering::Acquire) >= LOST_FIRST {
            shielded(|| token.cancel());
        }
    }

    /// The holder lets go: from here on nothing is renewed and nothing is announced. Answers
    /// whether it was held until now.
    pub(super) fn let_go(&self) -> bool {
        let was = self.verdict.compare_exchange(HELD, LET_GO, Ordering::AcqRel, Ordering::Acquire);
        for waker in self.ending.given() {
            shielded(|| waker.wake());
        }
        was.is_ok()
    }

    /// Ends when it is lost or was let go.
    pub(crate) async fn ended(&self) {
        self.ending.until(|| (!self.is_held()).then_some(())).await;
    }

    /// Tells the loggers that it was given back.
    pub(super) fn tell_given_back(&self) {
        let held_for = self.runtime.now().since(self.held_from);
        observe::given_back(&*self.runtime, &self.store, &self.key, self.fence(), held_for);
    }

    /// A renewal that was sent at `sent` for `ttl` was confirmed, and the answer read at `now`.
    /// Answers what has failed until then.
    pub(super) fn confirm(
        &self,
        sent: Moment,
        ttl: Duration,
        now: Moment,
    ) -> Option<RenewalFailure> {
        if self.verdict(now).is_err() && !mutants::has!(LateRenewal) {
            return None;
        }
        let end = self.options.end(self.held_from);
        let deadline = timing::deadline(sent, ttl).min(end);
        self.deadline.fetch_max(deadline.as_micros(), Ordering::AcqRel);
        self.is_provisional.store(false, Ordering::Release);
        // Before the holder hears of the renewal, and asks.
        let failure = self.failing.get().and_then(|failing| failing.clear());
        self.wake_aside(&self.renewal);
        failure
    }

    /// Ends when the deadline is later than `after`.
    pub(crate) async fn renewed(&self, after: Moment) -> Moment {
        self.renewal.until(|| Some(self.deadline()).filter(|deadline| *deadline > after)).await
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// The latest end that a request sent at `sent` for `ttl` can bring about at the store.
fn reach(sent: Moment, ttl: Duration) -> Moment {
    sent + ttl + timing::allowance(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::options::Renewal;

    /// Found by simulation: a waiter whose `max_hold` was shorter than a heartbeat was handed a
    /// lease that had ended, again and again.
    #[test]
    fn max_hold_counts_from_the_handing_over() {
        let [ttl, max] = [3_000, 600].map(Duration::from_millis);
        let options = LeaseOptions::check(ttl, Renewal::Auto, Duration::ZERO, Some(max)).unwrap();
        let [sent_at, held_from] = [0, 1_000_000].map(Moment::from_micros);
        let budget = HandoffBudget::new(held_from, false);
        let grant = Grant { fence: Fence::new(1), sent_at, lease_for: ttl, held_from, budget };
        let (key, owner) = (Key::new("k").unwrap(), Owner::random(&[0; 28]));
        let runtime = crate::runtime::machine().unwrap();
        let lease = LeaseState::new(&key, &owner, options, grant, &"test".into(), &runtime);
        assert_eq!(lease.deadline(), held_from + max);
    }
}
