//! The catalogue: modules, fields and the words of the tools, read from data.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;

use crate::CrmError;

const BUILT_IN: &str = include_str!("../../profiles/demo/catalogue.toml");

/// What the CRM can hold and say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    #[serde(rename = "module")]
    pub(crate) modules: Vec<Arc<Module>>,
    #[serde(rename = "operation")]
    words: BTreeMap<Operation, Words>,
}

/// What can be done with the records of a module.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    List,
    Get,
    Search,
    Create,
    Update,
    Delete,
}

/// The title and description of an operation, with places to fill in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    title: String,
    description: String,
}

/// A kind of record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Module {
    pub(crate) about: String,
    #[serde(rename = "field")]
    pub(crate) fields: Vec<Field>,
    pub(crate) id_prefix: String,
    pub(crate) name: String,
    pub(crate) singular: String,
}

/// One field of a record.
#[derive(Debug, Deserialize)]
pub(crate) struct Field {
    #[serde(default)]
    pub(crate) default: Option<String>,
    pub(crate) description: String,
    #[serde(flatten)]
    pub(crate) kind: FieldKind,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) searchable: bool,
    #[serde(default)]
    pub(crate) sortable: bool,
}

/// What a field may hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub(crate) enum FieldKind {
    Date,
    Datetime,
    Email,
    Enum { values: Vec<String> },
    Integer { maximum: i64, minimum: i64 },
    LongText,
    Money,
    Phone,
    Reference { module: String },
    Tags,
    Text,
    Url,
}

impl Catalogue {
    /// The catalogue that comes with the program.
    pub(crate) fn built_in() -> Result<Self, CrmError> {
        let catalogue: Self =
            toml::from_str(BUILT_IN).map_err(|error| CrmError::Catalogue(error.to_string()))?;
        catalogue.check().map_err(CrmError::Catalogue)?;
        Ok(catalogue)
    }

    /// The module of that name.
    pub(crate) fn module(&self, name: &str) -> Option<&Arc<Module>> {
        self.modules.iter().find(|module| module.name == name)
    }

    /// The operation and module that a tool's name stands for.
    pub(crate) fn tool(&self, name: &str) -> Option<(Operation, &Arc<Module>)> {
        self.modules
            .iter()
            .flat_map(|module| Operation::ALL.map(|operation| (operation, module)))
            .find(|(operation, module)| operation.tool_name(module) == name)
    }

    /// The title and description of a tool.
    pub(crate) fn words(&self, operation: Operation, module: &Module) -> (String, String) {
        let searched: Vec<_> = module
            .fields
            .iter()
            .filter(|field| field.searchable)
            .map(|field| field.name.as_str())
            .collect();
        let fill = |text: &str| {
            text.replace("{about}", &module.about)
                .replace("{searched}", &searched.join(", "))
                .replace("{one}", &module.singular)
                .replace("{many}", &module.name)
        };
        self.words
            .get(&operation)
            .map(|words| (fill(&words.title), fill(&words.description)))
            .unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        for operation in Operation::ALL {
            if !self.words.contains_key(&operation) {
                return Err(format!("operation {operation:?} has no words"));
            }
        }
        let mut names = BTreeSet::new();
        for module in &self.modules {
            if !names.insert(&module.name) {
                return Err(format!("module {} is named twice", module.name));
            }
            for field in &module.fields {
                self.check_field(field)
                    .map_err(|problem| format!("{}.{}: {problem}", module.name, field.name))?;
            }
        }
        Ok(())
    }

    fn check_field(&self, field: &Field) -> Result<(), String> {
        match &field.kind {
            FieldKind::Enum { values } => match &field.default {
                Some(default) if !values.contains(default) => {
                    Err(format!("default {default} is not among the values"))
                }
                _ => Ok(()),
            },
            FieldKind::Reference { module } if self.module(module).is_none() => {
                Err(format!("refers to the unknown module {module}"))
            }
            _ if field.default.is_some() => Err("only an enum may have a default".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Operation {
    /// Every operation, in the order tools are listed.
    pub(crate) const ALL: [Self; 6] =
        [Self::List, Self::Get, Self::Search, Self::Create, Self::Update, Self::Delete];

    /// The name of the tool that does this to the module.
    pub(crate) fn tool_name(self, module: &Module) -> String {
        match self {
            Self::List => format!("list_{}", module.name),
            Self::Get => format!("get_{}", module.singular),
            Self::Search => format!("search_{}", module.name),
            Self::Create => format!("create_{}", module.singular),
            Self::Update => format!("update_{}", module.singular),
            Self::Delete => format!("delete_{}", module.singular),
        }
    }
}

impl Module {
    /// The field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The orders a list may be asked for in, the default first.
    pub(crate) fn sorts(&self) -> Vec<String> {
        ["created_at", "updated_at"]
            .into_iter()
            .chain(self.fields.iter().filter(|field| field.sortable).map(|f| f.name.as_str()))
            .flat_map(|name| [format!("-{name}"), name.to_owned()])
            .collect()
    }
}

impl Field {
    /// Whether lists can be narrowed by this field.
    pub(crate) fn filterable(&self) -> bool {
        matches!(self.kind, FieldKind::Enum { .. } | FieldKind::Reference { .. })
    }

    /// Whether a new record must be given this field.
    pub(crate) fn must_be_given(&self) -> bool {
        self.required && self.default.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalogue_makes_thirty_tools_with_distinct_names() {
        let catalogue = Catalogue::built_in().unwrap();
        let names: BTreeSet<_> = catalogue
            .modules
            .iter()
            .flat_map(|module| Operation::ALL.map(|operation| operation.tool_name(module)))
            .collect();
        assert_eq!(names.len(), 30);
        assert!(names.contains("search_companies") && names.contains("delete_company"));
        for name in &names {
            let (operation, module) = catalogue.tool(name).unwrap();
            let (title, description) = catalogue.words(operation, module);
            assert!(!title.is_empty() && !description.contains('{'), "{name}: {description}");
        }
    }

    #[test]
    fn a_reference_to_an_unknown_module_is_refused() {
        let text = BUILT_IN.replace("module = \"companies\"", "module = \"planets\"");
        let catalogue: Catalogue = toml::from_str(&text).unwrap();
        assert_eq!(
            catalogue.check().unwrap_err(),
            "contacts.company_id: refers to the unknown module planets"
        );
    }
}
