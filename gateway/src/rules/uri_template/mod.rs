//! URI templates read backwards (RFC 6570 section 2): whether a URI can have been made from one,
//! and which values a variable can have had in it.
//!
//! Where there is doubt this errs towards a match and towards more values: who binds by them then
//! binds too much rather than too little. Literals are compared without case, because a reader of
//! the URI may do so.

mod reach;
mod syntax;

use std::borrow::Cow;

use shared::ids::WorkspaceId;

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Expression(Expression),
    /// In lower case.
    Literal(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Expression {
    operator: Operator,
    variables: Vec<Variable>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    explodes: bool,
    has_prefix: bool,
    name: String,
}

/// How an expression is written out (RFC 6570 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Fragment,
    Label,
    Matrix,
    Next,
    Path,
    Query,
    Reserved,
    Simple,
}

/// A text that is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTemplate {
    #[error("it has a brace without its partner")]
    Brace,
    #[error("it has an expression that RFC 6570 does not know")]
    Expression,
}

/// Why the values of a variable cannot be told from a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untold {
    #[error("its workspace stands next to another variable, with nothing between them")]
    Adjacent,
    #[error("its workspace is cut short by a prefix modifier")]
    Prefix,
    #[error("its workspace shares an expression in which variables cannot be told apart")]
    Shared,
}

/// Which values a variable can have in a URI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Values {
    /// None: it does not stand there.
    #[default]
    None,
    One(String),
    /// Several, or what cannot be told.
    Several,
}

impl Values {
    /// These and those.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, some) | (some, Self::None) => some,
            (Self::One(one), Self::One(same)) if one == same => Self::One(one),
            _ => Self::Several,
        }
    }

    /// Whether somebody with these workspaces may act in what it names.
    pub(crate) fn is_within(&self, granted: &[WorkspaceId]) -> bool {
        match self {
            Self::None => true,
            Self::One(named) => granted.iter().any(|id| id.as_str() == named),
            Self::Several => false,
        }
    }
}

impl Template {
    /// Whether the variable's value can be told from every URI made from it.
    pub(crate) fn check(&self, variable: &str) -> Result<(), Untold> {
        for (at, part) in self.0.iter().enumerate() {
            let Part::Expression(expression) = part else { continue };
            let Some(own) = expression.position(variable) else { continue };
            if expression.variables.get(own).is_some_and(|own| own.has_prefix) {
                return Err(Untold::Prefix);
            }
            if expression.operator.is_named() {
                continue;
            }
            let others = expression.variables.len() > 1;
            let explodes = expression.variables.iter().any(|one| one.explodes);
            if others && (expression.operator != Operator::Path || explodes) {
                return Err(Untold::Shared);
            }
            let before = at.checked_sub(1).and_then(|before| self.0.get(before));
            let touches = matches!(before, Some(Part::Expression(_)))
                && matches!(expression.operator, Operator::Reserved | Operator::Simple);
            let runs_on = match self.0.get(at + 1) {
                Some(Part::Expression(next)) => {
                    matches!(next.operator, Operator::Label | Operator::Reserved | Operator::Simple)
                }
                Some(Part::Literal(_)) | None => false,
            };
            if touches || runs_on {
                return Err(Untold::Adjacent);
            }
        }
        Ok(())
    }

    /// Whether the URI can have been made from it.
    pub(crate) fn fits(&self, uri: &str) -> bool {
        readings(uri).iter().any(|uri| self.reach(uri).is_some())
    }

    /// The values that the variable can have in the URI, escapes resolved. What expressions write
    /// as `name=value` is found by [`named`], whatever the template.
    pub(crate) fn values(&self, variable: &str, uri: &str) -> Values {
        let carriers = self.0.iter().enumerate().filter_map(|(at, part)| match part {
            Part::Expression(one) if !one.operator.is_named() => {
                one.position(variable).map(|own| (at, one, own))
            }
            Part::Expression(_) | Part::Literal(_) => None,
        });
        let carriers: Vec<_> = carriers.collect();
        if carriers.is_empty() {
            return Values::None;
        }
        let mut values = Values::None;
        for uri in readings(uri) {
            let Some(reach) = self.reach(&uri) else { continue };
            for &(at, expression, own) in &carriers {
                for (start, end) in reach.runs(at, expression, &uri) {
                    let Some(run) = uri.get(start..end) else { continue };
                    values = values.and(expression.values(own, run));
                    if values == Values::Several {
                        return values;
                    }
                }
            }
        }
        values
    }
}

/// A URI as servers may read it: whole, or without its query and fragment, without parameters of
/// its segments, without a slash at its end.
fn readings(uri: &str) -> Vec<Cow<'_, str>> {
    let path = uri.split(['?', '#', '&']).next().unwrap_or_default();
    let mut readings: Vec<Cow<'_, str>> = vec![uri.into()];
    let mut add = |text: Cow<'_, str>| {
        if !readings.contains(&text) {
            readings.push(text.into_owned().into());
        }
    };
    add(uri.trim_end_matches('/').into());
    add(path.into());
    add(path.trim_end_matches('/').into());
    if path.contains(';') {
        let segments = path.split('/').map(|one| one.split(';').next().unwrap_or_default());
        let bare = segments.collect::<Vec<_>>().join("/");
        add(bare.trim_end_matches('/').to_owned().into());
    }
    readings
}

/// The values of pairs of that name, such as `?name=value`, wherever they stand in a URI.
pub(crate) fn named(variable: &str, uri: &str) -> Values {
    let pairs = uri.split(['?', '&', ';', '#', '/']).filter_map(|piece| piece.split_once('='));
    let own = pairs.filter(|(name, _)| decoded(name).eq_ignore_ascii_case(variable));
    own.map(|(_, value)| Values::One(decoded(value))).fold(Values::None, Values::and)
}

/// A text with its escapes resolved, once; as it is where they are none.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = (first == b'%').then(|| escaped(after)).flatten();
        bytes.push(escape.unwrap_or(first));
        rest = if escape.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The byte that two hexadecimal digits at the start are.
pub(crate) fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

impl Operator {
    /// Whether it writes each variable with its name.
    fn is_named(self) -> bool {
        matches!(self, Self::Matrix | Self::Next | Self::Query)
    }

    /// What stands before the first value.
    fn lead(self) -> Option<u8> {
        match self {
            Self::Fragment => Some(b'#'),
            Self::Label => Some(b'.'),
            Self::Matrix => Some(b';'),
            Self::Next => Some(b'&'),
            Self::Path => Some(b'/'),
            Self::Query => Some(b'?'),
            Self::Reserved | Self::Simple => None,
        }
    }
}

impl Expression {
    fn position(&self, variable: &str) -> Option<usize> {
        self.variables.iter().position(|one| one.name.eq_ignore_ascii_case(variable))
    }

    /// Whether what it writes can hold the byte. Servers read on to the next slash.
    fn holds(&self, byte: u8) -> bool {
        match self.operator {
            Operator::Fragment | Operator::Reserved => true,
            Operator::Next | Operator::Query => byte != b'#',
            Operator::Matrix => !matches!(byte, b'#' | b'&' | b'/' | b'?'),
            Operator::Path => !matches!(byte, b'#' | b'&' | b';' | b'?'),
            Operator::Label | Operator::Simple => match byte {
                b'/' => self.variables.iter().any(|one| one.explodes),
                b'#' | b'&' | b';' | b'?' => false,
                _ => true,
            },
        }
    }

    /// The values of one of its variables in what it wrote.
    fn values(&self, own: usize, run: &str) -> Values {
        let Some(rest) = self.operator.lead().map_or(Some(run), |_| run.get(1..)) else {
            return Values::None;
        };
        if rest.is_empty() {
            return Values::None;
        }
        if self.operator != Operator::Path {
            return Values::One(decoded(rest));
        }
        let segments: Vec<&str> = rest.split('/').collect();
        let explodes = self.variables.iter().any(|one| one.explodes);
        match segments.len().cmp(&self.variables.len()) {
            std::cmp::Ordering::Equal => {
                segments.get(own).map_or(Values::Several, |one| Values::One(decoded(one)))
            }
            // Never made from it.
            std::cmp::Ordering::Greater if !explodes => Values::None,
            // Some variables were left out, and nobody knows which.
            _ => segments
                .into_iter()
                .map(|one| Values::One(decoded(one)))
                .fold(Values::None, Values::and),
        }
    }
}

#[cfg(test)]
mod tests;
