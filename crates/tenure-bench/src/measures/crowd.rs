//! How long one acquire or release can take over SQLite while eight processes do nothing else,
//! each on a key of its own. They wait for the file, never for a lock.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::{Process, block_on, open};

const PROCESSES: usize = 8;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("locks.db");
    let file = file.to_str().ok_or("the directory's name is not UTF-8")?;
    let millis = scale.pick("100", "10000");
    let mut workers = Vec::new();
    for process in 0..PROCESSES {
        workers.push(Process::start("crowd", &[file, &format!("crowd-{process}"), millis])?);
    }
    let mut spans = Vec::new();
    for process in workers {
        spans.extend(process.found::<Vec<f64>>()?);
    }
    let sample = Sample::new(spans);
    let (count, median, late) = (sample.len(), sample.median(), sample.quantile(0.999));
    Ok(vec![Figure {
        name: "sqlite: 8 processes, worst transaction".into(),
        value: sample.worst(),
        unit: "ms",
        limit: Limit::AtMost(100.0),
        note: format!("of {count}; p50 {median:.2}, p99.9 {late:.1}"),
        raw: json!({ "count": count, "transaction_ms": sample.outline() }),
    }])
}

/// The time of each acquire and each release in milliseconds.
pub(crate) fn worker(file: &Path, key: &str, span: Duration) -> Result<Vec<f64>, Failure> {
    block_on(async {
        let locks = open(file).await?;
        let lock = locks.mutex(key);
        let mut spans = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < span {
            let before = Instant::now();
            let guard = lock.acquire().await?;
            let between = Instant::now();
            guard.release().await?;
            let after = Instant::now();
            spans.extend([between - before, after - between].map(|d| d.as_secs_f64() * 1_000.0));
        }
        Ok(spans)
    })
}
