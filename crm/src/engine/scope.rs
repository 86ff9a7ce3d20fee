//! The workspaces a call may touch: those of the identity, or the one the call names.

use std::borrow::Cow;

use serde_json::json;

use super::{
    refusal::{Problem, Refusal},
    validate::{Arguments, one_of},
};
use crate::{Workspace, limits};

const ARGUMENT: &str = "workspace_id";

/// The workspaces of an identity, and the names of those that have one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) granted: &'a [String],
    pub(crate) named: &'a [Workspace],
}

impl<'a> Scope<'a> {
    /// The workspaces to look in.
    pub(crate) fn to_read(self, arguments: &mut Arguments<'_>) -> Cow<'a, [String]> {
        match self.chosen(arguments) {
            Some(workspace) => Cow::Owned(vec![workspace]),
            None => Cow::Borrowed(self.granted),
        }
    }

    /// The one workspace to write to; none when the arguments leave it open or name a wrong one.
    pub(crate) fn to_write(self, arguments: &mut Arguments<'_>) -> Result<Option<String>, Refusal> {
        if arguments.given(ARGUMENT).is_some() {
            return Ok(self.chosen(arguments));
        }
        match self.granted {
            [] => Err(Refusal::NoWorkspace),
            [only] => Ok(Some(only.clone())),
            _ => {
                arguments.refuse(Problem::missing(ARGUMENT, self.choices()));
                Ok(None)
            }
        }
    }

    fn chosen(&self, arguments: &mut Arguments<'_>) -> Option<String> {
        let text = arguments.text(ARGUMENT, limits::TEXT)?;
        if self.granted.iter().any(|granted| granted == text) {
            return Some(text.to_owned());
        }
        arguments.refuse(Problem::new(ARGUMENT, self.choices(), &json!(text)));
        None
    }

    fn choices(&self) -> String {
        if self.granted.is_empty() {
            return "nothing, as no workspace is open to this identity".to_owned();
        }
        let choices: Vec<_> = self.granted.iter().map(|id| self.with_name(id)).collect();
        one_of(&choices)
    }

    fn with_name(&self, id: &str) -> String {
        match self.named.iter().find(|workspace| workspace.id == id) {
            Some(workspace) if workspace.name != id => format!("{id} ({})", workspace.name),
            _ => id.to_owned(),
        }
    }
}
