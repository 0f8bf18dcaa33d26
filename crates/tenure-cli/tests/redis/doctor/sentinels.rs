//! Servers behind Sentinels: the primary, its replicas, and the Sentinels themselves.

use std::time::Duration;

use tenure::store::sentinel_rule;
use tenure_testkit::{Flavour, Sentinels, SentinelsOptions, Server, wait_until};

use super::{bad, examined, reads_the_same, rights};

/// A pause of the machine is no failure of the primary.
const UNHURRIED: Duration = Duration::from_secs(60);

fn durable(flavour: Flavour) -> SentinelsOptions {
    let options = Sentinels::of(flavour).with("appendonly yes").with("min-replicas-to-write 1");
    options.with_down_after(UNHURRIED)
}

/// The URL with the parameter of a good one.
fn url(group: &Sentinels) -> String {
    format!("{}?ack=1", group.url())
}

#[test]
fn a_good_group_has_no_finding() {
    for flavour in Flavour::ALL {
        let asks = format!("on >PASSWORD {}", sentinel_rule());
        let group = durable(flavour)
            .with_user("somebody", &rights())
            .with_sentinel_user("asks", &asks)
            .start();
        let login = "?ack=1&sentinel_user=asks&sentinel_password=PASSWORD";
        let url = format!("{}{login}", group.url_with("somebody:PASSWORD@"));
        let (code, of, report) = examined(&url, &[]);
        assert_eq!((code, bad(&of)), (0, vec![]), "{flavour}: {report}");
        assert_eq!(report["worst"], "ok", "{flavour}: {report}");
        for about in ["sentinels", "replicas", "lag", "role", "pushes"] {
            assert_eq!(of.get(about).map(String::as_str), Some("ok"), "{about}: {report}");
        }
        let named = format!("3 of 3 answer, and name {}", group.primary().address());
        assert!(report.to_string().contains(&named), "{report}");
        reads_the_same(&url, &[], (code, &report));
    }
}

#[test]
fn a_fault_of_the_primary_is_found() {
    for flavour in Flavour::ALL {
        let group = durable(flavour).start();
        let primary = group.primary();
        primary.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
        let (code, of, report) = examined(&url(&group), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("eviction", "warning")]), "{flavour}: {report}");
        reads_the_same(&url(&group), &[], (code, &report));
        primary.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        primary.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        let (code, of, report) = examined(&url(&group), &[]);
        assert_eq!((code, &*of["replicas"]), (0, "note"), "{flavour}: {report}");
        assert!(report.to_string().contains("CONFIG SET min-replicas-to-write 1"), "{report}");
        let (code, of, report) = examined(&group.url(), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("replicas", "warning")]), "{flavour}: {report}");
        reads_the_same(&group.url(), &[], (code, &report));
    }
}

#[test]
fn a_primary_that_nothing_can_replace_is_found() {
    for flavour in Flavour::ALL {
        let options = Sentinels::of(flavour).with("appendonly yes").with_replicas(0);
        let group = options.with_down_after(UNHURRIED).start();
        let (code, of, report) = examined(&group.url(), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("replicas", "warning")]), "{flavour}: {report}");
        assert!(report.to_string().contains("no replica is linked"), "{report}");
    }
}

#[test]
fn a_replica_that_lags_is_found() {
    for flavour in Flavour::ALL {
        // It stays linked for as long as it stands still.
        let group = durable(flavour).with("repl-timeout 600").start();
        let replica = &group.servers()[2];
        replica.stop();
        let lag = || {
            let info = group.servers()[0].command(&["INFO", "replication"]).text();
            let info = info.unwrap_or_default();
            let of = info.lines().find(|line| line.contains(&format!("port={}", replica.port())));
            let lag = of.and_then(|line| line.split_once("lag=")?.1.split(',').next());
            lag.and_then(|lag| lag.trim().parse::<u32>().ok()).unwrap_or_default()
        };
        wait_until("the replica lags", || lag() > 5);
        let (code, of, report) = examined(&url(&group), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("lag", "warning")]), "{flavour}: {report}");
        let named = format!("the replica {} has acknowledged nothing", replica.address());
        assert!(report.to_string().contains(&named), "{report}");
        replica.cont();
    }
}

#[test]
fn sentinels_that_are_away_are_found() {
    for flavour in Flavour::ALL {
        // The last one has to miss the others.
        let group = durable(flavour).with_down_after(Duration::from_secs(5)).start();
        let [first, second, third] = group.sentinels() else { panic!("three") };
        for (away, answering, words) in [
            (third, "2 of 3 answer", "found by those that are left"),
            (second, "1 of 3 answer", "without a majority of them"),
        ] {
            away.kill9();
            let (code, of, report) = examined(&url(&group), &[]);
            assert_eq!((code, bad(&of)), (1, vec![("sentinels", "warning")]), "{report}");
            let text = report.to_string();
            assert!(text.contains(answering) && text.contains(words), "{flavour}: {report}");
            assert!(text.contains(&away.address().to_string()), "{flavour}: {report}");
            reads_the_same(&url(&group), &[], (code, &report));
        }
        // The URL names the last one alone, which knows of the others.
        wait_until("it misses the others", || {
            let words = ["SENTINEL", "CKQUORUM", group.service()];
            first.command(&words).is_error("NOQUORUM")
        });
        let alone = format!("redis+sentinel://{}/{}?ack=1", first.address(), group.service());
        let (code, of, report) = examined(&alone, &[]);
        assert_eq!((code, bad(&of)), (1, vec![("sentinels", "warning")]), "{flavour}: {report}");
        assert!(report.to_string().contains("NOQUORUM"), "{report}");
        first.kill9();
        let (code, of, report) = examined(&url(&group), &[]);
        assert_eq!((code, bad(&of)), (69, vec![("reachable", "error")]), "{flavour}: {report}");
    }
}

#[test]
fn sentinels_that_do_not_agree_and_a_url_with_one_of_them_are_found() {
    for flavour in Flavour::ALL {
        let group = durable(flavour).start();
        let other = Server::of(flavour).start();
        let first = group.sentinels()[0].address();
        let alone = format!("redis+sentinel://{first}/{}?ack=1", group.service());
        let (code, of, report) = examined(&alone, &[]);
        assert_eq!((code, &*of["sentinels"]), (0, "note"), "{flavour}: {report}");
        let astray: &Server = &group.sentinels()[2];
        astray.command(&["SENTINEL", "REMOVE", group.service()]);
        let (code, _, report) = examined(&url(&group), &[]);
        let words = format!("it knows no service {}", group.service());
        assert!(code == 1 && report.to_string().contains(&words), "{flavour}: {report}");
        let (ip, port) = (other.address().ip().to_string(), other.port().to_string());
        let done = astray.command(&["SENTINEL", "MONITOR", group.service(), &ip, &port, "2"]);
        assert_eq!(done.to_string(), "OK");
        let (code, of, report) = examined(&url(&group), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("sentinels", "warning")]), "{flavour}: {report}");
        assert!(report.to_string().contains("do not agree"), "{report}");
        assert!(report.to_string().contains(&other.address().to_string()), "{report}");
        reads_the_same(&url(&group), &[], (code, &report));
    }
}
