//! Certificates as clients see them: by name, replaced, asked for, and without TLS.

use std::{io, time::Duration};

use axum::{Router, routing::get};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, rustls::ClientConfig};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::listener::{ServeOptions, serve};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn certificate(&self, host: &str) -> CertificatePem {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        CertificatePem { certificate, key: Secret::new(key.serialize_pem()) }
    }
}

/// Starts a listener, and says at which port.
async fn start(certificates: &Certificates) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = ServeOptions {
        header_timeout: Duration::from_millis(300),
        tls: Some(certificates.clone()),
        ..ServeOptions::default()
    };
    let router = Router::new().route("/", get(|| async { "hello" }));
    let tracker = TaskTracker::new();
    let run = serve(vec![listener], router, options, CancellationToken::new(), tracker.clone());
    tracker.spawn(run);
    port
}

/// What a client that believes this authority is answered by a host.
async fn ask(
    port: u16,
    host: &str,
    authority: &Authority,
    own: Option<&CertificatePem>,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(chain(&authority.pem).unwrap().remove(0)).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let key = PrivateKeyDer::from_pem_slice(pem.key.expose().as_bytes()).unwrap();
            builder.with_client_auth_cert(chain(&pem.certificate).unwrap(), key).unwrap()
        }
    };
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn each_host_is_shown_its_certificate_and_told_to_stay_with_https() {
    let authority = Authority::new();
    let pems = [authority.certificate("auth.example"), authority.certificate("mcp.example")];
    let port = start(&Certificates::new(&pems, None).unwrap()).await;
    for host in ["auth.example", "mcp.example"] {
        let answer = ask(port, host, &authority, None).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
        assert!(answer.ends_with("hello"), "{answer}");
    }
    let other = ask(port, "other.example", &authority, None).await.unwrap_err();
    assert!(other.to_string().contains("not valid for name"), "{other}");
}

#[tokio::test]
async fn another_certificate_is_shown_to_the_next_connection_and_a_broken_one_to_nobody() {
    let (old, new) = (Authority::new(), Authority::new());
    let certificates = Certificates::new(&[old.certificate("a.example")], None).unwrap();
    let port = start(&certificates).await;
    assert!(ask(port, "a.example", &old, None).await.is_ok());

    let mixed =
        CertificatePem { key: old.certificate("a.example").key, ..new.certificate("a.example") };
    assert!(matches!(certificates.replace(&[mixed]), Err(CertificateError::Mismatch)));
    let nothing = CertificatePem { certificate: String::new(), ..new.certificate("a.example") };
    assert!(matches!(certificates.replace(&[nothing]), Err(CertificateError::NoCertificate)));
    assert!(ask(port, "a.example", &old, None).await.is_ok());

    certificates.replace(&[new.certificate("a.example")]).unwrap();
    assert!(ask(port, "a.example", &new, None).await.is_ok());
    assert!(ask(port, "a.example", &old, None).await.is_err());
}

#[tokio::test]
async fn where_clients_must_show_a_certificate_nobody_is_served_without() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let shown = [authority.certificate("a.example")];
    let certificates = Certificates::new(&shown, Some(&authority.pem)).unwrap();
    let port = start(&certificates).await;
    let own = authority.certificate("gateway-1");
    assert!(ask(port, "a.example", &authority, Some(&own)).await.is_ok());
    assert!(ask(port, "a.example", &authority, None).await.is_err());
    let foreign = stranger.certificate("gateway-1");
    assert!(ask(port, "a.example", &authority, Some(&foreign)).await.is_err());
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_and_who_says_nothing_is_cut() {
    let authority = Authority::new();
    let certificates = Certificates::new(&[authority.certificate("a.example")], None).unwrap();
    let port = start(&certificates).await;
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // The rest of the request may still be on its way when the connection ends.
    let _ended = plain.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.ends_with("This port speaks https. Use it.\n"), "{answer}");

    let mut silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut [0])).await;
    assert_eq!(read.unwrap().unwrap_or(0), 0);
}
