//! The store that was chosen: a URL, a file, or the embedded one; and how CMD is told of it. No
//! secret of a URL leaves this file but in the URL itself.

mod network;
mod url;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD};
use tenure::runtime::Runtime;
use tenure::store::{Access, Reach, spelling};
use tenure::{DefaultStore, Error, ErrorKind, Locks, LocksOptions, Operation};

use crate::args::StoreArgs;
use crate::duration::show;
use crate::exit::{Exit, Refusal};
use crate::output::Output;
use crate::variables::{self, FILE, REQUIRE_NETWORK, URL, WITHHELD};

/// A store as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Url(String),
    File(PathBuf),
    Embedded,
}

/// The chosen store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    place: Place,
    /// The URL stands on the command line and carries a password.
    exposed: bool,
    /// Other hosts must be able to reach the store.
    for_all_hosts: bool,
    /// A message about a variable that may have been meant.
    hint: Option<String>,
}

impl Choice {
    /// The command line goes before the environment.
    pub(crate) fn of(
        args: &StoreArgs,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Refusal> {
        let by_variable = DefaultStore::requires_network(&env).map_err(|e| of_environment(&e))?;
        let mut hint = None;
        let (place, typed) = match (&args.store[..], &args.store_file) {
            ([url], _) => (of_url(url, "--store")?, true),
            ([_, _, ..], _) => (of_nodes(&args.store, "--store")?, true),
            ([], Some(file)) => (of_file(file, "--store-file")?, true),
            ([], None) => {
                let store = DefaultStore::find(env).map_err(|e| of_environment(&e))?;
                hint = store.hint();
                let place = match store {
                    DefaultStore::Url(url) => of_url(&url, URL)?,
                    DefaultStore::File(file) => of_file(&file, FILE)?,
                    DefaultStore::Embedded { .. } => Place::Embedded,
                };
                (place, false)
            }
        };
        let for_all_hosts = args.require_network || by_variable;
        if for_all_hosts {
            network::check(&place, typed, args.require_network, hint.as_deref())?;
        }
        let exposed = typed && matches!(&place, Place::Url(text) if url::has_secret(text));
        Ok(Self { place, exposed, for_all_hosts, hint })
    }

    /// Warns of a password that everybody on this host can read, and of variables that may have
    /// been meant to name a store. If none is named, that is told in any case.
    pub(crate) fn warn(&self, output: Output, names: impl Iterator<Item = OsString>) {
        if self.exposed {
            output.notice(format!(
                "the password in --store is visible in the list of processes, and a tenure within \
                 CMD is not given it; put the URL into the environment variable {URL} instead"
            ));
        }
        match variables::warning(names) {
            Some(warning) if self.place == Place::Embedded => output.error(&warning),
            Some(warning) => output.notice(warning),
            None => {}
        }
    }

    /// The same choice with its file known. For the embedded store this makes its directory.
    pub(crate) fn located(self) -> Result<Located, Refusal> {
        self.located_by(tenure::embedded_file)
    }

    /// The same for a look, which makes nothing.
    pub(crate) fn located_to_look(self) -> Result<Located, Refusal> {
        self.located_by(tenure::embedded_place)
    }

    fn located_by(
        self,
        embedded_file: fn() -> tenure::Result<PathBuf>,
    ) -> Result<Located, Refusal> {
        let Self { place, exposed, for_all_hosts, hint } = self;
        let embedded = place == Place::Embedded;
        let file = match place {
            Place::Url(url) => {
                return Ok(Located { url, exposed, for_all_hosts, file: None, embedded, hint });
            }
            Place::File(file) => file,
            Place::Embedded => embedded_file().map_err(|e| {
                let hint = hint.iter().map(|hint| format!(" ({hint})")).collect::<String>();
                Refusal { exit: Exit::of_error(&e), message: format!("{e}{hint}") }
            })?,
        };
        let url = file.to_str().map(|path| format!("sqlite:{path}"));
        let url = url.ok_or_else(|| not_text("the path of the store's file"))?;
        Ok(Located { url, exposed, for_all_hosts, file: Some(file), embedded, hint })
    }
}

/// A store that can be opened.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Located {
    /// May carry a secret.
    url: String,
    /// It does, on the command line: CMD must not find it in its environment.
    exposed: bool,
    /// A `tenure` within CMD must not use a store that other hosts cannot reach, either.
    for_all_hosts: bool,
    file: Option<PathBuf>,
    embedded: bool,
    /// A message about a variable that may have been meant.
    hint: Option<String>,
}

impl Located {
    /// Opens the store, within that time.
    pub(crate) async fn open(
        &self,
        limit: Duration,
        runtime: &dyn Runtime,
    ) -> tenure::Result<Locks> {
        self.open_for(Access::Locks, limit, runtime).await
    }

    /// Opens the store for this purpose.
    pub(crate) async fn open_for(
        &self,
        access: Access,
        limit: Duration,
        runtime: &dyn Runtime,
    ) -> tenure::Result<Locks> {
        let options = LocksOptions::default().with_store_timeout(limit).with_access(access);
        self.connect(options, limit, runtime).await
    }

    /// Opens the store, within `limit`. Later requests have `store_timeout`.
    pub(crate) async fn open_within(
        &self,
        limit: Duration,
        store_timeout: Duration,
        runtime: &dyn Runtime,
    ) -> tenure::Result<Locks> {
        let options = LocksOptions::default().with_store_timeout(store_timeout);
        self.connect(options, limit, runtime).await
    }

    async fn connect(
        &self,
        options: LocksOptions,
        limit: Duration,
        runtime: &dyn Runtime,
    ) -> tenure::Result<Locks> {
        tokio::select! {
            biased;
            locks = tenure::connect_with(&self.url, options) => locks,
            () = runtime.sleep_until(runtime.now() + limit) => {
                let message = format!(
                    "{} did not open within {}; is it up, and reachable from here?",
                    self.identity(),
                    show(limit),
                );
                Err(Error::new(ErrorKind::Unavailable, Operation::Connect, message))
            }
        }
    }

    /// The store and how far its locks reach, for people.
    pub(crate) fn describe(&self, locks: &Locks) -> String {
        let reach = match locks.capabilities().reach {
            Reach::Process => "this process only",
            Reach::Host if self.embedded => "this host, this user",
            Reach::Host => "this host",
            _ => "every host that reaches it",
        };
        let hint = self.hint.iter().map(|hint| format!("; {hint}")).collect::<String>();
        format!("{} ({reach}){hint}", locks.store_name())
    }

    /// The text about a store's file that does not exist.
    pub(crate) fn missing(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let found = file.symlink_metadata();
        let is_missing = found.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
        let file = file.display();
        is_missing.then(|| format!("{file} does not exist, so nothing is locked there"))
    }

    /// Whether it is a file that does not exist, and that this user could make.
    pub(crate) fn can_be_made(&self) -> bool {
        let Some(file) = self.file.as_ref().filter(|_| self.missing().is_some()) else {
            return false;
        };
        let directory = match self.embedded {
            // Its directory is made as well.
            true => file.ancestors().skip(1).find(|directory| directory.exists()),
            false => file.parent(),
        };
        let may_write = |directory: &Path| {
            let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
            rustix::fs::accessat(CWD, directory, wanted, AtFlags::EACCESS).is_ok()
        };
        directory.is_some_and(|directory| directory.is_dir() && may_write(directory))
    }

    /// Text that tells this store from others, without secrets.
    pub(crate) fn identity(&self) -> String {
        match &self.file {
            Some(file) => {
                let directory = file.parent().and_then(|d| d.canonicalize().ok());
                let name = file.file_name().unwrap_or_default();
                let file = file.canonicalize().ok().or(directory.map(|d| d.join(name)));
                file.unwrap_or_else(|| self.file.clone().unwrap_or_default()).display().to_string()
            }
            None => url::identity(&self.url),
        }
    }

    /// Whether a path is a file of this store.
    pub(crate) fn is_made_of(&self, path: &Path) -> bool {
        let Some(store) = &self.file else { return false };
        let whole = |path: &Path| {
            let name = path.file_name().unwrap_or_default();
            let directory = std::path::absolute(path).ok()?.parent()?.canonicalize().ok()?;
            path.canonicalize().ok().or(Some(directory.join(name)))
        };
        let path = whole(path);
        ["", "-wal", "-shm", "-journal"].into_iter().any(|end| {
            let mut file = store.clone().into_os_string();
            file.push(end);
            path.is_some() && whole(Path::new(&file)) == path
        })
    }

    /// The variables for CMD, by which a `tenure` in it finds the same store, or none. `None`
    /// removes a variable. A password is there only if it was there before.
    pub(crate) fn environment(&self) -> [(&'static str, Option<OsString>); 4] {
        let url = if self.exposed { url::without_password(&self.url) } else { self.url.clone() };
        let withheld = self.exposed.then(|| url.clone().into());
        let (url, file) = match &self.file {
            Some(file) => (None, Some(file.into())),
            None => (Some(url.into()), None),
        };
        let rule = self.for_all_hosts.then(|| "1".into());
        [(URL, url), (FILE, file), (WITHHELD, withheld), (REQUIRE_NETWORK, rule)]
    }
}

/// The variables that name the store are a part of the command line.
fn of_environment(error: &Error) -> Refusal {
    let message = error.message().to_owned();
    match error.kind() {
        ErrorKind::Config => Refusal::usage(message),
        _ => Refusal { exit: Exit::of_error(error), message },
    }
}

fn of_url(url: &str, from: &str) -> Result<Place, Refusal> {
    if !url.is_empty() {
        spelling::url(from, url).map_err(Refusal::usage)?;
    }
    let scheme = tenure::StoreEntry::of(url).map(|store| store.scheme).map_err(|error| {
        let what = match url {
            "" => " is empty",
            _ if !url.contains(':') => " is no URL",
            _ => "",
        };
        let option = match error.message().contains("did you mean sqlite:") {
            true => "; --store-file takes the path alone",
            false => "",
        };
        Refusal::usage(format!("{from}{what}: {}{option}", error.message()))
    })?;
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    if scheme == "quorum" {
        let nodes: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
        return of_nodes(&nodes, from);
    }
    // Parameters of other stores are theirs to know.
    if scheme != "sqlite" {
        return Ok(Place::Url(url.into()));
    }
    if let Some((_, parameters)) = rest.split_once('?') {
        let name = parameters.split(['=', '&']).next().unwrap_or_default();
        let hint = "a file with a ? in its name can be given by --store-file";
        return Err(Refusal::usage(format!("{from}: the unknown parameter {name:?}; {hint}")));
    }
    let path = spelling::sqlite_path(rest);
    of_file(Path::new(path.map_err(|e| Refusal::usage(format!("{from}: {e}")))?), from)
}

/// A quorum of the stores behind several URLs, and perhaps its parameters behind them.
fn of_nodes(nodes: &[String], from: &str) -> Result<Place, Refusal> {
    let mut url = "quorum:".to_owned();
    for node in nodes {
        if node.contains(char::is_whitespace) {
            let message = format!("{from}: the URL of a quorum's node cannot have spaces in it");
            return Err(Refusal::usage(message));
        }
        let place =
            if node.starts_with('?') { Place::Url(node.clone()) } else { of_url(node, from)? };
        let gap = if url.ends_with(':') { "" } else { " " };
        match place {
            Place::Url(node) => url.extend([gap, &node]),
            Place::File(path) => url.extend([gap, "sqlite:", &path.display().to_string()]),
            Place::Embedded => {}
        }
    }
    Ok(Place::Url(url))
}

/// A file under its full name: CMD may change its directory.
fn of_file(path: &Path, from: &str) -> Result<Place, Refusal> {
    if path.as_os_str().is_empty() {
        return Err(Refusal::usage(format!("{from} names no file; write a path")));
    }
    if path.to_str().is_none() {
        return Err(not_text(from));
    }
    spelling::file(path).map_err(|e| Refusal::usage(format!("{from}: {e}")))?;
    let full = std::path::absolute(path);
    full.map(Place::File).map_err(|e| Refusal::config(format!("{from}: {e}")))
}

fn not_text(what: &str) -> Refusal {
    Refusal::usage(format!("{what} is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(
        url: Option<&str>,
        file: Option<&str>,
        env: &[(&str, &str)],
    ) -> Result<Choice, Refusal> {
        let args = StoreArgs {
            store: url.map(Into::into).into_iter().collect(),
            store_file: file.map(Into::into),
            store_timeout: std::time::Duration::from_secs(5),
            require_network: false,
        };
        Choice::of(&args, |name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    }

    fn place(url: Option<&str>, file: Option<&str>, env: &[(&str, &str)]) -> Place {
        choose(url, file, env).unwrap_or_else(|e| panic!("{e:?}")).place
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let both = [(URL, "memory:"), (FILE, "/f")];
        assert_eq!(place(None, Some("/g"), &both), Place::File("/g".into()));
        assert_eq!(place(Some("memory:"), None, &both[1..]), Place::Url("memory:".into()));
        assert_eq!(place(Some("sqlite:/g"), None, &[]), Place::File("/g".into()));
        assert_eq!(place(None, None, &both[..1]), Place::Url("memory:".into()));
        assert_eq!(place(None, None, &both[1..]), Place::File("/f".into()));
        assert_eq!(place(None, None, &[]), Place::Embedded);
        assert_eq!(place(None, Some("/g"), &[(URL, "")]), Place::File("/g".into()));
        assert!(choose(None, None, &both).is_err());
    }

    #[test]
    fn what_is_no_store_is_refused() {
        for url in ["", "locks", "nosql:x", "sqlite:", "sqlite:/f?mode=ro"] {
            let refusal = choose(Some(url), None, &[]).err().unwrap_or_else(|| panic!("{url}"));
            assert_eq!(refusal.exit, Exit::USAGE, "{url}: {refusal:?}");
        }
        assert!(choose(None, Some(""), &[]).is_err());
    }

    #[test]
    fn what_would_name_another_store_in_silence_is_refused() {
        for (value, says) in [
            ("sqlite:/x/n.db\r", "ends with a carriage return"),
            ("sqlite:/x/n.db ", "ends with a blank"),
            ("redis://h:6379\n", "ends with a line break"),
            ("quorum:redis://a redis://b redis://c\n", "ends with a line break"),
            ("sqlite://rel.db", "sqlite:rel.db"),
            ("sqlite::memory:", "URL memory:"),
            ("sqlite:file:/x.db", "give the path alone"),
        ] {
            for (choice, from) in [
                (choose(Some(value), None, &[]), "--store"),
                (choose(None, None, &[(URL, value)]), URL),
            ] {
                let refusal = choice.err().unwrap_or_else(|| panic!("{value:?}"));
                assert_eq!(refusal.exit, Exit::USAGE, "{refusal:?}");
                let message = refusal.message;
                assert!(message.contains(says) && message.contains(from), "{value:?}: {message}");
            }
        }
        for (path, says) in [
            ("/x/n.db\n", "ends with a line break"),
            (":memory:", "URL memory:"),
            ("sqlite:/x/n.db", "give the path alone"),
            ("~/n.db", "$HOME"),
        ] {
            for choice in [choose(None, Some(path), &[]), choose(None, None, &[(FILE, path)])] {
                let refusal = choice.err().unwrap_or_else(|| panic!("{path:?}"));
                assert_eq!(refusal.exit, Exit::USAGE, "{refusal:?}");
                assert!(refusal.message.contains(says), "{path:?}: {refusal:?}");
            }
        }
    }

    #[test]
    fn every_scheme_of_a_store_is_known_and_keeps_its_parameters() {
        for url in
            ["redis://h", "rediss://h?ca=/x", "redis+unix:///s?db=1", "valkey://h", "memory:"]
        {
            assert_eq!(place(Some(url), None, &[]), Place::Url(url.into()));
        }
    }

    #[test]
    fn several_urls_are_a_quorum() {
        let args = |urls: &[&str]| StoreArgs {
            store: urls.iter().map(ToString::to_string).collect(),
            store_file: None,
            store_timeout: std::time::Duration::from_secs(5),
            require_network: false,
        };
        let of = |urls: &[&str]| Choice::of(&args(urls), |_| None).map(|choice| choice.place);
        let quorum = Place::Url("quorum:redis://a redis://b sqlite:/c".into());
        assert_eq!(of(&["redis://a", "redis://b", "sqlite:/c"]), Ok(quorum.clone()));
        assert_eq!(of(&["quorum:redis://a redis://b sqlite:/c"]), Ok(quorum));
        let url = "quorum:redis://a redis://b redis://c ?max_ttl=1m";
        assert_eq!(of(&[url]), Ok(Place::Url(url.into())));
        for urls in [&["redis://a", "nosql:x", "redis://b"][..], &["sqlite:/a b", "memory:"]] {
            assert!(of(urls).is_err(), "{urls:?}");
        }
    }

    /// The variables of CMD that name the store: its URL, and the one without the password.
    fn told(url: Option<&str>, env: &[(&str, &str)]) -> (Option<OsString>, Option<OsString>) {
        let located = choose(url, None, env).and_then(Choice::located);
        let [url, file, withheld, rule] = located.expect("a store").environment();
        assert_eq!(rule, (REQUIRE_NETWORK, None));
        assert_eq!((url.0, withheld.0), (URL, WITHHELD));
        assert_eq!(file, (FILE, None));
        (url.1, withheld.1)
    }

    #[test]
    fn a_password_is_passed_on_only_where_it_was_before() {
        let text = |text: &str| Some(OsString::from(text));
        for (typed, passed) in [
            ("redis://ada:s3cret@host:6379/0", "redis://ada@host:6379/0"),
            ("redis://:s3c:r@t@host?db=1", "redis://host?db=1"),
            ("redis+unix://ada:s3cret@localhost/s@t:x", "redis+unix://ada@localhost/s@t:x"),
            ("redis+sentinel://a,b/m?sentinel_password=s3cret", "redis+sentinel://a,b/m"),
            ("quorum:redis://a:s@a redis://b redis://c", "quorum:redis://a@a redis://b redis://c"),
        ] {
            assert_eq!(told(Some(typed), &[]), (text(passed), text(passed)), "{typed}");
            assert_eq!(told(None, &[(URL, typed)]), (text(typed), None), "{typed}");
            // The `tenure` within CMD.
            let within = [(URL, passed), (WITHHELD, passed)];
            let refusal = choose(None, None, &within).err().expect("no way back");
            assert_eq!(refusal.exit, Exit(77), "{refusal:?}");
        }
        let open = "redis://ada@host?password_file=/f";
        assert_eq!(told(Some(open), &[]), (text(open), None));
        assert_eq!(told(Some("redis://host/a@b:c"), &[]), (text("redis://host/a@b:c"), None));
    }

    #[test]
    fn the_rule_is_that_of_the_option_or_of_the_variable_and_is_passed_on() {
        let choose = |option: bool, value: Option<&str>| {
            let args = StoreArgs {
                store: vec!["redis://locks.internal".into()],
                store_file: None,
                store_timeout: std::time::Duration::from_secs(5),
                require_network: option,
            };
            let env = |name: &str| value.filter(|_| name == REQUIRE_NETWORK).map(Into::into);
            Choice::of(&args, env).and_then(Choice::located)
        };
        for (option, value, passed) in [
            (true, None, Some("1")),
            (true, Some("0"), Some("1")),
            (false, Some("1"), Some("1")),
            (false, Some("0"), None),
            (false, Some(""), None),
        ] {
            let [.., rule] = choose(option, value).expect("a server").environment();
            assert_eq!(rule, (REQUIRE_NETWORK, passed.map(Into::into)), "{option} {value:?}");
        }
        for option in [true, false] {
            let refusal = choose(option, Some("yes")).err().expect("neither on nor off");
            assert_eq!(refusal.exit, Exit::USAGE, "{refusal:?}");
        }
    }
}
