//! A database of a test's own, in a directory of its own and on a socket in it, and clients that
//! speak to it by its own command.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tempfile::TempDir;
use tenure::fencing::{MYSQL, POSTGRESQL, Statements};
use tenure_testkit::{LIMIT, Process, Running, wait_until};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgresql,
    Mariadb,
}

/// It is killed when this is dropped.
pub(crate) struct Database {
    kind: Kind,
    place: PathBuf,
    dir: TempDir,
    _process: Process,
}

/// A user without rights: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;

impl Kind {
    fn place(self) -> Option<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a workspace");
        let name = match self {
            Self::Postgresql => "postgresql",
            Self::Mariadb => "mariadb",
        };
        let place = root.join(".cache/databases").join(name);
        place.join("bin").exists().then_some(place)
    }

    fn statements(self) -> Statements {
        match self {
            Self::Postgresql => POSTGRESQL,
            Self::Mariadb => MYSQL,
        }
    }
}

impl Database {
    /// `None`: it is not on this machine.
    pub(crate) fn start(kind: Kind) -> Option<Self> {
        let place = kind.place()?;
        let dir = tempfile::tempdir().expect("a directory");
        let process = match kind {
            Kind::Postgresql => start_postgresql(&place, dir.path()),
            Kind::Mariadb => start_mariadb(&place, dir.path()),
        };
        let database = Self { kind, place, dir, _process: process };
        wait_until("the database answers", || database.answers());
        let id = match kind {
            Kind::Postgresql => "id SERIAL PRIMARY KEY",
            Kind::Mariadb => "id INT AUTO_INCREMENT PRIMARY KEY",
        };
        let mut client = database.client();
        client.run(&format!("CREATE TABLE log ({id}, fence BIGINT)"));
        Some(database)
    }

    fn answers(&self) -> bool {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("the client starts").success()
    }

    /// The client's command, which reads statements from its stdin.
    fn command(&self) -> Command {
        let socket = self.dir.path();
        let mut command = match self.kind {
            Kind::Postgresql => {
                let mut command = program(&self.place, "psql");
                command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "test"]);
                command.args(["-d", "postgres", "-h"]).arg(socket);
                command.env("PGOPTIONS", "-c client_min_messages=warning");
                command
            }
            Kind::Mariadb => {
                let mut command = program(&self.place, "mariadb");
                command.args(["--no-defaults", "--batch", "--skip-column-names", "--unbuffered"]);
                command.arg("--socket").arg(socket.join("socket")).arg("test");
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// A connection with the table made and the statements prepared.
    pub(crate) fn client(&self) -> Client {
        let mut running = Running::start(&mut self.command());
        let stdin = running.stdin.take().expect("a pipe");
        let stdout = BufReader::new(running.stdout.take().expect("a pipe"));
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        let mut client = Client { kind: self.kind, stdin, lines, _running: running };
        let Statements { create, register, pass, .. } = self.kind.statements();
        client.run(create);
        client.run(create);
        for (name, text) in [("register", register), ("pass", pass)] {
            client.run(&match self.kind {
                Kind::Postgresql => format!("PREPARE {name} AS {text}"),
                Kind::Mariadb => format!("PREPARE {name} FROM '{text}'"),
            });
        }
        client
    }
}

/// A connection.
pub(crate) struct Client {
    kind: Kind,
    stdin: ChildStdin,
    lines: Receiver<String>,
    _running: Running,
}

impl Client {
    /// Runs one statement; answers the lines that it has printed.
    pub(crate) fn run(&mut self, statement: &str) -> Vec<String> {
        const END: &str = "-- end";
        let end = match self.kind {
            Kind::Postgresql => format!("\\echo {END}"),
            Kind::Mariadb => format!("SELECT '{END}';"),
        };
        self.stdin.write_all(format!("{statement};\n{end}\n").as_bytes()).expect("it reads");
        let next = || self.lines.recv_timeout(LIMIT);
        let lines = std::iter::from_fn(|| {
            Some(next().unwrap_or_else(|e| panic!("{e} to {statement}"))).filter(|line| line != END)
        });
        lines.collect()
    }

    pub(crate) fn register(&mut self, resource: &str) {
        self.run(&match self.kind {
            Kind::Postgresql => format!("EXECUTE register('{resource}')"),
            Kind::Mariadb => format!("SET @r = '{resource}'; EXECUTE register USING @r"),
        });
    }

    /// The number of rows that were changed.
    pub(crate) fn pass(&mut self, fence: u64, resource: &str) -> u64 {
        let said = self.run(&match self.kind {
            Kind::Postgresql => format!("EXECUTE pass({fence}, '{resource}')"),
            Kind::Mariadb => format!(
                "SET @f = {fence}, @r = '{resource}'; EXECUTE pass USING @f, @r, @f; \
                 SELECT ROW_COUNT()"
            ),
        });
        let [said] = &said[..] else { panic!("{said:?}") };
        said.trim_start_matches("UPDATE ").parse().expect("a number of rows")
    }

    /// Waits until a transaction waits for the lock of a row.
    pub(crate) fn until_one_waits(&mut self) {
        let waiting = match self.kind {
            Kind::Postgresql => "SELECT count(*) FROM pg_locks WHERE NOT granted",
            // The view of transactions is not refreshed while it is read again and again.
            Kind::Mariadb => {
                "SELECT variable_value FROM information_schema.global_status \
                 WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'"
            }
        };
        wait_until("one waits for a lock", || self.run(waiting) == ["1"]);
    }
}

fn program(place: &Path, name: &str) -> Command {
    let mut command = Command::new(place.join("bin").join(name));
    command.env("LD_LIBRARY_PATH", place.join("lib"));
    command
}

fn start_postgresql(place: &Path, dir: &Path) -> Process {
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        chown(dir, Some(NOBODY), Some(NOBODY)).expect("our own directory");
    }
    let as_user = |command: &mut Command, name: &str| {
        if is_root {
            let id = NOBODY.to_string();
            command.args(["setpriv", "--clear-groups", "--reuid", &id, "--regid", &id]);
        }
        command.arg(place.join("bin").join(name)).env("LD_LIBRARY_PATH", place.join("lib"));
    };
    let data = dir.join("data");
    let mut initdb = Command::new("env");
    as_user(&mut initdb, "initdb");
    initdb.arg("-D").arg(&data).args(["-U", "test", "-A", "trust", "--no-sync", "-E", "UTF8"]);
    let made = initdb.output().expect("env starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Process::start(&dir.join("log"), |command| {
        as_user(command, "postgres");
        command.arg("-D").arg(&data).arg("-k").arg(dir).args(["-h", "", "-F"]);
    })
}

/// It needs no tables of rights, since only this test's user reaches its socket.
fn start_mariadb(place: &Path, dir: &Path) -> Process {
    let data = dir.join("data");
    std::fs::create_dir_all(data.join("test")).expect("a directory of our own");
    Process::start(&dir.join("log"), |command| {
        command.arg(place.join("bin/mariadbd")).env("LD_LIBRARY_PATH", place.join("lib"));
        command.args(["--no-defaults", "--user=root", "--skip-grant-tables", "--skip-networking"]);
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        command.arg(option("basedir", &place.join("usr")));
        command.arg(option("lc-messages-dir", &place.join("usr/share/mysql")));
        command.arg(option("datadir", &data)).arg(option("socket", &dir.join("socket")));
        command.arg(option("pid-file", &dir.join("pid"))).arg("--innodb-buffer-pool-size=16M");
    })
}
