//! Certificates of https backends, right and wrong.

use std::{io::Write as _, net::SocketAddr};

use axum::body::Bytes;
use http::Request;
use http_body_util::Full;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::backends::pool::{Pool, PoolError, PoolLimits};

/// An authority, and its certificate in PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// A server that answers once a connection, with a certificate for this host.
async fn server(issuer: &Issuer<'static, KeyPair>, host: &str) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    });
    address
}

fn resolve(url: &str, pem: Option<&str>) -> Result<Option<Arc<ClientConfig>>, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.unwrap_or_default().as_bytes()).unwrap();
    let ca_file = pem.map(|_| format!("ca_file = \"{}\"\n", file.path().display()));
    let text = format!("name = \"crm\"\nurl = \"{url}\"\n{}", ca_file.unwrap_or_default());
    let mut problems = Vec::new();
    let made = client(&toml::from_str(&text).unwrap(), 0, &mut problems);
    problems.first().map_or(Ok(made), |problem| Err(problem.to_string()))
}

async fn ask(address: SocketAddr, pem: &str) -> Result<http::StatusCode, PoolError> {
    let tls = resolve("https://crm", Some(pem)).unwrap();
    let limits = PoolLimits::default();
    let pool = Pool::secure("127.0.0.1".to_owned(), address.port(), limits, tls);
    let request = Request::get("/").header("host", "crm").body(Full::new(Bytes::new())).unwrap();
    Ok(pool.send(request, Instant::now(), limits.connect).await?.status())
}

#[tokio::test]
async fn a_backend_is_believed_by_its_own_authority_and_name_alone() {
    let ((own, pem), (_, other)) = (authority(), authority());
    let right = server(&own, "127.0.0.1").await;
    assert_eq!(ask(right, &pem).await.unwrap(), 200);
    assert!(matches!(ask(right, &other).await, Err(PoolError::Connect(_))), "another authority");
    let elsewhere = server(&own, "other.example").await;
    assert!(matches!(ask(elsewhere, &pem).await, Err(PoolError::Connect(_))), "another name");
}

#[test]
fn authorities_are_checked_at_the_start() {
    let (_, pem) = authority();
    assert!(resolve("http://crm", None).unwrap().is_none());
    assert!(resolve("https://crm", None).unwrap().is_some());
    for (url, pem, words) in [
        ("http://crm", Some(&*pem), "not at https"),
        ("https://crm", Some("no certificate"), "holds no certificate"),
    ] {
        let problem = resolve(url, pem).unwrap_err();
        assert!(
            problem.starts_with("backend[0].ca_file: ") && problem.contains(words),
            "{problem}"
        );
    }
}
