//! The right spelling for URLs that are written as other programs write them, or by mistake. A hint
//! never repeats the given text, which may carry a password.

/// The hint for text that looks like the address of a server.
const SERVER: &str = "a server is written as redis://HOST:6379";

/// The right spelling for a URL with an unknown scheme, if it can be guessed.
pub(super) fn hint(url: &str, is_known: impl Fn(&str) -> bool) -> Option<&'static str> {
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
            "a cluster cannot be used: name one server, as redis://HOST:6379, or independent \
             ones, as quorum:redis://A redis://B redis://C",
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
        let known = |scheme: &str| ["redis", "rediss", "sqlite"].contains(&scheme);
        for (url, words) in [
            ("unix:///run/redis.sock", "redis+unix:///"),
            ("redis-socket:///run/redis.sock", "redis+unix:///"),
            ("redis-sentinel://h:26379", "redis+sentinel://HOST,HOST,HOST/SERVICE"),
            ("rediss-sentinel://h:26379", "rediss+sentinel:// for TLS"),
            ("sentinel://h", "redis+sentinel://HOST,HOST,HOST/SERVICE"),
            ("redis+cluster://h", "quorum:"),
            ("redis-cluster://h", "quorum:"),
            ("rediss+cluster://h", "quorum:"),
            ("redis+tls://h", "rediss://"),
            ("http://h:6379", "web server"),
            ("https://h", "web server"),
            ("tcp://h:6379", "redis://HOST"),
            ("REDIS://h", "small letters"),
            ("Sqlite:x", "small letters"),
            ("localhost", "redis://HOST"),
            ("cache.internal", "redis://HOST"),
            ("localhost:6379", "redis://HOST"),
            ("10.0.0.1:6379/2", "redis://HOST"),
            ("[::1]:6379", "redis://HOST"),
            ("::1", "redis://HOST"),
            ("fe80::1%2", "redis://HOST"),
            ("bob:secret@host:6379", "USER:PASSWORD"),
            ("secret@host:6379", "USER:PASSWORD"),
            ("locks.db", "sqlite:PATH"),
            ("/var/lib/locks", "sqlite:PATH"),
            ("./x:y", ""),
            ("file:///x", "sqlite:PATH"),
            ("nosuch:thing", ""),
            ("nosuch://joe:secret@host/0", ""),
        ] {
            let hint = hint(url, known);
            assert_eq!(hint.is_some(), !words.is_empty(), "{url}: {hint:?}");
            assert!(hint.unwrap_or_default().contains(words), "{url}: {hint:?}");
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
