//! Work under a lock: what comes first when several things go wrong, and what is released when.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tenure::{ErrorKind, Failure, Fence, Lease, LostReason, Mutex, Released, Renewal};

use crate::world::{PATIENCE, World, acquire, in_time, ms, until, was_read_late, within};

super::over_every_store! {
    run_holds_and_gives_back,
    run_loses_the_work_with_the_lock,
    run_says_lost_if_the_work_blocked_past_the_deadline,
    work_s_error_comes_first,
    panic_in_the_work_releases,
    dropped_run_drops_the_work_and_releases,
    dropped_run_leaves_the_line,
    try_run_skips_what_is_held,
    lease_ends_with_its_guard,
    run_to_end_throws_nothing_away,
    run_to_end_finds_out_at_the_release,
    compensation_gets_reason_and_value,
    compensation_runs_under_the_lock,
    failed_compensation_is_reported_beside_the_failure,
    generic_wrappers_may_spawn,
    plain_futures_and_async_closures_are_work,
}

/// An error of a user's own.
#[derive(Debug)]
enum Trouble {
    Lock(tenure::Error),
    Work(&'static str),
}

impl From<tenure::Error> for Trouble {
    fn from(error: tenure::Error) -> Self {
        Self::Lock(error)
    }
}

fn short(world: &World) -> Mutex {
    world.locks().mutex("key").with_ttl(ms(300)).with_renewal(Renewal::Off)
}

async fn until_free(world: &World) {
    until("the release", async || world.inspect("key").await.holders.is_empty()).await;
}

/// Set when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn run_holds_and_gives_back(world: World) {
    let mutex = world.locks().mutex("key");
    let world = &world;
    let fence = mutex.run(|lease| async move {
        let holder = &world.inspect("key").await.holders[0];
        assert_eq!((holder.fence, &holder.owner), (lease.fence(), lease.owner()));
        lease.check()?;
        assert!(lease.held() && lease.remaining() > ms(20_000));
        lease.extend_to(ms(60_000)).await?;
        tenure::ok(lease.fence())
    });
    let fence = fence.await.expect("nothing went wrong");
    // Released in the foreground: the rival takes it at once.
    assert!(world.rival_takes("key").await.fence() > fence);
}

async fn run_loses_the_work_with_the_lock(world: World) {
    let dropped = Arc::new(AtomicBool::new(false));
    let mutex = short(&world);
    let work = |_lease| {
        let witness = Dropped(Arc::clone(&dropped));
        async move {
            let _witness = witness;
            pending::<tenure::Result<()>>().await
        }
    };
    let ran = in_time(async || mutex.run(work).await);
    let error = within("the loss", PATIENCE, ran).await.expect_err("it was lost");
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.to_string().contains("\"key\""), "{error}");
    assert!(dropped.load(Ordering::SeqCst), "the work outlived the answer");
}

async fn run_says_lost_if_the_work_blocked_past_the_deadline(world: World) {
    let mutex = short(&world);
    let work = |lease: Lease| async move {
        while lease.held() {
            std::thread::sleep(ms(10));
        }
        tenure::ok("done")
    };
    let ran = in_time(async || mutex.run(work).await).await;
    assert_eq!(ran.expect_err("an Ok would be a lie").kind(), ErrorKind::Lost);
}

async fn work_s_error_comes_first(world: World) {
    let mutex = short(&world);
    let work = |lease: Lease| async move {
        while lease.held() {
            std::thread::sleep(ms(10));
        }
        Err::<(), _>(Trouble::Work("no paper"))
    };
    let ran = loop {
        match mutex.run(work).await {
            Err(Trouble::Lock(error)) if was_read_late(&error) => {}
            ran => break ran,
        }
    };
    // Lost, nothing to release, and yet:
    assert!(matches!(ran, Err(Trouble::Work("no paper"))));
    let busy = world.rival_takes("key").await;
    let mutex = world.locks().mutex("key").with_wait(ms(1_500));
    let ran = mutex.run(|_| async { Ok::<_, Trouble>(()) }).await;
    assert!(matches!(ran, Err(Trouble::Lock(e)) if e.kind() == ErrorKind::Busy));
    drop(busy);
}

async fn panic_in_the_work_releases(world: World) {
    let mutex = world.locks().mutex("key");
    let task = tokio::spawn(async move {
        mutex.run(|_| async move { if true { panic!("as planned") } else { tenure::ok(()) } }).await
    });
    assert!(task.await.expect_err("it panics").is_panic());
    until_free(&world).await;
    let mutex = world.locks().mutex("key");
    let task = tokio::spawn(async move {
        mutex.run_to_end(|_| async move { panic!("as planned") }).await.map(|_| ())
    });
    assert!(task.await.expect_err("it panics").is_panic());
    until_free(&world).await;
}

async fn dropped_run_drops_the_work_and_releases(world: World) {
    let dropped = Arc::new(AtomicBool::new(false));
    let witness = Dropped(Arc::clone(&dropped));
    let mutex = world.locks().mutex("key");
    let task = tokio::spawn(async move {
        let work = |_| async move {
            let _witness = witness;
            pending::<tenure::Result<()>>().await
        };
        mutex.run(work).await
    });
    until("the work", async || !world.inspect("key").await.holders.is_empty()).await;
    task.abort();
    until_free(&world).await;
    assert!(dropped.load(Ordering::SeqCst), "released while the work lived");
}

async fn dropped_run_leaves_the_line(world: World) {
    let busy = world.rival_takes("key").await;
    let mutex = world.locks().mutex("key");
    let task = tokio::spawn(async move { mutex.run(|_| async { tenure::ok(()) }).await });
    world.until_waiting("key", 1).await;
    task.abort();
    world.until_waiting("key", 0).await;
    drop(busy);
}

async fn try_run_skips_what_is_held(world: World) {
    let mutex = world.locks().mutex("key");
    let busy = world.rival_takes("key").await;
    let ran = AtomicBool::new(false);
    let work = async |_| {
        ran.store(true, Ordering::SeqCst);
        tenure::ok(())
    };
    assert_eq!(mutex.try_run(work).await.expect("no error"), None);
    assert!(!ran.load(Ordering::SeqCst), "it ran beside the holder");
    busy.release().await.expect("released");
    let ran = mutex.try_run(|_| async { Ok::<_, Trouble>(7) }).await.expect("no error");
    assert_eq!(ran, Some(7));
}

async fn lease_ends_with_its_guard(world: World) {
    let guard = acquire(&world.locks().mutex("key")).await;
    let lease = guard.lease();
    drop(lease.clone());
    assert!(lease.held() && guard.held());
    let lost = lease.clone();
    let waits = tokio::spawn(async move { lost.lost().await });
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    assert_eq!(within("its end", PATIENCE, waits).await.expect("no panic"), LostReason::GivenBack);
    assert_eq!(lease.check().expect_err("given back").kind(), ErrorKind::Lost);
    assert_eq!(lease.remaining(), ms(0));
    within("no risk left", PATIENCE, lease.at_risk(ms(1))).await;
    assert!(lease.extend_to(ms(1_000)).await.is_err());
    assert!(!lease.lost_token().is_cancelled(), "it was not lost");
}

async fn run_to_end_throws_nothing_away(world: World) {
    let mutex = short(&world);
    let work = |lease: Lease| async move {
        assert_eq!(lease.lost().await, LostReason::Expired);
        "receipt"
    };
    let ended = async || in_time(async || mutex.run_to_end(work).await).await.expect("acquired");
    let finished = ended().await;
    assert_eq!((finished.value, finished.lost), ("receipt", Some(LostReason::Expired)));
    finished.release.as_ref().expect("the store answers");
    let outlived = finished.or_lost().expect_err("it was lost");
    assert_eq!((outlived.value, outlived.reason), ("receipt", LostReason::Expired));
    assert_eq!(outlived.error().kind(), ErrorKind::Lost);
    assert_eq!(tenure::Error::from(outlived).kind(), ErrorKind::Lost);
    assert_eq!(ended().await.value(), "receipt");
    let finished = world.locks().mutex("key").run_to_end(|_| async { 5 }).await.expect("acquired");
    assert!(finished.lost.is_none() && matches!(finished.release, Ok(Released::Released)));
    assert_eq!(finished.or_lost().expect("held to the end"), 5);
}

async fn run_to_end_finds_out_at_the_release(world: World) {
    let mutex = world.locks().mutex("key");
    let world = &world;
    let finished = mutex.run_to_end(|_| async move {
        world.rival().mutex("key").force_release().await.expect("forced");
    });
    let finished = finished.await.expect("acquired");
    assert_eq!(finished.lost, Some(LostReason::Gone));
    let ran = mutex.run(|_| async move {
        world.rival().mutex("key").force_release().await?;
        tenure::ok(())
    });
    assert_eq!(ran.await.expect_err("it was forced").kind(), ErrorKind::Lost);
}

async fn compensation_gets_reason_and_value(world: World) {
    let mutex = short(&world);
    let late = |lease: Lease| async move {
        lease.lost().await;
        40
    };
    let finished = in_time(async || mutex.run_to_end(late).await).await.expect("acquired");
    let repaired = finished.compensate(|reason, value| async move { (reason, value + 2) }).await;
    let outlived = repaired.expect_err("it was lost");
    assert_eq!(outlived.value, (LostReason::Expired, 42));
    let whole = world.locks().mutex("key").run_to_end(|_| async { 1 }).await;
    let finished = whole.expect("acquired");
    let kept = finished.compensate(|_, _| async { unreachable!("nothing to repair") }).await;
    assert_eq!(kept.map_err(|outlived: tenure::Outlived<()>| outlived.reason), Ok(1));
}

async fn compensation_runs_under_the_lock(world: World) {
    let mutex = world.locks().mutex("key");
    let world = &world;
    let work = |_| async { Err::<(), _>(Trouble::Work("no paper")) };
    let repair = |lease: Lease, failure: Failure<'_, (), Trouble>| {
        assert!(matches!(failure, Failure::Work(Trouble::Work("no paper"))), "{failure:?}");
        async move {
            assert_eq!(world.inspect("key").await.holders[0].fence, lease.fence());
            lease.held()
        }
    };
    let done = mutex.run_compensated(work, repair).await.expect("acquired");
    assert_eq!(done.compensation, Some(true));
    assert!(matches!(done.into_result(), Err(Trouble::Work("no paper"))));
    let fine = mutex.run_compensated(
        |_| async { Ok::<_, Trouble>(3) },
        |_, _| async { unreachable!("nothing failed") },
    );
    let fine = fine.await.expect("acquired");
    assert!(fine.compensation.is_none());
    assert_eq!(fine.into_result().expect("no failure"), 3);
}

async fn failed_compensation_is_reported_beside_the_failure(world: World) {
    let mutex = short(&world);
    let late = |lease: Lease| async move {
        lease.lost().await;
        Ok::<_, Trouble>(40)
    };
    let repair = |_, failure: Failure<'_, u32, Trouble>| {
        let Failure::Lost(LostReason::Expired, 40) = failure else { panic!("{failure:?}") };
        async { Err::<(), _>("no repair") }
    };
    let done = in_time(async || mutex.run_compensated(late, repair).await).await;
    let done = done.expect("acquired");
    assert_eq!(done.compensation, Some(Err("no repair")));
    assert!(matches!(done.finished.value, Ok(40)));
    assert!(matches!(done.into_result(), Err(Trouble::Lock(e)) if e.kind() == ErrorKind::Lost));
}

/// Acts as a framework: it takes any work and moves it to another thread.
fn spawned<T, E, Fut>(
    mutex: Mutex,
    work: impl FnOnce(Lease) -> Fut + Send + 'static,
) -> tokio::task::JoinHandle<Result<T, E>>
where
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    E: From<tenure::Error> + Send + 'static,
    T: Send + 'static,
{
    tokio::spawn(async move { mutex.run(work).await })
}

async fn generic_wrappers_may_spawn(world: World) {
    let mutex = world.locks().mutex("key");
    let fence = spawned(mutex.clone(), |lease| async move { tenure::ok(lease.fence()) });
    let fence: Fence = fence.await.expect("no panic").expect("ran");
    let finished = tokio::spawn(async move { mutex.run_to_end(async |lease| lease.fence()).await });
    assert!(finished.await.expect("no panic").expect("ran").value > fence);
}

async fn plain_futures_and_async_closures_are_work(world: World) {
    async fn work(lease: Lease) -> Result<u64, Trouble> {
        Ok(lease.fence().get())
    }
    let mutex = world.locks().mutex("key");
    let first = mutex.run(work).await.expect("ran");
    let second = mutex.run(async |lease| work(lease).await).await.expect("ran");
    assert!(second > first);
}
