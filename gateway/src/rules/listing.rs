//! A tool as it is listed: its annotations no weaker than configured, and its workspace argument
//! narrowed to the workspaces of whoever reads the list. Its other bytes stay.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use shared::ids::WorkspaceId;

use crate::rules::{
    members::Members,
    protocol::Era,
    workspace::{self, ArgumentType},
};

/// What a tool is said to do (MCP server, tools): `None` where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Hints {
    #[serde(rename = "destructiveHint")]
    pub(crate) destructive: Option<bool>,
    #[serde(rename = "idempotentHint")]
    pub(crate) idempotent: Option<bool>,
    #[serde(rename = "openWorldHint")]
    pub(crate) open_world: Option<bool>,
    #[serde(rename = "readOnlyHint")]
    pub(crate) read_only: Option<bool>,
}

impl Hints {
    /// What a backend says of its tool.
    pub(crate) fn of(tool: &RawValue) -> Self {
        #[derive(Deserialize)]
        struct Annotated {
            annotations: Option<Hints>,
        }
        let read: Option<Annotated> = serde_json::from_str(tool.get()).ok();
        read.and_then(|tool| tool.annotations).unwrap_or_default()
    }

    /// These, and where they say nothing, those.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            destructive: self.destructive.or(other.destructive),
            idempotent: self.idempotent.or(other.idempotent),
            open_world: self.open_world.or(other.open_world),
            read_only: self.read_only.or(other.read_only),
        }
    }

    /// The configured floor with what the backend says: it can only make its tool look more
    /// dangerous.
    #[must_use]
    pub(crate) fn tightened(self, backend: Self) -> Self {
        let safe = |floor: Option<bool>, said: Option<bool>| match floor {
            Some(floor) => Some(floor && said != Some(false)),
            None => said,
        };
        let danger = |floor: Option<bool>, said: Option<bool>| match floor {
            Some(floor) => Some(floor || said == Some(true)),
            None => said,
        };
        Self {
            destructive: danger(self.destructive, backend.destructive),
            idempotent: safe(self.idempotent, backend.idempotent),
            open_world: danger(self.open_world, backend.open_world),
            read_only: safe(self.read_only, backend.read_only),
        }
    }

    fn named(self) -> [(&'static str, Option<bool>); 4] {
        [
            ("destructiveHint", self.destructive),
            ("idempotentHint", self.idempotent),
            ("openWorldHint", self.open_world),
            ("readOnlyHint", self.read_only),
        ]
    }
}

/// A tool's text, prepared once for every reader.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Where the granted workspaces go, and in which form.
    choices: Option<(usize, ArgumentType)>,
    text: Box<RawValue>,
}

/// More workspaces than this are not listed in each schema.
const MOST_CHOICES: usize = 50;

impl Listed {
    /// Prepares a tool: `hints` are what it is said to do, where the configuration has a say.
    pub(crate) fn new(
        tool: &RawValue,
        hints: Option<Hints>,
        bound: Option<(&str, ArgumentType)>,
    ) -> Self {
        let text = hints.and_then(|hints| annotated(tool, hints));
        let text = text.unwrap_or_else(|| tool.to_owned());
        let choices = bound.and_then(|(argument, kind)| Some((place(&text, argument)?, kind)));
        Self { choices, text }
    }

    /// The text for a reader with these workspaces.
    pub(crate) fn text<'t>(&'t self, choices: &'t Choices<'_>) -> Shown<'t> {
        self.narrowed(choices).unwrap_or_else(|| Shown::whole(&self.text))
    }

    fn narrowed<'t>(&'t self, choices: &'t Choices<'_>) -> Option<Shown<'t>> {
        let (at, kind) = self.choices?;
        let choices = match kind {
            ArgumentType::Integer => choices.integers.as_deref(),
            ArgumentType::Text => choices.texts.as_deref(),
        }?;
        let (before, after) = self.text.get().split_at_checked(at)?;
        Some(Shown([before, choices, after]))
    }
}

/// An entry of a list as a reader sees it: JSON in pieces, so that a list is written in one go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'t>([&'t str; 3]);

impl<'t> Shown<'t> {
    /// An entry as it is.
    pub(crate) fn whole(entry: &'t RawValue) -> Self {
        Self([entry.get(), "", ""])
    }

    /// The pieces.
    pub(crate) fn pieces(&self) -> [&'t str; 3] {
        self.0
    }

    /// The JSON as one text.
    pub(crate) fn json(&self) -> String {
        self.0.concat()
    }

    /// The JSON as a value of its own.
    pub(crate) fn raw(&self) -> Option<Box<RawValue>> {
        RawValue::from_string(self.json()).ok()
    }
}

/// A reader: the era, the workspaces, and how schemas list them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices<'g> {
    pub(crate) granted: &'g [WorkspaceId],
    integers: Option<String>,
    /// Whether the reader's era is the legacy one.
    pub(crate) is_legacy: bool,
    texts: Option<String>,
}

impl<'g> Choices<'g> {
    /// The choices that a credential leaves.
    pub(crate) fn of(granted: &'g [WorkspaceId]) -> Self {
        if granted.is_empty() || granted.len() > MOST_CHOICES {
            return Self { granted, ..Self::default() };
        }
        let member = |values: Value| format!("\"enum\":{values},");
        let numbers: Option<Vec<u64>> = granted.iter().map(workspace::integer).collect();
        let texts: Vec<&str> = granted.iter().map(WorkspaceId::as_str).collect();
        Self {
            granted,
            integers: numbers.map(|numbers| member(json!(numbers))),
            is_legacy: false,
            texts: Some(member(json!(texts))),
        }
    }

    /// The same for a reader of this era.
    #[must_use]
    pub(crate) fn told_in(self, era: Era) -> Self {
        Self { is_legacy: era == Era::Legacy, ..self }
    }
}

fn annotated(tool: &RawValue, hints: Hints) -> Option<Box<RawValue>> {
    let mut members = Members::read(tool.get().as_bytes())?;
    let annotations = members.find("annotations").map(|raw| raw.get().to_owned());
    let mut annotations = match &annotations {
        Some(text) => Members::read(text.as_bytes())?,
        None => Members::default(),
    };
    for (name, hint) in hints.named() {
        if let Some(hint) = hint {
            annotations.set(name, hint);
        }
    }
    members.set("annotations", &annotations);
    serde_json::value::to_raw_value(&members).ok()
}

/// The tool with an argument that it cannot be called without.
pub(crate) fn requiring(tool: &RawValue, argument: &str) -> Option<Box<RawValue>> {
    let mut members = Members::read(tool.get().as_bytes())?;
    let schema = members.find("inputSchema")?.get().to_owned();
    let mut schema = Members::read(schema.as_bytes())?;
    let required = schema.find("required").map(|raw| serde_json::from_str(raw.get()));
    let mut required: Vec<String> = required.transpose().ok()?.unwrap_or_default();
    if required.iter().any(|name| name == argument) {
        return None;
    }
    required.push(argument.to_owned());
    schema.set("required", &required);
    members.set("inputSchema", &schema);
    serde_json::value::to_raw_value(&members).ok()
}

/// Where the first member of the argument's own schema begins, unless it lists values already.
fn place(tool: &RawValue, argument: &str) -> Option<usize> {
    let tool_text = tool.get();
    let tool = Members::read(tool_text.as_bytes())?;
    let schema = Members::read(tool.find("inputSchema")?.get().as_bytes())?;
    let properties = schema.find("properties")?.get();
    let properties = Members::read(properties.as_bytes())?;
    let property = properties.find(argument)?.get();
    let own = Members::read(property.as_bytes())?;
    if own.find("enum").is_some() || own.names().next().is_none() {
        return None;
    }
    let start = (property.as_ptr() as usize).checked_sub(tool_text.as_ptr() as usize)?;
    let inside = start.checked_add(1)?;
    tool_text.get(start..inside).filter(|brace| *brace == "{").map(|_| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    fn ids(ids: &[&str]) -> Vec<WorkspaceId> {
        ids.iter().map(|id| WorkspaceId::parse(id).unwrap()).collect()
    }

    #[test]
    fn a_backend_can_only_make_its_tool_look_more_dangerous() {
        let hints = |read_only, destructive| Hints { destructive, read_only, ..Hints::default() };
        for (floor, said, expected) in [
            (hints(None, None), hints(Some(true), None), hints(Some(true), None)),
            (hints(Some(true), None), hints(None, None), hints(Some(true), None)),
            (hints(Some(true), None), hints(Some(false), None), hints(Some(false), None)),
            (hints(Some(false), None), hints(Some(true), None), hints(Some(false), None)),
            (hints(None, Some(true)), hints(None, Some(false)), hints(None, Some(true))),
            (hints(None, Some(false)), hints(None, Some(true)), hints(None, Some(true))),
            (hints(None, Some(false)), hints(None, None), hints(None, Some(false))),
        ] {
            assert_eq!(floor.tightened(said), expected, "{floor:?} {said:?}");
        }
        let tool = raw(&json!({"annotations": {"readOnlyHint": true, "title": "x"}}));
        assert_eq!(Hints::of(&tool).read_only, Some(true));
        assert_eq!(Hints::of(&raw(&json!({"annotations": 1}))), Hints::default());
    }

    #[test]
    fn annotations_are_set_and_everything_else_stays() {
        let tool = raw(&json!({"name": "a", "annotations": {"title": "x", "readOnlyHint": true}}));
        let hints = Hints { read_only: Some(false), open_world: Some(true), ..Hints::default() };
        let listed = Listed::new(&tool, Some(hints), None);
        let granted = ids(&["a"]);
        let text = listed.text(&Choices::of(&granted)).json();
        let shown: Value = serde_json::from_str(&text).unwrap();
        let expected = json!({"title": "x", "readOnlyHint": false, "openWorldHint": true});
        assert_eq!(shown, json!({"name": "a", "annotations": expected}));
    }

    #[test]
    fn an_argument_that_every_call_needs_is_among_the_required_ones_once() {
        for (schema, expected) in [
            (json!({"type": "object"}), json!(["w"])),
            (json!({"required": ["q"], "properties": {"w": {}}}), json!(["q", "w"])),
            (json!({"required": ["w", "q"]}), json!(["w", "q"])),
        ] {
            let tool = raw(&json!({"name": "a", "inputSchema": schema, "z": 1}));
            let tool = requiring(&tool, "w").unwrap_or(tool);
            let shown: Value = serde_json::from_str(tool.get()).unwrap();
            assert_eq!(shown["inputSchema"]["required"], expected, "{schema}");
            assert_eq!((&shown["name"], &shown["z"]), (&json!("a"), &json!(1)));
        }
        assert!(requiring(&raw(&json!({"inputSchema": {"required": 7}})), "w").is_none());
    }

    #[test]
    fn a_schema_lists_the_readers_own_workspaces() {
        let tool = |property: Value| {
            raw(&json!({"inputSchema": {"properties": {"q": {}, "w": property}}, "z": 1}))
        };
        for (property, kind, granted, expected) in [
            (json!({"type": "string"}), ArgumentType::Text, &["a", "b"][..], json!(["a", "b"])),
            (json!({"type": "integer"}), ArgumentType::Integer, &["7"], json!([7])),
            (json!({"type": "integer"}), ArgumentType::Integer, &["x"], Value::Null),
            (json!({"type": "string"}), ArgumentType::Text, &[], Value::Null),
            (json!({"type": "string", "enum": ["q"]}), ArgumentType::Text, &["a"], json!(["q"])),
        ] {
            let tool = tool(property);
            let listed = Listed::new(&tool, None, Some(("w", kind)));
            let granted = ids(granted);
            let text = listed.text(&Choices::of(&granted)).json();
            let shown: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(shown["inputSchema"]["properties"]["w"]["enum"], expected, "{granted:?}");
            assert_eq!(shown["z"], 1);
        }
    }
}
