//! Whose a name is, for as long as this process runs: the configured order decides among backends
//! that are read at the same time, and whoever had a name first keeps it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{List, Source, Surface, uris::Offered};
use crate::rules::{catalogue::Naming, policy::Policies};

/// More names than this are not remembered once nobody offers them.
const MOST: usize = 100_000;

/// Who had which name first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners {
    names: HashMap<(List, String), Arc<str>>,
    /// In the order in which they came.
    templates: Vec<(Arc<str>, String)>,
}

/// A backend whose catalogue has not been read yet.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    /// How many of those that were read come before it in the configuration.
    pub(crate) at: usize,
    pub(crate) backend: Arc<str>,
    pub(crate) naming: Arc<Naming>,
    pub(crate) policies: Arc<Policies>,
}

impl Owners {
    /// Whether another backend had the name before.
    pub(super) fn is_taken(&self, list: List, name: &str, backend: &str) -> bool {
        let owner = self.names.get(&(list, name.to_owned()));
        owner.is_some_and(|owner| **owner != *backend)
    }

    /// Whether the name was offered before, by whomever.
    pub(super) fn knows(&self, list: List, name: &str) -> bool {
        self.names.contains_key(&(list, name.to_owned()))
    }

    /// Forgets backends that are configured no longer.
    pub(super) fn retain(&mut self, is_configured: impl Fn(&str) -> bool) {
        self.names.retain(|_, owner| is_configured(owner));
        self.templates.retain(|(owner, _)| is_configured(owner));
    }

    /// Notes a name's owner. What the operator gave the gateway itself is the gateway's, whoever
    /// had the name before.
    pub(super) fn note(&mut self, list: List, name: &str, owner: &Source) {
        let backend = || Arc::clone(&owner.backend);
        let known = self.names.entry((list, name.to_owned())).or_insert_with(backend);
        if owner.is_own() {
            *known = backend();
        }
    }

    /// The place of a template among those that came before, if it did.
    pub(super) fn rank(&self, backend: &str, template: &str) -> Option<usize> {
        self.templates.iter().position(|(own, text)| **own == *backend && text == template)
    }

    /// Templates of other backends that came before.
    pub(super) fn templates_of_others<'o>(
        &'o self,
        backend: &'o str,
    ) -> impl Iterator<Item = &'o str> {
        let others = self.templates.iter().filter(move |(own, _)| **own != *backend);
        others.map(|(_, text)| text.as_str())
    }

    /// Keeps the order of these templates from now on, and no more names than are worth it.
    pub(super) fn settle(
        &mut self,
        templates: Vec<(Arc<str>, String)>,
        offered: &HashSet<(List, String)>,
    ) {
        self.templates = templates;
        if self.names.len() > MOST {
            self.names.retain(|name, _| offered.contains(name));
        }
    }
}

impl Unread {
    /// Whether the name may be one of this backend's, by what the configuration says of it.
    pub(super) fn may_own(&self, list: List, name: &str) -> bool {
        let Self { naming, policies, .. } = self;
        let own = || name.strip_prefix(naming.prefix.as_str());
        match list {
            List::Prompts => own().is_some_and(|own| policies.prompts.required(own).is_some()),
            List::Resources => policies.resources.required(name).is_some(),
            List::Templates => false,
            List::Tools => {
                let mut aliases = naming.aliases.iter();
                aliases
                    .any(|(own, public)| public == name && policies.tools.required(own).is_some())
                    || own().is_some_and(|own| {
                        !naming.aliases.contains_key(own) && policies.tools.required(own).is_some()
                    })
            }
        }
    }
}

impl Surface {
    /// Who has had which name so far.
    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Why a name is not this backend's to give.
    pub(super) fn refused(
        &self,
        source: usize,
        owner: &Source,
        list: List,
        public: &str,
    ) -> Option<&'static str> {
        let is_held = || self.named(list, public).is_some();
        let is_taken = || self.owners.is_taken(list, public, &owner.backend);
        if is_held() || !owner.is_own() && is_taken() {
            return Some("the name is taken already");
        }
        if owner.is_own() {
            return None;
        }
        if self.may_be_of_an_earlier(source, list, public) {
            return Some("it may be the name of an earlier backend, which was not read yet");
        }
        let is_new = list == List::Resources && !self.owners.knows(list, public);
        let mut others = self.owners.templates_of_others(&owner.backend);
        let argument = &self.terms.argument;
        let is_anothers = |text: &str| Offered::new(text, argument).fits(public);
        (is_new && others.any(is_anothers))
            .then_some("it was made from another backend's template before")
    }

    pub(super) fn may_be_of_an_earlier(&self, source: usize, list: List, name: &str) -> bool {
        self.unread.iter().any(|unread| unread.at <= source && unread.may_own(list, name))
    }

    /// Remembers who owns what, once everybody was read.
    pub(super) fn settle(&mut self) {
        if !self.unread.is_empty() {
            return;
        }
        let all = self.sources.iter().zip(&*self.templates).flat_map(|(source, templates)| {
            templates.iter().map(|one| (Arc::clone(&source.backend), one.text.clone()))
        });
        let mut all: Vec<(Arc<str>, String)> = all.collect();
        all.sort_by_key(|(backend, text)| self.owners.rank(backend, text).unwrap_or(usize::MAX));
        let lists = self.by_name.iter();
        let offered =
            lists.flat_map(|(list, names)| names.keys().map(|name| (*list, name.clone())));
        let offered = offered.collect();
        Arc::make_mut(&mut self.owners).settle(all, &offered);
    }
}
