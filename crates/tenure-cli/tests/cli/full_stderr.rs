//! A stderr that takes nothing: a pipe whose reader does not read. It keeps no lock, stops no
//! signal and delays no end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;
use tenure_testkit::Flavour;

use crate::place::{Home, Place, Running, is_alive, parent_of, until};

/// A pipe that is full, and blocks who writes.
struct Full {
    reader: File,
    writer: File,
}

impl Full {
    fn new() -> Self {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let flags = fcntl_getfl(&writer).expect("flags");
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags");
        let (reader, mut writer) = (File::from(reader), File::from(writer));
        while writer.write(b".").is_ok() {}
        fcntl_setfl(&writer, flags).expect("flags");
        Self { reader, writer }
    }

    fn start(&self, place: &Place, words: &[&str]) -> Running {
        let writer = OwnedFd::from(self.writer.try_clone().expect("a descriptor"));
        Running::with_stderr(&mut place.tenure(words), writer.into())
    }

    /// The text that was written after the filling, once no process can write any more.
    fn read(self) -> String {
        drop(self.writer);
        let mut text = String::new();
        let mut reader = self.reader;
        reader.read_to_string(&mut text).expect("it can be read");
        text.trim_start_matches('.').into()
    }
}

const SLEEPS: [&str; 5] = ["k", "--", "sh", "-c", "echo $$ > pid; exec sleep 600"];

#[test]
fn a_full_stderr_does_not_keep_cmd_from_starting() {
    let place = Place::new();
    let full = Full::new();
    let running = full.start(&place, &["run", "-v", "k", "--", "sh", "-c", "exit 7"]);
    assert_eq!(running.wait().code, Some(7));
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn a_full_stderr_does_not_hold_a_signal_back() {
    let place = Place::new();
    let full = Full::new();
    let running = full.start(&place, &[&["run", "-v"], &SLEEPS[..]].concat());
    place.number_in("pid");
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(128 + 15));
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn a_full_stderr_does_not_keep_the_lock_after_max_hold() {
    let place = Place::new();
    let full = Full::new();
    // Time for CMD to write its number.
    let options = ["run", "--max-hold", "5s"];
    let running = full.start(&place, &[&options, &SLEEPS[..]].concat());
    let cmd = place.number_in("pid");
    assert_eq!(running.wait().code, Some(124));
    assert!(!is_alive(cmd));
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn a_full_stderr_does_not_let_cmd_go_on_when_the_key_is_gone() {
    let place = Place::at(Home::Server(Flavour::Redis));
    let full = Full::new();
    let options = ["run", "--ttl", "9s", "--kill-grace", "1s"];
    let running = full.start(&place, &[&options, &SLEEPS[..]].concat());
    let cmd = place.number_in("pid");
    place.delete("k");
    until("CMD is ended", || (!is_alive(cmd)).then_some(()));
    assert_eq!(running.wait().code, Some(79));
}

#[test]
fn a_full_stderr_does_not_keep_a_sentry_whose_tenure_was_killed() {
    let place = Place::new();
    let full = Full::new();
    let options = ["run", "--kill-grace", "100ms"];
    let running = full.start(&place, &[&options, &SLEEPS[..]].concat());
    let cmd = place.number_in("pid");
    let sentry = parent_of(cmd);
    running.signal(Signal::KILL);
    until("both are gone", || (!is_alive(cmd) && !is_alive(sentry)).then_some(()));
}

#[test]
fn what_was_said_to_a_full_stderr_comes_in_order_when_it_is_read() {
    let place = Place::new();
    let full = Full::new();
    let running = full.start(&place, &[&["run", "-v"], &SLEEPS[..]].concat());
    place.number_in("pid");
    let mut begin = [0; 40_000];
    (&full.reader).read_exact(&mut begin).expect("what filled it");
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(128 + 15));
    let text = full.read();
    let place_of = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?}: {text}"));
    assert!(place_of("\"k\" is held after ") < place_of("CMD runs as process"), "{text}");
    assert_eq!(text.matches("tenure: ").count(), text.lines().count(), "whole lines: {text}");
}
