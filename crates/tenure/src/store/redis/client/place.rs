//! Where a URL leads: to one server, to the Sentinels that know it, or to a cluster. It resolves no
//! name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::{StoreError, spelling};

use super::login::{Login, Wanted};
use super::parameters::{Parameters, TlsFiles, config, decoded};
use super::secrets::Secrets;
use super::uri::{Host, Uri};

/// The default port of a server, and of a Sentinel.
const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where the server is, or the servers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Host {
        host: Arc<str>,
        port: u16,
    },
    Socket(PathBuf),
    Sentinels(Sentinels),
    /// Some nodes of a cluster, in the order of the URL.
    Cluster {
        hosts: Vec<(Arc<str>, u16)>,
    },
}

/// The Sentinels that know where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sentinels {
    /// In the order of the URL.
    pub(crate) hosts: Vec<(Arc<str>, u16)>,
    /// The name of the server at the Sentinels.
    pub(crate) service: Arc<str>,
    /// User and password for the Sentinels.
    pub(crate) login: Login,
    /// `None`: no TLS is spoken to the Sentinels.
    pub(crate) tls: Option<TlsFiles>,
}

/// The form of a URL, by its scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) is_tls: bool,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Socket,
    Sentinels,
    Cluster,
}

impl Form {
    pub(super) fn of(scheme: &str) -> Result<Self, StoreError> {
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let is_tls = matches!(base, "rediss" | "valkeys");
        let is_known = is_tls || matches!(base, "redis" | "valkey");
        let kind = match kind {
            _ if !is_known => None,
            "" if base == scheme => Some(Kind::Host),
            "unix" if !is_tls => Some(Kind::Socket),
            "sentinel" => Some(Kind::Sentinels),
            "cluster" => Some(Kind::Cluster),
            _ => None,
        };
        kind.map(|kind| Self { is_tls, kind }).ok_or_else(|| {
            config(
                "a Redis is named by redis://, rediss:// or redis+unix://, behind Sentinels by \
                 redis+sentinel://, a cluster by redis+cluster://",
            )
        })
    }
}

impl Place {
    /// The place that a URL of this form names, and the text of the database in its path.
    pub(super) fn read<'a>(
        url: &Uri<'a>,
        form: Form,
        given: &mut Parameters,
        (secrets, files): (&Secrets, &TlsFiles),
    ) -> Result<(Self, &'a str), StoreError> {
        let behind_slash = url.path.trim_start_matches('/');
        match form.kind {
            Kind::Host => Ok((host_of(url)?, behind_slash)),
            Kind::Socket => Ok((socket_of(url)?, "")),
            Kind::Cluster => {
                let hosts = hosts_of(url, SERVER_PORT, "redis+cluster://h1,h2,h3")?;
                Ok((Self::Cluster { hosts }, behind_slash))
            }
            Kind::Sentinels => {
                let hosts = hosts_of(url, SENTINEL_PORT, "redis+sentinel://h1,h2,h3/mymaster")?;
                let path = url.path.strip_prefix('/').unwrap_or_default();
                let (service, database) = path.split_once('/').unwrap_or((path, ""));
                let service = decoded(service)?;
                spelling::check("the service in the URL", &service).map_err(config)?;
                if service.is_empty() {
                    return Err(config(
                        "the URL names no service: behind the Sentinels stands the name under \
                         which they know the servers, as in redis+sentinel://h1,h2,h3/mymaster",
                    ));
                }
                let service = service.into();
                let login = sentinel_login(given, secrets)?;
                let tls = sentinel_tls(given, form.is_tls, files)?;
                let sentinels = Sentinels { hosts, service, login, tls };
                Ok((Self::Sentinels(sentinels), database))
            }
        }
    }

    /// The name of this place, of one spelling.
    pub(super) fn name(&self, is_tls: bool, database: u32) -> Arc<str> {
        let scheme = if is_tls { "rediss" } else { "redis" };
        let name = match self {
            Self::Host { host, port } => {
                format!("{scheme}://{}/{database}", address(host, *port))
            }
            Self::Socket(path) if database == 0 => format!("redis+unix://{}", path.display()),
            Self::Socket(path) => format!("redis+unix://{}?db={database}", path.display()),
            Self::Sentinels(Sentinels { hosts, service, .. }) => {
                format!("{scheme}+sentinel://{}/{service}/{database}", addresses(hosts))
            }
            Self::Cluster { hosts } => format!("{scheme}+cluster://{}", addresses(hosts)),
        };
        name.into()
    }
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// In one order, however the URL has them.
fn addresses(hosts: &[(Arc<str>, u16)]) -> String {
    let mut all: Vec<_> = hosts.iter().map(|(host, port)| address(host, *port)).collect();
    all.sort_unstable();
    all.join(",")
}

fn host_of(url: &Uri<'_>) -> Result<Place, StoreError> {
    let [host] = &url.hosts[..] else {
        return Err(config(
            "the URL names several hosts: Sentinels are named by \
             redis+sentinel://h1,h2,h3/SERVICE, nodes of a cluster by redis+cluster://h1,h2,h3",
        ));
    };
    let (host, port) = named(host, SERVER_PORT, "redis://host:6379/0")?;
    Ok(Place::Host { host, port })
}

fn hosts_of(url: &Uri<'_>, port: u16, example: &str) -> Result<Vec<(Arc<str>, u16)>, StoreError> {
    let mut hosts = Vec::with_capacity(url.hosts.len());
    for host in &url.hosts {
        let host = named(host, port, example)?;
        if hosts.contains(&host) {
            return Err(config("the URL names a host and port twice: leave one out"));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

fn named(host: &Host<'_>, port: u16, example: &str) -> Result<(Arc<str>, u16), StoreError> {
    let name = decoded(&host.name)?;
    spelling::check("the host of the URL", &name).map_err(config)?;
    if name.is_empty() {
        return Err(config(format!("the URL names no host: it is written as {example}")));
    }
    Ok((name.into(), host.port.unwrap_or(port)))
}

fn socket_of(url: &Uri<'_>) -> Result<Place, StoreError> {
    // A URL has a user only where it has a host.
    let is_local = matches!(
        &url.hosts[..],
        [Host { name, port: None }] if matches!(&**name, "" | "localhost")
    );
    if !is_local {
        return Err(config(
            "redis+unix: takes a path, with three slashes: redis+unix:///run/redis.sock; with a \
             user: redis+unix://user:password@localhost/run/redis.sock",
        ));
    }
    let path = decoded(url.path)?;
    spelling::check("the socket's path in the URL", &path).map_err(config)?;
    let path = PathBuf::from(path);
    if path.is_absolute() && path != Path::new("/") {
        return Ok(Place::Socket(path));
    }
    Err(config("redis+unix: needs the path of a socket, such as redis+unix:///run/redis.sock"))
}

fn sentinel_login(given: &mut Parameters, secrets: &Secrets) -> Result<Login, StoreError> {
    let password = given.take("sentinel_password");
    // Either password may come back in an answer to the other login.
    secrets.add(password.as_deref().unwrap_or_default());
    let password = given.password(password, "sentinel_password_file")?;
    let user = given.take("sentinel_user").map(Arc::from);
    let (wanted, secrets) = (Wanted::Sentinel, secrets.clone());
    Ok(Login { wanted, user, password, database: 0, secrets })
}

fn sentinel_tls(
    given: &mut Parameters,
    of_servers: bool,
    files: &TlsFiles,
) -> Result<Option<TlsFiles>, StoreError> {
    let is_tls = given.yes_or_no("sentinel_tls")?.unwrap_or(of_servers);
    let own = given.tls_files("sentinel_", is_tls, "say sentinel_tls=yes")?;
    Ok(is_tls.then(|| TlsFiles {
        ca: own.ca.or_else(|| files.ca.clone()),
        cert_and_key: own.cert_and_key.or_else(|| files.cert_and_key.clone()),
        server_name: own.server_name,
    }))
}
