//! JSON text, walked through once without building anything (RFC 8259): where a value ends, that
//! it is one, and that no object names a member twice (RFC 7493 section 2.3).

mod walk;

use std::borrow::Cow;

use walk::{Units, Walk};

/// Where a text is not JSON, or means different things to different readers; the number is the
/// byte where it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    #[error("arrays and objects nest too deep at byte {0}")]
    Depth(usize),
    #[error("a member name occurs twice in the object that ends at byte {0}")]
    DuplicateName(usize),
    #[error("a lone surrogate stands at byte {0}")]
    LoneSurrogate(usize),
    #[error("the number at byte {0} is larger than an IEEE 754 double holds")]
    Number(usize),
    #[error("the text is not JSON at byte {0}")]
    Syntax(usize),
}

/// What somebody wants to know of a text on the way through it.
pub trait Visitor<'a> {
    /// Why it refuses the text.
    type Fault: From<JsonFault>;
    /// Where in the text a value stands, as far as it matters.
    type Place: Copy;

    /// The place of an array's elements.
    fn element(&self, array: Self::Place) -> Self::Place;

    /// The place of a member's value.
    fn member(&mut self, object: Self::Place, name: Name<'_>) -> Result<Self::Place, Self::Fault>;

    /// A value that was walked through: where it begins, and its text.
    fn value(&mut self, _place: Self::Place, _at: usize, _text: &'a str) {}
}

/// The name of a member.
#[derive(Clone, Copy, Debug)]
pub struct Name<'n> {
    /// Where in the text it begins.
    pub at: usize,
    /// Whether it was written with escapes.
    pub has_escapes: bool,
    /// What it means.
    pub text: &'n str,
}

/// Walks through a text of which no object names a member twice, no string holds a lone surrogate,
/// no number is too large, and which nests `depth` deep at most.
pub fn visit<'a, V: Visitor<'a>>(
    text: &'a str,
    depth: usize,
    root: V::Place,
    visitor: &mut V,
) -> Result<(), V::Fault> {
    let mut walk = Walk::new(text, Units::Paired);
    walk.visit(&mut Visit { depth, names: Vec::with_capacity(USUAL_NAMES), visitor }, root, 0)?;
    Ok(walk.end()?)
}

/// Reads an object that is only passed on: each of its members with the text of its value. Nothing,
/// if it is none, or if `each` has seen enough to refuse it.
pub fn members<'a>(text: &'a str, mut each: impl FnMut(&str, &'a str) -> Option<()>) -> Option<()> {
    let mut walk = Walk::new(text, Units::Any);
    walk.space();
    walk.expect(b'{').ok()?;
    let one = |walk: &mut Walk<'a>| {
        let (name, _) = walk.name()?;
        walk.colon()?;
        walk.space();
        let start = walk.at();
        walk.skip(1)?;
        each(&name, walk.since(start)).ok_or(JsonFault::Syntax(start))
    };
    walk.items(b'}', one).ok()?;
    walk.end().ok()
}

/// Reads an array that is only passed on: the text of each of its elements. Nothing, if it is none,
/// or if `each` has seen enough to refuse it.
pub fn elements<'a>(text: &'a str, mut each: impl FnMut(&'a str) -> Option<()>) -> Option<()> {
    let mut walk = Walk::new(text, Units::Any);
    walk.space();
    walk.expect(b'[').ok()?;
    let one = |walk: &mut Walk<'a>| {
        let start = walk.at();
        walk.skip(1)?;
        each(walk.since(start)).ok_or(JsonFault::Syntax(start))
    };
    walk.items(b']', one).ok()?;
    walk.end().ok()
}

/// How many names are open at once in most texts.
const USUAL_NAMES: usize = 16;

struct Visit<'v, 'a, V> {
    depth: usize,
    /// The names of every open object, innermost last.
    names: Vec<Cow<'a, str>>,
    visitor: &'v mut V,
}

impl<'a> Walk<'a> {
    fn visit<V: Visitor<'a>>(
        &mut self,
        visit: &mut Visit<'_, 'a, V>,
        place: V::Place,
        depth: usize,
    ) -> Result<(), V::Fault> {
        self.space();
        let start = self.at();
        match self.peek() {
            Some(b'{') => {
                self.enter(depth, visit.depth)?;
                self.visit_object(visit, place, depth)?;
            }
            Some(b'[') => {
                self.enter(depth, visit.depth)?;
                self.visit_array(visit, place, depth)?;
            }
            _ => self.leaf()?,
        }
        visit.visitor.value(place, start, self.since(start));
        Ok(())
    }

    fn visit_object<V: Visitor<'a>>(
        &mut self,
        visit: &mut Visit<'_, 'a, V>,
        place: V::Place,
        depth: usize,
    ) -> Result<(), V::Fault> {
        let first = visit.names.len();
        self.items(b'}', |walk| {
            let at = walk.at();
            let (name, has_escapes) = walk.name()?;
            let inner = visit.visitor.member(place, Name { at, has_escapes, text: &name })?;
            visit.names.push(name);
            walk.colon()?;
            walk.visit(visit, inner, depth + 1)
        })?;
        let own = visit.names.get_mut(first..).unwrap_or_default();
        if has_repeated(own) {
            return Err(JsonFault::DuplicateName(self.at()).into());
        }
        visit.names.truncate(first);
        Ok(())
    }

    fn visit_array<V: Visitor<'a>>(
        &mut self,
        visit: &mut Visit<'_, 'a, V>,
        place: V::Place,
        depth: usize,
    ) -> Result<(), V::Fault> {
        self.items(b']', |walk| {
            let element = visit.visitor.element(place);
            walk.visit(visit, element, depth + 1)
        })
    }
}

/// Whether a name occurs twice; few names are compared pairwise, many are sorted first so that a
/// large object costs no more than its length in comparisons.
fn has_repeated(names: &mut [Cow<'_, str>]) -> bool {
    if names.len() > 12 {
        names.sort_unstable();
        return names.array_windows::<2>().any(|[one, other]| one == other);
    }
    let mut rest: &[Cow<'_, str>] = names;
    while let Some((one, others)) = rest.split_first() {
        if others.contains(one) {
            return true;
        }
        rest = others;
    }
    false
}

#[cfg(test)]
mod tests;
