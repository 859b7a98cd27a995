//! [`Tls`]: the certificate of this server and the key that belongs to it, as files.

use std::path::{Path, PathBuf};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

/// PEM files; read anew at reload.
#[derive(Clone)]
pub struct Tls {
    /// With its chain, the server's own first.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Tls {
    pub fn read(&self) -> Result<CertifiedKey, String> {
        certified(&self.certificate, &self.key)
    }
}

/// Reads a certificate with its chain, and its key. The error names the file and what is wrong with it.
pub fn certified(certificate: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let (shown, shown_key) = (certificate.display(), key.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|chain| chain.collect::<Result<Vec<_>, _>>())
        .map_err(|e| format!("the certificate {shown} can not be read: {e}"))?;
    if chain.is_empty() {
        return Err(format!("{shown} holds no certificate (`-----BEGIN CERTIFICATE-----`)"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("the key {shown_key} can not be read: {e}"))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|e| match e {
        // Who has another certificate than a key proves and signs what nobody can check.
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!("the certificate {shown} does not belong to the key {shown_key}")
        }
        e => format!("the certificate {shown} and the key {shown_key} can not be used: {e}"),
    })
}
