//! SQLite on both sides of a fork.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read, Write};
use std::thread;

use tempfile::TempDir;
use tenure::{ErrorKind, blocking};
use tenure_fork::{Ending, fork, fork_to};
use tenure_testkit::{alone, wait_until};

fn file() -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}/locks.db", directory.path().display());
    (directory, url)
}

fn acquire_and_release(url: &str, key: &str) {
    let locks = blocking::connect(url).expect("the file can be opened");
    locks.mutex(key).acquire().expect("free").release().expect("an answer");
}

fn is_refused(url: &str) {
    let error = blocking::connect(url).expect_err("SQLite is used on both sides of a fork");
    assert_eq!(error.kind(), ErrorKind::Forked, "{error}");
    assert!(error.to_string().contains("exec"), "{error}");
}

/// Whether a child of this process may use SQLite.
fn child_may(url: &str) -> bool {
    let child = fork(|| match blocking::connect(url) {
        Ok(_) => "may",
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Forked, "{error}");
            "may not"
        }
    });
    child.says() == "may"
}

/// With a connection of its own a child would share the parent's idea of the locks of the file,
/// and hold none: two would be granted. Or it would wait for a mutex of SQLite's for ever.
#[test]
fn a_child_of_a_process_with_an_open_file_is_refused_and_told_what_to_do() {
    alone(|| {
        let ((_here, url), (_there, other)) = (file(), file());
        let locks = blocking::connect(&url).expect("a file");
        let guard = locks.mutex("k").acquire().expect("free");
        let child = fork_to(Ending::Exit, || {
            is_refused(&url);
            is_refused(&other);
            fork(|| {
                is_refused(&url);
                "refused"
            })
            .says()
        });
        assert_eq!(child.says(), "refused");
        guard.check().expect("the parent holds it still");
        guard.release().expect("an answer");
    });
}

#[test]
fn a_pre_forking_server_whose_workers_connect_shares_the_file() {
    alone(|| {
        let (_here, url) = file();
        let before = |_: usize| {
            fork_to(Ending::Exit, || {
                (0..20).for_each(|n| acquire_and_release(&url, &format!("key {}", n % 2)));
                "done"
            })
        };
        let workers: Vec<_> = (0..4).map(before).collect();
        workers.into_iter().for_each(|worker| assert_eq!(worker.says(), "done"));
    });
}

#[test]
fn a_parent_that_has_closed_its_file_may_fork() {
    alone(|| {
        let (_here, url) = file();
        acquire_and_release(&url, "k");
        // The store's thread ends soon after the last handle is gone.
        wait_until("the file is closed", || child_may(&url));
        let child = fork(|| {
            acquire_and_release(&url, "k");
            "done"
        });
        assert_eq!(child.says(), "done");
    });
}

/// The lock under which a file is opened belongs to an open file description, which a child
/// shares: closing it in the parent alone would not unlock it.
#[test]
fn a_child_that_was_forked_during_an_opening_locks_nobody_out() {
    alone(|| {
        let (here, url) = file();
        acquire_and_release(&url, "k");
        let directory = here.path().join("locks.db.wake");
        wait_until("the file is closed", || child_may(&url));
        let others = File::open(&directory).expect("the directory of the wake-ups");
        others.lock().expect("nobody opens the file now");
        thread::scope(|scope| {
            let opening = scope.spawn(|| blocking::connect(&url).expect("it is its turn"));
            let is_it = |fd: &io::Result<DirEntry>| {
                fd.as_ref()
                    .is_ok_and(|fd| fs::read_link(fd.path()).is_ok_and(|path| path == directory))
            };
            let opened = || fs::read_dir("/proc/self/fd").expect("/proc").filter(&is_it).count();
            // Ours, and the one under which it waits for the lock.
            wait_until("it waits", || opened() == 2);
            let (mut until, end) = io::pipe().expect("a pipe");
            let child = fork(move || {
                until.read_exact(&mut [0]).expect("the parent says when");
                "done"
            });
            others.unlock().expect("it was locked");
            drop(opening.join().expect("no panic"));
            blocking::connect(&url).expect("the child keeps nobody out");
            (&end).write_all(&[1]).expect("it listens");
            assert_eq!(child.says(), "done");
        });
    });
}
