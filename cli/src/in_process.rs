//! The internal interface inside one process: the gateway asks auth-server directly.

use auth_server::StoreError;
use gateway::{Answer, Authority, AuthorityError};
use shared::internal::{Cursor, Events, Principal, PrincipalQuery, Usage};

use crate::live::AuthServer;

/// auth-server of the same process, under whatever configuration is in use.
#[derive(Clone, Debug)]
pub(crate) struct InProcess(pub(crate) AuthServer);

impl Authority for InProcess {
    fn events(&self, after: Option<Cursor>) -> Answer<'_, Events> {
        Box::pin(async move {
            self.0.current().events(after.as_ref()).await.map_err(|error| blind(&error))
        })
    }

    fn jwks(&self) -> Answer<'_, Vec<u8>> {
        Box::pin(async { Ok(self.0.current().jwks().into()) })
    }

    fn metadata(&self) -> Answer<'_, Vec<u8>> {
        Box::pin(async { Ok(self.0.current().metadata().into()) })
    }

    fn principal(&self, query: PrincipalQuery) -> Answer<'_, Option<Principal>> {
        Box::pin(async move {
            self.0.current().principal(&query).await.map_err(|error| unavailable(&error))
        })
    }

    fn report(&self, usage: Usage) -> Answer<'_, ()> {
        Box::pin(async move {
            self.0.current().report(&usage).await.map_err(|error| unavailable(&error))
        })
    }
}

fn blind(error: &StoreError) -> AuthorityError {
    AuthorityError::Blind(error.to_string())
}

fn unavailable(error: &StoreError) -> AuthorityError {
    AuthorityError::Unavailable(error.to_string())
}
