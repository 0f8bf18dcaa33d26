//! A tour: every way of acquiring, a conflict, questions about the state, extension by hand,
//! renewal.
//!
//! ```sh
//! cargo run --example tour
//! ```
//!
//! It prints:
//!
//! ```text
//! -- ways of acquiring
//! acquire: held
//! try_acquire: held
//! with a time limit: held
//! run: the work answered 42
//! try_run: the work answered 42
//! run_to_end: the work answered 42
//! decorated: the work answered 42
//! blocking: the work answered 42
//! -- a conflict
//! try_acquire: None, another holds it
//! with a time limit: busy, and the error names "the tour"
//! in line: got it when the other released, with a larger fence
//! -- questions
//! the guard: held
//! the store: 1 holder, "the tour"; 0 wait
//! by fixed value: mine
//! after the release: nobody's
//! -- extension by hand
//! extend_to: more than 50 s are left
//! extend_by: more than 80 s are left
//! -- renewal
//! renewed: the deadline moved on
//! not renewed: lost, its deadline passed without a confirmed renewal
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::time::Duration;

use tenure::{ErrorKind, Guard, Locks, Renewal};

type Result = std::result::Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result {
    // `tenure::connect(URL)` opens a store by name; this is the one that the environment names.
    let locks = tenure::default_locks().await?;
    ways_of_acquiring(&locks).await?;
    a_conflict(&locks).await?;
    questions(&locks).await?;
    extension_by_hand(&locks).await?;
    renewal(&locks).await?;
    // Nothing is left behind, not even by a guard that was only dropped.
    locks.close(Duration::from_secs(5)).await?;
    Ok(())
}

async fn ways_of_acquiring(locks: &Locks) -> Result {
    println!("-- ways of acquiring");
    let mutex = locks.mutex("tour");

    let guard = mutex.acquire().await?;
    println!("acquire: {}", state(&guard));
    guard.release().await?; // A guard that is dropped releases too, in the background.

    if let Some(guard) = mutex.try_acquire().await? {
        println!("try_acquire: {}", state(&guard));
        guard.release().await?;
    }

    let patient = locks.mutex("tour").with_wait(Duration::from_secs(10));
    let guard = patient.acquire().await?;
    println!("with a time limit: {}", state(&guard));
    guard.release().await?;

    // Scopes: acquire, work, release, whatever happens. `run` drops the work if the lock is lost.
    let answer = mutex.run(|lease| async move { lease.check().map(|()| 42) }).await?;
    println!("run: the work answered {answer}");
    if let Some(answer) = mutex.try_run(|_lease| async { tenure::ok(42) }).await? {
        println!("try_run: the work answered {answer}");
    }
    let answer = mutex.run_to_end(|_lease| async { 42 }).await?.or_lost()?;
    println!("run_to_end: the work answered {answer}");

    println!("decorated: the work answered {}", decorated().await?);

    // Without async, on a thread of its own.
    let mutex = tenure::blocking::mutex("tour");
    let work = tokio::task::spawn_blocking(move || mutex.run(|_lease| tenure::ok(42)));
    println!("blocking: the work answered {}", work.await??);
    Ok(())
}

#[tenure::locked("tour")]
async fn decorated() -> tenure::Result<u32> {
    Ok(42)
}

async fn a_conflict(locks: &Locks) -> Result {
    println!("-- a conflict");
    let mutex = locks.mutex("tour").with_label("the tour");
    let first = mutex.acquire().await?;

    if mutex.try_acquire().await?.is_none() {
        println!("try_acquire: None, another holds it");
    }
    let impatient = locks.mutex("tour").with_wait(Duration::from_millis(300));
    match impatient.acquire().await {
        Err(error) if error.kind() == ErrorKind::Busy => {
            let named =
                if error.message().contains("the tour") { "\"the tour\"" } else { "nobody" };
            println!("with a time limit: busy, and the error names {named}");
        }
        other => println!("with a time limit: {other:?}"),
    }

    let fence = first.fence();
    let second = tokio::spawn({
        let mutex = mutex.clone();
        async move { mutex.acquire().await }
    });
    while mutex.inspect().await?.waiters.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    first.release().await?;
    let second = second.await??;
    let size = if second.fence() > fence { "larger" } else { "smaller" };
    println!("in line: got it when the other released, with a {size} fence");
    second.release().await?;
    Ok(())
}

async fn questions(locks: &Locks) -> Result {
    println!("-- questions");
    // Usually the owner is random, and the guard alone is the proof. A fixed value can be asked
    // for from anywhere.
    let mutex = locks.mutex("tour").with_label("the tour").with_owner("tour guide 7");
    let guard = mutex.acquire().await?;
    println!("the guard: {}", state(&guard));

    let seen = mutex.inspect().await?;
    let (holders, waiters) = (seen.holders.len(), seen.waiters.len());
    println!("the store: {holders} holder, \"{}\"; {waiters} wait", seen.holders[0].label);
    println!("by fixed value: {}", if mutex.held_by_me().await? { "mine" } else { "not mine" });

    guard.release().await?;
    let whose = if mutex.held_by_anyone().await? { "another's" } else { "nobody's" };
    println!("after the release: {whose}");
    Ok(())
}

async fn extension_by_hand(locks: &Locks) -> Result {
    println!("-- extension by hand");
    let mutex = locks.mutex("tour").with_ttl(Duration::from_secs(30)).with_renewal(Renewal::Off);
    let guard = mutex.acquire().await?;
    let full_tens = |left: Duration| left.as_secs() / 10 * 10;

    guard.extend_to(Duration::from_secs(60)).await?;
    println!("extend_to: more than {} s are left", full_tens(guard.remaining()));
    guard.extend_by(Duration::from_secs(30)).await?;
    println!("extend_by: more than {} s are left", full_tens(guard.remaining()));
    guard.release().await?;
    Ok(())
}

async fn renewal(locks: &Locks) -> Result {
    println!("-- renewal");
    // Renewed every third of its ttl, by a thread of Tenure's own.
    let guard = locks.mutex("tour").with_ttl(Duration::from_secs(1)).acquire().await?;
    tokio::select! {
        _deadline = guard.renewed(guard.deadline()) => println!("renewed: the deadline moved on"),
        reason = guard.lost() => println!("lost: {reason}"),
    }
    guard.release().await?;

    // A lease that nobody renews ends, and its guard says so without asking the store.
    let short = locks.mutex("tour").with_ttl(Duration::from_millis(300));
    let guard = short.with_renewal(Renewal::Off).acquire().await?;
    println!("not renewed: lost, {}", guard.lost().await);
    Ok(())
}

fn state(guard: &Guard) -> &'static str {
    if guard.held() { "held" } else { "lost" }
}
