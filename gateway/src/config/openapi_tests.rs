//! Descriptions in files, and what is said otherwise of them.

use std::io::Write as _;

use super::*;

const YAML: &str = r"
openapi: 3.1.0
info: { title: CRM, version: 1.0.0 }
paths:
  /contacts:
    get:
      operationId: list_contacts
      summary: List contacts
      responses: { 200: { description: ok } }
    post:
      operationId: create_contact
      requestBody:
        required: true
        content:
          application/json:
            schema: &contact
              type: object
              required: [name]
              properties: { name: { type: string }, vip: { type: boolean, default: no } }
  /contacts/{id}:
    put:
      parameters:
        - { name: id, in: path, required: true, schema: { type: integer } }
      requestBody: { content: { application/json: { schema: *contact } } }
  /internal/stats: { get: { operationId: internal_stats } }
  /broken: { get: { parameters: [{ name: a, in: cookie, required: true, schema: {} }] } }
";

fn resolve(description: &str, tables: &str) -> (Option<Api>, Policies, Vec<String>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(description.as_bytes()).unwrap();
    let head =
        format!("name = \"crm\"\nurl = \"http://crm\"\nopenapi = \"{}\"\n", file.path().display());
    let raw: RawBackend = toml::from_str(&(head + tables)).unwrap();
    let (mut policies, mut problems) = (Policies::default(), Vec::new());
    let api = api(&raw, 0, &mut policies, &mut problems);
    (api, policies, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_description_in_yaml_becomes_tools() {
    let (api, _, problems) = resolve(YAML, "");
    assert_eq!(problems, Vec::<String>::new());
    let api = api.unwrap();
    let names: Vec<&str> = api.catalogue.tools.iter().map(|tool| tool.name.as_str()).collect();
    for name in ["list_contacts", "create_contact", "put_contacts_id", "internal_stats"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(api.skipped.len(), 1, "{:?}", api.skipped);
    assert!(api.skipped[0].starts_with("GET /broken is not offered"), "{:?}", api.skipped);
    let create = api.catalogue.tools.iter().find(|tool| tool.name == "create_contact").unwrap();
    assert!(!create.read_only);
    assert_eq!(create.schema.schema()["properties"]["name"], json!({ "type": "string" }));
}

#[test]
fn operations_are_renamed_hidden_described_and_given_scopes() {
    let (api, policies, problems) = resolve(
        YAML,
        r#"
        [[operation]]
        match = "PUT /contacts/{id}"
        name = "replace_contact"
        description = "Replaces it."
        scopes = ["contacts:write"]
        [[operation]]
        match = "internal_*"
        hide = true
        [[operation]]
        match = "list_contacts"
        always_allowed = true
        "#,
    );
    assert_eq!(problems, Vec::<String>::new());
    let api = api.unwrap();
    assert_eq!(api.operations["replace_contact"].id, "PUT /contacts/{id}");
    assert_eq!(api.operations["replace_contact"].tool.description.as_deref(), Some("Replaces it."));
    assert!(!api.operations.contains_key("internal_stats"));
    let needs = |name| policies.tools.required(name).map(|needed| needed.all.to_string());
    assert_eq!(needs("replace_contact").as_deref(), Some("contacts:write"));
    assert_eq!(needs("list_contacts").as_deref(), Some(""));
    assert_eq!(needs("create_contact"), None, "no rule names it");
}

#[test]
fn an_operation_may_need_one_of_several_scopes_and_be_said_to_do_more_than_its_method() {
    let (api, policies, problems) = resolve(
        YAML,
        r#"
        [[operation]]
        match = "list_contacts"
        scopes = ["contacts:read"]
        any_of = ["admin", "support"]
        read_only = false
        destructive = true
        [[operation]]
        match = "create_contact"
        open_world = true
        [[tool]]
        match = "create_{module}"
        scopes = ["{module}:write"]
        "#,
    );
    assert_eq!((problems, api.is_some()), (Vec::<String>::new(), true));
    let listing = policies.tools.required("list_contacts").unwrap();
    assert_eq!(listing.all.to_string(), "contacts:read");
    assert_eq!(listing.any, ["admin", "support"]);
    let hints = policies.tools.hints("list_contacts");
    assert_eq!((hints.read_only, hints.destructive), (Some(false), Some(true)));
    assert_eq!(policies.tools.hints("create_contact").open_world, Some(true));
    assert!(policies.tools.required("put_contacts_id").is_none());
}

#[test]
fn every_problem_has_its_place_and_remedy() {
    let twice = YAML.replace("internal_stats", "list_contacts");
    for (description, tables, words) in [
        ("swagger: 2.0\n", "", "backend[0].openapi: "),
        ("{\"openapi\": ", "", "backend[0].openapi: "),
        ("a: [", "", "backend[0].openapi: "),
        (twice.as_str(), "", "are both the tool list_contacts"),
        (YAML, "[[operation]]\nmatch = \"lost\"", "backend[0].operation[0].match: lost is no"),
        (YAML, "[[operation]]\nmatch = \"*\"\nname = \"x\"", "matches several"),
        (YAML, "[[operation]]\nmatch = \"list_contacts\"\nname = \"a b\"", "operation[0].name"),
        (
            YAML,
            "[[operation]]\nmatch = \"list_contacts\"\nscopes = [\"a\"]\nalways_allowed = true",
            "operation[0].scopes",
        ),
        (
            YAML,
            "[[operation]]\nmatch = \"list_contacts\"\nany_of = [\"a b\"]",
            "operation[0].scopes",
        ),
        (YAML, "header_parameters = [\"Cookie\"]", "backend[0].header_parameters: lists cookie"),
        (YAML, "header_parameters = [\"X-Forwarded-For\"]", "lists x-forwarded-for"),
    ] {
        let (_, _, problems) = resolve(description, tables);
        assert!(problems.iter().any(|one| one.contains(words)), "{words}: {problems:?}");
    }
}

#[test]
fn a_document_that_grows_without_bound_is_refused() {
    let mut bomb = String::from("openapi: 3.1.0\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let nine = vec![before; 9].join(", ");
        bomb = format!("{bomb}a{level}: &a{level} [{nine}]\n");
    }
    let (api, _, problems) = resolve(&bomb, "");
    assert!(api.is_none());
    assert!(problems[0].starts_with("backend[0].openapi: "), "{problems:?}");
}
