//! Refusals: their words, and that nothing was touched.

use std::collections::BTreeSet;
use std::time::Duration;

use tenure::protocol::{Op, Reply, State};
use tenure::{Claim, ErrorKind, Key, Renewal};

use crate::lock::Lock;
use crate::world::{World, acquire, ms};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn keys_are_kept_apart(world: World) {
    let long = "x".repeat(512);
    let longer = format!("{}y", "x".repeat(511));
    let names = [
        "stock",
        "Stock",
        "STOCK",
        "stock ",
        " stock",
        "stock.",
        "{stock}",
        "{stock",
        "stock}",
        "{}",
        "{a}{b}",
        "%73tock",
        "stock%",
        "sto_k",
        "sto*k",
        "'stock'",
        "\"stock\"",
        "sto\\ck",
        "straße",
        "STRASSE",
        "é",
        "e\u{301}",
        "🔒",
        "🔓",
        "👩‍👩‍👧",
        "a/b",
        "a:b",
        "a\u{a0}b",
        "a b",
        &long,
        &longer,
    ];
    let mut guards = Vec::new();
    for name in names {
        let guard = world.lock(name).try_acquire().await.expect("a valid key");
        let guard = guard.unwrap_or_else(|| panic!("{name:?} is taken for another key"));
        assert_eq!(guard.key().as_str(), name);
        guards.push(guard);
    }
    let listed = world.rival().list("", None, 100).await.expect("a page");
    let listed: Vec<_> = listed.iter().map(|(key, _)| key.as_str().to_owned()).collect();
    let sorted: BTreeSet<_> = names.iter().map(ToString::to_string).collect();
    assert_eq!(listed, sorted.into_iter().collect::<Vec<_>>());
    let cased = world.rival().list("Stock", None, 100).await.expect("a page");
    assert_eq!(cased.len(), 1, "a prefix is compared byte by byte: {cased:?}");
    let pattern = world.rival().list("sto_", None, 100).await.expect("a page");
    assert_eq!(pattern.len(), 1, "a prefix is no pattern: {pattern:?}");
}

/// Refused with its own message by every verb, and nothing was touched.
async fn is_refused(world: &World, lock: &Lock, needles: &[&str]) -> String {
    let acquired = lock.acquire().await.expect_err("refused");
    let tried = lock.try_acquire().await.expect_err("refused");
    assert_eq!((acquired.kind(), tried.kind()), (ErrorKind::Invalid, ErrorKind::Invalid));
    assert_eq!(acquired.message(), tried.message());
    assert!(!acquired.may_hold());
    for needle in needles {
        assert!(acquired.message().contains(needle), "no {needle:?} in: {acquired}");
    }
    assert!(world.is_untouched().await, "something was touched: {acquired}");
    acquired.message().to_owned()
}

pub(crate) async fn bad_keys_are_refused(world: World) {
    let long = "x".repeat(513);
    let umlauts = "ü".repeat(257);
    let cases: [(&str, &[&str]); 7] = [
        ("", &["empty"]),
        (&long, &["513", "512"]),
        (&umlauts, &["514", "512"]),
        ("a\nb", &["U+000A"]),
        ("nul\0", &["U+0000"]),
        ("\u{7f}", &["U+007F"]),
        ("next\u{85}line", &["U+0085"]),
    ];
    let mut messages = BTreeSet::new();
    for (name, needles) in cases {
        let lock = world.lock(name);
        let message = is_refused(&world, &lock, needles).await;
        assert!(messages.insert(message.clone()), "one message for two faults: {message}");
        let looked = lock.inspect().await.expect_err("refused");
        assert_eq!((looked.kind(), looked.message()), (ErrorKind::Invalid, &*message));
    }
}

pub(crate) async fn bad_terms_are_refused(world: World) {
    let lock = || world.lock("key");
    let every = |every| lock().with_ttl(ms(900)).with_renewal(Renewal::Every(every));
    let cases: [(Lock, &[&str]); 9] = [
        (lock().with_ttl(ms(9)), &["9ms", "10ms"]),
        (lock().with_ttl(Duration::ZERO), &["0ms", "10ms"]),
        (lock().with_ttl(31 * DAY), &["30 days"]),
        (every(ms(450)), &["450ms", "900ms"]),
        (every(ms(1_000)), &["1s", "900ms"]),
        (every(Duration::ZERO), &["zero"]),
        (lock().with_min_hold(31 * DAY), &["30 days"]),
        (lock().with_max_hold(ms(5)), &["5ms", "10ms"]),
        (lock().with_min_hold(ms(600)).with_max_hold(ms(400)), &["600ms", "400ms"]),
    ];
    let mut messages = BTreeSet::new();
    for (lock, needles) in cases {
        let message = is_refused(&world, &lock, needles).await;
        assert!(messages.insert(message.clone()), "one message for two faults: {message}");
    }
    let longest = world.locks().capabilities().ttl_max;
    acquire(&lock().with_ttl(longest)).await.release().await.expect("the limit is allowed");
    // On a busy machine the shortest lease is over before anybody reads that it was granted.
    match lock().with_ttl(ms(10)).acquire().await {
        Ok(guard) => drop(guard),
        Err(late) => {
            assert_eq!(late.kind(), ErrorKind::Unavailable, "the limit is allowed: {late}");
        }
    }
}

pub(crate) async fn bad_owner_values_are_refused(world: World) {
    let long = "x".repeat(257);
    let cases: [(&str, &[&str]); 3] =
        [("", &["empty"]), (&long, &["257", "256"]), ("a\tb", &["U+0009"])];
    for (value, needles) in cases {
        is_refused(&world, &world.lock("key").with_owner(value), needles).await;
    }
    let longest = "x".repeat(256);
    let guard = acquire(&world.lock("key").with_owner(&longest)).await;
    assert_eq!(guard.owner().value(), longest);
}

pub(crate) async fn another_limit_is_a_mismatch(world: World) {
    let share = |number, units, limit| {
        let claim = Claim::new(units, limit).expect("valid");
        Op::Acquire(World::crashed(number, claim, ms(60_000), true))
    };
    let granted = world.ask("key", share(1, 1, 3)).await;
    assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
    let before = world.inspect("key").await;
    // A share of 1 of 1 is no mutex.
    for (units, limit) in [(1, 1), (2, 5)] {
        let refused = world.ask("key", share(2, units, limit)).await;
        let Reply::Mismatch(why) = refused else { panic!("{refused:?}") };
        let (live, asked) = ("limit of 3", format!("limit of {limit}"));
        assert!(why.contains(live) && why.contains(&asked), "{why}");
    }
    let after = world.inspect("key").await;
    assert_eq!((after.limit, after.fence), (Some(3), before.fence));
    assert_eq!((after.holders.len(), after.waiters.len()), (1, 0));
}

pub(crate) async fn errors_name_key_and_store(world: World) {
    let _guard = world.rival_takes("till 3").await;
    let waited = world.lock("till 3").with_wait(ms(2_000)).acquire().await;
    let error = waited.expect_err("held");
    assert_eq!(error.key().map(Key::as_str), Some("till 3"));
    assert_eq!(error.store(), Some(&*world.locks().store_name()));
    let text = error.to_string();
    assert!(text.starts_with("cannot acquire \"till 3\" at "), "{text}");
    assert!(text.contains(&*world.locks().store_name()), "{text}");
}

pub(crate) async fn list_pages_in_order(world: World) {
    let mut guards = Vec::new();
    for name in ["job:3", "job:1", "other", "job:2", "job:5", "job:4"] {
        guards.push(acquire(&world.lock(name)).await);
    }
    let free = acquire(&world.lock("job:0")).await;
    free.release().await.expect("released");
    let mut names = Vec::new();
    let mut after: Option<Key> = None;
    loop {
        let page = world.rival().list("job:", after.as_ref(), 2).await.expect("a page");
        assert!(page.len() <= 2);
        for (key, seen) in &page {
            assert_eq!((&seen.state, seen.holders.len()), (&State::Held, 1));
            names.push(key.as_str().to_owned());
        }
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
    }
    assert_eq!(names, ["job:1", "job:2", "job:3", "job:4", "job:5"], "free keys are left out");
}
