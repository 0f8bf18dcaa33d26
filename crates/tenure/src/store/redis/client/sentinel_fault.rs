//! Failures on the way to a server that Sentinels name, as people read them. Like `failure.rs`, it
//! knows no URL and no password.

use std::fmt;
use std::sync::Arc;

use crate::store::StoreErrorClass;

use super::failure::Cause;

/// Why the Sentinels did not lead to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SentinelFault {
    /// None of them said where the server is; what each of them did, by its place.
    NoneTold { service: Arc<str>, causes: Vec<(Arc<str>, Cause)> },
    /// A Sentinel does not watch it.
    UnknownService { service: Arc<str> },
    /// A server for data is there, and no Sentinel.
    NotSentinel,
    /// The server at the place that they named cannot be reached.
    Named { place: Arc<str>, cause: Box<Cause> },
    /// The server at the place that they named is a replica.
    Replica,
}

impl SentinelFault {
    pub(super) fn class(&self) -> StoreErrorClass {
        use StoreErrorClass::{Config, Transient};
        match self {
            // One that may tell later is reason enough to ask again.
            Self::NoneTold { causes, .. } => {
                let mut classes = causes.iter().map(|(_, cause)| cause.class());
                let first = classes.next().unwrap_or(Transient);
                if classes.any(|class| class == Transient) { Transient } else { first }
            }
            Self::UnknownService { .. } | Self::NotSentinel => Config,
            Self::Named { cause, .. } => cause.class(),
            Self::Replica => Transient,
        }
    }
}

impl fmt::Display for SentinelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneTold { service, causes } => {
                write!(f, "no Sentinel told where {service:?} is")?;
                for (index, (place, cause)) in causes.iter().enumerate() {
                    write!(f, "{} {place}: {cause}", if index == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Self::UnknownService { service } => write!(
                f,
                "this Sentinel watches no {service:?}: check the name at the end of the URL \
                 (redis-cli -p 26379 SENTINEL MASTERS lists them)"
            ),
            Self::NotSentinel => f.write_str(
                "a server for data answered where a Sentinel should: give the port of the \
                 Sentinels, usually 26379, or name the server itself by redis://",
            ),
            Self::Named { place, cause } => {
                write!(f, "the Sentinels name {place} as the primary: {cause}")?;
                if matches!(**cause, Cause::NoAddress { .. }) {
                    f.write_str(
                        "; let them announce what this machine can resolve (sentinel \
                         announce-hostnames, replica-announce-ip)",
                    )?;
                }
                Ok(())
            }
            Self::Replica => f.write_str(
                "the server that the Sentinels name is a replica by now: they are about to name \
                 another one",
            ),
        }
    }
}
