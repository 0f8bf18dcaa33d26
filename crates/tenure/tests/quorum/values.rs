//! The value of a leader at the nodes: a change counts when a majority has it, and every look sees
//! the last one that counted.

use tenure::{Election, ErrorKind, Locks, Renewal};

use crate::nodes::{locks, ms, nodes, until, until_held};

/// Renews so long before the end that no pause of a busy machine loses the lease.
const OFTEN: Renewal = Renewal::Every(ms(100));

fn election(locks: &Locks) -> Election {
    locks.election("key").with_renewal(OFTEN)
}

async fn seen(locks: &Locks) -> String {
    let leader = locks.election("key").leader().await.expect("a look");
    leader.expect("somebody leads").value().to_owned()
}

#[tokio::test]
async fn value_that_a_majority_has_is_seen_by_every_majority() {
    let nodes = nodes(3);
    let (ours, theirs) = (locks(&nodes).await, locks(&nodes).await);
    let mut leadership = election(&ours).campaign("a").await.expect("elected");
    until_held(&nodes).await;
    nodes[2].down();
    leadership.set_value("b").await.expect("two of three");
    nodes[2].up();
    nodes[0].down();
    assert_eq!(seen(&theirs).await, "b", "one of these two has it");
    nodes[0].up();
    nodes[1].down();
    leadership.set_value("c").await.expect("two of three");
    nodes[1].up();
    for down in [0, 1, 2] {
        nodes[down].down();
        assert_eq!(seen(&theirs).await, "c", "without node {down}");
        nodes[down].up();
    }
}

#[tokio::test]
async fn value_that_too_few_have_is_unknown_until_the_next() {
    let nodes = nodes(3);
    let (ours, theirs) = (locks(&nodes).await, locks(&nodes).await);
    let mut leadership = election(&ours).campaign("a").await.expect("elected");
    until_held(&nodes).await;
    for node in &nodes[1..] {
        node.down();
    }
    let error = leadership.set_value("b").await.expect_err("one of three");
    assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
    nodes.iter().for_each(|node| node.up());
    assert!(["a", "b"].contains(&&*seen(&theirs).await));
    leadership.set_value("c").await.expect("set");
    assert_eq!(seen(&theirs).await, "c");
    leadership.check().expect("it led all the time");
}

/// A node that has lost the lease gets it again with the last value.
#[tokio::test]
async fn top_up_brings_the_last_value() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let mut leadership = election(&locks).campaign("a").await.expect("elected");
    until_held(&nodes).await;
    leadership.set_value("b").await.expect("set");
    nodes[1].forget();
    let value = async || {
        let holders = nodes[1].inspect("key").await.holders;
        holders.first().map(|holder| holder.value.as_ref().map(|v| v.as_str().to_owned()))
    };
    until("the lease is there again", async || value().await.is_some()).await;
    assert_eq!(value().await, Some(Some("b".to_owned())));
    leadership.set_value("c").await.expect("set");
    until("every node has it", async || value().await == Some(Some("c".to_owned()))).await;
}
