//! A surface as one request or document sees it: with fewer tools, in a state that has a name, and
//! without anybody in particular.

use std::borrow::Cow;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{List, Offer, Surface};
use crate::rules::{listing::Choices, narrowing::Narrowing, policy::Pattern};

impl Surface {
    /// The same with fewer tools.
    pub(crate) fn narrowed(&self, narrowing: Narrowing) -> Self {
        Self { narrowing: Some(narrowing), ..self.clone() }
    }

    /// Which tools of it remain.
    pub(crate) fn narrowing(&self) -> Option<&Narrowing> {
        self.narrowing.as_ref()
    }

    /// Whether an offer remains after narrowing.
    pub(super) fn admits(&self, offer: &Offer) -> bool {
        let narrowing = self.narrowing.as_ref().filter(|_| offer.list == List::Tools);
        narrowing.is_none_or(|narrowing| narrowing.admits(&offer.name, offer.read_only))
    }

    /// Whether the tool of that name does.
    pub(super) fn admits_name(&self, name: &str) -> bool {
        self.narrowing.is_none()
            || self.named(List::Tools, name).is_some_and(|offer| self.admits(offer))
    }

    /// What its state is known by: the same in every process that offers the same.
    pub(crate) fn version(&self) -> &str {
        self.version.get_or_init(|| {
            let mut digest = Sha256::new();
            for offer in &*self.offers {
                let owner = self.sources.get(offer.source);
                let raw = owner.and_then(|owner| owner.raw(offer.list, offer.at));
                let told = raw.map(RawValue::get).unwrap_or_default();
                let own = format!("{:?} {} {:?}", offer.list, offer.name, offer.required);
                for part in [told, &own] {
                    digest.update((part.len() as u64).to_be_bytes());
                    digest.update(part);
                }
            }
            let first = digest.finalize().first_chunk().copied().unwrap_or_default();
            format!("{:032x}", u128::from_be_bytes(first))
        })
    }

    /// The tools that fit one of the patterns, whoever asks.
    pub(crate) fn public_tools(&self, patterns: &[Pattern]) -> Vec<Cow<'_, RawValue>> {
        let is_public = |offer: &&Offer| {
            let fits = |pattern: &Pattern| pattern.matches(&offer.name);
            offer.list == List::Tools && patterns.iter().any(fits)
        };
        let text = |offer: &Offer| match offer.texts.usual() {
            Some(listed) => listed.text(&Choices::default()).raw().map(Cow::Owned),
            None => self.sources.get(offer.source)?.raw(offer.list, offer.at).map(Cow::Borrowed),
        };
        self.offers.iter().filter(is_public).filter_map(text).collect()
    }
}
