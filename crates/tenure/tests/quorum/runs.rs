//! Runs of a job: a tick has one, whichever majority grants it, and a run that did not win one was
//! never begun.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tenure::protocol::{FenceRule, LastRun, Op};
use tenure::store::Forgets;
use tenure::{Begun, ErrorKind, Locks, Once, OnceGuard, Outcome, Renewal, RunState};

use crate::nodes::{Node, locks, ms, nodes, until, until_held};
use crate::votes::claim;

const TICK: Duration = Duration::from_secs(3_600);

fn job(locks: &Locks) -> Once {
    locks.once("key").every(TICK).since_last_run()
}

async fn begun(once: &Once) -> OnceGuard {
    match once.begin().await.expect("an answer") {
        Begun::Ours(guard) => guard,
        Begun::Skipped(last) => panic!("skipped: {last}"),
    }
}

async fn last_of(node: &Arc<Node>) -> Option<LastRun> {
    node.inspect("key").await.last_run.map(|run| *run)
}

#[tokio::test]
async fn run_that_won_no_majority_was_never_begun() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    for node in &nodes[1..] {
        node.ask("key", Op::Acquire(claim(1, FenceRule::Mint))).await;
    }
    let asked = nodes[0].calls.load(Ordering::SeqCst);
    let busy = job(&locks).begin().await.expect_err("others have two nodes");
    assert_eq!(busy.kind(), ErrorKind::Busy, "{busy}");
    // Two nodes have refused, so nobody has waited for the third.
    until("its tick is free again", async || {
        let calls = nodes[0].calls.load(Ordering::SeqCst) - asked;
        calls >= 2 && last_of(&nodes[0]).await.is_none()
    })
    .await;
    for node in &nodes[1..] {
        let owner = claim(1, FenceRule::Mint).owner;
        node.ask("key", Op::Release { owner, min_hold: ms(0), tombstone: None }).await;
    }
    begun(&job(&locks)).await.finish(Outcome::Ok).await.expect("finished");
}

#[tokio::test]
async fn every_later_majority_knows_of_the_run() {
    let nodes = nodes(3);
    let (ours, theirs) = (locks(&nodes).await, locks(&nodes).await);
    nodes[2].down();
    let guard = begun(&job(&ours)).await;
    nodes[2].up_after_a_refusal().await;
    nodes[0].down();
    // One node has it, and another grants: it may be one that is being withdrawn.
    let unsure = job(&theirs).begin().await.expect_err("another is at it");
    assert_eq!(unsure.kind(), ErrorKind::Busy, "{unsure}");
    nodes[0].up();
    guard.finish(Outcome::Ok).await.expect("finished");
    nodes[0].down();
    let Begun::Skipped(last) = job(&theirs).begin().await.expect("an answer") else {
        panic!("a second run in one tick")
    };
    assert_eq!(last.state, RunState::Ok);
    assert_eq!(last_of(&nodes[2]).await, None, "its tick is used up");
}

#[tokio::test]
async fn outcome_reaches_a_node_that_was_away() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let guard = begun(&job(&locks)).await;
    until_held(&nodes).await;
    nodes[2].down();
    guard.finish(Outcome::failed("no table")).await.expect("a majority has it");
    let told = async || last_of(&nodes[2]).await.expect("the run").state;
    assert_eq!(told().await, RunState::Running);
    nodes[2].up();
    until("it is told", async || matches!(told().await, RunState::Failed(_))).await;
}

#[tokio::test]
async fn outcome_that_a_minority_has_is_not_certain() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let guard = begun(&job(&locks)).await;
    until_held(&nodes).await;
    nodes[1].down();
    nodes[2].down();
    let error = guard.finish(Outcome::Ok).await.expect_err("one of three");
    assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true), "{error}");
    nodes[1].up();
    nodes[2].up();
    let all_know = async || {
        let mut known = 0;
        for node in &nodes {
            let state = last_of(node).await.map(|last| last.state);
            known += u32::from(state == Some(RunState::Ok));
        }
        known == 3
    };
    until("it goes on in the background", all_know).await;
}

/// It has its lease while a majority of nodes has it. To read one that lost it, and one that did
/// not, must not make the living dead, nor say this and then that.
#[tokio::test]
async fn run_is_not_called_unfinished_while_a_majority_may_have_its_lease() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let guard = begun(&job(&locks).with_renewal(Renewal::Off)).await;
    until_held(&nodes).await;
    let let_go = async |node: &Arc<Node>| {
        let owner = guard.owner().clone();
        node.ask("key", Op::Release { owner, min_hold: ms(0), tombstone: None }).await;
        assert_eq!(last_of(node).await.expect("the run").state, RunState::Unfinished);
    };
    let told_without = async |away: usize| {
        nodes[away].down();
        let told = job(&locks).last().await.expect("an answer").expect("the run").state;
        let Begun::Skipped(last) = job(&locks).begin().await.expect("an answer") else {
            panic!("a second run in one tick")
        };
        assert_eq!(last.state, told);
        nodes[away].up();
        told
    };
    let_go(&nodes[2]).await;
    for away in [1, 2, 0] {
        assert_eq!(told_without(away).await, RunState::Running, "without node {away}");
    }
    let_go(&nodes[0]).await;
    assert_eq!(told_without(1).await, RunState::Unfinished);
}

/// By the end of its guard, the tick must be over.
#[tokio::test]
async fn node_that_could_forget_the_run_within_its_tick_refuses() {
    let nodes = nodes(3);
    for node in &nodes {
        node.identity.lock().expect("no panic").forgets = Forgets::GuardedFor(2 * TICK);
    }
    let locks = locks(&nodes).await;
    let longer = job(&locks).every(TICK + ms(1));
    let refused = longer.begin().await.expect_err("it could take place again");
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    assert!(refused.to_string().contains("restart_guard"), "{refused}");
    for node in &nodes {
        assert_eq!(last_of(node).await, None);
    }
    begun(&job(&locks)).await.finish(Outcome::Ok).await.expect("finished");
}
