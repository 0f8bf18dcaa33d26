//! The runs of keys in the file: the last one of a key, and the one before it for as long as the
//! last may be withdrawn. They are counted by the wall clock, so they outlive a reboot.

use std::time::Duration;

use rusqlite::{Connection, Result, Row, params};

use super::rows::{at, owner, read_all, signed, unsigned};
use super::statements::Statements;
use crate::protocol::{Outcome, Run, RunEnd, Runs};
use crate::types::{Key, Label, StoreTime};

/// The table. Files of older programs get it when opened. `begun` is in microseconds since 1970,
/// `every` and `took` are in microseconds; `failed` is the text of a run that failed.
pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS run (
        key TEXT NOT NULL,
        nth INTEGER NOT NULL,
        owner TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        label TEXT NOT NULL,
        begun INTEGER NOT NULL,
        every INTEGER NOT NULL,
        took INTEGER,
        failed TEXT,
        PRIMARY KEY (key, nth)
    ) STRICT, WITHOUT ROWID;
";

const RUNS: &str = "SELECT nth, owner, attempt, label, begun, every, took, failed FROM run \
     WHERE key = ?1 ORDER BY nth";

/// Reads the runs of a key.
pub(super) fn of(db: &mut Statements<'_>, key: &Key) -> Result<Option<Runs>> {
    let mut runs = read_all(db, key, RUNS, run)?.into_iter().map(|(_, run)| run);
    Ok(runs.next().map(|last| Runs { last, before: runs.next() }))
}

fn run(row: &Row<'_>) -> Result<Run> {
    let took: Option<i64> = row.get(6)?;
    let failed = row.get_ref(7)?.as_str_or_null()?.map(Label::new);
    let outcome = failed.map_or(Outcome::Ok, Outcome::Failed);
    let end = took.map(|took| RunEnd { outcome, took: span(took) });
    Ok(Run {
        owner: owner(row, 1)?,
        label: Label::new(row.get_ref(3)?.as_str()?),
        begun: unsigned(row, 4)?,
        every: span(row.get(5)?),
        end,
    })
}

pub(super) fn put(db: &mut Statements<'_>, key: &str, nth: i64, run: &Run) -> Result<()> {
    let put = "INSERT OR REPLACE INTO run (key, nth, owner, attempt, label, begun, every, took, \
               failed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let (took, failed) = match &run.end {
        Some(RunEnd { outcome: Outcome::Failed(why), took }) => (Some(*took), Some(why.as_str())),
        Some(RunEnd { outcome: Outcome::Ok, took }) => (Some(*took), None),
        None => (None, None),
    };
    let values = params![
        key,
        nth,
        run.owner.value(),
        run.owner.attempt().cast_signed(),
        run.label.as_str(),
        signed(run.begun),
        micros(run.every),
        took.map(micros),
        failed,
    ];
    db.get(put)?.execute(values).map(drop)
}

/// Takes what is left after a reboot to the new clock: the records of keys with runs, whose time
/// begins anew.
pub(super) fn keep(db: &Connection, now: StoreTime, retention: Duration) -> Result<()> {
    db.execute("DELETE FROM record WHERE key NOT IN (SELECT key FROM run)", [])?;
    db.execute(
        "UPDATE record
         SET forget_at = ?1 + (SELECT max(every) FROM run WHERE run.key = record.key)",
        params![at(now + retention)],
    )
    .map(drop)
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn span(micros: i64) -> Duration {
    Duration::from_micros(micros.unsigned_abs())
}
