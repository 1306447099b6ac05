//! TLS through rustls with the ring provider: PEM files in, a client configuration out.
//!
//! Invariant: the server's certificate and name are always verified; there is no switch to turn that off.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::{IngestError, TlsConfig};

pub(crate) fn client_config(config: &TlsConfig) -> Result<Arc<ClientConfig>, IngestError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&config.ca)? {
        roots.add(certificate).map_err(|error| pem(&config.ca, error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| pem(&config.ca, error))?
        .with_root_certificates(roots);
    let config = match (&config.cert, &config.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, error))?;
            builder.with_client_auth_cert(chain, secret).map_err(|error| pem(cert, error))?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(lonely), None) | (None, Some(lonely)) => return Err(pem(lonely, "one of cert and key without the other")),
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IngestError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| pem(path, error))?;
    if found.is_empty() { Err(pem(path, "no certificate")) } else { Ok(found) }
}

fn pem(path: &Path, error: impl std::fmt::Display) -> IngestError {
    IngestError::Pem { path: path.to_owned(), reason: error.to_string() }
}
