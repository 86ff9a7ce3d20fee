//! Problems with the deployment file: all of them at once, each with its place and remedy; and
//! errors in words.

use std::{error::Error, fmt};

/// One thing that is wrong with the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key or table, such as `resource[0].url`.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl Problem {
    /// A problem at a place, with its remedy.
    pub fn new(
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { place: place.into(), what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.remedy)
    }
}

/// An error with its causes.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
