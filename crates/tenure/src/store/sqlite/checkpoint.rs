//! Keeps the journal (SQLite's WAL) beside a file short. It never delays a caller of this process:
//! it runs between transactions.
//!
//! SQLite writes the journal back by itself, without stopping the writers. That is enough for one
//! process. But eight busy processes write faster than one of them writes back, so the journal
//! never begins anew (measured: 740 MB after 10 s; then the commit of one process cut it off while
//! all others waited, for 356 ms). So a process that finds it too long stops the writers for a
//! moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Result};

use super::busy;

/// Length of the journal, in bytes, from which it is cut off. SQLite begins to write back at 4 MB,
/// and ends before this length if no other process writes meanwhile.
const LENGTH_MAX: u64 = 5 << 20;
/// Maximum time for which writers stand still because of a reader.
const PATIENCE: Duration = Duration::from_millis(10);
/// Number of transactions until the next try, after a reader was in the way.
const PAUSE: u32 = 256;

/// The journal beside a file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    pause: u32,
}

/// The result of a checkpoint, as SQLite reports it.
struct Progress {
    /// Another connection writes back now, or a reader is in the way.
    is_hindered: bool,
    pages: i64,
    pages_written_back: i64,
}

impl Journal {
    pub(super) fn beside(file: &Path) -> Self {
        let mut path = file.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), pause: 0 }
    }

    /// Writes the journal back and cuts it off if it is too long. It is called between
    /// transactions, when their callers have been answered. One process does it at a time.
    pub(super) fn shorten(&mut self, db: &Connection) {
        self.pause = self.pause.saturating_sub(1);
        if self.pause == 0 && self.length() >= LENGTH_MAX && !begin_anew(db).unwrap_or(false) {
            self.pause = PAUSE;
        }
    }

    /// The largest length that it has had: SQLite begins anew without making it shorter.
    fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}

/// Copies the part that nobody reads any more into the file. It waits for the disk, but for no
/// other process, and no other process waits for it.
pub(super) fn write_back(db: &Connection) -> Result<()> {
    checkpoint(db, "PASSIVE").map(drop)
}

/// Writes the journal back and cuts it off; answers whether that was done, here or by another
/// process. The writers stand still only for the small part that was written meanwhile.
fn begin_anew(db: &Connection) -> Result<bool> {
    let most = checkpoint(db, "PASSIVE")?;
    if most.is_hindered {
        return Ok(true);
    }
    if most.pages_written_back < most.pages {
        return Ok(false);
    }
    let rest = busy::with_limit(PATIENCE, || checkpoint(db, "TRUNCATE"))?;
    Ok(!rest.is_hindered)
}

fn checkpoint(db: &Connection, mode: &str) -> Result<Progress> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(Progress {
            is_hindered: row.get(0)?,
            pages: row.get(1)?,
            pages_written_back: row.get(2)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteOptions;
    use crate::store::sqlite::file::File;

    /// A file and its journal, as the store has them, and how many rows are in it.
    struct Filled {
        file: File,
        journal: Journal,
        rows: u32,
        _dir: tempfile::TempDir,
    }

    impl Filled {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("locks.db");
            let runtime = crate::runtime::machine().expect("the machine's runtime");
            let file = File::open(&path, &*runtime, &SqliteOptions::default()).expect("it opens");
            let journal = Journal::beside(&file.path);
            Self { file, journal, rows: 0, _dir: dir }
        }

        fn commit(&mut self) {
            self.rows += 1;
            let key = format!("{:0>500}", self.rows);
            let insert = "INSERT INTO record VALUES (?1, 0, 0)";
            self.file.db.prepare_cached(insert).and_then(|mut s| s.execute([key])).expect("a row");
        }

        fn fill(&mut self) {
            while self.journal.length() < LENGTH_MAX {
                self.commit();
            }
        }
    }

    #[test]
    fn alone_it_stays_short() {
        let mut filled = Filled::new();
        for _ in 0..3_000 {
            filled.commit();
            assert!(filled.journal.length() < LENGTH_MAX);
        }
    }

    #[test]
    fn a_reader_is_in_the_way_for_as_long_as_it_reads() {
        let mut filled = Filled::new();
        filled.commit();
        let reader = Connection::open(&filled.file.path).expect("a connection");
        let count = |db: &Connection| {
            db.query_row("SELECT count(*) FROM record", [], |row| row.get::<_, u32>(0))
        };
        reader.execute_batch("BEGIN").expect("a transaction");
        assert_eq!(count(&reader), Ok(1));
        filled.fill();
        filled.journal.shorten(&filled.file.db);
        assert!(filled.journal.length() >= LENGTH_MAX, "the reader needs it");
        assert_eq!(count(&reader), Ok(1));
        reader.execute_batch("COMMIT").expect("its end");
        for _ in 0..PAUSE {
            assert!(filled.journal.length() >= LENGTH_MAX, "it is not tried all the time");
            filled.commit();
            filled.journal.shorten(&filled.file.db);
        }
        assert_eq!(filled.journal.length(), 0);
        assert_eq!(count(&reader), Ok(filled.rows));
    }
}
