//! The passwords that a login has sent or may send. They are kept only to find them in the texts of
//! servers, some of which repeat the command, and are never shown.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The most spellings that are kept. Earlier passwords of a file count as well: a late answer may
/// repeat an older one.
const KEPT: usize = 16;

/// Passwords, in every spelling that is known. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<Mutex<Vec<Arc<str>>>>);

impl Secrets {
    /// Adds one, also in the spelling of a URL.
    pub(crate) fn add(&self, secret: &str) {
        let in_url = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        let mut known = self.known();
        for secret in [secret, &*in_url] {
            if secret.is_empty() || known.iter().any(|known| **known == *secret) {
                continue;
            }
            if known.len() == KEPT {
                known.remove(0);
            }
            known.push(secret.into());
        }
    }

    /// Whether a text repeats one. Such a text must be left out whole: with stars in the place of
    /// a password that is a common word, the rest would tell which one it is.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        self.known().iter().any(|secret| text.contains(&**secret))
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logins are compared without the passwords that they have sent.
impl PartialEq for Secrets {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Secrets {}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_an_empty_password_is_none() {
        let secrets = Secrets::default();
        secrets.add("");
        assert!(!secrets.are_in("any text"));
        // Each of them in two spellings.
        for number in 0..=KEPT / 2 {
            secrets.add(&format!("<{number}>"));
        }
        assert!(secrets.are_in("with 'AUTH' '<8>'") && secrets.are_in("<1>"));
        assert!(secrets.are_in("redis://bob:%3C8%3E@host"));
        assert!(!secrets.are_in("<0>"), "only so many are kept");
        assert!(!format!("{secrets:?}").contains('8'));
    }
}
