//! Mutations of inputs: bytes, runs of bytes, pieces of other inputs, and what parsers trip over.

use std::ops::Range;

/// What parsers trip over.
const TOKENS: [&[u8]; 40] = [
    b"%",
    b"%00",
    b"%2",
    b"%zz",
    b"%C3%28",
    b"+",
    b"&",
    b"=",
    b";",
    b",",
    b" ",
    b"\t",
    b"\r\n",
    b"\n",
    b"\0",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"..",
    b"/",
    b"//",
    b"@",
    b"#",
    b"?",
    b"\xff\xfe",
    b"\xc0\xaf",
    "\u{202e}".as_bytes(),
    "\u{fb01}".as_bytes(),
    b"9999999999999999999999",
    b"-----",
];

/// Makes new inputs of old ones, always the same for the same beginning.
#[derive(Debug)]
pub(crate) struct Mutator {
    state: u64,
    /// Words of the seeds: names and values that a parser knows.
    words: Vec<Vec<u8>>,
}

impl Mutator {
    pub(crate) fn new(seed: u64, pool: &[Vec<u8>]) -> Self {
        let is_end = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"_-.".contains(byte);
        let mut words: Vec<Vec<u8>> = pool
            .iter()
            .flat_map(|input| input.split(is_end))
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        words.sort();
        words.dedup();
        Self { state: seed, words }
    }

    /// A new input.
    pub(crate) fn next(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.one_of(pool).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.change(&mut input, pool);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let range = self.range(input.len());
        match self.below(9) {
            0 => {
                let bit = 1_u8 << self.below(8);
                let at = self.below(input.len());
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bit;
                }
            }
            1 => {
                let byte = u8::try_from(self.below(256)).unwrap_or_default();
                input.insert(range.start, byte);
            }
            2 => drop(input.drain(range)),
            3 => {
                let again = input.get(range.clone()).unwrap_or_default().to_vec();
                splice(input, range.end..range.end, &again);
            }
            4 => {
                let many = input.get(range.clone()).unwrap_or_default().repeat(1 + self.below(64));
                splice(input, range, &many);
            }
            5 => {
                let token = self.one_of(&TOKENS).copied().unwrap_or_default();
                splice(input, range.start..range.start, token);
            }
            6 => {
                let token = self.one_of(&TOKENS).copied().unwrap_or_default();
                splice(input, range, token);
            }
            7 => {
                let words = std::mem::take(&mut self.words);
                let word = self.one_of(&words).cloned().unwrap_or_default();
                self.words = words;
                splice(input, range, &word);
            }
            _ => {
                let other = self.one_of(pool).cloned().unwrap_or_default();
                let piece = self.range(other.len());
                splice(input, range, other.get(piece).unwrap_or_default());
            }
        }
    }

    /// A range within `length`, short more often than long.
    fn range(&mut self, length: usize) -> Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 8 };
        let end = start + self.below(most.min(length - start) + 1);
        start..end
    }

    fn one_of<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(self.below(things.len()))
    }

    /// A number below `limit`; 0 if there is none.
    fn below(&mut self, limit: usize) -> usize {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(mixed % limit).unwrap_or_default()
    }
}

fn splice(input: &mut Vec<u8>, range: Range<usize>, with: &[u8]) {
    drop(input.splice(range, with.iter().copied()));
}
