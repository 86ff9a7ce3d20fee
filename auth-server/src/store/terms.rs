//! The terms that this process has met: they never change, so nothing but space limits how long
//! they are kept.

use std::{fmt, sync::Arc};

use moka::sync::Cache;

use crate::rules::terms::{Terms, TermsId};

const MOST: u64 = 10_000;

/// Terms by their digest.
#[derive(Clone)]
pub(super) struct KnownTerms(Cache<TermsId, Arc<Terms>>);

impl KnownTerms {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST))
    }

    pub(super) fn find(&self, id: TermsId) -> Option<Arc<Terms>> {
        self.0.get(&id)
    }

    pub(super) fn keep(&self, id: TermsId, terms: Terms) -> Arc<Terms> {
        let terms = Arc::new(terms);
        self.0.insert(id, Arc::clone(&terms));
        terms
    }
}

impl fmt::Debug for KnownTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownTerms").field("entries", &self.0.entry_count()).finish()
    }
}
