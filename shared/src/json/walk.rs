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
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// A member name, decoded; and whether it was written with escapes.
    pub(super) fn name(&mut self) -> Result<(Cow<'a, str>, bool), JsonFault> {
        let start = self.at;
        let has_escapes = self.string()?;
        let inside = self.text.get(start + 1..self.at - 1).unwrap_or_default();
        if !has_escapes {
            return Ok((Cow::Borrowed(inside), false));
        }
        let name = decode(inside).ok_or(JsonFault::LoneSurrogate(start))?;
        Ok((Cow::Owned(name), true))
    }

    /// A string; the answer is whether it holds escapes. Eight bytes are looked at as one number,
    /// so that short runs between escapes cost as little as long ones.
    pub(super) fn string(&mut self) -> Result<bool, JsonFault> {
        self.expect(b'"')?;
        let mut has_escapes = false;
        'words: while let Some(word) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*word);
            let mut marks = special(word);
            while marks != 0 {
                // The lowest byte is the first one.
                let bits = marks.trailing_zeros() & !7;
                let [here, next, ..] = (word >> bits).to_le_bytes();
                // The commonest escapes, without asking which.
                if here == b'\\' && matches!(next, b'"' | b'\\' | b'n') {
                    has_escapes = true;
                    marks &= u64::MAX << bits << 16;
                    continue;
                }
                self.at += (bits / 8) as usize;
                if here == b'"' {
                    self.step();
                    return Ok(has_escapes);
                }
                self.escape()?;
                has_escapes = true;
                continue 'words;
            }
            self.at += 8;
        }
        self.end_of_string(has_escapes)
    }

    /// The same where the text has less than eight bytes left.
    fn end_of_string(&mut self, mut has_escapes: bool) -> Result<bool, JsonFault> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    self.escape()?;
                    has_escapes = true;
                }
                None | Some(0..0x20) => return Err(JsonFault::Syntax(self.at)),
                Some(_) => self.step(),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        self.expect(b'\\')?;
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
        let has_exponent = self.digits_and_exponent()?;
        if has_exponent || self.at - start > SURELY_FINITE {
            let is_finite = self.since(start).parse::<f64>().is_ok_and(f64::is_finite);
            return if is_finite { Ok(()) } else { Err(JsonFault::Number(start)) };
        }
        Ok(())
    }

    /// The answer is whether there is an exponent.
    fn digits_and_exponent(&mut self) -> Result<bool, JsonFault> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        let has_exponent = self.take(b'e') || self.take(b'E');
        if has_exponent {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(has_exponent)
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

/// The highest bits of those of eight bytes that do not mean themselves in a string.
pub(super) const fn special(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xFF;
    const LOW: u64 = EACH * 0x7F;
    const HIGH: u64 = EACH * 0x80;
    // With this bit turned, the control characters and the quotation mark are the least: what is
    // larger carries into the highest bit, and never beyond it.
    let is_larger = ((word ^ (EACH * 0x02)) & LOW) + EACH * (0x80 - 0x21);
    let is_other = ((word ^ (EACH * b'\\' as u64)) & LOW) + LOW;
    !((is_larger & is_other) | word) & HIGH
}

/// The text of a string whose escapes were found valid; none if it holds a lone surrogate.
fn decode(inside: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{inside}\"")).ok()
}
