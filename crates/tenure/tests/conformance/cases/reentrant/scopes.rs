//! The scope of a task, and work at a level.

use tenure::{ErrorKind, Failure, LostReason, ReentrantMutex, ReentrantScope, Released, Renewal};

use super::{enter, lock, until_free};
use crate::world::{PATIENCE, World, in_time, ms, within};

fn unnamed(world: &World) -> ReentrantMutex {
    world.locks().mutex("key").reentrant()
}

pub(crate) async fn current_scope_is_that_of_the_task(world: World) {
    let scope = ReentrantScope::new();
    let outer = enter(&lock(&world, &scope)).await;
    let lock = unnamed(&world);
    let inner = scope.enter(async { enter(&lock).await }).await;
    assert_eq!(inner.owner(), outer.owner());
    assert!(ReentrantScope::current().is_none());
    // A named scope comes before that of the task.
    let other = lock.clone().with_scope(&ReentrantScope::new());
    let tried = scope.enter(async { other.try_acquire().await }).await;
    assert!(tried.expect("an answer").is_none());
    // A task of its own is an owner of its own.
    let alone =
        scope.enter(async { tokio::spawn(async move { lock.acquire().await }).await }).await;
    assert_eq!(alone.expect("no panic").expect_err("no scope").kind(), ErrorKind::Invalid);
}

pub(crate) async fn run_needs_no_scope_and_nests(world: World) {
    let lock = unnamed(&world);
    let fences = lock.run(|outer| {
        let lock = lock.clone();
        async move {
            let inner = lock.run(|inner| async move { tenure::ok(inner.fence()) }).await?;
            let tried = lock.try_run(|inner| async move { tenure::ok(inner.fence()) }).await?;
            outer.check()?;
            tenure::ok([outer.fence(), inner, tried.expect("one more level")])
        }
    });
    let fences = within("the work", PATIENCE, fences).await.expect("ran");
    assert!(fences.iter().all(|fence| *fence == fences[0]), "{fences:?}");
    drop(world.rival_takes("key").await);
}

pub(crate) async fn run_leaves_its_level_only(world: World) {
    let scope = ReentrantScope::new();
    let mutex = world.locks().mutex("key").with_ttl(ms(4_000)).with_renewal(Renewal::Off);
    let lock = mutex.reentrant().with_scope(&scope);
    let outer = enter(&lock).await;
    let failed = lock.run(|_| async { Err::<(), _>(std::io::Error::other("no paper").into()) });
    let failed: Box<dyn std::error::Error> = failed.await.expect_err("the work's own");
    assert_eq!(failed.to_string(), "no paper");
    let panics = lock.clone();
    let panicked = tokio::spawn(async move {
        panics.run(|_| async { if true { panic!("as planned") } else { tenure::ok(()) } }).await
    });
    assert!(panicked.await.expect_err("it panics").is_panic());
    outer.check().expect("held");
    let lost = lock.run(|_| std::future::pending::<tenure::Result<()>>());
    let lost = within("the loss", PATIENCE, lost).await.expect_err("its ttl is over");
    assert_eq!(lost.kind(), ErrorKind::Lost);
    assert!(outer.check().is_err());
    drop(outer);
    until_free(&world).await;
}

pub(crate) async fn work_to_its_end_is_a_level(world: World) {
    let lock = unnamed(&world);
    let work = |outer: tenure::Lease| {
        let lock = lock.clone();
        async move {
            let inner = lock.run_to_end(|inner| async move { inner.fence() }).await;
            let inner = inner.expect("one more level");
            assert!(matches!(inner.release, Ok(Released::Released)) && outer.held());
            inner.or_lost().expect("held") == outer.fence()
        }
    };
    let finished = within("the work", PATIENCE, lock.run_to_end(work)).await.expect("acquired");
    assert!(matches!(finished.release, Ok(Released::Released)));
    assert!(finished.or_lost().expect("held"));
    until_free(&world).await;
    let short = world.locks().mutex("key").with_ttl(ms(1_000)).with_renewal(Renewal::Off);
    let late = |lease: tenure::Lease| async move { lease.lost().await };
    let finished = in_time(async || short.clone().reentrant().run_to_end(late).await).await;
    let finished = finished.expect("acquired");
    assert_eq!(finished.or_lost().expect_err("its ttl is over").reason, LostReason::Expired);
}

pub(crate) async fn compensation_runs_in_the_scope(world: World) {
    let lock = unnamed(&world);
    let fails = |_: tenure::Lease| async { Err::<(), _>(unnamed(&world).acquire().await.err()) };
    let again = lock.clone();
    let undo = |lease: tenure::Lease, _: Failure<'_, (), Option<tenure::Error>>| async move {
        let inner = again.acquire().await.expect("it is in the scope");
        inner.fence() == lease.fence()
    };
    let done = lock.run_compensated(fails, undo).await.expect("acquired");
    assert_eq!(done.compensation, Some(true));
    until_free(&world).await;
}

/// A permit of three, and so nothing that a mutex could have.
pub(crate) async fn permits_are_in_the_way(world: World) {
    if !world.locks().capabilities().many_units {
        return;
    }
    let permits = world.rival().semaphore("key", 3);
    let permit = permits.acquire().await.expect("granted");
    let scope = ReentrantScope::new();
    let lock = lock(&world, &scope);
    assert!(lock.try_acquire().await.expect("an answer").is_none());
    permit.release().await.expect("released");
    let [outer, inner] = [enter(&lock).await, enter(&lock).await];
    // It has no number of permits, so none is a mismatch.
    for number in [3, 5] {
        let other = world.rival().semaphore("key", number).try_acquire().await;
        assert!(other.expect("no mismatch").is_none());
    }
    drop((outer, inner));
    until_free(&world).await;
}

pub(crate) async fn blocking_levels_nest(world: World) {
    let lock = tenure::blocking::Mutex::from(world.locks().mutex("key")).reentrant();
    let ran = lock.run(|outer| {
        let inner = lock.acquire()?;
        assert_eq!(inner.fence(), outer.fence());
        assert_eq!(inner.release()?, None);
        let tried = lock.try_run(|_| tenure::ok(7))?;
        assert!(lock.try_acquire()?.is_some());
        outer.check()?;
        tenure::ok(tried)
    });
    assert_eq!(ran.expect("ran"), Some(7));
    let whole = lock.run_to_end(|_| lock.acquire().is_ok()).expect("acquired");
    assert!(whole.or_lost().expect("held"), "it is in the scope");
    let done = lock.run_compensated(|_| Err::<(), _>("no paper"), |_, _| lock.acquire().is_ok());
    assert_eq!(done.expect("acquired").compensation, Some(true));
    let scope = ReentrantScope::new();
    let outer = lock.clone().with_scope(&scope).acquire().expect("free");
    assert_eq!(scope.enter_blocking(|| lock.acquire()).expect("in").fence(), outer.fence());
    assert!(outer.release().expect("left").is_some());
    assert_eq!(lock.acquire().expect_err("no scope").kind(), ErrorKind::Invalid);
}

pub(crate) async fn without_a_scope_it_is_refused(world: World) {
    for refused in [unnamed(&world).acquire().await.map(Some), unnamed(&world).try_acquire().await]
    {
        let error = refused.expect_err("no scope");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("\"key\""), "{error}");
    }
    assert!(world.is_untouched().await);
}

/// A scope may live as long as the program.
pub(crate) async fn scope_forgets_keys_that_it_does_not_hold(world: World) {
    let scope = ReentrantScope::new();
    let held = enter(&lock(&world, &scope)).await;
    for number in 0..20 {
        let mutex = world.locks().mutex(format!("key {number}"));
        drop(enter(&mutex.reentrant().with_scope(&scope)).await);
    }
    // The key that is held, and the last one.
    assert_eq!(format!("{scope:?}"), "ReentrantScope { keys: 2, .. }");
    assert_eq!(enter(&lock(&world, &scope)).await.owner(), held.owner());
}
