//! The inbox: what arrives, what is missed, what is refused.

use std::time::Instant;

use tenure_testkit::{Flavour, LIMIT, Server as RealServer, wait_until};

use crate::store::redis::client::tests::{established, server};
use crate::store::redis::inbox::{self, CHANNELS};
use crate::store::{Inbox, Push};
use crate::types::{Fence, Key, Owner};

/// The payload is the stamp.
fn decode(payload: &[u8]) -> Option<Vec<Push>> {
    let stamp = std::str::from_utf8(payload).ok()?.parse().ok()?;
    let (key, owner) = (Key::new("key").ok()?, Owner::from_parts("owner", 1));
    Some(vec![Push { key, owner, fence: Fence::new(7), stamp }])
}

fn publish(real: &RealServer, inbox: &Inbox, payload: &str) -> i64 {
    real.command(&["PUBLISH", &inbox.address, payload]).int()
}

async fn stamp(inbox: &mut Inbox) -> u64 {
    let push = tokio::time::timeout(LIMIT, inbox.pushes.recv()).await;
    push.expect("it comes in time").expect("the inbox is open").stamp
}

#[tokio::test]
async fn what_is_published_arrives_and_nonsense_does_not() {
    for flavour in Flavour::ALL {
        let real = RealServer::of(flavour).start();
        let opened = inbox::open(&server(&real.url()), decode).await.expect("an answer");
        let mut inbox = opened.expect("an inbox");
        assert!(inbox.address.starts_with(CHANNELS), "{}", inbox.address);
        for payload in ["1", "nonsense", "2"] {
            assert_eq!(publish(&real, &inbox, payload), 1);
        }
        assert_eq!((stamp(&mut inbox).await, stamp(&mut inbox).await), (1, 2));
        drop(inbox);
        wait_until("nobody is subscribed", || {
            real.command(&["PUBSUB", "CHANNELS"]).list().is_empty()
        });
    }
}

#[tokio::test]
async fn a_cut_subscription_is_made_again_and_says_so() {
    let real = RealServer::redis().start();
    let opened = inbox::open(&server(&real.url()), decode).await.expect("an answer");
    let mut inbox = opened.expect("an inbox");
    let missed = std::sync::Arc::clone(&inbox.missed);
    for round in 0..3 {
        assert_eq!(real.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).int(), 1);
        tokio::time::timeout(LIMIT, missed.notified()).await.expect("it says so");
        let payload = round.to_string();
        assert_eq!(publish(&real, &inbox, &payload), 1, "it is subscribed when it says so");
        assert_eq!(stamp(&mut inbox).await, round);
    }
    real.restart_empty();
    tokio::time::timeout(LIMIT, missed.notified()).await.expect("it says so");
    assert_eq!(publish(&real, &inbox, "9"), 1);
    assert_eq!(stamp(&mut inbox).await, 9);
}

#[tokio::test]
async fn a_stopped_server_is_noticed_without_traffic() {
    let real = RealServer::redis().start();
    let url = format!("{}?call_timeout=200ms&connect_timeout=200ms", real.url());
    let began = Instant::now();
    let inbox = loop {
        match inbox::open(&server(&url), decode).await {
            Ok(opened) => break opened.expect("an inbox"),
            // The first link may take a busy machine longer.
            Err(failure) => assert!(began.elapsed() < LIMIT, "{failure}"),
        }
    };
    real.stop();
    wait_until("the silent connection is given up", || established(&real) == 0);
    real.cont();
    tokio::time::timeout(LIMIT, inbox.missed.notified()).await.expect("it was made again");
}

#[tokio::test]
async fn a_user_without_channels_has_no_inbox() {
    let real = RealServer::redis().with_user("few", "on >secret ~* resetchannels +@all").start();
    let url = format!("redis://few:secret@127.0.0.1:{}", real.port());
    let opened = inbox::open(&server(&url), decode).await.expect("no error");
    assert!(opened.is_none());

    let real = RealServer::redis().with("rename-command SUBSCRIBE \"\"").start();
    let opened = inbox::open(&server(&real.url()), decode).await.expect("no error");
    assert!(opened.is_none());
}

#[tokio::test]
async fn the_smallest_right_to_channels_is_enough() {
    let rules = "on >secret ~* resetchannels &tenure:inbox:* -@all +subscribe +ping";
    let real = RealServer::redis().with_user("few", rules).start();
    let url = format!("redis://few:secret@127.0.0.1:{}", real.port());
    let opened = inbox::open(&server(&url), decode).await.expect("an answer");
    let mut inbox = opened.expect("an inbox");
    assert_eq!(publish(&real, &inbox, "3"), 1);
    assert_eq!(stamp(&mut inbox).await, 3);
}

#[tokio::test]
async fn without_a_server_there_is_an_error_and_no_task_is_left() {
    let url = "redis://127.0.0.1:1?connect_timeout=200ms";
    let failure = inbox::open(&server(url), decode).await.expect_err("nobody listens");
    assert!(failure.to_string().contains("nobody listens"), "{failure}");
}
