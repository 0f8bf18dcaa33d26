//! The cost of locking over SQLite, against the least that SQLite itself can do: one row updated
//! per transaction, by one connection with the same settings. The two take turns.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use serde_json::json;
use tenure::Locks;
use tokio::task::JoinSet;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::{block_on, open};

const TASKS: usize = 64;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, round) = scale.pick((1, 50), (7, 1_000));
    let round = Duration::from_millis(round);
    let directory = tempfile::tempdir()?;
    let bare = Bare::open(&directory.path().join("bare.db"))?;
    block_on(async {
        let locks = open(&directory.path().join("locks.db")).await?;
        let (mut transactions, mut steps) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            transactions.push(bare.transactions_per_second(round)?);
            steps.push(steps_per_second(&locks, round).await?);
        }
        let ratios = steps.iter().zip(&transactions).map(|(ours, bare)| ours / bare).collect();
        let (ours, bare) = (Sample::new(steps.clone()), Sample::new(transactions.clone()));
        Ok(vec![Figure {
            name: "sqlite: acquires + releases / bare transactions".into(),
            value: Sample::new(ratios).median(),
            unit: "x",
            limit: Limit::AtLeast(0.5),
            note: format!("{:.0}/s against {:.0}/s (medians)", ours.median(), bare.median()),
            raw: json!({ "steps_per_second": steps, "transactions_per_second": transactions }),
        }])
    })
}

/// 64 tasks, each acquiring and releasing a key of its own.
async fn steps_per_second(locks: &Locks, round: Duration) -> Result<f64, Failure> {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for task in 0..TASKS {
        let lock = locks.mutex(format!("bench-{task}"));
        tasks.spawn(async move {
            let mut steps = 0_u32;
            while begun.elapsed() < round {
                lock.acquire().await?.release().await?;
                steps += 2;
            }
            Ok::<u32, tenure::Error>(steps)
        });
    }
    let mut steps = 0;
    while let Some(done) = tasks.join_next().await {
        steps += done??;
    }
    Ok(f64::from(steps) / begun.elapsed().as_secs_f64())
}

/// SQLite without us.
struct Bare {
    connection: rusqlite::Connection,
}

impl Bare {
    fn open(file: &Path) -> Result<Self, Failure> {
        let connection = rusqlite::Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute("CREATE TABLE row (key TEXT PRIMARY KEY, n INTEGER) STRICT", [])?;
        for task in 0..TASKS {
            connection.execute("INSERT INTO row VALUES (?1, 0)", [format!("bench-{task}")])?;
        }
        Ok(Self { connection })
    }

    fn transactions_per_second(&self, round: Duration) -> Result<f64, Failure> {
        let mut begin = self.connection.prepare("BEGIN IMMEDIATE")?;
        let mut update = self.connection.prepare("UPDATE row SET n = n + 1 WHERE key = ?1")?;
        let mut commit = self.connection.prepare("COMMIT")?;
        let keys: Vec<_> = (0..TASKS).map(|task| format!("bench-{task}")).collect();
        let mut transactions = 0_u32;
        let begun = Instant::now();
        for key in keys.iter().cycle() {
            begin.execute([])?;
            update.execute([key])?;
            commit.execute([])?;
            transactions += 1;
            if begun.elapsed() >= round {
                break;
            }
        }
        Ok(f64::from(transactions) / begun.elapsed().as_secs_f64())
    }
}
