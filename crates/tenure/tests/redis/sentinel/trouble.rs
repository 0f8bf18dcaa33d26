//! Sentinels that are away, silent, moved or wrong: every wait ends by its limit, and an outage
//! costs each of them few attempts.

use std::time::{Duration, Instant};

use tenure::ErrorKind;
use tenure_testkit::{Flavour, Port, Proxy, Sentinels, Server};

use super::fake::FakeSentinel;
use super::{LONG_TTL, aside, patient};
use crate::world::{PATIENCE, acquire, most_attempts, ms, take, until, within};

fn through(proxies: &[Proxy]) -> String {
    let at: Vec<_> = proxies.iter().map(|proxy| proxy.address().to_string()).collect();
    format!("redis+sentinel://{}/main", at.join(","))
}

fn proxied(group: &Sentinels) -> Vec<Proxy> {
    group.sentinels().iter().map(|sentinel| Proxy::to(sentinel.address())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_in_a_black_hole_leaves_time_for_the_others() {
    let group = Sentinels::of(Flavour::Redis).with_down_after(Duration::from_secs(60)).start();
    for silent in 0..3 {
        let proxies = proxied(&group);
        proxies[silent].black_hole();
        let url = format!("{}?connect_timeout=2s", through(&proxies));
        let locks = patient(&url).await;
        take(&locks, "key").await.release().await.expect("released");
    }
    // The one that tells of switches falls silent later: another one takes its place.
    let proxies = proxied(&group);
    let url = format!("{}?call_timeout=500ms", through(&proxies));
    let locks = patient(&url).await;
    let listens = |proxy: &Proxy| proxy.count_of("SUBSCRIBE") > 0;
    until("a subscription", async || proxies.iter().any(listens)).await;
    let telling = proxies.iter().position(listens).expect("one of them");
    proxies[telling].black_hole();
    until("another subscription", async || proxies.iter().filter(|p| listens(p)).count() > 1).await;
    let held = acquire(&locks.mutex("held").with_ttl(LONG_TTL)).await;
    super::replicated(group.primary());
    let deadline = held.deadline();
    aside(|| group.failover()).await;
    within("a renewal", held.renewed(deadline)).await;
    held.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_everything_costs_each_server_five_attempts_in_two_seconds() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let data = Proxy::to(server.address());
        let sentinels: Vec<_> =
            (0..3).map(|_| FakeSentinel::naming("127.0.0.1", data.port())).collect();
        let behind: Vec<_> = sentinels.iter().map(|s| Proxy::to(s.address())).collect();
        let locks = patient(&through(&behind)).await;
        let rival = patient(&through(&behind)).await;
        let waiter = acquire(&locks.mutex("held").with_ttl(ms(1000))).await;
        until("subscriptions", async || {
            behind.iter().map(|proxy| proxy.count_of("SUBSCRIBE")).sum::<u64>() >= 2
        })
        .await;
        drop(rival);
        until("the end of the rival's subscription", async || {
            behind.iter().map(Proxy::open_links).sum::<usize>() == 1
        })
        .await;
        let all: Vec<_> = behind.iter().chain([&data]).collect();
        let before: Vec<_> = all.iter().map(|proxy| proxy.links()).collect();
        let began = Instant::now();
        for proxy in &all {
            proxy.set_refusing(true);
            proxy.cut();
        }
        // Somebody asks all the time.
        let are_asked =
            || behind.iter().zip(&before).all(|(proxy, before)| proxy.links() > *before);
        while began.elapsed() < ms(2000) || !are_asked() {
            assert!(began.elapsed() < PATIENCE, "some Sentinel is never asked");
            let _ = tokio::time::timeout(ms(100), locks.mutex("key").try_acquire()).await;
        }
        let after: Vec<_> = all.iter().map(|proxy| proxy.links()).collect();
        // Five in two seconds; a busy machine makes the two seconds longer.
        let most = most_attempts(began);
        let made: Vec<_> =
            after.iter().zip(&before).map(|(after, before)| after - before).collect();
        println!("{flavour}: {made:?} attempts in {:?}", began.elapsed());
        assert!(made.iter().all(|made| *made <= most), "{made:?} attempts");
        all.iter().for_each(|proxy| proxy.heal());
        acquire(&locks.mutex("key")).await.release().await.expect("released");
        drop(waiter);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_away_costs_it_five_attempts_in_two_seconds() {
    let server = Server::redis().start();
    let data = Proxy::to(server.address());
    let sentinel = FakeSentinel::naming("127.0.0.1", data.port());
    let locks = patient(&sentinel.url()).await;
    take(&locks, "key").await.release().await.expect("released");
    let (links, asked) = (data.links(), sentinel.links());
    let began = Instant::now();
    data.set_refusing(true);
    data.cut();
    while began.elapsed() < ms(2000) || data.links() == links {
        assert!(began.elapsed() < PATIENCE, "the primary is never dialled");
        let _ = tokio::time::timeout(ms(100), locks.mutex("key").try_acquire()).await;
    }
    let (links, asked) = (data.links() - links, sentinel.links() - asked);
    let most = most_attempts(began);
    println!("{links} attempts at the primary, {asked} at the Sentinel in {:?}", began.elapsed());
    assert!(links <= most, "{links} attempts");
    assert!(asked as u64 <= most, "{asked} questions");
    data.heal();
    acquire(&locks.mutex("key")).await.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_moved_to_another_port_is_not_missed() {
    for flavour in Flavour::ALL {
        let group = Sentinels::of(flavour).with_down_after(Duration::from_secs(60)).start();
        let locks = patient(&group.url()).await;
        let held = acquire(&locks.mutex("held").with_ttl(LONG_TTL)).await;
        super::replicated(group.primary());
        // The first one of the URL, which is asked first and tells of switches.
        group.sentinels()[0].kill9();
        let moved = aside(|| group.another_sentinel()).await;
        let deadline = held.deadline();
        let before = group.primary().port();
        aside(|| group.failover()).await;
        within("a renewal", held.renewed(deadline)).await;
        assert_ne!(group.primary().port(), before);
        held.release().await.expect("released");
        // A program that starts now asks the dead one first.
        let fresh = patient(&group.url()).await;
        take(&fresh, "key").await.release().await.expect("released");
        drop(moved);
    }
}

#[tokio::test]
async fn the_ways_in_which_sentinels_do_not_lead_to_a_server_are_named() {
    let server = Server::redis().start();
    let port = Port::take();
    let lost = FakeSentinel::naming("no-such-host.invalid", 6379);
    let unknown = FakeSentinel::naming("127.0.0.1", 1);
    unknown.name(None);
    let dead = FakeSentinel::naming("127.0.0.1", port.number());
    let to_itself = FakeSentinel::naming("127.0.0.1", 1);
    to_itself.name(Some(("127.0.0.1", to_itself.address().port())));
    let silent = Proxy::to(server.address());
    silent.black_hole();
    for (url, kind, words) in [
        (
            lost.url(),
            ErrorKind::Unavailable,
            &["no-such-host.invalid:6379", "no address", "announce"][..],
        ),
        (unknown.url(), ErrorKind::Config, &["watches no \"main\"", "SENTINEL MASTERS"]),
        (dead.url(), ErrorKind::Unavailable, &["name 127.0.0.1:", "nobody listens"]),
        (to_itself.url(), ErrorKind::Config, &["a Sentinel answered there"]),
        (
            format!("redis+sentinel://{}/main", port.address()),
            ErrorKind::Unavailable,
            &["no Sentinel told where \"main\" is", "nobody listens"],
        ),
        (
            format!("redis+sentinel://{}/main", server.address()),
            ErrorKind::Config,
            &["a server for data answered", "26379"],
        ),
        (
            format!("redis+sentinel://{},{}/main", silent.address(), port.address()),
            ErrorKind::Unavailable,
            // One is still being asked when the limit comes.
            &["no Sentinel told where \"main\" is", "no connection", "nobody listens"],
        ),
    ] {
        let began = Instant::now();
        let error = within("an answer", tenure::connect(&url)).await.expect_err(&url);
        println!("{error} ({:?})", began.elapsed());
        assert_eq!(error.kind(), kind, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{url}: no {word:?} in: {error}");
        }
    }
}
