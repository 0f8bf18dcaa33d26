//! Everything that can be wrong with a server: one row each, with the class that decides the exit
//! code, whether the request may have run, and what the message must tell.

use std::sync::Arc;

use tenure_testkit::{Flavour, Server as RealServer};

use super::fake::{HELLO, fake};
use super::{ECHO, link, link_to, ping, run, server};
use crate::store::StoreError;
use crate::store::StoreErrorClass::{self, Config, Full, ReadOnly, Refused, Transient};
use crate::store::redis::client::failure::Failure;
use crate::store::redis::client::login::{Login, Wanted};
use crate::store::redis::client::resp::{Command, Value};
use crate::store::redis::client::script::Script;
use crate::store::redis::client::server::Server;

const NOT_RUN: bool = false;
const MAY_HAVE_RUN: bool = true;

#[track_caller]
fn expect(
    failure: Result<Value, Failure>,
    class: StoreErrorClass,
    may_have_run: bool,
    words: &[&str],
) {
    let failure = failure.expect_err("a failure");
    let text = failure.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("secret"), "a secret in: {text}");
    let error = StoreError::from(failure.clone());
    assert_eq!((error.class, error.may_have_run), (class, may_have_run), "{failure:?}");
}

async fn at(url: &str) -> Result<Value, Failure> {
    ping(&link_to(&server(url))).await
}

async fn at_fake(first: &'static str, replies: &'static [&'static str]) -> Result<Value, Failure> {
    at(&format!("redis://{}", fake(first, replies))).await
}

#[tokio::test]
async fn credentials() {
    let real = RealServer::redis().with_password("right").start();
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}", real.port());
    expect(at(&url("")).await, Refused, NOT_RUN, &["password", "NOAUTH"]);
    expect(at(&url(":secret@")).await, Refused, NOT_RUN, &["does not accept", "WRONGPASS"]);
    expect(at(&url("secret@")).await, Refused, NOT_RUN, &["does not accept"]);
    assert!(at(&url(":right@")).await.is_ok());

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "right\n").expect("it can be written");
    let with_file = |path: &str| format!("{}?password_file={path}", url(""));
    assert!(at(&with_file(file.path().to_str().unwrap())).await.is_ok());
    let missing = at(&with_file("/nowhere/at/all")).await;
    expect(missing, Config, NOT_RUN, &["password", "/nowhere/at/all"]);
}

/// HELLO says the role, but for a proxy that leaves it out.
#[tokio::test]
async fn a_server_that_does_not_say_its_role_is_asked_for_it() {
    const PRIMARY: &[&str] = &[HELLO, "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", "+PONG\r\n"];
    const REPLICA: &[&str] = &[HELLO, "*2\r\n$5\r\nslave\r\n$1\r\nh\r\n"];
    const UNKNOWN: &[&str] = &[HELLO, "-ERR unknown command 'ROLE'\r\n"];
    let as_primary = |replies| async move {
        let server = server(&format!("redis://{}", fake("", replies)));
        let server = Arc::into_inner(server).expect("nobody else has it");
        let login = Login { wanted: Wanted::Primary, ..server.login };
        let server = Server::new(server.name, server.dial, login, server.limits, server.runtime);
        ping(&link_to(&server)).await
    };
    assert!(as_primary(PRIMARY).await.is_ok());
    expect(as_primary(REPLICA).await, Transient, NOT_RUN, &["is a replica by now"]);
    expect(as_primary(UNKNOWN).await, Config, NOT_RUN, &["lacks a command", "ROLE"]);
}

#[tokio::test]
async fn a_wrong_password_is_answered_at_once_and_asked_once() {
    let real = RealServer::redis().with_password("right").start();
    let (server, times) = super::counted(&format!("redis://:secret@127.0.0.1:{}", real.port()));
    let link = link_to(&server);
    for _ in 0..50 {
        expect(ping(&link).await, Refused, NOT_RUN, &["does not accept"]);
    }
    assert!(times.lock().unwrap().len() <= 5, "{times:?}");
}

#[tokio::test]
async fn rights() {
    let real = RealServer::redis()
        .with_user("few", "on >secret ~app:* -@all +ping +evalsha +eval +set")
        .start();
    let link = link_to(&server(&format!("redis://few:secret@127.0.0.1:{}", real.port())));
    assert!(ping(&link).await.is_ok());
    let get = link.command(&Command::of(&["GET", "app:x"])).await;
    expect(get, Refused, NOT_RUN, &["right", "GET", "'get'"]);
    let set = link.command(&Command::of(&["SET", "else", "1"])).await;
    expect(set, Refused, NOT_RUN, &["right", "SET", "key"]);
}

#[tokio::test]
async fn rights_inside_a_script() {
    static GET: Script = Script::new("get", "return redis.call('GET', KEYS[1])");
    for flavour in Flavour::ALL {
        let rules = "on >secret ~app:* -@all +evalsha +eval";
        let real = RealServer::of(flavour).with_user("few", rules).start();
        let url = format!("redis://few:secret@127.0.0.1:{}", real.port());
        let inside = run(&link_to(&server(&url)), &GET, &["app:x"], &[]).await;
        expect(inside, Refused, MAY_HAVE_RUN, &["right", "EVAL"]);
    }
}

#[tokio::test]
async fn memory_used_up() {
    static SET: Script = Script::new("set", "return redis.call('SET', KEYS[1], 1)");
    for flavour in Flavour::ALL {
        let real = RealServer::of(flavour).with_maxmemory(1).start();
        let link = link(&real, "");
        let set = run(&link, &SET, &["key"], &[]).await;
        expect(set, Full, MAY_HAVE_RUN, &["memory", "maxmemory", "OOM"]);
        assert!(run(&link, &ECHO, &["key"], &["x"]).await.is_ok(), "no write");
    }
}

#[tokio::test]
async fn a_replica() {
    let primary = RealServer::redis().start();
    let replica = RealServer::redis().with_primary(&primary).start();
    let (server, times) = super::counted(&replica.url());
    let link = link_to(&server);
    for _ in 0..3 {
        let set = link.command(&Command::of(&["SET", "key", "1"])).await;
        expect(set, ReadOnly, NOT_RUN, &["replica", "primary", "READONLY"]);
    }
    assert!(times.lock().unwrap().len() >= 2, "it is resolved anew");
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    assert!(link.command(&Command::of(&["SET", "key", "1"])).await.is_ok());
}

#[tokio::test]
async fn no_scripts() {
    let real = RealServer::redis()
        .with("rename-command EVALSHA \"\"")
        .with("rename-command EVAL \"\"")
        .start();
    let link = link(&real, "");
    let eval = run(&link, &ECHO, &["key"], &["x"]).await;
    expect(eval, Config, NOT_RUN, &["lacks a command", "EVALSHA", "scripting"]);
}

#[tokio::test]
async fn databases() {
    let real = RealServer::redis().start();
    let many = at(&format!("{}/16", real.url())).await;
    expect(many, Config, NOT_RUN, &["fewer databases", "SELECT"]);
    assert!(at(&format!("{}/15", real.url())).await.is_ok());
    assert!(at(&format!("redis+unix://{}?db=3", real.unix_path().display())).await.is_ok());
}

#[tokio::test]
async fn nobody_there() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = at(&format!("redis://{closed}")).await;
    expect(refused, Transient, NOT_RUN, &["nobody listens", &closed.to_string()]);
    let missing = at("redis+unix:///nowhere/redis.sock").await;
    expect(missing, Transient, NOT_RUN, &["nobody listens", "/nowhere/redis.sock"]);
    let unknown = at("redis://tenure.invalid").await;
    expect(unknown, Transient, NOT_RUN, &["tenure.invalid", "spelt"]);
}

#[tokio::test]
async fn no_redis() {
    const HTTP: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    expect(at_fake("", &[HTTP]).await, Config, NOT_RUN, &["web server"]);
    expect(at_fake("SSH-2.0-OpenSSH_9.2p1\r\n", &[]).await, Config, NOT_RUN, &["SSH"]);
    expect(at_fake("\u{15}\u{3}\u{3}\0\u{2}\u{2}F", &[]).await, Config, NOT_RUN, &["rediss://"]);
    expect(at_fake("220 mail ESMTP\r\n", &[]).await, Config, NOT_RUN, &["not a Redis"]);
    expect(at_fake("", &[]).await, Transient, NOT_RUN, &["without a word", "rediss://"]);
    let mute = format!("redis://{}?connect_timeout=500ms", fake("", &["", "", ""]));
    let mute = at(&mute).await;
    expect(mute, Transient, NOT_RUN, &["connected", "no answer within 500ms"]);
}

#[tokio::test]
async fn servers_that_refuse_before_the_login() {
    let denied = "-DENIED Redis is running in protected mode because ...\r\n";
    expect(at_fake(denied, &[""]).await, Refused, NOT_RUN, &["protected mode"]);
    let full = "-ERR max number of clients reached\r\n";
    expect(at_fake(full, &[""]).await, Transient, NOT_RUN, &["maxclients"]);
    const UNKNOWN: &str = "-ERR unknown command 'HELLO', with args beginning with: '3'\r\n";
    expect(at_fake("", &[UNKNOWN]).await, Config, NOT_RUN, &["HELLO", "6.2"]);
    const OLD: &str = "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.0.16\r\n";
    expect(at_fake("", &[OLD]).await, Config, NOT_RUN, &["redis 6.0.16", "6.2"]);
    const OLD_VALKEY: &str =
        "%2\r\n$6\r\nserver\r\n$6\r\nvalkey\r\n$7\r\nversion\r\n$5\r\n7.1.0\r\n";
    expect(at_fake("", &[OLD_VALKEY]).await, Config, NOT_RUN, &["valkey 7.1", "7.2"]);
}

#[tokio::test]
async fn answers_of_a_server_in_trouble() {
    for (answer, class, may_have_run, word) in [
        ("-LOADING Redis is loading the dataset in memory\r\n", Transient, NOT_RUN, "passes"),
        ("-MASTERDOWN Connection with MASTER is down\r\n", Transient, NOT_RUN, "replica"),
        ("-CLUSTERDOWN The cluster is down\r\n", Transient, NOT_RUN, "cluster"),
        ("-TRYAGAIN Multiple keys request\r\n", Transient, NOT_RUN, "cluster"),
        ("-NOREPLICAS Not enough good replicas to write.\r\n", Transient, NOT_RUN, "min-replicas"),
        (
            "-ERR WAIT cannot be used with replica instances. Please also note\r\n",
            Transient,
            NOT_RUN,
            "none of its own to acknowledge",
        ),
        (
            "-NOPERM User few has no permissions to run the 'wait' command\r\n",
            Refused,
            NOT_RUN,
            "'wait'",
        ),
        ("-BUSY Redis is busy running a script.\r\n", Transient, NOT_RUN, "SCRIPT KILL"),
        ("-MISCONF Redis is configured to save\r\n", Transient, NOT_RUN, "disk"),
        ("-MOVED 3999 127.0.0.1:6381\r\n", Config, NOT_RUN, "cluster"),
        (
            "-ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed\r\n",
            Full,
            MAY_HAVE_RUN,
            "maxmemory",
        ),
        ("-ERR something new\r\n", StoreErrorClass::Internal, MAY_HAVE_RUN, "something new"),
        ("HTTP?\r\n", Transient, MAY_HAVE_RUN, "makes no sense"),
        ("", Transient, MAY_HAVE_RUN, "ended before the answer"),
    ] {
        let replies = Box::leak(Box::new([HELLO, answer]));
        expect(at_fake("", replies).await, class, may_have_run, &[word]);
    }
}
