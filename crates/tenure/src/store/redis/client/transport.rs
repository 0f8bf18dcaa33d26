//! How the hosts of one URL are reached: over TCP, with TLS or without. It resolves no name and
//! connects to nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::store::StoreError;

use super::dial::Tcp;
use super::failure::Failure;
use super::parameters::TlsFiles;
use super::server::Limits;
#[cfg(feature = "tls")]
use super::tls::TlsSetup;

/// Makes the ways to hosts.
#[derive(Debug)]
pub(crate) struct Transport {
    unacknowledged: Duration,
    #[cfg(feature = "tls")]
    tls: Option<TlsSetup>,
}

impl Transport {
    /// Reads the certificates, if there are any.
    pub(crate) fn new(tls: Option<&TlsFiles>, limits: Limits) -> Result<Self, StoreError> {
        #[cfg(not(feature = "tls"))]
        if tls.is_some() {
            let text = "TLS (rediss://) needs this program to be built with the feature `tls` of \
                        tenure";
            return Err(StoreError::config(text.into()));
        }
        Ok(Self {
            unacknowledged: limits.call * 2,
            #[cfg(feature = "tls")]
            tls: tls.map(TlsSetup::new).transpose()?,
        })
    }

    /// The way to one host. It fails if no certificate can be for its name.
    pub(crate) fn to(&self, host: &Arc<str>, port: u16) -> Result<Tcp, Failure> {
        Ok(Tcp {
            host: Arc::clone(host),
            port,
            unacknowledged: self.unacknowledged,
            #[cfg(feature = "tls")]
            tls: self.tls.as_ref().map(|tls| tls.to(host)).transpose()?,
        })
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        return false;
    }
}
