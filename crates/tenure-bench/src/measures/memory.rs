//! How many times per second one task can acquire and release a lock in memory, with every
//! thread of the process on one core. A second is one that the core gave to this process, so
//! that neighbours on a busy machine do not count.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::{Process, block_on};

/// How often the clock is read: once in so many pairs.
const STRIDE: u32 = 64;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, round_ms) = scale.pick(("2", "20"), ("9", "500"));
    let found: Vec<Round> = Process::start("memory", &[rounds, round_ms])?.found()?;
    let sample = Sample::new(found.iter().map(|r| f64::from(r.pairs) / r.core_s).collect());
    let wall = Sample::new(found.iter().map(|r| f64::from(r.pairs) / r.wall_s).collect());
    Ok(vec![Figure {
        name: "memory: acquire + release, one task, one core".into(),
        value: sample.median(),
        unit: "/s",
        limit: Limit::AtLeast(500_000.0),
        note: format!("per second of the core; {:.0} per second of the clock", wall.median()),
        raw: json!({ "rounds": found }),
    }])
}

/// The result of one round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    pairs: u32,
    /// CPU time of all threads of the process, in seconds.
    core_s: f64,
    wall_s: f64,
}

/// Acquires and releases, round by round.
pub(crate) fn worker(rounds: u32, round: Duration) -> Result<Vec<Round>, Failure> {
    // Before the first thread is started, so that all of them inherit it.
    let mut core = CpuSet::new();
    core.set(sched_getcpu());
    sched_setaffinity(None, &core)?;
    block_on(async {
        let locks = tenure::connect("memory:").await?;
        let lock = locks.mutex("bench");
        let mut found = Vec::new();
        for _ in 0..rounds {
            let mut pairs = 0;
            let (begun, core_begun) = (Instant::now(), core_seconds());
            while begun.elapsed() < round {
                for _ in 0..STRIDE {
                    lock.acquire().await?.release().await?;
                }
                pairs += STRIDE;
            }
            let (wall_s, core_s) = (begun.elapsed().as_secs_f64(), core_seconds() - core_begun);
            found.push(Round { pairs, core_s, wall_s });
        }
        Ok(found)
    })
}

/// The time that this process has had of all cores.
fn core_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
        .as_secs_f64()
}
