//! Where in a message the members stand that a decision reads: noted while the message is scanned,
//! so that nobody reads it a second time.

use std::ops::Range;

/// A member that a decision reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// `params.arguments`.
    Arguments,
    /// `params._meta`'s `io.modelcontextprotocol/clientCapabilities`.
    Capabilities,
    /// `params.cursor`.
    Cursor,
    Error,
    Id,
    Jsonrpc,
    /// `params._meta`.
    Meta,
    Method,
    /// `params.name`.
    Name,
    Params,
    Result,
    /// `params.requestState`.
    State,
    /// `params.taskId`.
    TaskId,
    /// `params.uri`.
    Uri,
    /// `params._meta`'s `io.modelcontextprotocol/protocolVersion`.
    Version,
}

/// A message that was scanned, with the texts of these members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline<'a> {
    members: [Option<(usize, &'a str)>; Member::Version as usize + 1],
}

impl<'a> Outline<'a> {
    /// The text of a member's value.
    pub(crate) fn text(&self, member: Member) -> Option<&'a str> {
        self.find(member).map(|(_, text)| text)
    }

    /// Where in the message the value stands.
    pub(crate) fn range(&self, member: Member) -> Option<Range<usize>> {
        self.find(member).map(|(at, text)| at..at + text.len())
    }

    pub(super) fn note(&mut self, member: Member, at: usize, text: &'a str) {
        if let Some(place) = self.members.get_mut(member as usize) {
            *place = Some((at, text));
        }
    }

    fn find(&self, member: Member) -> Option<(usize, &'a str)> {
        self.members.get(member as usize).copied().flatten()
    }
}
