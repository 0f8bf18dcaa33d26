//! A lock that is not acquired, a call that is not awaited and a guard that is not kept: each is
//! warned about, and the lint is an error here.

#![deny(unused_must_use)]

use std::time::Duration;

async fn nothing_is_locked(locks: tenure::Locks) {
    tenure::mutex("report");
    tenure::semaphore("report", 3);
    locks.mutex("report").with_ttl(Duration::from_secs(9));
    locks.mutex("report").acquire();
    locks.mutex("report").run(|_lease| async { tenure::ok(()) });
    locks.watch("report");
    locks.list_all("");
}

async fn nothing_is_kept(locks: tenure::Locks) -> tenure::Result<()> {
    locks.mutex("report").acquire().await?;
    locks.mutex("report").run_to_end(|_lease| async { 7 }).await?;
    Ok(())
}

async fn nothing_is_released(guard: tenure::Guard) {
    guard.release();
}

fn without_async() {
    tenure::blocking::mutex("report").with_owner("job");
}

fn main() {}
