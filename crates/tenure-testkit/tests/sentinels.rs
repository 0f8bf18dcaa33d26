//! The kit's groups behind Sentinels: they agree when they start, and again after a failover.

#![allow(clippy::disallowed_methods, reason = "real servers, real time")]

use std::sync::Arc;
use std::thread;

use tenure_testkit::{Certificates, Flavour, Reply, Sentinels, Server};

#[test]
fn a_group_has_another_primary_after_a_failover_and_after_a_kill() {
    for flavour in Flavour::ALL {
        let group = Sentinels::of(flavour).start();
        assert!(group.url().starts_with("redis+sentinel://127.0.0.1:2"), "{}", group.url());
        assert!(group.url().ends_with("/main"), "{}", group.url());
        let first = group.primary();
        assert_eq!(first.command(&["SET", "k", "v"]), Reply::Simple("OK".to_owned()));
        assert_eq!(first.command(&["WAIT", "2", "50000"]), Reply::Int(2));
        group.failover();
        let second = group.primary();
        assert_ne!(second.port(), first.port());
        assert_eq!(second.command(&["GET", "k"]).text().as_deref(), Some("v"));
        second.kill9();
        group.wait_until_moved(second.port());
        second.restart();
        group.wait_until_agreed();
        assert_eq!(second.info("role").as_deref(), Some("slave"));
        assert_eq!(second.command(&["GET", "k"]).text().as_deref(), Some("v"));
    }
}

#[test]
fn servers_have_tls_while_sentinels_have_plain_text_too() {
    let certificates = Arc::new(Certificates::for_names(&["redis.test"]));
    let group = Sentinels::of(Flavour::Redis).with_tls(&certificates).start();
    assert!(group.url().starts_with("rediss+sentinel://"), "{}", group.url());
    assert!(group.primary().client().call(&["PING"]).is_err(), "plain text is not understood");
    let sentinel = &group.sentinels()[0];
    assert_eq!(sentinel.client().call(&["PING"]).unwrap(), Reply::Simple("PONG".to_owned()));
    group.failover();
}

/// A Sentinel ends all connections to a server whose role it changes, perhaps more than once.
#[test]
fn looks_at_a_server_outlive_the_end_of_their_connections() {
    let server = Server::redis().start();
    thread::scope(|scope| {
        let cuts = scope.spawn(|| {
            // Its own connection is ended, too.
            let cut = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"];
            (0..300).filter(|_| server.try_command(&cut).is_ok()).count()
        });
        while !cuts.is_finished() {
            assert!(server.info("role").is_some());
        }
        assert!(cuts.join().expect("no panic") > 0);
    });
}
