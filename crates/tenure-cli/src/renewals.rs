//! The messages about renewals while CMD runs: the first one that fails, once a minute while they
//! fail, when they work again, and their part in a loss.

use std::time::Duration;

use tenure::runtime::{Moment, Runtime};
use tenure::{Lease, LostReason, MultiLease, RenewalFailure};

use crate::args::OnLost;
use crate::duration::show;
use crate::plan::Plan;

/// Interval of the messages while renewals fail.
const AGAIN: Duration = Duration::from_secs(60);

/// The lock is lost.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) reason: LostReason,
    /// The reason with its cause, for people.
    pub(crate) why: String,
}

impl Lost {
    /// A loss that is known at `now`. Failing renewals are its cause.
    pub(crate) fn of(reason: LostReason, guard: &MultiLease, now: Moment) -> Self {
        let failure = failing(guard).filter(|_| reason == LostReason::Expired);
        let cause = failure.map(|(_, failure)| {
            let ago = show(now.since(failure.at()));
            format!("; the last renewal failed {ago} ago: {failure}")
        });
        Self { reason, why: format!("{reason}{}", cause.unwrap_or_default()) }
    }
}

/// The messages so far.
pub(crate) struct Renewals<'a> {
    plan: &'a Plan,
    guard: &'a MultiLease,
    /// The store's name.
    store: &'a str,
    /// The time of the first failure that was told.
    since: Option<Moment>,
    /// No message about failures before.
    quiet_until: Moment,
}

impl<'a> Renewals<'a> {
    pub(crate) fn new(plan: &'a Plan, guard: &'a MultiLease, store: &'a str) -> Self {
        Self { plan, guard, store, since: None, quiet_until: Moment::from_micros(0) }
    }

    /// Ends when there is a failure to tell.
    pub(crate) async fn failing(&self, runtime: &dyn Runtime) {
        runtime.sleep_until(self.quiet_until).await;
        self.guard.failing().await;
    }

    /// Tells that renewals fail, and the time that is left.
    pub(crate) fn tell_failing(&mut self, now: Moment) {
        let Some((lease, failure)) = failing(self.guard) else { return };
        self.since.get_or_insert(failure.since());
        self.quiet_until = now + AGAIN;
        let (key, store) = (lease.key().as_str(), self.store);
        let left = self.guard.deadline() - self.plan.slack();
        let end = match self.plan.on_lost {
            OnLost::Ignore => {
                format!("the lock is lost in {} unless it comes back", show(left.since(now)))
            }
            OnLost::Kill => {
                let left = (left - self.plan.grace).since(now);
                format!("CMD will be ended in {} unless it comes back", show(left))
            }
        };
        let message = format!("cannot renew {key:?} at {store}: {failure}; {end}");
        self.plan.output.notice_of("renewal-failed", message);
    }

    /// The deadline has moved: tells that, and the end of failures that were told.
    pub(crate) fn renewed(&mut self, now: Moment) {
        let until = show(self.guard.deadline().since(now));
        let keys = &self.plan.keys;
        match self.since {
            Some(since) if failing(self.guard).is_none() => {
                (self.since, self.quiet_until) = (None, Moment::from_micros(0));
                let span = show(now.since(since));
                let message = format!("renewed {keys} again, {span} after the first failure");
                self.plan.output.notice_of("renewals-resumed", message);
            }
            _ => self.plan.output.detail("renewed", || format!("renewed {keys} for {until}")),
        }
    }
}

/// The lease that cannot be renewed and is lost first.
fn failing(guard: &MultiLease) -> Option<(&Lease, RenewalFailure)> {
    let leases = guard.leases().iter();
    let failing = leases.filter_map(|lease| Some((lease, lease.renewal_failure()?)));
    failing.min_by_key(|(lease, _)| lease.deadline())
}
