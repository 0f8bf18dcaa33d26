//! Keys as this connection left them. Good as long as no other connection has written, which
//! SQLite tells; it never outlives a transaction that failed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::{Connection, Result};

use super::rows::Loaded;
use crate::types::Key;

/// So many keys are remembered between transactions.
const KEYS_MAX: usize = 256;

/// The keys that this connection has loaded.
#[derive(Debug, Default)]
pub(super) struct Cache {
    data_version: i64,
    keys: BTreeMap<Key, Loaded>,
}

impl Cache {
    /// Inside a transaction: forgets everything if another connection has written since.
    pub(super) fn refresh(&mut self, tx: &Connection) -> Result<()> {
        let mut select = tx.prepare_cached("PRAGMA data_version")?;
        let data_version = select.query_row([], |row| row.get(0))?;
        if data_version != self.data_version || self.keys.len() > KEYS_MAX {
            self.clear();
        }
        self.data_version = data_version;
        Ok(())
    }

    /// A key, loaded now or known.
    pub(super) fn get(&mut self, tx: &Connection, key: &Key) -> Result<&mut Loaded> {
        Ok(match self.keys.entry(key.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(Loaded::read(tx, key)?),
        })
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.keys.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }
}
