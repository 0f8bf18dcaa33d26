//! The store that is chosen, by the command line and the environment.

use tenure::store::Reach;

use super::*;
use crate::variables::{REQUIRE_NETWORK, WITHHELD};

fn choose(url: Option<&str>, file: Option<&str>, env: &[(&str, &str)]) -> Result<Choice, Refusal> {
    let args = StoreArgs {
        store: url.map(Into::into).into_iter().collect(),
        store_file: file.map(Into::into),
        store_timeout: std::time::Duration::from_secs(5),
        require_network: false,
    };
    Choice::of(&args, |name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
}

fn place(url: Option<&str>, file: Option<&str>, env: &[(&str, &str)]) -> Place {
    choose(url, file, env).unwrap_or_else(|e| panic!("{e:?}")).place
}

#[test]
fn the_command_line_goes_before_the_environment() {
    let both = [(URL, "memory:"), (FILE, "/f")];
    assert_eq!(place(None, Some("/g"), &both), Place::File("/g".into()));
    assert_eq!(place(Some("memory:"), None, &both[1..]), Place::Url("memory:".into()));
    assert_eq!(place(Some("sqlite:/g"), None, &[]), Place::File("/g".into()));
    assert_eq!(place(None, None, &both[..1]), Place::Url("memory:".into()));
    assert_eq!(place(None, None, &both[1..]), Place::File("/f".into()));
    assert_eq!(place(None, None, &[]), Place::Embedded);
    assert_eq!(place(None, Some("/g"), &[(URL, "")]), Place::File("/g".into()));
    assert!(choose(None, None, &both).is_err());
}

#[test]
fn what_is_no_store_is_refused() {
    for url in ["", "locks", "nosql:x", "sqlite:", "sqlite:/f?mode=ro"] {
        let refusal = choose(Some(url), None, &[]).err().unwrap_or_else(|| panic!("{url}"));
        assert_eq!(refusal.exit, Exit::CONFIG, "{url}: {refusal:?}");
    }
    assert!(choose(None, Some(""), &[]).is_err());
}

#[test]
fn what_would_name_another_store_in_silence_is_refused() {
    for (value, says) in [
        ("sqlite:/x/n.db\r", "ends with a carriage return"),
        ("sqlite:/x/n.db ", "ends with a blank"),
        ("redis://h:6379\n", "ends with a line break"),
        ("quorum:redis://a redis://b redis://c\n", "ends with a line break"),
        ("sqlite://rel.db", "sqlite:rel.db"),
        ("sqlite::memory:", "URL memory:"),
        ("sqlite:file:/x.db", "give the path alone"),
    ] {
        for (choice, from) in [
            (choose(Some(value), None, &[]), "--store"),
            (choose(None, None, &[(URL, value)]), URL),
        ] {
            let refusal = choice.err().unwrap_or_else(|| panic!("{value:?}"));
            assert_eq!(refusal.exit, Exit::CONFIG, "{refusal:?}");
            let message = refusal.message;
            assert!(message.contains(says) && message.contains(from), "{value:?}: {message}");
        }
    }
    for (path, says) in [
        ("/x/n.db\n", "ends with a line break"),
        (":memory:", "URL memory:"),
        ("sqlite:/x/n.db", "give the path alone"),
        ("~/n.db", "$HOME"),
    ] {
        for choice in [choose(None, Some(path), &[]), choose(None, None, &[(FILE, path)])] {
            let refusal = choice.err().unwrap_or_else(|| panic!("{path:?}"));
            assert_eq!(refusal.exit, Exit::CONFIG, "{refusal:?}");
            assert!(refusal.message.contains(says), "{path:?}: {refusal:?}");
        }
    }
}

#[test]
fn every_scheme_of_a_store_is_known_and_keeps_its_parameters() {
    for url in ["redis://h", "rediss://h?ca=/x", "redis+unix:///s?db=1", "valkey://h", "memory:"] {
        assert_eq!(place(Some(url), None, &[]), Place::Url(url.into()));
    }
}

#[test]
fn several_urls_are_a_quorum() {
    let args = |urls: &[&str]| StoreArgs {
        store: urls.iter().map(ToString::to_string).collect(),
        store_file: None,
        store_timeout: std::time::Duration::from_secs(5),
        require_network: false,
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
}

/// The variables of CMD that name the store: its URL, and the one without the password.
fn told(url: Option<&str>, env: &[(&str, &str)]) -> (Option<OsString>, Option<OsString>) {
    let located = choose(url, None, env).and_then(Choice::located);
    let [url, file, withheld, rule] = located.expect("a store").environment();
    assert_eq!(rule, (REQUIRE_NETWORK, None));
    assert_eq!((url.0, withheld.0), (URL, WITHHELD));
    assert_eq!(file, (FILE, None));
    (url.1, withheld.1)
}

#[test]
fn a_password_is_passed_on_only_where_it_was_before() {
    let text = |text: &str| Some(OsString::from(text));
    for (typed, passed) in [
        ("redis://ada:s3cret@host:6379/0", "redis://ada@host:6379/0"),
        ("redis://:s3c:r@t@host?db=1", "redis://host?db=1"),
        ("redis+unix://ada:s3cret@localhost/s@t:x", "redis+unix://ada@localhost/s@t:x"),
        ("redis+sentinel://a,b/m?sentinel_password=s3cret", "redis+sentinel://a,b/m"),
        ("quorum:redis://a:s@a redis://b redis://c", "quorum:redis://a@a redis://b redis://c"),
    ] {
        assert_eq!(told(Some(typed), &[]), (text(passed), text(passed)), "{typed}");
        assert_eq!(told(None, &[(URL, typed)]), (text(typed), None), "{typed}");
        // The `tenure` within CMD.
        let within = [(URL, passed), (WITHHELD, passed)];
        let refusal = choose(None, None, &within).err().expect("no way back");
        assert_eq!(refusal.exit, Exit(77), "{refusal:?}");
    }
    let open = "redis://ada@host?password_file=/f";
    assert_eq!(told(Some(open), &[]), (text(open), None));
    assert_eq!(told(Some("redis://host/a@b:c"), &[]), (text("redis://host/a@b:c"), None));
}

#[test]
fn the_rule_is_that_of_the_option_or_of_the_variable_and_is_passed_on() {
    let choose = |option: bool, value: Option<&str>| {
        let args = StoreArgs {
            store: vec!["redis://locks.internal".into()],
            store_file: None,
            store_timeout: std::time::Duration::from_secs(5),
            require_network: option,
        };
        let env = |name: &str| value.filter(|_| name == REQUIRE_NETWORK).map(Into::into);
        Choice::of(&args, env).and_then(Choice::located)
    };
    for (option, value, passed) in [
        (true, None, Some("1")),
        (true, Some("0"), Some("1")),
        (false, Some("1"), Some("1")),
        (false, Some("0"), None),
        (false, Some(""), None),
    ] {
        let [.., rule] = choose(option, value).expect("a server").environment();
        assert_eq!(rule, (REQUIRE_NETWORK, passed.map(Into::into)), "{option} {value:?}");
    }
    for option in [true, false] {
        let refusal = choose(option, Some("yes")).err().expect("neither on nor off");
        assert_eq!(refusal.exit, Exit::CONFIG, "{refusal:?}");
    }
}

/// A server at an address of each host's own was said to be every host's.
#[test]
fn an_address_of_each_host_s_own_is_not_said_to_reach_others() {
    let reach = |url: &str| {
        let choice = choose(Some(url), None, &[]).expect("a store");
        choice.located_to_look().expect("its file is known").reach(Reach::Network)
    };
    for url in ["redis://127.0.0.1:61002", "redis://localhost", "redis+unix:///run/redis.sock"] {
        assert_eq!(reach(url), "this host alone, by its address", "{url}");
    }
    for url in ["redis://db1", "rediss://10.0.0.7:6380"] {
        assert_eq!(reach(url), "every host that reaches it", "{url}");
    }
}
