//! The workloads, for any contender written in Rust. The adapters in other languages do the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Failure;
use crate::peers::protocol::{Cycles, Lone, Turn, Turns};
use crate::worker::{block_on, boot_micros};

use super::library::{Caller, Library};

/// How long each of several waiters holds.
const HOLD: Duration = Duration::from_millis(3);

pub(super) async fn lone(caller: &mut impl Caller, cycles: u32) -> Result<Lone, Failure> {
    let mut cycle_us = Vec::new();
    for _ in 0..cycles {
        let begun = Instant::now();
        let held = caller.acquire().await?;
        caller.release(held).await?;
        cycle_us.push(micros(begun.elapsed()));
    }
    Ok(Lone { cycle_us })
}

/// Each task has a key of its own.
pub(super) async fn tasks<L: Library>(
    library: &L,
    key: &str,
    tasks: u32,
    span: Duration,
) -> Result<Cycles, Failure> {
    let mut callers = Vec::new();
    for task in 0..tasks {
        callers.push(library.caller(format!("{key}-{task}")).await?);
    }
    let mut running = JoinSet::new();
    let begun = Instant::now();
    for mut caller in callers {
        running.spawn(async move { cycles(&mut caller, begun, span).await });
    }
    let mut sum = 0;
    while let Some(done) = running.join_next().await {
        sum += done??;
    }
    Ok(Cycles { cycles: sum, elapsed_us: micros(begun.elapsed()) })
}

/// Each key has a thread with a runtime of its own.
pub(super) fn runtimes<L: Library>(
    library: &Arc<L>,
    key: &str,
    runtimes: u32,
    span: Duration,
) -> Result<Cycles, Failure> {
    let begun = Instant::now();
    let start = |runtime| {
        let (library, key) = (Arc::clone(library), format!("{key}-{runtime}"));
        std::thread::spawn(move || {
            block_on(async {
                let mut caller = library.caller(key).await?;
                cycles(&mut caller, begun, span).await
            })
        })
    };
    let mut sum = 0;
    for thread in (0..runtimes).map(start).collect::<Vec<_>>() {
        sum += thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(Cycles { cycles: sum, elapsed_us: micros(begun.elapsed()) })
}

async fn cycles(caller: &mut impl Caller, begun: Instant, span: Duration) -> Result<u64, Failure> {
    let mut cycles = 0;
    while begun.elapsed() < span {
        let held = caller.acquire().await?;
        caller.release(held).await?;
        cycles += 1;
    }
    Ok(cycles)
}

/// All tasks want one key, which other processes want as well.
pub(super) async fn waiters<L: Library>(
    library: &L,
    key: &str,
    tasks: u32,
    span: Duration,
) -> Result<Turns, Failure> {
    let mut callers = Vec::new();
    for _ in 0..tasks {
        callers.push(library.caller(key.to_owned()).await?);
    }
    let mut running = JoinSet::new();
    let began_us = boot_micros();
    let ended_us = began_us + u64::try_from(span.as_micros())?;
    for (task, mut caller) in (0..).zip(callers) {
        running.spawn(async move {
            let mut turns = Vec::new();
            loop {
                let asked_us = boot_micros();
                if asked_us >= ended_us {
                    return Ok::<_, Failure>(turns);
                }
                let held = caller.acquire().await?;
                let granted_us = boot_micros();
                // Those that come late only make room for the rest.
                if granted_us < ended_us {
                    tokio::time::sleep(HOLD).await;
                }
                let released_us = boot_micros();
                caller.release(held).await?;
                turns.push(Turn { task, asked_us, granted_us, released_us });
            }
        });
    }
    let mut turns = Vec::new();
    while let Some(done) = running.join_next().await {
        turns.extend(done??);
    }
    Ok(Turns { began_us, ended_us, turns })
}

fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}
