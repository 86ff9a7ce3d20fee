//! Resources and templates: whose a URI is, what it needs, and which workspace it names.

use std::sync::Arc;

use shared::scope::Scope;

use super::{
    List, Offer, Source, Surface,
    told::Texts,
    uris::{self, Offered, literal_start},
};
use crate::rules::{
    listing::Choices,
    scopes::{Granted, Requirement},
    uri_template::Values,
};

impl Surface {
    /// The owner of a resource and the scopes it needs, if it exists and this scope lets it be
    /// seen. A URI that no list names belongs to the first backend whose template it fits.
    pub(crate) fn resource(&self, uri: &str, scope: &Scope) -> Option<(&Source, Requirement)> {
        let listed = self.named(List::Resources, uri);
        // Rules judge the text; a backend that resolves it must not arrive at another resource.
        if listed.is_none() && uris::is_ambiguous(uri) {
            return None;
        }
        let owner = match listed {
            Some(offer) => self.sources.get(offer.source),
            None => self.maker(&uris::plain(uri)),
        };
        // With one backend there is no doubt whose it is; it may know more than it lists.
        let owner = owner.or(self.only())?;
        let policy = &owner.policies.resources;
        let required = self.required(policy, uri)?;
        // Nor may another spelling of the same URI need something else.
        if listed.is_none() && self.required(policy, &uris::normal(uri)).as_ref() != Some(&required)
        {
            return None;
        }
        self.is_shown(&required, &self.granted(scope)).then_some((owner, required))
    }

    /// The backend from whose templates a URI can have been made: the first that had one, unless
    /// an earlier one was not read yet that may have one, too.
    fn maker(&self, uri: &str) -> Option<&Source> {
        let fitting = self.sources.iter().zip(&*self.templates).enumerate();
        let fitting = fitting.filter_map(|(at, (source, templates))| {
            let fits = templates.iter().filter(|one| one.fits(uri));
            let rank = |one: &Offered| self.owners.rank(&source.backend, &one.text);
            let first = fits.map(|one| rank(one).unwrap_or(usize::MAX)).min()?;
            Some((first, at, source))
        });
        let (_, at, source) = fitting.min_by_key(|(rank, at, _)| (*rank, *at))?;
        (!self.may_be_of_an_earlier(at, List::Resources, uri)).then_some(source)
    }

    /// The workspaces that a URI names, by its owner's templates or in pairs of its own. A template
    /// itself names none.
    pub(crate) fn workspaces_in(&self, owner: &Source, uri: &str) -> Values {
        let at = self.sources.iter().position(|source| source.backend == owner.backend);
        let templates = at.and_then(|at| self.templates.get(at)).map_or(&[][..], Vec::as_slice);
        if templates.iter().any(|one| one.is(uri)) {
            return Values::None;
        }
        uris::workspaces(templates, &self.terms.argument, uri)
    }

    /// Notes of every listed resource which workspaces it names: it is listed to whom it may be
    /// read by.
    pub(super) fn note_workspaces(&mut self) {
        let named = |offer: &Offer| match self.sources.get(offer.source) {
            Some(owner) if offer.list == List::Resources => self.workspaces_in(owner, &offer.name),
            _ => Values::None,
        };
        let named: Vec<Values> = self.offers.iter().map(named).collect();
        for (offer, named) in Arc::make_mut(&mut self.offers).iter_mut().zip(named) {
            offer.workspaces = named;
        }
    }

    /// Whether an entry of a list that was fetched for this caller may be read by it.
    pub(super) fn shows_resource(&self, uri: &str, scope: &Scope, choices: &Choices<'_>) -> bool {
        self.resource(uri, scope)
            .is_some_and(|(owner, _)| self.workspaces_in(owner, uri).is_within(choices.granted))
    }

    /// A template is shown where some URI made from it could be read, and bound.
    pub(super) fn shows_template(
        &self,
        owner: &Source,
        template: &str,
        scope: &Granted<'_>,
    ) -> bool {
        let mut needs = owner.policies.resources.reaching(literal_start(template));
        Offered::new(template, &self.terms.argument).fault.is_none()
            && needs.any(|required| self.is_shown(&required, scope))
    }

    pub(super) fn offer_templates(&mut self, source: usize, owner: &Source) {
        let mut templates = Vec::new();
        for (at, entry) in owner.catalogue.templates.iter().enumerate() {
            let text = &entry.name;
            let offered = Offered::new(text, &self.terms.argument);
            if let Some(fault) = offered.fault {
                self.alarm(owner, List::Templates, text, &fault.to_string());
            } else if owner.policies.resources.reaching(literal_start(text)).next().is_none() {
                self.alarm(owner, List::Templates, text, "no rule names it");
            } else {
                Arc::make_mut(&mut self.offers).push(Offer {
                    at,
                    binding: None,
                    idempotent: true,
                    list: List::Templates,
                    name: text.clone(),
                    own_name: None,
                    read_only: true,
                    required: Requirement::default(),
                    source,
                    texts: Texts::default(),
                    workspaces: Values::None,
                });
            }
            templates.push(offered);
        }
        Arc::make_mut(&mut self.templates).push(templates);
    }
}
