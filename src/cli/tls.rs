//! The service's certificate and its key, as files name them.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::config::TlsFiles;
use super::files;
use super::output::Failure;

/// Reads a certificate with its chain and key, and what is spoken with them: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
pub(super) fn read(tls: &TlsFiles) -> Result<Arc<ServerConfig>, Failure> {
    let failure = |path: &Path, error: &dyn std::fmt::Display, hint| {
        Failure::new(format!("{}: {error}", path.display()), hint)
    };
    let of_cert =
        "--tls-cert takes a PEM file: the service's certificate first, then those that lead to its issuer";
    let of_key = "--tls-key takes a PEM file with one private key, not encrypted";
    let text = files::read(&tls.cert)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| failure(&tls.cert, &error, of_cert))?;
    if chain.is_empty() {
        return Err(failure(&tls.cert, &"there is no certificate in it", of_cert));
    }
    let text = Zeroizing::new(files::read(&tls.key)?);
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| failure(&tls.key, &error, of_key))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = builder.with_safe_default_protocol_versions().and_then(|builder| {
        // Refuses a key that is not the certificate's.
        builder.with_no_client_auth().with_single_cert(chain, key)
    });
    let mut config = config.map_err(|error| {
        failure(&tls.key, &error, "check that the key belongs to the first certificate in --tls-cert")
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
