//! The right spelling for URLs that are written as other programs write them, or by mistake. A hint
//! repeats the given text only where it is the address of a host or a path, and never a part of it
//! that may be a password.

use std::net::IpAddr;

use crate::store::spelling;

/// The hint for text that looks like the address of a server.
const SERVER: &str = "a server is written as redis://HOST:6379";

/// The most letters of a scheme that are wrong, missing or too many for a guess.
const NEAR: usize = 2;

/// The right spelling for a URL with an unknown scheme, if it can be guessed.
pub(super) fn hint(url: &str, known: &[&'static str]) -> Option<String> {
    let is_known = |scheme: &str| known.contains(&scheme);
    let ask = |meant| format!("did you mean {meant}?");
    let meant = meant(url, is_known).map(ask);
    let rule = || rule(url, is_known).map(str::to_owned);
    meant.or_else(rule).or_else(|| near(url, known).map(ask))
}

/// The store that was surely meant, as it is written.
fn meant(url: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    if url.contains(['@', '?', '#']) || url.contains(char::is_whitespace) {
        return None;
    }
    if is_path(url) {
        return Some(format!("sqlite:{url}"));
    }
    if let Ok(IpAddr::V6(address)) = url.parse() {
        return Some(format!("redis://[{address}]:6379"));
    }
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    if rest.starts_with("//") {
        let scheme = scheme_of_server(&scheme.to_ascii_lowercase(), is_known)?;
        return address(rest).map(|address| format!("{scheme}://{address}"));
    }
    let is_bare = scheme == url && (scheme == "localhost" || scheme.contains('.'));
    if is_bare && is_name(scheme) && !scheme.ends_with('.') {
        return Some(format!("redis://{scheme}:6379"));
    }
    (is_name(scheme) && is_port(rest)).then(|| format!("redis://{url}"))
}

/// The URL with the known scheme that is spelled nearly as this one.
fn near(url: &str, known: &[&'static str]) -> Option<String> {
    let (scheme, rest) = url.split_once(':').filter(|(scheme, rest)| is_scheme(scheme, rest))?;
    let small = scheme.to_ascii_lowercase();
    let all = known.iter().map(|known| (spelling::distance(&small, known), *known));
    let (_, near) = all.min().filter(|(distance, _)| *distance <= NEAR)?;
    let is_open = !rest.contains(['@', '?', '#']) && !rest.contains(char::is_whitespace);
    Some(match near {
        "memory" => "memory:".to_owned(),
        "sqlite" if is_open && !rest.is_empty() => format!("sqlite:{rest}"),
        "sqlite" | "quorum" => format!("{near}:…"),
        _ => format!("{near}://{}", address(rest).unwrap_or("…")),
    })
}

/// The host behind `//`, perhaps with a port and a database.
fn address(rest: &str) -> Option<&str> {
    let address = rest.strip_prefix("//")?.trim_end_matches('/');
    let (host, port) = address.split_once(':').unwrap_or((address, ""));
    (is_name(host) && (port.is_empty() || is_port(port))).then_some(address)
}

/// The scheme of one server that another, in small letters, stands for.
fn scheme_of_server(small: &str, is_known: impl Fn(&str) -> bool) -> Option<&'static str> {
    match small {
        "redis" | "valkey" if is_known(small) => Some("redis"),
        "rediss" | "valkeys" if is_known(small) => Some("rediss"),
        "http" | "https" | "tcp" | "redis+tcp" | "valkey+tcp" => Some("redis"),
        "redis+tls" | "redis+ssl" | "valkey+tls" | "valkey+ssl" | "tls" | "ssl" => Some("rediss"),
        _ => None,
    }
}

fn is_path(text: &str) -> bool {
    let is_file = [".db", ".sqlite", ".sqlite3"].iter().any(|end| text.ends_with(end));
    let is_named = text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
    !text.contains(':') && !text.starts_with('~') && (is_named || is_file)
}

/// Whether `text` can be the name or the IPv4 address of a host.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('[') && is_host(text)
}

/// Whether `text` is a port, perhaps with a database behind it.
fn is_port(text: &str) -> bool {
    let (port, database) = text.split_once('/').unwrap_or((text, "0"));
    let is_number = !database.is_empty() && database.bytes().all(|b| b.is_ascii_digit());
    port.parse::<u16>().is_ok() && is_number
}

/// The rule by which such a store is written, without a word of the given text.
fn rule(url: &str, is_known: impl Fn(&str) -> bool) -> Option<&'static str> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return without_scheme(url);
    };
    let small = scheme.to_ascii_lowercase();
    if is_known(&small) {
        return Some("what stands before the colon is written in small letters");
    }
    if small.contains("sentinel") {
        return Some(
            "Sentinels are written as redis+sentinel://HOST,HOST,HOST/SERVICE, or \
             rediss+sentinel:// for TLS",
        );
    }
    if small.contains("cluster") {
        return Some(
            "a cluster is written as redis+cluster://HOST,HOST,HOST, or rediss+cluster:// for TLS",
        );
    }
    if small.contains("unix") || small.contains("socket") {
        return Some("a server's socket is written as redis+unix:///PATH/redis.sock");
    }
    match &*small {
        "redis+tls" | "redis+ssl" | "valkey+tls" | "valkey+ssl" | "tls" | "ssl" => {
            Some("a server with TLS is written as rediss://HOST:6379")
        }
        "http" | "https" => Some("that is a web server; a Redis is written as redis://HOST:6379"),
        "tcp" | "redis+tcp" | "valkey+tcp" => Some(SERVER),
        "file" | "path" | "sqlite3" => Some("a file is written as sqlite:PATH"),
        _ if is_host(scheme) && is_behind_host(rest) => Some(SERVER),
        _ if scheme.contains('@') || !rest.starts_with("//") && rest.contains('@') => Some(
            "a server with a user is written as redis://USER:PASSWORD@HOST:6379, with @ / ? # % \
             in user and password as %40 %2F %3F %23 %25",
        ),
        _ => None,
    }
}

fn without_scheme(text: &str) -> Option<&'static str> {
    if text.contains('/') || text.ends_with(".db") || text.ends_with(".sqlite") {
        return Some("a file is written as sqlite:PATH");
    }
    is_host(text).then_some("a server is written as redis://HOST:6379, a file as sqlite:PATH")
}

/// Whether `text` is the name or address of a host, or the part of an IPv6 address before its first
/// colon.
fn is_host(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'['))
}

/// Whether `text` is a port, perhaps with a database behind it, or the rest of an IPv6 address.
fn is_behind_host(text: &str) -> bool {
    let (port, database) = text.split_once('/').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_address = port.contains(':')
        && port.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b']' | b'.' | b'%'));
    (is_digits(port) || is_address) && is_digits(database)
}

/// Whether a message may repeat `scheme`: it is a scheme, and cannot be part of a password.
pub(super) fn is_scheme(scheme: &str, rest: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let is_one = !scheme.is_empty() && scheme.len() <= 20 && scheme.bytes().all(is_word);
    is_one && (rest.starts_with("//") || !rest.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_word_is_found_for_what_others_write() {
        let known = ["memory", "quorum", "redis", "rediss", "redis+sentinel", "sqlite", "valkey"];
        for (url, words) in [
            ("unix:///run/redis.sock", "redis+unix:///"),
            ("redis-socket:///run/redis.sock", "redis+unix:///"),
            ("redis-sentinel://h:26379", "redis+sentinel://HOST,HOST,HOST/SERVICE"),
            ("rediss-sentinel://h:26379", "rediss+sentinel:// for TLS"),
            ("sentinel://h", "redis+sentinel://HOST,HOST,HOST/SERVICE"),
            ("redis-cluster://h", "redis+cluster://HOST"),
            ("cluster://h", "redis+cluster://HOST"),
            ("redis+tls://h", "did you mean rediss://h?"),
            ("http://h:6379", "did you mean redis://h:6379?"),
            ("https://h/", "did you mean redis://h?"),
            ("https://ada:secret@h", "web server"),
            ("https://h/secret", "web server"),
            ("tcp://h:6379", "did you mean redis://h:6379?"),
            ("REDIS://h", "did you mean redis://h?"),
            ("REDIS://:secret@h", "small letters"),
            ("Sqlite:x", "small letters"),
            ("localhost", "did you mean redis://localhost:6379?"),
            ("cache.internal", "did you mean redis://cache.internal:6379?"),
            ("cache", "redis://HOST"),
            ("localhost:6379", "did you mean redis://localhost:6379?"),
            ("10.0.0.1", "did you mean redis://10.0.0.1:6379?"),
            ("localhost:99999", "redis://HOST"),
            ("10.0.0.1:6379/2", "did you mean redis://10.0.0.1:6379/2?"),
            ("[::1]:6379", "redis://HOST"),
            ("::1", "did you mean redis://[::1]:6379?"),
            ("fe80::1%2", "redis://HOST"),
            ("bob:secret@host:6379", "USER:PASSWORD"),
            ("secret@host:6379", "USER:PASSWORD"),
            ("locks.db", "did you mean sqlite:locks.db?"),
            ("/var/lib/locks", "did you mean sqlite:/var/lib/locks?"),
            ("sec/ret", "sqlite:PATH"),
            ("./x:y", ""),
            ("file:///x", "sqlite:PATH"),
            ("reddis://h", "did you mean redis://h?"),
            ("redi://", "did you mean redis://…?"),
            ("redi://:secret@h", "did you mean redis://…?"),
            ("redi://h?sentinel_password=secret", "did you mean redis://…?"),
            ("Reddis://h:6379/2", "did you mean redis://h:6379/2?"),
            ("redisss://h", "did you mean rediss://h?"),
            ("redis+sentinle://s1", "did you mean redis+sentinel://s1?"),
            ("valky://h:1", "did you mean valkey://h:1?"),
            ("sqlit:x", "did you mean sqlite:x?"),
            ("sqlit:", "did you mean sqlite:…?"),
            ("slqite:/a b/secret", "did you mean sqlite:…?"),
            ("memori:", "did you mean memory:?"),
            ("quorom:redis://a redis://b", "did you mean quorum:…?"),
            ("nats://h", ""),
            ("nosuch:thing", ""),
            ("nosuch://joe:secret@host/0", ""),
        ] {
            let hint = hint(url, &known);
            assert_eq!(hint.is_some(), !words.is_empty(), "{url}: {hint:?}");
            let hint = hint.unwrap_or_default();
            assert!(hint.contains(words) && !hint.contains("secret"), "{url}: {hint}");
        }
    }

    #[test]
    fn what_may_be_a_password_is_no_scheme() {
        for (scheme, rest) in [
            ("secret@host", "6379"),
            ("secret", "word@host"),
            ("", "secret"),
            ("s/ecret", "x"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaa", "x"),
        ] {
            assert!(!is_scheme(scheme, rest), "{scheme}:{rest}");
        }
        assert!(is_scheme("nosuch", "//u:p@h") && is_scheme("redis+x", "thing"));
    }
}
