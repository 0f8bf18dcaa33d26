//! How late this machine runs threads, for tests of deadlines that hold on a machine with time.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Time for which the witness sleeps at a time.
const NAP: Duration = Duration::from_millis(2);

/// The longest time in microseconds by which the witness woke up late.
static WORST_US: AtomicU64 = AtomicU64::new(0);

/// The longest time by which this machine has run a sleeping thread too late, since the first call
/// in this process. A deadline of a program under test can be kept no better than that.
#[must_use]
pub fn lateness() -> Duration {
    static WITNESS: Once = Once::new();
    WITNESS.call_once(|| {
        thread::spawn(|| {
            loop {
                let begun = Instant::now();
                thread::sleep(NAP);
                let late = begun.elapsed().saturating_sub(NAP).as_micros();
                WORST_US.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
    });
    Duration::from_micros(WORST_US.load(Ordering::Relaxed))
}
