//! The server or servers that a URL names, and how to use them. It never prints the URL, which may
//! carry a password.

use std::fmt;
use std::sync::Arc;

use crate::store::{StoreError, spelling};

use super::login::{Login, Wanted};
use super::parameters::{Parameters, TlsFiles, config, decoded};
use super::place::{Form, Kind, Place};
use super::secrets::Secrets;
use super::server::Limits;
use super::uri::Uri;

/// A server and how to use it, as a URL names it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    pub(crate) place: Place,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) login: Login,
    pub(crate) limits: Limits,
}

impl ServerUrl {
    /// Reads `redis://`, `rediss://`, `redis+unix://`, `redis+sentinel://`, `redis+cluster://` and
    /// the same of `valkey`. Answers as well those of the parameters that are the caller's:
    /// `others` are their names.
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
        let form = Form::of(&url.scheme)?;
        let mut given = Parameters::read(url.query, form.kind == Kind::Sentinels, others)?;
        let secrets = Secrets::default();
        let files = given.tls_files("", form.is_tls, "say rediss://")?;
        let (place, in_path) = Place::read(&url, form, &mut given, (&secrets, &files))?;
        let mut login = login_of(&url, in_path, &mut given, secrets)?;
        if form.kind == Kind::Sentinels {
            login.wanted = Wanted::Primary;
        }
        if matches!(place, Place::Cluster { .. }) && login.database != 0 {
            return Err(config("a cluster has the database 0 alone: leave the number out"));
        }
        let limits = Limits {
            connect: given.limit("connect_timeout")?.unwrap_or(Limits::default().connect),
            call: given.limit("call_timeout")?.unwrap_or(Limits::default().call),
        };
        Ok((Self { place, tls: form.is_tls.then_some(files), login, limits }, given))
    }

    /// The store's name, without user, password and parameters. All spellings of one place have
    /// the same.
    pub(crate) fn name(&self) -> Arc<str> {
        self.place.name(self.tls.is_some(), self.login.database)
    }

    /// The name of one of the store's servers.
    pub(crate) fn name_of(&self, host: &Arc<str>, port: u16) -> Arc<str> {
        let place = Place::Host { host: Arc::clone(host), port };
        place.name(self.tls.is_some(), self.login.database)
    }
}

/// The mistake with an address of IPv6 in a URL that cannot be read.
fn address_fault(text: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let addresses = authority.rsplit('@').next()?;
    let address = addresses.split(',').find(|address| address.matches(':').count() >= 2)?;
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

fn login_of(
    url: &Uri<'_>,
    in_path: &str,
    given: &mut Parameters,
    secrets: Secrets,
) -> Result<Login, StoreError> {
    // As it was written, too.
    secrets.add(url.password);
    let user = decoded(url.user)?;
    let user = (!user.is_empty()).then(|| user.into());
    let password = Some(decoded(url.password)?).filter(|text| !text.is_empty());
    let password = given.password(password, "password_file")?;
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
    Ok(Login { wanted: Wanted::default(), user, password, database, secrets })
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerUrl").field(&self.name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::login::{Password, PasswordFile};
    use super::super::place::Sentinels;
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

    fn hosts<const N: usize>(hosts: [(&str, u16); N]) -> Vec<(Arc<str>, u16)> {
        hosts.map(|(host, port)| (host.into(), port)).into()
    }

    #[test]
    fn sentinels_are_several_hosts_and_a_service() {
        let text = "redis+sentinel://us%40er:p,w@h1,[::1]:26400,h3:1/my%20master/3\
                    ?sentinel_user=watcher&sentinel_password=s%26t&sentinel_tls=yes\
                    &sentinel_ca=/x&connect_timeout=1s";
        let url = parse(text);
        let Place::Sentinels(Sentinels { hosts: at, service, login, tls }) = &url.place else {
            panic!("{url:?}");
        };
        assert_eq!(*at, hosts([("h1", 26379), ("::1", 26400), ("h3", 1)]));
        assert_eq!((&**service, login.user.as_deref()), ("my master", Some("watcher")));
        assert_eq!(login.password, Password::Given("s&t".into()));
        assert_eq!(tls.as_ref().and_then(|files| files.ca.as_deref()), Some(Path::new("/x")));
        assert_eq!((url.tls.is_none(), url.login.database), (true, 3));
        assert_eq!(url.login.user.as_deref(), Some("us@er"));
        assert_eq!(url.login.password, Password::Given("p,w".into()));
        assert!(url.login.secrets.are_in("a s&t b") && login.secrets.are_in("a p,w b"));
        assert_eq!(&*url.name(), "redis+sentinel://[::1]:26400,h1:26379,h3:1/my master/3");
        let shown = format!("{url:?} {:?}", url.place);
        for secret in ["s&t", "s%26t", "p,w", "us@er", "watcher"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let url = parse("valkey+sentinel://h/main?db=2&sentinel_password_file=/f");
        assert_eq!(&*url.name(), "redis+sentinel://h:26379/main/2");
        let Place::Sentinels(Sentinels { login, tls, .. }) = &url.place else { panic!("{url:?}") };
        assert_eq!(login.password, Password::File(PasswordFile::at("/f")));
        assert!(tls.is_none() && url.login.password == Password::None);
    }

    #[test]
    fn sentinels_speak_tls_as_servers_do_unless_they_are_told_apart() {
        let tls = |text: &str| match parse(text).place {
            Place::Sentinels(sentinels) => sentinels.tls,
            place => panic!("{place:?}"),
        };
        let files = "ca=/a&cert=/c&key=/k&server_name=n";
        let all = tls(&format!("rediss+sentinel://h/main?{files}")).expect("TLS");
        assert_eq!(all.ca.as_deref(), Some(Path::new("/a")));
        assert_eq!(all.cert_and_key, Some(("/c".into(), "/k".into())));
        assert_eq!(all.server_name, None, "another host has another name");
        let own = "sentinel_ca=/b&sentinel_cert=/d&sentinel_key=/l&sentinel_server_name=m";
        let own = tls(&format!("valkeys+sentinel://h/main?{files}&{own}")).expect("TLS");
        assert_eq!(
            (own.ca.as_deref(), own.server_name.as_deref()),
            (Some("/b".as_ref()), Some("m"))
        );
        assert_eq!(own.cert_and_key, Some(("/d".into(), "/l".into())));
        assert_eq!(tls("rediss+sentinel://h/main?sentinel_tls=no"), None);
        assert!(tls("redis+sentinel://h/main?sentinel_tls=yes").is_some());
    }

    #[test]
    fn a_cluster_is_several_hosts() {
        let url = parse("redis+cluster://bob:p,w@h2,h1:6400");
        assert_eq!(url.place, Place::Cluster { hosts: hosts([("h2", 6379), ("h1", 6400)]) });
        assert_eq!((url.login.database, url.tls.is_none()), (0, true));
        assert_eq!(&*url.name(), "redis+cluster://h1:6400,h2:6379");
        assert_eq!(&*parse("valkeys+cluster://h/0").name(), "rediss+cluster://h:6379");
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
            ("redis+://h", "redis+unix://"),
            ("rediss+unix:///x", "redis+unix://"),
            ("redis://h1,h2", "several hosts"),
            ("redis+sentinel://h1,h2", "no service"),
            ("redis+sentinel://h1,h2//3", "no service"),
            ("redis+sentinel://h1,,h2/main", "no host"),
            ("redis+sentinel://h1,h2:26379,h1:26379/main", "twice"),
            ("redis+sentinel://h1:1,fe80::1:2/main", "in brackets"),
            ("redis+sentinel://h/main/secret", "database is a number"),
            ("redis+sentinel://h/main%20", "the service in the URL ends with a blank"),
            (
                "redis+sentinel://h/main?sentinel_password=secret&sentinel_password_file=/x",
                "leave one out",
            ),
            ("redis+sentinel://h/main?sentinel_tls=secret", "yes or no"),
            ("redis+sentinel://h/main?sentinel_ca=/x", "say sentinel_tls=yes"),
            ("rediss+sentinel://h/main?sentinel_key=/x", "sentinel_cert=PATH and sentinel_key"),
            ("redis+sentinel://h/main?ca=/x&sentinel_tls=yes", "say rediss://"),
            ("redis+cluster://h/1", "database 0 alone"),
            ("redis+cluster://h?db=2", "database 0 alone"),
            ("redis+cluster://h?sentinel_user=x", "unknown parameter"),
            ("redis+cluster://", "no host"),
        ] {
            let message = refusal(text);
            assert!(message.contains(words), "{text}: {message}");
            for secret in ["secret", "Secret", "cret"] {
                assert!(!message.contains(secret), "{text}: {message}");
            }
        }
    }
}
