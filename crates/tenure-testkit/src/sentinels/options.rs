//! The settings of a group of servers that Sentinels watch.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::certificates::Certificates;
use crate::flavour::Flavour;
use crate::network::Host;
use crate::port::Port;
use crate::server::{ClientCertificates, KIT, Server, ServerOptions};

use super::{SERVICE, Sentinel, Sentinels};

const SENTINELS: usize = 3;

/// The number of Sentinels that must agree.
const QUORUM: usize = 2;

/// The settings of a group. See [`Sentinels::of`].
#[derive(Debug, Clone)]
pub struct SentinelsOptions {
    flavour: Flavour,
    replicas: usize,
    down_after: Duration,
    tls: Option<Arc<Certificates>>,
    /// Further lines of the configuration of every server.
    lines: Vec<String>,
    /// Further lines of the configuration of every Sentinel.
    sentinel_lines: Vec<String>,
    /// The host of each server and of each Sentinel; empty if all are on loopback.
    hosts: Vec<Arc<Host>>,
    pub(super) usual_periods: bool,
}

impl SentinelsOptions {
    pub(super) fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            replicas: 2,
            down_after: Duration::from_secs(1),
            tls: None,
            lines: Vec::new(),
            sentinel_lines: Vec::new(),
            hosts: Vec::new(),
            usual_periods: false,
        }
    }

    /// `down-after-milliseconds`; 1 s by default. With less, a busy machine sees failures that no
    /// test has made.
    #[must_use]
    pub fn with_down_after(mut self, span: Duration) -> Self {
        self.down_after = span;
        self
    }

    /// How many replicas; 2 by default.
    #[must_use]
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Any line of the configuration of every server.
    #[must_use]
    pub fn with(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// A user of every server, as [`ServerOptions::with_user`].
    #[must_use]
    pub fn with_user(self, name: &str, rules: &str) -> Self {
        self.with(format!("user {name} {rules}"))
    }

    /// A user of every Sentinel, as [`ServerOptions::with_user`].
    #[must_use]
    pub fn with_sentinel_user(mut self, name: &str, rules: &str) -> Self {
        self.sentinel_lines.push(format!("user {name} {rules}"));
        self
    }

    /// TLS at the servers, between them and from the Sentinels to all of them. Clients speak plain
    /// text to the Sentinels.
    ///
    /// # Panics
    /// If this flavour was built without TLS.
    #[must_use]
    pub fn with_tls(mut self, certificates: &Arc<Certificates>) -> Self {
        self.tls = Some(Arc::clone(certificates));
        self
    }

    /// The host of each server, and then of each Sentinel, in the order of [`Sentinels::servers`]
    /// and [`Sentinels::sentinels`].
    #[must_use]
    pub fn on(mut self, hosts: impl IntoIterator<Item = Arc<Host>>) -> Self {
        self.hosts = hosts.into_iter().collect();
        self
    }

    /// Sentinels look as seldom as they do by default: an old primary that comes back is told after
    /// about ten seconds. Without, they look several times a second. A failover has 10 s in place
    /// of 3, so that a slow one is not followed by another.
    #[must_use]
    pub fn with_usual_periods(mut self) -> Self {
        self.usual_periods = true;
        self
    }

    /// Starts it, and waits until all agree.
    ///
    /// # Panics
    /// If it is not ready in time; the message says what is missing.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Sentinels {
        let primary = self.on_host(0, self.server()).start();
        let replicas: Vec<_> = (1..=self.replicas)
            .map(|n| self.on_host(n, self.server().with_primary(&primary)))
            .collect();
        let mut servers = vec![primary];
        servers.extend(started(replicas));
        let ports: Vec<_> = (0..SENTINELS).map(|_| self.tls.is_some().then(Port::take)).collect();
        let options = ports
            .iter()
            .enumerate()
            .map(|(n, port)| self.on_host(servers.len() + n, self.sentinel(&servers[0], port)));
        let sentinels = started(options.collect()).into_iter().zip(ports);
        let sentinels = sentinels
            .map(|(server, tls_port)| Sentinel::new(server, tls_port, self.usual_periods))
            .collect();
        let group = Sentinels { sentinels, servers, options: self };
        group.wait_until_agreed();
        group
    }

    /// On the host of this number, if there are hosts.
    fn on_host(&self, n: usize, options: ServerOptions) -> ServerOptions {
        assert!(self.hosts.is_empty() || self.hosts.len() == 1 + self.replicas + SENTINELS);
        self.hosts.get(n).into_iter().fold(options, ServerOptions::on)
    }

    fn server(&self) -> ServerOptions {
        // Each of them is a replica some time.
        let mut server = Server::of(self.flavour)
            .with(format!("masteruser {KIT}"))
            .with(format!("masterauth {KIT}"))
            .with("repl-ping-replica-period 1");
        if let Some(certificates) = &self.tls {
            server = server.with_tls(certificates, ClientCertificates::Unasked);
        }
        self.lines.iter().fold(server, ServerOptions::with)
    }

    /// A Sentinel that watches this server.
    pub(super) fn sentinel(&self, primary: &Server, tls_port: &Option<Port>) -> ServerOptions {
        let (ip, port) = (primary.address().ip(), primary.port());
        let timeout = if self.usual_periods { 10_000 } else { 3_000 };
        let mut sentinel = Server::of(self.flavour)
            .as_sentinel()
            .with(format!("sentinel monitor {SERVICE} {ip} {port} {QUORUM}"))
            .with(format!(
                "sentinel down-after-milliseconds {SERVICE} {}",
                self.down_after.as_millis()
            ))
            .with(format!("sentinel failover-timeout {SERVICE} {timeout}"))
            .with(format!("sentinel parallel-syncs {SERVICE} 2"))
            .with(format!("sentinel auth-user {SERVICE} {KIT}"))
            .with(format!("sentinel auth-pass {SERVICE} {KIT}"));
        if let (Some(certificates), Some(port)) = (&self.tls, tls_port) {
            let (certificate, key) = certificates.server();
            // Sentinels speak TLS to each other as well then, so each has two ports.
            sentinel = sentinel
                .with(format!("tls-port {}", port.number()))
                .with("tls-auth-clients no")
                .with(format!("tls-ca-cert-file {}", certificates.ca().display()))
                .with(format!("tls-cert-file {}", certificate.display()))
                .with(format!("tls-key-file {}", key.display()))
                .with("tls-replication yes");
        }
        self.sentinel_lines.iter().fold(sentinel, ServerOptions::with)
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// Starts servers side by side.
#[track_caller]
fn started(options: Vec<ServerOptions>) -> Vec<Server> {
    thread::scope(|scope| {
        let starting: Vec<_> =
            options.into_iter().map(|options| scope.spawn(|| options.start())).collect();
        starting.into_iter().map(|server| server.join().expect("a server starts")).collect()
    })
}
