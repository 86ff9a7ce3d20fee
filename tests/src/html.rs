//! The forms of a page, read the way a browser reads them.

use url::Url;

use crate::http::Parameters;

/// A form as it stands on the page; controls can be changed before it is sent.
#[derive(Clone, Debug)]
pub struct Form {
    /// Where it is posted.
    pub action: Url,
    pub method: String,
    buttons: Vec<(String, String)>,
    controls: Vec<Control>,
}

#[derive(Clone, Debug)]
struct Control {
    name: String,
    /// Whether it is sent: unticked boxes are not.
    on: bool,
    tickable: bool,
    value: String,
}

impl Form {
    /// Every form of a document.
    pub fn all(page: &Url, document: &str) -> Vec<Self> {
        let mut forms: Vec<Self> = Vec::new();
        let mut inside = false;
        for tag in tags(document) {
            match tag.name.as_str() {
                "form" => {
                    inside = true;
                    forms.push(Self {
                        action: page.join(tag.value("action")).unwrap(),
                        method: tag.value("method").to_lowercase(),
                        buttons: Vec::new(),
                        controls: Vec::new(),
                    });
                }
                "/form" => inside = false,
                "input" if inside => forms.last_mut().unwrap().controls.push(control(&tag)),
                "button" if inside => {
                    let pair = (tag.value("name").to_owned(), tag.value("value").to_owned());
                    forms.last_mut().unwrap().buttons.push(pair);
                }
                _ => {}
            }
        }
        forms
    }

    /// Whether a control or a button has this name.
    pub fn has(&self, name: &str) -> bool {
        self.controls.iter().any(|control| control.name == name)
            || self.buttons.iter().any(|(button, _)| button == name)
    }

    /// The values that a name can have, ticked or not.
    pub fn offered(&self, name: &str) -> Vec<&str> {
        let controls = self.controls.iter().filter(|control| control.name == name);
        controls.map(|control| control.value.as_str()).collect()
    }

    /// Types a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        for control in self.controls.iter_mut().filter(|control| control.name == name) {
            value.clone_into(&mut control.value);
        }
        self
    }

    /// Ticks these boxes of a name and no others.
    #[must_use]
    pub fn ticked(mut self, name: &str, values: &[&str]) -> Self {
        for control in self.controls.iter_mut().filter(|control| control.name == name) {
            assert!(control.tickable, "{name} cannot be ticked");
            control.on = values.contains(&control.value.as_str());
        }
        self
    }

    /// What is sent when this button is pressed.
    pub fn pressed(&self, name: &str, value: &str) -> Parameters {
        let pair = (name.to_owned(), value.to_owned());
        assert!(self.buttons.contains(&pair), "there is no button {name}={value}");
        let mut parameters = self.fields();
        parameters.add(name, value);
        parameters
    }

    /// What is sent without a named button.
    pub fn fields(&self) -> Parameters {
        let sent = self.controls.iter().filter(|control| control.on);
        sent.map(|control| (control.name.clone(), control.value.clone())).collect()
    }
}

fn control(tag: &Tag) -> Control {
    let tickable = matches!(tag.value("type"), "checkbox" | "radio");
    Control {
        name: tag.value("name").to_owned(),
        on: !tickable || tag.has("checked"),
        tickable,
        value: tag.value("value").to_owned(),
    }
}

#[derive(Debug)]
struct Tag {
    attributes: Vec<(String, String)>,
    name: String,
}

impl Tag {
    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(other, _)| other == name)
    }

    fn value(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

fn tags(document: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = document;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let name_end = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        let name = rest[..name_end].to_lowercase();
        rest = &rest[name_end..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() || rest.starts_with('>') {
                break;
            }
            let end = rest.find(|c: char| c.is_whitespace() || c == '=' || c == '>');
            let end = end.unwrap_or(rest.len()).max(1);
            let attribute = rest[..end].to_lowercase();
            rest = &rest[end..];
            let mut value = String::new();
            if let Some(quoted) = rest.strip_prefix("=\"") {
                let end = quoted.find('"').unwrap_or(quoted.len());
                value = unescape(&quoted[..end]);
                rest = quoted.get(end + 1..).unwrap_or_default();
            }
            attributes.push((attribute, value));
        }
        tags.push(Tag { attributes, name });
    }
    tags
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').expect("an entity ends");
        plain.push(match &rest[1..end] {
            "amp" => '&',
            "gt" => '>',
            "lt" => '<',
            "quot" => '"',
            number => {
                let digits = number.strip_prefix('#').expect("a numbered entity");
                let code = match digits.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => digits.parse(),
                };
                char::from_u32(code.unwrap()).unwrap()
            }
        });
        rest = &rest[end + 1..];
    }
    plain.push_str(rest);
    plain
}
