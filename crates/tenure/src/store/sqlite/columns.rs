//! The columns that came after the first layout. A file gets those that it lacks when it is opened,
//! also a new one. They may be null, and a program of a time before them leaves them so in the rows
//! that it writes.

use rusqlite::{Connection, Result, TransactionBehavior};

/// Table, column and type.
const LATER: [(&str, &str, &str); 2] = [
    // The value beside a claim, as `types::Value` writes it; null: none.
    ("holder", "value", "TEXT"),
    ("place", "value", "TEXT"),
];

/// Adds the columns that the file lacks.
pub(super) fn add(db: &mut Connection) -> Result<()> {
    if missing(db)?.is_empty() {
        return Ok(());
    }
    // Another process may be at it.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (table, column, kind) in missing(&tx)? {
        tx.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
    }
    tx.commit()
}

/// Whether a file has all that is added when it is opened for locks, and that a look needs.
pub(super) fn are_complete(db: &Connection) -> Result<bool> {
    let runs = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'run')";
    Ok(missing(db)?.is_empty() && db.query_row(runs, [], |row| row.get(0))?)
}

fn missing(db: &Connection) -> Result<Vec<(&'static str, &'static str, &'static str)>> {
    let mut select =
        db.prepare("SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)")?;
    let mut missing = Vec::new();
    for later in LATER {
        if !select.query_row([later.0, later.1], |row| row.get::<_, bool>(0))? {
            missing.push(later);
        }
    }
    Ok(missing)
}
