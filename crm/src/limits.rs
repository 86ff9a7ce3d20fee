//! The sizes that schemas announce and the engine holds.

/// Records of a page when none is asked for.
pub(crate) const PAGE: usize = 25;
/// Records of the largest page.
pub(crate) const LARGEST_PAGE: usize = 100;
/// Characters of an identifier or cursor given as an argument.
pub(crate) const TOKEN: usize = 1000;
/// Characters of a short text.
pub(crate) const TEXT: usize = 200;
/// Characters of a long text.
pub(crate) const LONG_TEXT: usize = 8000;
/// Labels of one record.
pub(crate) const TAGS: usize = 20;
/// Characters of one label.
pub(crate) const TAG: usize = 50;
/// The largest amount of money.
pub(crate) const MONEY: f64 = 1e12;
