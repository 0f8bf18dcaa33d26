//! Keys as this connection left them. They are valid as long as no other connection has written,
//! which SQLite tells. They never outlive a transaction that failed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::Result;

use super::rows;
use super::statements::Statements;
use crate::store::relational::KeyRows;
use crate::types::Key;

/// Maximum number of keys that are remembered between transactions.
const KEYS_MAX: usize = 256;

/// The keys that this connection has loaded.
#[derive(Debug, Default)]
pub(super) struct Cache {
    data_version: i64,
    keys: HashMap<Key, KeyRows>,
}

impl Cache {
    /// Forgets everything if another connection has written since. Called inside a transaction.
    pub(super) fn refresh(&mut self, tx: &mut Statements<'_>) -> Result<()> {
        let data_version = tx.get("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if data_version != self.data_version || self.keys.len() > KEYS_MAX {
            self.clear();
        }
        self.data_version = data_version;
        Ok(())
    }

    /// A key, from memory or loaded now.
    pub(super) fn get(&mut self, tx: &mut Statements<'_>, key: &Key) -> Result<&mut KeyRows> {
        Ok(match self.keys.entry(key.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(rows::read(tx, key)?),
        })
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.keys.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }
}
