//! Requests to providers: addresses that an operator wrote down, over TLS, with limits of time and
//! size, and without following redirects.

use std::{future::Future, pin::Pin, time::Duration};

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Certificate, Client, redirect::Policy};

/// How long one request may take.
const TIME: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// The largest answer.
const LARGEST: usize = 256 * 1024;

/// Why a provider cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the address people are sent back to is no URL")]
    Address,
    #[error("the certificate of the authority cannot be read")]
    Authority(#[source] reqwest::Error),
    #[error("the request failed")]
    Request(#[from] reqwest::Error),
    #[error("the answer has more than {LARGEST} bytes")]
    TooLarge,
}

/// The client for one provider.
#[derive(Clone, Debug)]
pub(super) struct Http(Client);

impl Http {
    pub(super) fn new(authority: Option<&str>) -> Result<Self, HttpError> {
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .no_proxy()
            .redirect(Policy::none())
            .timeout(TIME);
        if let Some(pem) = authority {
            for one in Certificate::from_pem_bundle(pem.as_bytes()).map_err(HttpError::Authority)? {
                client = client.add_root_certificate(one);
            }
        }
        Ok(Self(client.build()?))
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.execute(request.try_into()?).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LARGEST {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
