//! Four workers go through one list of jobs. Each skips what another has in hand, so nobody waits
//! and no job is done twice.
//!
//! ```sh
//! cargo run --example workers
//! ```
//!
//! It prints:
//!
//! ```text
//! 4 workers, 12 jobs
//! 12 jobs were done, 0 of them twice
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Stands for the table of jobs: how often each was done.
type Jobs = Arc<Mutex<BTreeMap<u32, u32>>>;

/// Goes through the list once.
async fn work(jobs: Jobs) -> tenure::Result<()> {
    for job in 1..=12 {
        let lock = tenure::mutex(format!("job:{job}"));
        let Some(guard) = lock.try_acquire().await? else { continue };
        // It is ours now; but another may have done it before.
        if times_done(&jobs, job) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            *jobs.lock().unwrap_or_else(PoisonError::into_inner).entry(job).or_default() += 1;
        }
        guard.release().await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("4 workers, 12 jobs");
    let jobs = Jobs::default();
    let workers: Vec<_> = (0..4).map(|_| tokio::spawn(work(Arc::clone(&jobs)))).collect();
    for worker in workers {
        worker.await??;
    }
    let times: Vec<_> = (1..=12).map(|job| times_done(&jobs, job)).collect();
    let done = times.iter().filter(|times| **times > 0).count();
    let twice = times.iter().filter(|times| **times > 1).count();
    println!("{done} jobs were done, {twice} of them twice");
    Ok(())
}

fn times_done(jobs: &Jobs, job: u32) -> u32 {
    let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.get(&job).copied().unwrap_or_default()
}
