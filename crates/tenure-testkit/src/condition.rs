//! Waiting for a condition. Never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How long the kit waits for anything: much longer than a busy machine needs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Looks every millisecond until `holds` does.
///
/// # Panics
/// After [`LIMIT`], with `what` was waited for.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
