//! What Tenure tells about itself, by names that stay as they are.
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
//! | `tenure.lost` | event | warn | `key`, `fence`, `reason` |
//! | `tenure.store_error` | event | debug | `store`, `error` |
//! | `tenure.release_failed` | event | warn | `key`, `error` |
//! | `tenure.outlived` | event | warn | `key`, `reason` |
//! | `tenure.waits_for_itself` | event | warn | `key`, `store` |
//!
//! A child of a fork tells nothing of what it inherited.
//!
//! **Metrics** go to the [`metrics`](https://docs.rs/metrics) facade, with the feature `metrics`
//! of this crate. No label comes from a key: their number has no limit.
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

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::store::{StoreError, StoreErrorClass};
use crate::words::{Error, ErrorKind, Fence, Key};

use super::lease::LostReason;

/// Counts one, or a duration, where the facade is built in.
#[cfg(feature = "metrics")]
macro_rules! measure {
    (counter $name:literal, $($label:literal => $value:expr),+) => {
        metrics::counter!($name, $($label => $value),+).increment(1);
    };
    (histogram $name:literal, $span:expr, $($label:literal => $value:expr),+) => {
        metrics::histogram!($name, $($label => $value),+).record($span);
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! measure {
    (counter $name:literal, $($label:literal => $value:expr),+) => {
        $(let _never_made = || $value;)+
    };
    (histogram $name:literal, $span:expr, $($label:literal => $value:expr),+) => {
        $(let _never_made = || $value;)+
    };
}

pub(crate) fn acquiring(store: &Arc<str>, key: &Key) -> Span {
    tracing::debug_span!(target: "tenure", "tenure.acquire", %key, store = &**store)
}

pub(crate) fn working(key: &Key, fence: Fence) -> Span {
    tracing::debug_span!(target: "tenure", "tenure.work", %key, %fence)
}

pub(crate) fn attempt(store: &Arc<str>) {
    measure!(counter "tenure_attempts_total", "store" => Arc::clone(store));
}

pub(crate) fn granted(store: &Arc<str>, key: &Key, fence: Fence, waited: Duration) {
    let waited_ms = millis(waited);
    tracing::debug!(name: "tenure.granted", target: "tenure", %key, %fence, waited_ms);
    measure!(counter "tenure_grants_total", "store" => Arc::clone(store));
    measure!(histogram "tenure_wait_seconds", waited, "store" => Arc::clone(store));
}

pub(crate) fn busy(store: &Arc<str>, key: &Key, waited: Duration) {
    tracing::debug!(name: "tenure.busy", target: "tenure", %key, waited_ms = millis(waited));
    measure!(counter "tenure_busy_total", "store" => Arc::clone(store));
}

pub(crate) fn renewed(store: &Arc<str>, key: &Key, fence: Fence) {
    tracing::trace!(name: "tenure.renewed", target: "tenure", %key, %fence);
    measure!(counter "tenure_renewals_total", "store" => Arc::clone(store));
}

pub(crate) fn given_back(store: &Arc<str>, key: &Key, fence: Fence, held: Duration) {
    let held_ms = millis(held);
    tracing::debug!(name: "tenure.given_back", target: "tenure", %key, %fence, held_ms);
    measure!(histogram "tenure_hold_seconds", held, "store" => Arc::clone(store));
}

pub(crate) fn lost(store: &Arc<str>, key: &Key, fence: Fence, reason: LostReason) {
    // A program that closes its locks knows that it does.
    if reason != LostReason::Closed {
        tracing::warn!(name: "tenure.lost", target: "tenure", %key, %fence, %reason, "lock lost");
    }
    measure!(
        counter "tenure_lost_total",
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
}

pub(crate) fn store_error(store: &Arc<str>, error: &StoreError) {
    if error.class == StoreErrorClass::Forked {
        return;
    }
    let name = &**store;
    tracing::debug!(name: "tenure.store_error", target: "tenure", store = name, %error);
    measure!(
        counter "tenure_store_errors_total",
        "store" => Arc::clone(store),
        "class" => match error.class {
            StoreErrorClass::Transient => "transient",
            StoreErrorClass::Refused => "refused",
            StoreErrorClass::Config => "config",
            StoreErrorClass::Forked => "forked",
            StoreErrorClass::Internal => "internal",
        }
    );
}

/// The work's result must not suffer from it.
pub(crate) fn release_failed(key: &Key, error: &Error) {
    if error.kind() == ErrorKind::Forked {
        return;
    }
    tracing::warn!(
        name: "tenure.release_failed",
        target: "tenure",
        %key,
        %error,
        "release failed; it goes on in the background"
    );
}

pub(crate) fn outlived(key: &Key, reason: LostReason) {
    if reason == LostReason::Forked {
        return;
    }
    tracing::warn!(
        name: "tenure.outlived",
        target: "tenure",
        %key,
        %reason,
        "the work outlived its lock, and its value is used all the same"
    );
}

pub(crate) fn waits_for_itself(store: &Arc<str>, key: &Key) {
    tracing::warn!(
        name: "tenure.waits_for_itself",
        target: "tenure",
        %key,
        store = &**store,
        "this task holds the lock that it waits for without limit: unless another task releases \
         its guard, it waits for itself"
    );
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
