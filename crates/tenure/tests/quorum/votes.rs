//! Winning, losing and keeping a majority.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenure::protocol::{Acquire, FenceRule, Op, Reply, Request};
use tenure::store::Store;
use tenure::{Claim, ErrorKind, Fence, Key, Label, LostReason, Owner, Released, Renewal};

use crate::nodes::{
    PATIENCE, locks, ms, nodes, patient_locks, quorum, until, until_bare, until_held,
};

/// Renews so long before the end that no pause of a busy machine loses the lease.
const OFTEN: Renewal = Renewal::Every(ms(100));

pub(crate) fn claim(number: u64, fence: FenceRule) -> Acquire {
    Acquire {
        owner: Owner::from_parts(&format!("rival {number}"), number),
        label: Label::new("rival"),
        claim: Claim::EXCLUSIVE,
        ttl: ms(60_000),
        queue: None,
        fence,
        value: None,
    }
}

pub(crate) fn step(op: Op) -> Vec<Request> {
    vec![Request { key: Key::new("key").expect("a key"), op }]
}

#[tokio::test]
async fn a_lock_is_held_by_all_nodes_in_one_round() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let before: Vec<_> = nodes.iter().map(|n| n.calls.load(Ordering::SeqCst)).collect();
    let guard = locks.mutex("key").acquire().await.expect("free");
    until_held(&nodes).await;
    for node in &nodes {
        let seen = node.inspect("key").await;
        assert_eq!(seen.holders[0].owner, *guard.owner());
        assert_eq!(seen.holders[0].fence, guard.fence());
    }
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    until_bare(&nodes, "key").await;
    for (node, before) in nodes.iter().zip(before) {
        let messages = node.calls.load(Ordering::SeqCst) - before;
        assert_eq!(messages, 2, "one to acquire and one to release");
    }
}

#[tokio::test]
async fn semaphores_and_the_like_are_refused_with_a_reason() {
    let quorum = quorum(&nodes(3)).await;
    let can = quorum.capabilities();
    assert!(!can.fifo && !can.many_units && !can.groups && can.composite, "{can:?}");
    let claim = Acquire { claim: Claim::new(1, 3).expect("valid"), ..claim(1, FenceRule::Mint) };
    let replies = quorum.call(step(Op::Acquire(claim))).await.expect("an answer");
    let Reply::Refused(why) = &replies[0] else { panic!("{replies:?}") };
    assert!(why.contains("one holder only"), "{why}");
}

/// The counters 6, 2 and 2 of the design: a plain maximum brings 6 and then 3.
#[tokio::test]
async fn nodes_that_differ_are_brought_to_one_fence_before_it_counts() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let first = locks.mutex("key").acquire().await.expect("free");
    let ahead = Fence::new(first.fence().get() + 60_000_000);
    first.release().await.expect("released");
    until_bare(&nodes, "key").await;
    // Two nodes have seen fences that no other has.
    for (node, seen) in nodes.iter().zip([ahead, Fence::new(ahead.get() + 5)]) {
        let lone = claim(1, FenceRule::Carry(seen));
        let owner = lone.owner.clone();
        node.ask("key", Op::Acquire(lone)).await;
        let release = Op::Release { owner, min_hold: ms(0), tombstone: None };
        assert_eq!(node.ask("key", release).await, Reply::Released);
    }
    let second = locks.mutex("key").acquire().await.expect("free");
    assert!(second.fence() > ahead, "{} is not above {ahead}", second.fence());
    let mut told = 0;
    for node in &nodes {
        told += usize::from(node.inspect("key").await.fence == Some(second.fence()));
    }
    assert!(told >= 2, "a majority knows the fence before it counts");
    let second_fence = second.fence();
    second.release().await.expect("released");
    // Without the node that had the largest.
    nodes[1].down();
    let third = locks.mutex("key").acquire().await.expect("two are enough");
    assert!(third.fence() > second_fence, "{} after {second_fence}", third.fence());
}

#[tokio::test]
async fn a_partial_win_is_given_back_before_the_answer() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let rival = claim(1, FenceRule::Mint);
    for node in &nodes[..2] {
        node.ask("key", Op::Acquire(rival.clone())).await;
    }
    let tried = locks.mutex("key").try_acquire().await.expect("an answer");
    assert!(tried.is_none(), "a majority is held by another");
    assert!(nodes[2].inspect("key").await.holders.is_empty(), "what was won was given back");
    for node in &nodes[..2] {
        assert_eq!(node.inspect("key").await.holders[0].owner, rival.owner);
    }
    let waited = locks.mutex("key").with_wait(ms(2_000)).acquire().await;
    let error = waited.expect_err("held");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.message().contains("held by rival"), "{error}");
    for number in 0..3 {
        assert!(error.message().contains(&format!("node-{number}: ")), "{error}");
    }
    until_bare(&nodes[2..], "key").await;
}

/// A client that waited for the silent node would keep the free one, which its rival needs.
#[tokio::test]
async fn a_split_is_given_back_without_waiting_for_who_is_silent() {
    let nodes = nodes(3);
    let locks = patient_locks(&nodes).await;
    nodes[0].stop();
    nodes[1].ask("key", Op::Acquire(claim(1, FenceRule::Mint))).await;
    let started = Instant::now();
    let tried = locks.mutex("key").try_acquire().await.expect("an answer");
    assert!(tried.is_none(), "one of three is held by another, and one is silent");
    assert!(started.elapsed() < PATIENCE, "a stopped node was waited for");
    assert!(nodes[2].inspect("key").await.holders.is_empty(), "what was won was given back");
    nodes[0].catch_up().await;
    until_bare(&nodes[..1], "key").await;
}

#[tokio::test]
async fn a_minority_that_is_down_or_stopped_does_not_matter() {
    let nodes = nodes(5);
    let locks = patient_locks(&nodes).await;
    nodes[0].down();
    nodes[3].stop();
    let started = Instant::now();
    let guard = locks.mutex("key").acquire().await.expect("three of five");
    assert!(started.elapsed() < PATIENCE, "a stopped node was waited for");
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    nodes[0].up_after_a_refusal().await;
    // Requests that it carries out late are undone.
    nodes[3].catch_up().await;
    until_bare(&nodes, "key").await;
    let again = locks.mutex("key").acquire().await.expect("free everywhere");
    until_held(&nodes).await;
    for node in &nodes {
        assert_eq!(node.inspect("key").await.holders[0].owner, *again.owner());
    }
}

/// "2 of 3 nodes answered, and 2 are needed" contradicted itself.
#[tokio::test]
async fn a_renewal_that_fails_counts_the_nodes_that_renewed() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let mutex = locks.mutex("key").with_ttl(ms(60_000)).with_renewal(Renewal::Off);
    let guard = mutex.acquire().await.expect("free");
    until_held(&nodes).await;
    nodes[0].forget();
    nodes[1].down();
    let error = guard.extend_to(ms(60_000)).await.expect_err("one of three");
    for words in ["1 of 3 nodes renewed, and 2 are needed", "has no such lease"] {
        assert!(error.message().contains(words), "{words} is missing in: {error}");
    }
    nodes[2].down();
    let error = guard.extend_to(ms(60_000)).await.expect_err("none of three");
    // As soon as two have refused, nobody waits for the third.
    assert!(error.message().contains(" of 3 nodes answered, and 2 are needed"), "{error}");
}

#[tokio::test]
async fn without_a_majority_nothing_is_left_once_the_nodes_are_back() {
    let nodes = nodes(5);
    let locks = locks(&nodes).await;
    nodes[..3].iter().for_each(|node| node.stop());
    let started = Instant::now();
    let error = locks.mutex("key").try_acquire().await.expect_err("two of five");
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, true));
    assert!(error.message().contains("2 of 5 nodes answered"), "{error}");
    assert_eq!(error.message().matches("no answer within 4s").count(), 3, "{error}");
    assert_eq!(error.message().matches("granted").count(), 2, "{error}");
    until_bare(&nodes[3..], "key").await;
    for node in &nodes[..3] {
        node.catch_up().await;
    }
    until_bare(&nodes, "key").await;
    let guard = locks.mutex("key").acquire().await.expect("all are back");
    guard.check().expect("held");
}

#[tokio::test]
async fn a_renewal_tops_up_and_does_not_count_what_it_adds() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    nodes[2].down();
    // One at a time: a renewal that was sent before a top-up does not count it, and may end later.
    let mutex = locks.mutex("key").with_renewal(Renewal::Off);
    let guard = mutex.acquire().await.expect("two are enough");
    nodes[2].up_after_a_refusal().await;
    guard.extend_to(ms(60_000)).await.expect("two are enough");
    until("the third node has it", async || {
        let seen = nodes[2].inspect("key").await;
        seen.holders.first().is_some_and(|h| h.owner == *guard.owner())
    })
    .await;
    assert_eq!(nodes[2].inspect("key").await.holders[0].fence, guard.fence(), "it mints nothing");
    // The first forgets: with the third the lease still has a majority.
    nodes[0].forget();
    guard.extend_to(ms(70_000)).await.expect("two of three");
    until("the first node has it again", async || {
        !nodes[0].inspect("key").await.holders.is_empty()
    })
    .await;
    guard.check().expect("never lost");
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    until_bare(&nodes, "key").await;
}

#[tokio::test]
async fn a_majority_that_forgot_the_lease_loses_it() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let guard = locks.mutex("key").with_renewal(OFTEN).acquire().await.expect("free");
    until_held(&nodes).await;
    // Both at once: no renewal comes in between and tops up the first.
    nodes[..2].iter().for_each(|node| node.down());
    nodes[..2].iter().for_each(|node| node.forget());
    nodes[..2].iter().for_each(|node| node.up());
    let lost = tokio::time::timeout(PATIENCE, guard.lost()).await.expect("it is told");
    assert_eq!(lost, LostReason::Gone);
    for node in &nodes[..2] {
        assert!(node.inspect("key").await.holders.is_empty(), "nothing is brought back");
    }
}

#[tokio::test]
async fn one_that_forgot_and_one_that_is_silent_neither_extend_nor_lose() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let mutex = locks.mutex("key").with_renewal(Renewal::Off);
    let guard = mutex.acquire().await.expect("free");
    until_held(&nodes).await;
    let deadline = guard.deadline();
    nodes[0].forget();
    nodes[1].down();
    let unknown = guard.extend_to(ms(60_000)).await.expect_err("one of three");
    assert_eq!(unknown.kind(), ErrorKind::Unavailable);
    assert!(unknown.message().contains("has no such lease"), "{unknown}");
    assert!(unknown.message().contains("connection refused"), "{unknown}");
    guard.check().expect("not lost either");
    assert_eq!(guard.deadline(), deadline, "and not extended");
    nodes[1].up();
    guard.extend_to(ms(60_000)).await.expect("two of three");
    assert!(guard.deadline() > deadline);
}

#[tokio::test]
async fn a_look_shows_what_a_majority_says_and_what_each_node_said() {
    let nodes = nodes(3);
    let locks = locks(&nodes).await;
    let guard = locks.mutex("key").with_label("ada").acquire().await.expect("free");
    until_held(&nodes).await;
    nodes[1].down();
    let seen = locks.mutex("key").inspect().await.expect("two answer");
    assert_eq!((seen.holders.len(), seen.nodes.len()), (1, 3));
    assert_eq!((&seen.holders[0].owner, seen.holders[0].fence), (guard.owner(), guard.fence()));
    assert!(seen.nodes[0].answered && seen.nodes[0].said.contains("held by ada"));
    assert!(!seen.nodes[1].answered && seen.nodes[1].said.contains("connection refused"));
    assert_eq!(&*seen.nodes[2].name, "node-2");
    let listed = locks.list("k", None, 10).await.expect("two list");
    assert_eq!((listed.len(), listed[0].0.as_str()), (1, "key"));
}

#[tokio::test]
async fn contenders_never_overlap_and_all_have_their_turn() {
    let nodes = nodes(3);
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let locks = locks(&nodes).await;
        let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
        clients.push(tokio::spawn(async move {
            let mut fences = Vec::new();
            for _ in 0..25 {
                let guard = locks.mutex("key").acquire().await.expect("its turn");
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                fences.push(guard.fence());
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                guard.release().await.expect("released");
            }
            fences
        }));
    }
    let mut all = Vec::new();
    for one in clients {
        let fences = tokio::time::timeout(PATIENCE, one).await.expect("in time").expect("no panic");
        assert!(fences.is_sorted(), "fences went back: {fences:?}");
        all.extend(fences);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!((all.len(), most.load(Ordering::SeqCst)), (100, 1));
    until_bare(&nodes, "key").await;
}

/// Three clients want the same keys at the same moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_contenders_one_wins_in_the_end_and_never_two() {
    let rounds: usize = match std::env::var("TENURE_ROUNDS") {
        Ok(number) => number.parse().expect("a number"),
        Err(_) => 1_000,
    };
    let nodes = nodes(3);
    // Requests overtake each other, or the first would always win all nodes.
    nodes.iter().for_each(|node| node.delay_by_up_to(ms(2)));
    // On a busy machine some requests take longer than usual: they are no failures.
    let contender = async || patient_locks(&nodes).await;
    let contenders = [contender().await, contender().await, contender().await];
    let mut looks = Vec::new();
    for round in 0..rounds {
        let start = Arc::new(tokio::sync::Barrier::new(3));
        let winners = Arc::new(AtomicUsize::new(0));
        let clients = contenders.iter().enumerate().map(|(number, locks)| {
            let (start, winners) = (Arc::clone(&start), Arc::clone(&winners));
            let mutex = locks.mutex(format!("round {round}")).with_ttl(4 * PATIENCE);
            tokio::spawn(async move {
                start.wait().await;
                let mut tries = 0;
                while winners.load(Ordering::SeqCst) == 0 {
                    tries += 1;
                    if let Some(guard) = mutex.try_acquire().await.expect("all are well") {
                        winners.fetch_add(1, Ordering::SeqCst);
                        return Some((tries, guard));
                    }
                    // As the engine waits: apart from each other.
                    let pause = (number as u64 * 7 + tries * 5) % 9 * tries.min(6);
                    tokio::time::sleep(Duration::from_micros(pause * 300)).await;
                }
                None
            })
        });
        let mut won = Vec::new();
        for one in clients.collect::<Vec<_>>() {
            let outcome = tokio::time::timeout(PATIENCE, one).await.expect("an even split settles");
            won.extend(outcome.expect("no panic"));
        }
        let [(tries, guard)] = &won[..] else { panic!("{} winners", won.len()) };
        guard.check().expect("held");
        looks.push(*tries);
    }
    looks.sort_unstable();
    let part = |percent: usize| looks[(looks.len() - 1) * percent / 100];
    println!(
        "tries to a winner of {rounds} rounds: p50 {}, p99 {}, most {}",
        part(50),
        part(99),
        looks[looks.len() - 1]
    );
    assert!(part(99) <= 60, "contenders do not come apart: {looks:?}");
}
