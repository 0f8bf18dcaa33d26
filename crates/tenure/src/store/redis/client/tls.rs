//! TLS over TCP: rustls with ring, both configured here. Without a `ca` the machine's own
//! authorities are trusted, since that is where a company's authority is installed; a compiled-in
//! list would not know it, and ages. With one, that one alone.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::runtime::{Moment, Runtime, answer_by};
use crate::store::StoreError;

use super::dial::ByteStream;
use super::failure::{Cause, Failure, Stage, TlsFault};
use super::named_file;
use super::parameters::TlsFiles;

impl ByteStream for TlsStream<TcpStream> {}

/// The authorities, and our own certificate, for all servers of a store. The files are read once,
/// when the store is opened.
pub(crate) struct TlsSetup {
    connector: TlsConnector,
    /// The name that every server's certificate must be for, if not its host's.
    server_name: Option<Arc<str>>,
}

/// How to make the streams to one host secret.
pub(crate) struct Tls {
    connector: TlsConnector,
    /// The name that the server's certificate must be for.
    name: ServerName<'static>,
}

impl TlsSetup {
    pub(crate) fn new(files: &TlsFiles) -> Result<Self, StoreError> {
        let roots = match &files.ca {
            Some(path) => own_roots(path)?,
            None => system_roots()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| config(format!("TLS cannot be set up: {e}")))?
            .with_root_certificates(roots);
        let client = match &files.cert_and_key {
            Some((cert, key)) => {
                let chain = certificates(cert, "our certificate")?;
                let refused = |e: &dyn fmt::Display| {
                    config(format!("our private key cannot be read from {}: {e}", key.display()))
                };
                let text = named_file::read(key).map_err(|e| refused(&e))?;
                let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|e| refused(&e))?;
                builder.with_client_auth_cert(chain, secret).map_err(|e| {
                    let (cert, key) = (cert.display(), key.display());
                    config(format!("{cert} and {key} cannot be used together: {e}"))
                })?
            }
            None => builder.with_no_client_auth(),
        };
        let connector = TlsConnector::from(Arc::new(client));
        Ok(Self { connector, server_name: files.server_name.clone() })
    }

    /// For a server at this host.
    pub(crate) fn to(&self, host: &str) -> Result<Tls, Failure> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let no_name = |_| {
            let name = name.into();
            Failure::unsent(Cause::Tls(TlsFault::NoName { name }))
        };
        let connector = self.connector.clone();
        Ok(Tls { connector, name: ServerName::try_from(name.to_owned()).map_err(no_name)? })
    }
}

impl Tls {
    /// Agrees on TLS with the other side.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        runtime: &dyn Runtime,
        until: Moment,
    ) -> Result<Box<dyn ByteStream>, Failure> {
        let limit = until.since(runtime.now());
        let agreed =
            answer_by(runtime, until, self.connector.connect(self.name.clone(), stream)).await;
        match agreed {
            Some(Ok(stream)) => Ok(Box::new(stream)),
            Some(Err(error)) => {
                let cause = match fault_in(&error) {
                    Some(TlsFault::OtherName { names_none, .. }) => {
                        let asked = self.name.to_str().as_ref().into();
                        Cause::Tls(TlsFault::OtherName { asked, names_none })
                    }
                    Some(fault) => Cause::Tls(fault),
                    None if is_end(&error) => Cause::ClosedAtOnce { tls: true },
                    None => Cause::Tls(TlsFault::Other { text: error.to_string() }),
                };
                Err(Failure::unsent(cause))
            }
            None => Err(Failure::unsent(Cause::NotInTime { stage: Stage::Tls, limit })),
        }
    }
}

/// The fault that rustls reports in an error of a stream.
pub(crate) fn fault_in(error: &io::Error) -> Option<TlsFault> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match inner {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                TlsFault::UnknownIssuer
            }
            CertificateError::NotValidForName => {
                TlsFault::OtherName { asked: "".into(), names_none: false }
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                TlsFault::OtherName { asked: "".into(), names_none: presented.is_empty() }
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsFault::NotValidNow,
            // Of another crate, whose words are all that is known of it here.
            CertificateError::Other(other) if format!("{:?}", other.0) == "CaUsedAsEndEntity" => {
                TlsFault::Authority
            }
            CertificateError::Other(other) => TlsFault::Unusable { text: other.0.to_string() },
            other => TlsFault::Unusable { text: other.to_string() },
        },
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        )
        | rustls::Error::PeerIncompatible(_) => {
            TlsFault::NothingInCommon { text: inner.to_string() }
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => TlsFault::ClientCertificate { text: inner.to_string() },
        rustls::Error::InvalidMessage(_) => TlsFault::NotTls,
        _ => TlsFault::Other { text: inner.to_string() },
    })
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

fn own_roots(path: &Path) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "the authority (ca)")? {
        roots.add(certificate).map_err(|e| {
            config(format!("{} holds a certificate that is none: {e}", path.display()))
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, StoreError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Machines carry a few that rustls does not take; the others count.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    Err(config(
        "this machine has no list of certificate authorities (the package ca-certificates): \
         install it, or name the server's own by ca=PATH"
            .to_owned(),
    ))
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let refused = |e: &dyn fmt::Display| {
        config(format!("{what} cannot be read from {}: {e}", path.display()))
    };
    let text = named_file::read(path).map_err(|e| refused(&e))?;
    let read = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = read.map_err(|e| refused(&e))?;
    if chain.is_empty() {
        return Err(config(format!("{} holds no certificate (PEM) for {what}", path.display())));
    }
    Ok(chain)
}

fn config(message: String) -> StoreError {
    StoreError::config(message)
}

impl fmt::Debug for TlsSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSetup").finish_non_exhaustive()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}
