//! Lone callers: they wait for their answers in place, on whichever executor they run, and nobody
//! else pays for it.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use tenure::{Locks, LocksOptions, Renewal};
use tenure_testkit::{Flavour, Server, alone, wait_until};

use crate::world::{PATIENCE, connect, ms, take, until};

/// Number of direct connections at a server.
fn direct(server: &Server) -> usize {
    let clients = server.command(&["CLIENT", "LIST"]).text().expect("a list");
    clients.matches("name=tenure-direct ").count()
}

/// Acquires and releases, so often that a lone caller gets a direct connection.
async fn cycles(locks: &Locks, key: &str, count: usize) {
    for _ in 0..count {
        take(locks, key).await.release().await.expect("an answer");
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a list of descriptors").count()
}

#[tokio::test]
async fn a_lone_caller_gets_a_direct_connection_and_one_that_calls_little_gets_none() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        cycles(&locks, "key", 1).await;
        assert_eq!(direct(&server), 0, "for two calls");
        until("a direct connection", async || {
            cycles(&locks, "key", 2).await;
            direct(&server) == 1
        })
        .await;
        cycles(&locks, "key", 100).await;
        assert!(direct(&server) <= 1);
        // Nobody uses it any more.
        wait_until("it is closed", || direct(&server) == 0);
        cycles(&locks, "key", 1).await;
        locks.close(PATIENCE).await.expect("closed");
    }
}

/// The server cut it, or is another one, between two calls: that is no affair of the caller's.
#[tokio::test]
async fn a_direct_connection_that_has_ended_fails_no_call() {
    let server = Server::redis().start();
    let locks = connect(&server.url()).await;
    for _ in 0..5 {
        until("a direct connection", async || {
            cycles(&locks, "key", 2).await;
            direct(&server) == 1
        })
        .await;
        let clients = server.command(&["CLIENT", "LIST"]).text().expect("a list");
        let line = clients.lines().find(|line| line.contains("name=tenure-direct "));
        let id = line.and_then(|line| line.split(' ').next()?.strip_prefix("id="));
        server.command(&["CLIENT", "KILL", "ID", id.expect("a client")]);
        cycles(&locks, "key", 10).await;
    }
}

/// A call that took longer than the time after which an unused direct connection is closed was cut
/// off with it.
#[tokio::test]
async fn a_slow_call_is_not_cut_off_with_a_direct_connection_that_nobody_else_uses() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let url = format!("{}?call_timeout=60s", server.url());
        let options = LocksOptions::default().with_store_timeout(ms(60_000));
        let locks = tenure::connect_with(&url, options).await.expect("a server");
        until("a direct connection", async || {
            cycles(&locks, "key", 2).await;
            direct(&server) == 1
        })
        .await;
        cycles(&locks, "key", 3).await;
        server.stop();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(ms(7_000));
                server.cont();
            });
            // It waits for the server here.
            block_on(async { take(&locks, "key").await.release().await.expect("an answer") });
        });
    }
}

/// Each begins, calls and ends. A connection that belonged to one of them would take the next one's
/// request and never read the answer.
#[test]
fn a_thousand_runtimes_one_after_the_other_fail_no_call() {
    // It counts descriptors, and those of other tests come and go.
    alone(|| {
        let server = Server::redis().start();
        let first = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let locks = first.block_on(connect(&server.url()));
        first.block_on(cycles_without_timers(&locks));
        let before = descriptors();
        for number in 0..1_000 {
            let mut builder = if number % 10 == 0 {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                builder.worker_threads(1);
                builder
            } else {
                tokio::runtime::Builder::new_current_thread()
            };
            if number % 2 == 0 {
                builder.enable_all();
            }
            builder.build().expect("a runtime").block_on(cycles_without_timers(&locks));
        }
        assert!(descriptors() <= before + 4, "{} descriptors, {before} before", descriptors());
        assert!(direct(&server) <= 1);
    });
}

/// For runtimes without timers.
async fn cycles_without_timers(locks: &Locks) {
    for _ in 0..3 {
        let guard = locks.mutex("key").try_acquire().await.expect("an answer").expect("free");
        guard.release().await.expect("an answer");
    }
}

/// No tokio, tokio without drivers, and an executor within another one, whose drivers never run.
#[test]
fn lone_calls_end_on_every_executor() {
    let server = Server::redis().start();
    let locks = block_on(connect_anywhere(&server.url()));
    // A busy machine answers late, and then there is none for a while.
    wait_until("a direct connection", || {
        block_on(cycles_without_timers(&locks));
        direct(&server) == 1
    });
    let bare = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for _ in 0..20 {
        bare.block_on(cycles_without_timers(&locks));
        bare.block_on(async { block_on(cycles_without_timers(&locks)) });
    }
    let full = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let full = full.expect("a runtime");
    for _ in 0..20 {
        full.block_on(cycles_without_timers(&locks));
        full.block_on(async { block_on(cycles_without_timers(&locks)) });
    }
    let blocking = tenure::blocking::connect(&server.url()).expect("a server");
    wait_until("a direct connection of each", || {
        for _ in 0..20 {
            let guard = blocking.mutex("key").try_acquire().expect("an answer").expect("free");
            guard.release().expect("an answer");
            block_on(cycles_without_timers(&locks));
        }
        direct(&server) == 2
    });
}

async fn connect_anywhere(url: &str) -> Locks {
    connect(url).await
}

/// The smallest executor.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The tasks of one thread: each would go alone if it kept the others from running.
#[test]
fn the_tasks_of_one_thread_go_together() {
    const TASKS: usize = 16;
    const CYCLES: usize = 200;
    let server = Server::redis().start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let locks = connect(&server.url()).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let locks = locks.clone();
                tokio::spawn(async move { cycles(&locks, &format!("key {task}"), CYCLES).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    let calls = server.info("cmdstat_evalsha").expect("calls");
    let calls = calls.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
    let calls: usize = calls.and_then(|calls| calls.parse().ok()).expect("a number");
    assert!(calls * 2 < TASKS * CYCLES * 2, "{calls} calls for {} steps", TASKS * CYCLES * 2);
}

/// It would keep them from running for as long as it finds its answers in place.
#[tokio::test]
async fn a_lone_caller_lets_the_other_tasks_of_its_thread_run() {
    let server = Server::redis().start();
    let locks = connect(&server.url()).await;
    until("a direct connection", async || {
        cycles(&locks, "key", 2).await;
        direct(&server) == 1
    })
    .await;
    // An answer that is late lets them run, too, so a single time says little.
    for _ in 0..20 {
        let other = tokio::spawn(async {});
        cycles_without_timers(&locks).await;
        assert!(other.is_finished(), "it has not run in six calls");
    }
}

/// A stopped server answers nobody: the caller's thread is not kept, and the answer is not lost.
#[tokio::test]
async fn a_call_whose_answer_is_late_is_answered_all_the_same() {
    let server = Server::redis().start();
    let locks = connect(&format!("{}?call_timeout=60s", server.url())).await;
    until("a direct connection", async || {
        cycles(&locks, "key", 2).await;
        direct(&server) == 1
    })
    .await;
    server.stop();
    let mutex = locks.mutex("key").with_renewal(Renewal::Off).with_ttl(Duration::from_secs(60));
    let mut call = Box::pin(mutex.try_acquire());
    let mut other_tasks = 0;
    tokio::select! {
        biased;
        _ = &mut call => panic!("the server is stopped"),
        () = async {
            for _ in 0..3 {
                tokio::time::sleep(ms(1)).await;
                other_tasks += 1;
            }
        } => {}
    }
    assert_eq!(other_tasks, 3);
    server.cont();
    let guard = call.await.expect("an answer").expect("free");
    guard.release().await.expect("an answer");
}
