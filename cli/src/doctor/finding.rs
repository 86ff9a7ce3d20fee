//! What the walk found, one sentence each, with the remedy where there is one.

use serde::Serialize;

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Ok,
    Warning,
    Bad,
}

impl Verdict {
    /// The word in front of a line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<&'static str>,
    pub(crate) verdict: Verdict,
    pub(crate) what: String,
}

/// Everything that was found, in the order of the walk.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    /// Something is as it should be.
    pub(crate) fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(check, Verdict::Ok, &what.into(), None);
    }

    /// Some clients will have trouble.
    pub(crate) fn warn(&mut self, check: &'static str, what: impl Into<String>, fix: &'static str) {
        self.add(check, Verdict::Warning, &what.into(), Some(fix));
    }

    /// Clients will fail, or somebody could abuse it.
    pub(crate) fn bad(&mut self, check: &'static str, what: impl Into<String>, fix: &'static str) {
        self.add(check, Verdict::Bad, &what.into(), Some(fix));
    }

    fn add(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        what: &str,
        fix: Option<&'static str>,
    ) {
        // What a stranger wrote neither begins a line nor steers the terminal.
        let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        let what = what.chars().map(clean).take(300).collect();
        self.0.push(Finding { check, fix, verdict, what });
    }
}
