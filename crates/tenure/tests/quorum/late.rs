//! Answers that come late, and in another order than their questions.

use std::time::Instant;

use tenure::Released;
use tenure::protocol::{FenceRule, Op, Reply};
use tenure::store::{QuorumOptions, Store};
use tenure::{Label, Owner, Renewal};

use crate::nodes::{
    PATIENCE, locks, ms, nodes, options, patient_locks, quorum_with, until_bare, until_held,
};
use crate::votes::{claim, step};

/// Nobody is given up while a test arranges who answers when.
fn patient() -> QuorumOptions {
    QuorumOptions::default().with_node_timeout(PATIENCE)
}

fn release(owner: &Owner) -> Op {
    Op::Release { owner: owner.clone(), min_hold: ms(0), tombstone: None }
}

#[tokio::test]
async fn a_renewal_that_is_answered_before_its_acquire_leaves_no_orphan() {
    let nodes = nodes(3);
    let quorum = quorum_with(&nodes, patient()).await;
    let claim = claim(1, FenceRule::Mint);
    let owner = claim.owner.clone();
    nodes[2].silence();
    let granted = quorum.call(step(Op::Acquire(claim))).await.expect("two are enough");
    assert!(matches!(granted[..], [Reply::Granted { .. }]), "{granted:?}");
    nodes[2].until_kept_back(1).await;
    let renew = Op::Renew { owner: owner.clone(), ttl: ms(60_000) };
    let renewed = quorum.call(step(renew)).await.expect("two are enough");
    assert_eq!(renewed, [Reply::Renewed]);
    nodes[2].until_kept_back(2).await;
    let released = quorum.call(step(release(&owner))).await.expect("two are enough");
    assert_eq!(released, [Reply::Released]);
    // First that of the renewal, then that of the acquire.
    nodes[2].up();
    nodes[2].give_last().await;
    nodes[2].give_last().await;
    until_bare(&nodes, "key").await;
}

#[tokio::test]
async fn a_lease_that_was_handed_over_late_leaves_no_orphan() {
    let nodes = nodes(3);
    let quorum = quorum_with(&nodes, patient()).await;
    let claim = claim(1, FenceRule::Mint);
    let (from, to) = (claim.owner.clone(), Owner::from_parts("heir", 2));
    quorum.call(step(Op::Acquire(claim))).await.expect("free");
    until_held(&nodes).await;
    nodes[2].silence();
    let label = Label::new("heir");
    let transfer = Op::Transfer { from, to: to.clone(), label, ttl: ms(60_000) };
    let handed = quorum.call(step(transfer)).await.expect("two are enough");
    assert!(matches!(handed[..], [Reply::Transferred { .. }]), "{handed:?}");
    nodes[2].until_kept_back(1).await;
    let released = quorum.call(step(release(&to))).await.expect("two are enough");
    assert_eq!(released, [Reply::Released]);
    nodes[2].up();
    nodes[2].give_last().await;
    until_bare(&nodes, "key").await;
}

#[tokio::test]
async fn a_node_that_missed_a_handing_over_lets_the_old_owner_go() {
    let nodes = nodes(3);
    let quorum = quorum_with(&nodes, options()).await;
    let claim = claim(1, FenceRule::Mint);
    let (from, to) = (claim.owner.clone(), Owner::from_parts("heir", 2));
    quorum.call(step(Op::Acquire(claim))).await.expect("free");
    until_held(&nodes).await;
    nodes[2].down();
    let label = Label::new("heir");
    let transfer = Op::Transfer { from, to: to.clone(), label, ttl: ms(60_000) };
    quorum.call(step(transfer)).await.expect("two are enough");
    nodes[2].up_after_a_refusal().await;
    until_bare(&nodes[2..], "key").await;
    for node in &nodes[..2] {
        assert_eq!(node.inspect("key").await.holders[0].owner, to);
    }
}

#[tokio::test]
async fn a_release_says_what_most_nodes_say() {
    let nodes = nodes(3);
    let patient = patient_locks(&nodes).await;
    let mutex = patient.mutex("key").with_renewal(Renewal::Off);
    // The first node to answer has the lease, the next has lost it: the third one decides.
    for (forgetful, outcome) in [(1..3, Released::Gone), (1..2, Released::Released)] {
        let guard = mutex.acquire().await.expect("free");
        until_held(&nodes).await;
        nodes[forgetful].iter().for_each(|node| node.forget());
        nodes[2].delay_by_up_to(ms(100));
        assert_eq!(guard.release().await.expect("an answer"), outcome);
        nodes[2].delay_by_up_to(ms(0));
        until_bare(&nodes, "key").await;
    }
    // Nobody waits for it longer than a node is waited for.
    let locks = locks(&nodes).await;
    let mutex = locks.mutex("key").with_renewal(Renewal::Off);
    let guard = mutex.acquire().await.expect("free");
    until_held(&nodes).await;
    nodes[1].forget();
    nodes[2].stop();
    let started = Instant::now();
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    nodes[2].catch_up().await;
    until_bare(&nodes, "key").await;
}
