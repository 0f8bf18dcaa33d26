//! Spans, events and metrics of Tenure. Their names and fields are stable.
//!
//! **Spans and events** go to [`tracing`], with the target `tenure`:
//!
//! | name | kind | level | fields |
//! |---|---|---|---|
//! | `tenure.acquire` | span | debug | `key`, `store` |
//! | `tenure.work` | span | debug | `key`, `fence` |
//! | `tenure.granted` | event | debug | `key`, `fence`, `waited_ms` |
//! | `tenure.busy` | event | debug | `key`, `waited_ms` |
//! | `tenure.renewed` | event | trace | `key`, `fence` |
//! | `tenure.given_back` | event | debug | `key`, `fence`, `held_ms` |
//! | `tenure.renewal_failed` | event | warn | `key`, `fence`, `store`, `error`, `left_ms` |
//! | `tenure.renewals_resumed` | event | info | `key`, `store`, `failed_ms` |
//! | `tenure.lost` | event | warn | `key`, `fence`, `reason` |
//! | `tenure.store_error` | event | debug | `store`, `error` |
//! | `tenure.release_failed` | event | warn | `key`, `error` |
//! | `tenure.outlived` | event | warn | `key`, `reason` |
//! | `tenure.waits_for_itself` | event | warn | `key`, `store` |
//! | `tenure.events_dropped` | event | warn | `count` |
//!
//! Each event has a message, for people. `tenure.renewal_failed` is told of the first renewal that
//! fails, and then once a minute at most for each store; `left_ms` is the time to the loss. Each
//! holder learns of it by [`Lease::failing`](crate::Lease::failing). `tenure.renewals_resumed` is
//! told once, when a renewal works after a failure that was told.
//!
//! A logger or recorder that blocks or panics never holds up a renewal or the announcement of a
//! loss. Events on the caller's own thread are reported there, within the caller's spans. All other
//! events, and every loss, are reported by the thread `tenure-report`, a little later. If that
//! thread is held up, 8,192 events wait for it, and `tenure.events_dropped` has the number of later
//! ones.
//!
//! A forked child reports nothing about inherited locks.
//!
//! **Metrics** go to the [`metrics`](https://docs.rs/metrics) facade, with the feature `metrics`
//! of this crate. A key is never a label, since the number of keys has no limit.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `tenure_attempts_total` | counter | `store` |
//! | `tenure_grants_total` | counter | `store` |
//! | `tenure_busy_total` | counter | `store` |
//! | `tenure_wait_seconds` | histogram | `store` |
//! | `tenure_hold_seconds` | histogram, of locks that were given back | `store` |
//! | `tenure_renewals_total` | counter | `store` |
//! | `tenure_lost_total` | counter | `store`, `reason` |
//! | `tenure_store_errors_total` | counter | `store`, `class` |
//! | `tenure_events_dropped_total` | counter | |

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing::span::Entered;

use crate::process::Process;
use crate::runtime::{Runtime, shielded};
use crate::types::{Error, ErrorKind, Fence, Key, LostReason};

/// Adds to a counter, or records a duration, if the feature `metrics` is on.
#[cfg(feature = "metrics")]
macro_rules! measure {
    (counter $name:literal += $count:expr $(, $label:literal => $value:expr)*) => {
        metrics::counter!($name $(, $label => $value)*).increment($count);
    };
    (histogram $name:literal, $span:expr, $($label:literal => $value:expr),+) => {
        metrics::histogram!($name, $($label => $value),+).record($span);
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! measure {
    (counter $name:literal += $count:expr $(, $label:literal => $value:expr)*) => {
        let _never_counted = || $count;
        $(let _never_made = || $value;)*
    };
    (histogram $name:literal, $span:expr, $($label:literal => $value:expr),+) => {
        $(let _never_made = || $value;)+
    };
}

/// Calls `say` with references to the named values. A thread of the program calls it in place; a
/// thread of Tenure's own clones the values and leaves the call to the reporter.
macro_rules! tell {
    ($runtime:expr, $say:expr, $($what:expr),+) => {
        if $crate::runtime::is_own_thread() {
            $crate::observe::report!($runtime, $say, $($what),+);
        } else {
            $crate::runtime::shielded(|| ($say)($($what),+));
        }
    };
}

/// Calls `say` with clones of the named values, always on the reporter's thread.
macro_rules! report {
    ($runtime:expr, $say:expr, $what:expr) => {{
        let (say, what) = ($say, Clone::clone($what));
        $runtime.report(Box::new(move || say(&what)));
    }};
    ($runtime:expr, $say:expr, $what:expr, $more:expr) => {{
        let (say, what, more) = ($say, Clone::clone($what), Clone::clone($more));
        $runtime.report(Box::new(move || say(&what, &more)));
    }};
}

pub(crate) use report;
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) use tell;

pub(crate) fn acquiring(store: &Arc<str>, key: &Key) -> Span {
    let make = || tracing::debug_span!(target: "tenure", "tenure.acquire", %key, store = &**store);
    shielded(make).unwrap_or_else(Span::none)
}

pub(crate) fn working(key: &Key, fence: Fence) -> Span {
    let make = || tracing::debug_span!(target: "tenure", "tenure.work", %key, %fence);
    shielded(make).unwrap_or_else(Span::none)
}

pin_project! {
    /// A future within a span, like `tracing`'s own, but safe with forks and with subscribers that
    /// panic. A subscriber may hold locks, so a forked child never enters or closes an inherited
    /// span. A subscriber that panics never ends the future or its cleanup.
    pub(crate) struct Within<F> {
        process: Process,
        span: Option<Span>,
        #[pin]
        work: F,
    }

    impl<F> PinnedDrop for Within<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let span = this.span.take();
            if this.process.is_current() {
                shielded(|| drop(span));
            } else {
                std::mem::forget(span);
            }
        }
    }
}

/// `work`, with each poll inside `span`.
pub(crate) fn within<F: Future>(span: Span, work: F) -> Within<F> {
    Within { process: Process::current(), span: Some(span), work }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !this.process.is_current() {
            return this.work.poll(cx);
        }
        let span = this.span.as_ref();
        let entered = Leaving(span.and_then(|span| shielded(|| span.enter())));
        let polled = this.work.poll(cx);
        if !this.process.is_current() {
            // The work has forked, and this is the child.
            std::mem::forget(entered);
        }
        polled
    }
}

/// An entered span; leaving it may panic.
struct Leaving<'a>(Option<Entered<'a>>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let entered = self.0.take();
        shielded(|| drop(entered));
    }
}

pub(crate) fn attempt(store: &Arc<str>) {
    shielded(|| {
        measure!(counter "tenure_attempts_total" += 1, "store" => Arc::clone(store));
    });
}

pub(crate) fn granted(store: &Arc<str>, key: &Key, fence: Fence, waited: Duration) {
    shielded(|| {
        let waited_ms = millis(waited);
        tracing::debug!(
            name: "tenure.granted", target: "tenure", %key, %fence, waited_ms, "lock granted"
        );
        measure!(counter "tenure_grants_total" += 1, "store" => Arc::clone(store));
        measure!(histogram "tenure_wait_seconds", waited, "store" => Arc::clone(store));
    });
}

pub(crate) fn busy(store: &Arc<str>, key: &Key, waited: Duration) {
    shielded(|| {
        let waited_ms = millis(waited);
        tracing::debug!(
            name: "tenure.busy", target: "tenure", %key, waited_ms, "lock busy: held by others"
        );
        measure!(counter "tenure_busy_total" += 1, "store" => Arc::clone(store));
    });
}

/// Reports one renewed lease, if the level is on. Many leases are renewed at once, so [`renewals`]
/// counts them together.
pub(crate) fn renewed(runtime: &dyn Runtime, key: &Key, fence: Fence) {
    if LevelFilter::current() < LevelFilter::TRACE {
        return;
    }
    let say = move |key: &Key| {
        tracing::trace!(name: "tenure.renewed", target: "tenure", %key, %fence, "lease renewed");
    };
    tell!(runtime, say, key);
}

/// Reports that a lease cannot be renewed: it is lost in `left` unless the store comes back.
pub(crate) fn renewal_failed(
    runtime: &dyn Runtime,
    store: &Arc<str>,
    key: &Key,
    fence: Fence,
    error: &str,
    left: Duration,
) {
    let error = error.to_owned();
    let say = move |store: &Arc<str>, key: &Key| {
        let (store, left_ms) = (&**store, millis(left));
        tracing::warn!(
            name: "tenure.renewal_failed",
            target: "tenure",
            %key,
            %fence,
            store,
            %error,
            left_ms,
            "cannot renew the lease; it is tried again until the lock is lost"
        );
    };
    report!(runtime, say, store, key);
}

/// Reports that a lease was renewed after failures.
pub(crate) fn renewals_resumed(
    runtime: &dyn Runtime,
    store: &Arc<str>,
    key: &Key,
    failed_for: Duration,
) {
    let say = move |store: &Arc<str>, key: &Key| {
        let (store, failed_ms) = (&**store, millis(failed_for));
        tracing::info!(
            name: "tenure.renewals_resumed",
            target: "tenure",
            %key,
            store,
            failed_ms,
            "leases are renewed again"
        );
    };
    report!(runtime, say, store, key);
}

pub(crate) fn renewals(runtime: &dyn Runtime, store: &Arc<str>, count: usize) {
    if count == 0 || cfg!(not(feature = "metrics")) {
        return;
    }
    let say = move |store: &Arc<str>| {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        measure!(counter "tenure_renewals_total" += count, "store" => Arc::clone(store));
    };
    tell!(runtime, say, store);
}

pub(crate) fn given_back(
    runtime: &dyn Runtime,
    store: &Arc<str>,
    key: &Key,
    fence: Fence,
    held: Duration,
) {
    let say = move |store: &Arc<str>, key: &Key| {
        let held_ms = millis(held);
        tracing::debug!(
            name: "tenure.given_back", target: "tenure", %key, %fence, held_ms, "lock given back"
        );
        measure!(histogram "tenure_hold_seconds", held, "store" => Arc::clone(store));
    };
    tell!(runtime, say, store, key);
}

/// Reports a loss, always on the reporter's thread: a logger must not hold up the code that finds
/// the loss, such as a `check` of the holder.
pub(crate) fn lost(
    runtime: &dyn Runtime,
    store: &Arc<str>,
    key: &Key,
    fence: Fence,
    reason: LostReason,
) {
    let say = move |store: &Arc<str>, key: &Key| {
        // A program that closes its locks knows that it does.
        if reason != LostReason::Closed {
            tracing::warn!(
                name: "tenure.lost", target: "tenure", %key, %fence, %reason, "lock lost"
            );
        }
        measure!(
            counter "tenure_lost_total" += 1,
            "store" => Arc::clone(store),
            "reason" => match reason {
                LostReason::Expired => "expired",
                LostReason::Gone => "gone",
                LostReason::MaxHold => "max_hold",
                LostReason::Closed => "closed",
                LostReason::GivenBack => "given_back",
                LostReason::Forked => "forked",
            }
        );
    };
    report!(runtime, say, store, key);
}

/// Reports a failed call, with the class of its failure.
pub(crate) fn store_error(
    runtime: &dyn Runtime,
    store: &Arc<str>,
    class: &'static str,
    error: &str,
) {
    let say = move |store: &Arc<str>, error: &String| {
        let name = &**store;
        tracing::debug!(
            name: "tenure.store_error", target: "tenure", store = name, %error, "a call has failed"
        );
        measure!(
            counter "tenure_store_errors_total" += 1,
            "store" => Arc::clone(store),
            "class" => class
        );
    };
    tell!(runtime, say, store, &error.to_owned());
}

pub(crate) fn gave_up_undoing(runtime: &dyn Runtime, key: &Key) {
    let say = |key: &Key| {
        tracing::debug!(%key, "gave up the cleanup: it has ended by itself");
    };
    tell!(runtime, say, key);
}

pub(crate) fn no_inbox(runtime: &dyn Runtime, error: &str) {
    let say = |error: &String| tracing::debug!(%error, "no inbox; waiting by timed looks");
    tell!(runtime, say, &error.to_owned());
}

/// Reports a failed release. The result of the work stands.
pub(crate) fn release_failed(key: &Key, error: &Error) {
    if error.kind() == ErrorKind::Forked {
        return;
    }
    shielded(|| {
        tracing::warn!(
            name: "tenure.release_failed",
            target: "tenure",
            %key,
            %error,
            "release failed; it goes on in the background"
        );
    });
}

pub(crate) fn outlived(key: &Key, reason: LostReason) {
    if reason == LostReason::Forked {
        return;
    }
    shielded(|| {
        tracing::warn!(
            name: "tenure.outlived",
            target: "tenure",
            %key,
            %reason,
            "the work outlived its lock, and its value is used all the same"
        );
    });
}

pub(crate) fn waits_for_itself(store: &Arc<str>, key: &Key) {
    shielded(|| {
        tracing::warn!(
            name: "tenure.waits_for_itself",
            target: "tenure",
            %key,
            store = &**store,
            "this task holds the lock that it waits for without limit: unless another task \
             releases its guard, it waits for itself"
        );
    });
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
