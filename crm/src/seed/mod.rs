//! The records a workspace begins with: invented, linked, and the same at every start.

mod generator;
mod texts;

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use self::{
    generator::Generator,
    texts::{About, Culture, Plan},
};
use crate::{
    CrmError,
    catalogue::{Catalogue, Field, FieldKind, Module},
    engine::{Fields, Record, moment, record_id},
};

/// The last moment of the seed, 2026-10-31T18:00:00Z.
const END: i64 = 1_793_469_600;
const DAY: i64 = 86_400;
/// The span of the seed: two years.
const SPAN: i64 = 730 * DAY;

/// The first records of a workspace, each with the name of its module.
pub(crate) fn records(
    catalogue: &Catalogue,
    workspace: &str,
) -> Result<Vec<(String, Record)>, CrmError> {
    let (cultures, plan) = texts::built_in()?;
    let mut seeder = Seeder {
        addresses: HashSet::new(),
        companies: Vec::new(),
        cultures: &cultures,
        made: HashMap::new(),
        plan: &plan,
        random: Generator::of(workspace),
        workspace,
    };
    let mut records = Vec::new();
    for share in &plan.modules {
        let unknown = || CrmError::Seed(format!("there is no module {}", share.name));
        let module = catalogue.module(&share.name).ok_or_else(unknown)?;
        for _ in 0..share.count {
            let record = seeder.record(module, share.new_person);
            records.push((module.name.clone(), record));
        }
    }
    Ok(records)
}

struct Seeder<'a> {
    addresses: HashSet<String>,
    /// Companies not used yet, as places in the list of cultures and in its stems.
    companies: Vec<(usize, usize)>,
    cultures: &'a [Culture],
    made: HashMap<&'a str, Vec<Made>>,
    plan: &'a Plan,
    random: Generator,
    workspace: &'a str,
}

/// What later records need to know of one they refer to.
#[derive(Clone, Debug)]
struct Made {
    about: About,
    created: i64,
    id: String,
}

impl<'a> Seeder<'a> {
    fn record(&mut self, module: &'a Module, new_person: bool) -> Record {
        let links = self.links(module);
        let mut about = match links.last() {
            Some((_, made)) => made.about.clone(),
            None => self.company(),
        };
        if new_person {
            self.rename(&mut about);
        }
        let created = match links.iter().map(|(_, made)| made.created).max() {
            Some(latest) => self.soon_after(latest),
            None => self.random.between(END - SPAN, END),
        };
        let updated = self.soon_after(created);
        let mut fields = Fields::new();
        for field in &module.fields {
            let linked = links.iter().find(|(name, _)| *name == field.name);
            let value = match linked {
                Some((_, made)) => Some(json!(made.id)),
                None => self.value(module, field, &about, created),
            };
            fields.extend(value.map(|value| (field.name.clone(), value)));
        }
        let id = record_id(module, self.random.wide());
        let made = Made { about, created, id: id.clone() };
        self.made.entry(&module.name).or_default().push(made);
        Record {
            created_at: moment(created),
            fields,
            id,
            updated_at: moment(updated),
            v: Record::VERSION,
            workspace_id: self.workspace.to_owned(),
        }
    }

    /// Records to refer to, all about the same company.
    fn links(&mut self, module: &'a Module) -> Vec<(&'a str, Made)> {
        let mut links: Vec<(&str, Made)> = Vec::new();
        for field in &module.fields {
            let FieldKind::Reference { module: target } = &field.kind else { continue };
            let host = links.first().map(|(_, made)| made.about.host.clone());
            let choices: Vec<&Made> = self
                .made
                .get(target.as_str())
                .into_iter()
                .flatten()
                .filter(|made| host.as_ref().is_none_or(|host| *host == made.about.host))
                .collect();
            if self.random.chance(85)
                && let Some(made) = self.random.pick(&choices)
            {
                links.push((&field.name, (*made).clone()));
            }
        }
        links
    }

    fn company(&mut self) -> About {
        if self.companies.is_empty() {
            let stems = |(at, culture): (usize, &Culture)| {
                (0..culture.stem.len()).map(move |stem| (at, stem)).collect::<Vec<_>>()
            };
            self.companies = self.cultures.iter().enumerate().flat_map(stems).collect();
            self.random.shuffle(&mut self.companies);
        }
        let (at, stem) = self.companies.pop().unwrap_or_default();
        match self.cultures.get(at).and_then(|culture| Some((culture, culture.stem.get(stem)?))) {
            Some((culture, stem)) => culture.company(stem, &mut self.random),
            None => About::default(),
        }
    }

    /// Another person at the same company, with an address nobody has yet.
    fn rename(&mut self, about: &mut About) {
        let Some(culture) = self.cultures.iter().find(|culture| culture.speaks(about)) else {
            return;
        };
        for _ in 0..50 {
            culture.name_person(about, &mut self.random);
            if self.addresses.insert(about.address()) {
                return;
            }
        }
    }

    fn value(
        &mut self,
        module: &Module,
        field: &Field,
        about: &About,
        created: i64,
    ) -> Option<Value> {
        let plan = self.plan;
        if let Some(texts) = plan.templates.get(&format!("{}.{}", module.name, field.name)) {
            return self.random.pick(texts).map(|text| json!(about.fill(text)));
        }
        if !field.required && !self.random.chance(85) {
            return None;
        }
        match &field.kind {
            FieldKind::Date => moment(self.soon_after(created)).get(..10).map(|date| json!(date)),
            FieldKind::Datetime => {
                let at = self.soon_after(created);
                Some(json!(moment(at - at % 900)))
            }
            FieldKind::Enum { values } => self.random.pick(values).map(|value| json!(value)),
            FieldKind::Integer { maximum, minimum } => {
                Some(json!(self.random.between(minimum / 5, maximum / 5) * 5))
            }
            FieldKind::Money => {
                let scale = *self.random.pick(&[100, 1_000, 10_000])?;
                Some(json!(self.random.between(1, 99) * scale))
            }
            FieldKind::Phone => {
                let pattern = self.random.pick(&plan.phones)?;
                Some(json!(self.digits(pattern)))
            }
            FieldKind::Tags => Some(self.tags()),
            FieldKind::Email
            | FieldKind::LongText
            | FieldKind::Reference { .. }
            | FieldKind::Text
            | FieldKind::Url => None,
        }
    }

    /// A moment of the next three months, if the seed does not end before.
    fn soon_after(&mut self, moment: i64) -> i64 {
        self.random.between(moment, END.min(moment + 90 * DAY))
    }

    fn digits(&mut self, pattern: &str) -> String {
        let mut digit = || char::from_digit(u32::try_from(self.random.below(10)).ok()?, 10);
        pattern
            .chars()
            .map(|character| if character == '#' { digit().unwrap_or('0') } else { character })
            .collect()
    }

    fn tags(&mut self) -> Value {
        let mut tags: Vec<&String> = Vec::new();
        for _ in 0..self.random.below(3) {
            let tag = self.random.pick(&self.plan.tags).filter(|tag| !tags.contains(tag));
            tags.extend(tag);
        }
        json!(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workspace_begins_with_its_own_three_hundred_records_and_more() {
        let catalogue = Catalogue::built_in().unwrap();
        let acme = records(&catalogue, "ws_acme").unwrap();
        assert!(acme.len() >= 300);
        assert_eq!(acme, records(&catalogue, "ws_acme").unwrap());
        let ids: HashSet<_> = acme.iter().map(|(_, record)| record.id.clone()).collect();
        assert_eq!(ids.len(), acme.len());
        let globex = records(&catalogue, "ws_globex").unwrap();
        assert!(globex.iter().all(|(_, record)| !ids.contains(&record.id)));
    }

    #[test]
    fn seed_records_lie_within_two_years_and_refer_to_records_of_their_workspace() {
        let catalogue = Catalogue::built_in().unwrap();
        let all = records(&catalogue, "ws_acme").unwrap();
        let known: HashSet<_> =
            all.iter().map(|(module, record)| (module.as_str(), record.id.as_str())).collect();
        let mut links = 0;
        for (name, record) in &all {
            assert!(record.created_at >= moment(END - SPAN) && record.updated_at <= moment(END));
            assert!(record.created_at <= record.updated_at);
            for field in &catalogue.module(name).unwrap().fields {
                let value = record.fields.get(&field.name);
                assert!(value.is_some() || !field.required, "{name} without {}", field.name);
                if let (FieldKind::Reference { module }, Some(id)) = (&field.kind, value) {
                    links += 1;
                    assert!(known.contains(&(module.as_str(), id.as_str().unwrap())));
                }
            }
        }
        assert!(links > 300, "{links} links");
    }

    #[test]
    fn seed_names_come_from_many_scripts_and_addresses_reach_nobody() {
        let catalogue = Catalogue::built_in().unwrap();
        let all = records(&catalogue, "ws_initech").unwrap();
        let text = serde_json::to_string(&all.iter().map(|(_, r)| &r.fields).collect::<Vec<_>>());
        let text = text.unwrap();
        for letter in ['さ', '司', 'ش', 'к', 'ω', 'र', 'é', 'ü', 'ł'] {
            assert!(text.contains(letter), "no {letter}");
        }
        for (_, record) in &all {
            if let Some(email) = record.fields.get("email").and_then(Value::as_str) {
                assert!(email.ends_with(".example"), "{email}");
            }
        }
    }
}
