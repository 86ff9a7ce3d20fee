//! The text itself, byte by byte (RFC 8259 sections 3 to 7).

use std::borrow::Cow;

use super::JsonFault;

/// How arrays and objects may nest in what is only passed on.
const DEEPEST: usize = 128;

/// Whether the UTF-16 units of `\u` escapes must make whole characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    /// They stay as they are: what reads them finds out.
    Any,
    Paired,
}

/// A place in a text.
pub(super) struct Walk<'a> {
    at: usize,
    bytes: &'a [u8],
    text: &'a str,
    units: Units,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str, units: Units) -> Self {
        Self { at: 0, bytes: text.as_bytes(), text, units }
    }

    /// How many bytes lie behind.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn enter(&mut self, depth: usize, most: usize) -> Result<(), JsonFault> {
        if depth >= most {
            return Err(JsonFault::Depth(self.at));
        }
        self.step();
        Ok(())
    }

    /// Any value, `depth` arrays and objects deep.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), JsonFault> {
        self.space();
        let close = match self.peek() {
            Some(b'{') => b'}',
            Some(b'[') => b']',
            _ => return self.leaf(),
        };
        self.enter(depth, DEEPEST)?;
        self.items(close, |walk| {
            if close == b'}' {
                walk.string()?;
                walk.colon()?;
            }
            walk.skip(depth + 1)
        })
    }

    /// What stands between an opening that lies behind and its end, one after the other.
    pub(super) fn items<E: From<JsonFault>>(
        &mut self,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            self.space();
            each(self)?;
            self.space();
            if !self.take(b',') {
                return Ok(self.expect(close)?);
            }
        }
    }

    /// What stands between a member's name and its value.
    pub(super) fn colon(&mut self) -> Result<(), JsonFault> {
        self.space();
        self.expect(b':')
    }

    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A value that is neither array nor object.
    pub(super) fn leaf(&mut self) -> Result<(), JsonFault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// A member name, decoded.
    pub(super) fn name(&mut self) -> Result<Cow<'a, str>, JsonFault> {
        let start = self.at;
        let inside = self.string()?;
        if !inside.contains('\\') {
            return Ok(Cow::Borrowed(inside));
        }
        decode(inside).map(Cow::Owned).ok_or(JsonFault::LoneSurrogate(start))
    }

    /// A string; the answer is what stands between its quotation marks.
    pub(super) fn string(&mut self) -> Result<&'a str, JsonFault> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => break,
                // The commonest ones, without asking which.
                Some(b'\\') if matches!(self.bytes.get(self.at + 1), Some(b'"' | b'\\' | b'n')) => {
                    self.at += 2;
                }
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
    pub(super) fn end(&mut self) -> Result<(), JsonFault> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(JsonFault::Syntax(self.at)) }
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.take(byte) { Ok(()) } else { Err(JsonFault::Syntax(self.at)) }
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    /// Past a byte that was looked at.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// How many bytes of a string mean themselves, before one that ends it or an escape. Short runs are
/// looked at byte by byte, long ones many bytes at a time.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let is_special = |byte: &u8| SPECIAL.get(usize::from(*byte)).copied().unwrap_or_default();
    let short = bytes.get(..SHORT).unwrap_or(bytes);
    match short.iter().position(is_special) {
        Some(found) => found,
        None => short.len() + plain_chunks(bytes.get(SHORT..).unwrap_or_default()),
    }
}

/// The same for what follows a short run.
fn plain_chunks(bytes: &[u8]) -> usize {
    let is_special = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"' || byte == b'\\');
    let (chunks, _) = bytes.as_chunks::<32>();
    let has_special =
        |chunk: &&[u8; 32]| chunk.iter().fold(0, |found, byte| found | is_special(*byte)) != 0;
    let at = 32 * chunks.iter().take_while(|chunk| !has_special(chunk)).count();
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| is_special(*byte) != 0).unwrap_or(rest.len())
}

/// How long a short run is.
const SHORT: usize = 24;

/// The bytes that do not mean themselves in a string.
#[expect(clippy::indexing_slicing, reason = "a constant that does not compile if it is beyond")]
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        special[control] = true;
        control += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special
};

/// The text of a string whose escapes were found valid; none if it holds a lone surrogate.
fn decode(inside: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{inside}\"")).ok()
}
