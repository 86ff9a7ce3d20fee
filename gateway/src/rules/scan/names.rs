//! Where policy reads member names, and which names may not stand there because a reader that
//! compares without case would take them for others.

use unicode_normalization::UnicodeNormalization;

use super::outline::Member;

/// Where in a message a value stands, as far as policy reads names there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    inside: Inside,
    /// Which of the members that a decision reads the value is.
    pub(super) member: Option<Member>,
}

/// What of an object at a place is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// A tool's arguments, at every depth.
    Arguments,
    Context,
    Envelope,
    Meta,
    Params,
    Plain,
    Reference,
}

/// A name that differs from one that policy reads in case or form alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lookalike;

impl Place {
    /// The message as a whole.
    pub(super) const MESSAGE: Self = of(Inside::Envelope);

    /// The place of a member's value; `arguments` are the names that policy reads of a tool's.
    pub(super) fn of_member(self, name: &str, arguments: &[&str]) -> Result<Self, Lookalike> {
        let known = match self.inside {
            Inside::Arguments => {
                let is_own = arguments.contains(&name);
                return if is_own || !is_lookalike(name, arguments.iter().copied()) {
                    Ok(of(Inside::Arguments))
                } else {
                    Err(Lookalike)
                };
            }
            Inside::Context => CONTEXT,
            Inside::Envelope => ENVELOPE,
            Inside::Meta => META,
            Inside::Params => PARAMS,
            Inside::Plain => return Ok(of(Inside::Plain)),
            Inside::Reference => REFERENCE,
        };
        match known.iter().find(|known| known.name == name) {
            Some(known) => Ok(known.place),
            None if is_lookalike(name, known.iter().map(|known| known.name)) => Err(Lookalike),
            None => Ok(of(Inside::Plain)),
        }
    }

    /// The place of an array's elements.
    pub(super) fn of_element(self) -> Self {
        of(if self.inside == Inside::Arguments { self.inside } else { Inside::Plain })
    }
}

/// A name that policy reads, and the place of its value.
struct Known {
    name: &'static str,
    place: Place,
}

const fn of(inside: Inside) -> Place {
    Place { inside, member: None }
}

const fn read(name: &'static str, member: Member) -> Known {
    inner(name, Inside::Plain, member)
}

const fn inner(name: &'static str, inside: Inside, member: Member) -> Known {
    Known { name, place: Place { inside, member: Some(member) } }
}

const fn known(name: &'static str, inside: Inside) -> Known {
    Known { name, place: of(inside) }
}

const ENVELOPE: &[Known] = &[
    read("error", Member::Error),
    read("id", Member::Id),
    read("jsonrpc", Member::Jsonrpc),
    read("method", Member::Method),
    inner("params", Inside::Params, Member::Params),
    read("result", Member::Result),
];
const PARAMS: &[Known] = &[
    inner("_meta", Inside::Meta, Member::Meta),
    known("argument", Inside::Reference),
    inner("arguments", Inside::Arguments, Member::Arguments),
    known("capabilities", Inside::Plain),
    known("clientInfo", Inside::Plain),
    known("context", Inside::Context),
    read("cursor", Member::Cursor),
    known("inputResponses", Inside::Plain),
    known("level", Inside::Plain),
    read("name", Member::Name),
    known("progressToken", Inside::Plain),
    known("protocolVersion", Inside::Plain),
    known("ref", Inside::Reference),
    known("requestId", Inside::Plain),
    read("requestState", Member::State),
    known("task", Inside::Plain),
    read("taskId", Member::TaskId),
    read("uri", Member::Uri),
];
const META: &[Known] = &[
    read("io.modelcontextprotocol/clientCapabilities", Member::Capabilities),
    known("io.modelcontextprotocol/clientInfo", Inside::Plain),
    known("io.modelcontextprotocol/logLevel", Inside::Plain),
    read("io.modelcontextprotocol/protocolVersion", Member::Version),
    known("io.modelcontextprotocol/related-task", Inside::Plain),
    known("io.modelcontextprotocol/subscriptionId", Inside::Plain),
    known("progressToken", Inside::Plain),
];
const REFERENCE: &[Known] = &[
    known("name", Inside::Plain),
    known("type", Inside::Plain),
    known("uri", Inside::Plain),
    known("value", Inside::Plain),
];
const CONTEXT: &[Known] = &[known("arguments", Inside::Arguments)];

/// Whether a name that policy does not read equals one that it reads in all but case and
/// compatibility form.
fn is_lookalike<'k>(name: &str, mut read: impl Iterator<Item = &'k str> + Clone) -> bool {
    if name.is_ascii() && read.clone().all(str::is_ascii) {
        return read.any(|known| known.eq_ignore_ascii_case(name));
    }
    let folded = fold(name);
    read.any(|known| fold(known) == folded)
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
