//! A server that stops, or dies and comes back: loss is announced in time without any answer, and
//! afterwards everything goes on by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tenure::runtime;
use tenure::{ErrorKind, LostReason, Released};
use tenure_testkit::{Flavour, Proxy, Server};

use crate::world::{acquire, connect, most_attempts, ms, quick, take, within};

const TTL: Duration = Duration::from_secs(8);
/// A busy machine may run the alarms' thread late by less than this. A loss that waited for the
/// end of a call would be told a minute late.
const LATE: Duration = Duration::from_secs(20);
/// How long the server stays away.
const AWAY: Duration = Duration::from_secs(10);
const CROWD: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_loses_a_lock_by_its_deadline() {
    let clock = runtime::machine().expect("a clock");
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&format!("{}?call_timeout=60s", server.url())).await;
        let guard = acquire(&locks.mutex("key").with_ttl(TTL)).await;
        server.stop();
        // A renewal may have been on its way: its answer is read from the socket later.
        let reason = within("the loss", guard.lost()).await;
        let (told, deadline) = (clock.now(), guard.deadline());
        assert_eq!(reason, LostReason::Expired);
        println!("{flavour}: told {:?} after the deadline", told.since(deadline));
        assert!(told.since(deadline) < LATE, "told {:?} after the deadline", told.since(deadline));
        let error = guard.check().expect_err("lost is final");
        assert_eq!(error.kind(), ErrorKind::Lost);
        server.cont();
        // Lost is final, also if the store would still have had it.
        assert!(guard.check().is_err());
        drop(guard);
        let next = acquire(&locks.mutex("key")).await;
        next.release().await.expect("released");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_the_air_does_not_hold_up_the_loss() {
    let server = Server::redis().start();
    let locks = connect(&format!("{}?call_timeout=60s", server.url())).await;
    let guard = acquire(&locks.mutex("key").with_ttl(ms(4000))).await;
    let token = guard.lost_token();
    server.stop();
    let asked = tokio::spawn(async move {
        let told = guard.extend_to(Duration::from_secs(5)).await;
        (guard, told)
    });
    within("the loss", token.cancelled()).await;
    assert!(!asked.is_finished(), "the call is in the air");
    server.cont();
    let (guard, told) = within("the extension's end", asked).await.expect("no panic");
    assert!(told.is_err(), "it came after the loss");
    assert!(guard.check().is_err());
}

/// One task of a crowd in which some hold, some wait and some begin anew. It ends when it has begun
/// to wait, and held its lock, after the server was back.
async fn cycle(locks: tenure::Locks, number: usize, is_back: Arc<AtomicBool>) {
    let mutex = locks.mutex(format!("key {}", number % (CROWD / 4))).with_ttl(ms(2000));
    loop {
        let was_back = is_back.load(Ordering::Relaxed);
        match mutex.acquire().await {
            Ok(guard) => {
                tokio::time::sleep(ms(2)).await;
                let told = guard.release().await;
                if was_back && told.is_ok_and(|told| told == Released::Released) {
                    return;
                }
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
}

async fn away_and_back(flavour: Flavour) {
    let server = Server::of(flavour).start();
    let proxy = Proxy::to(server.address());
    let locks = quick(&proxy.url()).await;
    let held = acquire(&locks.mutex("held").with_ttl(ms(4000))).await;
    let is_back = Arc::new(AtomicBool::new(false));
    let crowd: Vec<_> = (0..CROWD)
        .map(|number| tokio::spawn(cycle(locks.clone(), number, Arc::clone(&is_back))))
        .collect();
    tokio::time::sleep(ms(300)).await;
    let links = proxy.links();
    let killed = Instant::now();
    server.kill9();
    tokio::time::sleep(ms(2000)).await;
    let early = proxy.links() - links;
    // Five in two seconds; a busy machine makes the two seconds longer.
    let early_max = most_attempts(killed);
    tokio::time::sleep(AWAY - ms(2000)).await;
    let late = proxy.links() - links;
    server.restart();
    is_back.store(true, Ordering::Relaxed);
    let back = Instant::now();
    let fresh = acquire(&locks.mutex("fresh")).await;
    let again = back.elapsed();
    println!("{flavour}: {early} attempts in 2 s, {late} in {AWAY:?}; a new lock after {again:?}");
    assert!(early <= early_max && late >= 1, "{early} attempts in the first 2 s, {late} in all");
    assert!(again < AWAY, "a new lock came only after {again:?}");
    assert_eq!(within("the loss", held.lost()).await, LostReason::Expired);
    fresh.release().await.expect("released");
    for task in crowd {
        within("a task of the crowd", task).await.expect("no panic");
    }
    within("the close", locks.close(ms(60_000))).await.expect("nothing is stuck");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_serves_everybody_at_once() {
    for flavour in Flavour::ALL {
        away_and_back(flavour).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stopped_for_a_moment_costs_no_lock() {
    let server = Server::redis().start();
    let locks = quick(&server.url()).await;
    let mutex = locks.mutex("key").with_renewal(tenure::Renewal::Every(ms(1000)));
    let guard = acquire(&mutex).await;
    let before = guard.deadline();
    server.stop();
    tokio::time::sleep(ms(3500)).await;
    server.cont();
    within("a renewal", guard.renewed(before)).await;
    guard.check().expect("still held");
    let rival = connect(&server.url()).await;
    assert!(rival.mutex("key").try_acquire().await.expect("an answer").is_none());
    guard.release().await.expect("released");
    take(&rival, "key").await.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_is_forgotten_again_and_again_fails_nobody() {
    const TASKS: usize = 64;
    const TIMES: usize = 30;
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let (end, ended) = tokio::sync::watch::channel(false);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..TASKS {
            let (lock, ended) = (locks.mutex(format!("key {number}")), ended.clone());
            tasks.spawn(async move {
                while !*ended.borrow() {
                    lock.acquire().await?.release().await?;
                }
                Ok::<_, tenure::Error>(())
            });
        }
        for _ in 0..TIMES {
            server.command(&["SCRIPT", "FLUSH"]);
            // Somebody finds that out in between.
            take(&locks, "other").await.release().await.expect("released");
        }
        end.send_replace(true);
        while let Some(done) = within("the tasks' end", tasks.join_next()).await {
            done.expect("no panic").unwrap_or_else(|e| panic!("{flavour}: {e}"));
        }
    }
}
