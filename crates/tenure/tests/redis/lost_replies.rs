//! Requests that would keep a lease for an hour, and whose answer is lost: nothing is held by
//! nobody once the store is back, however long it was away.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tenure::protocol::State;
use tenure::testing::{Clock, World};
use tenure::{Guard, Locks, LocksOptions, Mutex, Renewal};
use tenure_testkit::{Call, Fate, Proxy, Server, Which};

use crate::world::connect;

const HOUR: Duration = Duration::from_secs(3600);
const TTL: Duration = Duration::from_secs(5);
/// No step of a machine that runs tests takes so long, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until_free(mutex: &Mutex) {
    let began = Instant::now();
    while mutex.inspect().await.expect("a look").state != State::Free {
        assert!(began.elapsed() < PATIENCE, "held by nobody");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A handle within limits that a busy machine may not keep at first.
async fn opened(url: &str) -> Locks {
    let options = LocksOptions::default().with_store_timeout(Duration::from_millis(600));
    let began = Instant::now();
    loop {
        match tenure::connect_with(url, options).await {
            Ok(locks) => return locks,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
    }
}

/// A lease and the handle that has it, within these limits. Of a try that failed nothing is under
/// way any more.
async fn granted(url: &str) -> (Locks, Guard) {
    let began = Instant::now();
    loop {
        let locks = opened(url).await;
        let own = locks.mutex("own").with_ttl(TTL).with_renewal(Renewal::Off);
        match own.acquire().await {
            Ok(guard) => return (locks, guard),
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        locks.close(PATIENCE).await.expect("it is withdrawn");
    }
}

/// A way to keep a lease for an hour.
#[derive(Debug, Clone, Copy)]
enum Way {
    Extend,
    HandOver,
    Adopt,
}

/// At a server of its own, through a proxy that takes the answer and then the network.
async fn is_given_back_after_the_outage(way: Way) {
    let server = Server::redis().start();
    let direct = connect(&server.url()).await;
    let proxy = Proxy::to(server.address());
    let url = format!("{}?call_timeout=250ms&connect_timeout=5s", proxy.url());
    let guard = direct.mutex("key").acquire().await.expect("granted");
    let ticket = guard.hand_over(HOUR).await.expect("handed over");
    let is_step = |call: &Call| matches!(call.name().as_str(), "EVALSHA" | "EVAL");
    let (key, locks, held) = match way {
        Way::Adopt => ("key", opened(&url).await, None),
        Way::Extend | Way::HandOver => {
            let (locks, held) = granted(&url).await;
            ("own", locks, Some(held))
        }
    };
    let mutex = locks.mutex("key").with_ttl(TTL).with_renewal(Renewal::Off);
    let carried_out = proxy.on(Which::nth_where(1, is_step), Fate::EatReply);
    let dark = proxy.on(Which::every(is_step), Fate::LoseRequest);
    match (way, held) {
        (Way::Extend, Some(guard)) => drop(guard.extend_to(HOUR).await.expect_err("no answer")),
        (Way::HandOver, Some(guard)) => drop(guard.hand_over(HOUR).await.expect_err("no answer")),
        _ => drop(mutex.adopt(&ticket).await.expect_err("no answer")),
    }
    assert_eq!(carried_out.strikes(), 1, "{way:?} came too late");
    // Until all that was confirmed has long ended.
    tokio::time::sleep(TTL * 2).await;
    if !matches!(way, Way::Adopt) {
        assert_ne!(direct.mutex(key).inspect().await.expect("a look").state, State::Free);
    }
    dark.lift();
    until_free(&direct.mutex(key)).await;
    locks.close(PATIENCE).await.expect("nothing is owed");
}

#[tokio::test]
async fn lost_answers_to_long_requests_leave_nothing_held_by_nobody() {
    tokio::join!(
        is_given_back_after_the_outage(Way::Extend),
        is_given_back_after_the_outage(Way::HandOver),
        is_given_back_after_the_outage(Way::Adopt),
    );
}

/// The same on a clock that the test moves, with the answer lost and with the future dropped.
async fn is_given_back_on_a_clock(way: Way, is_dropped: bool) {
    let clock = Clock::new();
    let world = World::with_clock(&clock);
    let mutex = world.locks().mutex("key").with_ttl(TTL).with_renewal(Renewal::Off);
    let guard = mutex.acquire().await.expect("granted");
    let mut request = match way {
        Way::Extend => Box::pin(async move { guard.extend_to(HOUR).await.map(drop) }) as Request,
        Way::HandOver => Box::pin(async move { guard.hand_over(HOUR).await.map(drop) }),
        Way::Adopt => {
            let ticket = guard.hand_over(HOUR).await.expect("handed over");
            Box::pin(async move { mutex.adopt(&ticket).await.map(drop) })
        }
    };
    world.lose_answers(1);
    let first = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    world.fail(true);
    match first {
        Poll::Ready(outcome) => drop(outcome.expect_err("no answer")),
        Poll::Pending if is_dropped => {}
        Poll::Pending => {
            // It goes on trying until its time is over.
            let began = Instant::now();
            let in_vain = loop {
                clock.advance(Duration::from_millis(50));
                let tried = tokio::time::timeout(Duration::from_millis(20), request.as_mut());
                if let Ok(outcome) = tried.await {
                    break outcome;
                }
                assert!(began.elapsed() < PATIENCE, "no end");
            };
            drop(in_vain.expect_err("no answer"));
        }
    }
    drop(request);
    // An outage that is far longer than what was confirmed.
    for _ in 0..20 {
        clock.advance(TTL);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.fail(false);
    let seen = world.another().mutex("key");
    let began = Instant::now();
    while seen.inspect().await.expect("a look").state != State::Free {
        assert!(began.elapsed() < PATIENCE, "{way:?}, dropped: {is_dropped}: held by nobody");
        clock.advance(Duration::from_millis(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

type Request = Pin<Box<dyn Future<Output = tenure::Result<()>>>>;

#[tokio::test]
async fn request_that_is_given_up_is_undone_until_its_own_end() {
    for way in [Way::Extend, Way::HandOver, Way::Adopt] {
        for is_dropped in [false, true] {
            is_given_back_on_a_clock(way, is_dropped).await;
        }
    }
}
