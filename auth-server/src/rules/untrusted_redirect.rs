//! Faults of an authorization request that are answered by a page, because nobody is known yet who
//! could be redirected to (RFC 6749 section 3.1.2.4).

use super::violation::{Wire, wire};

/// What must never be answered by a redirect, but by a page (RFC 6749 section 3.1.2.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UntrustedRedirect {
    #[error("this application is not registered here")]
    ClientUnknown,
    #[error("the request names no application (client_id)")]
    ClientMissing,
    #[error("what the application says about itself cannot be used: {0}")]
    DocumentInvalid(String),
    #[error("the application's own address cannot be used: {0}")]
    DocumentUrl(String),
    #[error("what the application says about itself could not be read")]
    DocumentUnread,
    #[error("nobody is signed in, and prompt=none forbids to ask")]
    DocumentUnseen,
    #[error("a parameter is given twice or is too long")]
    Parameters,
    #[error("what was posted is no form, or is too long")]
    Post,
    #[error("the request does not say where to return to (redirect_uri)")]
    RedirectMissing,
    #[error("this server sends nobody to that address")]
    RedirectBlocked,
    #[error("the address to return to is not one the application registered")]
    RedirectUnregistered,
}

impl UntrustedRedirect {
    pub(crate) fn wire(&self) -> Wire {
        match self {
            Self::ClientMissing => wire(400, "invalid_request", "RFC 6749 section 4.1.1"),
            Self::ClientUnknown => wire(400, "invalid_client", "RFC 6749 section 3.1.2.4"),
            Self::DocumentInvalid(_) | Self::DocumentUnread => {
                wire(400, "invalid_client", "OAuth Client ID Metadata Document 4")
            }
            Self::DocumentUnseen => wire(400, "login_required", "OpenID Connect Core 3.1.2.6"),
            Self::DocumentUrl(_) => {
                wire(400, "invalid_client", "OAuth Client ID Metadata Document 3")
            }
            Self::Parameters => wire(400, "invalid_request", "RFC 6749 section 3.1"),
            Self::Post => wire(400, "invalid_request", "OpenID Connect Core 3.1.2.1"),
            Self::RedirectBlocked => wire(400, "invalid_request", "RFC 7591 section 5"),
            Self::RedirectMissing => wire(400, "invalid_request", "RFC 6749 section 3.1.2.3"),
            Self::RedirectUnregistered => wire(400, "invalid_request", "RFC 6749 section 3.1.2.4"),
        }
    }

    /// What a person can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::ClientUnknown => {
                "Remove the connection in the application and connect again: it then registers anew."
            }
            Self::DocumentInvalid(_) | Self::DocumentUrl(_) => {
                "Nothing was sent anywhere. The application's makers must correct what they publish \
                 at its address."
            }
            Self::DocumentUnread => {
                "Nothing was sent anywhere. Try again in a minute; if it happens again, tell the \
                 application's makers."
            }
            Self::ClientMissing | Self::DocumentUnseen | Self::Parameters | Self::Post => {
                "Start again from the application. If it happens again, tell its makers."
            }
            Self::RedirectBlocked => {
                "Nothing was sent anywhere. The operator of this server blocked the address; do not \
                 trust the application that sent you here."
            }
            Self::RedirectMissing | Self::RedirectUnregistered => {
                "Nothing was sent anywhere. Connect again from the application; if it happens again, \
                 its makers must register the address."
            }
        }
    }
}
