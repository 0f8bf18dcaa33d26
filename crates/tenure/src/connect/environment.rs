//! The store that a process's environment names. Programs and the command use the same order, so
//! that a program and a cron line of one host find the same store. It opens nothing.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::StoreEntry;
use super::network::{self, REQUIRE};
use crate::types::{Error, ErrorKind, Operation, Result};

/// The variable with the store's URL.
pub const URL: &str = "TENURE_STORE";
/// The variable with the path of the embedded store's file.
pub const FILE: &str = "TENURE_STORE_FILE";
/// The variable in which `tenure run` repeats the URL of `TENURE_STORE` if it removed a password
/// from it.
pub const WITHHELD: &str = "TENURE_STORE_WITHHELD";
/// Variables of other programs that Tenure does not read: they name a cache as often as a server
/// for locks.
const IGNORED: [&str; 2] = ["REDIS_URL", "REDIS_HOST"];

/// The store that a process's environment names.
#[doc(hidden)]
#[derive(Clone, PartialEq, Eq)]
pub enum DefaultStore {
    /// A URL in `TENURE_STORE`, which may carry a password.
    Url(String),
    /// A file in `TENURE_STORE_FILE`.
    File(PathBuf),
    /// Nothing is named: the embedded store of this host and user.
    Embedded {
        /// A variable that may have been meant.
        ignored: Option<&'static str>,
    },
}

impl DefaultStore {
    /// The store that this environment names.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a variable that is empty or not text, and for two variables that
    /// may name two stores; [`ErrorKind::Refused`] for a URL from which a `tenure` around this
    /// process removed the password.
    pub fn find(env: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let config = |message| Error::new(ErrorKind::Config, Operation::Connect, message);
        let named = |name: &str, what: &str| match env(name) {
            Some(value) if value.is_empty() => {
                Err(config(format!("{name} is set and empty: unset it, or write {what} into it")))
            }
            value => Ok(value),
        };
        match (named(URL, "a store's URL")?, named(FILE, "the path of a file")?) {
            (Some(_), Some(_)) => Err(config(format!(
                "{URL} and {FILE} are both set and may mean two stores; unset one, or name the \
                 store itself"
            ))),
            (Some(url), None) => {
                if env(WITHHELD).is_some_and(|without| without == url) {
                    return Err(withheld());
                }
                let no_text = |_| config(format!("{URL} is not valid UTF-8"));
                Ok(Self::Url(url.into_string().map_err(no_text)?))
            }
            (None, Some(file)) => Ok(Self::File(file.into())),
            (None, None) => {
                let is_set = |name: &&str| env(name).is_some_and(|value| !value.is_empty());
                Ok(Self::Embedded { ignored: IGNORED.into_iter().find(is_set) })
            }
        }
    }

    /// The store that this process's environment names, if other hosts can reach it or need not.
    pub(crate) fn of_this_process() -> Result<Self> {
        Self::find_reachable(|name| env::var_os(name))
    }

    fn find_reachable(env: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let is_required = Self::requires_network(&env)?;
        let store = Self::find(env)?;
        match store.own_host().filter(|_| is_required) {
            Some(message) => Err(Error::new(ErrorKind::Config, Operation::Connect, message)),
            None => Ok(store),
        }
    }

    /// Whether the environment refuses a store that other hosts cannot reach: by
    /// `TENURE_REQUIRE_NETWORK=1`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the variable is neither empty nor 0 nor 1.
    pub fn requires_network(env: impl Fn(&str) -> Option<OsString>) -> Result<bool> {
        network::is_required(env)
    }

    /// The refusal of a store that other hosts cannot reach.
    fn own_host(&self) -> Option<String> {
        let (from, reason) = match self {
            Self::Url(url) => {
                let entry = StoreEntry::of(url).ok()?;
                let reason = entry.own_host(url)?;
                (format!("the store in {URL}, {},", entry.name_of(url)), reason)
            }
            Self::File(file) => {
                (format!("{} in {FILE}", file.display()), "is a file of this host".to_owned())
            }
            Self::Embedded { .. } => (
                format!("neither {URL} nor {FILE} is set, so that the store"),
                "is a file of this user on this host".to_owned(),
            ),
        };
        let hint = self.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        Some(format!(
            "{from} {reason}{hint}, and {REQUIRE} refuses a store that other hosts cannot reach: \
             set {URL}=redis://HOST:6379 with the server for all hosts, or unset {REQUIRE}"
        ))
    }

    /// The hint about a variable that is set but not read, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let Self::Embedded { ignored: Some(name) } = self else { return None };
        Some(format!("{name} is set, but is not read: only {URL} or {FILE} names a store"))
    }
}

/// Leaves out the URL, which may carry a password.
impl fmt::Debug for DefaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => f.debug_tuple("Url").finish_non_exhaustive(),
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Embedded { ignored } => {
                f.debug_struct("Embedded").field("ignored", ignored).finish()
            }
        }
    }
}

fn withheld() -> Error {
    let message = format!(
        "the `tenure` around this command was given the password of its store by --store, and \
         passes no password on. Set {URL} to the whole URL around that `tenure`, in place of \
         --store, or let a file carry the password (?password_file=PATH)"
    );
    Error::new(ErrorKind::Refused, Operation::Connect, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(env: &[(&str, &str)]) -> Result<DefaultStore> {
        DefaultStore::find(|name| {
            env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    fn found(env: &[(&str, &str)]) -> DefaultStore {
        find(env).unwrap_or_else(|e| panic!("{env:?}: {e}"))
    }

    #[test]
    fn the_environment_names_the_store_in_order() {
        let url = (URL, "redis://:secret@h");
        let is_named = DefaultStore::Url(url.1.into());
        assert_eq!(found(&[url, ("REDIS_URL", "redis://a")]), is_named);
        assert!(!format!("{is_named:?}").contains("secret"));
        assert_eq!(found(&[(FILE, "/f")]), DefaultStore::File("/f".into()));
        assert_eq!(found(&[]), DefaultStore::Embedded { ignored: None });
        // An older note of another run is about another URL.
        assert_eq!(found(&[url, (WITHHELD, "redis://h")]), is_named);
    }

    #[test]
    fn what_names_no_store_for_sure_is_refused() {
        for (env, kind, words) in [
            (&[(URL, "")][..], ErrorKind::Config, "TENURE_STORE is set and empty"),
            (&[(FILE, "")], ErrorKind::Config, "TENURE_STORE_FILE is set and empty"),
            (&[(URL, ""), (FILE, "/f")], ErrorKind::Config, "TENURE_STORE is set and empty"),
            (&[(URL, "memory:"), (FILE, "/f")], ErrorKind::Config, "both set"),
            (&[(URL, "redis://h"), (WITHHELD, "redis://h")], ErrorKind::Refused, "password_file"),
        ] {
            let error = find(env).err().unwrap_or_else(|| panic!("{env:?}"));
            assert_eq!(error.kind(), kind, "{env:?}: {error}");
            assert!(error.message().contains(words), "{env:?}: {error}");
        }
    }

    #[test]
    fn a_store_of_this_host_alone_is_refused_where_the_network_is_required() {
        let find = |env: &[(&str, &str)]| {
            DefaultStore::find_reachable(|name| {
                env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            })
        };
        let on = (REQUIRE, "1");
        for (env, words) in [
            (&[on][..], "neither TENURE_STORE nor TENURE_STORE_FILE is set"),
            (&[on, ("REDIS_URL", "redis://h")], "REDIS_URL is set, but is not read"),
            (&[on, (FILE, "/f")], "/f in TENURE_STORE_FILE is a file of this host"),
            (&[on, (URL, "memory:")], "is the memory of one process"),
            (&[(REQUIRE, "yes"), (URL, "redis://h")], "is neither 1 (on) nor 0 (off)"),
        ] {
            let error = find(env).err().unwrap_or_else(|| panic!("{env:?}"));
            assert_eq!(error.kind(), ErrorKind::Config, "{env:?}");
            assert!(error.message().contains(words), "{env:?}: {error}");
        }
        assert!(find(&[on, (URL, "redis://locks.internal")]).is_ok());
        for off in ["", "0"] {
            assert!(find(&[(REQUIRE, off)]).is_ok());
        }
    }

    #[test]
    fn a_server_for_others_is_a_hint_and_no_store() {
        for name in IGNORED {
            let store = found(&[(name, "redis://:secret@cache")]);
            assert_eq!(store, DefaultStore::Embedded { ignored: Some(name) });
            let hint = store.hint().expect("a hint");
            assert!(hint.contains(name) && !hint.contains("secret"), "{hint}");
        }
        assert_eq!(found(&[("REDIS_URL", "")]).hint(), None);
        assert_eq!(found(&[(FILE, "/f"), ("REDIS_URL", "x")]).hint(), None);
    }
}
