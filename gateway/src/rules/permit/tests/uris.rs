//! Which workspace a resource or a completion is bound to.

use super::*;
use crate::rules::{
    policy::Policies,
    visible::tests::{entry, policy},
};

const TEMPLATES: [&str; 8] = [
    "crm://w/{workspace_id}/deals/{id}",
    "crm://files/{+path}",
    "crm://rows{/workspace_id,kind}",
    "crm://search{?workspace_id,q}",
    "crm://tags{;workspace_id}",
    "crm://cut/{workspace_id:3}/deals",
    "crm://next/{workspace_id}{id}",
    "crm://odd/{workspace_id",
];

fn templated() -> Surface {
    let mut source = source("crm", both_eras());
    let mut catalogue = Arc::into_inner(source.catalogue).unwrap();
    catalogue.templates = TEMPLATES.map(entry).into();
    let resources = policy(&[("crm://contacts*", &["contacts:read"]), ("crm://*", &[])]);
    source.policies = Policies { resources, ..(*source.policies).clone() }.into();
    source.catalogue = catalogue.into();
    Surface::build(vec![source], terms(false))
}

fn read_of(surface: &Surface, uri: &str) -> Result<Option<String>, Denied> {
    let call = legacy("resources/read", &json!({ "uri": uri }));
    let permit = decide(surface, "", &call)?;
    Ok(permit.workspace.map(|id| id.as_str().to_owned()))
}

#[test]
fn a_resource_is_bound_to_the_workspace_that_its_uri_names_in_whatever_form() {
    let surface = templated();
    let unknown = |uri| Denied::Rpc(RpcViolation::unknown_resource(Era::Legacy, uri));
    for (uri, expected) in [
        ("crm://w/a/deals/7", Ok(Some("a"))),
        ("crm://w/%61/deals/7", Ok(Some("a"))),
        ("crm://w/c/deals/7", Err(())),
        ("crm://w/%63/deals/7", Err(())),
        ("crm://%77/c/deals/7", Err(())),
        ("crm://W/c/deals/7", Err(())),
        ("crm://w/c/deals/7?x=1", Err(())),
        ("crm://w/c/deals/7/", Err(())),
        ("crm://w//c/deals/7", Err(())),
        ("crm://files/x/y", Ok(None)),
        ("crm://files/x?workspace_id=c", Err(())),
        ("crm://rows/b/deals", Ok(Some("b"))),
        ("crm://rows/c/deals", Err(())),
        ("crm://rows/c", Err(())),
        ("crm://search?workspace_id=a&q=x", Ok(Some("a"))),
        ("crm://search?q=x&workspace_id=c", Err(())),
        ("crm://search?q=x&WORKSPACE%5Fid=c", Err(())),
        ("crm://search?workspace_id=a&workspace_id=b", Err(())),
        ("crm://search?q=x", Ok(None)),
        ("crm://tags;workspace_id=b", Ok(Some("b"))),
        ("crm://tags;workspace_id=c", Err(())),
        ("crm://cut/c/deals", Err(())),
        ("crm://cut/a/deals", Err(())),
        ("crm://next/a7", Err(())),
        ("crm://odd/a", Err(())),
        ("crm://elsewhere", Ok(None)),
        ("crm://%zz", Err(())),
    ] {
        let expected = expected.map(|id: Option<&str>| id.map(str::to_owned));
        assert_eq!(read_of(&surface, uri), expected.map_err(|()| unknown(uri)), "{uri}");
    }
}

#[test]
fn another_spelling_of_a_uri_needs_no_less() {
    let surface = templated();
    assert!(matches!(read_of(&surface, "crm://contacts/7"), Err(Denied::Scope(_))));
    let unknown = |uri| Denied::Rpc(RpcViolation::unknown_resource(Era::Legacy, uri));
    for uri in ["crm://%63ontacts/7", "crm://CONTACTS/7", "CRM://contacts/7"] {
        assert_eq!(read_of(&surface, uri), Err(unknown(uri)), "{uri}");
    }
}

#[test]
fn a_template_whose_workspace_cannot_be_told_is_not_offered_and_the_log_says_why() {
    let surface = templated();
    let listed = surface.list(List::Templates, &Scope::default(), &Choices::default()).len();
    assert_eq!(listed, 5);
    let alarms = surface.alarms().join("\n");
    for (template, why) in [
        ("crm://cut/{workspace_id:3}/deals", "prefix modifier"),
        ("crm://next/{workspace_id}{id}", "next to another variable"),
        ("crm://odd/{workspace_id", "brace"),
    ] {
        let said = alarms.lines().find(|line| line.contains(template)).unwrap();
        assert!(said.contains("is not offered") && said.contains(why), "{said}");
    }
}

#[test]
fn a_completion_is_bound_by_its_uri_and_by_what_was_filled_in() {
    let surface = templated();
    let complete = |uri: &str, context: Value| {
        let params = json!({"ref": {"type": "ref/resource", "uri": uri},
            "argument": {"name": "id", "value": "7"}, "context": context});
        let permit = decide(&surface, "", &legacy("completion/complete", &params))?;
        Ok::<_, Denied>(permit.workspace.map(|id| id.as_str().to_owned()))
    };
    let filled = |id: &str| json!({"arguments": {"workspace_id": id}});
    let template = TEMPLATES[0];
    assert_eq!(complete(template, Value::Null), Ok(None));
    assert_eq!(complete(template, filled("a")), Ok(Some("a".to_owned())));
    assert_eq!(complete("crm://w/a/deals/{id}", Value::Null), Ok(Some("a".to_owned())));
    for (uri, context) in [
        (template, filled("c")),
        (template, json!({"arguments": {"workspace_id": "a", "q": {"workspace_id": "b"}}})),
        (template, json!([filled("a")])),
        ("crm://w/c/deals/{id}", Value::Null),
        ("crm://w/a/deals/{id}", filled("b")),
        ("crm://cut/{workspace_id:3}/deals", Value::Null),
    ] {
        assert!(complete(uri, context.clone()).is_err(), "{uri} {context}");
    }
}

#[test]
fn only_the_owners_templates_bind() {
    let mut other = source("erp", both_eras());
    let mut catalogue = Arc::into_inner(other.catalogue).unwrap();
    catalogue.templates = vec![entry("erp://{id}")];
    other.policies =
        Policies { resources: policy(&[("erp://*", &[])]), ..Policies::default() }.into();
    other.catalogue = catalogue.into();
    let mut own = source("crm", both_eras());
    let mut catalogue = Arc::into_inner(own.catalogue).unwrap();
    catalogue.templates = vec![entry("{+workspace_id}/deals")];
    own.catalogue = catalogue.into();
    let surface = Surface::build(vec![other, own], terms(false));
    assert_eq!(read_of(&surface, "erp://7"), Ok(None));
}

proptest! {
    #[test]
    fn no_uri_reaches_another_workspace(
        template in prop::sample::select(TEMPLATES.to_vec()),
        spelling in prop::sample::select(vec!["c", "%63", "C", "%43", "c%2F", "a,c", "c;x"]),
        tail in prop::sample::select(vec!["", "?x=1", "/", "#a", "&workspace_id=a"]),
    ) {
        let surface = templated();
        let uri = template
            .replace("{/workspace_id,kind}", &format!("/{spelling}/x"))
            .replace("{?workspace_id,q}", &format!("?workspace_id={spelling}"))
            .replace("{;workspace_id}", &format!(";workspace_id={spelling}"))
            .replace("{workspace_id:3}", spelling)
            .replace("{workspace_id}", spelling)
            .replace("{workspace_id", spelling)
            .replace("{+path}", &format!("x;workspace_id={spelling}"))
            .replace("{id}", "7") + tail;
        prop_assert!(read_of(&surface, &uri).is_err(), "{}", uri);
    }
}

#[test]
fn a_resource_is_listed_to_whom_it_may_be_read_by() {
    let uris = [
        "crm://w/a/deals/7",
        "crm://w/c/deals/7",
        "crm://rows/c/deals",
        "crm://search?workspace_id=c",
        "crm://search?workspace_id=a&workspace_id=b",
        "crm://cut/a/deals",
        "crm://files/x",
        TEMPLATES[0],
    ];
    let mut source = templated().sources.remove(0);
    let mut catalogue = Arc::into_inner(source.catalogue).unwrap();
    catalogue.resources = uris.map(entry).into();
    source.catalogue = catalogue.into();
    let surface = Surface::build(vec![source], terms(false));
    let granted = ["a", "b"].map(|id| WorkspaceId::parse(id).unwrap());
    let (scope, choices) = (Scope::default(), Choices::of(&granted));
    let listed = surface.list(List::Resources, &scope, &choices);
    let listed: String = listed.iter().map(Shown::json).collect();
    for uri in uris {
        let may_be_read = read_of(&surface, uri).is_ok();
        assert_eq!(listed.contains(&format!("\"{uri}\"")), may_be_read, "{uri} of {listed}");
        let relayed = surface.shows(List::Resources, uri, &scope, &choices);
        assert_eq!(relayed, may_be_read, "{uri}");
    }
    assert!(listed.contains("crm://w/a/deals/7") && !listed.contains("crm://w/c/"), "{listed}");
}
