//! A directory with a store for one test, and the processes that the test starts in it. They
//! end with the test, also when it panics.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use rustix::time::ClockId;
use serde_json::Value;
use tenure_testkit::{Flavour, Server, clean};

/// For conditions that hold at once on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A user without rights, who is called so nearly everywhere.
pub(crate) const NOBODY: u32 = 65_534;

/// The program under test.
pub(crate) const TENURE: &str = env!("CARGO_BIN_EXE_tenure");

/// Waits until `condition` gives something.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < limit, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Whether the lease of a holder, as `status` shows it, has more milliseconds from its grant to its
/// end. With those of its ttl, and a little more, it was renewed.
pub(crate) fn lasts_longer_than(millis: u64, holder: &Value) -> bool {
    let of = |name: &str| holder[name].as_u64().unwrap_or_default();
    of("since_ms") + of("remaining_ms") > millis
}

/// Microseconds of `CLOCK_BOOTTIME`, the clock of deadlines.
pub(crate) fn now_us() -> u64 {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}

/// Whether a process is alive: there, and no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The one letter of a process's state, `T` for stopped.
pub(crate) fn state_of(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The parent of a process.
pub(crate) fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let (_, rest) = stat.rsplit_once(") ").expect("a stat line");
    rest.split(' ').nth(1).expect("a parent").parse().expect("a number")
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a process number");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// A process that somebody else has started. It ends with the test.
pub(crate) struct Stray(pub(crate) i32);

impl Drop for Stray {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.0).expect("a process number");
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Where the locks of a place live.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Home {
    File,
    Server(Flavour),
}

/// For each function a test over each store that processes can share.
macro_rules! on_every_store {
    ($($test:ident)+) => {
        $crate::place::on_every_store! { sqlite: $crate::place::Home::File; $($test)+ }
        $crate::place::on_every_store! {
            redis: $crate::place::Home::Server(tenure_testkit::Flavour::Redis); $($test)+
        }
        $crate::place::on_every_store! {
            valkey: $crate::place::Home::Server(tenure_testkit::Flavour::Valkey); $($test)+
        }
    };
    ($store:ident: $home:expr; $($test:ident)+) => {
        mod $store {
            $(#[test]
            fn $test() {
                super::$test($home);
            })+
        }
    };
}
pub(crate) use on_every_store;

/// A test's own directory, and its server if it has one.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    server: Option<Server>,
}

impl Place {
    /// With the store in a file.
    pub(crate) fn new() -> Self {
        Self::at(Home::File)
    }

    pub(crate) fn at(home: Home) -> Self {
        let server = match home {
            Home::File => None,
            Home::Server(flavour) => Some(Server::of(flavour).start()),
        };
        Self { directory: tempfile::tempdir().expect("a temporary directory"), server }
    }

    /// The store's URL.
    pub(crate) fn url(&self) -> String {
        match &self.server {
            Some(server) => server.url(),
            None => format!("sqlite:{}", self.store().display()),
        }
    }

    /// The store's URL as the environment has it: a server is waited for as long as the store's
    /// timeout of the command allows, since a busy machine pauses for more than the 2 s of a
    /// connection and of a call.
    pub(crate) fn store_url(&self) -> String {
        let more = "?connect_timeout=20s&call_timeout=20s";
        let more = if self.server.is_some() { more } else { "" };
        self.url() + more
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("locks.db")
    }

    /// Copies a program into this place. A process of its own writes it: the system runs no
    /// program that somebody has open for writing, as a process would that another test starts
    /// meanwhile and that has not begun its own program yet.
    pub(crate) fn copy_program(&self, from: impl AsRef<Path>, name: &str) {
        let copied = Command::new("cp").arg(from.as_ref()).arg(self.path(name)).status();
        assert!(copied.expect("cp starts").success(), "{name} is not copied");
    }

    /// Writes a script that can be run, as [`Place::copy_program`] does.
    pub(crate) fn write_script(&self, name: &str, text: &str) {
        let write = "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let mut sh = Command::new("/bin/sh");
        let written = sh.args(["-c", write]).arg(self.path(name)).arg(text).status();
        assert!(written.expect("sh starts").success(), "{name} is not written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `program` as from a person's shell, with this place's store.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        clean(&mut command);
        match &self.server {
            Some(_) => command.env("TENURE_STORE", self.store_url()),
            None => command.env("TENURE_STORE_FILE", self.store()),
        };
        command.env("HOME", self.directory.path());
        command.env("TENURE", TENURE).current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// `tenure` with these words.
    pub(crate) fn tenure(&self, words: &[&str]) -> Command {
        let mut command = self.command(TENURE);
        command.args(words);
        command
    }

    /// Runs `tenure` to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.start(words).wait()
    }

    /// Runs a shell script to its end; `$TENURE` is the program.
    pub(crate) fn sh(&self, script: &str) -> Ended {
        Running::of(self.command("/bin/sh").args(["-c", script])).wait()
    }

    /// Starts `tenure` and lets it run.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        Running::of(&mut self.tenure(words))
    }

    /// `tenure status KEY --json`.
    pub(crate) fn status(&self, key: &str) -> Value {
        let ended = self.run(&["status", "--json", key]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    /// The one line of a `--report`.
    pub(crate) fn report(&self, name: &str) -> Value {
        let text = self.read(name);
        assert_eq!(text.matches('\n').count(), 1, "one line: {text:?}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"))
    }

    /// Takes the key away at the server, as an operator would.
    pub(crate) fn delete(&self, key: &str) {
        self.server.as_ref().expect("a server").command(&["DEL", key]);
    }

    /// No renewal gets through any more: the server is stopped, or the process that is answered has
    /// locked the store's file.
    pub(crate) fn block_store(&self) -> Option<Running> {
        if let Some(server) = &self.server {
            server.stop();
            return None;
        }
        let script = "import sqlite3, sys, time\n\
                      c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n\
                      c.execute('BEGIN EXCLUSIVE')\n\
                      open('blocked', 'w').write('1\\n')\n\
                      time.sleep(600)";
        let mut command = self.command("python3");
        let running = Running::of(command.args(["-c", script]).arg(self.store()));
        self.number_in("blocked");
        Some(running)
    }

    /// The number that a process wrote into a file of this place.
    pub(crate) fn number_in(&self, name: &str) -> i32 {
        until(name, || self.read(name).strip_suffix('\n')?.parse().ok())
    }
}

/// A process that has ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A process that runs. Its output goes into files: a pipe would not end before every process that
/// has inherited it.
pub(crate) struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    /// How much of stderr was taken line by line.
    taken: usize,
}

impl Running {
    pub(crate) fn of(command: &mut Command) -> Self {
        let stderr = tempfile::tempfile().expect("a temporary file");
        Self::with_stderr(command, stderr)
    }

    /// With a stderr of the test's own.
    pub(crate) fn with_stderr(command: &mut Command, stderr: File) -> Self {
        let stdout = tempfile::tempfile().expect("a temporary file");
        let share = |file: &File| file.try_clone().expect("a descriptor");
        command.stdout(share(&stdout)).stderr(share(&stderr));
        let child = command.spawn().expect("the program starts");
        Self { child, stdout, stderr, taken: 0 }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    pub(crate) fn signal(&self, number: Signal) {
        signal(self.pid(), number);
    }

    /// The next line on stderr.
    pub(crate) fn stderr_line(&mut self) -> String {
        until("a line on stderr", || {
            let text = whole(&self.stderr);
            let line = text[self.taken..].split_inclusive('\n').next()?;
            self.taken += line.len();
            line.ends_with('\n').then(|| line.to_owned())
        })
    }

    /// Passes over all that is on stderr by now.
    pub(crate) fn skip_stderr(&mut self) {
        self.taken = whole(&self.stderr).len();
    }

    /// The next line on stderr that has these words. A busy machine may bring others before it,
    /// such as the one about the waiting, which comes after a second.
    pub(crate) fn line_with(&mut self, words: &str) -> String {
        loop {
            let line = self.stderr_line();
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Ended {
        use std::os::unix::process::ExitStatusExt;
        let status = until("the process ends", || self.child.try_wait().expect("it is our child"));
        let (stdout, stderr) = (whole(&self.stdout), whole(&self.stderr));
        Ended { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}

/// All that is in a file, wherever those who write to it are. A pipe has no such content.
fn whole(file: &File) -> String {
    let kind = file.metadata().expect("it is open");
    if !kind.is_file() {
        return String::new();
    }
    let mut bytes = vec![0; usize::try_from(kind.len()).expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("the file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Running {
    fn drop(&mut self) {
        // For `tenure` its sentry sees to the rest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
