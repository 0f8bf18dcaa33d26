//! How programs come to fork: daemons, pre-forking servers, pools of workers.

use std::fs;
use std::time::Duration;

use pollster::block_on;
use tenure::blocking;
use tenure_fork::{Ending, fork, fork_to};
use tenure_testkit::{alone, wait_until};

use crate::stores::Place;

/// The parent connects and ends; the child goes on, with a connection of its own.
#[test]
fn a_daemon_connects_again_when_its_parent_has_gone() {
    alone(|| {
        let server = Place::redis();
        let told = tempfile::NamedTempFile::new().expect("a file");
        let program = fork_to(Ending::Exit, || {
            let locks = server.connect();
            let guard = block_on(locks.mutex("job").with_ttl(Duration::from_secs(5)).acquire());
            let guard = guard.expect("free");
            let parent = std::process::id();
            let daemon = fork(|| {
                wait_until("its parent has ended", || nix_parent() != parent);
                assert!(guard.check().is_err());
                // The parent's lease ends, since nobody renews it: and then the daemon has it.
                let own = blocking::connect(&server.url()).expect("the server is up");
                let job = own.mutex("job").acquire().expect("it is free after the ttl");
                fs::write(told.path(), format!("fence {}", job.fence())).expect("a file");
                job.release().expect("an answer");
                "done"
            });
            // It is not waited for: its parent ends now, with all that it holds.
            std::mem::forget(daemon);
            "forked"
        });
        assert_eq!(program.says(), "forked");
        let text = || fs::read_to_string(told.path()).unwrap_or_default();
        wait_until("the daemon has had the lock", || text().starts_with("fence "));
    });
}

fn nix_parent() -> u32 {
    std::os::unix::process::parent_id()
}

/// Each worker connects for itself; they exclude each other.
fn workers_exclude_each_other(place: &Place, workers: usize, each: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("count");
    fs::write(&file, "0").expect("a file");
    let worker = || {
        let locks = blocking::Locks::from(place.connect());
        for _ in 0..each {
            let counted = locks.mutex("count").run(|_lease| {
                let count: usize = fs::read_to_string(&file).expect("a file").parse().unwrap();
                fs::write(&file, (count + 1).to_string()).expect("a file");
                tenure::ok(())
            });
            counted.expect("held to the end");
        }
        "done"
    };
    let children: Vec<_> = (0..workers).map(|_| fork_to(Ending::Exit, worker)).collect();
    children.into_iter().for_each(|child| assert_eq!(child.says(), "done", "{}", place.name()));
    let count = fs::read_to_string(&file).expect("a file");
    assert_eq!(count, (workers * each).to_string(), "{}", place.name());
}

#[test]
fn a_server_that_forks_its_workers_first() {
    alone(|| {
        let place = Place::redis();
        workers_exclude_each_other(&place, 4, 25);
    });
}

/// As with a pool of processes: the parent has a connection and a lock, and goes on using them.
#[test]
fn a_pool_of_workers_beside_a_parent_that_works() {
    alone(|| {
        for place in [Place::redis(), Place::quorum()] {
            let locks = place.connect();
            let guard = block_on(locks.mutex("parent's").acquire()).expect("free");
            workers_exclude_each_other(&place, 4, 10);
            guard.check().expect("held");
            block_on(guard.release()).expect("an answer");
        }
    });
}
