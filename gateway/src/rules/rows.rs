//! Rows of another workspace in a tool's result: dropped before anybody sees them, as a second
//! line of defence behind the backend's own (it, too, was told which workspaces the call is for).

use serde_json::{Map, Value, json, value::RawValue};
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

const LEFT_OUT: &str = "The call failed. What the backend said of it is left out, because it \
                        names another workspace; check the arguments.";
const NOTHING: &str = "There is no such record in this workspace.";
/// A text that begins more values than this is not searched, and so does not pass.
const MOST_VALUES: usize = 64;

impl Rows {
    /// Drops the rows of other workspaces from the result of a tool, of a task, or of a task that
    /// tells its own.
    pub(crate) fn filter(&self, result: &mut Members<'_>) -> Result<(), Unsearchable> {
        if let Some(inner) = result.find("result").map(|raw| raw.get().to_owned()) {
            let mut inner = Members::read(inner.as_bytes()).ok_or(Unsearchable)?;
            self.filter_result(&mut inner)?;
            result.set("result", &inner);
        }
        self.filter_result(result)
    }

    /// Whether a message that is no result may pass: it holds no row of another workspace, and no
    /// words that name one.
    pub(crate) fn passes(&self, message: &RawValue) -> bool {
        let value: Result<Value, _> = serde_json::from_str(message.get());
        value.is_ok_and(|value| self.is_clean(&value))
    }

    fn filter_result(&self, result: &mut Members<'_>) -> Result<(), Unsearchable> {
        let is_error = result.find("isError").is_some_and(|raw| raw.get() == "true");
        let aside: Vec<String> = result.names().map(str::to_owned).collect();
        for name in aside {
            let is_searched = matches!(&*name, "content" | "result" | "structuredContent");
            if !is_searched && result.find(&name).is_some_and(|raw| !self.passes(raw)) {
                result.remove(&name);
            }
        }
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
        content.retain(|item| self.is_clean_beside(item));
        if content.is_empty() && !before.is_empty() {
            nothing(result);
            return Ok(());
        }
        for item in &mut content {
            let text = match item.pointer_mut("/resource/text") {
                Some(text) => Some(text),
                None => item.get_mut("text"),
            };
            let Some(Value::String(text)) = text else { continue };
            let passes = match self.filter_text(text) {
                // What went wrong is told in prose, which is no row but may repeat one.
                Err(Unsearchable) if is_error => {
                    if !self.is_clean_prose(text) {
                        LEFT_OUT.clone_into(text);
                    }
                    true
                }
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

    /// Whether what stands beside the searched text of an item holds no row of another workspace.
    fn is_clean_beside(&self, item: &Value) -> bool {
        let Value::Object(members) = item else { return self.is_clean(item) };
        let is_clean = |(name, value): (&String, &Value)| {
            (name == "text" && value.is_string()) || self.is_clean(value)
        };
        if item.pointer("/resource/text").is_none() {
            return !self.is_foreign(members) && members.iter().all(is_clean);
        }
        !self.is_foreign(members)
            && members.iter().all(|(name, value)| match value.as_object() {
                Some(resource) if name == "resource" => {
                    !self.is_foreign(resource) && resource.iter().all(is_clean)
                }
                _ => self.is_clean(value),
            })
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

    /// Whether nothing in it is a row of another workspace, or names one in words.
    fn is_clean(&self, value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().all(|item| self.is_clean(item)),
            Value::Object(members) => {
                !self.is_foreign(members) && members.values().all(|member| self.is_clean(member))
            }
            Value::String(text) => self.is_clean_prose(text),
            _ => true,
        }
    }

    /// Whether a text repeats no row of another workspace: neither as JSON within it, nor as
    /// `member: id` or `member=id`.
    fn is_clean_prose(&self, text: &str) -> bool {
        if !text.contains(&self.member) && !text.contains("\\u") {
            return true;
        }
        let mut begins = text.match_indices(['{', '[']).take(MOST_VALUES + 1);
        let has_row = begins.by_ref().take(MOST_VALUES).any(|(at, _)| {
            let rest = text.get(at..).unwrap_or_default();
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            values.next().and_then(Result::ok).is_some_and(|mut value| {
                let before = value.clone();
                !self.keep(&mut value) || value != before
            })
        });
        let is_searched = begins.next().is_none();
        is_searched && !has_row && text.split(&self.member).skip(1).all(|rest| self.is_own(rest))
    }

    /// Whether what follows the member's name in a text is no other workspace.
    fn is_own(&self, rest: &str) -> bool {
        let quotes = ['"', '\'', '`', '\\', ' '];
        let rest = rest.trim_start_matches(quotes);
        let Some(rest) = rest.strip_prefix([':', '=']) else { return true };
        let rest = rest.trim_start_matches(quotes).trim_start_matches([':', '=', '>', ' ', '"']);
        let is_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
        let id = rest.split(|c| !is_id(c)).next().unwrap_or_default();
        let id = id.trim_end_matches(['.', ':']);
        id.is_empty() || self.allowed.iter().any(|own| own.as_str() == id)
    }

    fn is_foreign(&self, row: &Map<String, Value>) -> bool {
        let own = row.get(&self.member);
        own.is_some_and(|own| !own.is_null() && !workspace::names(own, &self.allowed))
    }

    /// Whether a value may pass, once what may not is taken out of it.
    fn keep(&self, value: &mut Value) -> bool {
        match value {
            Value::Array(items) => items.retain_mut(|item| self.keep(item)),
            Value::Object(members) => {
                if self.is_foreign(members) {
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
    fn what_stands_beside_a_text_is_searched_too() {
        let text = json!({"type": "text", "text": "done"});
        for item in [
            json!({"type": "text", "text": "x", "_meta": row("b")}),
            json!({"type": "resource_link", "uri": "crm://x", "description": "workspace_id: b"}),
            json!({"type": "resource", "resource": {"uri": "u", "text": "x", "_meta": row("b")}}),
            json!({"type": "text", "text": "x", "resource": {"text": "y"}, "row": row("b")}),
            json!({"type": "text", "text": row("b").to_string(), "resource": {"text": "y"}}),
            json!({"type": "text", "text": row("b")}),
        ] {
            let told = json!({"content": [text, item]});
            assert_eq!(filtered(&told).unwrap(), json!({"content": [text]}), "{item}");
            let alone = filtered(&json!({"content": [item]})).unwrap();
            assert_eq!(alone["isError"], true, "{item}: {alone}");
        }
        let own = json!({"type": "text", "text": "x", "_meta": row("a")});
        let told = json!({"content": [own, text]});
        assert_eq!(filtered(&told).unwrap(), told);
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
    fn an_errors_words_are_left_out_if_they_name_another_workspace() {
        for (text, passes) in [
            ("workspace_id is required", true),
            ("crm answered 404. It says: {\"workspace_id\":\"a\",\"id\":1}", true),
            ("crm answered 404. It says: {\"workspace_id\":\"b\",\"id\":1}", false),
            ("no row: [1, {\"x\": {\"workspace_id\": 8}}]", false),
            ("workspace_id=a is locked", true),
            ("workspace_id=b is locked", false),
            ("workspace_id: `b`", false),
            ("the workspace_id: 7.", true),
            ("{{{\"workspace_id\":\"b\"", false),
            ("{\"workspace\\u005fid\":\"b\"} failed", false),
        ] {
            let told = json!({"isError": true, "content": [{"type": "text", "text": text}]});
            let shown = filtered(&told).unwrap()["content"][0]["text"].clone();
            assert_eq!(shown == text, passes, "{text}: {shown}");
            assert_eq!(shown == LEFT_OUT, !passes, "{text}: {shown}");
        }
        let many = "[".repeat(70) + " workspace_id";
        let told = json!({"isError": true, "content": [{"type": "text", "text": many}]});
        assert_eq!(filtered(&told).unwrap()["content"][0]["text"], LEFT_OUT);
    }

    #[test]
    fn the_result_that_a_task_tells_is_searched_like_a_tools_and_so_is_what_stands_beside_it() {
        let rows = json!({"items": [row("a"), row("b")]});
        let task = json!({"taskId": "t", "status": "completed",
            "result": {"structuredContent": rows, "content": []}});
        let shown = filtered(&task).unwrap();
        assert_eq!(shown["result"]["structuredContent"], json!({"items": [row("a")]}));
        assert_eq!(shown["taskId"], "t");
        let beside = json!({"content": [], "_meta": {"row": row("b")}, "x": row("a")});
        assert_eq!(filtered(&beside).unwrap(), json!({"content": [], "x": row("a")}));
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
