//! How runs end, and what stays on record.

use std::time::{Duration, Instant};

use tenure::protocol::{Count, LastRun, Op, Reply, TickClock, Ticks};
use tenure::{Claim, ErrorKind, Label, Outcome, Ran, Renewal, RunState};

use super::{LONG, begun, is_same, job, last, skipped};
use crate::world::{World, ms, until};

/// A begin by nobody who would renew or finish it: a host that dies.
fn begin_of_the_dead(number: u64, ttl: Duration) -> Op {
    let acquire = World::crashed(number, Claim::EXCLUSIVE, ttl, false);
    let (count, clock) = (Count::LastRun, TickClock::Store);
    Op::Begin { acquire, ticks: Ticks { every: LONG, count, retry_failed: false, clock } }
}

pub(crate) async fn outcome_is_on_record_for_all(world: World) {
    let once = job(world.locks()).with_label("host-1");
    let before = std::time::SystemTime::now();
    let guard = begun(&once).await;
    tokio::time::sleep(ms(20)).await;
    guard.finish(Outcome::failed("no space\nleft")).await.expect("finished");
    let told = last(&job(world.rival())).await;
    assert_eq!(told.state, RunState::Failed(Label::new("no space?left")));
    assert_eq!(told.label.as_str(), "host-1");
    assert!(told.took.is_some_and(|took| took >= ms(20)), "{told:?}");
    let off = told.begun.duration_since(before).unwrap_or_else(|e| e.duration());
    assert!(off < ms(60_000), "begun {off:?} away from now");
    assert!(told.to_string().contains("and failed after"), "{told}");
    assert!(is_same(&skipped(&job(world.rival())).await, &told));
    // A free key is in no list, whatever its record.
    assert!(world.locks().list("", None, 10).await.expect("a page").is_empty());
}

pub(crate) async fn failed_run_leaves_its_tick_to_those_who_retry(world: World) {
    let [ours, theirs] = [world.locks(), world.rival()].map(|locks| job(locks).retry_failed());
    begun(&ours).await.finish(Outcome::failed("no disk")).await.expect("finished");
    skipped(&job(world.rival())).await;
    begun(&theirs).await.finish(Outcome::Ok).await.expect("finished");
    assert_eq!(skipped(&ours).await.state, RunState::Ok);
}

pub(crate) async fn run_of_the_dead_has_failed(world: World) {
    let (began, ttl) = (Instant::now(), ms(3_000));
    let granted = world.ask("key", begin_of_the_dead(1, ttl)).await;
    assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
    let once = job(world.locks());
    let state = skipped(&once).await.state;
    assert!(state == RunState::Running || began.elapsed() >= ttl, "{state:?}");
    // The nodes of a quorum do not notice it in one moment, and each look may ask others.
    let is_over = |last: &LastRun| last.state == RunState::Unfinished;
    until("its lease ends", async || is_over(&last(&once).await)).await;
    until("its lease ends everywhere", async || is_over(&skipped(&once).await)).await;
    begun(&once.retry_failed()).await.finish(Outcome::Ok).await.expect("finished");
}

pub(crate) async fn dropped_guard_has_failed(world: World) {
    let once = job(world.locks());
    drop(begun(&once).await);
    until("it is released", async || last(&once).await.state == RunState::Unfinished).await;
    skipped(&job(world.rival())).await;
}

pub(crate) async fn run_that_lost_its_lease_changes_no_later_one(world: World) {
    let once = job(world.locks()).with_renewal(Renewal::Off);
    let first = begun(&once).await;
    let up_to = first.fence();
    let forced = world.ask("key", Op::Force { up_to }).await;
    assert!(matches!(forced, Reply::Forced { holders: 1 }), "{forced:?}");
    let second = begun(&job(world.rival()).retry_failed()).await;
    assert!(second.fence() > up_to);
    let lost = first.finish(Outcome::Ok).await.expect_err("another runs it");
    assert_eq!(lost.kind(), ErrorKind::Lost, "{lost}");
    let told = last(&once).await;
    assert_eq!((&told.owner, told.state), (second.owner(), RunState::Running));
    second.finish(Outcome::Ok).await.expect("finished");
}

pub(crate) async fn withdrawn_run_leaves_its_tick(world: World) {
    let once = job(world.locks());
    begun(&once).await.finish(Outcome::failed("no disk")).await.expect("finished");
    let before = last(&once).await;
    let begin = begin_of_the_dead(1, LONG);
    let Op::Begin { acquire, ticks } = begin else { panic!("a begin") };
    let owner = acquire.owner.clone();
    let begin = Op::Begin { acquire, ticks: Ticks { retry_failed: true, ..ticks } };
    let granted = world.ask("key", begin.clone()).await;
    assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
    world.ask("key", Op::Withdraw { owner, tombstone: ms(60_000) }).await;
    assert!(is_same(&last(&once).await, &before), "it was never begun");
    let late = world.ask("key", begin).await;
    assert!(!matches!(late, Reply::Granted { .. }), "it arrived late: {late:?}");
    drop(begun(&job(world.rival()).retry_failed()).await);
}

pub(crate) async fn requests_may_be_repeated(world: World) {
    let begin = begin_of_the_dead(1, LONG);
    let first = world.ask("key", begin.clone()).await;
    let Reply::Granted { .. } = first else { panic!("{first:?}") };
    assert_eq!(world.ask("key", begin.clone()).await, first, "a lost reply");
    let Op::Begin { acquire, .. } = &begin else { panic!("a begin") };
    let (owner, outcome) = (acquire.owner.clone(), Outcome::Ok);
    let finish = Op::Finish { owner, outcome, tombstone: None };
    assert_eq!(world.ask("key", finish.clone()).await, Reply::Finished);
    let told = last(&job(world.rival())).await;
    assert_eq!(world.ask("key", finish).await, Reply::Finished, "a lost reply");
    let late = world.ask("key", begin).await;
    assert!(matches!(late, Reply::AlreadyRan(_)), "{late:?}");
    assert!(is_same(&last(&job(world.rival())).await, &told));
}

pub(crate) async fn work_is_run_and_its_error_is_on_record(world: World) {
    let [ours, theirs] = [world.locks(), world.rival()].map(|locks| job(locks).retry_failed());
    let failed =
        ours.run(|_lease| async { Err::<u32, _>(std::io::Error::other("no table").into()) });
    let failed: Result<_, Box<dyn std::error::Error>> = failed.await;
    assert_eq!(failed.expect_err("its own error").to_string(), "no table");
    let told = last(&theirs).await.state;
    assert_eq!(told, RunState::Failed(Label::new("no table")));
    let work = |lease: tenure::Lease| async move {
        lease.check()?;
        tenure::ok(7)
    };
    assert_eq!(theirs.run(work).await.expect("ran"), Ran::Done(7));
    let Ran::Skipped(told) = ours.run(work).await.expect("an answer") else { panic!("it ran") };
    assert_eq!(told.state, RunState::Ok);
}

pub(crate) async fn work_that_lost_its_lease_has_failed(world: World) {
    let once = job(world.locks()).with_renewal(Renewal::Every(ms(50)));
    let world = &world;
    let lost = once.run(|lease| async move {
        world.ask("key", Op::Force { up_to: lease.fence() }).await;
        std::future::pending::<tenure::Result<()>>().await
    });
    assert_eq!(lost.await.expect_err("lost").kind(), ErrorKind::Lost);
    assert_eq!(last(&once).await.state, RunState::Unfinished);
}

pub(crate) async fn everything_has_its_blocking_name(world: World) {
    use tenure::blocking::Begun;
    let locks = tenure::blocking::Locks::from(world.locks().clone());
    let once = locks.once("key").every(LONG).since_last_run().retry_failed().with_label("me");
    let once = once.with_ttl(ms(20_000)).with_renewal(Renewal::Auto).with_max_hold(ms(60_000));
    once.validate().expect("valid");
    assert_eq!(once.last().expect("a look"), None);
    let Begun::Ours(guard) = once.begin().expect("an answer") else { panic!("skipped") };
    guard.check().expect("held");
    guard.finish(Outcome::failed("as planned")).expect("finished");
    assert_eq!(once.run(|_lease| tenure::ok(7)).expect("ran"), Ran::Done(7));
    let Begun::Skipped(told) = once.begin().expect("an answer") else { panic!("it runs") };
    assert_eq!((told.label.as_str(), told.state), ("me", RunState::Ok));
    assert_eq!(once.run(|_lease| tenure::ok(8)).expect("an answer").done(), None);
    assert!(once.inspect().expect("a look").last_run.is_some());
}
