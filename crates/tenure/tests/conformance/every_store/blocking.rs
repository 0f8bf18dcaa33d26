//! The names without `async`, outside and inside async programs.

use std::sync::mpsc;
use std::thread;

use tenure::blocking::Locks;
use tenure::{ErrorKind, Failure, Lease, LostReason, Released, Renewal};

use crate::world::{World, acquire, ms, too_late, until, was_read_late};

super::over_every_store! {
    work_runs_on_the_callers_thread,
    inside_an_async_program_too,
    waiting_blocks_until_the_release,
    loss_is_told_at_the_end,
    panic_in_blocking_work_releases,
    guards_go_both_ways,
    everything_has_its_blocking_name,
}

/// Runs `work` on a thread that knows nothing of async.
async fn outside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(work);
    until("the thread's end", async || thread.is_finished()).await;
    thread.join().expect("no panic")
}

async fn work_runs_on_the_callers_thread(world: World) {
    let locks = Locks::from(world.locks().clone());
    outside(move || {
        let here = thread::current().id();
        let mut count = 0;
        let ran = locks.mutex("key").run(|lease| {
            assert_eq!(thread::current().id(), here);
            count += 1;
            lease.check()?;
            tenure::ok(count)
        });
        assert_eq!(ran.expect("ran"), 1);
        assert!(
            !locks.mutex("key").held_by_anyone().expect("a look"),
            "released before it answers"
        );
    })
    .await;
}

async fn inside_an_async_program_too(world: World) {
    let locks = Locks::from(world.locks().clone());
    assert_eq!(locks.mutex("key").run(|_| tenure::ok(7)).expect("ran"), 7);
    let busy = world.rival_takes("key").await;
    assert_eq!(locks.mutex("key").try_run(|_| tenure::ok(7)).expect("no error"), None);
    let hasty = locks.mutex("key").with_wait(ms(1_500));
    let late = too_late(async || hasty.acquire()).await;
    assert_eq!(late.kind(), ErrorKind::Busy);
    drop(busy);
    // Nothing else runs on this thread meanwhile, and nothing else is needed.
    locks.mutex("key").acquire().expect("granted").release().expect("released");
}

async fn waiting_blocks_until_the_release(world: World) {
    let busy = world.rival_takes("key").await;
    let locks = Locks::from(world.locks().clone());
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let guard = locks.mutex("key").acquire().expect("granted");
        sender.send(guard.fence()).expect("the test listens");
        guard.release().expect("released")
    });
    world.until_waiting("key", 1).await;
    assert!(receiver.try_recv().is_err(), "two hold it at once");
    let fence = busy.fence();
    busy.release().await.expect("released");
    until("the thread's end", async || thread.is_finished()).await;
    assert_eq!(thread.join().expect("no panic"), Released::Released);
    assert!(receiver.recv().expect("it was granted") > fence);
}

/// Asks again if the grant of a short lease was read after the lease had ended.
fn in_time<T>(mut ask: impl FnMut() -> tenure::Result<T>) -> tenure::Result<T> {
    loop {
        match ask() {
            Err(error) if was_read_late(&error) => {}
            answer => return answer,
        }
    }
}

async fn loss_is_told_at_the_end(world: World) {
    let mutex = world.locks().mutex("key").with_ttl(ms(200)).with_renewal(Renewal::Off);
    let mutex = tenure::blocking::Mutex::from(mutex);
    outside(move || {
        let until_lost = |lease: &Lease| {
            while lease.held() {
                thread::sleep(ms(5));
            }
        };
        let ran = in_time(|| {
            mutex.run(|lease| {
                until_lost(&lease);
                tenure::ok(())
            })
        });
        assert_eq!(ran.expect_err("it was lost").kind(), ErrorKind::Lost);
        let finished = in_time(|| mutex.run_to_end(|lease| until_lost(&lease)));
        assert_eq!(finished.expect("acquired").lost, Some(LostReason::Expired));
        let done = in_time(|| {
            mutex.run_compensated(
                |lease| {
                    until_lost(&lease);
                    tenure::ok(5)
                },
                |_, failure| matches!(failure, Failure::Lost(LostReason::Expired, 5)),
            )
        });
        assert_eq!(done.expect("acquired").compensation, Some(true));
    })
    .await;
}

async fn panic_in_blocking_work_releases(world: World) {
    let mutex = tenure::blocking::Mutex::from(world.locks().mutex("key"));
    let thread = thread::spawn(move || mutex.run_to_end(|_| panic!("as planned")).map(|_| ()));
    until("the thread's end", async || thread.is_finished()).await;
    assert!(thread.join().is_err());
    until("the release", async || world.inspect("key").await.holders.is_empty()).await;
}

async fn guards_go_both_ways(world: World) {
    let guard = tenure::blocking::Guard::from(acquire(&world.locks().mutex("key")).await);
    guard.extend_to(ms(60_000)).expect("extended");
    guard.extend_by(ms(1_000)).expect("extended");
    assert!(guard.lease().remaining() > ms(59_000));
    let guard = tenure::Guard::from(guard);
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
}

async fn everything_has_its_blocking_name(world: World) {
    let locks = Locks::from(world.locks().clone());
    let mutex = locks.mutex("key").with_owner("me").with_label("test");
    let mutex = mutex.with_renewal(Renewal::Every(ms(100)));
    let guard = mutex.acquire().expect("granted");
    assert!(mutex.held_by_me().expect("a look"));
    assert_eq!(mutex.inspect().expect("a look").holders[0].label.as_str(), "test");
    assert_eq!(locks.list("k", None, 9).expect("a page").len(), 1);
    let ticket = guard.hand_over(ms(60_000)).expect("a ticket");
    let guard = locks.adopt(&ticket).expect("adopted");
    assert_eq!(guard.fence(), ticket.fence());
    let thief = mutex.steal().expect("stolen");
    assert_eq!(locks.release_owner("key", "me").expect("an answer"), Released::Released);
    assert_eq!(thief.lost(), LostReason::Gone);
    let guard = mutex.acquire().expect("granted");
    assert!(guard.renewed(guard.deadline()) > guard.deadline() - ms(60_000));
    assert_eq!(mutex.force_release().expect("forced"), 1);
    guard.at_risk(ms(100));
    drop(guard);
    locks.close(ms(10_000)).expect("all was answered");
}
