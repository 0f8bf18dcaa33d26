//! A store as it was named: a URL, a file, or none. It opens nothing.

use std::path::{Path, PathBuf};

use tenure::store::spelling;

use crate::exit::Refusal;

/// A store as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Url(String),
    File(PathBuf),
    Embedded,
}

pub(super) fn of_url(url: &str, from: &str) -> Result<Place, Refusal> {
    if !url.is_empty() {
        spelling::url(from, url).map_err(Refusal::config)?;
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
        Refusal::config(format!("{from}{what}: {}{option}", error.message()))
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
        return Err(Refusal::config(format!("{from}: the unknown parameter {name:?}; {hint}")));
    }
    let path = spelling::sqlite_path(rest);
    of_file(Path::new(path.map_err(|e| Refusal::config(format!("{from}: {e}")))?), from)
}

/// A quorum of the stores behind several URLs, and perhaps its parameters behind them.
pub(super) fn of_nodes(nodes: &[String], from: &str) -> Result<Place, Refusal> {
    let mut url = "quorum:".to_owned();
    for node in nodes {
        if node.contains(char::is_whitespace) {
            let message = format!("{from}: the URL of a quorum's node cannot have spaces in it");
            return Err(Refusal::config(message));
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
pub(super) fn of_file(path: &Path, from: &str) -> Result<Place, Refusal> {
    if path.as_os_str().is_empty() {
        return Err(Refusal::config(format!("{from} names no file; write a path")));
    }
    if path.to_str().is_none() {
        return Err(not_text(from));
    }
    spelling::file(path).map_err(|e| Refusal::config(format!("{from}: {e}")))?;
    let full = std::path::absolute(path);
    full.map(Place::File).map_err(|e| Refusal::config(format!("{from}: {e}")))
}

pub(super) fn not_text(what: &str) -> Refusal {
    Refusal::config(format!("{what} is not valid UTF-8"))
}
