//! How long it takes from one process's call of release to the guard in another process that
//! stands in line, over SQLite.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::{Process, block_on, boot_micros, open};

/// How long each holds: long enough for the other to stand in line again.
const HOLD: Duration = Duration::from_millis(3);

/// One turn of one process, in microseconds of the boot clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Turn {
    asked: u64,
    granted: u64,
    released: u64,
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("locks.db");
    let file = file.to_str().ok_or("the directory's name is not UTF-8")?;
    let turns = scale.pick("10", "1000");
    let first = Process::start("handoff", &[file, turns])?;
    let second = Process::start("handoff", &[file, turns])?;
    let mut turns = Vec::new();
    for (process, found) in [first.found::<Vec<Turn>>()?, second.found()?].into_iter().enumerate() {
        turns.extend(found.into_iter().map(|turn| (turn, process)));
    }
    turns.sort_by_key(|(turn, _)| turn.granted);
    let handoffs: Vec<f64> = turns.windows(2).filter_map(|pair| delay(pair[0], pair[1])).collect();
    let sample = Sample::new(handoffs);
    let (count, late, worst) = (sample.len(), sample.quantile(0.99), sample.worst());
    Ok(vec![Figure {
        name: "sqlite: handoff between two processes, p50".into(),
        value: sample.median(),
        unit: "ms",
        limit: Limit::AtMost(1.0),
        note: format!("of {count}; p99 {late:.2}, worst {worst:.2}"),
        raw: json!({ "count": count, "handoff_ms": sample.outline() }),
    }])
}

/// From release to grant in milliseconds, if the next holder is the other process and stood in
/// line already.
fn delay((before, giver): (Turn, usize), (after, receiver): (Turn, usize)) -> Option<f64> {
    let handed_over = giver != receiver && after.asked < before.released;
    let micros = u32::try_from(after.granted.checked_sub(before.released)?).ok()?;
    handed_over.then(|| f64::from(micros) / 1_000.0)
}

/// Takes turns with another process that does the same.
pub(crate) fn worker(file: &Path, turns: u32) -> Result<Vec<Turn>, Failure> {
    block_on(async {
        let locks = open(file).await?;
        let lock = locks.mutex("handoff");
        let mut found = Vec::new();
        for _ in 0..turns {
            let asked = boot_micros();
            let guard = lock.acquire().await?;
            let granted = boot_micros();
            tokio::time::sleep(HOLD).await;
            let released = boot_micros();
            guard.release().await?;
            found.push(Turn { asked, granted, released });
        }
        locks.close(Duration::from_secs(5)).await?;
        Ok(found)
    })
}
