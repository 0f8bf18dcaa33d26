//! Forks in the middle of work: eight threads acquire and release without a pause, while children
//! use what they inherited, drop it, connect anew and end. None hangs, and none disturbs the
//! parent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pollster::block_on;
use tenure::{ErrorKind, Guard, Locks, LostReason, Released};
use tenure_fork::{Child, Ending, fork_to};

use crate::stores::Place;

const THREADS: usize = 8;
/// How many children run at a time.
const AT_A_TIME: usize = 4;

/// Acquires and releases a key of its own. An answer that was another's would be seen here.
fn acquire_and_release(locks: &Locks, number: usize, is_over: &AtomicBool) -> usize {
    let mutex = locks.mutex(format!("key {number}")).with_ttl(Duration::from_secs(60));
    let mut rounds = 0;
    while !is_over.load(Ordering::Acquire) {
        block_on(async {
            let guard = mutex.try_acquire().await.expect("an answer").expect("nobody else's key");
            let seen = mutex.inspect().await.expect("an answer");
            let holders: Vec<_> = seen.holders.iter().map(|h| (&h.owner, h.fence)).collect();
            assert_eq!(holders, [(guard.owner(), guard.fence())]);
            guard.check().expect("held");
            assert_eq!(guard.release().await.expect("an answer"), Released::Released);
        });
        rounds += 1;
    }
    rounds
}

/// What a child does.
fn child(place: &Place, locks: Locks, guard: Guard, number: usize) -> &'static str {
    assert_eq!(block_on(guard.lost()), LostReason::Forked);
    let error = block_on(locks.mutex("key 0").acquire()).expect_err("the parent's connection");
    assert_eq!(error.kind(), ErrorKind::Forked, "{error}");
    drop((guard, locks));
    match place.try_connect() {
        Ok(own) => {
            let guard = block_on(own.mutex(format!("child {}", number % 8)).acquire());
            block_on(guard.expect("free soon").release()).expect("an answer");
        }
        // What SQLite can do is told by its own tests.
        Err(error) => assert_eq!((error.kind(), place.name()), (ErrorKind::Forked, "SQLite")),
    }
    "done"
}

fn forks_under_load(place: &Place, forks: usize) {
    let locks = place.connect();
    let held = block_on(locks.mutex("held").acquire()).expect("free");
    let (is_over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (locks, is_over, rounds) = (&locks, &is_over, &rounds);
            scope.spawn(move || {
                rounds.fetch_add(acquire_and_release(locks, number, is_over), Ordering::Relaxed);
            });
        }
        // Also when a child fails: or the threads would go on for ever.
        let over = Over(&is_over);
        let mut running: Vec<Child> = Vec::new();
        let mut hands = Some((locks.clone(), held));
        for number in 0..forks {
            let ending = [Ending::AtOnce, Ending::Exit][number % 2];
            running.push(fork_to(ending, || {
                let (locks, guard) = hands.take().expect("its own");
                child(place, locks, guard, number)
            }));
            if running.len() == AT_A_TIME {
                assert_eq!(running.remove(0).says(), "done", "{}", place.name());
            }
        }
        running.into_iter().for_each(|child| assert_eq!(child.says(), "done"));
        let (_, held) = hands.take().expect("the parent's");
        held.check().expect("the parent holds it still");
        assert_eq!(block_on(held.release()).expect("an answer"), Released::Released);
        drop(over);
    });
    assert!(rounds.into_inner() > 0, "{}: the threads did nothing", place.name());
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_thousand_forks_with_a_store_in_memory() {
    forks_under_load(&Place::Memory, 1_000);
}

#[test]
fn a_thousand_forks_with_redis() {
    forks_under_load(&Place::redis(), 1_000);
}

#[test]
fn a_thousand_forks_with_sqlite() {
    forks_under_load(&Place::sqlite(), 1_000);
}

#[test]
fn two_hundred_forks_with_a_quorum() {
    forks_under_load(&Place::quorum(), 200);
}
