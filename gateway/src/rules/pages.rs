//! A long list in pages (MCP server, pagination). A cursor is sealed for who asked, for which list
//! and narrowing, and says which state of the list it continues.

use crate::rules::{handle::Handles, violation::RpcViolation};

/// How a list is cut.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    /// Seals for this caller and this list.
    pub(crate) handles: Handles,
    pub(crate) size: usize,
}

/// The part of a list that is shown now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) from: usize,
    /// Where the next one begins, sealed.
    pub(crate) next: Option<String>,
    pub(crate) to: usize,
}

impl Pages {
    /// The page that a cursor asks for, or the first. `version` names the state of the list.
    pub(crate) fn page(
        &self,
        cursor: Option<&str>,
        version: &str,
        length: usize,
    ) -> Result<Page, RpcViolation> {
        let from = match cursor {
            None => 0,
            Some(sealed) => {
                let text = self.handles.open(sealed).ok_or(RpcViolation::Cursor)?;
                let (at, of) = text.split_once(' ').ok_or(RpcViolation::Cursor)?;
                let at: usize = at.parse().map_err(|_| RpcViolation::Cursor)?;
                if of != version || at >= length {
                    return Err(RpcViolation::StaleCursor);
                }
                at
            }
        };
        let to = from.saturating_add(self.size).min(length);
        let next = (to < length).then(|| self.handles.seal(&format!("{to} {version}"))).flatten();
        Ok(Page { from, next, to })
    }
}

#[cfg(test)]
mod tests {
    use keys::{KeySet, Purpose};
    use shared::time::Timestamp;

    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end_and_only_for_whom_and_what_they_were_made() {
        let now = Timestamp::from_secs(1_800_000_000);
        let ring = KeySet::first(Purpose::PageSeal, now).unwrap().secrets();
        let pages =
            |who: &str| Pages { handles: Handles::new(&ring, &[who.as_bytes()], now), size: 2 };
        let (ada, bob) = (pages("ada"), pages("bob"));
        let first = ada.page(None, "v1", 5).unwrap();
        assert_eq!((first.from, first.to), (0, 2));
        let second = ada.page(first.next.as_deref(), "v1", 5).unwrap();
        assert_eq!((second.from, second.to), (2, 4));
        let third = ada.page(second.next.as_deref(), "v1", 5).unwrap();
        assert_eq!((third.from, third.to, third.next), (4, 5, None));
        let cursor = first.next.as_deref();
        assert_eq!(bob.page(cursor, "v1", 5), Err(RpcViolation::Cursor));
        assert_eq!(ada.page(cursor, "v2", 5), Err(RpcViolation::StaleCursor));
        assert_eq!(ada.page(cursor, "v1", 2), Err(RpcViolation::StaleCursor));
        assert_eq!(ada.page(Some("2 v1"), "v1", 5), Err(RpcViolation::Cursor));
        assert_eq!(ada.page(None, "v1", 0).unwrap(), Page { from: 0, next: None, to: 0 });
        assert_eq!(ada.page(None, "v1", 2).unwrap().next, None);
    }
}
