//! TLS to auth-server's internal interface: whom to believe, and what to show.

use std::sync::Arc;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use shared::secret::Secret;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

pub(super) type Connector = HttpsConnector<HttpConnector>;

/// The client's side of TLS to the internal interface; it matters at an https address alone.
#[derive(Clone, Debug, Default)]
pub struct InternalTls {
    /// The certificates, in PEM, of the authorities that may have signed the listener's; by
    /// default those of the system.
    pub authorities: Option<String>,
    /// The certificate to show, with its chain, and its key, in PEM.
    pub client: Option<(String, Secret)>,
}

/// Why the internal interface cannot be spoken to over TLS.
#[derive(Debug, thiserror::Error)]
pub enum InternalTlsError {
    /// There is no certificate in the file of the authorities, or of the client.
    #[error("a file holds no certificate in PEM")]
    NoCertificate,
    /// There is no private key in the file.
    #[error("the key's file holds no private key in PEM")]
    NoKey,
    /// A certificate or the key cannot be used, or they do not belong together.
    #[error("a certificate or its key cannot be used")]
    Unusable(#[from] tokio_rustls::rustls::Error),
}

impl InternalTls {
    /// Connects to plain http as well: which of the two, the address says. The system's
    /// authorities are read for an https address alone.
    pub(super) fn connector(&self, base: &str) -> Result<Connector, InternalTlsError> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.authorities {
            for certificate in certificates(pem)? {
                roots.add(certificate)?;
            }
        } else if base.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("https:")) {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                    .map_err(|_| InternalTlsError::NoKey)?;
                builder.with_client_auth_cert(certificates(chain)?, key)?
            }
        };
        let builder = HttpsConnectorBuilder::new().with_tls_config(config);
        Ok(builder.https_or_http().enable_http1().build())
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, InternalTlsError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
    if found.is_empty() { Err(InternalTlsError::NoCertificate) } else { Ok(found) }
}
