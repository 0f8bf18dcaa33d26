//! Answers that come when a later request of the same waiter has been answered already.

use std::sync::Arc;
use std::time::Duration;

use tenure::protocol::{Op, Reply, Request};
use tenure::runtime;
use tenure::store::{Answer, Memory, Store};
use tenure::{Locks, LocksOptions};
use tokio::sync::Notify;

use crate::store_wrapper::{Change, Wrapper};

/// Memory that refuses the first heartbeat of a waiter, and says so late.
#[derive(Debug)]
struct Late {
    within: Memory,
    refuses: Arc<Notify>,
}

impl Change for Late {
    fn within(&self) -> &dyn Store {
        &self.within
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let Op::Acquire(acquire) = &steps[0].op else { return self.within.call(steps) };
        match acquire.queue.as_ref().map(|queue| queue.stamp) {
            None => {
                let reply = Reply::Busy { look_in: Duration::from_secs(1), blocker: None };
                Box::pin(std::future::ready(Ok(vec![reply])))
            }
            Some(1) => Box::pin(async {
                self.refuses.notified().await;
                Ok(vec![Reply::SelfHeld])
            }),
            Some(_) => self.within.call(steps),
        }
    }
}

/// It once withdrew the lease that its caller already held.
#[tokio::test]
async fn a_refusal_that_is_overtaken_by_a_grant_withdraws_nothing() {
    let machine = runtime::machine().expect("threads");
    let refuses = Arc::new(Notify::new());
    let within = Memory::new(Arc::clone(&machine));
    let store = Wrapper(Late { within, refuses: Arc::clone(&refuses) });
    let locks = Locks::over(Arc::new(store), machine, LocksOptions::default());
    let mutex = locks.mutex("key").with_ttl(Duration::from_secs(6));
    let often = tenure::Renewal::Every(Duration::from_millis(300));
    let guard = mutex.with_renewal(often).acquire().await;
    let guard = guard.expect("the second heartbeat is granted");
    refuses.notify_one();
    for _ in 0..3 {
        tokio::select! {
            reason = guard.lost() => panic!("{reason}"),
            _ = guard.renewed(guard.deadline()) => {}
        }
    }
    assert_eq!(guard.release().await.expect("an answer"), tenure::Released::Released);
}
