//! Certificates made for one test: an authority of its own, a server, a client. They are good for
//! nothing else.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

/// An authority, and what it signed: PEM files in a directory of their own.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes a new authority, a server's certificate for these names (a name or an address each),
    /// and a client's.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn for_names(names: &[&str]) -> Self {
        let made = Self { directory: TempDir::with_prefix("tenure-tls-").expect("a directory") };
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = params("Tenure's tests", &[]);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = authority.self_signed(&authority_key).expect("a certificate");
        made.write("ca.pem", &certificate.pem());
        let issuer = Issuer::new(authority, authority_key);
        // A replica dials its primary with the server's certificate, so that it serves both ways.
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        made.sign("server", params("server", names), &both, &issuer);
        made.sign("client", params("client", &["client.test"]), &both[1..], &issuer);
        made
    }

    /// Makes a server's certificate that nobody else has signed, as an authority's (as `openssl req
    /// -x509` does) or not. It is also [`ca`](Self::ca).
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn self_signed(names: &[&str], is_authority: bool) -> Self {
        let made = Self { directory: TempDir::with_prefix("tenure-tls-").expect("a directory") };
        let mut server = params("server", names);
        let ours = BasicConstraints::Unconstrained;
        server.is_ca = if is_authority { IsCa::Ca(ours) } else { IsCa::ExplicitNoCa };
        made.sign_itself(&server);
        made
    }

    /// Makes a server's certificate that has run out long ago, signed by itself.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn run_out(names: &[&str]) -> Self {
        let made = Self { directory: TempDir::with_prefix("tenure-tls-").expect("a directory") };
        let mut server = params("server", names);
        server.is_ca = IsCa::ExplicitNoCa;
        server.not_before = rcgen::date_time_ymd(2001, 1, 1);
        server.not_after = rcgen::date_time_ymd(2002, 1, 1);
        made.sign_itself(&server);
        made
    }

    fn sign_itself(&self, server: &CertificateParams) {
        let key = KeyPair::generate().expect("a key");
        let certificate = server.self_signed(&key).expect("a certificate");
        self.write("ca.pem", &certificate.pem());
        self.write("server.pem", &certificate.pem());
        self.write("server.key", &key.serialize_pem());
    }

    fn sign(
        &self,
        name: &str,
        mut params: CertificateParams,
        usages: &[ExtendedKeyUsagePurpose],
        issuer: &Issuer<'_, KeyPair>,
    ) {
        params.extended_key_usages = usages.to_vec();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("a file in a directory of our own");
    }

    /// The authority's certificate, which a client has to trust.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's certificate and its key.
    #[must_use]
    pub fn server(&self) -> (PathBuf, PathBuf) {
        (self.file("server.pem"), self.file("server.key"))
    }

    /// The client's certificate and its key.
    #[must_use]
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.file("client.pem"), self.file("client.key"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
