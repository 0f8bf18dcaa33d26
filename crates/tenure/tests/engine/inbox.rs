//! A store whose inbox does not open, and one that loses pushes: waiting goes on without them.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenure::store::{Answer, Inbox, Memory, Push, Store};
use tenure::{ErrorKind, Locks, LocksOptions, runtime};
use tokio::sync::{Notify, mpsc};

use crate::still::Still;
use crate::store_wrapper::{Change, Wrapper};

const PATIENCE: Duration = Duration::from_secs(60);

/// Answers every step, and never opens an inbox.
#[derive(Debug)]
struct Deaf(Memory);

impl Change for Deaf {
    fn within(&self) -> &dyn Store {
        &self.0
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        Box::pin(pending())
    }
}

/// Found by simulation: opening the inbox counted against the store's time limit alone.
#[tokio::test]
async fn a_wait_keeps_its_limit_while_the_inbox_does_not_open() {
    let runtime = runtime::machine().expect("a clock and timers");
    let store = Arc::new(Wrapper(Deaf(Memory::new(Arc::clone(&runtime)))));
    let options = LocksOptions::default().with_store_timeout(PATIENCE * 10);
    let locks = Locks::over(store, runtime, options);
    let guard = locks.mutex("key").acquire().await.expect("granted");
    let waiter = locks.mutex("key").with_wait(Duration::from_millis(200));
    let outcome = tokio::time::timeout(PATIENCE, waiter.acquire()).await.expect("an end");
    assert_eq!(outcome.expect_err("it is held").kind(), ErrorKind::Busy);

    let heir = tokio::spawn(async move { locks.mutex("key").acquire().await });
    guard.release().await.expect("released");
    let granted = tokio::time::timeout(PATIENCE, heir).await.expect("an end");
    let heir = granted.expect("no panic").expect("granted by timed looks");
    heir.release().await.expect("released");
}

/// Loses every push, and says so only when it is told to.
#[derive(Debug)]
struct Forgetful {
    within: Memory,
    missed: Arc<Notify>,
    lost: Arc<Mutex<Vec<Push>>>,
}

impl Change for Forgetful {
    fn within(&self) -> &dyn Store {
        &self.within
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        let (missed, lost) = (Arc::clone(&self.missed), Arc::clone(&self.lost));
        Box::pin(async move {
            let Some(mut whole) = self.within.inbox().await? else { return Ok(None) };
            let (sender, pushes) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while let Some(push) = whole.pushes.recv().await {
                    lost.lock().expect("no panic").push(push);
                }
                drop(sender);
            });
            Ok(Some(Inbox { address: whole.address, pushes, missed }))
        })
    }
}

/// The clock stands still, so that no heartbeat comes to find the grant.
#[tokio::test]
async fn waiters_look_again_as_soon_as_pushes_may_have_been_missed() {
    let runtime: Arc<dyn runtime::Runtime> = Arc::new(Still::default());
    let (missed, lost) = (Arc::new(Notify::new()), Arc::default());
    let within = Memory::new(Arc::clone(&runtime));
    let store = Forgetful { within, missed: Arc::clone(&missed), lost: Arc::clone(&lost) };
    // The heirs are told by pushes alone: a holder of the same `Locks` would tell them itself.
    let holders =
        Locks::over(Arc::new(store.within.clone()), Arc::clone(&runtime), LocksOptions::default());
    let locks = Locks::over(Arc::new(Wrapper(store)), runtime, LocksOptions::default());
    let settled = async |what: &str, so: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !so() {
            assert!(begun.elapsed() < PATIENCE, "{what} did not come");
            tokio::task::yield_now().await;
        }
    };
    let mut heirs = Vec::new();
    for key in ["one", "two", "three"] {
        let guard = holders.mutex(key).acquire().await.expect("granted");
        let waiter = locks.mutex(key);
        let heir = tokio::spawn(async move { waiter.acquire().await });
        while locks.mutex(key).inspect().await.expect("a look").waiters.is_empty() {
            tokio::task::yield_now().await;
        }
        guard.release().await.expect("released");
        heirs.push(heir);
    }
    settled("the push of every grant", &|| lost.lock().expect("no panic").len() == 3).await;
    assert!(heirs.iter().all(|heir| !heir.is_finished()), "nobody can have told them");

    missed.notify_one();
    for heir in heirs {
        let granted = tokio::time::timeout(PATIENCE, heir).await.expect("it looked again");
        let guard = granted.expect("no panic").expect("granted");
        guard.release().await.expect("released");
    }
}
