//! The data that seed records are made of.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::generator::Generator;
use crate::CrmError;

const CULTURES: &str = include_str!("data/cultures.toml");
const RECORDS: &str = include_str!("data/records.toml");

/// Names of people and companies, each with its Latin form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Culture {
    cities: Vec<String>,
    company: String,
    country: String,
    family: Vec<(String, String)>,
    given: Vec<(String, String)>,
    kind: Vec<String>,
    language: String,
    person: String,
    pub(crate) stem: Vec<(String, String)>,
}

/// How many records there are, and the texts in them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    #[serde(rename = "module")]
    pub(crate) modules: Vec<Share>,
    pub(crate) phones: Vec<String>,
    pub(crate) tags: Vec<String>,
    #[serde(rename = "template")]
    pub(crate) templates: BTreeMap<String, Vec<String>>,
}

/// What a module begins with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    pub(crate) count: u32,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) new_person: bool,
}

/// Whom a record is about: what the places in the templates are filled with.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    city: String,
    company: String,
    country: String,
    pub(crate) host: String,
    language: String,
    person: String,
    person_latin: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cultures {
    culture: Vec<Culture>,
}

/// The cultures and the plan that come with the program.
pub(crate) fn built_in() -> Result<(Vec<Culture>, Plan), CrmError> {
    let invalid = |error: toml::de::Error| CrmError::Seed(error.to_string());
    let cultures: Cultures = toml::from_str(CULTURES).map_err(invalid)?;
    Ok((cultures.culture, toml::from_str(RECORDS).map_err(invalid)?))
}

impl Culture {
    /// A company with that name and host, and someone who speaks for it.
    pub(crate) fn company(
        &self,
        (stem, latin): &(String, String),
        random: &mut Generator,
    ) -> About {
        let kind = random.pick(&self.kind).map_or("", String::as_str);
        let mut about = About {
            city: random.pick(&self.cities).cloned().unwrap_or_default(),
            company: self.company.replace("{stem}", stem).replace("{kind}", kind),
            country: self.country.clone(),
            host: format!("{latin}.example"),
            language: self.language.clone(),
            person: String::new(),
            person_latin: String::new(),
        };
        self.name_person(&mut about, random);
        about
    }

    /// Gives the record another person of this culture.
    pub(crate) fn name_person(&self, about: &mut About, random: &mut Generator) {
        let (Some(given), Some(family)) = (random.pick(&self.given), random.pick(&self.family))
        else {
            return;
        };
        about.person = self.person.replace("{given}", &given.0).replace("{family}", &family.0);
        about.person_latin = format!("{}.{}", given.1, family.1);
    }

    /// Whether that is the language people write here.
    pub(crate) fn speaks(&self, about: &About) -> bool {
        self.language == about.language && self.country == about.country
    }
}

impl About {
    /// The template with every place filled.
    pub(crate) fn fill(&self, template: &str) -> String {
        template
            .replace("{city}", &self.city)
            .replace("{company}", &self.company)
            .replace("{country}", &self.country)
            .replace("{host}", &self.host)
            .replace("{language}", &self.language)
            .replace("{person}", &self.person)
            .replace("{person_latin}", &self.person_latin)
    }

    /// What makes this person's address.
    pub(crate) fn address(&self) -> String {
        self.fill("{person_latin}@{host}")
    }
}
