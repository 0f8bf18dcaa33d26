//! Which store: a URL, a file, or the embedded one; what CMD is told of it. No secret of
//! a URL leaves this file but in the URL itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tenure::seam::Seam;
use tenure::store::Reach;
use tenure::{Error, ErrorKind, Locks, LocksOptions, Operation};

use crate::args::StoreArgs;
use crate::duration::show;
use crate::exit::{Exit, Refusal};

pub(crate) const URL_VARIABLE: &str = "TENURE_STORE";
pub(crate) const FILE_VARIABLE: &str = "TENURE_STORE_FILE";

/// A store that somebody chose.
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
}

impl Choice {
    /// The command line goes before the environment.
    pub(crate) fn of(
        args: &StoreArgs,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Refusal> {
        let env = |name| env(name).filter(|value| !value.is_empty());
        let (place, typed) = match (&args.store[..], &args.store_file) {
            ([url], _) => (of_url(url, "--store")?, true),
            ([_, _, ..], _) => (of_nodes(&args.store, "--store")?, true),
            ([], Some(file)) => (of_file(file, "--store-file")?, true),
            ([], None) => match (env(URL_VARIABLE), env(FILE_VARIABLE)) {
                (Some(_), Some(_)) => {
                    return Err(Refusal::usage(format!(
                        "{URL_VARIABLE} and {FILE_VARIABLE} are both set and may mean two \
                         stores; unset one, or give --store or --store-file"
                    )));
                }
                (Some(url), None) => {
                    let url = url.into_string().map_err(|_| not_text(URL_VARIABLE))?;
                    (of_url(&url, URL_VARIABLE)?, false)
                }
                (None, Some(file)) => (of_file(Path::new(&file), FILE_VARIABLE)?, false),
                (None, None) => (Place::Embedded, false),
            },
        };
        let exposed = typed && matches!(&place, Place::Url(url) if has_secret(url));
        Ok(Self { place, exposed })
    }

    /// What to say about a password that everybody on this host can read, if there is one.
    pub(crate) fn warning(&self) -> Option<String> {
        self.exposed.then(|| {
            format!(
                "the password in --store is visible in the list of processes; put the URL into \
                 the environment variable {URL_VARIABLE} instead"
            )
        })
    }

    /// The same choice with its file known. For the embedded store this makes its directory.
    pub(crate) fn located(self) -> Result<Located, Refusal> {
        let embedded = self.place == Place::Embedded;
        let file = match self.place {
            Place::Url(url) => return Ok(Located { url, file: None, embedded }),
            Place::File(file) => file,
            Place::Embedded => tenure::embedded_file()
                .map_err(|e| Refusal { exit: Exit::of_error(&e), message: e.to_string() })?,
        };
        let url = file.to_str().map(|path| format!("sqlite:{path}"));
        let url = url.ok_or_else(|| not_text("the path of the store's file"))?;
        Ok(Located { url, file: Some(file), embedded })
    }
}

/// A store that can be opened.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Located {
    /// May carry a secret.
    url: String,
    file: Option<PathBuf>,
    embedded: bool,
}

impl Located {
    /// Opens the store, within that time.
    pub(crate) async fn open(&self, limit: Duration, seam: &dyn Seam) -> tenure::Result<Locks> {
        let options = LocksOptions::default().with_store_timeout(limit);
        tokio::select! {
            biased;
            locks = tenure::connect_with(&self.url, options) => locks,
            () = seam.sleep_until(seam.now() + limit) => {
                let message = format!("{} did not open within {}", self.identity(), show(limit));
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
        format!("{} ({reach})", locks.store_name())
    }

    /// What tells this store from others, without secrets.
    pub(crate) fn identity(&self) -> String {
        match &self.file {
            Some(file) => {
                let directory = file.parent().and_then(|d| d.canonicalize().ok());
                let name = file.file_name().unwrap_or_default();
                let file = file.canonicalize().ok().or(directory.map(|d| d.join(name)));
                file.unwrap_or_else(|| self.file.clone().unwrap_or_default()).display().to_string()
            }
            None => without_secret(&self.url),
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

    /// What CMD's environment says about the store, so that a `tenure` in it finds the same
    /// one; `None` removes a variable.
    pub(crate) fn environment(&self) -> [(&'static str, Option<OsString>); 2] {
        match &self.file {
            Some(file) => [(URL_VARIABLE, None), (FILE_VARIABLE, Some(file.into()))],
            None => {
                let url = (!has_secret(&self.url)).then(|| self.url.clone().into());
                [(URL_VARIABLE, url), (FILE_VARIABLE, None)]
            }
        }
    }
}

fn of_url(url: &str, from: &str) -> Result<Place, Refusal> {
    let known = || {
        let examples: Vec<_> = tenure::stores().iter().map(|store| store.example).collect();
        examples.join(", ")
    };
    let Some((scheme, rest)) = url.split_once(':') else {
        let message = format!("{from} is no URL; a store's URL is one like {}", known());
        return Err(Refusal::usage(message));
    };
    let is_known =
        |store: &tenure::StoreEntry| store.scheme == scheme || store.also.contains(&scheme);
    if !tenure::stores().iter().any(is_known) {
        let message = format!("{from}: {scheme:?} is no known store; known are {}", known());
        return Err(Refusal::usage(message));
    }
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
    of_file(Path::new(rest), from)
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
    let full = std::path::absolute(path);
    full.map(Place::File).map_err(|e| Refusal::config(format!("{from}: {e}")))
}

fn not_text(what: &str) -> Refusal {
    Refusal::usage(format!("{what} is not valid UTF-8"))
}

/// The part of a URL with user and password, if there is a password or something like it.
fn secret_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user_info, _) = authority.rsplit_once('@')?;
    user_info.contains(':').then_some(user_info)
}

/// Whether a URL, or one of a quorum's, carries a password.
fn has_secret(url: &str) -> bool {
    url.split(' ').any(|node| secret_of(node).is_some())
}

fn without_secret(url: &str) -> String {
    let bare = |node: &str| match secret_of(node) {
        Some(secret) => node.replacen(&format!("{secret}@"), "", 1),
        None => node.to_owned(),
    };
    url.split(' ').map(bare).collect::<Vec<_>>().join(" ")
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
        };
        Choice::of(&args, |name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    }

    fn place(url: Option<&str>, file: Option<&str>, env: &[(&str, &str)]) -> Place {
        choose(url, file, env).unwrap_or_else(|e| panic!("{e:?}")).place
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let both = [(URL_VARIABLE, "memory:"), (FILE_VARIABLE, "/f")];
        assert_eq!(place(None, Some("/g"), &both), Place::File("/g".into()));
        assert_eq!(place(Some("memory:"), None, &both[1..]), Place::Url("memory:".into()));
        assert_eq!(place(Some("sqlite:/g"), None, &[]), Place::File("/g".into()));
        assert_eq!(place(None, None, &both[..1]), Place::Url("memory:".into()));
        assert_eq!(place(None, None, &both[1..]), Place::File("/f".into()));
        assert_eq!(place(None, None, &[(URL_VARIABLE, "")]), Place::Embedded);
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
    fn every_scheme_of_a_store_is_known_and_keeps_its_parameters() {
        for url in ["redis://h", "rediss://h?ca=/x", "redis+unix:///s?db=1", "memory:"] {
            assert_eq!(place(Some(url), None, &[]), Place::Url(url.into()));
        }
    }

    #[test]
    fn several_urls_are_a_quorum() {
        let args = |urls: &[&str]| StoreArgs {
            store: urls.iter().map(ToString::to_string).collect(),
            store_file: None,
            store_timeout: std::time::Duration::from_secs(5),
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
        let secret = "quorum:redis://a redis://:s3cret@b redis://c";
        assert!(has_secret(secret) && !has_secret(url));
        assert_eq!(without_secret(secret), "quorum:redis://a redis://b redis://c");
    }

    #[test]
    fn a_secret_is_found_and_kept() {
        let url = "redis://ada:s3cret@host:6379/0";
        assert_eq!(secret_of(url), Some("ada:s3cret"));
        assert_eq!(secret_of("redis://:s3cret@host"), Some(":s3cret"));
        assert_eq!(secret_of("redis://host:6379/a@b:c"), None);
        let located = Located { url: url.into(), file: None, embedded: false };
        assert_eq!(located.identity(), "redis://host:6379/0");
        assert_eq!(located.environment(), [(URL_VARIABLE, None), (FILE_VARIABLE, None)]);
        let open = Located { url: "redis://host".into(), file: None, embedded: false };
        assert_eq!(open.environment()[0], (URL_VARIABLE, Some("redis://host".into())));
    }
}
