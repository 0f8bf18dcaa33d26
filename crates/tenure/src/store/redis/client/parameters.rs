//! The parameters behind the `?` of a URL. No message repeats a value, unless it is a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::store::{StoreError, spelling};

use super::login::{Password, PasswordFile};

/// Those that are about the server and the way to it.
const OF_SERVERS: [&str; 8] = [
    // A file with the authorities that may have signed the server's certificate.
    "ca",
    // How long to wait for an answer (default 2s).
    "call_timeout",
    // A file with our own certificate.
    "cert",
    // How long to wait for a connection (default 2s).
    "connect_timeout",
    // The number of the database, also in the path of the URL.
    "db",
    // A file with the private key of our certificate.
    "key",
    // A file with the password.
    "password_file",
    // The name that the server's certificate is for, if not the host's.
    "server_name",
];

/// Those that are about Sentinels.
const OF_SENTINELS: [&str; 8] = [
    // As for servers. Without it, a Sentinel with TLS is met with the server's files.
    "sentinel_ca",
    "sentinel_cert",
    "sentinel_key",
    // The password for the Sentinels, and a file with it.
    "sentinel_password",
    "sentinel_password_file",
    "sentinel_server_name",
    // Whether TLS is spoken to the Sentinels: yes or no (default: as with the servers).
    "sentinel_tls",
    "sentinel_user",
];

const LIMIT_MIN: Duration = Duration::from_millis(10);
const LIMIT_MAX: Duration = Duration::from_secs(3600);

/// Files and names for TLS, beside the system's own authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert_and_key: Option<(PathBuf, PathBuf)>,
    pub(crate) server_name: Option<Arc<str>>,
}

/// The parameters that are not used yet.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads what stands behind the `?`. `others` are the names of the caller's own.
    pub(super) fn read(
        query: &str,
        with_sentinels: bool,
        others: &[&str],
    ) -> Result<Self, StoreError> {
        let of_sentinels: &[_] = if with_sentinels { &OF_SENTINELS } else { &[] };
        let mut known: Vec<_> =
            OF_SERVERS.iter().chain(of_sentinels).chain(others).copied().collect();
        known.sort_unstable();
        let mut read: Vec<(String, String)> = Vec::new();
        // Not form-decoded: a plus in a path is a plus.
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&name) {
                // A password with a bare ? in it would end up here: only words are repeated.
                let is_word = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                let which = if is_word { format!(" {name:?}") } else { String::new() };
                return Err(config(format!(
                    "the URL has an unknown parameter{which}; known are: {}",
                    known.join(", ")
                )));
            }
            let value = decoded(value)?;
            spelling::check(&format!("the parameter {name} of the URL"), &value).map_err(config)?;
            if value.is_empty() {
                return Err(config(format!("the parameter {name} of the URL is empty")));
            }
            if read.iter().any(|(earlier, _)| earlier == name) {
                return Err(config(format!("the URL has the parameter {name} twice")));
            }
            read.push((name.to_owned(), value));
        }
        Ok(Self(read))
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(index).1)
    }

    pub(crate) fn limit(&mut self, name: &str) -> Result<Option<Duration>, StoreError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let limit = humantime::parse_duration(&text).ok();
        let limit = limit.filter(|limit| (LIMIT_MIN..=LIMIT_MAX).contains(limit));
        limit.map(Some).ok_or_else(|| {
            config(format!(
                "{name} is a time with its unit from 10ms to 60m, such as 500ms or 2s, not {text:?}"
            ))
        })
    }

    /// Whether a parameter is `yes`; `None`: it is not given.
    pub(super) fn yes_or_no(&mut self, name: &str) -> Result<Option<bool>, StoreError> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("yes") => Ok(Some(true)),
            Some("no") => Ok(Some(false)),
            Some(_) => Err(config(format!("the parameter {name} of the URL is yes or no"))),
        }
    }

    /// The password, or the file with it. `given` is the one that stands elsewhere in the URL.
    pub(super) fn password(
        &mut self,
        given: Option<String>,
        file: &str,
    ) -> Result<Password, StoreError> {
        match (given, self.take(file)) {
            (None, None) => Ok(Password::None),
            (Some(password), None) => Ok(Password::Given(password.into())),
            (None, Some(path)) => Ok(Password::File(PasswordFile::at(&path))),
            (Some(_), Some(_)) => {
                Err(config(format!("the URL has a password and a {file}: leave one out")))
            }
        }
    }

    /// The files for TLS. The names of their parameters begin with `prefix`; `hint` says how TLS is
    /// switched on.
    pub(super) fn tls_files(
        &mut self,
        prefix: &str,
        is_tls: bool,
        hint: &str,
    ) -> Result<TlsFiles, StoreError> {
        let mut take = |name| self.take(&format!("{prefix}{name}"));
        let ca = take("ca").map(PathBuf::from);
        let server_name = take("server_name").map(Arc::from);
        let cert_and_key = match (take("cert"), take("key")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            _ => {
                return Err(config(format!(
                    "a certificate of ours needs both, {prefix}cert=PATH and {prefix}key=PATH"
                )));
            }
        };
        let files = TlsFiles { ca, cert_and_key, server_name };
        if !is_tls && files != TlsFiles::default() {
            return Err(config(format!(
                "{prefix}ca, {prefix}cert, {prefix}key and {prefix}server_name are for TLS: {hint}"
            )));
        }
        Ok(files)
    }
}

/// Text without its %-escapes.
pub(super) fn decoded(text: &str) -> Result<String, StoreError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| config("the URL has a %-escape in it that is no UTF-8"))
}

pub(super) fn config(message: impl Into<String>) -> StoreError {
    StoreError::config(message.into())
}
