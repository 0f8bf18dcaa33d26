//! Signals to `tenure` alone, to all processes of a service, and to those of some name.

use std::fs;

use rustix::process::Signal;

use crate::place::{Place, Running, is_alive, parent_of, signal, until};

/// A CMD that notes SIGTERM and SIGUSR1, and goes on. Its child does the same.
const NOTES: &str = "import os, signal, time\n\
    name = 'child' if os.fork() == 0 else 'cmd'\n\
    def note(number, _):\n\
    \x20   with open(name, 'a') as file: file.write(f'{number} ')\n\
    signal.signal(signal.SIGTERM, note)\n\
    signal.signal(signal.SIGUSR1, note)\n\
    with open(name + '-pid', 'w') as file: file.write(f'{os.getpid()}\\n')\n\
    while True: time.sleep(600)\n";

/// The processes of a service.
struct Service {
    place: Place,
    tenure: Running,
    sentry: i32,
    cmd: i32,
    child: i32,
}

/// CMD's sentry, when it listens to signals.
fn sentry_of(cmd: i32) -> i32 {
    let sentry = parent_of(cmd);
    until("the sentry listens", || {
        let status = fs::read_to_string(format!("/proc/{sentry}/status")).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
        let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
        (mask & (1 << (Signal::TERM.as_raw() - 1)) != 0).then_some(())
    });
    sentry
}

impl Service {
    fn start() -> Self {
        let place = Place::new();
        let tenure = place.start(&["run", "k", "--", "python3", "-c", NOTES]);
        let (cmd, child) = (place.number_in("cmd-pid"), place.number_in("child-pid"));
        Self { sentry: sentry_of(cmd), place, tenure, cmd, child }
    }

    /// How often CMD and its child have noted a signal.
    fn count(&self, number: &str) -> (usize, usize) {
        let count = |name: &str| {
            let noted = self.place.read(name);
            noted.split(' ').filter(|word| *word == number).count()
        };
        (count("cmd"), count("child"))
    }

    /// How often they have noted SIGTERM, when all that was on its way has come: SIGUSR1 goes the
    /// same way. It comes twice, since of two signals at a time the smaller number goes first.
    fn sigterms(&self) -> (usize, usize) {
        for _ in 0..2 {
            let (before, _) = self.count("10");
            self.tenure.signal(Signal::USR1);
            let now = (before + 1, before + 1);
            until("both have SIGUSR1", || (self.count("10") == now).then_some(()));
        }
        self.count("15")
    }
}

#[test]
fn sigterm_to_every_process_at_once_comes_once() {
    let service = Service::start();
    for process in [service.sentry, service.cmd, service.child, service.tenure.pid()] {
        signal(process, Signal::TERM);
    }
    assert_eq!(service.sigterms(), (1, 1));
    // A later signal is a signal of its own, and so is a second one to all.
    service.tenure.signal(Signal::TERM);
    assert_eq!(service.sigterms(), (2, 2));
}

#[test]
fn the_sentry_may_be_the_last_to_hear_of_it() {
    let service = Service::start();
    signal(service.sentry, Signal::STOP);
    // It is stopped, so it hears of it last. It has the signal before `tenure` has it, which
    // continues a sentry that does not answer for 2 s.
    for process in [service.sentry, service.tenure.pid(), service.cmd, service.child] {
        signal(process, Signal::TERM);
    }
    until("both have it", || (service.count("15") == (1, 1)).then_some(()));
    signal(service.sentry, Signal::CONT);
    assert_eq!(service.sigterms(), (1, 1));
}

#[test]
fn killall_does_not_reach_cmd_so_its_signal_is_passed_on() {
    let service = Service::start();
    // From a process that is no ancestor, to the two that are called tenure.
    let script = format!("kill -TERM {} {}", service.tenure.pid(), service.sentry);
    assert_eq!(service.place.sh(&script).code, Some(0));
    assert_eq!(service.sigterms(), (1, 1));
}

#[test]
fn a_cmd_that_would_be_dead_of_a_signal_gets_it() {
    let place = Place::new();
    let tenure = place.start(&["run", "k", "--", "sh", "-c", "echo $$ > pid; exec sleep 600"]);
    let cmd = place.number_in("pid");
    signal(sentry_of(cmd), Signal::TERM);
    tenure.signal(Signal::TERM);
    let ended = tenure.wait();
    assert_eq!(ended.code, Some(128 + 15), "{ended:?}");
    assert!(!is_alive(cmd));
}

#[test]
fn a_repeated_signal_is_passed_on_at_last() {
    let service = Service::start();
    // From us, an ancestor: a service manager would have told CMD as well.
    for count in [0, 1] {
        signal(service.sentry, Signal::TERM);
        service.tenure.signal(Signal::TERM);
        assert_eq!(service.sigterms(), (count, count));
    }
}
