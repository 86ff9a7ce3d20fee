//! What a resource offers and who sees it: the backends' catalogues, joined and judged by policy.
//!
//! Invariant: what a caller does not see answers exactly like what does not exist, because both
//! are looked up here and nowhere else.

mod asked;
mod owners;
mod resources;
mod source;
mod told;
mod uris;

use std::sync::{Arc, OnceLock};

use foldhash::HashMap;
use shared::{deployment::WorkspaceMode, scope::Scope};

pub(crate) use self::{
    owners::{Owners, Unread},
    source::Source,
};
use self::{source::renamed, told::Texts, uris::Offered};
use crate::rules::{
    catalogue::Tool,
    listing::{Choices, Hints},
    narrowing::Narrowing,
    policy::{Pattern, Policy},
    protocol::Era,
    scopes::{Granted, Implications, Requirement},
    uri_template::Values,
    workspace::{self, ArgumentType},
};

/// What a resource decides about all its offers.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The argument that names the workspace.
    pub(crate) argument: String,
    /// Tools that act in no workspace in particular.
    pub(crate) exempt: Vec<Pattern>,
    /// Whether what needs a scope the caller lacks is hidden rather than refused.
    pub(crate) hide: bool,
    /// Which scopes bring others with them.
    pub(crate) implies: Implications,
    /// Every scope of the resource.
    pub(crate) known: Scope,
    /// The tool that lists workspaces, for the words of a refusal.
    pub(crate) list_tool: Option<String>,
    pub(crate) mode: WorkspaceMode,
    /// Whether sessions are the backend's: one backend, everything relayed.
    pub(crate) relay: bool,
    /// The member that names the workspace of a row, where results are searched for foreign ones.
    pub(crate) row_workspace: Option<String>,
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
    /// Whether doing it twice is as doing it once, by its own word and the configuration's.
    pub(crate) idempotent: bool,
    /// Whether it only reads, by its own word and the configuration's.
    pub(crate) read_only: bool,
    pub(crate) required: &'s Requirement,
    pub(crate) source: &'s Source,
    pub(crate) tool: &'s Tool,
}

/// Everything a resource offers; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Surface {
    alarms: Vec<String>,
    by_name: Arc<HashMap<List, HashMap<String, usize>>>,
    /// Which of its tools remain for one request.
    narrowing: Option<Narrowing>,
    offers: Arc<Vec<Offer>>,
    owners: Arc<Owners>,
    pub(crate) sources: Vec<Source>,
    /// The templates of each source.
    templates: Arc<Vec<Vec<Offered>>>,
    pub(crate) terms: Arc<Terms>,
    /// Whose names are not known yet, and so not given to others.
    unread: Arc<Vec<Unread>>,
    version: Arc<OnceLock<String>>,
}

#[derive(Clone, Debug)]
struct Offer {
    /// Its place in the source's list.
    at: usize,
    binding: Option<ArgumentType>,
    idempotent: bool,
    list: List,
    /// What it is called here.
    name: String,
    /// What its owner calls it, where that is not its name here.
    own_name: Option<String>,
    read_only: bool,
    required: Requirement,
    source: usize,
    /// The texts, where they differ from its owner's.
    texts: Texts,
    /// Which workspaces a resource's URI names.
    workspaces: Values,
}

impl Surface {
    /// Joins the sources, all of which were read.
    #[cfg(test)]
    pub(crate) fn build(sources: Vec<Source>, terms: Terms) -> Self {
        Self::join(sources, terms, Vec::new(), Owners::default())
    }

    /// Joins the sources; the first owner of a name keeps it.
    pub(crate) fn join(
        sources: Vec<Source>,
        terms: Terms,
        unread: Vec<Unread>,
        mut owners: Owners,
    ) -> Self {
        owners.retain(|name| {
            let is_read = sources.iter().any(|source| *source.backend == *name);
            is_read || unread.iter().any(|unread| *unread.backend == *name)
        });
        let mut surface = Self {
            alarms: Vec::new(),
            by_name: Arc::default(),
            narrowing: None,
            offers: Arc::default(),
            owners: Arc::new(owners),
            sources: Vec::new(),
            templates: Arc::default(),
            terms: Arc::new(terms),
            unread: Arc::new(unread),
            version: Arc::default(),
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
            surface.offer_templates(source, owner);
        }
        surface.sources = sources;
        surface.note_workspaces();
        surface.settle();
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
        let Offer { binding, idempotent, read_only, ref required, .. } = *offer;
        Some(VisibleTool { binding, idempotent, read_only, required, source, tool })
    }

    /// What a scope reaches at this resource.
    pub(crate) fn granted<'s>(&self, scope: &'s Scope) -> Granted<'s> {
        Granted::of(scope, &self.terms.implies)
    }

    /// The prompt's owner and the scopes it needs, likewise.
    pub(crate) fn prompt(&self, name: &str, scope: &Scope) -> Option<(&Source, Requirement)> {
        let offer = self.find(List::Prompts, name, scope)?;
        Some((self.sources.get(offer.source)?, offer.required.clone()))
    }

    /// What the owner calls a tool or prompt, where that is not its name here.
    pub(crate) fn own_name(&self, list: List, name: &str) -> Option<&str> {
        let offer = self.named(list, name)?;
        offer.own_name.as_deref()
    }

    /// Whether an entry of a list that was fetched for this caller may be shown.
    pub(crate) fn shows(
        &self,
        list: List,
        name: &str,
        scope: &Scope,
        choices: &Choices<'_>,
    ) -> bool {
        let granted = &self.granted(scope);
        self.sources.iter().any(|source| {
            let policy = match list {
                List::Tools if !self.admits_name(name) => return false,
                List::Prompts => &source.policies.prompts,
                List::Resources => return self.shows_resource(name, scope, choices),
                List::Templates => return self.shows_template(source, name, granted),
                List::Tools => &source.policies.tools,
            };
            self.required(policy, name).is_some_and(|required| self.is_shown(&required, granted))
        })
    }

    /// The only backend, where the configuration names only one.
    pub(crate) fn only(&self) -> Option<&Source> {
        let mut backends = self.sources.iter().filter(|source| !source.is_own());
        backends.next().filter(|_| self.unread.is_empty() && backends.next().is_none())
    }

    /// Whether the backend's own sessions and lists serve callers of this era.
    pub(crate) fn relays(&self, era: Era) -> bool {
        let speaks = |source: &Source| match era {
            Era::Legacy => source.catalogue.eras.legacy.is_some(),
            Era::Modern => source.catalogue.eras.modern,
        };
        self.terms.relay && self.only().is_some_and(speaks)
    }

    fn named(&self, list: List, name: &str) -> Option<&Offer> {
        self.offers.get(*self.by_name.get(&list)?.get(name)?)
    }

    fn find(&self, list: List, name: &str, scope: &Scope) -> Option<&Offer> {
        let offer = self.named(list, name)?;
        let is_there = self.admits(offer) && self.is_shown(&offer.required, &self.granted(scope));
        is_there.then_some(offer)
    }

    fn is_shown(&self, required: &Requirement, scope: &Granted<'_>) -> bool {
        !self.terms.hide || scope.meets(required)
    }

    /// What a name needs; `None` also where it needs what is none of the resource's.
    fn required(&self, policy: &Policy, name: &str) -> Option<Requirement> {
        let known = Granted::of(&self.terms.known, &Implications::default());
        policy.required(name).filter(|required| required.named().all(|one| known.has(one)))
    }

    /// Whether the tool that has this name here acts in no workspace in particular.
    pub(crate) fn is_exempt(&self, name: &str) -> bool {
        self.terms.exempt.iter().any(|pattern| pattern.matches(name))
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
        let public = owner.public_name(list, name);
        if let Some(why) = self.refused(source, owner, list, &public) {
            return self.alarm(owner, list, name, why);
        }
        let Some(entry) = owner.raw(list, at) else { return };
        let own_name = (public != name).then(|| name.to_owned());
        let renamed = own_name.as_ref().and_then(|_| renamed(entry, &public));
        let tool = owner.catalogue.tools.get(at).filter(|_| list == List::Tools);
        let texts = match (tool, renamed.as_deref()) {
            (Some(_), renamed) => self.texts(owner, (name, &public), (entry, renamed), binding),
            (None, renamed) => Texts::renamed(renamed),
        };
        let hints = policy.hints(name);
        let read_only = tool.is_none_or(|tool| match hints.read_only {
            Some(_) => hints.tightened(Hints::of(&tool.raw)).read_only == Some(true),
            None => tool.read_only,
        });
        let idempotent =
            tool.is_some_and(|tool| hints.tightened(Hints::of(&tool.raw)).idempotent == Some(true));
        Arc::make_mut(&mut self.owners).note(list, &public, owner);
        let at_end = self.offers.len();
        let by_name = Arc::make_mut(&mut self.by_name).entry(list).or_default();
        by_name.insert(public.clone(), at_end);
        Arc::make_mut(&mut self.offers).push(Offer {
            at,
            binding,
            idempotent,
            list,
            name: public,
            own_name,
            read_only,
            required,
            source,
            texts,
            workspaces: Values::None,
        });
    }

    fn alarm(&mut self, owner: &Source, list: List, name: &str, why: &str) {
        let backend = &owner.backend;
        self.alarms.push(format!("{list:?} of {backend}: {name} is not offered: {why}"));
    }
}

#[cfg(test)]
pub(crate) mod tests;
