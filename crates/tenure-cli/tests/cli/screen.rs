//! A shell with job control on a terminal of its own, as a person would sit at it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use rustix::termios::LocalModes;
use tenure_testkit::{clean_environment, clean_signals};

use crate::place::{PATIENCE, Place, TENURE};

/// The prompt of the shell: it is ready.
const PROMPT: &str = "@@ ";

/// The terminal.
pub(crate) struct Screen {
    keys: pty_process::blocking::Pty,
    line: OwnedFd,
    text: Arc<Mutex<Vec<u8>>>,
    shell: Child,
    /// How much of the text was seen.
    seen: usize,
}

impl Screen {
    /// Opens a terminal with a shell in it, in the directory and with the store of `place`.
    pub(crate) fn open(place: &Place) -> Self {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        // The same terminal device once more, to look at its modes.
        let line = pts_of(&pty);
        clean_signals();
        let shell = pty_process::blocking::Command::new("bash")
            .args(["--noprofile", "--norc", "-i"])
            .env_clear()
            .envs(clean_environment())
            .env("HOME", place.path(""))
            .env("PS1", PROMPT)
            .env("TERM", "dumb")
            .env("HISTFILE", "")
            .env("TENURE", TENURE)
            .env("TENURE_STORE_FILE", place.store())
            .current_dir(place.path(""))
            .spawn(pts)
            .expect("bash starts");
        let text = Arc::new(Mutex::new(vec![]));
        let (shared, master) = (Arc::clone(&text), pty.as_fd().try_clone_to_owned());
        let mut master = std::fs::File::from(master.expect("a descriptor"));
        std::thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while let Ok(count @ 1..) = master.read(&mut bytes) {
                shared.lock().expect("nobody panics with it").extend(&bytes[..count]);
            }
        });
        let mut screen = Self { keys: pty, line, text, shell, seen: 0 };
        screen.expect(PROMPT);
        screen
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is open");
    }

    /// Waits until `text` appears behind what was seen, and gives all up to its end.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let limit = Instant::now() + PATIENCE;
        let mut searched = self.seen;
        loop {
            let bytes = self.text.lock().expect("nobody panics with it")[searched..].to_vec();
            let at = bytes.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = at {
                return self.take_until(searched + at + text.len());
            }
            if Instant::now() > limit {
                let end = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(500)..]);
                panic!("not within {PATIENCE:?}: {text:?}; the terminal shows {end:?}");
            }
            searched += bytes.len().saturating_sub(text.len());
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn take_until(&mut self, end: usize) -> String {
        let bytes = self.text.lock().expect("nobody panics with it");
        let taken = String::from_utf8_lossy(&bytes[self.seen..end]).into_owned();
        self.seen = end;
        taken
    }

    /// Types a command and gives what it shows until the next prompt.
    pub(crate) fn command(&mut self, line: &str) -> String {
        self.keys(&format!("{line}\n"));
        self.expect("\r\n");
        self.expect(PROMPT).strip_suffix(PROMPT).unwrap_or_default().replace("\r\n", "\n")
    }

    /// Waits for the prompt, and asks how the last command ended.
    pub(crate) fn status(&mut self) -> String {
        self.expect(PROMPT);
        self.command("echo status=$?")
    }

    /// Whether keys reach the program one by one.
    pub(crate) fn is_raw(&self) -> bool {
        !self.modes().contains(LocalModes::ICANON)
    }

    /// Whether the terminal shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        self.modes().contains(LocalModes::ECHO)
    }

    fn modes(&self) -> LocalModes {
        rustix::termios::tcgetattr(&self.line).expect("it is a terminal").local_modes
    }

    /// The foreground group of the terminal.
    pub(crate) fn foreground(&self) -> i32 {
        rustix::termios::tcgetpgrp(&self.keys).expect("it is a terminal").as_raw_nonzero().get()
    }
}

/// The other side of a pseudo-terminal.
pub(crate) fn pts_of(pty: &pty_process::blocking::Pty) -> OwnedFd {
    let name = rustix::pty::ptsname(pty, vec![]).expect("it has a name");
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(name, flags, rustix::fs::Mode::empty()).expect("it can be opened")
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A script that a failed test left behind would go on without the terminal.
        let session = self.shell.id().to_string();
        let mut left = true;
        while left {
            left = false;
            for process in members_of(&session) {
                left |= rustix::process::kill_process(process, Signal::KILL).is_ok();
            }
        }
        let _ = self.shell.wait();
    }
}

/// The living processes of a session.
fn members_of(session: &str) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let member = |entry: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let lives = fields[0] != "Z" && fields[3] == session;
        lives.then(|| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).flatten()
    };
    processes.filter_map(member).collect()
}
