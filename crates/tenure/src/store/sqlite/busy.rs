//! The wait of a connection for a lock of the file: many short sleeps with jitter, never longer
//! than a limit.
//!
//! SQLite's own busy timeout sleeps longer the longer it has waited. So the process that has waited
//! longest asks least often and starves (measured: 1.8 s for one transaction among 8 processes).

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::lock_owner::LockOwner;

const SLEEP_MIN: Duration = Duration::from_micros(50);
const SLEEP_MAX: Duration = Duration::from_micros(500);

/// Time between two checks whether the process inside the transaction is stopped. If it is, waiting
/// is useless, and an error with its name helps more.
const LOOK_EVERY: Duration = Duration::from_millis(500);

thread_local! {
    // Thread-local, since a connection stays on its thread and SQLite calls the handler there.
    static LIMIT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static NEXT_LOOK: Cell<Duration> = const { Cell::new(LOOK_EVERY) };
    static FILE: RefCell<PathBuf> = RefCell::default();
    static JITTER: Cell<u32> = const { Cell::new(1) };
}

/// Lets the connection of this thread to `file` wait for up to `limit`. `seed` differs by thread.
pub(super) fn install(
    db: &mut Connection,
    file: &Path,
    limit: Duration,
    seed: u32,
) -> rusqlite::Result<()> {
    LIMIT.set(limit);
    FILE.set(file.to_owned());
    JITTER.set(seed | 1);
    db.busy_handler(Some(wait as fn(i32) -> bool))
}

/// Runs `work`, during which the connection of this thread waits for up to `limit` only.
pub(super) fn with_limit<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let before = LIMIT.replace(limit);
    let done = work();
    LIMIT.set(before);
    done
}

/// Time for which this thread waited the last time that it had to.
pub(super) fn waited() -> Duration {
    WAITED.get()
}

/// Waits a little; `false` when the limit is over. The wait is real even if the program's clock is
/// simulated, since it is for another process.
#[allow(clippy::disallowed_methods, reason = "this is the edge to other processes")]
fn wait(tries: i32) -> bool {
    let now = Instant::now();
    if tries == 0 {
        SINCE.set(Some(now));
        NEXT_LOOK.set(LOOK_EVERY);
    }
    let waited = SINCE.get().map_or(Duration::ZERO, |since| now - since);
    WAITED.set(waited);
    if waited >= LIMIT.get() {
        return false;
    }
    if waited >= NEXT_LOOK.get() {
        NEXT_LOOK.set(waited + LOOK_EVERY);
        let owner = FILE.with_borrow(|file| LockOwner::writing(file));
        if owner.is_some_and(|owner| owner.is_stopped()) {
            return false;
        }
    }
    std::thread::sleep(pause());
    true
}

/// A random time between [`SLEEP_MIN`] and [`SLEEP_MAX`], so that processes do not ask in step
/// (Marsaglia, *Xorshift RNGs*, 2003; nothing secret depends on it).
pub(super) fn pause() -> Duration {
    let mut x = JITTER.get();
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    JITTER.set(x);
    SLEEP_MIN + (SLEEP_MAX - SLEEP_MIN).mul_f64(f64::from(x) / f64::from(u32::MAX))
}
