//! The cost of a share over Redis and Valkey: a semaphore's and a reader's acquire and release
//! against a mutex's. The three take turns.

use std::time::{Duration, Instant};

use serde_json::json;
use tenure::{Guard, Locks, Mutex, RwLock, Semaphore};
use tenure_testkit::Server;
use tokio::task::JoinSet;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::block_on;

use super::on_each;

const TASKS: usize = 64;
const WARM_UP: usize = 20;
/// The most that a share may cost, in cycles of a mutex.
const LIMIT: f64 = 1.5;
/// Mutex, semaphore, reader.
const KINDS: [&str; 3] = ["a mutex", "a semaphore", "a reader"];

/// A lock of one of the kinds.
pub(super) enum Lock {
    Mutex(Mutex),
    Semaphore(Semaphore),
    Reader(RwLock),
}

impl Lock {
    fn new(locks: &Locks, kind: usize, number: usize) -> Self {
        let key = format!("shares-{kind}-{number}");
        match kind {
            0 => Self::Mutex(locks.mutex(key)),
            1 => Self::Semaphore(locks.semaphore(key, 3)),
            _ => Self::Reader(locks.rwlock(key)),
        }
    }

    async fn acquire(&self) -> Result<Guard, tenure::Error> {
        match self {
            Self::Mutex(mutex) => mutex.acquire().await,
            Self::Semaphore(semaphore) => semaphore.acquire().await,
            Self::Reader(rwlock) => rwlock.read().await,
        }
    }
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    on_each(|server| {
        block_on(async {
            let mut figures = one_caller(server, scale).await?;
            figures.extend(many_tasks(server, scale).await?);
            Ok(figures)
        })
    })
}

/// The time of a free lock's cycle, each kind once in each turn.
async fn one_caller(server: &Server, scale: Scale) -> Result<Vec<Figure>, Failure> {
    let cycles = scale.pick(20, 5_000);
    let locks = tenure::connect(&server.url()).await?;
    let all = [0, 1, 2].map(|kind| Lock::new(&locks, kind, 0));
    let mut took = [vec![], vec![], vec![]];
    for number in 0..WARM_UP + cycles {
        for (lock, took) in all.iter().zip(&mut took) {
            let begun = Instant::now();
            lock.acquire().await?.release().await?;
            if number >= WARM_UP {
                took.push(begun.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    locks.close(Duration::from_secs(5)).await?;
    let micros = took.map(|took| Sample::new(took).median());
    Ok(figures("one caller", &[micros]))
}

/// The time per cycle of many tasks, each with a key of its own.
async fn many_tasks(server: &Server, scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, millis) = scale.pick((1, 50), (9, 500));
    let round = Duration::from_millis(millis);
    let locks = tenure::connect(&server.url()).await?;
    let mut found = Vec::new();
    for _ in 0..rounds {
        let mut micros = [0.0; 3];
        for (kind, micros) in micros.iter_mut().enumerate() {
            *micros = micros_per_cycle(&locks, kind, round).await?;
        }
        found.push(micros);
    }
    locks.close(Duration::from_secs(5)).await?;
    Ok(figures("64 tasks", &found))
}

async fn micros_per_cycle(locks: &Locks, kind: usize, round: Duration) -> Result<f64, Failure> {
    let all = (0..TASKS).map(|task| Lock::new(locks, kind, task)).collect();
    let (cycles, seconds) = crowd(all, round).await?;
    Ok(seconds * 1e6 / cycles)
}

/// Each lock has a task of its own, which takes it again and again. The cycles, and the seconds.
pub(super) async fn crowd(locks: Vec<Lock>, round: Duration) -> Result<(f64, f64), Failure> {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for lock in locks {
        tasks.spawn(async move {
            let mut cycles = 0_u32;
            while begun.elapsed() < round {
                lock.acquire().await?.release().await?;
                cycles += 1;
            }
            Ok::<u32, tenure::Error>(cycles)
        });
    }
    let mut cycles = 0;
    while let Some(done) = tasks.join_next().await {
        cycles += done??;
    }
    Ok((f64::from(cycles), begun.elapsed().as_secs_f64()))
}

/// The medians of the rounds' ratios, of a semaphore and of a reader.
fn figures(who: &str, rounds: &[[f64; 3]]) -> Vec<Figure> {
    let median =
        |of: &dyn Fn(&[f64; 3]) -> f64| Sample::new(rounds.iter().map(of).collect()).median();
    let figure = |kind: usize| {
        let (share, mutex) = (median(&|round| round[kind]), median(&|round| round[0]));
        Figure {
            name: format!("{who}, cycle of {} / of {}", KINDS[kind], KINDS[0]),
            value: median(&|round| round[kind] / round[0]),
            unit: "x",
            limit: Limit::AtMost(LIMIT),
            note: format!("{share:.1} us against {mutex:.1} us (medians)"),
            raw: json!({ "rounds_us": rounds }),
        }
    };
    vec![figure(1), figure(2)]
}
