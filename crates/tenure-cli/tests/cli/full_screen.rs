//! A program on a terminal of its own, and the screen as a terminal emulator shows it.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use rustix::termios::LocalModes;
use tenure_testkit::{clean_environment, clean_signals};

use crate::place::{Place, TENURE, signal, state_of, until};
use crate::screen::pts_of;

/// The terminal, and `tenure` on it.
pub(crate) struct FullScreen {
    keys: pty_process::blocking::Pty,
    line: OwnedFd,
    shown: Arc<Mutex<Shown>>,
    child: Child,
}

/// All that the program wrote, and what the terminal made of it.
struct Shown {
    bytes: Vec<u8>,
    emulator: vt100::Parser,
}

impl FullScreen {
    /// Starts `tenure` with these words on a terminal of so many columns and lines.
    pub(crate) fn open(place: &Place, size: (u16, u16), words: &[&str]) -> Self {
        Self::with(place, size, words, &[("TERM", "xterm-256color")])
    }

    /// The same, with more variables.
    pub(crate) fn with(
        place: &Place,
        (columns, lines): (u16, u16),
        words: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(pty_process::Size::new(lines, columns)).expect("it has a size");
        let line = pts_of(&pty);
        clean_signals();
        let child = pty_process::blocking::Command::new(TENURE)
            .args(words)
            .env_clear()
            .envs(clean_environment())
            .env("HOME", place.path(""))
            .env("TENURE_STORE", place.store_url())
            .envs(env.iter().copied())
            .current_dir(place.path(""))
            .spawn(pts)
            .expect("tenure starts");
        let emulator = vt100::Parser::new(cells(lines), cells(columns), 0);
        let shown = Arc::new(Mutex::new(Shown { bytes: vec![], emulator }));
        let (shared, master) = (Arc::clone(&shown), pty.as_fd().try_clone_to_owned());
        let mut master = std::fs::File::from(master.expect("a descriptor"));
        std::thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while let Ok(count @ 1..) = master.read(&mut bytes) {
                let mut shown = shared.lock().expect("nobody panics with it");
                shown.bytes.extend(&bytes[..count]);
                shown.emulator.process(&bytes[..count]);
            }
        });
        Self { keys: pty, line, shown, child }
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is open");
    }

    /// The text on the screen.
    pub(crate) fn text(&self) -> String {
        self.look(vt100::Screen::contents)
    }

    /// A look at the emulator's screen.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.shown.lock().expect("nobody panics with it").emulator.screen())
    }

    /// All bytes that the program wrote.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.shown.lock().expect("nobody panics with it").bytes.clone()
    }

    /// Waits until a line of the screen has all of these parts, and gives it.
    pub(crate) fn line_with(&self, parts: &[&str]) -> String {
        let found = |text: &str| {
            let line = text.lines().find(|line| parts.iter().all(|part| line.contains(part)));
            line.map(str::to_owned)
        };
        let what = || format!("a line with {parts:?} in:\n{}", self.text());
        self.wait(what, |screen| found(&screen.contents()))
    }

    /// Waits until the screen has none of this.
    pub(crate) fn without(&self, part: &str) {
        let what = || format!("no {part:?} in:\n{}", self.text());
        self.wait(what, |screen| (!screen.contents().contains(part)).then_some(()));
    }

    /// Waits until a look gives something.
    pub(crate) fn wait<T>(
        &self,
        what: impl Fn() -> String,
        look: impl Fn(&vt100::Screen) -> Option<T>,
    ) -> T {
        let limit = std::time::Instant::now() + crate::place::PATIENCE;
        loop {
            if let Some(found) = self.look(&look) {
                return found;
            }
            assert!(std::time::Instant::now() < limit, "{}", what());
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
    }

    pub(crate) fn resize(&self, (columns, lines): (u16, u16)) {
        let mut shown = self.shown.lock().expect("nobody panics with it");
        shown.emulator.set_size(cells(lines), cells(columns));
        self.keys.resize(pty_process::Size::new(lines, columns)).expect("it has a size");
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    pub(crate) fn signal(&self, number: Signal) {
        signal(self.pid(), number);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        state_of(self.pid()) == Some('T')
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        until("the program ends", || self.child.try_wait().expect("it is our child"))
    }

    /// Whether the terminal is as it was: no alternate screen, a cursor, lines and echo.
    pub(crate) fn is_given_back(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.line).expect("a terminal").local_modes;
        let screen = self.look(|screen| !screen.alternate_screen() && !screen.hide_cursor());
        screen && modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

impl FullScreen {
    /// Waits until the terminal has got all that the program wrote, and is as it was.
    pub(crate) fn is_given_back_at_the_end(&self) {
        until("the terminal is given back", || self.is_given_back().then_some(()));
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has a size")
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
