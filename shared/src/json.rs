//! JSON text, walked through once without building anything (RFC 8259): where a value ends, that
//! it is one, and that no object names a member twice (RFC 7493 section 2.3).

use std::borrow::Cow;

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

    /// The place of a member's value; `at` is where the name begins.
    fn member(
        &mut self,
        object: Self::Place,
        name: &str,
        at: usize,
    ) -> Result<Self::Place, Self::Fault>;

    /// The text of a value that was walked through.
    fn value(&mut self, _place: Self::Place, _text: &'a str) {}
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
    walk.visit(&mut Visit { depth, names: Vec::new(), visitor }, root, 0)?;
    Ok(walk.end()?)
}

/// Reads an object that is only passed on: each of its members with the text of its value. Nothing,
/// if it is none, or if `each` has seen enough to refuse it.
pub fn members<'a>(
    text: &'a str,
    mut each: impl FnMut(&str, &'a str) -> Option<()>,
) -> Option<()> {
    let mut walk = Walk::new(text, Units::Any);
    walk.space();
    walk.expect(b'{').ok()?;
    walk.space();
    if !walk.take(b'}') {
        loop {
            walk.space();
            let name = walk.name().ok()?;
            walk.space();
            walk.expect(b':').ok()?;
            walk.space();
            let start = walk.at;
            walk.skip(1).ok()?;
            each(&name, walk.since(start))?;
            walk.space();
            if !walk.take(b',') {
                walk.expect(b'}').ok()?;
                break;
            }
        }
    }
    walk.end().ok()
}

/// How arrays and objects may nest in what is only passed on.
const DEEPEST: usize = 128;

/// Whether the UTF-16 units of `\u` escapes must make whole characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Units {
    /// They stay as they are: what reads them finds out.
    Any,
    Paired,
}

struct Visit<'v, 'a, V> {
    depth: usize,
    /// The names of every open object, innermost last.
    names: Vec<Cow<'a, str>>,
    visitor: &'v mut V,
}

/// A place in a text.
struct Walk<'a> {
    at: usize,
    bytes: &'a [u8],
    text: &'a str,
    units: Units,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str, units: Units) -> Self {
        Self { at: 0, bytes: text.as_bytes(), text, units }
    }

    fn visit<V: Visitor<'a>>(
        &mut self,
        visit: &mut Visit<'_, 'a, V>,
        place: V::Place,
        depth: usize,
    ) -> Result<(), V::Fault> {
        self.space();
        let start = self.at;
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
        visit.visitor.value(place, self.since(start));
        Ok(())
    }

    fn visit_object<V: Visitor<'a>>(
        &mut self,
        visit: &mut Visit<'_, 'a, V>,
        place: V::Place,
        depth: usize,
    ) -> Result<(), V::Fault> {
        let first = visit.names.len();
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            let start = self.at;
            let name = self.name()?;
            let inner = visit.visitor.member(place, &name, start)?;
            visit.names.push(name);
            self.space();
            self.expect(b':')?;
            self.visit(visit, inner, depth + 1)?;
            self.space();
            if !self.take(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        let own = visit.names.get_mut(first..).unwrap_or_default();
        if has_repeated(own) {
            return Err(JsonFault::DuplicateName(self.at).into());
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
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            let element = visit.visitor.element(place);
            self.visit(visit, element, depth + 1)?;
            self.space();
            if !self.take(b',') {
                return Ok(self.expect(b']')?);
            }
        }
    }

    fn enter(&mut self, depth: usize, most: usize) -> Result<(), JsonFault> {
        if depth >= most {
            return Err(JsonFault::Depth(self.at));
        }
        self.step();
        Ok(())
    }

    /// Any value, `depth` arrays and objects deep.
    fn skip(&mut self, depth: usize) -> Result<(), JsonFault> {
        self.space();
        let close = match self.peek() {
            Some(b'{') => b'}',
            Some(b'[') => b']',
            _ => return self.leaf(),
        };
        self.enter(depth, DEEPEST)?;
        self.space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            if close == b'}' {
                self.space();
                self.string()?;
                self.space();
                self.expect(b':')?;
            }
            self.skip(depth + 1)?;
            self.space();
            if !self.take(b',') {
                return self.expect(close);
            }
        }
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

/// A value that is neither array nor object.
    fn leaf(&mut self) -> Result<(), JsonFault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// A member name, decoded.
    fn name(&mut self) -> Result<Cow<'a, str>, JsonFault> {
        let inside = self.string()?;
        Ok(if inside.contains('\\') { Cow::Owned(decode(inside)) } else { Cow::Borrowed(inside) })
    }

    /// A string; the answer is what stands between its quotation marks.
    fn string(&mut self) -> Result<&'a str, JsonFault> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return Err(JsonFault::Syntax(self.at)),
            }
        }
        let inside = self.text.get(start..self.at).unwrap_or_default();
        self.step();
        Ok(inside)
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        self.step();
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.step();
                Ok(())
            }
            Some(b'u') => match self.unit()? {
                _ if self.units == Units::Any => Ok(()),
                0xD800..=0xDBFF => {
                    let paired = self.take(b'\\')
                        && self.peek() == Some(b'u')
                        && matches!(self.unit()?, 0xDC00..=0xDFFF);
                    if paired { Ok(()) } else { Err(JsonFault::LoneSurrogate(start)) }
                }
                0xDC00..=0xDFFF => Err(JsonFault::LoneSurrogate(start)),
                _ => Ok(()),
            },
            _ => Err(JsonFault::Syntax(self.at)),
        }
    }

    /// The UTF-16 unit of `uXXXX`.
    fn unit(&mut self) -> Result<u32, JsonFault> {
        let digits = self.text.get(self.at + 1..self.at + 5).unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(JsonFault::Syntax(self.at));
        }
        self.at += 5;
        u32::from_str_radix(digits, 16).map_err(|_| JsonFault::Syntax(self.at))
    }

    /// A number that every reader takes for the same one (RFC 7493 section 2.2).
    fn number(&mut self) -> Result<(), JsonFault> {
        const SURELY_FINITE: usize = 18;
        let start = self.at;
        self.digits_and_exponent()?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        if text.len() > SURELY_FINITE || text.contains(['e', 'E']) {
            let is_finite = text.parse::<f64>().is_ok_and(f64::is_finite);
            return if is_finite { Ok(()) } else { Err(JsonFault::Number(start)) };
        }
        Ok(())
    }

    fn digits_and_exponent(&mut self) -> Result<(), JsonFault> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.step();
        }
        if self.at == start { Err(JsonFault::Syntax(start)) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonFault> {
        if self.bytes.get(self.at..self.at + word.len()) != Some(word) {
            return Err(JsonFault::Syntax(self.at));
        }
        self.at += word.len();
        Ok(())
    }

    /// The end of the text, with nothing but space before it.
    fn end(&mut self) -> Result<(), JsonFault> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(JsonFault::Syntax(self.at)) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.take(byte) { Ok(()) } else { Err(JsonFault::Syntax(self.at)) }
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    /// Past a byte that was looked at.
    fn step(&mut self) {
        self.at += 1;
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// How many bytes of a string mean themselves, before one that ends it or an escape. Short runs are
/// looked at byte by byte, long ones many bytes at a time.
fn plain(bytes: &[u8]) -> usize {
    let is_special = |byte: &u8| matches!(*byte, 0..0x20 | b'"' | b'\\');
    let (chunks, rest) = bytes.as_chunks::<32>();
    let mut at = 0;
    for (turn, chunk) in chunks.iter().enumerate() {
        let is_plain = || !chunk.iter().fold(false, |found, byte| found | is_special(byte));
        if turn == 0 || !is_plain() {
            if let Some(found) = chunk.iter().position(is_special) {
                return at + found;
            }
        }
        at += chunk.len();
    }
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The text of a string whose escapes were found valid.
fn decode(inside: &str) -> String {
    serde_json::from_str(&format!("\"{inside}\"")).unwrap_or_default()
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
#[path = "json_tests.rs"]
mod tests;
