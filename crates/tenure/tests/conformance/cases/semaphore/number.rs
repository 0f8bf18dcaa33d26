//! An administrator changes the number of permits.

use tenure::ErrorKind;

use crate::world::{World, acquire, outcome, waiting};

pub(crate) async fn more_are_granted_at_once(world: World) {
    let two = world.locks().semaphore("key", 2);
    let _held = two.acquire_many(2).await.expect("granted");
    let waiter = waiting(two.clone());
    world.until_waiting("key", 1).await;
    let was = world.rival().semaphore("key", 2).set_permits(3).await.expect("set");
    assert_eq!(was, Some(2));
    let third = outcome(waiter).await.expect("granted at once");
    let seen = two.inspect().await.expect("a look");
    assert_eq!((seen.limit, seen.holders.len(), seen.waiters.len()), (Some(3), 2, 0));
    let old = two.try_acquire().await.expect_err("the old number");
    assert_eq!(old.kind(), ErrorKind::Mismatch);
    assert!(world.locks().semaphore("key", 3).try_acquire().await.expect("asked").is_none());
    third.release().await.expect("released");
    assert!(world.locks().semaphore("key", 3).try_acquire().await.expect("asked").is_some());
}

pub(crate) async fn fewer_take_effect_as_they_come_back(world: World) {
    let three = world.locks().semaphore("key", 3);
    let (first, second) = (acquire(&three).await, acquire(&three).await);
    let fences = (first.fence(), second.fence());
    let was = world.rival().semaphore("key", 3).set_permits(1).await.expect("set");
    assert_eq!(was, Some(3));
    let one = world.locks().semaphore("key", 1);
    assert!(one.try_acquire().await.expect("asked").is_none(), "two are held");
    assert_eq!((first.fence(), second.fence()), fences);
    first.check().expect("nobody loses a permit");
    second.check().expect("nobody loses a permit");
    first.release().await.expect("released");
    assert!(one.try_acquire().await.expect("asked").is_none(), "one is held");
    second.release().await.expect("released");
    assert!(one.try_acquire().await.expect("asked").is_some());
}

pub(crate) async fn none_is_changed_where_none_is_held(world: World) {
    let three = world.locks().semaphore("key", 3);
    assert_eq!(three.set_permits(5).await.expect("asked"), None);
    let held = acquire(&three).await;
    assert_eq!(three.set_permits(3).await.expect("asked"), Some(3), "it is the number already");
    held.check().expect("held");
}
