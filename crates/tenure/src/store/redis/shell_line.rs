//! Lines for a shell that change a server by hand, through `redis-cli`. They name the server as the
//! URL does, without its password, and nothing here runs them.

use crate::protocol::ForeignView;

use super::client::{Place, ServerUrl};

/// The longest value that a line compares with what is there.
const COMPARED_MAX: usize = 100;

/// The script that deletes a string unless it has changed.
const DELETE_SAME: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// The beginning of each line: the program, and the server that it talks to.
#[derive(Debug, Clone)]
pub(super) struct ShellLine(String);

impl ShellLine {
    pub(super) fn to(url: &ServerUrl) -> Self {
        let (before, server) = match &url.place {
            Place::Host { host, port } => (String::new(), at(host, *port)),
            Place::Socket(path) => {
                (String::new(), format!(" -s {}", quoted(&path.to_string_lossy())))
            }
            Place::Cluster { hosts } => {
                let (host, port) = hosts.first().map_or(("", 0), |(host, port)| (&**host, *port));
                (String::new(), format!(" -c{}", at(host, port)))
            }
            Place::Sentinels(sentinels) => {
                let (host, port) =
                    sentinels.hosts.first().map_or(("", 0), |(host, port)| (&**host, *port));
                let ask = format!("redis-cli{}", at(host, port));
                let service = quoted(&sentinels.service);
                let set = format!("set -- $({ask} SENTINEL GET-MASTER-ADDR-BY-NAME {service}); ");
                (set, " -h \"$1\" -p \"$2\"".into())
            }
        };
        let mut line = format!("{before}redis-cli{server}");
        if url.login.database != 0 {
            line += &format!(" -n {}", url.login.database);
        }
        if let Some(user) = &url.login.user {
            line += &format!(" --user {}", quoted(user));
        }
        if url.login.has_password() {
            line += " --askpass";
        }
        if let Some(tls) = &url.tls {
            line += " --tls";
            let files = [
                ("--cacert", tls.ca.as_ref()),
                ("--cert", tls.cert_and_key.as_ref().map(|(cert, _)| cert)),
                ("--key", tls.cert_and_key.as_ref().map(|(_, key)| key)),
            ];
            for (option, file) in files {
                let Some(file) = file else { continue };
                line += &format!(" {option} {}", quoted(&file.to_string_lossy()));
            }
        }
        Self(line)
    }

    /// The line that deletes a value, and no later one if this one is short enough to compare.
    pub(super) fn delete(&self, seen: &ForeignView) -> String {
        let (cli, name) = (&self.0, quoted(&seen.name));
        let is_typed = |text: &&str| {
            seen.is_whole && text.len() <= COMPARED_MAX && !text.chars().any(char::is_control)
        };
        let value = seen.value.as_deref().filter(is_typed).filter(|_| &*seen.kind == "string");
        match value {
            Some(value) => {
                format!("{cli} EVAL {} 1 {name} {}", in_double_quotes(DELETE_SAME), quoted(value))
            }
            None => format!("{cli} DEL {name}"),
        }
    }
}

fn at(host: &str, port: u16) -> String {
    format!(" -h {} -p {port}", quoted(host))
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A text with single quotes in it, and nothing that means more within double quotes.
fn in_double_quotes(text: &str) -> String {
    debug_assert!(!text.contains(['"', '$', '`', '\\', '!']), "{text}");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(url: &str, seen: &ForeignView) -> String {
        let (url, _) = ServerUrl::parse(url, &[]).unwrap_or_else(|e| panic!("{url}: {e}"));
        ShellLine::to(&url).delete(seen)
    }

    fn seen(name: &str, kind: &str, value: Option<&str>) -> ForeignView {
        let (name, kind) = (name.into(), kind.into());
        let (value, is_whole) = (value.map(Into::into), value.is_some());
        let remaining = Some(Duration::from_secs(1));
        ForeignView { name, kind, value, is_whole, remaining, delete: "".into() }
    }

    #[test]
    fn a_line_names_the_server_and_no_password() {
        let hash = seen("k", "hash", None);
        for (url, expected) in [
            ("redis://h", "redis-cli -h h -p 6379 DEL k"),
            ("redis://:s3cret@h:1/7", "redis-cli -h h -p 1 -n 7 --askpass DEL k"),
            ("valkey://ada:s3cret@h", "redis-cli -h h -p 6379 --user ada --askpass DEL k"),
            ("redis://h?password_file=/f", "redis-cli -h h -p 6379 --askpass DEL k"),
            ("rediss://h?ca=/a b", "redis-cli -h h -p 6379 --tls --cacert '/a b' DEL k"),
            ("redis+unix:///run/r.sock?db=2", "redis-cli -s /run/r.sock -n 2 DEL k"),
            ("redis+cluster://h1,h2", "redis-cli -c -h h1 -p 6379 DEL k"),
        ] {
            assert_eq!(line(url, &hash), expected);
        }
        let behind = line("redis+sentinel://:s3cret@s/main", &hash);
        assert!(behind.starts_with("set -- $(redis-cli -h s -p 26379 SENTINEL "), "{behind}");
        assert!(behind.ends_with("redis-cli -h \"$1\" -p \"$2\" --askpass DEL k"), "{behind}");
    }

    #[test]
    fn a_short_string_is_deleted_unless_it_has_changed() {
        let short = line("redis://h", &seen("it's", "string", Some("a b")));
        assert!(short.contains(" EVAL \"if redis.call('GET', KEYS[1]) == "), "{short}");
        assert!(short.ends_with(r"1 'it'\''s' 'a b'"), "{short}");
        let long = "x".repeat(COMPARED_MAX + 1);
        let begun = ForeignView { is_whole: false, ..seen("k", "string", Some("x")) };
        for odd in [seen("k", "string", Some("\u{1b}[2J")), seen("k", "string", Some(&long)), begun]
        {
            assert_eq!(line("redis://h", &odd), "redis-cli -h h -p 6379 DEL k");
        }
    }
}
