//! Text that is safe inside a page: escaped, or written by us.

use std::fmt;

use askama::{
    Template,
    filters::{Escaper, HtmlSafe},
};

/// A piece of HTML. There are three ways to make one, and none takes a stranger's markup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// Text from anywhere, escaped.
    pub fn text(text: &str) -> Self {
        let mut escaped = String::with_capacity(text.len());
        // Writing to a string does not fail.
        let _infallible = askama::filters::Html.write_escaped_str(&mut escaped, text);
        Self(escaped)
    }

    /// Markup written by us.
    pub fn markup(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// A template, which escapes what it inserts.
    pub fn template(template: &impl Template) -> Self {
        match template.render() {
            Ok(rendered) => Self(rendered),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                Self::markup("<h1>This page could not be shown</h1>")
            }
        }
    }

    /// The HTML itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The HTML itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// A name from outside as it may be shown: one line, without characters that are invisible or
/// turn the reading direction around, and at most `limit` characters long.
pub fn plain_text(text: &str, limit: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.map(|word| word.replace(is_deceptive, "")).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    let kept: String = line.chars().take(limit.saturating_sub(1)).collect();
    format!("{}\u{2026}", kept.trim_end())
}

/// Direction controls and what has no width; the joiners that scripts and emoji need stay.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_markup_is_not() {
        let text = Html::text("<img src=x onerror=\"a\">'&").into_string();
        assert!(!text.contains(['<', '>', '"', '\'']), "{text}");
        assert_eq!(Html::markup("<b>").as_str(), "<b>");
    }

    #[test]
    fn a_name_cannot_turn_the_text_around_or_hide_in_it() {
        assert_eq!(plain_text("Claude\u{202e}\u{200b} \n\t Desk\u{0}top", 40), "Claude Desk top");
        assert_eq!(plain_text("\u{2066}\u{feff}", 40), "");
    }

    #[test]
    fn names_of_every_script_stay_as_they_are() {
        for name in ["متصل العملاء", "顧客管理", "می\u{200c}خواهم", "👩\u{200d}💻 Dev"]
        {
            assert_eq!(plain_text(name, 40), name);
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(plain_text("abc def", 5), "abc\u{2026}");
        assert_eq!(plain_text(&"é".repeat(80), 80).chars().count(), 80);
    }
}
