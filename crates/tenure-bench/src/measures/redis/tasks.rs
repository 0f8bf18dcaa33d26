//! 64 tasks of one process, each on a key of its own: how many cycles per second, and what one
//! costs the server, against bare cycles over the same shared link without group commit. Beside it
//! stand bare cycles over a link of the crate `redis`.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tenure::Locks;
use tenure_testkit::Server;
use tokio::task::JoinSet;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::block_on_all;

use super::bare::Bare;
use super::{on_each, open, server_cpu};

const TASKS: u32 = 64;

/// The result of one round.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    per_second: f64,
    /// Of the server, in microseconds per cycle.
    cpu_us: f64,
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, millis) = scale.pick((1, 50), (15, 400));
    on_each(|server| block_on_all(on(server, rounds, Duration::from_millis(millis))))
}

async fn on(server: &Server, rounds: u32, round: Duration) -> Result<Vec<Figure>, Failure> {
    let (store, locks) = open(server).await?;
    let bare = Bare::over(&store).await?;
    let other = Bare::connect(server).await?;
    let (mut ours, mut bares, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        bares.push(one_round(server, || bare_cycles(&bare, round)).await?);
        ours.push(one_round(server, || cycles(&locks, round)).await?);
        others.push(one_round(server, || bare_cycles(&other, round)).await?);
    }
    locks.close(Duration::from_secs(5)).await?;
    let against = |of: fn(&Round) -> f64, unit: &str| {
        let [ours, bares, others] = [&ours, &bares, &others].map(|rounds| median(rounds, of));
        format!(
            "{ours:.1}{unit} against {bares:.1}{unit} (medians); with the crate redis, which \
             gathers commands: {others:.1}{unit}"
        )
    };
    Ok(vec![
        Figure {
            name: "64 tasks, cycles per second / bare cycles".into(),
            value: ratio(&ours, &bares, |round| round.per_second),
            unit: "x",
            limit: Limit::AtLeast(1.5),
            note: against(|round| round.per_second, "/s"),
            raw: json!({ "rounds": ours, "bare_rounds": bares, "crate_rounds": others }),
        },
        Figure {
            name: "64 tasks, server CPU per cycle / bare cycle".into(),
            value: ratio(&ours, &bares, |round| round.cpu_us),
            unit: "x",
            limit: Limit::AtMost(0.8),
            note: against(|round| round.cpu_us, " us"),
            raw: json!({ "see": "the figure before" }),
        },
    ])
}

fn ratio(ours: &[Round], bare: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let pairs = ours.iter().zip(bare);
    Sample::new(pairs.map(|(ours, bare)| of(ours) / of(bare)).collect()).median()
}

fn median(rounds: &[Round], of: fn(&Round) -> f64) -> f64 {
    Sample::new(rounds.iter().map(of).collect()).median()
}

async fn one_round<F>(server: &Server, work: impl FnOnce() -> F) -> Result<Round, Failure>
where
    F: Future<Output = Result<u32, Failure>>,
{
    let (cpu, begun) = (server_cpu(server)?, Instant::now());
    let cycles = f64::from(work().await?);
    let took = begun.elapsed();
    let cpu = server_cpu(server)? - cpu;
    Ok(Round { per_second: cycles / took.as_secs_f64(), cpu_us: cpu * 1e6 / cycles })
}

/// How many cycles all tasks together get done.
async fn cycles(locks: &Locks, round: Duration) -> Result<u32, Failure> {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for task in 0..TASKS {
        let lock = locks.mutex(format!("task-{task}"));
        tasks.spawn(async move {
            let mut cycles = 0;
            while begun.elapsed() < round {
                lock.acquire().await?.release().await?;
                cycles += 1;
            }
            Ok(cycles)
        });
    }
    sum(tasks).await
}

async fn bare_cycles(link: &Bare, round: Duration) -> Result<u32, Failure> {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for task in 0..TASKS {
        let mut link = link.clone();
        tasks.spawn(async move {
            let key = format!("bare-{task}");
            let mut cycles = 0;
            while begun.elapsed() < round {
                link.cycle(&key, &format!("{cycles:040x}")).await?;
                cycles += 1;
            }
            Ok(cycles)
        });
    }
    sum(tasks).await
}

async fn sum(mut tasks: JoinSet<Result<u32, Failure>>) -> Result<u32, Failure> {
    let mut sum = 0;
    while let Some(done) = tasks.join_next().await {
        sum += done??;
    }
    Ok(sum)
}
