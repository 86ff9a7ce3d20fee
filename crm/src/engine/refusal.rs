//! What a tool answers when the caller, most often a model, should do something else.

use serde_json::Value;

/// Characters of a wrong value that are repeated.
const SHOWN: usize = 80;

/// A refusal that the caller can act on.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    Arguments(Vec<Problem>),
    NoWorkspace,
    NotFound { id: String, many: String, one: String },
    Referenced { by: Vec<String>, id: String, one: String },
}

/// One wrong argument.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    expected: String,
    got: String,
    path: String,
}

impl Refusal {
    /// The text of the answer.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Arguments(problems) => {
                let problems: Vec<_> = problems.iter().map(Problem::text).collect();
                format!("Validation error: {}", problems.join("; "))
            }
            Self::NoWorkspace => {
                "No workspace is open to this identity, so nothing can be written.".to_owned()
            }
            Self::NotFound { id, many, one } => format!(
                "There is no {one} with the id {}. Use list_{many} or search_{many} to find ids.",
                quoted(id)
            ),
            Self::Referenced { by, id, one } => format!(
                "The {one} {} is not deleted: {} refer to it. Delete them or change them first.",
                quoted(id),
                by.join(", ")
            ),
        }
    }
}

impl Problem {
    /// A value that is not what was expected.
    pub(crate) fn new(path: &str, expected: impl Into<String>, got: &Value) -> Self {
        Self { expected: expected.into(), got: shortened(&got.to_string()), path: path.to_owned() }
    }

    /// A value that is not there.
    pub(crate) fn missing(path: &str, expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), got: "nothing".to_owned(), path: path.to_owned() }
    }

    fn text(&self) -> String {
        format!("{}: expected {}, got {}", self.path, self.expected, self.got)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Arguments(vec![problem])
    }
}

fn quoted(text: &str) -> String {
    shortened(&Value::from(text).to_string())
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let mut start: String = text.chars().take(SHOWN).collect();
    start.push_str("...");
    start
}
