//! Locks belong to the program, not to a runtime: they work where there is none, and go on when
//! the one in which they were opened ends.

use std::future::Future;
use std::thread;
use std::time::{Duration, Instant};

use tenure::{Locks, Released, Renewal, blocking};
use tenure_testkit::{Flavour, Server};
use tokio::runtime::{Builder, Runtime};

/// No step of a healthy machine takes so long, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let timely = tokio::time::timeout(PATIENCE, future).await;
    timely.unwrap_or_else(|_| panic!("{what} did not come within {PATIENCE:?}"))
}

/// Waits until so many stand in line at the store.
fn until_waiting(locks: &Locks, count: usize) {
    let mutex = blocking::Mutex::from(locks.mutex("key"));
    let began = Instant::now();
    while mutex.inspect().expect("a look").waiters.len() != count {
        assert!(began.elapsed() < PATIENCE, "never {count} in line");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A whole program on plain threads: from connecting to closing, nobody has a runtime.
fn plain_threads(url: &str) {
    let (locks, other) = [(); 2].map(|()| blocking::connect(url).expect("opens")).into();
    let guard = locks.mutex("key").acquire().expect("granted");
    assert!(other.mutex("key").try_acquire().expect("an answer").is_none());
    let waiter = thread::spawn({
        let other = other.clone();
        move || other.mutex("key").run(|lease| tenure::ok(lease.fence()))
    });
    until_waiting(&tenure::Locks::from(locks.clone()), 1);
    let fence = guard.fence();
    assert_eq!(guard.release().expect("an answer"), Released::Released);
    assert!(waiter.join().expect("no panic").expect("ran") > fence);
    let kept = other.mutex("kept").acquire().expect("granted");
    let listed = locks.list("kept", None, 10).expect("a page");
    assert_eq!(listed[0].1.holders[0].fence, kept.fence());
    let ticket = kept.hand_over(PATIENCE).expect("a ticket");
    locks.adopt(&ticket).expect("adopted").release().expect("released");
    assert_eq!(locks.mutex("kept").force_release().expect("an answer"), 0);
    for locks in [locks, other] {
        locks.close(PATIENCE).expect("all was answered");
    }
}

/// The runtime that opened the store, holds a lock and stands first in line ends in the middle.
fn runtime_ends(url: &str) {
    let (first, second) = (runtime(), runtime());
    let locks = first.block_on(tenure::connect(url)).expect("opens");
    let often = Renewal::Every(Duration::from_millis(200));
    let mutex = |key| locks.mutex(key).with_ttl(Duration::from_secs(6)).with_renewal(often);
    let busy = first.block_on(mutex("key").acquire()).expect("granted");
    let kept = first.block_on(mutex("kept").acquire()).expect("granted");
    // The inbox is opened by the first that waits.
    let front = first.spawn({
        let mutex = mutex("key");
        async move { mutex.acquire().await.map(drop) }
    });
    until_waiting(&locks, 1);
    let behind = second.spawn({
        let mutex = mutex("key");
        async move { mutex.acquire().await }
    });
    first.shutdown_timeout(PATIENCE);
    let ended = second.block_on(within("the first runtime's end", front));
    assert!(ended.expect_err("its runtime has ended").is_cancelled());
    second.block_on(async {
        within("a renewal of the one", kept.renewed(kept.deadline())).await;
        within("a renewal of the other", busy.renewed(busy.deadline())).await;
        assert!(!behind.is_finished(), "two hold it at once");
        busy.release().await.expect("released");
        let next = within("the next one's turn", behind).await.expect("no panic");
        let next = next.expect("granted");
        kept.check().expect("held all the time");
        let rest = within("a new one", locks.mutex("new").acquire()).await;
        for guard in [kept, next, rest.expect("granted")] {
            assert_eq!(guard.release().await.expect("an answer"), Released::Released);
        }
    });
    until_waiting(&locks, 0);
}

/// Every test of this file on one store each.
macro_rules! on {
    ($($store:ident: $open:expr;)+) => {
        $(mod $store {
            #[test]
            fn plain_threads_need_no_runtime() {
                let (_home, url) = $open;
                super::plain_threads(&url);
            }

            #[test]
            fn locks_outlive_the_runtime_that_opened_them() {
                let (_home, url) = $open;
                super::runtime_ends(&url);
            }
        })+
    };
}

fn sqlite() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", dir.path().join("locks.db").display());
    (dir, url)
}

fn server(flavour: Flavour) -> (Server, String) {
    let server = Server::of(flavour).start();
    let url = format!("{}?call_timeout=60s&connect_timeout=60s", server.url());
    (server, url)
}

on! {
    sqlite: super::sqlite();
    redis: super::server(super::Flavour::Redis);
    valkey: super::server(super::Flavour::Valkey);
}
