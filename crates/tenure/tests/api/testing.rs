//! The kit for users' own tests.

use std::time::Duration;

use tenure::testing::{Clock, World};
use tenure::{ErrorKind, LostReason, Released, Renewal};

async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let timely = tokio::time::timeout(Duration::from_secs(60), future).await;
    timely.unwrap_or_else(|_| panic!("{what} did not come"))
}

#[tokio::test]
async fn busy_is_somebody_else() {
    let world = World::new();
    let mutex = world.locks().mutex("key");
    let busy = world.busy("key");
    let error =
        mutex.clone().with_wait(Duration::from_millis(20)).acquire().await.expect_err("it is busy");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("somebody else"), "{error}");
    drop(busy);
    mutex.acquire().await.expect("free again").release().await.expect("released");
    drop(world.busy("key"));
}

#[tokio::test]
#[should_panic(expected = "is not free")]
async fn busy_needs_a_free_key() {
    let world = World::new();
    let _guard = world.locks().mutex("key").acquire().await.expect("granted");
    let _busy = world.busy("key");
}

#[tokio::test]
async fn try_busy_says_whether_the_key_was_free() {
    let world = World::new();
    let guard = world.locks().mutex("key").acquire().await.expect("granted");
    assert!(world.try_busy("key").is_none());
    guard.release().await.expect("released");
    let busy = world.try_busy("key").expect("free");
    assert!(world.try_busy("key").is_none());
    drop(busy);
}

#[tokio::test]
async fn lose_is_at_once_and_frees_the_key() {
    let world = World::new();
    let guard = world.locks().mutex("key").acquire().await.expect("granted");
    let kept = world.locks().mutex("other").acquire().await.expect("granted");
    world.lose("key");
    assert_eq!(guard.lost().await, LostReason::Gone);
    assert!(guard.check().is_err());
    kept.check().expect("another key");
    let next = world.another().mutex("key").try_acquire().await.expect("a look");
    assert!(next.expect("free").fence() > guard.fence());
}

#[tokio::test]
async fn failures_come_as_ordered() {
    let world = World::new();
    let mutex = world.locks().mutex("key");
    world.fail_next(1);
    let error = mutex.try_acquire().await.expect_err("the store fails");
    assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, false));
    let guard = mutex.try_acquire().await.expect("it works again").expect("free");
    world.fail(true);
    let error = guard.extend_to(Duration::from_secs(60)).await.expect_err("the store fails");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    guard.check().expect("an unknown outcome loses nothing");
    let error = mutex.acquire().await.expect_err("down");
    // However often it asked: no request ran, so nothing is left to withdraw.
    assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Unavailable, false));
    world.fail(false);
    guard.release().await.expect("released");
    world.lose_answers(1);
    let error = mutex.try_acquire().await.expect_err("no answer");
    assert!(error.may_hold());
    // Withdrawn in the background: held by nobody.
    within("the withdrawal", mutex.acquire()).await.expect("granted").release().await.expect("ok");
}

#[tokio::test]
async fn the_clock_moves_only_by_hand() {
    let clock = Clock::new();
    let world = World::with_clock(&clock);
    let mutex = world.locks().mutex("key").with_ttl(Duration::from_secs(10));
    let guard = mutex.clone().with_renewal(Renewal::Off).acquire().await.expect("granted");
    let remaining = guard.remaining();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(guard.remaining(), remaining);
    clock.advance(Duration::from_secs(9));
    guard.check().expect("not over");
    clock.advance(Duration::from_secs(1));
    assert_eq!(within("the loss", guard.lost()).await, LostReason::Expired);
    let waits = mutex.with_wait(Duration::from_secs(3600));
    let busy = world.busy("key");
    let waiting = tokio::spawn(async move { waits.acquire().await.map(drop) });
    let seen = world.locks().mutex("key");
    let stands_in_line = async {
        while seen.inspect().await.expect("an answer").waiters.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("its place", stands_in_line).await;
    assert!(!waiting.is_finished());
    // It may not have begun to count its hour: move on until that is over.
    let moved = async {
        while !waiting.is_finished() {
            clock.advance(Duration::from_secs(3601));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the end of the wait", moved).await;
    assert_eq!(waiting.await.expect("no panic").expect_err("busy").kind(), ErrorKind::Busy);
    drop(busy);
}

/// Why the documentation says so: tokio's clock runs ahead while a task waits for the store.
#[tokio::test(start_paused = true)]
async fn tokio_s_paused_clock_runs_ahead_of_a_store_that_is_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", dir.path().join("locks.db").display());
    let (locks, other) =
        (tenure::blocking::connect(&url).expect("opens"), tenure::connect(&url).await);
    let _busy = locks.mutex("key").acquire().expect("granted");
    let (begun, paused) = (std::time::Instant::now(), tokio::time::Instant::now());
    let day = Duration::from_secs(24 * 3600);
    let waiting = other.expect("opens").mutex("key");
    assert!(tokio::time::timeout(day, waiting.acquire()).await.is_err(), "it is held");
    assert!(paused.elapsed() >= day && begun.elapsed() < day, "the day was over at once");
}

/// As its documentation recommends.
#[tokio::test(start_paused = true)]
async fn a_world_s_clock_limits_a_wait_under_tokio_s_paused_clock() {
    let clock = Clock::new();
    let world = World::with_clock(&clock);
    let busy = world.busy("key");
    let waits = world.locks().mutex("key").with_wait(Duration::from_secs(30));
    let waiting = tokio::spawn(async move { waits.acquire().await.map(drop) });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!waiting.is_finished(), "no time of the wait has passed");
    let begun = std::time::Instant::now();
    while !waiting.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the end of the wait did not come");
        clock.advance(Duration::from_secs(10));
        // Tenure's own thread may have a part in it, which tokio's clock does not wait for.
        std::thread::sleep(Duration::from_millis(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(waiting.await.expect("no panic").expect_err("busy").kind(), ErrorKind::Busy);
    drop(busy);
    let guard = world.locks().mutex("key").acquire().await.expect("free again");
    guard.release().await.expect("released");
}

/// Both fail: the work's error is the answer, and the release's can be read beside it.
#[tokio::test]
async fn the_work_s_error_beats_the_release_s() {
    let world = World::new();
    let mutex = world.locks().mutex("key");
    let work = async |_: tenure::Lease| {
        world.fail(true);
        Err::<(), std::io::Error>(std::io::Error::other("no paper"))
    };
    let finished = mutex.run_to_end(work).await.expect("acquired");
    assert_eq!(finished.value.expect_err("the work's").to_string(), "no paper");
    let release = finished.release.expect_err("the store fails");
    assert_eq!((release.kind(), finished.lost), (ErrorKind::Unavailable, None));
    world.fail(false);
    within("the release in the background", async {
        while mutex.held_by_anyone().await.expect("a look") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let ran = mutex.run(async |_| {
        world.fail(true);
        Err::<(), _>(Trouble::Work)
    });
    assert!(matches!(ran.await, Err(Trouble::Work)));
    world.fail(false);
    // Work that went well stays well, whatever the release answers.
    let ran = mutex.run(async |_| {
        world.fail(true);
        Ok::<_, Trouble>("paid")
    });
    assert!(matches!(ran.await, Ok("paid")));
    world.fail(false);
    let next = within("the next", mutex.acquire()).await.expect("granted");
    assert_eq!(next.release().await.expect("an answer"), Released::Released);
}

#[derive(Debug)]
enum Trouble {
    Lock,
    Work,
}

impl From<tenure::Error> for Trouble {
    fn from(_: tenure::Error) -> Self {
        Self::Lock
    }
}

/// Code of a program that names no store.
#[tenure::locked("report")]
async fn fence_of_report() -> tenure::Result<Option<u64>> {
    let seen = tenure::default_locks().await?.mutex("report").inspect().await?;
    Ok(seen.holders.first().map(|holder| holder.fence.get()))
}

#[tokio::test]
async fn a_test_that_enters_a_world_does_not_meet_the_default_store_of_others() {
    let (world, other) = (World::new(), World::new());
    let _busy = other.busy("report");
    let _entered = world.enter();
    let fence = within("a free lock", fence_of_report()).await.expect("granted");
    assert!(fence.is_some(), "it was held in this world");
    // A task of this thread is in it as well.
    let spawned = within("a task", tokio::spawn(fence_of_report())).await.expect("no panic");
    assert!(spawned.expect("granted") > fence);
    // The last world counts, and the first one again after it.
    let inner = other.enter();
    assert!(tenure::mutex("report").try_acquire().await.expect("a look").is_none());
    drop(inner);
    assert!(tenure::mutex("report").try_acquire().await.expect("a look").is_some());
}

#[tokio::test]
async fn worlds_are_left_in_any_order() {
    let (first, second) = (World::new(), World::new());
    let (entered, later) = (first.enter(), second.enter());
    let _busy = second.busy("report");
    drop(entered);
    assert!(tenure::mutex("report").try_acquire().await.expect("a look").is_none(), "the second");
    drop(later);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scope_takes_its_world_along_to_every_thread() {
    let worlds: Vec<_> = (0..16).map(|_| World::new()).collect();
    let tasks = worlds.iter().map(|world| {
        let work = world.scope(async {
            for _ in 0..50 {
                let guard = tenure::mutex("one key").try_acquire().await.expect("a look");
                let guard = guard.expect("each world has its own key");
                tokio::task::yield_now().await;
                guard.release().await.expect("released");
            }
        });
        tokio::spawn(work)
    });
    for task in tasks.collect::<Vec<_>>() {
        within("a task", task).await.expect("no panic");
    }
}

#[test]
fn blocking_code_finds_the_world_of_its_thread() {
    let world = World::new();
    let _entered = world.enter();
    let guard = tenure::blocking::mutex("report").try_acquire().expect("a look").expect("free");
    assert!(world.try_busy("report").is_none(), "it is held in this world");
    guard.release().expect("released");
}
