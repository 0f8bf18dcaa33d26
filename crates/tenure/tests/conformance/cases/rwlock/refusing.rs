//! Refusals: semaphores beside readers, and stores that cannot count.

use tenure::protocol::State;
use tenure::{Claim, Error, ErrorKind};

use crate::world::{World, acquire};

use super::readers::{both, reads, writers};

pub(crate) async fn semaphore_beside_readers_is_refused(world: World) {
    let [ours, theirs] = both(&world);
    let semaphore = world.locks().semaphore("key", 3);
    let reader = reads(&theirs).await;
    let error = semaphore.try_acquire().await.expect_err("another limit");
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    assert!(error.message().contains("limit of 3"), "{error}");
    assert!(error.message().contains("in use with no limit (a read-write lock)"), "{error}");
    reader.release().await.expect("released");
    let permit = acquire(&semaphore).await;
    for error in [ours.read().await.map(Some).err(), ours.try_read().await.err()] {
        let error = error.expect("another limit");
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(!error.message().contains(&Claim::MAX.to_string()), "{error}");
    }
    // A writer has no limit, and waits.
    assert!(ours.try_write().await.expect("an answer").is_none());
    permit.check().expect("held");
    assert_eq!(writers(&ours).await, [false]);
}

/// Each node of a quorum would have readers that others do not know.
pub(crate) async fn store_refuses_before_anything_is_touched(world: World) {
    assert!(!world.locks().capabilities().many_units);
    let is_refused = |error: Option<Error>| {
        let error = error.expect("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("a quorum does not"), "{error}");
        assert_eq!(error.store(), Some(&*world.locks().store_name()));
        assert!(!error.may_hold());
        error.message().to_owned()
    };
    let [ours, _] = both(&world);
    for error in [
        ours.read().await.err(),
        ours.write().await.err(),
        ours.try_read().await.err(),
        ours.try_write().await.err(),
    ] {
        assert!(is_refused(error).contains("a read-write lock needs a store"));
    }
    let seen = ours.inspect().await.expect("a look is no claim");
    assert_eq!((seen.state, seen.fence), (State::Free, None), "a node was asked");
    let mut guard = acquire(&world.locks().mutex("key")).await;
    is_refused(guard.downgrade().await.err());
    is_refused(guard.try_upgrade().await.err());
    guard.check().expect("it is what it was");
    assert!(world.rival().mutex("key").try_acquire().await.expect("an answer").is_none());
    guard.release().await.expect("released");
}
