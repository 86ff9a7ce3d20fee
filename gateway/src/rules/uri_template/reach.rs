//! Where the parts of a template can stand in a URI.

use super::{Expression, Part, Template};

impl Template {
    /// Where each part can begin and the rest still fit, if the URI fits at all.
    pub(super) fn reach(&self, uri: &str) -> Option<Reach> {
        let lower = uri.to_ascii_lowercase();
        let mut forth = vec![start(lower.len())];
        for part in &self.0 {
            let next = part.forth(forth.last()?, lower.as_bytes());
            forth.push(next);
        }
        if forth.last()?.last() != Some(&true) {
            return None;
        }
        let mut back = vec![end(lower.len())];
        for part in self.0.iter().rev() {
            let next = part.back(back.last()?, lower.as_bytes());
            back.push(next);
        }
        back.reverse();
        Some(Reach { back, forth })
    }
}

/// Where parts of a template can begin in a URI, seen from its start and from its end.
pub(super) struct Reach {
    back: Vec<Places>,
    forth: Vec<Places>,
}

/// For each place in a URI, and the one after it, whether something can be there.
type Places = Vec<bool>;

fn start(length: usize) -> Places {
    let mut places = vec![false; length + 1];
    places.iter_mut().take(1).for_each(|first| *first = true);
    places
}

fn end(length: usize) -> Places {
    let mut places = start(length);
    places.reverse();
    places
}

fn is(places: &[bool], at: usize) -> bool {
    places.get(at).copied().unwrap_or_default()
}

impl Part {
    /// Where the next part can begin, if this one begins at one of these places.
    fn forth(&self, from: &[bool], uri: &[u8]) -> Places {
        let mut to = vec![false; from.len()];
        match self {
            Self::Literal(text) => {
                for (at, to) in to.iter_mut().enumerate().skip(text.len()) {
                    let start = at - text.len();
                    *to = is(from, start) && uri.get(start..at) == Some(text.as_bytes());
                }
            }
            Self::Expression(one) => {
                let lead = one.operator.lead();
                let mut runs = false;
                for (at, to) in to.iter_mut().enumerate() {
                    *to = runs || is(from, at);
                    let Some(&byte) = uri.get(at) else { continue };
                    runs |= is(from, at) && lead.is_none_or(|lead| lead == byte);
                    runs &= one.holds(byte);
                }
            }
        }
        to
    }

    /// Where this part can begin, if the next one begins at one of these places.
    fn back(&self, from: &[bool], uri: &[u8]) -> Places {
        let mut to = vec![false; from.len()];
        match self {
            Self::Literal(text) => {
                for (at, to) in to.iter_mut().enumerate() {
                    let end = at + text.len();
                    *to = is(from, end) && uri.get(at..end) == Some(text.as_bytes());
                }
            }
            Self::Expression(one) => {
                let lead = one.operator.lead();
                let mut runs = false;
                for (at, to) in to.iter_mut().enumerate().rev() {
                    let byte = uri.get(at).copied();
                    runs &= byte.is_some_and(|byte| one.holds(byte));
                    let begins = byte.is_some_and(|byte| lead.is_none_or(|lead| lead == byte));
                    *to = is(from, at) || (runs && begins);
                    runs |= is(from, at);
                }
            }
        }
        to
    }
}

impl Reach {
    /// What the expression at this place of the template can have written.
    pub(super) fn runs(
        &self,
        part: usize,
        expression: &Expression,
        uri: &str,
    ) -> impl Iterator<Item = (usize, usize)> {
        let empty: &[bool] = &[];
        let begins = self.forth.get(part).map_or(empty, Vec::as_slice);
        let ends = self.back.get(part + 1).map_or(empty, Vec::as_slice);
        let lead = expression.operator.lead();
        let bytes = uri.as_bytes();
        let starts = begins.iter().enumerate().filter(move |(at, can)| {
            **can && lead.is_none_or(|lead| bytes.get(*at) == Some(&lead))
        });
        starts.flat_map(move |(start, _)| {
            let rest = bytes.get(start..).unwrap_or_default();
            let longest = rest.iter().take_while(|byte| expression.holds(**byte)).count();
            let stop = start + longest;
            (start + 1..=stop).filter(|end| is(ends, *end)).map(move |end| (start, end))
        })
    }
}
