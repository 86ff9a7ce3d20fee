//! What lists tell of the offers: the owners' words, but for names, for what the configuration
//! says of tools, for the reader's workspaces, and for what the reader's era has no words for.

use serde_json::value::RawValue;
use shared::{deployment::WorkspaceMode, scope::Scope};

use super::{List, Source, Surface};
use crate::rules::{
    listing::{Choices, Hints, Listed, Shown, requiring},
    outputs,
    workspace::ArgumentType,
};

/// A tool's texts where its owner's is not enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// For readers of the legacy era, where it is another one.
    legacy: Option<Listed>,
    usual: Option<Listed>,
}

impl Texts {
    /// Those of an entry that is no tool: another one under another name.
    pub(super) fn renamed(entry: Option<&RawValue>) -> Self {
        Self { legacy: None, usual: entry.map(|entry| Listed::new(entry, None, None)) }
    }

    /// The text for whoever may have any.
    pub(super) fn usual(&self) -> Option<&Listed> {
        self.usual.as_ref()
    }

    fn text_for(&self, choices: &Choices<'_>) -> Option<&Listed> {
        self.legacy.as_ref().filter(|_| choices.is_legacy).or(self.usual.as_ref())
    }
}

impl Surface {
    /// What a list shows to this scope.
    pub(crate) fn list<'t>(
        &'t self,
        list: List,
        scope: &Scope,
        choices: &'t Choices<'_>,
    ) -> Vec<Shown<'t>> {
        let scope = &self.granted(scope);
        let shown = self.offers.iter().filter(|offer| {
            let is_shown = || match (offer.list, self.sources.get(offer.source)) {
                (List::Templates, Some(owner)) => {
                    let template = owner.catalogue.templates.get(offer.at);
                    template
                        .is_some_and(|template| self.shows_template(owner, &template.name, scope))
                }
                _ => self.is_shown(&offer.required, scope),
            };
            offer.list == list
                && self.admits(offer)
                && offer.workspaces.is_within(choices.granted)
                && is_shown()
        });
        shown
            .filter_map(|offer| {
                if let Some(listed) = offer.texts.text_for(choices) {
                    return Some(listed.text(choices));
                }
                let owner = self.sources.get(offer.source)?;
                owner.raw(offer.list, offer.at).map(Shown::whole)
            })
            .collect()
    }

    /// A tool's text as it was fetched for a reader, in the words that this resource gives it.
    pub(crate) fn retold(
        &self,
        name: &str,
        raw: &RawValue,
        choices: &Choices<'_>,
    ) -> Option<Box<RawValue>> {
        let offer = self.named(List::Tools, name)?;
        offer.texts.usual.as_ref()?;
        let source = self.sources.get(offer.source)?;
        // Sessions are relayed under the backend's own names alone.
        let listed = self.listed(source, (name, name), raw, offer.binding)?;
        listed.text(choices).raw()
    }

    /// Whether what a tool answers is told to the legacy era in an object, whatever it is.
    pub(crate) fn wraps_output(&self, name: &str) -> bool {
        self.named(List::Tools, name).is_some_and(|offer| offer.texts.legacy.is_some())
    }

    /// A tool's texts. `renamed` is the owner's under the name here, where that is another one.
    pub(super) fn texts(
        &self,
        owner: &Source,
        names: (&str, &str),
        (raw, renamed): (&RawValue, Option<&RawValue>),
        binding: Option<ArgumentType>,
    ) -> Texts {
        let entry = renamed.unwrap_or(raw);
        let whole = |text: &RawValue| Listed::new(text, None, None);
        let usual = self.listed(owner, names, entry, binding);
        // What was read in the legacy era is in its words.
        let is_told_otherwise = owner.catalogue.eras.modern && !outputs::is_legacy(entry);
        // A backend of both eras answers legacy calls itself, in a form that is not known here.
        let are_wrapped = owner.catalogue.eras.legacy.is_none();
        let legacy = is_told_otherwise.then(|| outputs::tool_to_legacy(entry, are_wrapped));
        let legacy = legacy
            .flatten()
            .map(|text| self.listed(owner, names, &text, binding).unwrap_or_else(|| whole(&text)));
        Texts { legacy, usual: usual.or_else(|| renamed.map(whole)) }
    }

    /// A tool's text where its owner's is not enough: rules know the owner's name, the resource
    /// its own.
    fn listed(
        &self,
        owner: &Source,
        (own, public): (&str, &str),
        raw: &RawValue,
        binding: Option<ArgumentType>,
    ) -> Option<Listed> {
        let floor = owner.policies.tools.hints(own);
        let hints = (floor != Hints::default()).then(|| floor.tightened(Hints::of(raw)));
        let is_exempt = self.is_exempt(public);
        let bound = binding.filter(|_| !is_exempt);
        if hints.is_none() && bound.is_none() {
            return None;
        }
        let argument = self.terms.argument.as_str();
        // What no call can do without is said to be required, whatever the backend says.
        let is_required = bound.is_some() && self.terms.mode == WorkspaceMode::Argument;
        let asking = is_required.then(|| requiring(raw, argument)).flatten();
        let raw = asking.as_deref().unwrap_or(raw);
        Some(Listed::new(raw, hints, bound.map(|kind| (argument, kind))))
    }
}
