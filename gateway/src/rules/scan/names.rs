//! Where policy reads member names, and which names may not stand there because a reader that
//! compares without case would take them for others.

use unicode_normalization::UnicodeNormalization;

/// Where in a message a value stands, as far as policy reads names there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A tool's arguments, at every depth.
    Arguments,
    Context,
    Envelope,
    Meta,
    Params,
    Plain,
    Reference,
}

impl Place {
    /// The place of a member's value.
    pub(super) fn of_member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Envelope, "params") => Self::Params,
            (Self::Params, "_meta") => Self::Meta,
            (Self::Params | Self::Context, "arguments") | (Self::Arguments, _) => Self::Arguments,
            (Self::Params, "argument" | "ref") => Self::Reference,
            (Self::Params, "context") => Self::Context,
            _ => Self::Plain,
        }
    }

    /// The place of an array's elements.
    pub(super) fn of_element(self) -> Self {
        if self == Self::Arguments { self } else { Self::Plain }
    }

    /// The names policy reads in an object at this place; `arguments` are those of a tool.
    pub(super) fn read<'r>(self, arguments: &'r [&'r str]) -> &'r [&'r str] {
        match self {
            Self::Arguments => arguments,
            Self::Context => CONTEXT,
            Self::Envelope => ENVELOPE,
            Self::Meta => META,
            Self::Params => PARAMS,
            Self::Plain => &[],
            Self::Reference => REFERENCE,
        }
    }
}

const ENVELOPE: &[&str] = &["error", "id", "jsonrpc", "method", "params", "result"];
const PARAMS: &[&str] = &[
    "_meta",
    "argument",
    "arguments",
    "capabilities",
    "clientInfo",
    "context",
    "cursor",
    "inputResponses",
    "level",
    "name",
    "progressToken",
    "protocolVersion",
    "ref",
    "requestId",
    "requestState",
    "task",
    "taskId",
    "uri",
];
const META: &[&str] = &[
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/related-task",
    "io.modelcontextprotocol/subscriptionId",
    "progressToken",
];
const REFERENCE: &[&str] = &["name", "type", "uri", "value"];
const CONTEXT: &[&str] = &["arguments"];

/// Whether a name equals one that policy reads in all but case and compatibility form.
pub(super) fn is_lookalike(name: &str, read: &[&str]) -> bool {
    if read.contains(&name) {
        return false;
    }
    if name.is_ascii() && read.iter().all(|known| known.is_ascii()) {
        return read.iter().any(|known| known.eq_ignore_ascii_case(name));
    }
    let folded = fold(name);
    read.iter().any(|known| fold(known) == folded)
}

/// NFKC and case folding; upper case first, so that letters with only an upper-case twin fold too.
fn fold(text: &str) -> String {
    let visible = text.nfkc().filter(|c| !is_ignorable(*c));
    visible.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

/// Characters that a fold to `NFKC_Casefold` removes.
fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
    )
}
