//! A claim that is asked for again after its first try won no majority: the first try is withdrawn,
//! and that refuses, ends or hides nothing of the next one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tenure::protocol::{Op, Reply};
use tenure::store::QuorumOptions;
use tenure::{Begun, Locks, LocksOptions, Once, OnceGuard, Outcome, Owner, Renewal};

use crate::nodes::{Node, PATIENCE, machine, ms, nodes, quorum_with, until};

const TICK: Duration = Duration::from_secs(3_600);

/// A node that does not answer is given up soon, and the claim is not given up.
async fn locks(nodes: &[Arc<Node>]) -> Locks {
    let options = QuorumOptions::default().with_node_timeout(ms(1_000));
    let quorum = quorum_with(nodes, options).await;
    let options = LocksOptions::default().with_store_timeout(4 * PATIENCE);
    Locks::over(Arc::new(quorum), machine(), options)
}

fn job(locks: &Locks) -> Once {
    locks.once("key").every(TICK).since_last_run().with_ttl(4 * PATIENCE)
}

async fn begun(once: Once) -> OnceGuard {
    match once.begin().await.expect("an answer") {
        Begun::Ours(guard) => guard,
        Begun::Skipped(last) => panic!("skipped: {last}"),
    }
}

fn all(nodes: &[Arc<Node>], change: fn(&Node)) {
    nodes.iter().for_each(|node| change(node));
}

/// The owner that a node has granted to, as soon as it is another one.
async fn next_holder(node: &Node, before: Option<&Owner>) -> Owner {
    let mut next = None;
    until("it has granted", async || {
        let seen = node.inspect("key").await;
        next = seen.holders.into_iter().map(|holder| holder.owner).next();
        next.is_some() && next.as_ref() != before
    })
    .await;
    next.expect("a holder")
}

/// Until the owner is refused at the node.
async fn until_withdrawn(node: &Node, owner: &Owner) {
    let renew = || Op::Renew { owner: owner.clone(), ttl: ms(10) };
    let is_refused = async || node.ask("key", renew()).await == Reply::Withdrawn;
    until("it is withdrawn", is_refused).await;
}

#[tokio::test]
async fn a_begin_goes_on_at_a_node_that_its_first_try_gave_back() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    all(&nodes[1..], Node::down);
    let run = tokio::spawn(begun(job(&locks)));
    // It has won one node, and given it back.
    let calls = || nodes[0].calls.load(Ordering::SeqCst);
    until("the first try is over", async || calls() >= 2).await;
    nodes[1].up();
    let guard = run.await.expect("no panic");
    guard.finish(Outcome::Ok).await.expect("two of three");
    nodes[2].up();
    assert!(matches!(job(&locks).begin().await, Ok(Begun::Skipped(_))), "a second run");
}

/// The withdrawal of the first try reaches the nodes after the next one has won them.
#[tokio::test]
async fn a_run_is_not_ended_by_the_withdrawal_of_its_first_try() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    nodes[0].down();
    all(&nodes[1..], Node::silence);
    let run = tokio::spawn(begun(job(&locks)));
    let mut first = Vec::new();
    for node in &nodes[1..] {
        first.push(next_holder(node, None).await);
    }
    all(&nodes[1..], Node::down);
    let calls = || nodes[1..].iter().map(|node| node.calls.load(Ordering::SeqCst)).min();
    until("the first try is given up", async || calls() >= Some(3)).await;
    all(&nodes[1..], Node::up);
    let guard = run.await.expect("no panic");
    for (node, first) in nodes[1..].iter().zip(&first) {
        until_withdrawn(node, first).await;
    }
    nodes[0].up();
    match job(&locks).begin().await.expect("an answer") {
        Begun::Skipped(last) => assert_eq!(last.owner, *guard.owner()),
        Begun::Ours(_) => panic!("a second run in one tick"),
    }
    guard.finish(Outcome::Ok).await.expect("it is held");
}

#[tokio::test]
async fn a_steal_goes_on_after_its_first_try_was_withdrawn() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let mutex = locks.mutex("key").with_ttl(4 * PATIENCE).with_renewal(Renewal::Off);
    let before = mutex.acquire().await.expect("free");
    for node in &nodes {
        next_holder(node, None).await;
    }
    nodes[0].down();
    all(&nodes[1..], Node::silence);
    let thief = mutex.clone();
    let stolen = tokio::spawn(async move { thief.steal().await });
    let mut first = Vec::new();
    for node in &nodes[1..] {
        first.push(next_holder(node, Some(before.owner())).await);
    }
    for (node, first) in nodes[1..].iter().zip(&first) {
        until_withdrawn(node, first).await;
    }
    all(&nodes[1..], Node::up);
    let guard = stolen.await.expect("no panic").expect("two of three");
    assert!(guard.fence() > before.fence(), "{} after {}", guard.fence(), before.fence());
    for node in &nodes[1..] {
        assert_eq!(next_holder(node, None).await, *guard.owner());
    }
    guard.check().expect("it is held");
}

/// A transfer is not withdrawn between its tries: all of them have the same owner.
#[tokio::test]
async fn an_adoption_goes_on_where_its_first_try_was_not_answered() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let mutex = locks.mutex("key").with_ttl(4 * PATIENCE).with_renewal(Renewal::Off);
    let guard = mutex.acquire().await.expect("free");
    let (from, fence) = (guard.owner().clone(), guard.fence());
    let ticket = guard.hand_over(2 * PATIENCE).await.expect("a majority");
    nodes[0].down();
    all(&nodes[1..], Node::silence);
    let heir = mutex.clone();
    let adopted = tokio::spawn(async move { heir.adopt(&ticket).await });
    for node in &nodes[1..] {
        next_holder(node, Some(&from)).await;
    }
    all(&nodes[1..], Node::up);
    let guard = adopted.await.expect("no panic").expect("two of three");
    assert_eq!(guard.fence(), fence);
    for node in &nodes[1..] {
        assert_eq!(next_holder(node, None).await, *guard.owner());
    }
}
