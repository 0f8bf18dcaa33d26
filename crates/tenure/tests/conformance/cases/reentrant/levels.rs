//! Levels of one owner: entering, leaving, losing.

use tenure::{ErrorKind, LostReason, ReentrantScope, Released, Renewal};

use super::{enter, lock, until_free};
use crate::world::{PATIENCE, World, acquire, ms, within};

pub(crate) async fn levels_enter_at_once_with_one_fence(world: World) {
    let lock = lock(&world, &ReentrantScope::new());
    let levels = [enter(&lock).await, enter(&lock).await, enter(&lock).await];
    let tried = lock.try_acquire().await.expect("an answer").expect("one more level");
    for level in levels.iter().chain([&tried]) {
        level.check().expect("held");
        assert_eq!(level.fence(), levels[0].fence());
        assert_eq!(level.owner(), levels[0].owner());
    }
    assert_eq!(world.inspect("key").await.holders.len(), 1);
    assert!(world.rival().mutex("key").try_acquire().await.expect("an answer").is_none());
}

pub(crate) async fn the_last_level_releases(world: World) {
    let lock = lock(&world, &ReentrantScope::new());
    let (outer, middle, inner) = (enter(&lock).await, enter(&lock).await, enter(&lock).await);
    assert_eq!(inner.release().await.expect("left"), None);
    drop(middle);
    outer.check().expect("held");
    assert_eq!(world.inspect("key").await.holders.len(), 1);
    assert_eq!(outer.release().await.expect("left"), Some(Released::Released));
    drop(world.rival_takes("key").await);
    // Dropping the last level releases in the background.
    drop(enter(&lock).await);
    until_free(&world).await;
}

pub(crate) async fn levels_leave_in_any_order(world: World) {
    let lock = lock(&world, &ReentrantScope::new());
    let (outer, inner) = (enter(&lock).await, enter(&lock).await);
    assert_eq!(outer.release().await.expect("left"), None);
    inner.check().expect("held");
    let again = enter(&lock).await;
    assert_eq!(again.fence(), inner.fence());
    drop(inner);
    assert_eq!(again.release().await.expect("left"), Some(Released::Released));
    drop(world.rival_takes("key").await);
}

pub(crate) async fn loss_is_a_loss_for_all_levels(world: World) {
    let mutex = world.locks().mutex("key").with_ttl(ms(2_000)).with_renewal(Renewal::Off);
    let lock = mutex.reentrant().with_scope(&ReentrantScope::new());
    let (outer, inner) = (enter(&lock).await, enter(&lock).await);
    for level in [&outer, &inner] {
        assert_eq!(within("the loss", PATIENCE, level.lost()).await, LostReason::Expired);
        assert_eq!(level.check().expect_err("lost").kind(), ErrorKind::Lost);
    }
    // Work of an outer level is not safe just because an inner one began anew.
    assert_eq!(lock.acquire().await.expect_err("lost").kind(), ErrorKind::Lost);
    assert_eq!(lock.try_acquire().await.expect_err("lost").kind(), ErrorKind::Lost);
    let (fence, next) = (outer.fence(), acquire(&world.rival().mutex("key")).await);
    assert_eq!(inner.release().await.expect("left"), None);
    assert_eq!(outer.release().await.expect("left"), Some(Released::Others));
    next.check().expect("the successor was left alone");
    next.release().await.expect("released");
    assert!(enter(&lock).await.fence() > fence);
}

pub(crate) async fn close_is_a_loss_for_all_levels(world: World) {
    let lock = lock(&world, &ReentrantScope::new());
    let (outer, inner) = (enter(&lock).await, enter(&lock).await);
    within("the close", PATIENCE, world.locks().close(PATIENCE)).await.expect("answered");
    for level in [&outer, &inner] {
        assert_eq!(within("the loss", PATIENCE, level.lost()).await, LostReason::Closed);
    }
    assert!(world.is_untouched().await, "something is held after the close");
    drop((outer, inner));
    assert_eq!(lock.acquire().await.expect_err("closed").kind(), ErrorKind::Closed);
}

pub(crate) async fn scopes_exclude_each_other(world: World) {
    let [first, second] = [(); 2].map(|()| lock(&world, &ReentrantScope::new()));
    let level = enter(&first).await;
    assert!(second.try_acquire().await.expect("an answer").is_none());
    let waiter = super::entering(&second);
    super::until_in_line(&world).await;
    assert!(!waiter.is_finished(), "two scopes hold it at once");
    let fence = level.fence();
    level.release().await.expect("left");
    let next = within("its turn", PATIENCE, waiter).await.expect("no panic").expect("entered");
    assert!(next.fence() > fence);
}

pub(crate) async fn keys_and_handles_are_kept_apart(world: World) {
    let scope = ReentrantScope::new();
    let level = enter(&lock(&world, &scope)).await;
    let other_key = world.locks().mutex("other").reentrant().with_scope(&scope);
    assert_ne!(enter(&other_key).await.owner(), level.owner());
    // A level of one connection is no level of another: that one would release what is not its own.
    let other_handle = world.another().mutex("key").reentrant().with_scope(&scope);
    assert!(other_handle.try_acquire().await.expect("an answer").is_none());
    let clone = world.locks().clone().mutex("key").reentrant().with_scope(&scope.clone());
    assert_eq!(enter(&clone).await.owner(), level.owner());
}

pub(crate) async fn options_are_those_of_the_first_level(world: World) {
    let scope = ReentrantScope::new();
    let mutex = world.locks().mutex("key");
    let outer = mutex.clone().with_label("outer").reentrant().with_scope(&scope);
    let inner = mutex.clone().with_label("inner").with_max_hold(ms(10)).with_min_hold(ms(10));
    let inner = inner.reentrant().with_scope(&scope);
    let (outer, inner) = (enter(&outer).await, enter(&inner).await);
    assert_eq!(inner.deadline(), outer.deadline());
    assert_eq!(world.inspect("key").await.holders[0].label.as_str(), "outer");
    let bad = mutex.with_ttl(ms(1)).reentrant().with_scope(&scope);
    assert_eq!(bad.acquire().await.expect_err("a bad ttl").kind(), ErrorKind::Invalid);
}
