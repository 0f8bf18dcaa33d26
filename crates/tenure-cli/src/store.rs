//! The store that was chosen: a URL, a file, or the embedded one. No secret of a URL leaves this
//! module but in the URL itself.

mod located;
mod network;
mod option;
mod origin;
mod place;
mod url;

use std::ffi::OsString;
use std::path::PathBuf;

use tenure::{DefaultStore, Error};

use crate::args::StoreArgs;
use crate::exit::{Exit, Refusal};
use crate::output::Output;
use crate::variables::{self, FILE, URL};

pub(crate) use located::Located;
pub(crate) use option::typed;
use origin::Origin;
use place::{Place, not_text, of_file, of_nodes, of_url};

/// The chosen store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    place: Place,
    origin: Origin,
    /// The URL stands on the command line and carries a password.
    exposed: bool,
    /// Other hosts must be able to reach the store.
    for_all_hosts: bool,
    /// A message about a variable that may have been meant.
    hint: Option<String>,
    /// The options that name it; see [`typed`].
    option: String,
}

impl Choice {
    /// The command line goes before the environment.
    pub(crate) fn of(
        args: &StoreArgs,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Refusal> {
        let by_variable = DefaultStore::requires_network(&env).map_err(|e| of_environment(&e))?;
        let mut hint = None;
        let (place, origin) = match (&args.store[..], &args.store_file) {
            ([url], _) => (of_url(url, "--store")?, Origin::Typed),
            ([_, _, ..], _) => (of_nodes(&args.store, "--store")?, Origin::Typed),
            ([], Some(file)) => (of_file(file, "--store-file")?, Origin::TypedFile),
            ([], None) => {
                let store = DefaultStore::find(env).map_err(|e| of_environment(&e))?;
                hint = store.hint();
                match store {
                    DefaultStore::Url(url) => (of_url(&url, URL)?, Origin::Url),
                    DefaultStore::File(file) => (of_file(&file, FILE)?, Origin::File),
                    DefaultStore::Embedded { .. } => (Place::Embedded, Origin::Default),
                }
            }
        };
        let typed = origin.is_typed();
        let for_all_hosts = args.require_network || by_variable;
        if for_all_hosts {
            network::check(&place, typed, args.require_network, hint.as_deref())?;
        }
        let exposed = typed && matches!(&place, Place::Url(text) if url::has_secret(text));
        Ok(Self { place, origin, exposed, for_all_hosts, hint, option: option::typed(args) })
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
        let Self { place, origin, exposed, for_all_hosts, hint, option } = self;
        let embedded = place == Place::Embedded;
        let in_file = |file: PathBuf| {
            let url = file.to_str().map(|path| format!("sqlite:{path}"));
            let url = url.ok_or_else(|| not_text("the path of the store's file"))?;
            Ok((url, Some(file)))
        };
        let (url, file) = match place {
            Place::Url(url) => (url, None),
            Place::File(file) => in_file(file)?,
            Place::Embedded => in_file(embedded_file().map_err(|e| {
                let e = origin.name_in(hint.iter().fold(e, |e, hint| e.with_note(hint)));
                Refusal { exit: Exit::of_error(&e), message: e.to_string() }
            })?)?,
        };
        Ok(Located { url, origin, exposed, for_all_hosts, file, embedded, hint, option })
    }
}

/// A wrong variable is a wrong store: both are the configuration.
fn of_environment(error: &Error) -> Refusal {
    Refusal { exit: Exit::of_error(error), message: error.message().to_owned() }
}

#[cfg(test)]
mod tests;
