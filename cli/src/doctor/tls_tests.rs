//! Deployments behind certificates of an authority of their own.

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};
use tokio_util::task::TaskTracker;

use super::{
    tests::{Broken, router, verdicts},
    *,
};

/// An authority with its certificate as PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// A good deployment, with a certificate for this name; its origin.
async fn deployment(issuer: &Issuer<'static, KeyPair>, name: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let app = router(Broken::Nothing, origin.clone());
    let tls = Tls { acceptor: TlsAcceptor::from(Arc::new(config)), listener };
    TaskTracker::new().spawn(async move { axum::serve(tls, app).await });
    origin
}

struct Tls {
    acceptor: TlsAcceptor,
    listener: TcpListener,
}

impl axum::serve::Listener for Tls {
    type Addr = SocketAddr;
    type Io = TlsStream<TcpStream>;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn found(url: &str, authorities: Option<&str>) -> Vec<Finding> {
    walk(url, authorities, &Clock::System).await.unwrap()
}

#[tokio::test]
async fn an_authority_that_is_named_is_trusted_and_no_other() {
    let (issuer, pem) = authority();
    let (_, stranger) = authority();
    let url = format!("{}/mcp", deployment(&issuer, "localhost").await);
    let both = format!("{stranger}{pem}");
    for authorities in [&pem, &both] {
        let found = found(&url, Some(authorities)).await;
        assert!(found.iter().all(|one| one.verdict == Verdict::Ok), "{found:?}");
        assert!(found.len() > 8, "{found:?}");
    }
    for authorities in [None, Some(stranger.as_str())] {
        let found = found(&url, authorities).await;
        assert_eq!(verdicts(&found, Verdict::Bad), BTreeSet::from(["connection"]), "{found:?}");
        let bad = found.iter().find(|one| one.verdict == Verdict::Bad).unwrap();
        assert!(bad.fix.as_ref().unwrap().contains("--ca"), "{bad:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_bad_whoever_signed_it() {
    let (issuer, pem) = authority();
    let url = format!("{}/mcp", deployment(&issuer, "elsewhere.example").await);
    let found = found(&url, Some(&pem)).await;
    assert_eq!(verdicts(&found, Verdict::Bad), BTreeSet::from(["connection"]), "{found:?}");
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_said_to_be() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in [broken, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        let refused = walk("https://localhost:1/mcp", Some(pem), &Clock::System).await;
        let why = refused.unwrap_err();
        assert!(why.contains("authorities") || why.contains("builder"), "{why}");
    }
}
