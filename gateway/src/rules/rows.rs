//! Rows of another workspace in a tool's result: dropped before anybody sees them, as a second
//! line of defence behind the backend's own (it, too, was told which workspaces the call is for).

use serde_json::{Value, json, value::RawValue};
use shared::ids::WorkspaceId;

use crate::rules::{members::Members, workspace};

/// Which rows of a result may pass.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) allowed: Vec<WorkspaceId>,
    /// The member that names a row's workspace.
    pub(crate) member: String,
}

/// A result whose rows cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend's answer could not be searched for rows of other workspaces")]
pub(crate) struct Unsearchable;

const NOTHING: &str = "There is no such record in this workspace.";

impl Rows {
    /// Drops the rows of other workspaces from the result of a tool.
    pub(crate) fn filter(&self, result: &mut Members<'_>) -> Result<(), Unsearchable> {
        let is_error = result.find("isError").is_some_and(|raw| raw.get() == "true");
        let structured = result.find("structuredContent").map(RawValue::get);
        let structured = structured.map(serde_json::from_str::<Value>).transpose();
        let structured = structured.map_err(|_| Unsearchable)?;
        if let Some(mut value) = structured {
            let before = value.clone();
            if !self.keep(&mut value) {
                nothing(result);
                return Ok(());
            }
            if value != before {
                // The text says the same in other words, so it is written anew.
                result.set("content", json!([{ "type": "text", "text": value.to_string() }]));
                result.set("structuredContent", value);
                return Ok(());
            }
        }
        let Some(content) = result.find("content").map(RawValue::get) else { return Ok(()) };
        let mut content: Vec<Value> = serde_json::from_str(content).map_err(|_| Unsearchable)?;
        let before = content.clone();
        for item in &mut content {
            let text = match item.pointer_mut("/resource/text") {
                Some(text) => Some(text),
                None => item.get_mut("text"),
            };
            let Some(Value::String(text)) = text else { continue };
            // What went wrong is told in prose, which is no row.
            let passes = match self.filter_text(text) {
                Err(Unsearchable) if is_error => true,
                other => other?,
            };
            if !passes {
                nothing(result);
                return Ok(());
            }
        }
        if content != before {
            result.set("content", content);
        }
        Ok(())
    }

    /// Whether anything of the text may pass.
    fn filter_text(&self, text: &mut String) -> Result<bool, Unsearchable> {
        // Only what names the member can be a row.
        if !text.contains(&self.member) && !text.contains("\\u") {
            return Ok(true);
        }
        let mut value: Value = serde_json::from_str(text).map_err(|_| Unsearchable)?;
        let before = value.clone();
        if !self.keep(&mut value) {
            return Ok(false);
        }
        if value != before {
            *text = value.to_string();
        }
        Ok(true)
    }

    /// Whether a value may pass, once what may not is taken out of it.
    fn keep(&self, value: &mut Value) -> bool {
        match value {
            Value::Array(items) => items.retain_mut(|item| self.keep(item)),
            Value::Object(members) => {
                let own = members.get(&self.member);
                if own.is_some_and(|own| !own.is_null() && !workspace::names(own, &self.allowed)) {
                    return false;
                }
                for member in members.values_mut() {
                    if !self.keep(member) {
                        *member = Value::Null;
                    }
                }
            }
            _ => {}
        }
        true
    }
}

fn nothing(result: &mut Members<'_>) {
    result.remove("structuredContent");
    result.set("content", json!([{ "type": "text", "text": NOTHING }]));
    result.set("isError", true);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(result: &Value) -> Result<Value, Unsearchable> {
        let rows = Rows {
            allowed: vec![WorkspaceId::parse("a").unwrap(), WorkspaceId::parse("7").unwrap()],
            member: "workspace_id".to_owned(),
        };
        let text = result.to_string();
        let mut members = Members::read(text.as_bytes()).unwrap();
        rows.filter(&mut members)?;
        Ok(serde_json::from_slice(&members.to_vec()).unwrap())
    }

    fn row(workspace: impl Into<Value>) -> Value {
        json!({"id": 1, "workspace_id": workspace.into()})
    }

    #[test]
    fn rows_of_other_workspaces_are_dropped_from_structure_and_text() {
        let own = json!({"items": [row("a"), row(7)], "next": null});
        let mixed = json!({"items": [row("a"), row("b"), row(7)], "next": null});
        let texts = |value: &Value| json!([{"type": "text", "text": value.to_string()}]);
        let both = json!({"structuredContent": mixed, "content": texts(&mixed)});
        let expected = json!({"structuredContent": own, "content": texts(&own)});
        assert_eq!(filtered(&both), Ok(expected));
        let only_text = json!({"content": texts(&mixed)});
        assert_eq!(filtered(&only_text), Ok(json!({"content": texts(&own)})));
        let nested = json!({"structuredContent": {"deal": row("b")}, "content": []});
        assert_eq!(filtered(&nested).unwrap()["structuredContent"], json!({"deal": null}));
        let clean =
            json!({"structuredContent": own, "content": [{"type": "text", "text": "2 rows"}]});
        assert_eq!(filtered(&clean), Ok(clean));
    }

    #[test]
    fn a_record_of_another_workspace_is_as_if_there_were_none() {
        for result in [
            json!({"structuredContent": row("b"), "content": []}),
            json!({"content": [{"type": "text", "text": row("b").to_string()}]}),
        ] {
            let answer = filtered(&result).unwrap();
            assert_eq!(answer["isError"], true);
            assert!(!answer.to_string().contains("workspace_id"), "{answer}");
        }
    }

    #[test]
    fn what_names_workspaces_in_words_of_its_own_is_refused() {
        let told = json!({"content": [{"type": "text", "text": "workspace_id: b"}]});
        assert_eq!(filtered(&told), Err(Unsearchable));
        let words = json!({"content": [{"type": "text", "text": "done"}]});
        assert_eq!(filtered(&words), Ok(words));
        let error =
            json!({"isError": true, "content": [{"type": "text", "text": "no workspace_id"}]});
        assert_eq!(filtered(&error), Ok(error));
    }

    #[test]
    fn an_error_carries_no_row_of_another_workspace_and_what_cannot_be_read_is_refused() {
        let text = row("b").to_string();
        let told = json!({"isError": true, "content": [{"type": "text", "text": text}]});
        assert!(!filtered(&told).unwrap().to_string().contains("workspace_id"));
        let raw = r#"{"structuredContent":{"n":1e400},"content":[]}"#;
        let rows = Rows { allowed: Vec::new(), member: "workspace_id".to_owned() };
        let mut members = Members::read(raw.as_bytes()).unwrap();
        assert_eq!(rows.filter(&mut members), Err(Unsearchable));
    }
}
