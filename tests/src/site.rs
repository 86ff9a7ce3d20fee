//! Somebody's https site with a certificate authority of its own: it publishes what a test says,
//! well or badly, and counts who comes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The host that the site is known under.
pub const SITE_HOST: &str = "app.test";

/// What a path answers.
#[derive(Clone, Debug)]
pub enum Served {
    /// Bytes, head and all.
    Raw(Vec<u8>),
    /// Nothing, for as long as anybody waits.
    Silence,
}

/// A site; its tests run in a process of their own, so there is one.
#[derive(Clone, Debug)]
pub struct Site {
    paths: Arc<Mutex<BTreeMap<String, Served>>>,
    /// The heads of requests, in their order.
    seen: Arc<Mutex<Vec<String>>>,
    shutdown: CancellationToken,
}

static PORT: AtomicU16 = AtomicU16::new(0);
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

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
}

impl Served {
    /// A JSON document with headers of its own.
    pub fn json(value: &Value, headers: &str) -> Self {
        Self::ok("application/json", headers, value.to_string().as_bytes())
    }

    /// A 200 of a content type.
    pub fn ok(media: &str, headers: &str, body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        Self::Raw([head.as_bytes(), body].concat())
    }

    /// A status without a body.
    pub fn status(line: &str, headers: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n{headers}\r\n").into_bytes())
    }
}

impl Site {
    /// Starts the site on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        PORT.store(listener.local_addr().unwrap().port(), Ordering::SeqCst);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![SITE_HOST.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &AUTHORITY.issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let site = Self {
            paths: Arc::default(),
            seen: Arc::default(),
            shutdown: CancellationToken::new(),
        };
        let (accepting, tracker) = (site.clone(), TaskTracker::new());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tracker.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (site, acceptor) = (accepting.clone(), acceptor.clone());
                tracker.spawn(async move { site.answer(acceptor, stream).await });
            }
        });
        site
    }

    /// The deployment file of a world that trusts the site.
    #[expect(clippy::needless_pass_by_value, reason = "it stands where a closure would")]
    pub fn trusted(text: String) -> String {
        let port = PORT.load(Ordering::SeqCst);
        format!(
            "{text}\n[auth.outbound]\nallow = [\"{SITE_HOST}:{port}\"]\nca_file = \
             \"site-authority\"\ntimeout_seconds = 1\nresolve = {{ \"{SITE_HOST}\" = \"127.0.0.1\" \
             }}\n"
        )
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://{SITE_HOST}:{}{path}", PORT.load(Ordering::SeqCst))
    }

    /// Has a path answer this from now on; others are not found.
    pub fn serve(&self, path: &str, served: Served) {
        self.paths.lock().unwrap().insert(path.to_owned(), served);
    }

    /// The heads of the requests for paths that begin so.
    pub fn requests(&self, path: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|head| head.starts_with(&format!("GET {path}"))).cloned().collect()
    }

    async fn answer(&self, acceptor: TlsAcceptor, stream: TcpStream) {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let (mut head, mut byte) = (Vec::new(), [0; 1]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte).await {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        self.seen.lock().unwrap().push(head);
        let served = self.paths.lock().unwrap().get(&path).cloned();
        match served.unwrap_or_else(|| Served::status("404 Not Found", "")) {
            Served::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Served::Silence => self.shutdown.cancelled().await,
        }
    }
}

/// The certificate of the site's authority, in PEM.
pub(crate) fn authority() -> &'static str {
    &AUTHORITY.pem
}
