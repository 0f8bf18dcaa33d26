//! `#[tenure::locked]`: what it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tenure::testing::World;
use tenure::{ErrorKind, Locks};

/// An error of a user's own.
#[derive(Debug)]
enum Trouble {
    Lock(tenure::Error),
    Work,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lock(error) => error.fmt(f),
            Self::Work => f.write_str("the work failed"),
        }
    }
}

impl From<tenure::Error> for Trouble {
    fn from(error: tenure::Error) -> Self {
        Self::Lock(error)
    }
}

struct Order {
    id: u64,
}

struct Shop {
    locks: Locks,
    stock: Arc<AtomicU32>,
    asked: u32,
}

impl Shop {
    /// Takes one piece, if there is one.
    #[tenure::locked("stock:{item}", store = self.locks)]
    async fn take_one(&self, item: &str) -> Result<bool, Trouble> {
        assert!(!item.is_empty());
        let left = self.stock.load(Ordering::SeqCst);
        tokio::task::yield_now().await;
        if left == 0 {
            return Ok(false);
        }
        self.stock.store(left - 1, Ordering::SeqCst);
        Ok(true)
    }

    #[tenure::locked("order:{order.id}:{self.asked + 1}:{{}}", store = self.locks, lease = held)]
    async fn key_of(&self, order: Order) -> Result<String, Trouble> {
        assert!(order.id > 0 && held.held());
        Ok(held.key().to_string())
    }

    #[tenure::locked(
        "count", store = self.locks, ttl = "5s", wait = Duration::from_secs(1),
        renewal = "1s", min_hold = "1ms", max_hold = "1h", owner = "me", label = "shop",
    )]
    async fn count(&mut self, by: u32) -> tenure::Result<u32> {
        self.asked += by;
        Ok(self.asked)
    }

    #[tenure::locked("job", try, store = self.locks)]
    async fn skip(&self, fail: bool) -> Result<Option<&'static str>, Trouble> {
        if fail {
            Err(Trouble::Work)?;
        }
        Ok(Some("ran"))
    }

    #[tenure::locked("pool", permits = 2, store = self.locks, wait = "1s", lease = held)]
    async fn pooled(&self, units: u32) -> Result<Option<u32>, Trouble> {
        let seen = self.locks.semaphore(held.key(), 2).inspect().await?;
        let used: u32 = seen.holders.iter().map(|holder| holder.units).sum();
        Ok((used >= units).then_some(used))
    }

    #[tenure::locked("page", shared, store = self.locks, wait = "1s", lease = held)]
    async fn read(&self) -> Result<usize, Trouble> {
        Ok(self.locks.rwlock(held.key()).inspect().await?.holders.len())
    }

    #[tenure::locked("page", shared, try, store = self.locks)]
    async fn try_read(&self) -> Result<Option<&'static str>, Trouble> {
        Ok(Some("ran"))
    }

    #[tenure::locked("page", shared, store = self.locks, wait = "1s")]
    fn plain_read(&self) -> Result<&'static str, Trouble> {
        Ok("ran")
    }

    #[tenure::locked("page", shared, try, store = self.locks)]
    fn plain_try_read(&self) -> Result<Option<&'static str>, Trouble> {
        Ok(Some("ran"))
    }

    #[tenure::locked("pool", permits = self.asked + 2, try, store = self.locks)]
    fn plain_pooled(&self) -> Result<Option<&'static str>, Trouble> {
        Ok(Some("ran"))
    }

    #[tenure::locked("poll", every = "366d", retry_failed, store = self.locks, ttl = "10s")]
    async fn poll(&self, fail: bool) -> Result<Option<&'static str>, Trouble> {
        if fail { Err(Trouble::Work) } else { Ok(Some("ran")) }
    }

    #[tenure::locked("plain poll", every = Duration::from_secs(86_400 * 366), store = self.locks)]
    fn plain_poll(&self, fail: bool) -> Result<Option<&'static str>, Trouble> {
        if fail { Err(Trouble::Work) } else { Ok(Some("ran")) }
    }

    #[tenure::locked("tree", reentrant, store = self.locks, lease = held)]
    async fn depth(&self, left: u32) -> tenure::Result<Vec<u64>> {
        let below = if left == 0 { vec![] } else { Box::pin(self.depth(left - 1)).await? };
        Ok([vec![held.fence().get()], below].concat())
    }

    #[tenure::locked("tree", reentrant, try, store = self.locks)]
    fn plain_depth(&self, left: u32) -> tenure::Result<Option<u32>> {
        Ok(if left == 0 { Some(0) } else { self.plain_depth(left - 1)?.map(|below| below + 1) })
    }

    #[tenure::locked("plain:{n}", store = &self.locks, renewal = "off")]
    fn plain(&self, n: u64) -> Result<u64, Trouble> {
        if n == 0 {
            return Err(Trouble::Work);
        }
        Ok(n + 1)
    }

    #[tenure::locked("plain", try, store = self.locks)]
    fn plain_skip<T: Clone + Send>(&self, value: &T) -> Result<Option<T>, Trouble> {
        Ok(Some(value.clone()))
    }
}

#[tenure::locked(lease = held)]
async fn by_its_path() -> tenure::Result<String> {
    Ok(held.key().to_string())
}

fn shop(world: &World) -> Shop {
    Shop { locks: world.locks(), stock: Arc::new(AtomicU32::new(700)), asked: 0 }
}

/// A thousand calls at once in two programs that share one store and one inventory.
async fn exact_stock(programs: [Locks; 2]) {
    let stock = Arc::new(AtomicU32::new(700));
    let shops = programs.map(|locks| {
        let stock = Arc::clone(&stock);
        Arc::new(Shop { locks, stock, asked: 0 })
    });
    let calls: Vec<_> = (0..1_000)
        .map(|number| {
            let shop = Arc::clone(&shops[number % 2]);
            tokio::spawn(async move { shop.take_one("pen").await })
        })
        .collect();
    let mut sold = 0;
    for call in calls {
        sold += u32::from(call.await.expect("no panic").expect("its turn"));
    }
    assert_eq!((sold, stock.load(Ordering::SeqCst)), (700, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_leave_the_exact_stock_in_memory() {
    let world = World::new();
    exact_stock([world.locks(), world.another()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_leave_the_exact_stock_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", dir.path().join("locks.db").display());
    exact_stock([connect(&url).await, connect(&url).await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_leave_the_exact_stock_on_redis_and_valkey() {
    for flavour in tenure_testkit::Flavour::ALL {
        let server = tenure_testkit::Server::of(flavour).start();
        exact_stock([connect(&server.url()).await, connect(&server.url()).await]).await;
    }
}

async fn connect(url: &str) -> Locks {
    tenure::connect(url).await.expect("opens")
}

#[tokio::test]
async fn keys_are_made_of_the_arguments() {
    let world = World::new();
    let key = shop(&world).key_of(Order { id: 7 }).await.expect("ran");
    assert_eq!(key, "order:7:1:{}");
    tenure::set_default(world.locks());
    assert_eq!(by_its_path().await.expect("ran"), "api::decorator::by_its_path");
}

#[tokio::test]
async fn options_are_those_of_the_mutex() {
    let world = World::new();
    let mut shop = shop(&world);
    assert_eq!(shop.count(2).await.expect("ran"), 2);
    let busy = world.busy("count-other");
    assert_eq!(shop.count(2).await.expect("ran"), 4);
    drop(busy);
    let busy = loop {
        // Its min_hold of a millisecond may not be over.
        if !world.locks().mutex("count").held_by_anyone().await.expect("a look") {
            break world.busy("count");
        }
    };
    let error = shop.count(2).await.expect_err("it waits for a second");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(shop.asked, 4, "the body ran without the lock");
    drop(busy);
}

#[tokio::test]
async fn permits_make_it_a_semaphore() {
    let world = World::new();
    let shop = shop(&world);
    assert_eq!(shop.pooled(1).await.expect("ran"), Some(1));
    let pool = world.another().semaphore("pool", 2);
    let one = pool.acquire().await.expect("granted");
    assert_eq!(shop.pooled(2).await.expect("the second permit"), Some(2));
    assert_eq!(shop.plain_pooled().expect("ran"), Some("ran"));
    let other = pool.acquire().await.expect("granted");
    let busy = shop.pooled(1).await.expect_err("none is left");
    assert!(matches!(busy, Trouble::Lock(e) if e.kind() == ErrorKind::Busy));
    assert_eq!(shop.plain_pooled().expect("skipped"), None);
    drop((one, other));
}

#[tokio::test]
async fn reentrant_functions_may_call_themselves() {
    let world = World::new();
    let shop = shop(&world);
    let fences = shop.depth(3).await.expect("it does not wait for itself");
    assert_eq!(fences, [fences[0]; 4]);
    assert_eq!(shop.plain_depth(2).expect("ran"), Some(2));
    let busy = world.another().mutex("tree").acquire().await.expect("granted");
    assert_eq!(shop.plain_depth(2).expect("skipped"), None);
    drop(busy);
}

#[tokio::test]
async fn shared_makes_it_a_reader() {
    let world = World::new();
    let shop = shop(&world);
    assert_eq!(shop.read().await.expect("ran"), 1);
    let page = world.another().rwlock("page");
    let reader = page.read().await.expect("granted");
    assert_eq!(shop.read().await.expect("beside the other"), 2);
    assert_eq!(shop.try_read().await.expect("ran"), Some("ran"));
    assert_eq!(shop.plain_read().expect("ran"), "ran");
    assert_eq!(shop.plain_try_read().expect("ran"), Some("ran"));
    reader.release().await.expect("released");
    let writer = page.write().await.expect("granted");
    for busy in [shop.read().await.map(drop), shop.plain_read().map(drop)] {
        let busy = busy.expect_err("somebody writes");
        assert!(matches!(busy, Trouble::Lock(e) if e.kind() == ErrorKind::Busy));
    }
    assert_eq!(shop.try_read().await.expect("skipped"), None);
    assert_eq!(shop.plain_try_read().expect("skipped"), None);
    drop(writer);
}

#[tokio::test]
async fn every_makes_it_a_job() {
    let world = World::new();
    let shop = shop(&world);
    assert!(matches!(shop.poll(true).await, Err(Trouble::Work)));
    assert_eq!(shop.poll(false).await.expect("retried"), Some("ran"));
    assert_eq!(shop.poll(false).await.expect("skipped"), None);
    assert!(matches!(shop.plain_poll(true), Err(Trouble::Work)));
    assert_eq!(shop.plain_poll(false).expect("skipped"), None);
    let last = world.locks().once("plain poll").last().await.expect("a look").expect("a run");
    assert!(last.to_string().ends_with("the work failed"), "{last}");
}

#[tokio::test]
async fn try_skips_and_errors_stay_what_they_are() {
    let world = World::new();
    let shop = shop(&world);
    assert_eq!(shop.skip(false).await.expect("ran"), Some("ran"));
    assert!(matches!(shop.skip(true).await, Err(Trouble::Work)));
    let busy = world.busy("job");
    assert_eq!(shop.skip(true).await.expect("skipped"), None);
    drop(busy);
    world.fail_next(1);
    let failed = shop.skip(false).await.expect_err("the store fails");
    assert!(matches!(failed, Trouble::Lock(e) if e.kind() == ErrorKind::Unavailable));
}

#[test]
fn plain_functions_too() {
    let world = World::new();
    let shop = shop(&world);
    assert_eq!(shop.plain(1).expect("ran"), 2);
    assert!(matches!(shop.plain(0), Err(Trouble::Work)));
    assert_eq!(shop.plain_skip(&"x").expect("ran"), Some("x"));
    let _busy = world.busy("plain");
    assert_eq!(shop.plain_skip(&"x").expect("skipped"), None);
}
