//! Whom the certificate of an https backend may come from (RFC 9110 section 4.3.4).

use std::sync::Arc;

use shared::{problem::Problem, resource::is_loopback};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use url::Url;

use super::RawBackend;

/// The client's side of TLS for an https backend; what is wrong with it is added to `problems`.
pub(super) fn client(
    raw: &RawBackend,
    at: usize,
    problems: &mut Vec<Problem>,
) -> Option<Arc<ClientConfig>> {
    of(&raw.url, raw.ca_file.as_deref(), &format!("backend[{at}]"), problems)
}

/// The same for any URL, with the authorities of a file or the system's.
pub(super) fn of(
    url: &str,
    authorities: Option<&str>,
    place: &str,
    problems: &mut Vec<Problem>,
) -> Option<Arc<ClientConfig>> {
    let is_secure = url.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("https:"));
    let place = || format!("{place}.ca_file");
    let roots = match authorities {
        Some(_) if !is_secure => {
            let what = "is given for what is not at https";
            problems.push(Problem::new(place(), what, "remove it, or write an https URL"));
            return None;
        }
        Some(path) => match own(path) {
            Ok(roots) => roots,
            Err(what) => {
                let remedy = "name a file with certificates in PEM";
                problems.push(Problem::new(place(), what, remedy));
                return None;
            }
        },
        None if !is_secure => return None,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

/// Whether nobody on the way can read or change what is sent: https, or this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// The authorities of a file, and no others.
fn own(path: &str) -> Result<RootCertStore, String> {
    let text = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    let (added, ignored) = roots.add_parsable_certificates(found);
    match (added, ignored) {
        (0, _) => Err("holds no certificate".to_owned()),
        (_, 0) => Ok(roots),
        _ => Err("holds a certificate that cannot be used".to_owned()),
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
