//! A connection over a stream that the test holds the other end of.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::store::redis::client::dial::ByteStream;
use crate::store::redis::client::failure::{Cause, Failure};
use crate::store::redis::client::pipeline::{Driver, Pipeline};
use crate::store::redis::client::resp::{Command, Reader, Value};

impl ByteStream for DuplexStream {}

fn connection(room: usize) -> (Pipeline, Driver, DuplexStream) {
    let (ours, theirs) = duplex(room);
    let (pipe, driver) = Pipeline::new(Box::new(ours), Reader::default(), None);
    (pipe, driver, theirs)
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn number(value: i64) -> Result<Value, Failure> {
    Ok(Value::Int(value))
}

#[tokio::test]
async fn a_request_leaves_with_its_caller_and_without_the_driver() {
    let (pipe, _driver, mut theirs) = connection(1024);
    let ping = Command::of(&["PING"]);
    let mut call = pin!(pipe.send(&ping));
    assert!(poll(call.as_mut()).is_pending());
    let mut request = vec![0; ping.as_bytes().len()];
    theirs.read_exact(&mut request).await.expect("it was sent");
    assert_eq!(request, ping.as_bytes());
}

#[tokio::test]
async fn what_the_socket_does_not_take_at_once_follows_in_order() {
    let (pipe, driver, mut theirs) = connection(7);
    let driver = tokio::spawn(driver);
    let commands: Vec<_> =
        (0..50).map(|i| Command::of(&["ECHO", &i.to_string().repeat(30)])).collect();
    let sent: Vec<u8> = commands.iter().flat_map(|c| c.as_bytes().to_vec()).collect();
    let server = tokio::spawn(async move {
        let mut request = vec![0; sent.len()];
        theirs.read_exact(&mut request).await.expect("all of it");
        assert!(request == sent, "in order, nothing twice");
        for i in 0..50 {
            theirs.write_all(format!(":{i}\r\n").as_bytes()).await.expect("we read");
        }
    });
    let calls: Vec<_> = commands
        .into_iter()
        .map(|command| {
            let pipe = pipe.clone();
            let mut call = Box::pin(async move { pipe.send(&command).await });
            assert!(poll(call.as_mut()).is_pending());
            call
        })
        .collect();
    for (i, call) in (0..).zip(calls) {
        assert_eq!(call.await, number(i));
    }
    server.await.expect("no panic");
    driver.await.expect("it ends with the stream");
}

#[tokio::test]
async fn an_answer_that_nobody_awaits_any_more_is_not_anothers() {
    let (pipe, driver, mut theirs) = connection(1024);
    tokio::spawn(driver);
    let ping = Command::of(&["PING"]);
    {
        let mut given_up = pin!(pipe.send(&ping));
        assert!(poll(given_up.as_mut()).is_pending());
    }
    let mut call = pin!(pipe.send(&ping));
    assert!(poll(call.as_mut()).is_pending());
    theirs.write_all(b":1\r\n:2\r\n").await.expect("we read");
    assert_eq!(call.await, number(2));
}

#[tokio::test]
async fn pushes_are_no_answers_but_confirmations_are() {
    let (ours, mut theirs) = duplex(1024);
    let pushed = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&pushed);
    let on_push = Arc::new(move |items: &[Value]| keep.lock().unwrap().push(items.len()));
    let (pipe, driver) = Pipeline::new(Box::new(ours), Reader::default(), Some(on_push));
    tokio::spawn(driver);
    let subscribe = Command::of(&["SUBSCRIBE", "a"]);
    let mut call = pin!(pipe.send(&subscribe));
    assert!(poll(call.as_mut()).is_pending());
    let said = b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n>2\r\n$9\r\nsubscribe\r\n$1\r\na\r\n";
    theirs.write_all(said).await.expect("we read");
    assert!(matches!(call.await, Ok(Value::Push(items)) if items.len() == 2));
    assert_eq!(*pushed.lock().unwrap(), [3]);
}

#[tokio::test]
async fn the_end_is_told_to_those_who_wait_and_to_those_who_come() {
    for (said, is_nonsense) in [(&b""[..], false), (b"$4\r\nab", false), (b"rubbish", true)] {
        let (pipe, driver, mut theirs) = connection(1024);
        let ping = Command::of(&["PING"]);
        let mut call = pin!(pipe.send(&ping));
        assert!(poll(call.as_mut()).is_pending());
        theirs.write_all(said).await.expect("we read");
        drop(theirs);
        driver.await;
        let waited = call.await.expect_err("no answer");
        assert!(waited.may_have_run, "{waited:?}");
        assert_eq!(matches!(waited.cause, Cause::Nonsense { .. }), is_nonsense, "{waited:?}");
        let came = pipe.send(&ping).await.expect_err("it has ended");
        assert!(!came.may_have_run, "nothing was sent: {came:?}");
        assert_eq!(came.cause, waited.cause);
    }
}

#[tokio::test]
async fn who_gives_the_driver_up_ends_the_connection() {
    let (pipe, driver, mut theirs) = connection(1024);
    let ping = Command::of(&["PING"]);
    let mut call = pin!(pipe.send(&ping));
    assert!(poll(call.as_mut()).is_pending());
    drop(driver);
    assert!(call.await.expect_err("it was cut").may_have_run);
    let mut rest = Vec::new();
    theirs.read_to_end(&mut rest).await.expect("our end is closed");
    assert_eq!(rest, ping.as_bytes());
}

/// The answers are shifted then, and each that follows could be another request's: a child of a
/// fork had written into its parent's socket.
#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let (pipe, driver, mut theirs) = connection(1024);
    let driver = tokio::spawn(driver);
    let first = Command::of(&["PING"]);
    let (answer, ()) = tokio::join!(pipe.send(&first), async {
        theirs.write_all(b":1\r\n").await.expect("we read");
    });
    assert_eq!(answer, number(1));
    theirs.write_all(b":2\r\n").await.expect("we read");
    driver.await.expect("it ends by itself");
    let failure = pipe.send(&first).await.expect_err("nothing is sent any more");
    assert!(matches!(failure.cause, Cause::Nonsense { .. }), "{failure:?}");
    assert!(!failure.may_have_run);
}
