//! A server with TLS, an authority that signed its certificate, and one that signed nothing.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{RedisServer, config, free_port};
use crate::{RedisConfig, Tls, Topology};

/// A server that also listens with TLS, where it asks for a client's certificate.
#[derive(Debug)]
pub struct TlsServer {
    /// The authority that signed both certificates, in PEM.
    pub authority: Vec<u8>,
    /// A client's certificate and its key.
    pub client: (Vec<u8>, Vec<u8>),
    /// Another authority.
    pub other_authority: Vec<u8>,
    /// The server, without TLS.
    pub server: RedisServer,
    _folder: TempDir,
    port: u16,
}

impl TlsServer {
    /// Starts it.
    pub fn start() -> Self {
        let (authority, issuer) = authority();
        let (other_authority, _) = self::authority();
        let (certificate, key) = signed(&issuer, "127.0.0.1");
        let client = signed(&issuer, "client");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            path.to_str().expect("a path in UTF-8").to_owned()
        };
        let certificate = write("certificate.pem", &certificate);
        let (key, trusted) = (write("key.pem", &key), write("authority.pem", &authority));
        let port = free_port();
        let server = RedisServer::with(&[
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &trusted,
        ]);
        Self { authority, client, other_authority, server, _folder: folder, port }
    }

    /// Its address with TLS.
    pub fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}/", self.port)
    }

    /// How to connect to it with TLS.
    pub fn config(&self, prefix: &str) -> RedisConfig {
        let authorities = Some(self.authority.clone());
        let tls = Tls { authorities, client: Some(self.client.clone()) };
        RedisConfig { tls, ..config(prefix, Topology::Single { url: self.url() }) }
    }
}

fn authority() -> (Vec<u8>, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem().into_bytes(), Issuer::new(params, key))
}

fn signed(issuer: &Issuer<'_, KeyPair>, name: &str) -> (Vec<u8>, Vec<u8>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
}
