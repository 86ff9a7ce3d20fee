//! How much of a server's log a call wants to hear (MCP 2026-07-28, logging): nothing, unless it
//! says from which level on.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// How bad it is, least first.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// Where a modern request says from which level on it wants to hear.
pub(crate) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// The level that the `params` of a modern request ask for.
pub(crate) fn asked(params: &[u8]) -> Option<Level> {
    let params: Value = serde_json::from_slice(params).ok()?;
    Level::deserialize(params.get("_meta")?.get(LOG_LEVEL)?).ok()
}

/// Whether the `params` of a `notifications/message` are bad enough for who asked.
pub(crate) fn is_wanted(params: Option<&RawValue>, asked: Option<Level>) -> bool {
    #[derive(Deserialize)]
    struct Message {
        level: Level,
    }
    let told: Option<Message> = params.and_then(|raw| serde_json::from_str(raw.get()).ok());
    told.zip(asked).is_some_and(|(told, asked)| told.level >= asked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_names_no_level_hears_nothing_and_others_what_is_as_bad_or_worse() {
        let asked_for =
            |level: Value| asked(json!({"_meta": {LOG_LEVEL: level}}).to_string().as_bytes());
        assert_eq!(asked_for(json!("warning")), Some(Level::Warning));
        for none in [json!("loud"), json!(3), Value::Null, json!({})] {
            assert_eq!(asked_for(none.clone()), None, "{none}");
        }
        assert_eq!(asked(b"{}"), None);
        let told = |level: &str, asked| {
            let raw = serde_json::value::to_raw_value(&json!({"level": level, "data": 1})).unwrap();
            is_wanted(Some(&raw), asked)
        };
        assert!(!told("emergency", None));
        for (level, wanted) in [
            ("debug", false),
            ("notice", false),
            ("warning", true),
            ("alert", true),
            ("odd", false),
        ] {
            assert_eq!(told(level, Some(Level::Warning)), wanted, "{level}");
        }
        assert!(!is_wanted(None, Some(Level::Debug)));
    }
}
