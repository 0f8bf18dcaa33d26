//! URLs that are not a quorum, and their errors.

use std::sync::Arc;

use tenure::store::{Forgets, Memory, Quorum, QuorumOptions, Store, StoreErrorClass};
use tenure::{ErrorKind, Locks, LocksOptions};

use crate::nodes::{Handle, Node, locks, machine, ms, nodes, options};

async fn refusal(stores: Vec<Arc<dyn Store>>, options: QuorumOptions) -> String {
    let error = Quorum::open(stores, machine(), options).await.expect_err("refused");
    assert_eq!(error.class, StoreErrorClass::Config, "{error}");
    error.message
}

fn handles(nodes: &[Arc<Node>]) -> Vec<Arc<dyn Store>> {
    nodes.iter().map(|n| Arc::new(Handle(Arc::clone(n))) as Arc<dyn Store>).collect()
}

#[tokio::test]
async fn an_even_number_and_too_few_nodes_are_refused() {
    for count in [0, 1, 2, 4, 6] {
        let message = refusal(handles(&nodes(count)), options()).await;
        assert!(message.contains("odd") && message.contains(&count.to_string()), "{message}");
    }
}

#[tokio::test]
async fn one_store_under_two_names_is_refused() {
    let memory = Arc::new(Memory::new(machine()));
    let other = Arc::new(Memory::new(machine()));
    let again = Arc::new(Memory::clone(&memory));
    let message = refusal(vec![memory, other, again], options()).await;
    assert!(message.contains("node 3") && message.contains("same store as node 1"), "{message}");
}

#[tokio::test]
async fn a_node_whose_grants_replicas_acknowledge_is_refused() {
    let url = "quorum:redis://127.0.0.1:1?ack=1 redis://127.0.0.1:2 redis://127.0.0.1:3";
    let error = tenure::connect(url).await.expect_err("refused before anything is sent");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("leave ack out"), "{error}");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let nodes = nodes(3);
    nodes[1].identity.lock().expect("no panic").replica_of = Some("10.0.0.1:6379".into());
    let message = refusal(handles(&nodes), options()).await;
    assert!(message.contains("node 2") && message.contains("replica of 10.0.0.1"), "{message}");
}

#[tokio::test]
async fn a_node_that_may_forget_must_guard_against_it() {
    let nodes = nodes(3);
    nodes[2].identity.lock().expect("no panic").forgets = Forgets::GuardedFor(ms(9_000));
    let message = refusal(handles(&nodes), options().with_max_ttl(ms(10_000))).await;
    assert!(message.contains("9s") && message.contains("10s"), "{message}");
    let fits = options().with_max_ttl(ms(9_000));
    Quorum::open(handles(&nodes), machine(), fits).await.expect("guarded for long enough");
}

#[tokio::test]
async fn terms_out_of_order_are_refused_with_both_numbers() {
    let terms = options().with_max_ttl(ms(300)).with_node_timeout(ms(400));
    let message = refusal(handles(&nodes(3)), terms).await;
    assert!(message.contains("400ms") && message.contains("300ms"), "{message}");
    let inner = crate::nodes::quorum(&nodes(3)).await;
    let mut stores = handles(&nodes(2));
    stores.push(Arc::new(inner));
    let message = refusal(stores, options()).await;
    assert!(message.contains("quorum itself"), "{message}");
}

#[tokio::test]
async fn a_minority_may_be_away_and_is_asked_later_who_it_is() {
    let nodes = nodes(3);
    nodes[2].down();
    let locks = locks(&nodes).await;
    locks.mutex("key").acquire().await.expect("two are enough").release().await.expect("released");
    // It comes up, and is the double of another.
    let double = nodes[0].identity.lock().expect("no panic").clone();
    *nodes[2].identity.lock().expect("no panic") = double;
    nodes[2].up();
    nodes[1].down();
    let error = locks.mutex("key").try_acquire().await.expect_err("one vote, counted once");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("same store as node 1"), "{error}");
}

#[tokio::test]
async fn no_majority_is_an_error_with_every_nodes_cause() {
    let nodes = nodes(5);
    nodes[..3].iter().for_each(|node| node.down());
    let opened = Quorum::open(handles(&nodes), machine(), options()).await;
    let error = opened.expect_err("two of five");
    assert_eq!(error.class, StoreErrorClass::Transient);
    assert_eq!(error.message.matches("connection refused").count(), 3, "{error}");
    for number in 0..5 {
        assert!(error.message.contains(&format!("node-{number}")), "{error}");
    }
}

#[tokio::test]
async fn a_ttl_above_max_ttl_is_refused_before_anything_is_touched() {
    let nodes = nodes(3);
    let options = options().with_max_ttl(ms(10_000));
    let store = Quorum::open(handles(&nodes), machine(), options).await.expect("opens");
    let locks = Locks::over(Arc::new(store), machine(), LocksOptions::default());
    let long = locks.mutex("key").with_ttl(ms(10_001));
    let error = long.acquire().await.expect_err("above the limit");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("10.001s") && error.message().contains("10s"), "{error}");
    let held = locks.mutex("key").with_min_hold(ms(10_001)).try_acquire().await;
    assert_eq!(held.expect_err("above the limit").kind(), ErrorKind::Invalid);
    let guard = locks.mutex("key").with_ttl(ms(10_000)).acquire().await.expect("the limit");
    let error = guard.extend_to(ms(10_001)).await.expect_err("above the limit");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    guard.check().expect("still held");
}
