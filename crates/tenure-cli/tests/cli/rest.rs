//! The processes that CMD leaves when it ends by itself: told, waited for, or ended.

use rustix::process::Signal;

use crate::place::{
    Home, Place, Stray, is_alive, lasts_longer_than, on_every_store, parent_of, until,
};

on_every_store! {
    the_lock_is_kept_and_renewed_until_all_have_ended
    the_rest_is_ended_before_the_lock_is_given_back
    a_lost_lock_ends_the_rest_that_is_waited_for
}

/// Leaves a process in CMD's group and one in a session of its own, whose parent has ended.
const TWO: &str = "\
    sleep 600 >/dev/null 2>&1 & echo $! > first
    (setsid sh -c 'echo $$ > second; exec sleep 600' >/dev/null 2>&1 &)
    until [ -s second ]; do sleep 0.01; done
    exit 3";

/// CMD has ended, and the two are there. They end with the test.
fn two(place: &Place) -> [Stray; 2] {
    ["first", "second"].map(|name| Stray(place.number_in(name)))
}

fn end(stray: &Stray) {
    crate::place::signal(stray.0, Signal::KILL);
}

#[test]
fn it_is_said_what_goes_on_without_the_lock() {
    for on_lost in ["kill", "ignore"] {
        let place = Place::new();
        let words = ["run", "--on-lost", on_lost, "k", "--", "sh", "-c", TWO];
        let ended = place.run(&words);
        let left = two(&place);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let begin = "tenure: CMD has ended and left 2 processes running: ";
        assert!(ended.stderr.starts_with(begin), "{ended:?}");
        let rest = "; they are not under the lock any more (--wait-all waits for them, --kill-rest \
                    ends them)\n";
        assert!(ended.stderr.ends_with(rest), "{ended:?}");
        for Stray(number) in &left {
            assert!(ended.stderr.contains(&format!("{number} (sleep)")), "{ended:?}");
            assert!(is_alive(*number), "{number}");
        }
        assert_eq!(place.status("k")["state"], "free");
        let quiet = place.run(&["run", "-q", "k", "--", "sh", "-c", TWO]);
        let _left = two(&place);
        assert_eq!((quiet.code, &*quiet.stderr), (Some(3), ""), "{quiet:?}");
    }
}

#[test]
fn a_candidate_is_not_told_of_options_that_it_does_not_have() {
    let place = Place::new();
    let script = "sleep 600 >/dev/null 2>&1 & echo $! > first";
    let ended = place.run(&["elect", "k", "--", "sh", "-c", script]);
    let left = Stray(place.number_in("first"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told =
        format!("1 process running: {} (sleep); it is not under the lock any more\n", left.0);
    assert!(ended.stderr.ends_with(&told), "{told}: {ended:?}");
}

#[test]
fn nothing_is_said_of_processes_that_have_ended() {
    let place = Place::new();
    let script = "true & (true &) & wait; seq 99 | tail -1";
    for option in [&[][..], &["--wait-all"], &["--kill-rest"]] {
        let ended = place.run(&[&["run"], option, &["k", "--", "sh", "-c", script]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(0), "99\n"), "{ended:?}");
    }
    let ended = place.run(&["run", "--wait-all", "k", "--", "true"]);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
}

fn the_lock_is_kept_and_renewed_until_all_have_ended(home: Home) {
    for on_lost in ["kill", "ignore"] {
        let place = Place::at(home);
        let options = ["--wait-all", "--ttl", "9s", "--on-lost", on_lost, "--report", "report"];
        let words = [&["run"], &options[..], &["k", "--", "sh", "-c", TWO]].concat();
        let mut running = place.start(&words);
        let told = running.stderr_line();
        let [first, second] = two(&place);
        assert!(told.ends_with("; the lock is kept until they have ended\n"), "{told}");
        let fence = place.status("k")["holders"][0]["fence"].clone();
        until("it is renewed", || {
            lasts_longer_than(9_500, &place.status("k")["holders"][0]).then_some(())
        });
        end(&first);
        until("it has ended", || (!is_alive(first.0)).then_some(()));
        let seen = place.status("k");
        assert_eq!(seen["holders"][0]["fence"], fence, "{seen}");
        end(&second);
        let ended = running.wait();
        assert_eq!((ended.code, &*ended.stderr), (Some(3), &*told), "{ended:?}");
        assert_eq!(place.status("k")["state"], "free");
        let report = place.report("report");
        assert_eq!((&report["outcome"], &report["code"]), (&"ended".into(), &3.into()));
        assert!(report["held_ms"].as_u64() >= Some(2_500), "{report}");
    }
}

fn the_rest_is_ended_before_the_lock_is_given_back(home: Home) {
    // One looks at the lock when it is told to end, and one does not follow.
    let looks = "trap \"\\\"$TENURE\\\" status k > seen; exit\" TERM";
    let deaf = "trap \"\" TERM";
    for (trap, grace) in [(looks, "60s"), (deaf, "200ms")] {
        for on_lost in ["kill", "ignore"] {
            let place = Place::at(home);
            let options =
                ["--ttl", "10m", "--kill-rest", "--on-lost", on_lost, "--kill-grace", grace];
            let script = format!(
                "\
                sh -c '{trap}; echo $$ > first; while :; do sleep 0.01; done' >/dev/null 2>&1 &
                (setsid sh -c 'echo $$ > second; exec sleep 600' >/dev/null 2>&1 &)
                until [ -s first ] && [ -s second ]; do sleep 0.01; done
                exit 3"
            );
            let words = [&["run"], &options[..], &["k", "--", "sh", "-c", &script]].concat();
            let ended = place.run(&words);
            let left = two(&place);
            assert_eq!(ended.code, Some(3), "{ended:?}");
            assert!(ended.stderr.starts_with("tenure: CMD has ended and left "), "{ended:?}");
            assert!(ended.stderr.ends_with("; ending them\n"), "{ended:?}");
            assert!(left.iter().all(|Stray(number)| !is_alive(*number)), "{ended:?}");
            if trap == looks {
                let seen = place.read("seen");
                assert!(seen.starts_with("k: held, "), "{seen}");
            }
            assert_eq!(place.status("k")["state"], "free");
        }
    }
}

fn a_lost_lock_ends_the_rest_that_is_waited_for(home: Home) {
    let place = Place::at(home);
    let words = ["run", "--wait-all", "--ttl", "9s", "k", "--", "sh", "-c", TWO];
    let mut running = place.start(&words);
    running.stderr_line();
    let left = two(&place);
    let stolen = place.run(&["run", "--steal", "k", "--", "true"]);
    assert_eq!(stolen.code, Some(0), "{stolen:?}");
    let ended = running.wait();
    assert_eq!(ended.code, Some(79), "{ended:?}");
    assert!(left.iter().all(|Stray(number)| !is_alive(*number)), "{ended:?}");
}

#[test]
fn a_signal_reaches_the_rest_that_is_waited_for() {
    let place = Place::new();
    let mut running = place.start(&["run", "--wait-all", "k", "--", "sh", "-c", TWO]);
    running.stderr_line();
    let left = two(&place);
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(3), "the code is that of CMD");
    assert!(left.iter().all(|Stray(number)| !is_alive(*number)));
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn max_hold_counts_for_the_rest_that_is_waited_for() {
    let place = Place::new();
    // Time for CMD to leave both.
    let options = ["--wait-all", "--max-hold", "5s"];
    let ended = place.run(&[&["run"], &options[..], &["k", "--", "sh", "-c", TWO]].concat());
    let left = two(&place);
    assert_eq!(ended.code, Some(124), "{ended:?}");
    assert!(left.iter().all(|Stray(number)| !is_alive(*number)), "{ended:?}");
}

/// The sentry ends the rest when `tenure` is killed.
#[test]
fn the_rest_that_is_waited_for_does_not_outlive_tenure() {
    let place = Place::new();
    let mut running = place.start(&["run", "--wait-all", "k", "--", "sh", "-c", TWO]);
    running.stderr_line();
    let left = two(&place);
    assert_ne!(parent_of(left[1].0), running.pid(), "the sentry has adopted it");
    running.signal(Signal::KILL);
    until("both are gone", || (!left.iter().any(|s| is_alive(s.0))).then_some(()));
}
