//! Users, passwords and TLS: those of the Sentinels are apart from those of the servers. The rights
//! are exactly those that SAFETY.md names.

use std::time::Duration;

use tenure::ErrorKind;
use tenure_testkit::{Flavour, Sentinel, Sentinels, SentinelsOptions};

use super::{LONG_TTL, aside, inboxes, patient, replicated};
use crate::world::{acquire, granted, take, unhurried, until, until_waiting, waiting, within};

/// The rule for Sentinels as SAFETY.md has it.
fn documented() -> String {
    let safety = include_str!("../../../../../SAFETY.md");
    let (_, rest) = safety.split_once("user tenure-asks ").expect("the rule for Sentinels");
    let (rules, _) = rest.split_once("```").expect("the end of the block");
    rules.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn quiet(flavour: Flavour) -> SentinelsOptions {
    Sentinels::of(flavour).with_down_after(Duration::from_secs(60))
}

/// A life with a failover in it.
async fn live(group: &Sentinels, url: &str) {
    let (locks, rival) = (patient(url).await, patient(url).await);
    let store = locks.store_name();
    assert!(!store.contains("PASSWORD") && !store.contains("tenure-asks"), "{store}");
    let held = acquire(&locks.mutex("jobs:a").with_ttl(LONG_TTL)).await;
    let waiter = waiting(rival.mutex("jobs:a").with_ttl(LONG_TTL));
    until_waiting(&locks, "jobs:a", 1).await;
    replicated(group.primary());
    let deadline = held.deadline();
    aside(|| group.failover()).await;
    within("a renewal", held.renewed(deadline)).await;
    until("it is told, not polling", async || inboxes(group.primary()) == 1).await;
    held.release().await.expect("released");
    granted(waiter).await.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_with_the_documented_rights_alone_live_through_a_failover() {
    for flavour in Flavour::ALL {
        let group = quiet(flavour)
            .with_user("tenure", &crate::rights::documented())
            .with_sentinel_user("tenure-asks", &documented())
            // Nobody else gets in.
            .with_user("default", "off")
            .with_sentinel_user("default", "off");
        let group = group.start();
        let url = group.url_with("tenure:PASSWORD@");
        let with = |more: &str| format!("{url}?sentinel_user=tenure-asks&{more}");
        live(&group, &with("sentinel_password=PASSWORD")).await;
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("password");
        std::fs::write(&file, "PASSWORD\n").expect("it can be written");
        let locks = patient(&with(&format!("sentinel_password_file={}", file.display()))).await;
        take(&locks, "jobs:b").await.release().await.expect("released");
        // The rights are none too many: without any of them it does not work.
        for (login, words) in [
            ("", &["Sentinel", "asks for a password", "NOAUTH"][..]),
            ("?sentinel_user=tenure-asks&sentinel_password=SECRET", &["does not accept"]),
        ] {
            let url = format!("{url}{login}");
            let error = tenure::connect(&unhurried(&url)).await.expect_err("the Sentinels refuse");
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            let text = format!("{error} {error:?}");
            for word in words {
                assert!(text.contains(word), "no {word:?} in: {text}");
            }
            assert!(!text.contains("SECRET") && !text.contains("PASSWORD"), "{text}");
        }
        let url = group.url_with("tenure:SECRET@");
        let url = format!("{url}?sentinel_user=tenure-asks&sentinel_password=PASSWORD");
        let error = tenure::connect(&unhurried(&url)).await.expect_err("the server refuses");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("SECRET") && !text.contains("PASSWORD"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_the_documented_rights_at_a_sentinel_is_needed() {
    let rights = documented();
    let group = quiet(Flavour::Redis)
        .with_sentinel_user("whole", &rights)
        .with_sentinel_user("deaf", &rights.replace("+subscribe", ""))
        .with_sentinel_user("no-channel", &rights.replace("&+switch-master", ""))
        .with_sentinel_user("mute", &rights.replace("+sentinel|get-master-addr-by-name", ""))
        .start();
    let url =
        |user: &str| format!("{}?sentinel_user={user}&sentinel_password=PASSWORD", group.url());
    let listeners = || {
        let count = |s: &Sentinel| {
            let list = s.command(&["CLIENT", "LIST"]).text().unwrap_or_default();
            list.lines()
                .filter(|l| l.contains("name=tenure-switches") && l.contains(" sub=1 "))
                .count()
        };
        group.sentinels().iter().map(count).sum::<usize>()
    };
    let whole = patient(&url("whole")).await;
    until("a subscription", async || listeners() == 1).await;
    drop(whole);
    until("its end", async || listeners() == 0).await;
    for user in ["deaf", "no-channel"] {
        // It goes on without being told, and says so.
        crate::subscriber::listen();
        let locks = patient(&url(user)).await;
        take(&locks, "key").await.release().await.expect("released");
        until("a warning", async || crate::rights::has_warned("not told of failovers")).await;
        assert_eq!(listeners(), 0, "{user}");
    }
    let error = tenure::connect(&unhurried(&url("mute"))).await.expect_err("no right to ask");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    for word in ["lacks a right", "NOPERM", "SENTINEL"] {
        assert!(error.to_string().contains(word), "no {word:?} in: {error}");
    }
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_tls_and_sentinels_without_or_with_it() {
    let certificates =
        std::sync::Arc::new(tenure_testkit::Certificates::for_names(&["redis.test"]));
    let group = quiet(Flavour::Redis).with_tls(&certificates).start();
    let files = format!("ca={}&server_name=redis.test", certificates.ca().display());
    live(&group, &format!("{}?{files}&sentinel_tls=no", group.url())).await;
    let at: Vec<_> = group.sentinels().iter().filter_map(Sentinel::tls_port).collect();
    let at: Vec<_> = at.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let url = format!("rediss+sentinel://{}/main?{files}", at.join(","));
    live(&group, &format!("{url}&sentinel_server_name=redis.test")).await;
    let error = tenure::connect(&url).await.expect_err("the Sentinels have another name");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("not for \"127.0.0.1\""), "{error}");
    let error = tenure::connect(&format!("{}?{files}", group.url())).await;
    let error = error.expect_err("the Sentinels speak plain text there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
