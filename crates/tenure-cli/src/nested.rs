//! Runs within runs: the keys that the commands around this one hold. A run on one of them would
//! wait for itself, so it is refused. It asks no store.

use std::ffi::{OsStr, OsString};

/// The variable with the keys that the commands around a process hold.
pub(crate) const VARIABLE: &str = "TENURE_HELD";

/// Whether one of the commands around this one holds `key` at that store. A key contains no
/// control characters, so tabs and line ends separate.
pub(crate) fn is_held_around(held: Option<&OsStr>, store: &str, key: &str) -> bool {
    let held = held.unwrap_or_default().to_string_lossy();
    held.lines().any(|line| line.split_once('\t') == Some((key, store)))
}

/// The text that [`is_held_around`] reads, with one key more.
pub(crate) fn held_with(held: Option<&OsStr>, store: &str, key: &str) -> OsString {
    let mut held = held.unwrap_or_default().to_os_string();
    if !held.is_empty() {
        held.push("\n");
    }
    held.push(format!("{key}\t{store}"));
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_around_is_found_whole() {
        let once = held_with(None, "/f", "a b");
        let held = held_with(Some(&once), "/f", "c");
        for (store, key, expected) in
            [("/f", "a b", true), ("/f", "c", true), ("/f", "a", false), ("/g", "c", false)]
        {
            assert_eq!(is_held_around(Some(&held), store, key), expected, "{store} {key}");
        }
        assert!(!is_held_around(None, "/f", "c"));
    }
}
