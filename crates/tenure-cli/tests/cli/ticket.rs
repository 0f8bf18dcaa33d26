//! A lock between two commands: `tenure acquire`, `renew`, `extend`, `check` and `release`.

use std::io::Write;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::json::conforms;
use crate::place::{Ended, Home, Place, Running, on_every_store, until};

const TICKET: &str = include_str!("../../schema/ticket.json");
const CHECK: &str = include_str!("../../schema/check.json");

on_every_store! {
    a_ticket_holds_the_lock_from_one_command_to_the_next
    a_ticket_that_is_over_says_who_has_the_lock_now
    an_adopted_ticket_says_so
    a_busy_key_is_told_with_its_holder_and_75
    a_signal_while_waiting_withdraws
    a_ticket_that_nobody_reads_is_given_back
}

fn ok(ended: Ended) -> String {
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    ended.stdout
}

/// The lines of a script, which a test runs as they stand in the help and the documents.
const SCRIPT: &str = "\
ticket=$(tenure acquire deploy --ttl 10m) || exit
tenure renew \"$ticket\"
tenure release \"$ticket\"
";
const BY_VARIABLES: &str = "\
eval \"$(tenure acquire deploy --shell)\" || exit
tenure check && tenure release
";

/// With a function of the command's name in place of the command.
fn script(place: &Place, lines: &str) -> Ended {
    place.sh(&format!("tenure() {{ \"$TENURE\" \"$@\"; }}\n{lines}"))
}

fn a_ticket_holds_the_lock_from_one_command_to_the_next(home: Home) {
    let place = Place::at(home);
    let ticket = ok(place.run(&["acquire", "k", "--ttl", "10m", "--as", "ci job 7"]));
    let ticket = ticket.strip_suffix('\n').expect("one line");
    assert!(!ticket.contains('\n'), "{ticket}");
    let seen = place.status("k");
    assert_eq!(
        (&seen["state"], &seen["holders"][0]["label"]),
        (&"held".into(), &"ci job 7".into())
    );
    let rest = seen["holders"][0]["remaining_ms"].as_u64().expect("a number");
    assert!((500_000..=620_000).contains(&rest), "{seen}");
    // The text is the same after each renewal.
    for (words, least) in [
        (["renew", ticket, "--ttl", "20m"], 1_200_000),
        (["renew", ticket, "--ttl", "1s"], 1_100_000),
        (["extend", ticket, "--by", "10m"], 1_700_000),
        (["extend", ticket, "--to", "1h"], 3_600_000),
    ] {
        let told = ok(place.run(&[&words[..], &["--json"]].concat()));
        let seen: Value = serde_json::from_str(&told).expect("JSON");
        conforms(CHECK, &seen);
        assert!(
            seen["remaining_ms"].as_u64().expect("held") >= least - 60_000,
            "{words:?}: {seen}"
        );
        assert_eq!(seen["holder"]["fence"], seen["fence"]);
    }
    let told = ok(place.run(&["check", ticket]));
    assert!(told.starts_with("k: held until ") && told.contains("by ci job 7"), "{told}");
    assert_eq!(ok(place.run(&["release", ticket])), "k: released\n");
    assert_eq!(place.status("k")["state"], "free");
}

fn a_ticket_that_is_over_says_who_has_the_lock_now(home: Home) {
    let place = Place::at(home);
    let ticket = ok(place.run(&["acquire", "k", "--ttl", "2s"])).trim().to_owned();
    until("its end", || (place.status("k")["state"] == "free").then_some(()));
    for verb in ["check", "renew", "release"] {
        let ended = place.run(&[verb, &ticket]);
        assert_eq!((ended.code, &*ended.stdout), (Some(79), ""), "{ended:?}");
        let told = "\"k\" is not held by this ticket";
        let over = ": nobody has it there; its time, 2s, was over at ";
        assert!(ended.stderr.contains(told) && ended.stderr.contains(over), "{ended:?}");
        assert!(!ended.stderr.contains("tenure acquire"), "nobody would hold it: {ended:?}");
    }
    let next = ok(place.run(&["acquire", "k", "--as", "another"]));
    for words in [["check", "-q"], ["renew", "-q"], ["release", "-q"], ["extend", "--by=1m"]] {
        let ended = place.run(&[&words[..], &[&ticket]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(79), ""), "{ended:?}");
        assert!(ended.stderr.contains("held by another since "), "{ended:?}");
        assert!(ended.stderr.contains("unless renewed"), "{ended:?}");
    }
    for words in [&["check"][..], &["renew"], &["extend", "--by", "1m"]] {
        let ended = place.run(&[words, &["--json", &ticket]].concat());
        assert_eq!(ended.code, Some(79), "{ended:?}");
        let seen: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        conforms(CHECK, &seen);
        assert_eq!((&seen["state"], &seen["holder"]["label"]), (&"over".into(), &"another".into()));
    }
    ok(place.run(&["release", next.trim()]));
}

fn an_adopted_ticket_says_so(home: Home) {
    let place = Place::at(home);
    let ticket = ok(place.run(&["acquire", "k"])).trim().parse().expect("a ticket");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let locks = tenure::connect(&place.store_url()).await.expect("it opens");
        let guard = locks.mutex("k").with_label("worker").adopt(&ticket).await.expect("adopted");
        let ended = place.run(&["check", "--json", &ticket.to_string()]);
        assert_eq!(ended.code, Some(79), "{ended:?}");
        assert!(ended.stderr.contains(": held by worker since "), "{ended:?}");
        let seen: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        conforms(CHECK, &seen);
        assert_eq!(seen["state"], "adopted");
        guard.release().await.expect("the adopter is left alone");
        locks.close(std::time::Duration::from_secs(5)).await.expect("closed");
    });
}

fn a_busy_key_is_told_with_its_holder_and_75(home: Home) {
    let place = Place::at(home);
    ok(place.run(&["acquire", "k", "--as", "first"]));
    for patience in [&["-n"][..], &["--try"], &["--wait", "100ms"]] {
        let ended = place.run(&[&["acquire", "k"], patience].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{ended:?}");
        assert!(ended.stderr.contains("held by first"), "{ended:?}");
        assert!(ended.stderr.contains(&format!("\"k\" at {}", place.url())), "{ended:?}");
        // An `eval` of nothing would go on without the lock.
        let ended = place.run(&[&["acquire", "k", "--shell"], patience].concat());
        assert_eq!(ended.stdout, "unset TENURE_TICKET; (exit 75)\n", "{ended:?}");
    }
    let mut waiter = place.start(&["acquire", "k"]);
    let line = waiter.stderr_line();
    assert!(line.starts_with("tenure: waiting for \"k\"") && line.contains("by first"), "{line}");
}

fn a_signal_while_waiting_withdraws(home: Home) {
    let place = Place::at(home);
    ok(place.run(&["acquire", "k"]));
    for (signal, code, by) in [(Signal::TERM, Some(143), None), (Signal::INT, None, Some(2))] {
        let waiter = place.start(&["acquire", "k"]);
        until("it waits", || place.status("k")["waiters"][0].is_object().then_some(()));
        waiter.signal(signal);
        let ended = waiter.wait();
        assert_eq!((ended.code, ended.signal, &*ended.stdout), (code, by, ""), "{ended:?}");
        assert_eq!(place.status("k")["waiters"], Value::Array(vec![]));
    }
}

fn a_ticket_that_nobody_reads_is_given_back(home: Home) {
    let place = Place::at(home);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = place.tenure(&["acquire", "k"]);
    let ended = command.stdout(writer).output().expect("it starts");
    assert_eq!(ended.status.code(), Some(74), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("given back"), "{ended:?}");
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn a_ticket_at_another_store_is_told_with_that_store() {
    let place = Place::new();
    let ticket = ok(place.run(&["acquire", "k"])).trim().to_owned();
    let other = place.path("other.db");
    let other = other.to_str().expect("text");
    ok(place.run(&["run", "-q", "--store-file", other, "other", "--", "true"]));
    for words in [&["check"][..], &["renew"], &["extend", "--by", "1m"], &["release"]] {
        let ended = place.run(&[words, &["--store-file", other, &ticket]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(79), ""), "{ended:?}");
        let at = format!(") at sqlite:{other}: nobody has it there; ");
        assert!(ended.stderr.contains(&at), "{ended:?}");
        let next = "is it of another store? Name its store with --store";
        assert!(ended.stderr.contains(next), "{ended:?}");
    }
    ok(place.run(&["release", &ticket]));
    let again = place.run(&["release", &ticket]);
    let why = ": nobody has it there; it was released or forced, or not renewed in time\n";
    assert!(again.stderr.ends_with(why), "the store knows it: {again:?}");
}

#[test]
fn a_ticket_that_goes_nowhere_is_told_with_the_time_for_which_the_key_stays_taken() {
    let place = Place::new();
    for (key, to) in [("a", ">&-"), ("b", "> /dev/null")] {
        let ended = place.sh(&format!("\"$TENURE\" acquire {key} --ttl 10m {to}"));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains("nobody has its ticket"), "{to}: {ended:?}");
        let end = format!("it stays taken for 10m, or until tenure force-release {key}\n");
        assert!(ended.stderr.ends_with(&end), "{to}: {ended:?}");
        assert_eq!(place.status(key)["state"], "held");
    }
    let ended = place.sh("\"$TENURE\" acquire -q c > /dev/null");
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
}

#[test]
fn a_renewal_that_names_no_time_has_that_of_the_ticket() {
    let place = Place::new();
    let minutes = |words: &[&str]| {
        let told = ok(place.run(&[words, &["--json"]].concat()));
        let seen: Value = serde_json::from_str(&told).expect("JSON");
        seen["remaining_ms"].as_u64().expect("held") / 60_000
    };
    let ticket = ok(place.run(&["acquire", "k", "--ttl", "3h"])).trim().to_owned();
    assert!((170..=182).contains(&minutes(&["renew", &ticket])), "its own time");
    assert!((290..=304).contains(&minutes(&["renew", &ticket, "--ttl", "5h"])));
    let ticket = ok(place.run(&["acquire", "short", "--ttl", "1m"])).trim().to_owned();
    assert!(minutes(&["renew", &ticket]) <= 1, "not longer than it was acquired for");
    // An older version's ticket has neither that time nor a checksum.
    let mut fields: Vec<_> = ticket.splitn(7, ':').collect();
    assert_eq!(fields.remove(5), "60000", "{ticket}");
    fields.remove(2);
    fields[1] = "1";
    assert!((25..=31).contains(&minutes(&["renew", &fields.join(":")])));
}

#[test]
fn ten_extensions_add_ten_times_what_was_asked_for() {
    let place = Place::new();
    let ticket = ok(place.run(&["acquire", "k", "--ttl", "10m"])).trim().to_owned();
    let mut seen = Value::Null;
    for _ in 0..10 {
        let told = ok(place.run(&["extend", &ticket, "--by", "10m", "--json"]));
        seen = serde_json::from_str(&told).expect("JSON");
    }
    let minutes = seen["remaining_ms"].as_u64().expect("held") / 60_000;
    assert!((105..=111).contains(&minutes), "{seen}");
}

#[test]
fn the_scripts_of_the_help_hold_the_lock_and_give_it_back() {
    let place = Place::new();
    let help = place.run(&["acquire", "--help"]).stdout;
    for lines in [SCRIPT, BY_VARIABLES] {
        let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
        assert!(help.contains(&indented), "{help}");
        let ended = script(&place, lines);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
        assert!(ended.stdout.starts_with("deploy: held until "), "{ended:?}");
        assert!(ended.stdout.ends_with("deploy: released\n"), "{ended:?}");
        let free = place.status("deploy");
        assert_eq!(free["state"], "free");
        assert!(free["fence"].is_u64(), "it was held: {free}");
        let ticket = ok(place.run(&["acquire", "deploy"]));
        // Without the lock, nothing of the rest is done.
        let busy = script(&place, &lines.replace("acquire deploy", "acquire -n deploy"));
        assert_eq!((busy.code, &*busy.stdout), (Some(75), ""), "{busy:?}");
        ok(place.run(&["release", ticket.trim()]));
    }
}

#[test]
fn the_json_of_a_lock_that_was_acquired() {
    let place = Place::new();
    let told = ok(place.run(&["acquire", "k", "--json", "--as", "me", "--ttl", "5m"]));
    let seen: Value = serde_json::from_str(&told).expect("JSON");
    conforms(TICKET, &seen);
    assert_eq!(
        (&seen["key"], &seen["label"], &seen["ttl_ms"]),
        (&"k".into(), &"me".into(), &300_000.into())
    );
    assert_eq!(seen["fence"], place.status("k")["fence"]);
    let ticket = seen["ticket"].as_str().expect("a text");
    // It is neither in the environment nor in the list of processes.
    let mut command = place.tenure(&["release", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{ticket}").expect("it reads");
    drop(stdin);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn a_holder_is_called_after_the_script_that_acquires() {
    let place = Place::new();
    std::fs::write(place.path("nightly.sh"), "\"$TENURE\" acquire k\n").expect("written");
    let mut command = place.command("/bin/sh");
    let ended = Running::of(command.arg("nightly.sh")).wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let label = place.status("k")["holders"][0]["label"].clone();
    let label = label.as_str().expect("a text");
    assert!(label.starts_with("nightly.sh (") && label.ends_with(", ticket)"), "{label}");
}

#[test]
fn wrong_use_is_answered_with_the_right_use() {
    let place = Place::new();
    let ticket = ok(place.run(&["acquire", "k"])).trim().to_owned();
    let damaged = &ticket[..ticket.len() - 2];
    for (words, says) in [
        (&["renew", "report"][..], "tenure force-release report takes it away"),
        (&["release"], "tenure release TICKET"),
        (&["check", damaged], "give the whole line"),
        (&["check", "tenure-ticket:2:x"], "give the whole line"),
        (&["release", ""], "TICKET: the ticket is empty: did tenure acquire fail?"),
        (&["extend", &ticket], "--by <DUR>|--to <DUR>"),
        (&["extend", &ticket, "--by", "1m", "--to", "1m"], "cannot be used with"),
        (&["renew", &ticket, "--ttl", "31d"], "a ttl of 31d is above the limit of 30 days"),
        (&["extend", &ticket, "--by", "40d"], "cannot extend \"k\""),
        (&["extend", &ticket, "--by", "40d"], ": a ttl of 40d"),
        (&["acquire", "k", "--ttl", "1ms"], "below the limit of 10ms"),
        (&["acquire", ""], "key"),
        (&["acquire", "other", "--store", "memory:"], "a store of one process"),
        (&["acquire", "k", "--json", "--shell"], "cannot be used with"),
        (&["acquire", "k", "-n", "--wait", "1s"], "cannot be used with"),
    ] {
        let ended = place.run(words);
        assert_eq!((ended.code, ended.signal), (Some(64), None), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(says), "{words:?}: {ended:?}");
        let owner = ticket.split(':').nth(7).expect("the owner");
        assert!(!ended.stderr.contains(owner), "a secret is shown: {ended:?}");
    }
    let mut within = place.tenure(&["run", "k2", "--", "sh", "-c", "\"$TENURE\" acquire k2"]);
    let within = Running::of(&mut within).wait();
    assert_eq!(within.code, Some(64), "{within:?}");
    assert!(within.stderr.contains("held by a command around this one"), "{within:?}");
    let short = ["acquire", "k3", "--store", "sqlite:a.db", "--store", "sqlite:b.db"];
    let quorum = [&short[..], &["--store", "sqlite:c.db"]].concat();
    let ended = place.run(&[&quorum[..], &["--ttl", "24h"]].concat());
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.stderr.contains("tenure renew --ttl"), "{ended:?}");
}

#[test]
fn a_ticket_that_was_cut_or_has_more_text_is_refused_and_not_lost() {
    let place = Place::new();
    let ticket = ok(place.run(&["acquire", "job:xb"])).trim().to_owned();
    let owner = ticket.split(':').nth(7).expect("the owner");
    let more = ["c", ".", ":", " and more", &ticket].map(|more| format!("{ticket}{more}"));
    let cuts = (0..ticket.len()).map(|cut| ticket[..cut].to_owned());
    let behind = (1..ticket.len()).map(|cut| ticket[cut..].to_owned());
    for text in cuts.chain(behind).chain(more) {
        let ended = place.run(&["check", "--", &text]);
        assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{text:?}: {ended:?}");
        let is_secret = ended.stderr.contains(owner) && text.matches(':').count() > 4;
        assert!(!is_secret, "a secret is shown: {ended:?}");
    }
    for verb in [&["renew"][..], &["extend", "--by", "1m"], &["release"]] {
        for text in [&ticket[..ticket.len() - 1], &format!("{ticket}c")] {
            let ended = place.run(&[verb, &[text]].concat());
            assert_eq!(ended.code, Some(64), "{verb:?}: {ended:?}");
            assert!(ended.stderr.contains("this ticket was cut"), "{ended:?}");
        }
    }
    for (before, behind) in [("", ""), (" ", "\n"), ("", "\r\n"), ("\t", " ")] {
        ok(place.run(&["check", &format!("{before}{ticket}{behind}")]));
    }
    // Blanks at the ends belong to the key.
    let ticket = ok(place.run(&["acquire", "a key "]));
    ok(place.run(&["check", &ticket]));
}

#[test]
fn a_quorum_and_a_store_that_is_away() {
    let place = Place::new();
    let nodes = ["--store", "sqlite:a.db", "--store", "sqlite:b.db", "--store", "sqlite:c.db"];
    let run = |words: &[&str]| place.run(&[words, &nodes].concat());
    let ticket = ok(run(&["acquire", "k", "--ttl", "20s"])).trim().to_owned();
    ok(run(&["renew", &ticket, "--ttl", "25s"]));
    assert_eq!(run(&["acquire", "-n", "k", "--ttl", "20s"]).code, Some(75));
    assert_eq!(ok(run(&["release", &ticket])), "k: released\n");
    assert_eq!(run(&["check", &ticket]).code, Some(79));
    let port = tenure_testkit::Port::take();
    let away = format!("redis://{}", port.address());
    for words in [&["acquire", "-n", "k"][..], &["renew", &ticket], &["release", &ticket]] {
        let ended = place.run(&[words, &["--store", &away]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(69), ""), "{ended:?}");
        assert!(ended.stderr.contains(&away), "{ended:?}");
    }
}

#[test]
fn a_default_ttl_is_cut_to_what_the_store_grants_and_only_a_typed_one_is_refused() {
    let place = Place::new();
    let nodes = ["a", "b", "c"].map(|node| format!("sqlite:{}", place.path(node).display()));
    let store = format!("quorum:{} ?max_ttl=20s", nodes.join(" "));
    let run = |words: &[&str]| place.run(&[words, &["--store", &store]].concat());
    let told: Value = serde_json::from_str(&ok(run(&["acquire", "k", "--json"]))).expect("JSON");
    assert_eq!(told["ttl_ms"], 19_595, "{told}");
    let ticket = told["ticket"].as_str().expect("a text");
    ok(run(&["renew", ticket]));
    // An older ticket does not say its time.
    let fields: Vec<_> = ticket.splitn(7, ':').collect();
    let older = format!("tenure-ticket:1:{}:{}:{}", fields[3], fields[4], fields[6]);
    ok(run(&["renew", &older]));
    let told = ok(run(&["hold", "held", "--while", "test ! -e end", "--every", "50ms", "--json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["ttl_ms"], 19_595, "{told}");
    std::fs::write(place.path("end"), "").expect("written");
    for verb in [&["acquire", "other"][..], &["hold", "other", "--while", "true"]] {
        let ended = run(&[verb, &["--ttl", "21s"]].concat());
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stderr.contains("--ttl 21s is above 19.5s"), "{ended:?}");
    }
    until("its end", || {
        let seen = run(&["status", "held", "--json"]);
        seen.stdout.contains(r#""state":"free""#).then_some(())
    });
}
