//! A primary, its replicas and three Sentinels of one test's own, on loopback or on hosts. The
//! Sentinels promote a replica when the primary is away; the kit repairs nothing.

mod options;

use std::ops::Deref;
use std::thread;
use std::time::{Duration, Instant};

pub use options::SentinelsOptions;

use crate::condition::LIMIT;
use crate::flavour::Flavour;
use crate::port::Port;
use crate::reply::Reply;
use crate::server::Server;

/// The name of the servers at the Sentinels.
const SERVICE: &str = "main";

/// Time between two looks at all of them.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The periods of a Sentinel in milliseconds: with the usual ones, of 2 to 30 s, a test would wait
/// most of its time. One that is started again has the usual ones.
const PERIODS: [&str; 8] = [
    "info-period",
    "300",
    // A Sentinel that has not been told of a failover for four of them undoes it.
    "publish-period",
    "1000",
    "ask-period",
    "300",
    // The time for which it does nothing after it was itself held up.
    "tilt-period",
    "2000",
];

/// A running group, stopped when it is dropped.
#[derive(Debug)]
pub struct Sentinels {
    sentinels: Vec<Sentinel>,
    servers: Vec<Server>,
    options: SentinelsOptions,
}

/// A Sentinel. It is killed, stopped and started again as any [`Server`], and knows then what it
/// knew before.
#[derive(Debug)]
pub struct Sentinel {
    server: Server,
    /// Its port for TLS, beside the other one.
    tls_port: Option<Port>,
}

impl Sentinels {
    /// One of the given flavour: one primary, two replicas, three Sentinels of which two must
    /// agree.
    #[must_use]
    pub fn of(flavour: Flavour) -> SentinelsOptions {
        SentinelsOptions::new(flavour)
    }

    /// `redis+sentinel://ADDRESS:PORT,ADDRESS:PORT,ADDRESS:PORT/main`; `rediss+sentinel` if the
    /// servers have TLS. Without user and password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// The same with a login for the servers, such as `user:password@`.
    #[must_use]
    pub fn url_with(&self, login: &str) -> String {
        let scheme = if self.options.is_tls() { "rediss" } else { "redis" };
        let at: Vec<_> = self.sentinels.iter().map(|s| s.address().to_string()).collect();
        format!("{scheme}+sentinel://{login}{}/{SERVICE}", at.join(","))
    }

    /// The name of the servers at the Sentinels: the end of the URL's path.
    #[must_use]
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    /// The Sentinels, in the order of the URL.
    #[must_use]
    pub fn sentinels(&self) -> &[Sentinel] {
        &self.sentinels
    }

    /// The servers for data; the first one begins as the primary.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The running server that most of the Sentinels name as the primary, and that is one.
    ///
    /// # Panics
    /// If there is none in time.
    #[must_use]
    #[track_caller]
    pub fn primary(&self) -> &Server {
        let begun = Instant::now();
        loop {
            let named = self.named();
            let votes = |port: u16| named.iter().filter(|named| **named == Some(port)).count();
            let found = self.servers.iter().find(|server| {
                server.runs()
                    && 2 * votes(server.port()) > self.sentinels.len()
                    && is_primary(server)
            });
            if let Some(server) = found {
                return server;
            }
            assert!(begun.elapsed() < LIMIT, "no primary in {LIMIT:?}: {named:?} are named");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The ports that the Sentinels name; `None` for one that does not run.
    fn named(&self) -> Vec<Option<u16>> {
        let named = |sentinel: &Sentinel| sentinel.runs().then(|| sentinel.named()).flatten();
        self.sentinels.iter().map(named).collect()
    }

    /// Has a Sentinel promote a replica in place of the primary, as for maintenance. Returns when
    /// all agree.
    ///
    /// # Panics
    /// If they do not in time.
    #[track_caller]
    pub fn failover(&self) {
        let before = self.primary().port();
        let begun = Instant::now();
        let sentinel = self.sentinels.iter().find(|sentinel| sentinel.runs());
        let sentinel = sentinel.expect("a Sentinel runs");
        // It refuses while a failover is under way, or while it has no good replica; and it gives
        // one up if it finds later that it has none.
        while self.primary().port() == before {
            let told = sentinel.is_idle_at(before).then(|| {
                let reply = sentinel.command(&["SENTINEL", "FAILOVER", SERVICE]);
                reply.to_string()
            });
            assert!(begun.elapsed() < LIMIT, "no failover in {LIMIT:?}: {told:?}");
            thread::sleep(LOOK_EVERY);
        }
        self.wait_until_agreed();
    }

    /// Waits until most of the Sentinels name another primary than the one at this port.
    ///
    /// # Panics
    /// If they do not in time.
    #[track_caller]
    pub fn wait_until_moved(&self, port: u16) {
        let begun = Instant::now();
        while self.primary().port() == port {
            assert!(begun.elapsed() < LIMIT, "no other primary than {port} in {LIMIT:?}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until all running Sentinels name one primary, and know each other and the replicas
    /// that run, which are linked to it.
    ///
    /// # Panics
    /// If that is not so in time; the message says what is missing.
    #[track_caller]
    pub fn wait_until_agreed(&self) {
        let begun = Instant::now();
        while let Some(missing) = self.missing() {
            assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain for a group: {missing}");
            thread::sleep(LOOK_EVERY);
        }
    }

    fn missing(&self) -> Option<String> {
        let primary = self.primary();
        let port = primary.port();
        let replicas: Vec<_> =
            self.servers.iter().filter(|s| s.runs() && s.port() != port).collect();
        for replica in &replicas {
            let is_linked = info(replica, "master_port") == Some(port.to_string())
                && info(replica, "master_link_status").as_deref() == Some("up");
            if !is_linked {
                return Some(format!("{} is not linked to {port}", replica.port()));
            }
        }
        let running = self.sentinels.iter().filter(|sentinel| sentinel.runs());
        let others = running.clone().count() - 1;
        for sentinel in running {
            let at = sentinel.port();
            if sentinel.named() != Some(port) {
                return Some(format!("the Sentinel at {at} does not name {port}"));
            }
            let field = |name: &str| sentinel.field(name);
            if field("flags").as_deref() != Some("master") {
                return Some(format!("the Sentinel at {at} takes {port} for {:?}", field("flags")));
            }
            let count = |name: &str| field(name).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
            if count("num-other-sentinels") < others {
                return Some(format!("the Sentinel at {at} does not know the others"));
            }
            if count("num-slaves") < replicas.len() {
                return Some(format!("the Sentinel at {at} does not know all replicas"));
            }
            let has_seen = |replica: &&&Server| sentinel.has_seen_replica(replica.port());
            if let Some(unseen) = replicas.iter().find(|replica| !has_seen(replica)) {
                let unseen = unseen.port();
                return Some(format!("the Sentinel at {at} has not seen {unseen} as a replica"));
            }
        }
        None
    }

    /// One more Sentinel, at a port of its own, which is no part of the URL. It finds the others by
    /// itself.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    #[track_caller]
    pub fn another_sentinel(&self) -> Sentinel {
        let tls_port = self.options.is_tls().then(Port::take);
        let server = self.options.sentinel(self.primary(), &tls_port).start();
        Sentinel::new(server, tls_port, self.options.usual_periods)
    }
}

impl Sentinel {
    #[track_caller]
    fn new(server: Server, tls_port: Option<Port>, usual_periods: bool) -> Self {
        if !usual_periods {
            let reply = server.command(&[&["SENTINEL", "DEBUG"][..], &PERIODS].concat());
            assert!(!reply.is_error(""), "a Sentinel takes no periods: {reply}");
        }
        Self { server, tls_port }
    }

    /// The port of the primary that it names.
    fn named(&self) -> Option<u16> {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        match self.try_command(&words).ok()? {
            Reply::Array(parts) => parts.get(1)?.text()?.parse().ok(),
            _ => None,
        }
    }

    /// Whether it names the primary at this port, and is not about to replace it.
    fn is_idle_at(&self, port: u16) -> bool {
        let master = self.master();
        let is_there = field_of(&master, "port") == Some(port.to_string());
        let flags = field_of(&master, "flags").unwrap_or_default();
        is_there && !flags.contains("failover_in_progress")
    }

    /// One field of what it knows of the primary.
    fn field(&self, name: &str) -> Option<String> {
        field_of(&self.master(), name)
    }

    /// All fields of the primary that it knows: names and values by turns.
    fn master(&self) -> Vec<Reply> {
        match self.try_command(&["SENTINEL", "MASTER", SERVICE]) {
            Ok(Reply::Array(parts)) => parts,
            _ => Vec::new(),
        }
    }

    /// Whether the replica at this port has told it that it is one. A primary of before that has
    /// not is made a replica again, also if it is promoted meanwhile.
    fn has_seen_replica(&self, port: u16) -> bool {
        let Ok(Reply::Array(replicas)) = self.try_command(&["SENTINEL", "REPLICAS", SERVICE])
        else {
            return false;
        };
        replicas.iter().map(Reply::list).any(|replica| {
            let is = |name: &str, value: &str| field_of(replica, name).as_deref() == Some(value);
            is("port", &port.to_string()) && is("role-reported", "slave")
        })
    }

    /// Its port for TLS, if it has one.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port.as_ref().map(Port::number)
    }
}

impl Deref for Sentinel {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

fn field_of(parts: &[Reply], name: &str) -> Option<String> {
    let pair = parts.chunks(2).find(|pair| pair[0].text().as_deref() == Some(name));
    pair.and_then(|pair| pair.get(1)?.text())
}

fn is_primary(server: &Server) -> bool {
    info(server, "role").as_deref() == Some("master")
}

/// A field of INFO; `None` also if the server has gone meanwhile.
fn info(server: &Server, field: &str) -> Option<String> {
    let info = server.try_command(&["INFO", "replication"]).ok()?.text()?;
    let fields = info.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(name, _)| *name == field).map(|(_, value)| value.to_owned())
}

impl Drop for Sentinels {
    /// First the Sentinels: they would see the servers fail.
    fn drop(&mut self) {
        for server in self.sentinels.iter().map(Deref::deref).chain(&self.servers) {
            server.kill9();
        }
    }
}
