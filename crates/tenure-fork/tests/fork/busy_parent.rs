//! Forks in the middle of work: eight threads acquire and release without a pause, while children
//! use what they inherited, drop it, connect anew and end. None hangs, and none disturbs the
//! parent.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pollster::block_on;
use tenure::{ErrorKind, Guard, Locks, LostReason, Released, runtime};
use tenure_fork::{Child, Ending, fork_to};
use tenure_testkit::alone;

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

/// Runs in each child.
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
        // A thread of the parent was starting or ending: see below.
        Err(error) if error.to_string().contains("fork again") => return "no threads",
        // SQLite refuses a new connection here; its own tests say more.
        Err(error) => assert_eq!((error.kind(), place.name()), (ErrorKind::Forked, "SQLite")),
    }
    "done"
}

fn forks_under_load(place: &Place, forks: usize) {
    let locks = place.connect();
    let held = block_on(locks.mutex("held").acquire()).expect("free");
    let (is_over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    // No thread may be starting at a fork: see `main.rs`.
    let all_run = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (locks, is_over, rounds, all_run) = (&locks, &is_over, &rounds, &all_run);
            scope.spawn(move || {
                all_run.wait();
                rounds.fetch_add(acquire_and_release(locks, number, is_over), Ordering::Relaxed);
            });
        }
        all_run.wait();
        // Also when a child fails: or the threads would go on for ever.
        let over = Over(&is_over);
        let (mut running, mut said): (Vec<Child>, Vec<_>) = Default::default();
        let mut hands = Some((locks.clone(), held));
        for number in 0..forks {
            let ending = [Ending::AtOnce, Ending::Exit][number % 2];
            running.push(fork_to(ending, || {
                let (locks, guard) = hands.take().expect("its own");
                child(place, locks, guard, number)
            }));
            if running.len() == AT_A_TIME {
                said.push(running.remove(0).says());
            }
        }
        said.extend(running.into_iter().map(Child::says));
        let done = said.iter().filter(|said| *said == "done").count();
        assert!(done >= forks * 99 / 100, "{}: {done} of {forks}", place.name());
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
    alone(|| {
        forks_under_load(&Place::Memory, 1_000);
    });
}

#[test]
fn a_thousand_forks_with_redis() {
    alone(|| {
        forks_under_load(&Place::redis(), 1_000);
    });
}

#[test]
fn a_thousand_forks_with_sqlite() {
    alone(|| {
        forks_under_load(&Place::sqlite(), 1_000);
    });
}

#[test]
fn two_hundred_forks_with_a_quorum() {
    alone(|| {
        forks_under_load(&Place::quorum(), 200);
    });
}

/// A thread that starts or ends at the fork keeps a lock of Rust's runtime in the child for ever.
#[test]
fn a_child_that_can_start_no_thread_says_so() {
    alone(|| {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let over = Over(&is_over);
            let churn = || {
                while !is_over.load(Ordering::Acquire) {
                    thread::scope(|scope| drop(scope.spawn(|| {}).join()));
                }
            };
            (0..4).for_each(|_| drop(scope.spawn(churn)));
            let connects = || match Place::Memory.try_connect() {
                Ok(_) => {
                    let own = runtime::machine().expect("it has started its threads");
                    block_on(own.sleep_until(own.now() + Duration::from_millis(1)));
                    "works".to_owned()
                }
                Err(error) => error.to_string(),
            };
            // About one fork in 500 meets such a moment.
            for _ in 0..10 {
                let children: Vec<_> =
                    (0..200).map(|_| fork_to(Ending::AtOnce, connects)).collect();
                let said: Vec<_> = children.into_iter().map(Child::says).collect();
                let is_known = |said: &String| said == "works" || said.contains("fork again");
                assert!(said.iter().all(is_known), "{said:?}");
                if said.iter().any(|said| said != "works") {
                    break;
                }
            }
            drop(over);
        });
    });
}
