//! Servers that die, stop and come back; links that lie.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tenure_testkit::{LIMIT, Server as RealServer, wait_until};

use super::{Link, counted, link, link_to, ping, server};
use crate::store::StoreErrorClass::Transient;
use crate::store::redis::client::failure::Cause;
use crate::store::redis::client::resp::Command;

/// Calls until it is answered, as the engine does.
pub(super) async fn ping_until_answered(link: &Link) {
    let begun = Instant::now();
    while let Err(failure) = ping(link).await {
        assert_eq!(failure.class(), Transient, "{failure}");
        assert!(begun.elapsed() < LIMIT, "{failure}");
    }
}

#[tokio::test]
async fn a_killed_server_costs_few_attempts_and_is_found_when_it_is_back() {
    let real = RealServer::redis().start();
    let (server, times) = counted(&real.url());
    let links: Vec<_> = (0..3).map(|_| Arc::new(link_to(&server))).collect();
    for link in &links {
        ping(link).await.expect("it is up");
    }
    real.kill9();
    let died = server.runtime.now();
    let callers: Vec<_> = (0..60)
        .map(|caller| {
            let link = Arc::clone(&links[caller % links.len()]);
            tokio::spawn(async move {
                let until = Instant::now() + Duration::from_millis(2500);
                while Instant::now() < until {
                    let failure = ping(&link).await.expect_err("it is down");
                    assert_eq!(failure.class(), Transient, "{failure}");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic");
    }
    let attempts: Vec<_> = times.lock().unwrap().iter().filter(|t| **t >= died).copied().collect();
    let first = *attempts.first().expect("somebody tried");
    let early = attempts.iter().filter(|at| at.since(first) < Duration::from_secs(2)).count();
    assert!(early <= 5 && attempts.len() >= 2, "{early} attempts in 2 s: {attempts:?}");

    real.restart();
    for link in &links {
        ping_until_answered(link).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_when_the_server_dies_may_have_run() {
    let real = RealServer::redis().start();
    let link = Arc::new(link(&real, "call_timeout=60s"));
    ping(&link).await.expect("it is up");
    let call = tokio::spawn({
        let link = Arc::clone(&link);
        async move { link.command(&Command::of(&["DEBUG", "SLEEP", "60"])).await }
    });
    // While it sleeps, nobody is answered.
    wait_until("the server sleeps", || {
        let client = real.client();
        client.set_patience(Duration::from_millis(50));
        let mut client = client;
        client.call(&["PING"]).is_err()
    });
    real.kill9();
    let failure = call.await.unwrap().expect_err("it died");
    assert!(failure.may_have_run, "{failure}");
    assert!(matches!(failure.cause, Cause::Cut { .. }), "{failure:?}");
    // The end was noticed, so this one is not sent, and says so.
    let next = ping(&link).await.expect_err("it is down");
    assert!(!next.may_have_run, "{next:?}");
}

#[tokio::test]
async fn a_stopped_server_is_given_up_and_found_when_it_goes_on() {
    let real = RealServer::redis().start();
    let link = link(&real, "call_timeout=200ms&connect_timeout=200ms");
    ping_until_answered(&link).await;
    real.stop();
    let first = ping(&link).await.expect_err("it is stopped");
    assert!(first.may_have_run && matches!(first.cause, Cause::Silent { .. }), "{first:?}");
    // Two in a row, or a ping: then nothing is sent over the old connection any more.
    let begun = Instant::now();
    while ping(&link).await.expect_err("it is stopped").may_have_run {
        assert!(begun.elapsed() < LIMIT, "the link is never given up");
    }
    real.cont();
    ping_until_answered(&link).await;
    assert!(link.links().borrow().made >= 2);
}

#[tokio::test]
async fn callers_who_are_impatient_find_a_dead_link_too() {
    let real = RealServer::redis().start();
    let link = link(&real, "call_timeout=400ms");
    ping_until_answered(&link).await;
    let before = link.links().borrow().made;
    real.stop();
    // Nobody waits as long as the link's own limit: what they drop is a reason to ask.
    let _ = tokio::time::timeout(Duration::from_millis(20), ping(&link)).await;
    let begun = Instant::now();
    loop {
        match tokio::time::timeout(Duration::from_millis(20), ping(&link)).await {
            Ok(Ok(_)) => panic!("it is stopped"),
            Ok(Err(_)) => break,
            Err(_) => assert!(begun.elapsed() < LIMIT, "the link is never given up"),
        }
    }
    real.cont();
    ping_until_answered(&link).await;
    assert!(link.links().borrow().made > before);
}

/// It said "in use no more", to callers who used it.
#[tokio::test]
async fn callers_are_told_of_the_silence_that_others_found() {
    let real = RealServer::redis().start();
    let link = Arc::new(link(&real, "call_timeout=10s"));
    ping_until_answered(&link).await;
    real.stop();
    let patient = tokio::spawn({
        let link = Arc::clone(&link);
        async move { ping(&link).await }
    });
    tokio::task::yield_now().await;
    // The other one gives up, and the ping that this is a reason for has half the limit of a call.
    let _ = tokio::time::timeout(Duration::from_millis(20), ping(&link)).await;
    let told = patient.await.expect("no panic").expect_err("it is stopped");
    assert!(told.may_have_run && matches!(told.cause, Cause::Silent { .. }), "{told:?}");
    real.cont();
    ping_until_answered(&link).await;
}

#[tokio::test]
async fn a_call_that_was_never_sent_is_never_sent_later() {
    let real = RealServer::redis().start();
    real.stop();
    let link = link(&real, "");
    let set = Command::of(&["SET", "ghost", "1"]);
    let set = link.command(&set);
    assert!(tokio::time::timeout(Duration::from_millis(300), set).await.is_err());
    real.cont();
    ping_until_answered(&link).await;
    assert_eq!(real.command(&["EXISTS", "ghost"]).int(), 0);
}

#[tokio::test]
async fn a_black_hole_ends_with_the_limit() {
    // Nobody accepts: once the queue of one is full, the system drops what comes.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().unwrap();
    socket2::SockRef::from(&listener).listen(0).expect("a short queue");
    let mut queued = Vec::new();
    let short = Duration::from_millis(200);
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, short) {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue never fills");
    }
    let url = format!("redis://{address}?connect_timeout=300ms&call_timeout=5s");
    let link = link_to(&server(&url));
    let begun = Instant::now();
    let failure = ping(&link).await.expect_err("nobody answers");
    assert!(begun.elapsed() >= Duration::from_millis(299), "{failure}");
    assert!(!failure.may_have_run && failure.class() == Transient, "{failure:?}");
    let text = failure.to_string();
    assert!(text.contains("no connection within") && text.contains("firewall"), "{text}");
    drop(queued);
}
