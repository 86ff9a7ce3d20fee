//! The text of a template as its parts (RFC 6570 section 2).

use super::{Expression, InvalidTemplate, Operator, Part, Template, Variable};

impl Template {
    /// Reads a template.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (literal, after) = rest.split_once('{').unwrap_or((rest, ""));
            if literal.contains('}') {
                return Err(InvalidTemplate::Brace);
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_ascii_lowercase()));
            }
            if literal.len() == rest.len() {
                return Ok(Self(parts));
            }
            let (inside, next) = after.split_once('}').ok_or(InvalidTemplate::Brace)?;
            parts.push(Part::Expression(expression(inside)?));
            rest = next;
        }
    }
}

fn expression(inside: &str) -> Result<Expression, InvalidTemplate> {
    let operator = match inside.chars().next().ok_or(InvalidTemplate::Expression)? {
        '#' => Operator::Fragment,
        '&' => Operator::Next,
        '+' => Operator::Reserved,
        '.' => Operator::Label,
        '/' => Operator::Path,
        ';' => Operator::Matrix,
        '?' => Operator::Query,
        _ => Operator::Simple,
    };
    let names = if operator == Operator::Simple { Some(inside) } else { inside.get(1..) };
    let variables = names.unwrap_or_default().split(',').map(variable).collect::<Option<Vec<_>>>();
    Ok(Expression { operator, variables: variables.ok_or(InvalidTemplate::Expression)? })
}

fn variable(text: &str) -> Option<Variable> {
    let (name, explodes) = match text.strip_suffix('*') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let (name, prefix) = match name.split_once(':') {
        Some((name, prefix)) => (name, Some(prefix)),
        None => (name, None),
    };
    let is_number = |text: &str| {
        (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '%');
    let fits = !name.is_empty() && name.chars().all(is_name) && prefix.is_none_or(is_number);
    fits.then(|| Variable { explodes, has_prefix: prefix.is_some(), name: name.to_owned() })
}
