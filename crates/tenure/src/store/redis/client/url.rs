//! The server that a URL names, and how to use it. It never prints the URL, which may carry a
//! password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::store::{StoreError, spelling};

use super::login::{Login, Password, PasswordFile};
use super::secrets::Secrets;
use super::server::Limits;
use super::uri::Uri;

/// The parameters behind `?` that are about the server and the way to it.
const PARAMETERS: [&str; 8] = [
    // A file with the authorities that may have signed the server's certificate.
    "ca",
    // How long to wait for an answer (default 2s).
    "call_timeout",
    // A file with our own certificate.
    "cert",
    // How long to wait for a connection (default 2s).
    "connect_timeout",
    // The number of the database, also as the path of the URL.
    "db",
    // A file with the private key of our certificate.
    "key",
    // A file with the password.
    "password_file",
    // The name that the server's certificate is for, if not the host's.
    "server_name",
];

const LIMIT_MIN: Duration = Duration::from_millis(10);
const LIMIT_MAX: Duration = Duration::from_secs(3600);

/// A server and how to use it, as a URL names it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    pub(crate) place: Place,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) login: Login,
    pub(crate) limits: Limits,
}

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Host { host: Arc<str>, port: u16 },
    Socket(PathBuf),
}

/// Files and names for TLS, beside the system's own authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert_and_key: Option<(PathBuf, PathBuf)>,
    pub(crate) server_name: Option<Arc<str>>,
}

impl ServerUrl {
    /// Reads `redis://`, `rediss://` and `redis+unix://`, and the same of `valkey`. Answers as well
    /// those of the parameters that are the caller's: `others` are their names.
    pub(crate) fn parse(text: &str, others: &[&str]) -> Result<(Self, Parameters), StoreError> {
        spelling::check("the store's URL", text).map_err(config)?;
        if text.contains('#') {
            return Err(config("the URL has a # in it: in a password it is written as %23"));
        }
        let url = Uri::split(text).map_err(|e| match address_fault(text) {
            Some(fault) => config(fault),
            None => config(format!(
                "the URL cannot be read ({e}): it is written as redis://user:password@host:6379/0, \
                 with @ / ? # % in user and password as %40 %2F %3F %23 %25"
            )),
        })?;
        let mut given = Parameters::read(&url, others)?;
        let is_tls = matches!(&*url.scheme, "rediss" | "valkeys");
        let place = match &*url.scheme {
            "redis" | "rediss" | "valkey" | "valkeys" => host_of(&url)?,
            "redis+unix" | "valkey+unix" => socket_of(&url)?,
            _ => return Err(config("a Redis is named by redis://, rediss:// or redis+unix://")),
        };
        let login = login_of(&url, &place, &mut given)?;
        let limits = Limits {
            connect: given.limit("connect_timeout")?.unwrap_or(Limits::default().connect),
            call: given.limit("call_timeout")?.unwrap_or(Limits::default().call),
        };
        let files = given.tls_files(is_tls)?;
        Ok((Self { place, tls: is_tls.then_some(files), login, limits }, given))
    }

    /// The store's name, without user, password and parameters.
    pub(crate) fn name(&self) -> Arc<str> {
        let database = self.login.database;
        match &self.place {
            Place::Host { host, port } => {
                let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
                let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
                format!("{scheme}://{host}:{port}/{database}").into()
            }
            Place::Socket(path) if database == 0 => {
                format!("redis+unix://{}", path.display()).into()
            }
            Place::Socket(path) => format!("redis+unix://{}?db={database}", path.display()).into(),
        }
    }
}

/// The mistake with an address of IPv6 in a URL that cannot be read.
fn address_fault(text: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let address = authority.rsplit('@').next()?;
    if address.matches(':').count() < 2 {
        return None;
    }
    if address.contains('%') {
        return Some(
            "an IPv6 address in a URL cannot have a zone (%eth0): give the host's name, or an \
             address without a zone",
        );
    }
    (!address.starts_with('[')).then_some(
        "an IPv6 address in a URL stands in brackets, as in redis://[::1]:6379/0; in a password, \
         a : is written as %3A",
    )
}

fn host_of(url: &Uri<'_>) -> Result<Place, StoreError> {
    let host = decoded(&url.host)?;
    spelling::check("the host of the URL", &host).map_err(config)?;
    if host.is_empty() {
        return Err(config("the URL names no host: it is written as redis://host:6379/0"));
    }
    Ok(Place::Host { host: host.into(), port: url.port.unwrap_or(6379) })
}

fn socket_of(url: &Uri<'_>) -> Result<Place, StoreError> {
    // A URL has a user only where it has a host.
    if !matches!(&*url.host, "" | "localhost") || url.port.is_some() {
        return Err(config(
            "redis+unix: takes a path, with three slashes: redis+unix:///run/redis.sock; with a \
             user: redis+unix://user:password@localhost/run/redis.sock",
        ));
    }
    let path = decoded(url.path)?;
    spelling::check("the socket's path in the URL", &path).map_err(config)?;
    let path = PathBuf::from(path);
    if path.is_absolute() && path != Path::new("/") {
        return Ok(Place::Socket(path));
    }
    Err(config("redis+unix: needs the path of a socket, such as redis+unix:///run/redis.sock"))
}

fn login_of(url: &Uri<'_>, place: &Place, given: &mut Parameters) -> Result<Login, StoreError> {
    let secrets = Secrets::default();
    // As it was written, too.
    secrets.add(url.password);
    let user = decoded(url.user)?;
    let user = (!user.is_empty()).then(|| user.into());
    let password = Some(decoded(url.password)?).filter(|text| !text.is_empty());
    let password = match (password, given.take("password_file")) {
        (None, None) => Password::None,
        (Some(password), None) => Password::Given(password.into()),
        (None, Some(path)) => Password::File(PasswordFile::at(&path)),
        (Some(_), Some(_)) => {
            return Err(config("the URL has a password and a password_file: leave one out"));
        }
    };
    let in_path = match place {
        Place::Host { .. } => url.path.trim_start_matches('/'),
        Place::Socket(_) => "",
    };
    let in_path = (!in_path.is_empty()).then(|| in_path.to_owned());
    let database = match (in_path, given.take("db")) {
        (Some(_), Some(_)) => {
            return Err(config("the URL names a database twice, by its path and by db: leave one"));
        }
        (Some(number), None) | (None, Some(number)) => number
            .parse()
            .map_err(|_| config("the database is a number, as in redis://host:6379/0"))?,
        (None, None) => 0,
    };
    Ok(Login { user, password, database, secrets })
}

/// The parameters that are not used yet.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(url: &Uri<'_>, others: &[&str]) -> Result<Self, StoreError> {
        let mut known: Vec<_> = PARAMETERS.iter().chain(others).copied().collect();
        known.sort_unstable();
        let mut read: Vec<(String, String)> = Vec::new();
        let query = url.query;
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

    fn tls_files(&mut self, is_tls: bool) -> Result<TlsFiles, StoreError> {
        let ca = self.take("ca").map(PathBuf::from);
        let server_name = self.take("server_name").map(Arc::from);
        let cert_and_key = match (self.take("cert"), self.take("key")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            _ => return Err(config("a certificate of ours needs both, cert=PATH and key=PATH")),
        };
        let files = TlsFiles { ca, cert_and_key, server_name };
        if !is_tls && files != TlsFiles::default() {
            return Err(config("ca, cert, key and server_name are for TLS: say rediss://"));
        }
        Ok(files)
    }
}

fn decoded(text: &str) -> Result<String, StoreError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| config("the URL has a %-escape in it that is no UTF-8"))
}

fn config(message: impl Into<String>) -> StoreError {
    StoreError::config(message.into())
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerUrl").field(&self.name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ServerUrl {
        ServerUrl::parse(text, &["other"]).unwrap_or_else(|e| panic!("{text}: {e}")).0
    }

    fn refusal(text: &str) -> String {
        ServerUrl::parse(text, &[]).map(|(url, _)| url.name()).expect_err(text).message
    }

    fn host(host: &str, port: u16) -> Place {
        Place::Host { host: host.into(), port }
    }

    #[test]
    fn the_smallest_url_has_the_defaults() {
        let url = parse("redis://localhost");
        assert_eq!(url.place, host("localhost", 6379));
        assert_eq!((url.tls, url.login), (None, Login::default()));
        assert_eq!(url.limits, Limits::default());
    }

    #[test]
    fn a_full_url_is_read_and_decoded() {
        let url = parse(
            "rediss://us%40er:p%2F%3F%23%3a+%C3%A4@[::1]:6400/7?connect_timeout=1s\
             &call_timeout=750ms&ca=/a+b%20c&cert=c&key=k\
             &server_name=redis.test",
        );
        assert_eq!(url.place, host("::1", 6400));
        assert_eq!(url.login.user.as_deref(), Some("us@er"));
        assert_eq!(url.login.password, Password::Given("p/?#:+ä".into()));
        assert_eq!(url.login.database, 7);
        assert_eq!(url.limits.connect, Duration::from_secs(1));
        assert_eq!(url.limits.call, Duration::from_millis(750));
        let tls = url.tls.expect("rediss");
        assert_eq!(tls.ca.as_deref(), Some(Path::new("/a+b c")));
        assert_eq!(tls.cert_and_key, Some(("c".into(), "k".into())));
        assert_eq!(tls.server_name.as_deref(), Some("redis.test"));
    }

    #[test]
    fn valkey_is_another_word_for_redis() {
        assert_eq!(parse("valkey://h").place, host("h", 6379));
        assert!(parse("valkey://h").tls.is_none() && parse("valkeys://h").tls.is_some());
        assert_eq!(&*parse("valkeys://:secret@h/3").name(), "rediss://h:6379/3");
        assert_eq!(parse("valkey+unix:///s").place, Place::Socket("/s".into()));
    }

    #[test]
    fn a_socket_is_a_path() {
        let url = parse("redis+unix:///run/my%20redis.sock?db=2&password_file=/run/secret");
        assert_eq!(url.place, Place::Socket("/run/my redis.sock".into()));
        assert_eq!(url.login.database, 2);
        assert_eq!(url.login.password, Password::File(PasswordFile::at("/run/secret")));
        assert_eq!(&*url.name(), "redis+unix:///run/my redis.sock?db=2");
        let url = parse("redis+unix://user:secret@localhost/run/redis.sock");
        assert_eq!(url.login.user.as_deref(), Some("user"));
        assert_eq!(&*url.name(), "redis+unix:///run/redis.sock");
    }

    #[test]
    fn names_and_debug_carry_no_user_no_password_and_no_parameters() {
        let url =
            parse("rediss://user:secret@h:1/3?password_file=/x".replace(":secret", "").as_str());
        assert_eq!(&*url.name(), "rediss://h:1/3");
        let url = parse("redis://user:secret@[::1]");
        assert_eq!(&*url.name(), "redis://[::1]:6379/0");
        let shown = format!("{url:?} {:?}", url.login);
        assert!(!shown.contains("secret") && !shown.contains("user"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_told_without_what_was_given() {
        for (text, words) in [
            ("redis://h?timeout=1s", "unknown parameter \"timeout\"; known are: ca, call_timeout"),
            ("redis://h?Secret=1", "unknown parameter; known are"),
            ("redis://:se?cret@h", ""),
            ("redis://:se#cret@h", ""),
            ("redis://:se/cret@h", ""),
            ("redis://[fe80::1%25eth0]:6379", "zone"),
            ("redis://:secret@[fe80::1%eth0]", "zone"),
            ("redis://fe80::1%eth0:6379", "zone"),
            ("redis://::1:6379", "in brackets"),
            ("redis://:secret@::1", "in brackets"),
            ("redis://", "no host"),
            ("redis:h", "no host"),
            ("redis://h:99999", "%40"),
            ("redis://h/secret", "database is a number"),
            ("redis://h/-1", "database is a number"),
            ("redis://h/1?db=1", "twice"),
            ("redis://h?db=1&db=2", "parameter db twice"),
            ("redis://h?ca=", "ca of the URL is empty"),
            ("redis://h?ca=/x", "say rediss://"),
            ("rediss://h?cert=/x", "cert=PATH and key=PATH"),
            ("redis://:secret@h?password_file=/x", "leave one out"),
            ("redis://h?call_timeout=5", "a time with its unit"),
            ("redis://h?call_timeout=5h", "a time with its unit"),
            ("redis://h?call_timeout=1ms", "from 10ms to 60m"),
            ("redis://h?connect_timeout=99999999999999999999s", "from 10ms to 60m"),
            ("redis://h?connect_timeout=999999999999999999m", "from 10ms to 60m"),
            ("redis://:%ff@h", "no UTF-8"),
            ("redis+unix://host/path", "three slashes"),
            ("redis://h\r", "ends with a carriage return"),
            ("redis://h/0 ", "ends with a blank"),
            ("redis://:se\ncret@h", "has in it a line break"),
            ("redis+unix:///run/r.sock%20", "the socket's path in the URL ends with a blank"),
            ("redis+unix:///run/r.sock ?db=1", "the socket's path in the URL ends with a blank"),
            ("redis://h?password_file=/x%0A", "password_file of the URL ends with a line break"),
            ("redis://h?password_file=/x &db=1", "password_file of the URL ends with a blank"),
            ("rediss://h?ca=/x%0d", "ca of the URL ends with a carriage return"),
            ("rediss://h?cert=%20/x&key=/y", "cert of the URL begins with a blank"),
            ("rediss://h?cert=/x&key=/y%09", "key of the URL ends with a tab"),
            ("redis+unix:///", "needs the path"),
            ("http://h", "redis+unix://"),
        ] {
            let message = refusal(text);
            assert!(message.contains(words), "{text}: {message}");
            for secret in ["secret", "Secret", "cret"] {
                assert!(!message.contains(secret), "{text}: {message}");
            }
        }
    }
}
