//! A wire that loses, cuts and keeps silent.

use std::time::Instant;

use tenure_testkit::{Direction, Fate, Flow, LIMIT, Proxy, Server as RealServer, Which};

use super::outage::ping_until_answered;
use super::{ECHO, Link, link_to, ping, run, server};
use crate::store::redis::client::failure::{Cause, Failure};
use crate::store::redis::client::resp::Value;
use crate::store::redis::client::script::Script;

static COUNT: Script = Script::new("count", "return redis.call('INCR', KEYS[1])");

/// Limits that no slow machine comes near.
const PATIENT: &str = "connect_timeout=20s&call_timeout=20s";

fn behind(proxy: &Proxy, parameters: &str) -> Link {
    link_to(&server(&format!("{}?{parameters}", proxy.url())))
}

async fn count(link: &Link) -> Result<Value, Failure> {
    run(link, &COUNT, &["counter"], &[]).await
}

async fn echo(link: &Link, word: &str) -> Result<Value, Failure> {
    run(link, &ECHO, &[word], &[word]).await
}

fn echoed(word: &str) -> Value {
    Value::Array(vec![Value::BulkString(word.into()), Value::BulkString(word.into())])
}

#[tokio::test]
async fn a_half_open_link_is_replaced() {
    for direction in Direction::BOTH {
        let real = RealServer::redis().start();
        let proxy = Proxy::to(real.address());
        let link = behind(&proxy, "call_timeout=200ms");
        ping_until_answered(&link).await;
        let before = link.links().borrow().made;
        proxy.set_flow(direction, Flow::Lost);
        let failure = ping(&link).await.expect_err("nothing comes back");
        assert!(failure.may_have_run, "{direction:?}: {failure:?}");
        assert!(matches!(failure.cause, Cause::Silent { .. }), "{direction:?}: {failure:?}");
        // Lost bytes stay lost: only a new connection helps.
        proxy.heal();
        let begun = Instant::now();
        while ping(&link).await.is_err() {
            assert!(begun.elapsed() < LIMIT, "{direction:?}: never replaced");
        }
        assert!(link.links().borrow().made > before, "{direction:?}");
    }
}

#[tokio::test]
async fn a_half_closed_link_is_replaced_without_a_call_that_is_lost() {
    for direction in Direction::BOTH {
        let real = RealServer::redis().start();
        let proxy = Proxy::to(real.address());
        let link = behind(&proxy, PATIENT);
        ping(&link).await.expect("it is up");
        let mut links = link.links();
        proxy.half_close(direction);
        let ended = tokio::time::timeout(LIMIT, links.wait_for(|links| links.cut == 1)).await;
        ended.expect("its end is seen without a call").expect("the link is there");
        assert_eq!(ping(&link).await.map(drop), Ok(()), "{direction:?}");
        assert_eq!(link.links().borrow().made, 2, "{direction:?}");
    }
}

#[tokio::test]
async fn a_cut_is_told_and_nothing_is_sent_twice() {
    for (fate, counted) in [
        (Fate::CutBefore, 0),
        (Fate::CutAfter, 1),
        (Fate::CutRequest(9), 0),
        (Fate::CutReply(2), 1),
    ] {
        let real = RealServer::redis().start();
        let proxy = Proxy::to(real.address());
        let link = behind(&proxy, PATIENT);
        echo(&link, "first").await.expect("it is up");
        real.command(&["SCRIPT", "LOAD", &COUNT.source]);
        let fault = proxy.on(Which::nth_named(1, "EVALSHA"), fate.clone());
        let failure = count(&link).await.expect_err("it was cut");
        assert_eq!(fault.strikes(), 1, "{fate:?}");
        assert!(failure.may_have_run, "{fate:?}: {failure:?}");
        assert!(matches!(failure.cause, Cause::Cut { .. }), "{fate:?}: {failure:?}");
        // The next call makes a new connection by itself.
        assert_eq!(echo(&link, "next").await, Ok(echoed("next")), "{fate:?}");
        let counter = real.command(&["GET", "counter"]).text();
        assert_eq!(counter.unwrap_or_else(|| "0".into()), counted.to_string(), "{fate:?}");
    }
}

#[tokio::test]
async fn a_late_reply_is_never_taken_for_anothers() {
    let real = RealServer::redis().start();
    let link = link_to(&server(&format!("{}?{PATIENT}", real.url())));
    echo(&link, "warm").await.expect("it is up");
    for round in 0..20 {
        let word = format!("round-{round}");
        real.stop();
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(20), echo(&link, "?"));
        assert!(given_up.await.is_err(), "it is stopped");
        real.cont();
        assert_eq!(echo(&link, &word).await, Ok(echoed(&word)));
    }
    assert_eq!(link.links().borrow().made, 1, "an answer within the limit keeps the link");
}

#[tokio::test]
async fn a_connection_that_is_cut_during_the_login_is_tried_again() {
    for name in ["HELLO", "SELECT"] {
        for fate in [Fate::CutBefore, Fate::CutAfter, Fate::CutReply(2)] {
            let real = RealServer::redis().start();
            let proxy = Proxy::to(real.address());
            let link = link_to(&server(&format!("{}/1?{PATIENT}", proxy.url())));
            proxy.on(Which::nth_named(1, name), fate.clone());
            let failure = ping(&link).await.expect_err("it was cut");
            assert!(!failure.may_have_run, "{name} {fate:?}: {failure:?}");
            assert!(ping(&link).await.is_ok(), "{name} {fate:?}");
            assert_eq!(proxy.links(), 2, "{name} {fate:?}");
        }
    }
}
