//! A name that a server cannot tell from a part of another lock is refused before anything is
//! sent, whatever is asked of it.

use tenure::{ErrorKind, Locks, Result, Ticket};
use tenure_testkit::{Call, Flavour, Proxy, Server, Which};

use crate::world::{connect, nothing_but_memories, take, within};

/// Each operation, and its error.
async fn everything_asked(locks: &Locks, key: &str) -> Vec<(&'static str, tenure::Error)> {
    let mutex = locks.mutex(key).with_owner("me");
    let ticket: Ticket = format!("tenure-ticket:1:ff:7:2:me:{key}").parse().expect("a ticket");
    let mut all = Vec::new();
    let mut heard = |what, answer: Result<()>| {
        all.push((what, answer.expect_err(what)));
    };
    heard("acquire", within("an answer", mutex.acquire()).await.map(drop));
    heard("try", within("an answer", mutex.try_acquire()).await.map(drop));
    heard("steal", within("an answer", mutex.steal()).await.map(drop));
    heard("adopt", within("an answer", locks.adopt(&ticket)).await.map(drop));
    heard("force", within("an answer", mutex.force_release()).await.map(drop));
    heard("inspect", within("an answer", mutex.inspect()).await.map(drop));
    heard("release", within("an answer", locks.release_owner(key, "me")).await.map(drop));
    heard("held_by_me", within("an answer", mutex.held_by_me()).await.map(drop));
    let seen = within("an answer", locks.watch(key).next()).await;
    heard("watch", seen.expect("an item").map(drop));
    all
}

#[tokio::test]
async fn a_name_of_another_locks_record_costs_nobody_a_lease() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let proxy = Proxy::to(server.address());
        let (locks, rival) = (connect(&server.url()).await, connect(&proxy.url()).await);
        let guard = take(&locks, "a").await;
        let tagged = take(&locks, "{b}:c").await;
        let before = proxy.count();
        for key in ["tenure:{a}:record", "tenure:{a}:queue", "{b}:c:tenure:record"] {
            for (what, error) in everything_asked(&rival, key).await {
                assert_eq!((error.kind(), error.may_hold()), (ErrorKind::Invalid, false), "{what}");
                assert!(error.to_string().contains("choose another key"), "{what}: {error}");
            }
        }
        assert_eq!(proxy.count(), before, "something was sent");
        for held in [guard, tagged] {
            held.extend_to(std::time::Duration::from_secs(40)).await.expect("held");
            held.release().await.expect("released");
        }
        // A name of the same look that meets nothing.
        take(&rival, "a:tenure:record").await.release().await.expect("released");
        nothing_but_memories(&server);
    }
}

#[tokio::test]
async fn a_template_with_a_control_character_or_of_another_locks_part_is_refused() {
    let server = Server::redis().start();
    let proxy = Proxy::to(server.address());
    for (template, words) in [
        ("tenure:%01{name}", "key_template"),
        ("{name}%0A", "key_template"),
        ("tenure:{{name}}:record", ":record"),
        ("{{name}}:tenure:places", ":queue"),
    ] {
        let url = format!("{}?key_template={template}", proxy.url());
        let error = tenure::connect(&url).await.expect_err(template);
        assert_eq!(error.kind(), ErrorKind::Config, "{template}: {error}");
        assert!(error.message().contains(words), "{template}: {error}");
    }
    assert_eq!(proxy.count(), 0, "something was sent");
}

#[tokio::test]
async fn a_quorum_refuses_what_one_of_its_nodes_refuses() {
    let servers: Vec<_> = (0..3).map(|_| Server::redis().start()).collect();
    let proxies: Vec<_> = servers.iter().map(|server| Proxy::to(server.address())).collect();
    let urls: Vec<_> = proxies.iter().map(Proxy::url).collect();
    let locks = connect(&format!("quorum:{} ?max_ttl=1m", urls.join(" "))).await;
    let scripts = |call: &Call| matches!(call.name().as_str(), "EVAL" | "EVALSHA" | "MGET" | "GET");
    let asked: Vec<_> = proxies
        .iter()
        .map(|proxy| proxy.on(Which::every(scripts), tenure_testkit::Fate::Copy))
        .collect();
    for (what, error) in everything_asked(&locks, "tenure:{a}:record").await {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{what}: {error}");
    }
    assert_eq!(asked.iter().map(tenure_testkit::Fault::strikes).sum::<u64>(), 0);
}
