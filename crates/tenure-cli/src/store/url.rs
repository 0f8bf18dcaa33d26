//! The text of a store's URL: its password, and the place that it names. It connects to nothing and
//! looks up no name.

use tenure::StoreEntry;

/// A URL that names a user.
#[derive(Debug, Clone, Copy)]
struct WithUser<'a> {
    before: &'a str,
    /// The user, and behind a colon the password.
    login: &'a str,
    behind: &'a str,
}

impl<'a> WithUser<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let begin = url.find("://")? + 3;
        let rest = &url[begin..];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (login, _) = authority.rsplit_once('@')?;
        Some(Self { before: &url[..begin], login, behind: &rest[login.len() + 1..] })
    }
}

/// Whether a URL, or one of a quorum's, carries a password or something like it.
pub(super) fn has_secret(url: &str) -> bool {
    url.split(' ').filter_map(WithUser::of).any(|url| url.login.contains(':'))
}

/// Changes the URL, or each of a quorum's.
fn each(url: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let changed = url.split(' ').map(|node| change(node).unwrap_or_else(|| node.to_owned()));
    changed.collect::<Vec<_>>().join(" ")
}

/// The URL without user and password, and with each server in one spelling.
pub(super) fn identity(url: &str) -> String {
    each(&without_user(url), place_of)
}

/// The place of a server, however its URL is spelled. Another template of keys makes other locks;
/// no other parameter does.
fn place_of(url: &str) -> Option<String> {
    let (before, node) = url.strip_prefix("quorum:").map_or(("", url), |node| ("quorum:", node));
    let entry = StoreEntry::of(node).ok().filter(|entry| entry.scheme == "redis")?;
    let name = entry.name_of(node);
    let name = if name.contains("+unix:") { name.to_string() } else { name.to_ascii_lowercase() };
    let (_, parameters) = node.split_once('?').unwrap_or_default();
    let template = parameters.split('&').find(|parameter| parameter.starts_with("key_template="));
    let template = template.map(|template| format!("?{template}")).unwrap_or_default();
    Some(format!("{before}{name}{template}"))
}

fn without_user(url: &str) -> String {
    each(url, |node| WithUser::of(node).map(|url| format!("{}{}", url.before, url.behind)))
}

pub(super) fn without_password(url: &str) -> String {
    each(url, |node| {
        let WithUser { before, login, behind } = WithUser::of(node)?;
        let user = login.split_once(':').map_or(login, |(user, _)| user);
        let at = if user.is_empty() { "" } else { "@" };
        Some(format!("{before}{user}{at}{behind}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_the_same_whoever_logs_in() {
        for url in [
            "redis://ada:s3cret@host/0",
            "redis://ada@host/0",
            "valkey://host/0",
            "redis://host",
            "redis://HOST:6379/",
            "redis://host?db=0",
            "redis://host?connect_timeout=1s",
        ] {
            assert_eq!(identity(url), "redis://host:6379/0", "{url}");
        }
        for url in ["redis://host/1", "redis://host:6380", "redis://host?key_template=a:{name}"] {
            assert_ne!(identity(url), "redis://host:6379/0", "{url}");
        }
        let quorum = identity("quorum:redis://a redis://b/0 redis://C:6379 ?max_ttl=1m");
        let nodes = "quorum:redis://a:6379/0 redis://b:6379/0 redis://c:6379/0 ?max_ttl=1m";
        assert_eq!(quorum, nodes);
    }

    #[test]
    fn each_node_of_a_quorum_loses_its_password() {
        let secret = "quorum:redis://a redis://:s3cret@b redis://c";
        let open = "quorum:redis://a redis://b redis://c";
        assert!(has_secret(secret) && !has_secret(open));
        assert_eq!(without_user(secret), open);
        assert_eq!(without_password(secret), open);
    }
}
