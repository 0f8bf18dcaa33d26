//! The tasks of one process stand in one line in front of the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tenure::{ErrorKind, LocksOptions, Released};

use crate::world::{
    PATIENCE, World, acquire, grows, ms, outcome, patient, too_late, until, waiting, within,
};

super::over_every_store! {
    one_waiter_per_process_at_the_store,
    local_line_is_first_come_first_served,
    whoever_gives_up_makes_room,
    first_that_gives_up_is_succeeded,
    local_wait_ends_and_names_the_holder,
    handoff_is_a_new_grant,
    lost_holder_is_succeeded_by_the_line,
    min_hold_is_kept_in_front_of_the_line,
    close_ends_the_whole_line,
    fixed_values_stand_by_themselves,
    unpolled_tasks_hold_up_nobody_who_releases,
    processes_take_turns,
    strict_processes_take_turns_one_by_one,
    turn_ends_with_its_span,
}

async fn until_local(count: &AtomicUsize, wanted: usize) {
    until("tasks on their way", async || count.load(Ordering::SeqCst) == wanted).await;
    // They have asked; now they stand in line, which needs no more than being polled.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn one_waiter_per_process_at_the_store(world: World) {
    let busy = world.rival_takes("key").await;
    let started = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let (mutex, started) = (world.locks().mutex("key"), Arc::clone(&started));
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::SeqCst);
                let guard = mutex.acquire().await.expect("granted");
                guard.release().await.expect("released");
            })
        })
        .collect();
    until_local(&started, 100).await;
    world.until_waiting("key", 1).await;
    busy.release().await.expect("released");
    let mut most = 0;
    until("everybody's turn", async || {
        most = most.max(world.inspect("key").await.waiters.len());
        crowd.iter().all(tokio::task::JoinHandle::is_finished)
    })
    .await;
    assert!(most <= 1, "{most} of one process stood in line at the store");
    for one in crowd {
        one.await.expect("no panic");
    }
}

async fn local_line_is_first_come_first_served(world: World) {
    let guard = acquire(&world.locks().mutex("key")).await;
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    let started = Arc::new(AtomicUsize::new(0));
    for number in 0..20 {
        let (mutex, sender) = (world.locks().mutex("key"), sender.clone());
        let begun = Arc::clone(&started);
        tokio::spawn(async move {
            begun.fetch_add(1, Ordering::SeqCst);
            let guard = mutex.acquire().await.expect("granted");
            sender.send(number).expect("the test listens");
            guard.release().await.expect("released");
        });
        until_local(&started, number + 1).await;
        world.until_waiting("key", 1).await;
    }
    guard.release().await.expect("released");
    for number in 0..20 {
        assert_eq!(within("the next", PATIENCE, served.recv()).await, Some(number));
    }
}

async fn whoever_gives_up_makes_room(world: World) {
    let busy = world.rival_takes("key").await;
    let first = waiting(world.locks().mutex("key"));
    world.until_waiting("key", 1).await;
    let second = waiting(world.locks().mutex("key"));
    let third = waiting(world.locks().mutex("key"));
    tokio::task::yield_now().await;
    second.abort();
    assert!(second.await.is_err());
    busy.release().await.expect("released");
    outcome(first).await.expect("granted").release().await.expect("released");
    outcome(third).await.expect("granted").release().await.expect("released");
    until("rest", async || world.is_untouched().await).await;
}

async fn first_that_gives_up_is_succeeded(world: World) {
    let busy = world.rival_takes("key").await;
    let first = waiting(world.locks().mutex("key"));
    world.until_waiting("key", 1).await;
    let second = waiting(world.locks().mutex("key"));
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.is_err());
    world.until_waiting("key", 1).await;
    busy.release().await.expect("released");
    drop(outcome(second).await.expect("granted"));
}

async fn local_wait_ends_and_names_the_holder(world: World) {
    let rival = world.rival().mutex("key").with_label("the nightly job");
    let busy = acquire(&rival).await;
    let first = waiting(world.locks().mutex("key"));
    world.until_waiting("key", 1).await;
    let second = world.locks().mutex("key").with_wait(ms(1_500));
    let waited = too_late(async || second.acquire().await);
    let error = within("its end", PATIENCE, waited).await;
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("the nightly job"), "{error}");
    first.abort();
    drop(busy);
}

async fn handoff_is_a_new_grant(world: World) {
    let guard = acquire(&world.locks().mutex("key")).await;
    let (mut fence, owner) = (guard.fence(), guard.owner().clone());
    let next = waiting(world.locks().mutex("key"));
    world.until_waiting("key", 1).await;
    let lease = guard.lease();
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    assert!(!lease.held());
    let next = outcome(next).await.expect("granted");
    grows(&mut fence, &next);
    assert_ne!(*next.owner(), owner);
    let holder = &world.inspect("key").await.holders[0];
    assert_eq!((&holder.owner, holder.fence), (next.owner(), next.fence()));
    assert!(next.remaining() > ms(20_000), "it has its whole ttl: {:?}", next.remaining());
}

async fn lost_holder_is_succeeded_by_the_line(world: World) {
    let mutex = world.locks().mutex("key");
    let lost = mutex.clone().with_ttl(ms(400)).with_renewal(tenure::Renewal::Off);
    let guard = acquire(&lost).await;
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let (mutex, lost) = (mutex.clone(), guard.lease());
            tokio::spawn(async move {
                let next = mutex.acquire().await.expect("granted");
                assert!(lost.check().is_err(), "two hold it at once");
                next.release().await.expect("released");
            })
        })
        .collect();
    // Nobody releases: the lease ends by itself.
    for waiter in waiters {
        within("its turn", PATIENCE, waiter).await.expect("no panic");
    }
}

async fn min_hold_is_kept_in_front_of_the_line(world: World) {
    let guard = acquire(&world.locks().mutex("key").with_min_hold(ms(3_000))).await;
    let next = waiting(world.locks().mutex("key"));
    world.until_waiting("key", 1).await;
    guard.release().await.expect("released");
    assert_eq!(world.inspect("key").await.holders.len(), 1, "the key is kept taken");
    let next = outcome(next).await.expect("granted");
    assert_eq!(next.release().await.expect("an answer"), Released::Released);
}

async fn close_ends_the_whole_line(world: World) {
    let busy = world.rival_takes("key").await;
    let closing = world.another_with(patient());
    let waiters: Vec<_> = (0..5).map(|_| waiting(closing.mutex("key"))).collect();
    world.until_waiting("key", 1).await;
    within("the close", PATIENCE, closing.close(PATIENCE)).await.expect("answered");
    for waiter in waiters {
        assert_eq!(outcome(waiter).await.expect_err("closed").kind(), ErrorKind::Closed);
    }
    world.until_waiting("key", 0).await;
    drop(busy);
}

async fn fixed_values_stand_by_themselves(world: World) {
    let guard = acquire(&world.locks().mutex("key").with_owner("me")).await;
    let in_line = waiting(world.locks().mutex("key"));
    world.until_waiting("key", 1).await;
    // Told at once, not when it has come to the front.
    let me = world.locks().mutex("key").with_owner("me");
    let refused =
        within("the refusal", PATIENCE, me.acquire()).await.expect_err("it waits for itself");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    guard.release().await.expect("released");
    drop(outcome(in_line).await.expect("granted"));
}

/// A future that is polled once and then left alone holds up neither the release nor the store.
async fn unpolled_tasks_hold_up_nobody_who_releases(world: World) {
    let guard = acquire(&world.locks().mutex("key")).await;
    let mutex = world.locks().mutex("key");
    let mut left_alone = Box::pin(mutex.acquire());
    let polled_once = tokio::time::timeout(ms(20), &mut left_alone).await;
    assert!(polled_once.is_err(), "two hold it at once");
    let released = within("the release", PATIENCE, guard.release()).await;
    assert_eq!(released.expect("an answer"), Released::Released);
    within("its turn", PATIENCE, left_alone).await.expect("granted").check().expect("held");
}

/// Makes processes of their own over the world's store and lets each have `tasks` tasks that
/// take the key `rounds` times. Answers in which order the processes had it.
async fn turns(world: &World, options: LocksOptions, tasks: usize, rounds: usize) -> Vec<usize> {
    const PROCESSES: usize = 4;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let inside = Arc::new(AtomicU32::new(0));
    let start = acquire(&world.locks().mutex("key")).await;
    let mut crowd = Vec::new();
    for process in 0..PROCESSES {
        let locks = world.another_with(options);
        for _ in 0..tasks {
            let (mutex, order) = (locks.mutex("key"), Arc::clone(&order));
            let inside = Arc::clone(&inside);
            crowd.push(tokio::spawn(async move {
                for _ in 0..rounds {
                    let guard = mutex.acquire().await.expect("granted");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it at once");
                    order.lock().expect("no panic").push(process);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    guard.release().await.expect("released");
                }
            }));
        }
    }
    world.until_waiting("key", PROCESSES).await;
    start.release().await.expect("released");
    for one in crowd {
        within("everybody's turn", Duration::from_secs(60), one).await.expect("no overlap");
    }
    let order = order.lock().expect("no panic").clone();
    assert_eq!(order.len(), PROCESSES * tasks * rounds);
    order
}

/// The longest run of one process while others still waited, and each one's number of grants
/// before the first process was done.
fn longest_run(order: &[usize]) -> (usize, BTreeMap<usize, usize>) {
    let total: BTreeMap<usize, usize> = order.iter().fold(BTreeMap::new(), |mut total, process| {
        *total.entry(*process).or_default() += 1;
        total
    });
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut longest, mut run, mut last) = (0, 0, usize::MAX);
    for process in order {
        let count = seen.entry(*process).or_default();
        *count += 1;
        run = if *process == last { run + 1 } else { 1 };
        last = *process;
        longest = longest.max(run);
        if *count == total[process] {
            break;
        }
    }
    (longest, seen)
}

async fn processes_take_turns(world: World) {
    let world = world.with_lasting_places();
    let options = patient().with_local_handoffs(16, Duration::from_secs(60));
    let order = turns(&world, options, 20, 3).await;
    let (longest, seen) = longest_run(&order);
    // One grant by the store and sixteen handoffs.
    assert!(longest <= 17, "one process had it {longest} times in a row");
    assert!(longest > 1, "no handoff was local: {order:?}");
    let (least, most) = (seen.values().min(), seen.values().max());
    assert_eq!(seen.len(), 4, "a process was left out: {seen:?}");
    assert!(most.unwrap() - least.unwrap() <= 17, "the shares are {seen:?}");
}

async fn strict_processes_take_turns_one_by_one(world: World) {
    let world = world.with_lasting_places();
    let options = patient().with_local_handoffs(0, Duration::from_secs(60));
    let order = turns(&world, options, 6, 2).await;
    let (_, seen) = longest_run(&order);
    let (least, most) = (seen.values().min(), seen.values().max());
    assert_eq!(seen.len(), 4, "a process was left out: {seen:?}");
    // A process whose next task is still on its way to the store misses a turn now and then.
    assert!(most.unwrap() - least.unwrap() <= 6, "the shares are {seen:?}");
}

async fn turn_ends_with_its_span(world: World) {
    let world = world.with_lasting_places();
    const SPAN: Duration = ms(50);
    const HOLD: Duration = ms(5);
    let options = patient().with_local_handoffs(u32::MAX, SPAN);
    let (start, locks) = (acquire(&world.locks().mutex("key")).await, world.another_with(options));
    let served = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let (mutex, served) = (locks.mutex("key"), Arc::clone(&served));
            tokio::spawn(async move {
                let guard = mutex.acquire().await.expect("granted");
                served.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(HOLD).await;
                guard.release().await.expect("released");
            })
        })
        .collect();
    world.until_waiting("key", 1).await;
    let next = waiting(world.rival().mutex("key"));
    world.until_waiting("key", 2).await;
    start.release().await.expect("released");
    let next = outcome(next).await.expect("granted");
    let served_before = served.load(Ordering::SeqCst);
    next.release().await.expect("released");
    // Each had it for so long; the last one began within the span.
    let most = (SPAN.as_millis() / HOLD.as_millis()) as usize + 1;
    assert!(served_before <= most, "{served_before} had it before the other process");
    for one in crowd {
        within("everybody's turn", PATIENCE, one).await.expect("no panic");
    }
}
