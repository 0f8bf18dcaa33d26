//! Many tasks on real threads want one key: waits that end, futures that are dropped, guards that
//! are dropped, tries in between. No two hold it at once, and in the end nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tenure::store::Memory;
use tenure::{ErrorKind, Guard, Locks, LocksOptions, Mutex, runtime};

const PATIENCE: Duration = Duration::from_secs(60);
const TASKS: u64 = 16;
const ROUNDS: u64 = 150;

/// The traces by which holders see each other.
#[derive(Debug, Default)]
struct Holders {
    inside: AtomicI64,
    visits: AtomicU64,
    last_fence: AtomicU64,
}

impl Holders {
    async fn visit(&self, guard: &Guard) {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it at once");
        let fence = guard.fence().get();
        assert!(self.last_fence.swap(fence, Ordering::SeqCst) < fence, "a fence went back");
        tokio::task::yield_now().await;
        self.visits.fetch_add(1, Ordering::SeqCst);
        guard.check().expect("held");
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Takes the key in one of several ways, or gives up; `random` decides.
async fn take(mutex: Mutex, holders: &Holders, random: u64) {
    let micros = Duration::from_micros(random / 7 % 900);
    let guard = match random % 7 {
        0 => mutex.try_acquire().await.expect("an answer"),
        1 => match mutex.with_wait(micros).acquire().await {
            Ok(guard) => Some(guard),
            Err(e) => {
                // The store gets at least 100 ms to answer, even if the wait is shorter.
                assert!(matches!(e.kind(), ErrorKind::Busy | ErrorKind::Unavailable), "{e}");
                None
            }
        },
        2 | 3 => {
            tokio::select! {
                guard = mutex.acquire() => Some(guard.expect("granted")),
                () = tokio::time::sleep(micros) => None,
            }
        }
        4 => {
            // Dropped after so many polls, whatever has come by then.
            let mut polls = random / 7 % 6;
            let mut acquire = std::pin::pin!(mutex.acquire());
            std::future::poll_fn(|context| {
                if let std::task::Poll::Ready(guard) = acquire.as_mut().poll(context) {
                    return std::task::Poll::Ready(Some(guard.expect("granted")));
                }
                if polls == 0 {
                    return std::task::Poll::Ready(None);
                }
                polls -= 1;
                context.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await
        }
        _ => Some(mutex.acquire().await.expect("granted")),
    };
    let Some(guard) = guard else { return };
    holders.visit(&guard).await;
    if random.is_multiple_of(3) {
        drop(guard);
    } else {
        guard.release().await.expect("released");
    }
}

/// A small generator (xorshift64*, Vigna 2016): nothing here is secret.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
}

async fn contend(locks: [Locks; 2]) {
    let holders = Arc::new(Holders::default());
    let tasks: Vec<_> = (1..=TASKS)
        .map(|number| {
            let mutex = locks[usize::from(number % 2 == 0)].mutex("key");
            let holders = Arc::clone(&holders);
            tokio::spawn(async move {
                let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                for _ in 0..ROUNDS {
                    take(mutex.clone(), &holders, next_random(&mut state)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        let ended = tokio::time::timeout(PATIENCE, task).await;
        ended.expect("no task is stuck").expect("no overlap");
    }
    assert!(holders.visits.load(Ordering::SeqCst) > TASKS * ROUNDS / 4, "the key was hardly held");
    let [first, second] = &locks;
    first.close(PATIENCE).await.expect("all was answered");
    second.close(PATIENCE).await.expect("all was answered");
    assert!(second.list("", None, 10).await.expect("a page").is_empty(), "something is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crowd_over_memory() {
    let runtime = runtime::machine().expect("a clock and timers");
    let store = Memory::new(Arc::clone(&runtime));
    let over =
        || Locks::over(Arc::new(store.clone()), Arc::clone(&runtime), LocksOptions::default());
    contend([over(), over()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crowd_over_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", dir.path().join("locks.db").display());
    let open = async || tenure::connect(&url).await.expect("opens");
    contend([open().await, open().await]).await;
}
