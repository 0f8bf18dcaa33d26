//! Checks the spelling of a store's URL or path. It refuses text that would silently name another
//! store than the one that is meant.
//!
//! No message repeats a URL, which may carry a password.

use std::path::Path;

/// Refuses white space and invisible characters at the ends of `text`, and control characters
/// anywhere: they come from files with other line ends, from quotes and from copying. `what` names
/// the text in the message.
///
/// # Errors
/// The mistake, for people.
pub fn check(what: &str, text: &str) -> Result<(), String> {
    let is_odd = |c: &char| c.is_whitespace() || c.is_control() || is_invisible(*c);
    let (how, odd) = if let Some(odd) = text.chars().next_back().filter(is_odd) {
        ("ends with", odd)
    } else if let Some(odd) = text.chars().next().filter(is_odd) {
        ("begins with", odd)
    } else if let Some(odd) = text.chars().find(|c| c.is_control()) {
        ("has in it", odd)
    } else {
        return Ok(());
    };
    let name = match odd {
        ' ' => "a blank".to_owned(),
        '\n' => "a line break (\\n)".to_owned(),
        '\r' => "a carriage return (\\r), as in files from Windows".to_owned(),
        '\t' => "a tab (\\t)".to_owned(),
        other => format!("the invisible character U+{:04X}", u32::from(other)),
    };
    Err(format!("{what} {how} {name}: remove it"))
}

/// [`check`] for a URL. The URL of a quorum may have any white space between its nodes.
///
/// # Errors
/// The mistake, for people.
pub fn url(what: &str, url: &str) -> Result<(), String> {
    if url.starts_with("quorum:") && url.trim() == url {
        return url.split_whitespace().try_for_each(|node| check(what, node));
    }
    check(what, url)
}

/// Zero-width characters, marks of direction, the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}')
}

/// Refuses a path that is most likely a mistake for a file of the embedded store.
///
/// # Errors
/// The mistake, and the right spelling.
pub fn file(path: &Path) -> Result<(), String> {
    let text = path.to_string_lossy();
    check(&format!("the path {text:?}"), &text)?;
    if path.file_name().is_some_and(|name| name == ":memory:") {
        return Err(":memory: is no file: locks in this process's memory are named by the URL \
                    memory:"
            .to_owned());
    }
    if let Some(scheme) = scheme_of(&text) {
        return Err(format!(
            "the path begins with {scheme}: and looks like a URL: give the path alone, or a URL \
             where a URL is asked for; a file of that name is written ./{scheme}:…"
        ));
    }
    if text.starts_with("~/") {
        return Err(format!("{text:?} is not expanded here: write the home directory, or $HOME"));
    }
    if text.ends_with('/') {
        return Err(format!("{text:?} names a directory: name a file in it, {text}locks.db"));
    }
    Ok(())
}

/// The scheme of the URL that `path` looks like.
fn scheme_of(path: &str) -> Option<&str> {
    let (scheme, rest) = path.split_once(':')?;
    let is_word = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
    let is_url = rest.is_empty() || rest.starts_with('/') || matches!(scheme, "file" | "sqlite");
    (is_word && is_url).then_some(scheme)
}

/// The path behind `sqlite:`.
///
/// # Errors
/// The mistake, and the right spelling.
pub fn sqlite_path(behind_scheme: &str) -> Result<&str, String> {
    let bare = behind_scheme.trim_start_matches('/');
    if bare == ":memory:" {
        return Err("sqlite::memory: is no file: locks in this process's memory are named by the \
                    URL memory:"
            .to_owned());
    }
    let slashes = behind_scheme.len() - bare.len();
    // `sqlite:///x.db` is `/x.db` to some programs and `x.db` to others.
    if slashes == 2 || slashes > 2 && !bare.contains('/') {
        return Err(format!(
            "sqlite: takes a path without // before it: write sqlite:{bare} for a file in the \
             current directory, sqlite:/{bare} for one at the root"
        ));
    }
    file(Path::new(behind_scheme))?;
    Ok(behind_scheme)
}

/// The number of letters to insert, remove or replace (Levenshtein).
#[must_use]
pub fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_what_cannot_be_seen_is_refused_by_its_name() {
        for (text, says) in [
            ("sqlite:/x/n.db\r", "ends with a carriage return"),
            ("sqlite:/x/n.db\n", "ends with a line break"),
            ("sqlite:/x/n.db ", "ends with a blank"),
            ("sqlite:/x/n.db\u{a0}", "ends with the invisible character U+00A0"),
            ("sqlite:/x/n.db\u{200b}", "ends with the invisible character U+200B"),
            ("sqlite:/x/n.db\0", "ends with the invisible character U+0000"),
            ("\u{feff}sqlite:/x/n.db", "begins with the invisible character U+FEFF"),
            (" sqlite:/x/n.db", "begins with a blank"),
            ("redis://h\t:1", "has in it a tab"),
            ("redis://:pass\u{1b}word@h", "has in it the invisible character U+001B"),
        ] {
            let error = check("the URL", text).expect_err(text);
            assert!(error.starts_with("the URL ") && error.contains(says), "{error}");
            assert!(!error.contains("pass"), "{error}");
        }
        for text in ["sqlite:/a b/n.db", "redis://h", "sqlite:/é/📈.db", ""] {
            assert_eq!(check("the URL", text), Ok(()));
        }
        assert_eq!(url("the URL", "quorum:redis://a\n redis://b\tredis://c"), Ok(()));
        for text in ["quorum:redis://a redis://b ", "quorum:redis://a\u{1b} b", "redis://h "] {
            assert!(url("the URL", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_that_is_meant_otherwise_is_refused_with_the_right_spelling() {
        for (path, says) in [
            ("//rel.db", "sqlite:rel.db"),
            ("//localhost/x.db", "sqlite:/localhost/x.db"),
            ("///rel.db", "sqlite:/rel.db"),
            (":memory:", "URL memory:"),
            ("/:memory:", "URL memory:"),
            ("///:memory:", "URL memory:"),
            ("file:x.db", "give the path alone"),
            ("sqlite:/x.db", "give the path alone"),
            ("redis+unix:/x.sock", "give the path alone"),
            ("memory:", "give the path alone"),
            ("~/x.db", "$HOME"),
            ("/var/lib/", "/var/lib/locks.db"),
            ("/x.db ", "ends with a blank"),
            (" /x.db", "begins with a blank"),
        ] {
            let error = sqlite_path(path).expect_err(path);
            assert!(error.contains(says), "{path}: {error}");
        }
        for path in ["/x.db", "x.db", "./x:y.db", "///var/lib/x.db", "/a b?/x.db", "a:b.db"] {
            assert_eq!(sqlite_path(path), Ok(path));
        }
    }
}
