//! The direct connection: callers wait in place, and the driver sees to all that is late.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use tenure_testkit::{Server as RealServer, wait_until};

use super::{NAME, established, link_to, ping, run, server};
use crate::store::redis::client::connection::Way;
use crate::store::redis::client::direct::Socket;
use crate::store::redis::client::failure::Cause;
use crate::store::redis::client::pipeline::{Driver, Pipeline, Readiness};
use crate::store::redis::client::resp::{Command, Reader, Value};

/// A direct connection, its driver, and the other end.
fn direct() -> (Pipeline, Driver, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    let machine = crate::runtime::machine().expect("threads");
    let made = Pipeline::direct(Socket::Unix(ours), Reader::default(), machine);
    let (pipe, driver) = made.expect("a socket");
    (pipe, driver, theirs)
}

fn ask() -> Command {
    Command::of(&["PING"])
}

/// Reads one request at the other end.
fn hear(theirs: &mut UnixStream) {
    let mut request = vec![0; ask().as_bytes().len()];
    theirs.read_exact(&mut request).expect("a request");
    assert_eq!(request, ask().as_bytes());
}

/// No driver is polled. An answer may come too late on a busy machine, so there are several tries.
#[test]
fn a_caller_reads_its_answer_in_place() {
    for _ in 0..1_000 {
        let (pipe, driver, mut theirs) = direct();
        theirs.write_all(b":7\r\n").expect("room");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let answered = runtime.block_on(async {
            let ping = ask();
            tokio::select! {
                biased;
                answer = pipe.send(&ping) => Some(answer),
                () = async {} => None,
            }
        });
        drop(driver);
        if let Some(answer) = answered {
            assert_eq!(answer, Ok(Value::Int(7)));
            return;
        }
    }
    panic!("no answer was read in place");
}

#[tokio::test]
async fn a_late_answer_is_the_drivers_and_the_connection_is_used_again() {
    let (pipe, driver, mut theirs) = direct();
    let driver = tokio::spawn(driver);
    let other = thread::spawn(move || {
        for pieces in [&[b":1".as_slice(), b"\r\n"][..], &[b":", b"2", b"\r", b"\n"], &[b":3\r\n"]]
        {
            hear(&mut theirs);
            for piece in pieces {
                // Longer than a caller waits in place.
                thread::sleep(std::time::Duration::from_millis(20));
                theirs.write_all(piece).expect("room");
            }
        }
        theirs
    });
    for number in 1..=3 {
        assert_eq!(pipe.send(&ask()).await, Ok(Value::Int(number)));
        assert_eq!(pipe.misses(), u32::try_from(number).unwrap());
        assert_eq!(pipe.readiness(), Readiness::Ready);
    }
    drop(other.join().expect("no panic"));
    driver.abort();
}

/// A task that began elsewhere may go on there: the answer was left to nobody.
#[tokio::test]
async fn a_call_from_the_engines_thread_is_answered_without_waiting_in_place() {
    let (pipe, driver, mut theirs) = direct();
    let machine = crate::runtime::machine().expect("threads");
    machine.spawn(driver);
    let (tell, told) = tokio::sync::oneshot::channel();
    let asking = pipe.clone();
    machine.spawn(Box::pin(async move {
        let _gone = tell.send(asking.send(&ask()).await);
    }));
    let other = thread::spawn(move || {
        hear(&mut theirs);
        theirs.write_all(b":1\r\n").expect("room");
        theirs
    });
    let answer = tokio::time::timeout(tenure_testkit::LIMIT, told).await.expect("an answer");
    assert_eq!(answer, Ok(Ok(Value::Int(1))));
    assert_eq!(pipe.misses(), 0);
    drop(other.join().expect("no panic"));
}

/// A receive without a limit would never end.
#[tokio::test]
async fn a_prompt_server_that_falls_silent_holds_no_thread_up() {
    let (pipe, driver, mut theirs) = direct();
    tokio::spawn(driver);
    let started = tokio::time::Instant::now();
    while !pipe.is_prompt() {
        assert!(started.elapsed() < tenure_testkit::LIMIT, "it is never trusted");
        theirs.write_all(b":1\r\n").expect("room");
        assert_eq!(pipe.send(&ask()).await, Ok(Value::Int(1)));
    }
    {
        let ping = ask();
        let given_up = pipe.send(&ping);
        tokio::select! { biased; _ = given_up => panic!("nobody answers"), () = async {} => {} }
    }
    assert!(!pipe.is_prompt(), "one late answer is enough");
    theirs.write_all(b":2\r\n").expect("room");
    while pipe.readiness() != Readiness::Ready {
        assert!(started.elapsed() < tenure_testkit::LIMIT, "it was never read");
        tokio::task::yield_now().await;
    }
    theirs.write_all(b":3\r\n").expect("room");
    assert_eq!(pipe.send(&ask()).await, Ok(Value::Int(3)));
}

#[tokio::test]
async fn the_answer_of_a_dropped_call_is_not_the_next_ones() {
    let (pipe, driver, mut theirs) = direct();
    tokio::spawn(driver);
    {
        let ping = ask();
        let given_up = pipe.send(&ping);
        tokio::select! { biased; _ = given_up => panic!("nobody answers"), () = async {} => {} }
    }
    assert_eq!(pipe.readiness(), Readiness::Busy);
    theirs.write_all(b":1\r\n").expect("room");
    let started = tokio::time::Instant::now();
    while pipe.readiness() != Readiness::Ready {
        assert!(started.elapsed() < tenure_testkit::LIMIT, "it was never read");
        tokio::task::yield_now().await;
    }
    theirs.write_all(b":2\r\n").expect("room");
    assert_eq!(pipe.send(&ask()).await, Ok(Value::Int(2)));
}

#[tokio::test]
async fn what_ends_or_speaks_unasked_is_not_used() {
    for said in [&b""[..], b":1\r\n"] {
        let (pipe, _driver, mut theirs) = direct();
        assert_eq!(pipe.readiness(), Readiness::Ready);
        theirs.write_all(said).expect("room");
        if said.is_empty() {
            drop(theirs);
        }
        assert_eq!(pipe.readiness(), Readiness::Ended);
    }
}

#[tokio::test]
async fn an_end_in_place_is_told_to_the_caller_and_to_the_driver() {
    for said in [&b""[..], b"$4\r\nab", b"rubbish"] {
        let (pipe, driver, mut theirs) = direct();
        let driver = tokio::spawn(driver);
        theirs.write_all(said).expect("room");
        theirs.shutdown(std::net::Shutdown::Write).expect("open");
        let failure = pipe.send(&ask()).await.expect_err("no answer");
        assert!(failure.may_have_run, "{failure:?}");
        let is_nonsense = matches!(failure.cause, Cause::Nonsense { .. });
        assert_eq!(is_nonsense, said == b"rubbish", "{failure:?}");
        driver.await.expect("it ends too");
        assert!(!pipe.send(&ask()).await.expect_err("it has ended").may_have_run);
    }
}

#[tokio::test]
async fn what_the_socket_does_not_take_in_place_is_the_drivers() {
    const SIZE: usize = 4 << 20;
    let (pipe, driver, mut theirs) = direct();
    tokio::spawn(driver);
    let large = Command::of(&["ECHO", &"x".repeat(SIZE)]);
    let size = large.as_bytes().len();
    let other = thread::spawn(move || {
        let mut request = vec![0; size];
        theirs.read_exact(&mut request).expect("all of it");
        theirs.write_all(b":1\r\n").expect("room");
        (request, theirs)
    });
    assert_eq!(pipe.send(&large).await, Ok(Value::Int(1)));
    assert!(other.join().expect("no panic").0 == large.as_bytes(), "in order, nothing twice");
}

/// The direct connection leads to the server of the shared one and ends with it; its own end is no
/// end of the shared one.
#[tokio::test]
async fn a_direct_connection_lives_beside_the_shared_one() {
    let real = RealServer::redis().start();
    let link = link_to(&server(&real.url()));
    assert!(link.open_direct().await.is_err(), "there is no shared one yet");
    assert!(ping(&link).await.is_ok());
    let named = |name: &str| {
        let clients = real.command(&["CLIENT", "LIST"]).text().expect("a list");
        clients.matches(&format!("name={name} ")).count()
    };
    let ended = link.open_direct().await.expect("a server");
    assert_eq!((named(NAME), named("tenure-direct")), (1, 1));
    assert_eq!(link.direct_readiness(), (Readiness::Ready, 0));
    let pack = |(): &(), head: [&str; 2]| Command::of(&[&head[..], &["0"]].concat());
    let script = crate::store::redis::client::script::Script::new("one", "return 1");
    for _ in 0..2 {
        let (answer, _) = link.eval(Way::Direct, &script, &pack).await.expect("an answer");
        assert_eq!(answer, Value::Int(1));
    }
    // By its own end: calls that mean it go over the shared one.
    let id = |name: &str| {
        let clients = real.command(&["CLIENT", "LIST"]).text().expect("a list");
        let line = clients.lines().find(|line| line.contains(&format!("name={name} ")));
        let id = line.and_then(|line| line.split(' ').next()?.strip_prefix("id="));
        id.expect("a client").to_owned()
    };
    real.command(&["CLIENT", "KILL", "ID", &id("tenure-direct")]);
    wait_until("the end is seen before the next call", || {
        link.direct_readiness().0 == Readiness::Ended
    });
    ended.cancelled().await;
    assert!(link.eval(Way::Direct, &script, &pack).await.is_ok());
    assert_eq!((link.links().borrow().made, link.links().borrow().cut), (1, 0));
    // With the shared one.
    let ended = link.open_direct().await.expect("a server");
    real.command(&["CLIENT", "KILL", "ID", &id(NAME)]);
    ended.cancelled().await;
    wait_until("no connection is left", || established(&real) == 0);
    assert!(run(&link, &super::ECHO, &["key"], &["x"]).await.is_ok());
    // With the link.
    let ended = link.open_direct().await.expect("a server");
    drop(link);
    ended.cancelled().await;
    wait_until("no connection is left", || established(&real) == 0);
}
