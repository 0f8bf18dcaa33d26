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

/// The parameter with the password for Sentinels.
const SENTINEL_PASSWORD: &str = "sentinel_password=";

/// The parameters of a URL that are no secrets; `None`: it has no others.
fn open_parameters(url: &str) -> Option<String> {
    let (place, parameters) = url.split_once('?')?;
    let all = || parameters.split('&');
    all().find(|parameter| parameter.starts_with(SENTINEL_PASSWORD))?;
    let open: Vec<_> = all().filter(|p| !p.starts_with(SENTINEL_PASSWORD)).collect();
    let mark = if open.is_empty() { "" } else { "?" };
    Some(format!("{place}{mark}{}", open.join("&")))
}

/// Whether a URL, or one of a quorum's, carries a password or something like it.
pub(super) fn has_secret(url: &str) -> bool {
    let in_login = |url| WithUser::of(url).is_some_and(|url| url.login.contains(':'));
    url.split(' ').any(|url| in_login(url) || open_parameters(url).is_some())
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

/// The place of a server or of servers, however its URL is spelled. Another template of keys makes
/// other locks; no other parameter does.
fn place_of(url: &str) -> Option<String> {
    let (before, node) = url.strip_prefix("quorum:").map_or(("", url), |node| ("quorum:", node));
    let entry = StoreEntry::of(node).ok().filter(|entry| entry.scheme.starts_with("redis"))?;
    let name = entry.name_of(node);
    let name = if name.contains("+unix:") { name.to_string() } else { in_small_letters(&name) };
    let (_, parameters) = node.split_once('?').unwrap_or_default();
    let template = parameters.split('&').find(|parameter| parameter.starts_with("key_template="));
    let template = template.map(|template| format!("?{template}")).unwrap_or_default();
    Some(format!("{before}{name}{template}"))
}

/// The name of a store with its hosts in small letters. Behind the hosts stands the name of a
/// service, which is another one in other letters.
fn in_small_letters(name: &str) -> String {
    let (before, rest) = name.split_once("://").unwrap_or(("", name));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let gap = if path.is_empty() { "" } else { "/" };
    format!("{before}://{}{gap}{path}", hosts.to_ascii_lowercase())
}

fn without_user(url: &str) -> String {
    each(url, |node| WithUser::of(node).map(|url| format!("{}{}", url.before, url.behind)))
}

pub(super) fn without_password(url: &str) -> String {
    let url = each(url, open_parameters);
    each(&url, |node| {
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
    fn servers_behind_sentinels_are_the_same_however_they_are_spelled() {
        let place = "redis+sentinel://a:26379,b:26379/Main/0";
        for url in [
            "redis+sentinel://a,b/Main",
            "valkey+sentinel://B,A:26379/Main/0?connect_timeout=1s",
            "redis+sentinel://ada:s3cret@b,a/Main?sentinel_user=x&sentinel_password=s3cret",
        ] {
            assert_eq!(identity(url), place, "{url}");
        }
        for url in ["redis+sentinel://a,b/main", "redis+sentinel://a,b/Main/1"] {
            assert_ne!(identity(url), place, "{url}");
        }
    }

    #[test]
    fn the_password_for_sentinels_is_a_secret_too() {
        for (secret, open) in [
            ("redis+sentinel://a,b/m?sentinel_password=s3cret", "redis+sentinel://a,b/m"),
            (
                "redis+sentinel://ada:s3cret@a/m?db=1&sentinel_password=s3cret&sentinel_user=x",
                "redis+sentinel://ada@a/m?db=1&sentinel_user=x",
            ),
        ] {
            assert!(has_secret(secret) && !has_secret(open));
            assert_eq!(without_password(secret), open);
        }
        assert!(!has_secret("redis+sentinel://a/m?sentinel_password_file=/f"));
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
