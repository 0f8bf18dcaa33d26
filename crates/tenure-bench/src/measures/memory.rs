//! How many times per second one task can acquire and release a lock in memory, with every
//! thread of the process on one core.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use serde_json::json;

use crate::Failure;
use crate::crew::{Process, block_on};
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;

/// How often the clock is read: once in so many pairs.
const STRIDE: u32 = 64;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, round_ms) = scale.pick(("2", "20"), ("9", "500"));
    let rates: Vec<f64> = Process::start("memory", &[rounds, round_ms])?.found()?;
    let sample = Sample::new(rates.clone());
    Ok(vec![Figure {
        name: "memory: acquire + release, one task, one core",
        value: sample.median(),
        unit: "/s",
        limit: Limit::AtLeast(500_000.0),
        note: format!("median of {}, best {:.0}", sample.len(), sample.worst()),
        raw: json!({ "pairs_per_second": rates }),
    }])
}

/// Pairs per second, round by round.
pub(crate) fn member(rounds: u32, round: Duration) -> Result<Vec<f64>, Failure> {
    // Before the first thread is started, so that all of them inherit it.
    let mut core = CpuSet::new();
    core.set(sched_getcpu());
    sched_setaffinity(None, &core)?;
    block_on(async {
        let locks = tenure::connect("memory:").await?;
        let lock = locks.mutex("bench");
        let mut rates = Vec::new();
        for _ in 0..rounds {
            let mut pairs = 0;
            let begun = Instant::now();
            while begun.elapsed() < round {
                for _ in 0..STRIDE {
                    lock.acquire().await?.release().await?;
                }
                pairs += STRIDE;
            }
            rates.push(f64::from(pairs) / begun.elapsed().as_secs_f64());
        }
        Ok(rates)
    })
}
