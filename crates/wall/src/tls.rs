//! TLS of the server: PEM files in, an acceptor out. Invariant: nothing older than TLS 1.2, through rustls with the ring provider.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::WallTls;

/// # Errors
/// In words, naming the file.
pub(crate) fn acceptor(config: &WallTls) -> Result<TlsAcceptor, String> {
    let said = |file: &Path, error: &dyn std::fmt::Display| format!("`{}`: {error}", file.display());
    let chain = CertificateDer::pem_file_iter(&config.cert).map_err(|error| said(&config.cert, &error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| said(&config.cert, &error))?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| said(&config.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| said(&config.cert, &error))?.with_no_client_auth();
    let mut server = builder.with_single_cert(chain, key).map_err(|error| said(&config.cert, &error))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}
