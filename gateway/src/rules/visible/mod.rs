//! What a resource offers and who sees it: the backends' catalogues, joined and judged by policy.
//!
//! Invariant: what a caller does not see answers exactly like what does not exist, because both
//! are looked up here and nowhere else.

use std::{collections::HashMap, sync::Arc};

use serde_json::value::RawValue;
use shared::{deployment::WorkspaceMode, scope::Scope};

use crate::rules::{
    catalogue::{Catalogue, Naming, Tool},
    members::Members,
    policy::{Policies, Policy},
    protocol::Era,
    workspace::{self, ArgumentType},
};

/// One backend's share.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) backend: Arc<str>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) naming: Arc<Naming>,
    pub(crate) policies: Arc<Policies>,
}

/// What a resource decides about all its offers.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The argument that names the workspace.
    pub(crate) argument: String,
    /// Whether what needs a scope the caller lacks is hidden rather than refused.
    pub(crate) hide: bool,
    /// Every scope of the resource.
    pub(crate) known: Scope,
    pub(crate) mode: WorkspaceMode,
    /// Whether sessions are the backend's: one backend, everything relayed.
    pub(crate) relay: bool,
}

/// The four lists of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum List {
    Prompts,
    Resources,
    Templates,
    Tools,
}

/// A tool that a caller may see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VisibleTool<'s> {
    pub(crate) binding: Option<ArgumentType>,
    pub(crate) required: &'s Scope,
    pub(crate) source: &'s Source,
    pub(crate) tool: &'s Tool,
}

/// Everything a resource offers.
#[derive(Debug)]
pub(crate) struct Surface {
    alarms: Vec<String>,
    by_name: HashMap<(List, String), usize>,
    offers: Vec<Offer>,
    pub(crate) sources: Vec<Source>,
    pub(crate) terms: Terms,
}

#[derive(Debug)]
struct Offer {
    /// Its place in the source's list.
    at: usize,
    binding: Option<ArgumentType>,
    list: List,
    /// Own name and entry under the name here, where that is another.
    renamed: Option<(String, Box<RawValue>)>,
    required: Scope,
    source: usize,
}

impl Surface {
    /// Joins the sources; the first owner of a name keeps it.
    pub(crate) fn build(sources: Vec<Source>, terms: Terms) -> Self {
        let mut surface = Self {
            alarms: Vec::new(),
            by_name: HashMap::new(),
            offers: Vec::new(),
            sources: Vec::new(),
            terms,
        };
        for (source, owner) in sources.iter().enumerate() {
            let Source { catalogue, policies, .. } = owner;
            for (at, tool) in catalogue.tools.iter().enumerate() {
                let schema = tool.schema.schema();
                match workspace::binding(schema, &surface.terms.argument) {
                    Ok(binding) => {
                        let offer = (List::Tools, at, binding);
                        surface.offer(source, owner, &policies.tools, offer, &tool.name);
                    }
                    Err(_) if surface.terms.mode == WorkspaceMode::Implicit => {
                        let offer = (List::Tools, at, None);
                        surface.offer(source, owner, &policies.tools, offer, &tool.name);
                    }
                    Err(error) => {
                        surface.alarm(owner, List::Tools, &tool.name, &error.to_string());
                    }
                }
            }
            for (list, entries, policy) in [
                (List::Prompts, &catalogue.prompts, &policies.prompts),
                (List::Resources, &catalogue.resources, &policies.resources),
            ] {
                for (at, entry) in entries.iter().enumerate() {
                    surface.offer(source, owner, policy, (list, at, None), &entry.name);
                }
            }
            for (at, entry) in catalogue.templates.iter().enumerate() {
                surface.offer_template(source, owner, at, &entry.name);
            }
        }
        surface.sources = sources;
        surface
    }

    /// What the catalogues offer and policy keeps back, in words for the operator.
    pub(crate) fn alarms(&self) -> &[String] {
        &self.alarms
    }

    /// The tool of that name, if it exists and this scope lets it be seen.
    pub(crate) fn tool(&self, name: &str, scope: &Scope) -> Option<VisibleTool<'_>> {
        let offer = self.find(List::Tools, name, scope)?;
        let source = self.sources.get(offer.source)?;
        let tool = source.catalogue.tools.get(offer.at)?;
        Some(VisibleTool { binding: offer.binding, required: &offer.required, source, tool })
    }

    /// The prompt's owner and the scopes it needs, likewise.
    pub(crate) fn prompt(&self, name: &str, scope: &Scope) -> Option<(&Source, Scope)> {
        let offer = self.find(List::Prompts, name, scope)?;
        Some((self.sources.get(offer.source)?, offer.required.clone()))
    }

    /// The owner of a resource and the scopes it needs, likewise. A URI that no list names belongs
    /// to the first backend whose template it fits.
    pub(crate) fn resource(&self, uri: &str, scope: &Scope) -> Option<(&Source, Scope)> {
        let listed = self.by_name.get(&(List::Resources, uri.to_owned()));
        // Rules judge the text; a backend that resolves it must not arrive at another resource.
        if listed.is_none() && is_ambiguous(uri) {
            return None;
        }
        let owner = match listed.and_then(|&at| self.offers.get(at)) {
            Some(offer) => self.sources.get(offer.source),
            None => self.sources.iter().find(|source| {
                source.catalogue.templates.iter().any(|template| fits(&template.name, uri))
            }),
        };
        // With one backend there is no doubt whose it is; it may know more than it lists.
        let owner = owner.or(match self.sources.as_slice() {
            [only] => Some(only),
            _ => None,
        })?;
        let required = self.required(&owner.policies.resources, uri)?;
        self.is_shown(&required, scope).then_some((owner, required))
    }

    /// What the owner calls a tool or prompt, where that is not its name here.
    pub(crate) fn own_name(&self, list: List, name: &str) -> Option<&str> {
        let offer = self.offers.get(*self.by_name.get(&(list, name.to_owned()))?)?;
        offer.renamed.as_ref().map(|(own, _)| own.as_str())
    }

    /// What a list shows to this scope, as the backends wrote it.
    pub(crate) fn list(&self, list: List, scope: &Scope) -> Vec<&RawValue> {
        let shown = self.offers.iter().filter(|offer| {
            let is_shown = || match (offer.list, self.sources.get(offer.source)) {
                (List::Templates, Some(owner)) => {
                    let template = owner.catalogue.templates.get(offer.at);
                    template
                        .is_some_and(|template| self.shows_template(owner, &template.name, scope))
                }
                _ => self.is_shown(&offer.required, scope),
            };
            offer.list == list && is_shown()
        });
        shown.filter_map(|offer| self.raw(offer)).collect()
    }

    /// Whether an entry of a list that was fetched for this caller may be shown.
    pub(crate) fn shows(&self, list: List, name: &str, scope: &Scope) -> bool {
        self.sources.iter().any(|source| {
            let policy = match list {
                List::Prompts => &source.policies.prompts,
                List::Resources => &source.policies.resources,
                List::Templates => return self.shows_template(source, name, scope),
                List::Tools => &source.policies.tools,
            };
            self.required(policy, name).is_some_and(|required| self.is_shown(&required, scope))
        })
    }

    /// The only backend, where there is only one.
    pub(crate) fn only(&self) -> Option<&Source> {
        match self.sources.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether the backend's own sessions and lists serve callers of this era.
    pub(crate) fn relays(&self, era: Era) -> bool {
        let speaks = |source: &Source| match era {
            Era::Legacy => source.catalogue.eras.legacy.is_some(),
            Era::Modern => source.catalogue.eras.modern,
        };
        self.terms.relay && self.only().is_some_and(speaks)
    }

    fn find(&self, list: List, name: &str, scope: &Scope) -> Option<&Offer> {
        let offer = self.offers.get(*self.by_name.get(&(list, name.to_owned()))?)?;
        self.is_shown(&offer.required, scope).then_some(offer)
    }

    fn is_shown(&self, required: &Scope, scope: &Scope) -> bool {
        !self.terms.hide || scope.includes(required)
    }

    /// The scopes a name needs; `None` also where they are none of the resource's.
    fn required(&self, policy: &Policy, name: &str) -> Option<Scope> {
        policy.required(name).filter(|required| self.terms.known.includes(required))
    }

    /// A template is shown where some URI made from it could be read.
    fn shows_template(&self, owner: &Source, template: &str, scope: &Scope) -> bool {
        let mut needs = owner.policies.resources.reaching(literal_start(template));
        needs.any(|required| self.is_shown(&required, scope))
    }

    fn offer_template(&mut self, source: usize, owner: &Source, at: usize, template: &str) {
        if owner.policies.resources.reaching(literal_start(template)).next().is_none() {
            return self.alarm(owner, List::Templates, template, "no rule names it");
        }
        let required = Scope::default();
        let renamed = None;
        self.offers.push(Offer {
            at,
            binding: None,
            list: List::Templates,
            renamed,
            required,
            source,
        });
    }

    fn raw<'s>(&'s self, offer: &'s Offer) -> Option<&'s RawValue> {
        if let Some((_, raw)) = &offer.renamed {
            return Some(raw);
        }
        let catalogue = &self.sources.get(offer.source)?.catalogue;
        let raw = match offer.list {
            List::Prompts => &catalogue.prompts.get(offer.at)?.raw,
            List::Resources => &catalogue.resources.get(offer.at)?.raw,
            List::Templates => &catalogue.templates.get(offer.at)?.raw,
            List::Tools => &catalogue.tools.get(offer.at)?.raw,
        };
        Some(raw)
    }

    fn offer(
        &mut self,
        source: usize,
        owner: &Source,
        policy: &Policy,
        (list, at, binding): (List, usize, Option<ArgumentType>),
        name: &str,
    ) {
        let Some(required) = self.required(policy, name) else {
            let why = match policy.required(name) {
                Some(_) => "a rule asks for a scope that the resource does not have",
                None => "no rule names it",
            };
            return self.alarm(owner, list, name, why);
        };
        let public = match list {
            List::Prompts => owner.naming.prompt(name),
            List::Resources | List::Templates => name.to_owned(),
            List::Tools => owner.naming.tool(name),
        };
        if self.by_name.contains_key(&(list, public.clone())) {
            return self.alarm(owner, list, name, "the name is taken already");
        }
        let renamed = (public != name).then(|| renamed(owner, list, at, &public)).flatten();
        let renamed = renamed.map(|raw| (name.to_owned(), raw));
        self.by_name.insert((list, public), self.offers.len());
        self.offers.push(Offer { at, binding, list, renamed, required, source });
    }

    fn alarm(&mut self, owner: &Source, list: List, name: &str, why: &str) {
        let backend = &owner.backend;
        self.alarms.push(format!("{list:?} of {backend}: {name} is not offered: {why}"));
    }
}

/// A tool or prompt under another name, otherwise as its backend wrote it.
fn renamed(owner: &Source, list: List, at: usize, public: &str) -> Option<Box<RawValue>> {
    let raw = match list {
        List::Prompts => &owner.catalogue.prompts.get(at)?.raw,
        List::Tools => &owner.catalogue.tools.get(at)?.raw,
        List::Resources | List::Templates => return None,
    };
    let mut entry = Members::read(raw.get().as_bytes())?;
    entry.set("name", public);
    serde_json::value::to_raw_value(&entry).ok()
}

/// What every URI made from a template begins with.
fn literal_start(template: &str) -> &str {
    template.split('{').next().unwrap_or_default()
}

/// Whether a URI fits the literal parts of a template, in order.
/// Whether readers that resolve dots and escapes could read another URI.
fn is_ambiguous(uri: &str) -> bool {
    let lower = uri.to_ascii_lowercase();
    uri.chars().any(|c| c.is_control() || c == '\\')
        || ["%2e", "%2f", "%5c"].iter().any(|escape| lower.contains(escape))
        || uri.split(['/', '?', '#']).any(|segment| matches!(segment, "." | ".."))
}

fn fits(template: &str, uri: &str) -> bool {
    let mut rest = uri;
    let mut literals = template.split('{').map(|part| part.split_once('}').map_or(part, |p| p.1));
    let Some(after_first) = literals.next().and_then(|first| rest.strip_prefix(first)) else {
        return false;
    };
    rest = after_first;
    for literal in literals {
        match rest.find(literal) {
            Some(at) => rest = rest.get(at + literal.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    template.contains('{') || rest.is_empty()
}

#[cfg(test)]
pub(crate) mod tests;
