//! Durations of any size, wherever the public interface takes one: accepted or refused with an
//! error, and never a panic.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tenure::testing::{Clock, World};
use tenure::{ErrorKind, Guard, LocksOptions, Renewal};

/// The limits of what is allowed, and what lies beyond.
fn any_span() -> impl Strategy<Value = Duration> {
    let month = Duration::from_secs(30 * 24 * 3600);
    let odd = vec![
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(10),
        Duration::from_millis(10) - Duration::from_nanos(1),
        month,
        month + Duration::from_nanos(1),
        Duration::from_secs(u64::MAX / 1_000_000),
        Duration::from_micros(u64::MAX),
        Duration::from_micros(u64::MAX) + Duration::from_micros(1),
        Duration::from_secs(u64::MAX),
        Duration::MAX / 2,
        Duration::MAX - Duration::from_nanos(1),
        Duration::MAX,
    ];
    prop_oneof![
        prop::sample::select(odd),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        (0..100_000_000_u64).prop_map(Duration::from_micros),
    ]
}

fn renewal() -> impl Strategy<Value = Renewal> {
    prop_oneof![Just(Renewal::Auto), Just(Renewal::Off), any_span().prop_map(Renewal::Every)]
}

/// It went well, or was refused as it should be.
fn sound<T>(outcome: tenure::Result<T>) -> Result<Option<T>, TestCaseError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let kind = error.kind();
            prop_assert!(matches!(kind, ErrorKind::Invalid | ErrorKind::Lost), "{}", error);
            Ok(None)
        }
    }
}

/// With default terms, on a clock that stands still.
async fn hold(world: &World) -> Guard {
    world.locks().mutex("key").acquire().await.expect("granted")
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("one")
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn terms_of_any_duration_are_taken_or_refused(
        ttl in any_span(),
        renewal in renewal(),
        [wait, min_hold, max_hold, delay] in [any_span(), any_span(), any_span(), any_span()],
        tries in any::<u32>(),
    ) {
        run(async {
            let world = World::with_clock(&Clock::new());
            let mutex = world.locks().mutex("key");
            let all = mutex.clone().with_ttl(ttl).with_renewal(renewal).with_min_hold(min_hold);
            if let Some(Some(guard)) = sound(all.with_max_hold(max_hold).try_acquire().await)? {
                sound(guard.release().await)?;
            }
            let retried = world.locks().mutex("free").with_retry(tries, delay);
            sound(retried.acquire().await)?;
            let waited = world.locks().mutex("other").with_wait(wait).with_ttl(ttl);
            sound(waited.acquire().await)?;
            Ok::<_, TestCaseError>(())
        })?;
    }

    #[test]
    fn a_lease_takes_any_duration_or_refuses_it(span in any_span()) {
        run(async {
            let world = World::with_clock(&Clock::new());
            let guard = hold(&world).await;
            sound(guard.extend_to(span).await)?;
            sound(guard.extend_by(span).await)?;
            let short = tokio::time::timeout(Duration::from_millis(1), guard.at_risk(span));
            let _late = short.await;
            guard.check().expect("a span that is refused loses nothing");
            if let Some(ticket) = sound(guard.hand_over(span).await)? {
                let mutex = world.locks().mutex("key").with_ttl(span);
                sound(mutex.adopt(&ticket).await)?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }

    #[test]
    fn locks_take_any_duration(
        [timeout, handoffs, limit, every] in [any_span(), any_span(), any_span(), any_span()],
        most in any::<u32>(),
    ) {
        run(async {
            let options = LocksOptions::default().with_local_handoffs(most, handoffs);
            // A store that has no time at all does not answer.
            let timeout = timeout.max(Duration::from_secs(20));
            let options = options.with_store_timeout(timeout);
            let locks = tenure::connect_with("memory:", options).await.expect("memory");
            let guard = locks.mutex("key").acquire().await.expect("granted");
            let mut watch = locks.watch("key").with_interval(every);
            watch.next().await.expect("a look").expect("seen");
            guard.release().await.expect("released");
            let _in_time = locks.close(limit).await;
            Ok::<_, TestCaseError>(())
        })?;
    }
}

#[tokio::test]
async fn a_renewal_that_would_never_rest_is_refused() {
    let locks = tenure::connect("memory:").await.expect("it opens");
    let mutex = locks.mutex("k").with_renewal(Renewal::Every(Duration::from_nanos(1)));
    let error = mutex.try_acquire().await.expect_err("a thousand million renewals a second");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains("3ms"), "{error}");
}

#[tokio::test]
async fn a_watch_without_a_pause_leaves_its_task_to_others() {
    let locks = tenure::connect("memory:").await.expect("it opens");
    let mut watch = locks.watch("k").with_interval(Duration::ZERO);
    watch.next().await.expect("a state").expect("an answer");
    // Nothing changes: the limit ends it, if the watch lets anything else run.
    let next = tokio::time::timeout(Duration::from_millis(50), watch.next()).await;
    assert!(next.is_err(), "{next:?}");
}
