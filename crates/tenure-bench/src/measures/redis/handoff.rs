//! From a release to the next holder's guard, between the processes of one machine: with 1,000
//! waiters in four processes against 16.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tenure_testkit::Server;
use tokio::task::JoinSet;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::{Process, block_on, boot_micros};

use super::on_each;

const PROCESSES: u32 = 4;
const FEW: u32 = 16;
const MANY: u32 = 1_000;
/// How long each holds.
const HOLD: Duration = Duration::from_millis(3);

/// One turn of one task, in microseconds of the boot clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Turn {
    asked: u64,
    granted: u64,
    released: u64,
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, few_ms, many_ms) = scale.pick((1, 300, 1_500), (5, 1_500, 5_000));
    on_each(|server| {
        let (mut few, mut many) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            few.extend(handoffs_us(server, FEW, Duration::from_millis(few_ms))?);
            many.extend(handoffs_us(server, MANY, Duration::from_millis(many_ms))?);
        }
        let (few, many) = (Sample::new(few), Sample::new(many));
        let note = |sample: &Sample| {
            let (count, p50, p99) = (sample.len(), sample.median(), sample.quantile(0.99));
            format!("of {count}: p50 {p50:.0} us, p99 {p99:.0} us")
        };
        Ok(vec![Figure {
            name: "handoff, 1,000 waiters / 16 waiters, p50".into(),
            value: many.median() / few.median(),
            unit: "x",
            limit: Limit::AtMost(1.5),
            note: format!("{}; 16: {}", note(&many), note(&few)),
            raw: json!({ "handoff_us": many.outline(), "few_handoff_us": few.outline() }),
        }])
    })
}

/// The handoffs between two tasks of which the second stood in line already, in the second half
/// of the time: by then all stand there.
fn handoffs_us(server: &Server, waiters: u32, span: Duration) -> Result<Vec<f64>, Failure> {
    let key = format!("handoff-{waiters}-{}", boot_micros());
    let tasks = (waiters / PROCESSES).to_string();
    let millis = span.as_millis().to_string();
    let mut workers = Vec::new();
    for _ in 0..PROCESSES {
        workers.push(Process::start("redis-handoff", &[&server.url(), &key, &tasks, &millis])?);
    }
    let mut turns = Vec::new();
    for process in workers {
        turns.extend(process.found::<Vec<Turn>>()?);
    }
    turns.sort_by_key(|turn| turn.granted);
    let last = turns.last().ok_or("nobody was granted")?.granted;
    let half = last.saturating_sub(u64::try_from(span.as_micros())? / 2);
    let handoffs = turns.windows(2).filter(|pair| pair[0].granted > half);
    Ok(handoffs.filter_map(|pair| delay_us(pair[0], pair[1])).collect())
}

fn delay_us(before: Turn, after: Turn) -> Option<f64> {
    let micros = u32::try_from(after.granted.checked_sub(before.released)?).ok()?;
    (after.asked < before.released).then(|| f64::from(micros))
}

/// So many tasks that take turns with each other and with those of other processes.
pub(crate) fn worker(
    url: &str,
    key: &str,
    tasks: u32,
    span: Duration,
) -> Result<Vec<Turn>, Failure> {
    block_on(async {
        let locks = tenure::connect(url).await?;
        let lock = locks.mutex(key);
        let mut workers = JoinSet::new();
        let begun = Instant::now();
        for _ in 0..tasks {
            let lock = lock.clone();
            workers.spawn(async move {
                let mut turns = Vec::new();
                while let Some(left) = span.checked_sub(begun.elapsed()) {
                    let asked = boot_micros();
                    let Ok(guard) = tokio::time::timeout(left, lock.acquire()).await else { break };
                    let guard = guard?;
                    let granted = boot_micros();
                    tokio::time::sleep(HOLD).await;
                    let released = boot_micros();
                    guard.release().await?;
                    turns.push(Turn { asked, granted, released });
                }
                Ok::<_, Failure>(turns)
            });
        }
        let mut turns = Vec::new();
        while let Some(done) = workers.join_next().await {
            turns.extend(done??);
        }
        locks.close(Duration::from_secs(5)).await?;
        Ok(turns)
    })
}
