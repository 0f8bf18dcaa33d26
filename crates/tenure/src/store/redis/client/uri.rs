//! Splits a URL into its parts, as RFC 3986 has them, for the few forms that name a server. It
//! decodes nothing, and no message repeats the URL, which may carry a password.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// The parts as they were written. Those that are missing are empty.
pub(super) struct Uri<'a> {
    /// In lower case.
    pub(super) scheme: String,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    /// At least one, which may be empty.
    pub(super) hosts: Vec<Host<'a>>,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

/// A host as it was written. Several stand with commas between.
pub(super) struct Host<'a> {
    /// An address of IPv6 is without its brackets.
    pub(super) name: Cow<'a, str>,
    pub(super) port: Option<u16>,
}

impl<'a> Uri<'a> {
    pub(super) fn split(text: &'a str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once(':').ok_or("it has no scheme")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !is_scheme {
            return Err("it has no scheme");
        }
        if rest.contains('#') {
            return Err("it has a # in it");
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let (login, address) = match authority.rsplit_once('@') {
            Some((_, "")) => return Err("it has a user and no host"),
            Some(both) => both,
            None => ("", authority),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let hosts = address.split(',').map(Host::read).collect::<Result<_, _>>()?;
        Ok(Self { scheme: scheme.to_ascii_lowercase(), user, password, hosts, path, query })
    }
}

impl<'a> Host<'a> {
    fn read(address: &'a str) -> Result<Self, &'static str> {
        let (name, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']').ok_or("a bracket is not closed")?;
                let name: Ipv6Addr = name.parse().map_err(|_| "the address in [] is no IPv6")?;
                (Cow::Owned(name.to_string()), port)
            }
            None => {
                let (name, port) = address.split_at(address.find(':').unwrap_or(address.len()));
                (Cow::Borrowed(name), port)
            }
        };
        if name.contains([' ', '<', '>', '[', '\\', ']', '^', '|']) {
            return Err("the host has a character in it that none has");
        }
        let port = match port.strip_prefix(':') {
            Some(_) if name.is_empty() => return Err("it has a port and no host"),
            Some("") => None,
            Some(digits) if !digits.bytes().all(|b| b.is_ascii_digit()) => {
                return Err("the port is no number");
            }
            Some(digits) => Some(digits.parse().map_err(|_| "the port is above 65535")?),
            None if port.is_empty() => None,
            None => return Err("something other than a port stands behind the host"),
        };
        Ok(Self { name, port })
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        percent_decode_str(text).collect()
    }

    fn names<'a>(hosts: &'a [Host<'_>]) -> Vec<(&'a str, Option<u16>)> {
        hosts.iter().map(|host| (&*host.name, host.port)).collect()
    }

    fn is_refused(text: &str) -> bool {
        Uri::split(text).is_err()
    }

    #[test]
    fn the_forms_that_name_a_server_are_split() {
        let text = "redis+unix://us:er@x:p@ss@[::1]:6400/a/b?x=1&y=?/@:";
        let Uri { scheme, user, password, hosts, path, query } =
            Uri::split(text).expect("a good URL");
        assert_eq!((&*scheme, user, password), ("redis+unix", "us", "er@x:p@ss"));
        assert_eq!((names(&hosts), path), (vec![("::1", Some(6400))], "/a/b"));
        assert_eq!(query, "x=1&y=?/@:");
        let socket = Uri::split("REDIS+unix:/run/r.sock").expect("a good URL");
        assert_eq!(
            (&*socket.scheme, names(&socket.hosts), socket.path),
            ("redis+unix", vec![("", None)], "/run/r.sock")
        );
        for text in [
            "",
            "host",
            "://host",
            "1redis://host",
            "redis://host#x",
            "redis://user@",
            "redis://[::1",
            "redis://[::g]",
            "redis://[::1]x",
            "redis://a b",
            "redis://host:x",
            "redis://host:+1",
            "redis://host:65536",
            "redis://host:1:2",
            "redis://:1",
            "redis://a,:1",
            "redis://a:1,b:x",
            "redis://a,[::1",
        ] {
            assert!(is_refused(text), "{text}");
        }
    }

    #[test]
    fn several_hosts_stand_between_commas() {
        let uri = Uri::split("redis+cluster://a,b:p,w@h1:1,[::2]:3,h4/x").expect("a good URL");
        assert_eq!((uri.user, uri.password), ("a,b", "p,w"));
        assert_eq!(names(&uri.hosts), [("h1", Some(1)), ("::2", Some(3)), ("h4", None)]);
        let uri = Uri::split("redis+cluster://h1,").expect("an empty name is read");
        assert_eq!(names(&uri.hosts), [("h1", None), ("", None)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_024))]

        /// The same as a parser of the WHATWG standard finds, apart from `..` in
        /// paths: that one removes them, and here they are the system's affair.
        #[test]
        fn a_url_is_split_as_others_split_it(
            scheme in "redis|rediss|valkey|REDIS|redis[+]unix",
            slashes in prop_oneof![9 => Just("//"), 1 => Just("/"), 1 => Just("")],
            login in prop_oneof![
                Just(String::new()),
                "[a-z%é@:+!$&'*;=\"<>|]{0,6}@",
                "[a-z]{0,3}:[a-zA-Z0-9%é@:]{0,6}@",
                "(%[0-9A-Fa-f]{2}){0,3}@",
            ],
            host in prop_oneof![
                4 => "[a-zA-Z0-9.-]{0,9}",
                1 => "[a-z%é _~<^|\\\\]{0,4}",
                1 => "\\[[0-9a-f:.]{0,12}\\]",
                1 => "\\[(::1|::|fe80::1|1:2:3:4:5:6:7:8|::ffff:1[.]2[.]3[.]4|0::0:01)\\]?",
            ],
            port in prop_oneof![
                4 => Just(String::new()), 2 => ":[0-9]{0,6}", 1 => ":[0-9a-z+]{0,3}", 1 => "[0-9x]"
            ],
            path in "(/[a-zA-Z0-9%é +@:&=]{0,5}){0,3}",
            query in "(\\?[a-z_]{0,4}(=[a-zA-Z0-9%é/+:@? \"'<>]{0,6})?(&[a-z=]{0,5}){0,2})?",
            fragment in prop_oneof![20 => Just(""), 1 => Just("#x")],
        ) {
            let text = [&*scheme, ":", slashes, &login, &host, &port, &path, &query, fragment];
            let text = text.concat();
            // White space at the end is refused before anything is split, and a user without a host
            // names nothing either way.
            if text.trim() != text || (login.ends_with('@') && host.is_empty()) {
                return Ok(());
            }
            let theirs = url::Url::parse(&text).ok().filter(|url| url.fragment().is_none());
            let ours = Uri::split(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_some(), "{:?} {:?}", text, ours.err());
            let (Ok(ours), Some(theirs)) = (Uri::split(&text), theirs) else { return Ok(()) };
            prop_assert_eq!(&*ours.scheme, theirs.scheme());
            prop_assert_eq!(decoded(ours.user), decoded(theirs.username()));
            prop_assert_eq!(decoded(ours.password), decoded(theirs.password().unwrap_or_default()));
            let Ok([host]) = <[Host<'_>; 1]>::try_from(ours.hosts) else {
                panic!("{text:?} has one host");
            };
            match theirs.host() {
                Some(url::Host::Ipv6(address)) => {
                    prop_assert_eq!(&*host.name, address.to_string());
                }
                theirs => {
                    let theirs = theirs.map(|host| host.to_string()).unwrap_or_default();
                    prop_assert_eq!(decoded(&host.name), decoded(&theirs));
                }
            }
            prop_assert_eq!(host.port, theirs.port());
            let is_dots = |part| matches!(&*decoded(part), b"." | b"..");
            if !ours.path.split('/').any(is_dots) {
                prop_assert_eq!(decoded(ours.path), decoded(theirs.path()));
            }
            prop_assert_eq!(decoded(ours.query), decoded(theirs.query().unwrap_or_default()));
        }

        /// Each host of several is read as it is read alone, behind any user and password.
        #[test]
        fn each_of_several_hosts_is_read_as_if_it_were_alone(
            login in prop_oneof![
                Just(String::new()),
                "[a-z%,:+!]{0,6}@",
                "[a-z]{0,3}:[a-z,%@:]{0,6}@",
            ],
            hosts in proptest::collection::vec(
                "([a-z0-9.-]{1,6}|\\[(::1|fe80::1|1:2:3:4:5:6:7:8)\\])(:[1-9][0-9]{0,3})?", 1..5),
        ) {
            let text = format!("redis+sentinel://{login}{}/main", hosts.join(","));
            let ours = Uri::split(&text).expect("a good URL");
            prop_assert_eq!(ours.path, "/main");
            let (user, password) = login.strip_suffix('@').map_or(("", ""), |login| {
                login.split_once(':').unwrap_or((login, ""))
            });
            prop_assert_eq!((ours.user, ours.password), (user, password));
            prop_assert_eq!(ours.hosts.len(), hosts.len());
            for (ours, text) in ours.hosts.iter().zip(&hosts) {
                let text = format!("redis://{text}");
                let alone = Uri::split(&text).expect("a good URL").hosts.remove(0);
                prop_assert_eq!((&*ours.name, ours.port), (&*alone.name, alone.port));
            }
        }
    }
}
