//! A store at one of several paces, a client of it, and the eyes to see what is left there.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tenure::protocol::Inspection;
use tenure::runtime::Runtime;
use tenure::store::{Memory, Sqlite, Store};
use tenure::{Guard, Locks, LocksOptions};

use crate::still::Still;
use crate::store_wrapper::Wrapper;

use super::slow::Slow;

/// No rest takes so long, on any machine that runs tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Which store, and when its calls are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Memory; what is dropped before it is carried out never is.
    InPlace,
    /// Memory; what was sent is carried out, whoever still listens.
    UnderWay,
    /// As before, and an acquire is overtaken by what is sent after it.
    Overtaken,
    /// SQLite, whose thread carries out all that was sent.
    Sqlite,
    /// SQLite behind delays.
    SqliteOvertaken,
}

impl Pace {
    pub(crate) const ALL: [Self; 5] =
        [Self::InPlace, Self::UnderWay, Self::Overtaken, Self::Sqlite, Self::SqliteOvertaken];

    /// So many polls at least an operation takes at this pace.
    pub(crate) fn polls_min(self) -> usize {
        match self {
            // As fast as the machine is.
            Self::Sqlite => 1,
            _ => 3,
        }
    }

    fn is_sqlite(self) -> bool {
        matches!(self, Self::Sqlite | Self::SqliteOvertaken)
    }
}

pub(crate) struct World {
    pub(crate) locks: Locks,
    /// The store itself, not slowed down.
    store: Arc<dyn Store>,
    pace: Pace,
    _dir: Option<TempDir>,
}

impl World {
    pub(crate) async fn new(pace: Pace, options: LocksOptions) -> Self {
        let runtime: Arc<dyn Runtime> = Arc::new(Still::default());
        let (store, dir): (Arc<dyn Store>, _) = if pace.is_sqlite() {
            let dir = tempfile::tempdir().expect("a directory");
            let opened = Sqlite::open(&dir.path().join("locks.db"), Arc::clone(&runtime)).await;
            (Arc::new(opened.expect("a fresh file")), Some(dir))
        } else {
            (Arc::new(Memory::new(Arc::clone(&runtime))), None)
        };
        let slow = |before, after, acquire_behind, detached| -> Arc<dyn Store> {
            let inner = Arc::clone(&store);
            Arc::new(Wrapper(Slow { inner, before, after, acquire_behind, detached }))
        };
        let seen_by_client = match pace {
            Pace::InPlace => slow(3, 3, 0, false),
            Pace::UnderWay => slow(3, 3, 0, true),
            Pace::Overtaken | Pace::SqliteOvertaken => slow(2, 2, 7, true),
            Pace::Sqlite => Arc::clone(&store),
        };
        let locks = Locks::over(seen_by_client, runtime, options);
        Self { locks, store, pace, _dir: dir }
    }

    /// Polls `future` so many times, whether it asked for it or not, and drops it if it has not
    /// ended then. Between two polls the background goes on for a moment.
    pub(crate) async fn polled<F: Future>(&self, polls: usize, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            self.breathe().await;
        }
        None
    }

    /// Lets the background go on for a moment.
    async fn breathe(&self) {
        if self.pace.is_sqlite() {
            // Its own thread works on while this one sleeps.
            std::thread::sleep(Duration::from_micros(100));
        }
        tokio::task::yield_now().await;
    }

    pub(crate) async fn within<F: Future>(&self, what: &str, future: F) -> F::Output {
        let timely = tokio::time::timeout(PATIENCE, future).await;
        timely.unwrap_or_else(|_| panic!("{:?}: {what} did not come", self.pace))
    }

    pub(crate) async fn hold(&self, key: &str) -> Guard {
        let guard = self.within("the lock", self.locks.mutex(key).acquire()).await;
        guard.expect("granted")
    }

    /// Releases beside the test.
    pub(crate) fn release_aside(&self, guard: Guard) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            guard.release().await.expect("an answer");
        })
    }

    pub(crate) async fn until_waiting(&self, key: &str) {
        self.until("a place in line", async || !self.look(key).await.waiters.is_empty()).await;
    }

    /// Polls `acquire` until it stands in line, however long the store takes for that.
    pub(crate) async fn until_it_waits<F: Future + Unpin>(&self, key: &str, acquire: &mut F) {
        self.until("a place in line", async || {
            assert!(self.polled(1, &mut *acquire).await.is_none(), "two hold the key");
            !self.look(key).await.waiters.is_empty()
        })
        .await;
    }

    /// After a rest nobody holds the key and nobody waits for it.
    pub(crate) async fn rests_without(&self, key: &str) {
        self.rests("no trace", async || {
            let seen = self.look(key).await;
            seen.holders.is_empty() && seen.waiters.is_empty()
        })
        .await;
    }

    /// After a rest this guard holds its key, and nobody waits for it.
    pub(crate) async fn rests_with_only(&self, guard: &Guard) {
        self.rests("the holder alone", async || {
            let seen = self.look(guard.key().as_str()).await;
            let holders: Vec<_> = seen.holders.iter().map(|h| h.fence).collect();
            holders == [guard.fence()] && seen.waiters.is_empty()
        })
        .await;
    }

    /// After a rest this guard holds its key alone, as a reader.
    pub(crate) async fn rests_with_reader(&self, guard: &Guard) {
        self.rests("one reader", async || {
            let seen = self.look(guard.key().as_str()).await;
            let holders: Vec<_> = seen.holders.iter().map(|h| (h.fence, h.exclusive)).collect();
            holders == [(guard.fence(), false)] && seen.waiters.is_empty()
        })
        .await;
    }

    /// It comes to be so, and stays so for as long as anything may be under way.
    async fn rests(&self, what: &str, so: impl AsyncFn() -> bool) {
        self.until(what, &so).await;
        for _ in 0..40 {
            self.breathe().await;
        }
        assert!(so().await, "{:?}: {what}, but not for good", self.pace);
    }

    async fn until(&self, what: &str, mut so: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !so().await {
            let waited = started.elapsed();
            assert!(waited < PATIENCE, "{:?}: {what}: not within {PATIENCE:?}", self.pace);
            self.breathe().await;
        }
    }

    async fn look(&self, key: &str) -> Inspection {
        let page = self.store.list(key, None, 1).await.expect("a page");
        page.into_iter().next().map_or_else(Inspection::free, |(_, seen)| seen)
    }

    pub(crate) async fn close(&self) {
        self.within("the close", self.locks.close(PATIENCE)).await.expect("all was answered");
    }
}
