//! Servers and proxies that repeat what they were told: no password is in an error, a log of any
//! level or a `Debug` text, however it came here.

use std::error::Error as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tenure::Error;
use tenure_testkit::{Fate, Flavour, Proxy, Server, Which};

use crate::subscriber::listen;
use crate::world::{ms, unhurried, within};

/// A part of the password that is the same in every spelling.
const CANARY: &str = "s3cr3t";
const PASSWORD: &str = "s3cr3t/tpw";
const IN_URL: &str = "s3cr3t%2Ftpw";

/// Answers of proxies that repeat the password: quoted, bare, and in the place of the code.
const ECHOES: [&str; 4] = [
    "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'bob' 's3cr3t/tpw'",
    "ERR unsupported: HELLO 3 AUTH bob s3cr3t/tpw SETNAME tenure",
    "s3cr3t/tpw is no command",
    "NOPERM bob (s3cr3t%2Ftpw) may not do that",
];

/// As servers do with long arguments.
const CUT_OFF: &str = "ERR unknown command 'HELLO', with args beginning with: 'AUTH' 's3cr3t/t";

static HEARD: AtomicUsize = AtomicUsize::new(0);
static LEAKS: AtomicUsize = AtomicUsize::new(0);

/// Looks at all that is logged anywhere in this process.
pub(crate) fn heard(text: &str) {
    HEARD.fetch_add(1, Ordering::Relaxed);
    if text.contains(CANARY) {
        println!("logged: {text}");
        LEAKS.fetch_add(1, Ordering::Relaxed);
    }
}

#[track_caller]
fn is_clean(what: &str, error: &Error) {
    let mut texts = vec![error.to_string(), format!("{error:?} {error:#?}")];
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push(format!("{cause} {cause:?}"));
        source = cause.source();
    }
    for text in texts {
        assert!(!text.contains(CANARY), "{what}: {text}");
    }
}

/// Does what it can with a URL, and looks at what it is told.
async fn try_all(what: &str, url: &str) {
    let options = tenure::LocksOptions::default().with_store_timeout(ms(1000));
    let locks = match within("an answer", tenure::connect_with(url, options)).await {
        Ok(locks) => locks,
        Err(error) => return is_clean(what, &error),
    };
    let mutex = locks.mutex("job").with_wait(ms(100));
    for error in [
        within("an answer", mutex.try_acquire()).await.err(),
        within("an answer", mutex.acquire()).await.err(),
        within("an answer", mutex.inspect()).await.err(),
        within("an answer", locks.list("", None, 10)).await.err(),
    ] {
        error.iter().for_each(|error| is_clean(what, error));
    }
    let shown = format!("{locks:?} {mutex:?} {}", locks.store_name());
    assert!(!shown.contains(CANARY), "{what}: {shown}");
    let _ = within("the close", locks.close(ms(1000))).await;
}

/// Every way to give the password, for a server at this address.
fn ways(at: std::net::SocketAddr, file: &Path) -> [String; 2] {
    [
        format!("redis://bob:{IN_URL}@{at}?restart_guard=1s"),
        format!("redis://bob@{at}?restart_guard=1s&password_file={}", file.display()),
    ]
}

#[tokio::test]
async fn a_server_that_repeats_a_password_gives_it_to_nobody() {
    listen();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("it can be written");
    let rules = format!("on >{PASSWORD} ~* &* +@all");
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_user("bob", &rules);
        let server = server.with("rename-command HELLO \"\"").start();
        for url in ways(server.address(), &file) {
            let error = tenure::connect(&unhurried(&url)).await.expect_err("it knows no HELLO");
            is_clean("HELLO", &error);
            assert!(error.message().contains("lacks a command"), "{error}");
            assert!(error.message().contains("(HELLO: ERR)"), "{error}");
        }
    }
    let server = Server::redis().with_user("bob", &rules).start();
    let proxy = Proxy::to(server.address());
    proxy.on(Which::every_named("HELLO"), Fate::Refuse(CUT_OFF));
    for url in ways(proxy.address(), &file) {
        try_all("half a password", &url).await;
    }
    for command in ["HELLO", "INFO", "PING", "EVALSHA", "EVAL", "SUBSCRIBE", "SCAN"] {
        for echo in ECHOES {
            let proxy = Proxy::to(server.address());
            for fate in [Fate::Refuse(echo), Fate::Replace(echo)] {
                let what = format!("{command}, {fate:?}");
                let fault = proxy.on(Which::every_named(command), fate);
                let [given, in_file] = ways(proxy.address(), &file);
                tokio::join!(try_all(&what, &given), try_all(&what, &in_file));
                fault.lift();
            }
        }
    }
    assert!(HEARD.load(Ordering::Relaxed) > 10, "nothing is logged here");
    assert_eq!(LEAKS.load(Ordering::Relaxed), 0, "logs give the password away");
}
