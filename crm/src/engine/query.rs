//! Reading: one record, a sorted page of them, or those that contain some words.

use std::{cmp::Ordering, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    record::{Fields, Row, fold},
    refusal::{Problem, Refusal},
    rows::Rows,
    scope::Scope,
    validate::Arguments,
};
use crate::{catalogue::Module, limits};

const NEWEST_FIRST: &str = "-created_at";

/// `get_*`.
pub(crate) fn get(
    rows: &Rows,
    module: &Module,
    scope: Scope<'_>,
    given: &Fields,
) -> Result<Value, Refusal> {
    let mut arguments = Arguments::new(given, &["id", "workspace_id"]);
    let id = arguments.required_text("id", limits::TOKEN);
    let workspaces = scope.to_read(&mut arguments);
    arguments.finish()?;
    let id = id.unwrap_or_default();
    let row = rows.find(module, &workspaces, id).ok_or_else(|| not_found(module, id))?;
    Ok(row.record.shown(module))
}

/// `list_*`.
pub(crate) fn list(
    rows: &Rows,
    module: &Module,
    scope: Scope<'_>,
    given: &Fields,
) -> Result<Value, Refusal> {
    let filters: Vec<_> = module.fields.iter().filter(|field| field.filterable()).collect();
    let mut allowed = vec!["cursor", "limit", "sort", "workspace_id"];
    allowed.extend(filters.iter().map(|field| field.name.as_str()));
    let mut arguments = Arguments::new(given, &allowed);
    let sort = arguments.choice("sort", &module.sorts());
    let page = Page::of(&mut arguments, Sort::new(sort.unwrap_or(NEWEST_FIRST)));
    let wanted: Vec<_> = filters
        .iter()
        .filter_map(|field| Some((field.name.as_str(), arguments.field(field)?)))
        .collect();
    let workspaces = scope.to_read(&mut arguments);
    arguments.finish()?;
    let matches = |row: &&Arc<Row>| {
        wanted.iter().all(|(name, value)| row.record.fields.get(*name) == Some(value))
    };
    Ok(page.cut(module, rows.all(module, &workspaces).filter(matches).collect()))
}

/// `search_*`.
pub(crate) fn search(
    rows: &Rows,
    module: &Module,
    scope: Scope<'_>,
    given: &Fields,
) -> Result<Value, Refusal> {
    let mut arguments = Arguments::new(given, &["cursor", "limit", "query", "workspace_id"]);
    let query = arguments.required_text("query", limits::TEXT);
    let page = Page::of(&mut arguments, Sort::new(NEWEST_FIRST));
    let workspaces = scope.to_read(&mut arguments);
    arguments.finish()?;
    let words: Vec<_> =
        fold(query.unwrap_or_default()).split_whitespace().map(str::to_owned).collect();
    let found = rows.all(module, &workspaces).filter(|row| row.contains(&words)).collect();
    Ok(page.cut(module, found))
}

/// The refusal for an id that is unknown, or that lies where the caller may not look.
pub(crate) fn not_found(module: &Module, id: &str) -> Refusal {
    Refusal::NotFound { id: id.to_owned(), many: module.name.clone(), one: module.singular.clone() }
}

struct Page {
    after: Option<Position>,
    limit: usize,
    sort: Sort,
}

/// A field to order by, as `name` or `-name`.
struct Sort {
    descending: bool,
    field: String,
}

/// Where a record stands in an order. Cursors carry it rather than a count, so a page neither
/// repeats nor skips records when others come or go.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Position {
    id: String,
    key: Value,
    sort: String,
}

impl Page {
    fn of(arguments: &mut Arguments<'_>, sort: Sort) -> Self {
        let limit = arguments.limit();
        let cursor = arguments.text("cursor", limits::TOKEN);
        let after = cursor.and_then(Position::decoded).filter(|at| at.sort == sort.text());
        if let (Some(cursor), None) = (cursor, &after) {
            let expected = "the next_cursor of a page in the same order";
            arguments.refuse(Problem::new("cursor", expected, &json!(cursor)));
        }
        Self { after, limit, sort }
    }

    /// The answer: the records of this page, the next cursor, and how many there are in all.
    fn cut(&self, module: &Module, rows: Vec<&Arc<Row>>) -> Value {
        let total = rows.len();
        let mut rows: Vec<_> = rows.into_iter().map(|row| (self.sort.position(row), row)).collect();
        rows.sort_by(|(one, _), (other, _)| self.sort.compare(one, other));
        let start = self.after.as_ref().map_or(0, |after| {
            rows.partition_point(|(at, _)| self.sort.compare(at, after) != Ordering::Greater)
        });
        let rest = rows.get(start..).unwrap_or_default();
        let shown = rest.get(..self.limit).unwrap_or(rest);
        let more = rest.len() > shown.len();
        let next = shown.last().filter(|_| more).map(|(at, _)| at.encoded());
        let items: Vec<_> = shown.iter().map(|(_, row)| row.record.shown(module)).collect();
        json!({ "items": items, "next_cursor": next, "total": total })
    }
}

impl Sort {
    fn new(text: &str) -> Self {
        let field = text.strip_prefix('-');
        Self { descending: field.is_some(), field: field.unwrap_or(text).to_owned() }
    }

    fn text(&self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.field)
    }

    fn position(&self, row: &Row) -> Position {
        let key = match self.field.as_str() {
            "created_at" => json!(row.record.created_at),
            "updated_at" => json!(row.record.updated_at),
            name => match row.record.fields.get(name) {
                Some(Value::String(text)) => json!(fold(text)),
                Some(value) => value.clone(),
                None => Value::Null,
            },
        };
        Position { id: row.record.id.clone(), key, sort: self.text() }
    }

    /// Records without the field come last in either direction; the id settles ties.
    fn compare(&self, one: &Position, other: &Position) -> Ordering {
        let keys = match (&one.key, &other.key) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (one, other) => {
                let order = match (one.as_f64(), other.as_f64()) {
                    (Some(one), Some(other)) => one.total_cmp(&other),
                    _ => one.as_str().cmp(&other.as_str()),
                };
                if self.descending { order.reverse() } else { order }
            }
        };
        keys.then_with(|| one.id.cmp(&other.id))
    }
}

impl Position {
    fn encoded(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!([self.sort, self.key, self.id]).to_string())
    }

    fn decoded(cursor: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (sort, key, id) = serde_json::from_slice(&bytes).ok()?;
        Some(Self { id, key, sort })
    }
}
