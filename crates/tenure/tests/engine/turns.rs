//! The end of a process's turn, when it has used up its handoffs: the waiters of others do not wait
//! until its next task has a place at the store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenure::protocol::{Op, Reply, Request};
use tenure::runtime;
use tenure::store::{Answer, Memory, Store};
use tenure::{Guard, Locks, LocksOptions};
use tenure_testkit::LIMIT;
use tokio::task::JoinHandle;

use crate::store_wrapper::{Change, Wrapper};

/// Memory that writes down how leases are given back.
#[derive(Debug)]
struct Recorded {
    within: Memory,
    releases: Mutex<Vec<&'static str>>,
}

impl Change for Recorded {
    fn within(&self) -> &dyn Store {
        &self.within
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        for step in &steps {
            let name = match step.op {
                Op::Release { .. } => "release",
                Op::Handoff { .. } => "handoff",
                _ => continue,
            };
            self.releases.lock().expect("no panic").push(name);
        }
        self.within.call(steps)
    }
}

fn waiting(locks: &Locks) -> JoinHandle<Guard> {
    let mutex = locks.mutex("key");
    tokio::spawn(async move { mutex.acquire().await.expect("granted") })
}

async fn until_waiting(locks: &Locks, count: usize) {
    let all_wait = async {
        while locks.mutex("key").inspect().await.expect("an answer").waiters.len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, all_wait).await.expect("they stand in line");
}

async fn granted(next: JoinHandle<Guard>) -> Guard {
    tokio::time::timeout(LIMIT, next).await.expect("in time").expect("no panic")
}

#[tokio::test]
async fn last_release_of_a_turn_brings_no_place_along() {
    let runtime = runtime::machine().expect("a runtime");
    let within = Memory::new(Arc::clone(&runtime));
    let store = Arc::new(Wrapper(Recorded { within: within.clone(), releases: Mutex::default() }));
    let once = LocksOptions::default().with_local_handoffs(1, LIMIT);
    let ours = Locks::over(Arc::clone(&store) as _, Arc::clone(&runtime), once);
    let strict = LocksOptions::default().with_local_handoffs(0, LIMIT);
    let others = Locks::over(Arc::new(within), runtime, strict);

    let other = others.mutex("key").acquire().await.expect("it is free");
    let first = waiting(&ours);
    until_waiting(&others, 1).await;
    let (second, third) = (waiting(&ours), waiting(&ours));
    let other_next = waiting(&others);
    until_waiting(&others, 2).await;

    other.release().await.expect("an answer");
    granted(first).await.release().await.expect("an answer");
    let last_of_turn = granted(second).await;
    last_of_turn.release().await.expect("an answer");
    assert_eq!(*store.0.releases.lock().expect("no panic"), ["handoff", "release"]);
    granted(other_next).await.release().await.expect("an answer");
    granted(third).await.release().await.expect("an answer");
}
