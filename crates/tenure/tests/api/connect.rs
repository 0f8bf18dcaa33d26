//! The URLs that `connect` refuses, and its words for that: they never repeat a secret.

use std::path::Path;

use tenure::{ErrorKind, Operation, connect};

#[tokio::test]
async fn urls_that_name_no_store_are_refused() {
    let cases: [(&str, &str); 16] = [
        ("", "named by a URL"),
        ("locks.db", "named by a URL"),
        ("/var/lib/locks.db", "named by a URL"),
        ("nosuch:thing", "no known store"),
        ("Memory:", "no known store"),
        ("memory:shared", "takes nothing"),
        ("memory:?cache=1", "no parameter \"cache\""),
        ("sqlite:", "needs a path"),
        ("localhost:6379", "did you mean redis://localhost:6379?"),
        ("unix:///run/redis.sock", "redis+unix:///"),
        ("redis-sentinel://h:26379/main", "redis+sentinel://HOST,HOST,HOST/SERVICE"),
        ("redis+sentinel://h1,h2", "no service"),
        ("quorum:redis://a redis+sentinel://b,c/main redis://c", "one vote"),
        ("quorum:redis://a redis+cluster://b redis://c", "cannot be a group of servers"),
        ("http://h:6379", "did you mean redis://h:6379?"),
        ("redis://[fe80::1%25eth0]", "zone"),
    ];
    for (url, needle) in cases {
        let error = connect(url).await.expect_err(url);
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Config, Operation::Connect));
        assert!(error.message().contains(needle), "{url:?}: no {needle:?} in: {error}");
    }
}

#[tokio::test]
async fn refusals_name_the_stores_that_are_known() {
    let text = connect("nosuch:thing").await.expect_err("unknown").to_string();
    for store in tenure::stores() {
        assert!(text.contains(store.example), "{} is not in: {text}", store.example);
    }
}

#[tokio::test]
async fn refusals_do_not_repeat_a_password() {
    for url in [
        "nosuch://joe:hunter2@host/0",
        "memory:joe:hunter2@host",
        "hunter2",
        "hunter2:word@host",
        "joe:hunter2@host:6379",
        "hunter2@host:6379",
        "unix://joe:hunter2@/s",
        "redis://:hunter2@[fe80::1%25eth0]",
        "quorum:redis://a joe:hunter2@b redis://c",
    ] {
        let error = connect(url).await.expect_err(url);
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

/// A parameter that nobody knows must not become part of a file's name.
#[tokio::test]
async fn parameters_of_a_path_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}?mode=ro", dir.path().join("locks.db").display());
    let error = connect(&url).await.expect_err("a parameter");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("\"mode\""), "{error}");
    assert!(is_empty(dir.path()), "something was made");
}

/// From the environment or a file, often with the end of a line. It named another file, in silence,
/// so that two held one lock.
#[tokio::test]
async fn a_path_with_an_odd_end_names_no_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().display();
    for (end, says) in [
        ("locks.db\r", "carriage return"),
        ("locks.db\n", "line break"),
        ("locks.db ", "ends with a blank"),
        ("locks.db\u{200b}", "U+200B"),
        ("lo\tcks.db", "has in it a tab"),
        (":memory:", "URL memory:"),
        ("locks.db/", "names a directory"),
    ] {
        let url = format!("sqlite:{place}/{end}");
        let error = connect(&url).await.expect_err(&url);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains(says), "{url:?}: {error}");
    }
    for url in ["sqlite://rel.db", "sqlite::memory:", "sqlite:///rel.db", "sqlite:file:rel.db"] {
        let error = connect(url).await.expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    assert!(is_empty(dir.path()), "something was made");
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).expect("a directory").next().is_none()
}
