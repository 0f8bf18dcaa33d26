//! What this process knows of a lease it holds: until when, and whether it is lost. The verdict
//! "lost" is final, and needs no I/O.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::runtime::{Moment, Runtime, shielded};
use crate::types::{Fence, Key, LostReason, Owner, TTL_MIN};

use super::handoff_budget::HandoffBudget;
use super::options::LeaseOptions;
use super::schedule::TimerId;
use super::signal::Signal;
use super::taker::Taker;
use crate::mutants::{self, Mutant};
use crate::observe;
use crate::protocol::validity;

const HELD: u8 = 0;
const LET_GO: u8 = 1;
const LOST_FIRST: u8 = 2;
const REASONS: [LostReason; 4] =
    [LostReason::Expired, LostReason::Gone, LostReason::MaxHold, LostReason::Closed];

/// A lease and its entry in the schedule.
#[derive(Debug, Clone)]
pub(crate) struct LeaseEntry {
    pub(crate) id: TimerId,
    pub(crate) lease: Arc<LeaseState>,
}

/// Shared by the guard (which asks) and the keepalive task (which renews).
#[derive(Debug)]
pub(crate) struct LeaseState {
    pub(crate) key: Key,
    /// The store's name.
    store: Arc<str>,
    runtime: Arc<dyn Runtime>,
    pub(crate) owner: Owner,
    pub(crate) fence: Fence,
    pub(crate) lease_options: LeaseOptions,
    pub(crate) since: Moment,
    /// Who was given the guard.
    taker: OnceLock<Taker>,
    /// The turn of this process that it is part of.
    pub(crate) budget: HandoffBudget,
    /// The lease never lasts beyond it, whatever is renewed.
    end: Moment,
    /// Moves forward only; written by whoever got a renewal confirmed.
    deadline: AtomicU64,
    /// When it ends at the store at the latest, by all that was asked for and whatever of it has
    /// arrived: what is given back must be repeated until then. Moves forward only.
    reach: AtomicU64,
    /// `HELD`, `LET_GO`, or `LOST_FIRST` + index in `REASONS`; leaves `HELD` once and for good.
    verdict: AtomicU8,
    /// When the keepalive task renews next; `Moment::NEVER`: not.
    next_renewal: AtomicU64,
    /// How many renewals are under way.
    pub(crate) asking: AtomicU32,
    /// Its grant was for less than its ttl, and no renewal has been confirmed yet.
    is_provisional: AtomicBool,
    /// An acquire of this owner may still be under way: the release must leave a tombstone.
    pub(crate) needs_tombstone: AtomicBool,
    /// A handoff was sent: should its answer be lost, the next in line must look for its grant.
    pub(crate) handed_off: AtomicBool,
    /// Made for whoever asks for one.
    lost: OnceLock<CancellationToken>,
    /// Given with the loss, and with the letting go.
    ending: Signal,
    /// Given with each renewal.
    renewal: Signal,
}

impl LeaseState {
    /// A lease that was granted by a request sent at `sent`, for `span` (its ttl, or the shorter
    /// lease of a grant from the queue, which the keepalive task then confirms at once). Its holder
    /// has it from `now` on: a waiter may have sent that request a whole heartbeat before.
    pub(crate) fn new(
        (key, store, runtime): (Key, &Arc<str>, &Arc<dyn Runtime>),
        owner: Owner,
        fence: Fence,
        lease_options: LeaseOptions,
        (sent, span): (Moment, Duration),
        (now, budget): (Moment, HandoffBudget),
    ) -> Self {
        let end = lease_options.max_hold.map_or(Moment::NEVER, |max| now + max);
        let next_renewal = match lease_options.renew_every {
            _ if span < lease_options.ttl => sent,
            Some(every) => sent + every,
            None => Moment::NEVER,
        };
        Self {
            key,
            store: Arc::clone(store),
            runtime: Arc::clone(runtime),
            owner,
            fence,
            lease_options,
            since: now,
            taker: OnceLock::new(),
            budget,
            end,
            deadline: AtomicU64::new(validity::deadline(sent, span).min(end).as_micros()),
            reach: AtomicU64::new(reach(sent, span).as_micros()),
            verdict: AtomicU8::new(HELD),
            next_renewal: AtomicU64::new(next_renewal.as_micros()),
            asking: AtomicU32::new(0),
            is_provisional: AtomicBool::new(span < lease_options.ttl),
            // Until it is known: whoever closes at this very moment gives it back by this.
            needs_tombstone: AtomicBool::new(true),
            handed_off: AtomicBool::new(false),
            lost: OnceLock::new(),
            ending: Signal::default(),
            renewal: Signal::default(),
        }
    }

    pub(crate) fn deadline(&self) -> Moment {
        Moment::from_micros(self.deadline.load(Ordering::Acquire))
    }

    /// A renewal for `ttl` is about to be sent, at `sent`.
    pub(crate) fn asks(&self, sent: Moment, ttl: Duration) {
        self.reach.fetch_max(reach(sent, ttl).as_micros(), Ordering::AcqRel);
    }

    /// When it ends at the store at the latest, if it is not given back.
    pub(crate) fn reach(&self) -> Moment {
        Moment::from_micros(self.reach.load(Ordering::Acquire))
    }

    /// When the alarm for the deadline rings.
    pub(crate) fn alarm(&self) -> Moment {
        self.deadline() - validity::slack(self.lease_options.ttl)
    }

    pub(crate) fn next_renewal(&self) -> Moment {
        Moment::from_micros(self.next_renewal.load(Ordering::Acquire))
    }

    pub(crate) fn renew_at(&self, at: Moment) {
        self.next_renewal.store(at.as_micros(), Ordering::Release);
    }

    pub(crate) fn taken_by(&self, taker: Taker) {
        self.taker.get_or_init(|| taker);
    }

    pub(crate) fn is_of(&self, taker: Taker) -> bool {
        self.taker.get() == Some(&taker)
    }

    /// The ttl to renew it for. One that is not to be renewed is asked for by so short a ttl that
    /// it does not last longer for it: a renewal never shortens.
    pub(crate) fn renewal(&self) -> Duration {
        let is_renewed =
            self.lease_options.renew_every.is_some() || self.is_provisional.load(Ordering::Acquire);
        if is_renewed { self.lease_options.ttl } else { TTL_MIN }
    }

    /// Whether it is held at `now`, which must have been read just before. Passing the deadline
    /// is found here as well as by the alarm: a stopped process runs no timers.
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

    /// Whether its holder has let go of it, and was not told before that it is lost.
    pub(crate) fn is_let_go(&self) -> bool {
        self.verdict.load(Ordering::Acquire) == LET_GO
    }

    /// What to call the end of the deadline.
    pub(crate) fn expiry(&self) -> LostReason {
        if self.deadline() == self.end { LostReason::MaxHold } else { LostReason::Expired }
    }

    /// Declares it lost, unless it was let go before, and tells its holder.
    pub(crate) fn lose(&self, reason: LostReason) {
        if self.set_lost(reason) {
            self.announce(reason);
        }
    }

    /// Declares it lost, unless it was let go before. Answers whether that is news.
    pub(crate) fn set_lost(&self, reason: LostReason) -> bool {
        let index = REASONS.iter().position(|r| *r == reason).unwrap_or(0);
        let lost = LOST_FIRST + u8::try_from(index).unwrap_or(0);
        let was = self.verdict.compare_exchange(HELD, lost, Ordering::AcqRel, Ordering::Acquire);
        was.is_ok()
    }

    /// Tells whoever waits for the loss, and then the loggers. None of them holds up the caller.
    pub(crate) fn announce(&self, reason: LostReason) {
        self.wake_aside(&self.ending);
        // Of who loses and then looks for a token, and who makes one and then looks whether it is
        // lost, one sees the other.
        fence(Ordering::SeqCst);
        if let Some(token) = self.lost.get().cloned() {
            self.runtime.aside(Box::new(move || token.cancel()));
        }
        observe::lost(&*self.runtime, &self.store, &self.key, self.fence, reason);
    }

    fn wake_aside(&self, signal: &Signal) {
        for waker in signal.given() {
            self.runtime.aside(Box::new(|| waker.wake()));
        }
    }

    /// Cancelled when it is lost, and never otherwise.
    pub(crate) fn lost_token(&self) -> CancellationToken {
        let token = self.lost.get_or_init(CancellationToken::new);
        fence(Ordering::SeqCst);
        if self.verdict.load(Ordering::Acquire) >= LOST_FIRST {
            shielded(|| token.cancel());
        }
        token.clone()
    }

    /// The holder lets go: from here on nothing is renewed and nothing is announced. Answers
    /// whether it was held until now.
    pub(crate) fn let_go(&self) -> bool {
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

    /// A renewal that was sent at `sent` for `ttl` was confirmed, and the answer read at `now`.
    pub(crate) fn confirm(&self, sent: Moment, ttl: Duration, now: Moment) {
        if self.verdict(now).is_err() && !mutants::is_set(Mutant::LateRenewal) {
            return;
        }
        let deadline = validity::deadline(sent, ttl).min(self.end);
        self.deadline.fetch_max(deadline.as_micros(), Ordering::AcqRel);
        self.is_provisional.store(false, Ordering::Release);
        self.wake_aside(&self.renewal);
    }

    /// Ends when the deadline is later than `after`.
    pub(crate) async fn renewed(&self, after: Moment) -> Moment {
        self.renewal.until(|| Some(self.deadline()).filter(|deadline| *deadline > after)).await
    }
}

/// When a lease ends at the latest that was asked for at `sent`, for `ttl`, and came in time.
fn reach(sent: Moment, ttl: Duration) -> Moment {
    sent + ttl + validity::allowance(ttl)
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
        let lease_options =
            LeaseOptions::check(ttl, Renewal::Auto, Duration::ZERO, Some(max)).unwrap();
        let [sent, now] = [0, 1_000_000].map(Moment::from_micros);
        let (key, owner) = (Key::new("k").unwrap(), Owner::random(&[0; 28]));
        let lease = LeaseState::new(
            (key, &"test".into(), &crate::runtime::machine().unwrap()),
            owner,
            Fence::new(1),
            lease_options,
            (sent, ttl),
            (now, HandoffBudget::first(now)),
        );
        assert_eq!(lease.deadline(), now + max);
    }
}
