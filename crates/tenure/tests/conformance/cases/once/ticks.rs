//! Which of several runs, and when.

use std::time::Duration;

use tenure::{Begun, ErrorKind, Outcome, RunState};

use super::{begun, is_same, job, last, skipped};
use crate::world::{PATIENCE, World, acquire, ms, until, within};

/// A tick that a test waits for. On a quorum, half of it is time for a request.
const SHORT: Duration = Duration::from_secs(5);

pub(crate) async fn one_of_many_runs_and_the_others_are_told(world: World) {
    let many: Vec<_> = (0..6)
        .map(|number: usize| {
            let locks = [world.locks(), world.rival()][number % 2];
            let once = job(locks).with_label(format!("host-{number}"));
            tokio::spawn(async move { once.begin().await.expect("an answer") })
        })
        .collect();
    let (mut ours, mut told) = (vec![], vec![]);
    for one in many {
        match within("the answer", PATIENCE, one).await.expect("no panic") {
            Begun::Ours(guard) => ours.push(guard),
            Begun::Skipped(last) => told.push(last),
        }
    }
    assert_eq!((ours.len(), told.len()), (1, 5));
    let running = last(&job(world.rival())).await;
    assert_eq!((&running.state, running.took), (&RunState::Running, None));
    assert!(told.iter().all(|last| *last == running), "{told:?}");
    ours.remove(0).finish(Outcome::Ok).await.expect("finished");
    let ended = skipped(&job(world.rival())).await;
    assert_eq!(
        (ended.state, ended.label, ended.begun),
        (RunState::Ok, running.label, running.begun)
    );
}

pub(crate) async fn grid_has_one_run_in_each_tick(world: World) {
    let [ours, theirs] = [world.locks(), world.rival()].map(|locks| locks.once("key").every(SHORT));
    let mut ticks = vec![];
    until("a run in each of two ticks", async || {
        for once in [&ours, &theirs] {
            if let Begun::Ours(guard) = once.begin().await.expect("an answer") {
                guard.finish(Outcome::Ok).await.expect("finished");
                let begun = last(once).await.begun;
                let since = begun.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
                ticks.push(since.as_secs() / SHORT.as_secs());
            }
        }
        ticks.len() >= 2
    })
    .await;
    assert!(ticks.is_sorted_by(|one, next| one < next), "two runs in one tick: {ticks:?}");
}

pub(crate) async fn tick_may_begin_with_the_last_run(world: World) {
    let [ours, theirs] =
        [world.locks(), world.rival()].map(|locks| locks.once("key").every(SHORT).since_last_run());
    begun(&ours).await.finish(Outcome::Ok).await.expect("finished");
    let first = last(&theirs).await;
    until("the next run", async || match theirs.begin().await.expect("an answer") {
        Begun::Ours(guard) => guard.finish(Outcome::Ok).await.is_ok(),
        Begun::Skipped(last) => {
            assert!(is_same(&last, &first), "{last:?} after {first:?}");
            false
        }
    })
    .await;
    let passed = last(&ours).await.begun.duration_since(first.begun).expect("later");
    assert!(passed >= SHORT, "only {passed:?} passed");
}

pub(crate) async fn run_that_takes_longer_than_its_tick_is_not_overlapped(world: World) {
    let [ours, theirs] = [world.locks(), world.rival()]
        .map(|locks| locks.once("key").every(SHORT).since_last_run().retry_failed());
    let guard = begun(&ours).await;
    let started = std::time::Instant::now();
    while started.elapsed() < SHORT + ms(200) {
        assert_eq!(skipped(&theirs).await.state, RunState::Running);
        tokio::time::sleep(ms(100)).await;
    }
    guard.finish(Outcome::Ok).await.expect("finished");
    drop(begun(&theirs).await);
}

pub(crate) async fn other_locks_and_runs_exclude_each_other(world: World) {
    let mutex = world.rival().mutex("key").with_label("somebody");
    let held = acquire(&mutex).await;
    let busy = job(world.locks()).begin().await.expect_err("a mutex holds the key");
    assert_eq!(busy.kind(), ErrorKind::Busy);
    assert!(busy.to_string().contains("somebody"), "{busy}");
    held.release().await.expect("released");
    assert_eq!(job(world.locks()).last().await.expect("a look"), None, "nothing has run");
    let guard = begun(&job(world.locks())).await;
    assert!(mutex.try_acquire().await.expect("an answer").is_none(), "beside a run");
    guard.finish(Outcome::Ok).await.expect("finished");
    drop(acquire(&mutex).await);
    assert_eq!(last(&job(world.locks())).await.state, RunState::Ok, "a mutex leaves the record");
}

pub(crate) async fn bad_periods_are_refused_before_anything_is_touched(world: World) {
    let once = || world.locks().once("key");
    for (once, word) in [
        (once(), "no period"),
        (once().every(ms(9)), "10ms"),
        (once().every(Duration::from_secs(367 * 24 * 3_600)), "366 days"),
        (once().every(SHORT).with_ttl(ms(1)), "ttl"),
    ] {
        let error = once.begin().await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains(word), "{error}");
        assert_eq!(once.validate().expect_err("refused").message(), error.message());
    }
    assert_eq!(once().last().await.expect("a look"), None);
    assert!(world.is_untouched().await);
}
