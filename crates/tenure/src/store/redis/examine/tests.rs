//! The rules on facts that no real server shows at will.

use std::time::Duration;

use crate::protocol::Guarded;
use crate::store::{Finding, Severity};

use super::facts::{Clock, Facts, Group, Info, Marker, Missing, Pushes, Wanted};
use super::rules::findings;

const GOOD: &str = "redis_version:7.4.1\r\nconfig_file:/etc/redis.conf\r\n\
    role:master\r\nmaxmemory:100\r\nused_memory:10\r\n\
    maxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\n\
    connected_slaves:0\r\nuptime_in_seconds:5\r\nrun_id:abc\r\n\
    master_replid2:0000000000000000000000000000000000000000\r\n";

fn good() -> Facts {
    Facts {
        place: "redis://h".into(),
        ttl: Duration::from_secs(30),
        wanted: Wanted::default(),
        pings: vec![Duration::from_micros(50); 7],
        info: Ok(Info(GOOD.to_owned())),
        clock: Ok(Clock { ahead: 1_000, fuzz: 25, step: 10 }),
        save: None,
        marker: Marker::Missing,
        guarded: None,
        rights: Ok(Missing::default()),
        pushes: Pushes::Arrive,
    }
}

/// The findings that are worse than a note.
fn bad(facts: &Facts) -> Vec<(&'static str, Severity)> {
    let found = findings(facts);
    for Finding { about, severity, consequence, remedy, .. } in &found {
        let is_bad = *severity >= Severity::Warning;
        assert!(!is_bad || !consequence.is_empty() && !remedy.is_empty(), "{about}");
    }
    let bad = found.iter().filter(|finding| finding.severity >= Severity::Warning);
    bad.map(|finding| (finding.about, finding.severity)).collect()
}

fn with_info(from: &str, to: &str) -> Facts {
    assert!(GOOD.contains(from), "{from}");
    Facts { info: Ok(Info(GOOD.replace(from, to))), ..good() }
}

#[test]
fn a_good_server_has_no_finding() {
    assert_eq!(bad(&good()), []);
    assert!(findings(&good()).iter().all(|finding| finding.severity == Severity::Ok));
}

#[test]
fn a_slow_way_is_found_beside_the_ttl() {
    let pings = vec![Duration::from_millis(1), Duration::from_millis(300)];
    let slow = Facts { pings, ..good() };
    assert_eq!(bad(&slow), []);
    let slow = Facts { ttl: Duration::from_secs(2), ..slow };
    assert_eq!(bad(&slow), [("latency", Severity::Warning)]);
    let remedy = findings(&slow).into_iter().map(|finding| finding.remedy).collect::<String>();
    assert!(remedy.contains("--ttl 6s1ms"), "{remedy}");
}

#[test]
fn a_clock_that_is_wrong_or_is_stepped_is_found() {
    let with = |clock| bad(&Facts { clock: Ok(clock), ..good() });
    let right = Clock { ahead: 0, fuzz: 100, step: 0 };
    for ahead in [11_000_000, -11_000_000] {
        assert_eq!(with(Clock { ahead, ..right }), [("clock", Severity::Warning)]);
        assert_eq!(with(Clock { ahead: ahead / 2, ..right }), []);
    }
    for step in [30_000, -30_000] {
        assert_eq!(with(Clock { step, ..right }), [("clock", Severity::Error)]);
        // A slow way blurs it.
        assert_eq!(with(Clock { step, fuzz: 20_000, ..right }), []);
    }
}

#[test]
fn a_young_server_that_keeps_nothing_may_have_forgotten() {
    let young = with_info("aof_enabled:1", "aof_enabled:0");
    let expected = [("persistence", Severity::Warning), ("uptime", Severity::Warning)];
    assert_eq!(bad(&young), expected);
    let wanted = Wanted { restart_guard: Duration::from_secs(30), ..Wanted::default() };
    assert_eq!(bad(&Facts { wanted, ..young }), []);
}

#[test]
fn a_guard_that_runs_is_found_with_the_time_left() {
    let wanted = Wanted { restart_guard: Duration::from_secs(300), ..Wanted::default() };
    let awake = Facts { wanted, ..good() };
    assert_eq!(bad(&awake), []);
    let (known_for, left) = (Duration::from_millis(2_900), Duration::from_millis(297_100));
    let asleep = Facts { guarded: Some(Guarded { known_for, left }), ..awake };
    assert_eq!(bad(&asleep), [("restart-guard", Severity::Warning)]);
    let found = findings(&asleep).into_iter().map(|finding| finding.what).collect::<String>();
    assert!(found.contains("for another 4m58s: the server's memory is known for 2s"), "{found}");
}

#[test]
fn each_fact_of_info_has_its_rule() {
    for (from, to, about, severity) in [
        ("role:master", "role:slave\r\nmaster_host:p\r\nmaster_port:1", "role", Severity::Error),
        ("noeviction", "volatile-lru", "eviction", Severity::Error),
        ("used_memory:10", "used_memory:90", "memory", Severity::Warning),
        ("write_status:ok", "write_status:err", "persistence", Severity::Error),
        ("connected_slaves:0", "connected_slaves:2", "replicas", Severity::Warning),
    ] {
        assert_eq!(bad(&with_info(from, to)), [(about, severity)], "{to}");
    }
    let known = "master_replid2:1000000000000000000000000000000000000000";
    let promoted = with_info("master_replid2:0000000000000000000000000000000000000000", known);
    let note = findings(&promoted).into_iter().find(|finding| finding.about == "promotion");
    assert_eq!(note.map(|finding| finding.severity), Some(Severity::Note));
}

/// The finding of this subject, and its remedy.
fn finding(facts: &Facts, about: &str) -> Finding {
    findings(facts).into_iter().find(|finding| finding.about == about).expect("it is there")
}

#[test]
fn a_remedy_by_config_set_is_for_the_next_start_as_well() {
    for (from, to, about) in [
        ("noeviction", "volatile-lru", "eviction"),
        ("used_memory:10", "used_memory:90", "memory"),
        ("aof_enabled:1", "aof_enabled:0", "persistence"),
        ("connected_slaves:0", "connected_slaves:2", "replicas"),
    ] {
        for (file, words) in [
            (
                "config_file:/etc/redis.conf\r\n",
                "CONFIG REWRITE, which writes it into /etc/redis.conf",
            ),
            ("config_file:\r\n", "it has no configuration file"),
            ("", "write it into the configuration"),
        ] {
            let mut facts = with_info(from, to);
            let Ok(Info(info)) = &mut facts.info else { unreachable!() };
            *info = info.replace("config_file:/etc/redis.conf\r\n", file);
            let remedy = finding(&facts, about).remedy;
            assert!(remedy.contains("CONFIG SET ") && remedy.contains(words), "{remedy}");
        }
    }
}

#[test]
fn a_live_setting_is_not_taken_for_that_of_the_next_start() {
    let kept = finding(&good(), "persistence");
    assert!(kept.severity == Severity::Ok && kept.what.contains("if /etc/redis.conf says so too"));
    let no_file = finding(&with_info("config_file:/etc/redis.conf", "config_file:"), "persistence");
    assert_eq!(no_file.severity, Severity::Note);
    assert!(no_file.consequence.contains("forgets all leases"), "{no_file:?}");
    let wanted = Wanted { restart_guard: Duration::from_secs(30), ..Wanted::default() };
    let guarded = Facts { wanted, ..with_info("config_file:/etc/redis.conf", "config_file:") };
    assert_eq!(finding(&guarded, "persistence").severity, Severity::Ok);
}

#[test]
fn a_primary_of_a_group_needs_replicas_that_keep_up() {
    for group in [Group::Sentinels, Group::Cluster] {
        let wanted = Wanted { group, ..Wanted::default() };
        let alone = Facts { wanted, ..good() };
        assert_eq!(bad(&alone), [("replicas", Severity::Warning)], "{group:?}");
    }
    let one = |state: &str, lag: u32| {
        let replica = format!(
            "connected_slaves:1\r\nmin_slaves_good_slaves:1\r\n\
             slave0:ip=10.0.0.2,port=7,state={state},offset=1,lag={lag},type=replica"
        );
        let wanted = Wanted { ack: true, group: Group::Sentinels, ..Wanted::default() };
        Facts { wanted, ..with_info("connected_slaves:0", &replica) }
    };
    assert_eq!(bad(&one("online", 5)), []);
    for late in [one("online", 6), one("send_bulk", 0)] {
        assert_eq!(bad(&late), [("lag", Severity::Warning)]);
        let lag = findings(&late).into_iter().find(|finding| finding.about == "lag");
        assert!(lag.is_some_and(|lag| lag.what.contains("10.0.0.2:7")));
    }
}

#[test]
fn a_question_that_is_not_answered_is_unknown_and_no_failure() {
    let refused = || Err("NOPERM".to_owned());
    let silent = Facts {
        info: Err("NOPERM".to_owned()),
        clock: Err("NOPERM".to_owned()),
        rights: refused(),
        marker: Marker::Untold,
        ..good()
    };
    assert_eq!(bad(&silent), []);
    let unknown = findings(&silent);
    let unknown = unknown.iter().filter(|finding| finding.severity == Severity::Unknown);
    assert_eq!(unknown.count(), 8);
    let empty = Facts { info: Ok(Info(String::new())), ..good() };
    assert_eq!(bad(&empty), []);
}
