//! A row of an SQL database that refuses a smaller fence: one condition in the statement that
//! writes.

use std::path::Path;

use rusqlite::Connection;
use tenure::Fence;

/// Whether the row took it.
pub(crate) fn write(database: &Path, fence: Fence, body: &str) -> rusqlite::Result<bool> {
    let database = Connection::open(database)?;
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS report (id INTEGER PRIMARY KEY, body TEXT, fence INTEGER);
         INSERT OR IGNORE INTO report VALUES (1, '', 0);",
    )?;
    let fence = fence.get().cast_signed(); // It fits 53 bits, always.
    let rows = database.execute(
        "UPDATE report SET body = ?1, fence = ?2 WHERE id = 1 AND fence <= ?2",
        (body, fence),
    )?;
    Ok(rows == 1)
}
