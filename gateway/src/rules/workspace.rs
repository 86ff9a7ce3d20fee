//! The workspace a tool call acts in: one of those the credential names, and the same to every
//! reader of the arguments.

use std::{borrow::Cow, fmt::Write};

use serde_json::Value;
use shared::{deployment::WorkspaceMode, ids::WorkspaceId};

use crate::rules::arguments;

/// The JSON type of the argument that names the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentType {
    Integer,
    Text,
}

/// Why a tool's schema does not say where the workspace stands; such tools are not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidBinding {
    #[error("the workspace argument is not a direct property of the tool's schema")]
    NotDirect,
    #[error("the workspace argument is neither a plain string nor a plain integer")]
    Type,
}

/// The largest integer that every JSON reader keeps.
const MOST_INTEGER: u64 = (1 << 53) - 1;

/// Finds the workspace argument in a tool's input schema.
pub(crate) fn binding(
    schema: &Value,
    argument: &str,
) -> Result<Option<ArgumentType>, InvalidBinding> {
    let direct = schema.get("properties").and_then(|properties| properties.get(argument));
    let Some(property) = direct else {
        return if names_property(schema, argument) {
            Err(InvalidBinding::NotDirect)
        } else {
            Ok(None)
        };
    };
    match property.get("type").and_then(Value::as_str) {
        Some("string") => Ok(Some(ArgumentType::Text)),
        Some("integer") => Ok(Some(ArgumentType::Integer)),
        _ => Err(InvalidBinding::Type),
    }
}

/// Whether a `properties` object anywhere in the schema names the argument.
fn names_property(schema: &Value, argument: &str) -> bool {
    match schema {
        Value::Array(items) => items.iter().any(|item| names_property(item, argument)),
        Value::Object(members) => {
            let here = members.get("properties").and_then(Value::as_object);
            here.is_some_and(|properties| properties.contains_key(argument))
                || members.values().any(|member| names_property(member, argument))
        }
        _ => false,
    }
}

/// What of a tool and its resource decides the workspace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule<'r> {
    pub(crate) argument: &'r str,
    /// `None` where the tool does not name a workspace.
    pub(crate) binding: Option<ArgumentType>,
    /// Whether the tool acts in no workspace in particular, whatever its arguments.
    pub(crate) is_exempt: bool,
    /// The tool that lists workspaces, if the operator named one.
    pub(crate) list_tool: Option<&'r str>,
    pub(crate) mode: WorkspaceMode,
    pub(crate) read_only: bool,
    /// The tool's input schema.
    pub(crate) schema: &'r Value,
}

/// The workspace a call acts in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The value to add to the arguments, where the caller left it out.
    pub(crate) inject: Option<Value>,
    /// `None`: all that the credential names.
    pub(crate) workspace: Option<WorkspaceId>,
}

/// Binds a call to its workspace by the members of its arguments, or says to the model what to
/// change.
pub(crate) fn bind<'v>(
    rule: Rule<'_>,
    granted: &[WorkspaceId],
    mut arguments: impl Iterator<Item = (&'v str, &'v Value)> + Clone,
) -> Result<Bound, String> {
    let named = arguments.clone().find(|(name, _)| *name == rule.argument);
    let bound = choose(rule, granted, named.map(|(_, value)| value))?;
    let allowed = match &bound.workspace {
        Some(one) => std::slice::from_ref(one),
        None if rule.binding.is_some() => &[],
        None => granted,
    };
    if arguments.all(|(name, value)| is_allowed(name, value, rule.argument, allowed)) {
        return Ok(bound);
    }
    let name = rule.argument;
    Err(format!(
        "Validation error: arguments: a member `{name}` names a workspace that this call is not for"
    ) + &choices(rule, granted))
}

fn choose(rule: Rule<'_>, granted: &[WorkspaceId], named: Option<&Value>) -> Result<Bound, String> {
    let only = match granted {
        [one] => Some(one),
        _ => None,
    };
    if rule.mode == WorkspaceMode::Implicit && only.is_none() && !rule.is_exempt {
        return Err(format!(
            "This connection covers {} workspaces, and tools here act in exactly one; \
             connect again and choose one.",
            granted.len()
        ));
    }
    if let (Some(kind), Some(value)) = (rule.binding, named) {
        return explicit(rule, kind, granted, value);
    }
    if rule.is_exempt {
        return Ok(Bound::default());
    }
    match (rule.mode, rule.binding) {
        (WorkspaceMode::Implicit | WorkspaceMode::Credential, binding) => {
            if granted.is_empty() {
                return Err(
                    "This connection covers no workspace; connect again and choose one.".to_owned()
                );
            }
            let inject = binding.filter(|_| is_required(rule)).zip(only);
            let inject = inject.and_then(|(kind, one)| written(kind, one));
            Ok(Bound { inject, workspace: only.cloned() })
        }
        (WorkspaceMode::Argument | WorkspaceMode::OptionalArgument, None) => Ok(Bound::default()),
        (WorkspaceMode::Argument | WorkspaceMode::OptionalArgument, Some(kind)) => {
            default(rule, kind, granted, only)
        }
    }
}

fn explicit(
    rule: Rule<'_>,
    kind: ArgumentType,
    granted: &[WorkspaceId],
    value: &Value,
) -> Result<Bound, String> {
    let named = named(kind, value).and_then(|text| granted.iter().find(|id| id.as_str() == text));
    if let Some(named) = named {
        return Ok(Bound { inject: None, workspace: Some(named.clone()) });
    }
    let mut text = format!("Validation error: {}: ", rule.argument);
    let expected = if kind == ArgumentType::Text { "a string" } else { "an integer" };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "expected {expected} that names a workspace of this connection, {}",
        arguments::got(value)
    );
    let known: Vec<&str> = granted.iter().map(WorkspaceId::as_str).collect();
    Err(text + &choices(rule, granted) + &arguments::meant(value, &known))
}

fn is_required(rule: Rule<'_>) -> bool {
    let required = rule.schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().any(|name| name == rule.argument)
}

/// A workspace id as the argument writes it.
fn written(kind: ArgumentType, id: &WorkspaceId) -> Option<Value> {
    match kind {
        ArgumentType::Integer => integer(id).map(Value::from),
        ArgumentType::Text => Some(Value::from(id.as_str())),
    }
}

/// The number whose decimal form a workspace id is: `7`, and neither `007` nor what a double
/// does not hold.
pub(crate) fn integer(id: &WorkspaceId) -> Option<u64> {
    let number = id.as_str().parse::<u64>().ok().filter(|&number| number <= MOST_INTEGER)?;
    (number.to_string() == id.as_str()).then_some(number)
}

/// Whether a value names one of these workspaces, in either form.
pub(crate) fn names(value: &Value, allowed: &[WorkspaceId]) -> bool {
    let text = named(ArgumentType::Text, value).or_else(|| named(ArgumentType::Integer, value));
    text.is_some_and(|text| allowed.iter().any(|id| id.as_str() == text))
}

fn default(
    rule: Rule<'_>,
    kind: ArgumentType,
    granted: &[WorkspaceId],
    only: Option<&WorkspaceId>,
) -> Result<Bound, String> {
    let missing = || {
        let name = rule.argument;
        Err(format!("Validation error: arguments: property `{name}` is required and missing")
            + &choices(rule, granted))
    };
    if rule.mode == WorkspaceMode::Argument || granted.is_empty() {
        return missing();
    }
    match only {
        Some(one) if rule.read_only => Ok(Bound { inject: None, workspace: Some(one.clone()) }),
        Some(one) => match written(kind, one) {
            Some(value) => Ok(Bound { inject: Some(value), workspace: Some(one.clone()) }),
            None => missing(),
        },
        None if rule.read_only => Ok(Bound::default()),
        None => missing(),
    }
}

/// The workspace id a value writes, if it has exactly the declared type.
fn named(kind: ArgumentType, value: &Value) -> Option<Cow<'_, str>> {
    match (kind, value) {
        (ArgumentType::Integer, Value::Number(number)) => {
            number.as_u64().filter(|&n| n <= MOST_INTEGER).map(|n| n.to_string().into())
        }
        (ArgumentType::Text, Value::String(text)) => Some(text.into()),
        _ => None,
    }
}

/// Refuses members that a bound tool does not declare: a backend might read a workspace from them.
pub(crate) fn refuse_undeclared(rule: Rule<'_>, given: &Value) -> Result<(), String> {
    let Some(given) = given.as_object().filter(|_| rule.binding.is_some()) else {
        return Ok(());
    };
    let declared = rule.schema.get("properties").and_then(Value::as_object);
    let unknown = given
        .keys()
        .find(|name| !declared.is_some_and(|declared| declared.contains_key(name.as_str())));
    match unknown {
        Some(name) => {
            let known = declared.into_iter().flatten().map(|(name, _)| name.as_str());
            let meant = arguments::meant(&name.as_str().into(), &known.collect::<Vec<_>>());
            let name = plain(name);
            Err(format!("Validation error: arguments: unexpected property `{name}`{meant}"))
        }
        None => Ok(()),
    }
}

/// Whether no member of the argument's name, at any depth, names another workspace: a backend
/// might read it there.
pub(crate) fn is_allowed(
    name: &str,
    value: &Value,
    argument: &str,
    allowed: &[WorkspaceId],
) -> bool {
    // A description's second parameter of the name has its place before it.
    let own = name.strip_suffix(argument).and_then(|place| {
        ["", "body_", "cookie_", "header_", "path_", "query_"].into_iter().find(|one| *one == place)
    });
    if own.is_some() && !names(value, allowed) {
        return false;
    }
    match value {
        Value::Array(items) => items.iter().all(|item| is_allowed("", item, argument, allowed)),
        Value::Object(members) => {
            members.iter().all(|(name, member)| is_allowed(name, member, argument, allowed))
        }
        _ => true,
    }
}

fn choices(rule: Rule<'_>, granted: &[WorkspaceId]) -> String {
    let known = match granted {
        [] => return "; this connection covers none".to_owned(),
        [one] => format!("; it is {one}"),
        several => {
            let names: Vec<&str> = several.iter().take(20).map(WorkspaceId::as_str).collect();
            format!("; it is one of {}", names.join(", "))
        }
    };
    let told = rule.list_tool.map(|tool| format!("; {tool} tells which is which"));
    known + &told.unwrap_or_default()
}

fn plain(name: &str) -> String {
    name.chars().take(80).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    fn bind(
        rule: Rule<'_>,
        granted: &[WorkspaceId],
        arguments: &Map<String, Value>,
    ) -> Result<Bound, String> {
        super::bind(rule, granted, arguments.iter().map(|(name, value)| (name.as_str(), value)))
    }

    fn run(
        mode: WorkspaceMode,
        read_only: bool,
        granted: &[&str],
        arguments: &Value,
    ) -> Result<(Option<String>, Option<Value>), String> {
        let schema = json!({"properties": {"workspace_id": {"type": "string"}, "q": {}}});
        let rule = Rule {
            argument: "workspace_id",
            binding: binding(&schema, "workspace_id").unwrap(),
            is_exempt: false,
            list_tool: None,
            mode,
            read_only,
            schema: &schema,
        };
        let granted: Vec<_> = granted.iter().map(|id| WorkspaceId::parse(id).unwrap()).collect();
        let bound = bind(rule, &granted, arguments.as_object().unwrap())?;
        refuse_undeclared(rule, arguments)?;
        Ok((bound.workspace.map(|id| id.as_str().to_owned()), bound.inject))
    }

    #[test]
    fn each_mode_decides_the_workspace() {
        use WorkspaceMode::{Argument, Credential, Implicit, OptionalArgument};
        let none = json!({});
        let a = json!({"workspace_id": "a"});
        let acme = || Some("a".to_owned());
        for (mode, read_only, granted, arguments, expected) in [
            (Implicit, false, &["a"][..], &none, Some((acme(), None))),
            (Implicit, true, &["a", "b"], &none, None),
            (Implicit, true, &[], &none, None),
            (Implicit, false, &["a"], &a, Some((acme(), None))),
            (Implicit, false, &["b"], &a, None),
            (Credential, false, &["a"], &none, Some((acme(), None))),
            (Credential, false, &["a", "b"], &none, Some((None, None))),
            (Credential, false, &["b", "c"], &a, None),
            (Credential, true, &[], &none, None),
            (Argument, true, &["a"], &none, None),
            (Argument, true, &["a", "b"], &a, Some((acme(), None))),
            (OptionalArgument, true, &["a", "b"], &none, Some((None, None))),
            (OptionalArgument, true, &["a"], &none, Some((acme(), None))),
            (OptionalArgument, true, &[], &none, None),
            (OptionalArgument, false, &["a", "b"], &none, None),
            (OptionalArgument, false, &["a"], &none, Some((acme(), Some(json!("a"))))),
            (OptionalArgument, false, &["a", "b"], &a, Some((acme(), None))),
            (OptionalArgument, true, &["b"], &a, None),
        ] {
            let got = run(mode, read_only, granted, arguments);
            assert_eq!(got.clone().ok(), expected, "{mode:?} {granted:?} {arguments} {got:?}");
        }
    }

    #[test]
    fn the_argument_has_exactly_the_declared_type_and_one_value() {
        for bad in [
            json!({"workspace_id": 1}),
            json!({"workspace_id": null}),
            json!({"workspace_id": ["a"]}),
            json!({"workspace_id": "A"}),
            json!({"workspace_id": "a "}),
            json!({"workspace_id": "a", "workspaceId": "b"}),
            json!({"workspace_id": "a", "q": {"workspace_id": "b"}}),
            json!({"workspace_id": "a", "q": [{"x": {"workspace_id": "b"}}]}),
        ] {
            let refused = run(WorkspaceMode::OptionalArgument, true, &["a", "b"], &bad);
            assert!(refused.is_err_and(|text| text.starts_with("Validation error:")), "{bad}");
        }
        let same = json!({"workspace_id": "a", "q": {"workspace_id": "a"}});
        assert!(run(WorkspaceMode::Argument, true, &["a"], &same).is_ok());
        let hidden = json!({"q": {"workspace_id": "b"}});
        assert!(run(WorkspaceMode::OptionalArgument, true, &["a", "b"], &hidden).is_err());
    }

    #[test]
    fn a_refused_argument_is_told_what_was_expected_what_came_and_what_was_meant() {
        let refused = |arguments: Value| {
            run(WorkspaceMode::Argument, true, &["acme", "beta"], &arguments).unwrap_err()
        };
        for (arguments, expected) in [
            (
                json!({"workspace_id": "Acme"}),
                "workspace_id: expected a string that names a workspace of this connection, got \
                 string \"Acme\"; it is one of acme, beta; did you mean \"acme\"?",
            ),
            (
                json!({"workspace_id": 7}),
                "workspace_id: expected a string that names a workspace of this connection, got \
                 integer 7; it is one of acme, beta",
            ),
            (
                json!({}),
                "arguments: property `workspace_id` is required and missing; it is one of acme, \
                 beta",
            ),
            (
                json!({"workspace_id": "acme", "qq": 1}),
                "arguments: unexpected property `qq`; did you mean \"q\"?",
            ),
        ] {
            assert_eq!(refused(arguments), format!("Validation error: {expected}"));
        }
    }

    #[test]
    fn a_refused_argument_is_told_which_tool_lists_workspaces() {
        let schema = json!({"properties": {"workspace_id": {"type": "string"}}});
        let rule = Rule {
            argument: "workspace_id",
            binding: Some(ArgumentType::Text),
            is_exempt: false,
            list_tool: Some("list_workspaces"),
            mode: WorkspaceMode::OptionalArgument,
            read_only: false,
            schema: &schema,
        };
        let granted = ["a", "b"].map(|id| WorkspaceId::parse(id).unwrap());
        let refused = |granted: &[WorkspaceId], arguments: Value| {
            bind(rule, granted, arguments.as_object().unwrap()).unwrap_err()
        };
        let told = "; it is one of a, b; list_workspaces tells which is which";
        for arguments in [
            json!({}),
            json!({"workspace_id": "c"}),
            json!({"workspace_id": 7}),
            json!({"workspace_id": "a", "q": {"workspace_id": "b"}}),
        ] {
            let text = refused(&granted, arguments);
            assert!(text.contains(told), "{text}");
        }
        assert!(refused(&[], json!({})).ends_with("; this connection covers none"));
    }

    #[test]
    fn integers_are_their_decimal_form() {
        let text = |value: Value| named(ArgumentType::Integer, &value).map(Cow::into_owned);
        assert_eq!(text(json!(7)).as_deref(), Some("7"));
        for bad in [json!(-1), json!(7.0), json!("7"), json!(1_u64 << 53)] {
            assert_eq!(text(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn a_schema_that_hides_the_argument_is_refused() {
        let find = |schema: Value| binding(&schema, "workspace_id");
        assert_eq!(find(json!({"properties": {"q": {}}})), Ok(None));
        let nested = json!({"properties": {"in": {"properties": {"workspace_id": {}}}}});
        assert_eq!(find(nested), Err(InvalidBinding::NotDirect));
        let any_of = json!({"anyOf": [{"properties": {"workspace_id": {"type": "string"}}}]});
        assert_eq!(find(any_of), Err(InvalidBinding::NotDirect));
        let reference = json!({"properties": {"workspace_id": {"$ref": "#/$defs/id"}}});
        assert_eq!(find(reference), Err(InvalidBinding::Type));
        let several = json!({"properties": {"workspace_id": {"type": ["string", "null"]}}});
        assert_eq!(find(several), Err(InvalidBinding::Type));
    }

    #[test]
    fn a_tool_without_the_argument_carries_no_foreign_workspace_either() {
        let schema = json!({"properties": {"q": {}}});
        let granted = [WorkspaceId::parse("a").unwrap(), WorkspaceId::parse("7").unwrap()];
        for (is_exempt, arguments, expected) in [
            (false, json!({"q": 1}), true),
            (false, json!({"workspace_id": "a"}), true),
            (false, json!({"workspace_id": "b"}), false),
            (false, json!({"q": [{"workspace_id": 7}]}), true),
            (false, json!({"q": [{"workspace_id": 8}]}), false),
            (true, json!({"workspace_id": "b"}), false),
            (true, json!({}), true),
        ] {
            let rule = Rule {
                argument: "workspace_id",
                binding: None,
                is_exempt,
                list_tool: None,
                mode: WorkspaceMode::Argument,
                read_only: true,
                schema: &schema,
            };
            let bound = bind(rule, &granted, arguments.as_object().unwrap());
            assert_eq!(bound.is_ok(), expected, "{is_exempt} {arguments} {bound:?}");
        }
    }

    #[test]
    fn an_exempt_tool_needs_no_workspace_in_any_mode() {
        let schema = json!({"properties": {"workspace_id": {"type": "string"}}});
        let granted = ["a", "b"].map(|id| WorkspaceId::parse(id).unwrap());
        for mode in MODES {
            let binding = Some(ArgumentType::Text);
            let argument = "workspace_id";
            let read_only = false;
            let list_tool = None;
            let is_exempt = true;
            let schema = &schema;
            let rule = Rule { argument, binding, is_exempt, list_tool, mode, read_only, schema };
            assert_eq!(bind(rule, &granted, &Map::new()), Ok(Bound::default()), "{mode:?}");
        }
    }

    const MODES: [WorkspaceMode; 4] = [
        WorkspaceMode::Argument,
        WorkspaceMode::Credential,
        WorkspaceMode::Implicit,
        WorkspaceMode::OptionalArgument,
    ];

    fn every_name(value: &Value, found: &mut Vec<Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| every_name(item, found)),
            Value::Object(members) => {
                for (name, member) in members {
                    if name == "workspace_id" {
                        found.push(member.clone());
                    }
                    every_name(member, found);
                }
            }
            _ => {}
        }
    }

    fn arguments() -> impl Strategy<Value = Value> {
        let leaf =
            prop::sample::select(vec![json!("a"), json!("b"), json!("7"), json!(7), json!(8)]);
        leaf.prop_recursive(4, 24, 4, |inner| {
            let name = || prop::sample::select(vec!["workspace_id", "q", "r"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map(name(), inner, 0..4).prop_map(|members| {
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_argument_reaches_another_workspace(
            value in arguments(),
            mode in prop::sample::select(MODES.to_vec()),
            binding in prop::sample::select(vec![
                None, Some(ArgumentType::Integer), Some(ArgumentType::Text),
            ]),
            granted in prop::sample::subsequence(vec!["a", "7", "c"], 0..=3),
            is_exempt: bool,
            read_only: bool,
        ) {
            let members = json!({ "q": value.clone() });
            let given = value.as_object().unwrap_or_else(|| members.as_object().unwrap());
            let granted: Vec<_> =
                granted.iter().map(|id| WorkspaceId::parse(id).unwrap()).collect();
            let schema = json!({"required": ["workspace_id"]});
            let (argument, list_tool, schema) = ("workspace_id", None, &schema);
            let rule = Rule { argument, binding, is_exempt, list_tool, mode, read_only, schema };
            let Ok(bound) = bind(rule, &granted, given) else { return Ok(()) };
            let mut sent = given.clone();
            if let Some(value) = bound.inject {
                sent.insert("workspace_id".to_owned(), value);
            }
            let allowed = bound.workspace.map_or_else(|| granted.clone(), |one| vec![one]);
            prop_assert!(allowed.iter().all(|one| granted.contains(one)));
            let mut found = Vec::new();
            every_name(&Value::Object(sent), &mut found);
            for value in found {
                prop_assert!(names(&value, &allowed), "{} in {:?}", value, allowed);
            }
        }
    }
}
