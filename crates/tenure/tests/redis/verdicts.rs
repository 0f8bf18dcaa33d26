//! An error says which operation failed, for which key, at which server, and whether the claim may
//! be held; and never a secret.

use tenure::{Error, ErrorKind, Key, Operation};
use tenure_testkit::{Call, Fate, Flavour, Proxy, Server, Which};

use crate::world::{acquire, connect, exists, nothing_but_memories, quick, until, within};

const USER: &str = "on >secret ~* &* +@all";

fn is_ours(call: &Call) -> bool {
    matches!(call.name().as_str(), "EVALSHA" | "EVAL")
}

#[track_caller]
fn names_it_all(error: &Error, operation: Operation, store: &str) {
    assert_eq!(error.operation(), operation, "{error}");
    assert_eq!(error.store(), Some(store), "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains(store), "{text}");
    assert!(!text.contains("secret") && !text.contains("somebody"), "{text}");
    if operation != Operation::Connect {
        assert_eq!(error.key().map(Key::as_str), Some("job"), "{text}");
        assert!(error.to_string().contains("\"job\""), "{text}");
    }
}

#[tokio::test]
async fn an_acquire_without_an_answer_may_hold_and_one_that_was_not_sent_does_not() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_user("somebody", USER).start();
        for fate in [Fate::EatReply, Fate::LoseRequest, Fate::CutBefore, Fate::CutAfter] {
            let proxy = Proxy::to(server.address());
            let url = format!("redis://somebody:secret@{}", proxy.address());
            let locks = quick(&url).await;
            let store = format!("redis://{}/0", proxy.address());
            acquire(&locks.mutex("warm")).await.release().await.expect("released");

            let struck = proxy.on(Which::every(is_ours), fate.clone());
            let tried = within("an answer", locks.mutex("job").try_acquire()).await;
            let error = tried.expect_err("no answer can have come");
            names_it_all(&error, Operation::Acquire, &store);
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{fate:?}: {error}");
            assert!(error.may_hold(), "{fate:?}: nobody knows: {error}");
            struck.lift();
            until("it is withdrawn", async || !exists(&server, "job")).await;

            proxy.set_refusing(true);
            proxy.cut();
            // The first one may have been written before the end of the link was seen.
            let mut unsent = None;
            until("an error before anything was sent", async || {
                let tried = within("an answer", locks.mutex("job").try_acquire()).await;
                unsent = tried.err().filter(|error| !error.may_hold());
                unsent.is_some()
            })
            .await;
            names_it_all(&unsent.expect("an error"), Operation::Acquire, &store);
            proxy.heal();
            until("the link is made anew", async || locks.mutex("job").inspect().await.is_ok())
                .await;
            acquire(&locks.mutex("job")).await.release().await.expect("nobody holds it");
        }
        nothing_but_memories(&server);
    }
}

#[tokio::test]
async fn a_server_that_turns_us_away_is_named() {
    let server = Server::redis().with_user("somebody", "on >other ~* &* +@all").start();
    let at = server.address();
    for (url, store) in [
        (format!("redis://somebody:secret@{at}"), format!("redis://{at}/0")),
        (format!("redis://somebody:secret@{at}/3?call_timeout=1s"), format!("redis://{at}/3")),
        (
            format!("redis+unix://somebody:secret@localhost{}", server.unix_path().display()),
            format!("redis+unix://{}", server.unix_path().display()),
        ),
    ] {
        let error = tenure::connect(&url).await.expect_err("a wrong password");
        assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Refused, false), "{error}");
        names_it_all(&error, Operation::Connect, &store);
    }
    // Text that cannot be read is not repeated.
    let error = tenure::connect("redis://somebody:se/cret@h").await.expect_err("no URL");
    names_it_all(&error, Operation::Connect, "redis");
    drop(connect(&server.url()).await);
}

/// Commands that only scripts use.
#[tokio::test]
async fn a_server_without_a_command_of_the_scripts_is_named() {
    for flavour in Flavour::ALL {
        for command in ["TIME", "MGET"] {
            let without = format!("rename-command {command} \"\"");
            let server = Server::of(flavour).with(&without).start();
            let locks = connect(&server.url()).await;
            let error = locks.mutex("k").try_acquire().await.expect_err(command);
            assert_eq!(error.kind(), tenure::ErrorKind::Config, "{command}: {error}");
            assert!(error.message().contains("lacks a command"), "{command}: {error}");
        }
    }
}
