//! Whose a name is while backends come, change and are away.

use super::*;
use crate::rules::visible::{Owners, Unread};

fn named(backend: &str, prefix: &str, tools: &[&str]) -> Source {
    let naming = Naming { prefix: prefix.to_owned(), ..Naming::default() };
    let mut source = source(backend, both_eras());
    let mut catalogue = Arc::into_inner(source.catalogue).unwrap();
    let described = |name: &&str| tool(&json!({"name": name, "inputSchema": {"type": "object"}}));
    catalogue.tools = tools.iter().map(described).collect();
    catalogue.prompts = Vec::new();
    catalogue.resources = Vec::new();
    catalogue.templates = Vec::new();
    source.catalogue = catalogue.into();
    let resources = policy(&[("crm://*", &[])]);
    let tools = policy(&[("whoami", &[]), ("list_{module}", &[])]);
    source.policies = Policies { resources, tools, ..Policies::default() }.into();
    Source { naming: naming.into(), ..source }
}

fn with_uris(mut source: Source, resources: &[&str], templates: &[&str]) -> Source {
    let mut catalogue = Arc::into_inner(source.catalogue).unwrap();
    catalogue.resources = resources.iter().map(|uri| entry(uri)).collect();
    catalogue.templates = templates.iter().map(|uri| entry(uri)).collect();
    source.catalogue = catalogue.into();
    source
}

fn unread(source: &Source, at: usize) -> Unread {
    let Source { backend, naming, policies, .. } = source.clone();
    Unread { at, backend, naming, policies }
}

fn join(sources: Vec<Source>, away: Vec<Unread>, before: Option<&Surface>) -> Surface {
    let owners = before.map(|surface| surface.owners().clone()).unwrap_or_default();
    Surface::join(sources, terms(false), away, owners)
}

fn owner<'s>(surface: &'s Surface, name: &str) -> Option<&'s str> {
    surface.tool(name, &Scope::default()).map(|tool| &*tool.source.backend)
}

fn uri_owner<'s>(surface: &'s Surface, uri: &str) -> Option<&'s str> {
    surface.resource(uri, &Scope::default()).map(|(source, _)| &*source.backend)
}

#[test]
fn a_backend_that_is_away_keeps_its_names_from_others() {
    let (one, two) = (named("one", "", &["whoami"]), named("two", "", &["whoami", "list_deals"]));
    let three = named("three", "t_", &["whoami"]);
    let away = unread(&one, 0);
    let without = join(vec![two.clone(), three.clone()], vec![away], None);
    assert_eq!(owner(&without, "whoami"), None, "it may be the first one's");
    assert_eq!(owner(&without, "t_whoami"), Some("three"), "no rule of the first speaks of it");
    assert!(without.alarms().iter().any(|alarm| alarm.contains("was not read yet")));
    let all = join(vec![one, two, three], Vec::new(), Some(&without));
    assert_eq!(owner(&all, "whoami"), Some("one"));
    assert_eq!(owner(&all, "list_deals"), Some("two"));
    assert_eq!(owner(&all, "t_whoami"), Some("three"));
}

#[test]
fn what_a_backend_that_is_away_cannot_own_is_offered_meanwhile() {
    let (one, two) = (named("one", "a_", &["whoami"]), named("two", "", &["whoami"]));
    let without = join(vec![two.clone()], vec![unread(&one, 0)], None);
    assert_eq!(owner(&without, "whoami"), Some("two"));
    assert!(without.only().is_none(), "two are configured, whoever is there");
    let later = join(vec![two], vec![unread(&one, 1)], None);
    assert_eq!(owner(&later, "whoami"), Some("two"), "who comes later takes nothing");
}

#[test]
fn a_newcomer_takes_no_name_and_after_a_restart_the_configured_order_decides() {
    let two = named("two", "", &["whoami"]);
    let first = join(vec![named("one", "", &[]), two.clone()], Vec::new(), None);
    assert_eq!(owner(&first, "whoami"), Some("two"));
    let grown = named("one", "", &["whoami"]);
    let second = join(vec![grown.clone(), two.clone()], Vec::new(), Some(&first));
    assert_eq!(owner(&second, "whoami"), Some("two"));
    assert!(second.alarms().iter().any(|a| a.contains("one: whoami") && a.contains("taken")));
    // Nor while the owner does not offer it for a moment.
    let shrunk = named("two", "", &[]);
    let third = join(vec![grown.clone(), shrunk], Vec::new(), Some(&second));
    assert_eq!(owner(&third, "whoami"), None);
    let fourth = join(vec![grown.clone(), two.clone()], Vec::new(), Some(&third));
    assert_eq!(owner(&fourth, "whoami"), Some("two"));
    let restarted = join(vec![grown.clone(), two], Vec::new(), None);
    assert_eq!(owner(&restarted, "whoami"), Some("one"));
    let alone = join(vec![grown], Vec::new(), Some(&fourth));
    assert_eq!(owner(&alone, "whoami"), Some("one"), "the other is configured no longer");
}

#[test]
fn uris_stay_with_the_backend_whose_template_came_first() {
    let one = || named("one", "", &[]);
    let two = || with_uris(named("two", "", &[]), &[], &["crm://{id}"]);
    let away = join(vec![two()], vec![unread(&one(), 0)], None);
    assert_eq!(uri_owner(&away, "crm://7"), None, "the first one may have a template, too");
    let first = join(vec![one(), two()], Vec::new(), Some(&away));
    assert_eq!(uri_owner(&first, "crm://7"), Some("two"));
    let grown = with_uris(one(), &["crm://7"], &["crm://{+any}"]);
    let second = join(vec![grown.clone(), two()], Vec::new(), Some(&first));
    assert_eq!(uri_owner(&second, "crm://7"), Some("two"));
    assert_eq!(uri_owner(&second, "crm://7/8"), Some("one"));
    let restarted = join(vec![grown, two()], Vec::new(), None);
    assert_eq!(uri_owner(&restarted, "crm://7"), Some("one"));
    let owners: &Owners = restarted.owners();
    assert!(!owners.clone().knows(List::Tools, "whoami"));
}
