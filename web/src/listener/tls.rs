//! The listener's side of TLS (RFC 8446): certificates chosen by the name that a client asks for
//! (RFC 6066 section 3), and replaced while connections go on.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use shared::secret::Secret;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        client::verify_server_name,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier},
        sign::CertifiedKey,
    },
};

/// A certificate with those of the authorities between it and the root, and its key, in PEM.
#[derive(Clone, Debug)]
pub struct CertificatePem {
    /// The certificate first, then the chain.
    pub certificate: String,
    /// The private key.
    pub key: Secret,
}

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The key is not the certificate's.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// There is no certificate in the file.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// There is no private key in the file.
    #[error("holds no private key in PEM")]
    NoKey,
    /// The certificate or the key is of a kind that cannot be used.
    #[error("cannot be used: {0}")]
    Unusable(#[from] tokio_rustls::rustls::Error),
}

/// The certificates of a listener. Clones share what is shown.
#[derive(Clone)]
pub struct Certificates {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

impl Certificates {
    /// Certificates to show; the first is for clients that ask for no name, or an unknown one.
    /// With `clients`, the authorities' certificates in PEM, whoever connects must show a
    /// certificate that one of them signed.
    pub fn new(shown: &[CertificatePem], clients: Option<&str>) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown = Arc::new(Shown(ArcSwap::from_pointee(read_all(shown, &provider)?)));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match clients {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in chain(pem)? {
                    roots.add(certificate)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = verifier
                    .build()
                    .map_err(|error| tokio_rustls::rustls::Error::General(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::<Shown>::clone(&shown));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), shown })
    }

    /// Shows other certificates from the next connection on. If one cannot be used, nothing
    /// changes.
    pub fn replace(&self, shown: &[CertificatePem]) -> Result<(), CertificateError> {
        let provider = self.config.crypto_provider();
        self.shown.0.store(Arc::new(read_all(shown, provider)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

/// What is shown now.
#[derive(Debug)]
struct Shown(ArcSwap<Vec<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.0.load();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| all.iter().find(|key| is_for(key, &name)));
        named.or_else(|| all.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    key.cert
        .first()
        .and_then(|certificate| ParsedCertificate::try_from(certificate).ok())
        .is_some_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn read_all(
    shown: &[CertificatePem],
    provider: &CryptoProvider,
) -> Result<Vec<Arc<CertifiedKey>>, CertificateError> {
    shown.iter().map(|pem| read(pem, provider).map(Arc::new)).collect()
}

fn read(pem: &CertificatePem, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let key = PrivateKeyDer::from_pem_slice(pem.key.expose().as_bytes())
        .map_err(|_| CertificateError::NoKey)?;
    let key = provider.key_provider.load_private_key(key)?;
    let key = CertifiedKey::new(chain(&pem.certificate)?, key);
    key.keys_match().map_err(|_| CertificateError::Mismatch)?;
    Ok(key)
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
    if found.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(found) }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
