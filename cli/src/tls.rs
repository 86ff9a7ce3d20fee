//! From the tables about TLS to certificates that are shown, and shown anew when their files
//! change.

use std::{fs, path::Path, time::Duration};

use gateway::{InternalTls, RawInternalTls};
use serde::Deserialize;
use shared::secret::Secret;
use tokio_util::sync::CancellationToken;
use web::listener::tls::{CertificatePem, Certificates};

use crate::{deployment_file::File, secret_file};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// A certificate and its key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCertificate {
    /// The certificate and those of the authorities between it and the root, in PEM.
    certificate_file: String,
    /// Its private key, in PEM.
    key_file: String,
}

/// The `[listen.internal_tls]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawInternalListenerTls {
    /// Whose certificates gateways must show. Without it their credential alone is asked for.
    #[serde(rename = "client_ca_file")]
    clients: Option<String>,
    certificate_file: String,
    key_file: String,
}

/// The certificates of a listener, with where they were read.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) certificates: Certificates,
    place: &'static str,
    raw: Vec<RawCertificate>,
    read: Vec<CertificatePem>,
}

impl Shown {
    /// Those of the public listeners; none where they speak plain http.
    pub(crate) fn public(file: &File) -> Result<Option<Self>, String> {
        let raw = &file.listen.tls;
        if raw.is_empty() { Ok(None) } else { Self::read("listen.tls", raw, None).map(Some) }
    }

    /// Those of the internal listener.
    pub(crate) fn internal(file: &File) -> Result<Option<Self>, String> {
        let Some(raw) = &file.listen.internal_tls else { return Ok(None) };
        let clients = raw.clients.as_deref();
        let clients =
            clients.map(|path| text("listen.internal_tls.client_ca_file", path)).transpose()?;
        let certificate = RawCertificate {
            certificate_file: raw.certificate_file.clone(),
            key_file: raw.key_file.clone(),
        };
        Self::read("listen.internal_tls", &[certificate], clients.as_deref()).map(Some)
    }

    fn read(
        place: &'static str,
        raw: &[RawCertificate],
        clients: Option<&str>,
    ) -> Result<Self, String> {
        let read = read_all(place, raw)?;
        let certificates = Certificates::new(&read, clients).map_err(|e| unusable(place, &e))?;
        Ok(Self { certificates, place, raw: raw.to_vec(), read })
    }

    /// Shows what the files hold whenever they change, until the shutdown.
    pub(crate) async fn keep(mut self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            match self.look() {
                Ok(false) => {}
                Ok(true) => tracing::info!(place = self.place, "other certificates are shown"),
                Err(problem) => {
                    tracing::warn!(problem, "the certificates of before are shown still");
                }
            }
        }
    }

    /// Reads the files again; whether they had changed.
    fn look(&mut self) -> Result<bool, String> {
        let read = read_all(self.place, &self.raw)?;
        let is_same = |(old, new): (&CertificatePem, &CertificatePem)| {
            old.certificate == new.certificate && old.key.expose() == new.key.expose()
        };
        if self.read.iter().zip(&read).all(is_same) {
            return Ok(false);
        }
        self.certificates.replace(&read).map_err(|error| unusable(self.place, &error))?;
        self.read = read;
        Ok(true)
    }
}

/// The gateway's side of TLS to auth-server.
pub(crate) fn internal_client(raw: &RawInternalTls) -> Result<InternalTls, String> {
    let place = "gateway.internal_tls";
    let authorities = raw.ca_file.as_deref();
    let authorities =
        authorities.map(|path| text(&format!("{place}.ca_file"), path)).transpose()?;
    let client = match (&raw.certificate_file, &raw.key_file) {
        (None, None) => None,
        (Some(certificate_file), Some(key_file)) => {
            let (certificate_file, key_file) = (certificate_file.clone(), key_file.clone());
            let pem = read(place, &RawCertificate { certificate_file, key_file })?;
            Some((pem.certificate, pem.key))
        }
        _ => {
            return Err(format!(
                "{place}: a certificate needs its key, and a key its certificate; name both files"
            ));
        }
    };
    Ok(InternalTls { authorities, client })
}

fn read_all(place: &str, raw: &[RawCertificate]) -> Result<Vec<CertificatePem>, String> {
    raw.iter().map(|raw| read(place, raw)).collect()
}

fn read(place: &str, raw: &RawCertificate) -> Result<CertificatePem, String> {
    let certificate = text(&format!("{place}.certificate_file"), &raw.certificate_file)?;
    let key = secret_file::read(Path::new(&raw.key_file))
        .map_err(|error| format!("{place}.key_file: {error}"))?;
    Ok(CertificatePem { certificate, key: Secret::new(key) })
}

fn text(name: &str, path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{name}: cannot read {path}: {error}"))
}

fn unusable(place: &str, error: &dyn std::fmt::Display) -> String {
    format!("{place}: {error}; name files in PEM with a certificate and its own key")
}
