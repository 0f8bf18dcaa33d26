//! Failures of a server, as people read them: one message and one class for each cause.
//! It knows no URL and no password, so that no message can carry one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::shown;
use crate::store::{StoreError, StoreErrorClass};

use super::secrets::Secrets;
use super::sentinel_fault::SentinelFault;
use super::server_error::{IN_CLUSTER, ServerSays};

/// Why a request was not answered as it should have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// Whether the request may have been carried out, or may still be.
    pub(crate) may_have_run: bool,
}

/// The precise cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The host's name has no address.
    NoAddress { host: Arc<str>, text: String },
    /// Nothing listens there.
    NobodyListens { place: Arc<str> },
    /// Symbolic links on the path of a socket lead back to themselves.
    LinksInCircle { place: Arc<str> },
    /// The system refused to open the connection.
    CannotConnect { place: Arc<str>, text: String, forbidden: bool },
    /// No connection within the limit.
    NotInTime { stage: Stage, limit: Duration },
    /// TLS could not be agreed on.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "made by tls.rs"))]
    Tls(TlsFault),
    /// Another protocol answered.
    NotRedis { seen: Seen },
    /// The connection was closed before a single byte came.
    ClosedAtOnce { tls: bool },
    /// The file with the password cannot be read.
    PasswordFile { path: Arc<str>, text: String },
    /// The file with the password was not read within the limit.
    PasswordFileHangs { path: Arc<str>, limit: Duration },
    /// It is no server for data but one that watches some.
    Sentinel,
    /// The Sentinels did not lead to a server.
    Sentinels(SentinelFault),
    /// It is a node of a cluster.
    Cluster,
    /// It is no node of a cluster.
    NoCluster,
    /// The node takes no script without the names of its keys, as the restart guard needs it.
    WantsKeys,
    /// It is a replica, and takes no writes.
    Replica,
    /// It is a replica, of this server if it says so, and was never known as anything else.
    ReadOnly { of: Option<String> },
    /// It is a node of a cluster without any hash slot.
    NoSlots,
    /// The server is older than what is supported.
    TooOld { server: String, version: String },
    /// The connection was being made until the request's own limit came.
    StillConnecting { last: Option<Box<Cause>> },
    /// The server answered with an error.
    Server(ServerSays),
    /// Sent, and not answered within the limit.
    Silent { limit: Duration },
    /// Sent, and the connection ended before the answer.
    Cut { text: String },
    /// Tenure itself gave the connection up.
    GivenUp { text: String },
    /// The answer makes no sense.
    Nonsense { text: String },
    /// Fewer replicas than wanted have acknowledged a grant in time.
    Unacknowledged { acknowledged: u32, wanted: u32, within: Duration },
    /// The server has no replica that could make a majority with it.
    NoReplicas,
    /// The server, or a proxy in front of it, knows no WAIT.
    NoWait,
}

/// How far making a connection had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Looking up the host's name.
    Resolve,
    /// Opening the connection.
    Connect,
    /// Agreeing on TLS.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "made by tls.rs"))]
    Tls,
    /// Introducing ourselves.
    Login,
}

/// Why TLS could not be agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "made by tls.rs"))]
pub(crate) enum TlsFault {
    /// The server's certificate is signed by nobody whom we trust.
    UnknownIssuer,
    /// The server shows an authority's certificate as its own, as self-signed ones often are.
    Authority,
    /// The certificate is for another name.
    OtherName { asked: Arc<str>, names_none: bool },
    /// The server's certificate cannot be used for another reason.
    Unusable { text: String },
    /// No version or cipher in common.
    NothingInCommon { text: String },
    /// The certificate is not valid today.
    NotValidNow,
    /// No certificate can be for this name.
    NoName { name: Arc<str> },
    /// The server wants a certificate from us, or another one.
    ClientCertificate { text: String },
    /// The other side does not speak TLS.
    NotTls,
    /// Something else.
    Other { text: String },
}

/// The kind of a server that is no Redis, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Http,
    Ssh,
    Tls,
    Unknown,
}

impl Seen {
    /// The kind of a server by its first bytes; `None` for those of a Redis.
    pub(crate) fn in_first(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'H', b'T', b'T', b'P', ..] => Some(Self::Http),
            [b'S', b'S', b'H', b'-', ..] => Some(Self::Ssh),
            [0x15 | 0x16, 0x03, ..] => Some(Self::Tls),
            [b'+' | b'-' | b':' | b'$' | b'*' | b'_' | b'#' | b',' | b'(' | b'!', ..] => None,
            [b'=' | b'%' | b'~' | b'>' | b'|', ..] | [] => None,
            _ => Some(Self::Unknown),
        }
    }
}

impl Failure {
    /// A failure before anything was sent.
    pub(crate) fn unsent(cause: Cause) -> Self {
        Self { cause, may_have_run: false }
    }

    /// A failure that leaves open whether the request was carried out.
    pub(crate) fn unknown(cause: Cause) -> Self {
        Self { cause, may_have_run: true }
    }

    /// An error that the server answered to `command`.
    pub(crate) fn answered(command: &str, error: &str) -> Self {
        let says = ServerSays::read(command, error);
        Self { may_have_run: says.may_have_run(), cause: Cause::Server(says) }
    }

    /// The same without the server's own words if they repeat a password.
    pub(crate) fn without(self, secrets: &Secrets) -> Self {
        match self.cause {
            Cause::Server(says) => Self { cause: Cause::Server(says.without(secrets)), ..self },
            _ => self,
        }
    }

    /// The same as an answer to a login with a password, without the server's own words.
    pub(crate) fn after_password(self) -> Self {
        match self.cause {
            // It asks for what it was given: it did not understand what that was.
            Cause::Server(says) if says.code == "NOAUTH" => {
                let says = ServerSays::unknown_command(&says.command);
                Self { cause: Cause::Server(says.without_text()), ..self }
            }
            Cause::Server(says) => Self { cause: Cause::Server(says.without_text()), ..self },
            _ => self,
        }
    }

    /// The same about a request of our own, which nobody waits for: nothing of a caller's was
    /// sent.
    pub(crate) fn of_our_own(self) -> Self {
        Self { may_have_run: false, ..self }
    }

    /// The script is not in the server's cache.
    pub(crate) fn is_no_script(&self) -> bool {
        self.code() == Some("NOSCRIPT")
    }

    /// This server is not, or no longer, the one that takes writes.
    pub(crate) fn is_demoted(&self) -> bool {
        matches!(&self.cause, Cause::Server(says) if says.is_demoted())
    }

    /// Whether it can be the fault of one of the steps of a call, so that the others are innocent.
    pub(crate) fn may_be_of_one(&self) -> bool {
        matches!(&self.cause, Cause::Server(says) if says.may_be_of_one())
    }

    /// Whether the server may have turned a script away since its keys were not named.
    pub(crate) fn may_want_keys(&self) -> bool {
        matches!(&self.cause, Cause::Server(says) if says.may_want_keys())
    }

    /// No right to do it.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.code() == Some("NOPERM")
    }

    /// Sentinels that could not fail over, as one of them says.
    pub(crate) fn is_no_quorum(&self) -> bool {
        self.code() == Some("NOQUORUM")
    }

    /// A cluster that serves nothing, as its node says.
    pub(crate) fn is_cluster_down(&self) -> bool {
        self.code() == Some("CLUSTERDOWN")
    }

    /// The server knows no such command.
    pub(crate) fn is_unknown_command(&self) -> bool {
        matches!(&self.cause, Cause::Server(says) if says.is_unknown_command())
    }

    fn code(&self) -> Option<&str> {
        match &self.cause {
            Cause::Server(says) => Some(&says.code),
            _ => None,
        }
    }

    /// How to treat it.
    pub(crate) fn class(&self) -> StoreErrorClass {
        self.cause.class()
    }
}

impl Cause {
    /// The end of a connection.
    pub(crate) fn of_stream(error: &io::Error) -> Self {
        Self::Cut { text: error.to_string() }
    }

    pub(super) fn class(&self) -> StoreErrorClass {
        use StoreErrorClass::{Config, Refused, Transient};
        match self {
            Self::CannotConnect { forbidden: true, .. }
            | Self::Tls(TlsFault::ClientCertificate { .. }) => Refused,
            Self::Tls(TlsFault::Other { .. }) => Transient,
            Self::Tls(_) | Self::NotRedis { .. } | Self::PasswordFile { .. } => Config,
            Self::LinksInCircle { .. } => Config,
            Self::TooOld { .. }
            | Self::Sentinel
            | Self::Cluster
            | Self::NoCluster
            | Self::WantsKeys => Config,
            Self::NoWait => Config,
            Self::ReadOnly { .. } => StoreErrorClass::ReadOnly,
            Self::Server(says) => says.class(),
            Self::Sentinels(fault) => fault.class(),
            Self::Replica
            | Self::NoSlots
            | Self::NoAddress { .. }
            | Self::NobodyListens { .. }
            | Self::CannotConnect { .. }
            | Self::NotInTime { .. }
            | Self::PasswordFileHangs { .. }
            | Self::ClosedAtOnce { .. }
            | Self::StillConnecting { .. }
            | Self::Silent { .. }
            | Self::Cut { .. }
            | Self::GivenUp { .. }
            | Self::Nonsense { .. }
            | Self::Unacknowledged { .. }
            | Self::NoReplicas => Transient,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress { host, text } => {
                write!(f, "the host name {host:?} has no address ({text}): check how it is spelt")
            }
            Self::NobodyListens { place } => {
                write!(f, "nobody listens at {place}: is the server up, and is this its port?")
            }
            Self::LinksInCircle { place } => write!(
                f,
                "{place} leads to no socket, but round and round by symbolic links: name another \
                 path, or mend the links"
            ),
            Self::CannotConnect { place, text, forbidden: true } => {
                write!(f, "no right to connect to {place} ({text}): check the rights of the socket")
            }
            Self::CannotConnect { place, text, forbidden: false } => {
                write!(f, "cannot connect to {place} ({text}): check the network in between")
            }
            Self::NotInTime { stage, limit } => write!(f, "{}", stage.too_slow(*limit)),
            Self::Tls(fault) => write!(f, "{fault}"),
            Self::NotRedis { seen } => write!(f, "{seen}"),
            Self::ClosedAtOnce { tls: false } => f.write_str(
                "the server closed the connection without a word: if this is its TLS port, say \
                 rediss://",
            ),
            Self::ClosedAtOnce { tls: true } => f.write_str(
                "the server closed the connection during TLS: if this is no TLS port, say \
                 redis://; if it wants a certificate from us, give cert=PATH and key=PATH",
            ),
            Self::PasswordFile { path, text } => {
                write!(f, "the password cannot be read from {path} ({text}): check the file")
            }
            Self::PasswordFileHangs { path, limit } => write!(
                f,
                "the password was not read from {path} within {limit}: is it a pipe, or does \
                 its file system hang?",
                limit = shown(*limit)
            ),
            Self::Sentinel => f.write_str(
                "a Sentinel answered there, which keeps no data: say redis+sentinel://HOST/SERVICE \
                 (redis-cli -p 26379 SENTINEL MASTERS lists the names of services), or name the \
                 primary, usually at port 6379",
            ),
            Self::Sentinels(fault) => write!(f, "{fault}"),
            Self::Cluster => f.write_str(IN_CLUSTER),
            Self::NoCluster => f.write_str(
                "this server is no node of a cluster: name a single server as redis://HOST:6379",
            ),
            Self::WantsKeys => f.write_str(
                "this node of the cluster takes no script that does not name all keys beforehand, \
                 and those of a restart guard cannot: leave restart_guard out, and read in \
                 SAFETY.md what a restart may forget then",
            ),
            Self::NoSlots => f.write_str(
                "this node of the cluster has no hash slots, so nothing is locked there",
            ),
            Self::Replica => f.write_str(
                "this server is a replica and takes no writes: a failover may be under way",
            ),
            Self::ReadOnly { of: Some(of) } => write!(
                f,
                "this server is a replica of {of} and takes no writes, so nothing can be locked \
                 there (READONLY): name its primary, as redis://{of}, or its Sentinels, which know \
                 it after a failover too, as redis+sentinel://HOST/SERVICE"
            ),
            Self::ReadOnly { of: None } => f.write_str(
                "this server is a replica and takes no writes, so nothing can be locked there \
                 (READONLY): name its primary, or its Sentinels, as redis+sentinel://HOST/SERVICE",
            ),
            Self::TooOld { server, version } => write!(
                f,
                "the server is {server} {version}; needed is Redis 6.2 or Valkey 7.2, or newer"
            ),
            Self::StillConnecting { last: Some(last) } => write!(f, "{last}"),
            Self::StillConnecting { last: None } => {
                f.write_str("no connection to the server yet: is it up, and reachable from here?")
            }
            Self::Server(says) => write!(f, "{says}"),
            Self::Silent { limit } => write!(
                f,
                "the server took a request and did not answer within {limit}: is it stopped, \
                 overloaded, or cut off?",
                limit = shown(*limit)
            ),
            Self::Cut { text } => write!(
                f,
                "the connection ended before the answer came ({text}): did the server restart?"
            ),
            Self::GivenUp { text } => {
                write!(f, "the connection was given up here before the answer came: {text}")
            }
            Self::Nonsense { text } => {
                write!(
                    f,
                    "the server's answer makes no sense ({text}): does something in between change \
                     it?"
                )
            }
            Self::Unacknowledged { acknowledged, wanted, within } => write!(
                f,
                "{acknowledged} of {wanted} replicas acknowledged within {within}, so nothing is \
                 granted: are the replicas up and linked to this server (INFO replication)? The \
                 URL's ack names how many must acknowledge, ack_timeout for how long they are \
                 waited for",
                within = shown(*within)
            ),
            Self::NoReplicas => f.write_str(
                "ack=majority, but no replica is linked to this server (INFO replication), and \
                 alone it is no majority: start its replicas, or leave ack out",
            ),
            Self::NoWait => f.write_str(
                "this server, or a proxy in front of it, knows no WAIT, by which replicas \
                 acknowledge grants: connect to the server itself, or leave ack out",
            ),
        }
    }
}

impl Stage {
    fn too_slow(self, limit: Duration) -> String {
        match self {
            Self::Resolve => {
                format!(
                    "the host's name was not resolved within {limit}: check the name service",
                    limit = shown(limit)
                )
            }
            Self::Connect => format!(
                "no connection within {limit}: is the server up, and does a firewall drop \
                 packets on the way?",
                limit = shown(limit)
            ),
            Self::Tls => format!(
                "connected, but there was no answer to TLS within {limit}: if this is no TLS \
                 port, say redis://",
                limit = shown(limit)
            ),
            Self::Login => format!(
                "connected, but there was no answer within {limit}: is the server stopped or \
                 overloaded, or is this another service's port, or a TLS port (rediss://)?",
                limit = shown(limit)
            ),
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIssuer => f.write_str(
                "the server's certificate is signed by nobody whom this machine trusts: give the \
                 right authority by ca=PATH",
            ),
            Self::Authority => f.write_str(
                "the server's certificate is self-signed as an authority's (CA:TRUE), and cannot \
                 be a server's as well: make one that its authority has signed, or a self-signed \
                 one with CA:FALSE (openssl req -x509 -addext basicConstraints=critical,CA:FALSE \
                 -addext subjectAltName=DNS:HOST), and give the authority's, or that one itself, \
                 by ca=PATH",
            ),
            Self::OtherName { asked, names_none: true } => write!(
                f,
                "the server's certificate names no host, so it is not for {asked:?}: make one with \
                 a subjectAltName; a common name alone does not count"
            ),
            Self::Unusable { text } => write!(
                f,
                "the server's certificate cannot be used ({text}): make a new one, of version 3 \
                 and for servers, and give the authority that has signed it by ca=PATH"
            ),
            Self::NothingInCommon { text } => write!(
                f,
                "the server speaks no TLS that is accepted here, 1.2 or newer ({text}): set its \
                 tls-protocols and tls-ciphers"
            ),
            Self::OtherName { asked, .. } => write!(
                f,
                "the server's certificate is not for {asked:?}: check the host, or give the name \
                 that it is for by server_name=NAME"
            ),
            Self::NotValidNow => f.write_str(
                "the server's certificate has run out, or is not valid yet: renew it, or set the \
                 clock of this machine",
            ),
            Self::NoName { name } => {
                write!(f, "{name:?} can be no name in a certificate: give one by server_name")
            }
            Self::ClientCertificate { text } => write!(
                f,
                "the server wants a certificate from us that it trusts ({text}): give it by \
                 cert=PATH and key=PATH"
            ),
            Self::NotTls => f.write_str("the server does not speak TLS on this port: say redis://"),
            Self::Other { text } => write!(f, "TLS failed: {text}"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "a web server answered there, not a Redis: check host and port",
            Self::Ssh => "an SSH server answered there, not a Redis: check host and port",
            Self::Tls => "the server speaks TLS on this port: say rediss://",
            Self::Unknown => "what answered there is not a Redis: check host and port",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self {
            class: failure.class(),
            message: failure.to_string(),
            may_have_run: failure.may_have_run,
            source: None,
        }
    }
}
