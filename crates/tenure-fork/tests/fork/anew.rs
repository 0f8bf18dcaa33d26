//! In a child, a new connection works: with threads, locks and a label of the child's own.

use std::time::Duration;

use pollster::block_on;
use tenure::{ErrorKind, LostReason, Released, blocking};
use tenure_fork::{Ending, fork, fork_to};
use tenure_testkit::alone;

use crate::stores::Place;

/// Acquires, waits in line, renews and loses over a connection of its own.
fn use_a_new_connection(place: &Place) {
    let locks = place.connect();
    let key = format!("of {}", std::process::id());
    block_on(async {
        let mutex = locks.mutex(&key).with_ttl(Duration::from_secs(20));
        let guard = mutex.acquire().await.expect("free");
        let seen = mutex.inspect().await.expect("the store answers");
        let label = seen.holders[0].label.to_string();
        assert!(label.contains(&format!(":{}:", std::process::id())), "{label} is the parent's");
        assert!(mutex.try_acquire().await.expect("an answer").is_none());
        let (next, released) = tokio::join!(mutex.acquire(), async {
            while locks.capabilities().fifo
                && mutex.inspect().await.expect("an answer").waiters.is_empty()
            {
                tokio::task::yield_now().await;
            }
            guard.release().await
        });
        assert_eq!(released.expect("an answer"), Released::Released);
        next.expect("granted").release().await.expect("an answer");
        // Renewed and lost by the child's own threads.
        let short = locks.mutex(&key).with_ttl(Duration::from_secs(6)).acquire().await;
        let short = short.expect("free");
        let deadline = short.deadline();
        assert!(short.renewed(deadline).await > deadline);
        let unrenewed = mutex.clone().with_ttl(Duration::from_millis(500));
        drop(short);
        let unrenewed = unrenewed.with_renewal(tenure::Renewal::Off).acquire().await;
        match unrenewed {
            Ok(unrenewed) => assert_eq!(unrenewed.lost().await, LostReason::Expired),
            // So slow a machine that half a second was over before the answer came.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    });
}

fn works_anew(place: &Place) {
    let locks = place.connect();
    let guard = block_on(locks.mutex("parent's").acquire()).expect("free");
    let work = || {
        // Another process's lock excludes the child, where the store reaches it.
        let own = place.connect();
        let other = block_on(own.mutex("parent's").try_acquire()).expect("an answer");
        assert_eq!(other.is_some(), matches!(place, Place::Memory), "{}", place.name());
        use_a_new_connection(place);
        "done"
    };
    for ending in [Ending::AtOnce, Ending::Exit] {
        assert_eq!(fork_to(ending, work).says(), "done", "{}", place.name());
    }
    // A child of a child is another process again.
    let grandchild = fork(|| {
        let child_s = place.connect();
        let held = block_on(child_s.mutex("child's").acquire()).expect("free");
        let told = fork(|| {
            assert_eq!(held.check().expect_err("held").kind(), ErrorKind::Lost);
            assert_eq!(guard.check().expect_err("held").kind(), ErrorKind::Lost);
            work()
        });
        let told = told.says();
        held.check().expect("the one that connected holds it");
        told
    });
    assert_eq!(grandchild.says(), "done", "{}", place.name());
    guard.check().expect("the parent holds it still");
}

#[test]
fn memory() {
    alone(|| {
        works_anew(&Place::Memory);
    });
}

#[test]
fn redis() {
    alone(|| {
        works_anew(&Place::redis());
    });
}

#[test]
fn a_quorum() {
    alone(|| {
        works_anew(&Place::quorum());
    });
}

#[test]
fn a_lock_is_handed_over_to_a_child_by_a_ticket() {
    alone(|| {
        let place = Place::redis();
        let locks = place.connect();
        let guard = block_on(locks.mutex("k").acquire()).expect("free");
        let fence = guard.fence();
        let ticket = block_on(guard.hand_over(Duration::from_secs(60))).expect("held");
        let child = fork(|| {
            let guard = block_on(place.connect().adopt(&ticket)).expect("nobody has used it");
            guard.check().expect("held by the child");
            assert_eq!(guard.fence(), fence);
            block_on(guard.release()).expect("an answer");
            "done"
        });
        assert_eq!(child.says(), "done");
        drop(block_on(locks.mutex("k").acquire()).expect("the child has released it"));
    });
}

/// The environment of the test program names no store: a child of it names one for itself.
#[test]
fn the_default_store_and_the_attribute() {
    alone(|| {
        #[tenure::locked("attribute")]
        async fn work() -> tenure::Result<u32> {
            Ok(7)
        }
        let server = Place::redis();
        let program = fork(|| {
            tenure::set_default(server.connect());
            assert_eq!(block_on(work()).expect("the default store works"), 7);
            let child = fork(|| {
                let error = block_on(work()).expect_err("another store was taken in silence");
                assert_eq!(error.kind(), ErrorKind::Forked, "{error}");
                assert!(error.to_string().contains("set_default"), "{error}");
                let guard = blocking::mutex("k").acquire();
                assert_eq!(guard.expect_err("the parent's store").kind(), ErrorKind::Forked);
                tenure::set_default(server.connect());
                assert_eq!(block_on(work()).expect("the default store works"), 7);
                blocking::mutex("k").acquire().expect("free").release().expect("an answer");
                "done"
            });
            child.says()
        });
        assert_eq!(program.says(), "done");
    });
}

/// A runtime that a program holds goes over to threads of the child's own.
#[test]
fn an_inherited_seam_starts_threads_of_the_childs_own() {
    alone(|| {
        let machine = tenure::runtime::machine().expect("threads");
        let child = fork(|| {
            let (tell, told) = std::sync::mpsc::channel();
            machine.spawn(Box::pin(async move { tell.send("spawned").expect("the test waits") }));
            block_on(machine.sleep_until(machine.now() + Duration::from_millis(20)));
            let mut random = [[0; 16]; 2];
            random.iter_mut().for_each(|bytes| machine.random(bytes));
            assert_ne!(random[0], random[1]);
            told.recv().expect("the task runs")
        });
        assert_eq!(child.says(), "spawned");
    });
}

/// A child that gave out the same random bytes as its parent would claim with the same owner.
#[test]
fn a_child_draws_other_random_bytes_than_its_parent() {
    alone(|| {
        let machine = tenure::runtime::machine().expect("threads");
        let draw = || {
            let mut bytes = [0; 16];
            machine.random(&mut bytes);
            format!("{bytes:?}")
        };
        draw();
        let child = fork(draw);
        assert_ne!(draw(), child.says());
    });
}
