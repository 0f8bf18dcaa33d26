//! How long after the lease of a holder that was killed its successor is granted, over SQLite.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tenure::Mutex;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::{Process, block_on, boot_micros, open, tell};

const KEY: &str = "death";

const OVER: &str = "the lease ended before it was looked at";

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (deaths, ttl_ms) = scale.pick((1, "3000"), (20, "1000"));
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("locks.db");
    block_on(async {
        let locks = open(&file).await?;
        let lock = locks.mutex(KEY);
        let mut delays = Vec::new();
        for _ in 0..deaths {
            delays.push(one_death(&lock, &file, ttl_ms).await?);
        }
        let sample = Sample::new(delays.clone());
        Ok(vec![Figure {
            name: "sqlite: holder killed, grant after its lease, p50".into(),
            value: sample.median(),
            unit: "ms",
            limit: Limit::AtMost(50.0),
            note: format!("of {}; worst {:.1}", sample.len(), sample.worst()),
            raw: json!({ "delay_ms": delays }),
        }])
    })
}

/// From the end of the lease to the successor's guard, in milliseconds.
async fn one_death(lock: &Mutex, file: &Path, ttl_ms: &str) -> Result<f64, Failure> {
    let file = file.to_str().ok_or("the directory's name is not UTF-8")?;
    let mut holder = Process::start("holder", &[file, ttl_ms])?;
    holder.line()?;
    let waiter = lock.clone();
    let granted = async move {
        let guard = waiter.acquire().await?;
        let granted = boot_micros();
        guard.release().await?;
        Ok::<u64, Failure>(granted)
    };
    let killed = async {
        loop {
            let seen = lock.inspect().await?;
            if !seen.waiters.is_empty() {
                break;
            }
            if seen.holders.is_empty() {
                return Err(OVER.into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        holder.kill()?;
        // Nobody renews it from here on. The clock is read first, so that the delay comes out
        // rather too long than too short.
        let now = boot_micros();
        let seen = lock.inspect().await?;
        let holder = seen.holders.first().ok_or(OVER)?;
        Ok::<u64, Failure>(now + u64::try_from(holder.remaining.as_micros())?)
    };
    let (granted, lease_end) = tokio::try_join!(granted, killed)?;
    let micros = i64::try_from(granted)? - i64::try_from(lease_end)?;
    Ok(f64::from(i32::try_from(micros)?) / 1_000.0)
}

/// Holds the lock until it is killed.
pub(crate) fn holder(file: &Path, ttl: Duration) -> Result<(), Failure> {
    block_on(async {
        let locks = open(file).await?;
        let guard = locks.mutex(KEY).with_ttl(ttl).acquire().await?;
        tell(&guard.fence().get())?;
        // Should the measurement be interrupted, this process must not stay for ever.
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(())
    })
}
