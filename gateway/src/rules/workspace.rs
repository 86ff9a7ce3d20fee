//! The workspace a tool call acts in: one of those the credential names, and the same to every
//! reader of the arguments.

use std::fmt::Write;

use serde_json::{Map, Value};
use shared::{deployment::WorkspaceMode, ids::WorkspaceId};

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

/// Binds a call to its workspace, or says to the model what to change.
pub(crate) fn bind(
    rule: Rule<'_>,
    granted: &[WorkspaceId],
    arguments: &Map<String, Value>,
) -> Result<Bound, String> {
    let only = match granted {
        [one] => Some(one),
        _ => None,
    };
    if rule.mode == WorkspaceMode::Implicit {
        return match only {
            Some(one) => Ok(Bound { inject: None, workspace: Some(one.clone()) }),
            None => Err(format!(
                "This connection covers {} workspaces, and tools here act in exactly one; \
                 connect again and choose one.",
                granted.len()
            )),
        };
    }
    let Some(kind) = rule.binding else { return Ok(Bound::default()) };
    let Some(value) = arguments.get(rule.argument) else {
        refuse_elsewhere(rule.argument, arguments, None)?;
        return default(rule, kind, granted, only);
    };
    let named = named(kind, value).and_then(|text| granted.iter().find(|id| id.as_str() == text));
    let Some(named) = named else {
        let mut text = format!("Validation error: {}: ", rule.argument);
        let expected = if kind == ArgumentType::Text { "a string" } else { "an integer" };
        // Writing to a String cannot fail.
        let _ = write!(text, "expected {expected} that names a workspace of this connection");
        return Err(text + &choices(granted));
    };
    refuse_elsewhere(rule.argument, arguments, Some(value))?;
    Ok(Bound { inject: None, workspace: Some(named.clone()) })
}

fn default(
    rule: Rule<'_>,
    kind: ArgumentType,
    granted: &[WorkspaceId],
    only: Option<&WorkspaceId>,
) -> Result<Bound, String> {
    let missing = || {
        let name = rule.argument;
        Err(format!("Validation error: property `{name}` is required and missing")
            + &choices(granted))
    };
    if rule.mode == WorkspaceMode::Argument || granted.is_empty() {
        return missing();
    }
    match only {
        Some(one) if rule.read_only => Ok(Bound { inject: None, workspace: Some(one.clone()) }),
        Some(one) => {
            let inject = match kind {
                ArgumentType::Integer => one.as_str().parse::<u64>().map(Value::from).ok(),
                ArgumentType::Text => Some(Value::from(one.as_str())),
            };
            match inject {
                Some(_) => Ok(Bound { inject, workspace: Some(one.clone()) }),
                None => missing(),
            }
        }
        None if rule.read_only => Ok(Bound::default()),
        None => missing(),
    }
}

/// The workspace id a value writes, if it has exactly the declared type.
fn named(kind: ArgumentType, value: &Value) -> Option<String> {
    match (kind, value) {
        (ArgumentType::Integer, Value::Number(number)) => {
            number.as_u64().filter(|&n| n <= MOST_INTEGER).map(|n| n.to_string())
        }
        (ArgumentType::Text, Value::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Refuses members that a bound tool does not declare: a backend might read a workspace from them.
pub(crate) fn refuse_undeclared(rule: Rule<'_>, arguments: &Value) -> Result<(), String> {
    let Some(arguments) = arguments.as_object().filter(|_| rule.binding.is_some()) else {
        return Ok(());
    };
    let declared = rule.schema.get("properties").and_then(Value::as_object);
    let unknown = arguments
        .keys()
        .find(|name| !declared.is_some_and(|declared| declared.contains_key(name.as_str())));
    match unknown {
        Some(name) => Err(format!("Validation error: unexpected property `{}`", plain(name))),
        None => Ok(()),
    }
}

/// Refuses a member of the argument's name, at any depth, that says something else.
fn refuse_elsewhere(
    argument: &str,
    arguments: &Map<String, Value>,
    bound: Option<&Value>,
) -> Result<(), String> {
    let agrees = |value: &Value| bound == Some(value);
    if arguments.iter().all(|(_, value)| all_members(value, argument, &agrees)) {
        return Ok(());
    }
    Err(format!("Validation error: `{argument}` occurs inside another argument with another value"))
}

fn all_members(value: &Value, name: &str, agrees: &impl Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| all_members(item, name, agrees)),
        Value::Object(members) => members.iter().all(|(own, member)| {
            (own != name || agrees(member)) && all_members(member, name, agrees)
        }),
        _ => true,
    }
}

fn choices(granted: &[WorkspaceId]) -> String {
    match granted {
        [] => "; this connection covers none".to_owned(),
        [one] => format!("; it is {one}"),
        several => {
            let names: Vec<&str> = several.iter().take(20).map(WorkspaceId::as_str).collect();
            format!("; it is one of {}", names.join(", "))
        }
    }
}

fn plain(name: &str) -> String {
    name.chars().take(80).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        use WorkspaceMode::{Argument, Implicit, OptionalArgument};
        let none = json!({});
        let a = json!({"workspace_id": "a"});
        let acme = || Some("a".to_owned());
        for (mode, read_only, granted, arguments, expected) in [
            (Implicit, false, &["a"][..], &none, Some((acme(), None))),
            (Implicit, true, &["a", "b"], &none, None),
            (Implicit, true, &[], &none, None),
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
    fn integers_are_their_decimal_form() {
        let text = |value: Value| named(ArgumentType::Integer, &value);
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
}
