//! The statements of one transaction. A look into the connection's cache costs as much as a small
//! statement, so each is taken from there once for all steps, and given back at the end.

use rusqlite::{CachedStatement, Connection, Result};

/// Statements that are prepared at their first use.
pub(super) struct Statements<'db> {
    db: &'db Connection,
    taken: Vec<(&'static str, CachedStatement<'db>)>,
}

impl<'db> Statements<'db> {
    pub(super) fn of(db: &'db Connection) -> Self {
        Self { db, taken: Vec::new() }
    }

    /// The statement of a text.
    pub(super) fn get(&mut self, sql: &'static str) -> Result<&mut CachedStatement<'db>> {
        let at = match self.taken.iter().position(|(text, _)| *text == sql) {
            Some(at) => at,
            None => {
                self.taken.push((sql, self.db.prepare_cached(sql)?));
                self.taken.len() - 1
            }
        };
        Ok(&mut self.taken[at].1)
    }
}
