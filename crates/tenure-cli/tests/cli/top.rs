//! `tenure top` on a terminal, with real holders behind it.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::Signal;
use tenure_testkit::{Flavour, Server};

use crate::full_screen::FullScreen;
use crate::place::{Home, PATIENCE, Place, Running, on_every_store, until};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);

/// The option that lets a test see changes soon.
const SOON: [&str; 2] = ["--interval", "100ms"];

fn top(place: &Place, size: (u16, u16)) -> FullScreen {
    FullScreen::open(place, size, &["top", "--store-timeout", "60s", SOON[0], SOON[1]])
}

/// A run that holds a key until it is ended, and the fence of its grant.
fn holder(place: &Place, words: &[&str]) -> (Running, String) {
    let words = [&["run", "--label", "web (ada@far.test, pid 77)"], words].concat();
    let running = place.start(&[&words, &["--", "sleep", "600"][..]].concat());
    let key = words.last().expect("a key");
    let fence = until("it holds", || {
        let seen = place.status(key);
        let holders = seen["holders"].as_array()?;
        holders.first().map(|holder| holder["fence"].to_string())
    });
    (running, fence)
}

fn holders(place: &Place, key: &str) -> usize {
    place.status(key)["holders"].as_array().expect("a list").len()
}

on_every_store! {
    a_held_lock_is_shown_with_its_holder_and_fence
    force_release_takes_the_lock_only_after_y
}

fn a_held_lock_is_shown_with_its_holder_and_fence(home: Home) {
    for size in [SMALL, LARGE] {
        let place = Place::at(home);
        let (held, fence) = holder(&place, &["deploy"]);
        let (_shared, shares) = holder(&place, &["--permits", "3", "encode"]);
        let mut screen = top(&place, size);
        screen.line_with(&["KEY", "KIND", "HOLDER", "HOST", "PID", "FENCE", "LEFT", "WAIT"]);
        screen.line_with(&["deploy", "mutex", "web", "far", " 77 ", &fence, "s █"]);
        screen.line_with(&["encode", "sem 1/3", "web", &shares]);
        screen.line_with(&[" 2 keys  2 held  0 waiting"]);
        // The hints are in the last line.
        let lines = screen.look(|screen| screen.rows(0, size.0).collect::<Vec<_>>());
        assert_eq!(lines.len(), usize::from(size.1));
        assert!(lines[lines.len() - 1].starts_with(" q quit"), "{lines:?}");
        held.signal(Signal::TERM);
        held.wait();
        screen.line_with(&[" 1 key  1 held"]);
        screen.keys("q");
        assert_eq!(screen.end().code(), Some(0));
        screen.is_given_back_at_the_end();
    }
}

fn force_release_takes_the_lock_only_after_y(home: Home) {
    let place = Place::at(home);
    let (_held, fence) = holder(&place, &["deploy"]);
    let mut screen = top(&place, SMALL);
    screen.line_with(&["deploy", &fence]);
    for no in ["n", "\r", "q", "\x1b"] {
        screen.keys("f");
        screen.line_with(&["Release deploy by force?"]);
        screen.line_with(&["web (ada@far.test, pid 77)", &fence]);
        screen.keys(no);
        screen.without("by force?");
    }
    screen.line_with(&["nothing was released"]);
    assert_eq!(holders(&place, "deploy"), 1);
    screen.keys("f");
    screen.line_with(&["y: release it"]);
    screen.keys("y");
    screen.line_with(&["deploy was released by force", &fence]);
    assert_eq!(holders(&place, "deploy"), 0);
    screen.line_with(&[" 0 keys"]);
    screen.keys("q");
    screen.end();
}

#[test]
fn another_holder_than_the_one_shown_keeps_its_lock() {
    let place = Place::new();
    let (first, fence) = holder(&place, &["deploy"]);
    // One look, and none for a long time: the screen does not know of the second holder.
    let mut screen = FullScreen::open(&place, SMALL, &["top", "--interval", "1h"]);
    screen.line_with(&["deploy", &fence]);
    first.signal(Signal::TERM);
    first.wait();
    until("it is free", || (holders(&place, "deploy") == 0).then_some(()));
    let (_second, other) = holder(&place, &["deploy"]);
    screen.keys("f");
    screen.line_with(&["held by", &fence]);
    screen.keys("y");
    screen.line_with(&["deploy was not released"]);
    screen.line_with(&[&other]);
    assert_eq!(holders(&place, "deploy"), 1);
}

#[test]
fn filter_sort_reverse_details_and_help() {
    let place = Place::new();
    let _runs = ["alpha", "beta", "gamma"].map(|key| holder(&place, &[key]).0);
    let waiter = place.start(&["run", "--label", "patient", "beta", "--", "true"]);
    let mut screen = top(&place, SMALL);
    let first = |screen: &FullScreen, key: &str| {
        let is_first = |text: &str| {
            let mut rows = text.lines().skip_while(|line| !line.contains("HOLDER"));
            rows.nth(1).is_some_and(|line| line[1..].starts_with(key))
        };
        let what = || format!("{key} is first:\n{}", screen.text());
        screen.wait(what, |screen| is_first(&screen.contents()).then_some(()));
    };
    screen.line_with(&[" 3 keys  3 held  1 waiting"]);
    first(&screen, "alpha");
    screen.line_with(&["KEY▲"]);
    screen.keys("r");
    screen.line_with(&["KEY▼"]);
    first(&screen, "gamma");
    screen.keys("sssssss");
    screen.line_with(&["WAIT▲"]);
    first(&screen, "beta");
    // The selection is still on alpha.
    screen.line_with(&[">alpha"]);
    screen.keys("/bet");
    screen.line_with(&[" 3 keys  1 shown by /bet"]);
    screen.line_with(&[">beta"]);
    screen.without("gamma");
    screen.keys("x");
    screen.line_with(&["no key passes the filter"]);
    screen.keys("\x7f\r\r");
    screen.line_with(&["DETAILS"]);
    screen.line_with(&["waiting: patient for"]);
    screen.keys("\x1b");
    screen.without("DETAILS");
    screen.keys("\x1b");
    screen.line_with(&["gamma"]);
    screen.keys("?");
    screen.line_with(&["release by force: shows the holder and asks"]);
    screen.keys("?");
    screen.without("shows the holder and asks");
    drop(waiter);
    screen.keys("\x03");
    assert_eq!(screen.end().code(), Some(0));
}

#[test]
fn a_holder_whose_process_is_gone_is_marked() {
    let place = Place::new();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let label = format!("gone (ada@{host}, pid 4194305)");
    let words = ["run", "--label", &label, "k", "--", "sleep", "600"];
    let _held = place.start(&words);
    let mut screen = top(&place, SMALL);
    screen.line_with(&["gone", "4194305 dead"]);
    screen.keys("f");
    screen.line_with(&["process is gone"]);
}

/// It was marked as dead as soon as its script had ended.
#[test]
fn a_ticket_outlives_its_script_and_is_not_marked() {
    let place = Place::new();
    let ended = place.sh("line=$(\"$TENURE\" acquire review)");
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    let mut screen = top(&place, SMALL);
    screen.line_with(&[">review", "mutex", "ticket"]);
    let is_marked = |screen: &FullScreen, word: &str| {
        screen.look(|screen| screen.rows(0, SMALL.0).any(|line| line.contains(word)))
    };
    assert!(!is_marked(&screen, "dead"));
    screen.keys("\r");
    screen.line_with(&["held by ", ", ticket) for"]);
    assert!(!is_marked(&screen, " is gone"));
    screen.keys("\x1b");
    screen.without("DETAILS");
    screen.keys("f");
    screen.line_with(&["Release review by force?"]);
    assert!(!is_marked(&screen, "process is gone"));
}

#[test]
fn a_resize_draws_anew_and_a_small_terminal_is_said() {
    let place = Place::new();
    let (_held, fence) = holder(&place, &["deploy"]);
    let screen = top(&place, SMALL);
    screen.line_with(&["deploy", &fence]);
    screen.resize((40, 8));
    screen.line_with(&["this terminal has 40 x 8"]);
    screen.without("deploy");
    screen.resize(LARGE);
    screen.line_with(&["deploy", "far.test", &fence, &"█".repeat(15)]);
    let last = screen.look(|screen| screen.rows(0, 200).last());
    assert!(last.expect("lines").starts_with(" q quit"));
}

#[test]
fn no_colour_where_none_is_wanted() {
    let place = Place::new();
    let (_held, fence) = holder(&place, &["deploy"]);
    let term = ("TERM", "xterm-256color");
    let words = ["top", SOON[0], SOON[1]];
    let plain = [&words[..], &["--no-color"]].concat();
    for (words, env, has_colours) in [
        (&words[..], &[term][..], true),
        (&words, &[term, ("NO_COLOR", "1")], false),
        (&plain, &[term], false),
        (&words, &[("TERM", "dumb")], false),
    ] {
        let mut screen = FullScreen::with(&place, SMALL, words, env);
        screen.line_with(&[">deploy", "web", &fence]);
        screen.keys("?");
        screen.line_with(&["quit"]);
        screen.keys("qq");
        screen.end();
        let colours = colours(&screen.bytes());
        assert_eq!(!colours.is_empty(), has_colours, "{words:?} {env:?}: {colours:?}");
    }
}

/// The colours that a text asks a terminal for, as the numbers of their escapes.
fn colours(bytes: &[u8]) -> HashSet<u32> {
    let text = String::from_utf8_lossy(bytes);
    let styles = text.split("\x1b[").skip(1).filter_map(|part| {
        let (numbers, _) = part.split_once('m')?;
        numbers.bytes().all(|b| b.is_ascii_digit() || b == b';').then(|| numbers.to_owned())
    });
    let numbers = styles.flat_map(|style| {
        style.split(';').filter_map(|number| number.parse().ok()).collect::<Vec<u32>>()
    });
    // 39 and 49 take colours away.
    let is_colour = |n: &u32| matches!(n, 30..=38 | 40..=48 | 90..=107);
    numbers.filter(is_colour).collect()
}

#[test]
fn no_terminal_no_screen() {
    let place = Place::new();
    let ended = place.run(&["top"]);
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.stderr.contains("tenure list --json"), "{}", ended.stderr);
    let mut screen = FullScreen::open(&place, SMALL, &["top", "--interval", "1ms"]);
    assert_eq!(screen.end().code(), Some(64));
    screen.line_with(&["--interval 1ms is not within 100ms and 1h"]);
}

#[test]
fn a_store_that_fails_is_said_with_the_time_and_the_rows_stay() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let place = Place::new();
        let url = format!("{}?call_timeout=4s", server.url());
        let _held = Running::of(
            place
                .command(crate::place::TENURE)
                .env_remove("TENURE_STORE_FILE")
                .args(["run", "--ttl", "1h", "--store", &url, "deploy", "--", "sleep", "600"]),
        );
        let words = ["top", "--store", &url, "--store-timeout", "4s", SOON[0], SOON[1]];
        let mut screen = FullScreen::with(&place, SMALL, &words, &[("TERM", "xterm")]);
        screen.line_with(&["deploy", "sleep"]);
        server.stop();
        screen.line_with(&["stale since", "UTC ("]);
        screen.line_with(&["deploy", "sleep"]);
        // The keyboard does not wait for the store.
        screen.keys("?");
        screen.line_with(&["this help"]);
        screen.keys("?");
        server.cont();
        screen.without("stale since");
        screen.without("has not answered");
        screen.line_with(&["deploy", "sleep"]);
        screen.keys("q");
        assert_eq!(screen.end().code(), Some(0), "{flavour}");
    }
}

#[test]
fn a_store_that_is_not_there_is_an_error_before_the_screen() {
    let place = Place::new();
    let port = tenure_testkit::Port::take();
    let url = format!("redis://{}", port.address());
    let words = ["top", "--store", &url, "--store-timeout", "300ms"];
    let mut screen = FullScreen::open(&place, SMALL, &words);
    assert_eq!(screen.end().code(), Some(69));
    screen.line_with(&["tenure: "]);
    assert!(!String::from_utf8_lossy(&screen.bytes()).contains("\x1b[?1049h"));
}

#[test]
fn signals_give_the_terminal_back() {
    let place = Place::new();
    for (number, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let mut screen = top(&place, SMALL);
        screen.line_with(&["no key is held"]);
        assert!(!screen.is_given_back());
        screen.signal(number);
        assert_eq!(screen.end().code(), Some(code));
        screen.is_given_back_at_the_end();
    }
}

#[test]
fn a_stop_and_a_continue_from_outside_draw_anew() {
    let place = Place::new();
    let mut screen = top(&place, SMALL);
    screen.line_with(&["no key is held"]);
    screen.signal(Signal::STOP);
    until("it is stopped", || screen.is_stopped().then_some(()));
    let (_held, _) = holder(&place, &["deploy"]);
    screen.signal(Signal::CONT);
    screen.line_with(&["deploy"]);
    screen.keys("q");
    assert_eq!(screen.end().code(), Some(0));
    screen.is_given_back_at_the_end();
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_draws_anew() {
    let place = Place::new();
    let (_held, fence) = holder(&place, &["deploy"]);
    let mut screen = crate::screen::Screen::open(&place);
    screen.command("export TERM=xterm; stty rows 24 cols 80");
    for round in 1..3 {
        screen.keys(if round == 1 { "$TENURE top --interval 100ms\n" } else { "fg\n" });
        screen.expect("\x1b[?1049h");
        screen.expect(&fence);
        assert!(screen.is_raw());
        screen.keys("\x1a");
        screen.expect("\x1b[?1049l");
        screen.expect("Stopped");
        screen.expect("@@ ");
        assert!(!screen.is_raw() || screen.command("echo shell") == "shell\n");
        // In the background it does not touch the terminal.
        screen.command("bg");
        until("it is stopped again", || {
            let jobs = screen.command("jobs");
            jobs.contains("Stopped").then_some(())
        });
    }
    screen.keys("fg\n");
    screen.expect(&fence);
    screen.keys("q");
    assert_eq!(screen.status(), "status=0\n");
}

/// A terminal that takes nothing: its emulator hangs, or a slow line is full.
#[test]
fn a_terminal_that_takes_nothing_does_not_hold_up_a_signal() {
    let place = Place::new();
    let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
    pty.resize(pty_process::Size::new(500, 500)).expect("it has a size");
    tenure_testkit::clean_signals();
    let mut child = pty_process::blocking::Command::new(crate::place::TENURE)
        .args(["top", SOON[0], SOON[1]])
        .env("TENURE_STORE", place.url())
        .env("TERM", "xterm")
        .spawn(pts)
        .expect("it starts");
    let pid = i32::try_from(child.id()).expect("a process number");
    let thread_waits = |name: &str| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        tasks.flatten().find_map(|task| {
            let read = |file| std::fs::read_to_string(task.path().join(file)).ok();
            let is_it = read("comm")?.trim() == name;
            // Number 1 is the system call that writes.
            is_it.then(|| read("syscall"))??.starts_with("1 ").then_some(())
        })
    };
    let mut columns = 500;
    until("the screen's thread writes and waits", || {
        // Each new size makes it draw all of its frame.
        columns = 999 - columns;
        pty.resize(pty_process::Size::new(500, columns)).expect("it has a size");
        thread_waits("tenure-screen")
    });
    crate::place::signal(pid, Signal::TERM);
    let ended = until("it ends", || child.try_wait().expect("it is our child"));
    assert_eq!(ended.code(), Some(143));
}

/// Ten thousand keys that are held as long as the value lives.
fn ten_thousand(url: &str) -> (tenure::Locks, Vec<tenure::Guard>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let options = tenure::LocksOptions::default().with_store_timeout(PATIENCE);
        let url = format!("{url}?connect_timeout=60s&call_timeout=60s");
        let locks = tenure::connect_with(&url, options).await.expect("the server is there");
        let mut guards = Vec::new();
        for number in 0..10_000 {
            let lock = locks.mutex(format!("job:{number:05}"));
            let lock = lock.with_ttl(Duration::from_secs(3600));
            guards.push(lock.acquire().await.expect("the key is free"));
        }
        (locks, guards)
    })
}

#[test]
fn ten_thousand_locks_on_each_server() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let place = Place::new();
        let url = server.url();
        let _locks = ten_thousand(&url);
        let words = ["top", "--store", &url, SOON[0], SOON[1]];
        let mut screen = FullScreen::with(&place, SMALL, &words, &[("TERM", "xterm")]);
        screen.line_with(&["job:00000"]);
        // While it reads for the first time: each key is answered.
        for (keys, row) in [("j", ">job:00001"), ("\x1b[6~", ">job:"), ("\x1b[H", ">job:00000")] {
            screen.keys(keys);
            screen.line_with(&[row]);
        }
        screen.line_with(&[" 10000 keys"]);
        screen.keys("G");
        screen.line_with(&[">job:09999"]);
        screen.keys("/00500");
        screen.line_with(&["10000 keys  1 shown by /00500"]);
        screen.line_with(&[">job:00500"]);
        screen.keys("\x1b");
        screen.without("shown by");
        screen.keys("\x1b[H");
        screen.line_with(&[">job:00000"]);
        // The server answers no more: the keyboard goes on.
        server.stop();
        screen.line_with(&["stale since"]);
        for n in 1..200 {
            screen.keys("j");
            screen.line_with(&[&format!(">job:{n:05}")]);
        }
        server.cont();
        screen.without("stale since");
        screen.keys("q");
        assert_eq!(screen.end().code(), Some(0), "{flavour}");
    }
}

#[test]
fn the_header_says_what_hinders_the_store_also_without_a_key() {
    for flavour in Flavour::ALL {
        let primary = Server::of(flavour).start();
        let replica = Server::of(flavour).with_primary(&primary).start();
        let guarded = format!("{}?restart_guard=5m", primary.url());
        let place = Place::new();
        for (url, told) in [
            (replica.url(), "this server is a replica of"),
            (guarded, "nothing new is granted until"),
        ] {
            let words = ["top", "--store", &url, SOON[0], SOON[1]];
            let mut screen = FullScreen::with(&place, SMALL, &words, &[("TERM", "xterm")]);
            screen.line_with(&[told]);
            screen.line_with(&["no key is held"]);
            screen.keys("q");
            assert_eq!(screen.end().code(), Some(0));
        }
    }
}

#[test]
fn a_look_at_a_file_that_is_not_there_makes_none() {
    let place = Place::new();
    let mut screen = top(&place, SMALL);
    screen.line_with(&["does not exist, so nothing is locked there"]);
    assert!(!std::path::Path::new(&place.store()).exists());
    let (_held, fence) = holder(&place, &["deploy"]);
    screen.line_with(&["deploy", &fence]);
    screen.without("does not exist");
    screen.keys("q");
    assert_eq!(screen.end().code(), Some(0));
}

#[test]
fn escape_goes_back_from_each_overlay_and_quits_from_the_table_alone() {
    let place = Place::new();
    let _runs = ["alpha", "beta"].map(|key| holder(&place, &[key]).0);
    let mut screen = top(&place, SMALL);
    screen.line_with(&[" 2 keys"]);
    screen.keys("/alp\r");
    screen.line_with(&["1 shown by /alp"]);
    // In front of the details, which stay: each is closed by the first Esc.
    screen.keys("\r");
    for (open, shows) in
        [("f", "Release alpha by force?"), ("?", "release by force: shows the holder and asks")]
    {
        screen.line_with(&["DETAILS"]);
        screen.keys(open);
        screen.line_with(&[shows]);
        screen.keys("\x1b");
        screen.without(shows);
    }
    screen.line_with(&["DETAILS"]);
    screen.keys("\x1b");
    screen.without("DETAILS");
    screen.line_with(&["1 shown by /alp"]);
    screen.keys("\x1b");
    screen.without("shown by");
    // While a filter is typed, it is the filter alone that ends.
    screen.keys("\r/be");
    screen.line_with(&["1 shown by /be"]);
    screen.keys("\x1b");
    screen.without("shown by");
    screen.line_with(&["DETAILS"]);
    screen.keys("\x1b");
    screen.without("DETAILS");
    assert_eq!(holders(&place, "alpha"), 1);
    screen.keys("\x1b");
    assert_eq!(screen.end().code(), Some(0));
    screen.is_given_back_at_the_end();
}
