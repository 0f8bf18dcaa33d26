//! Statements that check a fence in the transaction of the write that it protects. It runs none.

/// The statements for one sort of database. Each is prepared text with placeholders, for the
/// database client of your program.
///
/// In the transaction that writes the data, run [`register`](Self::register) and then
/// [`pass`](Self::pass). If `pass` changes one row, go on: until the commit no other holder passes.
/// If it changes none, a later holder has passed already. Roll back and stop.
///
/// The row of a resource is locked from `pass` to the end of the transaction. So an older writer
/// commits before a newer one passes, or does not pass at all. Under an isolation level that
/// detects conflicts (`REPEATABLE READ` and above in PostgreSQL), one of two transactions at the
/// same time may fail instead. That is safe too.
///
/// ```
/// use rusqlite::Connection;
/// use tenure::fencing::SQLITE;
/// # fn f(database: &mut Connection, guard: tenure::Guard) -> rusqlite::Result<bool> {
/// database.execute(SQLITE.create, [])?; // once
///
/// let fence = guard.fence().get().cast_signed();
/// let transaction = database.transaction()?;
/// transaction.execute(SQLITE.register, ["report"])?;
/// if transaction.execute(SQLITE.pass, (fence, "report"))? == 0 {
///     return Ok(false); // a later holder was here; the transaction is rolled back
/// }
/// transaction.execute("UPDATE report SET body = 'new'", [])?;
/// transaction.commit()?;
/// # Ok(true) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statements {
    /// Makes the table `tenure_fences`, unless it is there. No parameters.
    pub create: &'static str,
    /// Makes the row of a resource, unless it is there. One parameter: the resource, a text of at
    /// most 255 characters.
    pub register: &'static str,
    /// Changes one row if the fence is at least the largest that was seen, and none if it is
    /// smaller. Parameters: the fence and the resource; in [`MYSQL`] the fence, the resource, and
    /// the fence again, since its placeholders have no numbers.
    ///
    /// It counts the writes as well, so that a second write with one fence changes the row too. A
    /// driver for MySQL that counts changed rows, not matching ones, would answer 0 otherwise.
    pub pass: &'static str,
}

/// PostgreSQL.
pub const POSTGRESQL: Statements = Statements {
    create: "CREATE TABLE IF NOT EXISTS tenure_fences (resource VARCHAR(255) PRIMARY KEY, \
             fence BIGINT NOT NULL, writes BIGINT NOT NULL)",
    register: "INSERT INTO tenure_fences (resource, fence, writes) VALUES ($1, 0, 0) \
               ON CONFLICT (resource) DO NOTHING",
    pass: "UPDATE tenure_fences SET fence = $1, writes = writes + 1 \
           WHERE resource = $2 AND fence <= $1",
};

/// MySQL and MariaDB, with InnoDB.
pub const MYSQL: Statements = Statements {
    create: "CREATE TABLE IF NOT EXISTS tenure_fences (resource VARCHAR(255) PRIMARY KEY, \
             fence BIGINT NOT NULL, writes BIGINT NOT NULL) ENGINE = InnoDB",
    // `INSERT IGNORE` would lock the row for sharing, so that two writers deadlock at `pass`.
    register: "INSERT INTO tenure_fences (resource, fence, writes) VALUES (?, 0, 0) \
               ON DUPLICATE KEY UPDATE resource = resource",
    pass: "UPDATE tenure_fences SET fence = ?, writes = writes + 1 \
           WHERE resource = ? AND fence <= ?",
};

/// SQLite. Begin the transaction with `BEGIN IMMEDIATE`, so that it never fails for a writer that
/// came between its first reading and its first writing.
pub const SQLITE: Statements = Statements {
    create: "CREATE TABLE IF NOT EXISTS tenure_fences (resource TEXT PRIMARY KEY, \
             fence INTEGER NOT NULL, writes INTEGER NOT NULL)",
    register: "INSERT INTO tenure_fences (resource, fence, writes) VALUES (?1, 0, 0) \
               ON CONFLICT (resource) DO NOTHING",
    pass: "UPDATE tenure_fences SET fence = ?1, writes = writes + 1 \
           WHERE resource = ?2 AND fence <= ?1",
};
