//! A small generator of repeatable choices (`SplitMix64`); nothing secret may come from it.

/// The choices that follow from one seed.
#[derive(Debug)]
pub(crate) struct Generator(u64);

impl Generator {
    /// The generator whose choices a text stands for.
    pub(crate) fn of(text: &str) -> Self {
        // FNV-1a spreads the text over the seed.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash)
    }

    /// A number from 0 up to but not including `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number from `start` to `end`.
    pub(crate) fn between(&mut self, start: i64, end: i64) -> i64 {
        let span = end.saturating_sub(start).max(0).unsigned_abs();
        start.saturating_add_unsigned(self.below(span.saturating_add(1)))
    }

    /// Whether something of that likelihood happens.
    pub(crate) fn chance(&mut self, per_cent: u64) -> bool {
        self.below(100) < per_cent
    }

    /// One of the items.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = self.below(u64::try_from(items.len()).ok()?);
        items.get(usize::try_from(at).ok()?)
    }

    /// The items in another order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u64::try_from(last).unwrap_or(0).saturating_add(1);
            items.swap(last, usize::try_from(self.below(bound)).unwrap_or(last));
        }
    }

    /// A number with 128 random bits.
    pub(crate) fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_gives_the_same_choices() {
        let draw = |text| {
            let mut random = Generator::of(text);
            (random.wide(), random.between(-3, 3), random.chance(50))
        };
        assert_eq!(draw("ws_acme"), draw("ws_acme"));
        assert_ne!(draw("ws_acme").0, draw("ws_globex").0);
    }
}
